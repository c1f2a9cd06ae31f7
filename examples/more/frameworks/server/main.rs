//! One route behind `JwtAuth` and `RequireScopes`, in the framework of one's choice: what the acceptance suite talks to.
//!
//! ```text
//! server FRAMEWORK ISSUER AUDIENCE JWKS
//! ```
//!
//! It prints `READY` and one address for each [`Setup`], as `name=http://…`. For each line that it reads it prints the
//! subjects that the handlers have seen since the line before. It ends with its input.

mod in_axum;
mod in_hyper;
mod in_poem;
mod in_salvo;
mod in_tonic;

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::mem::take;
use std::net::Ipv4Addr;
use std::process::exit;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Response};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::{JoinSet, yield_now};
use tower::ServiceBuilder;
use tower::layer::util::{Identity, Stack};
use tower::util::Either;
use tower_jwt_auth::extract::{BearerHeader, Cookie};
use tower_jwt_auth::keys::{KeyError, KeyLookup, KeyQuery};
use tower_jwt_auth::metadata::ProtectedResource;
use tower_jwt_auth::rejection::{EmptyBody, MakeRejection, Rejection};
use tower_jwt_auth::{ConfigError, Issuer, Jwt, JwtAuth, KeySet, ProblemJson, RequireScopes};

/// The path, which is the same everywhere: that of the standard health check, whose types a crate ships.
pub(crate) const PATH: &str = "/grpc.health.v1.Health/Check";

#[derive(Deserialize)]
pub(crate) struct Claims {
    sub: String,
}

/// How the route is protected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// A scope is needed.
    Guarded,
    /// A token may be missing, and no scope is needed.
    Optional,
    /// As `Guarded`, and refusals have a body.
    Problem,
    /// As `Guarded`, and a cookie is taken as well.
    Cookie,
    /// As `Guarded`, and the keys are fetched. The `kid` says how that fails.
    Vault,
}

impl Setup {
    const ALL: [(&str, Self); 5] = [
        ("guarded", Self::Guarded),
        ("optional", Self::Optional),
        ("problem", Self::Problem),
        ("cookie", Self::Cookie),
        ("vault", Self::Vault),
    ];
}

/// What is in front of the handler.
pub(crate) type Layers<R> =
    ServiceBuilder<Stack<Either<RequireScopes<R>, Identity>, Stack<JwtAuth<Claims, R>, Identity>>>;

/// Whose tokens are trusted.
#[derive(Clone)]
pub(crate) struct Trusted {
    issuer: String,
    audience: String,
    keys: KeySet,
}

impl Trusted {
    /// The layers of a setup, with this maker of bodies.
    pub(crate) fn layers<R: Clone>(&self, setup: Setup, maker: R) -> Result<Layers<R>, ConfigError> {
        let issuer = match setup {
            Setup::Vault => Issuer::new(&self.issuer, vault(self.keys.clone())),
            _ => Issuer::new(&self.issuer, self.keys.clone()),
        };
        let resource = ProtectedResource::new("https://orders.example")?;
        let mut auth = JwtAuth::new(issuer.audience(&self.audience))?.realm("orders").resource_metadata(&resource);
        match setup {
            Setup::Optional => auth = auth.optional(),
            Setup::Cookie => auth = auth.extractor(BearerHeader::new().or(Cookie::new("__Host-access"))),
            Setup::Guarded | Setup::Problem | Setup::Vault => {}
        }
        let guard = (setup != Setup::Optional).then(|| RequireScopes::all(["orders:read"]).on_reject(maker.clone()));
        Ok(ServiceBuilder::new().layer(auth.on_reject(maker)).option_layer(guard))
    }
}

/// Keys that take their time, and may not come.
fn vault(keys: KeySet) -> impl Fn(&KeyQuery<'_>) -> KeyLookup<'static> {
    move |query| {
        let sealed = || KeyError::new("the vault is sealed").retry_after(Duration::from_secs(7));
        let (keys, comes) = (keys.clone(), query.kid() != Some("sealed-later"));
        if query.kid() == Some("sealed") {
            return KeyLookup::failed(sealed());
        }
        KeyLookup::pending(async move {
            yield_now().await;
            if comes { Ok(keys) } else { Err(sealed()) }
        })
    }
}

/// The body of a refusal.
#[derive(Clone, Copy)]
pub(crate) enum Maker {
    Empty,
    Problem,
}

impl From<Setup> for Maker {
    fn from(setup: Setup) -> Self {
        if setup == Setup::Problem { Self::Problem } else { Self::Empty }
    }
}

impl<B: Default + From<Bytes>> MakeRejection<B> for Maker {
    fn make_rejection(&self, refused: &Rejection<'_>) -> Response<B> {
        match self {
            Self::Empty => EmptyBody.make_rejection(refused),
            Self::Problem => ProblemJson.make_rejection(refused),
        }
    }
}

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What every handler does: notes whom it serves, and answers that.
pub(crate) fn handle(extensions: &Extensions) -> String {
    let subject = extensions.get::<Jwt<Claims>>().map_or("anonymous", |jwt| &jwt.claims().sub).to_owned();
    SEEN.lock().unwrap_or_else(PoisonError::into_inner).push(subject.clone());
    subject
}

/// Answers the lines of the suite, and ends with them, so that no server is left behind.
fn answer_lines() {
    for line in io::stdin().lines() {
        if line.is_err() {
            break;
        }
        println!("{}", take(&mut *SEEN.lock().unwrap_or_else(PoisonError::into_inner)).join(" "));
    }
    exit(0)
}

async fn serve(framework: &str, listener: TcpListener, trusted: &Trusted, setup: Setup) -> Result<(), Box<dyn Error>> {
    if framework == "tonic" {
        // Its body is made of no bytes, and gRPC answers have none.
        return in_tonic::serve(listener, trusted.layers(setup, EmptyBody)?).await;
    }
    let layers = trusted.layers(setup, Maker::from(setup))?;
    match framework {
        "axum" => in_axum::serve(listener, layers).await,
        "hyper" => in_hyper::serve(listener, layers).await,
        "poem" => in_poem::serve(listener, layers).await,
        "salvo" => in_salvo::serve(listener, layers).await,
        _ => Err(format!("{framework}: the frameworks are axum, hyper, poem, salvo and tonic").into()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [framework, issuer, audience, jwks] = &arguments[..] else {
        return Err("usage: server FRAMEWORK ISSUER AUDIENCE JWKS".into());
    };
    let trusted = Trusted { issuer: issuer.clone(), audience: audience.clone(), keys: KeySet::jwk_set(jwks)? };
    let mut ready = "READY".to_owned();
    let mut servers = JoinSet::new();
    for (name, setup) in Setup::ALL {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        write!(ready, " {name}=http://{}", listener.local_addr()?)?;
        let (framework, trusted) = (framework.clone(), trusted.clone());
        servers.spawn(
            async move { serve(&framework, listener, &trusted, setup).await.map_err(|error| error.to_string()) },
        );
    }
    println!("{ready}");
    std::thread::spawn(answer_lines);
    // A server does not end by itself.
    match servers.join_next().await {
        Some(Ok(Err(error))) => Err(error.into()),
        ended => Err(format!("a server has ended: {ended:?}").into()),
    }
}

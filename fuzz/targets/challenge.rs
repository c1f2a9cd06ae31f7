//! Any words in the challenges: realm, scopes, metadata, step-up values.
//!
//! - Each `WWW-Authenticate` line follows the grammar of RFC 9110 §11.6.1, and gives the words back; what cannot stand
//!   in a header is a question mark.
//! - There is a line for each scheme that is taken where no token came, and one where a token is refused.

#![no_main]

use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use http::{Request, Response};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::authorize::{RequireScopes, StepUp};
use tower_jwt_auth::binding::Dpop;
use tower_jwt_auth::metadata::ProtectedResource;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind, JwtAuth, Verifier};
use tower_jwt_auth_fuzz::answer::{self, Challenge};
use tower_jwt_auth_fuzz::{authority, clock, now};

#[derive(Arbitrary, Debug)]
struct Words<'a> {
    realm: Option<&'a str>,
    /// What follows `https://`.
    resource: Option<&'a str>,
    asked_for: Vec<&'a str>,
    needed: Vec<&'a str>,
    acr: Vec<&'a str>,
    max_age: Option<u64>,
    dpop: Option<bool>,
    is_grpc: bool,
}

static WORLD: LazyLock<(Authority, Verifier<Value>)> = LazyLock::new(|| {
    let authority = authority(Algorithm::HS256);
    let verifier = Verifier::builder().trust(authority.trusted()).clock(clock()).build().expect("a verifier");
    (authority, verifier)
});

/// What a client reads of a text.
fn readable(text: &str) -> String {
    text.chars().map(|character| if matches!(character, ' '..='~') { character } else { '?' }).collect()
}

type Service = tower::util::BoxCloneService<Request<()>, Response<()>, Infallible>;

fn ask(service: &Service, token: Option<&str>, is_grpc: bool) -> (AuthErrorKind, Vec<Challenge>) {
    let mut request = Request::post("/").body(()).expect("a request");
    let headers = request.headers_mut();
    if let Some(token) = token {
        headers.insert("authorization", format!("Bearer {token}").try_into().expect("a header"));
    }
    if is_grpc {
        headers.insert("content-type", "application/grpc".try_into().expect("a header"));
    }
    let Ok(response) = now(service.clone().oneshot(request));
    (answer::check(&response), answer::challenges(response.headers()))
}

fuzz_target!(|words: Words<'_>| {
    let (authority, verifier) = &*WORLD;
    let mut layer = JwtAuth::with(verifier.clone());
    if let Some(is_required) = words.dpop {
        let dpop = Dpop::new("https://api.test").expect("a URL");
        layer = layer.dpop(if is_required { dpop.required() } else { dpop });
    }
    if let Some(realm) = words.realm {
        layer = layer.realm(realm);
    }
    let resource = words.resource.and_then(|rest| ProtectedResource::new(&format!("https://{rest}")).ok());
    if let Some(resource) = &resource {
        layer = layer.resource_metadata(resource);
    }
    let asked_for = layer.clone().challenge_scopes(&words.asked_for);
    let is_asked = asked_for.is_ok() && !words.asked_for.is_empty();
    let layer = asked_for.unwrap_or(layer);

    let inner = || service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let has_common_words = |challenge: &Challenge| {
        assert_eq!(challenge.param("realm"), words.realm.map(readable).as_deref());
        let metadata = resource.as_ref().map(|resource| readable(&resource.url()));
        assert_eq!(challenge.param("resource_metadata"), metadata.as_deref());
        assert_eq!(challenge.param("algs").is_some(), challenge.scheme == "DPoP");
    };
    let schemes: &[&str] = match words.dpop {
        None => &["Bearer"],
        Some(false) => &["Bearer", "DPoP"],
        Some(true) => &["DPoP"],
    };
    let asked = is_asked.then(|| words.asked_for.join(" "));

    let service = Service::new(layer.layer(inner()));
    let (kind, challenges) = ask(&service, None, words.is_grpc);
    assert_eq!(kind, AuthErrorKind::MissingToken);
    assert_eq!(challenges.iter().map(|challenge| &*challenge.scheme).collect::<Vec<_>>(), schemes);
    for challenge in &challenges {
        has_common_words(challenge);
        assert_eq!(challenge.param("scope"), asked.as_deref());
    }
    let expired = authority.token().expires_in(-60).sign();
    for (token, kind, scope) in
        [(&*expired, AuthErrorKind::Expired, asked.as_deref()), ("a b", AuthErrorKind::MalformedCredential, None)]
    {
        let (found, challenges) = ask(&service, Some(token), words.is_grpc);
        assert_eq!((found, challenges.len()), (kind, 1));
        has_common_words(&challenges[0]);
        assert_eq!(challenges[0].param("scope"), scope);
    }

    if words.dpop == Some(true) {
        return;
    }
    let good = authority.token().claim("acr", "").sign();
    if let Ok(guard) = RequireScopes::try_all(&words.needed) {
        let service = Service::new(ServiceBuilder::new().layer(layer.clone()).layer(guard).service(inner()));
        let (kind, challenges) = ask(&service, Some(&good), words.is_grpc);
        assert_eq!((kind, challenges.len()), (AuthErrorKind::InsufficientScope, 1));
        has_common_words(&challenges[0]);
        let scopes: Vec<_> = challenges[0].param("scope").expect("those that are needed").split(' ').collect();
        assert!(words.needed.iter().all(|needed| scopes.contains(needed)));
        assert!(scopes.iter().all(|scope| words.needed.contains(scope)));
    }
    if let Ok(guard) = StepUp::acr_values(&words.acr) {
        let max_age = words.max_age.map(Duration::from_secs);
        let guard = match max_age {
            Some(max_age) => guard.and_max_age(max_age),
            None => guard,
        };
        let service = Service::new(ServiceBuilder::new().layer(layer).layer(guard).service(inner()));
        let (kind, challenges) = ask(&service, Some(&good), words.is_grpc);
        assert_eq!((kind, challenges.len()), (AuthErrorKind::InsufficientUserAuthentication, 1));
        has_common_words(&challenges[0]);
        assert_eq!(challenges[0].param("acr_values"), Some(&*words.acr.join(" ")));
        assert_eq!(challenges[0].param("max_age"), words.max_age.map(|age| age.to_string()).as_deref());
    }
});

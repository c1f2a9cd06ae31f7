//! Nothing of a token or a key reaches `Debug`, `Display`, errors, events or answers.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::extract::{BearerHeader, Credential, ExtractToken as _};
use tower_jwt_auth::keys::{Key, KeyLookup};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthError, Issuer, JwtAuth, KeySet, ProblemJson, Verifier};

/// Collects the events of this thread until it is dropped.
pub(crate) struct Log {
    lines: Lines,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn start() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.lines.0.lock().expect("not poisoned").clone()).expect("UTF-8")
    }
}

/// Claims that a string does not fit into.
#[derive(serde::Deserialize)]
struct Claims {
    #[expect(dead_code)]
    number: Option<u64>,
}

const CANARY: &str = "CanaryCanaryCanaryCanaryCanaryCanary";

#[tokio::test]
async fn a_canary_in_tokens_and_keys_is_seen_nowhere() {
    let log = Log::start();
    let mut seen = String::new();
    let keys = KeySet::secret(Algorithm::HS256, CANARY).expect("valid");
    let key = Key::secret(Algorithm::HS256, CANARY).expect("valid").with_kid(CANARY);
    write!(seen, "{keys:?} {key:?} {:?}", KeyLookup::ready(&keys)).expect("a string");
    let too_short = Key::secret(Algorithm::HS512, CANARY).expect_err("short");
    let not_a_pem = KeySet::pem(Algorithm::RS256, CANARY).expect_err("no PEM");
    let not_a_jwk =
        KeySet::jwk_set(format!(r#"{{"keys":[{{"kty":"oct","alg":"HS512","k":"{CANARY}"}}]}}"#)).expect_err("short");
    let not_json = KeySet::jwk_set(format!("{{{CANARY}")).expect_err("no JSON");
    for error in [too_short, not_a_pem, not_a_jwk, not_json] {
        write!(seen, "{error} {error:?}").expect("a string");
    }

    // The canary stands in the header, in the payload, in claims of every kind, and as the token itself.
    let authority = Authority::new(Algorithm::ES256);
    let issuer = || Issuer::new("https://issuer.test", authority.key_set()).audience("test-audience");
    let good = authority.token().claim("jti", CANARY).claim("scope", CANARY).claim("email", CANARY);
    let tokens = [
        good.sign(),
        authority.token().header("kid", CANARY).sign(),
        authority.token().header("alg", CANARY).sign(),
        authority.token().header("typ", CANARY).sign(),
        authority.token().header(CANARY, 1).header("crit", [CANARY]).sign(),
        authority.token().claim("iss", CANARY).sign(),
        authority.token().claim("aud", CANARY).sign(),
        authority.token().claim("exp", CANARY).sign(),
        authority.token().claim("events", CANARY).sign(),
        authority.token().claim("cnf", CANARY).sign(),
        authority.token().claim("number", CANARY).sign(),
        authority.token().claim("number", format!(", expected {CANARY}")).sign(),
        authority.token().raw_payload(CANARY).sign(),
        authority.token().raw_header(CANARY).sign(),
        format!("{CANARY}.{CANARY}.{CANARY}"),
        CANARY.to_owned(),
        format!("{CANARY} {CANARY}"),
    ];
    let verifier = Verifier::<Claims>::new(issuer()).expect("valid");
    let auth = JwtAuth::with(verifier.clone()).on_reject(ProblemJson);
    write!(seen, "{verifier:?} {auth:?} {authority:?} {:?}", issuer()).expect("a string");
    let service =
        auth.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))));
    write!(seen, "{:?}", authority.token().claim("x", CANARY)).expect("a string");
    let mut raw_tokens = Vec::new();
    for token in &tokens {
        raw_tokens.extend(token.split('.').filter(|segment| segment.len() > 16).map(str::to_owned));
        match verifier.verify(token).await {
            Ok(jwt) => write!(seen, "{jwt:?} {:?}", jwt.erase()).expect("a string"),
            Err(error) => write!(seen, "{error} {error:?} {:?}", error.detail()).expect("a string"),
        }
        write!(seen, "{:?}", verifier.explain(token).await).expect("a string");
        for content_type in ["text/plain", "application/grpc"] {
            let request = Request::builder()
                .method("POST")
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", content_type)
                .body(())
                .expect("a request");
            let (head, ()) = request.into_parts();
            let bearer = BearerHeader::new();
            write!(seen, "{:?}", bearer.extract(&head)).expect("a string");
            let response = service.clone().oneshot(Request::from_parts(head, ())).await.expect("infallible");
            if response.status().is_success() && content_type == "text/plain" {
                continue;
            }
            write!(seen, "{:?} {:?}", response.headers(), response.extensions().get::<AuthError>()).expect("a string");
            let body = response.into_body().collect().await.expect("infallible").to_bytes();
            seen.push_str(std::str::from_utf8(&body).expect("UTF-8"));
        }
    }
    write!(seen, "{:?}", Credential::bearer(CANARY)).expect("a string");
    let events = log.text();
    assert!(events.contains("request refused") && events.contains("invalid_audience"), "events were collected");
    for text in [&seen, &events] {
        let at = text.find(CANARY);
        assert_eq!(at.map(|at| &text[at.saturating_sub(200)..at + CANARY.len()]), None);
        for segment in &raw_tokens {
            assert!(!text.contains(segment.as_str()), "a segment of a token");
        }
    }
}

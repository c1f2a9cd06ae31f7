//! Requests, and the exact answers to them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::{AuthError, AuthErrorKind, JwtAuth};

use crate::policy::Policy;
use crate::token::Token;

/// A request to a service with these settings.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Request {
    policy: Policy,
    token: Token,
    /// GET unless it says otherwise.
    method: Option<String>,
    uri: Option<String>,
    /// `Authorization: Bearer {token}` unless it says otherwise.
    headers: Option<Vec<(String, String)>>,
    /// `accepted`, or the label of a kind of refusal.
    pub(crate) answer: String,
    /// The challenge, where it is not that of `answers.json`.
    challenge: Option<String>,
}

/// What a kind of refusal is answered.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) challenge: Option<String>,
    pub(crate) grpc: u8,
}

/// By the label of the kind.
pub(crate) fn answers() -> BTreeMap<String, Answer> {
    serde_json::from_str(include_str!("answers.json")).unwrap_or_else(|error| panic!("answers.json: {error}"))
}

impl Request {
    pub(crate) async fn check(&self) -> Result<(), String> {
        let (authority, other) = (self.policy.authority(), Policy::other());
        let token = self.token.text(&authority, &other, &self.policy.stranger());
        let verifier = self.policy.verifier_for(&authority, &other).map_err(|error| error.to_string())?;
        let alone = verifier.verify(&token).await.map(drop).map_err(|error| error.kind());
        let auth = self.policy.layer(verifier);

        let over_http = ask(&auth, self.http(&token)).await;
        let over_grpc = if self.policy.takes_cookies() { None } else { Some(ask(&auth, self.grpc(&token)).await) };
        if self.answer == "accepted" {
            for seen in [Some(&over_http), over_grpc.as_ref()].into_iter().flatten() {
                let was_called = seen.calls == 1 && seen.header("grpc-status").is_none();
                same("status", &seen.status, &StatusCode::OK)?;
                same("called", &was_called, &true)?;
            }
            return Ok(());
        }
        let expected = answers().remove(&self.answer).ok_or_else(|| format!("no kind {:?}", self.answer))?;
        let challenge = self.challenge.as_ref().or(expected.challenge.as_ref());
        let cache = matches!(expected.status, 401 | 403).then(|| "no-store".to_owned());
        same("kind", &over_http.kind, &Some(self.answer.clone()))?;
        same("status", &over_http.status.as_u16(), &expected.status)?;
        same("challenge", &over_http.header("www-authenticate").as_ref(), &challenge)?;
        same("cache-control", &over_http.header("cache-control"), &cache)?;
        same("calls of the service", &over_http.calls, &0)?;
        if let Some(over_grpc) = over_grpc {
            same("kind over gRPC", &over_grpc.kind, &Some(self.answer.clone()))?;
            same("status over gRPC", &over_grpc.status, &StatusCode::OK)?;
            same("grpc-status", &over_grpc.header("grpc-status"), &Some(expected.grpc.to_string()))?;
            same("challenge over gRPC", &over_grpc.header("www-authenticate").as_ref(), &challenge)?;
            same("calls of the service over gRPC", &over_grpc.calls, &0)?;
        }
        if self.headers.is_none() && self.policy.takes_the_bearer_header_alone() {
            // A token that cannot be sent as one is still no token.
            let by_itself = alone.err().map(AuthErrorKind::label);
            let is_unsendable = self.answer == "malformed_credential" && by_itself.is_some();
            if !is_unsendable {
                same("the verdict of the verifier alone", &by_itself, &Some(&*self.answer))?;
            }
        }
        Ok(())
    }

    fn grpc(&self, token: &str) -> http::Request<()> {
        as_grpc(self.http(token))
    }

    fn http(&self, token: &str) -> http::Request<()> {
        let method = self.method.as_deref().unwrap_or("GET");
        let uri = self.uri.as_deref().unwrap_or("https://api.test/orders").replace("{token}", token);
        let mut request = http::Request::builder().method(method).uri(uri).body(()).expect("a request");
        let bearer = [("authorization".to_owned(), "Bearer {token}".to_owned())];
        for (name, value) in self.headers.as_deref().unwrap_or(&bearer) {
            // Latin-1, so that data can have every byte.
            let value: Vec<u8> =
                value.replace("{token}", token).chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
            let name: http::HeaderName = name.parse().expect("a name");
            let value = http::HeaderValue::from_bytes(&value).expect("a value");
            request.headers_mut().append(name, value);
        }
        request
    }
}

fn as_grpc(mut request: http::Request<()>) -> http::Request<()> {
    *request.method_mut() = http::Method::POST;
    request.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    request
}

/// What came back.
#[derive(Debug)]
struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    kind: Option<String>,
    /// How often the service behind the layer was called.
    calls: usize,
}

impl Seen {
    /// All values of a header.
    fn header(&self, name: &str) -> Option<String> {
        let values = self.headers.get_all(name).iter().map(|value| value.to_str().expect("ASCII"));
        let values: Vec<_> = values.collect();
        (!values.is_empty()).then(|| values.join(" | "))
    }
}

async fn ask(auth: &JwtAuth<serde_json::Value>, request: http::Request<()>) -> Seen {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let service = auth.layer(service_fn(move |_: http::Request<()>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(Response::new(())) }
    }));
    let response = service.oneshot(request).await.expect("infallible");
    let kind = response.extensions().get::<AuthError>().map(|error| error.kind().label().to_owned());
    Seen { status: response.status(), kind, calls: calls.load(Ordering::Relaxed), headers: response.headers().clone() }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, not {expected:?}")) }
}

/// Every kind has a row, every row is a kind, and the layer answers as the row says.
pub(crate) fn check_all() -> Result<(), String> {
    let answers = answers();
    let labels: Vec<_> = AuthErrorKind::ALL.iter().map(|kind| kind.label()).collect();
    if let Some(stray) = answers.keys().find(|label| !labels.contains(&label.as_str())) {
        return Err(format!("{stray} is no kind"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    for &kind in AuthErrorKind::ALL {
        let expected = answers.get(kind.label()).ok_or_else(|| format!("{kind} has no answer"))?;
        let policy = Policy::default();
        let extractor = tower_jwt_auth::extract::from_fn(move |_| Err(AuthError::new(kind)));
        let auth = policy.layer(policy.verifier().map_err(|error| error.to_string())?).extractor(extractor);
        let over_http = runtime.block_on(ask(&auth, http::Request::new(())));
        let over_grpc = runtime.block_on(ask(&auth, as_grpc(http::Request::new(()))));
        same(kind.label(), &over_http.status.as_u16(), &expected.status)?;
        same(kind.label(), &over_http.header(WWW_AUTHENTICATE.as_str()), &expected.challenge)?;
        same(kind.label(), &over_http.header(CACHE_CONTROL.as_str()).is_some(), &matches!(expected.status, 401 | 403))?;
        same(kind.label(), &over_grpc.header("grpc-status"), &Some(expected.grpc.to_string()))?;
    }
    Ok(())
}

//! An identity provider without a network.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::authority::{Ring, lock};
use crate::keys::{BoxError, ResponseBody, Transport};

/// The provider of an [`Authority`](super::Authority) as a [`Transport`]: for tests of the settings of one's
/// [`RemoteJwks`](crate::keys::RemoteJwks). Clones are the same provider.
///
/// It publishes what the authority does: metadata under `/.well-known/`, and the keys under every other path. What takes
/// time does so on tokio's clock, so in a paused runtime hours pass at once.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::keys::RemoteJwks;
/// use tower_jwt_auth::testing::Authority;
/// use tower_jwt_auth::{Algorithm, Verifier};
///
/// # async fn run() {
/// let authority = Authority::new(Algorithm::ES256);
/// let provider = authority.provider();
/// let keys = RemoteJwks::discover(authority.name()).client(provider.clone()).build().unwrap();
/// let verifier = Verifier::<serde_json::Value>::new(authority.trusted_with(keys.clone())).unwrap();
/// let passes = async || verifier.verify(&authority.token().sign()).await.is_ok();
///
/// assert!(passes().await);
/// // The first token of a rotation makes the source look again.
/// authority.rotate();
/// assert!(passes().await);
/// assert_eq!((provider.fetches(), provider.forced().len()), (2, 1));
/// // An outage goes unnoticed for an hour.
/// provider.refuse();
/// tokio::time::sleep(Duration::from_secs(3600)).await;
/// assert!(passes().await);
/// tokio::time::sleep(Duration::from_secs(3600)).await;
/// assert!(!passes().await);
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(run());
/// ```
#[derive(Clone)]
pub struct TestProvider {
    name: Arc<str>,
    ring: Arc<Mutex<Ring>>,
    script: Arc<Mutex<Script>>,
}

struct Script {
    mode: Mode,
    delay: Duration,
    since: Instant,
    /// When keys were asked for, and whether past caches.
    fetches: Vec<(Duration, bool)>,
}

#[derive(Clone)]
enum Mode {
    Publish,
    Answer(Response<String>),
    Hang,
    Refuse,
}

impl TestProvider {
    pub(super) fn new(name: &str, ring: Arc<Mutex<Ring>>) -> Self {
        let script = Script { mode: Mode::Publish, delay: Duration::ZERO, since: Instant::now(), fetches: Vec::new() };
        Self { name: name.into(), ring, script: Arc::new(Mutex::new(script)) }
    }

    /// Answers every request with this, until it [heals](Self::heal): a status, headers, and keys or something else.
    pub fn answer(&self, response: Response<String>) {
        self.script().mode = Mode::Answer(response);
    }

    /// Answers every request with this text, as keys: what an authority would not publish.
    pub fn publish(&self, jwks: impl Into<String>) {
        self.answer(Response::new(jwks.into()));
    }

    /// Answers every request with 500.
    pub fn fail(&self) {
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        self.answer(response);
    }

    /// Refuses every connection.
    pub fn refuse(&self) {
        self.script().mode = Mode::Refuse;
    }

    /// Answers no request. Those that have come stay without an answer, and run into the time limit of who asked.
    pub fn hang(&self) {
        self.script().mode = Mode::Hang;
    }

    /// Answers again with what the authority publishes.
    pub fn heal(&self) {
        self.script().mode = Mode::Publish;
    }

    /// How long each answer takes from now on: no time unless set.
    pub fn delay(&self, time: Duration) {
        self.script().delay = time;
    }

    /// How often keys were asked for, in vain too. Requests for metadata are not counted.
    pub fn fetches(&self) -> usize {
        self.script().fetches.len()
    }

    /// When keys were asked for past all caches, as an unknown `kid` makes a source do: counted from when this provider
    /// was made, on tokio's clock.
    pub fn forced(&self) -> Vec<Duration> {
        self.script().fetches.iter().filter(|(_, is_forced)| *is_forced).map(|(at, _)| *at).collect()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self, is_metadata: bool) -> Response<String> {
        if !is_metadata {
            return Response::new(lock(&self.ring).jwks());
        }
        let jwks_uri = format!("{}/jwks", self.name.trim_end_matches('/'));
        Response::new(json!({ "issuer": &*self.name, "jwks_uri": jwks_uri }).to_string())
    }
}

impl Transport for TestProvider {
    fn send(
        &self,
        request: Request<()>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, BoxError>> + Send>> {
        let is_metadata = request.uri().path().contains("/.well-known/");
        let (mode, delay) = {
            let mut script = self.script();
            if !is_metadata {
                let at = script.since.elapsed();
                script.fetches.push((at, request.headers().contains_key(http::header::CACHE_CONTROL)));
            }
            (script.mode.clone(), script.delay)
        };
        let answer = match mode {
            Mode::Publish => Some(Ok(self.published(is_metadata))),
            Mode::Answer(response) => Some(Ok(response)),
            Mode::Refuse => Some(Err("connection refused".into())),
            Mode::Hang => None,
        };
        Box::pin(async move {
            sleep(delay).await;
            match answer {
                Some(answer) => {
                    answer.map(|response| response.map(|body| Box::pin(Once(Some(body.into()))) as ResponseBody))
                }
                None => std::future::pending().await,
            }
        })
    }
}

impl fmt::Debug for TestProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestProvider")
            .field("name", &self.name)
            .field("fetches", &self.fetches())
            .finish_non_exhaustive()
    }
}

/// A body of one piece.
struct Once(Option<Bytes>);

impl http_body::Body for Once {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

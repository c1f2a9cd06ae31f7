//! What stands around the crate and does not behave: who listens to events and metrics, and what lies where a file should.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::{Value, json};
use tower_jwt_auth::config::Settings;
use tower_jwt_auth::keys::{BoxError, KeyFile, RemoteJwks, ResponseBody, Transport};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Issuer, KeySet, Verifier};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::support::verdict;

/// Answers with keys, or not at all.
struct Provider(Option<String>);

impl Transport for Provider {
    fn send(&self, _: Request<()>) -> Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, BoxError>> + Send>> {
        let body = self.0.clone().map(|keys| Full::new(Bytes::from(keys)).map_err(BoxError::from));
        Box::pin(async { Ok(Response::new(Box::pin(body.ok_or("no route")?) as ResponseBody)) })
    }
}

fn source(keys: Option<String>) -> RemoteJwks {
    RemoteJwks::from_url("https://login.test/jwks").client(Provider(keys)).build().expect("valid")
}

/// Runs this on a thread and a runtime of its own; `None` where it stands still.
fn within_ten_seconds<T: Send + 'static>(run: impl AsyncFnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, outcome) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _ = done.send(runtime.block_on(run()));
    });
    outcome.recv_timeout(Duration::from_secs(10)).ok()
}

/// Wants to know, with each event of the crate, whether there are keys.
struct Curious {
    keys: RemoteJwks,
    answers: mpsc::Sender<(bool, usize)>,
}

impl<S: tracing::Subscriber> Layer<S> for Curious {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().name().starts_with("keys_") {
            let _ = self.answers.send((self.keys.is_ready(), self.keys.status().keys));
        }
    }
}

#[test]
fn who_hears_of_a_fetch_may_ask_for_the_state() {
    let authority = Authority::new(Algorithm::ES256);
    for (keys, expected) in [(Some(authority.jwks()), (true, 1)), (None, (false, 0))] {
        let seen = within_ten_seconds(async move || {
            let (answers, seen) = mpsc::channel();
            let keys = source(keys);
            let curious = Curious { keys: keys.clone(), answers };
            let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(curious));
            let _ = keys.refresh().await;
            seen.try_iter().last()
        });
        assert_eq!(seen, Some(Some(expected)), "it stands still, or does not know of the keys");
    }
}

/// Does something of its own with the name of each gauge.
struct OnGauge<F>(F);

impl<F: Fn(&str)> Recorder for OnGauge<F> {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.0(key.name());
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_recorder_that_panics_costs_no_keys() {
    let verdict = within_ten_seconds(async || {
        let broken = OnGauge(|name: &str| assert_ne!(name, "jwt_auth_keys", "the recorder's own fault"));
        let _guard = metrics::set_default_local_recorder(&broken);
        let authority = Authority::new(Algorithm::ES256);
        let issuer = Issuer::new(authority.name(), source(Some(authority.jwks()))).audience(authority.audience());
        let verifier = Verifier::<Value>::new(issuer).expect("valid");
        verdict(&verifier, &authority.token().sign()).await
    });
    assert_eq!(verdict, Some(Ok(())));
}

/// It costs the request in which it panics, and nothing else: no panic while one is dropped, which ends the process.
#[test]
fn a_recorder_that_panics_over_those_who_wait_costs_one_request() {
    let is_broken = Cell::new(true);
    let broken =
        OnGauge(|name: &str| assert!(!(is_broken.get() && name.ends_with("waiting_requests")), "its own fault"));
    let _guard = metrics::set_default_local_recorder(&broken);
    let authority = Authority::new(Algorithm::ES256);
    let keys = source(Some(authority.jwks()));
    let verifier = Verifier::<Value>::new(authority.trusted_with(keys.clone())).expect("valid");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let judge = || runtime.block_on(verdict(&verifier, &authority.token().sign()));
    assert!(std::panic::catch_unwind(AssertUnwindSafe(judge)).is_err(), "it panics in the request");
    is_broken.set(false);
    assert_eq!(judge(), Ok(()));
    assert_eq!(keys.status().waiting, 0);
}

#[test]
fn a_recorder_may_ask_for_the_state() {
    let told = within_ten_seconds(async || {
        let authority = Authority::new(Algorithm::ES256);
        let keys = source(Some(authority.jwks()));
        let told = RefCell::new(Vec::new());
        let curious = OnGauge(|name: &str| told.borrow_mut().push((name.to_owned(), keys.status().waiting)));
        let _guard = metrics::set_default_local_recorder(&curious);
        let issuer = Issuer::new(authority.name(), keys.clone()).audience(authority.audience());
        let verifier = Verifier::<Value>::new(issuer).expect("valid");
        let verdict = verdict(&verifier, &authority.token().sign()).await;
        let told = told.take().into_iter().filter(|(name, _)| name.ends_with("waiting_requests"));
        (verdict, told.map(|(_, waiting)| waiting).collect::<Vec<_>>())
    });
    assert_eq!(told, Some((Ok(()), vec![1, 0])), "it stands still, or is not told");
}

fn pipe(path: &std::path::Path) {
    let _ = std::fs::remove_file(path);
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("there is a `mkfifo`");
    assert!(made.success());
}

/// Nobody writes into it: who reads it waits for good.
#[test]
fn a_pipe_in_the_place_of_a_key_file_holds_nothing_up() {
    let path = std::env::temp_dir().join(format!("tower-jwt-auth-pipe-{}", std::process::id()));
    pipe(&path);
    let settings = json!({"issuer": "i", "audiences": ["a"], "algorithm": "HS256", "secret_file": path});
    let refused = within_ten_seconds(async || {
        let settings: Settings = serde_json::from_value(settings).expect("a table");
        settings.build().map(drop).map_err(|errors| errors.to_string())
    });
    let expected = "secret_file: the file cannot be read (not a regular file): name one; a relative path starts at the working directory";
    assert_eq!(refused, Some(Err(expected.to_owned())));

    let secret = |letter: u8| [letter; 40];
    std::fs::remove_file(&path).and_then(|()| std::fs::write(&path, secret(b'a'))).expect("writable");
    let every = Duration::from_millis(10);
    let keys = KeyFile::with(&path, every, |content| KeySet::secret(Algorithm::HS256, content)).expect("a secret");
    let until = |what: &str, is_so: fn(Option<&str>) -> bool| {
        let start = Instant::now();
        while !is_so(keys.last_error().as_deref()) {
            assert!(start.elapsed() < Duration::from_secs(10), "{what}: {:?}", keys.last_error());
            std::thread::yield_now();
        }
    };
    pipe(&path);
    until("a pipe", |error| error == Some("not a regular file"));
    std::fs::remove_file(&path).and_then(|()| std::fs::write(&path, secret(b'b'))).expect("writable");
    until("another secret", |error| error.is_none());
    std::fs::remove_file(&path).expect("there");
}

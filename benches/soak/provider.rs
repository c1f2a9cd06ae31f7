//! The provider's process, and the keys that it has had.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub(crate) struct Provider {
    child: Child,
    pub(crate) issuer: String,
}

impl Provider {
    pub(crate) fn start(port: u16) -> Self {
        let mut child = Command::new("node")
            .args(["provider.mjs", "--watch-stdin", "--port", &port.to_string()])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node is there");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("text");
        let issuer = line.trim().strip_prefix("READY ").expect("the provider starts").to_owned();
        Self { child, issuer }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was killed");
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.issuer.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("a loopback address")
    }

    async fn send(&self, request: http::request::Builder, body: String) -> Value {
        let stream = TcpStream::connect(self.address()).await.expect("the provider listens");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("no bytes are exchanged yet");
        tokio::spawn(connection);
        let request = request.header("host", self.address().to_string());
        let answer = sender.send_request(request.body(body).expect("a request")).await.expect("an answer");
        let body = answer.into_body().collect().await.expect("the whole body").to_bytes();
        serde_json::from_slice(&body).expect("JSON")
    }

    async fn token(&self, alg: &str, ttl: u32) -> String {
        let resource = format!("https%3A%2F%2Fapi.example.com%2Forders%3Falg%3D{alg}%26ttl%3D{ttl}");
        let form = format!("grant_type=client_credentials&resource={resource}&scope=orders%3Aread");
        let request = Request::post("/token")
            .header("authorization", "Basic c2VydmljZTppbnRlZ3JhdGlvbi10ZXN0LXNlY3JldC0wMTIzNDU2Nzg5YWJjZGVm")
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request, form).await["access_token"].as_str().expect("a token").to_owned()
    }

    /// The tokens of this moment's keys, which have been published since then.
    pub(crate) async fn keys(&self, published: Instant) -> Keys {
        let expired = self.token("RS256", 1).await;
        let valid = [self.token("RS256", 3600).await, self.token("ES256", 3600).await];
        let (passed, withdrawn, gone) = Default::default();
        Keys { valid, expired, published, passed, leaves: AtomicBool::new(false), withdrawn, gone }
    }

    /// New keys, which leave the old ones in the set or not: since when.
    pub(crate) async fn rotate(&self, keeps_old: bool) -> Instant {
        let uri = format!("/control/rotate?overlap={}", u8::from(keeps_old));
        self.send(Request::post(uri), String::new()).await;
        Instant::now()
    }

    /// How often it was asked for its keys.
    pub(crate) async fn fetches(&self) -> u64 {
        self.send(Request::get("/control/counts"), String::new()).await["jwks"].as_u64().expect("a number")
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the provider publishes at once: an RSA key and one on a curve, and tokens of both.
pub(crate) struct Keys {
    pub(crate) valid: [String; 2],
    expired: String,
    pub(crate) published: Instant,
    /// When a token passed for the first time.
    pub(crate) passed: OnceLock<Instant>,
    /// The provider is about to take them away.
    leaves: AtomicBool,
    /// When it has.
    pub(crate) withdrawn: OnceLock<Instant>,
    /// When a token was refused for the first time after that.
    pub(crate) gone: OnceLock<Instant>,
}

impl Keys {
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaves.load(Ordering::SeqCst)
    }

    pub(crate) fn leave(&self) {
        self.leaves.store(true, Ordering::SeqCst);
    }

    /// A token that has expired, once there is one.
    pub(crate) fn expired(&self) -> Option<&str> {
        (self.published.elapsed() > Duration::from_secs(3)).then_some(&*self.expired)
    }
}

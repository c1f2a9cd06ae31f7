//! Any answers of a provider: metadata and keys, as blocks of text with `---` between them. A block has a status on its
//! first line, headers on the next ones, and after an empty line the body; the last one is repeated for ever. The byte
//! 1 stands for good metadata, 2 for the keys, 3 for those of somebody else.
//!
//! - What is asked is https, never this machine, and either a well-known URL of the issuer or what metadata of this
//!   very issuer named.
//! - No token passes but the issuer's, and that only once its keys have been served, with status 200.
//! - Bodies are read no further than the bound, and the provider is asked seldom, whatever it answers.

#![no_main]

use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Value, json};
use tower_jwt_auth::keys::{RemoteJwks, ResponseBody, Transport};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Issuer, Verifier};
use tower_jwt_auth_fuzz::parts::fill;
use tower_jwt_auth_fuzz::{authority, clock};
use url::{Host, Url};

/// The longest body that is read, and the parts in which one comes.
const LONGEST: usize = 4096;
const PART: usize = 512;
/// For how long a provider is watched.
const WATCHED: Duration = Duration::from_secs(300);
/// More than the schedule allows in that time: one a second would be 300, and three times that with discovery.
const MOST_REQUESTS: usize = 300;

const KEYS: &str = "https://keys.issuer.test/jwks";
const WELL_KNOWN: [&str; 2] = [
    "https://issuer.test/.well-known/openid-configuration",
    "https://issuer.test/.well-known/oauth-authorization-server",
];

struct World {
    parts: [String; 3],
    good: String,
    forged: String,
    issuer: Authority,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let [issuer, other] = [(); 2].map(|()| authority(Algorithm::ES256));
    let metadata = json!({"issuer": issuer.name(), "jwks_uri": KEYS}).to_string();
    World {
        parts: [metadata, issuer.jwks(), other.jwks()],
        good: issuer.token().sign(),
        forged: other.token().sign(),
        issuer,
    }
});

/// One answer of the provider.
struct Block {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Block {
    fn read(block: &[u8]) -> Option<Self> {
        let (head, body) = match block.windows(2).position(|pair| pair == b"\n\n") {
            Some(at) => (&block[..at], &block[at + 2..]),
            None => (block, &b""[..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let status = StatusCode::from_bytes(lines.next()?).ok()?;
        let header = |line: &[u8]| {
            let at = line.iter().position(|byte| *byte == b':')?;
            let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii()).ok()?;
            Some((HeaderName::from_bytes(&line[..at]).ok()?, value))
        };
        Some(Self { status, headers: lines.filter_map(header).collect(), body: Bytes::copy_from_slice(body) })
    }
}

fn read(input: &[u8]) -> Option<Vec<Block>> {
    const BETWEEN: &[u8] = b"\n---\n";
    let (mut blocks, mut rest) = (Vec::new(), input);
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        blocks.push(Block::read(&fill(&rest[..at], &WORLD.parts))?);
        rest = &rest[at + BETWEEN.len()..];
    }
    blocks.push(Block::read(&fill(rest, &WORLD.parts))?);
    Some(blocks)
}

/// A provider that says what the input says.
#[derive(Clone)]
struct Provider(Arc<Script>);

struct Script {
    blocks: Arc<[Block]>,
    /// Without it, the keys are asked for straight away.
    has_metadata: bool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: usize,
    /// Where metadata of the issuer has said the keys to be.
    named: Vec<Url>,
    /// The keys of the issuer have been served.
    is_known: bool,
}

impl Transport for Provider {
    fn send(&self, request: Request<()>) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
        let script = &*self.0;
        let mut seen = script.seen.lock().expect("nothing has panicked");
        let url = Url::parse(&request.uri().to_string()).expect("a URL");
        assert!(url.scheme() == "https" && !is_this_machine(&url), "{url} was asked");
        let is_metadata = script.has_metadata && WELL_KNOWN.contains(&url.as_str());
        let is_named = seen.named.contains(&url) || (!script.has_metadata && url.as_str() == KEYS);
        assert!(is_metadata || is_named, "{url} was asked, and nobody has named it");

        let block = &script.blocks[seen.requests.min(script.blocks.len() - 1)];
        seen.requests += 1;
        assert!(seen.requests <= MOST_REQUESTS, "asked too often");
        if block.status == StatusCode::OK && block.body.len() <= LONGEST {
            let document = serde_json::from_slice::<Value>(&block.body).unwrap_or_default();
            if is_metadata && document["issuer"] == WORLD.issuer.name() {
                seen.named.extend(document["jwks_uri"].as_str().and_then(asked_for));
            }
            let served = document["keys"].as_array().into_iter().flatten();
            let own: Value = serde_json::from_str(&WORLD.parts[1]).expect("a set");
            let material = |key: &Value| [key["x"].clone(), key["y"].clone()];
            seen.is_known |= is_named && served.into_iter().any(|key| material(key) == material(&own["keys"][0]));
        }
        let mut response = Response::new(Box::pin(Parts { rest: block.body.clone(), read: 0 }) as ResponseBody);
        *response.status_mut() = block.status;
        response.headers_mut().extend(block.headers.iter().cloned());
        Box::pin(async { Ok(response) })
    }
}

type Answered = Result<Response<ResponseBody>, Box<dyn std::error::Error + Send + Sync>>;

/// What is asked for where this URL is named: a fragment is never sent (RFC 9110 §4.2.5).
fn asked_for(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    url.set_fragment(None);
    Some(url)
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.').rsplit('.').next() == Some("localhost"),
        Some(Host::Ipv4(ip)) => ip.octets()[0] == 127 || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => {
            let mapped = ip.to_ipv4_mapped().is_some_and(|ip| ip.octets()[0] == 127 || ip.is_unspecified());
            ip.is_loopback() || ip.is_unspecified() || mapped
        }
        None => true,
    }
}

/// A body in parts; a long one has no end.
struct Parts {
    rest: Bytes,
    read: usize,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        assert!(self.read <= LONGEST + PART, "{} bytes were read", self.read);
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.rest.len().min(PART);
        self.read += size;
        let part = if self.rest.len() > LONGEST { self.rest.slice(..size) } else { self.rest.split_to(size) };
        Poll::Ready(Some(Ok(Frame::data(part))))
    }
}

/// Whether the good token has passed.
async fn watch(provider: Provider) -> bool {
    let builder =
        if provider.0.has_metadata { RemoteJwks::discover(WORLD.issuer.name()) } else { RemoteJwks::from_url(KEYS) };
    let keys = builder.client(provider.clone()).longest_answer(LONGEST).clock(clock()).build().expect("a source");
    let issuer = Issuer::new(WORLD.issuer.name(), keys.clone()).audience(WORLD.issuer.audience());
    let verifier = Verifier::<Value>::builder().trust(issuer).clock(clock()).build().expect("a verifier");
    let start = tokio::time::Instant::now();
    let mut has_passed = false;
    loop {
        for (token, is_good) in [(&WORLD.good, true), (&WORLD.forged, false)] {
            let asked = tokio::time::Instant::now();
            let verdict = verifier.verify(token).await;
            assert!(asked.elapsed() <= Duration::from_secs(6), "a caller waited for {:?}", asked.elapsed());
            has_passed |= is_good && verdict.is_ok();
            let is_known = provider.0.seen.lock().expect("nothing has panicked").is_known;
            assert!(verdict.is_err() || is_good && is_known || !is_good && serves_others(&provider), "{is_good}");
        }
        let status = keys.status();
        assert_eq!(status.is_ready, status.keys > 0 && keys.is_ready());
        if start.elapsed() >= WATCHED {
            return has_passed;
        }
        tokio::time::sleep(Duration::from_secs(50)).await;
    }
}

/// Somebody else's keys pass where the provider itself serves them: it is the provider.
fn serves_others(provider: &Provider) -> bool {
    let other: Value = serde_json::from_str(&WORLD.parts[2]).expect("a set");
    let x = other["keys"][0]["x"].as_str().expect("a coordinate");
    provider
        .0
        .blocks
        .iter()
        .any(|block| block.status == StatusCode::OK && block.body.windows(x.len()).any(|window| window == x.as_bytes()))
}

fn run(blocks: &Arc<[Block]>, has_metadata: bool) -> bool {
    let provider = Provider(Arc::new(Script { blocks: Arc::clone(blocks), has_metadata, seen: Mutex::default() }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(watch(provider))
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(blocks) = read(input).filter(|blocks| blocks.len() <= 16) else { return Corpus::Reject };
    let blocks = blocks.into();
    let [discovered, straight] = [true, false].map(|has_metadata| run(&blocks, has_metadata));
    // What is refused must not be refused for another reason than thought.
    assert!(discovered || input != b"200\n\n\x01\n---\n200\n\n\x02");
    assert!(straight || input != b"200\n\n\x02");
    Corpus::Keep
});

//! Remote keys over real sockets: what is asked of a provider, and what may come back. The rules over time are in
//! `remote`.

mod discovery;
mod server;
mod shapes;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tower_jwt_auth::keys::{KeyStatus, RemoteJwks, RemoteJwksBuilder};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, Verifier};

use self::server::{Body, Reply, Server, certificate};
use crate::support::verdict;

const KIB: usize = 1024;
/// The default bound on an answer.
const LONGEST_ANSWER: usize = 512 * KIB;
/// What a server can write to a client that does not read: it stays in the buffers of both sockets.
const UNREAD: usize = 384 * KIB;

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// An authority, its provider, and a verifier that fetches.
struct World {
    authority: Authority,
    server: Server,
    keys: RemoteJwks,
    verifier: Verifier<Value>,
}

impl World {
    /// With keys at a fixed URL, published from the start.
    fn new(options: impl FnOnce(RemoteJwksBuilder) -> RemoteJwksBuilder) -> Self {
        let server = Server::start();
        let authority = Authority::new(Algorithm::ES256);
        server.publish("/jwks", Reply::ok(authority.jwks()));
        let builder = RemoteJwks::from_url(server.url("/jwks"));
        Self::with(authority, server, options(builder))
    }

    /// With metadata for an issuer on this server, whose name ends in `path`.
    fn discovered(path: &str, options: impl FnOnce(RemoteJwksBuilder) -> RemoteJwksBuilder) -> Self {
        let server = Server::start();
        let issuer = server.url(path);
        let authority = Authority::new(Algorithm::ES256).named(&issuer);
        server.publish("/jwks", Reply::ok(authority.jwks()));
        let builder = options(RemoteJwks::discover(issuer));
        Self::with(authority, server, builder)
    }

    fn with(authority: Authority, server: Server, builder: RemoteJwksBuilder) -> Self {
        let keys = builder.build().expect("valid");
        let issuer = Issuer::new(authority.name(), keys.clone()).audience(authority.audience());
        let verifier = Verifier::new(issuer).expect("valid");
        Self { authority, server, keys, verifier }
    }

    async fn verdict(&self, token: &str) -> Result<(), Kind> {
        verdict(&self.verifier, token).await
    }

    async fn ready(&self) {
        let ready = tokio::time::timeout(Duration::from_secs(10), self.keys.ready()).await;
        assert!(matches!(ready, Ok(Ok(()))), "{:?}", self.keys.status());
    }

    /// A refresh that must fail for this reason, and change nothing else.
    async fn fails(&self, name: &str, reason: &str) {
        let before = self.keys.status();
        let error = self.keys.refresh().await.expect_err(name).to_string();
        let after = self.keys.status();
        assert!(error.contains(reason), "{name}: {error}");
        assert_eq!(after.last_error.as_deref(), Some(&*error), "{name}");
        assert_eq!((after.keys, after.is_ready), (before.keys, before.is_ready), "{name}");
        assert_eq!(after.skipped, before.skipped, "{name}");
        assert_eq!(self.verdict(&self.authority.token().sign()).await, Ok(()), "{name}");
    }

    async fn heals(&self, name: &str) {
        self.keys.refresh().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(self.keys.status().last_error, None, "{name}");
        assert_eq!(self.verdict(&self.authority.token().sign()).await, Ok(()), "{name}");
    }
}

fn plain(builder: RemoteJwksBuilder) -> RemoteJwksBuilder {
    builder
}

/// Waits for what happens in the background.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn key(jwks: &str, index: usize) -> Value {
    let mut set: Value = serde_json::from_str(jwks).expect("JSON");
    set["keys"][index].take()
}

fn set(keys: impl IntoIterator<Item = Value>) -> String {
    json!({ "keys": Vec::from_iter(keys) }).to_string()
}

/// The JWK with other members; `null` takes one out.
fn with(mut jwk: Value, members: Value) -> Value {
    let (Value::Object(object), Value::Object(members)) = (&mut jwk, members) else { panic!("two objects") };
    object.extend(members);
    object.retain(|_, value| !value.is_null());
    jwk
}

fn reasons(status: &KeyStatus) -> Vec<(usize, &str)> {
    status.skipped.iter().map(|skipped| (skipped.index(), skipped.reason())).collect()
}

// ---- what may come back

#[tokio::test]
async fn a_bad_answer_changes_nothing_and_says_why_and_the_next_good_one_heals() {
    let page = "<!doctype html><title>Down for maintenance</title>";
    let forged = Authority::new(Algorithm::ES256).jwks();
    let keys_with = |status| Reply::new(status, Body::Whole(forged.clone().into()));
    let no_key = r#"{"keys":[{"kty":"RSA","use":"enc"},{"kty":"LATTICE"},7]}"#;
    let cases = [
        ("an error page", Reply::ok(page).header("content-type", "text/html"), "not JSON"),
        ("nothing", Reply::ok(""), "not JSON"),
        ("a byte order mark", Reply::ok(format!("\u{feff}{forged}")), "not JSON"),
        ("bytes that are not UTF-8", Reply::ok(b"{\"keys\":[\"\xff\"]}"), "not JSON"),
        ("an abyss of arrays", Reply::ok("[".repeat(400 * KIB)), "not JSON"),
        ("an abyss in the keys", Reply::ok(format!("{{\"keys\":{}", "[".repeat(400 * KIB))), "not JSON"),
        ("two documents", Reply::ok(format!("{forged}{forged}")), "not JSON"),
        ("an array", Reply::ok("[]"), "object"),
        ("an object without keys", Reply::ok("{}"), "`keys`"),
        ("null for keys", Reply::ok(r#"{"keys":null}"#), "`keys`"),
        ("an empty set", Reply::ok(r#"{"keys":[]}"#), "no usable key"),
        ("a set without a usable key", Reply::ok(no_key), "`use` is not `sig`; its `kty` is unknown"),
        ("600 KiB", Reply::ok(format!("{forged}{}", " ".repeat(600 * KIB))), "longer than 524288 bytes"),
        ("a body without end", Reply::new(200, Body::Endless(vec![b' '; 16 * KIB])), "longer than 524288 bytes"),
        ("a body cut short", Reply::new(200, Body::Cut(forged.clone().into())), "body"),
        ("a connection reset", Reply::new(200, Body::Reset), "connection"),
        ("another protocol", Reply::new(200, Body::Raw("SSH-2.0-OpenSSH_9.9\r\n")), "invalid HTTP"),
        ("203", keys_with(203), "answered 203"),
        ("204", Reply::status(204), "answered 204"),
        ("206", keys_with(206), "answered 206"),
        ("304 to a request without a condition", Reply::status(304), "answered 304"),
        ("400", Reply::status(400), "answered 400"),
        ("401", keys_with(401), "answered 401"),
        ("404", keys_with(404), "answered 404"),
        ("500", keys_with(500), "answered 500"),
        ("503", Reply::status(503), "answered 503"),
    ];
    let world = World::new(plain);
    let good = world.authority.jwks();
    world.heals("the first fetch").await;
    for (name, reply, reason) in cases {
        world.server.publish("/jwks", reply);
        world.fails(name, reason).await;
        world.server.publish("/jwks", Reply::ok(&*good));
        world.heals(name).await;
    }
}

#[tokio::test]
async fn a_provider_that_hangs_or_drips_is_left_after_the_time_of_a_fetch() {
    for (name, body) in [("silence", Body::Silence), ("a slow drip", Body::Drip)] {
        let world = World::new(|builder| builder.fetch_timeout(Duration::from_millis(1500)));
        world.ready().await;
        world.server.publish("/jwks", Reply::new(200, body));
        let since = Instant::now();
        world.fails(name, "no answer within 1.5 s").await;
        assert!(since.elapsed() < Duration::from_secs(6), "{name}");
        world.server.publish("/jwks", Reply::ok(world.authority.jwks()));
        world.heals(name).await;
    }
}

#[tokio::test]
async fn no_answer_is_read_further_than_its_bound() {
    let filler = || Body::Endless(vec![b' '; 16 * KIB]);
    let gzip = || Reply::new(200, filler()).header("content-encoding", "gzip");
    let long = vec![b' '; 64 * 1024 * KIB];
    // The buffers of a client that reads fast grow meanwhile.
    let read = LONGEST_ANSWER + 2048 * KIB;
    let cases = [
        ("without end", Reply::new(200, filler()), read),
        ("64 MiB, as announced", Reply::ok(long), read),
        ("a gzip bomb", gzip(), UNREAD),
        ("an error without end", Reply::new(500, filler()), UNREAD),
        ("a redirect without end", Reply::new(302, filler()).header("location", "/elsewhere"), UNREAD),
        // The client's own bound on header fields.
        ("header fields without end", Reply::new(200, Body::EndlessHead), read),
    ];
    for (name, reply, most) in cases {
        for discovers in [false, true] {
            let world = World::discovered("", plain);
            let path = if discovers { OPENID } else { "/jwks" };
            world.server.publish_metadata(OPENID, world.authority.name(), &world.server.url("/jwks"));
            world.server.publish(path, reply.clone());
            world.keys.refresh().await.expect_err(name);
            let written = world.server.written();
            println!("{name}, {path}: the server could write {written} bytes");
            assert!(written <= most, "{name}, {path}: {written} bytes");
            assert!(!world.keys.is_ready(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_bound_of_ones_own_is_kept_to_the_byte() {
    let authority = Authority::new(Algorithm::ES256);
    let length = authority.jwks().len();
    for (most, passes) in [(length, true), (length - 1, false)] {
        let world = World::new(|builder| builder.longest_answer(most));
        world.server.publish("/jwks", Reply::ok(authority.jwks()));
        assert_eq!(world.keys.refresh().await.is_ok(), passes, "{most}");
    }
    let world = World::new(plain);
    let padded = |bytes: usize| format!("{}{}", authority.jwks(), " ".repeat(bytes - length));
    world.server.publish("/jwks", Reply::ok(padded(LONGEST_ANSWER)));
    world.keys.refresh().await.expect("just within the bound");
    world.server.publish("/jwks", Reply::ok(padded(LONGEST_ANSWER + 1)));
    world.keys.refresh().await.expect_err("just beyond the bound");
}

#[tokio::test]
async fn an_encoding_that_was_not_asked_for_is_not_read() {
    let world = World::new(plain);
    world.ready().await;
    for encoding in ["gzip", "br", "identity, gzip"] {
        let reply = Reply::ok(world.authority.jwks()).header("content-encoding", encoding);
        world.server.publish("/jwks", reply);
        world.fails(encoding, "encoding").await;
    }
    world.server.publish("/jwks", Reply::ok(world.authority.jwks()).header("content-encoding", "identity"));
    world.heals("identity").await;
}

#[tokio::test]
async fn the_first_hundred_keys_are_used_and_the_surplus_is_skipped_with_a_reason() {
    let world = World::new(plain);
    let jwk = key(&world.authority.jwks(), 0);
    let named = |n: usize| with(jwk.clone(), json!({ "kid": format!("kid-{n}") }));
    for (keys, used) in [(100, 100), (101, 100), (500, 100)] {
        world.server.publish("/jwks", Reply::ok(set((1..=keys).map(named))));
        world.keys.refresh().await.expect("keys");
        let status = world.keys.status();
        assert_eq!(status.keys, used, "{keys}");
        let surplus: Vec<_> = reasons(&status);
        assert_eq!(surplus.first().map(|(index, _)| *index), (keys > used).then_some(used), "{keys}");
        assert!(surplus.iter().all(|(_, reason)| reason.contains("first 100 keys")), "{surplus:?}");
        let token = |kid: usize| world.authority.token().header("kid", format!("kid-{kid}")).sign();
        assert_eq!(world.verdict(&token(100)).await, Ok(()), "{keys}");
        assert_eq!(world.verdict(&token(101)).await, Err(Kind::UnknownKey), "{keys}");
    }
}

#[tokio::test]
async fn garbage_in_caching_headers_is_passed_over() {
    let cases: [(&'static str, &[u8]); 12] = [
        ("cache-control", b""),
        ("cache-control", b",,;=\"max-age"),
        ("cache-control", b"max-age=ten minutes"),
        ("cache-control", b"max-age=-1"),
        ("cache-control", b"max-age=99999999999999999999"),
        ("cache-control", b"max-age=\xff\xfe"),
        ("age", b"\xff, -3"),
        ("etag", b""),
        ("etag", b"\""),
        ("etag", b"W/\"\xff\xfe\xfd, \t no end"),
        ("expires", b"0"),
        ("last-modified", b"the day before yesterday"),
    ];
    let world = World::new(plain);
    let good = world.authority.jwks();
    let long = "x".repeat(64 * KIB);
    let cases = cases.into_iter().chain([("etag", long.as_bytes()), ("cache-control", long.as_bytes())]);
    for (name, value) in cases {
        let case = format!("{name}: {}", value[..value.len().min(40)].escape_ascii());
        world.server.publish("/jwks", Reply::ok(&*good).header(name, value));
        world.heals(&case).await;
        let next = world.keys.status().next_refresh.as_secs();
        assert!((410..=540).contains(&next), "{case}: refreshed in {next} s, as without the header");
    }
}

#[tokio::test]
async fn garbage_in_an_etag_does_not_stop_scheduled_fetches() {
    for etag in [&b""[..], b"\"", b"W/\"\xff\xfe\xfd, \t no end", &[b'x'; 8 * KIB]] {
        let world = World::new(|builder| builder.time_to_live(Duration::from_millis(100)));
        world.server.publish("/jwks", Reply::ok(world.authority.jwks()).header("etag", etag));
        world.ready().await;
        until("the third fetch", || world.server.count("/jwks") > 2).await;
        assert_eq!(world.keys.status().last_error, None, "{}", etag.escape_ascii());
        let sent = world.server.seen()[1].header("if-none-match").map_or(0, str::len);
        assert!(sent <= 256, "an etag of {sent} bytes was kept");
    }
}

#[tokio::test]
async fn a_set_is_json_whatever_its_content_type() {
    let world = World::new(plain);
    let good = world.authority.jwks();
    world.server.publish("/jwks", Reply::ok(&*good));
    world.heals("none").await;
    for content_type in ["application/json; charset=utf-8", "application/jwk-set+json", "text/plain", "text/html", "?"]
    {
        world.server.publish("/jwks", Reply::ok(&*good).header("content-type", content_type));
        world.heals(content_type).await;
    }
}

#[tokio::test]
async fn retry_after_is_obeyed_and_then_the_provider_is_asked_again() {
    let world = World::new(|builder| builder.longest_retry_after(Duration::from_millis(300)));
    world.ready().await;
    for status in [429, 503] {
        world.server.publish("/jwks", Reply::status(status).header("retry-after", "120"));
        world.fails("told to wait", &format!("answered {status}")).await;
        world.server.publish("/jwks", Reply::ok(world.authority.jwks()));
        let asked = world.server.count("/jwks");
        let error = world.keys.refresh().await.expect_err("not yet");
        assert!(error.to_string().contains("not to be asked"), "{error}");
        assert_eq!(world.server.count("/jwks"), asked, "{status}");
        tokio::time::sleep(Duration::from_millis(310)).await;
        world.heals("after the wait").await;
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_a_reason_and_its_return_heals() {
    let world = World::new(plain);
    world.ready().await;
    let address = world.server.address;
    world.server.stop();
    until("the port is closed", || std::net::TcpStream::connect(address).is_err()).await;
    world.fails("nobody listens", "refused").await;
}

// ---- where it may come from

#[test]
fn http_is_for_loopback_alone() {
    let cases = [
        ("https://login.example.com/jwks", true),
        ("http://127.0.0.1:1/jwks", true),
        ("http://[::1]:1/jwks", true),
        ("http://localhost:1/jwks", true),
        ("http://login.example.com/jwks", false),
        ("http://192.168.0.1/jwks", false),
        ("http://127.0.0.1.example.com/jwks", false),
    ];
    for (url, passes) in cases {
        let sources = [RemoteJwks::from_url(url), RemoteJwks::discover(url), RemoteJwks::discover_at(url, "any")];
        for source in sources {
            assert_eq!(source.build().is_ok(), passes, "{url}");
        }
        assert!(RemoteJwks::from_url(url).danger_allow_http().build().is_ok(), "{url}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let (elsewhere, forger) = (Server::start(), Authority::new(Algorithm::ES256));
        elsewhere.publish("/jwks", Reply::ok(forger.jwks()));
        let world = World::new(plain);
        world.ready().await;
        for to in [elsewhere.url("/jwks"), world.server.url("/jwks"), world.server.url("/other"), "/jwks".to_owned()] {
            world.server.publish("/jwks", Reply::redirect(status, &*to));
            let asked = world.server.seen().len();
            world.fails(&to, &format!("answered {status}")).await;
            assert_eq!(world.server.seen().len(), asked + 1, "{status} to {to}");
        }
        assert!(elsewhere.seen().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn keys_that_a_users_client_found_behind_a_redirect_are_not_used() {
    let following = || reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(5)).build();
    let (elsewhere, forger) = (Server::start(), Authority::new(Algorithm::ES256));
    elsewhere.publish("/jwks", Reply::ok(forger.jwks()));
    let world = World::new(|builder| builder.client(following().expect("a client")));
    world.ready().await;
    world.server.publish("/other", Reply::ok(forger.jwks()));
    for to in [elsewhere.url("/jwks"), world.server.url("/other"), world.server.url("/jwks")] {
        world.server.publish("/jwks", Reply::redirect(302, &*to));
        world.fails(&to, "redirect").await;
        let forged = world.authority.token().signed_by(&forger).sign();
        assert_eq!(world.verdict(&forged).await, Err(Kind::InvalidSignature), "{to}");
    }
    assert_eq!(elsewhere.count("/jwks"), 1, "the client did follow");
    world.server.publish("/jwks", Reply::ok(world.authority.jwks()));
    world.heals("no redirect").await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let tls = |builder: fn(RemoteJwksBuilder) -> RemoteJwksBuilder| {
        let (server, authority) = (Server::start_tls(), Authority::new(Algorithm::ES256));
        server.publish("/jwks", Reply::ok(authority.jwks()));
        let source = builder(RemoteJwks::from_url(server.url("/jwks")).initial(authority.jwks()));
        World::with(authority, server, source)
    };
    let world = tls(plain);
    world.fails("nobody vouches for it", "certificate").await;
    assert!(world.server.seen().is_empty(), "nothing was asked of it");

    let world = tls(|builder| {
        let root = reqwest::Certificate::from_der(&certificate()).expect("DER");
        builder.client(reqwest::Client::builder().tls_certs_only([root]).build().expect("a client"))
    });
    world.heals("the client knows it").await;
    assert_eq!(world.server.count("/jwks"), 1);
}

// ---- what is asked

#[tokio::test]
async fn scheduled_fetches_revalidate_and_an_unchanged_set_grows_young_again() {
    let mut world = World::new(|builder| builder.time_to_live(Duration::from_millis(300)));
    let old = world.authority.token().sign();
    world.server.publish("/jwks", Reply::ok(world.authority.jwks()).header("etag", "\"one\""));
    world.ready().await;
    let since = Instant::now();
    until("three fetches", || world.server.count("/jwks") > 2).await;
    let is_younger = || world.keys.status().age.is_some_and(|age| age + Duration::from_millis(100) < since.elapsed());
    until("a younger set", is_younger).await;
    let seen = world.server.seen();
    let conditions: Vec<_> = seen[..3].iter().map(|seen| seen.header("if-none-match")).collect();
    assert_eq!(conditions, [None, Some("\"one\""), Some("\"one\"")]);
    assert!(seen.iter().all(|seen| seen.header("cache-control").is_none()), "{seen:?}");
    assert_eq!(world.verdict(&old).await, Ok(()));
    assert_eq!((world.keys.status().keys, world.keys.status().last_error), (1, None));

    // A set with another tag replaces the whole of it.
    world.authority.add_key(Algorithm::ES256);
    let replaced = set([key(&world.authority.jwks(), 1)]);
    world.server.publish("/jwks", Reply::ok(replaced).header("etag", "\"two\""));
    until("the new tag", || world.server.seen().iter().any(|seen| seen.header("if-none-match") == Some("\"two\"")))
        .await;
    assert_eq!(world.verdict(&world.authority.token().sign()).await, Ok(()));
    assert_eq!(world.verdict(&old).await, Err(Kind::UnknownKey));
}

#[tokio::test]
async fn forced_and_asked_fetches_go_past_caches_and_take_the_whole_set() {
    let mut world = World::new(plain);
    world.server.publish("/jwks", Reply::ok(world.authority.jwks()).header("etag", "\"one\""));
    world.ready().await;
    world.keys.refresh().await.expect("asked");
    world.authority.add_key(Algorithm::ES256);
    world.server.publish("/jwks", Reply::ok(world.authority.jwks()).header("etag", "\"one\""));
    assert_eq!(world.verdict(&world.authority.token().sign()).await, Ok(()), "the first token of a rotation");
    let seen = world.server.seen();
    let past_caches: Vec<_> = seen.iter().map(|seen| seen.header("cache-control")).collect();
    assert_eq!(past_caches, [None, Some("no-cache"), Some("no-cache")]);
    assert!(seen.iter().all(|seen| seen.header("if-none-match").is_none()), "{seen:?}");
    assert_eq!((world.keys.status().fetches, world.keys.status().forced_fetches), (3, 1));
}

#[tokio::test]
async fn every_request_asks_for_json_that_is_not_encoded() {
    let world = World::discovered("", plain);
    world.server.publish_metadata(OAUTH, world.authority.name(), &world.server.url("/jwks"));
    world.ready().await;
    world.keys.refresh().await.expect("keys");
    let seen = world.server.seen();
    let paths: Vec<_> = seen.iter().map(|seen| &*seen.path).collect();
    assert_eq!(paths, [OPENID, OAUTH, "/jwks", "/jwks"]);
    for seen in seen {
        assert_eq!(seen.header("accept-encoding"), Some("identity"), "{seen:?}");
        assert!(seen.header("accept").is_some_and(|accept| accept.contains("application/json")), "{seen:?}");
        assert!(seen.header("user-agent").is_some_and(|agent| agent.starts_with("tower-jwt-auth/")), "{seen:?}");
    }
}

#[tokio::test]
async fn a_scheduled_fetch_is_tried_twice_where_that_may_help_and_a_forced_one_once() {
    let cases = [
        ("a reset", Reply::new(200, Body::Reset), 2),
        ("408", Reply::status(408), 2),
        ("500", Reply::status(500), 2),
        ("503", Reply::status(503), 2),
        ("503 and a time", Reply::status(503).header("retry-after", "1"), 1),
        ("429", Reply::status(429), 1),
        ("404", Reply::status(404), 1),
        ("302", Reply::redirect(302, "/jwks"), 1),
        ("an error page", Reply::ok("<html>"), 1),
    ];
    for (name, reply, tries) in cases {
        let mut world = World::new(|builder| builder.longest_retry_after(Duration::ZERO));
        world.server.publish("/jwks", reply.clone());
        assert_eq!(world.verdict(&world.authority.token().sign()).await, Err(Kind::KeysUnavailable), "{name}");
        assert_eq!(world.server.count("/jwks"), tries, "{name}, scheduled");

        world.server.publish("/jwks", Reply::ok(world.authority.jwks()));
        world.heals(name).await;
        world.server.publish("/jwks", reply);
        let asked = world.server.count("/jwks");
        world.authority.add_key(Algorithm::ES256);
        assert!(world.verdict(&world.authority.token().sign()).await.is_err(), "{name}");
        assert_eq!(world.server.count("/jwks"), asked + 1, "{name}, forced");
    }
}

#[tokio::test]
async fn the_second_try_of_a_fetch_is_as_good_as_the_first() {
    for first in [Reply::new(200, Body::Reset), Reply::status(503)] {
        let world = World::new(plain);
        world.server.publish_each("/jwks", [first, Reply::ok(world.authority.jwks())]);
        assert_eq!(world.verdict(&world.authority.token().sign()).await, Ok(()));
        assert_eq!((world.server.count("/jwks"), world.keys.status().fetches), (2, 1));
    }
}

#[tokio::test]
async fn a_redirect_that_a_users_client_followed_is_not_asked_for_again() {
    let world = World::new(|builder| builder.client(reqwest::Client::new()));
    world.server.publish("/other", Reply::ok(world.authority.jwks()));
    world.server.publish("/jwks", Reply::redirect(302, "/other"));
    assert_eq!(world.verdict(&world.authority.token().sign()).await, Err(Kind::KeysUnavailable));
    assert_eq!(world.server.count("/jwks"), 1);
}

#[tokio::test]
async fn keys_that_stay_published_outlive_every_change_around_them() {
    let mut world = World::new(plain);
    for algorithm in [Algorithm::RS256, Algorithm::EdDSA] {
        world.authority.add_key(algorithm);
    }
    let jwks = world.authority.jwks();
    let all = || (0..3).map(|index| key(&jwks, index));
    for (published, passing) in [
        (set(all()), [true, true, true]),
        (set(all().rev()), [true, true, true]),
        (set(all().chain(all())), [true, true, true]),
        (set(all().skip(1)), [false, true, true]),
        (set([key(&jwks, 2), json!("odd"), key(&jwks, 0)]), [true, false, true]),
    ] {
        world.server.publish("/jwks", Reply::ok(&*published));
        world.keys.refresh().await.expect("keys");
        for (index, passes) in passing.into_iter().enumerate() {
            let verdict = world.verdict(&world.authority.token().with_key(index).sign()).await;
            assert_eq!(verdict, if passes { Ok(()) } else { Err(Kind::UnknownKey) }, "{index} in {published}");
        }
    }
}

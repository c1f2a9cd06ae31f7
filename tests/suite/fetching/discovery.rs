//! From an issuer to its keys: both well-known forms, and what metadata may not do.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use serde_json::json;
use tower_jwt_auth::keys::{BoxError, RemoteJwks, ResponseBody, Transport};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, Verifier, providers};

use super::server::{Body, Reply, Server};
use super::{KIB, OAUTH, OPENID, World, plain, until};
use crate::support::verdict;

#[tokio::test]
async fn both_forms_of_metadata_are_found_with_and_without_a_path() {
    let cases = [
        ("", OPENID.to_owned()),
        ("", OAUTH.to_owned()),
        ("/", OPENID.to_owned()),
        ("/", OAUTH.to_owned()),
        ("/tenant/1", format!("/tenant/1{OPENID}")),
        ("/tenant/1", format!("{OAUTH}/tenant/1")),
        ("/tenant/1/", format!("/tenant/1{OPENID}")),
        ("/tenant/1/", format!("{OAUTH}/tenant/1")),
    ];
    for (issuer, at) in cases {
        let world = World::discovered(issuer, plain);
        assert_eq!(world.keys.status().location, world.authority.name(), "not yet discovered");
        world.server.publish_metadata(&at, world.authority.name(), &world.server.url("/jwks"));
        assert_eq!(world.verdict(&world.authority.token().sign()).await, Ok(()), "{issuer} at {at}");
        assert_eq!(world.keys.status().location, world.server.url("/jwks"));
        world.keys.refresh().await.expect("keys");
        assert_eq!((world.server.count(&at), world.server.count("/jwks")), (1, 2), "metadata is kept");
    }
}

#[tokio::test]
async fn an_issuer_is_discovered_by_its_name_alone() {
    let server = Server::start();
    let authority = Authority::new(Algorithm::ES256).named(server.url("/tenant"));
    server.publish("/jwks", Reply::ok(authority.jwks()));
    server.publish_metadata(&format!("/tenant{OPENID}"), authority.name(), &server.url("/jwks"));
    let issuer = Issuer::discover(authority.name()).expect("valid").audience(authority.audience());
    let verifier = Verifier::new(issuer).expect("valid");
    assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
}

#[tokio::test]
async fn metadata_at_another_url_is_for_the_issuer_that_it_names() {
    for (named, passes) in [("https://sts.example.com/tenant/", true), ("https://sts.example.com/tenant", false)] {
        let server = Server::start();
        let authority = Authority::new(Algorithm::ES256).named("https://sts.example.com/tenant/");
        server.publish("/jwks", Reply::ok(authority.jwks()));
        server.publish_metadata("/adfs/metadata", named, &server.url("/jwks"));
        let source = RemoteJwks::discover_at(server.url("/adfs/metadata"), authority.name());
        let world = World::with(authority, server, source);
        let verdict = world.verdict(&world.authority.token().sign()).await;
        assert_eq!(verdict, if passes { Ok(()) } else { Err(Kind::KeysUnavailable) }, "{named}");
        assert_eq!(world.server.count("/jwks"), usize::from(passes), "{named}");
        assert_eq!(world.server.count("/adfs/metadata"), 1);
    }
}

/// Entra: the metadata that every tenant shares names a template as its issuer, and so do the keys.
#[tokio::test]
async fn keys_of_many_tenants_are_found_through_metadata_with_a_template() {
    const TEMPLATE: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let (server, tenant) = (Server::start(), "9122040d-6c67-4c5b-b112-36a304b66dad");
    let authority = Authority::new(Algorithm::RS256);
    let mut set: serde_json::Value = serde_json::from_str(&authority.jwks()).expect("JSON");
    set["keys"][0]["issuer"] = TEMPLATE.into();
    server.publish("/jwks", Reply::ok(set.to_string()));
    server.publish_metadata("/common", TEMPLATE, &server.url("/jwks"));
    let keys = RemoteJwks::discover_at(server.url("/common"), TEMPLATE).build().expect("valid");
    let issuer = providers::entra_multi_tenant().with_keys(keys).audience(authority.audience());
    let verifier = Verifier::new(issuer.require_claim_value("tid", [tenant])).expect("valid");
    let token = authority.token().claim("iss", TEMPLATE.replace("{tenantid}", tenant)).claim("tid", tenant);
    assert_eq!(verdict(&verifier, &token.sign()).await, Ok(()));
}

#[tokio::test]
async fn the_keys_of_a_spiffe_bundle_are_fetched() {
    let (server, authority) = (Server::start(), Authority::new(Algorithm::ES256));
    let workloads = providers::spiffe("example.org", &server.url("/bundle")).expect("a trust domain");
    server.publish("/bundle", Reply::ok(authority.jwks().replace("\"sig\"", "\"jwt-svid\"")));
    let verifier = Verifier::new(workloads.discover().expect("a URL").audience("a")).expect("valid");
    let token = authority.token().claim("aud", "a").claim("sub", "spiffe://example.org/web").without("iss").sign();
    assert_eq!(verdict(&verifier, &token).await, Ok(()));
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused_before_its_keys_are_asked_for() {
    for wrong in ["/other", "/tenant/", "/TENANT", "/tenant?", ""] {
        let world = World::discovered("/tenant", plain);
        let wrong = world.server.url(wrong);
        world.server.publish_metadata(&format!("/tenant{OPENID}"), &wrong, &world.server.url("/jwks"));
        let error = world.keys.refresh().await.expect_err(&wrong).to_string();
        assert!(error.contains(&format!("{wrong:?}")) && error.contains(world.authority.name()), "{error}");
        assert_eq!(world.keys.status().last_error, Some(error));
        assert_eq!(world.server.count("/jwks"), 0, "{wrong}");
        assert_eq!(world.verdict(&world.authority.token().sign()).await, Err(Kind::KeysUnavailable), "{wrong}");
    }
}

#[tokio::test]
async fn what_is_no_metadata_is_a_reason_and_the_other_form_is_asked() {
    let cases = [
        ("an error page", Reply::ok("<html>"), "no metadata"),
        ("no keys named", Reply::ok(r#"{"issuer":"any"}"#), "no metadata"),
        ("keys of another type", Reply::ok(r#"{"issuer":"any","jwks_uri":["a"]}"#), "no metadata"),
        ("a JWK set", Reply::ok(r#"{"keys":[]}"#), "no metadata"),
        ("too long", Reply::ok(" ".repeat(600 * KIB)), "longer than 524288 bytes"),
        ("a redirect", Reply::redirect(302, OAUTH), "answered 302"),
        ("404", Reply::status(404), "answered 404"),
    ];
    for (name, reply, reason) in cases {
        let world = World::discovered("", plain);
        world.server.publish(OPENID, reply);
        let error = world.keys.refresh().await.expect_err(name).to_string();
        assert!(error.contains(reason) && error.contains(OPENID), "{name}: {error}");
        world.server.publish_metadata(OAUTH, world.authority.name(), &world.server.url("/jwks"));
        world.heals(name).await;
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_tried_again_with_the_form_that_it_has() {
    for (form, counts) in [(OPENID, (2, 0)), (OAUTH, (2, 2))] {
        let world = World::discovered("", plain);
        let good = json!({ "issuer": world.authority.name(), "jwks_uri": world.server.url("/jwks") }).to_string();
        world.server.publish_each(form, [Reply::status(503), Reply::ok(good)]);
        assert_eq!(world.verdict(&world.authority.token().sign()).await, Ok(()), "{form}");
        assert_eq!((world.server.count(OPENID), world.server.count(OAUTH)), counts, "{form}");
    }
}

#[tokio::test]
async fn a_provider_that_asks_to_be_left_alone_is_whatever_form_it_has() {
    for (form, asked) in [(OPENID, 1), (OAUTH, 2)] {
        for status in [429, 503] {
            let world = World::discovered("", plain);
            world.server.publish(form, Reply::status(status).header("retry-after", "120"));
            let error = world.keys.refresh().await.expect_err("no metadata").to_string();
            assert!(error.contains(form) && error.contains(&format!("answered {status}")), "{error}");
            world.keys.refresh().await.expect_err("not yet");
            assert_eq!(world.server.seen().len(), asked, "{status} at {form}");
        }
    }
}

#[tokio::test]
async fn keys_that_have_moved_are_followed_once_they_are_not_found() {
    let mut world = World::discovered("", plain);
    world.server.publish_metadata(OPENID, world.authority.name(), &world.server.url("/jwks"));
    world.heals("the first place").await;
    world.authority.add_key(Algorithm::ES256);
    world.server.publish("/moved", Reply::ok(world.authority.jwks()));
    world.server.publish_metadata(OPENID, world.authority.name(), &world.server.url("/moved"));
    world.server.publish("/jwks", Reply::status(404));
    let old = world.authority.token().with_key(0).sign();
    world.keys.refresh().await.expect_err("nothing is there any more");
    assert_eq!(world.verdict(&old).await, Ok(()));
    world.heals("the second place").await;
    assert_eq!(world.keys.status().location, world.server.url("/moved"));
    assert_eq!(world.verdict(&old).await, Ok(()));
}

#[tokio::test]
async fn a_tag_of_one_place_is_not_shown_at_another() {
    let every = Duration::from_millis(100);
    let mut world = World::discovered("", |builder| builder.time_to_live(every).discover_every(Duration::ZERO));
    let tagged = |jwks: String| Reply::ok(jwks).header("etag", "\"1\"");
    world.server.publish("/jwks", tagged(world.authority.jwks()));
    world.server.publish_metadata(OPENID, world.authority.name(), &world.server.url("/jwks"));
    world.ready().await;
    world.authority.add_key(Algorithm::ES256);
    world.server.publish("/moved", tagged(world.authority.jwks()));
    world.server.publish_metadata(OPENID, world.authority.name(), &world.server.url("/moved"));
    until("the set at the new place", || world.server.count("/moved") > 0).await;
    let seen = world.server.seen();
    let first = seen.iter().find(|seen| seen.path == "/moved").expect("counted");
    assert_eq!(first.header("if-none-match"), None);
}

#[tokio::test]
async fn an_issuer_that_changes_its_name_keeps_its_old_keys_and_is_a_failure() {
    let world = World::discovered("", |builder| builder.discover_every(Duration::ZERO));
    let keys_at = world.server.url("/jwks");
    world.server.publish_metadata(OPENID, world.authority.name(), &keys_at);
    world.heals("its own name").await;
    world.server.publish_metadata(OPENID, "https://another.example.com", &keys_at);
    let asked = world.server.count("/jwks");
    world.fails("another name", "\"https://another.example.com\"").await;
    assert_eq!(world.server.count("/jwks"), asked, "its keys are not asked for");
    world.server.publish_metadata(OPENID, world.authority.name(), &keys_at);
    world.heals("its own name again").await;
}

#[tokio::test]
async fn while_metadata_is_away_the_last_known_place_serves() {
    let mut world = World::discovered("", |builder| builder.discover_every(Duration::ZERO));
    world.server.publish_metadata(OPENID, world.authority.name(), &world.server.url("/jwks"));
    world.heals("metadata is there").await;
    for reply in [Reply::status(404), Reply::status(500), Reply::new(200, Body::Reset), Reply::ok("<html>")] {
        world.server.publish(OPENID, reply);
        world.authority.add_key(Algorithm::ES256);
        world.server.publish("/jwks", Reply::ok(world.authority.jwks()));
        world.heals("metadata is away").await;
    }
}

#[tokio::test]
async fn metadata_that_hangs_leaves_time_to_fetch_the_keys_from_the_last_known_place() {
    let within = |time| World::discovered("", |builder| builder.discover_every(Duration::ZERO).fetch_timeout(time));
    for world in [within(Duration::from_secs(5)), within(Duration::from_secs(3))] {
        world.server.publish_metadata(OPENID, world.authority.name(), &world.server.url("/jwks"));
        world.heals("metadata is there").await;
        world.server.publish(OPENID, Reply::new(200, Body::Silence));
        world.heals("metadata hangs").await;
    }
}

#[tokio::test]
async fn metadata_is_read_again_when_its_time_has_come() {
    let world = World::discovered("", |builder| builder.discover_every(Duration::from_millis(200)));
    world.server.publish_metadata(OPENID, world.authority.name(), &world.server.url("/jwks"));
    world.heals("at first").await;
    tokio::time::sleep(Duration::from_millis(210)).await;
    world.heals("later").await;
    assert_eq!((world.server.count(OPENID), world.server.count("/jwks")), (2, 2));
}

/// Leads the requests for any host to a local server.
struct Tunnel {
    to: SocketAddr,
    client: reqwest::Client,
}

impl Transport for Tunnel {
    fn send(
        &self,
        mut request: http::Request<()>,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<ResponseBody>, BoxError>> + Send>> {
        let local = format!("http://{}{}", self.to, request.uri().path());
        *request.uri_mut() = local.parse().expect("a URI");
        self.client.send(request)
    }
}

#[tokio::test]
async fn metadata_cannot_lead_an_https_issuer_to_http_or_to_this_machine() {
    let server = Server::start();
    let authority = Authority::new(Algorithm::ES256).named("https://login.example.com");
    server.publish("/jwks", Reply::ok(authority.jwks()));
    let tunnel = Tunnel { to: server.address, client: reqwest::Client::new() };
    let source = RemoteJwks::discover(authority.name()).client(tunnel).discover_every(Duration::ZERO);
    let world = World::with(authority, server, source);
    let publish = |uri: &str| world.server.publish_metadata(OPENID, world.authority.name(), uri);
    publish("https://keys.example.com/jwks");
    world.heals("another host").await;
    let port = world.server.address.port();
    let inwards = [
        format!("https://127.0.0.1:{port}/jwks"),
        format!("https://localhost:{port}/jwks"),
        format!("https://[::1]:{port}/jwks"),
        format!("https://2130706433:{port}/jwks"),
        "https://0.0.0.0/jwks".to_owned(),
    ];
    for uri in inwards {
        publish(&uri);
        let asked = world.server.count("/jwks");
        world.fails(&uri, "this machine").await;
        assert_eq!(world.server.count("/jwks"), asked, "{uri}");
    }
    publish("http://keys.example.com/jwks");
    world.fails("http", "https").await;
    for uri in ["ftp://keys.example.com/jwks", "file:///etc/keys", "/jwks", "", "https://user:pass@keys.example.com/"] {
        publish(uri);
        world.fails(uri, "`jwks_uri`").await;
    }
    publish("https://keys.example.com/jwks");
    world.heals("back again").await;
}

//! Revoked tokens and subjects: on every request, whoever remembers the token, in the words of the RFCs.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::revocation::{Revocation, RevocationList, RevocationVerdict, TokenFacts};
use tower_jwt_auth::testing::{Authority, TokenBuilder};
use tower_jwt_auth::verify::{Check, IssuerResolver};
use tower_jwt_auth::{
    Algorithm, AuthError, AuthErrorKind as Kind, ConfigError, Issuer, JwtAuth, TokenCache, Verifier, providers,
};

use crate::support::{read_challenge, verdict};

const START: i64 = 1_700_000_000;
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    authority: Authority,
    clock: Clock,
    list: RevocationList,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(UnixTime::from_secs(START));
        let authority = Authority::new(Algorithm::ES256).with_clock(clock.clone());
        let list = RevocationList::builder().max_lifetime(HOUR).clock(clock.clone()).build();
        Self { authority, clock, list }
    }

    fn issuer(&self) -> Issuer {
        self.authority.trusted().max_lifetime(HOUR)
    }

    fn verifier(&self, issuer: Issuer, cache: bool) -> Verifier<Value> {
        let builder = Verifier::builder().trust(issuer).clock(self.clock.clone()).revocation(self.list.clone());
        let builder = if cache { builder.cache(TokenCache::new(100)) } else { builder };
        builder.build().expect("valid")
    }

    fn token(&self, jti: &str) -> TokenBuilder<'_> {
        self.authority.token().claim("jti", jti)
    }

    fn revoke(&self, id: &str) {
        let expires_at = UnixTime::from_secs(self.clock.now().as_secs() + 300);
        self.list.revoke(self.authority.name(), id, expires_at).expect("room");
    }

    fn revoke_subject(&self, subject: &str) {
        self.list.revoke_subject(self.authority.name(), subject, self.clock.now()).expect("room");
    }
}

async fn answer(verifier: Verifier<Value>, token: &str, content_type: &str) -> Response<()> {
    let service = JwtAuth::with(verifier)
        .realm("shop")
        .layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));
    let request = Request::post("/").header("content-type", content_type);
    let request = request.header("authorization", format!("Bearer {token}"));
    service.oneshot(request.body(()).expect("a request")).await.expect("infallible")
}

fn text<'r>(response: &'r Response<()>, name: &str) -> Option<&'r str> {
    Some(response.headers().get(name)?.to_str().expect("ASCII"))
}

#[tokio::test]
async fn a_revoked_token_is_answered_401_invalid_token_or_grpc_16() {
    let world = World::new();
    let verifier = world.verifier(world.issuer(), false);
    let token = world.token("a").sign();
    for content_type in ["text/plain", "application/grpc"] {
        let response = answer(verifier.clone(), &token, content_type).await;
        assert!(response.status().is_success() && text(&response, "grpc-status").is_none());
    }
    world.revoke("a");
    let response = answer(verifier.clone(), &token, "text/plain").await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = read_challenge(text(&response, "www-authenticate").expect("a challenge"));
    assert_eq!((&*challenge.scheme, challenge.param("error")), ("Bearer", Some("invalid_token")));
    assert_eq!(challenge.param("error_description"), Some("the token has been revoked"));
    assert_eq!(text(&response, "cache-control"), Some("no-store"));
    assert_eq!(response.extensions().get::<AuthError>().map(AuthError::kind), Some(Kind::Revoked));
    let response = answer(verifier, &token, "application/grpc").await;
    assert_eq!((response.status(), text(&response, "grpc-status")), (StatusCode::OK, Some("16")));
}

#[tokio::test]
async fn where_nobody_can_say_it_is_503_or_grpc_14_without_a_challenge() {
    let world = World::new();
    let unknown = |_: &TokenFacts<'_>| RevocationVerdict::Unknown { retry_after: Duration::from_millis(1500) };
    let builder = Verifier::builder().trust(world.issuer()).clock(world.clock.clone()).revocation(unknown);
    let verifier = builder.build().expect("valid");
    let token = world.token("a").sign();
    let response = answer(verifier.clone(), &token, "text/plain").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((text(&response, "retry-after"), text(&response, "www-authenticate")), (Some("2"), None));
    let response = answer(verifier.clone(), &token, "application/grpc").await;
    assert_eq!(text(&response, "grpc-status"), Some("14"));
    assert_eq!(text(&response, "grpc-retry-pushback-ms"), Some("1500"));
    let expired = world.token("a").expires_in(-60).sign();
    assert_eq!(verdict(&verifier, &expired).await, Err(Kind::Expired), "a bad token is refused whatever the list");
}

#[tokio::test]
async fn a_token_is_revoked_by_issuer_and_jti_until_it_could_not_pass_anyway() {
    let world = World::new();
    let verifier = world.verifier(world.issuer().leeway(Duration::from_secs(300)), false);
    world.revoke("a");
    world.list.revoke("https://another.test", "b", None).expect("room");
    let [a, b] = ["a", "b"].map(|jti| world.token(jti).sign());
    assert_eq!(verdict(&verifier, &a).await, Err(Kind::Revoked));
    assert_eq!(verdict(&verifier, &b).await, Ok(()), "the same id, of another issuer");
    assert_eq!(verdict(&verifier, &world.authority.token().sign()).await, Ok(()), "without jti");
    let escaped =
        r#"{"iss":"https://issuer.test","aud":"test-audience","iat":1700000000,"exp":1700000300,"jti":"\u0061"}"#;
    let escaped = world.authority.token().raw_payload(escaped).sign();
    assert_eq!(verdict(&verifier, &escaped).await, Err(Kind::Revoked));
    world.clock.advance(Duration::from_secs(599));
    assert_eq!(verdict(&verifier, &b).await, Ok(()));
    assert_eq!(verdict(&verifier, &a).await, Err(Kind::Revoked), "still refused in the last second of the leeway");
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(verdict(&verifier, &a).await, Err(Kind::Expired));
    assert_eq!(verdict(&verifier, &b).await, Err(Kind::Expired));
}

#[tokio::test]
async fn a_subject_is_revoked_with_what_it_had_got_up_to_a_time_and_the_skew() {
    let world = World::new();
    let verifier = world.verifier(world.issuer(), false);
    let issued = |seconds: i64| world.authority.token().claim("iat", START + seconds).expires_in(3590).sign();
    world.list.revoke_subject(world.authority.name(), "user-1", UnixTime::from_secs(START)).expect("room");
    for (seconds, expected) in [(-9, Err(Kind::Revoked)), (0, Err(Kind::Revoked)), (2, Err(Kind::Revoked)), (3, Ok(()))]
    {
        assert_eq!(verdict(&verifier, &issued(seconds)).await, expected, "issued {seconds} s after");
    }
    let another = world.authority.token().claim("sub", "user-2").sign();
    assert_eq!(verdict(&verifier, &another).await, Ok(()));
    assert_eq!(verdict(&verifier, &world.authority.token().without("sub").sign()).await, Ok(()));
    // An issuer that is not bound to a lifetime, under a list that does not ask for one: `iat` may be missing.
    let list = world.list.clone();
    let asked = move |token: &TokenFacts<'_>| list.check(token);
    let builder = Verifier::builder().trust(world.authority.trusted()).clock(world.clock.clone()).revocation(asked);
    let without_iat = world.authority.token().without("iat").sign();
    assert_eq!(verdict(&builder.build().expect("valid"), &without_iat).await, Err(Kind::Revoked));

    // Until the last token that it is about has ended: two seconds of skew, an hour, and the leeway.
    let last = world.authority.token().claim("iat", START + 2).claim("exp", START + 3602).sign();
    let verifier = world.verifier(world.issuer().leeway(Duration::from_secs(300)), false);
    world.clock.set(UnixTime::from_secs(START + 3901));
    assert_eq!(verdict(&verifier, &last).await, Err(Kind::Revoked));
    world.clock.set(UnixTime::from_secs(START + 3902));
    assert_eq!(verdict(&verifier, &last).await, Err(Kind::Expired));
}

#[tokio::test]
async fn a_remembered_token_is_revoked_at_once() {
    let world = World::new();
    let verifier = world.verifier(world.issuer(), true);
    let [a, b] = ["a", "b"].map(|jti| world.token(jti).sign());
    let first = verifier.verify(&a).await.expect("valid");
    let second = verifier.verify(&a).await.expect("valid");
    assert!(std::ptr::eq(first.claims(), second.claims()), "it is remembered");
    assert_eq!(verdict(&verifier, &b).await, Ok(()));
    world.revoke("a");
    assert_eq!(verdict(&verifier, &a).await, Err(Kind::Revoked));
    assert_eq!(verdict(&verifier, &b).await, Ok(()));
    world.revoke_subject("user-1");
    assert_eq!(verdict(&verifier, &b).await, Err(Kind::Revoked));
}

#[tokio::test]
async fn the_claims_that_name_a_token_can_be_chosen() {
    let world = World::new();
    let both = world.verifier(world.issuer().revocation_claims(["jti", "sid"]), true);
    let only_uti = world.verifier(world.issuer().revocation_claims(["uti"]), true);
    let of = |claims: Value| world.authority.token().claims(claims).sign();
    world.revoke("x");
    let cases = [
        (json!({"jti": "x"}), true, false),
        (json!({"sid": "x"}), true, false),
        (json!({"sid": "x", "jti": "y"}), true, false),
        (json!({"sid": "y", "jti": "x"}), true, false),
        (json!({"uti": "x"}), false, true),
        (json!({"other": "x"}), false, false),
        (json!({"sub": "x", "nested": {"jti": "x", "sid": "x", "uti": "x"}}), false, false),
    ];
    for (claims, by_both, by_uti) in cases {
        let expected = |revoked| if revoked { Err(Kind::Revoked) } else { Ok(()) };
        for _ in 0..2 {
            assert_eq!(verdict(&both, &of(claims.clone())).await, expected(by_both), "{claims}");
            assert_eq!(verdict(&only_uti, &of(claims.clone())).await, expected(by_uti), "{claims}");
        }
    }
}

#[tokio::test]
async fn a_name_that_is_no_string_is_refused_where_something_could_be_revoked_by_it() {
    let world = World::new();
    let verifier = world.verifier(world.issuer().revocation_claims(["sid"]), false);
    for (claim, expected) in [("sid", Err(Kind::MissingClaim)), ("sub", Err(Kind::MissingClaim)), ("jti", Ok(()))] {
        for value in [json!(7), json!(["a"]), json!(null), json!({"a": 1})] {
            let token = world.authority.token().claim(claim, &value).sign();
            assert_eq!(verdict(&verifier, &token).await, expected, "{claim} {value}");
        }
    }
    let unlisted = Verifier::builder().trust(world.issuer()).clock(world.clock.clone()).build().expect("valid");
    assert_eq!(verdict(&unlisted, &world.authority.token().claim("sub", 7).sign()).await, Ok(()));
}

#[tokio::test]
async fn an_issuer_goes_by_its_configured_name_whichever_the_token_has() {
    let world = World::new();
    let verifier = world.verifier(world.issuer().alias("alias.test"), true);
    world.revoke("a");
    world.list.revoke("alias.test", "b", None).expect("room");
    for (jti, expected) in [("a", Err(Kind::Revoked)), ("b", Ok(()))] {
        assert_eq!(verdict(&verifier, &world.token(jti).sign()).await, expected);
        assert_eq!(verdict(&verifier, &world.token(jti).claim("iss", "alias.test").sign()).await, expected);
    }
    let any = Issuer::danger_any_issuer(world.authority.key_set()).audience(world.authority.audience());
    let verifier = world.verifier(any.max_lifetime(HOUR), true);
    world.list.revoke("", "nameless", None).expect("room");
    let of = |jti: &str, iss: &str| world.token(jti).claim("iss", iss).sign();
    assert_eq!(verdict(&verifier, &of("a", world.authority.name())).await, Err(Kind::Revoked));
    assert_eq!(verdict(&verifier, &of("a", "else")).await, Ok(()));
    assert_eq!(verdict(&verifier, &of("b", "alias.test")).await, Err(Kind::Revoked));
    assert_eq!(verdict(&verifier, &world.token("nameless").without("iss").sign()).await, Err(Kind::Revoked));
    assert_eq!(verdict(&verifier, &of("nameless", "else")).await, Ok(()));
}

#[tokio::test]
async fn revocation_comes_after_the_rules_of_the_issuer_and_before_those_of_ones_own() {
    let world = World::new();
    let builder = Verifier::<Value>::builder().trust(world.issuer()).clock(world.clock.clone());
    let verifier =
        builder.revocation(world.list.clone()).authorize(|jwt| jwt.claims()["open"] == true).build().expect("valid");
    world.revoke("a");
    let forbidden = world.token("a").claim("open", false).sign();
    assert_eq!(verdict(&verifier, &forbidden).await, Err(Kind::Revoked));
    assert_eq!(verdict(&verifier, &world.token("a").expires_in(-60).sign()).await, Err(Kind::Expired));
    assert_eq!(verdict(&verifier, &world.token("a").tampered().sign()).await, Err(Kind::InvalidSignature));

    let explanation = verifier.explain(&forbidden).await;
    let last = explanation.checks().last().expect("checks");
    assert_eq!((last.check(), last.ok()), (Check::Revocation, false));
    assert!(last.saw().contains("\"a\"") && last.saw().contains("user-1"), "{}", last.saw());
    let explanation = verifier.explain(&world.token("b").claim("open", true).sign()).await;
    assert!(explanation.accepted() && explanation.checks().iter().any(|report| report.check() == Check::Revocation));
    let unlisted = Verifier::<Value>::builder().trust(world.issuer()).clock(world.clock.clone()).build();
    let explanation = unlisted.expect("valid").explain(&forbidden).await;
    assert!(explanation.checks().iter().all(|report| report.check() != Check::Revocation));
}

#[tokio::test]
async fn of_several_lists_one_is_enough_and_a_closure_is_one() {
    let world = World::new();
    let is_down = Arc::new(AtomicBool::new(false));
    let down = Arc::clone(&is_down);
    let own = move |token: &TokenFacts<'_>| {
        assert_eq!((token.issuer(), token.subject()), ("https://issuer.test", Some("user-1")));
        assert_eq!(token.issued_at(), Some(UnixTime::from_secs(START)));
        assert_eq!(token.expires_at(), Some(UnixTime::from_secs(START + 300)));
        match token.ids().next() {
            _ if down.load(Ordering::Relaxed) => RevocationVerdict::Unknown { retry_after: Duration::from_secs(1) },
            Some("own") => RevocationVerdict::Revoked,
            _ => RevocationVerdict::Valid,
        }
    };
    let builder = Verifier::<Value>::builder().trust(world.issuer()).clock(world.clock.clone());
    let verifier = builder.revocation(own).revocation(Arc::new(world.list.clone())).build().expect("valid");
    world.revoke("listed");
    let of = |jti: &str| world.token(jti).sign();
    assert_eq!(verdict(&verifier, &of("own")).await, Err(Kind::Revoked));
    assert_eq!(verdict(&verifier, &of("listed")).await, Err(Kind::Revoked));
    assert_eq!(verdict(&verifier, &of("neither")).await, Ok(()));
    is_down.store(true, Ordering::Relaxed);
    assert_eq!(verdict(&verifier, &of("listed")).await, Err(Kind::Revoked), "the other list knows");
    assert_eq!(verdict(&verifier, &of("neither")).await, Err(Kind::RevocationUnavailable));
}

fn built(world: &World, issuer: Issuer) -> Result<Verifier<Value>, ConfigError> {
    Verifier::builder().trust(issuer).revocation(world.list.clone()).build()
}

#[test]
fn a_list_for_subjects_takes_issuers_with_a_lifetime_that_is_not_longer() {
    let world = World::new();
    assert!(built(&world, world.authority.trusted().max_lifetime(HOUR)).is_ok());
    let longer = built(&world, world.authority.trusted().max_lifetime(HOUR + Duration::from_secs(1)));
    let none = built(&world, world.authority.trusted());
    for error in [longer, none] {
        let error = error.expect_err("a subject would come back").to_string();
        assert!(error.contains("max_lifetime") && error.contains("issuer.test"), "{error}");
    }
    let shortest = Verifier::<Value>::builder().trust(world.issuer()).revocation(world.list.clone());
    let other = RevocationList::builder().max_lifetime(HOUR / 2).build();
    assert!(shortest.revocation(other).build().is_err());
    let without = Verifier::<Value>::builder().trust(world.authority.trusted()).revocation(RevocationList::new());
    assert!(without.build().is_ok());
}

#[test]
fn claims_that_cannot_name_a_token_are_refused() {
    let world = World::new();
    let with = |names: &[&'static str]| built(&world, world.issuer().revocation_claims(names.to_vec()));
    assert!(with(&["jti", "sid", "uti", "tid"]).is_ok() && with(&["jti", "jti"]).is_ok());
    let wrong: [&[&str]; 8] =
        [&[], &["a", "b", "c", "d", "e"], &["sub"], &["iss"], &["aud"], &["scope"], &["jti", "exp"], &[""]];
    for names in wrong {
        assert!(with(names).is_err(), "{names:?}");
    }
    assert!(Verifier::<Value>::new(world.issuer().revocation_claims(["sub"])).is_err(), "without a list as well");
}

#[tokio::test]
async fn tenants_that_are_resolved_are_under_the_list_as_well() {
    let world = Arc::new(World::new());
    let tenants = Arc::clone(&world);
    let resolver = IssuerResolver::new(move |iss: String| {
        let issuer = tenants.authority.trusted().revocation_claims(["sid"]);
        let issuer = if iss.contains("issuer.test") { issuer.max_lifetime(HOUR) } else { issuer.alias("loose.test") };
        async move { Ok(Some(issuer)) }
    });
    let builder = Verifier::<Value>::builder().resolver(resolver).clock(world.clock.clone());
    let verifier = builder.revocation(world.list.clone()).cache(TokenCache::new(10)).build().expect("valid");
    let token = world.authority.token().claim("sid", "s").sign();
    for _ in 0..2 {
        assert_eq!(verdict(&verifier, &token).await, Ok(()));
    }
    world.revoke("s");
    assert_eq!(verdict(&verifier, &token).await, Err(Kind::Revoked));
    let loose = world.authority.token().claim("iss", "loose.test").sign();
    assert_eq!(verdict(&verifier, &loose).await, Err(Kind::Misconfigured), "it does not say how long its tokens live");
}

#[tokio::test]
async fn entra_names_its_tokens_by_uti() {
    let world = World::new();
    let tenant = "9122040d-6c67-4c5b-b112-36a304b66dad";
    for provider in [providers::entra(tenant), providers::entra_v1(tenant)] {
        let provider = provider.expect("a tenant");
        let name = provider.name().to_owned();
        let issuer = provider.with_keys(world.authority.key_set()).audience("a").max_lifetime(HOUR);
        let verifier = world.verifier(issuer, true);
        let of = |uti: &str| {
            let claims = json!({"iss": name, "aud": "a", "tid": tenant, "uti": uti});
            world.authority.token().claims(claims).sign()
        };
        world.list.revoke(&name, "x", None).expect("room");
        assert_eq!(verdict(&verifier, &of("x")).await, Err(Kind::Revoked));
        assert_eq!(verdict(&verifier, &of("y")).await, Ok(()));
    }
}

#[test]
fn nothing_of_what_is_revoked_is_shown() {
    let list = RevocationList::builder().entries(0).build();
    let error = list.revoke("CANARY", "CANARY", UnixTime::from_secs(i64::MAX)).expect_err("full");
    let facts = TokenFacts::new("CANARY", UnixTime::from_secs(0)).with_ids(["CANARY"]).with_subject("CANARY");
    let seen = format!("{list:?} {error:?} {error} {facts:?}");
    assert!(!seen.contains("CANARY"), "{seen}");
}

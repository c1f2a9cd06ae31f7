//! Remembered verdicts: the same as without a cache, whatever changes in between.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::testing::{Authority, TestKeys};
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, TokenCache, Verifier};

use crate::support::verdict;

/// A verifier with a cache, whose keys can be exchanged.
struct World {
    authority: Authority,
    clock: Clock,
    keys: TestKeys,
    cache: TokenCache,
    verifier: Verifier<Value>,
}

fn world() -> World {
    let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
    let authority = Authority::new(Algorithm::ES256).with_clock(clock.clone());
    let keys = authority.keys();
    let cache = TokenCache::new(100);
    let verifier = verifier(&authority, &clock, &keys, Some(&cache), |issuer| issuer);
    World { authority, clock, keys, cache, verifier }
}

fn verifier(
    authority: &Authority,
    clock: &Clock,
    keys: &TestKeys,
    cache: Option<&TokenCache>,
    rules: impl FnOnce(Issuer) -> Issuer,
) -> Verifier<Value> {
    let issuer = rules(authority.trusted_with(keys.clone()));
    let builder = Verifier::builder().trust(issuer).clock(clock.clone());
    let builder = match cache {
        Some(cache) => builder.cache(cache.clone()),
        None => builder,
    };
    builder.build().expect("valid")
}

impl World {
    /// Where the claims of a verified token lie: the same place twice means that it was not verified again.
    async fn place(&self, token: &str) -> Result<*const Value, Kind> {
        self.verifier.verify(token).await.map(|jwt| std::ptr::from_ref(jwt.claims())).map_err(|error| error.kind())
    }

    async fn is_remembered(&self, token: &str) -> bool {
        // The first proof is kept, so that its place is not given to the second.
        let first = self.verifier.verify(token).await.expect("valid");
        self.place(token).await == Ok(std::ptr::from_ref(first.claims()))
    }
}

#[tokio::test]
async fn an_accepted_token_is_verified_once() {
    let world = world();
    let token = world.authority.token().sign();
    assert!(world.is_remembered(&token).await);
    assert_eq!(world.cache.len(), 1);
    world.cache.clear();
    assert!(world.cache.is_empty());
}

#[tokio::test]
async fn refusals_are_never_remembered() {
    let world = world();
    let refused = [
        world.authority.token().tampered().sign(),
        world.authority.token().expires_in(-60).sign(),
        world.authority.token().claim("aud", "other").sign(),
        "x".to_owned(),
    ];
    for token in refused {
        assert!(world.place(&token).await.is_err());
    }
    assert!(world.cache.is_empty());
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_exp_and_after_five_minutes_is_verified_anew() {
    let world = world();
    let short = world.authority.token().expires_in(60).sign();
    let long = world.authority.token().expires_in(9999).sign();
    let first = world.verifier.verify(&long).await.expect("valid");
    assert!(world.is_remembered(&short).await);
    world.clock.advance(Duration::from_secs(89));
    assert!(world.is_remembered(&short).await);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.place(&short).await, Err(Kind::Expired));
    assert_eq!(world.cache.len(), 1, "it has left");
    world.clock.advance(Duration::from_secs(209));
    assert_eq!(world.place(&long).await, Ok(std::ptr::from_ref(first.claims())), "299 s");
    world.clock.advance(Duration::from_secs(1));
    assert_ne!(world.place(&long).await, Ok(std::ptr::from_ref(first.claims())), "300 s");
    world.clock.set(UnixTime::from_secs(1_600_000_000));
    assert!(world.place(&long).await.is_ok(), "a clock that goes back makes nothing live longer");
    assert!(world.place(&world.authority.token().claim("nbf", 1_700_000_000).sign()).await.is_err());
}

#[tokio::test]
async fn an_entry_stands_only_while_the_very_key_that_verified_it_is_handed_out() {
    let world = world();
    let token = world.authority.token().expires_in(9999).sign();
    let kidless = world.authority.token().without_header("kid").sign();
    assert!(world.is_remembered(&token).await && world.is_remembered(&kidless).await);
    world.keys.fail();
    world.keys.forget();
    assert_eq!(world.place(&token).await, Err(Kind::KeysUnavailable), "a source past its stale bound");
    world.keys.heal();
    assert!(world.is_remembered(&token).await);

    let before = world.verifier.verify(&token).await.expect("valid");
    world.keys.publish(world.authority.key_set());
    assert_ne!(world.place(&token).await, Ok(std::ptr::from_ref(before.claims())), "an equal key is another key");

    let stranger = Authority::new(Algorithm::ES256);
    world.keys.publish(stranger.key_set());
    assert_eq!(world.place(&token).await, Err(Kind::InvalidSignature), "the key behind the kid has changed");
    assert_eq!(world.place(&kidless).await, Err(Kind::InvalidSignature));
    world.authority.rotate();
    world.authority.withdraw_old();
    world.keys.publish(world.authority.key_set());
    assert_eq!(world.place(&token).await, Err(Kind::UnknownKey), "the key has gone");
}

#[tokio::test]
async fn max_age_and_rules_of_ones_own_are_judged_on_every_hit() {
    let World { authority, clock, keys, cache, .. } = world();
    let aged = verifier(&authority, &clock, &keys, Some(&cache), |issuer| issuer.max_age(Duration::from_secs(60)));
    let token = authority.token().expires_in(9999).sign();
    assert_eq!(verdict(&aged, &token).await, Ok(()));
    clock.advance(Duration::from_secs(89));
    assert_eq!(verdict(&aged, &token).await, Ok(()));
    clock.advance(Duration::from_secs(1));
    assert_eq!(verdict(&aged, &token).await, Err(Kind::TooOld));

    let open = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let door = Arc::clone(&open);
    let ruled = Verifier::<Value>::builder()
        .trust(authority.trusted())
        .clock(clock.clone())
        .authorize(move |_| door.load(std::sync::atomic::Ordering::Relaxed))
        .cache(cache)
        .build()
        .expect("valid");
    let token = authority.token().sign();
    assert_eq!(verdict(&ruled, &token).await, Ok(()));
    open.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(verdict(&ruled, &token).await, Err(Kind::Forbidden));
}

#[tokio::test]
async fn verifiers_that_share_a_cache_do_not_share_verdicts() {
    let World { authority, clock, keys, cache, verifier: first } = world();
    let strict = verifier(&authority, &clock, &keys, Some(&cache), |issuer| issuer.audience("more").types(["at+jwt"]));
    let token = authority.token().sign();
    assert_eq!(verdict(&first, &token).await, Ok(()));
    assert_eq!(verdict(&strict, &token).await, Err(Kind::WrongType));
    let other_claims =
        Verifier::<Vec<u8>>::builder().trust(authority.trusted()).clock(clock).cache(cache).build().expect("valid");
    assert_eq!(other_claims.verify(&token).await.expect_err("an object").kind(), Kind::ClaimsMismatch);
}

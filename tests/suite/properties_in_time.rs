//! What holds under any order of events: rotation, expiry, revocation, outages, and clocks that step.

use std::cell::Cell;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::revocation::RevocationList;
use tower_jwt_auth::testing::{Authority, TestKeys};
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, TokenCache, Verifier};

use crate::support::verdict;

const HOUR: Duration = Duration::from_secs(3600);

/// What happens, one after another.
#[derive(Clone, Debug)]
enum Event {
    /// A token of the newest key, or of an older one.
    Mint {
        life: i64,
        jti: u8,
        sub: u8,
        key: prop::sample::Index,
        is_tampered: bool,
    },
    AddKey,
    /// The source hands out these of the keys: others are withdrawn.
    Publish {
        kept: [bool; 4],
    },
    /// The same keys, read anew.
    ReadAgain,
    LoseKeys,
    Advance(u64),
    StepBack(i64),
    Revoke(u8),
    RevokeSubject(u8),
    Ask(prop::sample::Index),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (-50..400_i64, 0..6_u8, 0..4_u8, any::<prop::sample::Index>(), prop::bool::weighted(0.1))
            .prop_map(|(life, jti, sub, key, is_tampered)| Event::Mint { life, jti, sub, key, is_tampered }),
        1 => Just(Event::AddKey),
        2 => any::<[bool; 4]>().prop_map(|kept| Event::Publish { kept }),
        2 => Just(Event::ReadAgain),
        1 => Just(Event::LoseKeys),
        3 => (0..120_u64).prop_map(Event::Advance),
        1 => (0..60_i64).prop_map(Event::StepBack),
        1 => (0..6_u8).prop_map(Event::Revoke),
        1 => (0..4_u8).prop_map(Event::RevokeSubject),
        12 => any::<prop::sample::Index>().prop_map(Event::Ask),
    ]
}

/// Two verifiers that differ in the cache alone.
struct World {
    authority: Authority,
    keys: usize,
    clock: Clock,
    source: TestKeys,
    list: RevocationList,
    cached: Verifier<Value>,
    plain: Verifier<Value>,
    tokens: Vec<String>,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
        // The cheapest keys: what is tried here is not the signature.
        let authority = Authority::new(Algorithm::EdDSA).with_clock(clock.clone());
        let source = authority.keys();
        let list = RevocationList::builder().max_lifetime(HOUR).clock(clock.clone()).build();
        let verifier = |cache: Option<TokenCache>| {
            let issuer = authority.trusted_with(source.clone()).max_lifetime(HOUR);
            let builder = Verifier::builder().trust(issuer).clock(clock.clone()).revocation(list.clone());
            match cache {
                Some(cache) => builder.cache(cache).build(),
                None => builder.build(),
            }
        };
        let (cached, plain) = (verifier(Some(TokenCache::new(20))).expect("valid"), verifier(None).expect("valid"));
        let tokens = vec![authority.token().sign()];
        Self { keys: 1, clock, source, list, cached, plain, tokens, authority }
    }

    /// The source is well again, and has read these keys anew; without any it has none to give.
    fn publish(&self, is_kept: impl Fn(usize) -> bool) {
        for at in 0..self.keys {
            let kid = format!("key-{}", at + 1);
            if is_kept(at) { self.authority.publish(&kid) } else { self.authority.withdraw(&kid) }
        }
        self.source.forget();
        if (0..self.keys).any(is_kept) { self.source.heal() } else { self.source.fail() }
    }

    fn happens(&mut self, event: &Event) {
        let name = self.authority.name();
        match event {
            Event::Mint { life, jti, sub, key, is_tampered } => {
                let token = self.authority.token().with_key(key.index(self.keys)).expires_in(*life);
                let token = token.claim("jti", format!("t{jti}")).claim("sub", format!("u{sub}"));
                self.tokens.push(if *is_tampered { token.tampered().sign() } else { token.sign() });
            }
            Event::AddKey if self.keys < 4 => {
                self.authority.rotate();
                self.keys += 1;
                self.publish(|_| true);
            }
            Event::Publish { kept } => self.publish(|at| kept[at]),
            Event::AddKey | Event::ReadAgain => self.publish(|_| true),
            Event::LoseKeys => {
                self.source.fail();
                self.source.forget();
            }
            Event::Advance(seconds) => self.clock.advance(Duration::from_secs(*seconds)),
            Event::StepBack(seconds) => self.clock.set(UnixTime::from_secs(self.clock.now().as_secs() - seconds)),
            Event::Revoke(jti) => {
                let expires_at = UnixTime::from_secs(self.clock.now().as_secs() + 400);
                self.list.revoke(name, &format!("t{jti}"), expires_at).expect("room");
            }
            Event::RevokeSubject(sub) => {
                self.list.revoke_subject(name, &format!("u{sub}"), self.clock.now()).expect("room");
            }
            Event::Ask(_) => {}
        }
    }
}

#[test]
fn with_a_cache_the_verdict_is_the_one_without_under_any_order_of_events() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (accepted, remembered, revoked, without_keys) = (Cell::new(0), Cell::new(0), Cell::new(0), Cell::new(0));
    let add = |count: &Cell<u32>, is_so: bool| count.set(count.get() + u32::from(is_so));
    let events = proptest::collection::vec(event(), 1..120);
    let outcome = TestRunner::new(Config::default()).run(&events, |events| {
        let mut world = World::new();
        for (step, event) in events.iter().enumerate() {
            world.happens(event);
            let Event::Ask(which) = event else { continue };
            // The recent ones, so that many are still good.
            let first = world.tokens.len().saturating_sub(8);
            let token = &world.tokens[first + which.index(world.tokens.len() - first)];
            let with = runtime.block_on(verdict(&world.cached, token));
            let without = runtime.block_on(verdict(&world.plain, token));
            prop_assert_eq!(with, without, "step {}", step);
            add(&accepted, with.is_ok());
            add(&revoked, with == Err(Kind::Revoked));
            add(&without_keys, with == Err(Kind::KeysUnavailable));
            if with.is_ok() {
                let [one, two] = [(), ()].map(|()| runtime.block_on(world.cached.verify(token)).expect("just now"));
                add(&remembered, std::ptr::eq(one.claims(), two.claims()));
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let seen = [accepted, remembered, revoked, without_keys].map(Cell::into_inner);
    assert!(seen.iter().all(|count| *count > 20), "accepted, remembered, revoked, without keys: {seen:?}");
}

//! A story of tokens: made good or wrong, used in any order, while keys rotate and are withdrawn, time passes, and
//! tokens and users are revoked.
//!
//! - The layer with a cache, the layer without, and the plain verifier say the same of every token at every moment.
//! - A token passes exactly where an oracle says so that knows only what was done to it: not its text.

#![no_main]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arbitrary::Arbitrary;
use http::{Request, Response};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::keys::{KeyLookup, KeyQuery};
use tower_jwt_auth::revocation::RevocationList;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind, Issuer, JwtAuth, KeySet, TokenCache, Verifier};
use tower_jwt_auth_fuzz::{NOW, answer, authority, clock, now};

const LEEWAY: i64 = 30;
const MAX_LIFETIME: i64 = 3600;

#[derive(Arbitrary, Debug)]
struct Story {
    is_elliptic: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Make(Wrong, User, u16),
    /// Use the token of this number, modulo those that there are.
    Use(u8),
    /// A new key signs; the old ones stay.
    Rotate,
    /// The key of this number is published no longer, or again.
    Toggle(u8),
    Advance(u16),
    Revoke(u8),
    /// Everything that a user has got up to now.
    RevokeUser(User),
}

/// What is wrong with a token.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Signature,
    Unsigned,
    Stranger,
    Issuer,
    Audience,
    NoExpiry,
    Early,
    Event,
    Bound,
    Crit,
    Type,
    AlgNone,
    Kid,
    LivesTooLong,
    Truncated,
    Extended,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    A,
    B,
}

impl User {
    fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

/// A token, and what the oracle knows of it.
struct Made {
    text: String,
    id: String,
    user: User,
    is_wrong: bool,
    key: usize,
    iat: i64,
    exp: i64,
    is_revoked: bool,
}

struct World {
    clock: Clock,
    algorithm: Algorithm,
    issuer: Authority,
    stranger: Authority,
    /// The keys that are published, in the order of their making.
    published: Vec<bool>,
    keys: Arc<Mutex<KeySet>>,
    list: RevocationList,
    /// For each user: everything that was issued up to this second is revoked.
    revoked_users: [Option<i64>; 2],
    tokens: Vec<Made>,
    plain: Verifier<Value>,
    layers: [JwtAuth<Value>; 2],
}

impl World {
    fn new(algorithm: Algorithm) -> Self {
        let clock = clock();
        let issuer = authority(algorithm).with_clock(clock.clone());
        let keys = Arc::new(Mutex::new(issuer.key_set()));
        let lifetime = Duration::from_secs(MAX_LIFETIME.unsigned_abs());
        let list = RevocationList::builder().max_lifetime(lifetime).skew(Duration::ZERO).clock(clock.clone()).build();
        let verifier = || {
            let keys = Arc::clone(&keys);
            let source = move |_: &KeyQuery<'_>| KeyLookup::ready(keys.lock().expect("nothing panics").clone());
            let trusted = Issuer::new(issuer.name(), source).audience(issuer.audience());
            let trusted = trusted.algorithms([algorithm]).max_lifetime(lifetime);
            Verifier::builder().trust(trusted).clock(clock.clone()).revocation(list.clone())
        };
        let plain = verifier().build().expect("a verifier");
        let caching = verifier().cache(TokenCache::new(16)).build().expect("a verifier");
        Self {
            layers: [JwtAuth::with(plain.clone()), JwtAuth::with(caching)],
            plain,
            stranger: authority(algorithm).with_clock(clock.clone()),
            published: vec![true],
            revoked_users: [None; 2],
            tokens: Vec::new(),
            clock,
            algorithm,
            issuer,
            keys,
            list,
        }
    }

    fn seconds(&self) -> i64 {
        self.clock.now().as_secs()
    }

    fn make(&mut self, wrong: Wrong, user: User, lifetime: u16) {
        let (id, iat) = (format!("t{}", self.tokens.len()), self.seconds());
        let mut lifetime = i64::from(lifetime) % (MAX_LIFETIME + 1);
        if wrong == Wrong::LivesTooLong {
            lifetime += MAX_LIFETIME + 1;
        }
        let token = self.issuer.token().claim("sub", user.name()).claim("jti", &id).expires_in(lifetime);
        let text = match wrong {
            Wrong::Nothing | Wrong::LivesTooLong => token.sign(),
            Wrong::Signature => token.tampered().sign(),
            Wrong::Unsigned => token.unsigned().sign(),
            Wrong::Stranger => token.signed_by(&self.stranger).sign(),
            Wrong::Issuer => token.claim("iss", self.issuer.name().to_uppercase()).sign(),
            Wrong::Audience => token.claim("aud", ["other"]).sign(),
            Wrong::NoExpiry => token.without("exp").sign(),
            // Later than any story lasts.
            Wrong::Early => token.claim("nbf", i64::from(u32::MAX)).sign(),
            Wrong::Event => token.claim("events", json!({})).sign(),
            Wrong::Bound => token.claim("cnf", json!({"jkt": "x"})).sign(),
            Wrong::Crit => token.header("crit", ["exp"]).sign(),
            Wrong::Type => token.header("typ", "logout+jwt").sign(),
            Wrong::AlgNone => token.header("alg", "none").sign(),
            Wrong::Kid => token.header("kid", "key-0").sign(),
            Wrong::Truncated => {
                let mut text = token.sign();
                text.pop();
                text
            }
            Wrong::Extended => token.sign() + "A",
        };
        let key = self.published.len() - 1;
        let is_wrong = wrong != Wrong::Nothing;
        self.tokens.push(Made { text, id, user, is_wrong, key, iat, exp: iat + lifetime, is_revoked: false });
    }

    /// What the oracle says of a token, now.
    fn passes(&self, token: &Made) -> bool {
        let is_revoked = token.is_revoked || self.revoked_users[token.user as usize].is_some_and(|at| token.iat <= at);
        !token.is_wrong && !is_revoked && self.published[token.key] && self.seconds() < token.exp + LEEWAY
    }

    fn judge(&self, token: &Made) {
        let plain = now(self.plain.verify(&token.text)).map(drop).map_err(|error| error.kind());
        assert_eq!(plain.is_ok(), self.passes(token), "{plain:?}");
        for layer in &self.layers {
            assert_eq!(ask(layer, &token.text), plain);
        }
    }

    fn publish(&mut self) {
        let all: Value = serde_json::from_str(&self.issuer.jwks()).expect("a set");
        let all = all["keys"].as_array().expect("a set").iter().zip(&self.published);
        let published: Vec<_> = all.filter(|(_, is_published)| **is_published).map(|(key, _)| key).collect();
        // A set without keys is none: the last key stays.
        if let Ok(set) = KeySet::jwk_set(json!({ "keys": published }).to_string()) {
            *self.keys.lock().expect("nothing panics") = set;
        }
    }

    fn take(&mut self, step: &Step) {
        let at = |number: u8, len: usize| usize::from(number).checked_rem(len);
        match *step {
            Step::Make(wrong, user, lifetime) => self.make(wrong, user, lifetime),
            Step::Use(number) => {
                if let Some(at) = at(number, self.tokens.len()) {
                    self.judge(&self.tokens[at]);
                }
            }
            Step::Rotate => {
                self.issuer.add_key(self.algorithm);
                self.published.push(true);
                self.publish();
            }
            Step::Toggle(number) => {
                let at = usize::from(number) % self.published.len();
                self.published[at] ^= true;
                if self.published.contains(&true) {
                    self.publish();
                } else {
                    self.published[at] = true;
                }
            }
            Step::Advance(seconds) => self.clock.advance(Duration::from_secs(seconds.into())),
            Step::Revoke(number) => {
                if let Some(at) = at(number, self.tokens.len()) {
                    let token = &mut self.tokens[at];
                    token.is_revoked = true;
                    let exp = UnixTime::from_secs(token.exp);
                    self.list.revoke(self.issuer.name(), &token.id, exp).expect("there is room");
                }
            }
            Step::RevokeUser(user) => {
                let at = self.seconds();
                self.revoked_users[user as usize] = Some(at);
                let name = user.name();
                self.list.revoke_subject(self.issuer.name(), name, self.clock.now()).expect("there is room");
            }
        }
    }
}

fn ask(layer: &JwtAuth<Value>, token: &str) -> Result<(), AuthErrorKind> {
    let service = layer.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(true))));
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(()).expect("a request");
    let Ok(response) = now(service.oneshot(request));
    if *response.body() { Ok(()) } else { Err(answer::check(&response)) }
}

fuzz_target!(|story: Story| {
    let mut world = World::new(if story.is_elliptic { Algorithm::ES256 } else { Algorithm::HS256 });
    assert_eq!(world.seconds(), NOW);
    for step in story.steps.iter().take(64) {
        world.take(step);
    }
    for token in &world.tokens {
        world.judge(token);
    }
});

//! Tenants of several names: to forget one of them forgets the tenant.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::verify::IssuerResolver;
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, TokenCache, Verifier};

use crate::support::verdict;

const NAME: &str = "https://tenant.test";
const ALIASES: [&str; 2] = ["tenant.test", "https://old.test"];
const OTHER: &str = "https://other.test";

struct World {
    authority: Authority,
    verifier: Verifier<Value>,
    /// The names that the database knows.
    known: Arc<Mutex<HashSet<&'static str>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// How many questions may be answered.
    gate: Arc<Semaphore>,
}

impl World {
    /// `make` is the issuer of a name, from the one that has no alias.
    fn new(make: impl Fn(Issuer, &str) -> Issuer + Send + Sync + 'static) -> Self {
        let authority = Authority::new(Algorithm::ES256);
        let known = Arc::new(Mutex::new(HashSet::from([NAME, ALIASES[0], ALIASES[1], OTHER])));
        let (asked, gate) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(Semaphore::new(1000)));
        let resolver = {
            let (known, asked, gate) = (Arc::clone(&known), Arc::clone(&asked), Arc::clone(&gate));
            let (keys, audience) = (authority.key_set(), authority.audience().to_owned());
            IssuerResolver::new(move |iss: String| {
                let is_known = known.lock().expect("no panic").contains(&*iss);
                let name = if iss == OTHER { OTHER } else { NAME };
                let issuer = Issuer::new(name, keys.clone()).audience(&audience);
                let issuer = if name == NAME { make(issuer, &iss) } else { issuer };
                asked.lock().expect("no panic").push(iss);
                let gate = Arc::clone(&gate);
                async move {
                    gate.acquire().await.expect("it is open").forget();
                    Ok(is_known.then_some(issuer))
                }
            })
        };
        let verifier = Verifier::builder().resolver(resolver).build().expect("valid");
        Self { authority, verifier, known, asked, gate }
    }

    fn token(&self, iss: &str) -> String {
        self.authority.token().claim("iss", iss).sign()
    }

    async fn judge(&self, iss: &str) -> Result<(), Kind> {
        verdict(&self.verifier, &self.token(iss)).await
    }

    /// A request that asks about this name, and waits.
    async fn ask(&self, iss: &str) -> JoinHandle<Result<(), Kind>> {
        let (verifier, token) = (self.verifier.clone(), self.token(iss));
        let request = tokio::spawn(async move { verdict(&verifier, &token).await });
        while self.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        request
    }

    fn withdraw(&self) {
        self.known.lock().expect("no panic").retain(|name| *name == OTHER);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no panic"))
    }
}

/// All of a tenant's names.
fn with_all(issuer: Issuer, _: &str) -> Issuer {
    issuer.alias(ALIASES[0]).alias(ALIASES[1])
}

/// Its configured name, and the one that was asked for.
fn with_one(issuer: Issuer, iss: &str) -> Issuer {
    if iss == NAME { issuer } else { issuer.alias(iss) }
}

#[tokio::test]
async fn a_token_that_names_an_alias_is_remembered_too() {
    let authority = Authority::new(Algorithm::ES256);
    let (keys, audience) = (authority.key_set(), authority.audience().to_owned());
    let resolver = IssuerResolver::new(move |iss: String| {
        let issuer = with_all(Issuer::new(NAME, keys.clone()).audience(&audience), &iss);
        async move { Ok(Some(issuer)) }
    });
    let builder = Verifier::<Value>::builder().resolver(resolver).cache(TokenCache::new(10));
    let verifier = builder.build().expect("valid");
    for iss in [NAME, ALIASES[0], ALIASES[1]] {
        let token = authority.token().claim("iss", iss).sign();
        let first = verifier.verify(&token).await.expect("valid");
        let second = verifier.verify(&token).await.expect("valid");
        assert!(std::ptr::eq(first.claims(), second.claims()), "{iss} was verified again");
        assert_eq!(second.issuer(), Some(NAME));
    }
}

#[tokio::test]
async fn to_forget_an_issuer_by_any_of_its_names_forgets_it_under_all() {
    for make in [with_all as fn(Issuer, &str) -> Issuer, with_one] {
        for forgotten in [NAME, ALIASES[0], ALIASES[1]] {
            let world = World::new(make);
            for iss in [NAME, ALIASES[0], ALIASES[1], OTHER] {
                assert_eq!(world.judge(iss).await, Ok(()));
            }
            world.withdraw();
            world.verifier.forget_issuer(forgotten);
            for iss in [NAME, ALIASES[0], ALIASES[1]] {
                assert_eq!(world.judge(iss).await, Err(Kind::InvalidIssuer), "{iss} once {forgotten} is forgotten");
            }
            world.asked();
            assert_eq!(world.judge(OTHER).await, Ok(()));
            assert!(world.asked().is_empty(), "another is not asked about again");
        }
    }
}

#[tokio::test]
async fn what_a_token_says_of_its_issuer_is_enough_to_forget_it() {
    let world = World::new(with_all);
    let jwt = world.verifier.verify(&world.token(ALIASES[0])).await.expect("valid");
    world.withdraw();
    world.verifier.forget_issuer(jwt.issuer().expect("it has one"));
    assert_eq!(world.judge(ALIASES[0]).await, Err(Kind::InvalidIssuer));
}

#[tokio::test]
async fn an_answer_is_not_kept_if_its_issuer_was_forgotten_by_another_name_meanwhile() {
    let all = with_all as fn(Issuer, &str) -> Issuer;
    for (make, iss, forgotten, is_kept) in [
        (all, ALIASES[0], NAME, false),
        (all, ALIASES[0], ALIASES[1], false),
        (all, NAME, ALIASES[0], false),
        (with_one, ALIASES[0], NAME, false),
        // It has no other name.
        (all, OTHER, NAME, true),
    ] {
        let world = World::new(make);
        world.gate.forget_permits(1000);
        let early = world.ask(iss).await;
        world.withdraw();
        world.verifier.forget_issuer(forgotten);
        world.gate.add_permits(1000);
        assert_eq!(early.await.expect("no panic"), Ok(()), "it came before");
        let expected = if is_kept { Ok(()) } else { Err(Kind::InvalidIssuer) };
        assert_eq!(world.judge(iss).await, expected, "{iss}, and {forgotten} is forgotten");
        assert_eq!(world.asked().is_empty(), is_kept, "{iss}, and {forgotten} is forgotten");
    }
}

#[tokio::test]
async fn an_answer_to_a_question_from_after_an_issuer_was_forgotten_is_kept_while_an_older_one_is_open() {
    let world = World::new(with_all);
    world.gate.forget_permits(1000);
    let early = world.ask(ALIASES[0]).await;
    world.verifier.forget_issuer(NAME);
    let late = world.ask(ALIASES[0]).await;
    early.abort();
    assert!(early.await.is_err());
    world.gate.add_permits(1000);
    assert_eq!(late.await.expect("no panic"), Ok(()));
    assert_eq!(world.judge(ALIASES[0]).await, Ok(()));
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn to_forget_an_issuer_forgets_that_an_alias_of_it_was_refused() {
    let world = World::new(with_all);
    world.known.lock().expect("no panic").remove(ALIASES[0]);
    assert_eq!(world.judge(ALIASES[0]).await, Err(Kind::InvalidIssuer));
    assert_eq!(world.judge(NAME).await, Ok(()));
    world.known.lock().expect("no panic").insert(ALIASES[0]);
    assert_eq!(world.judge(ALIASES[0]).await, Err(Kind::InvalidIssuer), "remembered");
    world.verifier.forget_issuer(NAME);
    assert_eq!(world.judge(ALIASES[0]).await, Ok(()));
}

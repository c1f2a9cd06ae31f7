//! Known tenants whose time is over: who asks about them again, and what the others get meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::keys::KeyError;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::verify::IssuerResolver;
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, Verifier};

use crate::support::verdict;

const SECOND: Duration = Duration::from_secs(1);
/// A tenant's time, and what it is served for while nobody can say, less a second.
const TIME: Duration = Duration::from_secs(600);
const ALMOST_AN_HOUR: Duration = Duration::from_secs(3599);

/// What the database says of every tenant.
#[derive(Clone, Copy)]
enum Says {
    Yes,
    No,
    Down,
    /// Without an audience.
    Wrong,
}

struct World {
    clock: Clock,
    tenants: [Arc<Authority>; 2],
    verifier: Verifier<Value>,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    /// What was read takes until it is let go.
    is_slow: Arc<AtomicBool>,
    gate: Arc<Semaphore>,
}

impl World {
    /// Both tenants are known, and their time is over.
    async fn new(options: impl FnOnce(IssuerResolver) -> IssuerResolver) -> Self {
        let clock = Clock::manual(UnixTime::from_secs(1_700_000_000));
        let tenants = ["https://one.test", "https://other.test"]
            .map(|name| Arc::new(Authority::new(Algorithm::ES256).named(name).with_clock(clock.clone())));
        let (says, asked) = (Arc::new(Mutex::new(Says::Yes)), Arc::<AtomicUsize>::default());
        let (is_slow, gate) = (Arc::<AtomicBool>::default(), Arc::new(Semaphore::new(0)));
        let resolver = {
            let (tenants, says, asked) = (tenants.clone(), Arc::clone(&says), Arc::clone(&asked));
            let (is_slow, gate) = (Arc::clone(&is_slow), Arc::clone(&gate));
            IssuerResolver::new(move |iss: String| {
                asked.fetch_add(1, Ordering::Relaxed);
                let tenant = tenants.iter().find(|tenant| tenant.name() == iss).expect("one of the two");
                let answer = match *says.lock().expect("no panic") {
                    Says::Yes => Ok(Some(tenant.trusted())),
                    Says::No => Ok(None),
                    Says::Down => Err(KeyError::new("the database is down")),
                    Says::Wrong => Ok(Some(Issuer::new(iss, tenant.key_set()))),
                };
                let gate = is_slow.load(Ordering::Relaxed).then(|| Arc::clone(&gate));
                async move {
                    if let Some(gate) = gate {
                        gate.acquire().await.expect("it is open").forget();
                    }
                    answer
                }
            })
        };
        let builder = Verifier::builder().resolver(options(resolver)).clock(clock.clone());
        let verifier = builder.build().expect("valid");
        let world = Self { clock, tenants, verifier, says, asked, is_slow, gate };
        for n in [0, 1] {
            assert_eq!(verdict(&world.verifier, &world.token(n)).await, Ok(()));
        }
        assert_eq!(world.asked(), 2);
        world.clock.advance(TIME);
        world
    }

    fn token(&self, n: usize) -> String {
        self.tenants[n].token().expires_in(99_999).sign()
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    fn say(&self, what: Says) {
        *self.says.lock().expect("no panic") = what;
    }

    /// The verdict on the first tenant's token; nothing where it waits.
    async fn at_once(&self) -> Option<Result<(), Kind>> {
        self.at_once_of(0).await
    }

    async fn at_once_of(&self, n: usize) -> Option<Result<(), Kind>> {
        let token = self.token(n);
        tokio::time::timeout(Duration::ZERO, verdict(&self.verifier, &token)).await.ok()
    }

    /// A request that asks about the first tenant, and waits.
    async fn ask(&self) -> JoinHandle<Result<(), Kind>> {
        self.is_slow.store(true, Ordering::Relaxed);
        let (verifier, token, before) = (self.verifier.clone(), self.token(0), self.asked.load(Ordering::Relaxed));
        let request = tokio::spawn(async move { verdict(&verifier, &token).await });
        while self.asked.load(Ordering::Relaxed) == before {
            assert!(!request.is_finished(), "it does not ask");
            tokio::task::yield_now().await;
        }
        self.is_slow.store(false, Ordering::Relaxed);
        request
    }

    /// Lets go of one answer.
    async fn answered(&self, request: JoinHandle<Result<(), Kind>>) -> Result<(), Kind> {
        self.gate.add_permits(1);
        request.await.expect("no panic")
    }
}

#[tokio::test]
async fn one_request_asks_about_a_known_tenant_again_and_the_others_are_served_meanwhile() {
    for (says, expected) in [
        (Says::Yes, Ok(())),
        (Says::No, Err(Kind::InvalidIssuer)),
        (Says::Down, Ok(())),
        (Says::Wrong, Err(Kind::Misconfigured)),
    ] {
        let world = World::new(|resolver| resolver).await;
        world.say(says);
        let request = world.ask().await;
        for _ in 0..100 {
            assert_eq!(world.at_once().await, Some(Ok(())), "while the question is open");
        }
        assert_eq!(world.asked(), 1);
        assert_eq!(world.answered(request).await, expected);
        assert_eq!(world.at_once().await, Some(expected), "the answer holds for all");
        assert_eq!(world.asked(), usize::from(matches!(says, Says::Wrong)));
    }
}

#[tokio::test]
async fn a_known_tenant_whose_new_settings_cannot_work_is_served_no_longer_by_the_old_ones() {
    let world = World::new(|resolver| resolver).await;
    world.say(Says::Wrong);
    assert_eq!(world.at_once().await, Some(Err(Kind::Misconfigured)));
    let request = world.ask().await;
    assert_eq!(world.at_once().await, Some(Err(Kind::Misconfigured)), "while the question is open");
    assert_eq!(world.answered(request).await, Err(Kind::Misconfigured));
}

#[tokio::test]
async fn while_the_function_fails_it_is_asked_about_a_known_tenant_every_five_seconds() {
    let world = World::new(|resolver| resolver).await;
    world.say(Says::Down);
    // Five seconds from the failure, however long it took.
    let request = world.ask().await;
    world.clock.advance(5 * SECOND);
    assert_eq!(world.answered(request).await, Ok(()));
    assert_eq!(world.asked(), 1);
    for (later, asked) in [(Duration::ZERO, 0), (Duration::from_millis(4999), 0), (Duration::from_millis(1), 1)] {
        world.clock.advance(later);
        for _ in 0..100 {
            assert_eq!(world.at_once().await, Some(Ok(())));
        }
        assert_eq!(world.asked(), asked, "{later:?} later");
    }
    world.say(Says::No);
    world.clock.advance(5 * SECOND);
    assert_eq!(world.at_once().await, Some(Err(Kind::InvalidIssuer)), "it is back, and says no");
}

#[tokio::test]
async fn no_failure_prolongs_the_hour_for_which_a_known_tenant_is_served() {
    let world = World::new(|resolver| resolver).await;
    world.say(Says::Down);
    world.clock.advance(ALMOST_AN_HOUR);
    assert_eq!(world.at_once().await, Some(Ok(())));
    assert_eq!(world.asked(), 1);
    world.clock.advance(Duration::from_millis(999));
    assert_eq!(world.at_once().await, Some(Ok(())));
    assert_eq!(world.asked(), 0);
    world.clock.advance(Duration::from_millis(1));
    for _ in 0..3 {
        assert_eq!(world.at_once().await, Some(Err(Kind::KeysUnavailable)));
    }
    assert_eq!(world.asked(), 3, "then a failure is not remembered");
}

#[tokio::test]
async fn a_question_that_is_not_answered_does_not_prolong_the_hour() {
    let world = World::new(|resolver| resolver.most_waiting(1)).await;
    world.say(Says::Down);
    let request = world.ask().await;
    world.clock.advance(ALMOST_AN_HOUR);
    assert_eq!(world.at_once().await, Some(Ok(())));
    world.clock.advance(SECOND);
    assert_eq!(world.at_once().await, Some(Err(Kind::KeysUnavailable)), "the place is taken");
    assert_eq!(world.asked(), 1);
    assert_eq!(world.answered(request).await, Err(Kind::KeysUnavailable), "nor for the one who asked");
    world.say(Says::Yes);
    assert_eq!(world.at_once().await, Some(Ok(())));
}

#[tokio::test]
async fn a_request_that_goes_away_leaves_the_question_to_the_next() {
    let world = World::new(|resolver| resolver).await;
    for _ in 0..3 {
        let request = world.ask().await;
        assert_eq!(world.at_once().await, Some(Ok(())));
        request.abort();
        assert!(request.await.is_err_and(|error| error.is_cancelled()));
    }
    assert_eq!(world.asked(), 3);
    let request = world.ask().await;
    assert_eq!(world.answered(request).await, Ok(()));
    assert_eq!(world.at_once().await, Some(Ok(())));
    assert_eq!(world.asked(), 1);
}

/// Clients that ask and hang up, a forged token is enough, hold up no "no" and no new key.
#[tokio::test]
async fn a_no_is_heard_however_many_requests_go_away_before_it() {
    let world = World::new(|resolver| resolver).await;
    world.say(Says::No);
    for _ in 0..5 {
        let request = world.ask().await;
        assert_eq!(world.at_once().await, Some(Ok(())), "while the question is open");
        request.abort();
        assert!(request.await.is_err_and(|error| error.is_cancelled()));
        world.clock.advance(SECOND);
    }
    let request = world.ask().await;
    assert_eq!(world.at_once().await, Some(Err(Kind::InvalidIssuer)), "nobody is served before an answer");
    request.abort();
}

/// A function without a time limit of its own, on a database that hangs.
#[tokio::test]
async fn a_question_that_went_unanswered_for_five_seconds_is_a_failure() {
    let world = World::new(|resolver| resolver).await;
    for _ in 0..20 {
        let request = world.ask().await;
        assert_eq!(world.at_once().await, Some(Ok(())));
        world.clock.advance(5 * SECOND);
        request.abort();
        assert!(request.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(world.at_once().await, Some(Ok(())), "it is left alone");
        world.clock.advance(5 * SECOND);
    }
    assert_eq!(world.asked(), 20);
}

#[tokio::test]
async fn a_tenant_that_was_forgotten_is_served_no_longer_whatever_was_asked_before() {
    for (says, expected) in [(Says::Yes, Ok(())), (Says::Down, Err(Kind::KeysUnavailable))] {
        let world = World::new(|resolver| resolver).await;
        world.say(says);
        let request = world.ask().await;
        assert_eq!(world.at_once().await, Some(Ok(())));
        world.say(Says::Down);
        world.verifier.forget_issuer(world.tenants[0].name());
        assert_eq!(world.at_once().await, Some(Err(Kind::KeysUnavailable)));
        assert_eq!(world.answered(request).await, expected, "an answer is good for the one who asked");
        assert_eq!(world.at_once().await, Some(Err(Kind::KeysUnavailable)));
        world.say(Says::No);
        assert_eq!(world.at_once().await, Some(Err(Kind::InvalidIssuer)));
    }
}

#[tokio::test]
async fn a_question_from_before_a_tenant_was_forgotten_does_not_speak_for_one_from_after() {
    let world = World::new(|resolver| resolver).await;
    let early = world.ask().await;
    world.verifier.forget_issuer(world.tenants[0].name());
    assert_eq!(world.at_once().await, Some(Ok(())));
    world.clock.advance(TIME);
    let late = world.ask().await;
    assert_eq!(world.asked(), 3);
    early.abort();
    assert!(early.await.is_err());
    assert_eq!(world.at_once().await, Some(Ok(())));
    assert_eq!(world.asked(), 0, "the later one is open still");
    assert_eq!(world.answered(late).await, Ok(()));
}

#[tokio::test]
async fn while_no_place_is_free_a_known_tenant_is_served() {
    let world = World::new(|resolver| resolver.most_waiting(1)).await;
    let request = world.ask().await;
    assert_eq!(world.at_once_of(1).await, Some(Ok(())));
    assert_eq!(world.asked(), 1, "about the first");
    assert_eq!(world.answered(request).await, Ok(()));
    world.say(Says::No);
    assert_eq!(world.at_once_of(1).await, Some(Err(Kind::InvalidIssuer)));
    assert_eq!(world.asked(), 1, "it is asked about once there is a place");
}

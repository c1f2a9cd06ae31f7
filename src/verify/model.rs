//! Questions about issuers, and what is forgotten, at once.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use shuttle::future::{block_on, yield_now};
use shuttle::thread;

use super::issuer::Issuer;
use super::resolver::IssuerResolver;
use crate::clock::{Clock, UnixTime};
use crate::error::AuthErrorKind;
use crate::keys::{KeyError, KeyLookup, KeyQuery};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

fn issuer(name: String) -> Issuer {
    let keys = |_: &KeyQuery<'_>| KeyLookup::failed(KeyError::new("no model needs a key"));
    Issuer::new(name, keys).audience("orders")
}

/// A tenant that is trusted or not; nobody else is.
fn resolver(is_trusted: &Arc<AtomicBool>) -> Arc<IssuerResolver> {
    let is_trusted = Arc::clone(is_trusted);
    Arc::new(IssuerResolver::new(move |iss: String| {
        let is_trusted = Arc::clone(&is_trusted);
        async move {
            let answer = iss == "tenant" && is_trusted.load(Ordering::SeqCst);
            thread::yield_now();
            Ok(answer.then(|| issuer(iss)))
        }
    }))
}

fn ask(resolver: &Arc<IssuerResolver>, iss: &'static str) -> thread::JoinHandle<Result<(), AuthErrorKind>> {
    ask_at(resolver, iss, NOW)
}

fn ask_at(
    resolver: &Arc<IssuerResolver>,
    iss: &'static str,
    now: UnixTime,
) -> thread::JoinHandle<Result<(), AuthErrorKind>> {
    let resolver = Arc::clone(resolver);
    let clock = Clock::manual(now);
    thread::spawn(move || block_on(resolver.resolve(iss, &clock)).map(drop).map_err(|error| error.kind()))
}

/// What is remembered of the tenant.
fn recall(resolver: &IssuerResolver) -> Option<bool> {
    recall_at(resolver, NOW)
}

fn recall_at(resolver: &IssuerResolver, now: UnixTime) -> Option<bool> {
    resolver.recall("tenant", now).map(|known| known.is_ok())
}

/// The tenant is withdrawn and forgotten while requests ask about it.
pub fn no_answer_from_before_an_issuer_was_forgotten_is_kept() {
    let is_trusted = Arc::new(AtomicBool::new(true));
    let resolver = resolver(&is_trusted);
    let asked = [ask(&resolver, "tenant"), ask(&resolver, "tenant")];
    is_trusted.store(false, Ordering::SeqCst);
    resolver.forget("tenant");
    assert_ne!(recall(&resolver), Some(true));
    for question in asked {
        let _ = question.join().expect("no panic");
    }
    assert_ne!(recall(&resolver), Some(true));
    assert!(resolver.is_idle());
}

/// The same, where they ask by another of its names.
pub fn no_answer_about_an_alias_from_before_its_issuer_was_forgotten_is_kept() {
    let is_trusted = Arc::new(AtomicBool::new(true));
    let says = Arc::clone(&is_trusted);
    let resolver = Arc::new(IssuerResolver::new(move |iss: String| {
        let says = Arc::clone(&says);
        async move {
            let answer = says.load(Ordering::SeqCst);
            thread::yield_now();
            Ok(answer.then(|| issuer("tenant".to_owned()).alias(iss)))
        }
    }));
    let recall = || resolver.recall("alias", NOW).map(|known| known.is_ok());
    let asked = [ask(&resolver, "alias"), ask(&resolver, "alias")];
    is_trusted.store(false, Ordering::SeqCst);
    resolver.forget("tenant");
    assert_ne!(recall(), Some(true));
    for question in asked {
        let _ = question.join().expect("no panic");
    }
    assert_ne!(recall(), Some(true));
    assert!(resolver.is_idle());
}

/// The tenant is added and forgotten while requests ask about it.
pub fn no_refusal_from_before_an_issuer_was_forgotten_is_kept() {
    let is_trusted = Arc::new(AtomicBool::new(false));
    let resolver = resolver(&is_trusted);
    let asked = [ask(&resolver, "tenant"), ask(&resolver, "tenant")];
    is_trusted.store(true, Ordering::SeqCst);
    resolver.forget("tenant");
    assert_ne!(recall(&resolver), Some(false));
    for question in asked {
        let _ = question.join().expect("no panic");
    }
    assert_ne!(recall(&resolver), Some(false));
    assert!(resolver.is_idle());
}

/// Or those who invent names would keep everybody else's answers from being kept.
pub fn a_refused_name_does_not_disturb_the_answer_about_another() {
    let resolver = resolver(&Arc::new(AtomicBool::new(true)));
    let (known, invented) = (ask(&resolver, "tenant"), ask(&resolver, "nobody"));
    assert_eq!(known.join().expect("no panic"), Ok(()));
    assert_eq!(invented.join().expect("no panic"), Err(AuthErrorKind::InvalidIssuer));
    assert_eq!(recall(&resolver), Some(true));
    assert!(resolver.is_idle());
}

/// One may wait: of three that come, one at least is answered, and no two are asked at once.
pub fn questions_about_issuers_keep_their_bound() {
    let asking = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asking);
    let resolver = IssuerResolver::new(move |iss: String| {
        let asking = Arc::clone(&counted);
        async move {
            assert_eq!(asking.fetch_add(1, Ordering::SeqCst), 0, "another is asked");
            thread::yield_now();
            asking.fetch_sub(1, Ordering::SeqCst);
            Ok(Some(issuer(iss)))
        }
    });
    let resolver = Arc::new(resolver.most_waiting(1));
    let asked = ["a", "b", "c"].map(|iss| ask(&resolver, iss)).map(|question| question.join().expect("no panic"));
    assert!(asked.contains(&Ok(())));
    assert!(asked.iter().all(|answer| matches!(answer, Ok(()) | Err(AuthErrorKind::KeysUnavailable))), "{asked:?}");
    assert!(resolver.is_idle());
}

/// A tenant that is known and whose time is over, and what the function will say: it counts the questions.
fn overdue(answer: Result<bool, KeyError>) -> (Arc<IssuerResolver>, Arc<AtomicUsize>, UnixTime) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let resolver = IssuerResolver::new(move |iss: String| {
        let is_first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        let answer = if is_first { Ok(true) } else { answer.clone() };
        async move {
            yield_now().await;
            answer.map(|is_trusted| is_trusted.then(|| issuer(iss)))
        }
    });
    let resolver = Arc::new(resolver);
    assert_eq!(ask(&resolver, "tenant").join().expect("no panic"), Ok(()));
    asked.store(1, Ordering::SeqCst);
    (resolver, asked, NOW.plus(Duration::from_secs(601)))
}

/// Whatever the answer is, one request brings it; the others are served until it is there.
pub fn one_request_asks_about_a_known_issuer_again() {
    for (answer, expected) in [
        (Ok(true), Ok(())),
        (Err(KeyError::new("the database is away")), Ok(())),
        (Ok(false), Err(AuthErrorKind::InvalidIssuer)),
    ] {
        let (resolver, asked, now) = overdue(answer);
        let answers = [(); 3].map(|()| ask_at(&resolver, "tenant", now)).map(|asked| asked.join().expect("no panic"));
        assert!(answers.iter().all(|answer| *answer == Ok(()) || *answer == expected), "{answers:?}");
        assert!(answers.contains(&expected), "the one who asked knows");
        assert_eq!(recall_at(&resolver, now), Some(expected.is_ok()));
        if expected.is_ok() {
            assert_eq!(asked.load(Ordering::SeqCst), 2, "asked once more than at first");
        }
        assert!(resolver.is_idle());
    }
}

/// The request that asks goes away while others come.
pub fn a_request_that_goes_away_leaves_the_question_to_another() {
    let (resolver, asked, now) = overdue(Ok(true));
    let gone = {
        let resolver = Arc::clone(&resolver);
        thread::spawn(move || {
            let clock = Clock::manual(now);
            let question = pin!(resolver.resolve("tenant", &clock));
            let _ = question.poll(&mut Context::from_waker(Waker::noop()));
        })
    };
    let other = ask_at(&resolver, "tenant", now);
    gone.join().expect("no panic");
    assert_eq!(other.join().expect("no panic"), Ok(()));
    assert!(resolver.is_idle());
    assert_eq!(ask_at(&resolver, "tenant", now).join().expect("no panic"), Ok(()));
    assert_eq!(recall_at(&resolver, now), Some(true));
    assert!(asked.load(Ordering::SeqCst) > 1);
}

/// The tenant is forgotten while requests ask about it again and the function fails.
pub fn nothing_is_served_of_an_issuer_that_was_forgotten_while_it_was_asked_about_again() {
    let (resolver, _, now) = overdue(Err(KeyError::new("the database is away")));
    let asked = [(); 2].map(|()| ask_at(&resolver, "tenant", now));
    resolver.forget("tenant");
    assert_eq!(recall_at(&resolver, now), None);
    assert_eq!(ask_at(&resolver, "tenant", now).join().expect("no panic"), Err(AuthErrorKind::KeysUnavailable));
    for question in asked {
        let _ = question.join().expect("no panic");
    }
    assert_eq!(recall_at(&resolver, now), None);
    assert!(resolver.is_idle());
}

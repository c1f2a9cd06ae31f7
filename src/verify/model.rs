//! Questions about issuers, and what is forgotten, at once.

use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::thread;

use super::issuer::Issuer;
use super::resolver::IssuerResolver;
use crate::clock::UnixTime;
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
    let resolver = Arc::clone(resolver);
    thread::spawn(move || block_on(resolver.resolve(iss, NOW)).map(drop).map_err(|error| error.kind()))
}

/// What is remembered of the tenant.
fn recall(resolver: &IssuerResolver) -> Option<bool> {
    resolver.recall("tenant", NOW).map(|known| known.is_ok())
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

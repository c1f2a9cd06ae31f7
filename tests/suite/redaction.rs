//! Nothing of a token or a key reaches `Debug`, `Display`, errors, events or answers: of no public type, for a type that
//! was not shown while it held a secret fails the test.

mod answers;
mod complete;
mod issuing;
mod keys;
mod log;
#[cfg(feature = "remote")]
mod remote;
mod settings;
mod shared;
mod tokens;

use std::any::type_name;
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) use self::log::Log;

const CANARY: &str = "CanaryCanaryCanaryCanaryCanaryCanary";

/// All that was shown, and what must not be in it.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    text: String,
    types: BTreeSet<&'static str>,
    secrets: BTreeSet<String>,
    answers: usize,
}

impl Seen {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("not poisoned")
    }

    /// What anybody can print of a value.
    fn show<T: Debug + ?Sized>(&self, value: &T) {
        let text = format!("\n{value:?} {value:#?}");
        let mut inner = self.inner();
        inner.types.extend(path_of(type_name::<T>()));
        inner.text.push_str(&text);
    }

    /// What anybody can print of an error, its causes included.
    fn fail<E: Error>(&self, error: &E) {
        self.show(error);
        self.say(error);
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        causes.for_each(|cause| self.say(cause));
    }

    fn say(&self, text: impl Display) {
        let text = format!("\n{text} {text:#}");
        self.inner().text.push_str(&text);
    }

    /// One more text that must be nowhere.
    fn hide(&self, secret: &str) {
        // A shorter one may be part of anything.
        if secret.len() > 16 {
            self.inner().secrets.insert(secret.to_owned());
        }
    }

    /// A token: each of its segments must be nowhere.
    fn hide_token(&self, token: &str) {
        token.split('.').for_each(|segment| self.hide(segment));
    }

    /// Panics where a secret is in what was shown, or in the events.
    fn check(&self, events: &str) {
        let inner = self.inner();
        let mut forbidden = spellings(CANARY.as_bytes());
        forbidden.extend(inner.secrets.iter().cloned());
        for (what, text) in [("shown", &*inner.text), ("events", events)] {
            // The lines of `{:#?}` as one.
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for secret in &forbidden {
                let found = text.find(secret.as_str()).map(|at| &text[at.saturating_sub(200)..at + secret.len()]);
                assert_eq!(found, None, "{what}");
            }
        }
    }
}

/// Where a type of this crate is defined, without what it is generic over.
fn path_of(name: &'static str) -> Option<&'static str> {
    name.split('<').next()?.strip_prefix("tower_jwt_auth::")
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// Bytes as text, in base64 wherever they begin, in hexadecimal, and as `Debug` lists them.
fn spellings(secret: &[u8]) -> Vec<String> {
    let start = &secret[..12];
    let hex = hex(start);
    let list: Vec<_> = start.iter().map(ToString::to_string).collect();
    let base64 = (0..3).map(|shift| {
        let text = URL_SAFE_NO_PAD.encode([&[0; 3][..shift], start].concat());
        text[4..text.len() - 3].to_owned()
    });
    let text = String::from_utf8(start.to_vec()).expect("UTF-8");
    [text, hex.to_uppercase(), hex, list.join(", ")].into_iter().chain(base64).collect()
}

#[tokio::test]
async fn a_canary_in_tokens_and_keys_is_seen_nowhere() {
    let (log, seen) = (Log::start(), Seen::default());
    keys::show(&seen).await;
    settings::show(&seen);
    tokens::show(&seen).await;
    answers::show(&seen).await;
    issuing::show(&seen).await;
    shared::show(&seen).await;
    #[cfg(feature = "remote")]
    remote::show(&seen).await;
    let events = log.text();
    seen.check(&events);
    complete::check_types(&seen.inner().types);
    complete::check_events(&events);
    let inner = seen.inner();
    println!(
        "{} types, {} answers, {} events, {} secrets",
        inner.types.len(),
        inner.answers,
        events.lines().count(),
        inner.secrets.len() + 1
    );
}

#[test]
fn a_secret_is_found_in_every_spelling() {
    let spellings = [
        CANARY.to_owned(),
        format!("{:?}", CANARY.as_bytes()),
        format!("{:#?}", CANARY.as_bytes()),
        URL_SAFE_NO_PAD.encode(CANARY),
        URL_SAFE_NO_PAD.encode(format!("x{CANARY}")),
        URL_SAFE_NO_PAD.encode(format!("xx{CANARY}")),
        hex(CANARY.as_bytes()),
    ];
    for spelling in spellings {
        for place in [0, 1] {
            let seen = Seen::default();
            let events = if place == 0 { "" } else { &spelling };
            if place == 0 {
                seen.say(&spelling);
            }
            assert!(std::panic::catch_unwind(|| seen.check(events)).is_err(), "{spelling}");
        }
    }
    let seen = Seen::default();
    seen.hide_token("a-segment-that-is-long-enough.b.c");
    seen.say("a-segment-that-is-long-enough");
    assert!(std::panic::catch_unwind(|| seen.check("")).is_err());
}

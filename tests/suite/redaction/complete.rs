//! Whether every public type was shown, and every event was sent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Types that can hold nothing, or that nobody outside of the crate gets a value of.
const EMPTY: &[(&str, &str)] = &[
    ("admission::Admission", "has no public path"),
    ("authorize::require::PredicateRule", "a parameter of `Guard`: nobody gets a value"),
    ("authorize::scopes::ScopeRule", "a parameter of `Guard`: nobody gets a value"),
    ("authorize::step_up::StepUpRule", "a parameter of `Guard`: nobody gets a value"),
    ("clock::UnixTime", "a number"),
    ("error::AuthErrorKind", "one of a fixed list"),
    ("forward::relay::error::RelayErrorKind", "one of a fixed list"),
    ("issue::error::IssueErrorKind", "one of a fixed list"),
    ("issue::refresh::error::RefreshErrorKind", "one of a fixed list"),
    ("issue::ring::state::KeyPhase", "one of a fixed list"),
    ("jose::algorithm::Algorithm", "one of a fixed list"),
    ("jose::algorithm::AlgorithmSet", "a set of a fixed list"),
    ("rejection::make::EmptyBody", "has no field"),
    ("rejection::make::ProblemJson", "has no field"),
    ("revocation::check::RevocationVerdict", "one of a fixed list, or a time"),
    ("revocation::error::RevokeErrorKind", "one of a fixed list"),
    ("verify::explain::Check", "one of a fixed list"),
];

/// Every public type was shown, or stands in the list, and not both.
pub(super) fn check_types(shown: &BTreeSet<&'static str>) {
    let types = public_types();
    let empty: BTreeSet<_> = EMPTY.iter().map(|(name, _)| *name).collect();
    let missing: Vec<_> = types.iter().filter(|name| !shown.contains(&***name) && !empty.contains(&***name)).collect();
    assert!(missing.is_empty(), "show these while they hold a secret: {missing:#?}");
    let stale: Vec<_> = empty.iter().filter(|name| shown.contains(**name) || !types.contains(**name)).collect();
    assert!(stale.is_empty(), "take these off the list: {stale:#?}");
    assert!(types.len() > 100, "the sources were read");
}

/// Every event of the crate was sent.
pub(super) fn check_events(events: &str) {
    let source = std::fs::read_to_string(src().join("events/mod.rs")).expect("a source");
    let messages = source.split("tracing::").skip(1).filter_map(|rest| {
        let (level, rest) = rest.split_once("!(")?;
        if !matches!(level, "debug" | "info" | "warn" | "error") {
            return None;
        }
        // The message is the last string of the call; its end, after what is formatted into it, is enough.
        let call = rest.split_once(");").map_or(rest, |(call, _)| call);
        let text = call.rsplit('"').nth(1).expect("a message");
        Some(text.trim_start_matches("{what}").split(" (").next().unwrap_or(text).trim_end_matches('\\').to_owned())
    });
    let messages: Vec<_> = messages.collect();
    assert!(messages.len() > 10, "the source was read: {messages:?}");
    let is_remote = |message: &str| message.starts_with("keys ");
    for message in messages.iter().filter(|message| cfg!(feature = "remote") || !is_remote(message)) {
        assert!(events.contains(message.as_str()), "no scenario sends {message:?}");
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Where `pub struct` and `pub enum` stand in the sources, as `type_name` has it.
fn public_types() -> BTreeSet<String> {
    let (mut types, mut folders) = (BTreeSet::new(), vec![src()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                read(&path, &mut types);
            }
        }
    }
    types
}

fn read(file: &Path, types: &mut BTreeSet<String>) {
    let relative = file.strip_prefix(src()).expect("below it").with_extension("");
    let mut module: Vec<_> = relative.iter().map(|part| part.to_str().expect("UTF-8")).collect();
    if module.last() == Some(&"mod") {
        module.pop();
    }
    let is_out = |is_on: bool, place: &[&str]| !is_on && module.starts_with(place);
    let has_remote = cfg!(feature = "remote");
    if is_out(has_remote, &["keys", "remote"])
        || is_out(has_remote, &["testing", "provider"])
        || is_out(cfg!(feature = "config"), &["config"])
    {
        return;
    }
    for line in std::fs::read_to_string(file).expect("a source").lines() {
        let line = line.trim_start();
        let kinds = ["pub struct ", "pub enum ", "pub union "];
        let Some(rest) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) else { continue };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        types.insert([module.join("::"), name].join("::"));
    }
}

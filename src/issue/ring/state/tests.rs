use super::*;
use crate::crypto::assert_wiped;

const _: fn(&Entry, &Fresh) = |entry, fresh| {
    assert_wiped(&entry.private);
    assert_wiped(&fresh.private);
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MILLI: Duration = Duration::from_millis(1);

/// The defaults.
fn rules() -> Rules {
    Rules {
        algorithm: Algorithm::EdDSA,
        max_age: 5 * MINUTE,
        ahead: 10 * MINUTE,
        stale_for: HOUR,
        longest: HOUR,
        leeway: 5 * MINUTE,
        every: Some(30 * DAY),
    }
}

fn start() -> UnixTime {
    UnixTime::from_secs(1_700_000_000)
}

fn change(state: &State, change: &Change, now: UnixTime, rules: &Rules) -> State {
    let is_wanted = state.wants_key(change, now, rules);
    let fresh = is_wanted.then(|| Fresh::generate(rules.algorithm).expect("every backend has it"));
    let next = state.after(change, now, rules, fresh).expect("possible");
    if let Some(next) = &next {
        assert_eq!(next.version, state.version + 1);
    } else {
        assert!(!is_wanted, "a key was asked for in vain");
    }
    next.unwrap_or_else(|| state.clone())
}

fn begun() -> State {
    change(&State::default(), &Change::Scheduled, start(), &rules())
}

fn phases(state: &State, now: UnixTime) -> Vec<KeyPhase> {
    state.published(now).map(|(_, phase)| phase).collect()
}

fn kids(state: &State, now: UnixTime) -> Vec<String> {
    state.published(now).filter_map(|(entry, _)| entry.key.kid()).map(str::to_owned).collect()
}

fn signer(state: &State, now: UnixTime) -> String {
    state.signing(now).and_then(|entry| entry.key.kid()).expect("some key signs").to_owned()
}

use KeyPhase::{Published, Retiring, Signing};

#[test]
fn the_first_key_signs_at_once_and_a_clock_that_is_behind_does_not_matter() {
    let state = begun();
    assert_eq!(phases(&state, start()), [Signing]);
    assert_eq!(phases(&state, start().minus(MINUTE)), [Signing]);
    assert!(state.signing(start().minus(MINUTE)).is_some());
    assert!(State::default().signing(start()).is_none());
}

#[test]
fn a_key_is_published_twice_the_max_age_before_it_signs_and_leaves_5_minutes_after_its_last_token() {
    let rules = rules();
    let now = start().plus(HOUR);
    let state = change(&begun(), &Change::Rotate, now, &rules);
    let signs = now.plus(2 * rules.max_age);
    // An instance that missed the change signs for `stale_for`, a token that lives for `longest`; then 5 minutes.
    let leaves = signs.plus(HOUR + HOUR + 5 * MINUTE);
    let cases = [
        (now, vec![Signing, Published]),
        (signs.minus(MILLI), vec![Signing, Published]),
        (signs, vec![Retiring, Signing]),
        (leaves.minus(MILLI), vec![Retiring, Signing]),
        (leaves, vec![Signing]),
    ];
    for (at, expected) in cases {
        assert_eq!(phases(&state, at), expected, "{at:?}");
    }
    assert_eq!(state.next_signs_from(now), Some(signs));
    assert_eq!(state.next_signs_from(signs), None);

    // The private key that has left is forgotten, once.
    let earlier = change(&state, &Change::Scheduled, leaves.minus(MILLI), &rules);
    assert_eq!((earlier.version, earlier.keys.len()), (state.version, 2));
    let later = change(&state, &Change::Scheduled, leaves, &rules);
    assert_eq!((later.version, later.keys.len()), (state.version + 1, 1));
}

#[test]
fn the_schedule_publishes_a_key_in_time_for_the_old_one_s_end() {
    let rules = rules();
    let state = begun();
    let due = start().plus(30 * DAY).minus(rules.ahead);
    assert!(!state.wants_key(&Change::Scheduled, due.minus(MILLI), &rules));
    assert!(state.wants_key(&Change::Scheduled, due, &rules));
    let next = change(&state, &Change::Scheduled, due, &rules);
    assert_eq!(next.next_signs_from(due), Some(start().plus(30 * DAY)));
    assert!(!next.wants_key(&Change::Scheduled, due.plus(MINUTE), &rules), "once");

    // After a long night the old key signs on while the new one becomes known.
    let late = start().plus(300 * DAY);
    let next = change(&state, &Change::Scheduled, late, &rules);
    assert_eq!(phases(&next, late.plus(rules.ahead).minus(MILLI)), [Signing, Published]);
    assert_eq!(phases(&next, late.plus(rules.ahead)), [Retiring, Signing]);

    let by_hand = Rules { every: None, ..rules };
    assert!(!state.wants_key(&Change::Scheduled, late, &by_hand));
}

#[test]
fn a_rotation_while_a_key_waits_is_that_rotation() {
    let rules = rules();
    let state = change(&begun(), &Change::Rotate, start(), &rules);
    let again = change(&state, &Change::Rotate, start().plus(MINUTE), &rules);
    assert_eq!(kids(&again, start()), kids(&state, start()));
    assert_eq!(again.version, state.version);
    let after = change(&state, &Change::Rotate, start().plus(rules.ahead), &rules);
    assert_eq!(phases(&after, start().plus(rules.ahead)), [Retiring, Signing, Published]);
}

#[test]
fn a_withdrawn_key_is_gone_at_once_and_another_signs() {
    let rules = rules();
    let withdraw = |state: &State, at: usize, now: UnixTime| {
        change(state, &Change::Withdraw(kids(state, now)[at].clone()), now, &rules)
    };
    let now = start().plus(HOUR);

    // The only one: a fresh one signs at once.
    let state = begun();
    let next = withdraw(&state, 0, now);
    assert_eq!(phases(&next, now), [Signing]);
    assert_ne!(kids(&next, now), kids(&state, now));

    // Signing, with one that waits: that one signs at once.
    let state = change(&begun(), &Change::Rotate, now, &rules);
    let next = withdraw(&state, 0, now.plus(MINUTE));
    assert_eq!(kids(&next, now.plus(MINUTE)), kids(&state, now)[1..]);
    assert_eq!(phases(&next, now.plus(MINUTE)), [Signing]);

    // Waiting: the one that signs goes on, and the schedule brings another.
    let next = withdraw(&state, 1, now.plus(MINUTE));
    assert_eq!(kids(&next, now), kids(&state, now)[..1]);
    assert!(change(&next, &Change::Scheduled, now.plus(30 * DAY), &rules).keys.len() == 2);

    // Signing, with one that retires: verifiers know it, so it signs until a fresh one is known.
    let later = now.plus(rules.ahead);
    let next = withdraw(&state, 1, later);
    assert_eq!(signer(&next, later), kids(&state, later)[0]);
    assert_eq!(phases(&next, later), [Signing, Published]);
    assert_eq!(phases(&next, later.plus(rules.ahead)), [Retiring, Signing]);

    // Retiring: nothing else changes.
    let next = withdraw(&state, 0, later);
    assert_eq!(phases(&next, later), [Signing]);
    assert_eq!(kids(&next, later), kids(&state, later)[1..]);

    let unknown = state.after(&Change::Withdraw("unknown".to_owned()), now, &rules, None);
    assert!(unknown.is_err());
}

#[test]
fn tokens_that_may_live_longer_keep_keys_longer_and_never_shorter() {
    let now = start().plus(HOUR);
    let state = change(&begun(), &Change::Rotate, now, &rules());
    let longer = Rules { longest: DAY, ..rules() };
    let raised = change(&state, &Change::Scheduled, now, &longer);
    assert_eq!(raised.version, state.version + 1);
    let leaves = now.plus(rules().ahead).plus(HOUR + DAY + 5 * MINUTE);
    assert_eq!(phases(&raised, leaves.minus(MILLI)), [Retiring, Signing]);
    assert_eq!(phases(&raised, leaves), [Signing]);
    assert_eq!(change(&raised, &Change::Scheduled, now, &rules()).version, raised.version);
    assert_eq!(change(&raised, &Change::Scheduled, now, &longer).version, raised.version);
}

#[test]
fn a_ring_holds_64_keys() {
    let endless = Rules { longest: 1000 * DAY, ..rules() };
    let (mut state, mut now) = (begun(), start());
    for _ in 1..MOST_KEYS {
        now = now.plus(endless.ahead);
        state = change(&state, &Change::Rotate, now, &endless);
    }
    assert_eq!(kids(&state, now).len(), MOST_KEYS);
    let fresh = Fresh::generate(Algorithm::EdDSA).expect("every backend has it");
    assert!(state.after(&Change::Rotate, now.plus(endless.ahead), &endless, Some(fresh)).is_err());
}

#[test]
fn a_state_is_read_back_as_it_was_written_and_nothing_else_is_read() {
    let rules = Rules { algorithm: Algorithm::ES256, ..rules() };
    let state = change(&begun(), &Change::Rotate, start(), &rules);
    let document = state.to_document().expect("written");
    let read = State::from_document(&document).expect("read");
    assert_eq!((read.version, kids(&read, start())), (2, kids(&state, start())));
    for at in [start(), start().plus(rules.ahead), start().plus(DAY)] {
        assert_eq!(phases(&read, at), phases(&state, at));
    }
    assert_eq!(read.to_document(), Ok(document.clone()));
    assert!(!format!("{document:?}").contains("private"));

    let text = std::str::from_utf8(document.as_bytes()).expect("JSON");
    let broken = [
        text.replace("\"format\":1", "\"format\":2"),
        text.replace("\"version\":2", "\"version\":3"),
        text.replace("EdDSA", "ES256"),
        text.replace("EdDSA", "HS256"),
        text.replace("\"signs_from\":1700000000000", "\"signs_from\":1800000000000"),
        text[..text.len() - 1].to_owned(),
        r#"{"format":1,"version":2,"keys":[]}"#.to_owned(),
    ];
    for broken in broken {
        assert_ne!(broken, text);
        let error = State::from_document(&KeyRingDocument::new(2, broken.into_bytes())).err().expect("refused");
        assert!(!error.to_string().contains("MC4"), "{error}");
    }
}

/// Rotations by hand and by schedule at odd times: what signs was published long enough before, and stays long enough.
#[test]
fn through_any_history_what_signs_is_known_before_and_after() {
    let rules = Rules { stale_for: 7 * MINUTE, longest: 9 * MINUTE, every: Some(20 * MINUTE), ..rules() };
    let (mut state, mut now, mut random) = (State::default(), start(), 7_u64);
    let mut seen: Vec<(UnixTime, Vec<String>, String)> = Vec::new();
    for _ in 0..3000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let what = if random.is_multiple_of(11) { Change::Rotate } else { Change::Scheduled };
        state = change(&state, &what, now, &rules);
        assert_eq!(phases(&state, now).iter().filter(|phase| **phase == Signing).count(), 1);
        seen.push((now, kids(&state, now), signer(&state, now)));
        now = now.plus(Duration::from_millis(random % 90_000));
    }
    let first = seen[0].2.clone();
    let signers: std::collections::HashSet<_> = seen.iter().map(|(_, _, signer)| signer).collect();
    assert!(signers.len() > 50, "{}", signers.len());
    for (at, _, signer) in seen.iter().filter(|(_, _, signer)| *signer != first) {
        let window = at.minus(rules.ahead)..=at.plus(rules.outlives().saturating_sub(MILLI));
        for (_, published, _) in seen.iter().filter(|(when, _, _)| window.contains(when)) {
            assert!(published.contains(signer), "{signer} signs at {at:?} and is not published then");
        }
    }
    assert!(seen.iter().all(|(_, published, _)| published.len() <= 4), "and keys do leave");
}

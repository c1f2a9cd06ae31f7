//! Times in words, for explanations.

use std::time::Duration;

use crate::claims::{Registered, Time};
use crate::clock::UnixTime;

/// What the times of a token mean now, each part with `; ` behind it.
pub(super) fn times(claims: &Registered<'_>, now: UnixTime, leeway: Duration) -> String {
    let mut words = String::new();
    let mut say = |part: String| words = std::mem::take(&mut words) + &part + "; ";
    let spared = |distance: i64| {
        let leeway = i64::try_from(leeway.as_secs()).unwrap_or(i64::MAX);
        if distance < leeway { ", within the leeway" } else { "" }
    };
    if let Time::At(exp) = claims.exp {
        match distance(now, exp) {
            left @ 1.. => say(format!("valid for {} more", span(left))),
            past => say(format!("expired {} ago{}", span(-past), spared(-past))),
        }
    }
    if let Time::At(nbf) = claims.nbf
        && let ahead @ 1.. = distance(now, nbf)
    {
        say(format!("valid only {} from now{}", span(ahead), spared(ahead - 1)));
    }
    if let Time::At(iat) = claims.iat {
        match distance(now, iat) {
            ahead @ 1.. => say(format!("issued {} from now: the clocks differ", span(ahead))),
            past => say(format!("issued {} ago", span(-past))),
        }
    }
    words
}

/// Whole seconds from the first to the second.
fn distance(from: UnixTime, to: UnixTime) -> i64 {
    to.as_secs().saturating_sub(from.as_secs())
}

/// A number of seconds in its largest unit and the next one: `4 minutes 10 seconds`, `3 days`.
fn span(seconds: i64) -> String {
    let units = [(365 * 86_400, "year"), (86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let first = units.iter().position(|(length, _)| seconds >= *length).unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let mut words = Vec::new();
    for (length, unit) in &units[first..units.len().min(first + 2)] {
        let count = rest / length;
        rest %= length;
        if count > 0 || words.is_empty() {
            let plural = if count == 1 { "" } else { "s" };
            words.push(format!("{count} {unit}{plural}"));
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_two_largest_units() {
        let cases = [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (250, "4 minutes 10 seconds"),
            (3600, "1 hour"),
            (3601, "1 hour"),
            (7260, "2 hours 1 minute"),
            (86_400 + 3600, "1 day 1 hour"),
            (400 * 86_400, "1 year 35 days"),
            (i64::MAX, "292471208677 years 195 days"),
        ];
        for (seconds, words) in cases {
            assert_eq!(span(seconds), words);
        }
    }

    #[test]
    fn every_time_says_which_side_of_now_it_is_on() {
        let now = UnixTime::from_secs(1_000_000);
        let at = |offset: i64| Time::At(UnixTime::from_secs(1_000_000 + offset));
        let none = Time::Absent;
        let cases = [
            (at(250), none, at(-50), "valid for 4 minutes 10 seconds more; issued 50 seconds ago; "),
            (at(-180), none, none, "expired 3 minutes ago; "),
            (at(0), none, none, "expired 0 seconds ago, within the leeway; "),
            (at(-29), none, none, "expired 29 seconds ago, within the leeway; "),
            (at(-30), none, none, "expired 30 seconds ago; "),
            (none, at(30), none, "valid only 30 seconds from now, within the leeway; "),
            (none, at(31), none, "valid only 31 seconds from now; "),
            (none, at(0), at(60), "issued 1 minute from now: the clocks differ; "),
            (Time::Wrong, none, none, ""),
            (Time::At(UnixTime::from_secs(i64::MIN)), none, none, "expired 292471208 years 258 days ago; "),
        ];
        for (exp, nbf, iat, words) in cases {
            let claims = Registered { exp, nbf, iat, ..Registered::default() };
            assert_eq!(times(&claims, now, Duration::from_secs(30)), words, "{exp:?} {nbf:?} {iat:?}");
        }
    }
}

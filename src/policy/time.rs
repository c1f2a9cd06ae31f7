//! `exp`, `nbf` and `iat` (RFC 7519 §4.1.4 to §4.1.6).
//!
//! - Expired when now ≥ exp + leeway; early when now < nbf − leeway.
//! - A time that is there and is no number is refused, needed or not (CVE-2026-25537).

use std::time::Duration;

use crate::claims::{Registered, Time};
use crate::clock::UnixTime;
use crate::error::AuthErrorKind;

/// The largest leeway that can be set.
pub(crate) const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);

/// An issuer's rules of time.
#[derive(Clone, Debug)]
pub(crate) struct TimeRule {
    pub(crate) leeway: Duration,
    pub(crate) may_lack_expiry: bool,
    pub(crate) max_age: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
}

impl Default for TimeRule {
    fn default() -> Self {
        Self { leeway: Duration::from_secs(30), may_lack_expiry: false, max_age: None, max_lifetime: None }
    }
}

/// The times of a token that are there, all of them numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    exp: Stamp,
    nbf: Stamp,
    iat: Stamp,
    auth_time: Stamp,
}

/// A time that may be absent, in eight bytes: every remembered token holds four.
#[derive(Clone, Copy, Debug)]
struct Stamp(UnixTime);

impl Stamp {
    const ABSENT: Self = Self(UnixTime::MIN);

    /// The earliest time of all stands for none, and becomes the one after it.
    fn new(time: Option<UnixTime>) -> Self {
        time.map_or(Self::ABSENT, |time| Self(time.max(UnixTime::MIN.plus(Duration::from_millis(1)))))
    }

    fn get(self) -> Option<UnixTime> {
        Some(self.0).filter(|time| *time != UnixTime::MIN)
    }
}

impl Times {
    pub(crate) fn exp(self) -> Option<UnixTime> {
        self.exp.get()
    }

    pub(crate) fn iat(self) -> Option<UnixTime> {
        self.iat.get()
    }

    /// `None` also where it is no number: no rule of verification asks for it, and to a guard it is not recent.
    pub(crate) fn auth_time(self) -> Option<UnixTime> {
        self.auth_time.get()
    }
}

impl TryFrom<&Registered<'_>> for Times {
    type Error = AuthErrorKind;

    fn try_from(claims: &Registered<'_>) -> Result<Self, AuthErrorKind> {
        let times = [claims.exp, claims.nbf, claims.iat];
        if times.contains(&Time::Wrong) {
            return Err(AuthErrorKind::MalformedTime);
        }
        let [exp, nbf, iat] = times.map(|time| Stamp::new(time.at()));
        Ok(Self { exp, nbf, iat, auth_time: Stamp::new(claims.auth_time.at()) })
    }
}

impl TimeRule {
    pub(crate) fn check(&self, times: Times, now: UnixTime) -> Result<(), AuthErrorKind> {
        let [exp, nbf, iat] = [times.exp, times.nbf, times.iat].map(Stamp::get);
        if exp.is_none() && !self.may_lack_expiry {
            return Err(AuthErrorKind::MissingTime);
        }
        if (self.max_age.is_some() || self.max_lifetime.is_some()) && iat.is_none() {
            return Err(AuthErrorKind::MissingTime);
        }
        if exp.is_some_and(|exp| now >= exp.plus(self.leeway)) {
            return Err(AuthErrorKind::Expired);
        }
        if nbf.is_some_and(|nbf| now < nbf.minus(self.leeway)) {
            return Err(AuthErrorKind::NotYetValid);
        }
        // An `iat` that lies ahead would make both bounds void.
        let is_bounded = self.max_age.is_some() || self.max_lifetime.is_some();
        if is_bounded && iat.is_some_and(|iat| iat > now.plus(self.leeway)) {
            return Err(AuthErrorKind::TooOld);
        }
        if let (Some(max_age), Some(iat)) = (self.max_age, iat)
            && now >= iat.plus(max_age).plus(self.leeway)
        {
            return Err(AuthErrorKind::TooOld);
        }
        if let (Some(max_lifetime), Some(iat)) = (self.max_lifetime, iat)
            && exp.is_none_or(|exp| exp > iat.plus(max_lifetime))
        {
            return Err(AuthErrorKind::LivesTooLong);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AuthErrorKind::{Expired, LivesTooLong, MalformedTime, MissingTime, NotYetValid, TooOld};

    const NOW: i64 = 1_000_000;

    fn at(offset: i64) -> Time {
        Time::At(UnixTime::from_secs(NOW + offset))
    }

    fn judge(rule: &TimeRule, exp: Time, nbf: Time, iat: Time) -> Result<(), AuthErrorKind> {
        let times = Times::try_from(&Registered { exp, nbf, iat, ..Registered::default() })?;
        rule.check(times, UnixTime::from_secs(NOW))
    }

    #[test]
    fn every_time_has_an_edge() {
        let plain = TimeRule::default();
        let aged = TimeRule { max_age: Some(Duration::from_secs(100)), ..TimeRule::default() };
        let short = TimeRule { max_lifetime: Some(Duration::from_secs(600)), ..TimeRule::default() };
        let endless = TimeRule { may_lack_expiry: true, ..TimeRule::default() };
        let none = Time::Absent;
        let huge = Time::At(UnixTime::from_secs(i64::MAX));
        let tiny = Time::At(UnixTime::from_secs(i64::MIN));
        let cases = [
            (&plain, at(-29), none, none, Ok(())),
            (&plain, at(-30), none, none, Err(Expired)),
            (&plain, none, none, none, Err(MissingTime)),
            (&endless, none, none, none, Ok(())),
            (&endless, at(-30), none, none, Err(Expired)),
            (&endless, tiny, none, none, Err(Expired)),
            (&plain, Time::Wrong, none, none, Err(MalformedTime)),
            (&endless, Time::Wrong, none, none, Err(MalformedTime)),
            (&plain, at(60), Time::Wrong, none, Err(MalformedTime)),
            (&plain, at(60), none, Time::Wrong, Err(MalformedTime)),
            (&plain, huge, none, none, Ok(())),
            (&plain, tiny, none, none, Err(Expired)),
            (&plain, huge, huge, none, Err(NotYetValid)),
            (&plain, huge, tiny, none, Ok(())),
            (&plain, at(60), at(30), none, Ok(())),
            (&plain, at(60), at(31), none, Err(NotYetValid)),
            (&plain, at(60), none, at(9999), Ok(())),
            (&aged, at(60), none, none, Err(MissingTime)),
            (&aged, at(60), none, at(-129), Ok(())),
            (&aged, at(60), none, at(-130), Err(TooOld)),
            (&aged, at(60), none, at(30), Ok(())),
            (&aged, at(60), none, at(31), Err(TooOld)),
            (&short, at(60), none, none, Err(MissingTime)),
            (&short, at(600), none, at(0), Ok(())),
            (&short, at(601), none, at(0), Err(LivesTooLong)),
            (&short, at(99), none, at(30), Ok(())),
            (&short, at(99), none, at(31), Err(TooOld)),
        ];
        for (rule, exp, nbf, iat, verdict) in cases {
            assert_eq!(judge(rule, exp, nbf, iat), verdict, "exp {exp:?}, nbf {nbf:?}, iat {iat:?}, {rule:?}");
        }
    }
}

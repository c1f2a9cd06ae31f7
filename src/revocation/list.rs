//! A list in the memory of this process.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::check::{Revocation, RevocationVerdict, TokenFacts};
use super::error::{RevokeError, RevokeErrorKind};
use super::key::{EntryKey, IssuerKey, Kind};
use super::table::{self, MARGIN, Seconds, Table};
use crate::clock::{Clock, UnixTime};
use crate::meters;

/// When a client may come again where nobody can say.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Revoked tokens and subjects, in the memory of this process. A cheap clone: one goes to the verifier, one to whoever
/// revokes.
///
/// - 1,000,000 entries unless [set](RevocationListBuilder::entries) otherwise, in about 45 bytes each. A full list is an
///   error to the one who revokes; no entry leaves before its time.
/// - An id stays until 5 minutes after the token's `exp`, which is as long as a leeway can be; a subject until the last
///   of its tokens that are refused has ended, which needs [`max_lifetime`](RevocationListBuilder::max_lifetime).
/// - It starts empty, and ends with the process: several instances, and restarts, need
///   `RedisRevocations` (feature `redis`), or a list of one's own.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::clock::{Clock, UnixTime};
/// use tower_jwt_auth::revocation::RevocationList;
///
/// let list = RevocationList::builder().max_lifetime(Duration::from_secs(3600)).build();
/// let now = Clock::system().now();
/// // One token, by its `jti` and `exp`.
/// list.revoke("https://login.example.com", "9b2e", UnixTime::from_secs(now.as_secs() + 300))?;
/// // Everything that a user has got up to now.
/// list.revoke_subject("https://login.example.com", "user-1", now)?;
/// assert_eq!(list.len(), 2);
///
/// // Refused: without a longest lifetime nobody knows how long to keep a subject.
/// assert!(RevocationList::new().revoke_subject("https://login.example.com", "user-1", now).is_err());
/// # Ok::<(), tower_jwt_auth::revocation::RevokeError>(())
/// ```
#[derive(Clone)]
pub struct RevocationList(Arc<Inner>);

struct Inner {
    table: Table,
    max_lifetime: Option<Duration>,
    skew: Seconds,
    clock: Clock,
}

/// Builds a [`RevocationList`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RevocationListBuilder {
    entries: usize,
    max_lifetime: Option<Duration>,
    skew: Duration,
    clock: Clock,
}

/// What is to be entered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) key: EntryKey,
    pub(super) time: Seconds,
}

impl Entry {
    fn new(kind: Kind, issuer: &str, text: &str, time: Seconds) -> Result<Self, RevokeError> {
        let key = IssuerKey::new(issuer).and_then(|issuer| EntryKey::new(issuer, kind, text));
        let key = key.ok_or_else(|| RevokeError::new(RevokeErrorKind::NoBackend))?;
        Ok(Self { kind, key, time })
    }
}

impl RevocationList {
    /// An empty list for tokens whose `exp` is known to the one who revokes: subjects need a
    /// [`builder`](Self::builder).
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A list with other bounds, or for subjects.
    pub fn builder() -> RevocationListBuilder {
        let (entries, skew) = (1_000_000, Duration::from_secs(2));
        RevocationListBuilder { entries, max_lifetime: None, skew, clock: Clock::system() }
    }

    /// Revokes what has this id: a token by its `jti`, a session by its `sid`, whatever
    /// [`Issuer::revocation_claims`](crate::Issuer::revocation_claims) names. The issuer goes by its configured name, not
    /// by an alias.
    ///
    /// `expires_at` is the `exp` of the token, or of the last one with this id. Where it is not known, `None` stands for
    /// a token that was issued just now and lives as long as [`max_lifetime`](RevocationListBuilder::max_lifetime)
    /// allows. An id that was revoked before stays for the longer of both times.
    ///
    /// # Errors
    /// When the list is full, or when the time is not known and there is no longest lifetime.
    pub fn revoke(&self, issuer: &str, id: &str, expires_at: impl Into<Option<UnixTime>>) -> Result<(), RevokeError> {
        self.enter_here(self.id_entry(issuer, id, expires_at.into())?)
    }

    /// Revokes everything that the issuer has issued to this `sub` up to this time: tokens whose `iat` is missing, or not
    /// later than the time, rounded up to a second, and the [`skew`](RevocationListBuilder::skew). The time may lie
    /// ahead. A later one replaces an earlier one, never the other way.
    ///
    /// A login within the next moments, up to the skew and a second, is refused as well. Where the issuer and who revokes
    /// share a clock, set the skew to zero; to end what a user has and let them in again at once, revoke each `sid`.
    ///
    /// # Errors
    /// When the list is full, or has no [`max_lifetime`](RevocationListBuilder::max_lifetime).
    pub fn revoke_subject(&self, issuer: &str, subject: &str, before: UnixTime) -> Result<(), RevokeError> {
        self.enter_here(self.subject_entry(issuer, subject, before)?)
    }

    /// How many entries are held. Some of them may have passed their time.
    pub fn len(&self) -> usize {
        self.0.table.len()
    }

    /// True when nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn id_entry(&self, issuer: &str, id: &str, expires_at: Option<UnixTime>) -> Result<Entry, RevokeError> {
        let last = match expires_at {
            Some(expires_at) => table::ceiling(expires_at),
            None => self.last_issued(self.0.clock.now()).saturating_add(self.lives()?),
        };
        Entry::new(Kind::Id, issuer, id, last.saturating_add(MARGIN))
    }

    pub(super) fn subject_entry(&self, issuer: &str, subject: &str, before: UnixTime) -> Result<Entry, RevokeError> {
        self.lives()?;
        Entry::new(Kind::Subject, issuer, subject, self.last_issued(before))
    }

    /// The latest `iat` of a token that was issued at this time, by a clock that is not quite ours.
    fn last_issued(&self, at: UnixTime) -> Seconds {
        table::ceiling(at).saturating_add(self.0.skew)
    }

    fn lives(&self) -> Result<Seconds, RevokeError> {
        self.0.table.lives().ok_or_else(|| RevokeError::new(RevokeErrorKind::LifetimeUnknown))
    }

    /// Enters what nobody else has to know.
    fn enter_here(&self, entry: Entry) -> Result<(), RevokeError> {
        self.enter(entry)?;
        meters::revocations_in_memory(self.len());
        Ok(())
    }

    pub(super) fn enter(&self, entry: Entry) -> Result<(), RevokeError> {
        self.enter_within(entry, self.0.table.most()).map_err(|table::Full| RevokeError::new(RevokeErrorKind::Full))
    }

    /// Enters what another bound may allow.
    pub(super) fn enter_within(&self, entry: Entry, most: usize) -> Result<(), table::Full> {
        let now = table::floor(self.0.clock.now());
        self.0.table.insert(entry.kind, entry.key, entry.time, now, most)
    }

    fn judge(&self, token: &TokenFacts<'_>) -> Option<RevocationVerdict> {
        let (table, now) = (&self.0.table, table::floor(token.now()));
        let find = |kind, text| Some(table.get(kind, EntryKey::new(token.issuer_key()?, kind, text)?, now));
        if table.holds_any(Kind::Id) {
            for id in token.ids() {
                if find(Kind::Id, id)?.is_some() {
                    return Some(RevocationVerdict::Revoked);
                }
            }
        }
        if let Some(subject) = token.subject().filter(|_| table.holds_any(Kind::Subject))
            && let Some(last) = find(Kind::Subject, subject)?
            && token.issued_at().is_none_or(|issued| table::ceiling(issued) <= last)
        {
            return Some(RevocationVerdict::Revoked);
        }
        Some(RevocationVerdict::Valid)
    }
}

#[cfg(feature = "redis")]
impl RevocationList {
    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) fn most(&self) -> usize {
        self.0.table.most()
    }

    /// The longest lifetime in seconds; 0 where there is none.
    pub(super) fn seconds_to_live(&self) -> Seconds {
        self.0.table.lives().unwrap_or(0)
    }

    /// What is held, in parts of some thousand entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = Vec<Entry>> {
        let entry = |(kind, key, time)| Entry { kind, key, time };
        self.0.table.entries().map(move |part| part.into_iter().map(entry).collect())
    }
}

impl Revocation for RevocationList {
    fn check(&self, token: &TokenFacts<'_>) -> RevocationVerdict {
        // Without a backend for cryptography there are no keys, and no token comes this far.
        self.judge(token).unwrap_or(RevocationVerdict::Unknown { retry_after: RETRY_AFTER })
    }

    fn max_lifetime(&self) -> Option<Duration> {
        self.0.max_lifetime
    }
}

impl Default for RevocationList {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl RevocationListBuilder {
    /// How many entries there may be: 1,000,000, in about 45 bytes each.
    pub fn entries(mut self, most: usize) -> Self {
        self.entries = most;
        self
    }

    /// How long a token may live, from `iat` to `exp`: as long, and 5 minutes, a subject stays. A verifier with this list
    /// then takes issuers only with a [`max_lifetime`](crate::Issuer::max_lifetime) that is not longer, so that no token
    /// outlives its revocation. Not set unless said; without it, subjects cannot be revoked.
    pub fn max_lifetime(mut self, max_lifetime: Duration) -> Self {
        self.max_lifetime = Some(max_lifetime);
        self
    }

    /// How far the clock of an issuer may run ahead of the clock of the one who revokes: 2 seconds unless set. For so
    /// long, and for what is left of the second, a subject's new tokens are refused as well.
    pub fn skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// Another clock than the system's, for what [`revoke`](RevocationList::revoke) holds to be now. A check goes by the
    /// verifier's clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The list.
    pub fn build(self) -> RevocationList {
        let table = Table::new(self.entries, self.max_lifetime.map(table::span));
        let (max_lifetime, skew) = (self.max_lifetime, table::span(self.skew));
        RevocationList(Arc::new(Inner { table, max_lifetime, skew, clock: self.clock }))
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(NOW + seconds)
    }

    fn list() -> (RevocationList, Clock) {
        let clock = Clock::manual(at(0));
        (RevocationList::builder().max_lifetime(HOUR).clock(clock.clone()).build(), clock)
    }

    fn is_revoked(list: &RevocationList, token: &TokenFacts<'_>) -> bool {
        match list.check(token) {
            RevocationVerdict::Revoked => true,
            RevocationVerdict::Valid => false,
            RevocationVerdict::Unknown { .. } => unreachable!("there is a backend"),
        }
    }

    #[test]
    fn an_id_is_revoked_for_its_issuer_until_five_minutes_after_exp() {
        let (list, _) = list();
        list.revoke("i", "a", at(60)).expect("room");
        let token = |issuer, seconds| TokenFacts::new(issuer, at(seconds)).with_ids(["x", "a"]);
        assert!(is_revoked(&list, &token("i", 0)) && is_revoked(&list, &token("i", 359)));
        assert!(!is_revoked(&list, &token("i", 360)));
        assert!(!is_revoked(&list, &token("j", 0)));
        assert!(!is_revoked(&list, &TokenFacts::new("i", at(0)).with_ids(["x"]).with_subject("a")));
        list.revoke("i", "late", UnixTime::from_millis((NOW + 60) * 1000 + 1)).expect("room");
        assert!(is_revoked(&list, &TokenFacts::new("i", at(360)).with_ids(["late"])), "a fraction is rounded up");
    }

    #[test]
    fn an_id_whose_exp_is_not_known_stays_for_the_longest_life() {
        let (list, _) = list();
        list.revoke("i", "a", None).expect("room");
        let token = |seconds| TokenFacts::new("i", at(seconds)).with_ids(["a"]);
        assert!(is_revoked(&list, &token(3901)) && !is_revoked(&list, &token(3902)), "2 s, an hour, and 5 min");
        let error = RevocationList::new().revoke("i", "a", None).expect_err("for how long?");
        assert_eq!(error.kind(), RevokeErrorKind::LifetimeUnknown);
    }

    #[test]
    fn a_subject_is_revoked_up_to_the_second_and_the_skew() {
        let (list, _) = list();
        list.revoke_subject("i", "s", UnixTime::from_millis((NOW - 10) * 1000 + 1)).expect("room");
        let token = |iat: Option<i64>| TokenFacts::new("i", at(0)).with_subject("s").with_times(iat.map(at), None);
        assert!(is_revoked(&list, &token(Some(-7))), "rounded up to 9 seconds ago, and 2 more");
        assert!(!is_revoked(&list, &token(Some(-6))));
        assert!(is_revoked(&list, &token(None)) && is_revoked(&list, &token(Some(-99_999))));
        let fraction = UnixTime::from_millis((NOW - 7) * 1000 + 1);
        assert!(!is_revoked(&list, &TokenFacts::new("i", at(0)).with_subject("s").with_times(fraction, None)));
        assert!(!is_revoked(&list, &TokenFacts::new("j", at(0)).with_subject("s")));
        assert!(!is_revoked(&list, &TokenFacts::new("i", at(0)).with_ids(["s"])), "no subject, and nothing said of it");

        list.revoke_subject("i", "s", at(-100)).expect("room");
        assert!(is_revoked(&list, &token(Some(-7))), "an earlier time takes nothing back");
        list.revoke_subject("i", "s", at(-5)).expect("room");
        assert!(is_revoked(&list, &token(Some(-3))) && !is_revoked(&list, &token(Some(-2))));
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn a_subject_stays_until_its_last_token_has_ended() {
        let (list, _) = list();
        list.revoke_subject("i", "s", at(0)).expect("room");
        let token = |seconds| TokenFacts::new("i", at(seconds)).with_subject("s").with_times(at(2), at(3602));
        assert!(is_revoked(&list, &token(3901)) && !is_revoked(&list, &token(3902)));
        let error = RevocationList::new().revoke_subject("i", "s", at(0)).expect_err("for how long?");
        assert_eq!(error.kind(), RevokeErrorKind::LifetimeUnknown);
    }

    #[test]
    fn a_full_list_is_an_error_until_something_has_left() {
        let clock = Clock::manual(at(0));
        let list = RevocationList::builder().entries(2).clock(clock.clone()).build();
        list.revoke("i", "a", at(60)).expect("room");
        list.revoke("i", "b", at(600)).expect("room");
        assert_eq!(list.revoke("i", "c", at(60)).expect_err("full").kind(), RevokeErrorKind::Full);
        clock.set(at(359));
        assert_eq!(list.revoke("i", "c", at(600)).expect_err("full").kind(), RevokeErrorKind::Full);
        clock.set(at(360));
        list.revoke("i", "c", at(600)).expect("one has left");
        for (id, revoked) in [("a", false), ("b", true), ("c", true)] {
            assert_eq!(is_revoked(&list, &TokenFacts::new("i", at(360)).with_ids([id])), revoked, "{id}");
        }
    }
}

//! The list of sessions that are over: what makes a logout work at once.

use tower_jwt_auth::clock::UnixTime;
use tower_jwt_auth::revocation::{RedisRevocations, RevocationList, RevokeError};

/// Of this process, or shared with other copies.
pub(crate) enum Revocations {
    Own(RevocationList),
    Shared(RedisRevocations),
}

impl Revocations {
    /// No access token of this session is taken any more.
    pub(crate) async fn end(&self, issuer: &str, sid: &str, last: UnixTime) -> Result<(), RevokeError> {
        match self {
            Self::Own(list) => list.revoke(issuer, sid, last),
            Self::Shared(shared) => shared.revoke(issuer, sid, last).await,
        }
    }
}

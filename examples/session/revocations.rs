//! The list of sessions that are over: what makes a logout work at once.

use tower_jwt_auth::clock::UnixTime;
use tower_jwt_auth::revocation::RevocationList;

/// Of this process, or shared with other copies.
pub(crate) enum Revocations {
    Own(RevocationList),
}

impl Revocations {
    /// No access token of this session is taken any more.
    pub(crate) async fn end(&self, issuer: &str, sid: &str, last: UnixTime) -> Result<(), ()> {
        match self {
            Self::Own(list) => list.revoke(issuer, sid, last).map_err(drop),
        }
    }
}

//! Demonstrating proof of possession (RFC 9449): the settings, and the verdict on a request.

#[cfg(shuttle)]
pub(crate) mod model;
mod nonce;
mod proof;
#[cfg(feature = "redis")]
mod redis;
mod replay;
mod target;

pub use nonce::DpopNonces;
#[cfg(feature = "redis")]
pub use redis::RedisReplayStore;
pub use replay::{MemoryReplayStore, ReplayCheck, ReplayStore, UsedProof};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::request::Parts;

use self::proof::{Expected, Proof};
use self::replay::Replay;
use self::target::Target;
use super::{Pending, Shown, unfit};
use crate::crypto;
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::jose::{Algorithm, AlgorithmSet};
use crate::scheme::Scheme;

/// How a service takes DPoP proofs (RFC 9449): give it to [`JwtAuth::dpop`](crate::JwtAuth::dpop).
///
/// - A token with `cnf.jkt` comes as `Authorization: DPoP …` with one `DPoP` header: a proof for this very request and
///   token, signed with the key of that thumbprint (§4.3). As a bearer token it is refused, and so is an unbound token
///   under `DPoP` (§7.1, §7.2).
/// - Unbound bearer tokens pass beside them, unless [`required`](Self::required).
/// - `htu` is compared with the URL that this is made with, never with the `Host` header. Routers that strip a part of
///   the path before the layer sees it need that part in the URL.
/// - A proof is good for one request: a record of used ones is kept, in memory unless another [`ReplayStore`] is given.
///   Where several instances serve one URL, a proof can be used once at each, unless they share a record
///   (`RedisReplayStore`, with the feature `redis`).
///
/// ```
/// use tower_jwt_auth::binding::Dpop;
///
/// let dpop = Dpop::new("https://api.example.com")?.required();
/// assert!(Dpop::new("api.example.com").is_err());
/// # let _ = dpop;
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Dpop {
    targets: Vec<Target>,
    algorithms: AlgorithmSet,
    required: bool,
    nonces: Option<DpopNonces>,
    replay: Arc<dyn ReplayStore>,
}

impl Dpop {
    /// For a service at this URL: an origin, and the path that precedes those that the layer sees.
    ///
    /// # Errors
    /// When it is no `https` or `http` URL, or has a query, a fragment or a user.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let algorithms = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256];
        Ok(Self {
            targets: vec![Target::parse(url)?],
            algorithms: algorithms.into_iter().collect(),
            required: false,
            nonces: None,
            replay: Arc::new(MemoryReplayStore::new()),
        })
    }

    /// Another URL under which clients reach the service.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn also_at(mut self, url: &str) -> Result<Self, ConfigError> {
        self.targets.push(Target::parse(url)?);
        Ok(self)
    }

    /// The algorithms that proofs may have: ES256, ES384, `EdDSA`, RS256 and PS256 unless set.
    ///
    /// # Errors
    /// When there is none, one is symmetric, or this build cannot verify it.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Result<Self, ConfigError> {
        self.algorithms = algorithms.into_iter().collect();
        if self.algorithms.is_empty() {
            return Err(ConfigError::new("the list of DPoP algorithms is empty"));
        }
        match self.algorithms.iter().find(|algorithm| algorithm.is_symmetric() || !crypto::supports(*algorithm)) {
            Some(algorithm) if algorithm.is_symmetric() => {
                Err(ConfigError::new(format!("{algorithm} is symmetric: a proof is signed with a private key")))
            }
            Some(algorithm) => Err(crypto::unsupported(algorithm)),
            None => Ok(self),
        }
    }

    /// Takes no bearer tokens: every token must be bound.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Asks for a nonce of this server in every proof (§9), so that none can be made in advance.
    #[must_use]
    pub fn nonces(mut self, nonces: DpopNonces) -> Self {
        self.nonces = Some(nonces);
        self
    }

    /// Another record of used proofs than [`MemoryReplayStore`].
    #[must_use]
    pub fn replay_store(mut self, store: impl ReplayStore) -> Self {
        self.replay = Arc::new(store);
        self
    }

    pub(crate) fn is_required(&self) -> bool {
        self.required
    }

    /// For the challenge: the names of the algorithms, separated by spaces.
    pub(crate) fn algorithm_names(&self) -> String {
        self.algorithms.iter().map(Algorithm::name).collect::<Vec<_>>().join(" ")
    }

    /// The verdict on a request; `Some` where the record of used proofs needs time.
    pub(super) fn check(&self, shown: &Shown<'_>) -> Result<Option<Pending>, AuthError> {
        match (shown.scheme, shown.jkt) {
            (Scheme::Bearer, None) if !self.required => Ok(None),
            (Scheme::Bearer, Some(_)) => {
                Err(unfit("the token is bound to a DPoP key, and comes as `Bearer`, not as `DPoP` with a proof"))
            }
            (Scheme::Bearer, None) => Err(unfit("DPoP is required, and the token is not bound to a key")),
            (Scheme::Dpop, None) => Err(unfit("the token comes as `DPoP`, and is not bound to a key")),
            (Scheme::Dpop, Some(jkt)) => self.check_proof(shown, jkt),
        }
    }

    fn check_proof(&self, shown: &Shown<'_>, jkt: &str) -> Result<Option<Pending>, AuthError> {
        let invalid = |what: &str| {
            let error = AuthError::new(AuthErrorKind::InvalidDpopProof);
            match what {
                proof::OTHER_URL => error.with_detail(format!("{what}; this service is at {:?}", self.targets)),
                _ => error.with_detail(what),
            }
        };
        let text = only_proof(shown.head).ok_or_else(|| invalid("there must be one `DPoP` header"))?;
        let expected = Expected { algorithms: self.algorithms, targets: &self.targets, jkt };
        let proof = Proof::verify(text, &expected, shown).map_err(invalid)?;
        if let Some(nonces) = &self.nonces {
            let is_fresh = proof.nonce.as_deref().is_some_and(|nonce| nonces.accepts(nonce, shown.now));
            if !is_fresh {
                let error = AuthError::new(AuthErrorKind::UseDpopNonce);
                return Err(match nonces.issue(shown.now).and_then(|nonce| HeaderValue::try_from(nonce).ok()) {
                    Some(nonce) => error.with_dpop_nonce(nonce),
                    None => AuthErrorKind::Misconfigured.into(),
                });
            }
        }
        let used = UsedProof::new(&proof.jti, jkt, shown.now).ok_or(AuthErrorKind::Misconfigured)?;
        match self.replay.check(used).0 {
            Replay::Ready(verdict) => judge_replay(verdict).map(|()| None),
            Replay::Pending(verdict) => Ok(Some(Box::pin(async move { judge_replay(verdict.await) }))),
        }
    }
}

/// The proof, if there is exactly one.
fn only_proof(head: &Parts) -> Option<&[u8]> {
    let mut values = head.headers.get_all("dpop").iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

fn judge_replay(verdict: Option<bool>) -> Result<(), AuthError> {
    match verdict {
        Some(true) => Ok(()),
        Some(false) => Err(AuthError::new(AuthErrorKind::InvalidDpopProof).with_detail("it was used before")),
        None => Err(AuthError::new(AuthErrorKind::ReplayStateUnavailable).with_retry_after(Duration::from_secs(5))),
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop")
            .field("targets", &self.targets)
            .field("algorithms", &self.algorithms)
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}

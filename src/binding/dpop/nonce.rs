//! Nonces of this server (RFC 9449 §9): no state, only a secret and the time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::UnixTime;
use crate::crypto;
use crate::error::ConfigError;
use crate::jose::Algorithm;
use crate::jose::compact::encode;

/// For how long a nonce is given out; it is accepted for as long again.
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// Makes and recognizes the nonces of a service: each is a MAC of the time, good for 5 to 10 minutes.
///
/// A client learns one from a refusal (401 `use_dpop_nonce` with `DPoP-Nonce`) and tries again. Instances behind one
/// URL share a secret, or their clients are sent back at every change of the instance.
#[derive(Clone)]
pub struct DpopNonces(Arc<Zeroizing<Vec<u8>>>);

impl DpopNonces {
    /// With a secret of this process alone.
    ///
    /// # Errors
    /// When no cryptography backend is compiled in, or it cannot make a secret.
    pub fn generate() -> Result<Self, ConfigError> {
        let secret = crypto::random_secret().ok_or_else(|| crypto::unsupported(Algorithm::HS256))?;
        Ok(Self(Arc::new(Zeroizing::new(secret.to_vec()))))
    }

    /// With a secret that several instances share: at least 32 bytes.
    ///
    /// # Errors
    /// When it is shorter.
    pub fn with_secret(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        crypto::check_secret(Algorithm::HS256, secret.as_ref())?;
        Ok(Self(Arc::new(Zeroizing::new(secret.as_ref().to_vec()))))
    }

    pub(super) fn issue(&self, now: UnixTime) -> Option<String> {
        self.of(window(now))
    }

    pub(super) fn accepts(&self, nonce: &str, now: UnixTime) -> bool {
        let now = window(now);
        // A nonce is public: whoever asks is given one. What it must be is unforgeable.
        [now, now.saturating_sub(1)].into_iter().any(|window| self.of(window).is_some_and(|own| own == nonce))
    }

    fn of(&self, window: i64) -> Option<String> {
        let mac = crypto::hmac_sha256(&self.0, format!("dpop-nonce {window}").as_bytes())?;
        Some(encode(&mac[..16]))
    }
}

fn window(now: UnixTime) -> i64 {
    now.as_secs().div_euclid(i64::try_from(WINDOW.as_secs()).unwrap_or(i64::MAX))
}

impl fmt::Debug for DpopNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopNonces").finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;
    use crate::crypto::assert_wiped;

    const _: fn(&DpopNonces) = |nonces| assert_wiped(&*nonces.0);

    #[test]
    fn a_nonce_is_good_for_its_window_and_the_next() {
        let nonces = DpopNonces::generate().expect("a backend");
        let start = 1_700_000_100;
        assert_eq!(start % 300, 0);
        let at = UnixTime::from_secs;
        let nonce = nonces.issue(at(start)).expect("a MAC");
        for (offset, accepted) in [(-1, false), (0, true), (299, true), (300, true), (599, true), (600, false)] {
            assert_eq!(nonces.accepts(&nonce, at(start + offset)), accepted, "{offset}");
        }
        assert!(!DpopNonces::generate().expect("a backend").accepts(&nonce, at(start)));
        let shared = || DpopNonces::with_secret([7; 32]).expect("long enough");
        assert!(shared().accepts(&shared().issue(at(start)).expect("a MAC"), at(start)));
        assert!(DpopNonces::with_secret([7; 31]).is_err());
    }
}

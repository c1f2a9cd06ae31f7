//! Tokens that are bound to a client certificate (RFC 8705 §3).

use std::fmt;
use std::sync::Arc;

use http::request::Parts;

use super::hash;

/// The certificate that the client of a connection has shown, in DER.
///
/// The server puts it into the extensions of every request on the connection, from what its TLS library says of the
/// verified peer. Never take it from a header that a client can send.
#[derive(Clone)]
pub struct PeerCertificate(Arc<[u8]>);

impl PeerCertificate {
    /// The end-entity certificate: the first of the chain.
    pub fn from_der(der: impl AsRef<[u8]>) -> Self {
        Self(der.as_ref().into())
    }

    /// Its thumbprint: the SHA-256 of the DER, in base64url, as in `cnf.x5t#S256` (RFC 8705 §3.1). `None` where no
    /// cryptography backend is compiled in.
    pub fn thumbprint(&self) -> Option<String> {
        hash(&self.0)
    }

    /// True when the request's connection has shown the certificate of this thumbprint.
    pub(super) fn is_shown(head: &Parts, thumbprint: &str) -> bool {
        head.extensions.get::<Self>().and_then(Self::thumbprint).is_some_and(|shown| shown == thumbprint)
    }
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerCertificate").finish_non_exhaustive()
    }
}

//! Authentication schemes (RFC 9110 §11.1).

/// The scheme of a credential, and of the challenge that answers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RFC 6750.
    #[default]
    Bearer,
    /// RFC 9449 §7.1.
    Dpop,
}

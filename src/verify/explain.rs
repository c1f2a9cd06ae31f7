//! Why a token passes or not: the checks in the order in which they were made, and what each saw.

use std::fmt;

use crate::error::AuthError;

macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident = $label:literal;)*) => {
        /// A step of verification.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Check {
            $($(#[$doc])* $check,)*
        }

        impl Check {
            /// A fixed name in lower case.
            pub fn label(self) -> &'static str {
                match self { $(Self::$check => $label,)* }
            }
        }
    };
}

checks! {
    /// Length, three segments, base64url.
    Envelope = "envelope";
    /// The JOSE header: JSON, `crit`, `typ`, `kid`.
    Header = "header";
    /// `alg` and the allow-list.
    Algorithm = "algorithm";
    /// A key that fits.
    Key = "key";
    /// The signature.
    Signature = "signature";
    /// The payload: JSON with unique names.
    Payload = "payload";
    /// `iss`. With several issuers it is looked at before the algorithm as well, to pick one.
    Issuer = "issuer";
    /// `aud`.
    Audience = "audience";
    /// `exp`, `nbf`, `iat`.
    Time = "time";
    /// Everything else: `events`, `cnf`, required claims, the claims type, rules of one's own.
    Claims = "claims";
    /// Whether the token has been revoked, where the verifier has a list. Rules of one's own come after it.
    Revocation = "revocation";
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Sees each check before it is judged. The request path uses `()`, which sees nothing and costs nothing.
pub(super) trait Observe {
    fn saw(&mut self, check: Check, what: impl FnOnce() -> String);

    /// Forgets what came after `check`: the source is asked once more, or has failed.
    fn rewind(&mut self, check: Check);
}

impl Observe for () {
    fn saw(&mut self, _: Check, _: impl FnOnce() -> String) {}

    fn rewind(&mut self, _: Check) {}
}

impl Observe for Vec<CheckReport> {
    fn saw(&mut self, check: Check, what: impl FnOnce() -> String) {
        let report = CheckReport { check, ok: true, saw: what() };
        match self.last_mut() {
            Some(last) if last.check == check => *last = report,
            _ => self.push(report),
        }
    }

    fn rewind(&mut self, check: Check) {
        if let Some(at) = self.iter().position(|report| report.check == check) {
            self.truncate(at + 1);
        }
    }
}

/// One check of an [`Explanation`].
#[derive(Clone, PartialEq, Eq)]
pub struct CheckReport {
    check: Check,
    ok: bool,
    saw: String,
}

impl CheckReport {
    /// Which check.
    pub fn check(&self) -> Check {
        self.check
    }

    /// True when it passed.
    pub fn ok(&self) -> bool {
        self.ok
    }

    /// What it looked at, for the person who has the token: both sides of a comparison, times in words and in Unix
    /// seconds, the `kid`s at hand where the token's is not among them. It may hold claims; it never holds a key, a
    /// secret or a signature.
    pub fn saw(&self) -> &str {
        &self.saw
    }
}

impl fmt::Debug for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckReport").field("check", &self.check).field("ok", &self.ok).finish_non_exhaustive()
    }
}

/// What [`Verifier::explain`](crate::Verifier::explain) found.
#[derive(Clone, Debug)]
pub struct Explanation {
    checks: Vec<CheckReport>,
    error: Option<AuthError>,
}

impl Explanation {
    pub(super) fn new(mut checks: Vec<CheckReport>, error: Option<AuthError>) -> Self {
        if let (Some(_), Some(last)) = (&error, checks.last_mut()) {
            last.ok = false;
        }
        Self { checks, error }
    }

    /// True when the token passes.
    pub fn accepted(&self) -> bool {
        self.error.is_none()
    }

    /// Why the token does not pass.
    pub fn error(&self) -> Option<&AuthError> {
        self.error.as_ref()
    }

    /// The checks in the order in which they were made, ending with the first that failed.
    pub fn checks(&self) -> &[CheckReport] {
        &self.checks
    }
}

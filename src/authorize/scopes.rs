//! A guard by scope (RFC 6750 §3.1).

use http::Extensions;

use super::guard::{Guard, Rule};
use crate::admission::Admission;
use crate::claims::is_scope;
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::quote;
use crate::rejection::EmptyBody;
use crate::verify::AnyJwt;

/// A [`Guard`] that lets a request through when its token grants the scopes named.
///
/// Refused with 403 `insufficient_scope`, whose challenge names every scope needed, or, of
/// [`any`](RequireScopes::any), every one of which one would do.
pub type RequireScopes<R = EmptyBody> = Guard<ScopeRule, R>;

/// The rule of [`RequireScopes`].
#[derive(Clone, Debug)]
pub struct ScopeRule {
    scopes: Vec<Box<str>>,
    /// All of them, separated by spaces.
    joined: Box<str>,
    is_one_enough: bool,
}

impl RequireScopes {
    /// Every one of these scopes.
    ///
    /// # Panics
    /// When a name is no `scope-token` (RFC 6749 §3.3) or there is none. For names from a configuration, and for
    /// `String`s, see [`try_all`](Self::try_all).
    pub fn all<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        Self::try_all(scopes).unwrap_or_else(|error| panic!("{error}"))
    }

    /// At least one of these scopes.
    ///
    /// # Panics
    /// When a name is no `scope-token` (RFC 6749 §3.3) or there is none. For names from a configuration, and for
    /// `String`s, see [`try_any`](Self::try_any).
    pub fn any<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Self {
        Self::try_any(scopes).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Every one of these scopes.
    ///
    /// # Errors
    /// When a name is no `scope-token` (RFC 6749 §3.3), or there is none.
    pub fn try_all<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        ScopeRule::new(scopes, false).map(Self::by)
    }

    /// At least one of these scopes.
    ///
    /// # Errors
    /// When a name is no `scope-token` (RFC 6749 §3.3), or there is none.
    pub fn try_any<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        ScopeRule::new(scopes, true).map(Self::by)
    }
}

impl ScopeRule {
    fn new<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>, is_one_enough: bool) -> Result<Self, ConfigError> {
        let mut all: Vec<Box<str>> = Vec::new();
        for scope in scopes {
            let scope = scope.as_ref();
            if !is_scope(scope) {
                return Err(ConfigError::new(format!(
                    "{} is no scope: visible ASCII without space, quote and backslash",
                    quote::name(scope)
                )));
            }
            all.push(scope.into());
        }
        if all.is_empty() {
            return Err(ConfigError::new("a guard needs at least one scope"));
        }
        Ok(Self { joined: all.join(" ").into(), scopes: all, is_one_enough })
    }
}

impl Rule for ScopeRule {
    const NAME: &'static str = "RequireScopes";

    fn judge(&self, _: &Admission, jwt: &AnyJwt, _: &Extensions) -> Result<(), AuthError> {
        let mut scopes = self.scopes.iter();
        let passes = if self.is_one_enough {
            scopes.any(|scope| jwt.has_scope(scope))
        } else {
            scopes.all(|scope| jwt.has_scope(scope))
        };
        if passes {
            return Ok(());
        }
        let detail = format!("needs {}{}", if self.is_one_enough { "one of " } else { "" }, self.joined);
        Err(AuthError::new(AuthErrorKind::InsufficientScope).with_scope(&self.joined).with_detail(detail))
    }
}

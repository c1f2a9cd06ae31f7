//! A guard by how and when the user authenticated (RFC 9470).

use std::sync::Arc;
use std::time::Duration;

use http::Extensions;

use super::guard::{Guard, Rule};
use crate::admission::Admission;
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::quote;
use crate::rejection::{EmptyBody, param};
use crate::verify::AnyJwt;

/// A [`Guard`] that lets a request through when its user authenticated strongly enough, and recently enough.
///
/// Refused with 401 `insufficient_user_authentication`, whose challenge says what is asked for (RFC 9470 §3): a client
/// passes that on to the authorization server and comes back with another token.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_auth::authorize::StepUp;
///
/// let payments = StepUp::acr_values(["phr"])?.and_max_age(Duration::from_secs(600));
/// # let _ = payments;
/// assert!(StepUp::acr_values(["two words"]).is_err());
/// # Ok::<(), tower_jwt_auth::ConfigError>(())
/// ```
pub type StepUp<R = EmptyBody> = Guard<StepUpRule, R>;

/// The rule of [`StepUp`].
#[derive(Clone, Debug)]
pub struct StepUpRule {
    /// Separated by spaces; empty for any.
    acr_values: Box<str>,
    max_age: Option<Duration>,
    params: Arc<str>,
}

impl StepUp {
    /// `acr` is one of these values: authentication context class references (OpenID Connect Core §2).
    ///
    /// # Errors
    /// When a value is empty or has a space, a quote, a backslash or a character beyond visible ASCII, or there is none.
    pub fn acr_values<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        let mut all = String::new();
        for value in values {
            let value = value.as_ref();
            if value.is_empty() || !value.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~')) {
                return Err(ConfigError::new(format!(
                    "{} is no `acr` value: visible ASCII without space, quote and backslash",
                    quote::name(value)
                )));
            }
            if !all.is_empty() {
                all.push(' ');
            }
            all.push_str(value);
        }
        if all.is_empty() {
            return Err(ConfigError::new("a guard needs at least one `acr` value"));
        }
        Ok(Self::by(StepUpRule::new(all.into(), None)))
    }

    /// The user authenticated at most this long ago, counted from `auth_time`, in whole seconds. The leeway of the issuer
    /// comes on top. A token without `auth_time`, or with one that lies ahead by more than the leeway, is refused.
    pub fn max_age(max_age: Duration) -> Self {
        Self::by(StepUpRule::new("".into(), Some(max_age)))
    }

    /// Both: one of the `acr` values, and at most this long ago.
    #[must_use]
    pub fn and_max_age(self, max_age: Duration) -> Self {
        self.map(|rule| StepUpRule::new(rule.acr_values, Some(max_age)))
    }
}

impl StepUpRule {
    fn new(acr_values: Box<str>, max_age: Option<Duration>) -> Self {
        let max_age = max_age.map(|max_age| Duration::from_secs(max_age.as_secs()));
        let mut params = Vec::new();
        if !acr_values.is_empty() {
            params.push(param("acr_values", &acr_values));
        }
        if let Some(max_age) = max_age {
            params.push(param("max_age", &max_age.as_secs().to_string()));
        }
        Self { acr_values, max_age, params: params.join(", ").into() }
    }

    fn passes(&self, admission: &Admission, jwt: &AnyJwt) -> bool {
        let is_strong = self.acr_values.is_empty()
            || jwt.authentication_context().is_some_and(|acr| self.acr_values.split(' ').any(|value| value == acr));
        let is_recent = self.max_age.is_none_or(|max_age| {
            let (now, leeway) = (admission.clock.now(), jwt.leeway());
            jwt.authenticated_at().is_some_and(|at| at <= now.plus(leeway) && now < at.plus(max_age).plus(leeway))
        });
        is_strong && is_recent
    }
}

impl Rule for StepUpRule {
    const NAME: &'static str = "StepUp";

    fn judge(&self, admission: &Admission, jwt: &AnyJwt, _: &Extensions) -> Result<(), AuthError> {
        if self.passes(admission, jwt) {
            Ok(())
        } else {
            let error = AuthError::new(AuthErrorKind::InsufficientUserAuthentication).with_params(&self.params);
            Err(error.with_detail(format!("needs {}", self.params)))
        }
    }
}

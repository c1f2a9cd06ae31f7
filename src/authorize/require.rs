//! A guard by a predicate of one's own.

use std::any::type_name;

use http::Extensions;

use super::guard::{Guard, Rule};
use crate::admission::Admission;
use crate::error::{AuthError, AuthErrorKind};
use crate::events;
use crate::rejection::EmptyBody;
use crate::verify::{AnyJwt, Jwt};

/// A [`Guard`] that lets a request through when a predicate holds of its token: for roles, tenants, anything in the
/// claims.
///
/// Refused with 403, without a challenge; with 500, and an error in the log, where the layer in front verifies claims of
/// another type.
///
/// ```
/// use tower_jwt_auth::Jwt;
/// use tower_jwt_auth::authorize::Require;
///
/// #[derive(serde::Deserialize)]
/// struct Claims {
///     roles: Vec<String>,
/// }
///
/// let admins = Require::new(|jwt: &Jwt<Claims>| jwt.claims().roles.iter().any(|role| role == "admin"));
/// # let _ = admins;
/// ```
pub type Require<C, R = EmptyBody> = Guard<PredicateRule<C>, R>;

/// The rule of [`Require`].
pub struct PredicateRule<C> {
    predicate: Predicate<C>,
}

type Predicate<C> = Box<dyn Fn(&Jwt<C>) -> bool + Send + Sync>;

impl<C: Send + Sync + 'static> Require<C> {
    /// Every token of which this is true.
    pub fn new(predicate: impl Fn(&Jwt<C>) -> bool + Send + Sync + 'static) -> Self {
        Self::by(PredicateRule { predicate: Box::new(predicate) })
    }
}

impl<C: Send + Sync + 'static> Rule for PredicateRule<C> {
    const NAME: &'static str = "Require";

    fn judge(&self, _: &Admission, jwt: &AnyJwt, extensions: &Extensions) -> Result<(), AuthError> {
        // The innermost layer's token, not one with the same claims type that a layer further out has left.
        match extensions.get::<Jwt<C>>().filter(|own| own.is(jwt)) {
            Some(jwt) if (self.predicate)(jwt) => Ok(()),
            Some(_) => Err(AuthErrorKind::Forbidden.into()),
            None => {
                events::misplaced(Self::NAME, type_name::<C>(), Some(jwt.claims_type()));
                Err(AuthErrorKind::Misconfigured.into())
            }
        }
    }
}

impl<C> std::fmt::Debug for PredicateRule<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PredicateRule").finish_non_exhaustive()
    }
}

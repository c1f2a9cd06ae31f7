//! What the layer leaves in a request's extensions for the guards and extractors behind it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::{Extensions, Response};

use crate::caller::CallerToken;
use crate::clock::Clock;
use crate::error::AuthError;
use crate::extract::Carrier;
use crate::rejection::{Challenges, MakeRejection, respond};
use crate::scheme::Scheme;
use crate::verify::{AnyJwt, Jwt};

/// The layer has let this request through. Of several layers, this is the innermost's word.
#[derive(Clone)]
pub struct Admission {
    /// `None` where authentication is optional and no token came.
    pub(crate) jwt: Option<AnyJwt>,
    /// The scheme of the credential.
    pub(crate) scheme: Scheme,
    /// Where the credential stands in the request.
    pub(crate) carrier: Option<Carrier>,
    /// How the layer words its challenges, so that those of guards agree with them.
    pub(crate) challenges: Arc<Challenges>,
    /// The verifier's.
    pub(crate) clock: Clock,
}

impl Admission {
    pub(crate) fn insert<C: Send + Sync + 'static>(
        self,
        extensions: &mut Extensions,
        jwt: Jwt<C>,
        caller: Option<CallerToken>,
    ) {
        extensions.insert(Self { jwt: Some(jwt.erase()), ..self });
        extensions.insert(jwt);
        match caller {
            Some(caller) => drop(extensions.insert(caller)),
            // One that a layer further out has kept is of another token.
            None => drop(extensions.remove::<CallerToken>()),
        }
    }

    /// No token came. One that a layer further out has verified is not this layer's, and must not pass for it.
    pub(crate) fn insert_anonymous<C: Send + Sync + 'static>(self, extensions: &mut Extensions) {
        extensions.remove::<Jwt<C>>();
        extensions.remove::<CallerToken>();
        extensions.insert(Self { jwt: None, ..self });
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

/// The refusal of a guard or an extractor, in the words of the layer in front.
pub(crate) fn refuse<B>(maker: &impl MakeRejection<B>, error: AuthError, head: &Parts) -> Response<B> {
    match head.extensions.get::<Admission>() {
        Some(admission) => {
            admission.challenges.guards.refused(&error);
            respond(maker, &admission.challenges, admission.scheme, error, head)
        }
        None => {
            let challenges = Challenges::plain();
            challenges.guards.refused(&error);
            respond(maker, &challenges, Scheme::Bearer, error, head)
        }
    }
}

impl Jwt<dyn Any + Send + Sync> {
    /// The verified token of a request, whatever its claims type: for guards that do not know it.
    ///
    /// `None` where no layer [`JwtAuth`](crate::JwtAuth) is in front, or where authentication is optional and no
    /// token came.
    pub fn from_extensions(extensions: &Extensions) -> Option<&AnyJwt> {
        extensions.get::<Admission>()?.jwt.as_ref()
    }
}

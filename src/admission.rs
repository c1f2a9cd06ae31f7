//! What the layer leaves in a request's extensions for the guards and extractors behind it.

use std::any::Any;
use std::sync::Arc;

use http::Extensions;

use crate::rejection::Challenges;
use crate::verify::{AnyJwt, Jwt};

/// The layer has let this request through. Of several layers, this is the innermost's word.
#[derive(Clone)]
pub(crate) struct Admission {
    /// `None` where authentication is optional and no token came.
    pub(crate) jwt: Option<AnyJwt>,
    /// How the layer words its challenges, so that those of guards agree with them.
    pub(crate) challenges: Arc<Challenges>,
}

impl Admission {
    pub(crate) fn insert<C: Send + Sync + 'static>(
        extensions: &mut Extensions,
        jwt: Jwt<C>,
        challenges: &Arc<Challenges>,
    ) {
        extensions.insert(Self { jwt: Some(jwt.erase()), challenges: Arc::clone(challenges) });
        extensions.insert(jwt);
    }

    /// No token came. One that a layer further out has verified is not this layer's, and must not pass for it.
    pub(crate) fn insert_anonymous<C: Send + Sync + 'static>(
        extensions: &mut Extensions,
        challenges: &Arc<Challenges>,
    ) {
        extensions.remove::<Jwt<C>>();
        extensions.insert(Self { jwt: None, challenges: Arc::clone(challenges) });
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

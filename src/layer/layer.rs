//! The layer and its settings.

use std::fmt;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use serde::de::DeserializeOwned;
use tower_layer::Layer;

use super::JwtAuthService;
use crate::admission::Admission;
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::extract::{BearerHeader, ExtractToken};
use crate::rejection::{Challenges, EmptyBody};
use crate::verify::{Issuer, Jwt, Verifier};

/// A [`Layer`] that verifies the token of every request and inserts a [`Jwt<C>`](Jwt) into its extensions.
///
/// The service inside must be [`Clone`], and its response body [`Default`], or [`on_reject`](Self::on_reject) must make
/// one. `C` owns its data: `String`, not `&str`. Put CORS outside of this layer, or preflight requests, which carry no
/// token, are refused.
///
/// Requests without a good token are answered and never reach the service: 401 with a challenge (RFC 6750 §3), 400,
/// or 503 where the keys cannot be had. See [`rejection`](crate::rejection).
pub struct JwtAuth<C, R = EmptyBody> {
    gate: Gate<C, R>,
}

impl<C: DeserializeOwned + Send + Sync + 'static> JwtAuth<C> {
    /// A layer that trusts one issuer, and takes bearer tokens from the `Authorization` header.
    ///
    /// # Errors
    /// When the issuer has no audience, or another setting that cannot work: the message names the fix.
    pub fn new(issuer: Issuer) -> Result<Self, ConfigError> {
        Verifier::new(issuer).map(Self::with)
    }

    /// A layer around a verifier: for several issuers, or rules of one's own.
    pub fn with(verifier: Verifier<C>) -> Self {
        Self {
            gate: Gate {
                verifier,
                extractor: None,
                challenges: Arc::new(Challenges::new(None)),
                optional: false,
                maker: Arc::new(EmptyBody),
            },
        }
    }
}

impl<C, R> JwtAuth<C, R> {
    /// The `realm` of challenges (RFC 9110 §11.5): a fixed text, none unless set.
    #[must_use]
    pub fn realm(mut self, realm: impl AsRef<str>) -> Self {
        self.gate.challenges = Arc::new(Challenges::new(Some(realm.as_ref())));
        self
    }

    /// Lets requests without a token through, and handlers see no [`Jwt`]. A token that is there and is not good is
    /// refused all the same.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.gate.optional = true;
        self
    }

    /// Another place to take the token from.
    #[must_use]
    pub fn extractor(mut self, extractor: impl ExtractToken) -> Self {
        self.gate.extractor = Some(Arc::new(extractor));
        self
    }

    /// Another body for refusals: [`ProblemJson`](crate::rejection::ProblemJson), a closure, or a
    /// [`MakeRejection`](crate::rejection::MakeRejection) of one's own.
    ///
    /// ```
    /// # use tower_jwt_auth::{Algorithm, ConfigError, Issuer, JwtAuth, KeySet};
    /// use http::Response;
    /// use tower_jwt_auth::rejection::Rejection;
    ///
    /// # fn auth(issuer: Issuer) -> Result<(), ConfigError> {
    /// // The type of the argument has to be written.
    /// let auth = JwtAuth::<serde_json::Value>::new(issuer)?
    ///     .on_reject(|refused: &Rejection<'_>| Response::new(format!("refused: {}", refused.error().kind())));
    /// # let _ = auth;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on_reject<R2>(self, maker: R2) -> JwtAuth<C, R2> {
        let Gate { verifier, extractor, challenges, optional, maker: _ } = self.gate;
        JwtAuth { gate: Gate { verifier, extractor, challenges, optional, maker: Arc::new(maker) } }
    }
}

impl<S, C, R> Layer<S> for JwtAuth<C, R> {
    type Service = JwtAuthService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        JwtAuthService::new(inner, self.gate.clone())
    }
}

impl<C, R> Clone for JwtAuth<C, R> {
    fn clone(&self) -> Self {
        Self { gate: self.gate.clone() }
    }
}

impl<C, R> fmt::Debug for JwtAuth<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuth")
            .field("verifier", &self.gate.verifier)
            .field("optional", &self.gate.optional)
            .finish_non_exhaustive()
    }
}

/// What is the same for every request.
pub(super) struct Gate<C, R> {
    pub(super) verifier: Verifier<C>,
    /// `None` for the bearer header.
    extractor: Option<Arc<dyn ExtractToken>>,
    pub(super) challenges: Arc<Challenges>,
    optional: bool,
    pub(super) maker: Arc<R>,
}

/// What the gate says of a request.
pub(super) enum Verdict {
    Pass,
    Refuse(AuthError),
    /// The keys for this token are not at hand.
    Wait(String),
}

impl<C: DeserializeOwned + Send + Sync + 'static, R> Gate<C, R> {
    pub(super) fn judge(&self, head: &mut Parts) -> Verdict {
        if let Some(value) = head.headers.get_mut(AUTHORIZATION) {
            value.set_sensitive(true);
        }
        let found = match &self.extractor {
            None => BearerHeader::find(head).map_err(AuthError::from),
            Some(extractor) => extractor.extract(head),
        };
        let credential = match found {
            Ok(Some(credential)) => credential,
            Ok(None) if self.optional => {
                Admission::insert_anonymous::<C>(&mut head.extensions, &self.challenges);
                return Verdict::Pass;
            }
            Ok(None) => return Verdict::Refuse(AuthErrorKind::MissingToken.into()),
            Err(error) => {
                // There may be a second header, and a maker of answers sees them all.
                let authorization = head.headers.iter_mut().filter(|(name, _)| *name == AUTHORIZATION);
                authorization.for_each(|(_, value)| value.set_sensitive(true));
                return Verdict::Refuse(error);
            }
        };
        let verdict = match self.verifier.verify_now(credential.token()) {
            Some(Err(_)) if !credential.is_well_formed() => Some(Err(AuthErrorKind::MalformedCredential.into())),
            verdict => verdict,
        };
        // One that has to wait needs its token, and so does the search for the headers that carry it.
        let is_elsewhere = self.extractor.is_some();
        let token = (verdict.is_none() || is_elsewhere).then(|| credential.into_token());
        if is_elsewhere && let Some(token) = &token {
            let carriers = head.headers.values_mut().filter(|value| value.as_bytes().ends_with(token.as_bytes()));
            carriers.for_each(|value| value.set_sensitive(true));
        }
        match verdict {
            Some(Ok(jwt)) => {
                self.admit(head, jwt);
                Verdict::Pass
            }
            Some(Err(error)) => Verdict::Refuse(error),
            None => Verdict::Wait(token.unwrap_or_default()),
        }
    }

    pub(super) fn admit(&self, head: &mut Parts, jwt: Jwt<C>) {
        Admission::insert(&mut head.extensions, jwt, &self.challenges);
    }
}

impl<C, R> Clone for Gate<C, R> {
    fn clone(&self) -> Self {
        Self {
            verifier: self.verifier.clone(),
            extractor: self.extractor.clone(),
            challenges: Arc::clone(&self.challenges),
            optional: self.optional,
            maker: Arc::clone(&self.maker),
        }
    }
}

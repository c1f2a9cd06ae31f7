//! The layer and its settings.

use std::fmt;
use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN};
use http::request::Parts;
use http::{Method, Response};
use serde::de::DeserializeOwned;
use tower_layer::Layer;

use super::JwtAuthService;
use crate::admission::Admission;
use crate::binding::{Bindings, Pending, Shown};
use crate::caller::CallerToken;
use crate::claims::is_scope;
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::extract::{BearerHeader, Carrier, ExtractToken};
use crate::metadata::ProtectedResource;
use crate::rejection::{Challenges, EmptyBody, MakeRejection, Words, respond};
use crate::scheme::Scheme;
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
                words: Words::default(),
                challenges: Arc::new(Challenges::plain()),
                bindings: Bindings::default(),
                optional: false,
                passes_preflight: false,
                keeps_token: false,
                maker: Arc::new(EmptyBody),
            },
        }
    }
}

impl<C, R> JwtAuth<C, R> {
    /// The `realm` of challenges (RFC 9110 §11.5): a fixed text, none unless set.
    #[must_use]
    pub fn realm(self, realm: impl AsRef<str>) -> Self {
        self.word(|words| words.realm = Some(realm.as_ref().into()))
    }

    fn word(mut self, change: impl FnOnce(&mut Words)) -> Self {
        change(&mut self.gate.words);
        self.gate.challenges = Arc::new(Challenges::new(&self.gate.words));
        self
    }

    /// Lets requests without a token through, and handlers see no [`Jwt`]. A token that is there and is not good is
    /// refused all the same.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.gate.optional = true;
        self
    }

    /// Lets CORS preflight requests through: OPTIONS with `Origin` and `Access-Control-Request-Method`, and without a
    /// token, which browsers never send there. For a CORS layer further in; better is one further out, in front of this
    /// layer. Handlers see no [`Jwt`], and guards refuse.
    #[must_use]
    pub fn allow_preflight(mut self) -> Self {
        self.gate.passes_preflight = true;
        self
    }

    /// Keeps the text of a token that has been verified: handlers see a [`CallerToken`](crate::forward::CallerToken) in
    /// the request's extensions, for [`RelayToken`](crate::forward::RelayToken) to send on. Off by default: a service
    /// that calls nobody in its caller's name has no use for it.
    #[must_use]
    pub fn keep_token(mut self) -> Self {
        self.gate.keeps_token = true;
        self
    }

    /// Takes tokens that are bound to a client certificate (RFC 8705 §3), and compares it with the
    /// [`PeerCertificate`](crate::binding::PeerCertificate) in the request's extensions. Without this they are refused.
    #[must_use]
    pub fn mtls(mut self) -> Self {
        self.gate.bindings.mtls = true;
        self
    }

    /// Takes tokens that are bound to a key, with proofs of possession (RFC 9449). Without this they are refused.
    #[must_use]
    pub fn dpop(mut self, dpop: crate::binding::Dpop) -> Self {
        let (algorithms, required) = (dpop.algorithm_names(), dpop.is_required());
        self.gate.bindings.dpop = Some(Arc::new(dpop));
        self.word(|words| {
            words.dpop_algorithms = Some(algorithms.into());
            words.dpop_only = required;
        })
    }

    /// Names the scopes that clients should ask for in challenges to requests without a good token: `scope` (RFC 6750 §3).
    /// Clients of the Model Context Protocol ask for these first. None unless set; guards name their own.
    ///
    /// # Errors
    /// When one is no scope (RFC 6749 §3.3).
    pub fn challenge_scopes<T: AsRef<str>>(self, scopes: impl IntoIterator<Item = T>) -> Result<Self, ConfigError> {
        let mut all = String::new();
        for scope in scopes {
            let scope = scope.as_ref();
            if !is_scope(scope) {
                return Err(ConfigError::new(format!(
                    "{scope:?} is no scope: leave spaces, quotes and backslashes out"
                )));
            }
            all.push_str(if all.is_empty() { "" } else { " " });
            all.push_str(scope);
        }
        Ok(self.word(|words| words.scope = (!all.is_empty()).then(|| all.into())))
    }

    /// The metadata of this service as a protected resource (RFC 9728), from the layer's own settings: its issuers as
    /// authorization servers, and what it asks of bound tokens, as they are now: call it after [`dpop`](Self::dpop) and
    /// [`mtls`](Self::mtls). Serve it with the layer that it is, and name it in
    /// challenges with [`resource_metadata`](Self::resource_metadata).
    ///
    /// # Errors
    /// When the identifier is no `https` URL (`http` on loopback), or has a query, a fragment or a user.
    pub fn metadata(&self, identifier: &str) -> Result<ProtectedResource, ConfigError> {
        let mut resource = ProtectedResource::new(identifier)?;
        for issuer in self.gate.verifier.issuer_names() {
            resource = resource.authorization_server(issuer);
        }
        if self.gate.bindings.mtls {
            resource = resource.member("tls_client_certificate_bound_access_tokens", true);
        }
        if let Some(dpop) = &self.gate.bindings.dpop {
            let algorithms: Vec<_> = dpop.algorithm_names().split(' ').map(str::to_owned).collect();
            resource = resource.member("dpop_signing_alg_values_supported", algorithms);
            resource = resource.member("dpop_bound_access_tokens_required", dpop.is_required());
        }
        Ok(resource)
    }

    /// Names the metadata of this service in every challenge, those of guards too: `resource_metadata` (RFC 9728 §5.1).
    #[must_use]
    pub fn resource_metadata(self, resource: &ProtectedResource) -> Self {
        self.word(|words| words.resource_metadata = Some(resource.url().into()))
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
        JwtAuth { gate: self.gate.with_maker(Arc::new(maker)) }
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
    words: Words,
    pub(super) challenges: Arc<Challenges>,
    bindings: Bindings,
    optional: bool,
    passes_preflight: bool,
    keeps_token: bool,
    pub(super) maker: Arc<R>,
}

/// What the gate says of a request.
pub(super) enum Verdict<C> {
    /// Call the inner service, and keep its answer out of shared caches or not.
    Pass(Caching),
    Refuse(AuthError, Scheme),
    /// The keys for this token are not at hand, or the record of used proofs is not.
    Wait(Waited<C>, Carrier),
}

/// What has to be waited for.
pub(super) enum Waited<C> {
    Keys(Presented),
    Binding(Jwt<C>, Scheme, Pending),
}

/// The token of a request that has to wait.
pub(super) struct Presented {
    pub(super) token: String,
    pub(super) scheme: Scheme,
}

/// Whether the answer belongs to the sender of the request alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Caching {
    /// Caches know that from the `Authorization` header (RFC 9111 §3.5).
    AsIs,
    /// They do not see it in a cookie, in the query, or in a header of one's own.
    Private,
}

impl From<Carrier> for Caching {
    fn from(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Authorization | Carrier::WebSocketProtocol => Self::AsIs,
            Carrier::Header | Carrier::Cookie | Carrier::Query | Carrier::Elsewhere => Self::Private,
        }
    }
}

impl<C: DeserializeOwned + Send + Sync + 'static, R> Gate<C, R> {
    pub(super) fn judge(&self, head: &mut Parts) -> Verdict<C> {
        if let Some(value) = head.headers.get_mut(AUTHORIZATION) {
            value.set_sensitive(true);
        }
        if self.bindings.dpop.is_some() {
            let proofs = head.headers.iter_mut().filter(|(name, _)| *name == "dpop");
            proofs.for_each(|(_, value)| value.set_sensitive(true));
        }
        let found = match &self.extractor {
            None => BearerHeader::find(head).map_err(AuthError::from),
            Some(extractor) => extractor.extract(head),
        };
        let credential = match found.map(|found| found.filter(|found| self.bindings.takes(found.scheme()))) {
            Ok(Some(credential)) => credential,
            Ok(None) if self.optional || (self.passes_preflight && is_preflight(head)) => {
                self.admission(Scheme::Bearer, None).insert_anonymous::<C>(&mut head.extensions);
                return Verdict::Pass(Caching::AsIs);
            }
            Ok(None) => return Verdict::Refuse(AuthErrorKind::MissingToken.into(), Scheme::Bearer),
            Err(error) => {
                // Where the token stands is not known, there may be two, and a maker of answers sees every header.
                head.headers.values_mut().for_each(|value| value.set_sensitive(true));
                return Verdict::Refuse(error, Scheme::Bearer);
            }
        };
        let scheme = credential.scheme();
        let mut carrier = credential.carrier();
        let verdict = match self.verifier.verify_now(credential.token()) {
            Some(Err(_)) if !credential.is_well_formed() => Some(Err(AuthErrorKind::MalformedCredential.into())),
            Some(Ok(jwt)) => Some(self.check_binding(&jwt, scheme, credential.token(), head).map(|wait| (jwt, wait))),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        };
        // One that has to wait needs its token, and so does the search for the headers that carry it.
        let is_elsewhere = self.extractor.is_some();
        let is_needed = verdict.is_none() || is_elsewhere || self.keeps_token;
        let token = is_needed.then(|| credential.into_token());
        if is_elsewhere && let Some(token) = &token {
            let finder = memchr::memmem::Finder::new(token);
            let carriers = head.headers.values_mut().filter(|value| finder.find(value.as_bytes()).is_some());
            let count = carriers.map(|value| value.set_sensitive(true)).count();
            if count == 0 && carrier == Carrier::Header {
                carrier = Carrier::Elsewhere;
            }
        }
        match verdict {
            Some(Ok((jwt, None))) => {
                self.admit(head, jwt, scheme, carrier, token.as_deref());
                Verdict::Pass(carrier.into())
            }
            Some(Ok((jwt, Some(pending)))) => Verdict::Wait(Waited::Binding(jwt, scheme, pending), carrier),
            Some(Err(error)) => Verdict::Refuse(error, scheme),
            None => Verdict::Wait(Waited::Keys(Presented { token: token.unwrap_or_default(), scheme }), carrier),
        }
    }

    /// Judges the key that the token is bound to; `Some` where that needs time.
    pub(super) fn check_binding(
        &self,
        jwt: &Jwt<C>,
        scheme: Scheme,
        token: &str,
        head: &Parts,
    ) -> Result<Option<Pending>, AuthError> {
        if self.bindings.pass_unseen(scheme) && !jwt.is_bound() {
            return Ok(None);
        }
        let now = self.verifier.clock().now();
        let shown = Shown { scheme, token, head, jkt: jwt.jkt(), x5t_s256: jwt.x5t_s256(), now };
        self.bindings.check(&shown).map_err(|error| jwt.blame(error))
    }

    /// The text of the token may be missing where the token is bound.
    pub(super) fn admit(&self, head: &mut Parts, jwt: Jwt<C>, scheme: Scheme, carrier: Carrier, token: Option<&str>) {
        self.verifier.count_accepted(&jwt);
        let clock = self.verifier.clock();
        let caller = self.keeps_token.then(|| CallerToken::new(token, jwt.erase(), clock.clone()));
        self.admission(scheme, Some(carrier)).insert(&mut head.extensions, jwt, caller);
    }

    /// The answer to a request that does not pass.
    pub(super) fn refuse<B>(&self, error: AuthError, scheme: Scheme, head: &Parts) -> Response<B>
    where
        R: MakeRejection<B>,
    {
        self.verifier.count_refused(&error);
        respond(&*self.maker, &self.challenges, scheme, error, head)
    }

    fn admission(&self, scheme: Scheme, carrier: Option<Carrier>) -> Admission {
        let (challenges, clock) = (Arc::clone(&self.challenges), self.verifier.clock().clone());
        Admission { jwt: None, scheme, carrier, challenges, clock }
    }
}

impl<C, R> Gate<C, R> {
    fn with_maker<R2>(self, maker: Arc<R2>) -> Gate<C, R2> {
        Gate {
            verifier: self.verifier,
            extractor: self.extractor,
            words: self.words,
            challenges: self.challenges,
            bindings: self.bindings,
            optional: self.optional,
            passes_preflight: self.passes_preflight,
            keeps_token: self.keeps_token,
            maker,
        }
    }
}

/// A CORS preflight request (Fetch standard, "CORS-preflight fetch").
fn is_preflight(head: &Parts) -> bool {
    let has = |name| head.headers.contains_key(name);
    head.method == Method::OPTIONS && has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD)
}

impl<C, R> Clone for Gate<C, R> {
    fn clone(&self) -> Self {
        Self {
            verifier: self.verifier.clone(),
            extractor: self.extractor.clone(),
            words: self.words.clone(),
            challenges: Arc::clone(&self.challenges),
            bindings: self.bindings.clone(),
            optional: self.optional,
            passes_preflight: self.passes_preflight,
            keeps_token: self.keeps_token,
            maker: Arc::clone(&self.maker),
        }
    }
}

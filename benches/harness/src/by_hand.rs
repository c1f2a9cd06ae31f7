//! What a careful user writes around `jsonwebtoken`: keys by `kid`, one `Validation` for all requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Request;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use tower_service::Service;

use crate::request::{AUDIENCE, Claims, ISSUER, token_of};

/// `jsonwebtoken::decode` on aws-lc, with the claims put into the extensions.
#[derive(Clone)]
pub struct ByHand<S> {
    inner: S,
    rules: Arc<(HashMap<String, DecodingKey>, Validation)>,
}

impl<S> ByHand<S> {
    /// Around a service, with the keys of a JWK set that are all for the algorithm of the first.
    pub fn new(inner: S, jwks: &str) -> Self {
        // Another case may have installed it already.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let jwks: JwkSet = serde_json::from_str(jwks).expect("a JWK set");
        let named = jwks.keys[0].common.key_algorithm.expect("the keys here name their algorithm");
        let mut validation = Validation::new(named.to_string().parse().expect("an algorithm for signatures"));
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let keys = jwks.keys.iter().map(|jwk| {
            let kid = jwk.common.key_id.clone().expect("the keys here have a kid");
            (kid, DecodingKey::from_jwk(jwk).expect("a key"))
        });
        Self { inner, rules: Arc::new((keys.collect(), validation)) }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for ByHand<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (keys, validation) = &*self.rules;
        let token = token_of(&request);
        let header = jsonwebtoken::decode_header(token).expect("a header");
        let key = header.kid.and_then(|kid| keys.get(&kid)).expect("a known key");
        let token = jsonwebtoken::decode::<Claims>(token, key, validation).expect("a good token");
        request.extensions_mut().insert(Arc::new(token.claims));
        self.inner.call(request)
    }
}

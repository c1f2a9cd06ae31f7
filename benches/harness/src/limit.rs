//! The limit: what cannot be left out, and nothing else. It checks no claim and refuses by panicking.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use serde_json::Value;
use tower_service::Service;

use crate::request::{Claims, token_of};

/// One signature check with a prepared key, one decode, and one typed parse, whose result goes into the extensions.
#[derive(Clone)]
pub struct Limit<S> {
    inner: S,
    key: Arc<Key>,
}

enum Key {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl<S> Limit<S> {
    /// Around a service, with the first key of a JWK set.
    pub fn new(inner: S, jwks: &str) -> Self {
        let jwks: Value = serde_json::from_str(jwks).expect("a JWK set");
        Self { inner, key: Arc::new(Key::new(&jwks["keys"][0])) }
    }
}

impl Key {
    fn new(jwk: &Value) -> Self {
        let bytes = |name: &str| {
            let text = jwk[name].as_str().expect("a member of the JWK");
            URL_SAFE_NO_PAD.decode(text).expect("base64url")
        };
        let rsa = |parameters| {
            let components = RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") };
            components.to_parsed_public_key(parameters)
        };
        let public = match jwk["alg"].as_str().expect("the keys here name their algorithm") {
            "HS256" => return Self::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes("k")))),
            "RS256" => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            "PS256" => rsa(&signature::RSA_PSS_2048_8192_SHA256),
            "ES256" => {
                let point = [vec![4], bytes("x"), bytes("y")].concat();
                ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
            }
            "EdDSA" => ParsedPublicKey::new(&signature::ED25519, bytes("x")),
            other => panic!("no yardstick for {other}"),
        };
        Self::Public(public.expect("a valid key"))
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }

    fn claims(&self, token: &str) -> Claims {
        let (signed, signature) = token.rsplit_once('.').expect("three segments");
        let (_, payload) = signed.split_once('.').expect("three segments");
        let mut room = [0; 512];
        let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut room).expect("base64url");
        assert!(self.verify(signed.as_bytes(), &room[..length]), "a good signature");
        let mut room = [0; 1024];
        let length = URL_SAFE_NO_PAD.decode_slice(payload, &mut room).expect("base64url");
        serde_json::from_slice(&room[..length]).expect("claims")
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Limit<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let claims = self.key.claims(token_of(&request));
        request.extensions_mut().insert(Arc::new(claims));
        self.inner.call(request)
    }
}

/// One lookup by the whole token in a standard `HashMap` under a read lock.
#[derive(Clone)]
pub struct RememberedLimit<S> {
    inner: S,
    known: Arc<RwLock<HashMap<Box<str>, Arc<Claims>>>>,
}

impl<S> RememberedLimit<S> {
    /// Around a service, with these tokens as good as verified.
    pub fn new<'t>(inner: S, jwks: &str, tokens: impl IntoIterator<Item = &'t str>) -> Self {
        let limit = Limit::new((), jwks);
        let known = tokens.into_iter().map(|token| (token.into(), Arc::new(limit.key.claims(token)))).collect();
        Self { inner, known: Arc::new(RwLock::new(known)) }
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for RememberedLimit<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let claims = Arc::clone(known.get(token_of(&request)).expect("a remembered token"));
        drop(known);
        request.extensions_mut().insert(claims);
        self.inner.call(request)
    }
}

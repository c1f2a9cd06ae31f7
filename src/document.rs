//! A document that a layer serves by itself: GET, HEAD, and what caches need (RFC 9110, RFC 9111).

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH,
};
use http::{HeaderValue, Method, Response, StatusCode, Uri};

use crate::crypto;
use crate::error::ConfigError;
use crate::jose::compact::encode;
use crate::quote;

/// A URL that names a service, in parts.
pub(crate) struct Identifier {
    /// Scheme and authority.
    pub(crate) origin: String,
    /// Empty where it is nothing but a slash: then it is none (RFC 8414 §3.1, RFC 9728 §3.1).
    pub(crate) path: String,
}

impl Identifier {
    /// An `https` URL (`http` on loopback) without a query, a fragment or a user; `what` is said of one that is not.
    pub(crate) fn parse(identifier: &str, what: &str) -> Result<Self, ConfigError> {
        let refused =
            |why: &str| ConfigError::new(format!("{} is no identifier of {what}: {why}", quote::url(identifier)));
        if identifier.contains(['?', '#']) {
            return Err(refused("leave query and fragment out"));
        }
        let uri: Uri = identifier.parse().map_err(|_| refused("write it like `https://api.example.com/orders`"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refused("write it like `https://api.example.com/orders`"));
        };
        let is_loopback = matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
        if authority.as_str().contains('@') || !(scheme == "https" || scheme == "http" && is_loopback) {
            return Err(refused("it is https, or http on loopback, without a user"));
        }
        let path = uri.path().strip_suffix('/').filter(|rest| rest.is_empty()).unwrap_or(uri.path());
        Ok(Self { origin: format!("{scheme}://{authority}"), path: path.to_owned() })
    }
}

/// What is served, and how long it may be kept. Any site may read it.
#[derive(Clone)]
pub(crate) struct Document {
    content: Bytes,
    content_type: &'static str,
    max_age: Duration,
    tag: Option<HeaderValue>,
}

impl Document {
    pub(crate) fn new(content: impl Into<Bytes>, content_type: &'static str, max_age: Duration) -> Self {
        let content = content.into();
        let tag = crypto::sha256(&content).map(|hash| format!("\"{}\"", encode(&hash[..16])));
        let tag = tag.and_then(|tag| HeaderValue::try_from(tag).ok());
        Self { content, content_type, max_age, tag }
    }

    /// 200, 304 to a client that has it (RFC 9110 §13.1.2), or 405.
    pub(crate) fn answer<B: Default + From<Bytes>>(&self, method: &Method, asked: &HeaderMap) -> Response<B> {
        let mut response = Response::new(B::default());
        if !is_read(method) {
            return refuse_method(response);
        }
        if let Some(tag) = &self.tag {
            response.headers_mut().insert(ETAG, tag.clone());
            if asked.get_all(IF_NONE_MATCH).iter().any(|known| matches(known, tag)) {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
            }
        }
        let headers = response.headers_mut();
        let max_age = format!("public, max-age={}", self.max_age.as_secs());
        headers.insert(CACHE_CONTROL, HeaderValue::try_from(max_age).expect("a number is visible ASCII"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if response.status() == StatusCode::OK {
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.content.len()));
            if method == Method::GET {
                *response.body_mut() = B::from(self.content.clone());
            }
        }
        response
    }
}

pub(crate) fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// 405 (RFC 9110 §15.5.6).
pub(crate) fn refuse_method<B>(mut response: Response<B>) -> Response<B> {
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The weak comparison of one of several tags, or `*`.
fn matches(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == tag)
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_the_document_is_told_so() {
        let document = Document::new("{}", "application/json", Duration::from_secs(300));
        let ask = |known: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(known) = known {
                headers.insert(IF_NONE_MATCH, HeaderValue::from_str(known).expect("a header"));
            }
            document.answer::<Bytes>(&Method::GET, &headers)
        };
        let full = ask(None);
        let tag = full.headers()[ETAG].to_str().expect("ASCII").to_owned();
        assert_eq!((full.status(), &full.body()[..]), (StatusCode::OK, &b"{}"[..]));
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = ask(Some(&known));
            assert_eq!((answer.status(), answer.body().len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
            assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=300");
            assert_eq!(answer.headers()[ETAG], tag);
            assert!(!answer.headers().contains_key(CONTENT_TYPE));
        }
        for other in ["\"other\"", "", "W/", tag.trim_matches('"')] {
            assert_eq!(ask(Some(other)).status(), StatusCode::OK, "{other}");
        }
        let changed = Document::new("{ }", "application/json", Duration::ZERO);
        assert_ne!(changed.tag, document.tag);
    }
}

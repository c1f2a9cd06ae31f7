//! The document.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use tower_layer::Layer;

use super::ProtectedResourceService;
use crate::document::Identifier;
use crate::error::ConfigError;

/// The metadata of a protected resource (RFC 9728 §2), and the layer that serves it.
#[derive(Clone)]
pub struct ProtectedResource {
    /// Scheme and authority.
    origin: String,
    path: String,
    members: Map<String, Value>,
}

impl ProtectedResource {
    /// Of the resource with this identifier: the URL that clients know it by, and name when they ask for a token
    /// (RFC 8707). [`JwtAuth::metadata`](crate::JwtAuth::metadata) fills in more.
    ///
    /// # Errors
    /// When it is no `https` URL (`http` on loopback), or has a query, a fragment or a user (§1.2).
    pub fn new(identifier: &str) -> Result<Self, ConfigError> {
        let Identifier { origin, path } = Identifier::parse(identifier, "a resource")?;
        // The well-known path goes between host and path (§3.1).
        let resource =
            Self { path: format!("/.well-known/oauth-protected-resource{path}"), origin, members: Map::new() };
        Ok(resource.member("resource", identifier).member("bearer_methods_supported", ["header"]))
    }

    /// An authorization server whose tokens are taken: the name of an issuer. Call it again for more.
    #[must_use]
    pub fn authorization_server(mut self, issuer: impl Into<String>) -> Self {
        let servers = self.members.entry("authorization_servers").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(servers) = servers {
            servers.push(Value::String(issuer.into()));
        }
        self
    }

    /// The scopes that clients may need: `scopes_supported`. None unless set.
    #[must_use]
    pub fn scopes<S: Into<String>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes: Vec<String> = scopes.into_iter().map(Into::into).collect();
        self.member("scopes_supported", scopes)
    }

    /// A name for people: `resource_name`. None unless set.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        self.member("resource_name", name.into())
    }

    /// Any other member of §2, in place of what it was: `resource_documentation`, `jwks_uri`, `bearer_methods_supported`
    /// (`header` unless set).
    #[must_use]
    pub fn member(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        // What has no JSON form is left out.
        if let Ok(value) = serde_json::to_value(value) {
            self.members.insert(name.into(), value);
        }
        self
    }

    /// Where the document is: for routes of one's own.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The URL of the document: what challenges name.
    pub fn url(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }

    /// The document, as JSON.
    pub fn document(&self) -> Bytes {
        Value::Object(self.members.clone()).to_string().into()
    }
}

impl<S> Layer<S> for ProtectedResource {
    type Service = ProtectedResourceService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ProtectedResourceService::new(inner, self.path(), self.document())
    }
}

impl fmt::Debug for ProtectedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectedResource").field("url", &self.url()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_path_stands_between_host_and_path() {
        let cases = [
            ("https://api.example.com", "https://api.example.com/.well-known/oauth-protected-resource"),
            ("https://api.example.com/", "https://api.example.com/.well-known/oauth-protected-resource"),
            ("https://api.example.com/mcp", "https://api.example.com/.well-known/oauth-protected-resource/mcp"),
            (
                "https://api.example.com:8443/a/b/",
                "https://api.example.com:8443/.well-known/oauth-protected-resource/a/b/",
            ),
            ("http://127.0.0.1:3000/mcp", "http://127.0.0.1:3000/.well-known/oauth-protected-resource/mcp"),
        ];
        for (identifier, url) in cases {
            let resource = ProtectedResource::new(identifier).expect("an identifier");
            assert_eq!(resource.url(), url);
            assert!(resource.url().ends_with(resource.path()));
            let document: Value = serde_json::from_slice(&resource.document()).expect("JSON");
            assert_eq!(document["resource"], identifier, "byte for byte");
        }
    }

    #[test]
    fn what_is_no_identifier_is_refused() {
        for wrong in [
            "",
            "api.example.com",
            "/mcp",
            "http://api.example.com",
            "https://u@api.example.com",
            "ftp://localhost",
            "https://api.example.com?x",
            "https://api.example.com#x",
            "https://",
            "https://a b",
            "http://127.0.0.1.evil",
        ] {
            assert!(ProtectedResource::new(wrong).is_err(), "{wrong}");
        }
    }
}

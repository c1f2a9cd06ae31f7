//! A subprotocol of a websocket handshake: the only header that a browser lets a page set there.

use http::header::{CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::request::Parts;
use http::{Method, Version};

use super::{Carrier, Credential, ExtractToken};
use crate::error::{AuthError, AuthErrorKind};

/// The token in `Sec-WebSocket-Protocol`, behind a prefix (RFC 6455 §1.9).
///
/// The page offers the token beside the protocol that it wants to speak, and the server must accept that one, never the
/// token's: a browser closes the connection where nothing that it offered is accepted.
///
/// ```js
/// new WebSocket("wss://api.example.com/live", ["bearer." + token, "orders.v1"])
/// ```
///
/// Two such protocols are refused with 400. Requests that are no handshake carry no token here.
#[derive(Clone, Debug)]
pub struct WebSocketProtocol {
    prefix: Box<str>,
}

impl WebSocketProtocol {
    /// Behind the prefix `bearer.`.
    pub fn new() -> Self {
        Self::with_prefix("bearer.")
    }

    /// Behind another prefix, in this very case.
    pub fn with_prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into().into_boxed_str() }
    }
}

impl Default for WebSocketProtocol {
    fn default() -> Self {
        Self::new()
    }
}

super::combine!(WebSocketProtocol);

impl ExtractToken for WebSocketProtocol {
    fn extract<'a>(&'a self, head: &'a Parts) -> Result<Option<Credential<'a>>, AuthError> {
        if !is_handshake(head) {
            return Ok(None);
        }
        let lines = head.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let offered = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
        let mut tokens = offered.filter_map(|protocol| protocol.strip_prefix(self.prefix.as_bytes()));
        let Some(token) = tokens.next() else { return Ok(None) };
        if tokens.next().is_some() {
            return Err(AuthErrorKind::SeveralCredentials.into());
        }
        let token = std::str::from_utf8(token).map_err(|_| AuthErrorKind::MalformedCredential)?;
        Credential::carried(token, Carrier::WebSocketProtocol).map(Some)
    }
}

/// True for a websocket handshake: over HTTP/1.1 (RFC 6455 §4.1), and over HTTP/2 and 3, where it is a CONNECT (RFC 8441).
/// Where the signs are few it counts as one: it is then asked for more.
pub(super) fn is_handshake(head: &Parts) -> bool {
    let upgrades = |name| {
        let values = head.headers.get_all(name).iter();
        let mut members = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
        members.any(|member| member.trim_ascii().eq_ignore_ascii_case(b"websocket"))
    };
    let is_extended_connect = head.method == Method::CONNECT && head.version >= Version::HTTP_2;
    let asks = head.headers.contains_key("sec-websocket-key") && head.headers.contains_key(CONNECTION);
    is_extended_connect || upgrades(UPGRADE) || asks
}

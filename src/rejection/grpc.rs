//! gRPC answers: HTTP 200, header-only, `grpc-status` and `grpc-message` (gRPC over HTTP/2, "Responses").

use std::fmt::Write as _;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// True when the request is gRPC or gRPC-Web, by its content type.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    const PREFIX: &[u8] = b"application/grpc";
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    value.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// `grpc-message`: percent-encoded where it is not %x20-24 / %x26-7E.
pub(super) fn message(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'$' | b'&'..=b'~' => encoded.push(char::from(byte)),
            // Writing to a `String` does not fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    HeaderValue::from_str(&encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_decides() {
        let judge = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_grpc(&headers)
        };
        for value in ["application/grpc", "application/grpc+proto", "Application/gRPC", "application/grpc-web+proto"] {
            assert!(judge(value), "{value}");
        }
        for value in ["application/json", "application/grp", "text/application/grpc", ""] {
            assert!(!judge(value), "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(message("50% of ~ \n\u{e9}"), "50%25 of ~ %0A%C3%A9");
    }
}

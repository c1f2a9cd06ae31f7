//! gRPC answers: HTTP 200, header-only, `grpc-status` and `grpc-message` (gRPC over HTTP/2, "Responses").

use std::fmt::Write as _;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method};

/// The content type of the answer to a gRPC or gRPC-Web request; `None` for other requests. gRPC is always POST: a
/// GET with this content type is a browser's or a cache's.
pub(super) fn answer_type(head: &Parts) -> Option<HeaderValue> {
    const PREFIX: &[u8] = b"application/grpc";
    let value = head.headers.get(CONTENT_TYPE)?.as_bytes();
    let (start, rest) = value.split_at_checked(PREFIX.len())?;
    if head.method != Method::POST || !start.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let rest = rest.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    let answer = match &*rest {
        b"-web" => "application/grpc-web",
        b"-web+proto" => "application/grpc-web+proto",
        b"-web-text" => "application/grpc-web-text",
        b"-web-text+proto" => "application/grpc-web-text+proto",
        [] | [b'+', ..] => "application/grpc",
        _ => return None,
    };
    Some(HeaderValue::from_static(answer))
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
        let judge = |method: Method, value: &'static str| {
            let request = http::Request::builder().method(method).header(CONTENT_TYPE, value).body(());
            let (head, ()) = request.expect("a request").into_parts();
            answer_type(&head)
        };
        let cases = [
            ("application/grpc", Some("application/grpc")),
            ("application/grpc+proto; charset=x", Some("application/grpc")),
            ("Application/gRPC", Some("application/grpc")),
            ("application/grpc-web", Some("application/grpc-web")),
            ("application/grpc-web+proto", Some("application/grpc-web+proto")),
            ("application/grpc-WEB-text ; x", Some("application/grpc-web-text")),
            ("application/grpc-<script>", None),
            ("application/grpcx", None),
            ("application/json", None),
            ("application/grp", None),
            ("text/application/grpc", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let expected = expected.map(HeaderValue::from_static);
            assert_eq!(judge(Method::POST, value), expected, "{value}");
            assert_eq!(judge(Method::GET, value), None, "{value}");
        }
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(message("50% of ~ \n\u{e9}"), "50%25 of ~ %0A%C3%A9");
    }
}

//! What can be seen of a token without its key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use tower_jwt_auth::AuthErrorKind as Kind;

/// Its length and its segments.
pub(crate) fn size(token: &str) -> String {
    format!("{} bytes, {}", token.len(), segments(token))
}

/// What is wrong with the form of a token that is refused for its form.
pub(crate) fn fault(token: &str, kind: Kind) -> Option<String> {
    let is_no_json = |at| object(token, at).is_none();
    match kind {
        Kind::MalformedToken if !has_three_segments(token) => {
            Some(format!("it has {}, and a signed token has 3", segments(token)))
        }
        Kind::MalformedToken => {
            let bent = token.split('.').position(|segment| URL_SAFE_NO_PAD.decode(segment).is_err())?;
            let name = ["header", "payload", "signature"].get(bent)?;
            Some(format!("the {name} (segment {} of 3) is not base64url", bent + 1))
        }
        Kind::MalformedHeader if is_no_json(0) => Some("the header (segment 1 of 3) is not a JSON object".to_owned()),
        Kind::MalformedPayload if is_no_json(1) => Some("the payload (segment 2 of 3) is not a JSON object".to_owned()),
        _ => None,
    }
}

/// What is to be said of times that look like milliseconds. In seconds they are after the year 5138, and
/// milliseconds before March 1973 are no time of a token.
pub(crate) fn milliseconds(token: &str, is_accepted: bool) -> Option<String> {
    let claims = object(token, 1)?;
    let is_huge = |name: &&str| claims.get(*name).and_then(Value::as_f64).is_some_and(|time| time >= 1e11);
    let names: Vec<_> = ["exp", "nbf", "iat"].into_iter().filter(is_huge).map(|name| format!("`{name}`")).collect();
    let (look, are) = match names.len() {
        0 => return None,
        1 => ("looks", "is"),
        _ => ("look", "are"),
    };
    let names = names.join(" and ");
    let rule = if is_accepted { "; with `Issuer::max_lifetime` the token would be refused" } else { "" };
    Some(format!("{names} {look} like milliseconds and {are} read as seconds{rule}"))
}

pub(crate) fn has_three_segments(token: &str) -> bool {
    token.split('.').count() == 3
}

fn segments(token: &str) -> String {
    match token.split('.').count() {
        1 => "1 segment".to_owned(),
        count => format!("{count} segments"),
    }
}

fn object(token: &str, at: usize) -> Option<Map<String, Value>> {
    let json = URL_SAFE_NO_PAD.decode(token.split('.').nth(at)?).ok()?;
    serde_json::from_slice(&json).ok()
}

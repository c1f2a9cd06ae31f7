//! Thumbprints of keys (RFC 7638).

use serde_json::{Map, Value};

use super::sha256;
use crate::jose::compact::encode;

/// The SHA-256 thumbprint of a public JWK, in base64url: of the members that define it, in order, without white space.
/// `None` where one is missing or no string, or has characters that JSON would escape.
pub(crate) fn thumbprint(jwk: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| {
        let text = jwk.get(name)?.as_str()?;
        text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\').then_some(text)
    };
    let members: &[&str] = match text("kty")? {
        "EC" => &["crv", "kty", "x", "y"],
        "RSA" => &["e", "kty", "n"],
        "OKP" => &["crv", "kty", "x"],
        "AKP" => &["alg", "kty", "pub"],
        _ => return None,
    };
    let members: Option<Vec<_>> = members.iter().map(|name| Some(format!("\"{name}\":\"{}\"", text(name)?))).collect();
    sha256(format!("{{{}}}", members?.join(",")).as_bytes()).map(|hash| encode(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(jwk: &str) -> Option<String> {
        thumbprint(serde_json::from_str::<Value>(jwk).expect("JSON").as_object().expect("an object"))
    }

    #[test]
    #[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
    fn the_examples_of_the_rfcs_have_their_thumbprints() {
        // RFC 7638 section 3.1, RFC 8037 A.3, RFC 9449 sections 4.1 and 6.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let rsa = format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#);
        let cases = [
            (rsa.as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (
                r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
                "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            ),
            (
                r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#,
                "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
            ),
        ];
        for (jwk, expected) in cases {
            assert_eq!(of(jwk).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_defines_a_key_must_be_there_as_plain_strings() {
        for jwk in [
            r#"{"kty":"EC","crv":"P-256","x":"a"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":7}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"a\"b"}"#,
            r#"{"kty":"oct","k":"AAAA"}"#,
            "{}",
        ] {
            assert_eq!(of(jwk), None, "{jwk}");
        }
    }
}

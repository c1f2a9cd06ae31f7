//! The JOSE header (RFC 7515 §4).
//!
//! - A UTF-8 JSON object, unique names, nesting of at most 16.
//! - `crit` and `b64` are refused: no extension is understood (CVE-2025-59420).
//! - `jwk`, `jku`, `x5u` and `x5c` are never read (CVE-2018-0114).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Algorithm;
use super::json::{Names, Text, nests_within};
use crate::error::AuthErrorKind;

/// The longest `kid`, in bytes.
pub(crate) const MAX_KID: usize = 256;
const MAX_NESTING: usize = 16;

/// The members that a verifier acts on, borrowed from the decoded header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header<'h> {
    pub(crate) alg: Option<Cow<'h, str>>,
    pub(crate) kid: Option<Cow<'h, str>>,
    pub(crate) typ: Option<Cow<'h, str>>,
    critical: bool,
}

impl<'h> Header<'h> {
    pub(crate) fn parse(json: &'h [u8]) -> Result<Self, AuthErrorKind> {
        let text = std::str::from_utf8(json).map_err(|_| AuthErrorKind::MalformedHeader)?;
        let header = match Self::parse_plain(text) {
            Some(header) => header,
            None if nests_within(MAX_NESTING, json) => {
                serde_json::from_str(text).map_err(|_| AuthErrorKind::MalformedHeader)?
            }
            None => return Err(AuthErrorKind::MalformedHeader),
        };
        if header.critical {
            return Err(AuthErrorKind::CriticalHeader);
        }
        if header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(AuthErrorKind::MalformedHeader);
        }
        Ok(header)
    }

    /// A header that was judged before.
    pub(super) fn uncritical(alg: Option<Cow<'h, str>>, kid: Option<Cow<'h, str>>, typ: Option<Cow<'h, str>>) -> Self {
        Self { alg, kid, typ, critical: false }
    }

    /// What nearly every issuer sends: strings alone, without escapes and white space. `None` for anything else, which
    /// the JSON parser then judges.
    fn parse_plain(text: &'h str) -> Option<Self> {
        const MOST: usize = 8;
        let mut header = Self { alg: None, kid: None, typ: None, critical: false };
        let mut names = [""; MOST];
        let mut rest = text.strip_prefix('{')?;
        for at in 0..MOST {
            let (name, after) = plain_string(rest)?;
            let (value, after) = plain_string(after.strip_prefix(':')?)?;
            if names[..at].contains(&name) {
                return None;
            }
            names[at] = name;
            match name {
                "alg" => header.alg = Some(Cow::Borrowed(value)),
                "kid" => header.kid = Some(Cow::Borrowed(value)),
                "typ" => header.typ = Some(Cow::Borrowed(value)),
                other => header.critical |= is_critical(other),
            }
            if after == "}" {
                return Some(header);
            }
            rest = after.strip_prefix(',')?;
        }
        None
    }

    /// The algorithm, if it is one that exists here.
    pub(crate) fn algorithm(&self) -> Result<Algorithm, AuthErrorKind> {
        let name = self.alg.as_deref().ok_or(AuthErrorKind::AlgorithmNotAllowed)?;
        Algorithm::from_name(name).ok_or(AuthErrorKind::AlgorithmNotAllowed)
    }
}

/// A string at the start, without escapes, and what follows it.
fn plain_string(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let end = memchr::memchr2(b'"', b'\\', text.as_bytes())?;
    let (string, rest) = text.split_at(end);
    let is_plain = string.bytes().all(|byte| byte >= b' ');
    Some((string, rest.strip_prefix('"').filter(|_| is_plain)?))
}

fn is_critical(name: &str) -> bool {
    matches!(name, "crit" | "b64")
}

impl<'de> Deserialize<'de> for Header<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JOSE header")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut header = Header { alg: None, kid: None, typ: None, critical: false };
                let mut names = Names::new();
                while let Some(Text(name)) = map.next_key()? {
                    names.insert(name.clone())?;
                    match &*name {
                        "alg" => header.alg = Some(map.next_value::<Text<'_>>()?.0),
                        "kid" => header.kid = Some(map.next_value::<Text<'_>>()?.0),
                        "typ" => header.typ = Some(map.next_value::<Text<'_>>()?.0),
                        other => {
                            header.critical |= is_critical(other);
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AuthErrorKind::{AlgorithmNotAllowed, CriticalHeader, MalformedHeader};

    fn judge(json: &str) -> Result<Algorithm, AuthErrorKind> {
        Header::parse(json.as_bytes())?.algorithm()
    }

    #[test]
    fn headers_are_judged() {
        let nested = |depth: usize| format!(r#"{{"alg":"RS256","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let kid = |len: usize| format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(len));
        let cases = [
            (r#"{"alg":"RS256"}"#.to_owned(), Ok(Algorithm::RS256)),
            (r#" {"typ":"JWT","alg":"Ed25519","kid":""} "#.to_owned(), Ok(Algorithm::EdDSA)),
            (r#"{"\u0061lg":"ES256"}"#.to_owned(), Ok(Algorithm::ES256)),
            (r#"{"alg":"ES256","jwk":{},"jku":1,"x5u":[],"x5c":null}"#.to_owned(), Ok(Algorithm::ES256)),
            (nested(15), Ok(Algorithm::RS256)),
            (nested(16), Err(MalformedHeader)),
            (kid(MAX_KID), Ok(Algorithm::RS256)),
            (kid(MAX_KID + 1), Err(MalformedHeader)),
            (r#"{"alg":"RS256","kid":7}"#.to_owned(), Err(MalformedHeader)),
            (r#"{"alg":"RS256","kid":null}"#.to_owned(), Err(MalformedHeader)),
            (r#"{"alg":"RS256","typ":["JWT"]}"#.to_owned(), Err(MalformedHeader)),
            (r#"{"alg":["RS256"]}"#.to_owned(), Err(MalformedHeader)),
            (r#"{"alg":"RS256","alg":"RS256"}"#.to_owned(), Err(MalformedHeader)),
            (r#"{"alg":"RS256","\u0061lg":"HS256"}"#.to_owned(), Err(MalformedHeader)),
            (r#"{"alg":"RS256","x":1,"x":1}"#.to_owned(), Err(MalformedHeader)),
            (r#"["alg","RS256"]"#.to_owned(), Err(MalformedHeader)),
            (r#""RS256""#.to_owned(), Err(MalformedHeader)),
            (r#"{"alg":"RS256"}x"#.to_owned(), Err(MalformedHeader)),
            ("\u{feff}{\"alg\":\"RS256\"}".to_owned(), Err(MalformedHeader)),
            (String::new(), Err(MalformedHeader)),
            (r#"{"alg":"RS256","crit":[]}"#.to_owned(), Err(CriticalHeader)),
            (r#"{"alg":"RS256","crit":["exp"]}"#.to_owned(), Err(CriticalHeader)),
            (r#"{"alg":"RS256","b64":true}"#.to_owned(), Err(CriticalHeader)),
            (r#"{"alg":"none"}"#.to_owned(), Err(AlgorithmNotAllowed)),
            (r#"{"alg":"nOnE"}"#.to_owned(), Err(AlgorithmNotAllowed)),
            (r#"{"alg":"rs256"}"#.to_owned(), Err(AlgorithmNotAllowed)),
            (r#"{"alg":""}"#.to_owned(), Err(AlgorithmNotAllowed)),
            ("{}".to_owned(), Err(AlgorithmNotAllowed)),
        ];
        for (json, verdict) in cases {
            assert_eq!(judge(&json), verdict, "{json}");
        }
        assert_eq!(Header::parse(b"{\"alg\":\"\xff\"}").err(), Some(MalformedHeader));
    }

    #[test]
    fn the_quick_reader_agrees_with_the_json_parser() {
        let pieces = [
            "{",
            "}",
            ",",
            ":",
            "\"alg\"",
            "\"kid\"",
            "\"typ\"",
            "\"crit\"",
            "\"x\"",
            "\"\"",
            "\"a\\\"b\"",
            "\"\t\"",
            "\"é\"",
            "\"",
            " ",
            "1",
            "[]",
            "{\"alg\":\"RS256\",\"typ\":\"JWT\"",
            ",\"kid\":\"1\"}",
        ];
        let mut quick = 0;
        let mut compare = |text: &str| {
            if let Some(header) = Header::parse_plain(text) {
                quick += 1;
                assert_eq!(serde_json::from_str::<Header<'_>>(text).ok(), Some(header), "{text}");
            }
        };
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    compare(&format!("{{\"alg\":\"RS256\"{a}{b}{c}"));
                    compare(&format!("{a}{b}{c}\"x\"}}"));
                    compare(&format!("{{\"alg\":\"RS256\",{a}{b}{c}}}"));
                    compare(&format!("{{{a}:{b},{c}:\"x\"}}"));
                }
            }
        }
        assert!(quick > 100, "{quick}");
        let many: Vec<_> = (0..9).map(|n| format!(r#""n{n}":"""#)).collect();
        assert_eq!(judge(&format!("{{{},\"alg\":\"RS256\"}}", many.join(","))), Ok(Algorithm::RS256));
    }
}

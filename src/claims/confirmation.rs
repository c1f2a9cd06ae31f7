//! `cnf`: the key that a token is bound to (RFC 7800).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Member;
use crate::jose::json::{Names, Text};

/// What `cnf` binds the token to (RFC 7800 §3.1).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Confirmation<'p> {
    #[default]
    Absent,
    /// At least one of these; what else is there is ignored.
    Thumbprints {
        /// Of a DPoP key (RFC 9449 §6.1).
        jkt: Option<Cow<'p, str>>,
        /// Of a client certificate (RFC 8705 §3.1).
        x5t_s256: Option<Cow<'p, str>>,
    },
    /// Nothing that can be checked here.
    Unknown,
}

impl<'de> Deserialize<'de> for Confirmation<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConfirmationVisitor;
        impl<'de> Visitor<'de> for ConfirmationVisitor {
            type Value = Confirmation<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut jkt, mut x5t_s256) = (Member::Absent, Member::Absent);
                let mut seen = Names::new();
                while let Some(Text(name)) = map.next_key()? {
                    seen.insert(name.clone())?;
                    match &*name {
                        "jkt" => jkt = map.next_value()?,
                        "x5t#S256" => x5t_s256 = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(match (jkt, x5t_s256) {
                    (Member::Wrong, _) | (_, Member::Wrong) | (Member::Absent, Member::Absent) => Confirmation::Unknown,
                    (jkt, x5t_s256) => {
                        Confirmation::Thumbprints { jkt: jkt.into_text(), x5t_s256: x5t_s256.into_text() }
                    }
                })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Confirmation::Unknown)
            }
            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Confirmation::Unknown)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Confirmation::Unknown)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Confirmation::Unknown)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Confirmation::Unknown)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Confirmation::Unknown)
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Confirmation::Unknown)
            }
        }
        deserializer.deserialize_any(ConfirmationVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmation_holds_thumbprints_or_nothing_that_can_be_checked() {
        let bound = |jkt: Option<&'static str>, x5t_s256: Option<&'static str>| Confirmation::Thumbprints {
            jkt: jkt.map(Cow::from),
            x5t_s256: x5t_s256.map(Cow::from),
        };
        let cases = [
            (r#"{"jkt":"a"}"#, bound(Some("a"), None)),
            (r#"{"x5t#S256":"b"}"#, bound(None, Some("b"))),
            (r#"{"jkt":"a","x5t#S256":"b","jwk":{"jkt":"c"}}"#, bound(Some("a"), Some("b"))),
            (r#"{"jk\u0074":"a"}"#, bound(Some("a"), None)),
            (r#"{"jkt":"a","x5t#S256":7}"#, Confirmation::Unknown),
            (r#"{"jkt":null}"#, Confirmation::Unknown),
            (r#"{"jwk":{"kty":"EC"}}"#, Confirmation::Unknown),
            ("{}", Confirmation::Unknown),
            ("null", Confirmation::Unknown),
            ("\"jkt\"", Confirmation::Unknown),
            ("[{\"jkt\":\"a\"}]", Confirmation::Unknown),
            ("7", Confirmation::Unknown),
            ("1.5", Confirmation::Unknown),
            ("true", Confirmation::Unknown),
        ];
        for (text, expected) in cases {
            assert_eq!(serde_json::from_str::<Confirmation<'_>>(text).ok(), Some(expected), "{text}");
        }
        assert!(serde_json::from_str::<Confirmation<'_>>(r#"{"jkt":"a","jkt":"b"}"#).is_err());
    }
}

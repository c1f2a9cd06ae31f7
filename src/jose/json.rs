//! What header and payload share: strings that borrow, names that are unique, nesting that is bounded.
//!
//! - Top-level names must be unique after unescaping (RFC 7515 §4, RFC 7519 §4): serde's derive would keep quiet
//!   about unknown ones, and two parsers that disagree on which of two counts are an old way in.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON string that borrows from its document where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Any JSON value, of which only strings and numbers are kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar<'de> {
    Text(Cow<'de, str>),
    Integer(i64),
    /// Past the range of `i64`, or with a fraction or exponent.
    Number(f64),
    Other,
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Scalar::Integer(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Scalar::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Scalar::Number(number))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Scalar::Other)
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut scalar = Scalar::Other;
                while let Some(Text(name)) = map.next_key()? {
                    if name == NUMBER && numbers_are_maps() {
                        let Text(digits) = map.next_value()?;
                        scalar = number(&digits);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(scalar)
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// The name under which serde_json hands out a number as text.
const NUMBER: &str = "$serde_json::private::Number";

/// True where some crate in the build has turned on serde_json's `arbitrary_precision`: it applies to all, and numbers
/// may then come as a map of one entry.
fn numbers_are_maps() -> bool {
    struct Probe(bool);
    impl<'de> Deserialize<'de> for Probe {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct ProbeVisitor;
            impl<'de> Visitor<'de> for ProbeVisitor {
                type Value = Probe;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a number")
                }
                fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                    Ok(Probe(false))
                }
                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                    Ok(Probe(true))
                }
            }
            deserializer.deserialize_any(ProbeVisitor)
        }
    }
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| serde_json::from_str("1.5").is_ok_and(|Probe(answer)| answer))
}

fn number(digits: &str) -> Scalar<'static> {
    let float = || digits.parse().map_or(Scalar::Other, Scalar::Number);
    digits.parse().map_or_else(|_| float(), Scalar::Integer)
}

/// How many names are compared one by one.
const FEW: usize = 16;

/// The names seen so far in one object. Linear for the few names that tokens have, hashed beyond them, so that a
/// payload of thousands of names costs no more than its length.
pub(crate) struct Names<'de> {
    few: [&'de str; FEW],
    /// Of each: its length and its ends, which tell the names of claims apart without looking at them whole.
    tags: [u32; FEW],
    len: usize,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    pub(crate) fn new() -> Self {
        Self { few: [""; FEW], tags: [0; FEW], len: 0, many: HashSet::new() }
    }

    /// Takes note of a name.
    ///
    /// # Errors
    /// When it was there before.
    pub(crate) fn insert<E: Error>(&mut self, name: Cow<'de, str>) -> Result<(), E> {
        let repeated = || E::custom("a name occurs twice");
        let tag = tag(name.as_bytes());
        let alike = self.tags[..self.len].iter().zip(&self.few).filter(|(other, _)| **other == tag);
        if alike.into_iter().any(|(_, other)| **other == *name) {
            return Err(repeated());
        }
        match name {
            Cow::Borrowed(name) if self.len < FEW && self.many.is_empty() => {
                (self.few[self.len], self.tags[self.len]) = (name, tag);
                self.len += 1;
                Ok(())
            }
            name => self.many.insert(name).then_some(()).ok_or_else(repeated),
        }
    }
}

fn tag(name: &[u8]) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "equal names have equal tags, whatever is cut off")]
    let len = name.len() as u16;
    u32::from(len) << 16
        | u32::from(name.first().copied().unwrap_or(0)) << 8
        | u32::from(name.last().copied().unwrap_or(0))
}

/// True when arrays and objects nest no deeper than `bound`. Text that is not JSON may pass: the parser comes next.
pub(crate) fn nests_within(bound: usize, json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > bound {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert_all(names: impl IntoIterator<Item = Cow<'static, str>>) -> Result<(), serde_json::Error> {
        let mut seen = Names::new();
        names.into_iter().try_for_each(|name| seen.insert(name))
    }

    #[test]
    fn a_repeated_name_is_seen_among_few_and_among_many() {
        let many = |n: usize| (0..n).map(|i| Cow::Owned(i.to_string()));
        assert!(insert_all(many(5000)).is_ok());
        assert!(insert_all(many(5000).chain([Cow::Borrowed("4999")])).is_err());
        assert!(insert_all([Cow::Borrowed("a"), Cow::Owned("a".to_owned())]).is_err());
        assert!(insert_all([Cow::Owned("a".to_owned()), Cow::Borrowed("a")]).is_err());
        let borrowed = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r"];
        assert!(insert_all(borrowed.map(Cow::Borrowed)).is_ok());
        for name in borrowed {
            assert!(insert_all(borrowed.into_iter().chain([name]).map(Cow::Borrowed)).is_err(), "{name}");
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert!(nests_within(1, br#"{"a":"[[[{\"[["}"#));
        assert!(nests_within(2, br#"{"a":[],"b":[]}"#));
        assert!(!nests_within(2, br#"{"a":[[]]}"#));
    }
}

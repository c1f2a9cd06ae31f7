//! Deserializers, seeds and visitors that pass everything on and note down what is visited.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::claims::Audience;
use crate::jose::json::Scalar;

/// The names by which serde_json asks itself for raw text.
pub(super) fn is_private(name: &str) -> bool {
    name.starts_with("$serde_json::")
}

/// What was seen of a value.
pub(super) enum Note<'de> {
    Text(Cow<'de, str>),
    Integer(i64),
    Number(f64),
    /// A boolean or null.
    Other,
    /// An array of strings; `None` when something else was among them.
    Array(Option<Vec<Cow<'de, str>>>),
    /// Seen in a way that leaves the value open.
    Unclear,
}

impl<'de> Note<'de> {
    pub(super) fn into_scalar(self) -> Scalar<'de> {
        match self {
            Self::Text(text) => Scalar::Text(text),
            Self::Integer(number) => Scalar::Integer(number),
            Self::Number(number) => Scalar::Number(number),
            Self::Other | Self::Array(_) | Self::Unclear => Scalar::Other,
        }
    }

    pub(super) fn into_audience(self) -> Audience<'de> {
        match self {
            Self::Text(text) => Audience::One(text),
            Self::Array(Some(all)) => Audience::Many(all),
            _ => Audience::Wrong,
        }
    }
}

/// A seed, a deserializer or a visitor that passes everything on and notes down what is visited.
pub(super) struct Noting<'c, 'de, T> {
    pub(super) inner: T,
    pub(super) note: &'c mut Option<Note<'de>>,
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Noting<'_, 'de, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T::Value, D::Error> {
        self.inner.deserialize(Noting { inner: json, note: self.note })
    }
}

macro_rules! pass_on {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* Noting { inner: visitor, note: self.note })
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Noting<'_, 'de, D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        if is_private(name) {
            *self.note = Some(Note::Unclear);
            return self.inner.deserialize_newtype_struct(name, visitor);
        }
        self.inner.deserialize_newtype_struct(name, Noting { inner: visitor, note: self.note })
    }

    /// A value that the user's type skips is still read for the rules.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(Noting { inner: IgnoredAny, note: self.note })?;
        visitor.visit_unit()
    }
}

macro_rules! note_down {
    ($($method:ident($value:ident: $type:ty) => $note:expr;)*) => {
        $(fn $method<E: Error>(self, $value: $type) -> Result<V::Value, E> {
            *self.note = Some($note);
            self.inner.$method($value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Noting<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    note_down! {
        visit_bool(value: bool) => Note::Other;
        visit_i64(value: i64) => Note::Integer(value);
        visit_u64(value: u64) => Note::Integer(i64::try_from(value).unwrap_or(i64::MAX));
        visit_i128(value: i128) => Note::Unclear;
        visit_u128(value: u128) => Note::Unclear;
        visit_f64(value: f64) => Note::Number(value);
        visit_borrowed_str(value: &'de str) => Note::Text(Cow::Borrowed(value));
        visit_str(value: &str) => Note::Text(Cow::Owned(value.to_owned()));
        visit_borrowed_bytes(value: &'de [u8]) => Note::Unclear;
        visit_bytes(value: &[u8]) => Note::Unclear;
    }

    fn visit_string<E: Error>(self, value: String) -> Result<V::Value, E> {
        *self.note = Some(Note::Text(Cow::Owned(value.clone())));
        self.inner.visit_string(value)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        *self.note = Some(Note::Other);
        self.inner.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        *self.note = Some(Note::Other);
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<V::Value, D::Error> {
        let Self { inner, note } = self;
        inner.visit_some(Noting { inner: json, note })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, json: D) -> Result<V::Value, D::Error> {
        let Self { inner, note } = self;
        inner.visit_newtype_struct(Noting { inner: json, note })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        *self.note = Some(Note::Array(Some(Vec::new())));
        let Self { inner, note } = self;
        inner.visit_seq(NotingSeq { seq, note })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        *self.note = Some(Note::Unclear);
        self.inner.visit_map(map)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        *self.note = Some(Note::Unclear);
        self.inner.visit_enum(data)
    }
}

/// An array whose strings are noted down.
struct NotingSeq<'c, 'de, A> {
    seq: A,
    note: &'c mut Option<Note<'de>>,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for NotingSeq<'_, 'de, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        // Unclear until the element has been read: the user's type may go on after one that failed.
        let before = self.note.replace(Note::Unclear);
        let mut element = None;
        let value = self.seq.next_element_seed(Noting { inner: seed, note: &mut element })?;
        *self.note = match (before, element) {
            (before, None) if value.is_none() => before,
            (Some(Note::Array(Some(mut all))), Some(Note::Text(text))) => {
                all.push(text);
                Some(Note::Array(Some(all)))
            }
            (Some(Note::Array(_)), Some(Note::Integer(_) | Note::Number(_) | Note::Other | Note::Array(_))) => {
                Some(Note::Array(None))
            }
            _ => Some(Note::Unclear),
        };
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.seq.size_hint()
    }
}

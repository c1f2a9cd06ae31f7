//! One pass over the payload for both readers: the claims type of the user, and the registered claims.
//!
//! - The user's `Deserialize` drives serde_json as ever; what it is handed on the way is noted down. Every hint and
//!   every visit is passed on as it is, so that the user's type sees exactly what it would see alone.
//! - Where the notes would be incomplete (an object or an enum in a registered claim, a raw value, keys that are not
//!   read as strings), the plain reader goes over the payload once more. It also has the last word where the user's
//!   type fails: an expired token is told so, whatever the form of its claims.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::registered::{ClaimNames, Registered};
use crate::error::AuthErrorKind;
use crate::jose::json::{Names, Scalar};

/// The registered claims, and the user's claims or why they do not fit.
pub(crate) fn parse<'p, C: DeserializeOwned>(
    payload: &'p [u8],
    names: &ClaimNames,
) -> Result<(Registered<'p>, Result<C, serde_json::Error>), AuthErrorKind> {
    let text = std::str::from_utf8(payload).map_err(|_| AuthErrorKind::MalformedPayload)?;
    let mut notes = Notes { names, seen: Names::new(), claims: Registered::default(), is_complete: true, pending: 1 };
    let mut json = serde_json::Deserializer::from_str(text);
    let claims = C::deserialize(Claims { json: &mut json, notes: &mut notes });
    let claims = claims.and_then(|claims| json.end().map(|()| claims));
    if claims.is_ok() && notes.is_complete && notes.pending == 0 {
        return Ok((notes.claims, claims));
    }
    Registered::parse(payload, names).map(|registered| (registered, claims))
}

/// What has been noted down so far.
struct Notes<'n, 'de> {
    names: &'n ClaimNames,
    seen: Names<'de>,
    claims: Registered<'de>,
    is_complete: bool,
    /// Reads that are not done, the object itself being the first. One that failed is never done, even where the user's
    /// type goes on as if nothing were.
    pending: u32,
}

/// The payload as the user's type sees it.
struct Claims<'c, 'n, 'de, D> {
    json: D,
    notes: &'c mut Notes<'n, 'de>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Claims<'_, '_, 'de, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let value = self.json.deserialize_map(ClaimsVisitor { visitor, notes: self.notes })?;
        self.notes.pending -= 1;
        Ok(value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        if is_private(name) {
            self.notes.is_complete = false;
            return self.json.deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.notes.is_complete = false;
        self.json.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.notes.is_complete = false;
        self.json.deserialize_ignored_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

/// The names by which serde_json asks itself for raw text.
fn is_private(name: &str) -> bool {
    name.starts_with("$serde_json::")
}

struct ClaimsVisitor<'c, 'n, 'de, V> {
    visitor: V,
    notes: &'c mut Notes<'n, 'de>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for ClaimsVisitor<'_, '_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(ClaimsMap { map, notes: self.notes, claim: Claim::Other })
    }
}

/// What the rules want of a claim.
#[derive(Clone, Copy)]
enum Claim {
    Audience,
    AudienceAndClient,
    Scopes,
    Named(Named),
    Other,
}

#[derive(Clone, Copy)]
enum Named {
    Iss,
    Sub,
    Jti,
    ClientId,
    Exp,
    Nbf,
    Iat,
}

struct ClaimsMap<'c, 'n, 'de, A> {
    map: A,
    notes: &'c mut Notes<'n, 'de>,
    claim: Claim,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for ClaimsMap<'_, '_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.notes.pending += 1;
        let mut name = None;
        let key = self.map.next_key_seed(Noting { inner: seed, note: &mut name })?;
        if key.is_some() {
            match name {
                Some(Note::Text(name)) => {
                    self.claim = self.notes.enter(&name);
                    self.notes.seen.insert(name)?;
                }
                _ => self.notes.is_complete = false,
            }
        }
        self.notes.pending -= 1;
        Ok(key)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        if let Claim::Other = self.claim {
            return self.map.next_value_seed(seed);
        }
        self.notes.pending += 1;
        let mut note = None;
        let value = self.map.next_value_seed(Noting { inner: seed, note: &mut note })?;
        self.notes.take(self.claim, note);
        self.notes.pending -= 1;
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.map.size_hint()
    }
}

impl<'de> Notes<'_, 'de> {
    /// A name has come: what the rules want of its value.
    fn enter(&mut self, name: &str) -> Claim {
        if let Some(at) = self.names.required.iter().position(|required| required == name) {
            self.claims.required |= 1 << at;
        }
        if self.names.audience == name {
            return if name == "client_id" { Claim::AudienceAndClient } else { Claim::Audience };
        }
        let named = match name {
            "iss" => Named::Iss,
            "sub" => Named::Sub,
            "jti" => Named::Jti,
            "client_id" => Named::ClientId,
            "exp" => Named::Exp,
            "nbf" => Named::Nbf,
            "iat" => Named::Iat,
            "cnf" => {
                self.claims.note_confirmation();
                return Claim::Other;
            }
            other => {
                self.claims.is_event |= other == "events";
                let is_scope = self.names.scopes.iter().any(|scope| scope == other);
                return if is_scope { Claim::Scopes } else { Claim::Other };
            }
        };
        Claim::Named(named)
    }

    /// Its value has been read.
    fn take(&mut self, claim: Claim, note: Option<Note<'de>>) {
        let Some(note) = note.filter(|note| !matches!(note, Note::Unclear)) else {
            self.is_complete = false;
            return;
        };
        let claims = &mut self.claims;
        match claim {
            Claim::Audience => claims.audience = note.into_audience(),
            Claim::AudienceAndClient => {
                claims.audience = note.into_audience();
                claims.client_id = claims.audience.as_member();
            }
            Claim::Scopes => claims.scopes.add(note.into_audience()),
            Claim::Named(named) => {
                let scalar = note.into_scalar();
                match named {
                    Named::Iss => claims.iss = scalar.into(),
                    Named::Sub => claims.sub = scalar.into(),
                    Named::Jti => claims.jti = scalar.into(),
                    Named::ClientId => claims.client_id = scalar.into(),
                    Named::Exp => claims.exp = scalar.into(),
                    Named::Nbf => claims.nbf = scalar.into(),
                    Named::Iat => claims.iat = scalar.into(),
                }
            }
            Claim::Other => {}
        }
    }
}

/// What was seen of a value.
enum Note<'de> {
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
    fn into_scalar(self) -> Scalar<'de> {
        match self {
            Self::Text(text) => Scalar::Text(text),
            Self::Integer(number) => Scalar::Integer(number),
            Self::Number(number) => Scalar::Number(number),
            Self::Other | Self::Array(_) | Self::Unclear => Scalar::Other,
        }
    }

    fn into_audience(self) -> super::Audience<'de> {
        match self {
            Self::Text(text) => super::Audience::One(text),
            Self::Array(Some(all)) => super::Audience::Many(all),
            _ => super::Audience::Wrong,
        }
    }
}

/// A seed, a deserializer or a visitor that passes everything on and notes down what is visited.
struct Noting<'c, 'de, T> {
    inner: T,
    note: &'c mut Option<Note<'de>>,
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    /// Both readers one after the other: slow, and plain to see.
    fn check<C: DeserializeOwned + PartialEq + fmt::Debug>(payload: &str, names: &ClaimNames) {
        let plain = Registered::parse(payload.as_bytes(), names);
        let claims = serde_json::from_str::<C>(payload).map_err(|error| error.to_string());
        match (parse::<C>(payload.as_bytes(), names), plain) {
            (Ok((registered, tee)), Ok(plain)) => {
                assert_eq!(registered, plain, "{payload}");
                assert_eq!(tee.map_err(|_| ()), claims.map_err(|_| ()), "{payload}");
            }
            (Err(tee), Err(plain)) => assert_eq!(tee, plain, "{payload}"),
            (tee, plain) => panic!("{payload}: {:?} and {:?}", tee.err(), plain.err()),
        }
    }

    #[derive(Deserialize, PartialEq, Debug)]
    struct Typed {
        iss: String,
        sub: Option<String>,
        exp: Option<u64>,
        scope: Option<String>,
        aud: Option<Value>,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    struct Few {
        email: Option<String>,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    struct Flat {
        iss: Option<String>,
        #[serde(flatten)]
        rest: HashMap<String, Value>,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(untagged)]
    enum Either {
        User { email: String },
        Service { client_id: String },
        Any(BTreeMap<String, Value>),
    }

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(tag = "kind")]
    enum Tagged {
        User { sub: String },
    }

    #[derive(Deserialize, PartialEq, Debug)]
    struct Wrapped(Box<Typed>);

    #[derive(Deserialize, PartialEq, Debug)]
    struct Odd {
        exp: Option<f32>,
        nbf: Option<i128>,
        iat: Option<char>,
        aud: Option<(String, Vec<u8>)>,
        sub: Option<Kind>,
        jti: Option<std::num::NonZeroU8>,
        scope: Option<Vec<String>>,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        User,
        Service(String),
    }

    /// Takes what does not fit for nothing, and goes on.
    #[derive(PartialEq, Debug)]
    struct Lenient<T>(Option<T>);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Ok(Self(T::deserialize(deserializer).ok()))
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "serde asks for it")]
    fn lenient<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        Ok(T::deserialize(deserializer).unwrap_or_default())
    }

    #[derive(Deserialize, PartialEq, Debug)]
    struct Forgiving {
        #[serde(default, deserialize_with = "lenient")]
        aud: Vec<String>,
        #[serde(default, deserialize_with = "lenient")]
        scope: Vec<String>,
        #[serde(default, deserialize_with = "lenient")]
        nbf: Option<u8>,
    }

    /// Reads on whatever happens.
    #[derive(PartialEq, Debug)]
    struct Unstoppable(usize);

    impl<'de> Deserialize<'de> for Unstoppable {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct UnstoppableVisitor;
            impl<'de> Visitor<'de> for UnstoppableVisitor {
                type Value = Unstoppable;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("anything")
                }
                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unstoppable, A::Error> {
                    let mut count = 0;
                    while !matches!(map.next_key::<String>(), Ok(None)) && count < 99 {
                        let _ = map.next_value::<u64>();
                        count += 1;
                    }
                    Ok(Unstoppable(0))
                }
            }
            deserializer.deserialize_any(UnstoppableVisitor)
        }
    }

    #[test]
    fn one_pass_sees_what_two_passes_see() {
        let values = [
            r#""text""#,
            r#""user""#,
            r#""es\u0063aped""#,
            r#""""#,
            "1",
            "-1",
            "1.5",
            "1e300",
            "18446744073709551616",
            "true",
            "null",
            "[]",
            r#"["a"]"#,
            r#"["a","b\n"]"#,
            r#"["a",1]"#,
            r#"["a",["b"]]"#,
            r#"["a",[1,2]]"#,
            "[null]",
            "{}",
            r#"{"a":[1]}"#,
            r#"{"service":"x"}"#,
            r#"{"$serde_json::private::Number":"1"}"#,
            "1e999",
        ];
        let names = [
            "iss",
            "sub",
            "jti",
            "client_id",
            "exp",
            "nbf",
            "iat",
            "aud",
            "scope",
            "scp",
            "cnf",
            "events",
            "email",
            "kind",
            "tenant",
        ];
        let mut payloads = vec!["{}".to_owned(), "[]".into(), "7".into(), "null".into(), "\"a\"".into(), "{".into()];
        for name in names {
            for value in values {
                payloads.push(format!(r#"{{"iss":"i","{name}x":0,"{name}":{value},"z":[{{}}]}}"#));
                payloads.push(format!(r#"{{"{name}":{value}}}"#));
                payloads.push(format!(r#"{{"{name}":{value},"{name}":{value}}}"#));
            }
        }
        payloads.push(r#"{"\u0069ss":"i","iss":"i"}"#.into());
        payloads.push(r#"{"iss":"i","kind":"User","sub":"s"} x"#.into());
        payloads.push(r#"{"kind":"User","sub":"s","exp":5}"#.into());
        payloads.push(format!(r#"{{"other":{}1{}}}"#, "[".repeat(200), "]".repeat(200)));
        let configurations = [
            ClaimNames::default(),
            ClaimNames {
                audience: "client_id".into(),
                scopes: vec!["sub".into(), "email".into(), "scope".into()],
                required: vec!["email".into(), "exp".into()],
            },
        ];
        for names in &configurations {
            for payload in &payloads {
                check::<Typed>(payload, names);
                check::<Few>(payload, names);
                check::<Flat>(payload, names);
                check::<Either>(payload, names);
                check::<Tagged>(payload, names);
                check::<Wrapped>(payload, names);
                check::<Odd>(payload, names);
                check::<Forgiving>(payload, names);
                check::<Lenient<Few>>(payload, names);
                check::<HashMap<String, Lenient<u8>>>(payload, names);
                check::<Unstoppable>(payload, names);
                check::<Value>(payload, names);
                check::<Option<Few>>(payload, names);
                check::<HashMap<String, Value>>(payload, names);
                check::<HashMap<u8, Value>>(payload, names);
                check::<Vec<u8>>(payload, names);
                check::<String>(payload, names);
                check::<()>(payload, names);
            }
        }
    }

    /// serde_json goes 128 levels deep into what it does not skip.
    #[test]
    fn a_claim_that_the_rules_look_at_is_not_followed_into_the_deep() {
        let payload = format!(r#"{{"sub":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        let (registered, claims) = parse::<Few>(payload.as_bytes(), &ClaimNames::default()).expect("an object");
        assert!(claims.is_err());
        assert_eq!(registered.sub.text(), None);
    }

    #[test]
    fn types_that_skip_everything_are_read_by_the_plain_reader() {
        let names = ClaimNames::default();
        let (registered, claims) = parse::<IgnoredAny>(br#"{"iss":"i","exp":5}"#, &names).expect("an object");
        assert!(claims.is_ok());
        assert_eq!(registered.iss.text(), Some("i"));
        assert!(parse::<IgnoredAny>(br#"{"a":1,"a":2}"#, &names).is_err());
    }
}

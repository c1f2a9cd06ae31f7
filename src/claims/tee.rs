//! One pass over the payload for both readers: the claims type of the user, and the registered claims.
//!
//! - The user's `Deserialize` drives serde_json as ever; what it is handed on the way is noted down. Every hint and
//!   every visit is passed on as it is, so that the user's type sees exactly what it would see alone.
//! - Where the notes would be incomplete (`cnf`, an object or an enum in a registered claim, a raw value, keys that are
//!   not read as strings), the plain reader goes over the payload once more. It also has the last word where the user's
//!   type fails: an expired token is told so, whatever the form of its claims.

mod noting;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use self::noting::{Note, Noting, is_private};

use super::registered::{ClaimNames, Registered};
use crate::error::AuthErrorKind;
use crate::jose::json::Names;

/// Reads the registered claims into their place, and returns the user's claims or why they do not fit.
pub(crate) fn parse<'p, C: DeserializeOwned>(
    payload: &'p [u8],
    names: &ClaimNames,
    registered: &mut Registered<'p>,
) -> Result<Result<C, serde_json::Error>, AuthErrorKind> {
    let text = std::str::from_utf8(payload).map_err(|_| AuthErrorKind::MalformedPayload)?;
    // Few issuers ask for values: the second pass is theirs to pay.
    let is_complete = names.valued.is_empty();
    let mut notes = Notes { names, seen: Names::new(), claims: registered, is_complete, pending: 1 };
    let mut json = serde_json::Deserializer::from_str(text);
    let claims = C::deserialize(Claims { json: &mut json, notes: &mut notes });
    let claims = claims.and_then(|claims| json.end().map(|()| claims));
    let is_complete = claims.is_ok() && notes.is_complete && notes.pending == 0;
    if !is_complete {
        *registered = Registered::parse(payload, names)?;
    }
    Ok(claims)
}

/// What has been noted down so far.
struct Notes<'n, 'de> {
    names: &'n ClaimNames,
    seen: Names<'de>,
    claims: &'n mut Registered<'de>,
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
    Id,
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
    Acr,
    AuthTime,
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
            "acr" => Named::Acr,
            "auth_time" => Named::AuthTime,
            "cnf" => {
                self.is_complete = false;
                return Claim::Other;
            }
            other => {
                self.claims.is_event |= other == "events";
                let is_in = |names: &[Cow<'static, str>]| names.iter().any(|name| name == other);
                return match () {
                    () if is_in(&self.names.scopes) => Claim::Scopes,
                    () if is_in(&self.names.ids) => Claim::Id,
                    () => Claim::Other,
                };
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
        let claims = &mut *self.claims;
        match claim {
            Claim::Audience => claims.audience = note.into_audience(),
            Claim::AudienceAndClient => {
                claims.audience = note.into_audience();
                claims.client_id = claims.audience.as_member();
            }
            Claim::Scopes => claims.scopes.add(note.into_audience()),
            Claim::Id => claims.ids.push(note.into_scalar().into()),
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
                    Named::Acr => claims.acr = scalar.into(),
                    Named::AuthTime => claims.auth_time = scalar.into(),
                }
            }
            Claim::Other => {}
        }
    }
}

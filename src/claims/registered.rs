//! The registered claims of a payload, borrowed from it.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Confirmation, Scopes};
use crate::clock::UnixTime;
use crate::error::AuthErrorKind;
use crate::jose::json::{Names, Scalar, Text};

/// Which claims an issuer uses for what.
#[derive(Clone, Debug)]
pub(crate) struct ClaimNames {
    /// Where the audience is: `aud`, or `client_id` or `azp` for providers without one.
    pub(crate) audience: Cow<'static, str>,
    /// Where scopes are.
    pub(crate) scopes: Vec<Cow<'static, str>>,
    /// What must be there, whatever it holds. At most 64.
    pub(crate) required: Vec<Cow<'static, str>>,
    /// What must be there as a string, and equal one of these. At most 64.
    pub(crate) valued: Vec<(Cow<'static, str>, Vec<Box<str>>)>,
    /// What names a token for its revocation, beside or instead of `jti`.
    pub(crate) ids: Vec<Cow<'static, str>>,
    /// Whether `jti` does.
    pub(crate) jti_is_id: bool,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            audience: "aud".into(),
            scopes: vec!["scope".into(), "scp".into()],
            required: Vec::new(),
            valued: Vec::new(),
            ids: Vec::new(),
            jti_is_id: true,
        }
    }
}

impl ClaimNames {
    /// The bit of a claim that has one of the values that it must have.
    fn value_bit(&self, name: &str, value: &Member<'_>) -> u64 {
        let Some(at) = self.valued.iter().position(|(valued, _)| valued == name) else { return 0 };
        let matches = value.text().is_some_and(|text| self.valued[at].1.iter().any(|accepted| **accepted == *text));
        u64::from(matches) << at
    }
}

/// A claim that should be a string.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Member<'p> {
    #[default]
    Absent,
    Text(Cow<'p, str>),
    /// There, and not a string.
    Wrong,
}

impl<'p> Member<'p> {
    pub(super) fn into_text(self) -> Option<Cow<'p, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Wrong => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Wrong => None,
        }
    }
}

/// A claim that should be a `NumericDate` (RFC 7519 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Time {
    #[default]
    Absent,
    At(UnixTime),
    /// There, and not a finite number.
    Wrong,
}

impl Time {
    pub(crate) fn at(self) -> Option<UnixTime> {
        match self {
            Self::At(time) => Some(time),
            Self::Absent | Self::Wrong => None,
        }
    }
}

/// RFC 7519 §4.1.3: a string or an array of strings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Audience<'p> {
    #[default]
    Absent,
    One(Cow<'p, str>),
    Many(Vec<Cow<'p, str>>),
    Wrong,
}

/// The claims that the rules look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Registered<'p> {
    pub(crate) iss: Member<'p>,
    pub(crate) sub: Member<'p>,
    pub(crate) jti: Member<'p>,
    pub(crate) client_id: Member<'p>,
    pub(crate) audience: Audience<'p>,
    pub(crate) exp: Time,
    pub(crate) nbf: Time,
    pub(crate) iat: Time,
    /// RFC 9470 §6.1, with the next.
    pub(crate) acr: Member<'p>,
    pub(crate) auth_time: Time,
    pub(crate) scopes: Scopes<'p>,
    pub(crate) cnf: Confirmation<'p>,
    /// A logout or security event token has `events` (RFC 8417 §2.2).
    pub(crate) is_event: bool,
    /// A bit for each name in [`ClaimNames::required`].
    pub(crate) required: u64,
    /// A bit for each name in [`ClaimNames::valued`] whose claim has one of its values.
    pub(crate) valued: u64,
    /// The claims in [`ClaimNames::ids`] that are there.
    pub(crate) ids: Vec<Member<'p>>,
}

impl<'p> Registered<'p> {
    pub(crate) fn parse(payload: &'p [u8], names: &ClaimNames) -> Result<Self, AuthErrorKind> {
        let text = std::str::from_utf8(payload).map_err(|_| AuthErrorKind::MalformedPayload)?;
        let mut json = serde_json::Deserializer::from_str(text);
        let registered = RegisteredSeed(names).deserialize(&mut json);
        let end = json.end();
        registered.and_then(|registered| end.map(|()| registered)).map_err(|_| AuthErrorKind::MalformedPayload)
    }
}

impl<'p> Audience<'p> {
    pub(super) fn as_member(&self) -> Member<'p> {
        match self {
            Self::One(text) => Member::Text(text.clone()),
            Self::Absent | Self::Many(_) | Self::Wrong => Member::Wrong,
        }
    }
}

struct RegisteredSeed<'n>(&'n ClaimNames);

impl<'de> DeserializeSeed<'de> for RegisteredSeed<'_> {
    type Value = Registered<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RegisteredSeed<'_> {
    type Value = Registered<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JWT claims set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut claims = Registered::default();
        let mut seen = Names::new();
        while let Some(Text(name)) = map.next_key()? {
            seen.insert(name.clone())?;
            if let Some(at) = self.0.required.iter().position(|required| *required == name) {
                claims.required |= 1 << at;
            }
            if self.0.audience == name {
                claims.audience = map.next_value()?;
                if name == "client_id" {
                    claims.client_id = claims.audience.as_member();
                }
                continue;
            }
            match &*name {
                "iss" => claims.iss = map.next_value()?,
                "sub" => {
                    claims.sub = map.next_value()?;
                    claims.valued |= self.0.value_bit("sub", &claims.sub);
                }
                "jti" => claims.jti = map.next_value()?,
                "client_id" => claims.client_id = map.next_value()?,
                "exp" => claims.exp = map.next_value()?,
                "nbf" => claims.nbf = map.next_value()?,
                "iat" => claims.iat = map.next_value()?,
                "acr" => claims.acr = map.next_value()?,
                "auth_time" => claims.auth_time = map.next_value()?,
                "cnf" => claims.cnf = map.next_value()?,
                other => {
                    claims.is_event |= other == "events";
                    if self.0.scopes.contains(&name) {
                        map.next_value_seed(ScopesSeed(&mut claims.scopes))?;
                        continue;
                    }
                    let is_id = self.0.ids.contains(&name);
                    if !is_id && !self.0.valued.iter().any(|(valued, _)| *valued == name) {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let value = map.next_value()?;
                    claims.valued |= self.0.value_bit(&name, &value);
                    if is_id {
                        claims.ids.push(value);
                    }
                }
            }
        }
        Ok(claims)
    }
}

impl<'de> From<Scalar<'de>> for Member<'de> {
    fn from(scalar: Scalar<'de>) -> Self {
        match scalar {
            Scalar::Text(text) => Self::Text(text),
            Scalar::Integer(_) | Scalar::Number(_) | Scalar::Other => Self::Wrong,
        }
    }
}

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Scalar::deserialize(deserializer).map(Self::from)
    }
}

impl From<Scalar<'_>> for Time {
    fn from(scalar: Scalar<'_>) -> Self {
        match scalar {
            Scalar::Integer(seconds) => Self::At(UnixTime::from_secs(seconds)),
            // Casting saturates, and JSON has no NaN.
            #[expect(clippy::cast_possible_truncation)]
            Scalar::Number(seconds) if seconds.is_finite() => {
                Self::At(UnixTime::from_millis((seconds * 1000.0) as i64))
            }
            Scalar::Text(_) | Scalar::Number(_) | Scalar::Other => Self::Wrong,
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Scalar::deserialize(deserializer).map(Self::from)
    }
}

impl<'de> Deserialize<'de> for Audience<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AudienceVisitor;
        impl<'de> Visitor<'de> for AudienceVisitor {
            type Value = Audience<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Audience::One(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Audience::One(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let (mut all, mut wrong) = (Vec::new(), false);
                while let Some(member) = seq.next_element::<Member<'de>>()? {
                    match member {
                        Member::Text(text) => all.push(text),
                        Member::Absent | Member::Wrong => wrong = true,
                    }
                }
                Ok(if wrong { Audience::Wrong } else { Audience::Many(all) })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Audience::Wrong)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Audience::Wrong)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Audience::Wrong)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Audience::Wrong)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Audience::Wrong)
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Audience::Wrong)
            }
        }
        deserializer.deserialize_any(AudienceVisitor)
    }
}

/// Adds to the scopes what one claim grants: a string, or an array of strings. Anything else grants nothing.
struct ScopesSeed<'s, 'p>(&'s mut Scopes<'p>);

impl<'de> DeserializeSeed<'de> for ScopesSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        Audience::deserialize(deserializer).map(|claim| self.0.add(claim))
    }
}

/// One claim of a payload, for the few that pick an issuer. `None` where it is missing or no string; what is malformed
/// beyond it comes to light when the payload is read whole.
pub(crate) fn claim<'p>(payload: &'p [u8], name: &str) -> Result<Option<Cow<'p, str>>, AuthErrorKind> {
    struct ClaimVisitor<'n>(&'n str);
    impl<'de> Visitor<'de> for ClaimVisitor<'_> {
        type Value = Option<Cow<'de, str>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JWT claims set")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut claim = None;
            let mut seen = false;
            while let Some(Text(name)) = map.next_key()? {
                if name == self.0 {
                    if std::mem::replace(&mut seen, true) {
                        return Err(A::Error::custom("a name occurs twice"));
                    }
                    if let Member::Text(text) = map.next_value()? {
                        claim = Some(text);
                    }
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(claim)
        }
    }
    let text = std::str::from_utf8(payload).map_err(|_| AuthErrorKind::MalformedPayload)?;
    serde_json::Deserializer::from_str(text)
        .deserialize_map(ClaimVisitor(name))
        .map_err(|_| AuthErrorKind::MalformedPayload)
}

//! `typ`: which kind of token this says it is (RFC 7515 §4.1.9, RFC 8725 §3.11).

use std::borrow::Cow;

use crate::error::AuthErrorKind;

/// Which values of `typ` pass.
#[derive(Clone, Debug)]
pub(crate) struct TypeRule {
    accepted: Vec<Cow<'static, str>>,
    may_be_absent: bool,
}

impl Default for TypeRule {
    fn default() -> Self {
        Self { accepted: vec!["JWT".into(), "JOSE".into(), "at+jwt".into()], may_be_absent: true }
    }
}

impl TypeRule {
    /// These and no others, and one of them must be there.
    pub(crate) fn only(types: impl IntoIterator<Item = Cow<'static, str>>) -> Self {
        let accepted = types.into_iter().map(|typ| Cow::Owned(bare(&typ).to_owned())).collect();
        Self { accepted, may_be_absent: false }
    }

    /// What a JWT-SVID may say (SPIFFE JWT-SVID §2.3).
    pub(crate) fn svid() -> Self {
        Self { accepted: vec!["JWT".into(), "JOSE".into()], may_be_absent: true }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.accepted.is_empty()
    }

    pub(crate) fn check(&self, typ: Option<&str>) -> Result<(), AuthErrorKind> {
        let passes = match typ {
            None => self.may_be_absent,
            Some(typ) => self.accepted.iter().any(|accepted| accepted.eq_ignore_ascii_case(bare(typ))),
        };
        if passes { Ok(()) } else { Err(AuthErrorKind::WrongType) }
    }
}

/// A media type without the `application/` that may be left out where no other `/` follows.
fn bare(typ: &str) -> &str {
    const PREFIX: usize = "application/".len();
    match (typ.get(..PREFIX), typ.get(PREFIX..)) {
        (Some(prefix), Some(rest)) if prefix.eq_ignore_ascii_case("application/") && !rest.contains('/') => rest,
        _ => typ,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_judged() {
        let profile = TypeRule::only(["application/at+jwt".into()]);
        // typ, passes by default, passes the access-token profile
        let cases = [
            (None, true, false),
            (Some("JWT"), true, false),
            (Some("jwt"), true, false),
            (Some("JOSE"), true, false),
            (Some("application/jwt"), true, false),
            (Some("APPLICATION/JWT"), true, false),
            (Some("at+jwt"), true, true),
            (Some("AT+JWT"), true, true),
            (Some("application/at+jwt"), true, true),
            (Some("application/at+jwt/x"), false, false),
            (Some("x/at+jwt"), false, false),
            (Some(""), false, false),
            (Some("application/"), false, false),
            (Some("JWT "), false, false),
            (Some("logout+jwt"), false, false),
            (Some("dpop+jwt"), false, false),
            (Some("secevent+jwt"), false, false),
            (Some("ätt+jwt-long"), false, false),
        ];
        for (typ, default, strict) in cases {
            assert_eq!(TypeRule::default().check(typ).is_ok(), default, "{typ:?}");
            assert_eq!(profile.check(typ).is_ok(), strict, "{typ:?}");
        }
    }
}

//! Who issued the token and for whom: `iss` and `aud` (RFC 8725 §3.8 and §3.9).
//!
//! - Both are compared byte for byte: no case folding, no trailing slash, no URL parsing (CVE-2024-53861).

use std::fmt;

use crate::claims::{Audience, Member};
use crate::error::AuthErrorKind;

/// The longest `iss`, in bytes.
pub(crate) const MAX_ISSUER: usize = 512;

/// Which `iss` passes.
#[derive(Clone, Debug)]
pub(crate) enum IssuerRule {
    /// The issuer's name and its aliases.
    Named(Vec<Box<str>>),
    /// Whatever it says, or nothing.
    Any,
}

impl IssuerRule {
    pub(crate) fn check(&self, iss: &Member<'_>) -> Result<(), AuthErrorKind> {
        match self {
            Self::Any => Ok(()),
            Self::Named(names) => match iss.text() {
                Some(iss) if iss.len() <= MAX_ISSUER && names.iter().any(|name| **name == *iss) => Ok(()),
                _ => Err(AuthErrorKind::InvalidIssuer),
            },
        }
    }
}

/// Which `aud` passes.
#[derive(Clone, Debug)]
pub(crate) enum AudienceRule {
    /// At least one of these.
    OneOf(Vec<Box<str>>),
    /// Whatever it says, or nothing.
    Any,
}

impl fmt::Display for AudienceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(accepted) => write!(f, "{accepted:?}"),
            Self::Any => f.write_str("(any)"),
        }
    }
}

impl AudienceRule {
    pub(crate) fn check(&self, audience: &Audience<'_>) -> Result<(), AuthErrorKind> {
        let Self::OneOf(accepted) = self else { return Ok(()) };
        let accepts = |name: &str| accepted.iter().any(|one| **one == *name);
        let passes = match audience {
            Audience::One(name) => accepts(name),
            Audience::Many(names) => names.iter().any(|name| accepts(name)),
            Audience::Absent | Audience::Wrong => false,
        };
        if passes { Ok(()) } else { Err(AuthErrorKind::InvalidAudience) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_equal_byte_for_byte() {
        let rule = IssuerRule::Named(vec!["https://a.example".into(), "a.example".into()]);
        let text = |iss: &str| Member::Text(iss.to_owned().into());
        for iss in ["https://a.example", "a.example"] {
            assert_eq!(rule.check(&text(iss)), Ok(()), "{iss}");
        }
        for iss in ["", "https://a.exampl", "https://a.example/", "https://A.example", "xa.example", "b.example"] {
            assert_eq!(rule.check(&text(iss)), Err(AuthErrorKind::InvalidIssuer), "{iss}");
        }
        for iss in [Member::Absent, Member::Wrong] {
            assert_eq!(rule.check(&iss), Err(AuthErrorKind::InvalidIssuer));
            assert_eq!(IssuerRule::Any.check(&iss), Ok(()));
        }
        let (fits, too_long) = ("i".repeat(MAX_ISSUER), "i".repeat(MAX_ISSUER + 1));
        let rule = IssuerRule::Named(vec![fits.as_str().into(), too_long.as_str().into()]);
        assert_eq!(rule.check(&text(&fits)), Ok(()));
        assert_eq!(rule.check(&text(&too_long)), Err(AuthErrorKind::InvalidIssuer));
    }

    #[test]
    fn one_audience_of_several_is_enough_and_must_be_equal() {
        let rule = AudienceRule::OneOf(vec!["orders".into(), "bills".into()]);
        let many = |names: &[&str]| Audience::Many(names.iter().map(|name| (*name).to_owned().into()).collect());
        let cases = [
            (Audience::One("orders".into()), true),
            (Audience::One("Orders".into()), false),
            (Audience::One("order".into()), false),
            (Audience::One("orders bills".into()), false),
            (many(&["x", "bills"]), true),
            (many(&["x"]), false),
            (many(&[]), false),
            (Audience::Wrong, false),
            (Audience::Absent, false),
        ];
        for (audience, passes) in cases {
            assert_eq!(rule.check(&audience).is_ok(), passes, "{audience:?}");
            assert_eq!(AudienceRule::Any.check(&audience), Ok(()));
        }
    }
}

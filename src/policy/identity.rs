//! Who issued the token and for whom: `iss` and `aud` (RFC 8725 §3.8 and §3.9).
//!
//! - Both are compared byte for byte: no case folding, no trailing slash, no URL parsing (CVE-2024-53861).
//! - Where every tenant has a name of its own, `iss` is the template filled with the GUID in `tid`, and a key that says
//!   whose tokens it signs verifies no others.
//! - A SPIFFE ID in `sub` stands for `iss`: its trust domain says whose keys verify it (SPIFFE JWT-SVID §3, §4).

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
    /// A name for each tenant.
    PerTenant(Template),
    /// `spiffe://` and a trust domain: not `iss` counts, but `sub`.
    TrustDomain(Box<str>),
    /// Whatever it says, or nothing.
    Any,
}

impl IssuerRule {
    pub(crate) fn check(&self, iss: &Member<'_>, sub: &Member<'_>) -> Result<(), AuthErrorKind> {
        let iss = || iss.text().filter(|iss| iss.len() <= MAX_ISSUER);
        let passes = match self {
            Self::Any => true,
            Self::Named(names) => iss().is_some_and(|iss| names.iter().any(|name| **name == *iss)),
            Self::PerTenant(template) => iss().is_some_and(|iss| template.tenant(iss).is_some()),
            Self::TrustDomain(domain) => sub.text().and_then(trust_domain).is_some_and(|own| *own == **domain),
        };
        if passes { Ok(()) } else { Err(AuthErrorKind::InvalidIssuer) }
    }

    /// False for an `iss` with which no token passes.
    pub(crate) fn may_be(&self, iss: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|name| **name == *iss),
            Self::PerTenant(template) => template.tenant(iss).is_some(),
            Self::TrustDomain(_) | Self::Any => true,
        }
    }

    /// The name of the issuer of all tokens; nothing where only a token can say.
    pub(crate) fn only_name(&self) -> Option<&str> {
        match self {
            Self::PerTenant(Template { only: None, .. }) | Self::Any => None,
            Self::PerTenant(_) | Self::Named(_) | Self::TrustDomain(_) => self.names().first().map(|name| &**name),
        }
    }

    /// The names by which a token picks its issuer.
    pub(crate) fn names(&self) -> &[Box<str>] {
        match self {
            Self::Named(names) => names,
            Self::PerTenant(Template { text: name, .. }) | Self::TrustDomain(name) => std::slice::from_ref(name),
            Self::Any => &[],
        }
    }
}

/// The names of an issuer that has one for each tenant.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// The template itself, or the name of the only tenant.
    text: Box<str>,
    before: Box<str>,
    after: Box<str>,
    only: Option<Box<str>>,
}

/// Where the tenant stands in a template.
const TENANT: &str = "{tenantid}";

impl Template {
    /// `None` where the text has no place for a tenant.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.split_once(TENANT)?;
        Some(Self { text: text.into(), before: before.into(), after: after.into(), only: None })
    }

    /// The same, for one tenant.
    pub(crate) fn of(self, tenant: &str) -> Self {
        let text = format!("{}{tenant}{}", self.before, self.after).into();
        Self { text, only: Some(tenant.into()), ..self }
    }

    /// The tenant, if this is the template filled with a GUID.
    pub(crate) fn tenant<'i>(&self, iss: &'i str) -> Option<&'i str> {
        let tenant = iss.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        let is_taken = self.only.as_ref().is_none_or(|only| **only == *tenant);
        (is_taken && is_guid(tenant)).then_some(tenant)
    }

    /// Whether the token's `tid` is the tenant of its `iss`, and the key, if it says whose tokens it signs, signs theirs.
    pub(crate) fn check_tenant(&self, iss: &str, tid: Option<&str>, key: Option<&str>) -> Result<(), AuthErrorKind> {
        let tenant = self.tenant(iss).filter(|tenant| Some(*tenant) == tid).ok_or(AuthErrorKind::InvalidIssuer)?;
        match key {
            Some(issuer) if issuer.replace(TENANT, tenant) != iss => Err(AuthErrorKind::UnknownKey),
            _ => Ok(()),
        }
    }
}

/// A GUID in the small letters that tokens have.
pub(crate) fn is_guid(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

/// `spiffe://` and the trust domain of a workload's SPIFFE ID (SPIFFE-ID §2), if it is one.
pub(crate) fn trust_domain(id: &str) -> Option<&str> {
    const LONGEST: usize = 2048;
    let rest = id.strip_prefix("spiffe://").filter(|_| id.len() <= LONGEST)?;
    let (domain, path) = rest.split_once('/')?;
    let is_segment = |segment: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(allowed)
    };
    (is_trust_domain(domain) && path.split('/').all(is_segment)).then(|| &id[..id.len() - path.len() - 1])
}

/// SPIFFE-ID §2.1.
pub(crate) fn is_trust_domain(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    (1..=255).contains(&name.len()) && name.bytes().all(allowed)
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
            assert_eq!(rule.check(&text(iss), &Member::Absent), Ok(()), "{iss}");
        }
        for iss in ["", "https://a.exampl", "https://a.example/", "https://A.example", "xa.example", "b.example"] {
            assert_eq!(rule.check(&text(iss), &text("a.example")), Err(AuthErrorKind::InvalidIssuer), "{iss}");
        }
        for iss in [Member::Absent, Member::Wrong] {
            assert_eq!(rule.check(&iss, &text("a.example")), Err(AuthErrorKind::InvalidIssuer));
            assert_eq!(IssuerRule::Any.check(&iss, &iss), Ok(()));
        }
        let (fits, too_long) = ("i".repeat(MAX_ISSUER), "i".repeat(MAX_ISSUER + 1));
        let rule = IssuerRule::Named(vec![fits.as_str().into(), too_long.as_str().into()]);
        assert_eq!(rule.check(&text(&fits), &Member::Absent), Ok(()));
        assert_eq!(rule.check(&text(&too_long), &Member::Absent), Err(AuthErrorKind::InvalidIssuer));
    }

    #[test]
    fn a_template_is_filled_with_the_guid_of_the_tenant() {
        let template = Template::parse("https://login.example/{tenantid}/v2.0").expect("a template");
        let guid = "9122040d-6c67-4c5b-b112-36a304b66dad";
        let iss = &format!("https://login.example/{guid}/v2.0");
        let check = |tid, key| template.check_tenant(iss, tid, key);
        for key in [None, Some("https://login.example/{tenantid}/v2.0"), Some(&**iss)] {
            assert_eq!(check(Some(guid), key), Ok(()), "{key:?}");
            for tid in [None, Some(""), Some("00000000-6c67-4c5b-b112-36a304b66dad")] {
                assert_eq!(check(tid, key), Err(AuthErrorKind::InvalidIssuer), "{tid:?}");
            }
        }
        let other = "https://login.example/00000000-6c67-4c5b-b112-36a304b66dad/v2.0";
        for key in [other, "", "https://login.example/{tenantid}/v1.0"] {
            assert_eq!(check(Some(guid), Some(key)), Err(AuthErrorKind::UnknownKey), "{key}");
        }
        let one = template.clone().of(guid);
        assert_eq!((one.tenant(iss), one.tenant(other)), (Some(guid), None));
        for wrong in [
            "https://login.example/{tenantid}/v2.0",
            "https://login.example//v2.0",
            "https://login.example/common/v2.0",
            "https://login.example/9122040D-6C67-4C5B-B112-36A304B66DAD/v2.0",
            "https://login.example/9122040d-6c67-4c5b-b112-36a304b66dad/v1.0",
            "https://evil.example/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
            "https://login.example/9122040d-6c67-4c5b-b112-36a304b66dad/x/v2.0",
            "https://login.example/9122040d-6c67-4c5b-b112-36a304b66da/v2.0",
            "https://login.example/v2.0",
        ] {
            assert_eq!(template.tenant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_trust_domain_of_a_workload_is_read_strictly() {
        let rule = IssuerRule::TrustDomain("spiffe://example.org".into());
        let check = |sub: &str| rule.check(&Member::Absent, &Member::Text(sub.to_owned().into()));
        let longest = format!("spiffe://example.org/{}", "a".repeat(2048 - 21));
        for id in ["spiffe://example.org/a", "spiffe://example.org/ns/Prod/sa/web-1_x.y", &longest] {
            assert_eq!(check(id), Ok(()), "{id}");
        }
        for id in [
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://example.org/a/",
            "spiffe://example.org//a",
            "spiffe://example.org/../a",
            "spiffe://example.org/./a",
            "spiffe://example.org/a%2Fb",
            "spiffe://example.org/a?b",
            "spiffe://example.org:443/a",
            "spiffe://user@example.org/a",
            "spiffe://Example.org/a",
            "SPIFFE://example.org/a",
            "spiffe://example.org.evil/a",
            "spiffe://evil/example.org/a",
            "spiffe:///a",
            "https://example.org/a",
            &format!("{longest}a"),
        ] {
            assert_eq!(check(id), Err(AuthErrorKind::InvalidIssuer), "{id}");
        }
        assert_eq!(
            rule.check(&Member::Text("spiffe://example.org".into()), &Member::Absent),
            Err(AuthErrorKind::InvalidIssuer)
        );
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

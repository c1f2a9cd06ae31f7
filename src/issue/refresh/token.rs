//! The text of a token, and what of it the store may know.

use std::fmt;

use zeroize::Zeroizing;

use crate::crypto;
use crate::jose::compact::{decode, decode_secret, encode};

/// Bytes of a mark: 128 bits.
const MARK: usize = 16;
/// Bytes of a secret: 256 bits.
const SECRET: usize = 32;
/// Characters of a token: 48 bytes in base64url, without padding.
const TEXT: usize = (MARK + SECRET) / 3 * 4;

/// Which family a token belongs to: 22 characters, not secret, the same for all tokens of the family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FamilyId([u8; 16]);

impl FamilyId {
    /// From the text that [`Display`](fmt::Display) makes; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        // A longer text is not worth decoding.
        let bytes = if text.len() == 22 { decode(text)? } else { return None };
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

impl fmt::Debug for FamilyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FamilyId({self})")
    }
}

/// A live refresh token, for the client: 64 characters of base64url. It is nowhere else.
#[derive(Clone)]
pub struct RefreshToken {
    text: Zeroizing<String>,
    family: FamilyId,
}

impl RefreshToken {
    /// The text. Send it over TLS, with `Cache-Control: no-store`, and to nobody but the client.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The session that it belongs to: to be named in access tokens, as `sid`, or in logs.
    pub fn family(&self) -> FamilyId {
        self.family
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken").field("family", &self.family).finish_non_exhaustive()
    }
}

/// A token, taken apart.
pub(super) struct Parts(Zeroizing<[u8; MARK + SECRET]>);

impl Parts {
    /// The first token of a new family.
    pub(super) fn generate() -> Option<Self> {
        let (mark, secret) = (crypto::random_secret()?, crypto::random_secret()?);
        Some(Self::new(&mark[..MARK], &secret[..]))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT {
            return None;
        }
        let bytes = decode_secret(text)?;
        let (mark, secret) = bytes.split_at_checked(MARK)?;
        Some(Self::new(mark, secret))
    }

    fn new(mark: &[u8], secret: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; MARK + SECRET]);
        bytes[..MARK].copy_from_slice(mark);
        bytes[MARK..].copy_from_slice(secret);
        Self(bytes)
    }

    pub(super) fn family(&self) -> Option<FamilyId> {
        let hash = crypto::sha256(&self.0[..MARK])?;
        Some(FamilyId(*hash.first_chunk()?))
    }

    pub(super) fn hash(&self) -> Option<[u8; 32]> {
        crypto::sha256(&self.0[MARK..])
    }

    /// The next token of the family. Who has this one and the salt can make it again; with either alone it is as good
    /// as random.
    pub(super) fn successor(&self, salt: &[u8; 32]) -> Option<Self> {
        let secret = Zeroizing::new(crypto::hmac_sha256(&self.0[MARK..], salt)?);
        Some(Self::new(&self.0[..MARK], &secret[..]))
    }

    pub(super) fn token(&self, family: FamilyId) -> RefreshToken {
        RefreshToken { text: Zeroizing::new(encode(&self.0[..])), family }
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;
    use crate::crypto::assert_wiped;

    const _: fn(&Parts, &RefreshToken) = |parts, token| {
        assert_wiped(&parts.0);
        assert_wiped(&token.text);
    };

    fn token(parts: &Parts) -> RefreshToken {
        parts.token(parts.family().expect("a backend"))
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let parts = Parts::generate().expect("a backend");
        let token = token(&parts);
        assert_eq!(token.as_str().len(), TEXT);
        let read = Parts::parse(token.as_str()).expect("it was just written");
        assert_eq!((read.family(), read.hash()), (Some(token.family()), parts.hash()));

        let text = token.as_str();
        for wrong in ["", &text[1..], &format!("{text}A"), &format!("{}=", &text[1..]), &format!("{} ", &text[1..])] {
            assert!(Parts::parse(wrong).is_none(), "{} characters", wrong.len());
        }
        assert!(Parts::parse(&"é".repeat(TEXT / 2)).is_none());
    }

    #[test]
    fn a_family_id_is_read_as_it_was_written_and_nothing_else_is() {
        let id = Parts::generate().and_then(|parts| parts.family()).expect("a backend");
        let text = id.to_string();
        assert_eq!(FamilyId::parse(&text), Some(id));
        for wrong in ["", &text[1..], &format!("{text}A"), &format!("{}=", &text[1..])] {
            assert_eq!(FamilyId::parse(wrong), None);
        }
    }

    #[test]
    fn a_successor_is_of_the_same_family_and_needs_both_the_token_and_the_salt() {
        let [one, other] = [(); 2].map(|()| Parts::generate().expect("a backend"));
        let of = |parts: &Parts, salt| parts.successor(&[salt; 32]).and_then(|next| next.hash()).expect("a backend");
        assert_eq!(of(&one, 1), of(&one, 1));
        assert_ne!(of(&one, 1), of(&one, 2));
        assert_ne!(of(&one, 1), of(&other, 1));
        assert_ne!(Some(of(&one, 1)), one.hash());
        assert_eq!(one.successor(&[1; 32]).and_then(|next| next.family()), one.family());
    }
}

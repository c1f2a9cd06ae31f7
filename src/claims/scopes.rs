//! Scopes: a space-separated string (RFC 6749 §3.3, RFC 8693 §4.2) or an array of strings.

use std::borrow::Cow;

use super::Audience;

/// True for a `scope-token`: one or more of %x21 / %x23-5B / %x5D-7E.
pub(crate) fn is_scope(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

/// True for names separated by single spaces: `text.split(' ').all(is_scope)`, many bytes in one step.
#[expect(clippy::needless_bitwise_bool, reason = "without a way out early, many bytes are looked at in one step")]
fn is_plain(text: &[u8]) -> bool {
    let (Some(b'!'..), Some(b'!'..)) = (text.first(), text.last()) else { return false };
    let allowed = |byte: u8| (byte.wrapping_sub(b' ') < 0x5F) & (byte != b'"') & (byte != b'\\');
    let in_pairs = text.iter().zip(&text[1..]);
    text.iter().fold(true, |all, &byte| all & allowed(byte))
        & in_pairs.fold(true, |all, (&one, &next)| all & ((one != b' ') | (next != b' ')))
}

/// The scopes that a token grants, from one claim or several, separated by single spaces.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes<'p>(Cow<'p, str>);

impl<'p> Scopes<'p> {
    /// Adds what a claim grants: a string, or an array of strings. Anything else grants nothing.
    pub(super) fn add(&mut self, claim: Audience<'p>) {
        match claim {
            Audience::One(text) => self.add_text(text),
            Audience::Many(names) => names.iter().for_each(|name| self.add_name(name)),
            Audience::Absent | Audience::Wrong => {}
        }
    }

    /// Adds what a string grants: the names between its spaces. What is no `scope-token` grants nothing.
    pub(crate) fn add_text(&mut self, text: Cow<'p, str>) {
        if self.0.is_empty() && is_plain(text.as_bytes()) {
            self.0 = text;
        } else {
            text.split(' ').for_each(|name| self.add_name(name));
        }
    }

    /// Adds one name. One with a space in it, or a quote, grants nothing: it must not turn into two.
    pub(crate) fn add_name(&mut self, name: &str) {
        if is_scope(name) {
            let all = self.0.to_mut();
            if !all.is_empty() {
                all.push(' ');
            }
            all.push_str(name);
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_scope_token_grants_nothing() {
        let mut scopes = Scopes::default();
        scopes.add_text("read  write ".into());
        scopes.add_text("a\"b admin\u{e9}\tx c".into());
        scopes.add_name("root all");
        scopes.add_name("");
        scopes.add_name("d");
        assert_eq!(scopes.as_str(), "read write c d");
    }

    #[test]
    fn plain_is_what_splits_into_scope_tokens() {
        let check = |text: &str| assert_eq!(is_plain(text.as_bytes()), text.split(' ').all(is_scope), "{text:?}");
        for text in ["", " ", "a", "a b", "a  b", " a", "a ", "a b c", "a\u{7f}b", "\u{e9}", "a\tb"] {
            check(text);
        }
        for byte in 0..=0x7F_u8 {
            for text in [[byte, b'a', b'a'], [b'a', byte, b'a'], [b'a', b'a', byte]] {
                check(std::str::from_utf8(&text).expect("ASCII"));
            }
        }
    }

    #[test]
    fn one_plain_string_is_borrowed() {
        let mut scopes = Scopes::default();
        scopes.add_text("read write".into());
        assert!(matches!(scopes.0, Cow::Borrowed("read write")));
    }
}

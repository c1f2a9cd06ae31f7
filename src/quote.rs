//! What errors and `Debug` repeat of a configuration: enough to find the mistake, and no secret that was put there by
//! mistake.
//!
//! - Of a URL neither the user nor the password, the query or the fragment.
//! - Of anything else what is shorter than the shortest secret; longer, only how long it is.
//! - Of a path nothing that looks like the content of a key file.

use std::path::Path;

/// Bytes of the shortest secret that is taken (RFC 7518 §3.2).
const SHORTEST_SECRET: usize = 32;

/// What was given for a name, in quotes.
pub(crate) fn name(text: &str) -> String {
    if text.len() < SHORTEST_SECRET { format!("{text:?}") } else { format!("a text of {} bytes", text.len()) }
}

/// What was given for a URL, a host or an origin, in quotes.
pub(crate) fn url(text: &str) -> String {
    if text.contains("://") || text.contains('@') { format!("{:?}", bare_url(text)) } else { name(text) }
}

/// A URL without what may be secret in it.
pub(crate) fn bare_url(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + 3),
        None => ("", text),
    };
    // A password may hold anything where it was not encoded: all up to the last `@` may be one.
    let (user, rest) = match rest.rfind('@') {
        Some(at) if rest[..at].contains(['?', '#']) => return format!("{scheme}…"),
        Some(at) => ("…@", &rest[at + 1..]),
        None => ("", rest),
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let more = if end < rest.len() { "…" } else { "" };
    format!("{scheme}{user}{}{more}", &rest[..end])
}

/// What was given for the path of a file.
pub(crate) fn path(path: &Path) -> String {
    let text = path.display().to_string();
    let is_content = text.contains("-----BEGIN") || text.contains(|c: char| c == '{' || c.is_control());
    let is_secret = text.len() >= SHORTEST_SECRET && !text.contains(['/', '\\', '.']);
    if is_content || is_secret { "the path that was given, which looks like a key".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_secret_in_it() {
        for (text, shown) in [
            ("https://a.example/keys", "https://a.example/keys"),
            ("https://user:pass@a.example:8443/keys", "https://…@a.example:8443/keys"),
            ("https://user:p/a@ss@a.example/", "https://…@a.example/"),
            ("https://user:p?ss@a.example/", "https://…"),
            ("https://user:p#ss@a.example/", "https://…"),
            ("https://a.example/keys?sig=secret", "https://a.example/keys…"),
            ("https://a.example/keys#secret", "https://a.example/keys…"),
            ("https://a.example/?mail=a@b&sig=secret", "https://…"),
            ("user:pass@a.example", "…@a.example"),
            ("https://", "https://"),
            ("", ""),
        ] {
            assert_eq!(bare_url(text), shown, "{text}");
        }
    }

    #[test]
    fn what_is_as_long_as_a_secret_is_counted() {
        assert_eq!(name(&"a".repeat(31)), format!("\"{}\"", "a".repeat(31)));
        assert_eq!(name(&"a".repeat(32)), "a text of 32 bytes");
        assert_eq!(url(&"a".repeat(32)), "a text of 32 bytes");
        assert_eq!(url("https://user:pass@a.example/"), "\"https://…@a.example/\"");
    }

    #[test]
    fn a_path_is_shown_unless_it_looks_like_a_key() {
        for shown in ["/etc/keys/jwks.json", "keys", "C:\\keys\\a-file-with-a-rather-long-name"] {
            assert_eq!(path(Path::new(shown)), shown);
        }
        for hidden in ["{\"keys\":[]}", "-----BEGIN PRIVATE KEY-----", "a\nb", &"k".repeat(32)] {
            assert!(path(Path::new(hidden)).starts_with("the path"), "{hidden}");
        }
    }
}

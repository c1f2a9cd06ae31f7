//! What is wrong with settings: all of it, not the first of it.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;

use crate::error::ConfigError;

/// Everything that is wrong with [`Settings`](super::Settings), each problem with its key and the fix.
///
/// `Display` has one line for each, and so has `Debug`, which is what `main` prints of an error that it returns. No value
/// of a key that can hold a secret is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
}

impl ConfigErrors {
    /// The problems: one at least, in the order in which they were found.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let line_end = if at == 0 { "" } else { "\n" };
            write!(f, "{line_end}{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ConfigErrors {}

/// For a function that can fail with either.
impl From<ConfigErrors> for ConfigError {
    fn from(errors: ConfigErrors) -> Self {
        Self::new(errors.to_string())
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    key: String,
    message: String,
}

impl Problem {
    /// Where: a path such as `issuers[1].audiences[0]`, or the name of a variable such as `AUTH_AUDIENCES`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong, and how to mend it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Where the walk puts what it finds.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(super) fn add(&self, key: impl Into<String>, message: impl Into<String>) {
        self.0.borrow_mut().push(Problem { key: key.into(), message: message.into() });
    }

    /// Of a builder: it speaks of methods, which here are keys.
    pub(super) fn add_error(&self, key: impl Into<String>, error: &ConfigError) {
        self.add(key, in_keys(&error.to_string()));
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(super) fn end<T>(self, outcome: Option<T>) -> Result<T, ConfigErrors> {
        let mut problems = self.0.into_inner();
        match outcome {
            Some(outcome) if problems.is_empty() => Ok(outcome),
            _ => {
                if problems.is_empty() {
                    let (key, message) = ("issuers".to_owned(), "no issuer is trusted: name one".to_owned());
                    problems.push(Problem { key, message });
                }
                Err(ConfigErrors { problems })
            }
        }
    }
}

/// The same message with `key` for each `` `Type::new(…).key(…)` `` and `` `Type::key` ``.
fn in_keys(message: &str) -> String {
    let mut out = String::new();
    for (at, part) in message.split('`').enumerate() {
        let call = part.rsplit_once('(').map(|(path, _)| path.rsplit('.').next().unwrap_or(path));
        let named = call.or_else(|| part.rsplit_once("::").map(|(_, name)| name));
        let name = named.filter(|_| at % 2 == 1).unwrap_or(part);
        out.push_str(if at == 0 { "" } else { "`" });
        out.push_str(match name {
            "require_claim_value" => "require_claim_values",
            "base64_secret" => "secret_encoding",
            "jwk_set" => "jwks",
            name => name,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_become_keys() {
        let cases = [
            ("name one", "name one"),
            ("say so with `.max_lifetime(…)`, of 1 s", "say so with `max_lifetime`, of 1 s"),
            ("by `RemoteJwks::discover(…).danger_allow_http()`", "by `danger_allow_http`"),
            ("`.require_claim_value(…)` on `hd`, `sub`", "`require_claim_values` on `hd`, `sub`"),
            ("(like `jti`): so", "(like `jti`): so"),
            ("see `Key::danger_weak_secret`", "see `danger_weak_secret`"),
            ("leave `https://` out, as in `example.org`", "leave `https://` out, as in `example.org`"),
        ];
        for (message, expected) in cases {
            assert_eq!(in_keys(message), expected);
        }
    }
}

//! Where an issuer's keys come from.

use std::time::Duration;

use zeroize::Zeroizing;

use super::problem::Problems;
use super::remote::{Client, Knobs};
use super::table::{Given, Table};
use crate::error::ConfigError;
use crate::jose::Algorithm;
use crate::jose::algorithm::KeyFamily;
use crate::keys::{Key, KeyFile, KeySet, decode_base64, read_file};
use crate::providers::Provider;

/// How often a file is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Keys that can be asked.
pub(super) enum Source {
    Fixed(KeySet),
    File(KeyFile),
    #[cfg(feature = "remote")]
    Remote(crate::keys::RemoteJwks),
}

/// Keys as they are described.
pub(super) struct Keys {
    /// The one algorithm of a secret or a PEM.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) source: Option<Source>,
}

/// Who an issuer is, and where that is said.
pub(super) enum Identity {
    Named(Given<Zeroizing<String>>),
    Preset(Given<Provider>),
    /// Any, and so there is nothing to discover.
    Any(Given<()>),
}

/// Where keys are fetched from.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "remote"), expect(dead_code, reason = "nothing is fetched then"))]
pub(super) enum Location<'s> {
    Discover(&'s str),
    DiscoverAt(&'s str, &'s str),
    Keys(&'s str),
    Bundle(&'s str),
    Preset(&'s Provider),
}

#[derive(Clone, Copy)]
enum Place {
    DiscoveryUrl,
    JwksUrl,
    Inline(Form),
    File(Form),
}

/// What a text or a file holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Jwks,
    Pem,
    Secret,
}

const PLACES: [(&str, Place); 8] = [
    ("discovery_url", Place::DiscoveryUrl),
    ("jwks_url", Place::JwksUrl),
    ("jwks", Place::Inline(Form::Jwks)),
    ("jwks_file", Place::File(Form::Jwks)),
    ("pem", Place::Inline(Form::Pem)),
    ("pem_file", Place::File(Form::Pem)),
    ("secret", Place::Inline(Form::Secret)),
    ("secret_file", Place::File(Form::Secret)),
];

impl Source {
    /// The keys of an issuer; no `identity` where that is a problem already.
    pub(super) fn take(table: &mut Table<'_>, identity: Option<&Identity>, client: &Client) -> Keys {
        let knobs = Knobs::take(table);
        let places = PLACES.map(|(key, place)| (key, place, table.text(key)));
        let mut given = places.into_iter().filter(|(key, ..)| table.has(key));
        let (first, place, value) =
            given.next().map_or((None, None, None), |(key, place, value)| (Some(key), Some(place), value));
        let mut is_double = false;
        for (key, ..) in given {
            is_double = true;
            let first = table.at(first.unwrap_or_default());
            let fix = format!("`{first}` says already where the keys are: keep one of the two");
            table.problems.add(table.at(key), fix);
        }
        let form = match place {
            Some(Place::Inline(form) | Place::File(form)) => Some(form),
            _ => None,
        };
        let is_bundle = matches!(identity, Some(Identity::Preset(preset)) if preset.value.has_bundle());
        let with = Details::take(table, form, is_bundle, is_double);
        let rsa = with.rsa;
        let fetch = |knobs: Knobs, place: &str, location| knobs.build(table, place, location, rsa, client);
        let source = match (place, value, identity) {
            (Some(Place::Inline(form)), value, _) => {
                knobs.refuse(table);
                with.reader(form, is_bundle).zip(value).and_then(|(reader, text)| {
                    table.judge(&text.place, reader.keys(text.value.as_bytes())).map(Source::Fixed)
                })
            }
            (Some(Place::File(form)), value, _) => {
                knobs.refuse(table);
                with.reader(form, is_bundle).zip(value).and_then(|(reader, path)| watch(table, &path, reader))
            }
            (Some(Place::JwksUrl), Some(url), _) => {
                let location = if is_bundle { Location::Bundle(&url.value) } else { Location::Keys(&url.value) };
                fetch(knobs, &url.place, location)
            }
            (Some(Place::DiscoveryUrl), Some(url), Some(Identity::Named(name))) => {
                fetch(knobs, &url.place, Location::DiscoverAt(&url.value, &name.value))
            }
            (Some(Place::DiscoveryUrl), Some(url), Some(_)) => {
                table.problems.add(url.place, "only with an `issuer`, whose name the metadata must have");
                None
            }
            (None, _, Some(Identity::Named(name))) => fetch(knobs, &name.place, Location::Discover(&name.value)),
            (None, _, Some(Identity::Preset(preset))) => fetch(knobs, &preset.place, Location::Preset(&preset.value)),
            (None, _, Some(Identity::Any(any))) => {
                let fix = "there is nothing to discover: say with `jwks_url`, `jwks_file`, `pem_file` or `secret_file` \
                           where the keys are";
                table.problems.add(&*any.place, fix);
                None
            }
            // Said already.
            (_, None, _) | (None | Some(Place::DiscoveryUrl), _, None) => None,
        };
        Keys { algorithm: with.algorithm, source }
    }
}

/// What goes with some places alone.
#[derive(Clone, Copy)]
struct Details {
    algorithm: Option<Algorithm>,
    rsa: Option<Algorithm>,
    is_base64: bool,
    is_weak: bool,
}

impl Details {
    fn take(table: &mut Table<'_>, form: Option<Form>, is_bundle: bool, is_double: bool) -> Self {
        let algorithm = table.algorithm("algorithm").map(|algorithm| algorithm.value);
        let rsa = table.algorithm("rsa_algorithm");
        let encoding = table.text("secret_encoding");
        let is_weak = table.flag("danger_weak_secret");
        let is_secret = form == Some(Form::Secret);
        let has_one = is_secret || form == Some(Form::Pem);
        let only = |key: &str, fits: bool, with: &str| {
            // With two places for the keys, it may be for the other.
            if table.has(key) && !fits && !is_double {
                table.problems.add(table.at(key), format!("only with {with}: name one, or leave it out"));
            }
        };
        only("algorithm", has_one, "a secret or a PEM (which algorithms tokens may have is said by `algorithms`)");
        only("rsa_algorithm", !has_one && !is_bundle, "JWK sets, whose keys may lack `alg`");
        only("secret_encoding", is_secret, "a secret");
        only("danger_weak_secret", is_secret, "a secret");
        if has_one && !table.has("algorithm") {
            table.missing("algorithm", "a secret or a PEM does not say for which it is, as in `HS256` or `RS256`");
        }
        if let Some(rsa) = rsa.as_ref().filter(|rsa| rsa.value.family() != KeyFamily::Rsa) {
            table.problems.add(&*rsa.place, "must be one of RS256, RS384, RS512, PS256, PS384, PS512");
        }
        let is_base64 = encoding.as_ref().is_some_and(|encoding| *encoding.value == "base64");
        if let Some(other) = encoding.filter(|encoding| !is_base64 && *encoding.value != "text") {
            table.problems.add(other.place, "must be `text` or `base64`");
        }
        Self { algorithm, rsa: rsa.map(|rsa| rsa.value), is_base64, is_weak }
    }

    /// `None` where the algorithm of a PEM is missing. A secret is judged without one, by the algorithm that takes the
    /// shortest: all that is wrong with it is wrong for any.
    fn reader(self, form: Form, is_bundle: bool) -> Option<Reader> {
        Some(match form {
            Form::Jwks => Reader::Jwks { rsa: self.rsa, is_bundle },
            Form::Pem => Reader::Pem(self.algorithm?),
            Form::Secret => {
                let algorithm = self.algorithm.unwrap_or(Algorithm::HS256);
                Reader::Secret { algorithm, is_base64: self.is_base64, is_weak: self.is_weak }
            }
        })
    }
}

/// Makes keys of a text or of the content of a file.
enum Reader {
    Jwks { rsa: Option<Algorithm>, is_bundle: bool },
    Pem(Algorithm),
    Secret { algorithm: Algorithm, is_base64: bool, is_weak: bool },
}

impl Reader {
    fn keys(&self, content: &[u8]) -> Result<KeySet, ConfigError> {
        match *self {
            Self::Jwks { is_bundle: true, .. } => KeySet::spiffe_bundle(content),
            Self::Jwks { rsa: Some(rsa), .. } => KeySet::jwk_set_with(content, rsa),
            Self::Jwks { .. } => KeySet::jwk_set(content),
            Self::Pem(algorithm) => KeySet::pem(algorithm, content),
            Self::Secret { algorithm, is_base64, is_weak } => {
                let decoded = match std::str::from_utf8(content) {
                    Ok(text) if is_base64 => Some(decode_base64(text)?),
                    Err(_) if is_base64 => return Err(ConfigError::new("the secret is not base64")),
                    _ => None,
                };
                let secret = decoded.as_ref().map_or(content, |decoded| decoded);
                let key =
                    if is_weak { Key::danger_weak_secret(algorithm, secret) } else { Key::secret(algorithm, secret) };
                KeySet::new([key?])
            }
        }
    }

    /// The same without the line end that editors and `echo` put behind a secret.
    fn file_keys(&self, content: &[u8]) -> Result<KeySet, ConfigError> {
        let line = content.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        self.keys(line.unwrap_or(content))
    }
}

fn watch(table: &Table<'_>, path: &Given<Zeroizing<String>>, reader: Reader) -> Option<Source> {
    // A secret that stands where its path should must not be in a message, as the path is in those of the watch.
    read(table.problems, path)?;
    let file = KeyFile::with(path.value.as_str(), EVERY, move |content| reader.file_keys(content));
    table.judge(&path.place, file).map(Source::File)
}

/// The content of a file; a message does not have its path.
pub(super) fn read(problems: &Problems, path: &Given<Zeroizing<String>>) -> Option<Zeroizing<Vec<u8>>> {
    let fix = "name one; a relative path starts at the working directory";
    let say = |reason| problems.add(&*path.place, format!("the file cannot be read ({reason}): {fix}"));
    read_file(path.value.as_ref()).map_err(say).ok()
}

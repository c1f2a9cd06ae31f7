//! Settings that have been judged, and what they make.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::issuer::{self, Trusted};
use super::problem::{ConfigErrors, Problems};
use super::remote::Client;
use super::settings::Settings;
use super::source::Source;
use super::table::{Given, Table};
use super::tree::Tree;
use crate::claims::is_scope;
use crate::error::ConfigError;
use crate::extract::{BearerHeader, Cookie, ExtractToken, Header, Or, Query};
use crate::keys::KeyFile;
#[cfg(feature = "remote")]
use crate::keys::RemoteJwks;
use crate::layer::JwtAuth;
use crate::verify::{Issuer, TokenCache, Verifier, VerifierBuilder};

/// The most tokens that can be remembered.
const MOST_REMEMBERED: usize = 10_000_000;

/// What [`Settings`] describe: issuers with their keys, and the settings of the layer.
///
/// A cheap clone. Everything that is made of it shares keys and remembered tokens: layers with claims of several types
/// cost one fetch of the keys.
#[derive(Clone)]
pub struct Config(Arc<Inner>);

struct Inner {
    issuers: Vec<Issuer>,
    cache: Option<TokenCache>,
    layer: LayerSettings,
    files: Vec<KeyFile>,
    #[cfg(feature = "remote")]
    remote: Vec<RemoteJwks>,
}

impl Config {
    /// [`Settings::from_env`], built.
    ///
    /// # Errors
    /// Those of [`Settings::build`].
    pub fn from_env(prefix: &str) -> Result<Self, ConfigErrors> {
        Settings::from_env(prefix).build()
    }

    /// The layer.
    ///
    /// # Errors
    /// None that is known: [`Settings::build`] has said everything.
    pub fn layer<C: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<JwtAuth<C>, ConfigError> {
        self.layer_with(self.verifier()?)
    }

    /// The layer around a verifier of one's own, with the rules and lists of revocations that only code can name: see
    /// [`verifier_builder`](Self::verifier_builder).
    ///
    /// # Errors
    /// None that is known.
    pub fn layer_with<C: DeserializeOwned + Send + Sync + 'static>(
        &self,
        verifier: Verifier<C>,
    ) -> Result<JwtAuth<C>, ConfigError> {
        self.0.layer.apply(JwtAuth::with(verifier))
    }

    /// The verifier.
    ///
    /// # Errors
    /// None that is known: [`Settings::build`] has said everything.
    pub fn verifier<C: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Verifier<C>, ConfigError> {
        self.verifier_builder().build()
    }

    /// The verifier before it is built, with its issuers and its cache: for rules and lists of revocations.
    pub fn verifier_builder<C: DeserializeOwned + Send + Sync + 'static>(&self) -> VerifierBuilder<C> {
        let trusting = self.0.issuers.iter().cloned().fold(Verifier::builder(), VerifierBuilder::trust);
        match &self.0.cache {
            Some(cache) => trusting.cache(cache.clone()),
            None => trusting,
        }
    }

    /// The keys that are fetched, in the order of their issuers: for [`RemoteJwks::ready`] at the start, and
    /// [`RemoteJwks::status`] in a readiness probe.
    #[cfg(feature = "remote")]
    pub fn remote_keys(&self) -> &[RemoteJwks] {
        &self.0.remote
    }

    /// The keys that are in files, in the order of their issuers: for [`KeyFile::last_error`].
    pub fn key_files(&self) -> &[KeyFile] {
        &self.0.files
    }

    pub(super) fn new(settings: Settings) -> Result<Self, ConfigErrors> {
        let problems = Problems::default();
        let judged = judge(settings, &problems);
        problems.end(judged)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("issuers", &self.0.issuers).finish_non_exhaustive()
    }
}

fn judge(settings: Settings, problems: &Problems) -> Option<Config> {
    let Settings { file, mut variables, misspelled, mut prefix, client } = settings;
    if let Some(prefix) = prefix.as_mut().filter(|prefix| prefix.ends_with(|end| end != '_'))
        && !variables.is_empty()
        && variables.iter().all(|(key, _)| key.starts_with('_'))
    {
        problems.add(prefix.clone(), format!("the prefix lacks its last `_`: write `{prefix}_`"));
        // All else is judged as if it had it.
        prefix.push('_');
        for (key, _) in &mut variables {
            *key = key.split_off(1);
        }
    }
    // Where there is no file, what is missing is a variable.
    let prefix = prefix.filter(|_| file.is_empty());
    let mut root = Table::new(problems, String::new(), prefix.as_deref(), file);
    root.overlay(variables.into_iter().map(|(key, variable)| (key, Tree::Variable(variable))));
    for name in misspelled {
        problems.add(name, "must be in upper case");
    }
    let layer = LayerSettings::take(&mut root);
    let cache = root.number("token_cache", 1..=MOST_REMEMBERED).map(TokenCache::new);
    let issuers = issuers(&mut root, &client);
    if problems.len() > 0 {
        return None;
    }
    let together = issuers.iter().map(|trusted| trusted.issuer.clone());
    let together = together.fold(Verifier::<IgnoredAny>::builder(), VerifierBuilder::trust);
    root.judge("issuers", together.build())?;

    let mut all = Inner {
        issuers: Vec::new(),
        cache,
        layer,
        files: Vec::new(),
        #[cfg(feature = "remote")]
        remote: Vec::new(),
    };
    for Trusted { issuer, source } in issuers {
        all.issuers.push(issuer);
        match source {
            Source::Fixed(_) => {}
            Source::File(file) => all.files.push(file),
            #[cfg(feature = "remote")]
            Source::Remote(keys) => all.remote.push(keys),
        }
    }
    Some(Config(Arc::new(all)))
}

/// The issuers in `issuers`, or the one whose keys stand at the top.
fn issuers(root: &mut Table<'_>, client: &Client) -> Vec<Trusted> {
    let problems = root.problems;
    let list = match root.take("issuers") {
        Some(Given { value: Tree::List(list), .. }) if !list.is_empty() => Some(list),
        Some(Given { place, value: Tree::List(_) }) => {
            problems.add(place, "is empty: name one, or leave it out");
            None
        }
        Some(Given { place, value: Tree::Variable(_) }) => {
            problems.add(place, "several issuers stand in a file: set the keys of one");
            None
        }
        Some(Given { place, value }) => {
            problems.add(place, format!("is {}, and must be a list of tables", value.what()));
            None
        }
        None => None,
    };
    let Some(list) = list else {
        // With a list that is none, what is missing is said already.
        let trusted = (!root.has("issuers") || !root.entries.is_empty()).then(|| issuer::take(root, client)).flatten();
        root.end(&[]);
        return trusted.into_iter().collect();
    };
    let is_alone = list.len() == 1;
    let (mut trusted, mut known) = (Vec::new(), Vec::new());
    for (at, value) in list.into_iter().enumerate() {
        let path = format!("issuers[{at}]");
        let entries = match value {
            Tree::Table(entries) => entries,
            other => {
                problems.add(path, format!("is {}, and must be a table", other.what()));
                continue;
            }
        };
        let mut table = Table::new(problems, path, None, entries);
        if is_alone {
            let (variables, others): (Vec<_>, _) = std::mem::take(&mut root.entries)
                .into_iter()
                .partition(|(_, value)| matches!(value, Tree::Variable(_)));
            root.entries = others;
            table.overlay(variables);
        }
        trusted.extend(issuer::take(&mut table, client));
        table.end(root.asked());
        known = table.asked().to_vec();
    }
    refuse_misplaced(root, &known);
    root.end(&[]);
    trusted
}

/// Keys of an issuer beside the list of issuers.
fn refuse_misplaced(root: &mut Table<'_>, known: &[&'static str]) {
    let (misplaced, others): (Vec<_>, _) =
        std::mem::take(&mut root.entries).into_iter().partition(|(key, _)| known.contains(&&**key));
    root.entries = others;
    for (key, value) in misplaced {
        match value {
            Tree::Variable(variable) => {
                root.problems
                    .add(variable.name, "there are several issuers: set it in the file, for the one it is for");
            }
            _ => root.problems.add(key, "is of one issuer: set it in the list of `issuers`"),
        }
    }
}

/// What is set of the layer.
struct LayerSettings {
    realm: Option<String>,
    optional: bool,
    allow_preflight: bool,
    challenge_scopes: Vec<String>,
    extractor: Option<Arc<dyn ExtractToken>>,
}

impl LayerSettings {
    fn take(table: &mut Table<'_>) -> Self {
        let challenge_scopes = table.texts("challenge_scopes");
        if let Some(scopes) = challenge_scopes.as_ref().filter(|all| !all.value.iter().all(|scope| is_scope(scope))) {
            table.problems.add(&*scopes.place, "has one that is no scope: leave spaces, quotes and backslashes out");
        }
        Self {
            realm: table.text("realm").map(|realm| realm.value.to_string()),
            optional: table.flag("optional"),
            allow_preflight: table.flag("allow_preflight"),
            challenge_scopes: challenge_scopes.map_or_else(Vec::new, |scopes| scopes.value),
            extractor: extractor(table),
        }
    }

    fn apply<C: DeserializeOwned + Send + Sync + 'static>(
        &self,
        mut auth: JwtAuth<C>,
    ) -> Result<JwtAuth<C>, ConfigError> {
        auth = if let Some(realm) = &self.realm { auth.realm(realm) } else { auth };
        auth = if self.optional { auth.optional() } else { auth };
        auth = if self.allow_preflight { auth.allow_preflight() } else { auth };
        auth = if let Some(extractor) = &self.extractor { auth.extractor(Arc::clone(extractor)) } else { auth };
        auth.challenge_scopes(&self.challenge_scopes)
    }
}

/// The bearer header and what there is beside it; nothing where there is nothing.
fn extractor(table: &mut Table<'_>) -> Option<Arc<dyn ExtractToken>> {
    let mut others: Vec<Arc<dyn ExtractToken>> = Vec::new();
    if let Some(name) = table.text("header") {
        others.extend(table.judge(&name.place, Header::new(&name.value)).map(|header| Arc::new(header) as _));
    }
    let name = table.text("cookie");
    let origins = table.texts("cookie_origins");
    let takes_cross_site = table.flag("danger_allow_cross_site");
    for key in ["cookie_origins", "danger_allow_cross_site"] {
        if table.has(key) && !table.has("cookie") {
            table.problems.add(table.at(key), "only with a `cookie`: leave it out");
        }
    }
    if let Some(name) = name {
        // RFC 6265 §4.1.1: the name is a token, as that of a header is.
        if HeaderName::try_from(name.value.as_str()).is_err() {
            table.problems.add(name.place, "is no name of a cookie");
        } else {
            let mut cookie = Cookie::new(name.value.as_str());
            for origin in origins.iter().flat_map(|origins| &origins.value) {
                let place = table.at("cookie_origins");
                cookie = table.judge(&place, cookie.clone().allow_origin(origin)).unwrap_or(cookie);
            }
            others.push(Arc::new(if takes_cross_site { cookie.danger_allow_cross_site() } else { cookie }));
        }
    }
    others.extend(table.text("query").map(|name| Arc::new(Query::new(name.value.as_str())) as _));
    let prefers_header = table.flag("prefer_header");
    if prefers_header && !["header", "cookie", "query"].into_iter().any(|key| table.has(key)) {
        table.problems.add(table.at("prefer_header"), "only with a `header`, a `cookie` or a `query`: leave it out");
    }
    others.into_iter().fold(None, |first, second| {
        let first = first.unwrap_or_else(|| Arc::new(BearerHeader::new()) as Arc<dyn ExtractToken>);
        let either = Or::new(first, second);
        Some(if prefers_header { Arc::new(either.prefer_header()) } else { Arc::new(either) })
    })
}

//! One issuer: its name, its keys, and its rules.

use std::time::Duration;

use serde::de::IgnoredAny;

use super::provider;
use super::remote::Client;
use super::source::{Identity, Source};
use super::table::{Given, LONGEST, Table};
use crate::keys::KeySource;
use crate::verify::{Issuer, Verifier};

/// An issuer, and its keys where they are worth watching.
pub(super) struct Trusted {
    pub(super) issuer: Issuer,
    pub(super) source: Source,
}

/// An issuer, if nothing is wrong with it.
pub(super) fn take(table: &mut Table<'_>, client: &Client) -> Option<Trusted> {
    let problems = table.problems.len();
    let identity = identity(table);
    let aliases = table.texts("aliases");
    if let Some(aliases) = &aliases
        && !matches!(identity, Some(Identity::Named(_)) | None)
    {
        table.problems.add(&*aliases.place, "only with an `issuer`: leave it out");
    }
    let keys = Source::take(table, identity.as_ref(), client);
    let algorithms = table.algorithms("algorithms");
    if let (Some(own), Some(algorithm)) = (&algorithms, keys.algorithm)
        && !own.value.contains(&algorithm)
    {
        table.problems.add(&*own.place, format!("the key is for {algorithm}, which the list lacks: leave it out"));
    }
    // Taken before anything is made, so that all of it is judged.
    let rules = Rules::take(table);
    if problems != table.problems.len() {
        return None;
    }
    let source = keys.source?;
    let mut issuer = match &source {
        Source::Fixed(keys) => identity?.issuer(keys.clone()),
        Source::File(keys) => identity?.issuer(keys.clone()),
        #[cfg(feature = "remote")]
        Source::Remote(keys) => identity?.issuer(keys.clone()),
    };
    for alias in aliases.into_iter().flat_map(|aliases| aliases.value) {
        issuer = issuer.alias(alias);
    }
    // A file may change, and its one algorithm does not.
    if let Some(algorithms) = algorithms.map(|own| own.value).or(keys.algorithm.map(|algorithm| vec![algorithm])) {
        issuer = issuer.algorithms(algorithms);
    }
    let issuer = rules.apply(issuer);
    table.judge(&table.own_place("issuer"), Verifier::<IgnoredAny>::new(issuer.clone()))?;
    Some(Trusted { issuer, source })
}

fn identity(table: &mut Table<'_>) -> Option<Identity> {
    let name = table.text("issuer");
    let preset = provider::take(table);
    let is_any = table.flag("danger_any_issuer");
    let given: Vec<_> = ["issuer", "provider"].into_iter().filter(|key| table.has(key)).collect();
    let given: Vec<_> = given.into_iter().chain(is_any.then_some("danger_any_issuer")).collect();
    for key in given.iter().skip(1) {
        let first = given[0];
        table.problems.add(table.at(key), format!("`{first}` says already who the issuer is: keep one of the two"));
    }
    if given.is_empty() {
        table.missing("issuer", "name the issuer as in the tokens' `iss`, or a `provider`");
    }
    let any = is_any.then(|| Identity::Any(Given { place: table.at("danger_any_issuer"), value: () }));
    let preset = preset.map(|value| Identity::Preset(Given { place: table.at("provider"), value }));
    name.map(Identity::Named).or(preset).or(any)
}

impl Identity {
    fn issuer(self, keys: impl KeySource) -> Issuer {
        match self {
            Self::Named(name) => Issuer::new(name.value.as_str(), keys),
            Self::Preset(preset) => preset.value.with_keys(keys),
            Self::Any(_) => Issuer::danger_any_issuer(keys),
        }
    }
}

/// What tokens must look like: calls to make on an [`Issuer`].
struct Rules(Vec<Box<dyn FnOnce(Issuer) -> Issuer>>);

impl Rules {
    fn take(table: &mut Table<'_>) -> Self {
        let mut rules = Self(Vec::new());
        let least = Duration::from_secs(1);
        rules.audience(table);
        rules.set(texts(table, "types"), Issuer::types);
        rules.set(flag(table, "access_token_profile"), |issuer, ()| issuer.access_token_profile());
        if table.has("types") && table.has("access_token_profile") {
            table.problems.add(table.at("types"), "`access_token_profile` says which pass: keep one of the two");
        }
        rules.set(table.time("leeway", Duration::ZERO, "5m"), Issuer::leeway);
        rules.set(table.time("max_age", least, LONGEST), Issuer::max_age);
        rules.set(table.time("max_lifetime", least, LONGEST), Issuer::max_lifetime);
        rules.set(flag(table, "danger_allow_no_expiry"), |issuer, ()| issuer.danger_allow_no_expiry());
        rules.set(texts(table, "require_claims"), Issuer::require_claims);
        rules.set(table.values("require_claim_values"), |issuer, claims| {
            claims.into_iter().fold(issuer, |issuer, (claim, values)| issuer.require_claim_value(claim, values))
        });
        rules.set(flag(table, "shared"), |issuer, ()| issuer.shared());
        rules.set(flag(table, "danger_any_subject"), |issuer, ()| issuer.danger_any_subject());
        rules.set(texts(table, "scope_claims"), Issuer::scope_claims);
        rules.set(texts(table, "revocation_claims"), Issuer::revocation_claims);
        rules
            .set(flag(table, "danger_binding_checked_upstream"), |issuer, ()| issuer.danger_binding_checked_upstream());
        rules
    }

    fn audience(&mut self, table: &mut Table<'_>) {
        let any = flag(table, "danger_any_audience");
        let audiences = texts(table, "audiences");
        if any.is_none() && !table.has("audiences") {
            table.missing("audiences", "name the audience that this service is, as in the tokens' `aud`");
        }
        if any.is_some() && table.has("audiences") {
            table
                .problems
                .add(table.at("audiences"), "`danger_any_audience` takes tokens for any: keep one of the two");
        }
        self.set(any, |issuer, ()| issuer.danger_any_audience());
        self.set(audiences, |issuer, audiences| audiences.into_iter().fold(issuer, Issuer::audience));
        let claim = table.text("audience_claim").map(|claim| claim.value.to_string());
        self.set(claim, Issuer::audience_claim);
    }

    fn set<T: 'static>(&mut self, value: Option<T>, set: fn(Issuer, T) -> Issuer) {
        if let Some(value) = value {
            self.0.push(Box::new(move |issuer| set(issuer, value)));
        }
    }

    fn apply(self, issuer: Issuer) -> Issuer {
        self.0.into_iter().fold(issuer, |issuer, set| set(issuer))
    }
}

fn texts(table: &mut Table<'_>, key: &'static str) -> Option<Vec<String>> {
    table.texts(key).map(|texts| texts.value)
}

fn flag(table: &mut Table<'_>, key: &'static str) -> Option<()> {
    table.flag(key).then_some(())
}

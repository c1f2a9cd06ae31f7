//! The presets of [`providers`](crate::providers) by their names.

use zeroize::Zeroizing;

use super::table::{Given, Table};
use crate::error::ConfigError;
use crate::providers::{self, Provider};

/// What presets are made from.
const ARGUMENTS: [&str; 8] =
    ["domain", "server", "region", "pool", "tenant", "keycloak_realm", "trust_domain", "bundle_url"];

const NAMES: &str = "auth0, okta, okta_org, cognito_access, cognito_id, entra, entra_multi_tenant, entra_v1, keycloak, \
                     google, github_actions, gitlab, spiffe, cloudflare_access; any other is an `issuer`";

/// The preset that is named, if its arguments are there.
pub(super) fn take(table: &mut Table<'_>) -> Option<Provider> {
    let name = table.text("provider");
    let mut arguments = Arguments { given: Vec::new() };
    for key in ARGUMENTS {
        arguments.given.extend(table.text(key).map(|given| (key, given)));
    }
    let is_named = table.has("provider");
    let provider = name.and_then(|name| preset(table, &name, &mut arguments));
    for (_, given) in arguments.given {
        let why = if is_named { "this provider has no use for it" } else { "only with a `provider`" };
        table.problems.add(given.place, format!("{why}: leave it out"));
    }
    provider
}

fn preset(table: &Table<'_>, name: &Given<Zeroizing<String>>, arguments: &mut Arguments) -> Option<Provider> {
    match name.value.as_str() {
        "entra_multi_tenant" => Some(providers::entra_multi_tenant()),
        "google" => Some(providers::google()),
        "github_actions" => Some(providers::github_actions()),
        "auth0" => arguments.one(table, "domain", providers::auth0),
        "okta" => arguments.two(table, ["domain", "server"], providers::okta),
        "okta_org" => arguments.one(table, "domain", providers::okta_org),
        "cognito_access" => arguments.two(table, ["region", "pool"], providers::cognito_access),
        "cognito_id" => arguments.two(table, ["region", "pool"], providers::cognito_id),
        "entra" => arguments.one(table, "tenant", providers::entra),
        "entra_v1" => arguments.one(table, "tenant", providers::entra_v1),
        "keycloak" => arguments.two(table, ["server", "keycloak_realm"], providers::keycloak),
        "gitlab" => arguments.one(table, "domain", providers::gitlab),
        "spiffe" => arguments.two(table, ["trust_domain", "bundle_url"], providers::spiffe),
        "cloudflare_access" => arguments.one(table, "domain", providers::cloudflare_access),
        _ => {
            // Whatever they are for, they are not to blame.
            arguments.given.clear();
            table.problems.add(&*name.place, format!("there is no such provider: one of {NAMES}"));
            None
        }
    }
}

struct Arguments {
    given: Vec<(&'static str, Given<Zeroizing<String>>)>,
}

type Made = Result<Provider, ConfigError>;

impl Arguments {
    fn take(&mut self, table: &Table<'_>, key: &'static str) -> Option<Given<Zeroizing<String>>> {
        let at = self.given.iter().position(|(other, _)| *other == key);
        if at.is_none() && !table.has(key) {
            table.missing(key, "this provider needs it");
        }
        at.map(|at| self.given.swap_remove(at).1)
    }

    fn one(&mut self, table: &Table<'_>, key: &'static str, make: fn(&str) -> Made) -> Option<Provider> {
        let one = self.take(table, key)?;
        table.judge(&one.place, make(&one.value))
    }

    fn two(&mut self, table: &Table<'_>, keys: [&'static str; 2], make: fn(&str, &str) -> Made) -> Option<Provider> {
        let [one, other] = keys.map(|key| self.take(table, key));
        let (one, other) = (one?, other?);
        table.judge(&one.place, make(&one.value, &other.value))
    }
}

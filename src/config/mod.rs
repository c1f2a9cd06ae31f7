//! Settings of a service: from a file in TOML, YAML, JSON or any other format of serde, from the environment, or from
//! both.
//!
//! - [`Settings`] are what is written; [`Settings::build`] judges them and makes a [`Config`], which makes the layer, or
//!   the verifier alone. Only code can name lists of revocations, DPoP and rules of one's own:
//!   [`Config::verifier_builder`] and the methods of the layer take them.
//! - All that is wrong is said at once, each problem with its key and the fix. A key that is unknown or given twice is
//!   refused.
//! - What weakens is named `danger_…` here too.
//! - Secrets stand in a file of their own (`secret_file`, `jwks_file`), which is looked at every 5 seconds: a new one
//!   counts without a restart. Their values are in no `Debug` and no error. A parser may quote the line that it cannot
//!   read, and in its `Debug`, which `main` prints of an error that it returns, the whole file: one more reason for a
//!   file of their own.
//!
//! ```
//! use tower_jwt_auth::config::Settings;
//!
//! // Accepted. The keys are found through the issuer's metadata.
//! let settings: Settings = toml::from_str(
//!     r#"
//!     realm = "shop"
//!     issuer = "https://login.example.com"
//!     audiences = ["orders"]
//!     "#,
//! )?;
//! let config = settings.build()?;
//! let auth = config.layer::<serde_json::Value>()?;
//! # let _ = auth;
//!
//! // Refused, and everything that is wrong is said.
//! let settings: Settings = toml::from_str(
//!     r#"
//!     realm = "shop"
//!     [[issuers]]
//!     issuer = "https://login.example.com"
//!     audience = ["orders"]
//!     leeway = 60
//!     "#,
//! )?;
//! assert_eq!(
//!     settings.build().unwrap_err().to_string(),
//!     "issuers[0].audiences: missing: name the audience that this service is, as in the tokens' `aud`\n\
//!      issuers[0].leeway: must have its unit: `\"60s\"` for seconds\n\
//!      issuers[0].audience: there is no such key; did you mean `audiences`?"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Several issuers
//!
//! Each is a table in the list `issuers`. Where there is one, its keys may stand at the top.
//!
//! ```
//! # let settings: tower_jwt_auth::config::Settings = toml::from_str(r#"
//! realm = "shop"
//!
//! [[issuers]]
//! provider = "entra"
//! tenant = "9122040d-6c67-4c5b-b112-36a304b66dad"
//! audiences = ["6e74172b-be56-4843-9ff4-e66a39bb12e3"]
//!
//! [[issuers]]
//! provider = "github_actions"
//! audiences = ["https://deploy.example.com"]
//! require_claim_values = { repository = ["octo-org/octo-repo"] }
//! # "#)?;
//! # assert!(settings.build().is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The environment
//!
//! The variables are the keys in upper case behind a prefix of one's own: `SHOP_AUTH_ISSUER`, `SHOP_AUTH_AUDIENCES`,
//! `SHOP_AUTH_SECRET_FILE`. [`Config::from_env`] takes them alone, [`Settings::with_env`] lays them over a file: over the
//! keys at the top, and over those of the issuer where there is one. Texts are separated by commas, `require_claim_values`
//! is written `claim=value,claim=value`. An empty variable is refused, for it may be a rule that was not filled in, and so is
//! one that starts with the prefix and is no key: take a prefix that nothing else has. (Beside a service named `auth`,
//! Kubernetes sets `AUTH_SERVICE_HOST` and more in every pod.)
//!
//! # Operators
//!
//! ```
//! # #[cfg(feature = "remote")]
//! fn is_ready(config: &tower_jwt_auth::config::Config) -> bool {
//!     config.remote_keys().iter().all(|keys| keys.is_ready())
//! }
//! ```
//!
//! # Keys
//!
//! A time is text: a whole number with its unit, `ms`, `s`, `m`, `h` or `d`, at most `366d`. A flag is `true` or `false`.
//! Paths are relative to the working directory.
//!
#![doc = include_str!("keys.md")]

#[expect(clippy::module_inception)]
mod config;
mod issuer;
mod problem;
mod provider;
#[cfg_attr(not(feature = "remote"), path = "no_remote.rs")]
mod remote;
mod settings;
mod source;
mod table;
mod tree;

pub use config::Config;
pub use problem::{ConfigErrors, Problem};
pub use settings::Settings;

#[cfg(all(test, feature = "remote"))]
mod tests {
    use super::table::read_time;
    use crate::keys::RemoteJwks;

    /// The third cell of the row of a key.
    fn documented(key: &str) -> &str {
        let row = include_str!("keys.md").lines().find(|row| row.starts_with(&format!("| `{key}` |")));
        row.and_then(|row| row.split('|').nth(3)).map_or("", |cell| cell.trim().trim_matches('`'))
    }

    #[test]
    fn the_table_has_the_defaults_of_the_builder() {
        let mut builder = RemoteJwks::from_url("");
        for (key, time) in builder.times() {
            assert_eq!(read_time(documented(key)), Some(*time), "{key}");
        }
        for (key, number) in builder.numbers() {
            assert_eq!(documented(key), number.to_string(), "{key}");
        }
    }
}

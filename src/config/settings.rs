//! Settings as they are written: in a file, in the environment, or in both.

use std::ffi::OsString;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use zeroize::Zeroizing;

use super::config::Config;
use super::problem::ConfigErrors;
use super::remote::Client;
use super::tree::{Tree, Variable};
#[cfg(feature = "remote")]
use crate::keys::Transport;

/// Settings that nobody has judged yet: [`build`](Self::build) does.
///
/// Read them from any format of serde, as the whole of a file or as a part of settings of one's own; take them from the
/// environment; or lay the environment over a file. `Debug` shows the names of the keys and no value.
///
/// ```
/// use tower_jwt_auth::config::Settings;
///
/// // A part of one's own settings.
/// #[derive(serde::Deserialize)]
/// struct Service {
///     port: u16,
///     auth: Settings,
/// }
///
/// let service: Service = toml::from_str(
///     r#"
///     port = 3000
///     auth.issuer = "https://login.example.com"
///     auth.audiences = ["orders"]
///     "#,
/// )?;
/// // A deployment may say otherwise.
/// let settings = service.auth.with_variables("SHOP_AUTH_", [("SHOP_AUTH_AUDIENCES", "orders,invoices")]);
/// assert!(settings.build().is_ok());
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Settings {
    pub(super) file: Vec<(String, Tree)>,
    /// By key; a later one wins.
    pub(super) variables: Vec<(String, Variable)>,
    /// The names of variables that are not in upper case.
    pub(super) misspelled: Vec<String>,
    pub(super) prefix: Option<String>,
    pub(super) client: Client,
}

impl Settings {
    /// The settings in the environment alone: [`with_env`](Self::with_env).
    pub fn from_env(prefix: &str) -> Self {
        Self::default().with_env(prefix)
    }

    /// Lays the environment over these settings: every variable whose name starts with this prefix, its last `_`
    /// included, as in `SHOP_AUTH_`.
    pub fn with_env(self, prefix: &str) -> Self {
        self.with_variables(prefix, std::env::vars_os())
    }

    /// Lays variables over these settings: those whose names are the prefix and a key in upper case. Others with the
    /// prefix are refused by [`build`](Self::build), and so is one with an empty value; others without it are passed
    /// over. One that is set wins over what was there.
    ///
    /// ```
    /// use tower_jwt_auth::config::Settings;
    ///
    /// let variables = [("AUTH_ISSUER", "https://login.example.com"), ("AUTH_AUDIENCES", "orders"), ("HOME", "/")];
    /// assert!(Settings::default().with_variables("AUTH_", variables).build().is_ok());
    /// ```
    pub fn with_variables<N: Into<OsString>, V: Into<OsString>>(
        mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        for (name, value) in variables {
            let (name, value) = (name.into(), value.into());
            let name = name.to_string_lossy();
            if let Some(key) = name.strip_prefix(prefix) {
                if key.bytes().any(|byte| byte.is_ascii_lowercase()) {
                    self.misspelled.push(name.into_owned());
                    continue;
                }
                let key = key.to_ascii_lowercase();
                let text = value.into_string().ok().map(Zeroizing::new);
                self.variables.retain(|(other, _)| *other != key);
                self.variables.push((key, Variable { name: name.into_owned(), text }));
            }
        }
        self.prefix = Some(prefix.to_owned());
        self
    }

    /// One's own HTTP client for all keys that are fetched, as in
    /// [`RemoteJwksBuilder::client`](crate::keys::RemoteJwksBuilder::client).
    #[cfg(feature = "remote")]
    pub fn client(mut self, client: impl Transport) -> Self {
        self.client = Some(std::sync::Arc::new(client));
        self
    }

    /// Judges the settings, and makes what they describe. Files of keys are read; nothing is fetched yet.
    ///
    /// # Errors
    /// When a key is unknown, missing or given twice, when its value cannot be, or does not go with another: everything
    /// at once.
    pub fn build(self) -> Result<Config, ConfigErrors> {
        Config::new(self)
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Tree::deserialize(deserializer)? {
            Tree::Table(file) => Ok(Self { file, ..Self::default() }),
            other => Err(D::Error::custom(format!("the settings are {}, and must be a table", other.what()))),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file: Vec<_> = self.file.iter().map(|(key, _)| key).collect();
        let variables: Vec<_> = self.variables.iter().map(|(_, variable)| &variable.name).collect();
        f.debug_struct("Settings").field("file", &file).field("variables", &variables).finish_non_exhaustive()
    }
}

//! Metadata: from an issuer to the URL of its keys (RFC 8414, OpenID Connect Discovery 1.0).
//!
//! - The document's `issuer` must equal the configured one, byte for byte (RFC 8414 §3.3).
//! - It is asked again rarely, and after the keys could not be had: a moved `jwks_uri` is followed, and while the
//!   metadata cannot be had, the last known one is used. A changed `issuer` is a failure.
//! - Its lists of algorithms are never read.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, timeout};
use url::Url;

use super::fetch::{Answer, Bounds, Failure, get};
use super::location::Trust;
use super::transport::Transport;
use crate::clock::UnixTime;
use crate::error::ConfigError;
use crate::policy::MAX_ISSUER;
use crate::quote;

/// Where keys come from.
#[derive(Debug)]
pub(super) enum Location {
    Keys {
        url: Url,
        trust: Trust,
    },
    Metadata {
        issuer: String,
        candidates: Vec<Url>,
        trust: Trust,
        every: Duration,
        second_look: Duration,
        known: Option<Known>,
    },
}

/// The last good metadata.
#[derive(Debug)]
pub(super) struct Known {
    keys: Url,
    since: Instant,
    is_doubtful: bool,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Location {
    pub(super) fn keys(url: &str, allow_http: bool) -> Result<Self, ConfigError> {
        let (url, trust) = Trust::new(url, allow_http)?;
        Ok(Self::Keys { url, trust })
    }

    /// The well-known forms of an issuer, or one URL where its metadata is.
    pub(super) fn metadata(
        issuer: &str,
        at: Option<&str>,
        allow_http: bool,
        every: Duration,
        second_look: Duration,
    ) -> Result<Self, ConfigError> {
        if let Some((_, behind)) = issuer.split_once("/.well-known/") {
            // It is the `iss` of no token. By RFC 8414 §3.1 the path of the issuer stands behind it.
            let hint = if behind.contains('/') { "" } else { ", as a rule what stands in front of `/.well-known/`" };
            return Err(ConfigError::new(format!(
                "{} is the address of the metadata: the issuer is the `issuer` in it{hint}",
                quote::url(issuer)
            )));
        }
        let (candidates, trust) = if let Some(url) = at {
            let (url, trust) = Trust::new(url, allow_http)?;
            (vec![url], trust)
        } else {
            let (url, trust) = Trust::new(issuer, allow_http)?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err(ConfigError::new(format!(
                    "{}: an issuer has no query and no fragment",
                    quote::url(issuer)
                )));
            }
            (well_known(&url), trust)
        };
        Ok(Self::Metadata { issuer: issuer.to_owned(), candidates, trust, every, second_look, known: None })
    }

    /// True where the configured URL is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Keys { trust, .. } | Self::Metadata { trust, .. } => trust.is_loopback(),
        }
    }

    /// What to show of it: a query may be a secret.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Keys { url, .. } | Self::Metadata { known: Some(Known { keys: url, .. }), .. } => {
                quote::bare_url(url.as_str())
            }
            Self::Metadata { issuer, .. } => quote::bare_url(issuer),
        }
    }

    /// The URL of the keys, discovered where that is due.
    pub(super) async fn resolve(
        &mut self,
        transport: &dyn Transport,
        bounds: &Bounds,
        now: UnixTime,
    ) -> Result<Url, Failure> {
        let (issuer, candidates, trust, every, second_look, known) = match self {
            Self::Keys { url, .. } => return Ok(url.clone()),
            Self::Metadata { issuer, candidates, trust, every, second_look, known } => {
                (issuer, candidates, trust, every, *second_look, known)
            }
        };
        if let Some(known) = &known
            && !known.is_doubtful
            && known.since.elapsed() < *every
        {
            return Ok(known.keys.clone());
        }
        let look = discover(transport, candidates, issuer, trust, bounds, now);
        let found = match &known {
            None => look.await,
            Some(known) => match timeout(second_look, look).await {
                Ok(Err(NotFound::Unreachable(_))) | Err(_) => return Ok(known.keys.clone()),
                Ok(found) => found,
            },
        };
        let keys = found.map_err(|not_found| match not_found {
            NotFound::Unreachable(failure) | NotFound::Refused(failure) => failure,
        })?;
        *known = Some(Known { keys: keys.clone(), since: Instant::now(), is_doubtful: false });
        Ok(keys)
    }

    /// The keys could not be had there: they may have moved.
    pub(super) fn doubt(&mut self) {
        if let Self::Metadata { known: Some(known), .. } = self {
            known.is_doubtful = true;
        }
    }
}

/// OpenID Connect appends to the issuer; RFC 8414 §3.1 inserts before its path.
fn well_known(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/').to_owned();
    let with_path = |path: String| {
        let mut url = issuer.clone();
        url.set_path(&path);
        url
    };
    vec![
        with_path(format!("{path}/.well-known/openid-configuration")),
        with_path(format!("/.well-known/oauth-authorization-server{path}")),
    ]
}

enum NotFound {
    /// Nobody answered, or not with metadata: the last known one may stand in.
    Unreachable(Failure),
    /// It answered with what must not be followed.
    Refused(Failure),
}

async fn discover(
    transport: &dyn Transport,
    candidates: &[Url],
    issuer: &str,
    trust: &Trust,
    bounds: &Bounds,
    now: UnixTime,
) -> Result<Url, NotFound> {
    let mut first: Option<Failure> = None;
    for url in candidates {
        let body = match get(transport, url, bounds, None, false, now).await {
            Ok(Answer::Document(_, body)) => body,
            Ok(Answer::Unchanged(_)) => continue,
            Err(failure) => {
                // The other form is for providers that do not know this one, not for those that are down.
                let is_down = failure.is_passing || failure.retry_after.is_some();
                let failure = failure.at(url);
                if is_down {
                    return Err(NotFound::Unreachable(failure));
                }
                first.get_or_insert(failure);
                continue;
            }
        };
        let place = |failure: Failure| failure.at(url);
        let refused = |reason: String| NotFound::Refused(place(Failure::new(reason)));
        let Ok(metadata) = serde_json::from_slice::<Metadata>(&body) else {
            first.get_or_insert(place(Failure::new("no metadata with `issuer` and `jwks_uri`")));
            continue;
        };
        if metadata.issuer != issuer {
            let other: String = metadata.issuer.chars().take(MAX_ISSUER).collect();
            // Both are public, and compared byte for byte: shown as they are.
            return Err(refused(format!("the metadata is for {other:?}, not for {issuer:?}")));
        }
        return trust.follow(&metadata.jwks_uri).map_err(|reason| refused(format!("`jwks_uri`: {reason}")));
    }
    Err(NotFound::Unreachable(first.unwrap_or_else(|| Failure::new("no metadata"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_well_known_forms_are_asked() {
        let forms = |issuer: &str| -> Vec<String> {
            well_known(&Url::parse(issuer).expect("a URL")).iter().map(Url::to_string).collect()
        };
        let root = [
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ];
        assert_eq!(forms("https://a.example"), root);
        assert_eq!(forms("https://a.example/"), root);
        assert_eq!(
            forms("https://a.example/t/1"),
            [
                "https://a.example/t/1/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server/t/1"
            ]
        );
    }
}

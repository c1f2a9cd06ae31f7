//! One fetch: requests, bounds, caching headers, and the set that comes of it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use serde_json::Value;
use url::Url;

use super::schedule::Rules;
use super::transport::{FollowedRedirect, ResponseBody, Transport};
use crate::clock::UnixTime;
use crate::jose::jwk::{self, Conventions, NotUsed};
use crate::keys::{Key, KeySet, SkippedKey};
use crate::quote;

/// What may come back.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) response_bytes: usize,
    pub(super) keys: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { response_bytes: 512 * 1024, keys: 100 }
    }
}

/// Why a fetch failed. The text is for the operator, and holds nothing of a key.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) retry_after: Option<Duration>,
    /// A second try may well succeed: no connection, 408, or 5xx.
    pub(super) is_passing: bool,
}

impl Failure {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: None, is_passing: false }
    }

    pub(super) fn at(mut self, place: &Url) -> Self {
        self.reason = format!("{}: {}", quote::bare_url(place.as_str()), self.reason);
        self
    }
}

/// A document, or the word that it has not changed.
pub(super) enum Answer {
    Unchanged(HeaderMap),
    Document(HeaderMap, Vec<u8>),
}

/// Asks for a JSON document.
pub(super) async fn get(
    transport: &dyn Transport,
    url: &Url,
    bounds: &Bounds,
    etag: Option<&HeaderValue>,
    no_cache: bool,
    now: UnixTime,
) -> Result<Answer, Failure> {
    let mut request = Request::get(url.as_str()).body(()).map_err(|error| Failure::new(error.to_string()).at(url))?;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if no_cache {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    if let Some(etag) = etag {
        headers.insert(IF_NONE_MATCH, etag.clone());
    }
    let response = transport.send(request).await.map_err(|error| Failure {
        is_passing: !error.is::<FollowedRedirect>(),
        ..Failure::new(with_causes(&*error))
    })?;
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if etag.is_some() => return Ok(Answer::Unchanged(head.headers)),
        status => {
            return Err(Failure {
                reason: format!("answered {status}"),
                retry_after: retry_after(&head.headers, now),
                is_passing: status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT,
            });
        }
    }
    if head.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Failure::new("answered in an encoding that was not asked for"));
    }
    let body = read(body, bounds.response_bytes).await?;
    Ok(Answer::Document(head.headers, body))
}

/// Reads a body up to a bound.
async fn read(mut body: ResponseBody, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::as_mut(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| Failure { is_passing: true, ..Failure::new(with_causes(&*error)) })?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > most {
                return Err(Failure::new(format!("the answer is longer than {most} bytes")));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// How long an answer is good for: `max-age` less `Age`, within bounds (RFC 9111 §4.2).
pub(super) fn time_to_live(headers: &HeaderMap, rules: &Rules) -> Duration {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<_> = directives.flat_map(|value| value.split(',')).map(str::trim).collect();
    let is = |name: &str| directives.iter().any(|directive| directive.eq_ignore_ascii_case(name));
    let max_age = directives.iter().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    });
    match max_age {
        Some(seconds) if seconds > 0 && !is("no-cache") && !is("no-store") => {
            let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse::<u64>().ok()).unwrap_or(0);
            Duration::from_secs(seconds.saturating_sub(age))
                .clamp(rules.shortest_time_to_live, rules.longest_time_to_live)
        }
        _ => rules.time_to_live,
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date: SystemTime = httpdate::parse_http_date(text).ok()?;
    let seconds = UnixTime::from(date).as_secs().saturating_sub(now.as_secs());
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

pub(super) fn etag(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(ETAG).filter(|etag| etag.len() <= 256).cloned()
}

/// A set as the provider sent it, with the JSON of each key, so that an unchanged one stays the same object.
#[derive(Clone)]
pub(super) struct Document {
    pub(super) set: KeySet,
    keys: Vec<(Value, Arc<Key>)>,
}

impl Document {
    pub(super) fn empty() -> Self {
        Self { set: KeySet::empty(), keys: Vec::new() }
    }

    /// Reads a set. Odd keys are skipped with their reasons; those that `previous` had are taken from there.
    pub(super) fn parse(
        bytes: &[u8],
        conventions: Conventions,
        bounds: &Bounds,
        previous: &Self,
    ) -> Result<(Self, bool), Failure> {
        let json: Value = serde_json::from_slice(bytes).map_err(|_| Failure::new("the answer is not JSON"))?;
        let members = jwk::members(&json).map_err(Failure::new)?;
        let (mut keys, mut skipped, mut is_new) = (Vec::new(), Vec::new(), false);
        for (index, value) in members.iter().enumerate() {
            if index >= bounds.keys {
                skipped.push(SkippedKey::new(index, format!("only the first {} keys are looked at", bounds.keys)));
                break;
            }
            if let Some((value, key)) = previous.keys.iter().find(|(known, _)| known == value) {
                keys.push((value.clone(), Arc::clone(key)));
                continue;
            }
            match Key::from_jwk_value(value, conventions) {
                Ok(key) if key.algorithm().is_symmetric() => {
                    skipped.push(SkippedKey::new(index, "a secret has no business in a published set"));
                }
                Ok(key) => {
                    is_new = true;
                    keys.push((value.clone(), Arc::new(key)));
                }
                Err(NotUsed::NotForUs(reason) | NotUsed::Invalid(reason)) => {
                    skipped.push(SkippedKey::new(index, reason));
                }
            }
        }
        if keys.is_empty() {
            let reasons: Vec<_> = skipped.iter().take(5).map(SkippedKey::reason).collect();
            let why = if reasons.is_empty() { "it is empty".to_owned() } else { reasons.join("; ") };
            return Err(Failure::new(format!("the set has no usable key ({why})")));
        }
        let set = KeySet::index(keys.iter().map(|(_, key)| Arc::clone(key)).collect(), skipped);
        Ok((Self { set, keys }, is_new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().expect("a name"), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_time_to_live_is_read_strictly_and_kept_within_bounds() {
        let rules = Rules::default();
        let cases: &[(&[(&str, &str)], u64)] = &[
            (&[], 600),
            (&[("cache-control", "max-age=900")], 900),
            (&[("cache-control", "public, Max-Age=\"900\", must-revalidate")], 900),
            (&[("cache-control", "max-age=900"), ("age", "300")], 600),
            (&[("cache-control", "max-age=900"), ("age", "900")], 60),
            (&[("cache-control", "max-age=900"), ("age", "nonsense")], 900),
            (&[("cache-control", "max-age=15")], 60),
            (&[("cache-control", "max-age=3283200")], 3600),
            (&[("cache-control", "max-age=0")], 600),
            (&[("cache-control", "max-age=900, no-cache")], 600),
            (&[("cache-control", "no-store, max-age=900")], 600),
            (&[("cache-control", "max-age=-1")], 600),
            (&[("cache-control", "max-age=99999999999999999999999")], 600),
            (&[("cache-control", "max-age")], 600),
            (&[("cache-control", ",,=,;max-age=7;")], 600),
            (&[("cache-control", "s-maxage=900")], 600),
        ];
        for (pairs, seconds) in cases {
            assert_eq!(time_to_live(&headers(pairs), &rules).as_secs(), *seconds, "{pairs:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UnixTime::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let cases = [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", None),
            ("soon", None),
            ("-5", None),
        ];
        for (value, seconds) in cases {
            let found = retry_after(&headers(&[("retry-after", value)]), now);
            assert_eq!(found.map(|wait| wait.as_secs()), seconds, "{value}");
        }
    }
}

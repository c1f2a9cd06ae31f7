//! Every number of a source, with its default and why.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, Parts};
use super::discovery::Location;
use super::fetch::{Bounds, Document};
use super::handle::{Limits, RemoteJwks};
use super::schedule::Rules;
use super::transport::{Transport, default_client};
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::jose::Algorithm;
use crate::jose::jwk::Conventions;
use crate::quote;

/// The longest time that can be set, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Builds a [`RemoteJwks`]. The defaults suit every provider seen so far; each option says why its default is what it
/// is.
#[must_use]
pub struct RemoteJwksBuilder {
    place: Place,
    transport: Option<Arc<dyn Transport>>,
    initial: Option<String>,
    rules: Rules,
    bounds: Bounds,
    limits: Limits,
    clock: Clock,
    conventions: Conventions,
    connect_timeout: Duration,
    fetch_timeout: Duration,
    discover_every: Duration,
    allow_http: bool,
}

enum Place {
    Keys(String),
    Metadata { issuer: String, at: Option<String> },
}

impl RemoteJwksBuilder {
    pub(super) fn keys(url: String) -> Self {
        Self::new(Place::Keys(url))
    }

    pub(super) fn metadata(issuer: String, at: Option<String>) -> Self {
        Self::new(Place::Metadata { issuer, at })
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            transport: None,
            initial: None,
            rules: Rules::default(),
            bounds: Bounds::default(),
            limits: Limits::default(),
            clock: Clock::system(),
            conventions: Conventions::default(),
            connect_timeout: Duration::from_secs(2),
            fetch_timeout: Duration::from_secs(5),
            discover_every: Duration::from_secs(6 * 60 * 60),
            allow_http: false,
        }
    }

    /// One's own HTTP client: a [`reqwest::Client`] built with `redirect::Policy::none()`, or another [`Transport`].
    pub fn client(mut self, client: impl Transport) -> Self {
        self.transport = Some(Arc::new(client));
        self
    }

    /// The times that can be set, by the keys that they have in settings.
    pub(crate) fn times(&mut self) -> [(&'static str, &mut Duration); 13] {
        [
            ("time_to_live", &mut self.rules.time_to_live),
            ("shortest_time_to_live", &mut self.rules.shortest_time_to_live),
            ("longest_time_to_live", &mut self.rules.longest_time_to_live),
            ("stale_for", &mut self.rules.stale_for),
            ("connect_timeout", &mut self.connect_timeout),
            ("fetch_timeout", &mut self.fetch_timeout),
            ("wait_timeout", &mut self.limits.wait),
            ("forced_window", &mut self.rules.forced_window),
            ("shortest_backoff", &mut self.rules.shortest_backoff),
            ("longest_backoff", &mut self.rules.longest_backoff),
            ("longest_backoff_without_keys", &mut self.rules.longest_backoff_without_keys),
            ("longest_retry_after", &mut self.rules.longest_retry_after),
            ("discover_every", &mut self.discover_every),
        ]
    }

    /// The shortest time that this key can have: nothing, where that is a bound that stops at once or metadata that is read
    /// each time; elsewhere less than a millisecond would be no pause at all.
    pub(crate) fn shortest(key: &str) -> Duration {
        match key {
            "stale_for" | "longest_retry_after" | "discover_every" => Duration::ZERO,
            _ => Duration::from_millis(1),
        }
    }

    /// The numbers that settings can set, by their keys.
    #[cfg(feature = "config")]
    pub(crate) fn numbers(&mut self) -> [(&'static str, &mut usize); 6] {
        [
            ("forced_refetches", &mut self.rules.forced_in_window),
            ("remembered_kids", &mut self.rules.remembered_kids),
            ("waiting_requests", &mut self.limits.waiting_with_keys),
            ("waiting_requests_without_keys", &mut self.limits.waiting_without_keys),
            ("longest_answer", &mut self.bounds.response_bytes),
            ("most_keys", &mut self.bounds.keys),
        ]
    }

    #[cfg(feature = "config")]
    pub(crate) fn shared_client(mut self, client: Arc<dyn Transport>) -> Self {
        self.transport = Some(client);
        self
    }

    /// Keys to start with, as a JWK set: a service then starts in an outage. They are refreshed at once, and used for
    /// [`stale_for`](Self::stale_for) at most.
    pub fn initial(mut self, jwks: impl Into<String>) -> Self {
        self.initial = Some(jwks.into());
        self
    }

    /// The algorithm of RSA keys that name none: RS256 unless set. One key has one algorithm (RFC 8725 §3.1).
    pub fn rsa_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.conventions.rsa = algorithm;
        self
    }

    /// Takes the document for the bundle of a SPIFFE trust domain: keys for tokens have `use` `jwt-svid` there.
    pub fn spiffe_bundle(mut self) -> Self {
        self.conventions.is_spiffe = true;
        self
    }

    /// How long keys are fresh where the provider's `Cache-Control` does not say: 10 minutes.
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.rules.time_to_live = time;
        self
    }

    /// What `max-age` is clamped to: 1 minute to 1 hour. Real providers send 15 seconds to 38 days; the lower end
    /// keeps the load away from them, the upper one bounds how long a withdrawn key lives.
    pub fn time_to_live_bounds(mut self, shortest: Duration, longest: Duration) -> Self {
        self.rules.shortest_time_to_live = shortest;
        self.rules.longest_time_to_live = longest;
        self
    }

    /// How long past their time to live keys are used while the provider fails: 1 hour. Then requests get 503.
    pub fn stale_for(mut self, time: Duration) -> Self {
        self.rules.stale_for = time;
        self
    }

    /// How many refetches unknown `kid`s may cause in which time: 2 in 30 seconds, and at least one. Up to 8 more are free in
    /// that time where each has brought a new key. The same time bounds how long a rotation can stay unseen in a storm of
    /// forged ones, and how long a `kid` that was not there asks for nothing.
    pub fn forced_refetches(mut self, most: usize, window: Duration) -> Self {
        self.rules.forced_in_window = most.max(1);
        self.rules.forced_window = window;
        self
    }

    /// How many `kid`s that were not there are remembered: 256, the least recent out.
    pub fn remembered_kids(mut self, most: usize) -> Self {
        self.rules.remembered_kids = most;
        self
    }

    /// The wait after failed scheduled fetches: doubled from `shortest` to `longest` and jittered, 1 to 60 seconds;
    /// `without_keys`, 15 seconds, is the longest while there are no keys.
    pub fn backoff(mut self, shortest: Duration, longest: Duration, without_keys: Duration) -> Self {
        self.rules.shortest_backoff = shortest;
        self.rules.longest_backoff = longest;
        self.rules.longest_backoff_without_keys = without_keys;
        self
    }

    /// How far `Retry-After` is obeyed: up to 5 minutes, so that a mistake in it cannot silence the source.
    pub fn longest_retry_after(mut self, time: Duration) -> Self {
        self.rules.longest_retry_after = time;
        self
    }

    /// How long the default client may take to connect: 2 seconds. A client of one's own has its own bound.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long one fetch may take, its retry and the discovery included: 5 seconds.
    pub fn fetch_timeout(mut self, time: Duration) -> Self {
        self.fetch_timeout = time;
        self
    }

    /// How long a request waits for keys in all: 5 seconds, then 503.
    pub fn wait_timeout(mut self, time: Duration) -> Self {
        self.limits.wait = time;
        self
    }

    /// How many requests wait at once: 1,024 while there are no keys, 64 for an unknown `kid` while there are. Those
    /// beyond are answered 503 at once.
    pub fn waiting_requests(mut self, without_keys: usize, with_keys: usize) -> Self {
        self.limits.waiting_without_keys = without_keys;
        self.limits.waiting_with_keys = with_keys;
        self
    }

    /// The longest answer, in bytes after decoding: 512 KiB.
    pub fn longest_answer(mut self, bytes: usize) -> Self {
        self.bounds.response_bytes = bytes;
        self
    }

    /// How many keys of a set are looked at: the first 100.
    pub fn most_keys(mut self, keys: usize) -> Self {
        self.bounds.keys = keys;
        self
    }

    /// How often metadata is read again: every 6 hours, and after the keys could not be had.
    pub fn discover_every(mut self, time: Duration) -> Self {
        self.discover_every = time;
        self
    }

    /// Another wall clock than the system's, for the age of keys across a suspend.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Takes keys over plain http from anywhere. Whoever is on the way can put in keys of their own, and with them
    /// sign any token.
    pub fn danger_allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// The source. Nothing is fetched yet.
    ///
    /// # Errors
    /// When the URL is not https (http on loopback), when the issuer is the address of its metadata, when a time is under a
    /// millisecond (`stale_for`, `longest_retry_after` and `discover_every` may be nothing) or over 366 days, when the
    /// initial set has no usable key, or when the default HTTP client cannot be built.
    pub fn build(mut self) -> Result<RemoteJwks, ConfigError> {
        for (name, time) in self.times() {
            let least = Self::shortest(name);
            if !(least..=LONGEST).contains(time) {
                let bounds = format!("{} ms at least, and 366 days at most", least.as_millis());
                return Err(ConfigError::new(format!("`{name}` is {bounds}")));
            }
        }
        let location = match &self.place {
            Place::Keys(url) => Location::keys(url, self.allow_http)?,
            Place::Metadata { issuer, at } => {
                // A second look at the metadata leaves time to fetch the keys from where they were.
                let second_look = self.fetch_timeout.mul_f32(0.4);
                Location::metadata(issuer, at.as_deref(), self.allow_http, self.discover_every, second_look)?
            }
        };
        if self.rules.shortest_time_to_live > self.rules.longest_time_to_live {
            return Err(ConfigError::new("the bounds of the time to live are the wrong way round"));
        }
        let initial = match &self.initial {
            None => None,
            Some(text) => {
                let document = Document::parse(text.as_bytes(), self.conventions, &self.bounds, &Document::empty());
                let (document, _) =
                    document.map_err(|failure| ConfigError::new(failure.reason).at("the initial keys"))?;
                Some(document)
            }
        };
        let transport = match self.transport {
            Some(transport) => transport,
            None => Arc::new(default_client(self.connect_timeout, location.is_loopback())?),
        };
        let parts = Parts {
            transport,
            location,
            rules: self.rules,
            bounds: self.bounds,
            clock: self.clock,
            conventions: self.conventions,
            fetch_timeout: self.fetch_timeout,
            initial,
        };
        Ok(RemoteJwks::start(Core::new(parts), self.limits))
    }
}

impl fmt::Debug for RemoteJwksBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Place::Keys(place) | Place::Metadata { issuer: place, .. }) = &self.place;
        f.debug_struct("RemoteJwksBuilder")
            .field("place", &format_args!("{}", quote::url(place)))
            .finish_non_exhaustive()
    }
}

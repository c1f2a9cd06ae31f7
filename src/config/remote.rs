//! Keys that are fetched: their knobs, and the client that fetches them.

use std::sync::Arc;
use std::time::Duration;

use super::source::{Location, Source, read};
use super::table::{LONGEST, Table};
use crate::jose::Algorithm;
use crate::keys::{RemoteJwks, RemoteJwksBuilder, Transport};

/// The client that fetches, where it is one's own.
pub(super) type Client = Option<Arc<dyn Transport>>;

/// The largest of the numbers, far beyond what is of use.
const MOST: usize = 1 << 30;

/// What is set of a source that is fetched.
pub(super) struct Knobs {
    times: Vec<(&'static str, Duration)>,
    numbers: Vec<(&'static str, usize)>,
    initial: Option<String>,
    allow_http: bool,
    turned: Vec<String>,
}

impl Knobs {
    pub(super) fn take(table: &mut Table<'_>) -> Self {
        // For its keys alone.
        let mut all = RemoteJwks::from_url("");
        let mut times = Vec::new();
        let mut turned = Vec::new();
        for (key, _) in all.times() {
            times.extend(table.time(key, RemoteJwksBuilder::shortest(key), LONGEST).map(|time| (key, time)));
            turned.extend(table.has(key).then(|| table.at(key)));
        }
        let mut numbers = Vec::new();
        for (key, _) in all.numbers() {
            numbers.extend(table.number(key, 1..=MOST).map(|number| (key, number)));
            turned.extend(table.has(key).then(|| table.at(key)));
        }
        let initial = table.text("initial_jwks_file").and_then(|path| read(table.problems, &path));
        let initial = initial.map(|content| String::from_utf8_lossy(&content).into_owned());
        let allow_http = table.flag("danger_allow_http");
        turned.extend(
            ["initial_jwks_file", "danger_allow_http"]
                .into_iter()
                .filter(|key| table.has(key))
                .map(|key| table.at(key)),
        );
        Self { times, numbers, initial, allow_http, turned }
    }

    /// For keys that are not fetched.
    pub(super) fn refuse(self, table: &Table<'_>) {
        for place in self.turned {
            table.problems.add(place, "only for keys that are fetched: leave it out");
        }
    }

    /// The source. `place` is where its URL is given.
    pub(super) fn build(
        self,
        table: &Table<'_>,
        place: &str,
        location: Location<'_>,
        rsa: Option<Algorithm>,
        client: &Client,
    ) -> Option<Source> {
        let mut builder = match location {
            Location::Discover(name) => RemoteJwks::discover(name),
            Location::DiscoverAt(url, name) => RemoteJwks::discover_at(url, name),
            Location::Keys(url) => RemoteJwks::from_url(url),
            Location::Bundle(url) => RemoteJwks::from_url(url).spiffe_bundle(),
            Location::Preset(provider) => provider.remote(),
        };
        for (key, slot) in builder.times() {
            *slot = self.times.iter().find(|(other, _)| *other == key).map_or(*slot, |(_, time)| *time);
        }
        for (key, slot) in builder.numbers() {
            *slot = self.numbers.iter().find(|(other, _)| *other == key).map_or(*slot, |(_, number)| *number);
        }
        if let Some(rsa) = rsa {
            builder = builder.rsa_algorithm(rsa);
        }
        if let Some(client) = client {
            builder = builder.shared_client(Arc::clone(client));
        }
        if self.allow_http {
            builder = builder.danger_allow_http();
        }
        if let Some(initial) = self.initial {
            builder = builder.initial(initial);
        }
        table.judge(place, builder.build()).map(Source::Remote)
    }
}

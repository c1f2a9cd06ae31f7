//! Handles that are looked up once, and what is said of each metric.

use std::sync::OnceLock;

use metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder, Unit, with_recorder};

static METADATA: Metadata<'static> = Metadata::new("tower_jwt_auth", Level::INFO, Some("tower_jwt_auth"));

/// A metric: its name, its unit, and what it counts.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
}

impl Metric {
    /// Sets a gauge. They change so seldom that each time it is looked up.
    pub(super) fn set(&self, labels: Vec<Label>, value: f64) {
        with_recorder(|recorder| {
            recorder.describe_gauge(self.name.into(), Some(self.unit), self.help.into());
            recorder.register_gauge(&Key::from_parts(self.name, labels), &METADATA).set(value);
        });
    }

    /// Counts one of what is so rare that each time it is looked up.
    pub(super) fn count(&self, labels: Vec<Label>) {
        with_recorder(|recorder| {
            Counter::describe(recorder, self);
            Counter::register(recorder, &Key::from_parts(self.name, labels)).increment(1);
        });
    }
}

pub(super) trait Handle {
    fn describe(recorder: &dyn Recorder, metric: &Metric);

    fn register(recorder: &dyn Recorder, key: &Key) -> Self;
}

impl Handle for Counter {
    fn describe(recorder: &dyn Recorder, metric: &Metric) {
        recorder.describe_counter(metric.name.into(), Some(metric.unit), metric.help.into());
    }

    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_counter(key, &METADATA)
    }
}

impl Handle for Histogram {
    fn describe(recorder: &dyn Recorder, metric: &Metric) {
        recorder.describe_histogram(metric.name.into(), Some(metric.unit), metric.help.into());
    }

    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        recorder.register_histogram(key, &METADATA)
    }
}

/// A place for a handle: filled at the first use that finds a recorder, and its own from then on.
pub(super) struct Slot<H>(OnceLock<Box<Entry<H>>>);

struct Entry<H> {
    key: Key,
    handle: OnceLock<H>,
}

impl<H: Handle> Slot<H> {
    pub(super) const fn new() -> Self {
        Self(OnceLock::new())
    }

    pub(super) fn with(&self, metric: &Metric, labels: impl FnOnce() -> Vec<Label>, run: impl FnOnce(&H)) {
        let entry = self.0.get_or_init(|| {
            let key = Key::from_parts(metric.name, labels());
            Box::new(Entry { key, handle: OnceLock::new() })
        });
        if let Some(handle) = entry.handle.get() {
            return run(handle);
        }
        with_recorder(|recorder| {
            let is_one = is_recorder(recorder);
            if is_one {
                H::describe(recorder, metric);
            }
            let handle = H::register(recorder, &entry.key);
            run(&handle);
            if is_one {
                // Another thread may have been first, with an equal one.
                let _ = entry.handle.set(handle);
            }
        });
    }

    /// False while there is no recorder: what takes time need not be measured.
    pub(super) fn is_recorded(&self) -> bool {
        let is_filled = self.0.get().is_some_and(|entry| entry.handle.get().is_some());
        is_filled || with_recorder(is_recorder)
    }
}

/// The one that stands in while there is none has no fields. Its handles are not kept: another may come.
fn is_recorder(recorder: &dyn Recorder) -> bool {
    size_of_val(recorder) > 0
}

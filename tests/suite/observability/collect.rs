//! Collects what is emitted, and reads the tables that say what may be.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Mutex, Once, PoisonError};

use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// What an event or a span is declared to be, as a row of the table has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) level: String,
    pub(super) fields: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) shape: Shape,
    pub(super) values: BTreeMap<&'static str, String>,
}

/// Spans have an id, events have none.
type All = Vec<(Option<Id>, Seen)>;

/// What the threads of key files have said.
static WATCHES: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

thread_local! {
    static SEEN: RefCell<Option<All>> = const { RefCell::new(None) };
}

/// Collects the events and spans of this thread until it is dropped.
///
/// One collector serves all threads: where threads come and go with one of their own, `tracing` may for a moment take
/// nobody to listen.
pub(super) struct Trace;

struct Collector;

impl Trace {
    pub(super) fn start() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(Collector);
            tracing::subscriber::set_global_default(subscriber).expect("the first one");
        });
        SEEN.set(Some(Vec::new()));
        Self
    }

    #[expect(clippy::unused_self, reason = "there is something to see only while this is there")]
    pub(super) fn seen(&self) -> Vec<Seen> {
        SEEN.with_borrow(|all| all.iter().flatten().map(|(_, seen)| seen.clone()).collect())
    }

    /// What the watch of this key file has said, on its own thread.
    #[expect(clippy::unused_self, reason = "somebody listens once this is there")]
    pub(super) fn of_file(&self, path: &str) -> Vec<Seen> {
        let all = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|seen| seen.values.get("location").is_some_and(|at| at == path)).cloned().collect()
    }

    pub(super) fn named(&self, name: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.shape.name == name).collect()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        SEEN.set(None);
    }
}

/// Whether this is the thread of a key file.
pub(super) fn is_watch() -> bool {
    std::thread::current().name() == Some("jwt-key-file")
}

fn collect(id: Option<Id>, metadata: &Metadata<'_>, record: impl FnOnce(&mut Values<'_>)) {
    if !metadata.target().starts_with("tower_jwt_auth") {
        return;
    }
    if !is_watch() && SEEN.with_borrow(Option::is_none) {
        return;
    }
    let mut values = BTreeMap::new();
    record(&mut Values(&mut values));
    let seen = Seen { shape: Shape::of(metadata), values };
    if is_watch() {
        WATCHES.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    } else {
        SEEN.with_borrow_mut(|all| all.get_or_insert_default().push((id, seen)));
    }
}

struct Values<'v>(&'v mut BTreeMap<&'static str, String>);

impl Visit for Values<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Shape {
    fn of(metadata: &Metadata<'_>) -> Self {
        let fields = metadata.fields().iter().map(|field| field.name().to_owned());
        Self {
            name: metadata.name().to_owned(),
            level: metadata.level().to_string().to_lowercase(),
            fields: fields.filter(|field| field != "message").collect(),
        }
    }
}

impl<S: Subscriber> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        collect(Some(id.clone()), attributes.metadata(), |values| attributes.record(values));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        SEEN.with_borrow_mut(|all| {
            // An id is used again once its span has ended: the last one is meant.
            let span = all.iter_mut().flatten().rev().find(|(known, _)| known.as_ref() == Some(id));
            if let Some((_, seen)) = span {
                record.record(&mut Values(&mut seen.values));
            }
        });
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        collect(None, event.metadata(), |values| event.record(values));
    }
}

/// Collects the metrics of this thread until it is dropped.
pub(super) struct Measured {
    recorder: &'static DebuggingRecorder,
    _guard: metrics::LocalRecorderGuard<'static>,
}

/// A series: its name, and its labels in order.
pub(super) type Series = (String, Vec<(String, String)>);

#[derive(Debug)]
pub(super) struct Taken(pub(super) BTreeMap<Series, Metric>);

#[derive(Clone, Debug)]
pub(super) struct Metric {
    pub(super) kind: MetricKind,
    pub(super) is_described: bool,
    /// Of a histogram, how many there were and their sum.
    pub(super) value: f64,
    pub(super) sum: f64,
}

impl Measured {
    pub(super) fn start() -> Self {
        // Handles may outlive the test that made them.
        let recorder: &'static DebuggingRecorder = Box::leak(Box::default());
        Self { recorder, _guard: metrics::set_default_local_recorder(recorder) }
    }

    /// To be called on another thread, whose metrics are collected here until it ends.
    pub(super) fn listener(&self) -> impl Fn() + Send + Sync + 'static {
        let recorder = self.recorder;
        move || std::mem::forget(metrics::set_default_local_recorder(recorder))
    }

    /// All series, with their values since they were last taken.
    pub(super) fn take(&self) -> Taken {
        let all = self.recorder.snapshotter().snapshot().into_vec().into_iter();
        let read = all.map(|(key, unit, description, value)| {
            let mut labels: Vec<_> =
                key.key().labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
            labels.sort();
            #[expect(clippy::cast_precision_loss, reason = "some thousands")]
            let (value, sum) = match value {
                DebugValue::Counter(count) => (count as f64, 0.0),
                DebugValue::Gauge(value) => (value.into_inner(), 0.0),
                DebugValue::Histogram(values) => {
                    (values.len() as f64, values.iter().map(|value| value.into_inner()).sum())
                }
            };
            let is_described = unit.is_some() && description.is_some();
            ((key.key().name().to_owned(), labels), Metric { kind: key.kind(), is_described, value, sum })
        });
        Taken(read.collect())
    }
}

impl Taken {
    /// The values of the series of this name, by their labels as `name=value, …`.
    pub(super) fn values(&self, name: &str) -> BTreeMap<String, f64> {
        let of_name = self.0.iter().filter(|((known, _), _)| known == name);
        let text = |labels: &[(String, String)]| {
            labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
        };
        of_name.map(|((_, labels), metric)| (text(labels), metric.value)).collect()
    }
}

const PAGE: &str = include_str!("../../../src/guide/observability.md");

/// The rows of the table whose first column has this heading, each without its backticks.
pub(super) fn rows(heading: &str) -> Vec<Vec<String>> {
    let start = format!("| {heading} |");
    let lines = PAGE.lines().skip_while(|line| !line.starts_with(&start)).skip(2);
    let cells = |line: &str| {
        let line = line.trim_matches('|').replace("\\|", "");
        line.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>()
    };
    let rows: Vec<_> = lines.take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "no table with {heading}");
    rows
}

/// A cell with a list.
pub(super) fn list(cell: &str) -> BTreeSet<String> {
    cell.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

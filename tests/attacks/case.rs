//! The form of the data.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::answer::Request;
use crate::policy::Policy;

/// What is attacked.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

/// One rule, or one mistake.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// What is refused, or taken.
    pub(crate) what: String,
    /// Why, where that does not go without saying.
    #[serde(default)]
    pub(crate) why: String,
    /// CVE numbers, and sections of RFCs.
    #[serde(default)]
    pub(crate) references: Vec<String>,
    pub(crate) cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) shown: Shown,
}

/// How it is shown.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shown {
    /// A request and its answer.
    Request(Box<Request>),
    /// Settings with which nothing is built, and what the error says.
    Configuration { policy: Box<Policy>, error: String },
    /// A set of a provider of which the first key is not used, and why.
    Skipped { keys: Value, reason: String },
    /// A test of the suite: `module::name`.
    Test { test: String },
}

impl Section {
    pub(crate) fn all() -> Vec<Self> {
        const FILES: [(&str, &str); 6] = [
            ("credential", include_str!("credential.json")),
            ("envelope", include_str!("envelope.json")),
            ("key", include_str!("key.json")),
            ("claims", include_str!("claims.json")),
            ("provider", include_str!("provider.json")),
            ("field", include_str!("field.json")),
        ];
        let read = |(name, text)| serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}.json: {error}"));
        FILES.map(read).into()
    }
}

impl Case {
    pub(crate) fn needs_remote(&self) -> bool {
        match &self.shown {
            Shown::Skipped { .. } => true,
            Shown::Configuration { policy, .. } => policy.is_remote(),
            Shown::Request(_) | Shown::Test { .. } => false,
        }
    }
}

/// A reference to a test that was renamed would be a claim without a proof.
pub(crate) fn check_that_there_is(test: &str) -> Result<(), String> {
    let (path, name) = test.rsplit_once("::").ok_or_else(|| format!("{test:?} names no module"))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.replace("::", "/");
    let places = [format!("tests/suite/{path}.rs"), format!("src/{path}.rs"), format!("src/{path}/tests.rs")];
    let text = places.iter().find_map(|place| std::fs::read_to_string(root.join(place)).ok());
    let text = text.ok_or_else(|| format!("{test}: there is none of {places:?}"))?;
    if text.contains(&format!("fn {name}(")) { Ok(()) } else { Err(format!("there is no test {test}")) }
}

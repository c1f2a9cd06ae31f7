//! What stands for keys that are fetched where the feature `remote` is off.

use super::source::{Location, Source};
use super::table::Table;
use crate::jose::Algorithm;

/// None is ever given.
pub(super) type Client = Option<std::sync::Arc<()>>;

pub(super) struct Knobs;

impl Knobs {
    /// Asks for none, so that all of them are unknown.
    pub(super) fn take(_: &mut Table<'_>) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the other one refuses what was given")]
    pub(super) fn refuse(self, _: &Table<'_>) {}

    #[expect(clippy::unused_self, reason = "the other one has something to build with")]
    pub(super) fn build(
        self,
        table: &Table<'_>,
        place: &str,
        _: Location<'_>,
        _: Option<Algorithm>,
        _: &Client,
    ) -> Option<Source> {
        table.problems.add(place, "keys are fetched with the feature `remote` alone: give them with `jwks_file`");
        None
    }
}

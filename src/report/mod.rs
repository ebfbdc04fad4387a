//! Floor 4: the night on paper. A recorded run is folded once into a [`Report`], which is then written
//! as Markdown (for the review), JSON (everything, structured) or CSV (a row for each attempt).
//!
//! ```text
//! envelopes ──fold──▶ RunState + what was said ──▶ Report ──▶ markdown · json · csv
//! ```
//!
//! Times are UTC in JSON and CSV, durations are seconds. Knows neither journal nor services.

mod csv;
mod deviations;
mod gather;
mod markdown;
mod model;

pub use model::{
    AttemptReport, BudgetReport, Budgets, DecisionReport, Deviation, HoldReport, NoReturnReport, NoteReport,
    PlanReport, Report, RollbackReport, StepReport, UndoReport, WatchReport,
};

use crate::{board::Face, run::Envelope};

impl Report {
    /// The report of a run; `None` where its first event is missing. `anchors` are the places of the
    /// journal that people can prove, as the journal words them.
    #[must_use]
    pub fn of<'e>(envelopes: impl IntoIterator<Item = &'e Envelope>, anchors: Vec<String>) -> Option<Self> {
        gather::gather(envelopes, anchors)
    }

    /// Markdown, times in the zone of `face`. Text from outside is escaped: it can break no table and
    /// start no HTML.
    #[must_use]
    pub fn markdown(&self, face: &Face) -> String {
        markdown::write(self, face)
    }

    /// JSON, indented, ending in a line end.
    ///
    /// # Errors
    /// A value that JSON cannot hold; none of ours is.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// CSV with a heading: one row for each step and attempt, one for a step without any.
    ///
    /// # Errors
    /// The writer's; writing to memory has none.
    pub fn csv(&self) -> Result<String, std::io::Error> {
        csv::write(self)
    }
}

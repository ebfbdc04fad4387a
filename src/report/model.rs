//! The report as data. Field names are what JSON shows; they are kept.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value as Json;

use crate::base::{Elapsed, Stamp};

/// A run on paper. Durations are seconds, times UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The run.
    pub run: String,
    /// `[runbook] id`.
    pub runbook: String,
    /// `[runbook] title`.
    pub title: String,
    /// SHA-256 of the file, hex.
    pub source_hash: String,
    /// gonogo's version.
    pub version: String,
    /// The environment.
    pub environment: String,
    /// `SANDBOX`, `REHEARSAL`, `LIVE`, with `DRY RUN`.
    pub mode: String,
    /// What the environment is fenced to.
    pub fence: Vec<String>,
    /// Who the other ends said we are.
    pub identities: Vec<String>,
    /// Who was at the keyboard, in order, and from where.
    pub operators: Vec<String>,
    /// Who leads.
    pub lead: String,
    /// True where go was answered by itself.
    pub auto_go: bool,
    /// When it was opened.
    pub opened: DateTime<Utc>,
    /// When it ended; absent while it can be resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<DateTime<Utc>>,
    /// The last event.
    pub last: DateTime<Utc>,
    /// How it ended, or where it stands.
    pub ending: String,
    /// What a partial run left out, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// Planned and actual.
    pub plan: PlanReport,
    /// The steps, in the order of the file.
    pub steps: Vec<StepReport>,
    /// Everything that people decided, confirmed and voted, in order.
    pub decisions: Vec<DecisionReport>,
    /// Everything that was not as planned.
    pub deviations: Vec<Deviation>,
    /// What people wrote down.
    pub notes: Vec<NoteReport>,
    /// When nothing new started, and why.
    pub holds: Vec<HoldReport>,
    /// The watches.
    pub watches: Vec<WatchReport>,
    /// Freeze and downtime against their budgets.
    pub budgets: Budgets,
    /// The point of no return, where the runbook has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_return: Option<NoReturnReport>,
    /// Going back, where it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackReport>,
    /// Places of the journal that people can prove.
    pub anchors: Vec<String>,
    /// Events in all.
    pub events: u64,
    /// No action was done.
    #[serde(skip)]
    pub(super) dry_run: bool,
    /// The opening by both clocks, to place durations.
    #[serde(skip)]
    pub(super) opening: Stamp,
}

/// Planned and actual of the whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanReport {
    /// The longest chain of planned times.
    pub planned_seconds: f64,
    /// From the opening to the last event.
    pub actual_seconds: f64,
    /// Later than planned; negative is early. Counted from the planned start where there is one. Absent where the plan was
    /// given up: rolled back, or aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_seconds: Option<f64>,
    /// Time that steps waited for people beside their plan: not the stop points and the steps by hand, whose work that is,
    /// and not the holds.
    pub waited_seconds: f64,
    /// Planned start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<DateTime<Utc>>,
    /// End of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_end: Option<DateTime<Utc>>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// From 1.
    pub number: usize,
    /// Its stable name.
    pub id: String,
    /// One line.
    pub title: String,
    /// Heading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Who owns it.
    pub owner: String,
    /// Kind of its action or check.
    pub kind: String,
    /// `done`, `failed`, `skipped`, `done by hand`, `not run`, `left out`, `not started`, ….
    pub state: String,
    /// What it says it did, or why it was settled so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub line: String,
    /// Criteria of its stop point that nobody looked at, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out_criteria: Vec<String>,
    /// As planned.
    pub planned_seconds: f64,
    /// At work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_seconds: Option<f64>,
    /// Waiting for people beside that.
    pub waited_seconds: f64,
    /// Actual less planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variance_seconds: Option<f64>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<DateTime<Utc>>,
    /// When it was settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<DateTime<Utc>>,
    /// Every attempt.
    pub attempts: Vec<AttemptReport>,
    /// How it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<UndoReport>,
    /// The figures and ids behind it.
    #[serde(skip_serializing_if = "Json::is_null")]
    pub evidence: Json,
    /// What its checks saw.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// True: this is the point of no return.
    pub no_return: bool,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttemptReport {
    /// From 1, over all attempts of the step.
    pub number: u32,
    /// `do`, `recheck`, `probe`, `undo`, `probe undo`.
    pub what: &'static str,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<DateTime<Utc>>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// `done`, the class of its failure, `lost`, `at work`.
    pub outcome: String,
    /// What it said at its end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What lies behind a failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The requests in words; what a person was told to do, where it is done by hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<String>,
    /// A person does it.
    #[serde(skip)]
    pub(super) by_hand: bool,
}

/// How a step was taken back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UndoReport {
    /// `undone`, `skipped`, `failed`, `not begun`, ….
    pub state: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<DateTime<Utc>>,
    /// When it was settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<DateTime<Utc>>,
    /// At work.
    pub actual_seconds: f64,
}

/// Something that a person decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionReport {
    /// Its number in the journal.
    pub seq: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Step's number; absent where it is about the whole run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// Whose word.
    pub who: String,
    /// Who typed it.
    pub typed_by: String,
    /// `go`, `no-go`, `retry`, `vote go`, `confirmed`, `hold`, `go on`, ….
    pub decision: String,
    /// Why, in their words; the value written down at a step done by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What stood against it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub against: Vec<String>,
}

/// Something that was not as planned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deviation {
    /// `late`, `failure`, `retry`, `skip`, `by hand`, `override`, `no-go`, `rollback`, `abort`, `breach`, `in doubt`, `resumed`, `budget`, `clock`, `journal`.
    pub kind: &'static str,
    /// Step's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// In words.
    pub text: String,
}

/// Something that somebody wrote down.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoteReport {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub who: String,
    /// About which step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// What.
    pub text: String,
}

/// A stretch in which nothing new started because of a hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HoldReport {
    /// Since when.
    pub at: DateTime<Utc>,
    /// Why.
    pub why: String,
    /// How long, where it was released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// A watch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WatchReport {
    /// Its stable name.
    pub id: String,
    /// One line.
    pub title: String,
    /// Samples taken.
    pub samples: u32,
    /// How often it was breached.
    pub breaches: u32,
    /// What it saw last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last: String,
}

/// Both budgets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budgets {
    /// Writes were frozen.
    pub freeze: BudgetReport,
    /// Users saw an outage.
    pub downtime: BudgetReport,
}

/// One budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetReport {
    /// Used.
    pub used_seconds: f64,
    /// Allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_seconds: Option<f64>,
    /// More than allowed.
    pub over: bool,
}

/// The point of no return.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoReturnReport {
    /// The step's number.
    pub step: usize,
    /// When it was crossed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crossed: Option<DateTime<Utc>>,
    /// Who confirmed.
    pub by: Vec<String>,
}

/// Going back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RollbackReport {
    /// When it was begun.
    pub began: DateTime<Utc>,
    /// Numbers of the steps, in the order of undoing.
    pub steps: Vec<usize>,
    /// What could not be undone, and why.
    pub left: Vec<String>,
}

impl Report {
    /// A recorded time on both clocks, for a face.
    pub(super) fn stamp(&self, at: DateTime<Utc>) -> Stamp {
        let ms = (at - self.opening.at).num_milliseconds();
        Stamp::new(at, Elapsed(self.opening.elapsed.0.saturating_add_signed(ms)))
    }
}

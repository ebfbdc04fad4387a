//! What a run will do, as far as it can be written down: carried in the first event, so that a
//! journal explains itself without the runbook.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use super::{
    fact::Doubt,
    hands::{Hands, ValueRule},
};
use crate::{
    base::{EnvName, PersonId, StepId, WatchId},
    runbook::{Clocks, EnvKind, Lack, Person, Retry},
};

/// Durations as whole milliseconds in JSON.
pub mod ms {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// As milliseconds.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// From milliseconds.
    ///
    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// Optional durations as whole milliseconds in JSON.
pub mod opt_ms {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// As milliseconds.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        duration.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)).serialize(to)
    }

    /// From milliseconds.
    ///
    /// # Errors
    /// The deserializer's.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

/// What the run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In the sandbox or in staging.
    Rehearse,
    /// The night itself.
    Run,
}

/// The serialisable part of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// `[runbook] id`.
    pub runbook: String,
    /// `[runbook] title`.
    pub title: String,
    /// SHA-256 of the file's bytes, hex.
    pub source_hash: String,
    /// Decides at stop points unless one names somebody else.
    pub lead: PersonId,
    /// Where it runs.
    pub env: EnvOutline,
    /// What it is for.
    pub mode: Mode,
    /// Reads are real, no action is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Planned times and budgets.
    pub window: WindowOutline,
    /// Everybody of the night.
    pub people: Vec<Person>,
    /// The steps, in the order of the file.
    pub steps: Vec<StepOutline>,
    /// The watches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watches: Vec<WatchOutline>,
    /// What the sandbox has not got.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Lack>,
    /// Watches that are left out of this run because of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watches_left_out: Vec<LeftOut>,
}

/// The environment, without its variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvOutline {
    /// Its name.
    pub name: EnvName,
    /// What it is for.
    pub kind: EnvKind,
    /// The word typed at dangerous points.
    pub confirm: String,
    /// What it is fenced to, for the header: `account 444455556666`, `eu-west-1`, `app acme-shop`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fence: Vec<String>,
}

/// Planned times and budgets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowOutline {
    /// Planned start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<DateTime<FixedOffset>>,
    /// When the window closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<DateTime<FixedOffset>>,
    /// Longest time that writes may stay frozen.
    #[serde(default, with = "opt_ms", skip_serializing_if = "Option::is_none")]
    pub freeze_budget: Option<Duration>,
    /// Longest time that users may see an outage.
    #[serde(default, with = "opt_ms", skip_serializing_if = "Option::is_none")]
    pub downtime_budget: Option<Duration>,
}

/// How a step is treated in this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// As written.
    Do,
    /// Its checks are done for real, its action is not (`--dry-run`).
    ReadOnly,
    /// Not part of this run, and why (`--from`, `--until`).
    Leave(String),
    /// Left out, because the sandbox has not got what it needs ([`Outline::lacks`]), and why. The run is partial.
    LeftOut(String),
}

/// How a step is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// It changes nothing.
    Nothing,
    /// What was captured is written back.
    Restore,
    /// An action of its own; its requests in words.
    Action(Vec<String>),
    /// There is none, and why.
    None(String),
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOutline {
    /// Its stable name.
    pub id: StepId,
    /// Heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// One line.
    pub title: String,
    /// A paragraph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Who does it or watches it.
    pub owner: PersonId,
    /// Planned duration.
    #[serde(with = "ms")]
    pub planned: Duration,
    /// Hard limit of one attempt.
    #[serde(with = "ms")]
    pub timeout: Duration,
    /// Ids that must be settled first.
    pub needs: Vec<StepId>,
    /// Kind of the action, of the first check, or `stop`.
    pub kind: String,
    /// True where it changes the world.
    pub changes: bool,
    /// True where a person does the work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub manual: bool,
    /// What the owner writes down at the end of a manual step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks_value: Option<String>,
    /// What the owner of a manual step ticks off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<String>,
    /// What that value has to look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_rule: Option<ValueRule>,
    /// What is asked of the person who takes the step back; `None` where no person does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_hands: Option<Hands>,
    /// True where there is something to attempt (an action or a check).
    pub works: bool,
    /// The requests in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub does: Vec<String>,
    /// The checks afterwards, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verifies: Vec<String>,
    /// What a resume may do with it.
    pub doubt: Doubt,
    /// How it is taken back.
    pub undo: Undo,
    /// Its undo has run in a rehearsal since the step was last changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo_tested: bool,
    /// Tries for failures that are known to have done nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Makes it a stop point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopOutline>,
    /// The point of no return.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_return: bool,
    /// The way on once it is crossed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_no_return: Option<String>,
    /// How many named people must confirm.
    pub people: u8,
    /// A failure does not hold, for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go_on_after_failure: Option<String>,
    /// Clocks that it starts or stops.
    #[serde(default)]
    pub clocks: Clocks,
    /// How it is treated in this run.
    pub treatment: Treatment,
    /// SHA-256 of the step as resolved for this environment, hex.
    pub hash: String,
    /// SHA-256 of the step as written, hex: the same in every environment, so that "changed since the
    /// rehearsal" can be told.
    pub written_hash: String,
    /// It was part of a green rehearsal as it is written now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsed: bool,
}

/// A stop point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOutline {
    /// What is asked.
    pub question: String,
    /// What go means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_go: Option<String>,
    /// What no-go means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_no_go: Option<String>,
    /// Whose vote is wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voters: Vec<PersonId>,
    /// Who decides.
    pub decides: PersonId,
    /// The criteria, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<String>,
    /// Criteria that nobody looks at in this run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// A look that is left out of this run, because the sandbox has not got what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What would be looked at, in words.
    pub looks: String,
    /// Why it is not.
    pub why: String,
}

/// One watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchOutline {
    /// Its stable name.
    pub id: WatchId,
    /// One line.
    pub title: String,
    /// Starts when this step starts.
    pub from: StepId,
    /// Ends when this step is settled.
    pub until: StepId,
    /// Time between samples.
    #[serde(with = "ms")]
    pub every: Duration,
    /// What is looked at, in words.
    pub looks: String,
    /// Consecutive bad samples that make a breach.
    pub breach_after: u32,
    /// No data counts as bad.
    pub no_data_is_bad: bool,
    /// A breach holds the run.
    pub hold: bool,
}

/// How much of a runbook a partial run leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOutCount {
    /// Steps.
    pub steps: usize,
    /// Criteria of stop points.
    pub criteria: usize,
    /// Watches.
    pub watches: usize,
}

impl StepOutline {
    /// Why it is left out of a partial run.
    #[must_use]
    pub fn left_out(&self) -> Option<&str> {
        match &self.treatment {
            Treatment::LeftOut(why) => Some(why),
            Treatment::Do | Treatment::ReadOnly | Treatment::Leave(_) => None,
        }
    }

    /// True where it is part of this run: neither `--from` nor `--until` leaves it out.
    #[must_use]
    pub fn part(&self) -> bool {
        !matches!(self.treatment, Treatment::Leave(_))
    }

    /// True where no way leads back from it in this run: it is the point of no return, and is done.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.no_return && self.part() && self.left_out().is_none()
    }

    /// True where somebody is asked before it starts. A dry run asks nobody: nothing follows from the answer.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.treatment == Treatment::Do && (self.stop.is_some() || self.confirmations() > 0)
    }

    /// How many confirmations (beside a stop point's decision) it takes. None where it only reads.
    #[must_use]
    pub fn confirmations(&self) -> usize {
        let dangerous = self.no_return || self.people > 1;
        if dangerous && self.treatment == Treatment::Do { usize::from(self.people.max(1)) } else { 0 }
    }

    /// True where something has to be taken back once it is done.
    #[must_use]
    pub fn undoable(&self) -> bool {
        match self.undo {
            Undo::Restore | Undo::Action(_) => true,
            Undo::Nothing | Undo::None(_) => false,
        }
    }
}

impl Outline {
    /// What is left out because the sandbox has not got what it needs.
    #[must_use]
    pub fn left_out(&self) -> LeftOutCount {
        let criteria = self.steps.iter().filter(|step| step.left_out().is_none()).filter_map(|step| step.stop.as_ref());
        LeftOutCount {
            steps: self.steps.iter().filter(|step| step.left_out().is_some()).count(),
            criteria: criteria.map(|stop| stop.left_out.len()).sum(),
            watches: self.watches_left_out.len(),
        }
    }

    /// True where something is left out because the sandbox has not got what it needs: whatever it ends with, such a
    /// run proves less than its runbook says.
    #[must_use]
    pub fn partial(&self) -> bool {
        self.left_out() != LeftOutCount::default()
    }

    /// Positions by id.
    #[must_use]
    pub fn index(&self) -> HashMap<StepId, usize> {
        self.steps.iter().enumerate().map(|(i, step)| (step.id.clone(), i)).collect()
    }

    /// A person's full name, or the id.
    #[must_use]
    pub fn name_of<'a>(&'a self, id: &'a PersonId) -> &'a str {
        self.people.iter().find(|p| &p.id == id).map_or(id.as_str(), |p| p.name.as_str())
    }
}

//! Facts, in the past tense, owned and serialisable: the one family of events that the journal
//! stores and every view reads.

mod parts;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    fact::{Finding, Identity, Seen},
    outline::ms,
    state::What,
    vote::Via,
};
use crate::base::{Elapsed, PersonId, StepId, WatchId};
pub use parts::{Decision, Ending, HoldWhy, Intended, Opened, Outcome, Resumed, Settlement, Where};

/// Everything that can have happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run began.
    Opened(Box<Opened>),
    /// A new process took the run over from one that died or left.
    Resumed(Resumed),
    /// An attempt was ordered.
    AttemptStarted {
        /// The step.
        step: StepId,
        /// From 1, counted over all attempts of the step.
        attempt: u32,
        /// What it is to do.
        what: What,
    },
    /// One line of an attempt's log. May be lost in a crash.
    Line {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// The line, cleaned and redacted.
        text: String,
    },
    /// How far an attempt is. May be lost in a crash.
    Progressed {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// Percent, 0 to 100.
        percent: u8,
        /// What it waits for.
        text: String,
    },
    /// The other side said who we are, and it is whom the environment asks for.
    Identified {
        /// The step that asked.
        step: StepId,
        /// The answer.
        identity: Identity,
    },
    /// An attempt is about to change the world: written and synced before the first byte is sent.
    Intended(Box<Intended>),
    /// A check of a step was answered.
    Checked {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// Where the check stands.
        place: Where,
        /// Which of them, from 0.
        index: usize,
        /// What it saw.
        seen: Seen,
    },
    /// An attempt is over.
    AttemptEnded {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// How.
        outcome: Outcome,
    },
    /// Another try was put off.
    RetryScheduled {
        /// The step.
        step: StepId,
        /// When it may start.
        not_before: Elapsed,
    },
    /// A step was settled without an attempt's outcome: by a person's word, or because it is not part of this run.
    Settled {
        /// The step.
        step: StepId,
        /// True: its rollback was settled.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        back: bool,
        /// How.
        settlement: Settlement,
    },
    /// A stop point, a confirmation or a rollback step now waits for people.
    Asked {
        /// The step.
        step: StepId,
        /// True: its rollback asks.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        back: bool,
    },
    /// A criterion of a stop point was looked at.
    CriterionSeen {
        /// The step.
        step: StepId,
        /// Which round of looking, from 1.
        round: u32,
        /// Which criterion, from 0.
        index: usize,
        /// Green or not.
        ok: bool,
        /// What was seen.
        line: String,
    },
    /// Somebody voted.
    Voted {
        /// The step.
        step: StepId,
        /// Whose vote.
        who: PersonId,
        /// Who typed it.
        typed_by: PersonId,
        /// Go or no-go.
        go: bool,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The terminal, where it was not the run's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<Via>,
    },
    /// Somebody confirmed a dangerous step.
    Confirmed {
        /// The step.
        step: StepId,
        /// Whose confirmation.
        who: PersonId,
        /// Who typed it.
        typed_by: PersonId,
        /// True: of its rollback.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        back: bool,
    },
    /// Somebody decided.
    Decided {
        /// The step.
        step: StepId,
        /// Whose decision.
        who: PersonId,
        /// Who typed it.
        typed_by: PersonId,
        /// What.
        decision: Decision,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What stood against it when it was taken: red criteria, missing votes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        against: Vec<String>,
    },
    /// The owner said that a manual step is done.
    OwnerSaidDone {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// Who.
        who: PersonId,
        /// Who typed it.
        typed_by: PersonId,
        /// What the step asked to write down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
        /// What was not ticked off.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unticked: Vec<String>,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A thing of a manual step's checklist was ticked off, or was not done after all.
    Ticked {
        /// The step.
        step: StepId,
        /// The attempt; which leg it does says whose checklist it is.
        attempt: u32,
        /// Which, from 0.
        item: usize,
        /// Done.
        on: bool,
        /// Who.
        who: PersonId,
        /// Who typed it.
        typed_by: PersonId,
    },
    /// The run holds: nothing new starts.
    Held {
        /// Why.
        why: HoldWhy,
        /// Who, where it was a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<PersonId>,
    },
    /// The hold was released.
    Released {
        /// Who.
        by: PersonId,
    },
    /// The point of no return was crossed.
    NoReturnCrossed {
        /// The step.
        step: StepId,
    },
    /// A probe looked at an attempt in doubt.
    Probed {
        /// The step.
        step: StepId,
        /// The attempt that was in doubt.
        attempt: u32,
        /// What it found.
        finding: Finding,
    },
    /// Going back began.
    RollbackBegan {
        /// What will be undone, in the order of undoing.
        steps: Vec<StepId>,
        /// What cannot be undone, with the reason of the file.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<(StepId, String)>,
    },
    /// A watch began to look.
    WatchBegan {
        /// The watch.
        watch: WatchId,
    },
    /// A watch looked.
    WatchSampled {
        /// The watch.
        watch: WatchId,
        /// Good, bad, or no data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ok: Option<bool>,
        /// The figure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<f64>,
        /// What was seen.
        line: String,
    },
    /// Too many bad samples in a row.
    WatchBreached {
        /// The watch.
        watch: WatchId,
        /// How many.
        samples: u32,
    },
    /// A watch is over.
    WatchEnded {
        /// The watch.
        watch: WatchId,
    },
    /// Somebody wrote something down.
    Noted {
        /// Who.
        who: PersonId,
        /// What.
        text: String,
        /// About which step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// The terminal, where it was not the run's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<Via>,
    },
    /// The two clocks moved apart: the machine slept, or the wall clock was set.
    ClockJumped {
        /// Milliseconds that the wall clock moved more than the steady one.
        wall_ms: i64,
        /// How long the machine slept.
        #[serde(with = "ms")]
        slept: Duration,
    },
    /// A torn last record was set aside when the journal was opened again.
    TornTail {
        /// Bytes set aside.
        bytes: u64,
        /// Where they are now.
        kept_as: String,
    },
    /// The run is over.
    Ended {
        /// How.
        ending: Ending,
    },
    /// Written by a newer version: kept, and ignored. Only [`Envelope::decode`] makes one, because an
    /// untagged variant would make serde buffer every event.
    #[serde(skip)]
    Unknown(UnknownEvent),
}

/// An event of a newer version, as it stands in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownEvent(pub Json);

impl Event {
    /// True where the event must be on disk before anything is sent, shown as done or answered.
    /// The others are grouped with the next barrier and may be lost in a crash.
    #[must_use]
    pub fn is_barrier(&self) -> bool {
        match self {
            Self::Line { .. }
            | Self::Progressed { .. }
            | Self::Identified { .. }
            | Self::Checked { .. }
            | Self::CriterionSeen { .. }
            | Self::WatchBegan { .. }
            | Self::WatchSampled { .. }
            | Self::Unknown(_) => false,
            Self::Opened(_)
            | Self::Resumed(_)
            | Self::AttemptStarted { .. }
            | Self::Intended(_)
            | Self::AttemptEnded { .. }
            | Self::RetryScheduled { .. }
            | Self::Settled { .. }
            | Self::Asked { .. }
            | Self::Voted { .. }
            | Self::Confirmed { .. }
            | Self::Decided { .. }
            | Self::OwnerSaidDone { .. }
            | Self::Ticked { .. }
            | Self::Held { .. }
            | Self::Released { .. }
            | Self::NoReturnCrossed { .. }
            | Self::Probed { .. }
            | Self::RollbackBegan { .. }
            | Self::WatchBreached { .. }
            | Self::WatchEnded { .. }
            | Self::Noted { .. }
            | Self::ClockJumped { .. }
            | Self::TornTail { .. }
            | Self::Ended { .. } => true,
        }
    }

    /// True where the journal's head is sealed after it: stop points, holds, decisions, the end.
    #[must_use]
    pub fn seals(&self) -> bool {
        matches!(
            self,
            Self::Opened(_)
                | Self::Resumed(_)
                | Self::Asked { .. }
                | Self::Decided { .. }
                | Self::Held { .. }
                | Self::NoReturnCrossed { .. }
                | Self::Ended { .. }
        )
    }

    /// The step that it is about.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::AttemptStarted { step, .. }
            | Self::Line { step, .. }
            | Self::Progressed { step, .. }
            | Self::Identified { step, .. }
            | Self::Checked { step, .. }
            | Self::AttemptEnded { step, .. }
            | Self::RetryScheduled { step, .. }
            | Self::Settled { step, .. }
            | Self::Asked { step, .. }
            | Self::CriterionSeen { step, .. }
            | Self::Voted { step, .. }
            | Self::Confirmed { step, .. }
            | Self::Decided { step, .. }
            | Self::OwnerSaidDone { step, .. }
            | Self::Ticked { step, .. }
            | Self::NoReturnCrossed { step }
            | Self::Probed { step, .. } => Some(step),
            Self::Intended(intended) => Some(&intended.step),
            Self::Noted { step, .. } => step.as_ref(),
            Self::Held { why: HoldWhy::NoGo(step), .. } => Some(step),
            Self::Opened(_)
            | Self::Resumed(_)
            | Self::Held { .. }
            | Self::Released { .. }
            | Self::RollbackBegan { .. }
            | Self::WatchBegan { .. }
            | Self::WatchSampled { .. }
            | Self::WatchBreached { .. }
            | Self::WatchEnded { .. }
            | Self::ClockJumped { .. }
            | Self::TornTail { .. }
            | Self::Ended { .. }
            | Self::Unknown(_) => None,
        }
    }
}

//! Facts, in the past tense, owned and serialisable: the one family of events that the journal
//! stores and every view reads.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    fact::{Done, Finding, Identity, Seen},
    outline::{Outline, ms},
    state::What,
    vote::Via,
};
use crate::base::{Elapsed, Failure, PersonId, RunId, Stamp, StepId, WatchId};

/// A fact with its place in the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// From 1, without a gap.
    pub seq: u64,
    /// Wall clock, UTC.
    pub at: DateTime<Utc>,
    /// Steady clock since the run was opened.
    pub elapsed: Elapsed,
    /// The fact.
    pub event: Event,
}

impl Envelope {
    /// Both clocks.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { at: self.at, elapsed: self.elapsed }
    }

    /// The JSON of the journal and of `--json`, on one line.
    ///
    /// # Errors
    /// A value that JSON cannot hold (a map with keys that are no text); none of ours is.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        if let Event::Unknown(UnknownEvent(event)) = &self.event {
            return serde_json::to_vec(&Loose {
                seq: self.seq,
                at: self.at,
                elapsed: self.elapsed,
                event: event.clone(),
            });
        }
        serde_json::to_vec(self)
    }

    /// Reads what [`Envelope::encode`] wrote; an event that this version does not know is kept as it is.
    ///
    /// # Errors
    /// Text that is no envelope, or an event that has a known name and another shape.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).or_else(|error| {
            if !error.to_string().starts_with("unknown variant") {
                return Err(error);
            }
            let Loose { seq, at, elapsed, event } = serde_json::from_slice(json)?;
            Ok(Self { seq, at, elapsed, event: Event::Unknown(UnknownEvent(event)) })
        })
    }
}

/// An envelope whose event is not understood.
#[derive(Serialize, Deserialize)]
struct Loose {
    seq: u64,
    at: DateTime<Utc>,
    elapsed: Elapsed,
    event: Json,
}

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

/// How a run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The run.
    pub run: RunId,
    /// gonogo's version.
    pub version: String,
    /// Who is at the keyboard.
    pub operator: PersonId,
    /// `user@host`.
    pub from: String,
    /// Go is answered by itself (rehearsals only).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_go: bool,
    /// Who we are at the other ends, asked before the first step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Identity>,
    /// What will be done.
    pub outline: Outline,
}

/// How a run was taken up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Who is at the keyboard.
    pub operator: PersonId,
    /// `user@host`.
    pub from: String,
    /// Go is answered by itself (rehearsals only).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_go: bool,
}

/// An attempt's intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intended {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: u32,
    /// The requests in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub does: Vec<String>,
    /// SHA-256 over the step as resolved and what was captured, hex.
    pub digest: String,
    /// The client token, the same at a resume.
    pub token: String,
    /// What was saved for going back.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub captured: Json,
    /// When the attempt must be over.
    pub deadline: DateTime<Utc>,
}

/// Where a check stands in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// Before the action.
    Precheck,
    /// After the action.
    Verify,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it should; its checks hold.
    Done(Done),
    /// It did not; the class says what is known of the world.
    Failed(Failure),
}

/// How a step was settled without an attempt's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// A stop point without work of its own was decided: go.
    Decided,
    /// The world was found as the step wants it.
    FoundDone(String),
    /// A person did it by hand and the checks hold.
    ByHand(String),
    /// Left undone, for this reason.
    Skipped(String),
    /// It failed and the file says to go on, for this reason.
    FailedGoOn(String),
    /// Not part of this run.
    NotRun(String),
    /// Left out of this run, because the sandbox has not got what it needs.
    LeftOut(String),
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Go,
    /// Do not.
    NoGo,
    /// Try again.
    Retry,
    /// Done by hand; check it.
    ByHand,
    /// Leave it.
    Skip,
    /// Take everything back.
    RollBack,
    /// Stop here, undo nothing.
    Abort,
}

/// Why a run holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldWhy {
    /// Before the first step of a live run.
    Start,
    /// A person said so.
    Person,
    /// The lead said no-go.
    NoGo(StepId),
    /// A watch was breached.
    Breach(WatchId),
    /// A new process took over.
    Resumed,
    /// The machine slept or its clock jumped.
    Clock,
    /// The terminal is gone.
    TerminalLost,
    /// The process was told to end.
    Signal(String),
    /// The operator left; the run can be resumed.
    Left,
    /// The journal cannot be written.
    JournalFailed(String),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Everything done.
    Completed,
    /// Everything settled, something skipped, failed or done by hand.
    WithExceptions,
    /// Everything taken back that can be.
    RolledBack,
    /// Taken back, but some rollback steps were left undone.
    RolledBackInPart,
    /// Stopped, nothing undone.
    Aborted,
}

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

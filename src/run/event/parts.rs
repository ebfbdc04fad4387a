//! What facts carry: how a run began and ended, what an attempt intended, how it came out, what was decided.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    base::{Failure, PersonId, RunId, StepId, WatchId},
    run::{
        fact::{Done, Identity},
        outline::Outline,
    },
};

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

//! What arrives at the core: a person's intent, an attempt's report, a signal, a resume, time.

use serde_json::Value as Json;

use super::{
    event::{HoldWhy, Opened, Outcome, Resumed, Where},
    fact::{Finding, Identity, Seen},
    vote::Via,
};
use crate::base::{Failure, PersonId, StepId, WatchId};

/// Something that arrived.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The run begins.
    Open(Box<Opened>),
    /// A new process takes the run over.
    Resume(Resumed),
    /// A person wants something.
    Person {
        /// Whose word it is.
        who: PersonId,
        /// Who typed it.
        typed_by: PersonId,
        /// What.
        intent: Intent,
    },
    /// An attempt reports.
    Report {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// What.
        report: Report,
    },
    /// A criterion of a stop point was looked at.
    Criterion {
        /// The step.
        step: StepId,
        /// The round it belongs to.
        round: u32,
        /// Which criterion.
        index: usize,
        /// What it saw.
        result: Result<Seen, Failure>,
    },
    /// A watch looked.
    Watch {
        /// The watch.
        watch: WatchId,
        /// What it saw.
        sample: Sample,
    },
    /// Something outside makes the run hold: a signal, the terminal, the journal.
    Hold(HoldWhy),
    /// The clocks moved apart.
    ClockJump {
        /// Wall minus steady, milliseconds.
        wall_ms: i64,
        /// How long the machine slept.
        slept: std::time::Duration,
    },
    /// A torn tail was set aside.
    Torn {
        /// Bytes.
        bytes: u64,
        /// Where they are now.
        kept_as: String,
    },
    /// Time has passed; something may be due.
    Due,
}

/// A sample of a watch.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Good, bad, or no data.
    pub ok: Option<bool>,
    /// The figure.
    pub value: Option<f64>,
    /// What was seen.
    pub line: String,
}

/// What an attempt reports while it works and at its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// A line of its log.
    Line(String),
    /// How far it is.
    Progress {
        /// 0 to 100.
        percent: u8,
        /// What it waits for.
        text: String,
    },
    /// The fence passed.
    Identified(Identity),
    /// It is about to act: what was captured, and what will be sent.
    Ready {
        /// The requests in words.
        does: Vec<String>,
        /// The digest of the request.
        digest: String,
        /// The client token.
        token: String,
        /// What was saved for going back.
        captured: Json,
        /// When it must be over.
        deadline: chrono::DateTime<chrono::Utc>,
    },
    /// A check was answered.
    Checked {
        /// Where it stands.
        place: Where,
        /// Which of them.
        index: usize,
        /// What it saw.
        seen: Seen,
    },
    /// A probe's finding.
    Found(Finding),
    /// It is over.
    Ended(Outcome),
}

/// What a person can want. Typed words are checked here, so that every view asks for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Nothing new starts.
    Hold,
    /// Go on; the word is `go`.
    Release {
        /// What was typed.
        typed: String,
    },
    /// A voter's word at a stop point.
    Vote {
        /// The step.
        step: StepId,
        /// Go or no-go.
        go: bool,
        /// Why, in their words.
        reason: Option<String>,
        /// Which opening of the question it answers ([`super::StepRun::opening`]); `None`: the one on the screen.
        opening: Option<u32>,
        /// The terminal, where it is not the run's own.
        via: Option<Via>,
    },
    /// Go at a stop point; the word is `go`.
    Go {
        /// The step.
        step: StepId,
        /// What was typed.
        typed: String,
        /// Why, where something stands against it.
        reason: Option<String>,
    },
    /// No-go at a stop point; the word is `no-go`.
    NoGo {
        /// The step.
        step: StepId,
        /// What was typed.
        typed: String,
        /// Why.
        reason: Option<String>,
    },
    /// A confirmation: of a no-return step or a step for two people (the environment's confirm word),
    /// or of one rollback step (`undo`).
    Confirm {
        /// The step.
        step: StepId,
        /// What was typed.
        typed: String,
    },
    /// The owner's word that a manual step is done.
    OwnerDone {
        /// The step.
        step: StepId,
        /// What the step asked to write down.
        value: Option<String>,
        /// Why, where not everything is ticked off.
        reason: Option<String>,
    },
    /// One thing of a manual step's checklist is done, or is not after all.
    Tick {
        /// The step.
        step: StepId,
        /// Which, from 0.
        item: usize,
        /// Done.
        on: bool,
    },
    /// Try again; the word is `retry`.
    Retry {
        /// The step.
        step: StepId,
        /// What was typed.
        typed: String,
        /// Why, where the outcome before is not known.
        reason: Option<String>,
    },
    /// I did it by hand: check it and go on.
    ByHand {
        /// The step.
        step: StepId,
        /// How.
        reason: String,
    },
    /// Leave it; the word is `skip`.
    Skip {
        /// The step.
        step: StepId,
        /// What was typed.
        typed: String,
        /// Why.
        reason: String,
    },
    /// Take everything back; the word is `rollback`.
    RollBack {
        /// What was typed.
        typed: String,
        /// Why.
        reason: Option<String>,
    },
    /// Stop, undo nothing; the word is `abort`.
    Abort {
        /// What was typed.
        typed: String,
        /// Why.
        reason: Option<String>,
    },
    /// Write something down.
    Note {
        /// What.
        text: String,
        /// About which step.
        step: Option<StepId>,
        /// The terminal, where it is not the run's own.
        via: Option<Via>,
    },
}

impl Intent {
    /// A vote typed at the run's own terminal, without a reason.
    #[must_use]
    pub fn vote(step: StepId, go: bool) -> Self {
        Self::Vote { step, go, reason: None, opening: None, via: None }
    }
}

/// A typed "no". It changes nothing and is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The run is over.
    #[error("the run is over")]
    Over,
    /// It was opened already.
    #[error("the run is open already")]
    AlreadyOpen,
    /// Nobody of that name.
    #[error("`{0}` is not in [people]")]
    Stranger(PersonId),
    /// No such step.
    #[error("there is no step `{0}`")]
    NoSuchStep(StepId),
    /// The typed word is another one.
    #[error("typed `{typed}`; the word is `{wanted}`")]
    WrongWord {
        /// What was typed.
        typed: String,
        /// What is asked for.
        wanted: String,
    },
    /// It needs a reason.
    #[error("it needs a reason: {0}")]
    NeedsReason(String),
    /// It does not hold.
    #[error("nothing is held")]
    NotHeld,
    /// It holds already.
    #[error("it holds already")]
    HeldAlready,
    /// The step does not ask that now.
    #[error("step `{step}` does not ask that now: it is {is}")]
    NotAsked {
        /// The step.
        step: StepId,
        /// Its state in a word.
        is: &'static str,
    },
    /// Somebody else decides here.
    #[error("{who} does not decide at `{step}`: {decides} does")]
    NotTheDecider {
        /// Who tried.
        who: PersonId,
        /// The step.
        step: StepId,
        /// Who decides.
        decides: PersonId,
    },
    /// There is nothing to vote on there.
    #[error("step `{0}` is no stop point, so there is nothing to vote on")]
    NoStopPoint(StepId),
    /// It was decided before this word came.
    #[error("too late for `{step}`: {who} has decided {}{}", if *.go { "go" } else { "no-go" }, if *.go { "" } else { "; look again, then vote again" })]
    Decided {
        /// The step.
        step: StepId,
        /// Who decided.
        who: PersonId,
        /// What: go, or no-go.
        go: bool,
    },
    /// That person's vote is not wanted.
    #[error("{who} is not a voter at `{step}`")]
    NotAVoter {
        /// Who tried.
        who: PersonId,
        /// The step.
        step: StepId,
    },
    /// The same person cannot confirm twice.
    #[error("{0} has confirmed already; a second person is needed")]
    SecondPerson(PersonId),
    /// A criterion has no answer yet, or an old one.
    #[error("the criteria of `{0}` are being looked at; wait for them")]
    CriteriaPending(StepId),
    /// Going back is closed.
    #[error("rollback is closed since `{step}`: {after}")]
    Closed {
        /// The no-return step.
        step: StepId,
        /// The way on.
        after: String,
    },
    /// There is nothing to take back.
    #[error("nothing has been changed, so there is nothing to take back")]
    NothingToUndo,
    /// A rollback is under way.
    #[error("the rollback is under way")]
    RollingBack,
    /// Something runs and must come to its end first.
    #[error("step `{0}` is running; hold and wait for its end")]
    StillRunning(StepId),
    /// The manual step asks for a value.
    #[error("write down {0}")]
    ValueMissing(String),
    /// The checklist has no such thing.
    #[error("there is no {item} on the checklist: it has {items}")]
    NoSuchItem {
        /// Which was meant, from 1.
        item: usize,
        /// How many there are.
        items: usize,
    },
    /// The value is not what the step asks for.
    #[error("{asked} has to be {wants}")]
    BadValue {
        /// What is asked for.
        asked: String,
        /// What it has to look like.
        wants: String,
    },
    /// The value looks like a secret.
    #[error("that looks like {looks}, and everybody reads the record; write down {asked}")]
    LooksSecret {
        /// What is asked for.
        asked: String,
        /// What it looks like.
        looks: &'static str,
    },
    /// A report that no attempt waits for.
    #[error("no attempt waits for this report")]
    Stale,
    /// The journal has failed: nothing that changes the world may start.
    #[error("the journal cannot be written: {0}")]
    JournalFailed(String),
}

//! What people are asked about now, in words. One question at a time: a decision about a failure
//! first, then a stop point, a hold, a manual step that waits for its owner's word.
//!
//! Here stand the questions and what each answer means. How a view takes the answer is its own
//! affair; the words that are typed are compared by `run::handle`.

mod go;
mod trouble;
pub(super) mod wait;

use super::{choice::Choice, clock::Face, mark::Role};
use crate::{
    base::{Elapsed, PersonId, Stamp, StepId, short_duration},
    run::{Leg, LegRun, Outline, RunState, StepOutline, StepState, Timing, Undo},
};

/// Which question it is. Two questions with the same id are the same one; what was typed for one must
/// never answer another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AskId {
    /// What is asked.
    pub kind: AskKind,
    /// About which step.
    pub step: Option<StepId>,
    /// Since when it is asked.
    pub since: Elapsed,
    /// Confirmations before this one.
    pub round: usize,
}

/// The kinds of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskKind {
    /// Go or no-go.
    StopPoint,
    /// A step failed.
    Failure,
    /// Nobody saw how an attempt ended.
    InDoubt,
    /// The point of no return.
    NoReturn,
    /// A step for two people.
    Confirm,
    /// One step of a rollback.
    UndoConfirm,
    /// A manual step's owner says that it is done.
    Manual,
    /// The run holds.
    Held,
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Go or no-go.
    StopPoint(StopAsk),
    /// A step failed, or its outcome is in doubt.
    Failure(FailAsk),
    /// The point of no return, a step for two people, or the undo of a step.
    Confirm(ConfirmAsk),
    /// The word of a manual step's owner.
    Manual(ManualAsk),
    /// Release a hold.
    Held(HeldAsk),
}

impl Ask {
    /// Which question it is.
    #[must_use]
    pub fn id(&self) -> &AskId {
        match self {
            Self::StopPoint(ask) => &ask.id,
            Self::Failure(ask) => &ask.id,
            Self::Confirm(ask) => &ask.id,
            Self::Manual(ask) => &ask.id,
            Self::Held(ask) => &ask.id,
        }
    }
}

/// Go or no-go.
#[derive(Debug, Clone, PartialEq)]
pub struct StopAsk {
    /// Which question it is.
    pub id: AskId,
    /// The step.
    pub step: StepId,
    /// From 1.
    pub number: usize,
    /// Steps in all.
    pub total: usize,
    /// The step's title.
    pub title: String,
    /// What is asked.
    pub question: String,
    /// How long it has been asked: `0m38`.
    pub waited: String,
    /// The criteria, red ones first, then those not looked at yet, then those that nobody looks at in this run.
    pub checks: Vec<Check>,
    /// Who votes, and who decides.
    pub votes: Vec<Vote>,
    /// Who decides.
    pub decides: PersonId,
    /// Whose vote is wanted.
    pub voters: Vec<PersonId>,
    /// What go means.
    pub if_go: String,
    /// What no-go means.
    pub if_no_go: String,
    /// `no-go by mira`, where that was the last decision.
    pub no_go: Option<String>,
    /// Red criteria and missing votes: a go over these needs a reason.
    pub against: usize,
    /// What else holds the run.
    pub also_held: Option<String>,
}

/// One criterion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Green, red, or not looked at yet.
    pub ok: Option<bool>,
    /// What is looked at.
    pub words: String,
    /// What was seen.
    pub line: String,
    /// When.
    pub clock: String,
    /// Nobody looks at it in this run; the line says why.
    pub left_out: bool,
}

impl Check {
    /// Its glyph, word and role.
    #[must_use]
    pub fn mark(&self) -> (&'static str, &'static str, Role) {
        match self.ok {
            _ if self.left_out => ("⊘", "OUT ", Role::Warn),
            Some(true) => ("✓", "PASS", Role::Good),
            Some(false) => ("✗", "FAIL", Role::Bad),
            None => ("◷", "LOOK", Role::Wait),
        }
    }
}

/// One vote, or the lack of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Whose.
    pub who: PersonId,
    /// Go or no-go.
    pub go: Option<bool>,
    /// When.
    pub clock: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The terminal, where it was not the run's own: `deploy@bastion pts/3`.
    pub from: Option<String>,
    /// This person decides.
    pub decides: bool,
}

/// A step failed, or its outcome is in doubt.
#[derive(Debug, Clone, PartialEq)]
pub struct FailAsk {
    /// Which question it is.
    pub id: AskId,
    /// The step.
    pub step: StepId,
    /// From 1.
    pub number: usize,
    /// The step's title.
    pub title: String,
    /// `STEP FAILED`, `UNDO FAILED`, `OUTCOME IN DOUBT`, `ATTEMPT LOST`.
    pub heading: &'static str,
    /// `attempt 2 of 3   after 6m02 (plan 5m00)`.
    pub attempt: String,
    /// What is known of the world: `failed, nothing done`.
    pub class: String,
    /// One line.
    pub why: String,
    /// Further lines.
    pub causes: Vec<String>,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// How long it has been asked.
    pub waited: String,
    /// A probe or a check is looking; choose when it is over.
    pub looking: bool,
    /// What can be chosen. The first is Hold, the worst last.
    pub choices: Vec<Choice>,
    /// Rollback and window, in a sentence.
    pub footing: String,
}

/// A dangerous step, or the undo of one, is confirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfirmAsk {
    /// Which question it is.
    pub id: AskId,
    /// The step.
    pub step: StepId,
    /// From 1.
    pub number: usize,
    /// The step's title.
    pub title: String,
    /// The first line: what this is.
    pub lead: String,
    /// Environment and fence.
    pub place: String,
    /// Who we are at the other ends.
    pub identities: Vec<String>,
    /// The requests in words.
    pub does: Vec<String>,
    /// What is true afterwards.
    pub after: String,
    /// How long it has been asked.
    pub waited: String,
    /// Who has confirmed.
    pub confirmed: Vec<PersonId>,
    /// How many must.
    pub needed: usize,
    /// Whose word it is unless another name is given; nobody's once somebody has confirmed.
    pub suggested: Option<PersonId>,
    /// The word.
    pub word: String,
    /// What the word is: `the word of environment production`.
    pub word_is: String,
}

/// The owner of a manual step says that it is done.
#[derive(Debug, Clone, PartialEq)]
pub struct ManualAsk {
    /// Which question it is.
    pub id: AskId,
    /// The step.
    pub step: StepId,
    /// From 1.
    pub number: usize,
    /// The step's title.
    pub title: String,
    /// Whose it is.
    pub owner: PersonId,
    /// It takes the step back.
    pub back: bool,
    /// What is to be done, without the checklist.
    pub does: Vec<String>,
    /// The single things to tick off.
    pub checklist: Vec<Item>,
    /// Why.
    pub why: Option<String>,
    /// What is checked afterwards.
    pub verifies: Vec<String>,
    /// What is to be written down.
    pub asks_value: Option<String>,
    /// What that has to look like, in words.
    pub value_is: Option<String>,
    /// How long it has been asked.
    pub waited: String,
    /// Planned time.
    pub plan: String,
}

/// One thing of a checklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What.
    pub text: String,
    /// Who has ticked it off, and when: `mira`, `02:51:07`.
    pub ticked: Option<(PersonId, String)>,
}

impl ManualAsk {
    /// Things that are ticked off.
    #[must_use]
    pub fn ticked(&self) -> usize {
        self.checklist.iter().filter(|item| item.ticked.is_some()).count()
    }

    /// Numbers of the things that are not, from 1.
    #[must_use]
    pub fn open(&self) -> Vec<usize> {
        (1..).zip(&self.checklist).filter(|(_, item)| item.ticked.is_none()).map(|(number, _)| number).collect()
    }
}

/// The run holds.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldAsk {
    /// Which question it is.
    pub id: AskId,
    /// Before the first step of a live run.
    pub start: bool,
    /// A rollback can be chosen.
    pub way_back: bool,
    /// A person said so, or it follows from what a person said: no sheet has to open by itself.
    pub by_person: bool,
    /// Why.
    pub why: String,
    /// More about it: the breached watch's last sample.
    pub more: Vec<String>,
    /// How long.
    pub waited: String,
    /// What is still at work.
    pub running: Vec<String>,
    /// What starts next.
    pub next: String,
    /// Environment and fence.
    pub place: String,
    /// False where nothing may go on: the journal failed.
    pub releasable: bool,
    /// In a rehearsal Enter is enough.
    pub quick: bool,
}

impl Ask {
    /// The question of a moment.
    pub(super) fn of(state: &RunState, timing: &Timing, now: Stamp, face: &Face) -> Option<Self> {
        let outline = state.outline.as_ref()?;
        if state.ended.is_some() {
            return None;
        }
        if let Some((i, leg)) = state.asking() {
            let run = state.steps[i].leg(leg)?;
            return match &run.state {
                StepState::NeedsDecision(why) => Self::failure(state, timing, now, (i, leg), why),
                _ => Some(match (&outline.steps[i].stop, leg) {
                    (Some(_), Leg::Forward) if !run.gone => Self::stop(state, outline, now, face, i),
                    _ => Self::confirm(state, outline, now, i, leg),
                }),
            };
        }
        if let Some(hold) = &state.hold {
            return Some(Self::held(state, outline, now, face, hold));
        }
        state
            .awaiting_owner()
            .next()
            .map(|(i, attempt)| Self::manual(state, &outline.steps[i], (i, attempt), now, face))
    }
}

fn id(kind: AskKind, run: &LegRun, step: &StepOutline) -> AskId {
    let since = run.since.map(|since| since.elapsed).unwrap_or_default();
    AskId { kind, step: Some(step.id.clone()), since, round: 0 }
}

fn waited(run: &LegRun, now: Stamp) -> String {
    short_duration(run.since.map_or(std::time::Duration::ZERO, |since| now - since))
}

/// `production  account 444455556666  eu-west-1`.
fn place(outline: &Outline) -> String {
    std::iter::once(outline.env.name.as_str())
        .chain(outline.env.fence.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("  ")
}

/// How a step is taken back, in words.
#[must_use]
pub fn undo_words(undo: &Undo) -> Vec<String> {
    match undo {
        Undo::Nothing => vec!["nothing to undo: it only reads".into()],
        Undo::Restore => vec!["write back what was there before".into()],
        Undo::Action(lines) => lines.clone(),
        Undo::None(reason) => vec![format!("no way back: {reason}")],
    }
}

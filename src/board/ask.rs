//! What people are asked about now, in words. One question at a time: a decision about a failure
//! first, then a stop point, a hold, a manual step that waits for its owner's word.
//!
//! Here stand the questions and what each answer means. How a view takes the answer is its own
//! affair; the words that are typed are compared by `run::handle`.

use super::{
    choice::{Choice, failure_choices},
    clock::Face,
    mark::Role,
    next::{running, upcoming},
    words::{hold_words, spoken, step_words},
};
use crate::{
    base::{Elapsed, PersonId, Stamp, StepId, short_duration},
    run::{
        AttemptRun, Finding, HoldWhy, Leg, LegRun, Mode, Outline, RunState, StepOutline, StepRun, StepState, Timing,
        Undo, Why,
    },
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
    /// The criteria, red ones first, then those not looked at yet.
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
}

impl Check {
    /// Its glyph, word and role.
    #[must_use]
    pub fn mark(&self) -> (&'static str, &'static str, Role) {
        match self.ok {
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
    /// Who is asked next.
    pub suggested: PersonId,
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
    /// What is to be done.
    pub does: Vec<String>,
    /// Why.
    pub why: Option<String>,
    /// What is checked afterwards.
    pub verifies: Vec<String>,
    /// What is to be written down.
    pub asks_value: Option<String>,
    /// How long it has been asked.
    pub waited: String,
    /// Planned time.
    pub plan: String,
}

/// The run holds.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldAsk {
    /// Which question it is.
    pub id: AskId,
    /// Before the first step of a live run.
    pub start: bool,
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
            return Some(match &run.state {
                StepState::NeedsDecision(why) => Self::failure(state, timing, now, i, leg, why),
                _ => match (&outline.steps[i].stop, leg) {
                    (Some(_), Leg::Forward) if !run.gone => Self::stop(state, outline, now, face, i),
                    _ => Self::confirm(state, outline, now, i, leg),
                },
            });
        }
        if let Some(hold) = &state.hold {
            return Some(Self::held(state, outline, now, hold));
        }
        state.awaiting_owner().next().map(|(i, attempt)| Self::manual(&outline.steps[i], i, attempt, now))
    }

    fn stop(state: &RunState, outline: &Outline, now: Stamp, face: &Face, i: usize) -> Self {
        let step = &outline.steps[i];
        let run = &state.steps[i];
        let none = crate::run::StopOutline {
            question: step.title.clone(),
            if_go: None,
            if_no_go: None,
            voters: Vec::new(),
            decides: outline.lead.clone(),
            criteria: Vec::new(),
        };
        let stop = step.stop.as_ref().unwrap_or(&none);
        let mut checks: Vec<Check> = stop
            .criteria
            .iter()
            .zip(&run.criteria)
            .map(|(words, seen)| Check {
                ok: seen.ok,
                words: words.clone(),
                line: seen.line.clone(),
                clock: seen.at.map(|at| face.clock(at)).unwrap_or_default(),
            })
            .collect();
        // What stands against a go must be seen even where not all of it can be.
        checks.sort_by_key(|check| match check.ok {
            Some(false) => 0,
            None => 1,
            Some(true) => 2,
        });
        let vote = |who: &PersonId| {
            let cast = run.votes.iter().find(|(voter, _, _)| voter == who);
            Vote {
                who: who.clone(),
                go: cast.map(|(_, go, _)| *go),
                clock: cast.map(|(_, _, at)| face.clock(*at)).unwrap_or_default(),
                decides: who == &stop.decides,
            }
        };
        let mut votes: Vec<Vote> = stop.voters.iter().map(vote).collect();
        if !stop.voters.contains(&stop.decides) {
            votes.push(vote(&stop.decides));
        }
        let missing = stop.voters.iter().filter(|who| vote(who).go != Some(true)).count();
        let following = |j: usize| format!("{} starts", step_words(outline, j));
        let after = (i + 1..outline.steps.len()).find(|j| state.steps[*j].forward.state == StepState::Pending);
        let frozen = state.freeze.since.map(|_| {
            let budget = outline.window.freeze_budget.map(|b| format!(", budget {}", spoken(b))).unwrap_or_default();
            format!(" Writes stay frozen: {} so far{budget}.", spoken(state.freeze.read(now.elapsed)))
        });
        let work = if step.works { Some(format!("{} starts", step_words(outline, i))) } else { after.map(following) };
        Self::StopPoint(StopAsk {
            id: id(AskKind::StopPoint, &run.forward, step),
            step: step.id.clone(),
            number: i + 1,
            total: outline.steps.len(),
            title: step.title.clone(),
            question: stop.question.clone(),
            waited: waited(&run.forward, now),
            against: checks.iter().filter(|check| check.ok == Some(false)).count() + missing,
            checks,
            votes,
            decides: stop.decides.clone(),
            voters: stop.voters.clone(),
            if_go: sentence(&stop.if_go.clone().or(work).unwrap_or_else(|| "the run goes on".into())),
            if_no_go: sentence(stop.if_no_go.as_deref().unwrap_or("hold here")) + &frozen.unwrap_or_default(),
            no_go: run
                .forward
                .no_go
                .then(|| format!("no-go by {}", run.forward.decided_by.as_ref().map_or("", PersonId::as_str))),
            also_held: state
                .hold
                .as_ref()
                .filter(|hold| !matches!(hold.why, HoldWhy::NoGo(_)))
                .map(|hold| hold_words(state, hold)),
        })
    }

    fn failure(state: &RunState, timing: &Timing, now: Stamp, i: usize, leg: Leg, why: &Why) -> Self {
        let step = &state.outlines()[i];
        let run = &state.steps[i];
        let Some(leg_run) = run.leg(leg) else { return Self::missing(step) };
        let looking = run.attempts.last().is_some_and(AttemptRun::alive);
        let (kind, heading, class, line) = match (why, leg) {
            (Why::Failed(failure), Leg::Forward) => {
                (AskKind::Failure, "STEP FAILED", failure.class.words(), failure.message.clone())
            }
            (Why::Failed(failure), Leg::Back) => {
                (AskKind::Failure, "UNDO FAILED", failure.class.words(), failure.message.clone())
            }
            (Why::Lost, _) => (
                AskKind::InDoubt,
                "ATTEMPT LOST",
                "nothing done",
                "the process ended before the attempt changed anything".into(),
            ),
            (Why::InDoubt(finding), _) => {
                let (class, line) = match finding {
                    None => ("outcome unknown", "nobody saw how the attempt ended; it is being looked at".into()),
                    Some(Finding::Done(done)) => ("found done", done.line.clone()),
                    Some(Finding::NotDone { line }) => ("found not done", line.clone()),
                    Some(Finding::Unclear { line }) => ("outcome unknown", line.clone()),
                };
                (AskKind::InDoubt, "OUTCOME IN DOUBT", class, line)
            }
        };
        let (causes, hint) = match why {
            Why::Failed(failure) => (failure.causes.clone(), failure.hint.clone()),
            _ => (Vec::new(), None),
        };
        Self::Failure(FailAsk {
            id: id(kind, leg_run, step),
            step: step.id.clone(),
            number: i + 1,
            title: step.title.clone(),
            heading,
            attempt: attempt_words(step, run, leg_run),
            class: class.into(),
            why: line,
            causes,
            hint,
            waited: waited(leg_run, now),
            looking,
            choices: failure_choices(state, timing, i, leg, why, looking),
            footing: footing(state, timing),
        })
    }

    /// A leg that is asked about exists; this is what is said if it does not.
    fn missing(step: &StepOutline) -> Self {
        let none = LegRun::default();
        Self::Failure(FailAsk {
            id: id(AskKind::InDoubt, &none, step),
            step: step.id.clone(),
            number: 0,
            title: step.title.clone(),
            heading: "OUTCOME IN DOUBT",
            attempt: String::new(),
            class: String::new(),
            why: String::new(),
            causes: Vec::new(),
            hint: None,
            waited: String::new(),
            looking: true,
            choices: Vec::new(),
            footing: String::new(),
        })
    }

    fn confirm(state: &RunState, outline: &Outline, now: Stamp, i: usize, leg: Leg) -> Self {
        let step = &outline.steps[i];
        let none = LegRun::default();
        let run = state.steps[i].leg(leg).unwrap_or(&none);
        let confirmed: Vec<PersonId> = run.confirmed.iter().map(|(who, _)| who.clone()).collect();
        let (kind, lead, does, after, word, word_is) = match leg {
            Leg::Back => (
                AskKind::UndoConfirm,
                "This step is taken back.".to_owned(),
                undo_words(&step.undo),
                format!("{} is as it was before the run, then the next undo is asked for", i + 1),
                "undo".to_owned(),
                String::new(),
            ),
            Leg::Forward => {
                let (kind, lead) = if step.no_return {
                    (AskKind::NoReturn, "You are about to cross the POINT OF NO RETURN.".to_owned())
                } else {
                    (AskKind::Confirm, format!("This step needs {} people.", step.confirmations()))
                };
                let after = match (&step.after_no_return, &step.undo) {
                    (Some(after), _) if step.no_return => format!("there is no way back. {after}"),
                    (_, Undo::None(reason)) => format!("it cannot be undone: {reason}"),
                    (_, undo) => format!("it can be undone: {}", undo_words(undo).join("; ")),
                };
                let word_is = format!("the word of environment {}", outline.env.name);
                (kind, lead, step.does.clone(), after, outline.env.confirm.clone(), word_is)
            }
        };
        let first = state.operator.iter().chain(outline.people.iter().map(|person| &person.id));
        let suggested = first.into_iter().find(|who| leg == Leg::Back || !confirmed.contains(who));
        Self::Confirm(ConfirmAsk {
            id: AskId { round: confirmed.len(), ..id(kind, run, step) },
            step: step.id.clone(),
            number: i + 1,
            title: step.title.clone(),
            lead,
            place: place(outline),
            identities: state.identities.iter().map(|who| format!("{} {}", who.system, who.line)).collect(),
            does,
            after,
            waited: waited(run, now),
            needed: if leg == Leg::Back { 1 } else { step.confirmations() },
            suggested: suggested.unwrap_or(&outline.lead).clone(),
            confirmed,
            word,
            word_is,
        })
    }

    fn manual(step: &StepOutline, i: usize, attempt: &AttemptRun, now: Stamp) -> Self {
        Self::Manual(ManualAsk {
            id: AskId {
                kind: AskKind::Manual,
                step: Some(step.id.clone()),
                since: attempt.started.elapsed,
                round: attempt.number as usize,
            },
            step: step.id.clone(),
            number: i + 1,
            title: step.title.clone(),
            owner: step.owner.clone(),
            does: step.does.clone(),
            why: step.why.clone(),
            verifies: step.verifies.clone(),
            asks_value: step.asks_value.clone(),
            waited: short_duration(now - attempt.started),
            plan: short_duration(step.planned),
        })
    }

    fn held(state: &RunState, outline: &Outline, now: Stamp, hold: &crate::run::Hold) -> Self {
        let more = match &hold.why {
            HoldWhy::Breach(id) => {
                let title = outline.watches.iter().find(|watch| &watch.id == id).map(|watch| watch.title.clone());
                let last = state.watches.iter().find(|watch| &watch.id == id).and_then(|watch| watch.latest.clone());
                title.into_iter().chain(last.map(|(_, _, _, line)| format!("last sample: {line}"))).collect()
            }
            HoldWhy::Start => {
                let stops = outline.steps.iter().filter(|step| step.asks()).count();
                let total: std::time::Duration = outline.steps.iter().map(|step| step.planned).sum();
                let new = outline.steps.iter().filter(|step| !step.rehearsed).count();
                let rehearsed = match (new, outline.steps.len()) {
                    (0, _) => "every step was part of a green rehearsal as it is now".to_owned(),
                    (new, all) if new == all => "NOTHING of this was ever rehearsed as it is now".to_owned(),
                    (new, _) => format!("{new} steps were not part of a green rehearsal as they are now"),
                };
                vec![
                    outline.title.clone(),
                    format!(
                        "{} steps, {} of planned work, people are asked {stops} times",
                        outline.steps.len(),
                        spoken(total)
                    ),
                    rehearsed,
                ]
            }
            _ => Vec::new(),
        };
        Self::Held(HeldAsk {
            id: AskId { kind: AskKind::Held, step: None, since: hold.since.elapsed, round: 0 },
            start: hold.why == HoldWhy::Start,
            by_person: matches!(hold.why, HoldWhy::Person | HoldWhy::NoGo(_) | HoldWhy::Left),
            why: hold_words(state, hold),
            more,
            waited: short_duration(now - hold.since),
            running: running(state).into_iter().map(|i| step_words(outline, i)).collect(),
            next: upcoming(state, outline).map(|i| step_words(outline, i)).unwrap_or_default(),
            place: place(outline),
            releasable: !matches!(hold.why, HoldWhy::JournalFailed(_)),
            quick: outline.mode == Mode::Rehearse,
        })
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

/// With a full stop at its end.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
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

fn attempt_words(step: &StepOutline, run: &StepRun, leg: &LegRun) -> String {
    let tries = leg.tries.max(1);
    let of = step.retry.map(|retry| format!(" of {}", retry.attempts.max(tries))).unwrap_or_default();
    let last = run.attempts.iter().rev().find(|attempt| attempt.what.acts());
    let took = last.and_then(|attempt| attempt.ended.map(|end| short_duration(end - attempt.started)));
    let took = took.map(|took| format!("   after {took}")).unwrap_or_default();
    format!("attempt {tries}{of}{took}   (plan {})", short_duration(step.planned))
}

fn footing(state: &RunState, timing: &Timing) -> String {
    if state.rollback.is_some() {
        return "The rollback goes on from here once this is decided.".into();
    }
    if let Some(crossing) = &state.crossed {
        let after = state.step(&crossing.step).and_then(|(step, _)| step.after_no_return.clone());
        return format!("The way back is closed. {}", after.unwrap_or_else(|| "Fix forward.".into()));
    }
    if timing.bar.undo_steps == 0 {
        return "Nothing has been changed so far.".into();
    }
    let bar = &timing.bar;
    let steps = if bar.undo_steps == 1 { "step" } else { "steps" };
    let risky = match bar.risky_steps.len() {
        0 => String::new(),
        risky => format!("; {risky} without a tried way back"),
    };
    format!("Rollback is {}: {} {steps}, ~{}{risky}.", bar.state.word(), bar.undo_steps, spoken(bar.undo))
}

//! The NEXT sentence: what happens by itself, or who has to say something. One line, always there.

use super::words::{ending_words, hold_words};
use crate::run::{HoldWhy, Leg, Outline, RunState, StepState};

/// What comes next, and who.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Next {
    /// The sentence.
    pub text: String,
    /// What follows after that, where it is known.
    pub then: Option<String>,
    /// A person has to say something before anything goes on.
    pub asks: bool,
}

impl Next {
    /// The sentence of a moment.
    pub(super) fn of(state: &RunState) -> Self {
        let Some(outline) = &state.outline else {
            return Self { text: "the run is being opened".into(), ..Self::default() };
        };
        if let Some(ending) = state.ended {
            return Self { text: format!("nothing: {}", ending_words(ending, state)), ..Self::default() };
        }
        if let Some((i, leg)) = state.asking() {
            return Self { asks: true, ..asking(state, outline, i, leg) };
        }
        if let Some(hold) = &state.hold {
            let running = running(state);
            let why = hold_words(state, hold);
            let text = match running.first() {
                Some(i) => format!("held ({why}); {} runs to its end, then nothing starts", short(outline, *i)),
                None if matches!(hold.why, HoldWhy::JournalFailed(_)) => {
                    format!("held ({why}); nothing starts any more in this process, leave it and resume")
                }
                None => format!("held ({why}); `go` lets it go on"),
            };
            return Self { text, then: upcoming(state, outline).map(|i| coming(state, outline, i)), asks: true };
        }
        if let Some((i, _)) = state.awaiting_owner().next() {
            let text = format!("{} says when {} is done", outline.steps[i].owner, short(outline, i));
            return Self { text, then: upcoming(state, outline).map(|i| coming(state, outline, i)), asks: true };
        }
        going_on(state, outline)
    }
}

fn asking(state: &RunState, outline: &Outline, i: usize, leg: Leg) -> Next {
    let step = &outline.steps[i];
    let number = i + 1;
    let Some(run) = state.steps[i].leg(leg) else { return Next::default() };
    let then = upcoming(state, outline).filter(|j| *j != i).map(|j| coming(state, outline, j));
    let text = match (&run.state, leg) {
        (StepState::AtStopPoint, Leg::Back) => format!("somebody confirms the undo of {}", short(outline, i)),
        (StepState::AtStopPoint, Leg::Forward) => match &step.stop {
            Some(stop) if !run.gone => format!("{} decides at {}", stop.decides, short(outline, i)),
            _ => {
                let wanted = step.confirmations();
                let names: Vec<String> = run.confirmed.iter().map(|(who, _)| format!("{who} ✓")).collect();
                let have = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
                match wanted.saturating_sub(run.confirmed.len()) {
                    1 if wanted == 1 => format!("{number} needs a confirmation"),
                    1 => format!("{number} needs one more person{have}"),
                    left => format!("{number} needs {left} people{have}"),
                }
            }
        },
        _ => match state.steps[i].attempts.last() {
            Some(attempt) if attempt.alive() => format!("{} is being looked at, then somebody decides", number),
            _ => format!("somebody decides what to do with {number} (owner {}): {}", step.owner, step.title),
        },
    };
    Next { text, then, asks: true }
}

fn going_on(state: &RunState, outline: &Outline) -> Next {
    let running = running(state);
    if state.rollback.is_some() {
        let text = match (running.first(), upcoming(state, outline)) {
            (Some(i), Some(j)) => format!("when {} is undone, the undo of {} is asked for", i + 1, short(outline, j)),
            (Some(i), None) => format!("when {} is undone the rollback is over", i + 1),
            (None, _) => "the rollback goes on by itself".into(),
        };
        return Next { text, ..Next::default() };
    }
    let retry = state.legs().find_map(|(i, _, leg)| matches!(leg.state, StepState::RetryWait { .. }).then_some(i));
    if let Some(i) = retry {
        return Next { text: format!("{} is tried again by itself", short(outline, i)), ..Next::default() };
    }
    let next = upcoming(state, outline);
    let text = match (running.as_slice(), next) {
        ([], Some(i)) => format!("{} starts by itself", named(outline, i)),
        ([], None) => "the run comes to its end by itself".into(),
        (now, Some(i)) if outline.steps[i].asks() => {
            let step = &outline.steps[i];
            let who = step.stop.as_ref().map_or(&step.owner, |stop| &stop.decides);
            let verb = if step.stop.is_some() { "decides" } else { "is asked" };
            format!("{who} {verb} when {} done: {}", list(now), short(outline, i))
        }
        (now, Some(i)) => {
            let step = &outline.steps[i];
            format!("{} ({}) starts by itself when {} done: {}", i + 1, step.owner, list(now), step.title)
        }
        (now, None) => format!("when {} done the run is over", list(now)),
    };
    let then = next.and_then(|i| pending_after(state, outline, i)).map(|i| named(outline, i));
    Next { text, then, asks: false }
}

/// `11 is`, `5 and 6 are`.
fn list(steps: &[usize]) -> String {
    let numbers: Vec<String> = steps.iter().map(|i| (i + 1).to_string()).collect();
    match numbers.as_slice() {
        [one] => format!("{one} is"),
        [most @ .., last] => format!("{} and {last} are", most.join(", ")),
        [] => "all is".into(),
    }
}

fn short(outline: &Outline, i: usize) -> String {
    format!("{} {}", i + 1, outline.steps[i].title)
}

fn named(outline: &Outline, i: usize) -> String {
    format!("{} {} ({})", i + 1, outline.steps[i].title, outline.steps[i].owner)
}

/// What comes next, named: in a rollback it is an undo.
fn coming(state: &RunState, outline: &Outline, i: usize) -> String {
    let named = named(outline, i);
    if state.rollback.is_some() { format!("the undo of {named}") } else { named }
}

/// Steps at work.
pub(super) fn running(state: &RunState) -> Vec<usize> {
    state.active_legs().filter(|(_, _, leg)| leg.state == StepState::Running).map(|(i, _, _)| i).collect()
}

/// The next step in the order of the file that has not begun; in a rollback the one whose undo is next.
pub(super) fn upcoming(state: &RunState, outline: &Outline) -> Option<usize> {
    if let Some(rollback) = &state.rollback {
        let waits = |i: &usize| {
            let back = state.steps[*i].back.as_ref();
            back.is_some_and(|leg| matches!(leg.state, StepState::Pending | StepState::Ready))
        };
        return rollback.order.iter().copied().find(waits);
    }
    let ready = state.steps.iter().position(|step| step.forward.state == StepState::Ready);
    let settled = |id| state.step(id).is_some_and(|(_, run)| run.forward.state.settled());
    let due = |i: &usize| to_come(state, outline, *i) && outline.steps[*i].needs.iter().all(settled);
    let all = || 0..outline.steps.len();
    ready.or_else(|| all().find(due)).or_else(|| all().find(|i| to_come(state, outline, *i)))
}

/// True where a step has not begun and will: what is left out never does.
pub(super) fn to_come(state: &RunState, outline: &Outline, i: usize) -> bool {
    state.steps[i].forward.state == StepState::Pending && outline.steps[i].left_out().is_none()
}

fn pending_after(state: &RunState, outline: &Outline, i: usize) -> Option<usize> {
    (i + 1..state.steps.len()).find(|j| to_come(state, outline, *j))
}

//! What follows by itself: which step starts, who is asked, what is probed, when the run is over.
//! Called until it has nothing to add.

use std::time::Duration;

use super::{
    agenda::Agenda,
    event::{Ending, Event, HoldWhy, Settlement},
    fact::Finding,
    outline::{Outline, StepOutline, Treatment},
    state::{Gate, Leg, RunState, StepState, What, Why},
};
use crate::base::{Stamp, StepId};

/// The longest that another side can make the next try wait.
const ASKED: Duration = Duration::from_secs(60);

/// The next events that follow from the state alone; empty where nothing does.
pub(super) fn advance(state: &RunState, now: Stamp) -> Vec<Event> {
    let Some(outline) = state.outline.clone() else { return Vec::new() };
    if state.ended.is_some() {
        return Vec::new();
    }
    let events = resolve_open_questions(state, &outline, now);
    if !events.is_empty() {
        return events;
    }
    let events = run_watches(state, &outline);
    if !events.is_empty() {
        return events;
    }
    if state.blocked() {
        return Vec::new();
    }
    match &state.rollback {
        Some(_) => go_back(state),
        None => go_on(state, &outline, now),
    }
}

/// Failures with a next try, doubts to be probed, attempts that were lost before they did anything.
fn resolve_open_questions(state: &RunState, outline: &Outline, now: Stamp) -> Vec<Event> {
    for (i, leg, run) in state.active_legs() {
        let StepState::NeedsDecision(why) = &run.state else { continue };
        let step = &outline.steps[i];
        let id = step.id.clone();
        match (why, leg) {
            (Why::Failed(failure), Leg::Forward) => {
                let own_tries = run.tries.saturating_sub(run.asked_tries);
                if let Some(retry) = step.retry
                    && failure.class.nothing_done()
                    && own_tries < retry.attempts
                    && last_was(state, i, What::Do)
                {
                    let wait = failure.after.map_or(retry.wait, |asked| retry.wait.max(asked.min(ASKED)));
                    return vec![Event::RetryScheduled { step: id, not_before: now.elapsed.after(wait) }];
                }
                if let Some(reason) = &step.go_on_after_failure {
                    let settlement = Settlement::FailedGoOn(reason.clone());
                    return vec![Event::Settled { step: id, back: false, settlement }];
                }
            }
            // A person's "done by hand" is being verified, or the probe is to look.
            (Why::InDoubt(None), _) => {
                let alive = state.steps[i].attempts.iter().any(|a| a.alive());
                if !alive {
                    let what = if leg == Leg::Forward { What::Probe } else { What::ProbeUndo };
                    return vec![start(state, i, what)];
                }
            }
            // Found done, or lost with their process: its checks decide. They only read, so this needs nobody.
            (Why::InDoubt(Some(Finding::Done(_))) | Why::Lost, Leg::Forward) => {
                return vec![start(state, i, What::Recheck)];
            }
            (Why::Failed(_) | Why::InDoubt(Some(_)) | Why::Lost, _) => {}
        }
    }
    Vec::new()
}

fn last_was(state: &RunState, i: usize, what: What) -> bool {
    state.steps[i].attempts.last().is_some_and(|attempt| attempt.what == what)
}

fn start(state: &RunState, i: usize, what: What) -> Event {
    let attempt = state.steps[i].attempts.last().map_or(1, |last| last.number + 1);
    Event::AttemptStarted { step: state.outlines()[i].id.clone(), attempt, what }
}

fn run_watches(state: &RunState, outline: &Outline) -> Vec<Event> {
    for (watch, run) in outline.watches.iter().zip(&state.watches) {
        // A step that asks has not started; one that is left out of this run never does.
        let begun = |id: &StepId| {
            state.step(id).is_some_and(|(_, step)| match &step.forward.state {
                StepState::Settled(Gate::Otherwise(Settlement::NotRun(_) | Settlement::LeftOut(_))) => false,
                StepState::Settled(_) => true,
                _ => step.forward.began.is_some(),
            })
        };
        // A step that is not there must not keep the run open.
        let all = || state.steps.iter().all(|step| step.forward.state.settled());
        let over = |id: &StepId| state.step(id).map_or_else(all, |(_, step)| step.forward.state.settled());
        if run.began.is_none() && begun(&watch.from) && !over(&watch.until) && state.rollback.is_none() {
            return vec![Event::WatchBegan { watch: watch.id.clone() }];
        }
        if run.began.is_some() && run.ended.is_none() {
            if over(&watch.until) || state.rollback.is_some() {
                return vec![Event::WatchEnded { watch: watch.id.clone() }];
            }
            if run.bad >= watch.breach_after && !run.breached {
                let mut events = vec![Event::WatchBreached { watch: watch.id.clone(), samples: run.bad }];
                if watch.hold && state.hold.is_none() {
                    events.push(Event::Held { why: HoldWhy::Breach(watch.id.clone()), by: None });
                }
                return events;
            }
        }
    }
    Vec::new()
}

/// The next rollback step: each is asked for, then runs alone.
fn go_back(state: &RunState) -> Vec<Event> {
    let Some(rollback) = &state.rollback else { return Vec::new() };
    // A step that was still at work when going back was decided comes to its end first.
    if state.busy() {
        return Vec::new();
    }
    for &i in &rollback.order {
        let Some(back) = &state.steps[i].back else { continue };
        let id = state.outlines()[i].id.clone();
        match &back.state {
            StepState::Settled(_) => {}
            StepState::Pending => return vec![Event::Asked { step: id, back: true }],
            StepState::Ready => return vec![start(state, i, What::Undo)],
            StepState::AtStopPoint | StepState::Running | StepState::RetryWait { .. } | StepState::NeedsDecision(_) => {
                return Vec::new();
            }
        }
    }
    let skipped = rollback.order.iter().any(|&i| {
        matches!(
            state.steps[i].back.as_ref().map(|b| &b.state),
            Some(StepState::Settled(Gate::Otherwise(Settlement::Skipped(_))))
        )
    });
    let ending = if skipped || !rollback.left.is_empty() { Ending::RolledBackInPart } else { Ending::RolledBack };
    vec![Event::Ended { ending }]
}

/// The next forward steps: everything whose needs are settled, in the order of the file.
fn go_on(state: &RunState, outline: &Outline, now: Stamp) -> Vec<Event> {
    let mut events = Vec::new();
    let Agenda { active, due, open, .. } = &state.agenda;
    let at_work = active.iter().map(|&i| (&state.steps[i], &outline.steps[i]));
    let mut manual_owners: Vec<&crate::base::PersonId> = at_work
        .filter(|(run, step)| {
            step.manual && matches!(run.forward.state, StepState::Running | StepState::RetryWait { .. })
        })
        .map(|(_, step)| &step.owner)
        .collect();
    for &i in active.union(due) {
        let step = &outline.steps[i];
        let run = &state.steps[i].forward;
        let due = match run.state {
            StepState::Pending | StepState::Ready => true,
            StepState::RetryWait { not_before } => not_before <= now.elapsed,
            StepState::AtStopPoint | StepState::Running | StepState::NeedsDecision(_) | StepState::Settled(_) => false,
        };
        if !due {
            continue;
        }
        if run.state == StepState::Pending {
            let left = match &step.treatment {
                Treatment::Leave(reason) => Some(Settlement::NotRun(reason.clone())),
                Treatment::LeftOut(reason) => Some(Settlement::LeftOut(reason.clone())),
                Treatment::Do | Treatment::ReadOnly => None,
            };
            if let Some(settlement) = left {
                events.push(Event::Settled { step: step.id.clone(), back: false, settlement });
                return events;
            }
            if step.asks() {
                // Asking blocks everything else, so it comes alone.
                if events.is_empty() {
                    events.push(Event::Asked { step: step.id.clone(), back: false });
                }
                return events;
            }
        }
        if crosses(state, step) {
            events.push(Event::NoReturnCrossed { step: step.id.clone() });
        }
        if !step.works {
            events.push(Event::Settled { step: step.id.clone(), back: false, settlement: Settlement::Decided });
            return events;
        }
        if step.manual {
            if manual_owners.contains(&&step.owner) {
                continue;
            }
            manual_owners.push(&step.owner);
        }
        events.push(start(state, i, What::Do));
    }
    if events.is_empty() && open.is_empty() && state.watches_over() {
        events.push(Event::Ended { ending: ending(state) });
    }
    events
}

/// A step that sends nothing writes no intent: it is crossed where it starts.
fn crosses(state: &RunState, step: &StepOutline) -> bool {
    step.no_return && !step.changes && step.treatment == Treatment::Do && state.crossed.is_none()
}

fn ending(state: &RunState) -> Ending {
    let plain = state.steps.iter().all(|step| match &step.forward.state {
        StepState::Settled(Gate::Otherwise(
            Settlement::ByHand(_) | Settlement::Skipped(_) | Settlement::FailedGoOn(_),
        )) => false,
        StepState::Settled(Gate::Done | Gate::Otherwise(_)) => true,
        _ => false,
    });
    let partial = state.outline.as_ref().is_some_and(|outline| outline.partial());
    if plain && !partial { Ending::Completed } else { Ending::WithExceptions }
}

//! The question after a step that did not end well: it failed, or nobody saw how it ended.

use super::{
    super::{choice::failure_choices, words::spoken},
    Ask, AskKind, FailAsk, id, waited,
};
use crate::{
    base::{Stamp, short_duration},
    run::{AttemptRun, Finding, Leg, LegRun, RunState, StepOutline, StepRun, Timing, Why},
};

impl Ask {
    pub(super) fn failure(
        state: &RunState,
        timing: &Timing,
        now: Stamp,
        (i, leg): (usize, Leg),
        why: &Why,
    ) -> Option<Self> {
        let step = &state.outlines()[i];
        let run = &state.steps[i];
        let leg_run = run.leg(leg)?;
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
        Some(Self::Failure(FailAsk {
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
        }))
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
        // A step that was declared to have no way back is none to take back, and has changed something all the same.
        return match state.steps.iter().filter(|run| run.touched).count() {
            0 => "Nothing has been changed so far.".into(),
            1 => "1 step may have changed something, and has no way back.".into(),
            n => format!("{n} steps may have changed something, and none has a way back."),
        };
    }
    let bar = &timing.bar;
    let steps = if bar.undo_steps == 1 { "step" } else { "steps" };
    let risky = match bar.risky_steps.len() {
        0 => String::new(),
        risky => format!("; {risky} without a tried way back"),
    };
    format!("Rollback is {}: {} {steps}, ~{}{risky}.", bar.state.word(), bar.undo_steps, spoken(bar.undo))
}

//! The rows of the step table: fixed words and figures, so that a renderer only has to place them.

use super::{
    clock::Face,
    mark::{Mark, Role, shown_leg},
};
use crate::{
    base::{Stamp, StepId, short_duration, signed_duration},
    run::{Gate, Leg, RunState, Settlement, StepRun, StepState, Timing, Undo, What},
};

/// One step of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its stable name; a selection is this, never a row number.
    pub id: StepId,
    /// Its state.
    pub mark: Mark,
    /// From 1.
    pub number: usize,
    /// One line; `(2 tries)` is added where it took more than one, `(left out)` put before it where it is not done.
    pub title: String,
    /// Whose it is.
    pub owner: String,
    /// Planned time: `5m00`.
    pub plan: String,
    /// Time at work, or empty.
    pub actual: String,
    /// Difference, what is left, or when it is expected to start.
    pub delta: String,
    /// How the difference is to be seen.
    pub delta_role: Role,
    /// The heading that begins with this step.
    pub phase: Option<String>,
    /// The line of no return stands above this step.
    pub no_return: bool,
    /// It is settled.
    pub over: bool,
    /// The night is at it: it is at work, or people are asked about it.
    pub now: bool,
}

/// Questions about a moment that several parts of the board ask.
pub(super) struct Now;

impl Now {
    /// The owner's word is awaited.
    pub(super) fn awaits_owner(run: &StepRun) -> bool {
        run.attempts.last().is_some_and(|a| a.what == What::Do && a.alive() && a.intended && a.owner_done.is_none())
    }
}

/// All rows, in the order of the file.
pub(super) fn rows(state: &RunState, timing: &Timing, now: Stamp, face: &Face) -> Vec<Row> {
    let (Some(outline), Some(opened)) = (&state.outline, state.opened) else { return Vec::new() };
    let mut phase = None;
    let mut rows = Vec::with_capacity(outline.steps.len());
    for (i, (step, run)) in outline.steps.iter().zip(&state.steps).enumerate() {
        let times = &timing.steps[i];
        let (leg, leg_run) = shown_leg(run);
        let heading = step.phase.clone().filter(|name| phase.as_ref() != Some(name));
        if heading.is_some() {
            phase.clone_from(&step.phase);
        }
        let (actual, delta, delta_role) = match leg {
            Leg::Forward => {
                let actual = times.actual.map(short_duration).unwrap_or_default();
                let (delta, role) = forward_delta(&run.forward.state, times.variance_ms, || {
                    // Nothing is expected of a run that is over or goes back.
                    let expected = state.ended.is_none() && state.rollback.is_none();
                    if expected { format!("~{}", face.expected(opened, times.starts)) } else { String::new() }
                });
                (actual, delta, role)
            }
            Leg::Back => {
                let running = leg_run.state == StepState::Running;
                let spent = leg_run.since.filter(|_| running).map(|since| now - since).unwrap_or_default();
                let actual = leg_run.began.map(|_| short_duration(leg_run.worked + spent)).unwrap_or_default();
                let left = if leg_run.state.settled() { "undone" } else { "to undo" };
                (actual, left.to_owned(), Role::Back)
            }
        };
        let tries = run.attempts.iter().filter(|attempt| attempt.what == What::Do).count();
        let out = step.left_out().is_some();
        let title = if out {
            format!("(left out) {}", step.title)
        } else if tries > 1 {
            format!("{} ({tries} tries)", step.title)
        } else {
            step.title.clone()
        };
        rows.push(Row {
            id: step.id.clone(),
            mark: Mark::of(state, step, run),
            number: i + 1,
            title,
            owner: step.owner.to_string(),
            plan: if out { String::new() } else { short_duration(step.planned) },
            actual,
            delta: if out { String::new() } else { delta },
            delta_role,
            phase: heading,
            no_return: step.closes(),
            over: leg_run.state.settled(),
            now: matches!(
                leg_run.state,
                StepState::AtStopPoint | StepState::Running | StepState::RetryWait { .. } | StepState::NeedsDecision(_)
            ),
        });
        // A step that has no way back keeps its place in a rollback and says so.
        if state.rollback.is_some()
            && run.back.is_none()
            && run.touched
            && matches!(step.undo, Undo::None(_))
            && let Some(row) = rows.last_mut()
        {
            row.delta = "stays".into();
            row.delta_role = Role::Warn;
        }
    }
    rows
}

fn forward_delta(state: &StepState, variance_ms: Option<i64>, starts: impl Fn() -> String) -> (String, Role) {
    let signed = |ms: i64| {
        // Less than a tenth of a second over is not lateness; what is late by half a minute is.
        let role = if ms > 30_000 { Role::Warn } else { Role::Plain };
        (signed_duration(ms), role)
    };
    match (state, variance_ms) {
        (StepState::Pending, _) => (starts(), Role::Dim),
        (StepState::Settled(Gate::Otherwise(Settlement::NotRun(_) | Settlement::LeftOut(_))), _) => {
            (String::new(), Role::Dim)
        }
        (_, Some(ms)) => signed(ms),
        (_, None) => (String::new(), Role::Plain),
    }
}

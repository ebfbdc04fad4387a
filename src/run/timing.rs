//! Late or not, until when, and whether going back is still possible: figures from the state and a
//! moment. Nothing here is stored; every view asks again.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};

use super::{
    outline::{Outline, StepOutline, Treatment, Undo},
    state::{Gate, Leg, RunState, StepRun, StepState},
};
use crate::{
    base::{Elapsed, Stamp},
    run::event::Settlement,
    runbook::EnvKind,
};

/// The bar says CLOSING when less than this is left to the point of no return…
const CLOSING: Duration = Duration::from_secs(300);
/// …or less than this share of the whole plan, so that a rehearsal of two minutes is not closing from the start.
const CLOSING_SHARE: u32 = 10;

/// One step's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepTiming {
    /// As planned.
    pub planned: Duration,
    /// Time at work so far; at a stop point or a manual step the time of its people, which is its work.
    pub actual: Option<Duration>,
    /// Time waiting for people beside that.
    pub waited: Duration,
    /// Actual less planned, milliseconds; for a running step negative while time is left.
    pub variance_ms: Option<i64>,
    /// When it is expected to start.
    pub starts: Elapsed,
    /// When it is expected to be settled, or was.
    pub ends: Elapsed,
}

/// When things are expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// The end of the run.
    pub end: Elapsed,
    /// The start of the no-return step, where there is one ahead.
    pub no_return: Option<Elapsed>,
    /// How much later than planned the end is, milliseconds; negative is early.
    pub late_ms: i64,
}

/// A budget's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Time on the clock.
    pub used: Duration,
    /// The budget, where the file has one.
    pub budget: Option<Duration>,
    /// It is running.
    pub running: bool,
}

impl Budget {
    /// True where more was used than allowed.
    #[must_use]
    pub fn over(&self) -> bool {
        self.budget.is_some_and(|budget| self.used > budget)
    }
}

/// Whether going back is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BarState {
    /// Everything done so far can be taken back.
    Open,
    /// Something done so far has no undo, or one that was never tried.
    Risky,
    /// The point of no return is next, or near.
    Closing,
    /// It is crossed.
    Closed,
}

impl BarState {
    /// The state's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Risky => "RISKY",
            Self::Closing => "CLOSING",
            Self::Closed => "CLOSED",
        }
    }
}

/// The rollback bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// In a word.
    pub state: BarState,
    /// How long going back would take: the planned times of what would be undone.
    pub undo: Duration,
    /// Steps that would be undone.
    pub undo_steps: usize,
    /// Steps done so far that have no undo, or (in a live run) one that was never tried.
    pub risky_steps: Vec<usize>,
    /// The no-return step, where there is one.
    pub no_return: Option<usize>,
    /// Unsettled steps before it.
    pub steps_left: usize,
}

/// All figures of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// By step.
    pub steps: Vec<StepTiming>,
    /// What is ahead.
    pub forecast: Forecast,
    /// Writes frozen.
    pub freeze: Budget,
    /// Users see an outage.
    pub downtime: Budget,
    /// The rollback bar.
    pub bar: Bar,
    /// Planned end of the run, steady clock.
    pub planned_end: Elapsed,
    /// The whole plan along its longest chain.
    pub planned_total: Duration,
}

impl Timing {
    /// The figures of a state at a moment.
    #[must_use]
    pub fn of(state: &RunState, now: Stamp) -> Option<Self> {
        let outline = state.outline.as_ref()?;
        let opened = state.opened?;
        let now = state.ended.and(state.last).unwrap_or(now);
        let planned_total = planned_total(outline);
        let start = outline.window.start.map_or(opened.at, |start| start.to_utc());
        // Counted from the planned start, also where that lies before the opening: whoever begins late is late.
        let planned_end = to_elapsed(opened, start, planned_total);
        let steps = step_timings(state, outline, now);
        let end = steps.iter().map(|step| step.ends).max().unwrap_or(now.elapsed).max(Elapsed(0));
        let no_return = outline.steps.iter().position(|step| step.no_return);
        let ahead = no_return.filter(|&i| {
            let settled = state.steps[i].forward.state.settled();
            state.crossed.is_none() && state.rollback.is_none() && !settled && in_plan(&outline.steps[i])
        });
        // In wall time: the planned end may lie before the opening, where the steady clock has no moments.
        let late_ms =
            (opened.at - start).num_milliseconds() + signed(end.since(opened.elapsed)) - signed(planned_total);
        let forecast = Forecast { end, no_return: ahead.map(|i| steps[i].starts), late_ms };
        let bar = bar(state, outline, now, (no_return, ahead), forecast.no_return, planned_total);
        let budget = |clock: &super::state::Clock, budget| Budget {
            used: clock.read(now.elapsed),
            budget,
            running: clock.since.is_some() && state.ended.is_none(),
        };
        Some(Self {
            forecast,
            freeze: budget(&state.freeze, outline.window.freeze_budget),
            downtime: budget(&state.downtime, outline.window.downtime_budget),
            bar,
            steps,
            planned_end,
            planned_total,
        })
    }
}

fn signed(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The moment `by` after a wall time on the run's steady clock; before its zero it is zero.
fn to_elapsed(opened: Stamp, at: DateTime<Utc>, by: Duration) -> Elapsed {
    let ms = (at - opened.at).num_milliseconds().saturating_add(signed(by));
    Elapsed(opened.elapsed.0.saturating_add_signed(ms))
}

fn in_plan(step: &StepOutline) -> bool {
    !matches!(step.treatment, Treatment::Leave(_) | Treatment::LeftOut(_))
}

/// The longest chain of planned durations along `needs`.
fn planned_total(outline: &Outline) -> Duration {
    let index = outline.index();
    let mut ends: HashMap<usize, Duration> = HashMap::with_capacity(outline.steps.len());
    // The file may name later steps in `needs`; a plan is acyclic, so going round until nothing changes ends.
    let mut longest = Duration::ZERO;
    let mut open: Vec<usize> = (0..outline.steps.len()).collect();
    while !open.is_empty() {
        let before = open.len();
        open.retain(|&i| {
            let step = &outline.steps[i];
            let mut begin = Duration::ZERO;
            for need in &step.needs {
                let Some(end) = index.get(need).and_then(|j| ends.get(j)) else { return true };
                begin = begin.max(*end);
            }
            let end = begin + if in_plan(step) { step.planned } else { Duration::ZERO };
            longest = longest.max(end);
            ends.insert(i, end);
            false
        });
        if open.len() == before {
            break;
        }
    }
    longest
}

fn step_timings(state: &RunState, outline: &Outline, now: Stamp) -> Vec<StepTiming> {
    let index = outline.index();
    let zero = StepTiming {
        planned: Duration::ZERO,
        actual: None,
        waited: Duration::ZERO,
        variance_ms: None,
        starts: Elapsed(0),
        ends: Elapsed(0),
    };
    let mut timings = vec![zero; outline.steps.len()];
    let mut known = vec![false; outline.steps.len()];
    let mut open: Vec<usize> = (0..outline.steps.len()).collect();
    while !open.is_empty() {
        let before = open.len();
        open.retain(|&i| {
            let step = &outline.steps[i];
            let mut ready = Elapsed(0);
            for need in &step.needs {
                match index.get(need) {
                    Some(&j) if known[j] => ready = ready.max(timings[j].ends),
                    Some(_) => return true,
                    None => {}
                }
            }
            timings[i] = one(step, &state.steps[i], ready, now);
            known[i] = true;
            false
        });
        if open.len() == before {
            break;
        }
    }
    timings
}

fn one(step: &StepOutline, run: &StepRun, ready: Elapsed, now: Stamp) -> StepTiming {
    let leg = &run.forward;
    let spent = leg.since.map_or(Duration::ZERO, |since| now - since);
    let mut worked = leg.worked;
    let mut waited = leg.waited;
    match &leg.state {
        StepState::AtStopPoint | StepState::NeedsDecision(_) => waited += spent,
        StepState::Running if waits_for_owner(step, run) => waited += spent,
        StepState::Running | StepState::RetryWait { .. } => worked += spent,
        StepState::Pending | StepState::Ready | StepState::Settled(_) => {}
    }
    // People are what a stop point and a manual step wait for by plan.
    let people_planned = step.manual || !step.works;
    let begun = leg.since.is_some();
    let (actual, waited) = match (begun, people_planned) {
        (false, _) => (None, Duration::ZERO),
        (true, true) => (Some(worked + waited), Duration::ZERO),
        (true, false) => (Some(worked), waited),
    };
    let not_run =
        matches!(leg.state, StepState::Settled(Gate::Otherwise(Settlement::NotRun(_) | Settlement::LeftOut(_))));
    let actual = actual.filter(|_| !not_run);
    let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    let variance_ms = actual.map(|actual| millis(actual) - millis(step.planned));
    let left = step.planned.saturating_sub(actual.unwrap_or_default());
    let (starts, ends) = match &leg.state {
        StepState::Settled(_) => {
            let settled = leg.settled.map_or(now.elapsed, |s| s.elapsed);
            (leg.began.map_or(settled, |s| s.elapsed), settled)
        }
        StepState::Pending => {
            let starts = ready.max(now.elapsed);
            let length = if in_plan(step) { step.planned } else { Duration::ZERO };
            (starts, starts.after(length))
        }
        _ => (leg.began.map_or(now.elapsed, |s| s.elapsed), now.elapsed.after(left)),
    };
    StepTiming { planned: step.planned, actual, waited, variance_ms, starts, ends }
}

fn waits_for_owner(step: &StepOutline, run: &StepRun) -> bool {
    step.manual && run.attempts.last().is_some_and(|a| a.intended && a.owner_done.is_none())
}

fn bar(
    state: &RunState,
    outline: &Outline,
    now: Stamp,
    (no_return, ahead): (Option<usize>, Option<usize>),
    expected: Option<Elapsed>,
    planned_total: Duration,
) -> Bar {
    let live = outline.env.kind == EnvKind::Live;
    let mut undo = Duration::ZERO;
    let mut undo_steps = 0;
    let mut risky_steps = Vec::new();
    for (i, (step, run)) in outline.steps.iter().zip(&state.steps).enumerate() {
        if !run.touched {
            continue;
        }
        if step.undoable() {
            undo += step.planned;
            undo_steps += 1;
        }
        let stuck = matches!(run.leg(Leg::Back).map(|b| &b.state), Some(StepState::NeedsDecision(_)));
        if matches!(step.undo, Undo::None(_)) || stuck || (live && step.undoable() && !step.undo_tested) {
            risky_steps.push(i);
        }
    }
    let unsettled = |i: usize| {
        let before = &state.steps[..i];
        before.iter().filter(|step| !step.forward.state.settled()).count()
    };
    let steps_left = ahead.map_or(0, unsettled);
    let near = CLOSING.min(planned_total / CLOSING_SHARE);
    let closing = ahead.is_some()
        && (steps_left == 0 || expected.is_some_and(|at| at.since(now.elapsed) < near))
        && state.steps.iter().any(|step| step.forward.state != StepState::Pending);
    let bar_state = match (&state.crossed, closing, risky_steps.is_empty()) {
        (Some(_), ..) => BarState::Closed,
        (None, true, _) => BarState::Closing,
        (None, false, false) => BarState::Risky,
        (None, false, true) => BarState::Open,
    };
    Bar { state: bar_state, undo, undo_steps, risky_steps, no_return, steps_left }
}

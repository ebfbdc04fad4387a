//! Floor 1: the pure core of a run. Inputs go in, facts come out; no clock, file, socket or task is
//! known here.
//!
//! ```text
//! handle(&state, input, now) ── decide ──▶ events ─┐        a Refusal changes nothing
//!                                 ▲                ▼
//!                              advance ◀──── evolve(state, event)     until advance has nothing to add
//! ```
//!
//! [`RunState`] is the fold of the events, so that a journal replayed ends where the night ended.
//! [`RunState::wanted`] says which attempts ought to be alive: start, crash, resume and abort are one path.

mod account;
mod advance;
mod agenda;
mod auto;
mod decide;
mod envelope;
mod event;
mod evolve;
mod fact;
mod hands;
mod input;
mod outline;
mod state;
mod timing;
mod token;
mod vote;
mod wanted;

pub use auto::answer as auto_answer;
pub use envelope::Envelope;
pub use event::{
    Decision, Ending, Event, HoldWhy, Intended, Opened, Outcome, Resumed, Settlement, UnknownEvent, Where,
};
pub use fact::{Done, Doubt, Finding, Identity, Seen};
pub use hands::{Hands, Tick, ValueRule, looks_secret};
pub use input::{Input, Intent, Refusal, Report, Sample};
pub use outline::{
    EnvOutline, LeftOut, LeftOutCount, Mode, Outline, StepOutline, StopOutline, Treatment, Undo, WatchOutline,
    WindowOutline, ms, opt_ms,
};
pub use state::{
    AttemptRun, Criterion, Crossing, Gate, Hold, Leg, LegRun, Note, RollbackRun, RunState, StepRun, StepState,
    WatchRun, What, Why,
};
pub use timing::{Bar, BarState, Budget, Forecast, StepTiming, Timing};
pub use vote::{Ballot, Via};
pub use wanted::{Wanted, WantedCriteria};

use crate::base::Stamp;

/// Bound of the rounds of `advance`: each round settles or starts something, so a run of 2,000 steps
/// that are all skipped needs 2,000; more than this is a defect, not a runbook.
const ROUNDS: usize = 20_000;

/// What follows from an input: the events, and the state after them. The only entry of the core.
///
/// # Errors
/// A [`Refusal`] where a person's intent does not fit the moment; nothing has changed then.
pub fn handle(state: &mut RunState, input: Input, now: Stamp) -> Result<Vec<Event>, Refusal> {
    let mut events = decide::decide(state, input, now)?;
    for event in &events {
        state.evolve(event, now);
    }
    for _ in 0..ROUNDS {
        let next = advance::advance(state, now);
        if next.is_empty() {
            break;
        }
        for event in &next {
            state.evolve(event, now);
        }
        events.extend(next);
    }
    Ok(events)
}

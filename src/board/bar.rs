//! The rollback bar in words: whether going back is possible, how long it takes, and how far it is to
//! the point of no return. Counted in steps, with the estimate behind it.

use std::time::Duration;

use super::{
    clock::Face,
    mark::Role,
    words::{number_of, settled_steps, spoken},
};
use crate::{
    base::Stamp,
    run::{BarState, Gate, Outline, RunState, Settlement, StepState, Timing},
};

/// The rollback bar in words.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rollback {
    /// `OPEN`, `RISKY`, `CLOSING`, `CLOSED`; `UNDER WAY` and `DONE` in a rollback.
    pub word: String,
    /// How it is to be seen.
    pub role: Role,
    /// `undo ~7m30s`, or since when it is closed.
    pub undo: String,
    /// `9 steps, 1 never tried`: for wide screens.
    pub undo_steps: String,
    /// The way to the point of no return, where there is one.
    pub track: Option<Track>,
    /// `no return at 16 in ~26m`.
    pub no_return: String,
    /// `(5 steps)`.
    pub left: String,
}

/// The way to the point of no return, counted in steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Track {
    /// Settled steps before it.
    pub done: usize,
    /// Steps before it.
    pub total: usize,
    /// It is crossed.
    pub crossed: bool,
}

impl Rollback {
    pub(super) fn of(state: &RunState, outline: &Outline, timing: &Timing, now: Stamp, face: &Face) -> Self {
        let bar = &timing.bar;
        let marked = bar.no_return.filter(|i| outline.steps[*i].closes()).map(|i| {
            let (done, total) = settled_steps(state, i);
            Track { done, total, crossed: state.crossed.is_some() }
        });
        if let Some(rollback) = &state.rollback {
            let all = rollback.order.len();
            let (mut done, mut not, mut ahead) = (0, Vec::new(), Duration::ZERO);
            for &i in &rollback.order {
                match state.steps[i].back.as_ref().map(|leg| &leg.state) {
                    Some(StepState::Settled(gate)) if taken_back(gate) => done += 1,
                    Some(StepState::Settled(_)) => not.push((i + 1).to_string()),
                    _ => ahead += outline.steps[i].planned,
                }
            }
            let not = if not.is_empty() { String::new() } else { format!(", not {}", not.join(", ")) };
            let over = state.ended.is_some();
            return Self {
                word: if over { "DONE".into() } else { "UNDER WAY".into() },
                role: Role::Back,
                undo: if all == 0 { "nothing undone".into() } else { format!("{done} of {all} undone{not}") },
                undo_steps: match rollback.left.len() {
                    0 => String::new(),
                    left => format!("{left} cannot be undone"),
                },
                no_return: if over { String::new() } else { format!("~{} left", spoken(ahead)) },
                ..Self::default()
            };
        }
        if let Some(crossing) = &state.crossed {
            let by: Vec<String> = crossing.by.iter().map(ToString::to_string).collect();
            let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join("+")) };
            let number = number_of(outline, &crossing.step);
            return Self {
                word: bar.state.word().into(),
                role: Role::Bad,
                undo: format!("since {} ({number}{by})", face.clock(crossing.at)),
                track: marked,
                no_return: "fix forward only".into(),
                ..Self::default()
            };
        }
        let role = match bar.state {
            BarState::Open => Role::Good,
            BarState::Risky | BarState::Closing => Role::Warn,
            BarState::Closed => Role::Bad,
        };
        let risky = bar.risky_steps.len();
        let undo = if bar.undo_steps == 0 && risky == 0 {
            "nothing to undo".to_owned()
        } else {
            format!("undo ~{}", spoken(bar.undo))
        };
        let (no_return, left) = match (bar.no_return, timing.forecast.no_return) {
            (Some(i), Some(_)) if bar.steps_left == 0 => (format!("no return: step {}", i + 1), "(next)".into()),
            (Some(i), Some(at)) => (
                format!("no return at {} in ~{}", i + 1, about(at.since(now.elapsed))),
                format!("({} step{})", bar.steps_left, if bar.steps_left == 1 { "" } else { "s" }),
            ),
            (Some(i), None) if !outline.steps[i].closes() => {
                ("no point of no return in this run".into(), String::new())
            }
            (Some(_), None) => ("no point of no return ahead".into(), String::new()),
            (None, _) => ("no point of no return in this runbook".into(), String::new()),
        };
        let mut undo_steps = format!("{} step{}", bar.undo_steps, if bar.undo_steps == 1 { "" } else { "s" });
        if risky > 0 {
            undo_steps += &format!(", {risky} without a tried way back");
        }
        Self { word: bar.state.word().into(), role, undo, undo_steps, track: marked, no_return, left }
    }
}

/// True where the settled undo of a step took it back.
fn taken_back(gate: &Gate) -> bool {
    match gate {
        Gate::Done | Gate::Otherwise(Settlement::FoundDone(_) | Settlement::ByHand(_)) => true,
        Gate::Otherwise(
            Settlement::Decided
            | Settlement::Skipped(_)
            | Settlement::FailedGoOn(_)
            | Settlement::NotRun(_)
            | Settlement::LeftOut(_),
        ) => false,
    }
}

/// A rough time: minutes from two minutes on.
fn about(d: Duration) -> String {
    match d.as_secs() {
        s if s < 120 => format!("{s}s"),
        s if s < 3600 => format!("{}m", s / 60),
        s => format!("{}h{:02}m", s / 3600, s / 60 % 60),
    }
}

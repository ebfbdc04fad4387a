//! The questions while nothing is decided: a hold that can be released, a manual step whose owner says
//! that it is done.

use super::{
    super::{
        next::{running, upcoming},
        words::{hold_words, spoken, step_words},
    },
    Ask, AskId, AskKind, HeldAsk, ManualAsk, place,
};
use crate::{
    base::{Stamp, short_duration},
    run::{AttemptRun, Hold, HoldWhy, Mode, Outline, RunState, StepOutline},
};

impl Ask {
    pub(super) fn manual(step: &StepOutline, i: usize, attempt: &AttemptRun, now: Stamp) -> Self {
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

    pub(super) fn held(state: &RunState, outline: &Outline, now: Stamp, hold: &Hold) -> Self {
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

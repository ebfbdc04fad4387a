//! The questions while nothing is decided: a hold that can be released, a manual step whose owner says
//! that it is done.

use super::{
    super::{
        choice::way_back,
        clock::Face,
        next::{running, upcoming},
        words::{hold_words, spoken, step_words},
    },
    Ask, AskId, AskKind, HeldAsk, Item, ManualAsk, place, undo_words,
};
use chrono::{DateTime, FixedOffset};

use crate::{
    base::{Stamp, short_duration},
    run::{AttemptRun, Hands, Hold, HoldWhy, Leg, Mode, Outline, RunState, StepOutline},
};

impl Ask {
    pub(super) fn manual(
        state: &RunState,
        step: &StepOutline,
        (i, attempt): (usize, &AttemptRun),
        now: Stamp,
        face: &Face,
    ) -> Self {
        let leg = attempt.what.leg();
        let back = leg == Leg::Back;
        let hands = step.hands(leg).unwrap_or_default();
        let ticks = state.steps[i].leg(leg).map(|run| &run.ticks);
        let ticked = |item: usize| ticks.and_then(|ticks| ticks.get(&item));
        let item = |(i, text): (usize, &String)| Item {
            text: text.clone(),
            ticked: ticked(i).map(|tick| (tick.who.clone(), face.clock(tick.at))),
        };
        let does = match leg {
            Leg::Forward => step.does.clone(),
            Leg::Back => undo_words(&step.undo),
        };
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
            back,
            does: instructions(does, &hands),
            checklist: hands.checklist.iter().enumerate().map(item).collect(),
            why: step.why.clone().filter(|_| !back),
            verifies: if back { Vec::new() } else { step.verifies.clone() },
            asks_value: hands.value,
            value_is: hands.rule.map(|rule| rule.words()),
            waited: short_duration(now - attempt.started),
            plan: short_duration(step.planned),
        })
    }

    pub(super) fn held(state: &RunState, outline: &Outline, now: Stamp, face: &Face, hold: &Hold) -> Self {
        let more = match &hold.why {
            HoldWhy::Breach(id) => {
                let title = outline.watches.iter().find(|watch| &watch.id == id).map(|watch| watch.title.clone());
                let last = state.watches.iter().find(|watch| &watch.id == id).and_then(|watch| watch.latest.clone());
                title.into_iter().chain(last.map(|(_, _, _, line)| format!("last sample: {line}"))).collect()
            }
            HoldWhy::Start => {
                let all = outline.steps.len();
                let here = || outline.steps.iter().filter(|step| step.part() && step.left_out().is_none());
                let stops = here().filter(|step| step.asks()).count();
                let total: std::time::Duration = here().map(|step| step.planned).sum();
                let new = here().filter(|step| !step.rehearsed).count();
                let rehearsed = match (new, here().count()) {
                    (0, _) => "every step was part of a green rehearsal as it is now".to_owned(),
                    (new, all) if new == all => "NOTHING of this was ever rehearsed as it is now".to_owned(),
                    (new, _) => format!("{new} steps were not part of a green rehearsal as they are now"),
                };
                let steps = match here().count() {
                    part if part < all => format!("{part} of {all} steps"),
                    _ => format!("{all} steps"),
                };
                let size = format!("{steps}, {} of planned work, people are asked {stops} times", spoken(total));
                [outline.title.clone(), size]
                    .into_iter()
                    .chain(window_words(outline, now, face))
                    .chain([rehearsed])
                    .collect()
            }
            _ => Vec::new(),
        };
        let undo_of = if state.rollback.is_some() { "undo of " } else { "" };
        Self::Held(HeldAsk {
            id: AskId { kind: AskKind::Held, step: None, since: hold.since.elapsed, round: 0 },
            start: hold.why == HoldWhy::Start,
            way_back: way_back(state),
            by_person: matches!(hold.why, HoldWhy::Person | HoldWhy::NoGo(_) | HoldWhy::Left),
            why: hold_words(state, hold),
            more,
            waited: short_duration(now - hold.since),
            running: running(state).into_iter().map(|i| step_words(outline, i)).collect(),
            next: upcoming(state, outline).map(|i| undo_of.to_owned() + &step_words(outline, i)).unwrap_or_default(),
            place: place(outline),
            releasable: !matches!(hold.why, HoldWhy::JournalFailed(_)),
            quick: outline.mode == Mode::Rehearse,
        })
    }
}

/// `the window is 2026-12-06 01:30 to 04:00: it begins in 3h12m`.
fn window_words(outline: &Outline, now: Stamp, face: &Face) -> Option<String> {
    let stamp = |at: DateTime<FixedOffset>| Stamp { at: at.to_utc(), ..now };
    let (start, end) = (outline.window.start?, outline.window.end);
    let until = end.map(|at| format!(" to {}", face.wall_minute(stamp(at)))).unwrap_or_default();
    let from = format!("{} {}", face.date(stamp(start)), face.wall_minute(stamp(start)));
    let away = |at: DateTime<FixedOffset>| spoken((at.to_utc() - now.at).abs().to_std().unwrap_or_default());
    let where_now = match end {
        _ if now.at < start.to_utc() => format!("it begins in {}", away(start)),
        Some(end) if now.at >= end.to_utc() => format!("IT IS OVER since {}", away(end)),
        _ => format!("it began {} ago", away(start)),
    };
    Some(format!("the window is {from}{until}: {where_now}"))
}

/// What is to be done, without what is ticked off and written down: those stand apart.
pub(in crate::board) fn instructions(does: Vec<String>, hands: &Hands) -> Vec<String> {
    let apart = |line: &str| {
        let item = line.strip_prefix("[ ] ").is_some_and(|item| hands.checklist.iter().any(|it| it == item));
        let value = line.strip_prefix("write down: ").is_some_and(|value| hands.value.as_deref() == Some(value));
        item || value
    };
    does.into_iter().filter(|line| !apart(line)).collect()
}

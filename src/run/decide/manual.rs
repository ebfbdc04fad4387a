//! A step by hand: what its owner ticks off, and their word that it is done.

use super::{place, reason_of};
use crate::{
    base::{PersonId, StepId, clean, clean_line},
    run::{
        event::Event,
        hands::{Hands, looks_secret},
        input::Refusal,
        state::{AttemptRun, Leg, RunState},
    },
};

/// Longest value that is written down, and longest reason, bytes.
const TEXT: usize = 500;

/// A step that waits for its owner's word.
struct Waiting<'s> {
    at: usize,
    leg: Leg,
    attempt: &'s AttemptRun,
    hands: Hands,
}

fn waiting<'s>(state: &'s RunState, step: &StepId) -> Result<Waiting<'s>, Refusal> {
    let at = state.position(step).ok_or_else(|| Refusal::NoSuchStep(step.clone()))?;
    let found = state.awaiting_owner().find(|(i, _)| *i == at);
    let leg = found.map(|(_, attempt)| attempt.what.leg());
    let hands = leg.and_then(|leg| state.outlines().get(at)?.hands(leg));
    match (found, leg, hands) {
        (Some((_, attempt)), Some(leg), Some(hands)) => Ok(Waiting { at, leg, attempt, hands }),
        _ => Err(place(state, step)?.not_asked()),
    }
}

/// One thing ticked off, or not any more. The same word twice is one.
pub(super) fn tick(
    state: &RunState,
    step: StepId,
    (item, on): (usize, bool),
    who: &PersonId,
    typed_by: &PersonId,
) -> Result<Vec<Event>, Refusal> {
    let Waiting { at, leg, attempt, hands } = waiting(state, &step)?;
    if item >= hands.checklist.len() {
        return Err(Refusal::NoSuchItem { item: item.saturating_add(1), items: hands.checklist.len() });
    }
    if state.unticked(at, leg).contains(&item) != on {
        return Ok(Vec::new());
    }
    let (who, typed_by) = (who.clone(), typed_by.clone());
    Ok(vec![Event::Ticked { step, attempt: attempt.number, item, on, who, typed_by }])
}

/// It is done: with its value, and with a reason where something was not ticked off.
pub(super) fn done(
    state: &RunState,
    step: StepId,
    (value, reason): (Option<String>, Option<String>),
    who: &PersonId,
    typed_by: &PersonId,
) -> Result<Vec<Event>, Refusal> {
    let Waiting { at, leg, attempt, hands } = waiting(state, &step)?;
    let value = value.map(|v| clean_line(v.trim(), TEXT)).filter(|v| !v.is_empty());
    match (&hands.value, &value) {
        (Some(asked), None) => return Err(Refusal::ValueMissing(asked.clone())),
        (Some(asked), Some(value)) => fits(state, &hands, asked, value)?,
        (None, _) => {}
    }
    let mut unticked = Vec::new();
    let mut numbers = Vec::new();
    for item in state.unticked(at, leg) {
        numbers.push((item + 1).to_string());
        unticked.push(hands.checklist[item].clone());
    }
    if !unticked.is_empty() {
        let of = hands.checklist.len();
        let what = format!("{} of {of} are not ticked off: {}", unticked.len(), numbers.join(", "));
        reason_of(reason.as_deref().unwrap_or(""), &what)?;
    }
    let reason = reason.map(|r| clean(r.trim(), TEXT)).filter(|r| !r.is_empty());
    let (who, typed_by) = (who.clone(), typed_by.clone());
    Ok(vec![Event::OwnerSaidDone { step, attempt: attempt.number, who, typed_by, value, unticked, reason }])
}

fn fits(state: &RunState, hands: &Hands, asked: &str, value: &str) -> Result<(), Refusal> {
    if let Some(looks) = looks_secret(value) {
        return Err(Refusal::LooksSecret { asked: asked.to_owned(), looks });
    }
    // An automatic rehearsal has nothing to write down.
    let automatic = state.auto_go && value == super::super::auto::VALUE;
    match &hands.rule {
        Some(rule) if !automatic && !rule.fits(value) => {
            Err(Refusal::BadValue { asked: asked.to_owned(), wants: rule.words() })
        }
        _ => Ok(()),
    }
}

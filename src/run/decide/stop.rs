//! A stop point's answers: a vote, which informs, and what stands against the go of the one who decides.

use super::place;
use crate::{
    base::{PersonId, Stamp, StepId, clean_line},
    run::{
        event::Event,
        input::Refusal,
        state::{Leg, RunState, StepState},
        vote::{Ballot, Via},
        wanted::STALE,
    },
};

/// Longest reason of a vote, bytes: it has to be read beside the question.
const REASON: usize = 200;

/// A vote. `opening`: the one that its voter saw, where it comes from another terminal. The same word said
/// twice is one vote.
pub(super) fn vote(
    state: &RunState,
    opening: Option<u32>,
    ballot: Ballot,
    step: StepId,
) -> Result<Vec<Event>, Refusal> {
    let (_, run) = state.step(&step).ok_or_else(|| Refusal::NoSuchStep(step.clone()))?;
    let place = place(state, &step)?;
    let Some(stop) = &place.outline.stop else { return Err(Refusal::NoStopPoint(step)) };
    let decided = |go: bool| match &run.answer {
        Some((who, said, _)) if *said == go => Err(Refusal::Decided { step: step.clone(), who: who.clone(), go }),
        _ => Err(place.not_asked()),
    };
    if place.leg == Leg::Back {
        return Err(place.not_asked());
    }
    if place.run.gone {
        return decided(true);
    }
    if place.run.state != StepState::AtStopPoint {
        return Err(place.not_asked());
    }
    if opening.is_some_and(|opening| opening != run.opening) {
        return decided(false);
    }
    if !stop.voters.contains(&ballot.who) {
        return Err(Refusal::NotAVoter { who: ballot.who, step });
    }
    let reason = ballot.reason.map(|r| clean_line(r.trim(), REASON)).filter(|r| !r.is_empty());
    let Ballot { who, typed_by, go, via, .. } = ballot;
    let sits = |via: &Option<Via>| via.as_ref().map(|via| via.from.clone());
    let same = |cast: &Ballot| {
        cast.go == go && cast.reason == reason && cast.typed_by == typed_by && sits(&cast.via) == sits(&via)
    };
    if run.vote(&who).is_some_and(same) {
        return Ok(Vec::new());
    }
    Ok(vec![Event::Voted { step, who, typed_by, go, reason, via }])
}

/// What stands against a go: red criteria, missing or contrary votes. Errors where it is not asked,
/// not this person's to decide, or a criterion has no answer yet.
pub(super) fn against(state: &RunState, step: &StepId, who: &PersonId, now: Stamp) -> Result<Vec<String>, Refusal> {
    let place = place(state, step)?;
    let Some(stop) = &place.outline.stop else { return Err(place.not_asked()) };
    let Some((_, run)) = state.step(step) else { return Err(place.not_asked()) };
    if let (true, Some((who, true, _))) = (place.run.gone, &run.answer) {
        return Err(Refusal::Decided { step: step.clone(), who: who.clone(), go: true });
    }
    if place.leg == Leg::Back || place.run.state != StepState::AtStopPoint {
        return Err(place.not_asked());
    }
    let lead = state.outline.as_ref().map(|outline| &outline.lead);
    if who != &stop.decides && Some(who) != lead {
        return Err(Refusal::NotTheDecider { who: who.clone(), step: step.clone(), decides: stop.decides.clone() });
    }
    let mut against = Vec::new();
    for (criterion, words) in run.criteria.iter().zip(&stop.criteria) {
        let fresh = criterion.at.is_some_and(|at| now - at < STALE);
        match criterion.ok {
            Some(true) if fresh => {}
            Some(false) => against.push(format!("{words}: {}", criterion.line)),
            Some(true) | None => return Err(Refusal::CriteriaPending(step.clone())),
        }
    }
    for voter in &stop.voters {
        match run.vote(voter) {
            Some(ballot) if ballot.go => {}
            Some(_) => against.push(format!("{voter} voted no-go")),
            None => against.push(format!("{voter} has not voted")),
        }
    }
    Ok(against)
}

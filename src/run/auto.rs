//! `--auto-go`: the answers of a rehearsal without people. Go at every stop point and no-return once
//! the criteria are green, and one retry a step at a failure that is known to have done nothing.

use super::{
    fact::Finding,
    input::Intent,
    state::{Leg, RunState, StepState, Why},
};
use crate::base::{Failure, PersonId};

/// What an automatic rehearsal writes down, and why it ticks nothing off.
pub(super) const VALUE: &str = "auto-go";

/// The next answer, and whose it is; `None` where nothing is asked, or where a person has to decide.
#[must_use]
pub fn answer(state: &RunState) -> Option<(PersonId, Intent)> {
    let outline = state.outline.as_ref()?;
    let operator = state.operator.clone()?;
    if !state.auto_go || state.hold.is_some() || state.ended.is_some() {
        return None;
    }
    if let Some((i, attempt)) = state.awaiting_owner().next() {
        let step = &outline.steps[i];
        let hands = step.hands(attempt.what.leg()).unwrap_or_default();
        let value = hands.value.map(|_| VALUE.to_owned());
        // Nobody looked: that is what the record says, instead of ticks that nobody made.
        let reason = (!state.unticked(i, attempt.what.leg()).is_empty()).then(|| VALUE.to_owned());
        return Some((step.owner.clone(), Intent::OwnerDone { step: step.id.clone(), value, reason }));
    }
    let (i, leg) = state.asking()?;
    let step = &outline.steps[i];
    let run = state.steps[i].leg(leg)?;
    let id = step.id.clone();
    match (&run.state, leg) {
        (StepState::AtStopPoint, Leg::Back) => Some((operator, Intent::Confirm { step: id, typed: "undo".into() })),
        (StepState::AtStopPoint, Leg::Forward) => {
            if let Some(stop) = &step.stop
                && !run.gone
            {
                if run.no_go || state.steps[i].criteria.iter().any(|criterion| criterion.ok != Some(true)) {
                    return None;
                }
                // Somebody is there after all, and against it.
                if state.steps[i].votes.iter().any(|ballot| !ballot.go) {
                    return None;
                }
                if let Some(voter) = stop.voters.iter().find(|voter| state.steps[i].vote(voter).is_none()) {
                    return Some((voter.clone(), Intent::vote(id, true)));
                }
                return Some((stop.decides.clone(), Intent::Go { step: id, typed: "go".into(), reason: None }));
            }
            let confirmed = |who: &PersonId| run.confirmed.iter().any(|(name, _)| name == who);
            let first = std::iter::once(&operator).chain(outline.people.iter().map(|person| &person.id));
            let who = first.into_iter().find(|who| !confirmed(who))?.clone();
            Some((who, Intent::Confirm { step: id, typed: outline.env.confirm.clone() }))
        }
        (StepState::NeedsDecision(why), _) => {
            let nothing_done = match why {
                // That of a check afterwards says nothing about the action before it.
                Why::Failed(Failure { class, .. }) => {
                    class.nothing_done() && state.steps[i].attempts.last().is_some_and(|last| last.what.acts())
                }
                Why::InDoubt(Some(Finding::NotDone { .. })) => true,
                Why::InDoubt(_) | Why::Lost => false,
            };
            let looking = state.steps[i].attempts.iter().any(|attempt| attempt.alive());
            let first = run.asked_tries == 0 && leg == Leg::Forward;
            (nothing_done && first && !looking)
                .then(|| (operator, Intent::Retry { step: id, typed: "retry".into(), reason: None }))
        }
        _ => None,
    }
}

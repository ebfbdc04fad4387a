//! The questions before a step: go or no-go, and the confirmation of a dangerous one.

use super::{
    super::{
        clock::Face,
        next::to_come,
        words::{hold_words, spoken, step_words},
    },
    Ask, AskId, AskKind, Check, ConfirmAsk, StopAsk, Vote, id, place, undo_words, waited,
};
use crate::{
    base::{PersonId, Stamp},
    run::{HoldWhy, Leg, LegRun, Outline, RunState, StopOutline, Undo},
};

impl Ask {
    pub(super) fn stop(state: &RunState, outline: &Outline, now: Stamp, face: &Face, i: usize) -> Self {
        let step = &outline.steps[i];
        let run = &state.steps[i];
        let none = StopOutline {
            question: step.title.clone(),
            if_go: None,
            if_no_go: None,
            voters: Vec::new(),
            decides: outline.lead.clone(),
            criteria: Vec::new(),
            left_out: Vec::new(),
        };
        let stop = step.stop.as_ref().unwrap_or(&none);
        let mut checks: Vec<Check> = stop
            .criteria
            .iter()
            .zip(&run.criteria)
            .map(|(words, seen)| Check {
                ok: seen.ok,
                words: words.clone(),
                line: seen.line.clone(),
                clock: seen.at.map(|at| face.clock(at)).unwrap_or_default(),
                left_out: false,
            })
            .collect();
        checks.extend(stop.left_out.iter().map(|left| Check {
            ok: None,
            words: left.looks.clone(),
            line: format!("left out: {}", left.why),
            clock: String::new(),
            left_out: true,
        }));
        // What stands against a go must be seen even where not all of it can be.
        checks.sort_by_key(|check| match check.ok {
            Some(false) => 0,
            None if check.left_out => 2,
            None => 1,
            Some(true) => 3,
        });
        let vote = |who: &PersonId| {
            let cast = run.vote(who);
            Vote {
                who: who.clone(),
                go: cast.map(|ballot| ballot.go),
                clock: cast.map(|ballot| face.clock(ballot.at)).unwrap_or_default(),
                reason: cast.and_then(|ballot| ballot.reason.clone()),
                from: cast.and_then(|ballot| Some(ballot.via.as_ref()?.from.clone())),
                decides: who == &stop.decides,
            }
        };
        let mut votes: Vec<Vote> = stop.voters.iter().map(vote).collect();
        if !stop.voters.contains(&stop.decides) {
            votes.push(vote(&stop.decides));
        }
        let missing = stop.voters.iter().filter(|who| vote(who).go != Some(true)).count();
        let following = |j: usize| format!("{} starts", step_words(outline, j));
        let after = (i + 1..outline.steps.len()).find(|j| to_come(state, outline, *j));
        let frozen = state.freeze.since.map(|_| {
            let budget = outline.window.freeze_budget.map(|b| format!(", budget {}", spoken(b))).unwrap_or_default();
            format!(" Writes stay frozen: {} so far{budget}.", spoken(state.freeze.read(now.elapsed)))
        });
        let work = if step.works { Some(format!("{} starts", step_words(outline, i))) } else { after.map(following) };
        Self::StopPoint(StopAsk {
            id: id(AskKind::StopPoint, &run.forward, step),
            step: step.id.clone(),
            number: i + 1,
            total: outline.steps.len(),
            title: step.title.clone(),
            question: stop.question.clone(),
            waited: waited(&run.forward, now),
            against: checks.iter().filter(|check| check.ok == Some(false)).count() + missing,
            checks,
            votes,
            decides: stop.decides.clone(),
            voters: stop.voters.clone(),
            if_go: sentence(&stop.if_go.clone().or(work).unwrap_or_else(|| "the run goes on".into())),
            if_no_go: sentence(stop.if_no_go.as_deref().unwrap_or("hold here")) + &frozen.unwrap_or_default(),
            no_go: run
                .forward
                .no_go
                .then(|| format!("no-go by {}", run.forward.decided_by.as_ref().map_or("", PersonId::as_str))),
            also_held: state
                .hold
                .as_ref()
                .filter(|hold| !matches!(hold.why, HoldWhy::NoGo(_)))
                .map(|hold| hold_words(state, hold)),
        })
    }

    pub(super) fn confirm(state: &RunState, outline: &Outline, now: Stamp, i: usize, leg: Leg) -> Self {
        let step = &outline.steps[i];
        let none = LegRun::default();
        let run = state.steps[i].leg(leg).unwrap_or(&none);
        let confirmed: Vec<PersonId> = run.confirmed.iter().map(|(who, _)| who.clone()).collect();
        let (kind, lead, does, after, word, word_is) = match leg {
            Leg::Back => (
                AskKind::UndoConfirm,
                "This step is taken back.".to_owned(),
                undo_words(&step.undo),
                format!("{} is as it was before the run, then the next undo is asked for", i + 1),
                "undo".to_owned(),
                String::new(),
            ),
            Leg::Forward => {
                let (kind, lead) = if step.no_return {
                    (AskKind::NoReturn, "You are about to cross the POINT OF NO RETURN.".to_owned())
                } else {
                    (AskKind::Confirm, format!("This step needs {} people.", step.confirmations()))
                };
                let after = match (&step.after_no_return, &step.undo) {
                    (Some(after), _) if step.no_return => format!("there is no way back. {after}"),
                    (_, Undo::None(reason)) => format!("it cannot be undone: {reason}"),
                    (_, undo) => format!("it can be undone: {}", undo_words(undo).join("; ")),
                };
                let word_is = format!("the word of environment {}", outline.env.name);
                (kind, lead, step.does.clone(), after, outline.env.confirm.clone(), word_is)
            }
        };
        // A second person says who they are: the first one's keyboard is not to say it for them.
        let alone = confirmed.is_empty() || leg == Leg::Back;
        let suggested = alone.then(|| state.operator.as_ref().unwrap_or(&outline.lead).clone());
        Self::Confirm(ConfirmAsk {
            id: AskId { round: confirmed.len(), ..id(kind, run, step) },
            step: step.id.clone(),
            number: i + 1,
            title: step.title.clone(),
            lead,
            place: place(outline),
            identities: identities(state, &step.kind),
            does,
            after,
            waited: waited(run, now),
            needed: if leg == Leg::Back { 1 } else { step.confirmations() },
            suggested,
            confirmed,
            word,
            word_is,
        })
    }
}

/// Who we are where a step of this kind acts. Databases are left out: which one it is, and as whom, is said by a secret
/// of the step's own, and what is known is of the step before.
fn identities(state: &RunState, kind: &str) -> Vec<String> {
    let family = kind.split('.').next().unwrap_or(kind);
    let known = |system: &str| state.identities.iter().any(|who| who.system == system);
    let wanted = if known(family) { family } else { "aws" };
    let here = state.identities.iter().filter(|who| who.system == wanted && family != "postgres");
    here.map(|who| format!("{} {}", who.system, who.line)).collect()
}

/// With a full stop at its end.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

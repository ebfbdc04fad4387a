//! Answers an input: the events that it makes, or a typed refusal that changes nothing. Every word
//! that a person has to type is compared here and nowhere else.

mod manual;
mod stop;

use super::{
    event::{Decision, Event, HoldWhy, Intended, Outcome, Settlement},
    input::{Input, Intent, Refusal, Report},
    outline::{Outline, StepOutline, Treatment, Undo},
    state::{Gate, Leg, LegRun, RunState, StepState, What, Why},
    vote::Ballot,
};
use crate::{
    base::{PersonId, Stamp, StepId},
    run::fact::Finding,
    runbook::EnvKind,
};

/// The events that an input makes.
pub(super) fn decide(state: &RunState, input: Input, now: Stamp) -> Result<Vec<Event>, Refusal> {
    match input {
        Input::Open(opened) => {
            if state.outline.is_some() {
                return Err(Refusal::AlreadyOpen);
            }
            // A live night starts with a typed word, not with a process.
            let held = opened.outline.env.kind == EnvKind::Live && !opened.outline.dry_run;
            let mut events = vec![Event::Opened(opened)];
            if held {
                events.push(Event::Held { why: HoldWhy::Start, by: None });
            }
            Ok(events)
        }
        Input::Resume(resumed) => {
            let _open = open(state)?;
            let (auto, by) = (resumed.auto_go, resumed.operator.clone());
            let mut events = vec![Event::Resumed(resumed)];
            if auto {
                if state.hold.is_some() {
                    events.push(Event::Released { by });
                }
            } else {
                events.push(Event::Held { why: HoldWhy::Resumed, by: None });
            }
            Ok(events)
        }
        Input::Person { who, typed_by, intent } => person(state, &who, &typed_by, intent, now),
        Input::Report { step, attempt, report } => reported(state, step, attempt, report),
        Input::Criterion { step, round, index, result } => {
            let _open = open(state)?;
            let (_, run) = state.step(&step).ok_or_else(|| Refusal::NoSuchStep(step.clone()))?;
            if run.forward.state != StepState::AtStopPoint || round != run.round || index >= run.criteria.len() {
                return Err(Refusal::Stale);
            }
            let (ok, line) = match result {
                Ok(seen) => (true, seen.line),
                Err(failure) => (false, failure.message),
            };
            Ok(vec![Event::CriterionSeen { step, round, index, ok, line }])
        }
        Input::Watch { watch, sample } => {
            let known = state.watches.iter().any(|w| w.id == watch && w.began.is_some() && w.ended.is_none());
            if !known || state.ended.is_some() {
                return Err(Refusal::Stale);
            }
            // JSON has no word for what is no number.
            let value = sample.value.filter(|value| value.is_finite());
            Ok(vec![Event::WatchSampled { watch, ok: sample.ok, value, line: sample.line }])
        }
        Input::Hold(why) => {
            let _open = open(state)?;
            // The latest reason stands, the same one is not written twice, and nothing takes the place of a
            // journal that failed.
            if failed_journal(state).is_some() {
                return Ok(Vec::new());
            }
            if state.hold.as_ref().is_some_and(|hold| hold.why == why) {
                return Err(Refusal::HeldAlready);
            }
            Ok(vec![Event::Held { why, by: None }])
        }
        Input::ClockJump { wall_ms, slept } => {
            let _open = open(state)?;
            let mut events = vec![Event::ClockJumped { wall_ms, slept }];
            if state.hold.is_none() {
                events.push(Event::Held { why: HoldWhy::Clock, by: None });
            }
            Ok(events)
        }
        Input::Torn { bytes, kept_as } => Ok(vec![Event::TornTail { bytes, kept_as }]),
        Input::Due => Ok(Vec::new()),
    }
}

fn open(state: &RunState) -> Result<&Outline, Refusal> {
    match (&state.outline, state.ended) {
        (Some(outline), None) => Ok(outline),
        _ => Err(Refusal::Over),
    }
}

/// Why the journal cannot be written, where it cannot.
fn failed_journal(state: &RunState) -> Option<&String> {
    match &state.hold.as_ref()?.why {
        HoldWhy::JournalFailed(why) => Some(why),
        _ => None,
    }
}

fn word(typed: &str, wanted: &str) -> Result<(), Refusal> {
    if typed.trim() == wanted {
        return Ok(());
    }
    Err(Refusal::WrongWord { typed: crate::base::clean_line(typed, 60), wanted: wanted.to_owned() })
}

fn reason_of(reason: &str, what: &str) -> Result<String, Refusal> {
    let reason = crate::base::clean(reason.trim(), 500);
    if reason.is_empty() { Err(Refusal::NeedsReason(what.to_owned())) } else { Ok(reason) }
}

/// A step with the leg that people are asked about now.
struct Place<'s> {
    outline: &'s StepOutline,
    leg: Leg,
    run: &'s LegRun,
}

fn place<'s>(state: &'s RunState, step: &StepId) -> Result<Place<'s>, Refusal> {
    let (outline, run) = state.step(step).ok_or_else(|| Refusal::NoSuchStep(step.clone()))?;
    let (leg, run) = match &run.back {
        Some(back) => (Leg::Back, back),
        // Going back, the way forward is no question any more.
        None if state.rollback.is_some() => return Err(Refusal::RollingBack),
        None => (Leg::Forward, &run.forward),
    };
    Ok(Place { outline, leg, run })
}

impl Place<'_> {
    fn not_asked(&self) -> Refusal {
        Refusal::NotAsked { step: self.outline.id.clone(), is: self.run.state.word() }
    }

    /// What has to be decided; not while an attempt of the step (its probe) is still looking.
    fn why(&self, state: &RunState) -> Result<&Why, Refusal> {
        let looking = state.step(&self.outline.id).is_some_and(|(_, run)| run.attempts.iter().any(|a| a.alive()));
        match &self.run.state {
            StepState::NeedsDecision(_) if looking => Err(Refusal::StillRunning(self.outline.id.clone())),
            StepState::NeedsDecision(why) => Ok(why),
            _ => Err(self.not_asked()),
        }
    }
}

fn person(
    state: &RunState,
    who: &PersonId,
    typed_by: &PersonId,
    intent: Intent,
    now: Stamp,
) -> Result<Vec<Event>, Refusal> {
    let outline = match (&intent, &state.outline) {
        // The night may be talked about after it is over.
        (Intent::Note { .. }, Some(outline)) => outline.as_ref(),
        _ => open(state)?,
    };
    for name in [who, typed_by] {
        if !outline.people.iter().any(|person| &person.id == name) {
            return Err(Refusal::Stranger(name.clone()));
        }
    }
    // A decision that cannot be recorded was not taken.
    if let Some(why) = failed_journal(state)
        && !matches!(intent, Intent::Note { .. } | Intent::Abort { .. })
    {
        return Err(Refusal::JournalFailed(why.clone()));
    }
    let decided = |step: StepId, decision: Decision, reason: Option<String>, against: Vec<String>| Event::Decided {
        step,
        who: who.clone(),
        typed_by: typed_by.clone(),
        decision,
        reason: reason.map(|r| crate::base::clean(r.trim(), 500)).filter(|r| !r.is_empty()),
        against,
    };
    match intent {
        Intent::Hold => match &state.hold {
            Some(hold) if matches!(hold.why, HoldWhy::Person | HoldWhy::JournalFailed(_)) => Err(Refusal::HeldAlready),
            _ => Ok(vec![Event::Held { why: HoldWhy::Person, by: Some(who.clone()) }]),
        },
        Intent::Release { typed } => {
            if state.hold.is_none() {
                return Err(Refusal::NotHeld);
            }
            word(&typed, "go")?;
            Ok(vec![Event::Released { by: who.clone() }])
        }
        Intent::Vote { step, go, reason, opening, via } => stop::vote(
            state,
            opening,
            Ballot { who: who.clone(), typed_by: typed_by.clone(), go, reason, via, at: now },
            step,
        ),
        Intent::Go { step, typed, reason } => {
            word(&typed, "go")?;
            let against = stop::against(state, &step, who, now)?;
            if !against.is_empty() {
                reason_of(reason.as_deref().unwrap_or(""), &against.join("; "))?;
            }
            let mut events = vec![decided(step, Decision::Go, reason, against)];
            // After a no-go the run holds; the same word that turns it round lets it go on.
            if matches!(&state.hold, Some(hold) if matches!(hold.why, HoldWhy::NoGo(_))) {
                events.push(Event::Released { by: who.clone() });
            }
            Ok(events)
        }
        Intent::NoGo { step, typed, reason } => {
            word(&typed, "no-go")?;
            match stop::against(state, &step, who, now) {
                Ok(_) | Err(Refusal::CriteriaPending(_)) => {}
                Err(refusal) => return Err(refusal),
            }
            let held = Event::Held { why: HoldWhy::NoGo(step.clone()), by: Some(who.clone()) };
            Ok(vec![decided(step, Decision::NoGo, reason, Vec::new()), held])
        }
        Intent::Confirm { step, typed } => confirm(state, outline, step, &typed, who, typed_by),
        Intent::OwnerDone { step, value, reason } => manual::done(state, step, (value, reason), who, typed_by),
        Intent::Tick { step, item, on } => manual::tick(state, step, (item, on), who, typed_by),
        Intent::Retry { step, typed, reason } => {
            word(&typed, "retry")?;
            let place = place(state, &step)?;
            let unsure = match place.why(state)? {
                Why::InDoubt(None) => return Err(place.not_asked()),
                Why::InDoubt(Some(Finding::NotDone { .. })) | Why::Lost => None,
                Why::InDoubt(Some(Finding::Done(_))) => Some("it was found done"),
                Why::InDoubt(Some(Finding::Unclear { .. })) => Some("nobody knows whether it was done"),
                Why::Failed(failure) => match failure.class {
                    crate::base::Class::Unknown => Some("the outcome before is not known"),
                    _ => None,
                },
            };
            if let Some(unsure) = unsure {
                reason_of(reason.as_deref().unwrap_or(""), unsure)?;
            }
            Ok(vec![decided(step, Decision::Retry, reason, unsure.map(str::to_owned).into_iter().collect())])
        }
        Intent::ByHand { step, reason } => {
            let place = place(state, &step)?;
            if matches!(place.why(state)?, Why::InDoubt(None)) {
                return Err(place.not_asked());
            }
            let reason = reason_of(&reason, "what was done by hand")?;
            let mut events = vec![decided(step.clone(), Decision::ByHand, Some(reason.clone()), Vec::new())];
            match place.leg {
                Leg::Forward => {
                    // Whoever did it, it is done.
                    if place.outline.no_return && state.crossed.is_none() {
                        events.push(Event::NoReturnCrossed { step: step.clone() });
                    }
                    let attempt = next_attempt(state, &step);
                    events.push(Event::AttemptStarted { step, attempt, what: What::Recheck });
                }
                Leg::Back => {
                    events.push(Event::Settled { step, back: true, settlement: Settlement::ByHand(reason) });
                }
            }
            Ok(events)
        }
        Intent::Skip { step, typed, reason } => {
            word(&typed, "skip")?;
            let place = place(state, &step)?;
            place.why(state)?;
            let reason = reason_of(&reason, "what is lost by leaving it")?;
            let back = place.leg == Leg::Back;
            Ok(vec![
                decided(step.clone(), Decision::Skip, Some(reason.clone()), Vec::new()),
                Event::Settled { step, back, settlement: Settlement::Skipped(reason) },
            ])
        }
        Intent::RollBack { typed, reason } => {
            word(&typed, "rollback")?;
            roll_back(state, outline, reason, decided)
        }
        Intent::Abort { typed, reason } => {
            word(&typed, "abort")?;
            let asking = state.asking().map(|(i, _)| outline.steps[i].id.clone());
            let first = || outline.steps.first().map(|step| step.id.clone());
            let step = asking.or_else(|| last_begun(state)).or_else(first);
            let mut events: Vec<Event> =
                step.into_iter().map(|step| decided(step, Decision::Abort, reason.clone(), Vec::new())).collect();
            events.push(Event::Ended { ending: super::event::Ending::Aborted });
            Ok(events)
        }
        Intent::Note { text, step, via } => {
            let text = reason_of(&text, "a note says something")?;
            Ok(vec![Event::Noted { who: who.clone(), text, step, via }])
        }
    }
}

fn next_attempt(state: &RunState, step: &StepId) -> u32 {
    state.step(step).and_then(|(_, run)| run.attempts.last()).map_or(1, |last| last.number + 1)
}

fn last_begun(state: &RunState) -> Option<StepId> {
    let i = state.steps.iter().rposition(|step| step.forward.began.is_some())?;
    Some(state.outlines()[i].id.clone())
}

fn confirm(
    state: &RunState,
    outline: &Outline,
    step: StepId,
    typed: &str,
    who: &PersonId,
    typed_by: &PersonId,
) -> Result<Vec<Event>, Refusal> {
    let place = place(state, &step)?;
    if place.run.state != StepState::AtStopPoint {
        return Err(place.not_asked());
    }
    let back = place.leg == Leg::Back;
    if back {
        word(typed, "undo")?;
    } else {
        if place.outline.confirmations() == 0 || (place.outline.stop.is_some() && !place.run.gone) {
            return Err(place.not_asked());
        }
        word(typed, &outline.env.confirm)?;
        if place.run.confirmed.iter().any(|(name, _)| name == who) {
            return Err(Refusal::SecondPerson(who.clone()));
        }
    }
    Ok(vec![Event::Confirmed { step, who: who.clone(), typed_by: typed_by.clone(), back }])
}

fn roll_back(
    state: &RunState,
    outline: &Outline,
    reason: Option<String>,
    decided: impl Fn(StepId, Decision, Option<String>, Vec<String>) -> Event,
) -> Result<Vec<Event>, Refusal> {
    if state.rollback.is_some() {
        return Err(Refusal::RollingBack);
    }
    if let Some(crossing) = &state.crossed {
        let after = state.step(&crossing.step).and_then(|(step, _)| step.after_no_return.clone());
        let after = after.unwrap_or_else(|| "fix forward".into());
        return Err(Refusal::Closed { step: crossing.step.clone(), after });
    }
    if let Some(i) = state.steps.iter().position(|step| step.attempts.iter().any(|a| a.alive() && a.what.acts())) {
        return Err(Refusal::StillRunning(outline.steps[i].id.clone()));
    }
    let touched = |i: &usize| state.steps[*i].touched && outline.steps[*i].undo != Undo::Nothing;
    // The reverse of the order in which they were done, not of the file: side by side steps may cross.
    let mut order: Vec<usize> = (0..outline.steps.len()).filter(touched).collect();
    order.sort_by_key(|&i| std::cmp::Reverse((state.steps[i].forward.began.map(|s| s.elapsed), i)));
    if order.is_empty() {
        return Err(Refusal::NothingToUndo);
    }
    let mut left: Vec<(StepId, String)> = order
        .iter()
        .filter_map(|&i| match &outline.steps[i].undo {
            Undo::None(reason) => Some((outline.steps[i].id.clone(), reason.clone())),
            Undo::Nothing | Undo::Restore | Undo::Action(_) => None,
        })
        .collect();
    // What a person did without us has no capture that could be put back.
    left.extend(outline.steps.iter().zip(&state.steps).filter_map(|(step, run)| match &run.forward.state {
        StepState::Settled(Gate::Otherwise(Settlement::ByHand(how))) if step.changes && !run.touched => {
            Some((step.id.clone(), format!("done by hand: {how}")))
        }
        _ => None,
    }));
    let steps: Vec<StepId> =
        order.iter().filter(|&&i| outline.steps[i].undoable()).map(|&i| outline.steps[i].id.clone()).collect();
    let at = state.asking().map(|(i, _)| outline.steps[i].id.clone());
    let at = at.or_else(|| last_begun(state)).unwrap_or_else(|| outline.steps[order[0]].id.clone());
    Ok(vec![decided(at, Decision::RollBack, reason, Vec::new()), Event::RollbackBegan { steps, left }])
}

fn reported(state: &RunState, step: StepId, attempt: u32, report: Report) -> Result<Vec<Event>, Refusal> {
    let (outline, run) = state.step(&step).ok_or_else(|| Refusal::NoSuchStep(step.clone()))?;
    let known = run.attempt(attempt).filter(|known| known.alive()).ok_or(Refusal::Stale)?;
    Ok(match report {
        Report::Line(text) => vec![Event::Line { step, attempt, text }],
        Report::Progress { percent, text } => vec![Event::Progressed { step, attempt, percent, text }],
        Report::Identified(identity) => vec![Event::Identified { step, identity }],
        Report::Checked { place, index, seen } => vec![Event::Checked { step, attempt, place, index, seen }],
        Report::Ready { does, digest, token, captured, deadline } => {
            let acts = match known.what {
                What::Do => outline.changes && outline.treatment == Treatment::Do,
                What::Undo => outline.undoable(),
                What::Recheck | What::Probe | What::ProbeUndo => false,
            };
            if !acts || known.intended {
                return Err(Refusal::Stale);
            }
            // A hold leaves what has begun to its end. The end of the run, and a journal that failed, do not:
            // the attempt was reading when they came, and nothing is sent after them.
            if state.ended.is_some() {
                return Err(Refusal::Over);
            }
            if let Some(why) = failed_journal(state) {
                return Err(Refusal::JournalFailed(why.clone()));
            }
            let crosses = outline.no_return && known.what == What::Do && state.crossed.is_none();
            let intended = Intended { step: step.clone(), attempt, does, digest, token, captured, deadline };
            let mut events = vec![Event::Intended(Box::new(intended))];
            if crosses {
                events.push(Event::NoReturnCrossed { step });
            }
            events
        }
        Report::Found(finding) => {
            let doubtful = match known.what {
                What::Probe => run.last_act(Leg::Forward),
                What::ProbeUndo => run.last_act(Leg::Back),
                What::Do | What::Recheck | What::Undo => None,
            };
            let doubtful = doubtful.ok_or(Refusal::Stale)?.number;
            let line = match &finding {
                Finding::Done(done) => done.line.clone(),
                Finding::NotDone { line } | Finding::Unclear { line } => line.clone(),
            };
            let ended = Outcome::Done(super::fact::Done::new(line));
            vec![
                Event::AttemptEnded { step: step.clone(), attempt, outcome: ended },
                Event::Probed { step, attempt: doubtful, finding },
            ]
        }
        Report::Ended(outcome) => {
            // A probe ends with what it found, or with the failure to look.
            if matches!((&outcome, known.what), (Outcome::Done(_), What::Probe | What::ProbeUndo)) {
                return Err(Refusal::Stale);
            }
            let mut events = vec![Event::AttemptEnded { step: step.clone(), attempt, outcome: outcome.clone() }];
            // A failed outcome that nobody knows is looked at once more before people are asked.
            if let Outcome::Failed(failure) = &outcome
                && failure.class == crate::base::Class::Unknown
                && known.what.acts()
                && known.intended
                && state.ended.is_none()
            {
                let what = if known.what == What::Do { What::Probe } else { What::ProbeUndo };
                events.push(Event::AttemptStarted { step, attempt: attempt + 1, what });
            }
            events
        }
    })
}

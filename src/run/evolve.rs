//! The only mutator of [`RunState`]. It never fails and never decides: an event is a fact, and a
//! fact that fits nowhere (a newer version's, a damaged file's) changes nothing.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{
    agenda::Agenda,
    event::{Decision, Event, Intended, Opened, Outcome, Settlement},
    fact::Finding,
    hands::Tick,
    outline::StepOutline,
    state::{
        AttemptRun, Criterion, Crossing, Gate, Hold, Leg, LegRun, Note, RollbackRun, RunState, StepRun, StepState,
        WatchRun, What, Why,
    },
    vote::Ballot,
};
use crate::base::{Stamp, StepId};

impl RunState {
    /// Applies one fact.
    pub fn evolve(&mut self, event: &Event, now: Stamp) {
        self.apply(event, now);
        self.enter_after(event);
    }

    fn apply(&mut self, event: &Event, now: Stamp) {
        self.last = Some(now);
        match event {
            Event::Opened(opened) => self.open(opened, now),
            Event::Resumed(resumed) => {
                self.operator = Some(resumed.operator.clone());
                self.auto_go = resumed.auto_go;
                self.resume(now);
            }
            Event::AttemptStarted { step, attempt, what } => self.start(step, *attempt, *what, now),
            Event::Line { step, text, .. } => {
                if let Some(run) = self.run_mut(step) {
                    run.tail.clone_from(text);
                }
            }
            Event::Progressed { step, percent, text, .. } => {
                if let Some(run) = self.run_mut(step) {
                    run.percent = Some(*percent);
                    run.tail.clone_from(text);
                }
            }
            Event::Identified { identity, .. } => {
                if !self.identities.contains(identity) {
                    self.identities.retain(|known| known.system != identity.system);
                    self.identities.push(identity.clone());
                }
            }
            Event::Intended(intended) => self.intend(intended, now),
            Event::Checked { step, seen, .. } => {
                if let Some(run) = self.run_mut(step) {
                    run.tail.clone_from(&seen.line);
                }
            }
            Event::AttemptEnded { step, attempt, outcome } => self.end_attempt(step, *attempt, outcome, now),
            Event::RetryScheduled { step, not_before } => {
                let not_before = *not_before;
                self.set(step, Leg::Forward, StepState::RetryWait { not_before }, now);
            }
            Event::Settled { step, back, settlement } => {
                let leg = if *back { Leg::Back } else { Leg::Forward };
                self.settle(step, leg, Gate::Otherwise(settlement.clone()), now);
            }
            Event::Asked { step, back } => {
                self.set(step, if *back { Leg::Back } else { Leg::Forward }, StepState::AtStopPoint, now);
                if !back && let Some(run) = self.run_mut(step) {
                    run.round = 1;
                    run.opening += 1;
                }
            }
            Event::CriterionSeen { step, round, index, ok, line } => {
                if let Some(run) = self.run_mut(step)
                    && let Some(criterion) = run.criteria.get_mut(*index)
                    && *round >= criterion.round
                {
                    *criterion = Criterion { ok: Some(*ok), line: line.clone(), at: Some(now), round: *round };
                    let all = run.criteria.iter().all(|c| c.round >= run.round);
                    if all {
                        run.round += 1;
                    }
                }
            }
            Event::Voted { step, who, typed_by, go, reason, via } => {
                if let Some(run) = self.run_mut(step) {
                    let (who, typed_by) = (who.clone(), typed_by.clone());
                    run.votes.retain(|ballot| ballot.who != who);
                    let (reason, via) = (reason.clone(), via.clone());
                    run.votes.push(Ballot { who, typed_by, go: *go, reason, via, at: now });
                }
            }
            Event::Confirmed { step, who, typed_by, back } => {
                let leg = if *back { Leg::Back } else { Leg::Forward };
                if let Some(run) = self.leg_mut(step, leg) {
                    run.confirmed.push((who.clone(), typed_by.clone()));
                }
                self.ready_when_answered(step, leg, now);
            }
            Event::Decided { step, who, decision, reason, .. } => {
                if let (Decision::Go | Decision::NoGo, Some(run)) = (decision, self.run_mut(step)) {
                    run.answer = Some((who.clone(), *decision == Decision::Go, now));
                    // What was said before a no-go was said without knowing of it.
                    run.opening += u32::from(*decision == Decision::NoGo);
                }
                self.decide_on(step, *decision, reason.clone(), now);
                for leg in [Leg::Forward, Leg::Back] {
                    if let Some(run) = self.leg_mut(step, leg) {
                        run.decided_by = Some(who.clone());
                    }
                }
            }
            Event::OwnerSaidDone { step, attempt, who, value, .. } => {
                if let Some(run) = self.run_mut(step)
                    && let Some(attempt) = run.attempts.iter_mut().find(|a| a.number == *attempt)
                {
                    attempt.owner_done = Some((who.clone(), value.clone()));
                    let leg = attempt.what.leg();
                    // Until here the time was the owner's, from here on it is the checks'.
                    if let Some(run) = self.leg_mut(step, leg) {
                        run.account(now, true);
                    }
                }
            }
            Event::Ticked { step, attempt, item, on, who, .. } => {
                let leg = self.step(step).and_then(|(_, run)| Some(run.attempt(*attempt)?.what.leg()));
                if let Some(run) = leg.and_then(|leg| self.leg_mut(step, leg)) {
                    if *on {
                        run.ticks.insert(*item, Tick { who: who.clone(), at: now });
                    } else {
                        run.ticks.remove(item);
                    }
                }
            }
            Event::Held { why, by } => self.hold = Some(Hold { why: why.clone(), by: by.clone(), since: now }),
            Event::Released { .. } => self.hold = None,
            Event::NoReturnCrossed { step } => {
                let by = self.run_mut(step).map(|run| run.forward.confirmed.iter().map(|c| c.0.clone()).collect());
                self.crossed = Some(Crossing { step: step.clone(), at: now, by: by.unwrap_or_default() });
            }
            Event::Probed { step, attempt, finding } => self.probed(step, *attempt, finding, now),
            Event::RollbackBegan { steps, left } => {
                let order: Vec<usize> = steps.iter().filter_map(|id| self.position(id)).collect();
                for &i in &order {
                    self.steps[i].back = Some(LegRun { since: Some(now), ..LegRun::default() });
                }
                self.hold = None;
                self.rollback = Some(RollbackRun { order, left: left.clone(), since: now });
            }
            Event::WatchBegan { watch } => {
                if let Some(watch) = self.watches.iter_mut().find(|w| &w.id == watch) {
                    watch.began = Some(now);
                    watch.quiet_since = Some(now);
                }
            }
            Event::WatchSampled { watch, ok, value, line } => {
                let no_data_is_bad = self
                    .outline
                    .as_ref()
                    .and_then(|o| o.watches.iter().find(|w| &w.id == watch))
                    .is_none_or(|w| w.no_data_is_bad);
                if let Some(watch) = self.watches.iter_mut().find(|w| &w.id == watch) {
                    watch.sample(*ok, no_data_is_bad, now);
                    watch.latest = Some((now, *ok, *value, line.clone()));
                }
            }
            Event::WatchBreached { watch, .. } => {
                if let Some(watch) = self.watches.iter_mut().find(|w| &w.id == watch) {
                    watch.breached = true;
                    watch.breaches += 1;
                }
            }
            Event::WatchEnded { watch } => {
                if let Some(watch) = self.watches.iter_mut().find(|w| &w.id == watch) {
                    watch.ended = Some(now);
                }
            }
            Event::Noted { who, text, step, .. } => {
                let note = Note { who: who.clone(), at: now, text: text.clone(), step: step.clone() };
                self.notes.push(note);
            }
            Event::Ended { ending } => self.ended = Some(*ending),
            Event::ClockJumped { .. } | Event::TornTail { .. } | Event::Unknown(_) => {}
        }
    }

    fn open(&mut self, opened: &Opened, now: Stamp) {
        let outline = &opened.outline;
        self.run = Some(opened.run.clone());
        self.operator = Some(opened.operator.clone());
        self.auto_go = opened.auto_go;
        self.identities.clone_from(&opened.identities);
        self.opened = Some(now);
        self.index = outline.index();
        self.steps = outline
            .steps
            .iter()
            .map(|step| StepRun {
                criteria: vec![Criterion::default(); step.stop.as_ref().map_or(0, |stop| stop.criteria.len())],
                ..StepRun::default()
            })
            .collect();
        self.watches = outline
            .watches
            .iter()
            .map(|watch| WatchRun {
                id: watch.id.clone(),
                began: None,
                ended: None,
                samples: 0,
                bad: 0,
                quiet_since: None,
                latest: None,
                breached: false,
                breaches: 0,
            })
            .collect();
        self.outline = Some(Arc::new(outline.clone()));
        self.agenda = Agenda::of(outline, &self.index);
    }

    /// A new process: whatever was alive belongs to one that is gone.
    fn resume(&mut self, now: Stamp) {
        for i in 0..self.steps.len() {
            for leg in [Leg::Forward, Leg::Back] {
                let running = self.steps[i].leg(leg).is_some_and(|run| run.state == StepState::Running);
                if !running {
                    continue;
                }
                let Some(attempt) = self.steps[i].attempts.iter_mut().rev().find(|a| a.what.leg() == leg) else {
                    continue;
                };
                attempt.lost = attempt.ended.is_none();
                let state = match (attempt.what, attempt.intended) {
                    // An intent was written: nobody knows whether it was sent.
                    (What::Do | What::Undo, true) | (What::Probe | What::ProbeUndo, _) => {
                        StepState::NeedsDecision(Why::InDoubt(None))
                    }
                    // It had only read, so it starts again as soon as nothing holds.
                    (What::Do | What::Undo, false) => StepState::Ready,
                    (What::Recheck, _) => StepState::NeedsDecision(Why::Lost),
                };
                self.set_at(i, leg, state, now);
            }
            // A probe runs while the leg needs a decision: one that was lost has not looked.
            let probing = self.steps[i].attempts.iter().rev().find(|a| a.alive()).map(|a| a.what);
            if let Some(what @ (What::Probe | What::ProbeUndo)) = probing {
                self.set_at(i, what.leg(), StepState::NeedsDecision(Why::InDoubt(None)), now);
            }
            for attempt in &mut self.steps[i].attempts {
                attempt.lost |= attempt.ended.is_none();
            }
            // Criteria have to be looked at again.
            for criterion in &mut self.steps[i].criteria {
                criterion.ok = None;
            }
        }
    }

    fn start(&mut self, step: &StepId, number: u32, what: What, now: Stamp) {
        let Some(i) = self.position(step) else { return };
        let run = &mut self.steps[i];
        run.attempts.push(AttemptRun {
            number,
            what,
            started: now,
            ended: None,
            intended: false,
            token: None,
            captured: Json::Null,
            owner_done: None,
            failure: None,
            undone: false,
            found: false,
            lost: false,
        });
        run.percent = None;
        run.tail.clear();
        let leg = what.leg();
        if what.acts() || what == What::Recheck {
            if let Some(leg_run) = self.leg_at(i, leg) {
                leg_run.began.get_or_insert(now);
                if what.acts() {
                    leg_run.tries += 1;
                }
            }
            self.set_at(i, leg, StepState::Running, now);
        }
    }

    fn intend(&mut self, intended: &Intended, now: Stamp) {
        let Some(i) = self.position(&intended.step) else { return };
        let run = &mut self.steps[i];
        let Some(attempt) = run.attempts.iter_mut().find(|a| a.number == intended.attempt) else { return };
        attempt.intended = true;
        attempt.token = Some(intended.token.clone());
        attempt.captured = intended.captured.clone();
        if attempt.what == What::Do {
            run.touched = true;
            // What the first attempt found is what was there before the run; a later attempt may find its own traces.
            if run.captured.is_none() {
                run.captured = Some(intended.captured.clone());
            }
            if self.outline.as_ref().is_some_and(|o| o.steps[i].clocks.downtime_starts) {
                self.downtime.start(now);
            }
        }
    }

    fn end_attempt(&mut self, step: &StepId, number: u32, outcome: &Outcome, now: Stamp) {
        let Some(i) = self.position(step) else { return };
        let Some(attempt) = self.steps[i].attempts.iter_mut().find(|a| a.number == number) else { return };
        if attempt.ended.is_some() {
            return;
        }
        attempt.ended = Some(now);
        let what = attempt.what;
        let leg = what.leg();
        match outcome {
            Outcome::Done(done) => {
                if what == What::Do || what == What::Recheck {
                    let kept = &mut self.steps[i].evidence;
                    match (&done.evidence, kept) {
                        (Json::Null, _) => {}
                        // Checks prove the deed: what the probe found of it stays for the steps that build on it.
                        (Json::Object(seen), Json::Object(kept)) if what == What::Recheck => {
                            kept.extend(seen.clone());
                        }
                        (evidence, kept) => kept.clone_from(evidence),
                    }
                    self.steps[i].line = Some(done.line.clone());
                }
                match what {
                    What::Do | What::Undo => self.settle_at(i, leg, Gate::Done, now),
                    What::Recheck => {
                        let reason = self.steps[i].forward.reason.clone();
                        let settlement = match reason {
                            Some(reason) => Settlement::ByHand(reason),
                            None => Settlement::FoundDone(done.line.clone()),
                        };
                        self.settle_at(i, leg, Gate::Otherwise(settlement), now);
                    }
                    What::Probe | What::ProbeUndo => {}
                }
            }
            Outcome::Failed(failure) => {
                attempt.failure = Some(failure.clone());
                if failure.class.nothing_done() && attempt.intended {
                    self.undone(i, number, now);
                }
                match what {
                    What::Do | What::Recheck | What::Undo => {
                        let why = Why::Failed(failure.clone());
                        self.set_at(i, leg, StepState::NeedsDecision(why), now);
                    }
                    What::Probe | What::ProbeUndo => {
                        let line = format!("the probe failed: {}", failure.message);
                        let why = Why::InDoubt(Some(Finding::Unclear { line }));
                        self.set_at(i, leg, StepState::NeedsDecision(why), now);
                    }
                }
            }
        }
    }

    fn probed(&mut self, step: &StepId, number: u32, finding: &Finding, now: Stamp) {
        let Some(i) = self.position(step) else { return };
        let Some(attempt) = self.steps[i].attempts.iter_mut().find(|a| a.number == number) else { return };
        let leg = attempt.what.leg();
        if let Finding::Done(done) = finding {
            attempt.found = true;
            if leg == Leg::Forward {
                if done.evidence != Json::Null {
                    self.steps[i].evidence = done.evidence.clone();
                }
                self.steps[i].line = Some(done.line.clone());
            } else {
                let gate = Gate::Otherwise(Settlement::FoundDone(done.line.clone()));
                self.settle_at(i, leg, gate, now);
                return;
            }
        }
        if matches!(finding, Finding::NotDone { .. }) {
            self.undone(i, number, now);
        }
        self.set_at(i, leg, StepState::NeedsDecision(Why::InDoubt(Some(finding.clone()))), now);
    }

    /// With the proof that an attempt did nothing, the step is as untouched as it was before it.
    fn undone(&mut self, i: usize, number: u32, now: Stamp) {
        let attempts = &mut self.steps[i].attempts;
        let Some(attempt) = attempts.iter_mut().find(|a| a.number == number && a.what == What::Do) else { return };
        attempt.undone = true;
        self.steps[i].touched = attempts.iter().any(|a| a.what == What::Do && a.intended && !a.undone);
        let Some(outline) = self.outline.clone() else { return };
        let down = |(step, run): (&StepOutline, &StepRun)| step.clocks.downtime_starts && run.touched;
        // Users see no outage that did not begin, unless another step began one.
        if outline.steps[i].clocks.downtime_starts && !outline.steps.iter().zip(&self.steps).any(down) {
            self.downtime.stop(now);
        }
    }

    fn decide_on(&mut self, step: &StepId, decision: Decision, reason: Option<String>, now: Stamp) {
        let rolling = self.rollback.is_some();
        let leg = if rolling { Leg::Back } else { Leg::Forward };
        match decision {
            Decision::Go => {
                if let Some(run) = self.leg_mut(step, Leg::Forward) {
                    run.gone = true;
                    run.no_go = false;
                }
                self.ready_when_answered(step, Leg::Forward, now);
            }
            Decision::Retry => {
                if let Some(run) = self.leg_mut(step, leg) {
                    run.asked_tries += 1;
                    run.reason = None;
                }
                self.set(step, leg, StepState::Ready, now);
            }
            Decision::ByHand => {
                if let Some(run) = self.leg_mut(step, leg) {
                    run.reason = Some(reason.unwrap_or_default());
                }
            }
            Decision::NoGo => {
                if let Some(run) = self.leg_mut(step, Leg::Forward) {
                    run.no_go = true;
                }
            }
            Decision::Skip | Decision::RollBack | Decision::Abort => {}
        }
    }

    /// A stop point becomes ready when it was decided and everybody confirmed.
    fn ready_when_answered(&mut self, step: &StepId, leg: Leg, now: Stamp) {
        let Some(i) = self.position(step) else { return };
        let Some(outline) = self.outline.clone() else { return };
        let Some(run) = self.leg_at(i, leg) else { return };
        if run.state != StepState::AtStopPoint {
            return;
        }
        let ready = match leg {
            Leg::Forward => {
                let step = &outline.steps[i];
                (step.stop.is_none() || run.gone) && run.confirmed.len() >= step.confirmations()
            }
            Leg::Back => !run.confirmed.is_empty(),
        };
        if ready {
            self.set_at(i, leg, StepState::Ready, now);
        }
    }

    fn settle(&mut self, step: &StepId, leg: Leg, gate: Gate, now: Stamp) {
        if let Some(i) = self.position(step) {
            self.settle_at(i, leg, gate, now);
        }
    }

    fn settle_at(&mut self, i: usize, leg: Leg, gate: Gate, now: Stamp) {
        let did = matches!(&gate, Gate::Done | Gate::Otherwise(Settlement::FoundDone(_) | Settlement::ByHand(_)));
        if did && let Some(outline) = self.outline.clone() {
            let clocks = outline.steps[i].clocks;
            // Taking a step back turns its clocks round.
            let (freeze_on, freeze_off, down_on, down_off) = match leg {
                Leg::Forward => {
                    (clocks.freeze_starts, clocks.freeze_stops, clocks.downtime_starts, clocks.downtime_stops)
                }
                Leg::Back => (clocks.freeze_stops, clocks.freeze_starts, clocks.downtime_stops, clocks.downtime_starts),
            };
            if freeze_on {
                self.freeze.start(now);
            }
            if freeze_off {
                self.freeze.stop(now);
            }
            if down_on {
                self.downtime.start(now);
            }
            if down_off {
                self.downtime.stop(now);
            }
        }
        if leg == Leg::Back && did {
            self.steps[i].touched = false;
        }
        // A person's word settles what an attempt left open.
        for attempt in &mut self.steps[i].attempts {
            attempt.lost |= attempt.ended.is_none() && attempt.what.leg() == leg;
        }
        self.set_at(i, leg, StepState::Settled(gate), now);
        if let Some(run) = self.leg_at(i, leg) {
            run.settled = Some(now);
        }
    }

    fn set(&mut self, step: &StepId, leg: Leg, state: StepState, now: Stamp) {
        if let Some(i) = self.position(step) {
            self.set_at(i, leg, state, now);
        }
    }

    /// Moves a leg to a state; the time in the state before goes to work or to waiting for people.
    fn set_at(&mut self, i: usize, leg: Leg, state: StepState, now: Stamp) {
        let owner_waits = self.outlines().get(i).is_some_and(|step| step.by_hand(leg))
            && self.steps[i]
                .attempts
                .last()
                .is_some_and(|a| a.what.acts() && a.what.leg() == leg && a.intended && a.owner_done.is_none());
        if let Some(run) = self.leg_at(i, leg) {
            run.account(now, owner_waits);
            run.state = state;
        }
    }

    fn leg_at(&mut self, i: usize, leg: Leg) -> Option<&mut LegRun> {
        let step = self.steps.get_mut(i)?;
        match leg {
            Leg::Forward => Some(&mut step.forward),
            Leg::Back => step.back.as_mut(),
        }
    }

    fn leg_mut(&mut self, step: &StepId, leg: Leg) -> Option<&mut LegRun> {
        let i = self.position(step)?;
        self.leg_at(i, leg)
    }

    fn run_mut(&mut self, step: &StepId) -> Option<&mut StepRun> {
        let i = self.position(step)?;
        self.steps.get_mut(i)
    }
}

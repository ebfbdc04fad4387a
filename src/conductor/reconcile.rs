//! Makes the world follow the state: starts what ought to be alive and is not, cancels what is
//! alive and ought not to be. The same path at a start, after a decision, at a resume, at an abort.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value as Json;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Alive, Conductor,
    attempt::{Attempt, hex},
    looking,
    reporter::AttemptReporter,
};
use crate::{
    base::StepId,
    plan::{
        Cx,
        contract::{OwnerDone, Prior},
    },
    run::{Gate, Settlement, StepState, Wanted, What},
};

/// A manual step has no deadline of its own: its owner may take the night.
const OWNER: Duration = Duration::from_secs(24 * 3600);
/// A probe looks twice, some seconds apart, and no longer than this.
const PROBE: Duration = Duration::from_secs(120);

impl Conductor {
    pub(super) fn reconcile(&mut self) {
        let wanted = self.state.wanted();
        for ((step, attempt), alive) in &self.alive {
            if !wanted.iter().any(|w| &w.step == step && w.attempt == *attempt) {
                alive.cancel.cancel();
            }
        }
        for wanted in wanted {
            let key = (wanted.step.clone(), wanted.attempt);
            match self.alive.get(&key) {
                Some(alive) => self.pass_owners_word(&wanted, alive),
                None if self.leaving => {}
                None => {
                    if let Some(alive) = self.start(&wanted) {
                        self.alive.insert(key, alive);
                    }
                }
            }
        }
        self.look();
    }

    fn pass_owners_word(&self, wanted: &Wanted, alive: &Alive) {
        let word = self.state.step(&wanted.step).and_then(|(_, run)| run.attempt(wanted.attempt)?.owner_done.clone());
        if let Some((who, value)) = word
            && alive.owner.borrow().is_none()
        {
            let leg = wanted.what.leg();
            let at = self.state.position(&wanted.step);
            let left = at.map(|at| self.state.unticked(at, leg)).unwrap_or_default();
            let hands = self.state.step(&wanted.step).and_then(|(step, _)| step.hands(leg)).unwrap_or_default();
            let unticked = left.iter().filter_map(|item| hands.checklist.get(*item).cloned()).collect();
            alive.owner.send_replace(Some(OwnerDone { who: who.to_string(), value, unticked }));
        }
    }

    fn start(&self, wanted: &Wanted) -> Option<Alive> {
        let i = self.state.position(&wanted.step)?;
        let (outline, run) = self.state.step(&wanted.step)?;
        let bound = self.plan.steps.get(i)?.clone();
        // Its task is gone without an outcome: what it sent is not sent again, however that came about.
        if run.attempt(wanted.attempt).is_some_and(|attempt| attempt.intended) {
            return None;
        }
        let leg = wanted.what.leg();
        let acts = wanted.what.acts();
        let manual = outline.by_hand(leg) && acts;
        let timeout = match wanted.what {
            _ if manual => OWNER,
            What::Probe | What::ProbeUndo => PROBE,
            What::Do | What::Recheck | What::Undo => outline.timeout,
        };
        let known = match acts {
            // Sent again it is the same request, which the other side does once.
            true => run.open_token(leg, wanted.attempt),
            false => run.last_act(leg).and_then(|act| act.token.as_ref()),
        };
        let again = acts && known.is_some();
        let token = known.cloned().unwrap_or_else(new_token);
        let captured = match wanted.what {
            What::Undo => run.captured.clone().unwrap_or(Json::Null),
            What::Probe | What::ProbeUndo => run.last_act(leg).map(|a| a.captured.clone()).unwrap_or(Json::Null),
            What::Do | What::Recheck => Json::Null,
        };
        let cancel = CancellationToken::new();
        let (owner, owner_word) = watch::channel(None);
        let reporter = AttemptReporter::new(
            wanted.step.clone(),
            wanted.attempt,
            self.reporter.clone(),
            self.redactor.clone(),
            self.dir.clone(),
        );
        let reporter = Arc::new(reporter);
        let cx = Cx {
            step: wanted.step.clone(),
            attempt: wanted.attempt,
            nth: run.leg(leg).map_or(1, |run| run.tries.max(1)),
            token,
            again,
            deadline: Instant::now() + timeout,
            cancel: cancel.clone(),
            reporter: reporter.clone(),
            priors: self.priors(&bound.refs),
            owner: owner_word,
        };
        let leavable = !acts || !outline.changes || manual;
        let attempt = Attempt {
            bound,
            what: wanted.what,
            cx,
            reporter,
            to: self.reporter.clone(),
            timeout: outline.timeout,
            captured,
            treatment: outline.treatment.clone(),
            step_hash: outline.hash.clone(),
        };
        let task = tokio::spawn(attempt.run()).abort_handle();
        Some(Alive { cancel, task, owner, leavable })
    }

    /// What the steps that a kind builds on left behind.
    fn priors(&self, refs: &[StepId]) -> Arc<BTreeMap<StepId, Prior>> {
        let known = refs.iter().filter_map(|id| {
            let (_, run) = self.state.step(id)?;
            let captured = run.captured.clone().unwrap_or(Json::Null);
            let by_hand = matches!(run.forward.state, StepState::Settled(Gate::Otherwise(Settlement::ByHand(_))));
            let by_hand = run.forward.settled.filter(|_| by_hand).map(|settled| settled.at);
            Some((id.clone(), Prior { captured, evidence: run.evidence.clone(), by_hand }))
        });
        Arc::new(known.collect())
    }

    /// Starts and ends the looking at criteria and watches.
    fn look(&mut self) {
        let rounds = self.state.wanted_criteria();
        self.criteria.retain(|step, (round, task)| {
            let wanted = rounds.iter().any(|r| &r.step == step && r.round == *round);
            if !wanted {
                task.abort();
            }
            wanted
        });
        let now = self.clock.now();
        for wanted in rounds {
            if self.criteria.contains_key(&wanted.step) || self.leaving {
                continue;
            }
            let Some(bound) = self.state.position(&wanted.step).and_then(|i| self.plan.steps.get(i)) else { continue };
            let start = Instant::now() + wanted.from.since(now.elapsed);
            let priors = self.priors(&bound.refs);
            let looking = looking::round(
                wanted.step.clone(),
                wanted.round,
                bound.criteria.clone(),
                priors,
                start,
                self.reporter.clone(),
            );
            let task = tokio::spawn(looking).abort_handle();
            self.criteria.insert(wanted.step, (wanted.round, task));
        }
        let watches = self.state.wanted_watches();
        self.watches.retain(|watch, task| {
            let wanted = watches.contains(watch);
            if !wanted {
                task.abort();
            }
            wanted
        });
        let Some(outline) = self.state.outline.clone() else { return };
        for id in watches {
            let at = outline.watches.iter().position(|w| w.id == id);
            let Some((at, bound)) = at.and_then(|at| Some((at, self.plan.watches.get(at)?))) else { continue };
            if self.watches.contains_key(&id) || self.leaving {
                continue;
            }
            let watch = &outline.watches[at];
            let looking = looking::watch(
                id.clone(),
                watch.from.clone(),
                watch.every,
                bound.check.clone(),
                self.priors(&bound.refs),
                self.reporter.clone(),
            );
            self.watches.insert(id, tokio::spawn(looking).abort_handle());
        }
    }

    pub(super) fn stop_looking(&mut self) {
        for (_, (_, task)) in self.criteria.drain() {
            task.abort();
        }
        for (_, task) in self.watches.drain() {
            task.abort();
        }
    }
}

/// 128 random bits, hex: AWS takes up to 36 characters of `[a-zA-Z0-9-_]` as a client token.
fn new_token() -> String {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        fastrand::fill(&mut bytes);
    }
    hex(&bytes)
}

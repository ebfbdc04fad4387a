//! What earlier runs prove about this one: which steps were part of a green rehearsal as they are
//! written now, and which rollbacks have run.

use std::{collections::HashMap, path::Path};

use crate::{
    base::StepId,
    journal::{RunDir, runs},
    run::{Ending, Envelope, Gate, Mode, Outline, RunState, StepState},
};

/// Runs that are looked at, newest first: more would make the start of a night slow for nothing.
const LOOKED_AT: usize = 40;

/// Marks the steps of an outline by what earlier runs of the same runbook proved. Runs that cannot be
/// read prove nothing.
pub(super) fn mark(outline: &mut Outline, state: &Path) {
    let mut rehearsed: HashMap<StepId, String> = HashMap::new();
    let mut undone: HashMap<StepId, String> = HashMap::new();
    for run in runs(state).unwrap_or_default().iter().take(LOOKED_AT) {
        let Ok(dir) = RunDir::view(&run.path) else { continue };
        let same = dir.plan().ok().and_then(|plan| serde_json::from_slice::<Outline>(&plan).ok());
        if !same.is_some_and(|earlier| {
            earlier.runbook == outline.runbook && earlier.mode == Mode::Rehearse && !earlier.dry_run
        }) {
            continue;
        }
        let mut past = RunState::default();
        let read = dir.read(&[], |_, envelope: Envelope| past.evolve(&envelope.event, envelope.stamp()));
        if !read.is_ok_and(|load| load.damage.is_none()) {
            continue;
        }
        for (step, run) in past.outlines().iter().zip(&past.steps) {
            let green = past.ended == Some(Ending::Completed) && run.forward.state == StepState::Settled(Gate::Done);
            let decided = past.ended == Some(Ending::Completed) && !step.works && run.forward.state.settled();
            if green || decided {
                rehearsed.entry(step.id.clone()).or_insert_with(|| step.written_hash.clone());
            }
            if run.back.as_ref().is_some_and(|back| back.state == StepState::Settled(Gate::Done)) {
                undone.entry(step.id.clone()).or_insert_with(|| step.written_hash.clone());
            }
        }
    }
    for step in &mut outline.steps {
        step.rehearsed = rehearsed.get(&step.id) == Some(&step.written_hash);
        step.undo_tested = undone.get(&step.id) == Some(&step.written_hash);
    }
}

//! Which steps have to be looked at, so that a step costs the same in a run of ten and of two
//! thousand. Derived from the steps after every event; nothing is decided here.

use std::collections::{BTreeSet, HashMap};

use super::{
    event::Event,
    outline::Outline,
    state::{AttemptRun, RunState, StepState},
};
use crate::base::StepId;

/// A step that is not there: it is never settled.
const NOWHERE: usize = usize::MAX;

/// Positions of steps, by why they matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Agenda {
    /// Per step, the positions of the steps that it needs.
    needs: Vec<Vec<usize>>,
    /// Per step, the positions of the steps that need it.
    needed_by: Vec<Vec<usize>>,
    /// Begun and not settled, on any leg, or with an attempt alive.
    pub(super) active: BTreeSet<usize>,
    /// Not begun, and everything that they need is settled.
    pub(super) due: BTreeSet<usize>,
    /// Not settled.
    pub(super) open: BTreeSet<usize>,
}

impl Agenda {
    /// The agenda of a run that is being opened; its steps are entered afterwards.
    pub(super) fn of(outline: &Outline, index: &HashMap<StepId, usize>) -> Self {
        let at = |id| index.get(id).copied().unwrap_or(NOWHERE);
        let needs: Vec<Vec<usize>> = outline.steps.iter().map(|step| step.needs.iter().map(at).collect()).collect();
        let mut needed_by = vec![Vec::new(); needs.len()];
        for (i, needed) in needs.iter().enumerate() {
            for &j in needed.iter().filter(|&&j| j != NOWHERE) {
                needed_by[j].push(i);
            }
        }
        Self { needs, needed_by, ..Self::default() }
    }
}

impl RunState {
    /// Notes where a step has to be looked for from now on.
    fn enter(&mut self, i: usize) {
        let Some(run) = self.steps.get(i) else { return };
        let state = &run.forward.state;
        let begun = !matches!(state, StepState::Pending | StepState::Settled(_));
        let back = run.back.as_ref().is_some_and(|back| !back.state.settled());
        let active = begun || back || run.attempts.iter().any(AttemptRun::alive);
        let (pending, settled) = (*state == StepState::Pending, state.settled());
        let Agenda { needs, needed_by, active: all, due, open } = &mut self.agenda;
        if active {
            all.insert(i)
        } else {
            all.remove(&i)
        };
        if settled {
            open.remove(&i)
        } else {
            open.insert(i)
        };
        let is_settled = |j: &usize| self.steps.get(*j).is_some_and(|step| step.forward.state.settled());
        if pending && needs[i].iter().all(is_settled) {
            due.insert(i)
        } else {
            due.remove(&i)
        };
        if settled {
            let waiting = needed_by[i].iter().filter(|&&j| self.steps[j].forward.state == StepState::Pending);
            due.extend(waiting.filter(|&&j| needs[j].iter().all(is_settled)));
        }
    }

    /// As [`Self::enter`], for the step of an event, or for all where it concerns them all.
    pub(super) fn enter_after(&mut self, event: &Event) {
        match event {
            // They change nothing that is looked for, and come in floods.
            Event::Line { .. } | Event::Progressed { .. } | Event::Checked { .. } => {}
            Event::Opened(_) | Event::Resumed(_) | Event::RollbackBegan { .. } => {
                (0..self.steps.len()).for_each(|i| self.enter(i));
            }
            _ => {
                if let Some(i) = event.step().and_then(|step| self.position(step)) {
                    self.enter(i);
                }
            }
        }
    }
}

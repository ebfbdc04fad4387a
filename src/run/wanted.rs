//! What ought to be alive now. Level-triggered: the conductor compares it with what is alive, so
//! that a start, a crash, a resume and an abort take the same path.

use std::time::Duration;

use super::state::{RunState, StepState, What};
use crate::base::{Elapsed, Stamp, StepId, WatchId};

/// A criterion older than this does not carry a go.
pub(super) const STALE: Duration = Duration::from_secs(60);
/// Time between two rounds of looking at the criteria while all are green.
const ROUND_GREEN: Duration = Duration::from_secs(20);
/// The same while one is red or has no data: somebody is waiting for it.
const ROUND_RED: Duration = Duration::from_secs(3);

/// An attempt that ought to be alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The step.
    pub step: StepId,
    /// The attempt.
    pub attempt: u32,
    /// What it is to do.
    pub what: What,
}

/// A round of looking at a stop point's criteria that ought to be under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedCriteria {
    /// The step.
    pub step: StepId,
    /// The round.
    pub round: u32,
    /// Not before.
    pub from: Elapsed,
}

impl RunState {
    /// The attempts that ought to be alive. None once the run is over.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted> {
        if self.ended.is_some() {
            return Vec::new();
        }
        let active = self.agenda.active.iter().map(|&i| (&self.outlines()[i], &self.steps[i]));
        let alive = active.flat_map(|(outline, run)| {
            run.attempts.iter().filter(|attempt| attempt.alive()).map(|attempt| Wanted {
                step: outline.id.clone(),
                attempt: attempt.number,
                what: attempt.what,
            })
        });
        alive.collect()
    }

    /// The rounds of criteria that ought to be under way, or to start later.
    #[must_use]
    pub fn wanted_criteria(&self) -> Vec<WantedCriteria> {
        if self.ended.is_some() {
            return Vec::new();
        }
        let active = self.agenda.active.iter().map(|&i| (&self.outlines()[i], &self.steps[i]));
        let asked = active.filter(|(_, run)| {
            run.forward.state == StepState::AtStopPoint && !run.forward.gone && !run.criteria.is_empty()
        });
        let wanted = asked.map(|(outline, run)| {
            let newest = run.criteria.iter().filter_map(|c| c.at).map(|at| at.elapsed).max();
            let green = run.criteria.iter().all(|c| c.ok == Some(true));
            let looked = run.criteria.iter().all(|c| c.ok.is_some());
            let pause = if green { ROUND_GREEN } else { ROUND_RED };
            let from = if looked { newest.map_or(Elapsed(0), |at| at.after(pause)) } else { Elapsed(0) };
            WantedCriteria { step: outline.id.clone(), round: run.round, from }
        });
        wanted.collect()
    }

    /// The watches that ought to be looking.
    #[must_use]
    pub fn wanted_watches(&self) -> Vec<WatchId> {
        if self.ended.is_some() {
            return Vec::new();
        }
        let looking = self.watches.iter().filter(|watch| watch.began.is_some() && watch.ended.is_none());
        looking.map(|watch| watch.id.clone()).collect()
    }

    /// When something falls due by time alone: the next try, the next round of criteria.
    #[must_use]
    pub fn next_due(&self, now: Stamp) -> Option<Elapsed> {
        let retries = self.active_legs().filter_map(|(_, _, leg)| match leg.state {
            StepState::RetryWait { not_before } if !self.blocked() => Some(not_before),
            _ => None,
        });
        retries.min().map(|due| due.max(now.elapsed))
    }
}

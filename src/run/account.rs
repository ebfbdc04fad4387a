//! How time is booked on a leg and samples on a watch. Only `evolve` books.

use std::time::Duration;

use super::state::{LegRun, StepState, WatchRun};
use crate::base::Stamp;

impl LegRun {
    /// Books the time since the last change and starts counting anew. `owner`: a running manual step
    /// waits for its owner, so the time is a person's.
    pub(super) fn account(&mut self, now: Stamp, owner: bool) {
        let spent = self.since.map_or(Duration::ZERO, |since| now - since);
        match &self.state {
            StepState::AtStopPoint | StepState::NeedsDecision(_) => self.waited += spent,
            StepState::Running if owner => self.waited += spent,
            StepState::Running | StepState::RetryWait { .. } => self.worked += spent,
            StepState::Pending | StepState::Ready | StepState::Settled(_) => {}
        }
        self.since = Some(now);
    }
}

impl WatchRun {
    pub(super) fn sample(&mut self, ok: Option<bool>, no_data_is_bad: bool, now: Stamp) {
        self.samples += 1;
        match ok {
            Some(true) => {
                self.bad = 0;
                self.breached = false;
                self.quiet_since.get_or_insert(now);
            }
            None if !no_data_is_bad => {}
            Some(false) | None => {
                self.bad += 1;
                self.quiet_since = None;
            }
        }
    }
}

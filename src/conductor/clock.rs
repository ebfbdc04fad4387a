//! The run's clocks: the wall for people, and a steady one that counts sleep and never jumps.

use std::time::Duration;

use chrono::Utc;
use rustix::time::{ClockId, clock_gettime};

use crate::base::{Elapsed, Stamp};

/// Reads both clocks. Steady time goes on from where the run stood.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Steady time of the machine at which the run's steady clock showed `base`.
    origin_ms: u64,
    base: Elapsed,
    /// Time asleep since the machine was started, at the last look.
    asleep_ms: u64,
}

fn ms(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0)
}

fn boottime_ms() -> u64 {
    ms(ClockId::Boottime)
}

/// The steady clock that counts sleep, less the one that does not.
fn asleep_ms() -> u64 {
    boottime_ms().saturating_sub(ms(ClockId::Monotonic))
}

impl Clock {
    fn from(base: Elapsed) -> Self {
        Self { origin_ms: boottime_ms(), base, asleep_ms: asleep_ms() }
    }

    /// A clock of a run that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self::from(Elapsed(0))
    }

    /// A clock that goes on after `last`: the gap is measured by the wall, since the process that
    /// wrote it is gone and the machine may have been started anew.
    #[must_use]
    pub fn go_on(last: Stamp) -> Self {
        let gap = u64::try_from((Utc::now() - last.at).num_milliseconds()).unwrap_or(0);
        Self::from(Elapsed(last.elapsed.0 + gap))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Stamp {
        let steady = boottime_ms().saturating_sub(self.origin_ms);
        Stamp::new(Utc::now(), self.base.after(Duration::from_millis(steady)))
    }

    /// How far the wall moved more than the steady clock between two ticks, and how long the machine
    /// slept, where either is more than `limit_ms`.
    pub fn jump(&mut self, before: Stamp, now: Stamp, limit_ms: i64) -> Option<(i64, Duration)> {
        let steady = i64::try_from(now.elapsed.0).unwrap_or(0) - i64::try_from(before.elapsed.0).unwrap_or(0);
        let wall_ms = (now.at - before.at).num_milliseconds() - steady;
        let asleep = asleep_ms();
        let slept = asleep.saturating_sub(self.asleep_ms);
        self.asleep_ms = asleep;
        let far = wall_ms.abs() > limit_ms || i64::try_from(slept).unwrap_or(i64::MAX) > limit_ms;
        far.then_some((wall_ms, Duration::from_millis(slept)))
    }
}

//! Time as values. Nobody below the conductor reads a clock: a moment arrives with the input.

use std::{ops::Sub, time::Duration};

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

/// Milliseconds since the run was opened, by a clock that counts sleep and never jumps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Elapsed(pub u64);

impl Elapsed {
    /// The moment `by` later.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long from `earlier` to here; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// One moment by both clocks: the wall for people, the steady one for durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Wall clock, UTC, milliseconds.
    pub at: DateTime<Utc>,
    /// Steady clock.
    pub elapsed: Elapsed,
}

impl Stamp {
    /// A moment; the wall clock is cut to the milliseconds that the journal keeps.
    #[must_use]
    pub fn new(at: DateTime<Utc>, elapsed: Elapsed) -> Self {
        Self { at: at.trunc_subsecs(3), elapsed }
    }
}

impl Sub for Stamp {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.elapsed.since(earlier.elapsed)
    }
}

/// `0m07`, `4m39`, `1h02m`: a duration in the fixed words of every view.
#[must_use]
pub fn short_duration(d: Duration) -> String {
    let s = d.as_secs();
    if s >= 3600 { format!("{}h{:02}m", s / 3600, s / 60 % 60) } else { format!("{}m{:02}", s / 60, s % 60) }
}

/// As [`short_duration`] with a sign: `+3m20`, `-0m50`. Milliseconds in.
#[must_use]
pub fn signed_duration(ms: i64) -> String {
    // Less than a second is neither late nor early.
    let sign = if ms <= -1000 { '-' } else { '+' };
    format!("{sign}{}", short_duration(Duration::from_millis(ms.unsigned_abs())))
}

/// `0:44:09`: a running clock.
#[must_use]
pub fn hms(d: Duration) -> String {
    let s = d.as_secs();
    format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

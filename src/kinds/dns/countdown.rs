//! The arithmetic of waiting for a TTL: from when, how long, and what begins the count anew.
//!
//! ```text
//! INSYNC        from ────────── old TTL ──────────▶ safe
//! a stale server was heard        now ── its TTL ─────────▶ safe     (caches may just have asked it)
//! ```

use chrono::{DateTime, Local, TimeDelta, Utc};

/// A wait for caches to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kinds) struct Countdown {
    /// When no server was left that gives out the old TTL.
    pub from: DateTime<Utc>,
    /// The largest TTL that a cache may hold, in seconds.
    pub old: u64,
    /// When the last copy is gone.
    pub safe: DateTime<Utc>,
}

/// What the servers said at one look, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::kinds) struct Heard {
    /// The largest TTL of all, negative ones included.
    pub largest: u64,
    /// The largest TTL of a server that has not got the new one yet.
    pub stale: Option<u64>,
}

impl Countdown {
    pub fn new(from: DateTime<Utc>, old: u64) -> Self {
        Self { from, old, safe: after(from, old) }
    }

    /// Takes a look in. It never makes the wait shorter: a cache may have asked before.
    pub fn hear(&mut self, heard: Heard, now: DateTime<Utc>) {
        self.old = self.old.max(heard.largest);
        self.safe = self.safe.max(after(self.from, self.old));
        if let Some(stale) = heard.stale {
            self.safe = self.safe.max(after(now, stale));
        }
    }

    /// How long it still takes.
    pub fn left(&self, now: DateTime<Utc>) -> std::time::Duration {
        (self.safe - now).to_std().unwrap_or_default()
    }

    /// How much of it is over, 0 to 1.
    pub fn share(&self, now: DateTime<Utc>) -> f32 {
        let whole = (self.safe - self.from).to_std().unwrap_or_default().as_secs_f32();
        if whole > 0.0 { 1.0 - self.left(now).as_secs_f32() / whole } else { 1.0 }
    }
}

/// TTLs have 31 bits (RFC 2181 section 8), so what is more is taken for that.
fn after(from: DateTime<Utc>, seconds: u64) -> DateTime<Utc> {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX).min(i64::from(i32::MAX));
    from.checked_add_signed(TimeDelta::seconds(seconds)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The time on the wall, with the day where it is another one.
pub(in crate::kinds) fn clock(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let (at, now) = (at.with_timezone(&Local), now.with_timezone(&Local));
    let form = if at.date_naive() == now.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    at.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_796_000_000 + s, 0).unwrap()
    }

    fn heard(largest: u64, stale: Option<u64>) -> Heard {
        Heard { largest, stale }
    }

    #[test]
    fn counts_from_insync() {
        let mut wait = Countdown::new(at(0), 3600);
        assert_eq!((wait.safe, wait.left(at(600)).as_secs()), (at(3600), 3000));
        wait.hear(heard(60, None), at(600));
        assert_eq!(wait.safe, at(3600), "the new TTL does not shorten it");
        wait.hear(heard(7200, None), at(700));
        assert_eq!(
            (wait.old, wait.safe),
            (7200, at(7200)),
            "a larger one along the chain counts, from the same moment"
        );
        assert_eq!(wait.left(at(8000)).as_secs(), 0);
        assert!((wait.share(at(3600)) - 0.5).abs() < 1e-6 && (wait.share(at(9000)) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_stale_server_begins_it_anew() {
        let mut wait = Countdown::new(at(0), 300);
        wait.hear(heard(300, Some(300)), at(200));
        assert_eq!(wait.safe, at(500));
        wait.hear(heard(300, Some(10)), at(300));
        assert_eq!(wait.safe, at(500), "never earlier");
        wait.hear(heard(60, None), at(400));
        assert_eq!(wait.safe, at(500));
    }

    #[test]
    fn extremes() {
        assert_eq!(Countdown::new(at(0), u64::MAX).safe, at(i64::from(i32::MAX)));
        let wait = Countdown::new(at(0), 0);
        assert!(wait.left(at(0)).is_zero() && (wait.share(at(0)) - 1.0).abs() < 1e-6);
        assert_eq!(Countdown::new(DateTime::<Utc>::MAX_UTC, 5).safe, DateTime::<Utc>::MAX_UTC);
    }

    #[test]
    fn another_day_is_told() {
        assert_eq!(clock(at(0), at(0)).len(), 8);
        assert_eq!(clock(at(172_800), at(0)).len(), 19);
    }
}

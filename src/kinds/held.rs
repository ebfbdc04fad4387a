//! How long looks have agreed without a break, for kinds that want something to hold. What was before the first
//! look, or in a long time without one, is not known and does not count.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::base::short_duration;

/// Looks further apart than this say nothing about the time between them: watches look every few seconds to minutes.
const SILENCE: Duration = Duration::from_secs(5 * 60);

/// Keeps the first and the last of the unbroken good looks.
pub(super) struct Held {
    /// How long they have to agree.
    pub wanted: Duration,
    good: Mutex<Option<(Instant, Instant)>>,
}

impl Held {
    /// Nothing was looked at yet.
    pub fn new(wanted: Duration) -> Self {
        Self { wanted, good: Mutex::new(None) }
    }

    /// A look; how long it has been good, this look included. A bad one starts anew.
    pub fn look(&self, good: bool) -> Duration {
        self.look_at(good, Instant::now())
    }

    fn look_at(&self, good: bool, now: Instant) -> Duration {
        let mut kept = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let unbroken = kept.filter(|(_, last)| good && now.saturating_duration_since(*last) <= SILENCE);
        let first = unbroken.map_or(now, |(first, _)| first);
        *kept = good.then_some((first, now));
        now.saturating_duration_since(first)
    }

    /// ` for 1m00`, or nothing where one look is enough.
    pub fn words(&self) -> String {
        if self.wanted.is_zero() { String::new() } else { format!(" for {}", short_duration(self.wanted)) }
    }

    /// The same with how long it has been.
    pub fn so_far(&self, held: Duration) -> String {
        if self.wanted.is_zero() { String::new() } else { format!(" for {}", short_duration(held)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_the_first_good_look_and_breaks() {
        let held = Held::new(Duration::from_secs(60));
        let start = Instant::now();
        let at = |good, s| held.look_at(good, start + Duration::from_secs(s)).as_secs();
        assert_eq!([at(true, 0), at(true, 30), at(true, 90)], [0, 30, 90]);
        assert_eq!([at(false, 91), at(true, 92), at(true, 100)], [0, 0, 8]);
        assert_eq!([at(true, 100 + 300), at(true, 401 + 300)], [308, 0], "five minutes without a look are a break");
    }
}

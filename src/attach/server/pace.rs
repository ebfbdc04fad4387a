//! How much may be asked in a stretch of time, by all clients together: some at once, then a steady pace.

use std::time::{Duration, Instant};

/// A bucket that fills with time.
#[derive(Debug)]
pub(super) struct Pace {
    left: u32,
    burst: u32,
    every: Duration,
    filled: Option<Instant>,
}

impl Pace {
    fn new(burst: u32, every: Duration) -> Self {
        Self { left: burst, burst, every, filled: None }
    }

    /// Votes and notes: a round of voters at once, then some a second; each is a sync of the journal.
    pub fn words() -> Self {
        Self::new(20, Duration::from_millis(200))
    }

    /// Pages of events: a long night read at once, then so many that a core is hardly touched.
    pub fn pages() -> Self {
        Self::new(200, Duration::from_millis(10))
    }

    /// Takes one, where there is one.
    pub fn may(&mut self) -> bool {
        self.take(Instant::now()).is_ok()
    }

    /// Takes one, and waits for it where there is none yet.
    pub async fn wait(&mut self) {
        while let Err(wait) = self.take(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes one, or says how long until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let filled = *self.filled.get_or_insert(now);
        let since = now.saturating_duration_since(filled);
        let new = u32::try_from(since.as_nanos() / self.every.as_nanos().max(1)).unwrap_or(u32::MAX);
        if new >= self.burst.saturating_sub(self.left) {
            self.left = self.burst;
            self.filled = Some(now);
        } else if new > 0 {
            self.left += new;
            self.filled = Some(filled + self.every * new);
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            // A whole one more than has passed of it: at worst one look too late.
            None => Err(self.every),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_at_once_then_a_steady_pace() {
        let mut pace = Pace::new(3, Duration::from_secs(1));
        let start = Instant::now();
        let mut taken = |ms: u64| (0..9).take_while(|_| pace.take(start + Duration::from_millis(ms)).is_ok()).count();
        assert_eq!([taken(0), taken(900), taken(1000), taken(1900), taken(3500)], [3, 0, 1, 0, 2]);
        assert_eq!(taken(3_600_000), 3, "an hour of silence saves up no more");
    }
}

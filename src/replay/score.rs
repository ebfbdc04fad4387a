//! The times of a log, recorded and as played: the only place that knows how gaps are shortened.

use std::time::Duration;

/// A gap longer than this is idle…
pub(super) const IDLE: Duration = Duration::from_secs(2);
/// …and is played as this.
const PLAYED: Duration = Duration::from_secs(2);

/// When each event was, in milliseconds, recorded and as played. Both never go down.
pub(super) struct Score {
    recorded: Vec<u64>,
    played: Vec<u64>,
}

impl Score {
    /// The score of recorded times; `shorten`: gaps are shortened.
    pub(super) fn new(recorded: &[u64], shorten: bool) -> Self {
        let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let mut at = 0;
        let mut before = recorded.first().copied().unwrap_or(0);
        let mut high = before;
        let mut kept = Vec::with_capacity(recorded.len());
        let mut played = Vec::with_capacity(recorded.len());
        for &time in recorded {
            // A damaged or joined journal may step back; the player never does.
            high = high.max(time);
            let gap = high - before;
            at += if shorten && gap > ms(IDLE) { ms(PLAYED) } else { gap };
            before = high;
            kept.push(high);
            played.push(at);
        }
        Self { recorded: kept, played }
    }

    /// Events.
    pub(super) fn len(&self) -> usize {
        self.played.len()
    }

    /// Length as played.
    pub(super) fn length(&self) -> u64 {
        self.played.last().copied().unwrap_or(0)
    }

    /// When an event is played; the end for one behind the last.
    pub(super) fn played_at(&self, event: usize) -> u64 {
        self.played.get(event).copied().unwrap_or_else(|| self.length())
    }

    /// Events that have happened at a position.
    pub(super) fn visible(&self, position: u64) -> usize {
        self.played.partition_point(|at| *at <= position)
    }

    /// The recorded time at a position: inside a shortened gap it runs faster.
    pub(super) fn recorded_at(&self, position: u64) -> u64 {
        let next = self.visible(position);
        let Some(before) = next.checked_sub(1) else { return self.recorded.first().copied().unwrap_or(0) };
        let (Some(&from), Some(&begin)) = (self.recorded.get(before), self.played.get(before)) else { return 0 };
        let (Some(&to), Some(&end)) = (self.recorded.get(next), self.played.get(next)) else { return from };
        let share = u128::from(position - begin) * u128::from(to - from) / u128::from((end - begin).max(1));
        from + u64::try_from(share).unwrap_or(0)
    }

    /// The position as played of a recorded time.
    pub(super) fn position_of(&self, recorded: u64) -> u64 {
        let next = self.recorded.partition_point(|at| *at <= recorded);
        let Some(before) = next.checked_sub(1) else { return 0 };
        let (from, begin) = (self.recorded[before], self.played[before]);
        let (Some(&to), Some(&end)) = (self.recorded.get(next), self.played.get(next)) else { return begin };
        let share = u128::from(recorded - from) * u128::from(end - begin) / u128::from((to - from).max(1));
        begin + u64::try_from(share).unwrap_or(0)
    }
}

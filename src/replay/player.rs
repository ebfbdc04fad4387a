//! Play, pause, speed and jumps. Controls take `&self`, because the view that draws and the view's
//! keys share the player; time comes in as a value.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;

use super::score::Score;
use crate::{
    base::{Elapsed, Stamp},
    log::{EventLog, Playhead},
    run::{Envelope, Event},
};

/// Speeds, in quarters, so that they stay whole numbers: ×0.25 to ×64.
const SPEEDS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/// ×1.
const NORMAL: usize = 2;
/// The small jump.
const JUMP: u64 = 5_000;

/// Plays a loaded log.
pub struct Player {
    events: Vec<Arc<Envelope>>,
    /// Events at which a step begins, is asked about, or ends.
    marks: Vec<usize>,
    shortened: Score,
    full: Score,
    place: Mutex<Place>,
    /// What the opener found out about the file: `verified, anchored up to 412`.
    sealed: String,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// Milliseconds as played.
    position: u64,
    playing: bool,
    speed: usize,
    shorten: bool,
    /// Real time of the last tick.
    last: Duration,
}

/// Where the player is, for a header and a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// It plays.
    pub playing: bool,
    /// `x8`, `x0.25`.
    pub speed: String,
    /// Recorded time at the position.
    pub at: Duration,
    /// Recorded time of all.
    pub total: Duration,
    /// 0 to 1000, as played.
    pub permille: u64,
    /// Events shown, and all.
    pub events: (usize, usize),
    /// Idle gaps are shortened.
    pub shorten: bool,
    /// What the opener found out about the file.
    pub sealed: String,
}

impl Player {
    /// A player at the beginning of a loaded log, playing. `sealed` says what is known of the file.
    #[must_use]
    pub fn new(log: &EventLog, sealed: impl Into<String>) -> Self {
        let events = log.read(0, usize::MAX);
        let times: Vec<u64> = events.iter().map(|envelope| envelope.elapsed.0).collect();
        let marks = events.iter().enumerate().filter(|(_, e)| is_mark(&e.event)).map(|(i, _)| i).collect();
        Self {
            marks,
            shortened: Score::new(&times, true),
            full: Score::new(&times, false),
            events,
            place: Mutex::new(Place { position: 0, playing: true, speed: NORMAL, shorten: true, last: Duration::ZERO }),
            sealed: sealed.into(),
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // A view that panicked has left a position, and every position is a good one.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn score(&self, shorten: bool) -> &Score {
        if shorten { &self.shortened } else { &self.full }
    }

    /// Real time has come to `at` (any clock that never goes back, the same for all calls).
    pub fn tick(&self, at: Duration) {
        let mut place = self.place();
        let spent = at.saturating_sub(place.last);
        place.last = at;
        if place.playing {
            let by = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX).saturating_mul(SPEEDS[place.speed]) / 4;
            let end = self.score(place.shorten).length();
            place.position = place.position.saturating_add(by).min(end);
            if place.position == end {
                place.playing = false;
            }
        }
    }

    /// Play or pause; at the end it plays from the beginning.
    pub fn toggle(&self) {
        let mut place = self.place();
        if !place.playing && place.position >= self.score(place.shorten).length() {
            place.position = 0;
        }
        place.playing = !place.playing;
    }

    /// One speed up or down.
    pub fn faster(&self, up: bool) {
        let mut place = self.place();
        place.speed = if up { (place.speed + 1).min(SPEEDS.len() - 1) } else { place.speed.saturating_sub(1) };
    }

    /// Sets the nearest speed: 8.0 is ×8.
    pub fn set_speed(&self, factor: f64) {
        let distance = |i: &usize| {
            let quarters = u32::try_from(SPEEDS[*i]).map_or(f64::MAX, f64::from);
            (quarters / 4.0 - factor).abs()
        };
        let nearest = (0..SPEEDS.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        self.place().speed = nearest.unwrap_or(NORMAL);
    }

    /// Five seconds on or back.
    pub fn jump(&self, on: bool) {
        self.move_by(on, JUMP);
    }

    /// A tenth of all, on or back.
    pub fn tenth(&self, on: bool) {
        let length = self.score(self.place().shorten).length();
        self.move_by(on, length / 10);
    }

    fn move_by(&self, on: bool, by: u64) {
        let mut place = self.place();
        let end = self.score(place.shorten).length();
        place.position =
            if on { place.position.saturating_add(by).min(end) } else { place.position.saturating_sub(by) };
    }

    /// To a share of all: 0 to 10.
    pub fn to_tenth(&self, tenth: u64) {
        let mut place = self.place();
        place.position = self.score(place.shorten).length() * tenth.min(10) / 10;
    }

    /// To the end.
    pub fn to_end(&self) {
        self.to_tenth(10);
    }

    /// To a recorded moment.
    pub fn to(&self, at: Elapsed) {
        let mut place = self.place();
        place.position = self.score(place.shorten).position_of(at.0);
    }

    /// To the next or the last step's beginning, question or end.
    pub fn step(&self, on: bool) {
        let marks = self.marks.clone();
        self.to_event(on, &marks);
    }

    /// To the next or the last event.
    pub fn event(&self, on: bool) {
        let all: Vec<usize> = (0..self.events.len()).collect();
        self.to_event(on, &all);
    }

    /// Moves to the nearest of some events that is shown at another time than now. Stops the playing: who
    /// goes event by event wants to look.
    fn to_event(&self, on: bool, stops: &[usize]) {
        let mut place = self.place();
        let score = self.score(place.shorten);
        let times = stops.iter().map(|i| score.played_at(*i));
        let target = if on {
            times.filter(|at| *at > place.position).min().unwrap_or_else(|| score.length())
        } else {
            times.filter(|at| *at < place.position).max().unwrap_or(0)
        };
        place.position = target;
        place.playing = false;
    }

    /// Shortens idle gaps, or plays them in full; stays at the same recorded moment.
    pub fn toggle_idle(&self) {
        let mut place = self.place();
        let recorded = self.score(place.shorten).recorded_at(place.position);
        place.shorten = !place.shorten;
        place.position = self.score(place.shorten).position_of(recorded);
    }

    /// Where it is.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let place = *self.place();
        let score = self.score(place.shorten);
        let length = score.length().max(1);
        let first = self.events.first().map_or(0, |e| e.elapsed.0);
        let quarters = SPEEDS[place.speed];
        let speed = match quarters {
            1 => "x0.25".to_owned(),
            2 => "x0.5".to_owned(),
            n => format!("x{}", n / 4),
        };
        Shown {
            playing: place.playing,
            speed,
            at: Duration::from_millis(score.recorded_at(place.position).saturating_sub(first)),
            total: Duration::from_millis(self.full.length()),
            permille: place.position * 1000 / length,
            events: (score.visible(place.position), score.len()),
            shorten: place.shorten,
            sealed: self.sealed.clone(),
        }
    }
}

fn is_mark(event: &Event) -> bool {
    matches!(
        event,
        Event::AttemptStarted { .. }
            | Event::AttemptEnded { .. }
            | Event::Settled { .. }
            | Event::Asked { .. }
            | Event::NoReturnCrossed { .. }
            | Event::RollbackBegan { .. }
            | Event::Held { .. }
            | Event::Ended { .. }
    )
}

impl Playhead for Player {
    fn visible(&self, log: &EventLog) -> usize {
        let place = *self.place();
        self.score(place.shorten).visible(place.position).min(log.len())
    }

    fn now(&self) -> Stamp {
        let place = *self.place();
        let score = self.score(place.shorten);
        let recorded = score.recorded_at(place.position);
        let before = score.visible(place.position).saturating_sub(1);
        let Some(event) = self.events.get(before) else { return Stamp::new(chrono::DateTime::UNIX_EPOCH, Elapsed(0)) };
        // The wall clock of the event before, so that a night with a clock jump shows what people saw.
        let since = i64::try_from(recorded.saturating_sub(event.elapsed.0)).unwrap_or(0);
        let at = event.at + TimeDelta::try_milliseconds(since).unwrap_or_default();
        Stamp::new(at, Elapsed(recorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(times: &[u64]) -> EventLog {
        let log = EventLog::default();
        let at = chrono::DateTime::UNIX_EPOCH;
        log.publish(times.iter().zip(1..).map(|(ms, seq)| Envelope {
            seq,
            at: at + TimeDelta::milliseconds(i64::try_from(*ms).unwrap()),
            elapsed: Elapsed(*ms),
            event: Event::TornTail { bytes: 0, kept_as: String::new() },
        }));
        log
    }

    fn place(player: &Player, log: &EventLog) -> (usize, u64) {
        (player.visible(log), player.now().elapsed.0)
    }

    #[test]
    fn gaps_are_shortened_and_the_clock_runs_through_them() {
        let log = log(&[0, 1_000, 61_000, 62_000]);
        let player = Player::new(&log, "");
        assert_eq!(place(&player, &log), (1, 0));
        player.tick(Duration::from_millis(1_000));
        assert_eq!(place(&player, &log), (2, 1_000));
        player.tick(Duration::from_millis(2_000));
        assert_eq!(place(&player, &log), (2, 31_000));
        player.tick(Duration::from_millis(3_000));
        assert_eq!(place(&player, &log), (3, 61_000));
        player.toggle_idle();
        assert_eq!(place(&player, &log), (3, 61_000));
        player.tick(Duration::from_millis(9_000));
        assert_eq!(place(&player, &log), (4, 62_000));
        assert!(!player.shown().playing, "it stops at the end");
        player.toggle();
        assert_eq!(place(&player, &log), (1, 0), "and plays again from the beginning");
    }

    #[test]
    fn jumps() {
        let log = log(&[0, 1_000, 1_500, 10_000]);
        let player = Player::new(&log, "");
        player.toggle_idle();
        player.event(true);
        assert_eq!(place(&player, &log), (2, 1_000));
        player.event(true);
        player.event(false);
        assert_eq!(place(&player, &log), (2, 1_000));
        player.jump(true);
        assert_eq!(place(&player, &log), (3, 6_000));
        player.tenth(true);
        assert_eq!(place(&player, &log), (3, 7_000));
        player.to_tenth(9);
        assert_eq!(place(&player, &log), (3, 9_000));
        player.to_end();
        assert_eq!(place(&player, &log), (4, 10_000));
        player.to(Elapsed(1_200));
        assert_eq!(place(&player, &log), (2, 1_200));
        player.toggle();
        player.set_speed(8.0);
        assert_eq!(player.shown().speed, "x8");
        player.tick(Duration::from_millis(100));
        assert_eq!(place(&player, &log), (3, 2_000));
        for _ in 0..20 {
            player.faster(true);
        }
        assert_eq!(player.shown().speed, "x64");
    }

    #[test]
    fn an_empty_log_and_a_step_back_in_time_are_harmless() {
        let empty = log(&[]);
        let player = Player::new(&empty, "");
        player.tick(Duration::from_secs(9));
        player.step(true);
        player.tenth(false);
        assert_eq!(player.visible(&empty), 0);
        let back = log(&[5_000, 4_000, 6_000]);
        let player = Player::new(&back, "");
        player.to_end();
        assert_eq!(player.visible(&back), 3);
    }
}

//! Whether every process has been heard of since there was nothing left to do.
//!
//! What a process is working on is known from its heartbeat only, every 5 s (Sidekiq 6) or 10 s: a job that was taken a moment
//! ago is nowhere to be seen, neither in its queue nor among the busy. So nothing being left is believed when
//!
//! 1. nothing was left at a look, and at every look since;
//! 2. every process that lives has sent a heartbeat that it began after that look, and is not busy by it;
//! 3. no job was finished in the meantime (`stat:processed`): one that ran unseen may have left another behind.
//!
//! Clocks of several machines are not compared: a heartbeat is later when it is another one than that of a look before.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A heartbeat looks at its jobs first and is written a few round trips later. One that is written this long after a
/// look, and longer on a slow network, was begun after it.
const BEGUN: Duration = Duration::from_millis(1500);
/// How many round trips lie between the two.
const ROUND_TRIPS: u32 = 4;

/// A living process at a look.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Beat {
    pub identity: String,
    /// Its latest heartbeat, as written.
    pub beat: String,
    /// The round trip that it measured.
    pub round_trip: Duration,
}

struct Kept {
    /// When the first look at which nothing was left was over.
    since: Instant,
    /// What counts when jobs are finished.
    processed: i64,
    /// The heartbeats that do not count yet, by process.
    before: BTreeMap<String, String>,
}

/// Remembers the looks at one Sidekiq.
#[derive(Default)]
pub(super) struct Heard(Mutex<Option<Kept>>);

impl Heard {
    /// A look at which something was left, or none at all: everything begins anew.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A look, over at `now`, at which nothing was left. Gives the processes that were not heard of since.
    pub fn nothing_left<'b>(&self, beats: &'b [Beat], processed: i64, now: Instant) -> Vec<&'b str> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|kept| kept.processed != processed) {
            *kept = Some(Kept { since: now, processed, before: BTreeMap::new() });
        }
        let Some(kept) = kept.as_mut() else { return Vec::new() };
        let mut silent = Vec::new();
        for one in beats {
            let begun = BEGUN.max(one.round_trip * ROUND_TRIPS);
            match kept.before.get(&one.identity) {
                Some(before) if *before != one.beat => {}
                Some(_) => silent.push(one.identity.as_str()),
                None => {
                    if now.saturating_duration_since(kept.since) >= begun {
                        kept.before.insert(one.identity.clone(), one.beat.clone());
                    }
                    silent.push(one.identity.as_str());
                }
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(identity: &str, beat: u32) -> Beat {
        Beat { identity: identity.into(), beat: beat.to_string(), round_trip: Duration::from_micros(300) }
    }

    #[test]
    fn a_heartbeat_counts_that_was_begun_after_the_first_look() {
        let (heard, start) = (Heard::default(), Instant::now());
        let look = |ms, beats: &[Beat], processed| {
            let at = start + Duration::from_millis(ms);
            heard.nothing_left(beats, processed, at).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(look(0, &[beat("a", 1)], 5), ["a"]);
        assert_eq!(look(300, &[beat("a", 2)], 5), ["a"], "begun before the first look, perhaps");
        assert_eq!(look(1400, &[beat("a", 3)], 5), ["a"], "this one, too");
        assert_eq!(look(2000, &[beat("a", 3), beat("b", 1)], 5), ["a", "b"]);
        assert_eq!(look(4000, &[beat("a", 4), beat("b", 1)], 5), ["b"]);
        assert_eq!(look(6000, &[beat("a", 4), beat("b", 2), beat("c", 1)], 5), ["c"], "new ones have to be heard, too");
        assert_eq!(look(8000, &[beat("a", 4), beat("b", 2)], 5), [""; 0], "one that has gone is not waited for");
        assert_eq!(look(9000, &[beat("a", 4), beat("b", 2)], 6), ["a", "b"], "a job was finished");
        heard.forget();
        assert_eq!(look(20_000, &[beat("a", 9)], 6), ["a"]);
        assert_eq!(look(20_001, &[], 6), [""; 0], "without a process there is nobody to wait for");
    }

    /// A slow network makes heartbeats that take long.
    #[test]
    fn a_slow_heartbeat_has_more_time() {
        let (heard, start) = (Heard::default(), Instant::now());
        let slow = |n| Beat { round_trip: Duration::from_secs(1), ..beat("a", n) };
        let look = |ms, one: Beat| heard.nothing_left(&[one], 0, start + Duration::from_millis(ms)).len();
        assert_eq!((look(0, slow(1)), look(2000, slow(1)), look(3000, slow(2))), (1, 1, 1));
        assert_eq!((look(5000, slow(2)), look(7000, slow(3))), (1, 0));
    }

    /// A small Sidekiq: processes take jobs, finish them, leave new ones behind, and write heartbeats in two steps.
    struct World {
        queue: u32,
        running: Vec<Vec<Work>>,
        unwritten: Vec<u32>,
        snapshot: Vec<Option<(u64, usize)>>,
        beats: Vec<(u64, usize)>,
        processed: i64,
        now: u64,
    }

    /// When it ends, and how many jobs it leaves behind then.
    type Work = (u64, u32);

    impl World {
        fn step(&mut self, random: &mut fastrand::Rng) {
            self.now += 10;
            for p in 0..self.running.len() {
                let (done, left): (Vec<Work>, Vec<Work>) = self.running[p].iter().partition(|work| work.0 <= self.now);
                self.running[p] = left;
                self.unwritten[p] += u32::try_from(done.len()).unwrap();
                self.queue += done.iter().map(|work| work.1).sum::<u32>();
                if self.queue > 0 && self.running[p].len() < 3 && random.bool() {
                    self.queue -= 1;
                    let long = if random.u8(..4) == 0 { 12_000 } else { 1200 };
                    let children = if random.u8(..5) < 3 { 1 } else { 0 };
                    self.running[p].push((self.now + random.u64(10..long), children));
                }
                // A heartbeat begins every 5 s, and is written up to a second later.
                match self.snapshot[p] {
                    None if (self.now / 10 + p as u64 * 77).is_multiple_of(500) => {
                        self.processed += i64::from(std::mem::take(&mut self.unwritten[p]));
                        self.snapshot[p] = Some((self.now + random.u64(0..1000), self.running[p].len()));
                    }
                    Some((at, busy)) if at <= self.now => {
                        self.beats[p] = (self.now, busy);
                        self.snapshot[p] = None;
                    }
                    _ => {}
                }
            }
        }

        fn left(&self) -> usize {
            self.queue as usize + self.running.iter().map(Vec::len).sum::<usize>()
        }
    }

    /// In many drains it is never believed too early, and always in the end.
    #[test]
    fn it_is_never_believed_too_early() {
        let mut believed = 0;
        for seed in 0..1500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let processes = random.usize(1..5);
            let mut world = World {
                queue: random.u32(0..4),
                running: vec![Vec::new(); processes],
                unwritten: vec![0; processes],
                snapshot: vec![None; processes],
                beats: vec![(0, 0); processes],
                processed: 0,
                now: 0,
            };
            let (heard, start) = (Heard::default(), Instant::now());
            let every = random.u64(3..150);
            // The last jobs are added from outside just before somebody looks.
            let first = random.u64(50..1500);
            for step in 0..40_000_u64 {
                world.queue += u32::from(step < first && step + 60 > first && random.u8(..) < 5);
                world.step(&mut random);
                if step < first || step % every != 0 {
                    continue;
                }
                if world.queue > 0 || world.beats.iter().any(|(_, busy)| *busy > 0) {
                    heard.forget();
                    continue;
                }
                let beats = (0..processes).map(|p| beat(&format!("p{p}"), u32::try_from(world.beats[p].0).unwrap()));
                let now = start + Duration::from_millis(world.now);
                if heard.nothing_left(&beats.collect::<Vec<_>>(), world.processed, now).is_empty() {
                    assert_eq!(world.left(), 0, "seed {seed} at {} ms", world.now);
                    believed += 1;
                    break;
                }
            }
        }
        assert_eq!(believed, 1500, "a drain was never believed");
    }
}

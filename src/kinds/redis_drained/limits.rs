//! What may be left, and what is left of it too much, in words.

use std::{collections::BTreeMap, time::Duration};

use super::{
    state::{Process, Queue, Set, State, shown},
    strays::Strays,
};
use crate::base::short_duration;

/// How many are named before the rest is counted.
const NAMED: usize = 4;
/// The longest pause between two heartbeats is 10 s: after this, something is wrong with the process.
const SILENCE: Duration = Duration::from_secs(20);

/// What may be left.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// By queue.
    pub max: BTreeMap<String, u64>,
    /// For every other queue.
    pub other: u64,
    pub scheduled: u64,
    pub retry: u64,
    pub busy: u64,
    /// `None`: nobody looks.
    pub dead: Option<u64>,
    /// Age of the oldest job of any queue.
    pub age: Option<Duration>,
    /// Scheduled and retried jobs count that come due within this; all, where it is left out.
    pub due_within: Option<Duration>,
}

/// The first few, and how many more there are.
pub(super) fn few(all: &[String], between: &str) -> String {
    let more = all.len().saturating_sub(NAMED);
    let mut text = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(between);
    if more > 0 {
        text += &format!("{between}{more} more");
    }
    text
}

impl Limits {
    fn of(&self, queue: &[u8]) -> u64 {
        let known = std::str::from_utf8(queue).ok().and_then(|queue| self.max.get(queue));
        known.copied().unwrap_or(self.other)
    }

    /// `at most 0 jobs in each queue, 0 scheduled, 0 to retry, 0 busy`.
    pub fn words(&self) -> String {
        let mut words = format!("at most {} in each queue", self.other);
        for (queue, most) in &self.max {
            words += &format!(" ({queue}: {most})");
        }
        let due = match self.due_within {
            Some(within) => format!(" (due within {})", short_duration(within)),
            None => String::new(),
        };
        words += &format!(", {} scheduled and {} to retry{due}, {} busy", self.scheduled, self.retry, self.busy);
        if let Some(dead) = self.dead {
            words += &format!(", {dead} dead");
        }
        if let Some(age) = self.age {
            words += &format!(", oldest {}", short_duration(age));
        }
        words
    }

    /// Everything that is too much, the heaviest kind of thing first.
    pub fn over(&self, state: &State) -> Vec<String> {
        let mut over = Vec::new();
        over.extend(self.queues(state));
        for (name, set, most) in [("retry", &state.retry, self.retry), ("schedule", &state.schedule, self.scheduled)] {
            if set.due > most {
                over.push(sorted(name, set, state));
            }
        }
        if state.busy() > self.busy {
            over.push(busy(state));
        }
        let held: Vec<_> = state.private.iter().filter(|one| one.size > 0).collect();
        // What living processes hold they also count as busy; the rest waits until somebody finds it.
        let orphans: u64 = held.iter().filter(|one| !one.alive).map(|one| one.size).sum();
        if orphans > 0 {
            let lists: Vec<_> = held
                .iter()
                .filter(|one| !one.alive)
                .map(|one| format!("{} in {}", one.size, shown(&one.list)))
                .collect();
            over.push(format!("{orphans} left behind by processes that were killed ({})", few(&lists, ", ")));
        } else if held.iter().map(|one| one.size).sum::<u64>() > self.busy {
            let lists: Vec<_> = held.iter().map(|one| format!("{} in {}", one.size, shown(&one.list))).collect();
            over.push(format!("taken and not finished: {}", few(&lists, ", ")));
        }
        if let Some(most) = self.dead
            && state.dead > most
        {
            over.push(format!("{} dead", state.dead));
        }
        over
    }

    /// Lists that no set names, where they hold too much.
    pub fn stray(&self, strays: &Strays) -> Option<String> {
        let most = |list: &[u8]| match list.strip_prefix(b"queue:") {
            Some(queue) if !queue.starts_with(b"sq|") => self.of(queue),
            _ => self.busy,
        };
        let bad = strays.lists.iter().filter(|(list, size)| *size > most(list));
        let told: Vec<_> = bad.map(|(list, size)| format!("{size} in {}", shown(list))).collect();
        (!told.is_empty()).then(|| format!("in lists that no set names: {}", few(&told, ", ")))
    }

    fn queues(&self, state: &State) -> Option<String> {
        let mut bad: Vec<&Queue> = state.queues.iter().filter(|queue| queue.size > self.of(&queue.key)).collect();
        // A job whose age nobody knows is not young.
        let old = |queue: &&Queue| match (&queue.oldest, self.age) {
            (Some(job), Some(most)) => job.enqueued_at.is_none_or(|at| state.ago(at) > most),
            _ => false,
        };
        let older: Vec<&Queue> = state.queues.iter().filter(old).filter(|one| one.size <= self.of(&one.key)).collect();
        bad.sort_by_key(|queue| std::cmp::Reverse(queue.size));
        bad.extend(older);
        let told: Vec<_> = bad.into_iter().map(|queue| one_queue(queue, state)).collect();
        (!told.is_empty()).then(|| format!("queued {}", few(&told, ", ")))
    }

    /// What a person can do about what is too much.
    pub fn hint(&self, state: &State) -> Option<String> {
        let paused: Vec<_> = state.queues.iter().filter(|queue| queue.paused && queue.size > 0).collect();
        if let Some(queue) = paused.first() {
            return Some(format!("queue {} is paused: nobody takes from it", queue.name));
        }
        if let Some(process) = state.processes.iter().find(|one| one.silent > SILENCE && one.busy > 0) {
            return Some(format!(
                "{} sent no heartbeat for {}: if it was killed, it is forgotten after a minute, and what it worked on is lost unless `super_fetch` kept it",
                process.beat.identity,
                short_duration(process.silent)
            ));
        }
        if state.queues.iter().any(|queue| queue.size > self.of(&queue.key)) {
            let working = state.processes.iter().filter(|process| !process.quiet).count();
            if working == 0 {
                return Some("no process takes jobs: start one, or allow what is left by `max`".into());
            }
        }
        if state.retry.due > self.retry {
            return Some(
                "what failed is tried again for up to three weeks: look at the first, then retry, kill or allow it"
                    .into(),
            );
        }
        (state.schedule.due > self.scheduled).then(|| {
            "what is scheduled wakes up after the switch: it has to move along, or to be allowed by `max_scheduled`"
                .into()
        })
    }
}

/// `default 4 (oldest HardJob, 2m10)`.
fn one_queue(queue: &Queue, state: &State) -> String {
    let Queue { name, size, oldest, .. } = queue;
    match oldest {
        Some(job) => {
            let age = job.enqueued_at.map(|at| format!(", {}", short_duration(state.ago(at)))).unwrap_or_default();
            format!("{name} {size} (oldest {}{age})", job.class)
        }
        None => format!("{name} {size}"),
    }
}

/// `retry 3 (next HardJob in 0m25)`.
fn sorted(name: &str, set: &Set, state: &State) -> String {
    let of = if set.due == set.size { String::new() } else { format!(" of {}", set.size) };
    match &set.next {
        Some((job, at)) if *at > state.now => {
            format!("{name} {}{of} (next {} in {})", set.due, job.class, short_duration(state.ahead(*at)))
        }
        Some((job, at)) => {
            format!("{name} {}{of} ({} was due {} ago)", set.due, job.class, short_duration(state.ago(*at)))
        }
        None => format!("{name} {}{of}", set.due),
    }
}

/// `busy 2 (HardJob of default for 0m31 in host:4:ab)`.
fn busy(state: &State) -> String {
    let mut jobs = Vec::new();
    for process in state.processes.iter().filter(|process| process.busy > 0) {
        let Process { beat, jobs: running, .. } = process;
        for job in running {
            let time = job.since.map(|at| format!(" for {}", short_duration(state.ago(at)))).unwrap_or_default();
            jobs.push(format!("{} of {}{time} in {}", job.class, job.queue, beat.identity));
        }
        if running.is_empty() {
            jobs.push(format!("in {}", beat.identity));
        }
    }
    format!("busy {} ({})", state.busy(), few(&jobs, ", "))
}

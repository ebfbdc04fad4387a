//! What a look found, in words and as data.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{limits::few, state::State, strays::Strays};
use crate::{
    base::{Class, Failure, short_duration},
    services::redis::About,
};

/// How many queues and processes the evidence lists.
const LISTED: usize = 50;

/// Nothing is left, by what some processes said before.
pub(super) fn unheard(state: &State, silent: &[&str]) -> Failure {
    let told: Vec<_> = silent
        .iter()
        .map(|identity| {
            let process = state.processes.iter().find(|process| process.beat.identity == **identity);
            let silence = process.map_or(Duration::ZERO, |process| process.silent);
            format!("{identity} ({} ago)", short_duration(silence))
        })
        .collect();
    let words = format!("nothing is left to be seen, but not every process was heard of since: {}", few(&told, ", "));
    Failure::new(Class::NotYet, words)
        .hint("a job that was taken a moment ago shows with the next heartbeat, every 5 to 10 s")
}

fn plural(n: u64, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

/// `; host:4:ab was killed and took 2 jobs along, …`.
pub(super) fn killed_words(killed: &[(String, u64)]) -> String {
    let told: Vec<_> = killed
        .iter()
        .map(|(identity, busy)| match busy {
            0 => format!("{identity} was killed"),
            _ => {
                let jobs = plural(*busy, "job", "jobs");
                format!("{identity} was killed and took {jobs} along, lost unless `super_fetch` kept them")
            }
        })
        .collect();
    if told.is_empty() { String::new() } else { format!("; {}", few(&told, ", ")) }
}

/// `0 queued in 4 queues, 0 scheduled, 0 to retry, 0 busy in 2 processes (1 quiet), 12 dead`.
pub(super) fn told(state: &State, strays: &Strays) -> String {
    let State { queues, schedule, retry, processes, dead, .. } = state;
    let quiet = match processes.iter().filter(|process| process.quiet).count() {
        0 => String::new(),
        n => format!(" ({n} quiet)"),
    };
    let unseen = match strays.unseen {
        Some(keys) => format!("; nobody looked through {keys} keys for lists that no set names"),
        None => String::new(),
    };
    format!(
        "{} queued in {}, {} scheduled, {} to retry, {} busy in {}{quiet}, {dead} dead{unseen}",
        state.queued(),
        plural(queues.len() as u64, "queue", "queues"),
        schedule.size,
        retry.size,
        state.busy(),
        plural(processes.len() as u64, "process", "processes"),
    )
}

pub(super) fn evidence(about: &About, state: &State, strays: &Strays, killed: &[(String, u64)]) -> Json {
    let queues = state.queues.iter().take(LISTED).map(|queue| {
        let oldest = queue.oldest.as_ref();
        json!({
            "queue": queue.name,
            "size": queue.size,
            "paused": queue.paused,
            "oldest_class": oldest.map(|job| &job.class),
            "oldest_s": oldest.and_then(|job| job.enqueued_at).map(|at| state.ago(at).as_secs()),
        })
    });
    let queues: Vec<_> = queues.collect();
    let processes = state.processes.iter().take(LISTED).map(|process| {
        json!({
            "identity": process.beat.identity,
            "busy": process.busy,
            "quiet": process.quiet,
            "beat_ms_ago": u64::try_from(process.silent.as_millis()).ok(),
        })
    });
    let processes: Vec<_> = processes.collect();
    let killed: Vec<_> = killed.iter().map(|(identity, busy)| json!({ "identity": identity, "busy": busy })).collect();
    json!({
        "redis": about.evidence(),
        "queues": queues,
        "scheduled": state.schedule.size,
        "retry": state.retry.size,
        "dead": state.dead,
        "busy": state.busy(),
        "processes": processes,
        "killed": killed,
        "private_lists": state.private.iter().filter(|one| one.size > 0).count(),
        "processed": state.processed,
        "keys_not_looked_through": strays.unseen,
    })
}

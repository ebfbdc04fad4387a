//! Many visits, some at a time: how many answered what, how long they took, what the first odd ones said.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _};
use serde_json::{Value as Json, json};

use crate::{
    base::{Class, Failure, clean_line},
    kinds::web::ms,
    plan::{Cx, Params},
    runbook::value::Kind,
};

/// How many different odd answers are shown.
const ODD: usize = 3;
/// How often the progress is told.
const TELL: Duration = Duration::from_millis(500);

/// Limits for shares of all answers.
#[derive(Default)]
pub(super) struct Limits(Vec<(&'static str, f64, Duration)>);

/// The shares that can be limited.
const SHARES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];

impl Limits {
    /// `latency = { p50 = "80ms", p95 = "300ms", p99 = "1s" }`.
    pub fn read(params: &mut Params<'_>) -> Self {
        let Some(raw) = params.raw("latency") else { return Self::default() };
        let wrong = "`latency` must be a table: { p50 = \"80ms\", p90 = …, p95 = …, p99 = …, max = … }";
        let Kind::Table(table) = &raw.kind else {
            params.mistake(raw.span.clone(), wrong, "no limits", None);
            return Self::default();
        };
        let mut limits = Vec::new();
        for entry in &table.entries {
            let share = SHARES.iter().find(|(name, _)| *name == entry.key);
            let limit = match &entry.value.kind {
                Kind::Text(text) => humantime::parse_duration(text).ok(),
                _ => None,
            };
            match share.zip(limit) {
                Some(((name, share), limit)) => limits.push((*name, *share, limit)),
                None => {
                    let span = if share.is_none() { entry.key_span.clone() } else { entry.value.span.clone() };
                    params.mistake(span, wrong, "not one of them", None);
                }
            }
        }
        Self(limits)
    }

    pub fn words(&self) -> String {
        self.0.iter().map(|(name, _, limit)| format!(", {name} within {} ms", ms(*limit))).collect()
    }

    /// Nothing, or what took too long.
    pub fn judge(&self, tally: &Tally) -> Option<String> {
        let all = tally.all();
        let over = self.0.iter().find_map(|(name, share, limit)| {
            let took = at(&all, *share);
            (took > *limit).then(|| format!("{name} is {} ms, expected at most {} ms", ms(took), ms(*limit)))
        });
        if all.is_empty() && !self.0.is_empty() { Some("no data: nothing answered".into()) } else { over }
    }
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// Microseconds by status.
    took: BTreeMap<u16, Vec<u32>>,
    silent: u64,
    visits: u64,
    odd: u64,
    first: Vec<Failure>,
}

impl Tally {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer, as expected or not.
    pub fn answered(&self, status: u16, took: Duration) {
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.counts().took.entry(status).or_default().push(took);
    }

    /// A request without an answer.
    pub fn silent(&self) {
        self.counts().silent += 1;
    }

    fn over(&self, visit: Result<(), Failure>) {
        let mut counts = self.counts();
        counts.visits += 1;
        if let Err(failure) = visit {
            counts.odd += 1;
            // Of each kind the first, and no more than can be read.
            if counts.first.len() < ODD && !counts.first.iter().any(|known| known.message == failure.message) {
                counts.first.push(failure);
            }
        }
    }

    /// Visits that are over, and those of them that were not as expected.
    fn so_far(&self) -> (u64, u64) {
        let counts = self.counts();
        (counts.visits, counts.odd)
    }

    /// Every time, in order.
    fn all(&self) -> Vec<u32> {
        let mut all = self.counts().took.values().flatten().copied().collect::<Vec<_>>();
        all.sort_unstable();
        all
    }

    /// `200 × 997 (p50 3 ms, p95 9 ms, p99 12 ms), 503 × 3 (…), 1 without an answer`.
    pub fn words(&self) -> String {
        let counts = self.counts();
        let mut words = Vec::new();
        for (status, took) in &counts.took {
            let sorted = sorted(took);
            let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| ms(at(&sorted, share)));
            words.push(format!("{status} × {} (p50 {p50} ms, p95 {p95} ms, p99 {p99} ms)", took.len()));
        }
        if counts.silent > 0 {
            words.push(format!("{} without an answer", counts.silent));
        }
        words.join(", ")
    }

    /// The same for machines.
    pub fn evidence(&self) -> Json {
        let all = self.all();
        let counts = self.counts();
        let by = counts.took.iter().map(|(status, took)| (status.to_string(), percentiles(&sorted(took))));
        json!({
            "visits": counts.visits,
            "not_as_expected": counts.odd,
            "without_an_answer": counts.silent,
            "all": percentiles(&all),
            "statuses": by.collect::<serde_json::Map<_, _>>(),
        })
    }

    /// p95 of all, milliseconds.
    pub fn p95(&self) -> u64 {
        ms(at(&self.all(), 0.95))
    }

    pub fn worst(&self) -> u64 {
        ms(at(&self.all(), 1.0))
    }
}

fn sorted(took: &[u32]) -> Vec<u32> {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    sorted
}

/// The time within which so much of all was over: nearest rank, so it is one that was seen.
fn at(sorted: &[u32], share: f64) -> Duration {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count below 2^32"
    )]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let took = sorted.get(rank.clamp(1, sorted.len().max(1)) - 1);
    Duration::from_micros(took.copied().unwrap_or_default().into())
}

fn percentiles(sorted: &[u32]) -> Json {
    let [p50, p95, p99, worst] = [0.5, 0.95, 0.99, 1.0].map(|share| ms(at(sorted, share)));
    json!({ "count": sorted.len(), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "worst_ms": worst })
}

/// Runs all visits. What is not over at the attempt's end is not waited for.
///
/// # Errors
/// `NotYet`: some were not as expected, or not over. Other classes: one that polling cannot mend, at once.
pub(super) async fn run<V>(cx: &Cx, visits: V, times: u64, what: &str, tally: &Tally) -> Result<(), Failure>
where
    V: Stream<Item = Result<(), Failure>>,
{
    let mut visits = std::pin::pin!(visits);
    let mut end = std::pin::pin!(tokio::time::sleep_until(cx.deadline));
    let mut told = tokio::time::Instant::now();
    let in_time = loop {
        let ended = tokio::select! {
            biased;
            ended = visits.next() => ended,
            () = &mut end => break false,
        };
        match ended {
            None => break true,
            Some(Err(failure)) if failure.class != Class::NotYet => return Err(failure),
            Some(visit) => tally.over(visit),
        }
        if told.elapsed() >= TELL {
            told = tokio::time::Instant::now();
            let (over, odd) = tally.so_far();
            #[expect(clippy::cast_precision_loss, reason = "a share for the screen")]
            cx.progress(over as f32 / times as f32, format!("{over} of {times}, {odd} not as expected"));
        }
    };
    let (over, odd) = tally.so_far();
    if in_time && odd == 0 {
        return Ok(());
    }
    let late = if in_time { String::new() } else { format!("timed out with {over} of {times} over; ") };
    let first = tally.counts().first.clone();
    let said = first.first().map(|failure| format!(": {}", failure.message)).unwrap_or_default();
    let count = format!("{odd} of {times} {what} were not as expected{said}");
    let mut failure = Failure::new(Class::NotYet, clean_line(&format!("{late}{count}"), 600)).because(tally.words());
    failure.blind = first.iter().any(|odd| odd.blind);
    for (at, odd) in first.iter().enumerate() {
        if at > 0 {
            failure = failure.because(&odd.message);
        }
        failure = odd.causes.iter().fold(failure, Failure::because);
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_times_that_were_seen() {
        let sorted = (1..=1000).map(|n| n * 1000).collect::<Vec<_>>();
        let at = |share| ms(super::at(&sorted, share));
        assert_eq!([at(0.5), at(0.95), at(0.99), at(1.0)], [500, 950, 990, 1000]);
        assert_eq!(super::at(&[7000], 0.5), Duration::from_millis(7));
        assert_eq!(super::at(&[], 0.99), Duration::ZERO);
    }
}

//! CloudWatch's numbers: raw values by metric and second. Kept in a file of their own, appended to
//! once a second, because they are many and none of them is a change to the world.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::sandbox::world::Moment;

/// Values kept of one metric: about an hour of the visitors' trickle.
const KEPT: usize = 20_000;
/// Metrics kept; a client that invents names cannot fill the memory.
const METRICS: usize = 200;

/// Namespace, name, dimensions by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::sandbox) struct Metric {
    pub namespace: String,
    pub name: String,
    pub dimensions: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    metric: Metric,
    at: Moment,
    values: Vec<f64>,
}

/// All metrics.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct Metrics {
    values: BTreeMap<Metric, Vec<(Moment, f64)>>,
    file: Option<PathBuf>,
}

impl Metrics {
    /// What a file holds; lines that do not read are skipped, the last one may be torn.
    pub fn open(file: Option<PathBuf>) -> Self {
        let mut metrics = Self::default();
        if let Some(text) = file.as_ref().and_then(|file| fs::read_to_string(file).ok()) {
            for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
                metrics.keep(&line);
            }
        }
        metrics.file = file;
        metrics
    }

    fn keep(&mut self, line: &Line) {
        if !self.values.contains_key(&line.metric) && self.values.len() >= METRICS {
            return;
        }
        let kept = self.values.entry(line.metric.clone()).or_default();
        kept.extend(line.values.iter().map(|value| (line.at, *value)));
        kept.drain(..kept.len().saturating_sub(KEPT));
    }

    /// Takes values of one moment.
    pub fn put(&mut self, metric: Metric, at: Moment, values: Vec<f64>) {
        let line = Line { metric, at, values };
        self.keep(&line);
        // Numbers lost in a full disk are missing numbers, which is what the checks must cope with anyway.
        if let (Some(file), Ok(mut text)) = (&self.file, serde_json::to_vec(&line)) {
            text.push(b'\n');
            let opened = OpenOptions::new().create(true).append(true).open(file);
            let _ = opened.and_then(|mut file| file.write_all(&text));
        }
    }

    /// Every metric there is.
    pub fn all(&self) -> impl Iterator<Item = &Metric> {
        self.values.keys()
    }

    /// A statistic of all values of some metrics, by period: periods begin at multiples of their length, as in
    /// CloudWatch, and at `from` or later. Nothing where the statistic is unknown.
    pub fn series(
        &self,
        metrics: &[&Metric],
        (from, to): (Moment, Moment),
        period: i64,
        stat: &str,
    ) -> BTreeMap<i64, f64> {
        let mut buckets: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        let period = period.max(1);
        for (at, value) in metrics.iter().filter_map(|metric| self.values.get(*metric)).flatten() {
            let start = at.timestamp().div_euclid(period) * period;
            if start >= from.timestamp() && start < to.timestamp().max(from.timestamp() + 1) {
                buckets.entry(start).or_default().push(*value);
            }
        }
        buckets.into_iter().filter_map(|(at, mut values)| Some((at, statistic(&mut values, stat)?))).collect()
    }
}

/// True of the statistics that there are here.
pub(super) fn is_statistic(stat: &str) -> bool {
    statistic(&mut [0.0], stat).is_some()
}

/// `Average`, `Sum`, `Minimum`, `Maximum`, `SampleCount` or a percentile such as `p99` or `p99.9`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are small"
)]
fn statistic(values: &mut [f64], stat: &str) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let sum: f64 = values.iter().sum();
    match stat {
        "Average" => Some(sum / values.len() as f64),
        "Sum" => Some(sum),
        "Minimum" => values.first().copied(),
        "Maximum" => values.last().copied(),
        "SampleCount" => Some(values.len() as f64),
        _ => {
            let share = stat.strip_prefix('p')?.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p))? / 100.0;
            let rank = (share * values.len() as f64).ceil().max(1.0) as usize;
            values.get(rank - 1).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        let mut of = |stat: &str| statistic(&mut values, stat);
        assert_eq!([of("Average"), of("Sum"), of("Minimum")], [Some(2.5), Some(10.0), Some(1.0)]);
        assert_eq!([of("Maximum"), of("SampleCount")], [Some(4.0), Some(4.0)]);
        assert_eq!(
            [of("p50"), of("p99.9"), of("p0"), of("p101"), of("tm99")],
            [Some(2.0), Some(4.0), Some(1.0), None, None]
        );
    }
}

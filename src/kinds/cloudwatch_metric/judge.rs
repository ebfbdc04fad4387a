//! Samples against limits. Whatever is not known, is old, too little, partial or missing is "no data".

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::{
    base::{Class, Failure, short_duration},
    plan::Seen,
    services::aws::{MetricData, Sample, Series},
};

/// Series that are told of where several are beyond the limits.
const NAMED: usize = 8;

/// What a missing sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nothing that anybody knows.
    NoData,
    /// A zero, because the runbook's author says so.
    Zero,
}

/// Between which a value may be.
pub(super) struct Limits {
    pub max: Option<f64>,
    pub min: Option<f64>,
}

/// What the samples have to be like.
pub(super) struct Rules {
    pub limits: Limits,
    pub period: Duration,
    pub window: Duration,
    pub min_samples: u64,
    pub max_age: Duration,
    pub missing: Missing,
}

impl Limits {
    /// `at most 1 and at least 0`.
    pub fn words(&self) -> String {
        let max = self.max.map(|max| format!("at most {}", short_number(max)));
        let min = self.min.map(|min| format!("at least {}", short_number(min)));
        [max, min].into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }

    /// How far a value is beyond its limit; 0 or less: within.
    fn beyond(&self, value: f64) -> f64 {
        let above = self.max.map_or(f64::NEG_INFINITY, |max| value - max);
        let below = self.min.map_or(f64::NEG_INFINITY, |min| min - value);
        above.max(below)
    }
}

fn no_data(words: impl AsRef<str>) -> Failure {
    Failure::new(Class::NotYet, format!("no data: {}", words.as_ref()))
}

/// A value of a series, and whether CloudWatch has it or it is a zero for one that is missing.
#[derive(Clone, Copy)]
struct Value<'a> {
    series: &'a Series,
    value: f64,
    sample: Option<Sample>,
}

impl Rules {
    /// The verdict over what `ids` were answered with.
    pub fn judge(&self, ids: &[&str], data: &MetricData, at: DateTime<Utc>) -> Result<Seen, Failure> {
        if !data.messages.is_empty() {
            let failure = no_data("CloudWatch did not look at everything");
            return Err(data.messages.iter().fold(failure, Failure::because));
        }
        if let Some(part) = data.series.iter().find(|one| one.partial) {
            return Err(no_data(format!("CloudWatch gave only a part of {}", part.label)));
        }
        let values = self.values(data);
        if self.missing == Missing::NoData {
            ids.iter().try_for_each(|id| self.is_known(id, ids.len() > 1, &values, at))?;
        }
        let worst = values.iter().max_by(|a, b| self.limits.beyond(a.value).total_cmp(&self.limits.beyond(b.value)));
        let Some(worst) = worst else { return Err(self.nothing("")) };
        let told = self.told(&values, at);
        let label = if data.series.len() > 1 { format!(" ({})", worst.series.label) } else { String::new() };
        if self.limits.beyond(worst.value) > 0.0 {
            let age = worst.sample.map(|sample| format!(", {} old,", short_duration(self.age(sample, at))));
            let words = format!("worst {}{label}{} of {told}", short_number(worst.value), age.unwrap_or_default());
            let failure = Failure::new(Class::NotYet, format!("{words}; wanted {}", self.limits.words()));
            return Err(if data.series.len() > 1 { self.name_bad(failure, data, &values) } else { failure });
        }
        let line = format!("worst {}{label} of {told}; wanted {}", short_number(worst.value), self.limits.words());
        let real: Vec<Sample> = values.iter().filter_map(|value| value.sample).collect();
        let newest = real.iter().max_by_key(|sample| sample.at);
        let evidence = json!({
            "worst": worst.value,
            "newest": newest.map(|sample| sample.value),
            "samples": real.len(),
            "missing_as_zero": values.len() - real.len(),
            "age_s": newest.map(|sample| self.age(*sample, at).as_secs()),
            "series": data.series.len(),
        });
        Ok(Seen::new(line).value(worst.value).with(evidence))
    }

    /// Every sample there is, and with `missing = "zero"` a zero for each that is not.
    fn values<'a>(&self, data: &'a MetricData) -> Vec<Value<'a>> {
        let wanted = match self.missing {
            Missing::NoData => 0,
            Missing::Zero => {
                usize::try_from(self.window.as_secs().div_ceil(self.period.as_secs().max(1))).unwrap_or(usize::MAX)
            }
        };
        let mut values = Vec::new();
        for series in &data.series {
            let real = series.samples.iter();
            values.extend(real.map(|sample| Value { series, value: sample.value, sample: Some(*sample) }));
            let zero = Value { series, value: 0.0, sample: None };
            values.extend(std::iter::repeat_n(zero, wanted.saturating_sub(series.samples.len())));
        }
        values
    }

    /// Since the end of a sample's period.
    fn age(&self, sample: Sample, at: DateTime<Utc>) -> Duration {
        (at - sample.at).to_std().unwrap_or_default().saturating_sub(self.period)
    }

    fn nothing(&self, of: &str) -> Failure {
        let window = short_duration(self.window);
        let failure = Failure::new(Class::NotYet, format!("no data{of} in the last {window}"));
        failure.hint(if self.period < Duration::from_secs(60) {
            "is it written more often than once a minute? AWS's own metrics mostly are not: use a period of 60s"
        } else {
            "compare namespace, metric, every dimension and the region with the console; a count that is only written when something happens needs FILL"
        })
    }

    /// Enough samples of a query, and new enough ones.
    fn is_known(&self, id: &str, several: bool, values: &[Value<'_>], at: DateTime<Utc>) -> Result<(), Failure> {
        let of = if several { format!(" of {id}") } else { String::new() };
        let samples: Vec<Sample> =
            values.iter().filter(|value| value.series.id == id).filter_map(|value| value.sample).collect();
        let Some(newest) = samples.iter().max_by_key(|sample| sample.at) else { return Err(self.nothing(&of)) };
        let age = self.age(*newest, at);
        let told = format!("{}{of}, newest {} old", counted(samples.len()), short_duration(age));
        if u64::try_from(samples.len()).is_ok_and(|n| n < self.min_samples) {
            let window = short_duration(self.window);
            return Err(no_data(format!("only {told}; wanted {} in {window}", self.min_samples)));
        }
        if age > self.max_age {
            return Err(no_data(format!("{told}; wanted one within {}", short_duration(self.max_age))));
        }
        Ok(())
    }

    /// `5 samples, newest 1m10 old`, and how many of them are made up.
    fn told(&self, values: &[Value<'_>], at: DateTime<Utc>) -> String {
        let missing = values.iter().filter(|value| value.sample.is_none()).count();
        let newest = values.iter().filter_map(|value| value.sample).max_by_key(|sample| sample.at);
        let mut told = counted(values.len());
        if missing > 0 {
            told += &format!(", {missing} of them missing and counted as 0");
        }
        if let Some(newest) = newest {
            told += &format!(", newest {} old", short_duration(self.age(newest, at)));
        }
        told
    }

    /// A line for each series that is beyond.
    fn name_bad(&self, failure: Failure, data: &MetricData, values: &[Value<'_>]) -> Failure {
        let lines = data.series.iter().filter_map(|series| {
            let own = || values.iter().filter(|value| std::ptr::eq(value.series, series));
            let bad = own().filter(|value| self.limits.beyond(value.value) > 0.0);
            let worst =
                bad.clone().max_by(|a, b| self.limits.beyond(a.value).total_cmp(&self.limits.beyond(b.value)))?;
            let (bad, all) = (bad.count(), own().count());
            Some(format!("{}: {bad} of {all} samples are beyond, worst {}", series.label, short_number(worst.value)))
        });
        lines.take(NAMED).fold(failure, Failure::because)
    }
}

fn counted(n: usize) -> String {
    if n == 1 { "1 sample".into() } else { format!("{n} samples") }
}

/// At most four digits after the point; what would round to nothing keeps its own.
fn short_number(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.0001 {
        return format!("{value:e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

//! `cloudwatch.metric`: a metric, a metric math expression or a Metrics Insights query against limits.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape, TextOrSecret},
    services::{
        Services,
        aws::{MetricQuery, Patience, Series, now},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "cloudwatch.metric",
    summary: "a CloudWatch metric stays within limits over a window",
    docs: "\
Reads the samples of the last `window` (one each `period`) with `GetMetricData`. Green when there are at least `min_samples`, the newest is at
most `max_age` old, and **every** sample of every series is within `max` and `min`. Says the worst value, the number of samples and the
age of the newest one. *No data is never green*: it is \"not yet: no data\".

Give `namespace`, `metric`, `dimensions`, `stat`; or `query`: a metric math expression that stands alone (`SEARCH(…)`) or a Metrics
Insights text (`SELECT SUM(\"5xx\") FROM …`).

What hurts people: metrics come 1 to 3 minutes late; a metric that is only written when something happens (5xx counts) has no
samples when all is well, so count something that is always written, or use `FILL(…, 0)` over a metric that is; the newest
period is not over yet, so that its sum is too small: use `min` with an average.

Limits: `period` is 1, 5, 10, 20, 30 or a multiple of 60 seconds; below 60 only for high-resolution metrics. Insights reaches three hours back.

API: CloudWatch `GetMetricData`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["cloudwatch:GetMetricData", "sts:GetCallerIdentity"],
    example: include_str!("../../runbooks/kinds/cloudwatch.metric.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "namespace", shape: Shape::Text, required: false, help: "such as AWS/ApplicationELB" },
    Param { name: "metric", shape: Shape::Text, required: false, help: "name of the metric" },
    Param { name: "dimensions", shape: Shape::Map, required: false, help: "names and values; default: none" },
    Param {
        name: "stat",
        shape: Shape::Text,
        required: false,
        help: "Average, Sum, Minimum, Maximum, SampleCount, p99, …; default: Average",
    },
    Param {
        name: "query",
        shape: Shape::Text,
        required: false,
        help: "an expression or a Metrics Insights text, instead of a metric",
    },
    Param { name: "period", shape: Shape::Duration, required: false, help: "length of a sample; default: 60s" },
    Param { name: "window", shape: Shape::Duration, required: false, help: "how far back; default: 5 periods" },
    Param { name: "max", shape: Shape::Number, required: false, help: "no sample may be above" },
    Param { name: "min", shape: Shape::Number, required: false, help: "no sample may be below" },
    Param { name: "min_samples", shape: Shape::Count, required: false, help: "fewer are no data; default: 1" },
    Param {
        name: "max_age",
        shape: Shape::Duration,
        required: false,
        help: "an older newest sample is no data; default: the window",
    },
];

struct Metric {
    services: Arc<Services>,
    query: MetricQuery,
    period: Duration,
    window: Duration,
    max: Option<f64>,
    min: Option<f64>,
    min_samples: u64,
    max_age: Option<Duration>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let period = params.opt_duration("period").unwrap_or(Duration::from_secs(60));
    let whole = period.subsec_nanos() == 0 && period.as_secs() > 0;
    if !whole || !(matches!(period.as_secs(), 1 | 5 | 10 | 20 | 30) || period.as_secs().is_multiple_of(60)) {
        let words = "`period` must be 1, 5, 10, 20, 30 or a multiple of 60 seconds";
        let at = params.place_of("period");
        params.mistake(at, words, "CloudWatch has no such period", None);
    }
    let window = params.opt_duration("window").unwrap_or(period * 5);
    if window < period {
        let at = params.place_of("window");
        params.mistake(at, "`window` must not be shorter than `period`", "holds no sample", None);
    }
    let (max, min) = (params.opt_number("max"), params.opt_number("min"));
    if !params.has("max") && !params.has("min") {
        let words = "`cloudwatch.metric` needs a limit";
        let at = params.place_of("kind");
        params.mistake(at, words, "`max` or `min` is missing here", Some("give `max`, `min` or both".into()));
    }
    let min_samples = params.opt_count("min_samples").unwrap_or(1);
    if min_samples == 0 {
        let help = Some("no data is never green".into());
        let at = params.place_of("min_samples");
        params.mistake(at, "`min_samples` must be at least 1", "green without data", help);
    }
    let max_age = params.opt_duration("max_age");
    Arc::new(Metric {
        services: services.clone(),
        query: query(params),
        period,
        window,
        max,
        min,
        min_samples,
        max_age,
    })
}

fn query(params: &mut Params<'_>) -> MetricQuery {
    if let Some(text) = params.opt_text("query") {
        let metric = ["namespace", "metric", "dimensions", "stat"].into_iter().find(|key| params.has(key));
        if let Some(key) = metric {
            let words = format!("`{key}` does not go with `query`");
            let at = params.place_of(key);
            params.mistake(at, words, "give one or the other", None);
        }
        return MetricQuery::Expression(text);
    }
    for key in ["namespace", "metric"] {
        if !params.has(key) && !params.has("query") {
            let words = format!("`cloudwatch.metric` needs `{key}`, or a `query`");
            let at = params.place_of("kind");
            params.mistake(at, words, format!("`{key}` is missing here"), None);
        }
    }
    let dimensions = params.map("dimensions");
    let mut plain = Vec::with_capacity(dimensions.len());
    for (name, value) in dimensions {
        match value {
            TextOrSecret::Text(value) => plain.push((name, value)),
            TextOrSecret::Secret(_) => {
                let words = "a dimension must not be a secret";
                let at = params.place_of("dimensions");
                params.mistake(at, words, "would be shown in the clear", None);
            }
        }
    }
    MetricQuery::Metric {
        namespace: params.text("namespace"),
        metric: params.text("metric"),
        dimensions: plain,
        stat: params.opt_text("stat").unwrap_or_else(|| "Average".into()),
    }
}

impl Metric {
    fn name(&self) -> String {
        match &self.query {
            MetricQuery::Metric { namespace, metric, stat, .. } => format!("{stat} of {namespace} {metric}"),
            MetricQuery::Expression(text) => text.clone(),
        }
    }

    fn limits(&self) -> String {
        let max = self.max.map(|max| format!("at most {max}"));
        let min = self.min.map(|min| format!("at least {min}"));
        [max, min].into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }

    /// How far a value is beyond its limit; negative: within.
    fn beyond(&self, value: f64) -> f64 {
        let above = self.max.map_or(f64::NEG_INFINITY, |max| value - max);
        let below = self.min.map_or(f64::NEG_INFINITY, |min| min - value);
        above.max(below)
    }

    fn judge(&self, series: &[Series], at: DateTime<Utc>) -> Result<Seen, Failure> {
        let no_data = |words: String| Err(Failure::new(Class::NotYet, words));
        let samples: Vec<_> =
            series.iter().flat_map(|one| one.samples.iter().map(move |sample| (one, *sample))).collect();
        let window = short_duration(self.window);
        let Some((_, newest)) = samples.iter().max_by_key(|(_, sample)| sample.at) else {
            return no_data(format!("no data in the last {window}"));
        };
        let age = (at - newest.at).to_std().unwrap_or_default();
        let told = format!("{} samples, newest {} old", samples.len(), short_duration(age));
        if u64::try_from(samples.len()).is_ok_and(|n| n < self.min_samples) {
            return no_data(format!("no data: only {told}, wanted {} samples in {window}", self.min_samples));
        }
        if self.max_age.is_some_and(|most| age > most) {
            return no_data(format!(
                "no data: {told}, wanted one within {}",
                short_duration(self.max_age.unwrap_or_default())
            ));
        }
        if series.iter().any(|one| one.partial) {
            return no_data(format!("no data: CloudWatch gave only a part, {told}"));
        }
        let worst = samples.iter().max_by(|(_, a), (_, b)| self.beyond(a.value).total_cmp(&self.beyond(b.value)));
        let Some((one, worst)) = worst else { return no_data(format!("no data in the last {window}")) };
        let label = if series.len() > 1 { format!(" ({})", one.label) } else { String::new() };
        let line = format!("worst {}{label} of {told}; wanted {}", short_number(worst.value), self.limits());
        if self.beyond(worst.value) > 0.0 {
            return no_data(line);
        }
        let evidence = json!({ "worst": worst.value, "newest": newest.value, "samples": samples.len(), "age_s": age.as_secs(), "series": series.len() });
        Ok(Seen::new(line).value(worst.value).with(evidence))
    }
}

/// At most four digits after the point.
fn short_number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Check for Metric {
    fn looks(&self) -> String {
        let window = short_duration(self.window);
        format!("CloudWatch GetMetricData {} over {window} expects {}", self.name(), self.limits())
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn needs(&self) -> Vec<Permission> {
        vec![Permission::anywhere("cloudwatch:GetMetricData")]
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { self.services.aws.fence().await.map(Some) })
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let series = self.services.aws.metric_data(&self.query, self.period, self.window, &patience).await?;
            self.judge(&series, now())
        })
    }
}

//! `cloudwatch.metric`: metrics, metric math, searches or Metrics Insights queries against limits.

mod judge;
mod queries;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;

use self::judge::{Limits, Missing, Rules};
use super::{Bind, Kind};
use crate::{
    base::{Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{MetricQuery, Patience, now},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "cloudwatch.metric",
    summary: "CloudWatch metrics stay within limits over a window",
    docs: "\
Reads the samples of the last `window` (one each `period`) with `GetMetricData`. Green when there are at least `min_samples`, the newest
is at most `max_age` old, and **every** sample of every series is within `max` and `min`. Says the worst value, the number of
samples and the age of the newest one. *No data is never green*: it is \"not yet: no data\". So is an answer of which CloudWatch
says that it is partial.

Give one metric by `namespace`, `metric`, `dimensions`, `stat`; or several in `metrics`, each with an `id`, and an `expression` over
them (`100 * errors / all`); or an `expression` that stands alone: a search (`SEARCH('{AWS/ApplicationELB,LoadBalancer}
MetricName=\"HTTPCode_Target_5XX_Count\"', 'Sum', 60)`) or a Metrics Insights text (`SELECT MAX(CPUUtilization) FROM \"AWS/ECS\" GROUP BY
ServiceName`). Without an `expression`, each of `metrics` has to be within the limits.

The window ends at the last whole period that is at least `delay` ago: metrics come 1 to 3 minutes late, and a period that is
still filling has too small a sum. Window and periods begin at multiples of `period`, as CloudWatch's own do.

What hurts people: a metric that is only written when something happens (5xx counts) has no samples when all is well, and a
misspelt one never has any. Divide by one that is always written, and fill: `100 * FILL(errors, 0) / all`; that has data
exactly when there are requests. `missing = \"zero\"` counts missing samples as 0 without such proof, and says so in its line.
Metrics of Route 53 and CloudFront are in us-east-1: `region`.

Limits: `period` is 1, 5, 10, 20, 30 or a multiple of 60 seconds; below 60 only metrics that are written that often have samples,
and CloudWatch keeps those for three hours. One AWS account, that of the environment.

API: CloudWatch `GetMetricData`; \"Using metric math\"; \"CloudWatch Metrics Insights\".",
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
        name: "metrics",
        shape: Shape::Any,
        required: false,
        help: "several: a list of tables with `id`, and `namespace`, `metric`, `dimensions`, `stat` or an `expression`",
    },
    Param {
        name: "expression",
        shape: Shape::Text,
        required: false,
        help: "metric math over the ids of `metrics`, or a search or Metrics Insights text that stands alone",
    },
    Param { name: "period", shape: Shape::Duration, required: false, help: "length of a sample; default: 60s" },
    Param { name: "window", shape: Shape::Duration, required: false, help: "how far back; default: 5 periods" },
    Param {
        name: "delay",
        shape: Shape::Duration,
        required: false,
        help: "samples newer than that are not judged; default: 60s, below that one period",
    },
    Param { name: "max", shape: Shape::Number, required: false, help: "no sample may be above" },
    Param { name: "min", shape: Shape::Number, required: false, help: "no sample may be below" },
    Param {
        name: "min_samples",
        shape: Shape::Count,
        required: false,
        help: "fewer, of any of the metrics, are no data; default: 1",
    },
    Param {
        name: "max_age",
        shape: Shape::Duration,
        required: false,
        help: "an older newest sample is no data; default: 5 periods and the delay",
    },
    Param {
        name: "missing",
        shape: Shape::Text,
        required: false,
        help: "\"no_data\", or \"zero\": a missing sample counts as 0; default: \"no_data\"",
    },
    Param {
        name: "region",
        shape: Shape::Text,
        required: false,
        help: "where the metrics are; default: the environment's region",
    },
];

/// Periods of the default window, and that the newest sample may lag behind by default.
const PERIODS: u32 = 5;
/// CloudWatch keeps samples of less than a minute for so long.
const FINE_KEPT: Duration = Duration::from_secs(3 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

struct Metric {
    services: Arc<Services>,
    queries: Vec<MetricQuery>,
    name: String,
    region: Option<String>,
    delay: Duration,
    rules: Rules,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let period = params.opt_duration("period").unwrap_or(MINUTE);
    let whole = period.subsec_nanos() == 0 && period.as_secs() > 0;
    if !whole || !(matches!(period.as_secs(), 1 | 5 | 10 | 20 | 30) || period.as_secs().is_multiple_of(60)) {
        let words = "`period` must be 1, 5, 10, 20, 30 or a multiple of 60 seconds";
        let at = params.place_of("period");
        params.mistake(at, words, "CloudWatch has no such period", None);
    }
    let window = params.opt_duration("window").unwrap_or(period * PERIODS);
    if window < period {
        let at = params.place_of("window");
        params.mistake(at, "`window` must not be shorter than `period`", "holds no sample", None);
    }
    let delay = params.opt_duration("delay").unwrap_or(MINUTE.min(period));
    if period < MINUTE && window + delay > FINE_KEPT {
        let at = params.place_of(if params.has("window") { "window" } else { "delay" });
        let words = "`window` reaches back further than 3 hours";
        let help = Some("samples of less than a minute are kept for 3 hours: use a `period` of 60s".into());
        params.mistake(at, words, "older than CloudWatch keeps them", help);
    }
    let limits = limits(params);
    let min_samples = params.opt_count("min_samples").unwrap_or(1);
    let most = u64::try_from(window.as_nanos().div_ceil(period.as_nanos().max(1))).unwrap_or(u64::MAX);
    if min_samples == 0 {
        let help = Some("no data is never green".into());
        let at = params.place_of("min_samples");
        params.mistake(at, "`min_samples` must be at least 1", "green without data", help);
    } else if min_samples > most && !params.has("expression") && !params.has("metrics") {
        let at = params.place_of("min_samples");
        let words = format!("the window holds at most {most} samples");
        params.mistake(at, words, "can never be reached", Some("give a longer `window` or a shorter `period`".into()));
    }
    let missing = params.word("missing", &[("no_data", Missing::NoData), ("zero", Missing::Zero)]);
    if missing == Missing::Zero {
        for key in queries::there(params, &["max_age", "min_samples"]) {
            let at = params.place_of(key);
            let words = format!("`{key}` does not go with `missing = \"zero\"`");
            params.mistake(at, words, "nothing is missing then", None);
        }
    }
    let max_age = params.opt_duration("max_age").unwrap_or(period * PERIODS + delay);
    let asked = queries::read(params, period);
    let rules = Rules { limits, period, window, min_samples, max_age, missing };
    let region = params.opt_text("region");
    Arc::new(Metric { services: services.clone(), queries: asked.queries, name: asked.name, region, delay, rules })
}

fn limits(params: &mut Params<'_>) -> Limits {
    let limits = Limits { max: params.opt_number("max"), min: params.opt_number("min") };
    if !params.has("max") && !params.has("min") {
        let words = "`cloudwatch.metric` needs a limit";
        let at = params.place();
        params.mistake(at, words, "`max` or `min` is missing here", Some("give `max`, `min` or both".into()));
    }
    if let (Some(max), Some(min)) = (limits.max, limits.min)
        && min > max
    {
        let at = params.place_of("min");
        params.mistake(at, "`min` is above `max`", "no value is within", None);
    }
    limits
}

/// The last whole periods, as many as the window holds, that ended at least `delay` ago. Periods begin at
/// multiples of their length.
fn stretch(at: DateTime<Utc>, delay: Duration, period: Duration, window: Duration) -> (DateTime<Utc>, DateTime<Utc>) {
    let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX / 4);
    let step = seconds(period).max(1);
    let end = (at.timestamp() - seconds(delay)).div_euclid(step) * step;
    let length = seconds(window + period - Duration::from_secs(1)) / step * step;
    let moment = |s| DateTime::from_timestamp(s, 0).unwrap_or(DateTime::UNIX_EPOCH);
    let end = moment(end);
    (end.checked_sub_signed(TimeDelta::seconds(length)).unwrap_or(DateTime::UNIX_EPOCH), end)
}

impl Check for Metric {
    fn looks(&self) -> String {
        let Rules { limits, window, .. } = &self.rules;
        let place = self.region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
        let zero = if self.rules.missing == Missing::Zero { ", missing counted as 0" } else { "" };
        let window = short_duration(*window);
        format!("CloudWatch GetMetricData {}{place} over {window} expects {}{zero}", self.name, limits.words())
    }

    fn needs(&self) -> Vec<Permission> {
        // It takes no resource ("Actions, resources, and condition keys for Amazon CloudWatch").
        vec![Permission::anywhere("cloudwatch:GetMetricData")]
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let stretch = stretch(now(), self.delay, self.rules.period, self.rules.window);
            let aws = &self.services.aws;
            let data = aws.metric_data(&self.queries, stretch, self.region.as_deref(), &Patience::of(cx)).await?;
            let ids = self.queries.iter().filter(|query| query.returned).map(|query| query.id.as_str());
            self.rules.judge(&ids.collect::<Vec<_>>(), &data, now())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_whole_periods_that_are_over() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let s = Duration::from_secs;
        let of = |delay, period, window| stretch(at("2026-12-06T01:33:47.900Z"), s(delay), s(period), s(window));
        assert_eq!(of(60, 60, 300), (at("2026-12-06T01:27:00Z"), at("2026-12-06T01:32:00Z")));
        assert_eq!(of(0, 60, 61), (at("2026-12-06T01:31:00Z"), at("2026-12-06T01:33:00Z")), "rounded up");
        assert_eq!(of(10, 10, 30), (at("2026-12-06T01:33:00Z"), at("2026-12-06T01:33:30Z")));
        assert_eq!(of(1, 1, 3), (at("2026-12-06T01:33:43Z"), at("2026-12-06T01:33:46Z")));
        assert_eq!(of(60, 3600, 3600), (at("2026-12-06T00:00:00Z"), at("2026-12-06T01:00:00Z")));
    }
}

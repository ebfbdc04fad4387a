//! CloudWatch metrics, read by `GetMetricData`.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Aws, Patience, call::Call, moment, now, session::Service};
use crate::base::{Class, Failure};

const CLOUDWATCH: Service<'_> = Service::new("CloudWatch", "monitoring", "CloudWatch", "2010-08-01");
const GET: Call<'_> = Call::reads(CLOUDWATCH.name, "GetMetricData", "cloudwatch:GetMetricData");
/// Pages of one answer that are followed; a page holds up to 100,800 samples.
const PAGES: usize = 5;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricQuery {
    /// One metric.
    Metric {
        /// `AWS/ApplicationELB`.
        namespace: String,
        /// `HTTPCode_Target_5XX_Count`.
        metric: String,
        /// Names and values.
        dimensions: Vec<(String, String)>,
        /// `Average`, `Sum`, `Maximum`, `p99`, ….
        stat: String,
    },
    /// A metric math expression or a Metrics Insights query.
    Expression(String),
}

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Start of its period.
    pub at: DateTime<Utc>,
    /// Its value.
    pub value: f64,
}

/// One line of samples, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its label.
    pub label: String,
    /// Newest first.
    pub samples: Vec<Sample>,
    /// True where AWS says that samples may be missing from this answer.
    pub partial: bool,
}

impl Aws {
    /// The samples of the last `window`, in periods.
    ///
    /// # Errors
    /// `Misconfigured` where AWS refuses the query, `Denied`, `FailedNothingDone`.
    pub async fn metric_data(
        &self,
        query: &MetricQuery,
        period: Duration,
        window: Duration,
        patience: &Patience,
    ) -> Result<Vec<Series>, Failure> {
        let end = now();
        let mut params = parameters(query, period);
        let start = end - chrono::Duration::from_std(window).unwrap_or(chrono::Duration::hours(1));
        params.push(("StartTime".into(), moment(start)));
        params.push(("EndTime".into(), moment(end)));
        params.push(("ScanBy".into(), "TimestampDescending".into()));
        let mut series: Vec<Series> = Vec::new();
        let mut next = String::new();
        for _ in 0..PAGES {
            let mut page = params.clone();
            if !next.is_empty() {
                page.push(("NextToken".into(), next.clone()));
            }
            let answer = self.query(&CLOUDWATCH, &GET, &page, patience).await?;
            for result in answer.members("GetMetricDataResult/MetricDataResults") {
                let status = result.text("StatusCode");
                if matches!(status, "InternalError" | "Forbidden") {
                    let words = format!("CloudWatch could not answer: {status}");
                    let why = result.members("Messages").map(|m| m.text("Value").to_owned()).collect::<Vec<_>>();
                    let class = if status == "Forbidden" { Class::Denied } else { Class::FailedNothingDone };
                    return Err(Failure::new(class, words).because(why.join("; ")));
                }
                let label = result.text("Label").to_owned();
                let times = result.members("Timestamps").map(|t| t.text.trim().parse::<DateTime<Utc>>());
                let values = result.members("Values").map(|v| v.text.trim().parse::<f64>());
                let samples: Vec<_> = times
                    .zip(values)
                    .filter_map(|(at, value)| Some(Sample { at: at.ok()?, value: value.ok()? }))
                    .filter(|sample| sample.value.is_finite())
                    .collect();
                let partial = status == "PartialData";
                match series.iter_mut().find(|one| one.label == label) {
                    Some(one) => {
                        one.samples.extend(samples);
                        one.partial = partial;
                    }
                    None => series.push(Series { label, samples, partial }),
                }
            }
            answer.text("GetMetricDataResult/NextToken").clone_into(&mut next);
            if next.is_empty() {
                break;
            }
        }
        for one in &mut series {
            one.samples.sort_by_key(|sample| std::cmp::Reverse(sample.at));
        }
        Ok(series)
    }
}

fn parameters(query: &MetricQuery, period: Duration) -> Vec<(String, String)> {
    let at = |name: &str| format!("MetricDataQueries.member.1.{name}");
    let period = period.as_secs().to_string();
    let mut params = vec![(at("Id"), "q1".to_owned())];
    match query {
        MetricQuery::Expression(text) => {
            params.push((at("Expression"), text.clone()));
            params.push((at("Period"), period));
        }
        MetricQuery::Metric { namespace, metric, dimensions, stat } => {
            params.push((at("MetricStat.Metric.Namespace"), namespace.clone()));
            params.push((at("MetricStat.Metric.MetricName"), metric.clone()));
            for (i, (name, value)) in dimensions.iter().enumerate() {
                let i = i + 1;
                params.push((at(&format!("MetricStat.Metric.Dimensions.member.{i}.Name")), name.clone()));
                params.push((at(&format!("MetricStat.Metric.Dimensions.member.{i}.Value")), value.clone()));
            }
            params.push((at("MetricStat.Period"), period));
            params.push((at("MetricStat.Stat"), stat.clone()));
        }
    }
    params.push((at("ReturnData"), "true".into()));
    params
}

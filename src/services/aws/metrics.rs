//! CloudWatch metrics, read by `GetMetricData`: one metric, several with expressions over them, searches and
//! Metrics Insights queries, over a stretch of time that the caller chooses.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{
    Aws, Patience,
    call::Call,
    moment,
    session::{Place, Service},
    xml::Node,
};
use crate::base::{Class, Failure};

const CLOUDWATCH: Service<'_> = Service::new("CloudWatch", "monitoring", "CloudWatch", "2010-08-01");
const GET: Call<'_> = Call::reads(CLOUDWATCH.name, "GetMetricData", "cloudwatch:GetMetricData");
/// Pages of one answer that are followed; a page holds up to 100,800 samples.
const PAGES: usize = 20;

/// CloudWatch in a region; `None`: the environment's.
pub(super) fn cloudwatch(region: Option<&str>) -> Service<'_> {
    Service { place: region.map_or(Place::Here, Place::Region), ..CLOUDWATCH }
}

/// One entry of `MetricDataQueries`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricQuery {
    /// Its name in expressions: a lower-case letter, then letters, digits, `_`.
    pub id: String,
    /// What is asked.
    pub source: Source,
    /// Length of a sample.
    pub period: Duration,
    /// False for what only other expressions use.
    pub returned: bool,
}

/// Where samples come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
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
    /// A metric math expression, a search, or a Metrics Insights query.
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
    /// The query that it answers.
    pub id: String,
    /// Its label; a search gives one to each of its series.
    pub label: String,
    /// Newest first.
    pub samples: Vec<Sample>,
    /// True where AWS says that samples may be missing from this answer.
    pub partial: bool,
}

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricData {
    /// In the order of the answer.
    pub series: Vec<Series>,
    /// What CloudWatch says about the answer as a whole, such as that it left metrics out.
    pub messages: Vec<String>,
}

impl Aws {
    /// The samples whose periods begin at `from` or later, and before `to`.
    ///
    /// # Errors
    /// `Misconfigured` where AWS refuses a query, `Denied`, `FailedNothingDone`.
    pub async fn metric_data(
        &self,
        queries: &[MetricQuery],
        (from, to): (DateTime<Utc>, DateTime<Utc>),
        region: Option<&str>,
        patience: &Patience,
    ) -> Result<MetricData, Failure> {
        let mut params: Vec<_> = queries.iter().enumerate().flat_map(|(n, query)| parameters(n + 1, query)).collect();
        params.push(("StartTime".into(), moment(from)));
        params.push(("EndTime".into(), moment(to)));
        params.push(("ScanBy".into(), "TimestampDescending".into()));
        let service = cloudwatch(region);
        let mut data = MetricData::default();
        let mut next = String::new();
        for _ in 0..PAGES {
            let mut page = params.clone();
            if !next.is_empty() {
                page.push(("NextToken".into(), std::mem::take(&mut next)));
            }
            let answer = self.query(&service, &GET, &page, patience).await?;
            for result in answer.members("GetMetricDataResult/MetricDataResults") {
                data.add(result)?;
            }
            data.messages.extend(messages(answer.at("GetMetricDataResult").unwrap_or(&answer)));
            answer.text("GetMetricDataResult/NextToken").clone_into(&mut next);
            if next.is_empty() {
                for one in &mut data.series {
                    // CloudWatch rounds the start down to the minute: what is older was not asked for.
                    one.samples.retain(|sample| sample.at >= from && sample.at < to);
                    one.samples.sort_by_key(|sample| std::cmp::Reverse(sample.at));
                }
                return Ok(data);
            }
        }
        Err(Failure::new(Class::NotYet, format!("no data: CloudWatch has more than {PAGES} pages of it"))
            .hint("ask for a shorter window, a longer period or fewer metrics"))
    }
}

impl MetricData {
    fn add(&mut self, result: &Node) -> Result<(), Failure> {
        let (id, label, status) = (result.text("Id"), result.text("Label"), result.text("StatusCode"));
        if matches!(status, "InternalError" | "Forbidden") {
            let class = if status == "Forbidden" { Class::Denied } else { Class::FailedNothingDone };
            let failure = Failure::new(class, format!("CloudWatch could not answer {id}: {status}"));
            return Err(messages(result).into_iter().fold(failure, Failure::because));
        }
        let times = result.members("Timestamps").map(|t| t.text.trim().parse::<DateTime<Utc>>());
        let values = result.members("Values").map(|v| v.text.trim().parse::<f64>());
        let samples = times
            .zip(values)
            .filter_map(|(at, value)| Some(Sample { at: at.ok()?, value: value.ok()? }))
            .filter(|sample| sample.value.is_finite());
        // The pages of one series follow each other; only the last says whether it is whole.
        let partial = status == "PartialData";
        match self.series.iter_mut().find(|one| one.id == id && one.label == label) {
            Some(one) => {
                one.samples.extend(samples);
                one.partial = partial;
            }
            None => self.series.push(Series {
                id: id.to_owned(),
                label: label.to_owned(),
                samples: samples.collect(),
                partial,
            }),
        }
        Ok(())
    }
}

/// The `Messages` of an answer or of one of its results.
fn messages(node: &Node) -> Vec<String> {
    let told = |one: &Node| format!("{}: {}", one.text("Code"), one.text("Value"));
    node.members("Messages").map(told).map(|text| text.trim_matches([':', ' ']).to_owned()).collect()
}

fn parameters(n: usize, query: &MetricQuery) -> Vec<(String, String)> {
    let at = |name: &str| format!("MetricDataQueries.member.{n}.{name}");
    let period = query.period.as_secs().to_string();
    let mut params = vec![(at("Id"), query.id.clone())];
    match &query.source {
        Source::Expression(text) => {
            params.push((at("Expression"), text.clone()));
            params.push((at("Period"), period));
        }
        Source::Metric { namespace, metric, dimensions, stat } => {
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
    params.push((at("ReturnData"), query.returned.to_string()));
    params
}

//! `GetMetricData`: queries over the numbers, their expressions, and the pages of the answer. Alarms ask the
//! same way.

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::{Value as Json, json};

use super::{
    super::{
        No,
        metrics::{Metric, Metrics},
    },
    math::{self, Points, Scope, Value},
    metric, moment, number,
    parse::{Expr, parse},
    search::{Search, Select},
    text,
};
use crate::sandbox::world::{Moment, World};

/// Queries of one request, and samples of one answer.
const QUERIES: usize = 500;
const POINTS: usize = 100_800;

/// One line of an answer.
#[derive(Debug, Clone)]
pub(in crate::sandbox::aws) struct Line {
    pub id: String,
    pub label: String,
    pub points: Points,
}

fn invalid(message: impl Into<String>) -> No {
    (400, "ValidationError", message.into())
}

enum Source {
    Metric(Metric, String),
    Math(Expr),
    Select(Select),
}

struct Query {
    id: String,
    label: Option<String>,
    returned: bool,
    period: i64,
    source: Source,
}

/// True of the periods that metrics may be asked for in.
pub(in crate::sandbox::aws) fn is_period(period: i64) -> bool {
    matches!(period, 1 | 5 | 10 | 20 | 30) || (period >= 60 && period % 60 == 0)
}

/// A flag that a form carries as text; `None` where it is not there.
pub(in crate::sandbox::aws) fn flag(value: &Json) -> Option<bool> {
    value.as_bool().or_else(|| Some(value.as_str()? == "true"))
}

fn read(query: &Json) -> Result<Query, No> {
    let id = text(query, "Id").to_owned();
    let letters = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !letters || !id.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(invalid(format!(
            "The value {id} for parameter Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$"
        )));
    }
    let (stat, expression) = (&query["MetricStat"], text(query, "Expression"));
    let period = number(&stat["Period"]).or_else(|| number(&query["Period"])).unwrap_or(60.0);
    #[expect(clippy::cast_possible_truncation, reason = "a period is at most a day")]
    let period = period as i64;
    if !is_period(period) {
        return Err(invalid(format!(
            "The value {period} for parameter Period is not valid: 1, 5, 10, 20, 30 or a multiple of 60"
        )));
    }
    let source = match (stat.is_object(), expression) {
        (true, "") => {
            let name = text(stat, "Stat").to_owned();
            if !super::super::metrics::is_statistic(&name) {
                return Err(invalid(format!("The value {name} for parameter Stat is not supported.")));
            }
            Source::Metric(metric(&stat["Metric"], text(&stat["Metric"], "Namespace")), name)
        }
        (false, select) if select.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select")) => {
            Source::Select(Select::parse(select).map_err(|no| wrong(&id, &no))?)
        }
        (false, expression) if !expression.is_empty() => Source::Math(parse(expression).map_err(|no| wrong(&id, &no))?),
        _ => return Err(invalid(format!("Exactly one of MetricStat and Expression is required for query {id}."))),
    };
    let label = query["Label"].as_str().map(ToOwned::to_owned);
    Ok(Query { id, label, returned: flag(&query["ReturnData"]).unwrap_or(true), period, source })
}

fn wrong(id: &str, no: &str) -> No {
    invalid(format!("Error in expression '{id}': {no}"))
}

/// What the expressions of one request see.
struct Work<'a> {
    metrics: &'a Metrics,
    queries: &'a [Query],
    span: (Moment, Moment),
    /// Of the expression that is being worked out.
    period: i64,
    /// Queries that are being worked out, so that none needs itself.
    open: RefCell<Vec<String>>,
}

impl Work<'_> {
    fn points(&self, metrics: &[&Metric], period: i64, stat: &str) -> Points {
        self.metrics.series(metrics, self.span, period, stat)
    }

    fn value(&self, query: &Query) -> Result<Value, String> {
        match &query.source {
            Source::Metric(metric, stat) => Ok(Value::Series(self.points(&[metric], query.period, stat))),
            Source::Select(select) => {
                let groups = select.groups(self.metrics.all());
                let lines = groups
                    .into_iter()
                    .map(|(group, metrics)| (group, self.points(&metrics, query.period, select.stat)));
                Ok(Value::Many(lines.collect()))
            }
            Source::Math(expr) => {
                if self.open.borrow().contains(&query.id) {
                    return Err(format!("'{}' depends on itself", query.id));
                }
                self.open.borrow_mut().push(query.id.clone());
                let value = math::value(expr, self);
                self.open.borrow_mut().pop();
                value
            }
        }
    }

    fn lines(&self, query: &Query) -> Result<Vec<Line>, No> {
        let line = |label: String, points| Line { id: query.id.clone(), label, points };
        let own = |fallback: &str| query.label.clone().unwrap_or_else(|| fallback.to_owned());
        let value = self.value(query).map_err(|no| wrong(&query.id, &no))?;
        Ok(match (value, &query.source) {
            (Value::Series(points), Source::Metric(metric, _)) => vec![line(own(&metric.name), points)],
            (Value::Series(points), _) => vec![line(own(&query.id), points)],
            (Value::Many(many), _) => {
                let label = |label: String| match &query.label {
                    Some(own) if !own.is_empty() => format!("{own} {label}").trim_end().to_owned(),
                    _ if label.is_empty() => query.id.clone(),
                    _ => label,
                };
                many.into_iter().map(|(name, points)| line(label(name), points)).collect()
            }
            (Value::Number(_), _) => return Err(wrong(&query.id, "the result is a number and not a time series")),
        })
    }
}

impl Scope for Work<'_> {
    fn named(&self, id: &str) -> Result<Value, String> {
        let query = self.queries.iter().find(|query| query.id == id);
        self.value(query.ok_or_else(|| format!("Unknown identifier: {id}"))?)
    }

    fn metrics(&self, holding: &str) -> Vec<(String, Points)> {
        let of = |query: &Query| match &query.source {
            Source::Metric(metric, stat) if query.id.contains(holding) => {
                let label = query.label.clone().unwrap_or_else(|| metric.name.clone());
                Some((label, self.points(&[metric], query.period, stat)))
            }
            _ => None,
        };
        self.queries.iter().filter_map(of).collect()
    }

    fn search(&self, text: &str, stat: &str, period: Option<i64>) -> Result<Vec<(String, Points)>, String> {
        let search = Search::parse(text)?;
        let period = period.unwrap_or(self.period);
        if !super::super::metrics::is_statistic(stat) || !is_period(period) {
            return Err("SEARCH does not take this statistic or period".into());
        }
        let found = self.metrics.all().filter(|metric| search.finds(metric));
        let label = |metric: &Metric| {
            let values: Vec<&str> = metric.dimensions.values().map(String::as_str).collect();
            format!("{} {}", values.join(" "), metric.name).trim_start().to_owned()
        };
        Ok(found.map(|metric| (label(metric), self.points(&[metric], period, stat))).collect())
    }

    fn times(&self) -> Vec<i64> {
        let (from, to) = (self.span.0.timestamp(), self.span.1.timestamp());
        let first = from.div_euclid(self.period) * self.period;
        let first = if first < from { first + self.period } else { first };
        (first..to).step_by(usize::try_from(self.period).unwrap_or(60)).take(POINTS).collect()
    }

    fn period(&self) -> i64 {
        self.period
    }
}

/// Every line that the queries return.
///
/// # Errors
/// `ValidationError`, as AWS names what is wrong with a query.
pub(in crate::sandbox::aws) fn lines(
    metrics: &Metrics,
    queries: &[Json],
    span: (Moment, Moment),
) -> Result<Vec<Line>, No> {
    if queries.is_empty() || queries.len() > QUERIES {
        return Err(invalid(format!("The parameter MetricDataQueries must have 1 to {QUERIES} members.")));
    }
    let queries = queries.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    for (n, query) in queries.iter().enumerate() {
        if queries[..n].iter().any(|other| other.id == query.id) {
            return Err(invalid(format!(
                "The values for parameter Id in MetricDataQueries are not unique: {}",
                query.id
            )));
        }
    }
    if !queries.iter().any(|query| query.returned) {
        return Err(invalid("At least one query must return data."));
    }
    // An expression is in the periods of what it uses: the longest.
    let longest =
        queries.iter().filter(|query| matches!(query.source, Source::Metric(..))).map(|query| query.period).max();
    let mut all = Vec::new();
    for query in queries.iter().filter(|query| query.returned) {
        let period = longest.unwrap_or(query.period);
        let work = Work { metrics, queries: &queries, span, period, open: RefCell::default() };
        all.extend(work.lines(query)?);
    }
    Ok(all)
}

pub(super) fn get(world: &mut World, params: &Json, now: Moment) -> Result<Json, No> {
    let (Some(from), Some(to)) = (moment(&params["StartTime"]), moment(&params["EndTime"])) else {
        return Err(invalid("The parameters StartTime and EndTime are required."));
    };
    if from >= to {
        return Err(invalid("The parameter StartTime must be less than the parameter EndTime."));
    }
    let most = match number(&params["MaxDatapoints"]) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        Some(most) if (1.0..=100_800.0).contains(&most) => most as usize,
        Some(_) => return Err(invalid("The parameter MaxDatapoints must be from 1 to 100800.")),
        None => POINTS,
    };
    let skip = match text(params, "NextToken") {
        "" => 0,
        token => token.strip_prefix("points-").and_then(|n| n.parse().ok()).ok_or((
            400,
            "InvalidNextToken",
            "The next token specified is invalid.".to_owned(),
        ))?,
    };
    let queries = params["MetricDataQueries"].as_array().cloned().unwrap_or_default();
    let mut found = lines(&world.live.metrics, &queries, (from, to.min(now)))?;
    let silent = world.strikes("cloudwatch.no_data");
    let partial = world.strikes("cloudwatch.partial");
    for line in &mut found {
        let kept = if silent {
            0
        } else if partial {
            line.points.len() / 2
        } else {
            usize::MAX
        };
        line.points = std::mem::take(&mut line.points).into_iter().take(kept).collect();
    }
    let oldest_first = text(params, "ScanBy") == "TimestampAscending";
    Ok(page(found, oldest_first, partial, skip, most))
}

/// `most` samples from the `skip`th on, over all lines in their order.
fn page(found: Vec<Line>, oldest_first: bool, partial: bool, skip: usize, most: usize) -> Json {
    let (mut skipped, mut told) = (0, 0);
    let mut results = Vec::new();
    let mut more = false;
    for line in found {
        let mut points: Vec<(i64, f64)> = line.points.into_iter().collect();
        if !oldest_first {
            points.reverse();
        }
        let all = points.len();
        let over = (skip - skipped).min(all);
        skipped += over;
        let points: Vec<_> = points.into_iter().skip(over).take(most - told).collect();
        told += points.len();
        let left = all - over - points.len();
        // A line without samples, or one that is told already, is on the first page or none.
        let here = !points.is_empty() || (all == 0 && skip == 0);
        let status = if partial || left > 0 { "PartialData" } else { "Complete" };
        more |= left > 0;
        if here {
            let (times, values): (Vec<i64>, Vec<f64>) = points.into_iter().unzip();
            results.push(
                json!({ "Id": line.id, "Label": line.label, "Timestamps": times, "Values": values, "StatusCode": status }),
            );
        }
    }
    let mut answer = BTreeMap::from([("MetricDataResults", Json::from(results)), ("Messages", json!([]))]);
    if more {
        answer.insert("NextToken", format!("points-{}", skip + told).into());
    }
    json!(answer)
}

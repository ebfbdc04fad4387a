//! The state of a metric alarm from its samples, after "Evaluating an alarm" and "Configuring how CloudWatch alarms
//! treat missing data" (CloudWatch user guide).

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    super::{cloudwatch::data, metrics::Metrics},
    State,
};
use crate::sandbox::world::Moment;

/// CloudWatch looks at more periods than it evaluates: of three, at five.
const MORE: i64 = 2;

/// What an evaluation comes to.
pub(super) enum Judged {
    /// Nothing that would change the state.
    AsItWas,
    /// A state, and why.
    New(State, String),
}

fn int(value: &Value) -> Option<i64> {
    value.as_i64().filter(|n| *n > 0)
}

/// The queries of an alarm, its period, and the id of the one that is judged.
pub(super) fn queries(put: &Value) -> (Vec<Value>, i64) {
    if let Some(list) = put["Metrics"].as_array() {
        let periods = list.iter().filter_map(|query| int(&query["MetricStat"]["Period"]).or(int(&query["Period"])));
        return (list.clone(), periods.max().unwrap_or(60));
    }
    let period = int(&put["Period"]).unwrap_or(60);
    let stat = put["Statistic"].as_str().or(put["ExtendedStatistic"].as_str()).unwrap_or("Average");
    let metric =
        json!({ "Namespace": put["Namespace"], "MetricName": put["MetricName"], "Dimensions": put["Dimensions"] });
    (vec![json!({ "Id": "m1", "MetricStat": { "Metric": metric, "Period": period, "Stat": stat } })], period)
}

/// Evaluates an alarm at a moment.
pub(super) fn metric(put: &Value, was: State, metrics: &Metrics, at: Moment) -> Judged {
    let (queries, period) = queries(put);
    let periods = int(&put["EvaluationPeriods"]).unwrap_or(1);
    let range = periods + MORE;
    let end = at.timestamp().div_euclid(period) * period;
    let Some(to) = chrono::DateTime::from_timestamp(end, 0) else { return Judged::AsItWas };
    let from = to - TimeDelta::seconds(range * period);
    let Ok(lines) = data::lines(metrics, &queries, (from, to)) else { return Judged::AsItWas };
    let points = lines.into_iter().next().map(|line| line.points).unwrap_or_default();
    let threshold = put["Threshold"].as_f64().unwrap_or_default();
    let comparison = put["ComparisonOperator"].as_str().unwrap_or_default();
    let breaches = |value: f64| match comparison {
        "GreaterThanOrEqualToThreshold" => value >= threshold,
        "GreaterThanThreshold" => value > threshold,
        "LessThanThreshold" => value < threshold,
        _ => value <= threshold,
    };
    let values: Vec<Option<f64>> = (0..range).map(|n| points.get(&(from.timestamp() + n * period)).copied()).collect();
    let marks: Vec<Option<bool>> = values.iter().map(|value| value.map(breaches)).collect();
    let (n, m) = (periods, int(&put["DatapointsToAlarm"]).unwrap_or(periods));
    let (n, m) = (usize::try_from(n).unwrap_or(1), usize::try_from(m).unwrap_or(1));
    let Some(state) = state(&marks, n, m, put["TreatMissingData"].as_str().unwrap_or("missing")) else {
        return Judged::AsItWas;
    };
    let real: Vec<String> = values.iter().rev().flatten().take(n).map(|value| format!("{value:?}")).collect();
    let reason = match state {
        State::Insufficient => format!("Insufficient Data: {n} datapoints were unknown."),
        _ if real.is_empty() => {
            format!("no datapoints were received for {n} periods and missing ones were treated as the alarm says.")
        }
        _ => {
            let verb = if state == State::Alarm { "crossed" } else { "not crossed" };
            let newest = real.join(", ");
            format!(
                "Threshold {verb}: the newest datapoints [{newest}] against {comparison} ({threshold:?}), {m} of {n} to alarm."
            )
        }
    };
    // A reason alone is news only with the state: AWS tells the datapoints of the transition.
    if state == was { Judged::AsItWas } else { Judged::New(state, reason) }
}

/// The state by the marks of the range, oldest first (true: breaching); `None`: as it was.
fn state(marks: &[Option<bool>], n: usize, m: usize, missing: &str) -> Option<State> {
    let verdict = |breaching: usize| Some(if breaching >= m { State::Alarm } else { State::Ok });
    let real: Vec<bool> = marks.iter().flatten().copied().collect();
    let count = |marks: &[bool]| marks.iter().filter(|breaches| **breaches).count();
    if real.is_empty() {
        return match missing {
            "breaching" => Some(State::Alarm),
            "notBreaching" => Some(State::Ok),
            "ignore" => None,
            _ => Some(State::Insufficient),
        };
    }
    // As many real ones as are evaluated: the missing ones do not matter.
    if real.len() >= n {
        return verdict(count(&real[real.len() - n..]));
    }
    let breaching = count(&real);
    match missing {
        "breaching" => verdict(breaching + n - real.len()),
        "notBreaching" => verdict(breaching),
        _ if breaching >= m => Some(State::Alarm),
        _ if breaching < real.len() => Some(State::Ok),
        "ignore" => None,
        // All that is there is breaching: an alarm when the oldest of it is old enough, so that one late sample
        // does not make one.
        _ => {
            let oldest =
                marks.iter().rev().enumerate().filter(|(_, mark)| mark.is_some()).map(|(age, _)| age + 1).max();
            if oldest >= Some(m) { Some(State::Alarm) } else { None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the user guide, three of three over a range of five: `0` is not breaching, `X` is, `-` is missing.
    #[test]
    fn missing_data_as_documented() {
        use State::{Alarm, Insufficient, Ok};
        for (text, missing, ignore, breaching, not_breaching) in [
            ("0-X-X", Some(Ok), Some(Ok), Some(Ok), Some(Ok)),
            ("----0", Some(Ok), Some(Ok), Some(Ok), Some(Ok)),
            ("-----", Some(Insufficient), None, Some(Alarm), Some(Ok)),
            ("0XX-X", Some(Alarm), Some(Alarm), Some(Alarm), Some(Alarm)),
            ("--X--", Some(Alarm), None, Some(Alarm), Some(Ok)),
        ] {
            let marks: Vec<Option<bool>> = text.chars().map(|c| (c != '-').then_some(c == 'X')).collect();
            let of = |missing| state(&marks, 3, 3, missing);
            assert_eq!(
                [of("missing"), of("ignore"), of("breaching"), of("notBreaching")],
                [missing, ignore, breaching, not_breaching],
                "{text}"
            );
        }
    }

    #[test]
    fn m_of_n() {
        let marks = |text: &str| text.chars().map(|c| (c != '-').then_some(c == 'X')).collect::<Vec<_>>();
        assert_eq!(state(&marks("00X0X"), 3, 2, "missing"), Some(State::Alarm));
        assert_eq!(state(&marks("X000X"), 3, 2, "missing"), Some(State::Ok), "only the last three count");
        assert_eq!(state(&marks("----X"), 3, 3, "missing"), None, "one young sample is not enough");
    }
}

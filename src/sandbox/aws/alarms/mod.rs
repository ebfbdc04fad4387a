//! CloudWatch alarms: what they watch, the state that they are in, and what they say about it. Evaluated from the
//! sandbox's own numbers at whole minutes (of alarms below a minute: at every ten seconds), as AWS does.

mod api;
mod evaluate;
mod rule;

use chrono::{DateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(in crate::sandbox::aws) use self::api::{answer, resource};
use self::evaluate::Judged;
use super::metrics::Metrics;
use crate::sandbox::{names::WorldNames, world::Moment};

/// Evaluations that are made up for after a pause; older ones cannot matter to the state now.
const CAUGHT_UP: i64 = 20;
/// Composites of composites: this many layers settle in one evaluation.
const LAYERS: usize = 10;

/// All alarms, by name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Alarms {
    list: Vec<Alarm>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    #[serde(rename = "OK")]
    Ok,
    #[serde(rename = "ALARM")]
    Alarm,
    #[serde(rename = "INSUFFICIENT_DATA")]
    Insufficient,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::Insufficient => "INSUFFICIENT_DATA",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Ok, Self::Alarm, Self::Insufficient].into_iter().find(|state| state.word() == word)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Alarm {
    name: String,
    /// As it was put, numbers as numbers; an `AlarmRule` makes it a composite one.
    put: Value,
    state: State,
    reason: String,
    /// When the state was last looked into and changed, or its reason.
    updated: Moment,
    /// When the state last changed.
    since: Moment,
    configured: Moment,
    /// Seconds of the last evaluation.
    evaluated: i64,
}

impl Alarm {
    fn new(name: &str, put: Value, now: Moment) -> Self {
        Self {
            name: name.to_owned(),
            put,
            state: State::Insufficient,
            reason: "Unchecked: Initial alarm creation".into(),
            updated: now,
            since: now,
            configured: now,
            evaluated: now.timestamp(),
        }
    }

    fn is_composite(&self) -> bool {
        self.put["AlarmRule"].is_string()
    }

    /// Seconds between two evaluations.
    fn step(&self) -> i64 {
        let metrics = self.put["Metrics"].as_array().into_iter().flatten();
        let periods = metrics.filter_map(|query| query["MetricStat"]["Period"].as_i64());
        let period = self.put["Period"].as_i64().or(periods.min()).unwrap_or(60);
        if period < 60 { 10 } else { 60 }
    }

    fn set(&mut self, state: State, reason: String, at: Moment) {
        if state != self.state {
            self.since = at;
        }
        if state != self.state || reason != self.reason {
            self.updated = at;
        }
        (self.state, self.reason) = (state, reason);
    }
}

impl Alarms {
    /// The story's alarms: errors and latency of the shop's visitors, and both in one. They were OK for a day.
    pub fn new(names: &WorldNames, now: Moment) -> Self {
        let metric = |metric: &str, more: Value| {
            let mut put = json!({
                "Namespace": "Acme/Visitors", "MetricName": metric, "Dimensions": [{ "Name": "Host", "Value": names.host }],
                "Period": 10, "EvaluationPeriods": 2, "DatapointsToAlarm": 1, "ComparisonOperator": "GreaterThanThreshold",
                "ActionsEnabled": true, "AlarmActions": [names.arn("sns", "on-call")],
            });
            if let (Some(put), Value::Object(more)) = (put.as_object_mut(), more) {
                put.extend(more);
            }
            put
        };
        let errors = json!({ "Statistic": "Average", "Threshold": 2.0, "TreatMissingData": "ignore",
            "AlarmDescription": "more than 2 % of the answers are 5xx" });
        let latency = json!({ "ExtendedStatistic": "p90", "Threshold": 2000.0, "TreatMissingData": "ignore",
            "AlarmDescription": "one visitor in ten waits for more than 2 s" });
        let both = json!({ "AlarmRule": "ALARM(\"acme-5xx\") OR ALARM(\"acme-latency\")", "ActionsEnabled": true,
            "AlarmDescription": "the shop is not well" });
        let well = |name: &str, put: Value| {
            let yesterday = now - TimeDelta::days(1);
            let mut alarm = Alarm::new(name, put, yesterday);
            alarm.set(State::Ok, "Threshold not crossed for a day.".into(), yesterday);
            alarm.evaluated = now.timestamp();
            alarm
        };
        let list = vec![
            well("acme-5xx", metric("5xxShare", errors)),
            well("acme-latency", metric("Latency", latency)),
            well("acme-shop", both),
        ];
        Self { list }
    }

    /// Evaluates what is due by `now`.
    pub fn advance(&mut self, metrics: &Metrics, now: Moment) {
        for alarm in self.list.iter_mut().filter(|alarm| !alarm.is_composite()) {
            let step = alarm.step();
            let due = now.timestamp().div_euclid(step) * step;
            let first = (alarm.evaluated.div_euclid(step) + 1) * step;
            for at in (first.max(due - CAUGHT_UP * step)..=due).step_by(usize::try_from(step).unwrap_or(60)) {
                let Some(moment) = DateTime::from_timestamp(at, 0) else { continue };
                if let Judged::New(state, reason) = evaluate::metric(&alarm.put, alarm.state, metrics, moment) {
                    alarm.set(state, reason, moment);
                }
                alarm.evaluated = at;
            }
        }
        for _ in 0..LAYERS {
            let states: Vec<(String, State)> =
                self.list.iter().map(|alarm| (alarm.name.clone(), alarm.state)).collect();
            let mut changed = false;
            for alarm in self.list.iter_mut().filter(|alarm| alarm.is_composite()) {
                let Ok(rule) = rule::parse(alarm.put["AlarmRule"].as_str().unwrap_or_default()) else { continue };
                let of = |name: &str| states.iter().find(|(it, _)| it == name).map(|(_, state)| *state);
                let state = if rule.holds(&of) { State::Alarm } else { State::Ok };
                if state != alarm.state {
                    changed = true;
                    alarm.set(state, format!("{} evaluated to {}", alarm.put["AlarmRule"], state == State::Alarm), now);
                }
            }
            if !changed {
                break;
            }
        }
    }

    fn find(&mut self, name: &str) -> Option<&mut Alarm> {
        self.list.iter_mut().find(|alarm| alarm.name == name)
    }

    /// Puts an alarm. One of this name keeps its state.
    fn put(&mut self, name: &str, put: Value, now: Moment) {
        match self.find(name) {
            Some(alarm) => (alarm.put, alarm.configured) = (put, now),
            None => {
                self.list.push(Alarm::new(name, put, now));
                self.list.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
    }
}

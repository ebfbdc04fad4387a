//! The operations on alarms, as one JSON shape for every protocol.

use serde_json::{Map, Value, json};

use super::{
    super::{
        No,
        cloudwatch::{
            data::{self, flag, is_period},
            number,
        },
        text,
    },
    Alarm, State, evaluate, rule,
};
use crate::sandbox::world::{Moment, World};

/// Alarms of one page at most; where nothing is said, half of it.
const PAGE: usize = 100;

const MISSING: [&str; 4] = ["breaching", "notBreaching", "ignore", "missing"];
const COMPARISONS: [&str; 4] =
    ["GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"];
const STATISTICS: [&str; 5] = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"];

fn arn(world: &World, name: &str) -> String {
    world.names.arn("cloudwatch", &format!("alarm:{name}"))
}

/// The ARN that IAM checks: an alarm for what changes one; lists take all of them.
pub(in crate::sandbox::aws) fn resource(world: &World, operation: &str, params: &Value) -> String {
    let listed = params["AlarmNames"][0].as_str().unwrap_or_default();
    match (operation, text(params, "AlarmName")) {
        ("PutMetricAlarm" | "PutCompositeAlarm" | "SetAlarmState", name) => arn(world, name),
        ("DeleteAlarms" | "EnableAlarmActions" | "DisableAlarmActions", _) => arn(world, listed),
        _ => "*".into(),
    }
}

pub(in crate::sandbox::aws) fn answer(
    world: &mut World,
    request_id: &str,
    operation: &str,
    params: &Value,
    now: Moment,
) -> Result<Value, No> {
    let detail = match operation {
        "DescribeAlarms" => return describe(world, params),
        "PutMetricAlarm" => {
            let put = metric_alarm(params)?;
            world.alarms.put(text(params, "AlarmName"), put, now);
            format!("{} {} {}", text(params, "MetricName"), text(params, "ComparisonOperator"), params["Threshold"])
        }
        "PutCompositeAlarm" => {
            let put = composite(world, params)?;
            world.alarms.put(text(params, "AlarmName"), put, now);
            text(params, "AlarmRule").to_owned()
        }
        "SetAlarmState" => set_state(world, params, now)?,
        "DeleteAlarms" => {
            let names = strings(&params["AlarmNames"]);
            if let Some(name) = names.iter().find(|name| world.alarms.find(name).is_none()) {
                return Err(missing(name));
            }
            world.alarms.list.retain(|alarm| !names.contains(&alarm.name));
            names.join(", ")
        }
        "EnableAlarmActions" | "DisableAlarmActions" => {
            let on = operation == "EnableAlarmActions";
            let names = strings(&params["AlarmNames"]);
            for name in &names {
                if let Some(alarm) = world.alarms.find(name) {
                    alarm.put["ActionsEnabled"] = on.into();
                }
            }
            format!("actions of {} are {}", names.join(", "), if on { "on" } else { "off" })
        }
        other => return Err((400, "InvalidAction", format!("{other} is not part of the sandbox"))),
    };
    let target = resource(world, operation, params);
    world.effect(now, ("cloudwatch", operation), target, detail, request_id);
    Ok(json!({}))
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
}

fn missing(name: &str) -> No {
    (404, "ResourceNotFound", format!("alarm {name} does not exist"))
}

fn invalid(message: impl Into<String>) -> No {
    (400, "ValidationError", message.into())
}

fn named(params: &Value) -> Result<(), No> {
    match text(params, "AlarmName").len() {
        1..=255 => Ok(()),
        _ => Err(invalid("Member must have length from 1 to 255: alarmName")),
    }
}

/// What is kept of any alarm: texts and lists as they came, the flag as a flag.
fn common(params: &Value) -> Map<String, Value> {
    let mut put = Map::new();
    for key in ["AlarmDescription", "OKActions", "AlarmActions", "InsufficientDataActions"] {
        if !params[key].is_null() {
            put.insert(key.into(), params[key].clone());
        }
    }
    put.insert("ActionsEnabled".into(), flag(&params["ActionsEnabled"]).unwrap_or(true).into());
    put
}

fn metric_alarm(params: &Value) -> Result<Value, No> {
    named(params)?;
    let mut put = common(params);
    #[expect(clippy::cast_possible_truncation, reason = "counts and seconds")]
    let int = |key: &str| number(&params[key]).map(|n| n as i64);
    for key in ["Period", "EvaluationPeriods", "DatapointsToAlarm"] {
        if let Some(n) = int(key) {
            if n < 1 {
                return Err(invalid(format!("Member must have value greater than or equal to 1: {key}")));
            }
            put.insert(key.into(), n.into());
        }
    }
    let periods = int("EvaluationPeriods").ok_or_else(|| invalid("The parameter EvaluationPeriods is required."))?;
    if int("DatapointsToAlarm").is_some_and(|n| n > periods) {
        return Err(invalid("DatapointsToAlarm must be less than or equal to EvaluationPeriods"));
    }
    let threshold = number(&params["Threshold"]).ok_or_else(|| invalid("The parameter Threshold is required."))?;
    put.insert("Threshold".into(), threshold.into());
    let mut words = |key: &str, known: &[&str], required: bool| match text(params, key) {
        "" if !required => Ok(()),
        word if known.contains(&word) => {
            put.insert(key.into(), word.into());
            Ok(())
        }
        word => Err(invalid(format!("Value '{word}' at '{key}' must be one of {known:?}"))),
    };
    words("ComparisonOperator", &COMPARISONS, true)?;
    words("TreatMissingData", &MISSING, false)?;
    words("Statistic", &STATISTICS, false)?;
    let many = params["Metrics"].as_array().is_some_and(|list| !list.is_empty());
    let single =
        ["Namespace", "MetricName", "Statistic", "ExtendedStatistic"].iter().any(|key| !params[*key].is_null());
    if many == single {
        return Err(invalid("Exactly one of Metrics and MetricName is required."));
    }
    for key in ["Namespace", "MetricName", "ExtendedStatistic", "Dimensions", "Metrics", "Unit"] {
        if !params[key].is_null() {
            put.insert(key.into(), numbers(params[key].clone()));
        }
    }
    let put = Value::Object(put);
    if single {
        let stats = [text(&put, "Statistic"), text(&put, "ExtendedStatistic")];
        if text(&put, "Namespace").is_empty()
            || text(&put, "MetricName").is_empty()
            || stats[0].is_empty() == stats[1].is_empty()
        {
            return Err(invalid(
                "Namespace, MetricName and exactly one of Statistic and ExtendedStatistic are required.",
            ));
        }
    }
    let (queries, period) = evaluate::queries(&put);
    if !is_period(period) || period < 10 {
        return Err(invalid(format!(
            "The value {period} for parameter Period is not valid: 10, 20, 30 or a multiple of 60"
        )));
    }
    let span = (Moment::UNIX_EPOCH, Moment::UNIX_EPOCH + chrono::TimeDelta::seconds(period));
    let lines = data::lines(&super::Metrics::default(), &queries, span)?;
    if lines.len() > 1 {
        return Err(invalid("Exactly one element of the metrics list should return data."));
    }
    Ok(put)
}

/// Numbers and flags that a form carries as text, where the API has numbers and flags.
fn numbers(value: Value) -> Value {
    match value {
        Value::Array(list) => list.into_iter().map(numbers).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let value = match key.as_str() {
                    #[expect(clippy::cast_possible_truncation, reason = "seconds")]
                    "Period" => number(&value).map_or(value, |n| (n as i64).into()),
                    "ReturnData" => flag(&value).map_or(value, Value::Bool),
                    _ => numbers(value),
                };
                (key, value)
            })
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

fn composite(world: &mut World, params: &Value) -> Result<Value, No> {
    named(params)?;
    let text = text(params, "AlarmRule");
    let rule = rule::parse(text).map_err(|no| invalid(format!("AlarmRule is not valid: {no}")))?;
    if let Some(name) = rule.names().into_iter().find(|name| world.alarms.find(name).is_none()) {
        return Err(invalid(format!("AlarmRule is not valid: alarm {name} does not exist")));
    }
    let mut put = common(params);
    put.insert("AlarmRule".into(), text.into());
    Ok(Value::Object(put))
}

fn set_state(world: &mut World, params: &Value, now: Moment) -> Result<String, No> {
    let (name, word, reason) = (text(params, "AlarmName"), text(params, "StateValue"), text(params, "StateReason"));
    let state = State::of(word).ok_or_else(|| invalid(format!("Value '{word}' at 'stateValue' is not a state")))?;
    let alarm = world.alarms.find(name).ok_or_else(|| missing(name))?;
    alarm.set(state, reason.to_owned(), now);
    Ok(word.to_owned())
}

/// An alarm as it is told.
fn told(world: &World, alarm: &Alarm) -> Value {
    let mut told = alarm.put.clone();
    let more = json!({
        "AlarmName": alarm.name,
        "AlarmArn": arn(world, &alarm.name),
        "StateValue": alarm.state.word(),
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": alarm.updated.timestamp(),
        "StateTransitionedTimestamp": alarm.since.timestamp(),
        "AlarmConfigurationUpdatedTimestamp": alarm.configured.timestamp(),
    });
    if let (Some(told), Value::Object(more)) = (told.as_object_mut(), more) {
        told.extend(more);
    }
    told
}

fn describe(world: &World, params: &Value) -> Result<Value, No> {
    let names = strings(&params["AlarmNames"]);
    let (prefix, state) = (text(params, "AlarmNamePrefix"), text(params, "StateValue"));
    if !names.is_empty() && !prefix.is_empty() {
        return Err((400, "InvalidParameterCombination", "AlarmNames and AlarmNamePrefix do not go together.".into()));
    }
    if names.len() > PAGE {
        return Err(invalid(format!("Member must have length less than or equal to {PAGE}: alarmNames")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    let most = match number(&params["MaxRecords"]) {
        None => PAGE / 2,
        Some(n) if (1.0..=100.0).contains(&n) => n as usize,
        Some(_) => return Err(invalid("Member must have value from 1 to 100: maxRecords")),
    };
    let skip = match text(params, "NextToken") {
        "" => 0,
        token => token.strip_prefix("alarms-").and_then(|n| n.parse::<usize>().ok()).ok_or((
            400,
            "InvalidNextToken",
            "The next token specified is invalid.".to_owned(),
        ))?,
    };
    let types = strings(&params["AlarmTypes"]);
    let wants = |alarm: &&Alarm| {
        let kind = if alarm.is_composite() { "CompositeAlarm" } else { "MetricAlarm" };
        let of_type = if types.is_empty() { !alarm.is_composite() } else { types.iter().any(|it| it == kind) };
        of_type
            && (names.is_empty() || names.contains(&alarm.name))
            && alarm.name.starts_with(prefix)
            && (state.is_empty() || state == alarm.state.word())
    };
    let wanted: Vec<&Alarm> = world.alarms.list.iter().filter(wants).collect();
    let page = || wanted.iter().skip(skip).take(most);
    let of = |composite: bool| -> Vec<Value> {
        page().filter(|alarm| alarm.is_composite() == composite).map(|alarm| told(world, alarm)).collect()
    };
    let mut answer = json!({ "MetricAlarms": of(false), "CompositeAlarms": of(true) });
    if skip + most < wanted.len() {
        answer["NextToken"] = format!("alarms-{}", skip + most).into();
    }
    Ok(answer)
}

//! CloudWatch: metric values and alarms, in the three protocols that its clients speak: a query form, JSON
//! and CBOR. Each is read into one JSON shape and written from one.

pub(super) mod data;
mod math;
mod parse;
mod search;

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Value, json};

use super::{Caller, No, alarms, cbor, metrics::Metric, protocol::tree, query_service, text};
use crate::sandbox::{
    http::Reply,
    world::{Moment, World, iso},
    xml::Node,
};

const XMLNS: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";
/// Datums of one PutMetricData.
const PUT_LIMIT: usize = 1000;

pub(super) fn answer(world: &mut World, caller: &Caller<'_>, now: Moment) -> Result<Reply, No> {
    let asked = caller.asked;
    let broken = |what: &str| (400, "SerializationException", format!("the body is not {what}"));
    if asked.header("smithy-protocol") == "rpc-v2-cbor" {
        let operation = asked.path.rsplit('/').next().unwrap_or_default();
        let params =
            if asked.body.is_empty() { json!({}) } else { cbor::decode(&asked.body).ok_or_else(|| broken("CBOR"))? };
        let body = cbor::encode(&operate(world, caller, operation, &params, now)?);
        return Ok(Reply::new(200, "application/cbor", body).with("smithy-protocol", "rpc-v2-cbor"));
    }
    if !asked.header("x-amz-target").is_empty() {
        return super::json_service(caller, |operation, params| operate(world, caller, operation, params, now));
    }
    query_service(caller, XMLNS, |action, form| {
        operate(world, caller, action, &tree(form), now).map(|value| children(&value))
    })
}

/// An answer's members as XML.
fn children(value: &Value) -> Vec<Node> {
    let node = |name: &str, value: &Value| match value {
        Value::Array(list) => Node::of(name, list.iter().map(|value| member("member", value, name == "Timestamps"))),
        value => member(name, value, name.ends_with("Timestamp")),
    };
    value.as_object().into_iter().flatten().map(|(name, value)| node(name, value)).collect()
}

fn member(name: &str, value: &Value, time: bool) -> Node {
    match value {
        Value::Object(_) => Node::of(name, children(value)),
        Value::String(text) => Node::leaf(name, text),
        Value::Number(n) if time => {
            Node::leaf(name, n.as_i64().and_then(|s| DateTime::from_timestamp(s, 0)).map(iso).unwrap_or_default())
        }
        value => Node::leaf(name, value),
    }
}

/// A number that a form carries as text.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// A moment: seconds (JSON, CBOR) or a date (form).
pub(super) fn moment(value: &Value) -> Option<Moment> {
    match value {
        Value::String(text) => DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()),
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of this era fit")]
        value => DateTime::from_timestamp_millis((value.as_f64()? * 1000.0) as i64),
    }
}

pub(super) fn metric(value: &Value, namespace: &str) -> Metric {
    let dimensions = value["Dimensions"].as_array().into_iter().flatten();
    let dimensions = dimensions.map(|pair| (text(pair, "Name").to_owned(), text(pair, "Value").to_owned())).collect();
    Metric { namespace: namespace.to_owned(), name: text(value, "MetricName").to_owned(), dimensions }
}

fn shown(metric: &Metric) -> Value {
    let dimensions: Vec<Value> = metric.dimensions.iter().map(|(n, v)| json!({ "Name": n, "Value": v })).collect();
    json!({ "Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions })
}

/// The ARN that IAM checks; everything but alarms takes none.
pub(super) fn resource(world: &World, operation: &str, params: &Value) -> String {
    alarms::resource(world, operation, params)
}

fn operate(world: &mut World, caller: &Caller<'_>, operation: &str, params: &Value, now: Moment) -> Result<Value, No> {
    match operation {
        "GetMetricData" => data::get(world, params, now),
        "ListMetrics" => {
            let wanted = |metric: &&Metric| {
                let matches = |name: &str, value: &str| text(params, name).is_empty() || text(params, name) == value;
                let dimensions: BTreeMap<_, _> = self::metric(params, "").dimensions;
                matches("Namespace", &metric.namespace)
                    && matches("MetricName", &metric.name)
                    && dimensions
                        .iter()
                        .all(|(n, v)| metric.dimensions.get(n).is_some_and(|it| v.is_empty() || it == v))
            };
            Ok(json!({ "Metrics": world.live.metrics.all().filter(wanted).map(shown).collect::<Vec<_>>() }))
        }
        "PutMetricData" => put(world, caller, params, now),
        other => alarms::answer(world, &caller.request_id, other, params, now),
    }
}

fn put(world: &mut World, caller: &Caller<'_>, params: &Value, now: Moment) -> Result<Value, No> {
    let namespace = text(params, "Namespace");
    let data = params["MetricData"].as_array().cloned().unwrap_or_default();
    if namespace.is_empty() || data.is_empty() {
        return Err((400, "MissingParameter", "The parameters Namespace and MetricData are required.".into()));
    }
    if data.len() > PUT_LIMIT {
        return Err((
            400,
            "InvalidParameterValue",
            format!("The collection MetricData must not have a size greater than {PUT_LIMIT}."),
        ));
    }
    for datum in &data {
        let values = match datum["Values"].as_array() {
            Some(values) => values.iter().filter_map(number).collect(),
            None => number(&datum["Value"]).into_iter().collect::<Vec<_>>(),
        };
        let at = moment(&datum["Timestamp"]).unwrap_or(now);
        world.live.metrics.put(metric(datum, namespace), at, values);
    }
    let detail = format!("{} datums", data.len());
    world.effect(now, ("cloudwatch", "PutMetricData"), namespace, detail, &caller.request_id);
    Ok(json!({}))
}

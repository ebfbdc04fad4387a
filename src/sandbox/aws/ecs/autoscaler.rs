//! Application Auto Scaling, as far as it fights over a count: the fault `ecs.autoscaler` sets a service's count
//! back to what it was, and says so as AWS does.

use serde_json::{Value, json};

use super::{super::No, service::seconds, text};
use crate::sandbox::world::World;

/// From a change of the count to its being set back, in milliseconds.
pub(super) const FIGHTS_AFTER: i64 = 1500;

pub(in crate::sandbox::aws) fn answer(world: &World, operation: &str, params: &Value) -> Result<Value, No> {
    if operation != "DescribeScalingActivities" {
        return Err((400, "UnknownOperationException", format!("{operation} is not part of the sandbox")));
    }
    if text(params, "ServiceNamespace") != "ecs" {
        return Ok(json!({ "ScalingActivities": [] }));
    }
    let resource = text(params, "ResourceId");
    let most = usize::try_from(params["MaxResults"].as_u64().unwrap_or(10)).unwrap_or(10);
    let of = |name: &str| format!("service/{}/{name}", world.names.cluster);
    let services = world.ecs.services.iter().filter(|it| resource.is_empty() || of(&it.name) == resource);
    let activities = services.flat_map(|it| {
        let resource = of(&it.name);
        it.scaled.iter().rev().map(move |(at, count)| {
            json!({ "ActivityId": format!("{:036x}", at.timestamp_millis()), "ServiceNamespace": "ecs", "ResourceId": resource,
                "ScalableDimension": "ecs:service:DesiredCount", "StatusCode": "Successful",
                "Description": format!("Setting desired count to {count}."),
                "Cause": format!("monitor alarm TargetTracking-{0}-AlarmLow in state ALARM triggered policy {0}-cpu", it.name),
                "StatusMessage": format!("Successfully set desired count to {count}. Change successfully fulfilled by ecs."),
                "StartTime": seconds(*at), "EndTime": seconds(*at) })
        })
    });
    Ok(json!({ "ScalingActivities": activities.take(most).collect::<Vec<_>>() }))
}

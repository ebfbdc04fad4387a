//! Resources of the operations of ECS, Elastic Load Balancing, `CloudWatch`, Route 53 and the stores of
//! secrets, until each service's own file has its `resource`.
//!
//! Source: Service Authorization Reference, one page a service.

use super::{Params, arn};
use crate::sandbox::world::World;

/// Services none of whose actions here takes a resource.
pub(super) fn nothing(_: &World, _: &str, _: &Params) -> String {
    "*".into()
}

/// `ListTasks` takes container instances only, so that a list of all tasks is asked about as `*`.
pub(super) fn ecs(world: &World, operation: &str, params: &Params) -> String {
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let cluster = last(params["cluster"].as_str().unwrap_or("default"));
    let own = |kind: &str, id: &str| arn(&world.names, "ecs", &format!("{kind}/{cluster}/{}", last(id)));
    let all = |key: &str, kind: &str| {
        let ids = params[key].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
        ids.map(|id| own(kind, id)).collect::<Vec<_>>().join(" ")
    };
    match operation {
        "DescribeServices" => all("services", "service"),
        "DescribeTasks" => all("tasks", "task"),
        "UpdateService" => own("service", params["service"].as_str().unwrap_or_default()),
        "StopTask" => own("task", params["task"].as_str().unwrap_or_default()),
        "DescribeClusters" => {
            let names = params["clusters"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
            let arns = names.map(|name| arn(&world.names, "ecs", &format!("cluster/{}", last(name))));
            arns.collect::<Vec<_>>().join(" ")
        }
        "RunTask" => {
            let name = params["taskDefinition"].as_str().unwrap_or_default();
            let name = last(name);
            let newest = || {
                let own = world.ecs.definitions.iter().filter(|it| it.family == name);
                own.map(|it| it.revision).max().unwrap_or(0)
            };
            let name = if name.contains(':') { name } else { format!("{name}:{}", newest()) };
            arn(&world.names, "ecs", &format!("task-definition/{name}"))
        }
        "RegisterTaskDefinition" => {
            let family = params["family"].as_str().unwrap_or_default();
            arn(&world.names, "ecs", &format!("task-definition/{family}:*"))
        }
        _ => "*".into(),
    }
}

pub(super) fn cloudwatch(world: &World, operation: &str, params: &Params) -> String {
    if operation != "DescribeAlarms" {
        return "*".into();
    }
    let names = params["AlarmNames"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
    let arns: Vec<_> = names.map(|name| arn(&world.names, "cloudwatch", &format!("alarm:{name}"))).collect();
    if arns.is_empty() { arn(&world.names, "cloudwatch", "alarm:*") } else { arns.join(" ") }
}

pub(super) fn route53(_: &World, operation: &str, params: &Params) -> String {
    let id = params["Id"].as_str().unwrap_or_default();
    match operation {
        "GetChange" => format!("arn:aws:route53:::change/{id}"),
        "ChangeResourceRecordSets" | "GetHostedZone" | "ListResourceRecordSets" => {
            format!("arn:aws:route53:::hostedzone/{id}")
        }
        _ => "*".into(),
    }
}

/// A secret's ARN ends with six characters that its name does not have.
pub(super) fn secrets_manager(world: &World, _: &str, params: &Params) -> String {
    let id = params["SecretId"].as_str().unwrap_or_default();
    if id.starts_with("arn:") {
        id.to_owned()
    } else {
        arn(&world.names, "secretsmanager", &format!("secret:{id}-Sandbx"))
    }
}

pub(super) fn parameters(world: &World, _: &str, params: &Params) -> String {
    let one = params["Name"].as_str().into_iter();
    let many = params["Names"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
    // A version or a label stands behind the name and is no part of the resource.
    let own = |name: &str| {
        let name = name.split(':').next().unwrap_or_default();
        arn(&world.names, "ssm", &format!("parameter/{}", name.trim_start_matches('/')))
    };
    one.chain(many).map(own).collect::<Vec<_>>().join(" ")
}

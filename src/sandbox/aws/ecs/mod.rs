//! ECS, awsJson 1.1: one cluster whose services deploy, fail and roll back in seconds.

mod definition;
mod run;
mod service;
mod services;
mod task;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Caller, No};
use crate::sandbox::{
    names::WorldNames,
    seed::Seed,
    world::{Moment, World},
};
pub(in crate::sandbox) use definition::Definition;
pub(in crate::sandbox) use service::{Deployment, Rollout, Service};
pub(in crate::sandbox) use task::{Fate, Task};

/// Stopped tasks kept; AWS forgets them after an hour.
const STOPPED_KEPT: usize = 200;

/// The cluster.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::sandbox) struct Ecs {
    pub definitions: Vec<Definition>,
    pub services: Vec<Service>,
    pub tasks: Vec<Task>,
    /// `clientToken`, what was asked with it, the ids of its tasks.
    pub tokens: Vec<(String, String, Vec<String>)>,
}

/// A target's health, as the load balancer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Health {
    Initial,
    Healthy,
    Draining,
}

impl Ecs {
    /// Lets the schedulers do what is due by `now`.
    pub fn advance(&mut self, seed: &mut Seed, _names: &WorldNames, now: Moment) {
        for service in &mut self.services {
            service.advance(seed, &mut self.tasks, now);
        }
        let stopped = self.tasks.iter().filter(|task| task.is_stopped(now)).count();
        if stopped > STOPPED_KEPT {
            let mut too_many = stopped - STOPPED_KEPT;
            self.tasks.retain(|task| {
                let drop = too_many > 0 && task.is_stopped(now);
                too_many -= usize::from(drop);
                !drop
            });
        }
    }

    /// The targets of a service behind the load balancer.
    pub fn targets(&self, service: &str, now: Moment) -> Vec<(String, Health)> {
        let group = format!("service:{service}");
        let registered = self
            .tasks
            .iter()
            .filter(|task| task.group == group && task.running_at.is_some_and(|at| at <= now) && !task.is_stopped(now));
        let health = |task: &Task| match () {
            () if task.is_ending(now) => Health::Draining,
            () if task.is_healthy(now) => Health::Healthy,
            () => Health::Initial,
        };
        registered.map(|task| (task.ip.clone(), health(task))).collect()
    }
}

pub(super) fn answer(
    world: &mut World,
    caller: &Caller<'_>,
    operation: &str,
    params: &Value,
    now: Moment,
) -> Result<Value, No> {
    let id = caller.request_id.as_str();
    if operation.contains("TaskDefinition") {
        return match operation {
            "DescribeTaskDefinition" => definition::describe(world, params),
            "ListTaskDefinitions" => Ok(definition::list(world, params)),
            "RegisterTaskDefinition" => definition::register(world, params, id, now),
            other => Err(unknown(other)),
        };
    }
    if operation == "DescribeClusters" {
        return Ok(clusters(world, params, now));
    }
    if operation == "ListClusters" {
        return Ok(json!({ "clusterArns": [arn(&world.names, &format!("cluster/{}", world.names.cluster))] }));
    }
    let cluster = text(params, "cluster").rsplit('/').next().unwrap_or_default();
    if cluster != world.names.cluster {
        return Err((400, "ClusterNotFoundException", "Cluster not found.".into()));
    }
    match operation {
        "DescribeServices" => Ok(services::describe(world, params, now)),
        "ListServices" => {
            let of = |it: &Service| arn(&world.names, &format!("service/{}/{}", world.names.cluster, it.name));
            Ok(json!({ "serviceArns": world.ecs.services.iter().map(of).collect::<Vec<_>>() }))
        }
        "UpdateService" => services::update(world, params, id, now),
        "DescribeTasks" => Ok(run::describe(world, params, now)),
        "ListTasks" => run::list(world, params, now),
        "RunTask" => run::run(world, params, id, now),
        "StopTask" => run::stop(world, params, id, now),
        other => Err(unknown(other)),
    }
}

fn unknown(operation: &str) -> No {
    (400, "UnknownOperationException", format!("{operation} is not part of the sandbox"))
}

fn invalid(message: &str) -> No {
    (400, "InvalidParameterException", message.to_owned())
}

fn clusters(world: &World, params: &Value, now: Moment) -> Value {
    let name = world.names.cluster.as_str();
    let own = arn(&world.names, &format!("cluster/{name}"));
    let asked: Vec<&str> = params["clusters"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let asked = if asked.is_empty() { vec!["default"] } else { asked };
    let (found, missing): (Vec<&str>, Vec<&str>) = asked.into_iter().partition(|it| *it == name || *it == own);
    let running = world.ecs.tasks.iter().filter(|task| task.is_running(now)).count();
    let pending = world.ecs.tasks.iter().filter(|task| !task.is_running(now) && !task.is_ending(now)).count();
    let found = found.iter().map(|_| {
        json!({ "clusterArn": own, "clusterName": name, "status": "ACTIVE",
        "runningTasksCount": running, "pendingTasksCount": pending, "activeServicesCount": world.ecs.services.len(),
        "registeredContainerInstancesCount": 0, "capacityProviders": ["FARGATE"], "tags": [] })
    });
    let missing = missing.iter().map(|it| {
        let missing =
            if it.starts_with("arn:") { (*it).to_owned() } else { arn(&world.names, &format!("cluster/{it}")) };
        json!({ "arn": missing, "reason": "MISSING" })
    });
    json!({ "clusters": found.collect::<Vec<_>>(), "failures": missing.collect::<Vec<_>>() })
}

fn arn(names: &WorldNames, rest: &str) -> String {
    format!("arn:aws:ecs:{}:{}:{rest}", names.region, names.account)
}

fn text<'a>(params: &'a Value, name: &str) -> &'a str {
    params[name].as_str().unwrap_or_default()
}

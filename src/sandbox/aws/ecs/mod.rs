//! ECS, awsJson 1.1: one cluster whose services deploy, fail and roll back in seconds.

pub(super) mod autoscaler;
mod definition;
mod page;
mod run;
mod service;
mod services;
mod task;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Caller, No, text};
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
    /// Lets the schedulers do what is due by `now`: one moment after the other, whichever service it belongs
    /// to, so that it makes no difference how often somebody looks.
    pub fn advance(&mut self, seed: &mut Seed, now: Moment) {
        loop {
            let next = self.services.iter_mut().filter_map(|it| it.due(&self.tasks).map(|due| (due, it)));
            let Some((due, service)) = next.min_by_key(|(due, _)| *due).filter(|(due, _)| *due <= now) else { break };
            service.schedule(seed, &mut self.tasks, due);
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
            "DeregisterTaskDefinition" => definition::deregister(world, params, id, now),
            "ListTaskDefinitions" => definition::list(world, params),
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
        "DescribeServices" => services::describe(world, params, now),
        "ListServices" => {
            let of = |it: &Service| arn(&world.names, &format!("service/{}/{}", world.names.cluster, it.name));
            page::listed("serviceArns", world.ecs.services.iter().map(of).collect(), params, 10)
        }
        "UpdateService" => services::update(world, params, id, now),
        "DescribeTasks" => run::describe(world, params, now),
        "ListTasks" => run::list(world, params, now),
        "RunTask" => run::run(world, params, id, now),
        "StopTask" => run::stop(world, params, id, now),
        other => Err(unknown(other)),
    }
}

/// True once a service was updated.
pub(super) fn was_updated(world: &World) -> bool {
    world.effects.iter().any(|effect| effect.operation == "UpdateService")
}

/// The resources that IAM checks, as "Actions, resources, and condition keys for Amazon Elastic Container Service"
/// names them, separated by spaces. `ListTasks` takes container instances only: a list of all tasks is asked about as `*`.
pub(super) fn resource(world: &World, operation: &str, params: &Value) -> String {
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let cluster = last(params["cluster"].as_str().unwrap_or("default"));
    let of = |rest: String| arn(&world.names, &rest);
    let own = |kind: &str, id: &str| of(format!("{kind}/{cluster}/{}", last(id)));
    let each = |key: &str| params[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let all = |key: &str, kind: &str| each(key).map(|id| own(kind, id)).collect::<Vec<_>>().join(" ");
    match operation {
        "DescribeServices" => all("services", "service"),
        "UpdateService" => own("service", text(params, "service")),
        "DescribeTasks" => all("tasks", "task"),
        "StopTask" => own("task", text(params, "task")),
        "RunTask" => {
            // As the request names it: a family alone has no revision here.
            let name = text(params, "taskDefinition");
            if name.starts_with("arn:") { name.to_owned() } else { of(format!("task-definition/{name}")) }
        }
        "DescribeClusters" => {
            each("clusters").map(|name| of(format!("cluster/{}", last(name)))).collect::<Vec<_>>().join(" ")
        }
        _ => "*".into(),
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
    names.arn("ecs", rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{http::Asked, world::after};

    fn call(world: &mut World, operation: &str, params: Value, now: Moment) {
        let (headers, body) = (hyper::HeaderMap::new(), hyper::body::Bytes::new());
        let asked = Asked { method: "POST".into(), path: "/".into(), query: String::new(), headers, body };
        let caller = Caller { asked: &asked, request_id: "r".into() };
        // A refusal is an outcome like any other.
        let _ = answer(world, &caller, operation, &params, now);
    }

    fn operate(world: &mut World, what: u64, now: Moment) {
        let update = |service: &str, definition: &str, desired: u64| json!({ "cluster": "acme", "service": service, "taskDefinition": definition, "desiredCount": desired });
        let (operation, params) = match what % 8 {
            0 => ("UpdateService", update("web", "web:42", 2)),
            1 => ("UpdateService", update("web", "web-broken", 1 + what % 3)),
            2 => ("UpdateService", update("web", "web-missing", 1)),
            3 => ("UpdateService", update("worker", "worker:8", what % 4)),
            4 => ("UpdateService", json!({ "cluster": "acme", "service": "web", "desiredCount": 1 + what % 4 })),
            5 => ("UpdateService", json!({ "cluster": "acme", "service": "web", "forceNewDeployment": true })),
            6 => (
                "RunTask",
                json!({ "cluster": "acme", "taskDefinition": "migrate", "clientToken": (what % 16).to_string() }),
            ),
            _ => {
                let nth = usize::try_from(what / 8).unwrap() % world.ecs.tasks.len();
                ("StopTask", json!({ "cluster": "acme", "task": world.ecs.tasks[nth].id }))
            }
        };
        call(world, operation, params, now);
    }

    /// Whoever looks, and however often, sees the same: what happens depends on the moments that were written
    /// down, and comes to rest.
    #[test]
    fn looking_changes_nothing_and_everything_comes_to_rest() {
        let start = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for round in 0..150 {
            let mut dice = Seed::new(round);
            let mut rarely = World::new(WorldNames::default(), round, start);
            let mut often = rarely.clone();
            let mut now = start;
            for _ in 0..6 {
                for _ in 0..dice.below(6) {
                    now = after(now, i64::try_from(dice.below(900)).unwrap());
                    often.advance(now);
                }
                now = after(now, i64::try_from(dice.below(900)).unwrap());
                let what = dice.next();
                for world in [&mut rarely, &mut often] {
                    world.advance(now);
                    operate(world, what, now);
                }
            }
            for _ in 0..40 {
                now = after(now, 900);
                often.advance(now);
            }
            rarely.advance(now);
            assert_eq!(json!(rarely.ecs), json!(often.ecs), "round {round}");
            for service in &rarely.ecs.services {
                let group = format!("service:{}", service.name);
                let own = rarely.ecs.tasks.iter().filter(|task| task.group == group && !task.is_stopped(now));
                let healthy = own.clone().filter(|task| task.is_healthy(now)).count();
                let primary = service.primary().unwrap();
                assert_eq!((own.count(), healthy), (service.desired as usize, healthy), "round {round}: {service:?}");
                assert_eq!(healthy, service.desired as usize, "round {round}: {service:?}");
                assert_eq!(
                    (service.deployments.len(), primary.rollout),
                    (1, Rollout::Completed),
                    "round {round}: {service:?}"
                );
                assert_eq!(primary.fate, Fate::Serves, "round {round}: the breaker brings the good one back");
            }
        }
    }
}

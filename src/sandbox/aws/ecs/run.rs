//! Tasks: RunTask with its client token, DescribeTasks, ListTasks, StopTask.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{super::No, Fate, Task, arn, definition, invalid, page, service::seconds, text};
use crate::sandbox::world::{Moment, World};

/// Tokens remembered; AWS remembers them for a day.
const TOKENS: usize = 200;
/// Tasks that are described, and listed on a page, at most.
const AT_ONCE: usize = 100;

fn task_arn(world: &World, id: &str) -> String {
    arn(&world.names, &format!("task/{}/{id}", world.names.cluster))
}

fn json(world: &World, task: &Task, now: Moment) -> Value {
    let names = &world.names;
    let arn_of_task = task_arn(world, &task.id);
    let definition = definition::find(world, &format!("{}:{}", task.family, task.revision));
    let status = task.status(now);
    let container_status = match status {
        "PROVISIONING" | "PENDING" => "PENDING",
        "DEPROVISIONING" | "STOPPED" => "STOPPED",
        _ => "RUNNING",
    };
    let mut shown = json!({ "taskArn": arn_of_task, "clusterArn": arn(names, &format!("cluster/{}", names.cluster)),
        "taskDefinitionArn": arn(names, &format!("task-definition/{}:{}", task.family, task.revision)),
        "lastStatus": status, "desiredStatus": task.desired(now), "group": task.group, "launchType": "FARGATE",
        "platformVersion": "1.4.0", "cpu": "256", "memory": "512", "createdAt": seconds(task.created_at),
        "availabilityZone": format!("{}a", names.region), "healthStatus": "UNKNOWN", "version": 1, "tags": [],
        "attachments": [], "overrides": task.overrides });
    if let Some(by) = &task.started_by {
        shown["startedBy"] = json!(by);
    }
    if let Some(at) = task.running_at.filter(|at| *at <= now) {
        shown["startedAt"] = json!(seconds(at));
    }
    if let Some(end) = task.end.as_ref().filter(|end| end.from <= now) {
        shown["stoppingAt"] = json!(seconds(end.from));
        shown["stopCode"] = json!(end.code);
        shown["stoppedReason"] = json!(end.reason);
        if container_status == "STOPPED" {
            shown["executionStoppedAt"] = json!(seconds(end.from));
        }
        if end.at <= now {
            shown["stoppedAt"] = json!(seconds(end.at));
        }
    }
    let listed = definition.and_then(|it| it.body["containerDefinitions"].as_array()).cloned().unwrap_or_default();
    let containers = listed.iter().enumerate();
    let containers = containers.map(|(n, it)| container(world, task, it, n == 0, container_status, now));
    shown["containers"] = containers.collect();
    shown
}

/// One container of a task; the `first` is the one whose end ends the task.
fn container(world: &World, task: &Task, defined: &Value, first: bool, status: &str, now: Moment) -> Value {
    let names = &world.names;
    let (name, image) = (text(defined, "name"), text(defined, "image"));
    let mut container = json!({ "containerArn": arn(names, &format!("container/{}/{}/{name}", names.cluster, task.id)),
        "taskArn": task_arn(world, &task.id), "name": name, "image": image, "lastStatus": status, "healthStatus": "UNKNOWN",
        "networkInterfaces": [{ "attachmentId": task.id, "privateIpv4Address": task.ip }] });
    if task.running_at.is_some_and(|at| at <= now) {
        container["imageDigest"] = json!(digest(image));
    }
    if let Some(end) = task.end.as_ref().filter(|_| status == "STOPPED") {
        // A container that never ran has no exit code: who reads 0 there is fooled. Sidecars are ended with SIGTERM.
        let exit = if first { end.exit } else { end.exit.map(|_| 143) };
        container["exitCode"] = exit.map_or(Value::Null, Value::from);
        container["reason"] = end.container.as_deref().filter(|_| first).map_or(Value::Null, Value::from);
    }
    container
}

/// The same for the same image.
fn digest(image: &str) -> String {
    let hash = Sha256::digest(image.as_bytes());
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

pub(super) fn describe(world: &World, params: &Value, now: Moment) -> Result<Value, No> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let asked: Vec<&str> = params["tasks"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match asked.len() {
        0 => return Err(invalid("Tasks cannot be empty.")),
        1..=AT_ONCE => {}
        _ => return Err(invalid("Tasks cannot be more than 100.")),
    }
    for asked in asked {
        let id = asked.rsplit('/').next().unwrap_or_default();
        match world.ecs.tasks.iter().find(|task| task.id == id) {
            Some(task) => found.push(json(world, task, now)),
            None => missing.push(json!({ "arn": task_arn(world, id), "reason": "MISSING" })),
        }
    }
    Ok(json!({ "tasks": found, "failures": missing }))
}

pub(super) fn list(world: &World, params: &Value, now: Moment) -> Result<Value, No> {
    let service = text(params, "serviceName").rsplit('/').next().unwrap_or_default();
    if !service.is_empty() && !world.ecs.services.iter().any(|it| it.name == service) {
        return Err((400, "ServiceNotFoundException", "Service not found.".into()));
    }
    let wanted = if text(params, "desiredStatus") == "STOPPED" { "STOPPED" } else { "RUNNING" };
    let (family, by) = (text(params, "family"), text(params, "startedBy"));
    if !by.is_empty() && (!service.is_empty() || !family.is_empty()) {
        return Err(invalid("startedBy cannot be combined with another filter."));
    }
    let tasks = world.ecs.tasks.iter().filter(|task| {
        (service.is_empty() || task.group == format!("service:{service}"))
            && (family.is_empty() || task.family == family)
            && (by.is_empty() || task.started_by.as_deref() == Some(by))
            && task.desired(now) == wanted
    });
    page::listed("taskArns", tasks.map(|task| task_arn(world, &task.id)).collect(), params, AT_ONCE)
}

/// A one-off ends by itself: the family `migrate`, and whatever was given a command.
fn fate(world: &World, found: &super::Definition, overrides: &Value) -> Fate {
    let command =
        overrides["containerOverrides"].as_array().into_iter().flatten().find_map(|it| it["command"].as_array());
    let words: Vec<&str> = command.into_iter().flatten().filter_map(Value::as_str).collect();
    match found.fate() {
        Fate::Serves if words.last() == Some(&"false") => Fate::Ends(1),
        Fate::Serves if words.contains(&"exit") => Fate::Ends(words.last().and_then(|n| n.parse().ok()).unwrap_or(0)),
        Fate::Serves if found.family == world.names.migrate || !words.is_empty() => Fate::Ends(0),
        other => other,
    }
}

pub(super) fn run(world: &mut World, params: &Value, request_id: &str, now: Moment) -> Result<Value, No> {
    let count = params["count"].as_i64().unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(invalid("count must be from 1 to 10."));
    }
    let Some(found) = definition::find(world, text(params, "taskDefinition")).cloned() else {
        return Err((400, "ClientException", "TaskDefinition not found.".into()));
    };
    if !found.active {
        return Err((400, "ClientException", "TaskDefinition is inactive".into()));
    }
    if text(params, "startedBy").len() > 128 || text(params, "clientToken").len() > 64 {
        return Err(invalid("startedBy takes 128 characters, clientToken 64."));
    }
    let asked = params.to_string();
    let token = text(params, "clientToken").to_owned();
    if let Some((_, before, ids)) = world.ecs.tokens.iter().find(|(it, _, _)| !token.is_empty() && *it == token) {
        if *before != asked {
            return Err((
                400,
                "ConflictException",
                "The clientToken was used for a request with other parameters.".into(),
            ));
        }
        let tasks = world.ecs.tasks.iter().filter(|task| ids.contains(&task.id));
        return Ok(json!({ "tasks": tasks.map(|task| json(world, task, now)).collect::<Vec<_>>(), "failures": [] }));
    }
    if world.strikes("ecs.run_task") {
        let reason = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
        return Ok(json!({ "tasks": [], "failures": [{ "reason": reason }] }));
    }
    let overrides = match &params["overrides"] {
        Value::Object(map) => Value::Object(map.clone()),
        _ => json!({ "containerOverrides": [] }),
    };
    let fate = fate(world, &found, &overrides);
    let mut ids = Vec::new();
    for _ in 0..count {
        let mut task = Task {
            id: world.seed.hex(32),
            family: found.family.clone(),
            revision: found.revision,
            group: params["group"].as_str().map_or_else(|| format!("family:{}", found.family), str::to_owned),
            started_by: params["startedBy"].as_str().map(str::to_owned),
            ip: format!("10.0.{}.{}", 1 + world.seed.below(3), 10 + world.seed.below(200)),
            overrides: overrides.clone(),
            created_at: now,
            running_at: None,
            healthy_at: None,
            end: None,
            counted: true,
        };
        task.live(&fate, false);
        ids.push(task.id.clone());
        world.ecs.tasks.push(task);
    }
    if !token.is_empty() {
        world.ecs.tokens.push((token, asked, ids.clone()));
        let extra = world.ecs.tokens.len().saturating_sub(TOKENS);
        world.ecs.tokens.drain(..extra);
    }
    let (target, detail) = (format!("{}:{}", found.family, found.revision), ids.join(" "));
    world.effect(now, ("ecs", "RunTask"), target, detail, request_id);
    let tasks = world.ecs.tasks.iter().filter(|task| ids.contains(&task.id));
    Ok(json!({ "tasks": tasks.map(|task| json(world, task, now)).collect::<Vec<_>>(), "failures": [] }))
}

pub(super) fn stop(world: &mut World, params: &Value, request_id: &str, now: Moment) -> Result<Value, No> {
    let id = text(params, "task").rsplit('/').next().unwrap_or_default().to_owned();
    let Some(task) = world.ecs.tasks.iter_mut().find(|task| task.id == id) else {
        return Err(invalid("The referenced task was not found."));
    };
    task.stop(now, "UserInitiated", params["reason"].as_str().unwrap_or("Task stopped by user"));
    world.effect(now, ("ecs", "StopTask"), id.clone(), text(params, "reason"), request_id);
    let task = world.ecs.tasks.iter().find(|task| task.id == id).map(|task| json(world, task, now));
    Ok(json!({ "task": task }))
}

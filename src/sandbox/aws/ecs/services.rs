//! DescribeServices and UpdateService.

use serde_json::{Value, json};

use super::{
    super::No, Deployment, Fate, Service, Task, arn, autoscaler::FIGHTS_AFTER, definition, invalid, service::seconds,
    text,
};
use crate::sandbox::{
    aws::elb,
    world::{Moment, World, after},
};

/// Services that are described at once at most.
const AT_ONCE: usize = 10;

/// A service's name, from a name or an ARN.
fn name_of(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or_default()
}

pub(super) fn describe(world: &World, params: &Value, now: Moment) -> Result<Value, No> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let asked: Vec<&str> = params["services"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match asked.len() {
        0 => return Err(invalid("Services cannot be empty.")),
        1..=AT_ONCE => {}
        _ => return Err(invalid("Services cannot be more than 10.")),
    }
    for asked in asked {
        match world.ecs.services.iter().find(|it| it.name == name_of(asked)) {
            Some(service) => found.push(json(world, service, now)),
            None => {
                let name = arn(&world.names, &format!("service/{}/{}", world.names.cluster, name_of(asked)));
                missing.push(json!({ "arn": name, "reason": "MISSING" }));
            }
        }
    }
    Ok(json!({ "services": found, "failures": missing }))
}

fn json(world: &World, service: &Service, now: Moment) -> Value {
    let names = &world.names;
    let cluster = arn(names, &format!("cluster/{}", names.cluster));
    let group = format!("service:{}", service.name);
    let own: Vec<&Task> = world.ecs.tasks.iter().filter(|task| task.group == group && !task.is_stopped(now)).collect();
    let count = |tasks: &[&Task], of: &dyn Fn(&Task) -> bool| tasks.iter().filter(|task| of(task)).count();
    let running = |task: &Task| task.running_at.is_some_and(|at| at <= now) && !task.is_ending(now);
    let pending = |task: &Task| !running(task) && !task.is_ending(now);
    let deployment = |(n, it): (usize, &Deployment)| {
        let tasks: Vec<&Task> = own.iter().copied().filter(|task| task.started_by.as_deref() == Some(&it.id)).collect();
        // The desired count of a deployment that is on its way out is what is left of it.
        let desired = if n == 0 { service.desired as usize } else { count(&tasks, &running) };
        json!({
            "id": it.id, "status": if n == 0 { "PRIMARY" } else { "ACTIVE" },
            "taskDefinition": arn(names, &format!("task-definition/{}:{}", it.family, it.revision)),
            "desiredCount": desired, "pendingCount": count(&tasks, &pending), "runningCount": count(&tasks, &running),
            "failedTasks": it.failed, "createdAt": seconds(it.created_at), "updatedAt": seconds(it.updated_at),
            "launchType": "FARGATE", "platformVersion": "1.4.0", "platformFamily": "Linux",
            "rolloutState": it.rollout.word(), "rolloutStateReason": it.reason,
        })
    };
    let events = service.events.iter();
    let events = events.map(|(id, at, message)| json!({ "id": id, "createdAt": seconds(*at), "message": message }));
    let balancers = if service.behind_balancer {
        json!([{ "targetGroupArn": elb::target_group_arn(world), "containerName": "app", "containerPort": 8080 }])
    } else {
        json!([])
    };
    let definition = service.primary().map(|it| arn(names, &format!("task-definition/{}:{}", it.family, it.revision)));
    json!({
        "serviceArn": arn(names, &format!("service/{}/{}", names.cluster, service.name)),
        "serviceName": service.name, "clusterArn": cluster, "status": "ACTIVE", "loadBalancers": balancers,
        "serviceRegistries": [], "desiredCount": service.desired,
        "runningCount": count(&own, &running), "pendingCount": count(&own, &pending),
        "launchType": "FARGATE", "platformVersion": "LATEST", "platformFamily": "Linux", "taskDefinition": definition,
        "deploymentConfiguration": { "maximumPercent": service.percents.1, "minimumHealthyPercent": service.percents.0,
            "deploymentCircuitBreaker": { "enable": service.breaker, "rollback": service.rollback } },
        "deployments": service.deployments.iter().enumerate().map(deployment).collect::<Vec<_>>(),
        "events": events.collect::<Vec<_>>(), "createdAt": seconds(service.created_at),
        "placementConstraints": [], "placementStrategy": [], "schedulingStrategy": "REPLICA",
        "deploymentController": { "type": "ECS" }, "enableECSManagedTags": false, "propagateTags": "NONE",
        "enableExecuteCommand": false,
    })
}

/// What becomes of the tasks of a new deployment: a scripted fault comes before the image. Only the service
/// behind the load balancer is struck, so that two deployments side by side do not race for a fault.
fn fate(world: &mut World, fate: Fate, image: &str) -> Fate {
    if world.strikes("ecs.deploy") {
        return Fate::Fails(definition::SECRET_MISSING.into());
    }
    if world.strikes("ecs.deploy-pull") {
        return Fate::NoImage(image.to_owned());
    }
    fate
}

pub(super) fn update(world: &mut World, params: &Value, request_id: &str, now: Moment) -> Result<Value, No> {
    let name = name_of(text(params, "service")).to_owned();
    let Some(at) = world.ecs.services.iter().position(|it| it.name == name) else {
        return Err((400, "ServiceNotFoundException", "Service not found.".into()));
    };
    let desired = match &params["desiredCount"] {
        Value::Null => world.ecs.services[at].desired,
        n => match n.as_i64() {
            Some(n @ 0..=1000) => u32::try_from(n).unwrap_or_default(),
            Some(0..) => return Err(invalid("desiredCount is above the sandbox's limit of 1000")),
            _ => return Err(invalid("desiredCount cannot be negative.")),
        },
    };
    let current = world.ecs.services[at].primary().map(|it| (it.family.clone(), it.revision)).unwrap_or_default();
    let wanted = match params["taskDefinition"].as_str() {
        None => current.clone(),
        Some(name) => match definition::find(world, name) {
            Some(found) if !found.active => return Err((400, "ClientException", "TaskDefinition is inactive".into())),
            Some(found) => (found.family.clone(), found.revision),
            None => return Err((400, "ClientException", "TaskDefinition not found.".into())),
        },
    };
    let force = params["forceNewDeployment"].as_bool().unwrap_or(false);
    let image_and_fate = definition::find(world, &format!("{}:{}", wanted.0, wanted.1))
        .map(|found| (found.container().1.to_owned(), found.fate()));
    let (image, own) = image_and_fate.unwrap_or((String::new(), Fate::Serves));
    let deploys = force || wanted != current;
    let struck = deploys && desired > 0 && world.ecs.services[at].behind_balancer;
    let fate = if struck { fate(world, own, &image) } else { own };
    let breaks = struck && world.strikes("ecs.no-breaker");
    let stuck = struck && world.strikes("ecs.stuck");
    let resized = desired != world.ecs.services[at].desired;
    let fought = resized && world.strikes("ecs.autoscaler");
    let mut seed = world.seed.clone();
    let ecs = &mut world.ecs;
    let service = &mut ecs.services[at];
    let before = service.desired;
    let breaker = &params["deploymentConfiguration"]["deploymentCircuitBreaker"];
    service.breaker = breaker["enable"].as_bool().unwrap_or(service.breaker);
    service.rollback = breaker["rollback"].as_bool().unwrap_or(service.rollback);
    service.desired = desired;
    service.steady = false;
    if breaks {
        (service.breaker, service.rollback) = (false, false);
    }
    if fought {
        service.scales = Some((after(now, FIGHTS_AFTER), before));
    }
    if deploys {
        service.percents = if stuck { (100, 100) } else { (100, 200) };
        service.deploy(&mut seed, wanted.clone(), fate, now);
    }
    service.schedule(&mut seed, &mut ecs.tasks, now);
    world.seed = seed;
    let detail = format!(
        "{}:{} -> {}:{}, desired {before} -> {desired}{}",
        current.0,
        current.1,
        wanted.0,
        wanted.1,
        if force { ", forced" } else { "" }
    );
    world.effect(now, ("ecs", "UpdateService"), name, detail, request_id);
    Ok(json!({ "service": json(world, &world.ecs.services[at], now) }))
}

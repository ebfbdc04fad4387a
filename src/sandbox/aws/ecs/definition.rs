//! Task definitions, and what becomes of a task of one: read off its image, so that anybody can
//! register one that fails.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{super::No, arn, invalid, page, service::seconds, task::Fate, text};
use crate::sandbox::{
    names::WorldNames,
    world::{Moment, World},
};

/// The reason that the shipped fault and the family `web-broken` give.
pub(super) const SECRET_MISSING: &str = "ResourceInitializationError: unable to pull secrets or registry auth: secret \
    /acme/prod/REDIS_TLS_URL not found: the task definition names it, Secrets Manager does not have it";

/// Revisions kept of all families.
const KEPT: usize = 500;

/// A registered task definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Definition {
    pub family: String,
    pub revision: u32,
    /// As registered.
    pub body: Value,
    pub tags: Value,
    pub registered_at: Moment,
    /// False: it was deregistered. It can still be described, and what runs on it goes on.
    pub active: bool,
}

impl Definition {
    pub fn new(
        names: &WorldNames,
        family: &str,
        revision: u32,
        (image, group): (&str, &str),
        port: Option<u16>,
    ) -> Self {
        let ports: Vec<Value> =
            port.iter().map(|port| json!({ "containerPort": port, "hostPort": port, "protocol": "tcp" })).collect();
        let logs = json!({ "logDriver": "awslogs", "options": { "awslogs-group": format!("/ecs/{group}"),
            "awslogs-region": names.region, "awslogs-stream-prefix": group } });
        let secret = |name: &str, id: &str| {
            json!({ "name": name, "valueFrom":
                names.arn("secretsmanager", &format!("secret:{id}")) })
        };
        let container = json!({ "name": "app", "image": image, "cpu": 0, "essential": true, "portMappings": ports,
            "environment": [{ "name": "RAILS_ENV", "value": "production" }, { "name": "LOG_TO_STDOUT", "value": "1" }],
            "mountPoints": [{ "sourceVolume": "scratch", "containerPath": "/tmp" }], "volumesFrom": [],
            "secrets": [secret("DATABASE_URL", "acme/prod/database-url")], "logConfiguration": logs });
        let role = |name: &str| format!("arn:aws:iam::{}:role/{name}", names.account);
        let body = json!({ "containerDefinitions": [container], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
            "requiresCompatibilities": ["FARGATE"], "volumes": [{ "name": "scratch" }], "placementConstraints": [],
            "taskRoleArn": role("shop-task"), "executionRoleArn": role("shop-execution"),
            "ephemeralStorage": { "sizeInGiB": 21 },
            "runtimePlatform": { "cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX" } });
        let tags = json!([{ "key": "team", "value": "shop" }]);
        Self { family: family.into(), revision, body, tags, registered_at: Moment::UNIX_EPOCH, active: true }
    }

    /// Registered then.
    pub fn since(self, registered_at: Moment) -> Self {
        Self { registered_at, ..self }
    }

    /// Name and image of the first container.
    pub fn container(&self) -> (&str, &str) {
        let container = &self.body["containerDefinitions"][0];
        (container["name"].as_str().unwrap_or("app"), container["image"].as_str().unwrap_or_default())
    }

    /// What becomes of a service's task: an image with the tag `missing` cannot be pulled, one with
    /// the tag `broken` exits 1, every other one serves.
    pub fn fate(&self) -> Fate {
        let (_, image) = self.container();
        match image.rsplit(':').next() {
            Some("missing") => Fate::NoImage(image.to_owned()),
            Some("broken") => Fate::Fails(SECRET_MISSING.into()),
            _ => Fate::Serves,
        }
    }

    pub fn json(&self, names: &WorldNames) -> Value {
        let mut shown = self.body.clone();
        shown["taskDefinitionArn"] = json!(arn(names, &format!("task-definition/{}:{}", self.family, self.revision)));
        shown["family"] = json!(self.family);
        shown["revision"] = json!(self.revision);
        shown["status"] = json!(if self.active { "ACTIVE" } else { "INACTIVE" });
        shown["registeredBy"] = json!(names.caller_arn());
        shown["requiresAttributes"] = json!([{ "name": "ecs.capability.task-eni" }]);
        shown["registeredAt"] = json!(seconds(self.registered_at));
        shown["compatibilities"] = json!(["EC2", "FARGATE"]);
        shown
    }
}

/// The definition of `family`, `family:revision` or an ARN.
pub(super) fn find<'a>(world: &'a World, name: &str) -> Option<&'a Definition> {
    let name = name.rsplit_once("task-definition/").map_or(name, |(_, name)| name);
    let (family, revision) = match name.rsplit_once(':') {
        Some((family, revision)) => (family, Some(revision.parse::<u32>().ok()?)),
        None => (name, None),
    };
    let all = world.ecs.definitions.iter().filter(|it| it.family == family);
    // A family means its newest active revision.
    all.filter(|it| revision.map_or(it.active, |n| it.revision == n)).max_by_key(|it| it.revision)
}

pub(super) fn describe(world: &World, params: &Value) -> Result<Value, No> {
    let found = find(world, text(params, "taskDefinition"));
    let found = found.ok_or_else(|| (400, "ClientException", "Unable to describe task definition.".to_owned()))?;
    let asked = params["include"].as_array().is_some_and(|list| list.contains(&json!("TAGS")));
    let mut answer = json!({ "taskDefinition": found.json(&world.names) });
    if asked {
        answer["tags"] = found.tags.clone();
    }
    Ok(answer)
}

pub(super) fn list(world: &World, params: &Value) -> Result<Value, No> {
    let prefix = text(params, "familyPrefix");
    let active = match text(params, "status") {
        "" | "ACTIVE" => true,
        "INACTIVE" => false,
        _ => return Err(invalid("status must be ACTIVE or INACTIVE.")),
    };
    let own = |it: &&Definition| (prefix.is_empty() || it.family == prefix) && it.active == active;
    let mut found: Vec<_> = world.ecs.definitions.iter().filter(own).collect();
    found.sort_by_key(|it| (it.family.clone(), it.revision));
    if text(params, "sort") == "DESC" {
        found.reverse();
    }
    let name = |it: &&Definition| arn(&world.names, &format!("task-definition/{}:{}", it.family, it.revision));
    page::listed("taskDefinitionArns", found.iter().map(name).collect(), params, 100)
}

pub(super) fn deregister(world: &mut World, params: &Value, request_id: &str, now: Moment) -> Result<Value, No> {
    let name = text(params, "taskDefinition");
    let named = name.rsplit('/').next().unwrap_or_default();
    if !named.contains(':') {
        return Err((400, "ClientException", "Invalid revision number. Number: null".into()));
    }
    let missing = || (400, "ClientException", "The specified task definition does not exist.".to_owned());
    let found = find(world, name).map(|it| (it.family.clone(), it.revision)).ok_or_else(missing)?;
    let own = |it: &&mut Definition| (&it.family, it.revision) == (&found.0, found.1);
    let Some(definition) = world.ecs.definitions.iter_mut().find(own) else { return Err(missing()) };
    definition.active = false;
    let mut shown = definition.json(&world.names);
    shown["deregisteredAt"] = json!(seconds(now));
    world.effect(now, ("ecs", "DeregisterTaskDefinition"), named, "INACTIVE", request_id);
    Ok(json!({ "taskDefinition": shown }))
}

pub(super) fn register(world: &mut World, params: &Value, request_id: &str, now: Moment) -> Result<Value, No> {
    let family = text(params, "family").to_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if family.is_empty() || family.len() > 255 || !family.chars().all(plain) {
        return Err((400, "ClientException", "Family contains invalid characters.".into()));
    }
    let containers = params["containerDefinitions"].as_array().filter(|list| !list.is_empty());
    let Some(containers) = containers else {
        return Err((400, "ClientException", "Container list cannot be empty.".into()));
    };
    if containers.iter().any(|it| text(it, "name").is_empty() || text(it, "image").is_empty()) {
        return Err((400, "ClientException", "Container.image should not be null or empty.".into()));
    }
    if world.ecs.definitions.len() >= KEPT {
        return Err(invalid("the sandbox keeps 500 task definitions"));
    }
    valid(params)?;
    let last = world.ecs.definitions.iter().filter(|it| it.family == family).map(|it| it.revision).max();
    let mut body = params.clone();
    let tags = params["tags"].as_array().map_or_else(|| json!([]), |tags| json!(tags));
    for it in body["containerDefinitions"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        // What is left out is told as ECS tells it.
        for (key, default) in [("cpu", json!(0)), ("essential", json!(true))] {
            it.entry(key).or_insert(default);
        }
        for key in ["portMappings", "environment", "mountPoints", "volumesFrom"] {
            it.entry(key).or_insert_with(|| json!([]));
        }
    }
    if let Some(map) = body.as_object_mut() {
        map.remove("tags");
        map.remove("family");
        map.entry("volumes").or_insert_with(|| json!([]));
        map.entry("placementConstraints").or_insert_with(|| json!([]));
    }
    let definition =
        Definition { family, revision: last.unwrap_or(0) + 1, body, tags, registered_at: now, active: true };
    let shown = definition.json(&world.names);
    let (target, image) =
        (format!("{}:{}", definition.family, definition.revision), definition.container().1.to_owned());
    world.ecs.definitions.push(definition);
    world.effect(now, ("ecs", "RegisterTaskDefinition"), target, image, request_id);
    let tags = world.ecs.definitions.last().map(|it| it.tags.clone());
    Ok(json!({ "taskDefinition": shown, "tags": tags }))
}

/// What may be registered (`RegisterTaskDefinition`, ECS API reference). What only ECS writes is no part of it.
const KNOWN: &[&str] = &[
    "containerDefinitions",
    "cpu",
    "enableFaultInjection",
    "ephemeralStorage",
    "executionRoleArn",
    "family",
    "inferenceAccelerators",
    "ipcMode",
    "memory",
    "networkMode",
    "pidMode",
    "placementConstraints",
    "proxyConfiguration",
    "requiresCompatibilities",
    "runtimePlatform",
    "tags",
    "taskRoleArn",
    "volumes",
];

fn valid(params: &Value) -> Result<(), No> {
    let no = |message: String| Err((400, "ClientException", message));
    if let Some(key) =
        params.as_object().into_iter().flatten().map(|(key, _)| key).find(|key| !KNOWN.contains(&key.as_str()))
    {
        return Err((400, "SerializationException", format!("{key} cannot be registered")));
    }
    let fargate = params["requiresCompatibilities"].as_array().is_some_and(|list| list.contains(&json!("FARGATE")));
    if fargate && (text(params, "cpu").is_empty() || text(params, "memory").is_empty()) {
        return no("Fargate requires task definition to have execution and memory and cpu values.".into());
    }
    if fargate && text(params, "networkMode") != "awsvpc" {
        return no("Fargate only supports network mode 'awsvpc'.".into());
    }
    let containers = params["containerDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let volumes: Vec<&str> =
        params["volumes"].as_array().into_iter().flatten().map(|volume| text(volume, "name")).collect();
    for container in containers {
        let mounts = container["mountPoints"].as_array().into_iter().flatten();
        if let Some(unknown) = mounts.map(|mount| text(mount, "sourceVolume")).find(|name| !volumes.contains(name)) {
            return no(format!("Unknown volume '{unknown}'."));
        }
        if containers.iter().filter(|it| text(it, "name") == text(container, "name")).count() > 1 {
            return no("Container names must be unique.".into());
        }
    }
    let tags = params["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    if tags.len() > 50 || tags.iter().any(|tag| text(tag, "key").starts_with("aws:")) {
        return Err(invalid("Tags must be 50 at most, and none may begin with aws:."));
    }
    Ok(())
}

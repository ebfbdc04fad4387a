//! Task definitions, and what becomes of a task of one: read off its image, so that anybody can
//! register one that fails.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{super::No, arn, invalid, service::seconds, task::Fate, text};
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
    pub registered_at: Moment,
}

impl Definition {
    pub fn new(family: &str, revision: u32, image: &str, port: Option<u16>, registered_at: Moment) -> Self {
        let ports: Vec<Value> =
            port.iter().map(|port| json!({ "containerPort": port, "hostPort": port, "protocol": "tcp" })).collect();
        let container = json!({ "name": "app", "image": image, "cpu": 0, "essential": true, "portMappings": ports,
            "environment": [], "mountPoints": [], "volumesFrom": [], "secrets": [] });
        let body = json!({ "containerDefinitions": [container], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
            "requiresCompatibilities": ["FARGATE"], "volumes": [], "placementConstraints": [] });
        Self { family: family.into(), revision, body, registered_at }
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
        shown["status"] = json!("ACTIVE");
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
    all.filter(|it| revision.is_none_or(|n| it.revision == n)).max_by_key(|it| it.revision)
}

pub(super) fn describe(world: &World, params: &Value) -> Result<Value, No> {
    let found = find(world, text(params, "taskDefinition"));
    let found = found.ok_or_else(|| (400, "ClientException", "Unable to describe task definition.".to_owned()))?;
    Ok(json!({ "taskDefinition": found.json(&world.names), "tags": [] }))
}

pub(super) fn list(world: &World, params: &Value) -> Value {
    let prefix = text(params, "familyPrefix");
    let mut found: Vec<_> =
        world.ecs.definitions.iter().filter(|it| prefix.is_empty() || it.family == prefix).collect();
    found.sort_by_key(|it| (it.family.clone(), it.revision));
    if text(params, "sort") == "DESC" {
        found.reverse();
    }
    let limit = usize::try_from(params["maxResults"].as_u64().unwrap_or(100)).unwrap_or(100);
    let name = |it: &&Definition| arn(&world.names, &format!("task-definition/{}:{}", it.family, it.revision));
    json!({ "taskDefinitionArns": found.iter().take(limit).map(name).collect::<Vec<_>>() })
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
    let last = world.ecs.definitions.iter().filter(|it| it.family == family).map(|it| it.revision).max();
    let mut body = params.clone();
    if let Some(map) = body.as_object_mut() {
        map.remove("tags");
        map.remove("family");
        map.entry("volumes").or_insert_with(|| json!([]));
        map.entry("placementConstraints").or_insert_with(|| json!([]));
    }
    let definition = Definition { family, revision: last.unwrap_or(0) + 1, body, registered_at: now };
    let shown = definition.json(&world.names);
    let (target, image) =
        (format!("{}:{}", definition.family, definition.revision), definition.container().1.to_owned());
    world.ecs.definitions.push(definition);
    world.effect(now, ("ecs", "RegisterTaskDefinition"), target, image, request_id);
    Ok(json!({ "taskDefinition": shown, "tags": [] }))
}

//! EventBridge Scheduler: the nightly report, which is off until the night is over, and a reminder that is on.
//! `UpdateSchedule` replaces a schedule whole, as the real one does: a field that is not sent is gone.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Caller, No};
use crate::sandbox::{
    http::Reply,
    names::WorldNames,
    world::{Moment, World},
};

/// The target of both: a one-off task of the shop's cluster, run by this role.
const ROLE: &str = "acme-scheduler";

/// A schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Schedule {
    pub group: String,
    pub name: String,
    /// What was put: expression, target, window, state, …
    pub body: Map<String, Value>,
    pub created_at: Moment,
    pub updated_at: Moment,
    /// The last client token, and what was put with it.
    pub token: Option<(String, Map<String, Value>)>,
}

impl Schedule {
    /// The schedules of the first moment.
    pub fn story(names: &WorldNames, now: Moment) -> Vec<Self> {
        let long_ago = now - chrono::TimeDelta::days(9);
        let make = |name: &str, expression: &str, state: &str| {
            let target = json!({
                "Arn": names.arn("ecs", &format!("cluster/{}", names.cluster)),
                "RoleArn": format!("arn:aws:iam::{}:role/{ROLE}", names.account),
                "EcsParameters": {
                    "TaskDefinitionArn": names.arn("ecs", &format!("task-definition/{}", names.migrate)),
                    "LaunchType": "FARGATE", "TaskCount": 1 },
                "RetryPolicy": { "MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 0 },
            });
            let body = json!({
                "ScheduleExpression": expression, "ScheduleExpressionTimezone": "Europe/Berlin", "State": state,
                "FlexibleTimeWindow": { "Mode": "OFF" }, "Target": target, "ActionAfterCompletion": "NONE",
                "Description": "was a job of Heroku Scheduler",
            });
            let body = if let Value::Object(body) = body { body } else { Map::new() };
            Self {
                group: "default".into(),
                name: name.into(),
                body,
                created_at: long_ago,
                updated_at: long_ago,
                token: None,
            }
        };
        vec![make("nightly-report", "cron(30 2 * * ? *)", "DISABLED"), make("reminders", "rate(10 minutes)", "ENABLED")]
    }

    fn arn(&self, names: &WorldNames) -> String {
        names.arn("scheduler", &format!("schedule/{}/{}", self.group, self.name))
    }

    fn json(&self, names: &WorldNames) -> Value {
        let mut shown = self.body.clone();
        let seconds = |at: Moment| json!(at.timestamp());
        shown.insert("Arn".into(), json!(self.arn(names)));
        shown.insert("CreationDate".into(), seconds(self.created_at));
        shown.insert("LastModificationDate".into(), seconds(self.updated_at));
        shown.insert("GroupName".into(), json!(self.group));
        shown.insert("Name".into(), json!(self.name));
        Value::Object(shown)
    }
}

fn missing(name: &str) -> No {
    (404, "ResourceNotFoundException", format!("Schedule {name} does not exist."))
}

pub(super) fn answer(world: &mut World, caller: &Caller<'_>, now: Moment) -> Result<Reply, No> {
    let asked = caller.asked;
    let done = |body: Value| Ok(Reply::new(200, "application/json", body.to_string()));
    let name = asked.path.strip_prefix("/schedules/").unwrap_or_default().to_owned();
    match (asked.method.as_str(), name.as_str()) {
        ("GET", "") if asked.path.trim_end_matches('/') == "/schedules" => {
            let group = asked.param("ScheduleGroup");
            let shown = world.schedules.iter().filter(|it| group.as_ref().is_none_or(|group| *group == it.group));
            done(json!({ "Schedules": shown.map(|it| it.json(&world.names)).collect::<Vec<_>>() }))
        }
        ("GET", name) => {
            let group = asked.param("groupName").unwrap_or_else(|| "default".into());
            let at = world.schedules.iter().position(|it| it.group == group && it.name == name);
            let at = at.ok_or_else(|| missing(name))?;
            let shown = world.schedules[at].json(&world.names);
            if world.strikes("scheduler.third_party") {
                world.schedules[at].body.insert("ScheduleExpression".into(), json!("cron(45 3 * * ? *)"));
                world.dirty = true;
            }
            done(shown)
        }
        ("PUT", name) => update(world, caller, name, now).and_then(done),
        (method, _) => {
            Err((400, "UnknownOperationException", format!("{method} {} is not part of the sandbox", asked.path)))
        }
    }
}

fn update(world: &mut World, caller: &Caller<'_>, name: &str, now: Moment) -> Result<Value, No> {
    let invalid = |message: &str| (400, "ValidationException", message.to_owned());
    let Ok(Value::Object(mut body)) = serde_json::from_slice::<Value>(&caller.asked.body) else {
        return Err(invalid("the body is not a JSON object"));
    };
    let text = |body: &Map<String, Value>, key: &str| body.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
    let group = text(&body, "GroupName").unwrap_or_else(|| "default".into());
    let token = text(&body, "ClientToken");
    if token.as_ref().is_some_and(|token| token.len() > 64 || token.is_empty()) {
        return Err(invalid("Invalid ClientToken."));
    }
    for required in ["FlexibleTimeWindow", "ScheduleExpression", "Target"] {
        if !body.contains_key(required) {
            return Err(invalid(&format!("{required} must not be null.")));
        }
    }
    let target = &body["Target"];
    if target["Arn"].as_str().is_none() || target["RoleArn"].as_str().is_none() {
        return Err(invalid("Target must have an Arn and a RoleArn."));
    }
    let state = text(&body, "State").unwrap_or_else(|| "ENABLED".into());
    if !["ENABLED", "DISABLED"].contains(&state.as_str()) {
        return Err(invalid("Invalid State."));
    }
    if body.values().any(Value::is_null) {
        return Err(invalid("a member must not be null."));
    }
    body.remove("ClientToken");
    body.remove("GroupName");
    body.insert("State".into(), json!(state));
    let at = world.schedules.iter().position(|it| it.group == group && it.name == name);
    let at = at.ok_or_else(|| missing(name))?;
    if world.strikes("scheduler.conflict") {
        return Err((409, "ConflictException", "Updating the resource has caused an inconsistent state.".into()));
    }
    let arn = world.schedules[at].arn(&world.names);
    if let (Some(token), Some((last, what))) = (&token, &world.schedules[at].token)
        && token == last
    {
        if *what == body {
            return Ok(json!({ "ScheduleArn": arn }));
        }
        return Err((409, "ConflictException", "The client token was used with another request.".into()));
    }
    let schedule = &mut world.schedules[at];
    schedule.token = token.map(|token| (token, body.clone()));
    schedule.body = body;
    schedule.updated_at = now;
    world.effect(now, ("scheduler", "UpdateSchedule"), format!("{group}/{name}"), state, &caller.request_id);
    Ok(json!({ "ScheduleArn": arn }))
}

/// The ARN that IAM checks; the group of an update stands in its body, of a look in its query.
pub(super) fn resource(world: &World, operation: &str, params: &Value) -> String {
    let text = |key: &str| params[key].as_str().filter(|text| !text.is_empty());
    match (operation, text("Name")) {
        ("GetSchedule" | "UpdateSchedule", Some(name)) => {
            let group = text("GroupName").or_else(|| text("groupName")).unwrap_or("default");
            world.names.arn("scheduler", &format!("schedule/{group}/{name}"))
        }
        _ => "*".into(),
    }
}

//! EventBridge: two rules of the default bus, one that AWS manages.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Caller, No};
use crate::sandbox::{
    names::WorldNames,
    world::{Moment, World},
};

/// A rule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Rule {
    pub bus: String,
    pub name: String,
    pub expression: String,
    pub on: bool,
    pub managed_by: Option<String>,
}

impl Rule {
    /// The rules of the first moment.
    pub fn story(_names: &WorldNames, _now: Moment) -> Vec<Self> {
        let rule = |name: &str, expression: &str, on, managed_by: Option<&str>| Self {
            bus: "default".into(),
            name: name.into(),
            expression: expression.into(),
            on,
            managed_by: managed_by.map(ToOwned::to_owned),
        };
        vec![
            rule("clean-carts", "rate(1 hour)", false, None),
            rule("AutoScalingManagedRule", "rate(1 minute)", true, Some("autoscaling.amazonaws.com")),
        ]
    }

    fn arn(&self, names: &WorldNames) -> String {
        let bus = if self.bus == "default" { String::new() } else { format!("{}/", self.bus) };
        names.arn("events", &format!("rule/{bus}{}", self.name))
    }

    fn json(&self, names: &WorldNames) -> Value {
        let mut shown = json!({ "Name": self.name, "Arn": self.arn(names), "ScheduleExpression": self.expression,
            "State": if self.on { "ENABLED" } else { "DISABLED" }, "EventBusName": self.bus, "CreatedBy": names.account });
        if let Some(owner) = &self.managed_by {
            shown["ManagedBy"] = json!(owner);
        }
        shown
    }
}

pub(super) fn answer(
    world: &mut World,
    caller: &Caller<'_>,
    operation: &str,
    params: &Value,
    now: Moment,
) -> Result<Value, No> {
    let bus = params["EventBusName"].as_str().unwrap_or("default").rsplit('/').next().unwrap_or_default().to_owned();
    if bus != "default" {
        return Err((400, "ResourceNotFoundException", format!("Event bus {bus} does not exist.")));
    }
    if operation == "ListRules" {
        let prefix = params["NamePrefix"].as_str().unwrap_or_default();
        let rules = world.rules.iter().filter(|rule| rule.bus == bus && rule.name.starts_with(prefix));
        return Ok(json!({ "Rules": rules.map(|rule| rule.json(&world.names)).collect::<Vec<_>>() }));
    }
    let name = params["Name"].as_str().unwrap_or_default().to_owned();
    let at = world.rules.iter().position(|rule| rule.bus == bus && rule.name == name);
    let at =
        at.ok_or_else(|| (400, "ResourceNotFoundException", format!("Rule {name} does not exist on EventBus {bus}.")))?;
    match operation {
        "DescribeRule" => Ok(world.rules[at].json(&world.names)),
        "EnableRule" | "DisableRule" => {
            if let Some(owner) = &world.rules[at].managed_by {
                let words = format!("Rule {name} is managed by {owner} and can only be modified by that service.");
                return Err((400, "ManagedRuleException", words));
            }
            world.rules[at].on = operation == "EnableRule";
            let state = if world.rules[at].on { "ENABLED" } else { "DISABLED" };
            world.effect(
                now,
                ("events", if world.rules[at].on { "EnableRule" } else { "DisableRule" }),
                name,
                state,
                &caller.request_id,
            );
            Ok(json!({}))
        }
        other => Err((400, "UnknownOperationException", format!("{other} is not part of the sandbox"))),
    }
}

/// The ARN that IAM checks.
pub(super) fn resource(world: &World, operation: &str, params: &Value) -> String {
    let name = params["Name"].as_str().unwrap_or_default();
    match operation {
        "DescribeRule" | "DisableRule" | "EnableRule" => world.names.arn("events", &format!("rule/{name}")),
        _ => "*".into(),
    }
}

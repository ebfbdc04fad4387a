//! Conditions of a statement: two operators on the two keys that policies for this work use. Every
//! other one is refused when the policy is read, because a condition that is not looked at would lie.

use serde_json::Value;

use super::{
    arn,
    policy::{BadPolicy, bad, texts},
    request::Request,
    services::Service,
};
use crate::{
    base::{clean_line, wild},
    sandbox::world::World,
};

const KEYS: [&str; 2] = ["ecs:cluster", "iam:passedtoservice"];

/// One key and the values that it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// `StringLike`: with wildcards.
    like: bool,
    /// In lower case: keys know no case.
    key: String,
    values: Vec<String>,
}

impl Condition {
    /// Reads the `Condition` of a statement: every one of them has to hold.
    pub fn read(value: &Value, place: &str) -> Result<Vec<Self>, BadPolicy> {
        let Value::Object(operators) = value else { return Err(bad(place, "must be an object")) };
        let mut conditions = Vec::new();
        for (operator, keys) in operators {
            let like = match operator.as_str() {
                "StringEquals" => false,
                "StringLike" => true,
                other => {
                    let other = clean_line(other, 60);
                    return Err(bad(place, format!("`{other}` is not supported: StringEquals and StringLike are")));
                }
            };
            let Value::Object(keys) = keys else { return Err(bad(place, format!("`{operator}` must be an object"))) };
            for (key, values) in keys {
                let lower = key.to_ascii_lowercase();
                if !KEYS.contains(&lower.as_str()) {
                    let key = clean_line(key, 80);
                    let why = format!("key `{key}` is not supported: ecs:cluster and iam:PassedToService are");
                    return Err(bad(place, why));
                }
                conditions.push(Self { like, key: lower, values: texts(values, place)? });
            }
        }
        Ok(conditions)
    }

    /// A key that the request does not have holds for no value.
    pub fn holds(&self, context: &[(&str, String)]) -> bool {
        let found = context.iter().find(|(key, _)| *key == self.key);
        found.is_some_and(|(_, value)| {
            self.values.iter().any(|wanted| if self.like { wild::matches(wanted, value) } else { wanted == value })
        })
    }
}

/// What conditions can ask of a request. The cluster of a request that names none is `default`.
pub(super) fn context(world: &World, service: &Service, request: &Request) -> Vec<(&'static str, String)> {
    if service.prefix != "ecs" {
        return Vec::new();
    }
    let cluster = request.params["cluster"].as_str().unwrap_or("default");
    let cluster = if cluster.starts_with("arn:") { cluster.to_owned() } else { format!("cluster/{cluster}") };
    vec![("ecs:cluster", arn(&world.names, "ecs", &cluster))]
}

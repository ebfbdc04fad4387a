//! The two places where a runbook's secrets may be: Secrets Manager and Systems Manager. Read only.

use serde_json::{Value, json};

use super::No;
use crate::sandbox::world::{Moment, World};

/// The values there are. They open nothing: the sandbox has no database.
const SECRETS: [(&str, &str); 2] = [
    ("acme/prod/database-url", "postgres://shop:sandbox-database-password@127.0.0.1:5432/shop"),
    ("acme/prod/app", r#"{"SECRET_KEY_BASE":"sandbox-secret-key-base","SESSION_SALT":"sandbox-session-salt"}"#),
];
const PARAMETERS: [(&str, &str, &str); 2] = [
    ("/acme/prod/REDIS_URL", "redis://:sandbox-redis-password@127.0.0.1:6379/0", "SecureString"),
    ("/acme/prod/LOG_LEVEL", "info", "String"),
];

fn text<'a>(params: &'a Value, name: &str) -> &'a str {
    params[name].as_str().unwrap_or_default()
}

pub(super) fn secrets_manager(world: &World, operation: &str, params: &Value, now: Moment) -> Result<Value, No> {
    let id = text(params, "SecretId");
    let arn = |name: &str| {
        format!("arn:aws:secretsmanager:{}:{}:secret:{name}-Sandbx", world.names.region, world.names.account)
    };
    let found = SECRETS.iter().find(|(name, _)| *name == id || arn(name) == id);
    let missing = || (400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.".to_owned());
    let created = now.timestamp() - 86_400;
    match operation {
        "GetSecretValue" => {
            let (name, value) = found.ok_or_else(missing)?;
            Ok(json!({ "ARN": arn(name), "Name": name, "VersionId": "5a4db0c5-0000-4000-a000-000000000001",
                "SecretString": value, "VersionStages": ["AWSCURRENT"], "CreatedDate": created }))
        }
        "DescribeSecret" => {
            let (name, _) = found.ok_or_else(missing)?;
            Ok(json!({ "ARN": arn(name), "Name": name, "CreatedDate": created,
                "VersionIdsToStages": { "5a4db0c5-0000-4000-a000-000000000001": ["AWSCURRENT"] } }))
        }
        other => Err((400, "UnknownOperationException", format!("{other} is not part of the sandbox"))),
    }
}

pub(super) fn parameters(world: &World, operation: &str, params: &Value, now: Moment) -> Result<Value, No> {
    let decrypt = params["WithDecryption"].as_bool().unwrap_or(false);
    let show = |(name, value, kind): &(&str, &str, &str)| {
        let hidden = *kind == "SecureString" && !decrypt;
        let value = if hidden { "AQICAHgSandboxCiphertext==" } else { value };
        json!({ "Name": name, "Type": kind, "Value": value, "Version": 1, "DataType": "text",
            "LastModifiedDate": now.timestamp() - 86_400,
            "ARN": format!("arn:aws:ssm:{}:{}:parameter{name}", world.names.region, world.names.account) })
    };
    let find = |name: &str| PARAMETERS.iter().find(|parameter| parameter.0 == name);
    match operation {
        "GetParameter" => {
            let name = text(params, "Name");
            let found = find(name).ok_or_else(|| (400, "ParameterNotFound", format!("Parameter {name} not found.")))?;
            Ok(json!({ "Parameter": show(found) }))
        }
        "GetParameters" => {
            let names: Vec<&str> = params["Names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let (found, missing): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| find(name).is_some());
            let found: Vec<Value> = found.into_iter().filter_map(find).map(show).collect();
            Ok(json!({ "Parameters": found, "InvalidParameters": missing }))
        }
        other => Err((400, "UnknownOperationException", format!("{other} is not part of the sandbox"))),
    }
}

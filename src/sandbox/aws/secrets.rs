//! The two places where a runbook's secrets may be: Secrets Manager and Systems Manager. Read only.

use serde_json::{Value, json};

use super::{No, text};
use crate::sandbox::{
    data::{ADMINISTRATORS, NEW_DATABASE, NEW_REDIS, Server},
    names::WorldNames,
    world::{Moment, World},
};

/// The values there are, where the sandbox has no data: then the URLs lead nowhere.
const SECRETS: [(&str, &str); 4] = [
    (ADMINISTRATORS[0], "postgres://postgres:sandbox-old-database-password@127.0.0.1:5432/shop"),
    (ADMINISTRATORS[1], "postgres://postgres:sandbox-database-password@127.0.0.1:5432/shop"),
    (NEW_DATABASE, "postgres://shop:sandbox-database-password@127.0.0.1:5432/shop"),
    ("acme/prod/app", r#"{"SECRET_KEY_BASE":"sandbox-secret-key-base","SESSION_SALT":"sandbox-session-salt"}"#),
];
const PARAMETERS: [(&str, &str, &str); 2] = [
    (NEW_REDIS, "redis://:sandbox-redis-password@127.0.0.1:6379/0", "SecureString"),
    ("/acme/prod/LOG_LEVEL", "info", "String"),
];

/// The value of a secret or parameter: the URL of what the sandbox has, else the made-up one.
fn value(world: &World, name: &str, made_up: &str) -> String {
    let url = world.data.as_ref().and_then(|data| match name {
        NEW_DATABASE => data.has(Server::Postgres).then(|| data.database(true)),
        _ if ADMINISTRATORS.contains(&name) => {
            data.has(Server::Postgres).then(|| data.admin(name == ADMINISTRATORS[1]))
        }
        NEW_REDIS => data.has(Server::Redis).then(|| data.redis(true)),
        _ => None,
    });
    url.unwrap_or_else(|| made_up.to_owned())
}

/// A secret's ARN.
pub(in crate::sandbox) fn secret_arn(names: &WorldNames, name: &str) -> String {
    names.arn("secretsmanager", &format!("secret:{name}-Sandbx"))
}

pub(super) fn secrets_manager(world: &mut World, operation: &str, params: &Value, now: Moment) -> Result<Value, No> {
    const VERSION: &str = "5a4db0c5-0000-4000-a000-000000000001";
    let id = text(params, "SecretId");
    let found = SECRETS.iter().find(|(name, _)| *name == id || secret_arn(&world.names, name) == id);
    let missing =
        |what: &str| (400, "ResourceNotFoundException", format!("Secrets Manager can't find the specified {what}."));
    let created = now.timestamp() - 86_400;
    match operation {
        "GetSecretValue" => {
            let (name, value) = found.ok_or_else(|| missing("secret"))?;
            let (stage, version) = (text(params, "VersionStage"), text(params, "VersionId"));
            if !["", "AWSCURRENT"].contains(&stage) || !["", VERSION].contains(&version) {
                let words = format!("secret value for staging label: {stage}");
                return Err(missing(&words));
            }
            Ok(json!({ "ARN": secret_arn(&world.names, name), "Name": name, "VersionId": VERSION,
                "SecretString": self::value(world, name, value), "VersionStages": ["AWSCURRENT"], "CreatedDate": created }))
        }
        "DescribeSecret" => {
            let (name, _) = found.ok_or_else(|| missing("secret"))?;
            let mut shown = json!({ "ARN": secret_arn(&world.names, name), "Name": name, "CreatedDate": created,
                "LastChangedDate": created, "RotationEnabled": false, "VersionIdsToStages": { VERSION: ["AWSCURRENT"] } });
            if world.strikes("secretsmanager.deleted") {
                shown["DeletedDate"] = json!(now.timestamp());
            }
            Ok(shown)
        }
        other => Err((400, "UnknownOperationException", format!("{other} is not part of the sandbox"))),
    }
}

/// The ARN of a secret that IAM checks.
pub(super) fn secret_resource(world: &World, params: &Value) -> String {
    let id = text(params, "SecretId");
    match SECRETS.iter().find(|(name, _)| *name == id) {
        Some((name, _)) => secret_arn(&world.names, name),
        None if id.starts_with("arn:") => id.to_owned(),
        None => secret_arn(&world.names, id),
    }
}

fn parameter_arn(names: &WorldNames, name: &str) -> String {
    names.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/')))
}

/// The ARNs of the parameters that IAM checks, separated by spaces: of each one that is named, or of the path.
pub(super) fn parameter_resources(world: &World, operation: &str, params: &Value) -> String {
    let arn = |name: &str| if name.starts_with("arn:") { name.to_owned() } else { parameter_arn(&world.names, name) };
    match operation {
        "GetParameter" => arn(text(params, "Name")),
        "GetParameters" => {
            let names = params["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
            names.map(arn).collect::<Vec<_>>().join(" ")
        }
        "GetParametersByPath" => arn(text(params, "Path").trim_end_matches('/')),
        _ => "*".into(),
    }
}

pub(super) fn parameters(world: &World, operation: &str, params: &Value, now: Moment) -> Result<Value, No> {
    let decrypt = params["WithDecryption"].as_bool().unwrap_or(false);
    let show = |(name, value, kind): &(&str, &str, &str)| {
        let hidden = *kind == "SecureString" && !decrypt;
        let value = if hidden { "AQICAHgSandboxCiphertext==".to_owned() } else { self::value(world, name, value) };
        json!({ "Name": name, "Type": kind, "Value": value, "Version": 1, "DataType": "text",
            "LastModifiedDate": now.timestamp() - 86_400, "ARN": parameter_arn(&world.names, name) })
    };
    let find = |name: &str| PARAMETERS.iter().find(|one| one.0 == name || parameter_arn(&world.names, one.0) == name);
    match operation {
        "GetParameter" => {
            let name = text(params, "Name");
            let found = find(name).ok_or_else(|| (400, "ParameterNotFound", format!("Parameter {name} not found.")))?;
            Ok(json!({ "Parameter": show(found) }))
        }
        "GetParameters" => {
            let names: Vec<&str> = params["Names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if names.is_empty() || names.len() > 10 {
                let words = "Member must have length less than or equal to 10, greater than or equal to 1";
                return Err((
                    400,
                    "ValidationException",
                    format!("Value at 'names' failed to satisfy constraint: {words}"),
                ));
            }
            let (found, missing): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| find(name).is_some());
            let found: Vec<Value> = found.into_iter().filter_map(find).map(show).collect();
            Ok(json!({ "Parameters": found, "InvalidParameters": missing }))
        }
        "GetParametersByPath" => {
            let path = text(params, "Path");
            if !path.starts_with('/') {
                let words = "The parameter doesn't meet the parameter name requirements: it must begin with a slash.";
                return Err((400, "ValidationException", words.into()));
            }
            let most = usize::try_from(params["MaxResults"].as_u64().unwrap_or(10)).unwrap_or(10);
            if !(1..=10).contains(&most) {
                return Err((400, "ValidationException", "Value at 'maxResults' must be 1 to 10".into()));
            }
            let from = text(params, "NextToken").parse::<usize>().unwrap_or(0);
            let (below, deep) =
                (format!("{}/", path.trim_end_matches('/')), params["Recursive"].as_bool().unwrap_or(false));
            let inside = |name: &str| name.strip_prefix(&below).is_some_and(|rest| deep || !rest.contains('/'));
            let all: Vec<_> = PARAMETERS.iter().filter(|one| inside(one.0)).collect();
            let shown: Vec<Value> = all.iter().skip(from).take(most).map(|one| show(one)).collect();
            let mut answer = json!({ "Parameters": shown });
            if from + most < all.len() {
                answer["NextToken"] = json!((from + most).to_string());
            }
            Ok(answer)
        }
        other => Err((400, "UnknownOperationException", format!("{other} is not part of the sandbox"))),
    }
}

//! Values kept at AWS: Secrets Manager and Systems Manager parameters, and what a task definition gives a container.
//! They leave here only as the answer, and are wiped when it is dropped; no message quotes a body.

use std::time::Duration;

use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{
    Aws, Patience,
    call::Call,
    session::{Place, Service},
};
use crate::{
    base::{Class, Failure, clean_line},
    plan::Permission,
};

pub(super) const SECRETS: Service<'_> = Service::new("Secrets Manager", "secretsmanager", "Secrets Manager", "");
pub(super) const PARAMETERS: Service<'_> = Service::new("Systems Manager", "ssm", "SSM", "");
const ECS: Service<'_> = Service::new("ECS", "ecs", "ECS", "");
const GET_SECRET: Call<'_> = Call::reads(SECRETS.name, "GetSecretValue", "secretsmanager:GetSecretValue");
const GET_PARAMETER: Call<'_> = Call::reads(PARAMETERS.name, "GetParameter", "ssm:GetParameter");
const BY_PATH: Call<'_> = Call::reads(PARAMETERS.name, "GetParametersByPath", "ssm:GetParametersByPath");
const DEFINITION: Call<'_> = Call::reads(ECS.name, "DescribeTaskDefinition", "ecs:DescribeTaskDefinition");
/// Secrets are opened outside attempts too.
const OPEN: Duration = Duration::from_secs(40);
/// `GetParametersByPath` gives ten a page at most.
const PAGES: usize = 100;

/// Names and values.
pub type Values = Vec<(String, Zeroizing<String>)>;

/// Where a container's variable comes from.
#[derive(Clone)]
pub enum Origin {
    /// Its value stands in the task definition.
    Plain(Zeroizing<String>),
    /// `valueFrom`: a secret's ARN, with key, stage and version, or a parameter's name or ARN.
    From(String),
}

/// What a task definition gives a container.
pub struct ContainerVars {
    /// The task definition, in full.
    pub definition: String,
    /// The container.
    pub container: String,
    /// By name.
    pub vars: Vec<(String, Origin)>,
    /// It also reads files from S3, which are not looked at.
    pub files: bool,
}

impl Aws {
    /// What has to be allowed to read a secret: Secrets Manager ends its ARN with six characters that the name
    /// does not have ("What's in a Secrets Manager secret?", Secrets Manager user guide).
    #[must_use]
    pub fn secret_needs(&self, id: &str) -> Permission {
        let id = id.split_once('#').map_or(id, |(id, _)| id);
        let whole = id
            .rsplit_once('-')
            .is_some_and(|(_, end)| end.len() == 6 && end.bytes().all(|b| b.is_ascii_alphanumeric()));
        let resource = match (id.starts_with("arn:"), whole) {
            (true, true) => id.to_owned(),
            (true, false) => format!("{id}-??????"),
            (false, _) => self.arn("secretsmanager", &format!("secret:{id}-??????")),
        };
        Permission::new(GET_SECRET.iam, resource)
    }

    /// What has to be allowed to read a parameter. A version or label behind its name is no part of the resource.
    #[must_use]
    pub fn parameter_needs(&self, name: &str) -> Permission {
        if name.starts_with("arn:") {
            return Permission::new(GET_PARAMETER.iam, name);
        }
        let plain = name.split(':').next().unwrap_or_default().trim_start_matches('/');
        Permission::new(GET_PARAMETER.iam, self.arn("ssm", &format!("parameter/{plain}")))
    }

    /// The value of a Secrets Manager secret; `id#key` picks a key of a JSON value.
    ///
    /// # Errors
    /// `Denied`, `Misconfigured` (no such secret), `Refused` (another account) or `FailedNothingDone`.
    pub async fn secret_value(&self, id: &str) -> Result<String, Failure> {
        let (name, key) = id.split_once('#').map_or((id, None), |(name, key)| (name, Some(key)));
        let value = self.secret_text(name, "", "", &Patience::within(OPEN)).await?;
        let Some(key) = key else { return Ok(value.to_string()) };
        let mut map = keys(name, &value)?;
        match map.iter().position(|(name, _)| name == key) {
            Some(at) => Ok(map.swap_remove(at).1.to_string()),
            None => Err(bad(format!("secret {name} has no key {key}"))),
        }
    }

    /// The decrypted value of a Systems Manager parameter.
    ///
    /// # Errors
    /// As [`Aws::secret_value`].
    pub async fn parameter_value(&self, name: &str) -> Result<String, Failure> {
        self.parameter_text(name, &Patience::within(OPEN)).await.map(|value| value.to_string())
    }

    /// The text of a secret, at a stage or version where those are not empty, in the region of its ARN.
    ///
    /// # Errors
    /// As [`Aws::secret_value`].
    pub async fn secret_text(
        &self,
        id: &str,
        stage: &str,
        version: &str,
        patience: &Patience,
    ) -> Result<Zeroizing<String>, Failure> {
        let mut body = json!({ "SecretId": id });
        for (key, value) in [("VersionStage", stage), ("VersionId", version)] {
            if !value.is_empty() {
                body[key] = json!(value);
            }
        }
        let service = Service { place: region_of(id), ..SECRETS };
        let answer = self.json(&service, &GET_SECRET, "secretsmanager.GetSecretValue", &body, patience).await?;
        text_at(answer, "/SecretString").ok_or_else(|| bad(format!("secret {id} is binary, not text")))
    }

    /// A secret that is a JSON object, by its keys.
    ///
    /// # Errors
    /// As [`Aws::secret_value`]; `Misconfigured` where it is no object of plain values.
    pub async fn secret_keys(
        &self,
        id: &str,
        stage: &str,
        version: &str,
        patience: &Patience,
    ) -> Result<Values, Failure> {
        keys(id, &self.secret_text(id, stage, version, patience).await?)
    }

    /// The decrypted text of a parameter, by name or ARN.
    ///
    /// # Errors
    /// As [`Aws::secret_value`].
    pub async fn parameter_text(&self, name: &str, patience: &Patience) -> Result<Zeroizing<String>, Failure> {
        let body = json!({ "Name": name, "WithDecryption": true });
        let service = Service { place: region_of(name), ..PARAMETERS };
        let answer = self.json(&service, &GET_PARAMETER, "AmazonSSM.GetParameter", &body, patience).await?;
        text_at(answer, "/Parameter/Value").ok_or_else(|| bad(format!("parameter {name} has no value")))
    }

    /// Every parameter below a path, decrypted, named by what follows the path.
    ///
    /// # Errors
    /// As [`Aws::secret_value`]; `FailedNothingDone` where there are more than can be read.
    pub async fn parameters_below(&self, path: &str, patience: &Patience) -> Result<Values, Failure> {
        let mut body = json!({ "Path": path, "Recursive": true, "WithDecryption": true, "MaxResults": 10 });
        let mut all = Values::new();
        for _ in 0..PAGES {
            let mut answer = self.json(&PARAMETERS, &BY_PATH, "AmazonSSM.GetParametersByPath", &body, patience).await?;
            for one in answer["Parameters"].as_array_mut().into_iter().flatten() {
                let name = one["Name"].as_str().unwrap_or_default().to_owned();
                let name = name.strip_prefix(path).unwrap_or(&name).trim_start_matches('/').to_owned();
                let value =
                    text_at(one.take(), "/Value").ok_or_else(|| bad(format!("parameter {name} has no value")))?;
                all.push((name, value));
            }
            match answer["NextToken"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => body["NextToken"] = json!(token),
                None => return Ok(all),
            }
        }
        Err(Failure::new(
            Class::FailedNothingDone,
            format!("no data: more than {} parameters below {path}", PAGES * 10),
        ))
    }

    /// What a task definition (family, revision or ARN) gives a container; the first one where none is named.
    ///
    /// # Errors
    /// As every call; `Misconfigured` where there is no such container.
    pub async fn container_vars(
        &self,
        definition: &str,
        container: Option<&str>,
        patience: &Patience,
    ) -> Result<ContainerVars, Failure> {
        const TARGET: &str = "AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition";
        let body = json!({ "taskDefinition": definition });
        let mut answer = self.json(&ECS, &DEFINITION, TARGET, &body, patience).await?;
        let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str().unwrap_or(definition).to_owned();
        let containers = answer["taskDefinition"]["containerDefinitions"].as_array_mut();
        let containers = containers.ok_or_else(|| bad(format!("task definition {definition} has no containers")))?;
        let at = containers.iter().position(|one| container.is_none_or(|name| one["name"] == name));
        let Some(at) = at else {
            let names: Vec<&str> = containers.iter().filter_map(|one| one["name"].as_str()).collect();
            let (wanted, names) = (container.unwrap_or_default(), clean_line(&names.join(", "), 200));
            return Err(bad(format!("task definition {definition} has no container {wanted}; it has {names}")));
        };
        let mut one = containers[at].take();
        let name_of = |entry: &Json| entry["name"].as_str().unwrap_or_default().to_owned();
        let mut vars = Vec::new();
        for entry in one["environment"].as_array_mut().into_iter().flatten() {
            let name = name_of(entry);
            vars.push((name, Origin::Plain(text_at(entry.take(), "/value").unwrap_or_default())));
        }
        for entry in one["secrets"].as_array().into_iter().flatten() {
            vars.push((name_of(entry), Origin::From(entry["valueFrom"].as_str().unwrap_or_default().to_owned())));
        }
        let files = one["environmentFiles"].as_array().is_some_and(|files| !files.is_empty());
        Ok(ContainerVars { definition: arn, container: name_of(&one), vars, files })
    }
}

/// The region that an ARN names.
fn region_of(id: &str) -> Place<'_> {
    match id.strip_prefix("arn:").and_then(|_| id.split(':').nth(3)) {
        Some(region) if !region.is_empty() => Place::Region(region),
        _ => Place::Here,
    }
}

/// Takes a text out of an answer, so that it is wiped where it is dropped.
fn text_at(mut answer: Json, pointer: &str) -> Option<Zeroizing<String>> {
    match answer.pointer_mut(pointer).map(Json::take) {
        Some(Json::String(text)) => Some(Zeroizing::new(text)),
        _ => None,
    }
}

/// The keys of a secret's JSON object.
///
/// # Errors
/// `Misconfigured` where it is no object of plain values.
pub fn keys(name: &str, value: &str) -> Result<Values, Failure> {
    let Ok(Json::Object(map)) = serde_json::from_str::<Json>(value) else {
        return Err(bad(format!("secret {name} is not a JSON object, so it has no keys")));
    };
    map.into_iter()
        .map(|(key, value)| match value {
            Json::String(text) => Ok((key, Zeroizing::new(text))),
            Json::Number(_) | Json::Bool(_) => Ok((key, Zeroizing::new(value.to_string()))),
            _ => Err(bad(format!("key {key} of secret {name} is not a plain value"))),
        })
        .collect()
}

fn bad(words: String) -> Failure {
    Failure::new(Class::Misconfigured, words).hint("compare the runbook with what the account holds")
}

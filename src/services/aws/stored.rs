//! Values kept at AWS: Secrets Manager and Systems Manager parameters. They leave here only as the
//! answer; no message quotes a body.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Aws, Patience, call::Call, session::Service};
use crate::{
    base::{Class, Failure},
    plan::Permission,
};

const SECRETS: Service<'_> = Service::new("Secrets Manager", "secretsmanager", "Secrets Manager", "");
const PARAMETERS: Service<'_> = Service::new("Systems Manager", "ssm", "SSM", "");
const GET_SECRET: Call<'_> = Call::reads(SECRETS.name, "GetSecretValue", "secretsmanager:GetSecretValue");
const GET_PARAMETER: Call<'_> = Call::reads(PARAMETERS.name, "GetParameter", "ssm:GetParameter");
/// Secrets are opened outside attempts too.
const OPEN: Duration = Duration::from_secs(40);

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
        self.fence().await?;
        let (name, key) = id.split_once('#').map_or((id, None), |(name, key)| (name, Some(key)));
        let body = json!({ "SecretId": name });
        let patience = Patience::within(OPEN);
        let answer = self.json(&SECRETS, &GET_SECRET, "secretsmanager.GetSecretValue", &body, &patience).await?;
        let Some(value) = answer.get("SecretString").and_then(Json::as_str) else {
            return Err(bad(format!("secret {name} is binary, not text")));
        };
        let Some(key) = key else { return Ok(value.to_owned()) };
        let Ok(Json::Object(map)) = serde_json::from_str::<Json>(value) else {
            return Err(bad(format!("secret {name} is not a JSON object, so it has no key {key}")));
        };
        match map.get(key) {
            Some(Json::String(text)) => Ok(text.clone()),
            Some(other @ (Json::Number(_) | Json::Bool(_))) => Ok(other.to_string()),
            Some(_) => Err(bad(format!("key {key} of secret {name} is not a plain value"))),
            None => Err(bad(format!("secret {name} has no key {key}"))),
        }
    }

    /// The decrypted value of a Systems Manager parameter.
    ///
    /// # Errors
    /// As [`Aws::secret_value`].
    pub async fn parameter_value(&self, name: &str) -> Result<String, Failure> {
        self.fence().await?;
        let body = json!({ "Name": name, "WithDecryption": true });
        let patience = Patience::within(OPEN);
        let answer = self.json(&PARAMETERS, &GET_PARAMETER, "AmazonSSM.GetParameter", &body, &patience).await?;
        let value = answer.pointer("/Parameter/Value").and_then(Json::as_str);
        value.map(ToOwned::to_owned).ok_or_else(|| bad(format!("parameter {name} has no value")))
    }
}

fn bad(words: String) -> Failure {
    Failure::new(Class::Misconfigured, words).hint("compare the runbook's [secrets] with what the account holds")
}

//! The new side: what a task definition gives its container, and what stands in secrets and parameters.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::{
    base::{Class, Failure, clean_line},
    plan::{Params, Permission},
    services::aws::{Aws, Origin, Patience, Values},
};

/// Where the new side's variables are.
#[derive(Debug)]
pub(super) struct Target {
    task_definition: Option<String>,
    container: Option<String>,
    secrets: Vec<String>,
    parameters: Vec<String>,
}

/// What was found there.
pub(super) struct Gathered {
    /// Names and values; a name may stand twice.
    pub values: Values,
    /// The container that also reads files.
    pub files: Option<String>,
}

impl Gathered {
    /// What was not looked at.
    pub fn note(&self) -> String {
        self.files
            .as_ref()
            .map(|name| format!(", and container {name} also reads environmentFiles, which are not compared"))
            .unwrap_or_default()
    }
}

impl Target {
    /// Reads it; every mistake points at its place.
    pub fn read(params: &mut Params<'_>) -> Self {
        let target = Self {
            task_definition: params.opt_text("task_definition"),
            container: params.opt_text("container"),
            secrets: params.texts("secrets"),
            parameters: params.texts("parameters"),
        };
        if target.container.is_some() && target.task_definition.is_none() {
            let span = params.place_of("container");
            params.mistake(span, "`container` belongs to a `task_definition`", "of what?", None);
        }
        if target.parameters.iter().any(|path| !path.starts_with('/')) {
            let span = params.place_of("parameters");
            params.mistake(span, "`parameters` are paths", "a path begins with a slash", None);
        }
        let none = target.task_definition.is_none() && target.secrets.is_empty() && target.parameters.is_empty();
        if none && params.ok() {
            let words = "`config.parity` needs `task_definition`, `secrets` or `parameters`";
            params.mistake(params.place(), words, "nothing to compare with", None);
        }
        target
    }

    /// `task definition web, secret acme/prod/app`.
    pub fn words(&self) -> String {
        let definition = self.task_definition.iter().map(|name| format!("task definition {name}"));
        let secrets = self.secrets.iter().map(|name| format!("secret {name}"));
        let parameters = self.parameters.iter().map(|path| format!("parameters {path}"));
        definition.chain(secrets).chain(parameters).collect::<Vec<_>>().join(", ")
    }

    /// What has to be allowed; what a task definition names is only known when it is read.
    pub fn needs(&self, aws: &Aws) -> Vec<Permission> {
        let mut needs = Vec::new();
        if self.task_definition.is_some() {
            needs.push(Permission::anywhere("ecs:DescribeTaskDefinition"));
            needs.push(Permission::new("secretsmanager:GetSecretValue", aws.arn("secretsmanager", "secret:*")));
            needs.push(Permission::new("ssm:GetParameter", aws.arn("ssm", "parameter/*")));
        } else {
            needs.extend(
                self.secrets.iter().map(|id| Permission::new("secretsmanager:GetSecretValue", aws.secret_arn(id))),
            );
        }
        let path = |path: &String| format!("{}*", aws.parameter_arn(path.trim_end_matches('/')));
        needs.extend(self.parameters.iter().map(|p| Permission::new("ssm:GetParametersByPath", path(p))));
        needs
    }

    /// Reads all of it. Each secret is read once, whatever number of names it gives.
    ///
    /// # Errors
    /// As the calls; `Misconfigured` where a `valueFrom` cannot be followed.
    pub async fn gather(&self, aws: &Aws, patience: &Patience) -> Result<Gathered, Failure> {
        let mut gathered = Gathered { values: Values::new(), files: None };
        if let Some(definition) = &self.task_definition {
            let vars = aws.container_vars(definition, self.container.as_deref(), patience).await?;
            gathered.files = vars.files.then(|| vars.container.clone());
            let mut opened = BTreeMap::new();
            for (name, origin) in vars.vars {
                let value = match origin {
                    Origin::Plain(value) => value,
                    Origin::From(place) => follow(aws, &name, &place, &mut opened, patience).await?,
                };
                gathered.values.push((name, value));
            }
        }
        for id in &self.secrets {
            gathered.values.extend(aws.secret_keys(id, "", "", patience).await?);
        }
        for path in &self.parameters {
            gathered.values.extend(aws.parameters_below(path, patience).await?);
        }
        Ok(gathered)
    }
}

/// Where a `valueFrom` leads ("Pass sensitive data to an Amazon ECS container", ECS developer guide):
/// `arn:…:secret:NAME-SUFFIX[:json-key[:version-stage[:version-id]]]`, a parameter's ARN, or its name.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Secret { arn: String, key: &'a str, stage: &'a str, version: &'a str },
    Parameter(&'a str),
}

fn place(text: &str) -> Place<'_> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "secretsmanager", _, _, "secret", _name, rest @ ..] => Place::Secret {
            arn: parts[..7].join(":"),
            key: rest.first().copied().unwrap_or_default(),
            stage: rest.get(1).copied().unwrap_or_default(),
            version: rest.get(2).copied().unwrap_or_default(),
        },
        _ => Place::Parameter(text),
    }
}

type Opened = BTreeMap<(String, String, String), Zeroizing<String>>;

async fn follow(
    aws: &Aws,
    name: &str,
    from: &str,
    opened: &mut Opened,
    patience: &Patience,
) -> Result<Zeroizing<String>, Failure> {
    // Which variable it was, since the other side only says what was not there.
    let of = |failure: Failure| {
        let message = format!("{} cannot be read: {}", clean_line(name, 80), failure.message);
        Failure { message, ..failure }
    };
    match place(from) {
        Place::Parameter("") => Err(of(Failure::new(Class::Misconfigured, "its valueFrom is empty"))),
        Place::Parameter(parameter) => aws.parameter_text(parameter, patience).await.map_err(of),
        Place::Secret { arn, key, stage, version } => {
            let which = (arn.clone(), stage.to_owned(), version.to_owned());
            if !opened.contains_key(&which) {
                let text = aws.secret_text(&arn, stage, version, patience).await.map_err(of)?;
                opened.insert(which.clone(), text);
            }
            let text = opened.get(&which).cloned().unwrap_or_default();
            if key.is_empty() {
                return Ok(text);
            }
            let keys = crate::services::aws::keys(&arn, &text).map_err(of)?;
            let found = keys.into_iter().find(|(name, _)| name == key).map(|(_, value)| value);
            found.ok_or_else(|| {
                let words = format!("secret {arn} has no key {}", clean_line(key, 80));
                of(Failure::new(Class::Misconfigured, words).hint("a task that asks for it will not start"))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_value_from() {
        let arn = "arn:aws:secretsmanager:eu-west-1:1:secret:acme/app-AbCdEf";
        let secret = |key, stage, version| Place::Secret { arn: arn.into(), key, stage, version };
        assert_eq!(place(arn), secret("", "", ""));
        assert_eq!(place(&format!("{arn}:KEY::")), secret("KEY", "", ""));
        assert_eq!(place(&format!("{arn}:KEY:AWSPREVIOUS:")), secret("KEY", "AWSPREVIOUS", ""));
        assert_eq!(place(&format!("{arn}:::v-1")), secret("", "", "v-1"));
        let parameter = "arn:aws:ssm:eu-west-1:1:parameter/acme/X";
        assert_eq!(place(parameter), Place::Parameter(parameter));
        assert_eq!(place("/acme/X"), Place::Parameter("/acme/X"));
    }
}

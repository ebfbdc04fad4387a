//! `secret.present`: secrets and parameters are there, have a value, and are not about to vanish.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind, looking};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Patience, moment, now},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "secret.present",
    summary: "secrets and parameters are there and have a current value, which is never read",
    docs: "\
Asks Secrets Manager to describe every one of `secrets` and Systems Manager for every one of `parameters`, without decrypting. Green when each is
there; a secret has a version labelled `AWSCURRENT` and is not scheduled for deletion; a parameter is a `SecureString` (or what `type` says) and has at
least `min_version`. With `changed_within`, each was changed at most so long ago: the night's new value is really in. With `rotated_within`, each secret was
rotated in that time.

**No value is ever read**: encrypted parameters stay encrypted, and what a plain one holds is thrown away unseen.

What hurts people: ECS reads secrets when a task starts, so a missing one shows as a deployment that fails; a secret scheduled for deletion answers
`DescribeSecret` and refuses `GetSecretValue`; a parameter stored as `String` is a password in the clear.

Limits: whether the task's execution role may read them is not looked at, nor the key that encrypts them.

API: Secrets Manager `DescribeSecret`; Systems Manager `GetParameters` (ten names a request).",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["secretsmanager:DescribeSecret", "ssm:GetParameters", "sts:GetCallerIdentity"],
    example: include_str!("../../runbooks/kinds/secret.present.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "secrets", shape: Shape::Texts, required: false, help: "names or ARNs of Secrets Manager secrets" },
    Param { name: "parameters", shape: Shape::Texts, required: false, help: "names of Systems Manager parameters" },
    Param {
        name: "type",
        shape: Shape::Text,
        required: false,
        help: "type of the parameters: SecureString (default), String, StringList or any",
    },
    Param { name: "min_version", shape: Shape::Count, required: false, help: "least version of the parameters" },
    Param { name: "changed_within", shape: Shape::Duration, required: false, help: "changed at most so long ago" },
    Param {
        name: "rotated_within",
        shape: Shape::Duration,
        required: false,
        help: "secrets rotated at most so long ago",
    },
];

struct Present {
    services: Arc<Services>,
    secrets: Vec<String>,
    parameters: Vec<String>,
    kind: Option<&'static str>,
    min_version: Option<i64>,
    changed_within: Option<Duration>,
    rotated_within: Option<Duration>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let (secrets, parameters) = (params.texts("secrets"), params.texts("parameters"));
    if secrets.is_empty() && parameters.is_empty() && params.ok() {
        params.mistake(params.place(), "`secret.present` needs `secrets` or `parameters`", "nothing to look for", None);
    }
    for (key, list) in [("secrets", &secrets), ("parameters", &parameters)] {
        if list.iter().any(|name| name.trim().is_empty()) {
            let span = params.place_of(key);
            params.mistake(span, format!("`{key}` has an empty name"), "a name is missing", None);
        }
    }
    let kind = params.word(
        "type",
        &[
            ("SecureString", Some("SecureString")),
            ("String", Some("String")),
            ("StringList", Some("StringList")),
            ("any", None),
        ],
    );
    for (key, list) in [("type", &parameters), ("min_version", &parameters), ("rotated_within", &secrets)] {
        if params.has(key) && list.is_empty() {
            let span = params.place_of(key);
            params.mistake(span, format!("`{key}` has nothing to apply to"), "names are missing", None);
        }
    }
    Arc::new(Present {
        services: services.clone(),
        secrets,
        parameters,
        kind,
        min_version: params.opt_count("min_version").map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
        changed_within: params.opt_duration("changed_within"),
        rotated_within: params.opt_duration("rotated_within"),
    })
}

impl Present {
    async fn look(&self, patience: &Patience) -> Result<Seen, Failure> {
        let aws = &self.services.aws;
        let (mut wrong, mut evidence) = (Vec::new(), Vec::new());
        let mut oldest: Option<DateTime<Utc>> = None;
        let mut older = |changed: Option<DateTime<Utc>>| {
            oldest = [oldest, changed].into_iter().flatten().min();
        };
        for id in &self.secrets {
            let Some(secret) = aws.secret(id, patience).await? else {
                wrong.push(format!("secret {id} is not there"));
                continue;
            };
            if let Some(deleted) = secret.deleted {
                wrong.push(format!("secret {id} is scheduled for deletion since {}", moment(deleted)));
            } else if secret.current.is_none() {
                wrong.push(format!("secret {id} has no value: no version is AWSCURRENT"));
            }
            wrong.extend(old(self.changed_within, secret.changed, &format!("secret {id}"), "changed"));
            wrong.extend(old(self.rotated_within, secret.rotated, &format!("secret {id}"), "rotated"));
            older(secret.changed);
            evidence.push(json!({ "secret": id, "version": secret.current, "changed": secret.changed.map(moment) }));
        }
        let found =
            if self.parameters.is_empty() { Vec::new() } else { aws.parameters(&self.parameters, patience).await? };
        for name in &self.parameters {
            let Some(parameter) =
                found.iter().find(|one| one.name == *name || name.ends_with(&format!("parameter{}", one.name)))
            else {
                wrong.push(format!("parameter {name} is not there"));
                continue;
            };
            if let Some(kind) = self.kind.filter(|kind| *kind != parameter.kind) {
                wrong.push(format!("parameter {name} is a {}, wanted {kind}", parameter.kind));
            }
            if let Some(least) = self.min_version.filter(|least| parameter.version < *least) {
                wrong.push(format!("parameter {name} is at version {}, wanted {least}", parameter.version));
            }
            wrong.extend(old(self.changed_within, parameter.changed, &format!("parameter {name}"), "changed"));
            older(parameter.changed);
            let changed = parameter.changed.map(moment);
            evidence.push(json!({ "parameter": name, "version": parameter.version, "changed": changed }));
        }
        if let Some(first) = wrong.first() {
            let more = if wrong.len() > 1 { format!(", and {} more", wrong.len() - 1) } else { String::new() };
            let failure = Failure::new(Class::NotYet, format!("{first}{more}"));
            return Err(wrong.iter().skip(1).fold(failure, |failure, line| failure.because(line)));
        }
        let n = self.secrets.len() + self.parameters.len();
        let age = oldest.map(|at| format!(", the oldest changed {} ago", age(at))).unwrap_or_default();
        let what = if n == 1 { "it is there".to_owned() } else { format!("all {n} are there") };
        Ok(Seen::new(format!("{what}, with a current value{age}")).with(json!(evidence)))
    }
}

fn age(at: DateTime<Utc>) -> String {
    short_duration((now() - at).to_std().unwrap_or_default())
}

/// What is older than it may be; a moment that nobody knows is too old.
fn old(within: Option<Duration>, at: Option<DateTime<Utc>>, who: &str, what: &str) -> Option<String> {
    let within = within?;
    match at {
        None => Some(format!("{who} was never {what}, as far as AWS says")),
        Some(at) if (now() - at).to_std().unwrap_or_default() > within => {
            Some(format!("{who} was {what} {} ago, wanted within {}", age(at), short_duration(within)))
        }
        Some(_) => None,
    }
}

impl Check for Present {
    fn looks(&self) -> String {
        let secrets = self.secrets.iter().map(|name| format!("secret {name}"));
        let parameters = self.parameters.iter().map(|name| format!("parameter {name}"));
        let all: Vec<String> = secrets.chain(parameters).collect();
        format!("DescribeSecret, GetParameters (encrypted) expect {}", all.join(", "))
    }

    fn needs(&self) -> Vec<Permission> {
        let aws = &self.services.aws;
        let secrets =
            self.secrets.iter().map(|id| Permission::new("secretsmanager:DescribeSecret", aws.secret_arn(id)));
        let parameters =
            self.parameters.iter().map(|name| Permission::new("ssm:GetParameters", aws.parameter_arn(name)));
        secrets.chain(parameters).collect()
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(looking(cx, async move { self.look(&Patience::of(cx)).await }))
    }
}

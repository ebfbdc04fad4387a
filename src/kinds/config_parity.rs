//! `config.parity`: the new side has every variable that the old one has, with the same values, save what is expected.

mod compare;
mod target;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind, heroku, looking};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{Services, aws::Patience, heroku::Limits},
};
use compare::{Expected, Parity};
use target::Target;

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "config.parity",
    summary: "the new side has the config vars that Heroku has, with the same values, save what is expected",
    docs: "\
Reads the app's config vars from Heroku and compares them with what the new side gives the program:

- `task_definition`: `environment` and `secrets` of one `container` (the first where none is named), each `valueFrom` followed to the secret (ARN with JSON key,
  version stage and version) or parameter (name or ARN) that it names;
- and, or instead, `secrets` (the keys of JSON secrets) and `parameters` (every parameter below each path, named by what follows it).

Every name has to be on both sides with the same value, save the `expected` ones:
`expected = { DATABASE_URL = \"differs\", NEW_VAR = \"only target\", OLD = \"only source\" }`. An expected difference that is not there any more is a finding too: either the list is
stale, or somebody copied the old value over the new one.

**No value is ever shown, logged or kept.** Values are compared by a hash with a salt that is drawn for each look and thrown away with it; nothing of a value, not
even its hash or its length, leaves this check. Names are shown.

What hurts people: the missing variable is found by the first crash; a value copied with a line end is another value; two places that give one name different values;
ECS reads secrets when a task starts, so a task that was started before the change still has the old ones.

Limits: `environmentFiles` in S3 are not read, and said so. Reading secrets needs the keys that encrypt them: AWS's own need nothing, one of yours needs
`kms:Decrypt`. Heroku's own variables (`PORT`, `DYNO`) are not config vars and are not seen.

API: Heroku `GET /apps/{app}/config-vars`; ECS `DescribeTaskDefinition`; Secrets Manager `GetSecretValue`; Systems Manager `GetParameter`, `GetParametersByPath`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &[
        "ecs:DescribeTaskDefinition",
        "secretsmanager:GetSecretValue",
        "ssm:GetParameter",
        "ssm:GetParametersByPath",
        "sts:GetCallerIdentity",
        "read the app's config vars (OAuth scope `read-protected`)",
    ],
    example: include_str!("../../runbooks/kinds/config.parity.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    heroku::APP,
    Param {
        name: "task_definition",
        shape: Shape::Text,
        required: false,
        help: "family, family:revision or ARN of the ECS task definition",
    },
    Param { name: "container", shape: Shape::Text, required: false, help: "its container; default: the first" },
    Param { name: "secrets", shape: Shape::Texts, required: false, help: "JSON secrets whose keys are names" },
    Param { name: "parameters", shape: Shape::Texts, required: false, help: "paths below which parameters are names" },
    Param {
        name: "expected",
        shape: Shape::Map,
        required: false,
        help: "name = \"differs\", \"only source\" (Heroku) or \"only target\" (the new side)",
    },
];

struct Same {
    services: Arc<Services>,
    target: Target,
    expected: Expected,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    heroku::app(params, services);
    let target = Target::read(params);
    let expected = Expected::read(params);
    Arc::new(Same { services: services.clone(), target, expected })
}

impl Check for Same {
    fn looks(&self) -> String {
        let app = self.services.heroku.app().unwrap_or_default();
        format!("GET /apps/{app}/config-vars expects the names and values of {}", self.target.words())
    }

    fn needs(&self) -> Vec<Permission> {
        self.target.needs(&self.services.aws)
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async {
            self.services.heroku.identity().await?;
            self.services.aws.fence().await
        })
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(looking(cx, async move {
            let source = self.services.heroku.config_vars(&Limits::from(cx)).await?;
            let target = self.target.gather(&self.services.aws, &Patience::of(cx)).await?;
            let parity = Parity::of(&source, &target)?;
            let words = format!("{} of {} names agree", parity.same, parity.all);
            let wrong = self.expected.wrong(&parity);
            if wrong.is_empty() {
                let expected = self.expected.len();
                let expected = if expected == 0 { String::new() } else { format!(", {expected} differ as expected") };
                let evidence = json!({ "agree": parity.same, "differ": parity.differ, "only_source": parity.only_source,
                    "only_target": parity.only_target });
                return Ok(Seen::new(format!("{words}{expected}{}", target.note())).with(evidence));
            }
            let line = format!("{words}, {} not as expected: {}", wrong.len(), wrong.join("; "));
            let failure = Failure::new(Class::NotYet, line);
            let failure = wrong.iter().fold(failure, |failure, line| failure.because(line));
            Err(if target.note().is_empty() { failure } else { failure.because(target.note()) })
        }))
    }
}

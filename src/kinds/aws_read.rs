//! `aws.read`: any AWS service's read call, a path into its answer, and what ought to stand there.

mod call;
mod expect;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind, looking};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Patience, Reading},
    },
};
use expect::Expect;

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "aws.read",
    summary: "a value in the answer of any AWS read call is what it ought to be",
    docs: "\
Sends one read call of any service, follows its pages, looks up `path` in the answer and compares what stands there. Polled, it waits for it
(what SSM Automation calls `aws:waitForAwsResourceProperty`).

`service` is the name in the AWS CLI (`elasticache`, `rds`, `sqs`, `wafv2`, …): its address, signature and protocol are known for
some sixty services. Any other one by `host`, `protocol` (`query`, `ec2`, `json-1.0`, `json-1.1`, `rest-json`, `rest-xml`), `version` (query) or
`target` (JSON: the prefix of `X-Amz-Target`), and `signs` where the signature names another word than the host.

`params` are the request's own, spelt as in the service's API reference: lists and tables are written out for the query protocols
(`Filter = [{ Name = \"vpc-id\", Value = [\"vpc-1\"] }]` for EC2, keys such as `\"Filters.Filter.1.Name\"` for RDS). REST services need the `uri` of
the call, in which `{Name}` is taken from `params`; the rest of them goes behind the question mark. Only GET and HEAD are sent there.

`path` is JMESPath, the language of the AWS CLI's `--query`: `ReplicationGroups[0].Status`, `length(Reservations)`,
`Services[?Name=='web'].State`. The names are those of the answer itself, which for EC2 are not those of the CLI
(`reservationSet[].instancesSet[].instanceState.name`). XML has neither numbers nor lists: every value is text, and an element is a list where its
children are `member`s, `item`s, several of a name, or the singular of its own name. A HEAD gives the headers, in lower case.

One condition: `is`, `is_not`, `one_of`, `min` and `max`, `matches` (a regular expression), `empty`, or `absent = true`. Where `path` gives a list,
every element has to hold, or with `any = true` one of them; an empty list holds nothing. **A path that leads nowhere is no data, and never
green**, except for `absent`.

Refused when the runbook is read: calls that do not read by their name (`Describe`, `List`, `Get`, `Head`, `BatchGet`, `Lookup`, `Query`, `Scan`, …),
and those that do and yet change, cost or give away something: `GetSecretValue`, `GetAuthorizationToken`, `GetSessionToken`, decryption, ….
A value under a name such as `password`, `secret` or `environment` is compared and not shown.

What hurts people: `Scan` and `Query` cost capacity; a first page is not the whole, so pages are followed (20 of them), and an answer that has
more in another way is refused.

Limits: reads that are a POST in a REST service (Batch, X-Ray) are out of reach; answers are at most 4 MiB.

API: the call itself. `iam` says what has to be allowed where it is not `service:Action`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["sts:GetCallerIdentity", "whatever the call needs"],
    example: include_str!("../../runbooks/kinds/aws.read.toml"),
    bind: Bind::Check(bind),
};

const fn param(name: &'static str, shape: Shape, required: bool, help: &'static str) -> Param {
    Param { name, shape, required, help }
}

const PARAMS: &[Param] = &[
    param("service", Shape::Text, true, "its name in the AWS CLI"),
    param("action", Shape::Text, true, "the read call: DescribeReplicationGroups"),
    param("params", Shape::Any, false, "its parameters, a table spelt as in the API reference"),
    param("uri", Shape::Text, false, "REST services: the path of the call, with {Name} for a parameter"),
    param("path", Shape::Text, true, "JMESPath into the answer, as the AWS CLI's --query"),
    param("is", Shape::Any, false, "what stands there"),
    param("is_not", Shape::Any, false, "what does not stand there"),
    param("one_of", Shape::Texts, false, "one of these stands there"),
    param("min", Shape::Number, false, "the least number"),
    param("max", Shape::Number, false, "the greatest number"),
    param("matches", Shape::Text, false, "a regular expression"),
    param("empty", Shape::Flag, false, "whether the text, list or table is empty"),
    param("absent", Shape::Flag, false, "true: nothing stands there"),
    param("any", Shape::Flag, false, "of a list: one element is enough; default: all of them"),
    param("region", Shape::Text, false, "default: the environment's, or the service's only one"),
    param("host", Shape::Text, false, "the first part of its host name, where it is not known"),
    param("signs", Shape::Text, false, "its name in signatures; default: host"),
    param(
        "protocol",
        Shape::Text,
        false,
        "query, ec2, json-1.0, json-1.1, rest-json or rest-xml, where it is not known",
    ),
    param("version", Shape::Text, false, "query protocols: the API's version, where it is not known"),
    param("target", Shape::Text, false, "JSON protocols: the prefix of X-Amz-Target, where it is not known"),
    param("iam", Shape::Text, false, "the IAM action, where it is not service:Action"),
];

struct Read {
    services: Arc<Services>,
    reading: Reading,
    expect: Expect,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let reading = call::read(params);
    let expect = Expect::read(params);
    Arc::new(Read { services: services.clone(), reading, expect })
}

impl Check for Read {
    fn looks(&self) -> String {
        format!("{} expects {}", self.reading.line(), self.expect.words())
    }

    fn needs(&self) -> Vec<Permission> {
        vec![Permission::anywhere(&self.reading.iam)]
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(looking(cx, async move {
            let answer = self.services.aws.read(&self.reading, &Patience::of(cx)).await?;
            let judged = self.expect.judge(&answer);
            let line = format!("{}: {}", self.reading.action, judged.line);
            if !judged.holds {
                return Err(Failure::new(Class::NotYet, line));
            }
            let seen = Seen::new(line).with(json!({ "path": self.expect.path(), "found": judged.shown }));
            Ok(match judged.number {
                Some(number) => seen.value(number),
                None => seen,
            })
        }))
    }
}

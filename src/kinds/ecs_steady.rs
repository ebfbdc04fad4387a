//! `ecs.steady`: an ECS service stands still and healthy, on what it ought to run.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{
    Bind, Kind,
    ecs_deploy::{cluster_name, count},
};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Patience, short_definition},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "ecs.steady",
    summary: "an ECS service runs what it ought to, and nothing moves",
    docs: "\
Green when the PRIMARY deployment is `COMPLETED`, running and desired counts agree, at least one task is wanted, nothing is pending and no
older deployment has tasks left; and, where given, when the count is `desired`, the task definition is `task_definition` (family: any revision of it)
and a container of every running task has the image `image_digest`.

What hurts people: a rolled back deployment is steady too, on the old task definition: name the task definition. A tag such as
`latest` says nothing about what runs: the digest does.

Limits: the digest is read from at most 100 running tasks.

API: ECS `DescribeServices`, and for a digest `ListTasks`, `DescribeTasks`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["ecs:DescribeServices", "ecs:DescribeTasks", "ecs:ListTasks", "sts:GetCallerIdentity"],
    example: include_str!("../../runbooks/kinds/ecs.steady.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "cluster", shape: Shape::Text, required: true, help: "name or ARN of the cluster" },
    Param { name: "service", shape: Shape::Text, required: true, help: "name of the service" },
    Param {
        name: "desired",
        shape: Shape::Count,
        required: false,
        help: "tasks that must run; default: as many as the service wants, at least 1",
    },
    Param {
        name: "task_definition",
        shape: Shape::Text,
        required: false,
        help: "what must run: family, family:revision or ARN",
    },
    Param { name: "image_digest", shape: Shape::Text, required: false, help: "sha256:… that every task must run" },
];

struct Steady {
    services: Arc<Services>,
    cluster: String,
    service: String,
    desired: Option<i32>,
    task_definition: Option<String>,
    image_digest: Option<String>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let image_digest = params.opt_text("image_digest");
    if image_digest.as_ref().is_some_and(|digest| !digest.starts_with("sha256:")) {
        let span = params.place_of("image_digest");
        params.mistake(span, "`image_digest` must start with sha256:", "not a digest", None);
    }
    Arc::new(Steady {
        services: services.clone(),
        cluster: params.text("cluster"),
        service: params.text("service"),
        desired: count(params, "desired", 5000),
        task_definition: params.opt_text("task_definition"),
        image_digest,
    })
}

impl Steady {
    fn runs(&self, found: &str) -> bool {
        self.task_definition.as_ref().is_none_or(|wanted| {
            let (wanted, found) = (short_definition(wanted), short_definition(found));
            wanted == found || (!wanted.contains(':') && found.split(':').next() == Some(wanted))
        })
    }
}

impl Check for Steady {
    fn looks(&self) -> String {
        let on = self.task_definition.as_ref().map(|one| format!(" on {}", short_definition(one))).unwrap_or_default();
        let n = self.desired.map(|n| format!(" with {n} tasks")).unwrap_or_default();
        format!("ECS DescribeServices {}/{} expects steady{on}{n}", self.cluster, self.service)
    }

    fn needs(&self) -> Vec<Permission> {
        let aws = &self.services.aws;
        let cluster = cluster_name(&self.cluster);
        let mut needs = vec![Permission::new(
            "ecs:DescribeServices",
            aws.arn("ecs", &format!("service/{cluster}/{}", self.service)),
        )];
        if self.image_digest.is_some() {
            needs.push(Permission::anywhere("ecs:ListTasks"));
            needs.push(Permission::new("ecs:DescribeTasks", aws.arn("ecs", &format!("task/{cluster}/*"))));
        }
        needs
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { self.services.aws.fence().await.map(Some) })
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let aws = &self.services.aws;
            let now = aws.service(&self.cluster, &self.service, &patience).await?;
            let not_yet = |words: String| {
                let failure = Failure::new(Class::NotYet, words);
                Err(match now.events.first() {
                    Some(event) if !now.steady() => failure.because(format!("newest event: {event}")),
                    _ => failure,
                })
            };
            let line = now.line();
            if !self.runs(&now.task_definition) {
                let wanted = self.task_definition.as_deref().map_or("", short_definition);
                return not_yet(format!("{}: {line}, wanted {wanted}", self.service));
            }
            if !now.steady() {
                return not_yet(format!("{} moves: {line}", self.service));
            }
            let wanted = self.desired.unwrap_or_else(|| now.desired.max(1));
            if now.running != wanted {
                return not_yet(format!("{}: {line}, wanted {wanted}", self.service));
            }
            let mut digests = 0;
            if let Some(digest) = &self.image_digest {
                let tasks = aws.service_tasks(&self.cluster, &self.service, false, &patience).await?;
                digests = tasks.len();
                if tasks.is_empty() {
                    return not_yet(format!("{}: no task is listed, so no image is known", self.service));
                }
                let other = tasks.iter().find(|task| !task.containers.iter().any(|one| one.digest == *digest));
                if let Some(task) = other {
                    let found = task.containers.iter().map(|one| one.digest.as_str()).collect::<Vec<_>>().join(", ");
                    return not_yet(format!("a task of {} runs another image: {found}", self.service));
                }
            }
            let images = if digests > 0 { format!(", image seen in {digests} tasks") } else { String::new() };
            let evidence = json!({
                "task_definition": now.task_definition,
                "running": now.running,
                "desired": now.desired,
                "deployment": now.primary().map(|one| one.id.clone()),
            });
            Ok(Seen::new(format!("{} is steady: {line}{images}", self.service))
                .value(f64::from(now.running))
                .with(evidence))
        })
    }
}

//! `ecs.deploy`: another task definition or count for an ECS service.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value as Json;

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Params, Permission, Shape},
    services::{
        Services,
        aws::{Aws, Patience, Rollout, State},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "ecs.deploy",
    summary: "deploys a task definition to an ECS service and waits until it runs steadily",
    docs: "\
Captures the service's task definition and count, resolves `task_definition` to one revision (a family means its newest active
one, at the time of the capture), sends `UpdateService`, then looks with `DescribeServices` until the PRIMARY deployment is
`COMPLETED`, running and desired counts agree, nothing is pending, no older deployment has tasks left **and** the running task definition
is the asked one. Already so: nothing is sent. Already on its way: only waits.

What hurts people: the circuit breaker's rollback also ends `COMPLETED`, on the *old* task definition. It is recognised: when
the captured task definition is steady again (seen twice, 3 s apart), the step puts back the count if it had set one (ECS does
not), and fails with *failed, nothing done* and the reasons of the stopped tasks. Autoscaling fights over the count: give `desired` only where you mean it. Secrets are read when a task
starts, so that a changed secret needs `force = true`.

`rollback = \"restore\"` deploys the captured task definition again (and the captured count where this step set one).

Limits: rolling deployments (`ECS` controller). With an external or CodeDeploy controller `UpdateService` is refused by ECS.
Reasons of stopped tasks are kept by ECS for about an hour.

API: ECS `DescribeTaskDefinition`, `DescribeServices`, `UpdateService`, `ListTasks`, `DescribeTasks`.
Evidence: `task_definition`, `old_task_definition`, `desired`, `running`, `deployment`.",
    params: PARAMS,
    doubt: Doubt::Desired,
    needs: &[
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTasks",
        "ecs:ListTasks",
        "ecs:UpdateService",
        "iam:PassRole",
        "sts:GetCallerIdentity",
    ],
    example: include_str!("../../runbooks/kinds/ecs.deploy.toml"),
    bind: Bind::Action(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "cluster", shape: Shape::Text, required: true, help: "name or ARN of the cluster" },
    Param { name: "service", shape: Shape::Text, required: true, help: "name of the service" },
    Param {
        name: "task_definition",
        shape: Shape::Text,
        required: true,
        help: "family (its newest revision), family:revision or ARN",
    },
    Param { name: "desired", shape: Shape::Count, required: false, help: "tasks wanted; default: as it is" },
    Param {
        name: "force",
        shape: Shape::Flag,
        required: false,
        help: "deploy even where nothing differs; default: false",
    },
];

struct Deploy {
    services: Arc<Services>,
    cluster: String,
    service: String,
    task_definition: String,
    desired: Option<i32>,
    force: bool,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    Arc::new(Deploy {
        services: services.clone(),
        cluster: params.text("cluster"),
        service: params.text("service"),
        task_definition: params.text("task_definition"),
        desired: count(params, "desired", 5000),
        force: params.opt_flag("force").unwrap_or(false),
    })
}

/// Reads a count of tasks; the mistake points at it.
pub(super) fn count(params: &mut Params<'_>, key: &str, most: i32) -> Option<i32> {
    let count = params.opt_count(key)?;
    let fits = i32::try_from(count).ok().filter(|count| *count <= most);
    if fits.is_none() {
        let span = params.place_of(key);
        params.mistake(span, format!("`{key}` must be at most {most}"), "more than ECS takes", None);
    }
    fits
}

/// A cluster's name, which may be given by its ARN.
pub(super) fn cluster_name(cluster: &str) -> &str {
    cluster.rsplit('/').next().unwrap_or(cluster)
}

/// The roles of the account: which ones a task definition has is known when it is read.
pub(super) fn passed_roles(aws: &Aws) -> String {
    let ecs = aws.arn("ecs", "");
    let account = ecs.split(':').nth(4).unwrap_or("*");
    aws.global_arn("iam", "").replace(":::", &format!("::{account}:role/*"))
}

impl Action for Deploy {
    fn does(&self) -> Vec<String> {
        let Self { cluster, service, task_definition, .. } = self;
        let desired = self.desired.map(|n| format!(", {n} tasks")).unwrap_or_default();
        let force = if self.force { ", forced" } else { "" };
        vec![
            format!(
                "ECS DescribeServices, DescribeTaskDefinition: capture {cluster}/{service}, resolve {task_definition}"
            ),
            format!("ECS UpdateService {cluster}/{service}: {task_definition}{desired}{force}"),
            format!("ECS DescribeServices until {task_definition} runs steadily"),
        ]
    }

    fn needs(&self) -> Vec<Permission> {
        let aws = &self.services.aws;
        let cluster = cluster_name(&self.cluster);
        let service = aws.arn("ecs", &format!("service/{cluster}/{}", self.service));
        vec![
            Permission::anywhere("ecs:DescribeTaskDefinition"),
            Permission::new("ecs:DescribeServices", &service),
            Permission::new("ecs:UpdateService", &service),
            Permission::new("iam:PassRole", passed_roles(aws)),
            Permission::anywhere("ecs:ListTasks"),
            Permission::new("ecs:DescribeTasks", aws.arn("ecs", &format!("task/{cluster}/*"))),
        ]
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { self.services.aws.fence().await.map(Some) })
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let aws = &self.services.aws;
            let definition = aws.task_definition(&self.task_definition, &patience).await?;
            if !definition.active {
                let words = format!("task definition {} was deregistered", definition.arn);
                return Err(Failure::new(Class::Misconfigured, words).hint("name an active revision"));
            }
            let now = aws.service(&self.cluster, &self.service, &patience).await?;
            let before = State {
                task_definition: now.task_definition.clone(),
                desired: Some(now.desired),
                deployment: now.primary().map(|one| one.id.clone()),
            };
            let after = State { task_definition: definition.arn, desired: self.desired, deployment: None };
            let (cluster, service) = (self.cluster.clone(), self.service.clone());
            Ok(Rollout { cluster, service, before, after, force: self.force }.to_captured())
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Rollout::from_captured(captured)?.run(&self.services.aws, cx).await })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Rollout::from_captured(captured)?.back().run(&self.services.aws, cx).await })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let rollout = Rollout::from_captured(captured)?;
            let rollout = if back { rollout.back() } else { rollout };
            rollout.probe(&self.services.aws, cx).await
        })
    }
}

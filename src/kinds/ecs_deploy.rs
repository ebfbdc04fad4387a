//! `ecs.deploy`: another task definition, image or count for an ECS service.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value as Json;

use super::{
    Bind, Kind,
    ecs::{Allow, MOST_TASKS, count},
};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Params, Permission, Shape, TextOrSecret},
    services::{
        Services,
        aws::{Images, Patience, Rollout, State, short_definition},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "ecs.deploy",
    summary: "deploys a task definition or an image to an ECS service and waits until it runs steadily",
    docs: "\
Captures the service's task definition and count, resolves `task_definition` to one revision (a family means its newest active
one, at the time of the capture), sends `UpdateService`, then looks with `DescribeServices` until the PRIMARY deployment is
`COMPLETED`, running and desired counts agree, nothing is pending, no older deployment has tasks left **and** the running task definition
is the asked one. Already so: nothing is sent. Already on its way: only waits.

With `image` (or `images`, by container) the revision is made from the running one (or from `task_definition`): everything that
may be registered is kept, tags too, and only the image differs. An active revision that equals it is used instead, so that a lost
answer or a resumed run registers nothing twice. The new revision stays registered after a restore: it runs nowhere and costs nothing.

With neither, the running revision is deployed with `desired` tasks, or anew with `force`.

What hurts people:
- The circuit breaker's rollback also ends `COMPLETED`, on the *old* task definition. It is recognised: when the captured task
  definition is steady again (seen twice, 3 s apart), the step puts back the count if it had set one (ECS does not), and fails with
  *failed, nothing done*.
- Without a circuit breaker ECS starts failing tasks for ever: the step ends as *failed* once as many failed as the breaker would take
  (half of the desired count, at least 3).
- Reasons of stopped tasks, exit codes and the last 12 log lines (`awslogs` driver with `awslogs-stream-prefix`) come with every failure.
- Autoscaling fights over the count: give `desired` only where you mean it. A count that somebody changes while the step waits ends it as
  *failed*, with what Application Auto Scaling says it did.
- `minimumHealthyPercent` 100 with `maximumPercent` 100 leaves ECS no room: named as soon as ECS says so.
- Secrets are read when a task starts: a changed secret needs `force = true`.
- Credentials that end while the step waits: the deployment goes on, its outcome is *unknown*; renew them and retry, which looks first and
  sends nothing twice.

`rollback = \"restore\"` deploys the captured task definition again (and the captured count where this step set one).

Limits: rolling deployments (`ECS` controller); a service of an external or CodeDeploy controller is refused before anything is sent.
Reasons of stopped tasks are kept by ECS for about an hour. Of a family, the newest 10 revisions are compared before one is registered. Copying
tags and roles takes `ecs:TagResource` and `iam:PassRole` where the task definition has some. The log of a container whose driver is not `awslogs` is not read;
its lines are shown and recorded as the app wrote them, and only secrets that the runbook names are blacked out. ECS's own blue/green, linear and
canary strategies were not tried.

API: ECS `DescribeTaskDefinition`, `ListTaskDefinitions`, `RegisterTaskDefinition`, `DescribeServices`, `UpdateService`, `ListTasks`,
`DescribeTasks`; CloudWatch Logs `GetLogEvents`; Application Auto Scaling `DescribeScalingActivities`.
Evidence: `task_definition`, `old_task_definition`, `desired`, `running`, `deployment`.",
    params: PARAMS,
    doubt: Doubt::Desired,
    needs: &[
        "application-autoscaling:DescribeScalingActivities",
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTasks",
        "ecs:ListTaskDefinitions",
        "ecs:ListTasks",
        "ecs:RegisterTaskDefinition",
        "ecs:TagResource",
        "ecs:UpdateService",
        "iam:PassRole",
        "logs:GetLogEvents",
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
        required: false,
        help: "family (its newest revision), family:revision or ARN; default: the running one",
    },
    Param {
        name: "image",
        shape: Shape::Text,
        required: false,
        help: "another image: a new revision is made from the running one",
    },
    Param {
        name: "container",
        shape: Shape::Text,
        required: false,
        help: "the container that gets `image`; default: the only one",
    },
    Param {
        name: "images",
        shape: Shape::Map,
        required: false,
        help: "as `image`, for several: { container = \"image\" }",
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
    task_definition: Option<String>,
    images: Images,
    desired: Option<i32>,
    force: bool,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    let deploy = Deploy {
        services: services.clone(),
        cluster: params.text("cluster"),
        service: params.text("service"),
        task_definition: params.opt_text("task_definition"),
        images: images(params),
        desired: count(params, "desired", MOST_TASKS),
        force: params.opt_flag("force").unwrap_or(false),
    };
    let keys = ["task_definition", "image", "images", "desired", "force"];
    if !keys.iter().any(|key| params.has(key)) {
        let place = params.place();
        let help = "give `task_definition`, `image`, `images`, `desired` or `force`".to_owned();
        params.mistake(place, "`ecs.deploy` has nothing to deploy", "as it is, nothing would change", Some(help));
    }
    Arc::new(deploy)
}

fn images(params: &mut Params<'_>) -> Images {
    let mut images = Images::new();
    for (container, image) in params.map("images") {
        match image {
            TextOrSecret::Text(image) => {
                images.insert(container, image);
            }
            TextOrSecret::Secret(_) => {
                let place = params.place_of("images");
                params.mistake(place, "an image must not be a secret", "it would be shown", None);
            }
        }
    }
    let (image, container) = (params.opt_text("image"), params.opt_text("container"));
    match (image, container) {
        (Some(_), _) if params.has("images") => {
            let place = params.place_of("image");
            params.mistake(place, "`image` and `images` say the same twice", "give one of them", None);
        }
        (Some(image), container) => {
            images.insert(container.unwrap_or_default(), image);
        }
        (None, Some(_)) => {
            let place = params.place_of("container");
            params.mistake(place, "`container` needs `image`", "nothing says what it gets", None);
        }
        (None, None) => {}
    }
    for empty in
        images.iter().filter(|(_, image)| image.trim().is_empty()).map(|(name, _)| name.clone()).collect::<Vec<_>>()
    {
        let place = params.place_of(if params.has("image") { "image" } else { "images" });
        params.mistake(place, format!("the image of `{empty}` is empty"), "expected repository:tag or @digest", None);
    }
    images
}

impl Deploy {
    /// What shall run, in words.
    fn what(&self) -> String {
        let base = self.task_definition.as_deref().map_or("the running revision", short_definition);
        let images =
            self.images.iter().map(
                |(container, image)| {
                    if container.is_empty() { image.clone() } else { format!("{container}: {image}") }
                },
            );
        let images = images.collect::<Vec<_>>().join(", ");
        if images.is_empty() { base.to_owned() } else { format!("{base} with {images}") }
    }
}

impl Action for Deploy {
    fn does(&self) -> Vec<String> {
        let Self { cluster, service, .. } = self;
        let desired = self.desired.map(|n| format!(", {n} tasks")).unwrap_or_default();
        let force = if self.force { ", forced" } else { "" };
        let what = self.what();
        let mut does = vec![format!("ECS DescribeServices, DescribeTaskDefinition: capture {cluster}/{service}")];
        if !self.images.is_empty() {
            does.push(format!("ECS RegisterTaskDefinition {what}, where no active revision equals it"));
        }
        does.push(format!("ECS UpdateService {cluster}/{service}: {what}{desired}{force}"));
        does.push(format!("ECS DescribeServices until {what} runs steadily"));
        does
    }

    fn needs(&self) -> Vec<Permission> {
        let allow = Allow { services: &self.services, cluster: &self.cluster };
        let mut needs = vec![
            allow.service("ecs:DescribeServices", &self.service),
            allow.service("ecs:UpdateService", &self.service),
            Permission::anywhere("ecs:DescribeTaskDefinition"),
            allow.logs(),
        ];
        needs.extend(allow.tasks());
        if !self.images.is_empty() {
            needs.push(Permission::anywhere("ecs:ListTaskDefinitions"));
            needs.push(Permission::anywhere("ecs:RegisterTaskDefinition"));
            needs.push(allow.tag_definition());
            needs.push(allow.pass_role());
        }
        if self.desired.is_some() {
            needs.push(Allow::scaling());
        }
        needs
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let aws = &self.services.aws;
            let now = aws.service(&self.cluster, &self.service, &patience).await?;
            if !matches!(now.controller.as_str(), "" | "ECS") {
                let words = format!("the deployments of {} are made by {}, not by ECS", self.service, now.controller);
                return Err(Failure::new(Class::Misconfigured, words).hint("deploy it with what controls it"));
            }
            let base = self.task_definition.as_deref().unwrap_or(&now.task_definition);
            let base = aws.active_definition(base, &patience).await?;
            let from = (!self.images.is_empty()).then(|| (base.arn.clone(), self.images.clone()));
            if from.is_some() {
                // Finds out now whether the containers are there; whether a revision is there already, only the
                // attempt itself needs to know.
                base.takes(&self.images)?;
            }
            let task_definition = if from.is_some() { String::new() } else { base.arn };
            let before = State {
                task_definition: now.task_definition.clone(),
                desired: Some(now.desired),
                deployment: now.primary().map(|one| one.id.clone()).filter(|_| self.force),
            };
            let after = State { task_definition, desired: self.desired, deployment: None };
            let (cluster, service) = (self.cluster.clone(), self.service.clone());
            Ok(Rollout { cluster, service, before, after, force: self.force, from }.to_captured())
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let aws = &self.services.aws;
            Rollout::from_captured(captured)?.resolved(aws, cx, true).await?.run(aws, cx).await
        })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let aws = &self.services.aws;
            Rollout::from_captured(captured)?.resolved(aws, cx, false).await?.back().run(aws, cx).await
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let aws = &self.services.aws;
            let rollout = Rollout::from_captured(captured)?.resolved(aws, cx, false).await?;
            let rollout = if back { rollout.back() } else { rollout };
            rollout.probe(aws, cx).await
        })
    }
}

//! `ecs.scale`: another number of tasks for an ECS service, and nothing else.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value as Json;

use super::{
    Bind, Kind,
    ecs::{Allow, MOST_TASKS, count},
};
use crate::{
    base::Failure,
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Params, Permission, Shape},
    services::{
        Services,
        aws::{Patience, Resize},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "ecs.scale",
    summary: "sets the number of tasks of an ECS service and waits until they run, or are really gone",
    docs: "\
Captures the desired count, sends `UpdateService` with another one and nothing else (no deployment begins), then looks until running and
desired counts agree, nothing is pending, and no task is left that nobody wants: one that drains its connections or obeys its SIGTERM
is no longer counted by ECS and still works on what it has, so that tasks are listed until the last is `STOPPED`. Already so: nothing is sent.

What hurts people: autoscaling sets the count back to its own idea (its minimum is seldom 0). A count that somebody changes while the
step waits ends it as *failed*, with what Application Auto Scaling says it did and the command that suspends it. Workers that take longer
than their `stopTimeout` (30 s unless set) are killed.

`rollback = \"restore\"` sets the captured count again; it refuses where the count is neither the captured nor the asked one: then it belongs to
somebody else.

Limits: services of the `REPLICA` strategy; ECS refuses a count for a `DAEMON` service.

API: ECS `DescribeServices`, `UpdateService`, `ListTasks`, `DescribeTasks`; Application Auto Scaling `DescribeScalingActivities`.
Evidence: `before`, `desired`, `running`.",
    params: PARAMS,
    doubt: Doubt::Desired,
    needs: &[
        "application-autoscaling:DescribeScalingActivities",
        "ecs:DescribeServices",
        "ecs:DescribeTasks",
        "ecs:ListTasks",
        "ecs:UpdateService",
        "sts:GetCallerIdentity",
    ],
    example: include_str!("../../runbooks/kinds/ecs.scale.toml"),
    bind: Bind::Action(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "cluster", shape: Shape::Text, required: true, help: "name or ARN of the cluster" },
    Param { name: "service", shape: Shape::Text, required: true, help: "name of the service" },
    Param { name: "desired", shape: Shape::Count, required: true, help: "tasks wanted, 0 to 5000" },
];

struct Scale {
    services: Arc<Services>,
    cluster: String,
    service: String,
    desired: i32,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    Arc::new(Scale {
        services: services.clone(),
        cluster: params.text("cluster"),
        service: params.text("service"),
        desired: count(params, "desired", MOST_TASKS).unwrap_or_default(),
    })
}

impl Action for Scale {
    fn does(&self) -> Vec<String> {
        let Self { cluster, service, desired, .. } = self;
        vec![
            format!("ECS DescribeServices {cluster}/{service}: capture the count"),
            format!("ECS UpdateService {cluster}/{service}: {desired} tasks"),
            format!("ECS DescribeServices, ListTasks, DescribeTasks until {desired} run and no other is left"),
        ]
    }

    fn needs(&self) -> Vec<Permission> {
        let allow = Allow { services: &self.services, cluster: &self.cluster };
        let mut needs = vec![
            allow.service("ecs:DescribeServices", &self.service),
            allow.service("ecs:UpdateService", &self.service),
            Allow::scaling(),
        ];
        needs.extend(allow.tasks());
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
            let now = self.services.aws.service(&self.cluster, &self.service, &Patience::of(cx)).await?;
            let (cluster, service) = (self.cluster.clone(), self.service.clone());
            Ok(Resize { cluster, service, before: now.desired, after: self.desired }.to_captured())
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Resize::from_captured(captured)?.run(&self.services.aws, cx).await })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Resize::from_captured(captured)?.back().run(&self.services.aws, cx).await })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let resize = Resize::from_captured(captured)?;
            let resize = if back { resize.back() } else { resize };
            resize.probe(&self.services.aws, cx).await
        })
    }
}

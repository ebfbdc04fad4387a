//! `ecs.steady`: an ECS service stands still and healthy, on what it ought to run.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{
    Bind, Kind,
    ecs::{Allow, MOST_TASKS, count},
};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Patience, Service, short_definition},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "ecs.steady",
    summary: "ECS services run what they ought to, and nothing moves",
    docs: "\
Green when the PRIMARY deployment is `COMPLETED`, running and desired counts agree, at least one task is wanted, nothing is pending and no
older deployment has tasks left; and, where given, when the count is `desired`, the task definition is `task_definition` (family: any revision of it)
and a container of every running task has the image `image_digest`. With `services` all of it holds for each of them; the first that differs is named.

What hurts people: a rolled back deployment is steady too, on the old task definition: name the task definition. A tag such as
`latest` says nothing about what runs: the digest does, of every task, however many pages they fill.

Limits: a task whose image has no digest yet (it is being pulled) is not green.

API: ECS `DescribeServices`, and for a digest `ListTasks`, `DescribeTasks`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["ecs:DescribeServices", "ecs:DescribeTasks", "ecs:ListTasks", "sts:GetCallerIdentity"],
    example: include_str!("../../runbooks/kinds/ecs.steady.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "cluster", shape: Shape::Text, required: true, help: "name or ARN of the cluster" },
    Param { name: "service", shape: Shape::Text, required: false, help: "name of the service" },
    Param { name: "services", shape: Shape::Texts, required: false, help: "or names of several" },
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
    names: Vec<String>,
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
        names: names(params),
        desired: count(params, "desired", MOST_TASKS),
        task_definition: params.opt_text("task_definition"),
        image_digest,
    })
}

fn names(params: &mut Params<'_>) -> Vec<String> {
    let (one, several) = (params.opt_text("service"), params.texts("services"));
    match (one, params.has("services")) {
        (Some(_), true) => {
            let place = params.place_of("services");
            params.mistake(place, "`service` and `services` exclude each other", "give one of them", None);
            several
        }
        (Some(one), false) => vec![one],
        (None, _) if several.is_empty() && !params.has("service") => {
            let place = if params.has("services") { params.place_of("services") } else { params.place() };
            let help = "service: name of the service; services: names of several".to_owned();
            params.mistake(place, "`ecs.steady` needs `service` or `services`", "no service is named", Some(help));
            several
        }
        (None, _) => several,
    }
}

impl Steady {
    fn runs(&self, found: &str) -> bool {
        self.task_definition.as_ref().is_none_or(|wanted| {
            let (wanted, found) = (short_definition(wanted), short_definition(found));
            wanted == found || (!wanted.contains(':') && found.split(':').next() == Some(wanted))
        })
    }

    /// One service; how many of its tasks were asked for their image.
    async fn steady(&self, now: &Service, patience: &Patience) -> Result<usize, Failure> {
        let not_yet = |words: String| {
            let failure = Failure::new(Class::NotYet, words);
            Err(match now.events.first() {
                Some(event) if !now.steady() => failure.because(format!("newest event: {}", event.message)),
                _ => failure,
            })
        };
        let (name, line) = (&now.name, now.line());
        if !self.runs(&now.task_definition) {
            let wanted = self.task_definition.as_deref().map_or("", short_definition);
            return not_yet(format!("{name}: {line}, wanted {wanted}"));
        }
        if !now.steady() {
            return not_yet(format!("{name} moves: {line}"));
        }
        let wanted = self.desired.unwrap_or_else(|| now.desired.max(1));
        if now.running != wanted {
            return not_yet(format!("{name}: {line}, wanted {wanted}"));
        }
        let Some(digest) = &self.image_digest else { return Ok(0) };
        let tasks = self.services.aws.service_tasks(&self.cluster, name, false, patience).await?;
        if tasks.is_empty() {
            return not_yet(format!("no data: no task of {name} is listed, so no image is known"));
        }
        let others: Vec<_> =
            tasks.iter().filter(|task| !task.containers.iter().any(|one| one.digest == *digest)).collect();
        if let Some(task) = others.first() {
            let found: Vec<_> =
                task.containers.iter().map(|one| one.digest.as_str()).filter(|digest| !digest.is_empty()).collect();
            let found = if found.is_empty() { "none that is known yet".to_owned() } else { found.join(", ") };
            let (n, of) = (others.len(), tasks.len());
            return not_yet(format!("{n} of {of} tasks of {name} run another image; {}: {found}", task.id()));
        }
        Ok(tasks.len())
    }
}

impl Check for Steady {
    fn looks(&self) -> String {
        let on = self.task_definition.as_ref().map(|one| format!(" on {}", short_definition(one))).unwrap_or_default();
        let n = self.desired.map(|n| format!(" with {n} tasks")).unwrap_or_default();
        format!("ECS DescribeServices {}/{} expects steady{on}{n}", self.cluster, self.names.join(", "))
    }

    fn needs(&self) -> Vec<Permission> {
        let allow = Allow { services: &self.services, cluster: &self.cluster };
        let mut needs: Vec<_> = self.names.iter().map(|name| allow.service("ecs:DescribeServices", name)).collect();
        if self.image_digest.is_some() {
            needs.extend(allow.tasks());
        }
        needs
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let found = self.services.aws.services(&self.cluster, &self.names, &patience).await?;
            let mut digests = 0;
            for now in &found {
                digests += self.steady(now, &patience).await?;
            }
            let images = if digests > 0 { format!(", image seen in {digests} tasks") } else { String::new() };
            let told = |now: &Service| {
                json!({
                    "service": now.name,
                    "task_definition": now.task_definition,
                    "running": now.running,
                    "desired": now.desired,
                    "deployment": now.primary().map(|one| one.id.clone()),
                })
            };
            let (line, evidence) = match found.as_slice() {
                [now] => (format!("{} is steady: {}{images}", now.name, now.line()), told(now)),
                all => {
                    let lines: Vec<_> = all.iter().map(|now| format!("{}: {}", now.name, now.line())).collect();
                    let all: Vec<_> = all.iter().map(told).collect();
                    (
                        format!("{} services are steady: {}{images}", all.len(), lines.join("; ")),
                        json!({ "services": all }),
                    )
                }
            };
            let running: i32 = found.iter().map(|now| now.running).sum();
            Ok(Seen::new(line).value(f64::from(running)).with(evidence))
        })
    }
}

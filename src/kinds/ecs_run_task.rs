//! `ecs.run_task`: a one-off task, run to its end.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{
    Bind, Kind,
    ecs::{Allow, count},
};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Params, Permission, Shape},
    runbook::value,
    services::{
        Services,
        aws::{Network, NewTask, Patience, Task, TaskDefinition, blind, short_definition},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "ecs.run_task",
    summary: "runs a one-off ECS task and waits until it ended with exit code 0",
    docs: "\
Resolves the task definition to one revision, sends `RunTask` with a `clientToken` that is stored before it is sent (so that
sending it again starts nothing twice; after an end that is known a retry has another one) and `startedBy = gonogo-<token>`, then looks with `DescribeTasks` until every task is `STOPPED`.
Done: exit code 0 of `container`, or of every container where none is named. `failures` without a task (no capacity, no such
subnet) and a task that never started (an image that cannot be pulled) are *failed, nothing done*; any other exit code is *failed*. The last 12
log lines of the container that counts come with the evidence and with a failure.

`network = { subnets = [\"subnet-…\"], security_groups = [\"sg-…\"], public_ip = false }` for `awsvpc` task definitions.

What hurts people: no exit code where the image cannot be pulled; sidecars that are ended with 137 or 143 (name the `container`
that counts); a command override names one container, which has to be given where there are several.

There is no restore: what a task did can only be undone by an action of your own.

Limits: the token is good for 24 hours; stopped tasks are listed for about an hour. At most 10 tasks at once. Log lines are read where the
driver is `awslogs` with `awslogs-stream-prefix`; elsewhere the output is where the driver puts it.

API: ECS `DescribeTaskDefinition`, `RunTask`, `ListTasks`, `DescribeTasks`; CloudWatch Logs `GetLogEvents`.
Evidence: `tasks`, `task_definition`, `exit_codes`, `log`.",
    params: PARAMS,
    doubt: Doubt::Token,
    needs: &[
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTasks",
        "ecs:ListTasks",
        "ecs:RunTask",
        "iam:PassRole",
        "logs:GetLogEvents",
        "sts:GetCallerIdentity",
    ],
    example: include_str!("../../runbooks/kinds/ecs.run_task.toml"),
    bind: Bind::Action(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "cluster", shape: Shape::Text, required: true, help: "name or ARN of the cluster" },
    Param {
        name: "task_definition",
        shape: Shape::Text,
        required: true,
        help: "family (its newest revision), family:revision or ARN",
    },
    Param { name: "command", shape: Shape::Texts, required: false, help: "another command, as a list; no shell" },
    Param {
        name: "container",
        shape: Shape::Text,
        required: false,
        help: "the container that counts and gets the command",
    },
    Param {
        name: "launch_type",
        shape: Shape::Text,
        required: false,
        help: "FARGATE, EC2, EXTERNAL; default: the cluster's",
    },
    Param {
        name: "network",
        shape: Shape::Any,
        required: false,
        help: "{ subnets = […], security_groups = […], public_ip = false }",
    },
    Param { name: "count", shape: Shape::Count, required: false, help: "tasks to run, 1 to 10; default: 1" },
];

const NETWORK: &[Param] = &[
    Param { name: "subnets", shape: Shape::Texts, required: true, help: "subnet ids" },
    Param {
        name: "security_groups",
        shape: Shape::Texts,
        required: false,
        help: "security group ids; default: the VPC's",
    },
    Param { name: "public_ip", shape: Shape::Flag, required: false, help: "default: false" },
];

/// Reasons of stopped tasks that are shown.
const REASONS: usize = 8;
/// Between two looks at a task; starting one takes half a minute.
const LOOK: Duration = Duration::from_secs(2);

struct RunTask {
    services: Arc<Services>,
    cluster: String,
    task_definition: String,
    command: Vec<String>,
    container: Option<String>,
    launch_type: Option<String>,
    network: Option<Network>,
    count: i32,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    let launch_type = params.word(
        "launch_type",
        &[("", None), ("FARGATE", Some("FARGATE")), ("EC2", Some("EC2")), ("EXTERNAL", Some("EXTERNAL"))],
    );
    let tasks = count(params, "count", 10).unwrap_or(1);
    if tasks == 0 {
        let at = params.place_of("count");
        params.mistake(at, "`count` must be 1 to 10", "nothing would run", None);
    }
    Arc::new(RunTask {
        services: services.clone(),
        cluster: params.text("cluster"),
        task_definition: params.text("task_definition"),
        command: params.texts("command"),
        container: params.opt_text("container"),
        launch_type: launch_type.map(ToOwned::to_owned),
        network: network(params),
        count: tasks,
    })
}

fn network(params: &mut Params<'_>) -> Option<Network> {
    let raw = params.raw("network")?;
    let span = raw.span.clone();
    let value::Kind::Table(table) = &raw.kind else {
        params.mistake(span, "`network` must be a table", "expected { subnets = […] }", None);
        return None;
    };
    let mut inner = Params::new("network", span, table, NETWORK);
    let network = Network {
        subnets: inner.texts("subnets"),
        security_groups: inner.texts("security_groups"),
        public_ip: inner.opt_flag("public_ip").unwrap_or(false),
    };
    for mistake in inner.finish().0 {
        params.mistake(mistake.span, mistake.message, mistake.label, mistake.help);
    }
    Some(network)
}

impl RunTask {
    fn started_by(cx: &Cx) -> String {
        format!("gonogo-{}", cx.token)
    }

    /// The container that the command is for.
    fn container(&self, definition: &TaskDefinition) -> Result<Option<String>, Failure> {
        let names: Vec<_> = definition.names().collect();
        let known = format!("its containers: {}", names.join(", "));
        let short = short_definition(&definition.arn);
        match &self.container {
            Some(name) if names.contains(&name.as_str()) => Ok(Some(name.clone())),
            Some(name) => {
                Err(Failure::new(Class::Misconfigured, format!("{short} has no container {name}")).because(known))
            }
            None if self.command.is_empty() => Ok(None),
            None => match names.as_slice() {
                [only] => Ok(Some((*only).to_owned())),
                _ => Err(Failure::new(Class::Misconfigured, format!("{short} has several containers"))
                    .because(known)
                    .hint("say which one gets the command: `container`")),
            },
        }
    }

    /// Waits for the end of tasks that were started.
    async fn ended(&self, cx: &Cx, mut tasks: Vec<Task>) -> Result<Vec<Task>, Failure> {
        let patience = Patience::of(cx);
        let arns: Vec<_> = tasks.iter().map(|task| task.arn.clone()).collect();
        loop {
            if tasks.iter().all(|task| task.status == "STOPPED") {
                return Ok(tasks);
            }
            let states = tasks.iter().map(|task| task.status.to_lowercase()).collect::<Vec<_>>().join(", ");
            cx.progress(0.5, format!("{} of {}: {states}", arns.len(), short_definition(&tasks[0].task_definition)));
            if let Err(end) = cx.pause(LOOK).await {
                let words = format!("{} while the task was {states}", end.message);
                let failure =
                    Failure::new(Class::Unknown, words).hint("it goes on without us; a probe looks how it ended");
                return Err(arns.iter().fold(failure, |failure, arn| failure.because(arn)));
            }
            match self.services.aws.tasks(&self.cluster, &arns, &patience).await {
                Ok(now) if now.len() == arns.len() => tasks = now,
                Ok(now) => {
                    let words = format!("{} of {} tasks are not listed any more", arns.len() - now.len(), arns.len());
                    return Err(Failure::new(Class::Unknown, words));
                }
                Err(failure) if failure.class == Class::FailedNothingDone => cx.line(&failure.message),
                Err(failure) => return Err(blind(failure, "the task", &states)),
            }
        }
    }

    /// Judges tasks that have stopped, with the last lines of their log.
    async fn judge(&self, cx: &Cx, tasks: &[Task]) -> Result<Done, Failure> {
        let log = self.log(cx, tasks).await;
        let counts = |name: &str| self.container.as_ref().is_none_or(|wanted| wanted == name);
        let codes: Vec<_> = tasks
            .iter()
            .flat_map(|task| task.containers.iter().filter(|one| counts(&one.name)))
            .map(|one| (one.name.clone(), one.exit_code))
            .collect();
        let definition = tasks.first().map_or("", |task| short_definition(&task.task_definition));
        if !codes.is_empty() && codes.iter().all(|(_, code)| *code == Some(0)) {
            let arns: Vec<_> = tasks.iter().map(|task| &task.arn).collect();
            let codes: Vec<_> =
                codes.iter().map(|(name, code)| json!({ "container": name, "exit_code": code })).collect();
            let evidence = json!({ "tasks": arns, "task_definition": definition, "exit_codes": codes, "log": log });
            return Ok(
                Done::new(format!("{} of {definition} ended with exit code 0", plural(tasks.len()))).with(evidence)
            );
        }
        let failure = if tasks.iter().all(Task::never_ran) {
            Failure::new(Class::FailedNothingDone, format!("{} of {definition} could not start", plural(tasks.len())))
                .hint("is the image there, may it be pulled, and are the secrets readable?")
        } else {
            let told = codes.iter().filter(|(_, code)| *code != Some(0));
            let told = told.map(|(name, code)| match code {
                Some(code) => format!("{name} ended with exit code {code}"),
                None => format!("{name} has no exit code"),
            });
            let told = told.collect::<Vec<_>>().join(", ");
            Failure::new(Class::Failed, format!("the task of {definition} failed: {told}"))
                .hint("what it did until then has to be looked at before it runs again")
        };
        let reasons = tasks.iter().flat_map(Task::reasons).take(REASONS);
        let failure = reasons.fold(failure, |failure, reason| failure.because(reason));
        Err(log.iter().fold(failure, Failure::because))
    }

    /// The last log lines of a task that ran: of one that failed, where one did.
    async fn log(&self, cx: &Cx, tasks: &[Task]) -> Vec<String> {
        let ran: Vec<_> = tasks.iter().filter(|task| !task.never_ran()).collect();
        let failed = |task: &&&Task| task.containers.iter().any(|one| one.exit_code.is_some_and(|code| code != 0));
        let Some(task) = ran.iter().find(failed).or(ran.first()) else { return Vec::new() };
        let patience = Patience::of(cx);
        match self.services.aws.task_definition(&task.task_definition, &patience).await {
            Ok(definition) => {
                self.services.aws.last_lines(&definition, &[*task], self.container.as_deref(), &patience).await
            }
            Err(failure) => vec![format!("where its log is cannot be read: {}", failure.message)],
        }
    }
}

fn plural(n: usize) -> String {
    if n == 1 { "1 task".into() } else { format!("{n} tasks") }
}

impl Action for RunTask {
    fn does(&self) -> Vec<String> {
        let Self { cluster, task_definition, .. } = self;
        let command = if self.command.is_empty() { String::new() } else { format!(": {}", self.command.join(" ")) };
        let count = plural(usize::try_from(self.count).unwrap_or_default());
        vec![
            format!("ECS RunTask in {cluster}, {count} of {task_definition}{command}"),
            "ECS DescribeTasks until STOPPED with exit code 0".into(),
        ]
    }

    fn needs(&self) -> Vec<Permission> {
        let allow = Allow { services: &self.services, cluster: &self.cluster };
        let mut needs = vec![
            Permission::anywhere("ecs:DescribeTaskDefinition"),
            allow.run(&self.task_definition),
            allow.pass_role(),
            allow.logs(),
        ];
        needs.extend(allow.tasks());
        needs
    }

    fn doubt(&self) -> Doubt {
        Doubt::Token
    }

    fn restorable(&self) -> bool {
        false
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let definition = self.services.aws.active_definition(&self.task_definition, &Patience::of(cx)).await?;
            // The same token has to go with the same request, so that the revision is settled now.
            let container = self.container(&definition)?;
            Ok(json!({ "task_definition": definition.arn, "family": definition.family, "container": container }))
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let text = |key: &str| captured.get(key).and_then(Json::as_str).map(ToOwned::to_owned);
            let patience = Patience::of(cx);
            let aws = &self.services.aws;
            let started_by = Self::started_by(cx);
            // Only an attempt that is sent again finds something; ECS itself keeps the token for a day.
            let family = text("family").unwrap_or_default();
            let known = aws.tasks_started_by(&self.cluster, &family, &started_by, &patience).await?;
            if !known.is_empty() {
                cx.line("this attempt's task was started before; waiting for it");
                let judged = self.judge(cx, &self.ended(cx, known).await?).await;
                // Its end is known now. With the same token ECS would answer with this task for ever: a retry has to begin
                // anew, even where it never ran.
                return judged.map_err(|failure| match failure.class {
                    Class::FailedNothingDone => Failure { class: Class::Failed, ..failure },
                    _ => failure,
                });
            }
            let command =
                text("container").filter(|_| !self.command.is_empty()).map(|name| (name, self.command.clone()));
            let task = NewTask {
                cluster: self.cluster.clone(),
                task_definition: text("task_definition").unwrap_or_else(|| self.task_definition.clone()),
                count: self.count,
                launch_type: self.launch_type.clone(),
                network: self.network.clone(),
                command,
                token: cx.token.clone(),
                started_by,
            };
            let started = aws.run_task(&task, &patience).await?;
            if started.tasks.is_empty() {
                let failure = Failure::new(Class::FailedNothingDone, "ECS started no task")
                    .hint("capacity, subnets and security groups are the usual causes");
                return Err(started.failures.iter().fold(failure, |failure, why| failure.because(why)));
            }
            for task in &started.tasks {
                cx.line(format!("started {}", task.arn));
            }
            let done = self.judge(cx, &self.ended(cx, started.tasks).await?).await?;
            if started.failures.is_empty() {
                return Ok(done);
            }
            let words = format!("only some tasks were started; {}", done.line);
            let failure = Failure::new(Class::Failed, words);
            Err(started.failures.iter().fold(failure, |failure, why| failure.because(why)))
        })
    }

    fn restore<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async {
            Err(Failure::new(Class::Misconfigured, "what a task did cannot be put back by gonogo")
                .hint("give the step a rollback action of its own"))
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, _back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let family = captured.get("family").and_then(Json::as_str).unwrap_or_default();
            let aws = &self.services.aws;
            let found = aws.tasks_started_by(&self.cluster, family, &Self::started_by(cx), &Patience::of(cx)).await?;
            if found.is_empty() {
                let line = "no task of this attempt is listed; ECS lists stopped ones for about an hour".to_owned();
                return Ok(Finding::Unclear { line });
            }
            let judged = match self.ended(cx, found).await {
                Ok(tasks) => self.judge(cx, &tasks).await,
                Err(failure) => Err(failure),
            };
            match judged {
                Ok(done) => Ok(Finding::Done(done)),
                Err(failure) => Ok(Finding::Unclear { line: failure.message }),
            }
        })
    }
}

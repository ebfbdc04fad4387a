//! Why a deployment, a task or a count is not as asked: reasons of stopped tasks, exit codes, the last lines of their
//! logs, events of the service, what autoscaling did. All of it is told as far as it can be had: a reason that cannot
//! be read is never an error of its own.

use serde_json::{Value as Json, json};

use super::{
    super::{call::Call, session},
    LogPlace, Rollout, Service, Task, TaskDefinition, short_definition,
    verdict::{Since, is_trouble},
};
use crate::{
    base::{Class, Failure, clean_line},
    services::aws::{Aws, Patience},
};

const SCALING: session::Service<'_> =
    session::Service::new("Application Auto Scaling", "application-autoscaling", "Application Auto Scaling", "");
const ACTIVITIES: Call<'_> =
    Call::reads(SCALING.name, "DescribeScalingActivities", "application-autoscaling:DescribeScalingActivities");

/// Reasons of stopped tasks that are shown; they repeat.
const REASONS: usize = 6;
/// Last lines of a log that are shown.
const LINES: usize = 12;
/// Bytes of a cause in a message; the whole of it stands below.
const HEAD: usize = 200;
/// Events that are shown.
const EVENTS: usize = 2;
/// Tasks whose log is asked for, until one has lines: the newest may not have been delivered yet.
const LOGS: usize = 3;

/// The last lines of a container's log, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTail {
    /// Where they are from.
    pub from: String,
    /// Oldest first.
    pub lines: Vec<String>,
}

/// What a failed deployment is asked about.
pub(super) struct Why<'a> {
    pub rollout: &'a Rollout,
    pub since: &'a Since,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub lines: Vec<String>,
    stopped: Vec<Task>,
}

impl Told {
    /// A failure with all of it.
    pub fn of(self, failure: Failure) -> Failure {
        self.lines.iter().fold(failure, Failure::because)
    }

    /// As [`Told::of`], with the first cause in the message itself: it is what is read first.
    pub fn named(self, failure: Failure) -> Failure {
        let cause = self.stopped.first().map(Task::cause).filter(|cause| !cause.is_empty());
        let message = match cause {
            Some(cause) => format!("{}; {}", failure.message, clean_line(&cause, HEAD)),
            None => failure.message.clone(),
        };
        self.of(Failure { message, ..failure })
    }
}

impl Why<'_> {
    /// Reasons of the stopped tasks of the asked revision: those of one cause are told once, with the first of them.
    pub async fn tasks(&self, aws: &Aws, patience: &Patience) -> Told {
        let Rollout { cluster, service, after, .. } = self.rollout;
        let wanted = short_definition(&after.task_definition);
        let stopped = match aws.service_tasks(cluster, service, true, patience).await {
            Ok(stopped) => stopped,
            Err(failure) => {
                let lines = vec![format!("why its tasks stopped cannot be read: {}", failure.message)];
                return Told { lines, stopped: Vec::new() };
            }
        };
        // Those of an earlier attempt with the same revision are still listed, and may have died of something else.
        let ours = |by: &str| by.is_empty() || self.since.deployment.as_deref().is_none_or(|id| id == by);
        let own = |task: &Task| {
            short_definition(&task.task_definition) == wanted && !task.was_replaced() && ours(&task.started_by)
        };
        let mut stopped: Vec<_> = stopped.into_iter().filter(own).collect();
        // The first that stopped: its log is the surest to have been delivered.
        stopped.sort_by_key(|task| task.stopped_at.unwrap_or(i64::MAX));
        let (mut lines, mut told) = (Vec::new(), Vec::new());
        for task in &stopped {
            let mut reasons = task.reasons();
            let inside = reasons.split_off(1.min(reasons.len()));
            let cause = format!("{} {}", task.reason, inside.join("; "));
            if !told.contains(&cause) {
                lines.extend(reasons.into_iter().chain(inside));
                told.push(cause);
            }
        }
        lines.truncate(REASONS);
        Told { lines, stopped }
    }

    /// All there is: ECS's reasons, tasks, the last lines of a log, events.
    pub async fn all(&self, aws: &Aws, patience: &Patience, now: &Service) -> Told {
        let mut lines: Vec<String> = Vec::new();
        let failed = now.deployments.iter().filter(|one| one.rollout == "FAILED" && !one.reason.is_empty());
        lines.extend(failed.map(|one| one.reason.clone()));
        let Told { lines: reasons, stopped } = self.tasks(aws, patience).await;
        lines.extend(reasons);
        let mut trouble: Vec<_> = self.since.news(now).filter(|event| is_trouble(event)).collect();
        trouble.dedup();
        lines.extend(trouble.iter().take(EVENTS).map(|event| format!("event: {event}")));
        if stopped.iter().any(|task| !task.never_ran())
            && let Ok(definition) = aws.task_definition(&self.rollout.after.task_definition, patience).await
        {
            let ran: Vec<_> = stopped.iter().filter(|task| !task.never_ran()).collect();
            lines.extend(aws.last_lines(&definition, &ran, None, patience).await);
        }
        Told { lines, stopped }
    }
}

impl Aws {
    /// The last log lines of the first of some tasks that has any, as causes: a headline, then the lines. `only`: the
    /// container that counts; else the one that ended with another code than 0.
    pub async fn last_lines(
        &self,
        definition: &TaskDefinition,
        tasks: &[&Task],
        only: Option<&str>,
        patience: &Patience,
    ) -> Vec<String> {
        let mut silent = Vec::new();
        for task in tasks.iter().take(LOGS) {
            let bad = task.containers.iter().find(|one| one.exit_code.is_some_and(|code| code != 0));
            let name = only.or(bad.map(|one| one.name.as_str()));
            let name = name.or(definition.containers.first().map(|(name, _)| name.as_str())).unwrap_or_default();
            match self.log_of(definition, task, name, patience).await {
                Ok(tail) if !tail.lines.is_empty() => {
                    let head = format!("last log lines of {}:", tail.from);
                    return std::iter::once(head).chain(tail.lines.iter().map(|line| format!("| {line}"))).collect();
                }
                Ok(tail) => silent = vec![format!("its log {} is empty", tail.from)],
                Err(words) => silent = vec![words],
            }
        }
        silent
    }

    /// The last log lines of a container of a task.
    ///
    /// # Errors
    /// In words, why there are none.
    pub async fn log_of(
        &self,
        definition: &TaskDefinition,
        task: &Task,
        container: &str,
        patience: &Patience,
    ) -> Result<LogTail, String> {
        let place = definition.logs.iter().find(|(name, _)| name == container).map(|(_, place)| place);
        let (group, prefix, region) = match place {
            Some(LogPlace::CloudWatch { group, prefix, region }) => (group, prefix, region),
            Some(LogPlace::Elsewhere(driver)) => return Err(format!("the log of {container} is elsewhere ({driver})")),
            None => return Err(format!("container {container} has no log configuration")),
        };
        let stream = format!("{prefix}/{container}/{}", task.id());
        match self.log_tail((group, &stream), region.as_deref(), LINES, patience).await {
            Ok(events) => {
                let lines = events.into_iter().map(|event| event.message.trim_end().to_owned()).collect();
                Ok(LogTail { from: format!("{group} {stream}"), lines })
            }
            Err(failure) if failure.class == Class::Misconfigured => {
                Err(format!("{container} wrote no log ({group} has no stream {stream})"))
            }
            Err(failure) => Err(format!("the log of {container} cannot be read: {}", failure.message)),
        }
    }

    /// The failure of a count that somebody changes while we wait: autoscaling is asked what it did.
    pub(super) async fn fought(&self, cluster: &str, service: &str, words: String, patience: &Patience) -> Failure {
        let cluster = cluster.rsplit('/').next().unwrap_or(cluster);
        let service = service.rsplit('/').next().unwrap_or(service);
        let resource = format!("service/{cluster}/{service}");
        let body = json!({ "ServiceNamespace": "ecs", "ResourceId": resource, "MaxResults": 3 });
        let target = "AnyScaleFrontendService.DescribeScalingActivities";
        let activities = match self.json(&SCALING, &ACTIVITIES, target, &body, patience).await {
            Ok(answer) => answer.get("ScalingActivities").and_then(Json::as_array).cloned().unwrap_or_default(),
            Err(failure) => {
                let why = format!("whether it was autoscaling cannot be read: {}", failure.message);
                return Failure::new(Class::Failed, words)
                    .because(why)
                    .hint("ask who changed the count, or autoscaling");
            }
        };
        if activities.is_empty() {
            let why = "Application Auto Scaling did nothing to this service: it was a person or a program";
            return Failure::new(Class::Failed, words).because(why).hint("ask who changed the count");
        }
        let failure = Failure::new(Class::Failed, format!("{words}; it was autoscaling")).hint(format!(
            "suspend it (aws application-autoscaling register-scalable-target --service-namespace ecs \
             --scalable-dimension ecs:service:DesiredCount --resource-id {resource} --suspended-state \
             DynamicScalingInSuspended=true,DynamicScalingOutSuspended=true,ScheduledScalingSuspended=true), or leave \
             the count to it"
        ));
        activities.iter().fold(failure, |failure, activity| {
            let text = |key: &str| activity.get(key).and_then(Json::as_str).unwrap_or_default();
            failure.because(format!("autoscaling: {} {}", text("Description"), text("Cause")))
        })
    }
}

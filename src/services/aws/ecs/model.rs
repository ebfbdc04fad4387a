//! ECS's services, deployments and tasks in our own types.

use super::Images;
use crate::base::{Class, Failure};

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Without the cluster.
    pub name: String,
    /// `ACTIVE`, `DRAINING`, `INACTIVE`.
    pub status: String,
    /// ARN or `family:revision`, as AWS says it.
    pub task_definition: String,
    /// Tasks wanted.
    pub desired: i32,
    /// Tasks running.
    pub running: i32,
    /// Tasks starting.
    pub pending: i32,
    /// Newest first.
    pub deployments: Vec<Deployment>,
    /// Newest first.
    pub events: Vec<Event>,
    /// True where a circuit breaker ends a deployment whose tasks fail.
    pub breaker: bool,
    /// True where the circuit breaker, or an alarm, then puts the old task definition back by itself.
    pub rolls_back: bool,
    /// The share of the tasks that have to stay healthy, and the one that may run, in percent.
    pub percents: Option<(i32, i32)>,
    /// `ECS`, `CODE_DEPLOY`, `EXTERNAL`; empty where nothing is said.
    pub controller: String,
}

/// Something that ECS says of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Unique.
    pub id: String,
    /// In ECS's words.
    pub message: String,
}

/// A deployment of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployment {
    /// `ecs-svc/…`.
    pub id: String,
    /// `PRIMARY`, `ACTIVE`, `INACTIVE`.
    pub status: String,
    /// As of [`Service::task_definition`].
    pub task_definition: String,
    /// Tasks wanted.
    pub desired: i32,
    /// Tasks running.
    pub running: i32,
    /// Tasks starting.
    pub pending: i32,
    /// Tasks that did not come up.
    pub failed: i32,
    /// `IN_PROGRESS`, `COMPLETED`, `FAILED`; empty for other deployment controllers.
    pub rollout: String,
    /// Why, in ECS's words.
    pub reason: String,
}

/// A task definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskDefinition {
    /// In full.
    pub arn: String,
    /// Without the revision.
    pub family: String,
    /// False where it was deregistered.
    pub active: bool,
    /// Names of its containers and their images, in order.
    pub containers: Vec<(String, String)>,
    /// Where its containers' output goes, by container.
    pub logs: Vec<(String, LogPlace)>,
}

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPlace {
    /// To CloudWatch Logs (driver `awslogs`): group, prefix of the streams, region where it is another one.
    CloudWatch {
        /// Log group.
        group: String,
        /// Streams are called `prefix/container/task`.
        prefix: String,
        /// None: where the service is.
        region: Option<String>,
    },
    /// Elsewhere: the driver's name, or `awslogs` without a prefix, whose streams have names that nobody can know.
    Elsewhere(String),
}

/// A task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Task {
    /// In full.
    pub arn: String,
    /// In full.
    pub task_definition: String,
    /// `PROVISIONING` … `RUNNING` … `STOPPED`.
    pub status: String,
    /// Who started it.
    pub started_by: String,
    /// `TaskFailedToStart`, `EssentialContainerExited`, …; empty while it runs.
    pub stop_code: String,
    /// Why it stopped, in ECS's words.
    pub reason: String,
    /// When, in milliseconds since 1970; none while it runs.
    pub stopped_at: Option<i64>,
    /// Its containers.
    pub containers: Vec<Container>,
}

/// A container of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Name in the task definition.
    pub name: String,
    /// None while it runs, and where it never ran.
    pub exit_code: Option<i32>,
    /// Why, in ECS's words.
    pub reason: String,
    /// `sha256:…` of its image.
    pub digest: String,
}

/// A task to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTask {
    /// Cluster.
    pub cluster: String,
    /// Family, `family:revision` or ARN.
    pub task_definition: String,
    /// How many, 1 to 10.
    pub count: i32,
    /// `FARGATE`, `EC2`, `EXTERNAL`; none: the cluster's default.
    pub launch_type: Option<String>,
    /// For task definitions in `awsvpc` mode.
    pub network: Option<Network>,
    /// Another command for one container: its name, the command.
    pub command: Option<(String, Vec<String>)>,
    /// Makes it the same task however often it is sent, for 24 hours.
    pub token: String,
    /// By which it is found again.
    pub started_by: String,
}

/// Where a task stands in the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Subnet ids.
    pub subnets: Vec<String>,
    /// Security group ids.
    pub security_groups: Vec<String>,
    /// Whether it gets a public address.
    pub public_ip: bool,
}

/// What `RunTask` answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Tasks that were started.
    pub tasks: Vec<Task>,
    /// Why others were not.
    pub failures: Vec<String>,
}

/// `1 task`, `2 tasks`.
pub(super) fn tasks(n: i32) -> String {
    if n == 1 { "1 task".into() } else { format!("{n} tasks") }
}

/// `family:revision` of an ARN or of itself: test servers give one where AWS gives the other.
#[must_use]
pub fn short_definition(definition: &str) -> &str {
    definition.rsplit_once("task-definition/").map_or(definition, |(_, short)| short)
}

impl TaskDefinition {
    /// Names of its containers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.containers.iter().map(|(name, _)| name.as_str())
    }

    /// Whether it has the containers that other images are for; the empty name is the only one.
    ///
    /// # Errors
    /// `Misconfigured`, naming those that there are.
    pub fn takes(&self, images: &Images) -> Result<(), Failure> {
        let alone = self.containers.len() == 1;
        let missing = images.keys().find(|name| !((name.is_empty() && alone) || self.names().any(|one| one == *name)));
        missing.map_or(Ok(()), |name| Err(no_container(&self.arn, name, &self.names().collect::<Vec<_>>())))
    }
}

/// The failure of an image for a container that is not there.
pub(super) fn no_container(arn: &str, name: &str, known: &[&str]) -> Failure {
    let short = short_definition(arn);
    let words = if name.is_empty() {
        format!("{short} has several containers, and nothing says which one gets the image")
    } else {
        format!("{short} has no container {name}")
    };
    Failure::new(Class::Misconfigured, words)
        .because(format!("its containers: {}", known.join(", ")))
        .hint("say `container`, or `images = { container = \"image\" }`")
}

impl Service {
    /// The deployment that the service is moving to, or stands on.
    #[must_use]
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|one| one.status == "PRIMARY")
    }

    /// The primary deployment where it tells the truth. Test servers freeze it at the service's creation; one that
    /// is complete without wanting a task cannot be what a service with tasks stands on.
    #[must_use]
    pub fn live_primary(&self) -> Option<&Deployment> {
        self.primary().filter(|one| !(one.rollout == "COMPLETED" && one.desired == 0 && self.desired > 0))
    }

    /// True where nothing moves: the rollout is complete, the counts agree, and no older deployment
    /// has tasks left.
    #[must_use]
    pub fn steady(&self) -> bool {
        let primary = self.primary();
        let rolled = primary.is_some_and(|one| matches!(one.rollout.as_str(), "COMPLETED" | ""));
        let others = self.deployments.iter().filter(|one| one.status != "PRIMARY");
        let mut left = others.filter(|one| one.running + one.pending > 0);
        rolled && self.running == self.desired && self.pending == 0 && left.next().is_none()
    }

    /// How far it is, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let rollout = self.primary().map_or("no deployment", |one| one.rollout.as_str());
        let rollout =
            if rollout.is_empty() { String::new() } else { format!(", {}", rollout.replace('_', " ").to_lowercase()) };
        let pending = if self.pending > 0 { format!(", {} pending", self.pending) } else { String::new() };
        let failed = self.primary().map_or(0, |one| one.failed);
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let definition = short_definition(&self.task_definition);
        format!("running {} of {} on {definition}{pending}{failed}{rollout}", self.running, self.desired)
    }
}

impl Task {
    /// The last part of its ARN.
    #[must_use]
    pub fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or(&self.arn)
    }

    /// True where none of its containers ever ran.
    #[must_use]
    pub fn never_ran(&self) -> bool {
        self.stop_code == "TaskFailedToStart" && self.containers.iter().all(|one| one.exit_code.is_none())
    }

    /// True where its service wanted fewer tasks, or other ones. A task that failed its health checks is stopped by the
    /// service's scheduler too, and that is no scaling.
    #[must_use]
    pub fn was_replaced(&self) -> bool {
        self.stop_code == "ServiceSchedulerInitiated" && self.reason.starts_with("Scaling activity initiated by")
    }

    /// Why it stopped, in one line: of the container that failed, else of the task.
    #[must_use]
    pub fn cause(&self) -> String {
        let failed = self.containers.iter().find(|one| one.exit_code.is_some_and(|code| code != 0));
        match failed {
            Some(Container { name, exit_code: Some(code), reason, .. }) if reason.is_empty() => {
                format!("{name} ended with exit code {code}")
            }
            Some(Container { name, exit_code: Some(code), reason, .. }) => {
                format!("{name} ended with exit code {code}, {reason}")
            }
            _ => self.reason.clone(),
        }
    }

    /// Why it stopped, one line each: the task's reason, then those of its containers.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.reason.is_empty() {
            lines.push(format!("task {}: {}", self.id(), self.reason));
        }
        for one in &self.containers {
            let code = one.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}"));
            // An image that cannot be pulled is told twice, by the task and by its container.
            let said = Some(one.reason.clone()).filter(|reason| !reason.is_empty() && *reason != self.reason);
            let parts: Vec<_> = [code, said].into_iter().flatten().collect();
            if !parts.is_empty() {
                lines.push(format!("container {}: {}", one.name, parts.join(", ")));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unhealthy_task_was_not_replaced() {
        let task = |reason: &str| Task {
            stop_code: "ServiceSchedulerInitiated".into(),
            reason: reason.into(),
            ..Task::default()
        };
        assert!(task("Scaling activity initiated by (deployment ecs-svc/1)").was_replaced());
        let sick = task("Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:x)");
        assert!(!sick.was_replaced());
        assert_eq!(sick.cause(), sick.reason);
    }
}

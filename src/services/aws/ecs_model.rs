//! ECS's services, deployments and tasks in our own types.

use aws_sdk_ecs::types as sdk;
use aws_sdk_ecs::types::{AssignPublicIp, AwsVpcConfiguration, ContainerOverride, NetworkConfiguration, TaskOverride};

/// Events of a service that are kept: the newest say why it is stuck.
const EVENTS: usize = 5;

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
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
    /// The newest few, newest first.
    pub events: Vec<String>,
    /// True where the circuit breaker puts the old task definition back by itself.
    pub rolls_back: bool,
}

/// A deployment of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskDefinition {
    /// In full.
    pub arn: String,
    /// Without the revision.
    pub family: String,
    /// False where it was deregistered.
    pub active: bool,
    /// Names of its containers.
    pub containers: Vec<String>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Its containers.
    pub containers: Vec<Container>,
}

/// A container of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// `family:revision` of an ARN or of itself: test servers give one where AWS gives the other.
#[must_use]
pub fn short_definition(definition: &str) -> &str {
    definition.rsplit_once("task-definition/").map_or(definition, |(_, short)| short)
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
        let definition = short_definition(&self.task_definition);
        format!("running {} of {} on {definition}{pending}{rollout}", self.running, self.desired)
    }
}

impl Task {
    /// Why it stopped, one line each: the task's reason, then those of its containers.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let id = self.arn.rsplit('/').next().unwrap_or(&self.arn);
        if !self.reason.is_empty() {
            lines.push(format!("task {id}: {}", self.reason));
        }
        for one in &self.containers {
            let code = one.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}"));
            let said = Some(one.reason.clone()).filter(|reason| !reason.is_empty());
            let parts: Vec<_> = [code, said].into_iter().flatten().collect();
            if !parts.is_empty() {
                lines.push(format!("container {}: {}", one.name, parts.join(", ")));
            }
        }
        lines
    }
}

pub(super) fn from_service(service: &sdk::Service) -> Service {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Service {
        status: text(service.status()),
        task_definition: text(service.task_definition()),
        desired: service.desired_count,
        running: service.running_count,
        pending: service.pending_count,
        deployments: service
            .deployments()
            .iter()
            .map(|one| Deployment {
                id: text(one.id()),
                status: text(one.status()),
                task_definition: text(one.task_definition()),
                desired: one.desired_count,
                running: one.running_count,
                pending: one.pending_count,
                failed: one.failed_tasks,
                rollout: text(one.rollout_state().map(sdk::DeploymentRolloutState::as_str)),
                reason: text(one.rollout_state_reason()),
            })
            .collect(),
        rolls_back: service
            .deployment_configuration()
            .and_then(|config| config.deployment_circuit_breaker())
            .is_some_and(|breaker| breaker.enable && breaker.rollback),
        events: service.events().iter().take(EVENTS).map(|event| text(event.message())).collect(),
    }
}

pub(super) fn from_task(task: &sdk::Task) -> Task {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Task {
        arn: text(task.task_arn()),
        task_definition: text(task.task_definition_arn()),
        status: text(task.last_status()),
        started_by: text(task.started_by()),
        stop_code: text(task.stop_code().map(sdk::TaskStopCode::as_str)),
        reason: text(task.stopped_reason()),
        containers: task
            .containers()
            .iter()
            .map(|one| Container {
                name: text(one.name()),
                exit_code: one.exit_code(),
                reason: text(one.reason()),
                digest: text(one.image_digest()),
            })
            .collect(),
    }
}

pub(super) fn from_failure(failure: &sdk::Failure) -> String {
    let parts = [failure.arn(), failure.reason(), failure.detail()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

pub(super) fn to_network(network: &Network) -> Option<NetworkConfiguration> {
    let vpc = AwsVpcConfiguration::builder()
        .set_subnets(Some(network.subnets.clone()))
        .set_security_groups((!network.security_groups.is_empty()).then(|| network.security_groups.clone()))
        .assign_public_ip(if network.public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled })
        .build()
        .ok()?;
    Some(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
}

pub(super) fn to_override((container, command): &(String, Vec<String>)) -> TaskOverride {
    let one = ContainerOverride::builder().name(container).set_command(Some(command.clone())).build();
    TaskOverride::builder().container_overrides(one).build()
}

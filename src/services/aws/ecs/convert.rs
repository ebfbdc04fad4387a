//! Between the SDK's types and ours.

use aws_sdk_ecs::types as sdk;
use aws_sdk_ecs::types::{AssignPublicIp, AwsVpcConfiguration, ContainerOverride, NetworkConfiguration, TaskOverride};

use super::{Container, Deployment, Event, LogPlace, Network, Service, Task, TaskDefinition};

/// Events of a service that are kept of the hundred that ECS tells: the newest say why it is stuck.
const EVENTS: usize = 20;

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

pub(super) fn from_service(service: &sdk::Service) -> Service {
    let config = service.deployment_configuration();
    let breaker = config.and_then(|config| config.deployment_circuit_breaker());
    let alarms = config.and_then(|config| config.alarms());
    let percents = config.and_then(|config| config.minimum_healthy_percent.zip(config.maximum_percent));
    Service {
        name: text(service.service_name()),
        status: text(service.status()),
        task_definition: text(service.task_definition()),
        desired: service.desired_count,
        running: service.running_count,
        pending: service.pending_count,
        deployments: service.deployments().iter().map(from_deployment).collect(),
        breaker: breaker.is_some_and(|breaker| breaker.enable),
        rolls_back: breaker.is_some_and(|breaker| breaker.enable && breaker.rollback)
            || alarms.is_some_and(|alarms| alarms.enable && alarms.rollback),
        percents,
        controller: text(service.deployment_controller().map(|one| one.r#type.as_str())),
        events: service
            .events()
            .iter()
            .take(EVENTS)
            .map(|event| Event { id: text(event.id()), message: text(event.message()) })
            .collect(),
    }
}

fn from_deployment(one: &sdk::Deployment) -> Deployment {
    Deployment {
        id: text(one.id()),
        status: text(one.status()),
        task_definition: text(one.task_definition()),
        desired: one.desired_count,
        running: one.running_count,
        pending: one.pending_count,
        failed: one.failed_tasks,
        rollout: text(one.rollout_state().map(sdk::DeploymentRolloutState::as_str)),
        reason: text(one.rollout_state_reason()),
    }
}

pub(super) fn from_task(task: &sdk::Task) -> Task {
    Task {
        arn: text(task.task_arn()),
        task_definition: text(task.task_definition_arn()),
        status: text(task.last_status()),
        started_by: text(task.started_by()),
        stop_code: text(task.stop_code().map(sdk::TaskStopCode::as_str)),
        reason: text(task.stopped_reason()),
        stopped_at: task.stopped_at().and_then(|at| at.to_millis().ok()),
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

pub(super) fn from_definition(definition: &sdk::TaskDefinition) -> TaskDefinition {
    let containers = definition.container_definitions();
    let logs = containers.iter().filter_map(|one| {
        let config = one.log_configuration()?;
        let driver = config.log_driver().as_str();
        let option = |key: &str| config.options().and_then(|options| options.get(key)).cloned();
        let place = match (driver, option("awslogs-group"), option("awslogs-stream-prefix")) {
            ("awslogs", Some(group), Some(prefix)) => {
                LogPlace::CloudWatch { group, prefix, region: option("awslogs-region") }
            }
            ("awslogs", ..) => LogPlace::Elsewhere("awslogs without awslogs-stream-prefix".into()),
            _ => LogPlace::Elsewhere(driver.to_owned()),
        };
        Some((text(one.name()), place))
    });
    TaskDefinition {
        arn: text(definition.task_definition_arn()),
        family: text(definition.family()),
        active: definition.status().is_none_or(|status| status.as_str() == "ACTIVE"),
        containers: containers.iter().map(|one| (text(one.name()), text(one.image()))).collect(),
        logs: logs.collect(),
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

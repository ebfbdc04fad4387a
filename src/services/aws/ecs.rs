//! ECS: looks at services, tasks and task definitions; changes a service, runs a task.
//!
//! Relied on (ECS API reference): `UpdateService` starts a deployment whose status is `PRIMARY`; its
//! `rolloutState` becomes `COMPLETED` or `FAILED`; stopped tasks are listed for an hour; `RunTask` with the
//! same `clientToken` and parameters starts nothing twice.

use aws_sdk_ecs::types::{DesiredStatus, LaunchType, TaskDefinition as SdkTaskDefinition};

use super::{
    Aws, NewTask, Patience, Service, Started, Task, TaskDefinition,
    call::Call,
    ecs_model::{from_failure, from_service, from_task, to_network, to_override},
    errors::sdk,
};
use crate::base::{Class, Failure};

const NAME: &str = "ECS";
const SERVICES: Call<'_> = Call::reads(NAME, "DescribeServices", "ecs:DescribeServices");
const DEFINITION: Call<'_> = Call::reads(NAME, "DescribeTaskDefinition", "ecs:DescribeTaskDefinition");
const LIST_TASKS: Call<'_> = Call::reads(NAME, "ListTasks", "ecs:ListTasks");
const TASKS: Call<'_> = Call::reads(NAME, "DescribeTasks", "ecs:DescribeTasks");
const UPDATE: Call<'_> = Call::changes(NAME, "UpdateService", "ecs:UpdateService");
const RUN: Call<'_> = Call::changes(NAME, "RunTask", "ecs:RunTask");
/// `DescribeTasks` takes at most a hundred.
const TASKS_AT_ONCE: usize = 100;
impl Aws {
    /// A service.
    ///
    /// # Errors
    /// `Misconfigured` where cluster or service is not there, `Denied`, `FailedNothingDone`.
    pub async fn service(&self, cluster: &str, service: &str, patience: &Patience) -> Result<Service, Failure> {
        let answer = self
            .ask(&SERVICES, patience, None, |session, renew| {
                let request = session.ecs().describe_services().cluster(cluster).services(service);
                async move { request.send().await.map_err(|e| sdk(&SERVICES, &e, &renew)) }
            })
            .await?;
        let missing = || {
            let why = answer.failures().iter().filter_map(|f| f.reason()).collect::<Vec<_>>().join(", ");
            Failure::new(Class::Misconfigured, format!("cluster {cluster} has no service {service}")).because(why)
        };
        let found = answer.services().first().map(from_service).ok_or_else(missing)?;
        if found.status == "INACTIVE" {
            return Err(Failure::new(Class::Misconfigured, format!("service {service} was deleted (INACTIVE)")));
        }
        Ok(found)
    }

    /// A task definition, by family (its newest active revision), `family:revision` or ARN.
    ///
    /// # Errors
    /// `Misconfigured` where there is none.
    pub async fn task_definition(&self, name: &str, patience: &Patience) -> Result<TaskDefinition, Failure> {
        let answer = self
            .ask(&DEFINITION, patience, None, |session, renew| {
                let request = session.ecs().describe_task_definition().task_definition(name);
                async move { request.send().await.map_err(|e| sdk(&DEFINITION, &e, &renew)) }
            })
            .await
            // `ClientException: Unable to describe task definition.` is all that ECS says.
            .map_err(|failure| match failure.class {
                Class::Refused => Failure { class: Class::Misconfigured, ..failure }
                    .hint(format!("is {name} registered in this account and region?")),
                _ => failure,
            })?;
        let definition = answer.task_definition.unwrap_or_else(|| SdkTaskDefinition::builder().build());
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Ok(TaskDefinition {
            arn: text(&definition.task_definition_arn),
            family: text(&definition.family),
            active: definition.status.as_ref().is_none_or(|status| status.as_str() == "ACTIVE"),
            containers: definition.container_definitions().iter().map(|one| text(&one.name)).collect(),
        })
    }

    /// Changes a service; the service as ECS then describes it.
    ///
    /// # Errors
    /// `Refused`, `Misconfigured`, `Denied`: nothing was done. `Unknown`: nobody knows.
    pub async fn update_service(
        &self,
        cluster: &str,
        service: &str,
        task_definition: &str,
        desired: Option<i32>,
        force: bool,
        patience: &Patience,
    ) -> Result<Service, Failure> {
        let answer = self
            .ask(&UPDATE, patience, None, |session, renew| {
                let request = session
                    .ecs()
                    .update_service()
                    .cluster(cluster)
                    .service(service)
                    .task_definition(task_definition)
                    .set_desired_count(desired)
                    .set_force_new_deployment(force.then_some(true));
                async move { request.send().await.map_err(|e| sdk(&UPDATE, &e, &renew)) }
            })
            .await?;
        let updated = answer.service.as_ref().map(from_service);
        updated.ok_or_else(|| Failure::new(Class::Unknown, "ECS answered UpdateService without a service"))
    }

    /// Starts tasks.
    ///
    /// # Errors
    /// As [`Aws::update_service`].
    pub async fn run_task(&self, task: &NewTask, patience: &Patience) -> Result<Started, Failure> {
        let answer = self
            .ask(&RUN, patience, None, |session, renew| {
                let request = session
                    .ecs()
                    .run_task()
                    .cluster(&task.cluster)
                    .task_definition(&task.task_definition)
                    .count(task.count)
                    .started_by(&task.started_by)
                    .client_token(&task.token)
                    .set_launch_type(task.launch_type.as_deref().map(LaunchType::from))
                    .set_network_configuration(task.network.as_ref().and_then(to_network))
                    .set_overrides(task.command.as_ref().map(to_override));
                async move { request.send().await.map_err(|e| sdk(&RUN, &e, &renew)) }
            })
            .await?;
        Ok(Started {
            tasks: answer.tasks().iter().map(from_task).collect(),
            failures: answer.failures().iter().map(from_failure).collect(),
        })
    }

    /// Tasks of a service that run, or that stopped within the last hour.
    ///
    /// # Errors
    /// As [`Aws::service`].
    pub async fn service_tasks(
        &self,
        cluster: &str,
        service: &str,
        stopped: bool,
        patience: &Patience,
    ) -> Result<Vec<Task>, Failure> {
        self.listed(cluster, Filter::Service(service), stopped, patience).await
    }

    /// Tasks by who started them, running or stopped within the last hour.
    ///
    /// # Errors
    /// As [`Aws::service`].
    pub async fn tasks_started_by(
        &self,
        cluster: &str,
        family: &str,
        started_by: &str,
        patience: &Patience,
    ) -> Result<Vec<Task>, Failure> {
        let mut tasks = self.listed(cluster, Filter::StartedBy(started_by), false, patience).await?;
        // `startedBy` has to be the only filter, so that stopped ones are found by their family.
        let stopped = self.listed(cluster, Filter::Family(family), true, patience).await?;
        tasks.extend(stopped.into_iter().filter(|task| task.started_by == started_by));
        Ok(tasks)
    }

    /// Tasks by ARN. One that is gone is left out.
    ///
    /// # Errors
    /// As [`Aws::service`].
    pub async fn tasks(&self, cluster: &str, arns: &[String], patience: &Patience) -> Result<Vec<Task>, Failure> {
        let mut tasks = Vec::with_capacity(arns.len());
        for arns in arns.chunks(TASKS_AT_ONCE) {
            let answer = self
                .ask(&TASKS, patience, None, |session, renew| {
                    let request = session.ecs().describe_tasks().cluster(cluster).set_tasks(Some(arns.to_vec()));
                    async move { request.send().await.map_err(|e| sdk(&TASKS, &e, &renew)) }
                })
                .await?;
            tasks.extend(answer.tasks().iter().map(from_task));
        }
        Ok(tasks)
    }

    async fn listed(
        &self,
        cluster: &str,
        filter: Filter<'_>,
        stopped: bool,
        patience: &Patience,
    ) -> Result<Vec<Task>, Failure> {
        let answer = self
            .ask(&LIST_TASKS, patience, None, |session, renew| {
                let request = session.ecs().list_tasks().cluster(cluster);
                let request = match filter {
                    Filter::Service(name) => request.service_name(name),
                    Filter::Family(name) => request.family(name),
                    Filter::StartedBy(name) => request.started_by(name),
                };
                let request = if stopped { request.desired_status(DesiredStatus::Stopped) } else { request };
                async move { request.send().await.map_err(|e| sdk(&LIST_TASKS, &e, &renew)) }
            })
            .await?;
        let arns = answer.task_arns();
        if arns.is_empty() { Ok(Vec::new()) } else { self.tasks(cluster, arns, patience).await }
    }
}

#[derive(Clone, Copy)]
enum Filter<'a> {
    Service(&'a str),
    Family(&'a str),
    StartedBy(&'a str),
}

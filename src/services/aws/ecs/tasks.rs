//! Tasks: `RunTask`, `ListTasks` to its last page, `DescribeTasks` a hundred at a time.

use aws_sdk_ecs::types::{DesiredStatus, LaunchType};

use super::{
    super::call::Call,
    NAME, NewTask, PAGES, Started, Task,
    convert::{from_failure, from_task, to_network, to_override},
};
use crate::{
    base::{Class, Failure},
    services::aws::{Aws, Patience, errors::sdk},
};

const LIST: Call<'_> = Call::reads(NAME, "ListTasks", "ecs:ListTasks");
const DESCRIBE: Call<'_> = Call::reads(NAME, "DescribeTasks", "ecs:DescribeTasks");
const RUN: Call<'_> = Call::changes(NAME, "RunTask", "ecs:RunTask");
/// `DescribeTasks` takes at most a hundred.
const AT_ONCE: usize = 100;

#[derive(Clone, Copy)]
enum Filter<'a> {
    Service(&'a str),
    Family(&'a str),
    StartedBy(&'a str),
}

impl Aws {
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
        for task in stopped.into_iter().filter(|task| task.started_by == started_by) {
            // One that stopped between the two lists is in both.
            if !tasks.iter().any(|known| known.arn == task.arn) {
                tasks.push(task);
            }
        }
        Ok(tasks)
    }

    /// Tasks by ARN. One that is gone is left out.
    ///
    /// # Errors
    /// As [`Aws::service`].
    pub async fn tasks(&self, cluster: &str, arns: &[String], patience: &Patience) -> Result<Vec<Task>, Failure> {
        let mut tasks = Vec::with_capacity(arns.len());
        for arns in arns.chunks(AT_ONCE) {
            let answer = self
                .ask(&DESCRIBE, patience, None, |session, renew| {
                    let request = session.ecs().describe_tasks().cluster(cluster).set_tasks(Some(arns.to_vec()));
                    async move { request.send().await.map_err(|e| sdk(&DESCRIBE, &e, &renew)) }
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
        let (mut arns, mut token) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let answer = self
                .ask(&LIST, patience, None, |session, renew| {
                    let request = session.ecs().list_tasks().cluster(cluster).set_next_token(token.clone());
                    let request = match filter {
                        Filter::Service(name) => request.service_name(name),
                        Filter::Family(name) => request.family(name),
                        Filter::StartedBy(name) => request.started_by(name),
                    };
                    let request = if stopped { request.desired_status(DesiredStatus::Stopped) } else { request };
                    async move { request.send().await.map_err(|e| sdk(&LIST, &e, &renew)) }
                })
                .await?;
            arns.extend_from_slice(answer.task_arns());
            token = answer.next_token().filter(|token| !token.is_empty()).map(ToOwned::to_owned);
            if token.is_none() {
                return if arns.is_empty() { Ok(Vec::new()) } else { self.tasks(cluster, &arns, patience).await };
            }
        }
        Err(Failure::new(Class::FailedNothingDone, format!("no data: ECS lists tasks on more than {PAGES} pages")))
    }
}

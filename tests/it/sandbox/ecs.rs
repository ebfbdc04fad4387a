//! ECS by the official SDK: deployments that take seconds, the breaker's trap, one-off tasks.

use std::time::{Duration, Instant};

use aws_sdk_ecs::{
    Client,
    error::ProvideErrorMetadata,
    types::{Deployment, DeploymentRolloutState, DesiredStatus, Service, Task},
};
use gonogo::sandbox::Sandbox;

use super::{aws, aws_with, until, world};

async fn client(world: &Sandbox) -> Client {
    Client::new(&aws(world.endpoints()).await)
}

async fn service(client: &Client, name: &str) -> Service {
    let said = client.describe_services().cluster("acme").services(name).send().await.unwrap();
    assert!(said.failures().is_empty(), "{said:?}");
    said.services()[0].clone()
}

async fn web(client: &Client) -> Service {
    service(client, "web").await
}

fn primary(service: &Service) -> &Deployment {
    service.deployments().iter().find(|it| it.status() == Some("PRIMARY")).unwrap()
}

async fn task(client: &Client, arn: &str) -> Task {
    client.describe_tasks().cluster("acme").tasks(arn).send().await.unwrap().tasks()[0].clone()
}

#[tokio::test]
async fn a_deployment_takes_seconds_and_ends_on_the_new_definition() {
    let world = world(&[]).await;
    let client = client(&world).await;
    let before = web(&client).await;
    assert_eq!((before.desired_count(), before.running_count(), before.deployments().len()), (1, 1, 1));
    let start = Instant::now();
    let asked = client.update_service().cluster("acme").service("web").task_definition("web:42").desired_count(2);
    let said = asked.send().await.unwrap().service.unwrap();
    assert_eq!(said.deployments().len(), 2);
    assert_eq!(primary(&said).rollout_state(), Some(&DeploymentRolloutState::InProgress));
    assert_eq!((primary(&said).desired_count(), primary(&said).running_count()), (2, 0));
    let done = until(
        "COMPLETED",
        || web(&client),
        |it| primary(it).rollout_state() == Some(&DeploymentRolloutState::Completed),
    );
    let done = done.await;
    let took = start.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(7)).contains(&took), "{took:?}");
    assert!(done.task_definition().unwrap().ends_with("task-definition/web:42"), "{done:?}");
    assert_eq!((done.running_count(), done.pending_count(), done.deployments().len()), (2, 0, 1));
    assert!(done.events()[0].message().unwrap().contains("has reached a steady state"), "{:?}", done.events()[0]);
    let tasks = client.list_tasks().cluster("acme").service_name("web").send().await.unwrap();
    assert_eq!(tasks.task_arns().len(), 2);
    let stopped = client.list_tasks().cluster("acme").desired_status(DesiredStatus::Stopped).send().await.unwrap();
    let old = task(&client, &stopped.task_arns()[0]).await;
    assert!(old.task_definition_arn().unwrap().ends_with("web:41"));
    assert_eq!(old.stop_code().map(|code| code.as_str()), Some("ServiceSchedulerInitiated"));
}

#[tokio::test]
async fn the_breaker_rolls_back_and_ends_completed_on_the_old_definition() {
    let world = world(&["ecs.deploy:once"]).await;
    let client = client(&world).await;
    // A worker's deployment beside it does not use the fault up.
    let worker = client.update_service().cluster("acme").service("worker").task_definition("worker:8").desired_count(1);
    worker.send().await.unwrap();
    let deploy =
        || client.update_service().cluster("acme").service("web").task_definition("web:42").desired_count(2).send();
    let said = deploy().await.unwrap().service.unwrap();
    let id = primary(&said).id().unwrap().to_owned();
    let start = Instant::now();
    let failed = until(
        "FAILED",
        || web(&client),
        |it| it.deployments().iter().any(|it| it.rollout_state() == Some(&DeploymentRolloutState::Failed)),
    );
    let failed = failed.await;
    let bad = failed.deployments().iter().find(|it| it.id() == Some(&id)).unwrap();
    assert!(bad.failed_tasks() >= 3 && bad.rollout_state_reason().unwrap().contains("circuit breaker"), "{bad:?}");
    assert!(primary(&failed).rollout_state_reason().unwrap().contains("rolling back to deploymentId"), "{failed:?}");
    let stopped =
        client.list_tasks().cluster("acme").family("web").desired_status(DesiredStatus::Stopped).send().await.unwrap();
    let dead = task(&client, stopped.task_arns().first().unwrap()).await;
    assert_eq!(dead.stopped_reason(), Some("Essential container in task exited"));
    assert_eq!(dead.containers()[0].exit_code(), Some(1));
    assert!(dead.containers()[0].reason().unwrap().contains("/acme/prod/REDIS_TLS_URL"));
    let end = until(
        "the end",
        || web(&client),
        |it| it.deployments().len() == 1 && primary(it).rollout_state() == Some(&DeploymentRolloutState::Completed),
    );
    let end = end.await;
    assert!(end.task_definition().unwrap().ends_with("web:41"), "the trap: COMPLETED, on the old one");
    assert!(start.elapsed() < Duration::from_secs(11), "{:?}", start.elapsed());
    // The fault is used up: the next try works.
    deploy().await.unwrap();
    let end = until(
        "the second try",
        || web(&client),
        |it| it.deployments().len() == 1 && primary(it).rollout_state() == Some(&DeploymentRolloutState::Completed),
    );
    assert!(end.await.task_definition().unwrap().ends_with("web:42"));
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_has_no_exit_code() {
    let world = world(&[]).await;
    let client = client(&world).await;
    client.update_service().cluster("acme").service("web").task_definition("web-missing").send().await.unwrap();
    let stopped = || async {
        let listed = client
            .list_tasks()
            .cluster("acme")
            .family("web-missing")
            .desired_status(DesiredStatus::Stopped)
            .send()
            .await;
        listed.unwrap().task_arns().first().cloned()
    };
    let arn = until("a stopped task", stopped, Option::is_some).await.unwrap();
    let dead = until("STOPPED", || task(&client, &arn), |it| it.last_status() == Some("STOPPED")).await;
    assert_eq!(dead.stop_code().map(|code| code.as_str()), Some("TaskFailedToStart"));
    assert!(dead.stopped_reason().unwrap().starts_with("CannotPullContainerError"), "{dead:?}");
    assert_eq!(dead.containers()[0].exit_code(), None);
}

#[tokio::test]
async fn one_off_tasks_run_once_for_one_token() {
    let world = world(&["ecs.run_task:once"]).await;
    let client = client(&world).await;
    let run = |token: &str| {
        client.run_task().cluster("acme").task_definition("migrate").client_token(token).started_by("me").send()
    };
    let refused = run("t1").await.unwrap();
    assert!(refused.tasks().is_empty() && refused.failures()[0].reason().unwrap().contains("Capacity is unavailable"));
    let first = run("t1").await.unwrap();
    let arn = first.tasks()[0].task_arn().unwrap().to_owned();
    assert_eq!(run("t1").await.unwrap().tasks()[0].task_arn(), Some(arn.as_str()), "the same task");
    let other =
        client.run_task().cluster("acme").task_definition("web:42").client_token("t1").send().await.unwrap_err();
    assert_eq!(other.into_service_error().code(), Some("ConflictException"));
    assert_ne!(run("t2").await.unwrap().tasks()[0].task_arn(), Some(arn.as_str()));
    let done = until("STOPPED", || task(&client, &arn), |it| it.last_status() == Some("STOPPED")).await;
    assert_eq!((done.containers()[0].exit_code(), done.started_by()), (Some(0), Some("me")));
    let runs = world.effects().await.iter().filter(|it| it.operation == "RunTask").count();
    assert_eq!(runs, 2);
}

#[tokio::test]
async fn refuses_what_aws_refuses() {
    let world = world(&[]).await;
    let client = client(&world).await;
    let e = client.update_service().cluster("acme").service("nope").desired_count(1).send().await.unwrap_err();
    assert!(e.into_service_error().is_service_not_found_exception());
    let e = client.describe_services().cluster("nope").services("web").send().await.unwrap_err();
    assert!(e.into_service_error().is_cluster_not_found_exception());
    let e = client.update_service().cluster("acme").service("web").task_definition("web:99").send().await.unwrap_err();
    assert!(e.into_service_error().is_client_exception());
    let e = client.update_service().cluster("acme").service("web").desired_count(-5).send().await.unwrap_err();
    assert!(e.into_service_error().is_invalid_parameter_exception());
    let said = client.describe_services().cluster("acme").services("nope").send().await.unwrap();
    assert_eq!(said.failures()[0].reason(), Some("MISSING"));
    let e = client.describe_task_definition().task_definition("web:99").send().await.unwrap_err();
    assert!(e.into_service_error().is_client_exception());
    assert!(world.effects().await.is_empty());
}

#[tokio::test]
async fn other_keys_and_other_signatures_are_refused() {
    let world = world(&[]).await;
    let at = world.endpoints();
    for (id, secret, code) in [
        ("AKIAOTHER", at.secret_access_key, "InvalidClientTokenId"),
        (at.access_key_id, "wrong", "SignatureDoesNotMatch"),
    ] {
        let client = Client::new(&aws_with(at, id, secret).await);
        let e = client.update_service().cluster("acme").service("web").desired_count(3).send().await.unwrap_err();
        assert_eq!(e.into_service_error().code(), Some(code));
    }
    let client = client(&world).await;
    assert_eq!(web(&client).await.desired_count(), 1);
    let target = "AmazonEC2ContainerServiceV20141113.UpdateService";
    let unsigned =
        super::http().post(&at.aws).header("x-amz-target", target).body(r#"{"service":"web","desiredCount":3}"#);
    let refused = unsigned.send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(refused.headers().contains_key("x-amzn-requestid"));
    assert!(refused.text().await.unwrap().contains("MissingAuthenticationToken"));
    assert!(world.effects().await.is_empty());
}

#[tokio::test]
async fn a_registered_definition_says_by_its_image_what_becomes_of_it() {
    use aws_sdk_ecs::types::ContainerDefinition;
    let world = world(&["ecs.throttle:once", "sts.expired:once"]).await;
    let client = client(&world).await;
    let expired = client.list_services().cluster("acme").send().await.unwrap_err();
    assert_eq!(expired.into_service_error().code(), Some("ExpiredToken"));
    let throttled = client.list_services().cluster("acme").send().await.unwrap_err();
    assert_eq!(throttled.into_service_error().code(), Some("ThrottlingException"));
    let container = ContainerDefinition::builder().name("app").image("registry.example/shop:broken").build();
    let made = client.register_task_definition().family("web").container_definitions(container).send().await.unwrap();
    assert_eq!(made.task_definition().unwrap().revision(), 43);
    client.update_service().cluster("acme").service("web").task_definition("web:43").send().await.unwrap();
    until("failures", || web(&client), |it| it.deployments().iter().any(|it| it.failed_tasks() > 0)).await;
    let scaled = client
        .update_service()
        .cluster("acme")
        .service("worker")
        .desired_count(2)
        .send()
        .await
        .unwrap()
        .service
        .unwrap();
    assert_eq!(scaled.deployments().len(), 1, "a count alone is no deployment");
    assert_eq!(primary(&scaled).rollout_state(), Some(&DeploymentRolloutState::Completed));
    until("workers", || service(&client, "worker"), |it| it.running_count() == 2).await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = world(&[]).await;
    let client = client(&world).await;
    client.update_service().cluster("acme").service("worker").desired_count(130).send().await.unwrap();
    let all = || async {
        let (mut arns, mut pages, mut token) = (Vec::new(), 0, None);
        loop {
            let page =
                client.list_tasks().cluster("acme").service_name("worker").set_next_token(token).send().await.unwrap();
            assert!(page.task_arns().len() <= 100);
            arns.extend_from_slice(page.task_arns());
            pages += 1;
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return (arns, pages);
            }
        }
    };
    let (arns, pages) = until("130 tasks", all, |(arns, _)| arns.len() == 130).await;
    assert_eq!(pages, 2);
    assert_eq!(arns.iter().collect::<std::collections::BTreeSet<_>>().len(), 130, "none twice");
    let too_many = client.describe_tasks().cluster("acme").set_tasks(Some(arns)).send().await.unwrap_err();
    assert!(too_many.into_service_error().is_invalid_parameter_exception());
    let page = client.list_services().cluster("acme").max_results(1).send().await.unwrap();
    let rest = client.list_services().cluster("acme").set_next_token(page.next_token.clone()).send().await.unwrap();
    assert_eq!((page.service_arns().len(), rest.service_arns().len(), rest.next_token()), (1, 1, None));
    let bad = client.list_tasks().cluster("acme").next_token("nonsense").send().await.unwrap_err();
    assert!(bad.into_service_error().is_invalid_parameter_exception());
    let bad = client.list_tasks().cluster("acme").started_by("x").family("web").send().await.unwrap_err();
    assert!(bad.into_service_error().is_invalid_parameter_exception());
    let names = (0..11).map(|n| format!("s{n}")).collect();
    let bad = client.describe_services().cluster("acme").set_services(Some(names)).send().await.unwrap_err();
    assert!(bad.into_service_error().is_invalid_parameter_exception());
}

#[tokio::test]
async fn definitions_are_registered_whole_listed_and_deregistered() {
    use aws_sdk_ecs::types::{SortOrder, TaskDefinitionField, TaskDefinitionStatus};
    let world = world(&[]).await;
    let client = client(&world).await;
    let families = |status: TaskDefinitionStatus| {
        client.list_task_definitions().family_prefix("web").status(status).sort(SortOrder::Desc).send()
    };
    let said = client.describe_task_definition().task_definition("web").include(TaskDefinitionField::Tags).send();
    let said = said.await.unwrap();
    let web = said.task_definition().unwrap();
    assert_eq!((web.revision(), said.tags()[0].key()), (42, Some("team")));
    assert_eq!(web.container_definitions()[0].log_configuration().unwrap().log_driver().as_str(), "awslogs");
    let listed = families(TaskDefinitionStatus::Active).await.unwrap();
    assert!(listed.task_definition_arns()[0].ends_with("web:42"), "the newest first: {listed:?}");
    let unfit = client.deregister_task_definition().task_definition("web").send().await.unwrap_err();
    assert!(unfit.into_service_error().is_client_exception(), "a revision has to be named");
    let gone = client.deregister_task_definition().task_definition("web:42").send().await.unwrap();
    assert_eq!(gone.task_definition().unwrap().status(), Some(&TaskDefinitionStatus::Inactive));
    assert_eq!(families(TaskDefinitionStatus::Active).await.unwrap().task_definition_arns().len(), 1);
    assert_eq!(families(TaskDefinitionStatus::Inactive).await.unwrap().task_definition_arns().len(), 1);
    let newest = client.describe_task_definition().task_definition("web").send().await.unwrap();
    assert_eq!(newest.task_definition().unwrap().revision(), 41, "a family is its newest active revision");
    for refused in [
        client.update_service().cluster("acme").service("web").task_definition("web:42").send().await.is_err(),
        client.run_task().cluster("acme").task_definition("web:42").send().await.is_err(),
    ] {
        assert!(refused, "what is INACTIVE starts nothing");
    }
    let container = web.container_definitions()[0].clone();
    let bad =
        client.register_task_definition().family("web").container_definitions(container).send().await.unwrap_err();
    assert!(bad.into_service_error().is_client_exception(), "its volume is missing");
}

//! Scripted faults that no other file here looks at, and the tail of a switch as the visitors see it.

use std::time::{Duration, Instant};

use aws_sdk_ecs::types::DesiredStatus;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecord, ResourceRecordSet, RrType,
};
use gonogo::sandbox::{FAULTS, Fault, Sandbox};
use serde_json::{Value, json};

use super::{aws, http, until, world};

/// Points the host to the new origin and returns the change's id.
async fn switch(world: &Sandbox, client: &aws_sdk_route53::Client) -> String {
    let value = ResourceRecord::builder().value(&world.endpoints().new_target).build().unwrap();
    let set =
        ResourceRecordSet::builder().name("shop.acme.example").r#type(RrType::Cname).ttl(5).resource_records(value);
    let change =
        Change::builder().action(ChangeAction::Upsert).resource_record_set(set.build().unwrap()).build().unwrap();
    let batch = ChangeBatch::builder().changes(change).build().unwrap();
    let done =
        client.change_resource_record_sets().hosted_zone_id("Z0SANDBOX").change_batch(batch).send().await.unwrap();
    done.change_info.unwrap().id
}

#[test]
fn every_fault_can_be_asked_for() {
    for (name, what) in FAULTS {
        assert_eq!(name.parse::<Fault>().unwrap().operation(), *name);
        assert!(what.len() > 20, "{name}: {what}");
    }
}

#[tokio::test]
async fn a_slow_insync_stays_pending() {
    let world = world(&["route53.insync:once"]).await;
    let client = aws_sdk_route53::Client::new(&aws(world.endpoints()).await);
    let id = switch(&world, &client).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let status = client.get_change().id(&id).send().await.unwrap().change_info.unwrap().status;
    assert_eq!(status, ChangeStatus::Pending);
}

#[tokio::test]
async fn a_deployment_without_its_image_and_dynos_that_linger() {
    let world = world(&["ecs.deploy-pull:once", "heroku.slow_dynos:once"]).await;
    let scaled = http().patch(format!("{}/apps/acme-shop/formation/worker", world.endpoints().heroku));
    let scaled = scaled.header("accept", "application/vnd.heroku+json; version=3").bearer_auth("sandbox-key");
    assert!(scaled.json(&json!({ "quantity": 0 })).send().await.unwrap().status().is_success());
    let client = aws_sdk_ecs::Client::new(&aws(world.endpoints()).await);
    client.update_service().cluster("acme").service("web").task_definition("web:42").send().await.unwrap();
    let stopped = || async {
        let listed = client
            .list_tasks()
            .cluster("acme")
            .family("web")
            .desired_status(DesiredStatus::Stopped)
            .send()
            .await
            .unwrap();
        listed.task_arns().len()
    };
    until("three failures", stopped, |it| *it >= 3).await;
    let dynos = http().get(format!("{}/apps/acme-shop/dynos", world.endpoints().heroku));
    let dynos = dynos.header("accept", "application/vnd.heroku+json; version=3").bearer_auth("sandbox-key");
    let dynos: Value = dynos.send().await.unwrap().json().await.unwrap();
    let down = dynos.as_array().unwrap().iter().filter(|it| it["type"] == "worker" && it["state"] == "down").count();
    assert_eq!(down, 2, "3 s later both are still there");
}

#[tokio::test]
async fn visitors_move_when_their_resolver_lets_them() {
    let world = world(&[]).await;
    let client = aws_sdk_route53::Client::new(&aws(world.endpoints()).await);
    let share = || super::query::newest(&world, "OldOriginShare");
    let start = Instant::now();
    until("old", share, |it| *it == Some(100.0)).await;
    switch(&world, &client).await;
    loop {
        let share = share().await;
        if share == Some(0.0) {
            break;
        }
        // INSYNC, 20 s of the old TTL, and the delay of the numbers.
        assert!(start.elapsed() < Duration::from_secs(35), "the tail does not end: {share:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

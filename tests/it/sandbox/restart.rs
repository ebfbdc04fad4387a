//! A killed world goes on: dropping it is what a kill is to it, nothing is written on the way out.

use std::{fs, path::Path, time::Duration};

use aws_sdk_ecs::types::DeploymentRolloutState;
use gonogo::sandbox::{Config, Fault, Sandbox, StartError, WorldNames};
use serde_json::Value;

use super::{aws, until};

async fn start(dir: &Path, faults: &[&str]) -> Sandbox {
    begin(dir, Some(faults.iter().map(|fault| fault.parse().unwrap()).collect())).await
}

async fn begin(dir: &Path, faults: Option<Vec<Fault>>) -> Sandbox {
    let config = Config { seed: 3, faults, state_dir: Some(dir.to_owned()), ..Config::default() };
    Sandbox::start(config).await.unwrap()
}

fn effects(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("effects.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_deployment_goes_on_while_nobody_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let world = start(dir.path(), &["ecs.run_task:once"]).await;
    let client = aws_sdk_ecs::Client::new(&aws(world.endpoints()).await);
    let run = client.run_task().cluster("acme").task_definition("migrate").client_token("t").send().await.unwrap();
    assert_eq!(run.failures().len(), 1);
    let run = client.run_task().cluster("acme").task_definition("migrate").client_token("t").send().await.unwrap();
    let arn = run.tasks()[0].task_arn().unwrap().to_owned();
    client.update_service().cluster("acme").service("web").task_definition("web:42").send().await.unwrap();
    assert_eq!(effects(dir.path()).len(), 2, "the file has it before the answer is out");
    drop(world);
    tokio::time::sleep(Duration::from_millis(4500)).await;

    let world = start(dir.path(), &["ecs.run_task:once"]).await;
    let client = aws_sdk_ecs::Client::new(&aws(world.endpoints()).await);
    let said = client.describe_services().cluster("acme").services("web").send().await.unwrap();
    let deployment = &said.services()[0].deployments()[0];
    assert_eq!(deployment.rollout_state(), Some(&DeploymentRolloutState::Completed), "{deployment:?}");
    assert!(deployment.task_definition().unwrap().ends_with("web:42"));
    let again = client.run_task().cluster("acme").task_definition("migrate").client_token("t").send().await.unwrap();
    assert_eq!(again.tasks()[0].task_arn(), Some(arn.as_str()), "the token is remembered, the fault used up");
    assert_eq!(again.tasks()[0].last_status(), Some("STOPPED"));
    let done: Vec<_> = effects(dir.path()).iter().map(|it| it["operation"].as_str().unwrap().to_owned()).collect();
    assert_eq!(done, ["RunTask", "UpdateService"]);
    world.stop().await;
}

/// Whether a request to run a task fails, as the fault has it.
async fn strikes(world: &Sandbox) -> bool {
    let client = aws_sdk_ecs::Client::new(&aws(world.endpoints()).await);
    !client.run_task().cluster("acme").task_definition("migrate").send().await.unwrap().failures().is_empty()
}

#[tokio::test]
async fn a_world_that_goes_on_has_its_own_faults() {
    let dir = tempfile::tempdir().unwrap();
    let world = start(dir.path(), &["ecs.run_task:2"]).await;
    assert!(strikes(&world).await);
    drop(world);
    let world = begin(dir.path(), None).await;
    assert_eq!([strikes(&world).await, strikes(&world).await], [true, false], "one was left");
    drop(world);
    let world = start(dir.path(), &["ecs.run_task:always"]).await;
    assert!(!strikes(&world).await, "one that was there keeps what is left of it");
    drop(world);
    let world = start(dir.path(), &[]).await;
    drop(world);
    let world = start(dir.path(), &["ecs.run_task:once"]).await;
    assert!(strikes(&world).await, "those that are asked for are armed");
}

#[tokio::test]
async fn a_torn_effect_is_mended_and_a_lost_one_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let world = start(dir.path(), &[]).await;
    let client = aws_sdk_ecs::Client::new(&aws(world.endpoints()).await);
    for count in [1, 2] {
        client.update_service().cluster("acme").service("worker").desired_count(count).send().await.unwrap();
    }
    drop(world);
    let path = dir.path().join("effects.jsonl");
    let whole = fs::read(&path).unwrap();
    // Killed within the second line, after the world had been replaced.
    fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let world = start(dir.path(), &[]).await;
    assert_eq!(fs::read(&path).unwrap(), whole);
    assert_eq!(world.effects().await.len(), 2);
    let said = aws_sdk_ecs::Client::new(&aws(world.endpoints()).await);
    let said = said.describe_services().cluster("acme").services("worker").send().await.unwrap();
    assert_eq!(said.services()[0].desired_count(), 2);
}

#[tokio::test]
async fn what_was_answered_is_there_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 1..=5_u64 {
        let world = start(dir.path(), &[]).await;
        let url = format!("http://{}/orders", world.endpoints().new_origin);
        let client = super::http();
        let mut orders = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let asked = client.post(&url).body("{}");
            orders.spawn(async move { asked.send().await.ok()?.json::<Value>().await.ok()?["id"].as_u64() });
        }
        // Killed in the middle, a little later every time.
        for _ in 0..round * 5 {
            answered.extend(orders.join_next().await.unwrap().unwrap());
        }
        drop(world);
        while let Some(order) = orders.join_next().await {
            answered.extend(order.unwrap());
        }
    }
    assert!(answered.len() >= 75, "{answered:?}");
    let world = start(dir.path(), &[]).await;
    let list = super::http().get(format!("http://{}/orders", world.endpoints().new_origin)).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let there: Vec<u64> = list["orders"].as_array().unwrap().iter().map(|it| it["id"].as_u64().unwrap()).collect();
    let effects = effects(dir.path());
    let counted: Vec<u64> = effects
        .iter()
        .map(|it| it["detail"].as_str().unwrap().strip_prefix("order ").unwrap().parse().unwrap())
        .collect();
    assert_eq!(counted, there, "one line for every order, and no other");
    assert!(answered.iter().all(|id| there.contains(id)), "{answered:?} {there:?}");
    let numbers: Vec<_> = effects.iter().map(|it| it["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=effects.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_world_that_cannot_be_saved_refuses_the_change() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("state");
    let world = start(&inner, &[]).await;
    let client = aws_sdk_ecs::Client::new(&aws(world.endpoints()).await);
    fs::remove_dir_all(&inner).unwrap();
    fs::write(&inner, "in the way").unwrap();
    let asked = client.update_service().cluster("acme").service("worker").desired_count(2).send().await.unwrap_err();
    assert_eq!(asked.raw_response().unwrap().status().as_u16(), 500);
    let said = client.describe_services().cluster("acme").services("worker").send().await.unwrap();
    assert_eq!(said.services()[0].desired_count(), 0, "what was not saved has not happened");
}

#[tokio::test]
async fn bad_beginnings_are_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let begin = |config| async { Sandbox::start(config).await.err().map(|e: StartError| e.to_string()).unwrap() };
    let said = begin(Config { state_dir: Some(file.join("state")), ..Config::default() }).await;
    assert!(said.starts_with("its state in ") && said.contains("cannot be used"), "{said}");
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("world.json"), "{").unwrap();
    let said = begin(Config { state_dir: Some(state), ..Config::default() }).await;
    assert!(said.contains("cannot be used") && said.contains("EOF"), "{said}");
    let names = WorldNames { host: "shop.other.example".into(), ..WorldNames::default() };
    let said = begin(Config { world: names, ..Config::default() }).await;
    assert_eq!(said, "bad host `shop.other.example`: it must lie in the domain");
    let changes = [("hostt".to_owned(), "x".to_owned())].into();
    assert!(
        WorldNames::with(&changes).unwrap_err().to_string().starts_with("unknown name `hostt`; known are account, app")
    );
    let changes =
        [("host".to_owned(), "shop.staging.acme.example".to_owned()), ("app".to_owned(), "s".to_owned())].into();
    let names = WorldNames::with(&changes).unwrap();
    assert_eq!((names.domain.as_str(), names.old_target.as_str()), ("staging.acme.example", "s.herokudns.example"));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_world() {
    let ids = |seed| async move {
        let world = Sandbox::start(Config { seed, ..Config::default() }).await.unwrap();
        let client = aws_sdk_ecs::Client::new(&aws(world.endpoints()).await);
        let run = client.run_task().cluster("acme").task_definition("migrate").send().await.unwrap();
        let listed = || async {
            client.list_tasks().cluster("acme").service_name("web").send().await.unwrap().task_arns().to_vec()
        };
        let tasks = until("tasks", listed, |it| !it.is_empty()).await;
        (run.tasks()[0].task_arn().unwrap().to_owned(), tasks)
    };
    assert_eq!(ids(1).await, ids(1).await);
    assert_ne!(ids(1).await, ids(2).await);
}

//! `ecs.steady`.

use gonogo::base::Class;
use serde_json::{Value as Json, json};

use super::{
    aws::{Answer, Proxy, Spoil, at, check, minute, mistakes, nobody, play},
    ends::{Case, End, aws, contract},
};
use crate::moto;

const KIND: &str = "ecs.steady";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let (mut cluster, n) = ("acme".to_owned(), fastrand::u32(..));
    if end == End::Moto {
        cluster = format!("acme-{n}");
        moto::cluster(&cluster, &format!("web-{n}")).await;
    }
    let text = format!("cluster = \"{cluster}\"\nservice = \"web\"");
    let bad = ("cluster = 'c'\nservice = 's'\nimage_digest = 'v1'", "'v1'");
    Case::aws(&there, &text, bad).not_so(format!("{text}\ndesired = 9"))
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

#[tokio::test]
async fn it_reads_moto_and_changes_nothing() {
    let cluster = format!("c-{}", fastrand::u32(..));
    let family = format!("web-{}", fastrand::u32(..));
    moto::cluster(&cluster, &family).await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let look = async |rest: &str| {
        let text = format!("cluster = \"{cluster}\"\nservice = \"web\"\n{rest}");
        check(KIND, &text, &at(&proxy.endpoint)).check(&minute()).await
    };
    let seen = look("").await.unwrap();
    assert_eq!((seen.value, seen.evidence["running"].as_i64()), (Some(2.0), Some(2)));
    look(&format!("task_definition = \"{family}\"\ndesired = 2")).await.unwrap();
    look(&format!("task_definition = \"{family}:1\"")).await.unwrap();
    for other in [
        "desired = 3".to_owned(),
        format!("task_definition = \"{family}:2\""),
        format!("image_digest = \"sha256:{family}\""),
    ] {
        assert_eq!(look(&other).await.unwrap_err().class, Class::NotYet, "{other}");
    }
    assert_eq!(proxy.changes(), 0);
}

fn service(desired: i32, running: i32, pending: i32, rollout: &str, old: i32) -> Json {
    let primary = json!({ "status": "PRIMARY", "taskDefinition": "web:1", "desiredCount": desired, "runningCount": running, "pendingCount": pending, "rolloutState": rollout });
    let active = json!({ "status": "ACTIVE", "taskDefinition": "web:0", "runningCount": old });
    json!({ "status": "ACTIVE", "taskDefinition": "web:1", "desiredCount": desired, "runningCount": running, "pendingCount": pending,
        "deployments": [primary, active], "events": [{ "message": "unable to place a task" }] })
}

async fn look(service: Json, rest: &str) -> Result<gonogo::plan::Seen, gonogo::base::Failure> {
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "DescribeServices" => Answer::json(json!({ "services": [service], "failures": [] })),
        // The second page has the task that runs another image.
        "ListTasks" if asked.body.contains("nextToken") => Answer::json(json!({ "taskArns": ["t/2"] })),
        "ListTasks" => Answer::json(json!({ "taskArns": ["t/1"], "nextToken": "more" })),
        _ => Answer::json(json!({ "failures": [], "tasks": [
            { "taskArn": "t/1", "containers": [{ "name": "a", "imageDigest": "sha256:new" }] },
            { "taskArn": "t/2", "containers": [{ "name": "a", "imageDigest": "sha256:old" }] }] })),
    })
    .await;
    check(KIND, &format!("cluster = \"c\"\nservice = \"web\"\n{rest}"), &at(&endpoint)).check(&minute()).await
}

#[tokio::test]
async fn what_moves_is_not_steady() {
    look(service(2, 2, 0, "COMPLETED", 0), "").await.unwrap();
    for (moving, why) in [
        (service(2, 1, 1, "COMPLETED", 0), "pending"),
        (service(2, 2, 0, "IN_PROGRESS", 0), "in progress"),
        (service(2, 2, 0, "COMPLETED", 1), "an old task left"),
        (service(0, 0, 0, "COMPLETED", 0), "nothing wanted is nothing healthy"),
    ] {
        let failure = look(moving, "").await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{why}: {failure:?}");
    }
    look(service(0, 0, 0, "COMPLETED", 0), "desired = 0").await.unwrap();
    let stuck = look(service(2, 0, 0, "IN_PROGRESS", 0), "").await.unwrap_err();
    assert_eq!(stuck.causes, ["newest event: unable to place a task"]);
    let image = look(service(2, 2, 0, "COMPLETED", 0), "image_digest = \"sha256:new\"").await.unwrap_err();
    assert_eq!(image.message, "1 of 2 tasks of web run another image; 2: sha256:old");
}

#[tokio::test]
async fn several_services_at_once() {
    let there = super::ends::aws_with(&[]).await;
    let services = super::aws::services(there.env.clone());
    let look = async |rest: &str| check(KIND, &format!("cluster = \"acme\"\n{rest}"), &services).check(&minute()).await;
    let failure = look("services = [\"web\", \"worker\"]").await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(failure.message.starts_with("worker: running 0 of 0"), "{failure}");
    let seen = look("services = [\"web\"]").await.unwrap();
    assert!(seen.line.starts_with("web is steady"), "{seen:?}");
    let failure = look("services = [\"web\", \"nope\"]").await.unwrap_err();
    assert_eq!((failure.class, failure.causes[0].as_str()), (Class::Misconfigured, "MISSING"));
    assert!(failure.message.contains("nope"), "{failure}");
    let wrong = look("service = \"web\"\nimage_digest = \"sha256:0\"").await.unwrap_err();
    let digest = wrong.message.rsplit(": ").next().unwrap().to_owned();
    look(&format!("service = \"web\"\nimage_digest = \"{digest}\"")).await.unwrap();
    assert_eq!(mistakes(KIND, "cluster = \"c\"\nservice = \"s\"\nservices = [\"t\"]")[0].0, "[\"t\"]");
    assert!(mistakes(KIND, "cluster = \"c\"")[0].1.contains("needs `service` or `services`"));
}

#[tokio::test]
async fn could_not_look_is_not_not_yet() {
    let text = "cluster = \"c\"\nservice = \"web\"";
    let failure = check(KIND, text, &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    let failure = check(KIND, text, &at(moto::endpoint())).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert_eq!(mistakes(KIND, "cluster = \"c\"\nservice = \"s\"\nimage_digest = \"v1\"")[0].0, "\"v1\"");
}

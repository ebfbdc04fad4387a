//! `ecs.run_task` against moto for the wire (moto ignores `clientToken`, ends a task only by being looked at, says
//! exit code 0 from the start, and lists no stopped tasks) and against a played ECS for the rest.

use std::time::Duration;

use gonogo::{
    base::Class,
    plan::{Doubt, Finding},
};
use serde_json::{Value as Json, json};

use super::{
    aws::{Answer, Asked, Proxy, Spoil, action, at, caller, cx, minute, mistakes, nobody, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "ecs.run_task";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let bad = ("cluster = 'c'\ntask_definition = 't'\ncount = 11", "11");
    let text = "cluster = 'acme'\ntask_definition = 'migrate'\ncommand = ['bin/rails', 'db:migrate']";
    Case::aws(&there, text, bad).mark(".RunTask")
}

// Not moto: it lists no stopped tasks and ignores `clientToken`, so that twice is twice there.
contract!(KIND, case; sandbox: Sandbox);

#[tokio::test]
async fn what_it_wrote_comes_with_its_end() {
    let there = aws_with(&[]).await;
    let run = async |command: &str| {
        let text = format!("cluster = 'acme'\ntask_definition = 'migrate'\ncommand = {command}");
        let step = action(KIND, &text, &services(there.env.clone()));
        let captured = step.capture(&minute()).await.unwrap();
        step.apply(&minute(), &captured).await
    };
    let (good, bad) = tokio::join!(run("['bin/rails', 'db:migrate']"), run("['sh', '-c', 'exit', '3']"));
    let done = good.unwrap();
    assert!(done.evidence["log"].to_string().contains("AddShippedAtToOrders"), "{done:?}");
    let failure = bad.unwrap_err();
    assert_eq!(failure.class, Class::Failed, "{failure:?}");
    assert!(failure.message.ends_with("app ended with exit code 3"), "{failure}");
    let causes = failure.causes.join("\n");
    assert!(causes.contains("last log lines of /ecs/migrate migrate/app/"), "{causes}");
    assert!(causes.contains("| PG::LockNotAvailable"), "{causes}");
}

#[test]
fn it_needs_the_definition_and_its_roles() {
    let needs = |definition: &str| {
        let text = format!("cluster = 'acme'\ntask_definition = '{definition}'");
        let step = action(KIND, &text, &at("http://127.0.0.1:9"));
        step.needs().into_iter().map(|need| format!("{} {}", need.action, need.resource)).collect::<Vec<_>>()
    };
    assert!(needs("mig").contains(&"ecs:RunTask arn:aws:ecs:*:*:task-definition/mig:*".to_owned()));
    assert!(needs("mig:3").contains(&"ecs:RunTask arn:aws:ecs:*:*:task-definition/mig:3".to_owned()));
    assert!(needs("mig").contains(&"iam:PassRole arn:aws:iam::*:role/*".to_owned()));
}

#[tokio::test]
async fn a_task_runs_to_its_end_on_moto() {
    let cluster = format!("c-{}", fastrand::u32(..));
    let family = format!("mig-{}", fastrand::u32(..));
    moto::ecs("CreateCluster", json!({ "clusterName": cluster })).await;
    moto::fargate(&family).await;
    let (subnet, group) = moto::network().await;
    let text = format!(
        "cluster = \"{cluster}\"\ntask_definition = \"{family}\"\ncommand = [\"rake\", \"db:migrate\"]\nlaunch_type = \"FARGATE\"\n\
         network = {{ subnets = [\"{subnet}\"], security_groups = [\"{group}\"] }}"
    );
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let step = action(KIND, &text, &at(&proxy.endpoint));
    let cx = minute();
    let captured = step.capture(&cx).await.unwrap();
    assert_eq!((proxy.changes(), captured["container"].as_str()), (0, Some("web")));
    let done = step.apply(&cx, &captured).await.unwrap();
    assert_eq!(done.line, format!("1 task of {family}:1 ended with exit code 0"));
    assert_eq!((proxy.changes(), proxy.count(&cx.token) > 0), (1, true));
    assert!(proxy.count(r#""startedBy":"gonogo-"#) >= 1);
    assert!(!step.restorable() && step.doubt() == Doubt::Token);
}

#[tokio::test]
async fn sent_again_with_the_same_token_it_waits_for_the_same_task() {
    let story = std::sync::atomic::AtomicUsize::new(0);
    let (proxy, step) = played(move |asked| {
        let ran = story.load(std::sync::atomic::Ordering::SeqCst);
        match asked.operation.as_str() {
            "RunTask" => {
                story.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Answer::json(
                    json!({ "tasks": [task("PROVISIONING", None, "", &body(asked)["startedBy"])], "failures": [] }),
                )
            }
            "ListTasks" if ran > 0 && body(asked)["startedBy"].is_string() => {
                Answer::json(json!({ "taskArns": ["arn:aws:ecs:eu-west-1:1:task/acme/t1"] }))
            }
            "ListTasks" => Answer::json(json!({ "taskArns": [] })),
            _ => Answer::json(
                json!({ "tasks": [task("STOPPED", Some(0), "EssentialContainerExited", &Json::Null)], "failures": [] }),
            ),
        }
    })
    .await;
    let cx = minute();
    let captured = step.capture(&cx).await.unwrap();
    step.apply(&cx, &captured).await.unwrap();
    step.apply(&cx, &captured).await.unwrap();
    assert_eq!(proxy.changes(), 1, "twice equals once");
    assert!(matches!(step.probe(&cx, &captured, false).await.unwrap(), Finding::Done(_)));
}

fn body(asked: &Asked) -> Json {
    serde_json::from_str(&asked.body).unwrap()
}

fn task(status: &str, code: Option<i32>, stop: &str, started_by: &Json) -> Json {
    json!({
        "taskArn": "arn:aws:ecs:eu-west-1:1:task/acme/t1", "lastStatus": status, "startedBy": started_by,
        "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/mig:1", "stopCode": stop, "stoppedReason": "the reason",
        "containers": [{ "name": "app", "exitCode": code, "reason": "its reason" }, { "name": "sidecar", "exitCode": code.map(|_| 137) }]
    })
}

/// A played ECS behind a counting proxy; the container that counts is `app`.
async fn played<F>(script: F) -> (Proxy, std::sync::Arc<dyn gonogo::plan::Action>)
where
    F: Fn(&Asked) -> Answer + Send + Sync + 'static,
{
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "DescribeTaskDefinition" => Answer::json(json!({ "taskDefinition": {
            "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/mig:1", "family": "mig", "status": "ACTIVE",
            "containerDefinitions": [{ "name": "app" }, { "name": "sidecar" }] } })),
        "GetCallerIdentity" => caller("111122223333"),
        _ => script(asked),
    })
    .await;
    let proxy = Proxy::new(&endpoint, "", Spoil::Nothing).await;
    let text = "cluster = \"acme\"\ntask_definition = \"mig\"\ncontainer = \"app\"";
    let step = action(KIND, text, &at(&proxy.endpoint));
    (proxy, step)
}

/// One task whose last look is as given.
async fn ended(code: Option<i32>, stop: &'static str) -> Result<gonogo::plan::Done, gonogo::base::Failure> {
    let (_proxy, step) = played(move |asked| match asked.operation.as_str() {
        "ListTasks" => Answer::json(json!({ "taskArns": [] })),
        "RunTask" => Answer::json(json!({ "tasks": [task("PENDING", None, "", &Json::Null)], "failures": [] })),
        _ => Answer::json(json!({ "tasks": [task("STOPPED", code, stop, &Json::Null)], "failures": [] })),
    })
    .await;
    let captured = step.capture(&minute()).await.unwrap();
    step.apply(&minute(), &captured).await
}

#[tokio::test]
async fn exit_codes_are_judged_by_the_container_that_counts() {
    ended(Some(0), "EssentialContainerExited").await.unwrap();
    let failed = ended(Some(2), "EssentialContainerExited").await.unwrap_err();
    assert_eq!(
        (failed.class, failed.message.as_str()),
        (Class::Failed, "the task of mig:1 failed: app ended with exit code 2")
    );
    assert!(failed.causes.iter().any(|line| line.contains("the reason")), "{failed:?}");
    let never = ended(None, "TaskFailedToStart").await.unwrap_err();
    assert_eq!(never.class, Class::FailedNothingDone, "{never:?}");
    let stopped = ended(None, "UserInitiated").await.unwrap_err();
    assert_eq!(stopped.class, Class::Failed, "{stopped:?}");
}

/// ECS answers the same token with the same task: what ended must not be waited for again by the next retry.
#[tokio::test]
async fn a_task_that_is_found_again_has_an_end_that_is_known() {
    for (code, stop) in [(None, "TaskFailedToStart"), (Some(2), "EssentialContainerExited")] {
        let (proxy, step) = played(move |asked| match asked.operation.as_str() {
            "ListTasks" => Answer::json(json!({ "taskArns": ["arn:aws:ecs:eu-west-1:1:task/acme/t1"] })),
            _ => {
                let by = json!("gonogo-again");
                Answer::json(json!({ "tasks": [task("STOPPED", code, stop, &by)], "failures": [] }))
            }
        })
        .await;
        let again = gonogo::plan::Cx { token: "again".into(), again: true, ..minute() };
        let captured = step.capture(&again).await.unwrap();
        let failure = step.apply(&again, &captured).await.unwrap_err();
        assert_eq!((failure.class, proxy.changes()), (Class::Failed, 0), "{failure:?}");
    }
}

#[tokio::test]
async fn no_capacity_has_done_nothing_and_a_long_task_is_unknown() {
    let (_proxy, step) = played(|asked| match asked.operation.as_str() {
        "ListTasks" => Answer::json(json!({ "taskArns": [] })),
        _ => Answer::json(json!({ "tasks": [], "failures": [{ "reason": "Capacity is unavailable at this time." }] })),
    })
    .await;
    let captured = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.causes[0].as_str()),
        (Class::FailedNothingDone, "Capacity is unavailable at this time.")
    );
    let Finding::Unclear { .. } = step.probe(&minute(), &captured, false).await.unwrap() else {
        panic!("no task is listed")
    };

    let (_proxy, step) = played(|asked| match asked.operation.as_str() {
        "ListTasks" => Answer::json(json!({ "taskArns": [] })),
        _ => Answer::json(json!({ "tasks": [task("RUNNING", None, "", &Json::Null)], "failures": [] })),
    })
    .await;
    let captured = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&cx(Duration::from_secs(3)), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Unknown);
    assert!(failure.message.contains("while the task was running"), "{failure}");
}

#[tokio::test]
async fn a_container_has_to_exist_and_a_refused_connection_has_done_nothing() {
    let endpoint = moto::endpoint();
    let cluster = format!("c-{}", fastrand::u32(..));
    let family = format!("mig-{}", fastrand::u32(..));
    moto::cluster(&cluster, &family).await;
    let base = format!("cluster = \"{cluster}\"\ntask_definition = \"{family}\"\n");
    let failure =
        action(KIND, &format!("{base}container = \"none\""), &at(endpoint)).capture(&minute()).await.unwrap_err();
    assert_eq!((failure.class, failure.causes[0].as_str()), (Class::Misconfigured, "its containers: web"));
    let captured = action(KIND, &base, &at(endpoint)).capture(&minute()).await.unwrap();
    let failure = action(KIND, &base, &at(&nobody().await)).apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    for (spoil, words) in [(Spoil::Swallow, "timed out"), (Spoil::HangUp, "the connection broke")] {
        let proxy = Proxy::new(endpoint, ".RunTask", spoil).await;
        let lost = action(KIND, &base, &at(&proxy.endpoint)).apply(&cx(Duration::from_secs(3)), &captured).await;
        let failure = lost.unwrap_err();
        assert_eq!((failure.class, proxy.changes()), (Class::Unknown, 1), "{failure:?}");
        assert!(failure.message.contains(words), "{failure}");
    }
}

#[test]
fn mistakes_point_at_their_place() {
    let base = "cluster = \"c\"\ntask_definition = \"t\"\n";
    let at = |rest: &str| mistakes(KIND, &format!("{base}{rest}"));
    assert_eq!(at("count = 11")[0].0, "11");
    assert_eq!(at("count = 0")[0].0, "0");
    assert_eq!(at("launch_type = \"fargate\"")[0].0, "\"fargate\"");
    assert_eq!(at("network = { subnet = [\"a\"] }")[0].0, "subnet");
    assert_eq!(at("network = []")[0].0, "[]");
}

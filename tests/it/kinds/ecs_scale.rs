//! `ecs.scale` against the sandbox and moto, and against a played ECS for tasks that take their time to go.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use gonogo::{base::Class, plan::Finding};
use serde_json::json;

use super::{
    aws::{Answer, Heard, action, at, cx, cx_heard, minute, mistakes, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "ecs.scale";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let bad = ("cluster = 'c'\nservice = 's'\ndesired = 6000", "6000");
    let (mut cluster, mut service) = ("acme".to_owned(), "worker");
    if end == End::Moto {
        (cluster, service) = (format!("c-{}", fastrand::u32(..)), "web");
        moto::cluster(&cluster, &format!("web-{}", fastrand::u32(..))).await;
    }
    let text = format!("cluster = '{cluster}'\nservice = '{service}'\ndesired = 3");
    Case::aws(&there, text, bad).mark(".UpdateService")
}

// moto has no tasks behind a service and runs as many as it is asked for at once: it shows the wire, not the waiting.
contract!(KIND, case; sandbox: Sandbox, moto: Moto);

/// A service of which `running` tasks are counted, and tasks that are listed as running and as stopping.
fn played(
    story: impl Fn(usize) -> (i32, i32, usize, usize) + Send + Sync + 'static,
) -> impl Fn(&super::aws::Asked) -> Answer + Send + Sync + 'static {
    let (sent, looks) = (AtomicUsize::new(0), AtomicUsize::new(0));
    move |asked| {
        let (desired, running, listed, stopping) = match sent.load(Ordering::SeqCst) {
            0 => (2, 2, 2, 0),
            _ => story(looks.load(Ordering::SeqCst)),
        };
        let arns =
            |n: usize, of: &str| (0..n).map(|n| format!("arn:aws:ecs:eu-west-1:1:task/c/{of}{n}")).collect::<Vec<_>>();
        let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap_or_default();
        match asked.operation.as_str() {
            "UpdateService" => {
                sent.fetch_add(1, Ordering::SeqCst);
                Answer::json(json!({ "service": { "status": "ACTIVE" } }))
            }
            "DescribeServices" => {
                if sent.load(Ordering::SeqCst) > 0 {
                    looks.fetch_add(1, Ordering::SeqCst);
                }
                Answer::json(json!({ "failures": [], "services": [{ "serviceName": "worker", "status": "ACTIVE",
                    "desiredCount": desired, "runningCount": running, "pendingCount": 0 }] }))
            }
            "ListTasks" if body["desiredStatus"] == "STOPPED" => {
                Answer::json(json!({ "taskArns": arns(stopping, "s") }))
            }
            "ListTasks" => Answer::json(json!({ "taskArns": arns(listed, "r") })),
            "DescribeTasks" => {
                let tasks = body["tasks"].as_array().unwrap().iter();
                let told = tasks.map(|arn| {
                    let status = if arn.as_str().unwrap().contains("/s") { "DEACTIVATING" } else { "RUNNING" };
                    json!({ "taskArn": arn, "lastStatus": status })
                });
                Answer::json(json!({ "failures": [], "tasks": told.collect::<Vec<_>>() }))
            }
            "DescribeScalingActivities" => Answer::json(json!({ "ScalingActivities": [] })),
            other => panic!("asked {other}"),
        }
    }
}

#[tokio::test]
async fn a_task_that_still_drains_is_not_gone() {
    let endpoint = play(played(|look| match look {
        0..=2 => (0, 0, 0, 1),
        _ => (0, 0, 0, 0),
    }))
    .await;
    let step = action(KIND, "cluster = 'c'\nservice = 'worker'\ndesired = 0", &at(&endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    let heard = std::sync::Arc::new(Heard::default());
    let done = step.apply(&cx_heard(Duration::from_secs(20), heard.clone()), &captured).await.unwrap();
    assert_eq!(done.line, "scaled: worker 0 of 0 running");
    assert!(heard.lines().iter().any(|line| line == "0 running, 1 task is still stopping"), "{:?}", heard.lines());
}

#[tokio::test]
async fn a_count_that_somebody_else_changes_is_named() {
    let endpoint = play(played(|look| if look < 2 { (5, 3, 3, 0) } else { (4, 4, 4, 0) })).await;
    let step = action(KIND, "cluster = 'c'\nservice = 'worker'\ndesired = 5", &at(&endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&cx(Duration::from_secs(30)), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Failed, "{failure:?}");
    assert_eq!(
        failure.message,
        "worker shall have 5 tasks, but the count was changed to 4 by somebody else while we waited"
    );
    assert!(failure.causes[0].contains("it was a person or a program"), "{failure:?}");
    let failure = step.restore(&cx(Duration::from_secs(30)), &captured).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (Class::Refused, "somebody else changed the count of worker to 4")
    );
    assert!(matches!(step.probe(&minute(), &captured, false).await.unwrap(), Finding::Unclear { .. }));
}

#[tokio::test]
async fn autoscaling_in_the_sandbox_is_named() {
    let there = aws_with(&["ecs.autoscaler:once"]).await;
    let step = action(KIND, "cluster = 'acme'\nservice = 'web'\ndesired = 4", &services(there.env.clone()));
    let captured = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Failed, "{failure:?}");
    assert!(failure.message.ends_with("it was autoscaling"), "{failure}");
    assert!(failure.causes[0].starts_with("autoscaling: Setting desired count to 1."), "{failure:?}");
    assert!(failure.hint.unwrap().contains("--resource-id service/acme/web"));
}

#[test]
fn mistakes_point_at_their_place() {
    assert!(mistakes(KIND, "cluster = 'c'\nservice = 's'")[0].1.contains("needs `desired`"));
    assert_eq!(mistakes(KIND, "cluster = 'c'\nservice = 's'\ndesired = -1")[0].0, "-1");
}

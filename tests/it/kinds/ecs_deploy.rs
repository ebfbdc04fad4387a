//! `ecs.deploy` against moto for the wire and against a played ECS for what moto cannot show: moto's
//! deployments are `COMPLETED` at once, their own counts stay 0, and there are no tasks behind a service.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gonogo::{
    base::Class,
    plan::{Doubt, Finding},
};
use serde_json::{Value as Json, json};

use super::{
    aws::{Answer, Asked, Heard, Proxy, Spoil, action, at, caller, cx, cx_heard, minute, mistakes, nobody, play},
    ends::{Case, End, aws, contract},
};
use crate::moto;

const KIND: &str = "ecs.deploy";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let bad = ("cluster = 'c'\nservice = 's'\ntask_definition = 't'\ndesired = 6000", "6000");
    let (mut cluster, mut family) = ("acme".to_owned(), "web".to_owned());
    if end == End::Moto {
        (cluster, family) = (unique("c"), unique("web"));
        moto::cluster(&cluster, &family).await;
    }
    Case::aws(&there, params(&cluster, &family, "desired = 3"), bad).mark(".UpdateService")
}

// moto's deployments are COMPLETED at once and its counts are those asked for: it shows the wire, not the waiting.
contract!(KIND, case; sandbox: Sandbox, moto: Moto);

fn params(cluster: &str, definition: &str, rest: &str) -> String {
    format!("cluster = \"{cluster}\"\nservice = \"web\"\ntask_definition = \"{definition}\"\n{rest}")
}

async fn described(cluster: &str) -> Json {
    let answer = moto::ecs("DescribeServices", json!({ "cluster": cluster, "services": ["web"] })).await;
    let service = &answer["services"][0];
    json!({ "task_definition": service["taskDefinition"], "desired": service["desiredCount"], "running": service["runningCount"] })
}

fn unique(name: &str) -> String {
    format!("{name}-{}", fastrand::u32(..))
}

#[tokio::test]
async fn there_twice_and_back_against_moto() {
    let (cluster, family) = (unique("c"), unique("web"));
    moto::cluster(&cluster, &family).await;
    let before = described(&cluster).await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let step = action(KIND, &params(&cluster, &family, "desired = 3"), &at(&proxy.endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    assert_eq!(proxy.changes(), 0, "a capture only reads");
    assert!(
        captured["after"]["task_definition"].as_str().unwrap().ends_with(&format!("{family}:2")),
        "the newest: {captured}"
    );

    let done = step.apply(&minute(), &captured).await.unwrap();
    let now = described(&cluster).await;
    assert!(now["task_definition"].as_str().unwrap().ends_with(":2") && now["desired"] == 3, "{now}");
    assert_eq!(done.evidence["desired"], 3);
    step.apply(&minute(), &captured).await.unwrap();
    assert_eq!(proxy.changes(), 1, "twice equals once");
    assert!(matches!(step.probe(&minute(), &captured, false).await.unwrap(), Finding::Done(_)));

    step.restore(&minute(), &captured).await.unwrap();
    step.restore(&minute(), &captured).await.unwrap();
    assert_eq!(proxy.changes(), 2);
    let after = described(&cluster).await;
    let short = |one: &Json| one["task_definition"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    // moto echoes what UpdateService was given, where AWS always gives the ARN.
    assert_eq!((short(&after), &after["desired"]), (short(&before), &before["desired"]));
    assert!(matches!(step.probe(&minute(), &captured, true).await.unwrap(), Finding::Done(_)));
    assert!(matches!(step.probe(&minute(), &captured, false).await.unwrap(), Finding::NotDone { .. }));
}

#[tokio::test]
async fn what_is_not_there_is_misconfigured() {
    let (cluster, family) = (unique("c"), unique("web"));
    moto::cluster(&cluster, &family).await;
    for text in [
        params(&cluster, "nosuch:9", ""),
        params("nosuch", &family, ""),
        params(&cluster, &family, "").replace("\"web\"", "\"none\""),
    ] {
        let failure = action(KIND, &text, &at(moto::endpoint())).capture(&minute()).await.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured, "{text}: {failure:?}");
    }
}

#[tokio::test]
async fn somebody_elses_deployment_is_not_overwritten() {
    let (cluster, family) = (unique("c"), unique("web"));
    moto::cluster(&cluster, &family).await;
    moto::definition(&family, "web:3").await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let step = action(KIND, &params(&cluster, &format!("{family}:2"), ""), &at(&proxy.endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    moto::ecs(
        "UpdateService",
        json!({ "cluster": cluster, "service": "web", "taskDefinition": format!("{family}:3") }),
    )
    .await;
    for failure in
        [step.apply(&minute(), &captured).await.unwrap_err(), step.restore(&minute(), &captured).await.unwrap_err()]
    {
        assert_eq!(failure.class, Class::Refused, "{failure:?}");
        assert!(failure.causes.iter().any(|line| line.contains(&format!("{family}:3"))), "{failure:?}");
    }
    assert_eq!(proxy.changes(), 0);
    assert!(matches!(step.probe(&minute(), &captured, false).await.unwrap(), Finding::Unclear { .. }));
}

#[tokio::test]
async fn lost_answers_are_unknown_and_unsent_ones_are_not() {
    let (cluster, family) = (unique("c"), unique("web"));
    moto::cluster(&cluster, &family).await;
    let text = params(&cluster, &format!("{family}:2"), "");
    let captured = action(KIND, &text, &at(moto::endpoint())).capture(&minute()).await.unwrap();
    let failure = action(KIND, &text, &at(&nobody().await)).apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    for (spoil, done) in [(Spoil::Swallow, false), (Spoil::LoseAnswer, true)] {
        let proxy = Proxy::new(moto::endpoint(), ".UpdateService", spoil).await;
        let failure =
            action(KIND, &text, &at(&proxy.endpoint)).apply(&cx(Duration::from_secs(3)), &captured).await.unwrap_err();
        assert_eq!((failure.class, proxy.changes()), (Class::Unknown, 1), "{failure:?}");
        let finding = action(KIND, &text, &at(moto::endpoint())).probe(&minute(), &captured, false).await.unwrap();
        assert_eq!(matches!(finding, Finding::Done(_)), done, "{finding:?}");
    }
}

/// An ECS whose deployments take their time; `story` gives the service after so many looks since the update.
fn ecs(updates: Arc<AtomicUsize>, story: fn(usize, usize) -> Json) -> impl Fn(&Asked) -> Answer + Send + Sync {
    let looks = Mutex::new(0);
    move |asked| {
        let before = service("web:1", "COMPLETED", 2, 2, "");
        match asked.operation.as_str() {
            "DescribeTaskDefinition" => Answer::json(json!({ "taskDefinition": {
                "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/web:2", "family": "web", "status": "ACTIVE",
                "containerDefinitions": [{ "name": "web" }] } })),
            "UpdateService" => {
                updates.fetch_add(1, Ordering::SeqCst);
                Answer::json(json!({ "service": story(0, 1) }))
            }
            "DescribeServices" if updates.load(Ordering::SeqCst) == 0 => {
                Answer::json(json!({ "services": [before], "failures": [] }))
            }
            "DescribeServices" => {
                let mut looks = looks.lock().unwrap();
                *looks += 1;
                Answer::json(json!({ "services": [story(*looks, updates.load(Ordering::SeqCst))], "failures": [] }))
            }
            "ListTasks" => Answer::json(json!({ "taskArns": ["arn:aws:ecs:eu-west-1:1:task/acme/t1"] })),
            "DescribeTasks" => Answer::json(json!({ "failures": [], "tasks": [{
                "taskArn": "arn:aws:ecs:eu-west-1:1:task/acme/t1", "lastStatus": "STOPPED",
                "taskDefinitionArn": "arn:aws:ecs:eu-west-1:1:task-definition/web:2", "stoppedReason": "Essential container in task exited",
                "containers": [{ "name": "web", "exitCode": 1, "reason": "boom" }] }] })),
            "GetCallerIdentity" => caller("111122223333"),
            "DescribeScalingActivities" => Answer::json(json!({ "ScalingActivities": [] })),
            other => panic!("asked {other}"),
        }
    }
}

fn service(definition: &str, rollout: &str, desired: i32, running: i32, reason: &str) -> Json {
    let definition = format!("arn:aws:ecs:eu-west-1:1:task-definition/{definition}");
    json!({
        "serviceName": "web", "status": "ACTIVE", "taskDefinition": definition,
        "desiredCount": desired, "runningCount": running, "pendingCount": 0,
        "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true, "rollback": true } },
        "events": [{ "id": "e", "message": "(service web) event" }],
        "deployments": [{ "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": definition, "desiredCount": desired,
            "runningCount": running, "pendingCount": 0, "failedTasks": 0, "rolloutState": rollout, "rolloutStateReason": reason }]
    })
}

async fn applied(
    rest: &str,
    story: fn(usize, usize) -> Json,
    time: Duration,
) -> (Result<gonogo::plan::Done, gonogo::base::Failure>, usize, Vec<String>) {
    let updates = Arc::new(AtomicUsize::new(0));
    let endpoint = play(ecs(updates.clone(), story)).await;
    let step = action(KIND, &params("acme", "web", rest), &at(&endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    let heard = Arc::new(Heard::default());
    let answer = step.apply(&cx_heard(time, heard.clone()), &captured).await;
    (answer, updates.load(Ordering::SeqCst), heard.lines())
}

#[tokio::test]
async fn it_waits_until_the_asked_definition_is_steady() {
    let (done, updates, heard) = applied(
        "",
        |look, _| match look {
            // The first look lags behind the update: as before, and yet no rollback.
            1 => service("web:1", "COMPLETED", 2, 2, ""),
            0 | 2 => service("web:2", "IN_PROGRESS", 2, 0, ""),
            // Counts agree before the rollout is complete.
            3 => service("web:2", "IN_PROGRESS", 2, 2, ""),
            _ => service("web:2", "COMPLETED", 2, 2, ""),
        },
        Duration::from_secs(30),
    )
    .await;
    assert_eq!(done.unwrap().line, "deployed: running 2 of 2 on web:2, completed");
    assert_eq!(updates, 1);
    assert!(heard.iter().any(|line| line.starts_with("running 0 of 2 on web:2")), "{heard:?}");
}

#[tokio::test]
async fn the_circuit_breakers_rollback_is_no_success() {
    let (answer, ..) = applied(
        "",
        |look, _| match look {
            0 | 1 => service("web:2", "IN_PROGRESS", 2, 0, ""),
            _ => service("web:1", "COMPLETED", 2, 2, ""),
        },
        Duration::from_secs(30),
    )
    .await;
    let failure = answer.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    assert_eq!(
        failure.message,
        "ECS's circuit breaker rolled it back; the service is as it was; web ended with exit code 1, boom"
    );
    let causes = failure.causes.join("\n");
    assert!(causes.contains("Essential container in task exited") && causes.contains("exit code 1, boom"), "{causes}");
    assert!(failure.hint.unwrap().contains("web:2"));
}

#[tokio::test]
async fn the_count_is_put_back_after_a_rollback() {
    let (answer, updates, _) = applied(
        "desired = 3",
        |look, updates| match (updates, look) {
            (1, 0..=2) => service("web:2", "IN_PROGRESS", 3, 0, ""),
            // As ECS does it: the old definition, the new count.
            (1, _) => service("web:1", "COMPLETED", 3, 3, ""),
            _ => service("web:1", "COMPLETED", 2, 2, ""),
        },
        Duration::from_secs(30),
    )
    .await;
    let failure = answer.unwrap_err();
    assert_eq!((failure.class, updates), (Class::FailedNothingDone, 2), "{failure:?}");
}

#[tokio::test]
async fn a_deployment_that_hangs_is_unknown_at_its_timeout() {
    let (answer, updates, _) =
        applied("", |_, _| service("web:2", "IN_PROGRESS", 2, 1, ""), Duration::from_secs(4)).await;
    let failure = answer.unwrap_err();
    assert_eq!((failure.class, updates), (Class::Unknown, 1));
    assert!(
        failure.message.starts_with("timed out while the deployment was under way: running 1 of 2 on web:2"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_third_definition_meanwhile_is_a_failure() {
    let (answer, ..) = applied("", |_, _| service("web:7", "IN_PROGRESS", 2, 1, ""), Duration::from_secs(20)).await;
    assert_eq!(answer.unwrap_err().class, Class::Failed);
}

#[tokio::test]
async fn errors_of_the_update_have_their_classes() {
    for (status, code, class) in [
        (500, "ServerException", Class::Unknown),
        (400, "InvalidParameterException", Class::Misconfigured),
        (400, "AccessDeniedException", Class::Denied),
        (400, "ExpiredTokenException", Class::Denied),
        (400, "ClientException", Class::Refused),
    ] {
        let played = ecs(Arc::default(), |_, _| json!({}));
        let endpoint = play(move |asked| match asked.operation.as_str() {
            "UpdateService" => Answer::json_error(status, code, "said so"),
            _ => played(asked),
        })
        .await;
        let step = action(KIND, &params("acme", "web", ""), &at(&endpoint));
        let captured = step.capture(&minute()).await.unwrap();
        let failure = step.apply(&cx(Duration::from_secs(10)), &captured).await.unwrap_err();
        assert_eq!(failure.class, class, "{failure:?}");
        assert!(failure.message.contains(code) && failure.message.contains("said so"), "{failure}");
        assert!(failure.causes[0].contains("req-1"), "{failure:?}");
    }
}

#[test]
fn mistakes_and_words() {
    let found =
        mistakes(KIND, "cluster = \"c\"\nservice = \"s\"\ntask_definition = \"t\"\ndesired = 6000\nforse = true");
    assert_eq!(found.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(), ["forse", "6000"]);
    let step = action(KIND, &params("acme", "web:2", "desired = 2"), &at("http://127.0.0.1:9"));
    assert_eq!(step.doubt(), Doubt::Desired);
    assert_eq!(step.does()[1], "ECS UpdateService acme/web: web:2, 2 tasks");
    let base = "cluster = \"c\"\nservice = \"s\"\n";
    let at_of = |rest: &str| mistakes(KIND, &format!("{base}{rest}"))[0].clone();
    assert!(at_of("").1.contains("nothing to deploy"));
    assert_eq!(at_of("image = \"a:1\"\nimages = { app = \"a:2\" }").0, "\"a:1\"");
    assert_eq!(at_of("desired = 1\ncontainer = \"app\"").0, "\"app\"");
    assert_eq!(at_of("image = \"\"").0, "\"\"");
    let images = action(KIND, &format!("{base}images = {{ app = \"a:2\" }}"), &at("http://127.0.0.1:9"));
    assert_eq!(
        images.does()[1],
        "ECS RegisterTaskDefinition the running revision with app: a:2, where no active revision equals it"
    );
}

/// What is asked for at IAM is what the parameters make necessary.
#[test]
fn it_needs_no_more_than_its_parameters_say() {
    let needs = |rest: &str| {
        let step = action(KIND, &format!("cluster = \"acme\"\nservice = \"web\"\n{rest}"), &at("http://127.0.0.1:9"));
        let mut actions: Vec<_> =
            step.needs().into_iter().map(|need| format!("{} {}", need.action, need.resource)).collect();
        actions.sort();
        actions
    };
    let plain = needs("task_definition = \"web:2\"");
    assert!(plain.contains(&"ecs:UpdateService arn:aws:ecs:*:*:service/acme/web".to_owned()), "{plain:?}");
    assert!(plain.contains(&"ecs:DescribeTasks arn:aws:ecs:*:*:task/acme/*".to_owned()), "{plain:?}");
    assert!(plain.contains(&"ecs:ListTasks *".to_owned()), "{plain:?}");
    assert!(
        !plain.iter().any(|need| need.contains("Register") || need.contains("PassRole") || need.contains("scaling"))
    );
    let image = needs("image = \"shop:2\"");
    assert!(image.contains(&"ecs:RegisterTaskDefinition *".to_owned()), "{image:?}");
    assert!(image.contains(&"iam:PassRole arn:aws:iam::*:role/*".to_owned()), "{image:?}");
    assert!(needs("desired = 2").iter().any(|need| need.starts_with("application-autoscaling:")));
    let known = gonogo::kinds::find(KIND).unwrap().needs;
    assert!(image.iter().all(|need| known.contains(&need.split(' ').next().unwrap())), "{image:?}");
}

/// The same on moto: another image makes a revision, once, with everything but the image.
#[tokio::test]
async fn another_image_makes_a_revision_on_moto() {
    let (cluster, family) = (unique("c"), unique("web"));
    moto::cluster(&cluster, &family).await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let text = format!("cluster = \"{cluster}\"\nservice = \"web\"\nimage = \"web:9\"");
    let step = action(KIND, &text, &at(&proxy.endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    assert_eq!(proxy.changes(), 0, "a capture only reads");
    step.apply(&minute(), &captured).await.unwrap();
    step.apply(&minute(), &captured).await.unwrap();
    assert_eq!((proxy.count(".RegisterTaskDefinition"), proxy.count(".UpdateService")), (1, 1));
    let made = moto::ecs("DescribeTaskDefinition", json!({ "taskDefinition": format!("{family}:3") })).await;
    let container = &made["taskDefinition"]["containerDefinitions"][0];
    assert_eq!(
        (&container["image"], &container["memory"], &container["cpu"]),
        (&json!("web:9"), &json!(256), &json!(128))
    );
    step.restore(&minute(), &captured).await.unwrap();
    assert!(described(&cluster).await["task_definition"].as_str().unwrap().ends_with(&format!("{family}:1")));
}

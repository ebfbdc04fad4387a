//! `sqs.depth` at the sandbox, whose workers drain and get stuck, against moto, whose counts are right, and against a
//! played SQS for counts that come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gonogo::{base::Class, plan::Permission};
use serde_json::{Value as Json, json};

use super::{
    aws::{Answer, Proxy, Spoil, at, check, env_of, minute, mistakes, nobody, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "sqs.depth";

async fn sqs(operation: &str, body: Json) -> Json {
    moto::json("sqs", &format!("AmazonSQS.{operation}"), body).await
}

/// A queue of moto; its URL.
async fn queue(name: &str, attributes: Json) -> String {
    let made = sqs("CreateQueue", json!({ "QueueName": name, "Attributes": attributes })).await;
    made["QueueUrl"].as_str().unwrap().to_owned()
}

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let bad = ("queues = ['a b']", "['a b']");
    if end == End::Moto {
        let name = format!("jobs-{}", fastrand::u32(..));
        queue(&name, json!({})).await;
        let full = queue(&format!("{name}-full"), json!({})).await;
        sqs("SendMessage", json!({ "QueueUrl": full, "MessageBody": "x" })).await;
        let text = |queue: &str| format!("queues = [\"{queue}\"]\nheld = \"300ms\"");
        return Case::aws(&there, text(&name), bad).not_so(text(&full));
    }
    let text = |held: &str| format!("queues = [\"acme-jobs\", \"acme-mail\"]\nmax_dead_letters = 0\nheld = \"{held}\"");
    Case::aws(&there, text("1s"), bad).not_so(text("1h"))
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

#[tokio::test]
async fn it_reads_motos_counts_by_url_arn_and_name() {
    let name = format!("jobs-{}", fastrand::u32(..));
    let dead = format!("{name}-dead");
    let dead_url = queue(&dead, json!({})).await;
    let dead_arn = format!("arn:aws:sqs:eu-west-1:{}:{dead}", moto::ACCOUNT);
    let redrive = json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": 3 }).to_string();
    let url = queue(&name, json!({ "RedrivePolicy": redrive })).await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let look = async |queue: &str, rest: &str| {
        let text = format!("queues = [\"{queue}\"]\nheld = \"0s\"\n{rest}");
        check(KIND, &text, &at(&proxy.endpoint)).check(&minute()).await
    };
    let seen = look(&name, "").await.unwrap();
    assert_eq!(seen.line, format!("{name}: 0 visible, 0 in flight, 0 delayed"));
    for (delay, body) in [(0, "a"), (0, "b"), (900, "c")] {
        sqs("SendMessage", json!({ "QueueUrl": url, "MessageBody": body, "DelaySeconds": delay })).await;
    }
    sqs("ReceiveMessage", json!({ "QueueUrl": url })).await;
    let arn = format!("arn:aws:sqs:eu-west-1:{}:{name}", moto::ACCOUNT);
    for queue in [&name, &arn, &url] {
        let failure = look(queue, "").await.unwrap_err();
        let words =
            format!("{name}: 1 visible, 1 in flight, 1 delayed; wanted at most 0 visible, 0 in flight, 0 delayed");
        assert_eq!((failure.class, failure.message), (Class::NotYet, words));
    }
    let within = look(&name, "max_visible = 1\nmax_in_flight = 1\nmax_delayed = 1").await.unwrap();
    assert_eq!(within.value, Some(3.0));
    let flight = look(&name, "max_visible = 1\nmax_delayed = 1").await.unwrap_err();
    assert!(flight.hint.unwrap().contains("received and not deleted"));
    let limits = "max_visible = 9\nmax_in_flight = 9\nmax_delayed = 9\nmax_dead_letters = 0";
    look(&name, limits).await.unwrap();
    sqs("SendMessage", json!({ "QueueUrl": dead_url, "MessageBody": "d" })).await;
    let failure = look(&name, limits).await.unwrap_err();
    assert!(failure.message.contains(&format!("1 dead in {dead}")), "{failure}");
    let none = look(&dead, "max_visible = 9\nmax_dead_letters = 0").await.unwrap_err();
    assert_eq!((none.class, none.message), (Class::Misconfigured, format!("queue {dead} has no dead-letter queue")));
    let nobody = look("nobody", "").await.unwrap_err();
    assert_eq!(nobody.class, Class::Misconfigured, "{nobody}");
    assert!(nobody.causes.iter().any(|cause| cause == "asked for queue nobody"), "{nobody:?}");
    assert_eq!(proxy.changes(), 0);
}

#[tokio::test]
async fn workers_drain_and_poison_ends_among_the_dead() {
    let there = aws_with(&["sqs.stuck:once"]).await;
    let text = "queues = [\"acme-jobs\"]\nmax_dead_letters = 0\nheld = \"500ms\"";
    let look = check(KIND, text, &services(there.env.clone()));
    let first = look.check(&minute()).await.unwrap_err();
    assert!(first.message.starts_with("acme-jobs: ") && first.message.contains("0 dead in acme-jobs-dead"), "{first}");
    // Three tries of four seconds; only the dead letter is left then.
    let cx = minute();
    let dead = cx
        .poll(Duration::from_millis(200), || async {
            match look.check(&cx).await {
                Err(failure) if failure.message.contains("1 dead in acme-jobs-dead") => Ok(failure),
                Ok(seen) => panic!("the dead letter was lost: {seen:?}"),
                Err(failure) => Err(failure),
            }
        })
        .await
        .unwrap();
    assert!(dead.message.starts_with("acme-jobs: 0 visible, 0 in flight, 0 delayed, 1 dead"), "{dead}");
    assert!(dead.hint.unwrap().contains("tried too often"));
}

fn attributes(visible: u32) -> Answer {
    Answer::json(json!({ "Attributes": {
        "ApproximateNumberOfMessages": visible.to_string(), "ApproximateNumberOfMessagesNotVisible": "0",
        "ApproximateNumberOfMessagesDelayed": "0" } }))
}

#[tokio::test]
async fn one_look_at_an_empty_queue_proves_nothing() {
    let depth = Arc::new(AtomicU32::new(0));
    let told = depth.clone();
    let endpoint = play(move |_| attributes(told.load(Ordering::SeqCst))).await;
    let url = format!("{endpoint}/111122223333/jobs");
    let by_default = check(KIND, &format!("queues = \"{url}\""), &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!(by_default.class, Class::NotYet);
    assert!(by_default.message.ends_with("for 0m00, wanted for 1m00: SQS's counts are approximate"), "{by_default}");
    let held = check(KIND, &format!("queues = \"{url}\"\nheld = \"300ms\""), &at(&endpoint));
    let cx = minute();
    cx.poll(Duration::from_millis(50), || held.check(&cx)).await.unwrap();
    depth.store(1, Ordering::SeqCst);
    held.check(&cx).await.unwrap_err();
    depth.store(0, Ordering::SeqCst);
    assert_eq!(held.check(&cx).await.unwrap_err().class, Class::NotYet, "it starts anew");
    cx.poll(Duration::from_millis(50), || held.check(&cx)).await.unwrap();
}

#[tokio::test]
async fn the_age_of_the_oldest_message_comes_from_cloudwatch() {
    let look = async |samples: &'static str| {
        let endpoint = play(move |asked| match asked.operation.as_str() {
            "GetMetricData" => {
                let at = (chrono::Utc::now() - chrono::Duration::seconds(120)).to_rfc3339();
                let times = if samples.is_empty() { String::new() } else { format!("<member>{at}</member>") };
                Answer::xml(format!("<R><GetMetricDataResult><MetricDataResults><member><Id>age</Id><Label>a</Label><StatusCode>Complete</StatusCode><Timestamps>{times}</Timestamps><Values>{samples}</Values></member></MetricDataResults></GetMetricDataResult></R>"))
            }
            "GetQueueUrl" => Answer::json(json!({ "QueueUrl": "http://127.0.0.1/1/jobs" })),
            _ => attributes(3),
        })
        .await;
        let text = "queues = \"jobs\"\nmax_visible = 5\nmax_oldest = \"30s\"\nheld = \"0s\"";
        check(KIND, text, &at(&endpoint)).check(&minute()).await
    };
    assert!(look("<member>12.0</member>").await.unwrap().line.ends_with("oldest 0m12"));
    let old = look("<member>90.0</member>").await.unwrap_err();
    assert!(old.message.contains("oldest 1m30; wanted") && old.message.ends_with("oldest 0m30"), "{old}");
    let none = look("").await.unwrap_err();
    assert_eq!(none.message, "no data: CloudWatch has no age of the oldest message of jobs");
    // The sandbox writes it too, once a minute, five of them beforehand.
    let there = aws(End::Sandbox).await;
    let text = "queues = [\"acme-mail\"]\nmax_visible = 99\nmax_in_flight = 99\nmax_oldest = \"1h\"\nheld = \"0s\"";
    let seen = check(KIND, text, &services(there.env)).check(&minute()).await.unwrap();
    assert!(seen.line.contains(", oldest 0m"), "{}", seen.line);
}

#[tokio::test]
async fn could_not_look_is_not_not_yet() {
    let text = "queues = \"jobs\"";
    let failure = check(KIND, text, &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    let endpoint = play(|_| Answer::json(json!({ "Attributes": {}, "QueueUrl": "http://127.0.0.1/1/jobs" }))).await;
    let failure = check(KIND, text, &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.message, "no data: SQS gave no ApproximateNumberOfMessages of jobs");
    let endpoint = play(|_| Answer::json_error(403, "AccessDeniedException", "not authorized")).await;
    let failure = check(KIND, text, &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::Denied);
    assert!(failure.hint.unwrap().ends_with("sqs:GetQueueUrl"));
    assert_eq!(mistakes(KIND, "queues = []")[0].0, "[]");
}

#[test]
fn it_needs_what_it_sends() {
    let env = env_of(gonogo::runbook::AwsEnv {
        region: Some("eu-west-1".into()),
        account: Some("111122223333".into()),
        ..Default::default()
    });
    let needs = |text: &str| check(KIND, text, &services(env.clone())).needs();
    let arn = "arn:aws:sqs:eu-west-1:111122223333:jobs";
    let attributes = Permission::new("sqs:GetQueueAttributes", arn);
    assert_eq!(needs("queues = 'jobs'"), [Permission::new("sqs:GetQueueUrl", arn), attributes.clone()]);
    assert_eq!(
        needs("queues = 'https://sqs.eu-west-1.amazonaws.com/111122223333/jobs'"),
        std::slice::from_ref(&attributes)
    );
    let more = needs("queues = 'jobs'\nmax_dead_letters = 0\nmax_oldest = '1m'");
    assert_eq!(more.len(), 5);
    assert_eq!(more[4], Permission::anywhere("cloudwatch:GetMetricData"));
}

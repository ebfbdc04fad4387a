//! `cloudformation.in_sync`. moto says nothing of drift and answers a detection with HTTP 500, so that everything about
//! drift is the sandbox's and played.

use std::sync::atomic::{AtomicUsize, Ordering};

use gonogo::{
    base::{Class, Failure},
    plan::{Permission, Seen},
};

use super::{
    aws::{Answer, Proxy, Spoil, at, check, minute, mistakes, nobody, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "cloudformation.in_sync";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let mut text = "stack = \"acme-shop\"\noutputs = { Uploads = \"acme-uploads\" }".to_owned();
    if end == End::Moto {
        let n = fastrand::u32(..);
        let template = format!(
            r#"{{"Resources":{{"Q":{{"Type":"AWS::SQS::Queue","Properties":{{"QueueName":"q{n}"}}}}}},"Outputs":{{"Uploads":{{"Value":"acme-uploads"}}}}}}"#
        );
        let template = percent_encoding::utf8_percent_encode(&template, percent_encoding::NON_ALPHANUMERIC).to_string();
        let form = format!("Action=CreateStack&Version=2010-05-15&StackName=shop-{n}&TemplateBody={template}");
        moto::query("cloudformation", &form).await;
        text = format!("stack = \"shop-{n}\"\noutputs = {{ Uploads = \"acme-uploads\" }}\ndrift = \"ignore\"");
    }
    let bad = ("stack = 's'\ndrift = 'maybe'", "'maybe'");
    Case::aws(&there, &text, bad).not_so(text.replace("acme-uploads", "other"))
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

fn stack(status: &str, drift: &str, minutes: i64) -> Answer {
    let checked = chrono::Utc::now() - chrono::TimeDelta::minutes(minutes);
    let drift = if drift.is_empty() {
        String::new()
    } else {
        format!(
            "<DriftInformation><StackDriftStatus>{drift}</StackDriftStatus><LastCheckTimestamp>{}</LastCheckTimestamp></DriftInformation>",
            checked.to_rfc3339()
        )
    };
    Answer::xml(format!(
        "<R><DescribeStacksResult><Stacks><member><StackId>arn:s</StackId><StackStatus>{status}</StackStatus>\
         <StackStatusReason>because</StackStatusReason><New/>{drift}</member></Stacks></DescribeStacksResult></R>"
    ))
}

async fn look(status: &'static str, drift: &'static str, minutes: i64, rest: &str) -> Result<Seen, Failure> {
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "DescribeStacks" => stack(status, drift, minutes),
        other => panic!("{other}"),
    })
    .await;
    check(KIND, &format!("stack = \"s\"\n{rest}"), &at(&endpoint)).check(&minute()).await
}

#[tokio::test]
async fn complete_is_not_rolled_back() {
    for good in ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"] {
        look(good, "IN_SYNC", 5, "").await.unwrap();
    }
    for bad in [
        "UPDATE_ROLLBACK_COMPLETE",
        "ROLLBACK_COMPLETE",
        "UPDATE_IN_PROGRESS",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "DELETE_COMPLETE",
        "REVIEW_IN_PROGRESS",
        "SOMETHING_NEW_COMPLETE",
    ] {
        let failure = look(bad, "IN_SYNC", 5, "").await.unwrap_err();
        assert_eq!((failure.class, failure.message), (Class::NotYet, format!("stack s: it is {bad}")));
        assert_eq!(failure.causes, ["because"]);
    }
    look("UPDATE_ROLLBACK_COMPLETE", "IN_SYNC", 5, "allow_rolled_back = true").await.unwrap();
    for (drift, minutes, words) in [
        ("", 0, "no data: its drift is unknown"),
        ("NOT_CHECKED", 0, "no data: its drift is NOT_CHECKED"),
        ("UNKNOWN", 0, "no data: its drift is UNKNOWN"),
        ("IN_SYNC", 31, "no data: its drift was detected 31m0"),
    ] {
        let failure = look("UPDATE_COMPLETE", drift, minutes, "max_age = \"30m\"").await.unwrap_err();
        assert!(failure.class == Class::NotYet && failure.message.contains(words), "{failure}");
        look("UPDATE_COMPLETE", drift, minutes, "drift = \"ignore\"").await.unwrap();
    }
    let output = look("UPDATE_COMPLETE", "IN_SYNC", 1, "outputs = { A = \"x\" }").await.unwrap_err();
    assert_eq!(output.message, "stack s: there is no output A, wanted x");
}

#[tokio::test]
async fn what_drifted_is_named_to_the_last_page_and_never_its_value() {
    let one = |name: &str| {
        format!(
            "<member><LogicalResourceId>{name}</LogicalResourceId><ResourceType>AWS::X</ResourceType><StackResourceDriftStatus>MODIFIED</StackResourceDriftStatus>\
             <PropertyDifferences><member><PropertyPath>/Env</PropertyPath><ExpectedValue>password1</ExpectedValue><ActualValue>password2</ActualValue></member></PropertyDifferences></member>"
        )
    };
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "DescribeStacks" => stack("UPDATE_COMPLETE", "DRIFTED", 1),
        _ => {
            let last = asked.body.contains("NextToken=n1");
            let (name, next) = if last { ("B", "") } else { ("A", "<NextToken>n1</NextToken>") };
            let result = format!("<StackResourceDrifts>{}</StackResourceDrifts>{next}", one(name));
            Answer::xml(format!(
                "<R><DescribeStackResourceDriftsResult>{result}</DescribeStackResourceDriftsResult></R>"
            ))
        }
    })
    .await;
    let failure = check(KIND, "stack = \"s\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert!(failure.message.starts_with("stack s: 2 resources have drifted, found 1m0"), "{failure}");
    assert_eq!(failure.causes, ["A (AWS::X) MODIFIED at /Env", "B (AWS::X) MODIFIED at /Env"]);
    assert!(!format!("{failure:?}").contains("password"));
}

#[tokio::test]
async fn a_detection_is_started_only_where_it_is_wanted_and_needed() {
    let there = aws_with(&["cloudformation.drifted:once"]).await;
    let proxy = Proxy::new(&there.endpoint, "", Spoil::Nothing).await;
    let mut env = there.env.clone();
    env.aws.as_mut().unwrap().endpoint = Some(proxy.endpoint.clone());
    let services = services(env);
    let plain = check(KIND, "stack = \"acme-shop\"", &services);
    let failure = plain.check(&minute()).await.unwrap_err();
    assert!(failure.message.contains("1 resources have drifted"), "{failure}");
    assert_eq!(failure.causes, ["WebService (AWS::ECS::Service) MODIFIED at /DesiredCount"]);
    assert_eq!(proxy.changes(), 0);
    // Fresh enough: detected a moment ago.
    let detect = check(KIND, "stack = \"acme-shop\"\ndetect = true", &services);
    assert!(detect.check(&minute()).await.unwrap_err().message.contains("have drifted"));
    assert_eq!(proxy.count("Action=DetectStackDrift"), 0);
    let detect = check(KIND, "stack = \"acme-shop\"\ndetect = true\nmax_age = \"1s\"", &services);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let seen = detect.check(&minute()).await;
    // Two seconds between two looks: the answer may be older than a second by now.
    if let Err(failure) = &seen {
        assert!(failure.message.contains("no data: its drift was detected 0m0"), "{failure}");
    }
    assert_eq!(proxy.count("Action=DetectStackDrift"), 1);
    let seen = plain.check(&minute()).await.unwrap();
    assert!(seen.line.starts_with("stack acme-shop is UPDATE_COMPLETE"), "{}", seen.line);
    let legacy = check(KIND, "stack = \"acme-legacy\"", &services).check(&minute()).await.unwrap_err();
    assert_eq!(legacy.message, "stack acme-legacy: it is UPDATE_ROLLBACK_COMPLETE");
}

#[tokio::test]
async fn a_detection_that_fails_or_is_somebody_elses() {
    let asked_for = std::sync::Arc::new(AtomicUsize::new(0));
    let count = asked_for.clone();
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "DescribeStacks" => stack("UPDATE_COMPLETE", "NOT_CHECKED", 1),
        "DetectStackDrift" if count.fetch_add(1, Ordering::Relaxed) == 0 => {
            Answer::xml_error(400, "ValidationError", "Drift detection is already in progress for stack [arn:s]")
        }
        "DetectStackDrift" => Answer::xml("<R><DetectStackDriftResult><StackDriftDetectionId>d1</StackDriftDetectionId></DetectStackDriftResult></R>"),
        _ => Answer::xml(
            "<R><DescribeStackDriftDetectionStatusResult><DetectionStatus>DETECTION_FAILED</DetectionStatus>\
             <DetectionStatusReason>not authorized to read Q</DetectionStatusReason></DescribeStackDriftDetectionStatusResult></R>",
        ),
    })
    .await;
    let detect = check(KIND, "stack = \"s\"\ndetect = true", &at(&endpoint));
    let other = detect.check(&minute()).await.unwrap_err();
    assert_eq!(
        (other.class, other.message.as_str()),
        (Class::NotYet, "stack s: somebody else's drift detection is under way")
    );
    let failed = detect.check(&minute()).await.unwrap_err();
    assert_eq!(failed.message, "stack s: no data: the drift detection failed");
    assert_eq!(failed.causes, ["not authorized to read Q"]);
}

#[tokio::test]
async fn hostile_and_empty_answers_are_never_green() {
    for body in [
        "<R/>",
        "<R><DescribeStacksResult><Stacks/></DescribeStacksResult></R>",
        "{}",
        "<R><DescribeStacksResult><Stacks><member/></Stacks></DescribeStacksResult></R>",
    ] {
        let endpoint = play(move |_| Answer::xml(body)).await;
        let failure = check(KIND, "stack = \"s\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
        assert!(matches!(failure.class, Class::Misconfigured | Class::FailedNothingDone), "{body}: {failure:?}");
    }
    let missing = check(KIND, "stack = \"nope\"", &at(moto::endpoint())).check(&minute()).await.unwrap_err();
    assert_eq!(missing.class, Class::Misconfigured, "{missing:?}");
    let nobody = check(KIND, "stack = \"s\"", &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(nobody.class, Class::FailedNothingDone);
}

#[tokio::test]
async fn it_needs_what_it_calls() {
    let there = aws(End::Sandbox).await;
    let needs = |text: &str| check(KIND, text, &services(there.env.clone())).needs();
    let on = |action: &str| {
        let arn = "arn:aws:cloudformation:eu-west-1:111122223333:stack/s/*";
        Permission::new(format!("cloudformation:{action}"), arn)
    };
    let anywhere = |action: &str| Permission::anywhere(format!("cloudformation:{action}"));
    assert_eq!(needs("stack = \"s\"\ndrift = \"ignore\""), [on("DescribeStacks")]);
    assert_eq!(needs("stack = \"s\""), [on("DescribeStackResourceDrifts"), on("DescribeStacks")]);
    let detect = needs("stack = \"s\"\ndetect = true");
    for wanted in [
        anywhere("BatchDescribeTypeConfigurations"),
        anywhere("DescribeStackDriftDetectionStatus"),
        on("DetectStackDrift"),
        on("DetectStackResourceDrift"),
    ] {
        assert!(detect.contains(&wanted), "{wanted:?}");
    }
}

#[test]
fn mistakes_have_their_place() {
    assert_eq!(mistakes(KIND, "stack = 's'\ndrift = 'ignore'\ndetect = true")[0].0, "true");
    assert_eq!(mistakes(KIND, "stack = 's'\noutputs = { A = '${secret.x}' }")[0].1, "an output must not be a secret");
}

//! `scheduler.switch`.

use std::sync::{Arc, Mutex};

use gonogo::{base::Class, plan::Finding};
use serde_json::{Value as Json, json};

use super::{
    aws::{Answer, Proxy, Spoil, action, at, minute, mistakes, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "scheduler.switch";
const BAD: (&str, &str) = ("to = 'on'\nschedules = ['a/b']", "['a/b']");

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let (mut schedule, mut rule) = ("nightly-report".to_owned(), "clean-carts".to_owned());
    if end == End::Moto {
        let n = fastrand::u32(..);
        (schedule, rule) = (format!("nightly-{n}"), format!("rule-{n}"));
        let target = json!({ "Arn": "arn:aws:sqs:eu-west-1:123456789012:q", "RoleArn": "arn:aws:iam::123456789012:role/r",
            "Input": "{\"a\":1}", "SqsParameters": { "MessageGroupId": "g" } });
        let body = json!({ "ScheduleExpression": "cron(30 2 * * ? *)", "FlexibleTimeWindow": { "Mode": "FLEXIBLE",
            "MaximumWindowInMinutes": 5 }, "Target": target, "State": "DISABLED", "Description": "d",
            "ScheduleExpressionTimezone": "Europe/Berlin", "EndDate": 4_070_908_800_i64 });
        moto::rest("scheduler", &format!("/schedules/{schedule}"), body).await;
        let put = json!({ "Name": rule, "ScheduleExpression": "rate(1 hour)", "State": "DISABLED" });
        moto::json("events", "AWSEvents.PutRule", put).await;
    }
    Case::aws(&there, format!("schedules = ['{schedule}']\nrules = ['{rule}']\nto = 'on'"), BAD).mark("PUT /schedules/")
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

/// A schedule with a field that nobody here knows; keeps what is put.
async fn played(state: &'static str) -> (String, Arc<Mutex<Vec<Json>>>) {
    let put = Arc::new(Mutex::new(Vec::<Json>::new()));
    let kept = put.clone();
    let endpoint = play(move |asked| {
        let mut shown = json!({ "Arn": "arn:x", "Name": "nightly", "GroupName": "jobs", "State": state, "CreationDate": 1.5,
            "LastModificationDate": 2.5, "ScheduleExpression": "rate(1 hour)", "Target": { "Arn": "a", "RoleArn": "r",
            "NewThing": { "Deep": [1.25, null, "x"] } }, "FlexibleTimeWindow": { "Mode": "OFF" }, "NewField": 3 });
        let mut kept = kept.lock().unwrap();
        if asked.operation.starts_with("PUT") {
            assert_eq!(asked.operation, "PUT /schedules/nightly");
            kept.push(serde_json::from_str(&asked.body).unwrap());
            return Answer::json(json!({ "ScheduleArn": "arn:x" }));
        }
        assert_eq!(asked.operation, "GET /schedules/nightly?groupName=jobs");
        if let Some(last) = kept.last() {
            shown["State"] = last["State"].clone();
            shown["LastModificationDate"] = json!(3.5);
        }
        Answer::json(shown)
    })
    .await;
    (endpoint, put)
}

#[tokio::test]
async fn a_schedule_is_sent_back_whole() {
    let (endpoint, put) = played("ENABLED").await;
    let step = action(KIND, "schedules = ['nightly']\ngroup = 'jobs'\nto = 'off'", &at(&endpoint));
    let attempt = minute();
    let captured = step.capture(&attempt).await.unwrap();
    let done = step.apply(&attempt, &captured).await.unwrap();
    assert_eq!(done.line, "schedule nightly is off");
    step.restore(&minute(), &captured).await.unwrap();
    // Sent after a look that found it otherwise, it must not be taken for the request before.
    let again = gonogo::plan::Cx { attempt: 3, again: true, ..attempt.clone() };
    step.apply(&again, &captured).await.unwrap();
    let mut put = put.lock().unwrap();
    assert_eq!(put.pop().unwrap()["ClientToken"], format!("{}-3-0-to", attempt.token));
    let [off, on] = put.as_slice() else { panic!("{put:?}") };
    let mut wanted = json!({ "GroupName": "jobs", "State": "DISABLED", "ScheduleExpression": "rate(1 hour)",
        "Target": { "Arn": "a", "RoleArn": "r", "NewThing": { "Deep": [1.25, null, "x"] } },
        "FlexibleTimeWindow": { "Mode": "OFF" }, "NewField": 3, "ClientToken": format!("{}-0-to", attempt.token) });
    assert_eq!(*off, wanted);
    wanted["State"] = json!("ENABLED");
    wanted["ClientToken"] = on["ClientToken"].clone();
    assert_eq!(*on, wanted);
    assert!(on["ClientToken"].as_str().unwrap().ends_with("-0-back"), "{on}");
}

#[tokio::test]
async fn what_is_so_already_is_left_alone() {
    let (endpoint, put) = played("DISABLED").await;
    let step = action(KIND, "schedules = ['nightly']\ngroup = 'jobs'\nto = 'off'", &at(&endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    assert!(step.apply(&minute(), &captured).await.unwrap().line.ends_with("is off already"));
    step.restore(&minute(), &captured).await.unwrap();
    assert!(put.lock().unwrap().is_empty());
}

#[tokio::test]
async fn somebody_elses_change_is_shown_and_kept() {
    let there = aws_with(&["scheduler.third_party"]).await;
    let proxy = Proxy::new(&there.endpoint, "", Spoil::Nothing).await;
    let mut env = there.env.clone();
    env.aws.as_mut().unwrap().endpoint = Some(proxy.endpoint.clone());
    let step = action(KIND, "rules = ['clean-carts']\nschedules = ['nightly-report']\nto = 'on'", &services(env));
    let captured = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert_eq!(failure.message, "somebody else changed schedule nightly-report since it was captured");
    assert_eq!(failure.causes, ["ScheduleExpression: was \"cron(30 2 * * ? *)\", is \"cron(45 3 * * ? *)\""]);
    assert_eq!(proxy.changes(), 0, "the rule stays as well");
    // A retry captures it as it is now.
    let captured = step.capture(&minute()).await.unwrap();
    step.apply(&minute(), &captured).await.unwrap();
}

#[tokio::test]
async fn a_refusal_in_the_middle_says_what_was_done() {
    let there = aws_with(&["scheduler.conflict"]).await;
    let step = action(KIND, "rules = ['clean-carts']\nschedules = ['nightly-report']\nto = 'on'", &services(there.env));
    let captured = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "the first one: {failure:?}");
    assert!(failure.message.contains("ConflictException"), "{failure:?}");

    let endpoint = play(|asked| match asked.operation.as_str() {
        "DescribeRule" if asked.body.contains("first") => Answer::json(json!({ "Name": "first", "State": "ENABLED" })),
        "DescribeRule" => Answer::json(json!({ "Name": "second", "State": "DISABLED" })),
        _ => Answer::json_error(400, "AccessDeniedException", "no"),
    })
    .await;
    let step = action(KIND, "rules = ['first', 'second']\nto = 'on'", &at(&endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Denied, "the first was on already: {failure:?}");
    let found = step.probe(&minute(), &captured, false).await.unwrap();
    assert!(matches!(&found, Finding::NotDone { line } if line == "rule first is on, rule second is off"), "{found:?}");

    let on = Arc::new(Mutex::new(false));
    let endpoint = play(move |asked| {
        let mut on = on.lock().unwrap();
        match asked.operation.as_str() {
            "DescribeRule" if asked.body.contains("first") && *on => Answer::json(json!({ "State": "ENABLED" })),
            "DescribeRule" => Answer::json(json!({ "State": "DISABLED" })),
            "EnableRule" if asked.body.contains("first") => {
                *on = true;
                Answer::json(json!({}))
            }
            _ => Answer::json_error(400, "AccessDeniedException", "no"),
        }
    })
    .await;
    let step = action(KIND, "rules = ['first', 'second']\nto = 'on'", &at(&endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Failed, "{failure:?}");
    assert!(failure.causes.contains(&"switched before that: rule first".to_owned()), "{failure:?}");
}

#[tokio::test]
async fn what_cannot_be_switched_is_said_before() {
    let there = aws(End::Sandbox).await;
    let managed = action(KIND, "rules = ['AutoScalingManagedRule']\nto = 'off'", &services(there.env.clone()));
    let failure = managed.capture(&minute()).await.unwrap_err();
    assert!(
        failure.class == Class::Misconfigured && failure.message.contains("autoscaling.amazonaws.com"),
        "{failure:?}"
    );
    let none = action(KIND, "schedules = ['nosuch']\nto = 'off'", &services(there.env));
    let failure = none.capture(&minute()).await.unwrap_err();
    assert!(failure.class == Class::Misconfigured && failure.message.contains("nosuch does not exist"), "{failure:?}");
    for (text, place) in [
        ("to = 'of'\nrules = ['a']", "'of'"),
        ("to = 'on'", ""),
        ("to = 'on'\nrules = ['..']", "['..']"),
        ("to = 'on'\nrules = ['a']\nbus = 'a b'", "'a b'"),
    ] {
        assert_eq!(mistakes(KIND, text)[0].0, place, "{text}");
    }
}

#[test]
fn it_needs_what_it_calls() {
    let there = at("http://127.0.0.1:9");
    let needs = action(KIND, "schedules = ['a', 'b']\nrules = ['c']\nbus = 'shop'\nto = 'on'", &there).needs();
    let lines: Vec<String> = needs.iter().map(|need| format!("{} {}", need.action, need.resource)).collect();
    assert_eq!(
        lines,
        [
            "scheduler:GetSchedule arn:aws:scheduler:*:*:schedule/default/a",
            "scheduler:UpdateSchedule arn:aws:scheduler:*:*:schedule/default/a",
            "iam:PassRole arn:aws:iam::*:role/*",
            "scheduler:GetSchedule arn:aws:scheduler:*:*:schedule/default/b",
            "scheduler:UpdateSchedule arn:aws:scheduler:*:*:schedule/default/b",
            "events:DescribeRule arn:aws:events:*:*:rule/shop/c",
            "events:DisableRule arn:aws:events:*:*:rule/shop/c",
            "events:EnableRule arn:aws:events:*:*:rule/shop/c",
        ]
    );
}

//! `elb.healthy`. moto's targets are healthy at once, so that the other states are the sandbox's, or played.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gonogo::{base::Class, plan::Permission};

use super::{
    aws::{Answer, at, check, minute, mistakes, nobody, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "elb.healthy";

/// A target group of moto with so many targets; its name and ARN.
async fn group(targets: usize) -> (String, String) {
    let name = format!("tg{}", fastrand::u32(..));
    let vpcs = moto::query("ec2", "Action=DescribeVpcs&Version=2016-11-15").await;
    let vpc = moto::between(&vpcs, "<vpcId>", "<");
    let form = |action: &str| format!("Action={action}&Version=2015-12-01");
    let made = format!("{}&Name={name}&Protocol=HTTP&Port=80&VpcId={vpc}&TargetType=ip", form("CreateTargetGroup"));
    let made = moto::query("elasticloadbalancing", &made).await;
    let arn = moto::between(&made, "<TargetGroupArn>", "<").to_owned();
    for n in 1..=targets {
        let target = format!("Targets.member.1.Id=10.0.0.{n}&Targets.member.1.Port=80");
        let form = format!("{}&TargetGroupArn={arn}&{target}", form("RegisterTargets"));
        moto::query("elasticloadbalancing", &form).await;
    }
    (name, arn)
}

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let name = if end == End::Moto { group(1).await.0 } else { "acme-web".into() };
    let text = |min: u32| format!("target_group = \"{name}\"\nmin = {min}\nfor = \"300ms\"");
    Case::aws(&there, text(1), ("target_group = 'x'\nmin = 0", "0")).not_so(text(9))
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

#[tokio::test]
async fn several_groups_by_name_and_arn() {
    let ((one, arn), (two, _)) = (group(2).await, group(1).await);
    let look = async |groups: &str, rest: &str| {
        check(KIND, &format!("target_group = {groups}\n{rest}"), &at(moto::endpoint())).check(&minute()).await
    };
    let seen = look(&format!("[\"{two}\", \"{arn}\"]"), "min = 1").await.unwrap();
    let line = format!("{two}: 1 of 1 targets healthy; {one}: 2 of 2 targets healthy");
    assert_eq!((seen.line, seen.value), (line, Some(3.0)));
    look(&format!("[\"{two}\", \"{one}\"]"), "all = true").await.unwrap();
    let few = look(&format!("[\"{one}\", \"{two}\"]"), "min = 2").await.unwrap_err();
    assert_eq!((few.class, few.message), (Class::NotYet, format!("{two}: 1 of 1 targets healthy, wanted 2")));
    let none = look(&format!("[\"{one}\", \"nosuch\"]"), "min = 1").await.unwrap_err();
    assert_eq!(none.class, Class::Misconfigured);
    let empty = group(0).await.0;
    let failure = look(&format!("\"{empty}\""), "all = true").await.unwrap_err();
    assert_eq!((failure.class, failure.message), (Class::NotYet, format!("no target is registered in {empty}")));
}

#[tokio::test]
async fn a_redirected_health_check_is_explained() {
    let there = aws_with(&["elb.unhealthy:once"]).await;
    let look = check(KIND, "target_group = \"acme-web\"\nall = true", &services(there.env));
    let failure = look.check(&minute()).await.unwrap_err();
    assert_eq!(failure.message, "0 of 1 targets healthy (1 unhealthy), wanted all");
    assert!(failure.causes[0].contains("Target.ResponseCodeMismatch: Health checks failed with these codes: [301]"));
    assert!(failure.hint.unwrap().contains("redirects the health check"));
    look.check(&minute()).await.unwrap();
}

#[test]
fn it_needs_names_only_where_names_are_given() {
    let needs =
        |group: &str| check(KIND, &format!("target_group = \"{group}\"\nmin = 1"), &at("http://127.0.0.1:9")).needs();
    let health = Permission::anywhere("elasticloadbalancing:DescribeTargetHealth");
    assert_eq!(needs("arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/x/1"), std::slice::from_ref(&health));
    assert_eq!(needs("x"), [Permission::anywhere("elasticloadbalancing:DescribeTargetGroups"), health]);
}

fn target(id: &str, state: &str) -> String {
    let reason = if state == "healthy" {
        ""
    } else {
        "<Reason>Target.FailedHealthChecks</Reason><Description>Health checks failed with these codes: [301]</Description>"
    };
    format!(
        "<member><Target><Id>{id}</Id><Port>80</Port></Target><TargetHealth><State>{state}</State>{reason}</TargetHealth></member>"
    )
}

fn health(states: &[&str]) -> Answer {
    let members: String = states.iter().enumerate().map(|(i, state)| target(&format!("10.0.0.{i}"), state)).collect();
    Answer::xml(format!(
        "<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>{members}</TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>"
    ))
}

const GROUP: &str = "target_group = \"arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/x/1\"\n";

#[tokio::test]
async fn only_healthy_counts_and_the_others_are_named() {
    let endpoint = play(|_| health(&["healthy", "initial", "draining", "unhealthy", "unused"])).await;
    let failure = check(KIND, &format!("{GROUP}min = 2"), &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (Class::NotYet, "1 of 5 targets healthy (1 draining, 1 initial, 1 unhealthy, 1 unused), wanted 2")
    );
    assert_eq!(failure.causes.len(), 4);
    assert!(
        failure.causes[2].contains("10.0.0.3:80 is unhealthy Target.FailedHealthChecks")
            && failure.causes[2].contains("[301]"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn held_for_a_time_and_a_bad_look_starts_anew() {
    let good = Arc::new(AtomicBool::new(true));
    let state = good.clone();
    let endpoint = play(move |_| health(&[if state.load(Ordering::SeqCst) { "healthy" } else { "unhealthy" }])).await;
    let held = check(KIND, &format!("{GROUP}min = 1\nfor = \"400ms\""), &at(&endpoint));
    let cx = minute();
    let first = held.check(&cx).await.unwrap_err();
    assert!(first.class == Class::NotYet && first.message.contains("wanted"), "{first}");
    cx.poll(Duration::from_millis(50), || held.check(&cx)).await.unwrap();
    good.store(false, Ordering::SeqCst);
    held.check(&cx).await.unwrap_err();
    good.store(true, Ordering::SeqCst);
    assert_eq!(held.check(&cx).await.unwrap_err().class, Class::NotYet, "it starts anew");
    cx.poll(Duration::from_millis(50), || held.check(&cx)).await.unwrap();
}

#[tokio::test]
async fn those_who_leave_do_not_count_against_all() {
    let look = async |states: &'static [&'static str]| {
        let endpoint = play(|_| health(states)).await;
        check(KIND, &format!("{GROUP}all = true"), &at(&endpoint)).check(&minute()).await
    };
    assert_eq!(look(&["healthy", "draining"]).await.unwrap().line, "1 of 2 targets healthy (1 draining)");
    for bad in
        [&["healthy", "initial"][..], &["healthy", "unhealthy.draining"], &["healthy", "unavailable"], &["draining"]]
    {
        assert_eq!(look(bad).await.unwrap_err().class, Class::NotYet, "{bad:?}");
    }
}

#[tokio::test]
async fn could_not_look_is_not_not_yet() {
    let failure = check(KIND, &format!("{GROUP}min = 1"), &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    let endpoint = play(|_| Answer::xml_error(403, "AccessDenied", "User is not authorized")).await;
    let failure = check(KIND, &format!("{GROUP}min = 1"), &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::Denied);
    assert!(failure.hint.unwrap().ends_with("elasticloadbalancing:DescribeTargetHealth"));
    assert_eq!(mistakes(KIND, &format!("{GROUP}min = 0"))[0].0, "0");
    assert_eq!(mistakes(KIND, GROUP)[0].1, "`elb.healthy` needs `min`, or `all`");
    assert_eq!(mistakes(KIND, "target_group = []\nmin = 1")[0].0, "[]");
}

//! `elb.healthy`. moto's targets are healthy at once, so that the other states are played.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gonogo::base::Class;

use super::aws::{Answer, Proxy, Spoil, at, check, minute, mistakes, nobody, play};
use crate::moto;

const KIND: &str = "elb.healthy";

#[tokio::test]
async fn it_reads_moto_by_name_and_arn() {
    let name = format!("tg{}", fastrand::u32(..));
    let vpcs = moto::query("ec2", "Action=DescribeVpcs&Version=2016-11-15").await;
    let vpc = moto::between(&vpcs, "<vpcId>", "<");
    let version = "Version=2015-12-01";
    let made = moto::query(
        "elasticloadbalancing",
        &format!("Action=CreateTargetGroup&{version}&Name={name}&Protocol=HTTP&Port=80&VpcId={vpc}&TargetType=ip"),
    )
    .await;
    let arn = moto::between(&made, "<TargetGroupArn>", "<").to_owned();
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let look = async |group: &str, min: u32| {
        check(KIND, &format!("target_group = \"{group}\"\nmin = {min}"), &at(&proxy.endpoint)).check(&minute()).await
    };
    assert_eq!(look(&name, 1).await.unwrap_err().class, Class::NotYet, "no target is not healthy");
    moto::query(
        "elasticloadbalancing",
        &format!("Action=RegisterTargets&{version}&TargetGroupArn={arn}&Targets.member.1.Id=10.0.0.5&Targets.member.1.Port=80"),
    )
    .await;
    let seen = look(&name, 1).await.unwrap();
    assert_eq!((seen.line.as_str(), seen.value), ("1 of 1 targets healthy", Some(1.0)));
    assert_eq!(look(&arn, 1).await.unwrap().line, seen.line);
    assert_eq!(look(&arn, 2).await.unwrap_err().class, Class::NotYet);
    assert_eq!(look("nosuch", 1).await.unwrap_err().class, Class::Misconfigured);
    assert_eq!(proxy.changes(), 0);
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
    assert_eq!((failure.class, failure.message.as_str()), (Class::NotYet, "1 of 5 targets healthy, wanted 2"));
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
async fn could_not_look_is_not_not_yet() {
    let failure = check(KIND, &format!("{GROUP}min = 1"), &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    let endpoint = play(|_| Answer::xml_error(403, "AccessDenied", "User is not authorized")).await;
    let failure = check(KIND, &format!("{GROUP}min = 1"), &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::Denied);
    assert!(failure.hint.unwrap().ends_with("elasticloadbalancing:DescribeTargetHealth"));
    assert_eq!(mistakes(KIND, &format!("{GROUP}min = 0"))[0].0, "0");
}

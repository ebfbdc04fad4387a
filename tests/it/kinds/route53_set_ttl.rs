//! `route53.set_ttl` against moto, through proxies where the way there is what is tested.

use std::time::Duration;

use gonogo::{
    base::Class,
    plan::{Doubt, Finding},
    services::aws::RecordSet,
};
use serde_json::Value as Json;

use super::{
    aws::{Proxy, Spoil, action, at, cx, env_of, minute, mistakes, nobody, play, services},
    ends::{Case, End, aws, contract},
};
use crate::moto;

const KIND: &str = "route53.set_ttl";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let zone = match end {
        End::Sandbox => "Z0SANDBOX".to_owned(),
        _ => {
            let (zone, cname) = (
                moto::zone("acme.example").await,
                "<Type>CNAME</Type><TTL>3600</TTL><ResourceRecords><ResourceRecord><Value>old.example.net</Value></ResourceRecord></ResourceRecords>",
            );
            moto::records(
                &zone,
                &[&format!("<Name>shop.acme.example</Name>{cname}"), &format!("<Name>www.acme.example</Name>{cname}")],
            )
            .await;
            zone
        }
    };
    let text = format!(
        "zone = \"{zone}\"\nttl = 7\nrecords = [{{ name = \"shop.acme.example\", type = \"CNAME\" }}, {{ name = \"www.acme.example\", type = \"CNAME\", ttl = 8 }}]"
    );
    Case::aws(&there, text, ("zone = 'Z'\nname = 'x'\ntype = 'CNAM'\nttl = 1", "'CNAM'"))
        .mark("<ChangeResourceRecordSetsRequest")
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

/// Every shape that moto takes, with the name of each.
fn shapes() -> Vec<(&'static str, &'static str, Vec<String>)> {
    let set = |name: &str, rest: &str| format!("<Name>{name}</Name>{rest}");
    let value = |value: &str| {
        format!("<ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords>")
    };
    let plain = |ttl: u32, v: &str| format!("<TTL>{ttl}</TTL>{}", value(v));
    let weighted = |id: &str, weight: u8| {
        let rest = format!(
            "<Type>CNAME</Type><SetIdentifier>{id}</SetIdentifier><Weight>{weight}</Weight>{}",
            plain(300, "w.example.net")
        );
        set("weighted.acme.example", &rest)
    };
    let geo = "<Type>A</Type><SetIdentifier>de</SetIdentifier><GeoLocation><CountryCode>DE</CountryCode></GeoLocation>";
    let latency = "<Type>A</Type><SetIdentifier>ie</SetIdentifier><Region>eu-west-1</Region>";
    let failover = "<Type>A</Type><SetIdentifier>one</SetIdentifier><Failover>PRIMARY</Failover>";
    let many = "<ResourceRecords><ResourceRecord><Value>192.0.2.2</Value></ResourceRecord><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>";
    vec![
        (
            "plain.acme.example",
            "CNAME",
            vec![set("plain.acme.example", &format!("<Type>CNAME</Type>{}", plain(3600, "old.example.net")))],
        ),
        ("many.acme.example", "A", vec![set("many.acme.example", &format!("<Type>A</Type><TTL>3600</TTL>{many}"))]),
        (
            "*.acme.example",
            "TXT",
            vec![set("*.acme.example", &format!("<Type>TXT</Type>{}", plain(3600, "&quot;a b&quot;")))],
        ),
        ("weighted.acme.example", "CNAME", vec![weighted("blue", 100), weighted("green", 0)]),
        ("geo.acme.example", "A", vec![set("geo.acme.example", &format!("{geo}{}", plain(300, "192.0.2.9")))]),
        ("near.acme.example", "A", vec![set("near.acme.example", &format!("{latency}{}", plain(300, "192.0.2.9")))]),
        (
            "fail.acme.example",
            "A",
            vec![set(
                "fail.acme.example",
                &format!(
                    "{failover}{}<HealthCheckId>abcdef11-2222-3333-4444-555555fedcba</HealthCheckId>",
                    plain(300, "192.0.2.9")
                ),
            )],
        ),
    ]
}

fn params(zone: &str, name: &str, r#type: &str, ttl: u32) -> String {
    format!("zone = \"{zone}\"\nname = \"{name}\"\ntype = \"{type}\"\nttl = {ttl}\n")
}

async fn zone_of(sets: &[String]) -> String {
    let zone = moto::zone("acme.example").await;
    moto::records(&zone, &sets.iter().map(String::as_str).collect::<Vec<_>>()).await;
    zone
}

#[tokio::test]
async fn there_twice_and_back_for_every_shape() {
    // Side by side: each client keeps its own pace of two requests a second.
    futures_util::future::join_all(shapes().into_iter().map(|(name, r#type, sets)| there_and_back(name, r#type, sets)))
        .await;
}

async fn there_and_back(name: &str, r#type: &str, sets: Vec<String>) {
    let zone = zone_of(&sets).await;
    let before = moto::listing(&zone).await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let step = action(KIND, &params(&zone, name, r#type, 60), &at(&proxy.endpoint));
    let cx = minute();

    let captured = step.capture(&cx).await.unwrap();
    assert_eq!(proxy.changes(), 0, "a capture only reads");
    assert_eq!(captured["before"].as_array().unwrap().len(), sets.len());

    let done = step.apply(&cx, &captured).await.unwrap();
    let lowered = moto::listing(&zone).await;
    assert_eq!(lowered.matches("<TTL>60</TTL>").count(), sets.len(), "{name}: {lowered}");
    assert!(done.evidence["insync_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!((&done.evidence["new_ttl"], done.evidence["change_id"].is_string()), (&60.into(), true));
    assert!(done.evidence["old_ttl"].as_i64().unwrap() >= 300);

    let again = step.apply(&cx, &captured).await.unwrap();
    assert_eq!(proxy.changes(), 1, "twice equals once");
    assert_eq!(again.evidence["change_id"], Json::Null);
    assert!(matches!(step.probe(&cx, &captured, false).await.unwrap(), Finding::Done(_)));

    step.restore(&cx, &captured).await.unwrap();
    step.restore(&cx, &captured).await.unwrap();
    assert_eq!(proxy.changes(), 2);
    assert_eq!(moto::listing(&zone).await, before, "{name} came back byte for byte");
    assert!(matches!(step.probe(&cx, &captured, true).await.unwrap(), Finding::Done(_)));
    assert!(matches!(step.probe(&cx, &captured, false).await.unwrap(), Finding::NotDone { .. }));
}

#[tokio::test]
async fn what_was_captured_survives_the_journal() {
    for (name, r#type, sets) in shapes() {
        let zone = zone_of(&sets).await;
        let step = action(KIND, &params(&zone, name, r#type, 60), &at(moto::endpoint()));
        let captured = step.capture(&minute()).await.unwrap();
        let text = serde_json::to_string(&captured).unwrap();
        let back: Vec<RecordSet> = serde_json::from_value(captured["before"].clone()).unwrap();
        assert_eq!(serde_json::to_value(back).unwrap(), captured["before"]);
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), captured);
    }
}

#[tokio::test]
async fn one_of_several_by_its_identifier() {
    let (name, r#type, mut sets) = shapes().remove(5);
    sets.push(sets[0].replace("<SetIdentifier>ie", "<SetIdentifier>us").replace("eu-west-1", "us-east-1"));
    let zone = zone_of(&sets).await;
    let text = format!("{}set_identifier = \"ie\"\n", params(&zone, name, r#type, 60));
    let step = action(KIND, &text, &at(moto::endpoint()));
    let captured = step.capture(&minute()).await.unwrap();
    step.apply(&minute(), &captured).await.unwrap();
    assert_eq!(moto::listing(&zone).await.matches("<TTL>60</TTL>").count(), 1);

    let none = format!("{}set_identifier = \"red\"\n", params(&zone, name, r#type, 60));
    let failure = action(KIND, &none, &at(moto::endpoint())).capture(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert_eq!(failure.causes.len(), 2, "both that are there are named: {failure:?}");
}

#[tokio::test]
async fn weighted_sets_keep_one_ttl() {
    let (name, r#type, sets) = shapes().remove(3);
    let zone = zone_of(&sets).await;
    let text = format!("{}set_identifier = \"green\"\n", params(&zone, name, r#type, 60));
    let failure = action(KIND, &text, &at(moto::endpoint())).capture(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "moto would take it, AWS does not: {failure:?}");
    assert!(failure.message.contains("must have the same TTL"), "{failure}");
}

#[tokio::test]
async fn a_third_party_is_seen_and_not_overwritten() {
    let (name, r#type, sets) = shapes().remove(0);
    let zone = zone_of(&sets).await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let step = action(KIND, &params(&zone, name, r#type, 60), &at(&proxy.endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    let other = sets[0].replace("old.example.net", "terraform.example.net").replace("3600", "300");
    moto::records(&zone, &[&other]).await;

    let failure = step.apply(&minute(), &captured).await.unwrap_err();
    assert_eq!((failure.class, proxy.changes()), (Class::Refused, 0));
    let told: Vec<_> = failure.causes.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(told, ["CNAME", "captured", "found", "wanted"], "{failure:?}");
    assert_eq!(failure.causes[0], "CNAME plain.acme.example: TTL and values differ");
    assert!(failure.causes[2].contains("terraform.example.net"), "{failure:?}");
    let failure = step.restore(&minute(), &captured).await.unwrap_err();
    assert_eq!((failure.class, proxy.changes()), (Class::Refused, 0));
    let Finding::Unclear { line } = step.probe(&minute(), &captured, false).await.unwrap() else { panic!() };
    assert!(line.contains("terraform.example.net"), "{line}");
}

#[tokio::test]
async fn an_alias_has_no_ttl_and_says_so() {
    let alias = "<Name>alias.acme.example</Name><Type>A</Type><AliasTarget><HostedZoneId>Z35SXDOTRQ7X7K</HostedZoneId><DNSName>alb.example.net.</DNSName><EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget>";
    let zone = zone_of(&[alias.to_owned()]).await;
    let step = action(KIND, &params(&zone, "alias.acme.example", "A", 60), &at(moto::endpoint()));
    let failure = step.capture(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert!(failure.message.contains("an alias has no TTL of its own"), "{failure}");
}

#[tokio::test]
async fn a_zone_by_name_and_what_is_not_there() {
    let name = format!("z{}.example", fastrand::u32(..));
    let zone = moto::zone(&name).await;
    let record = format!("www.{name}");
    let set = format!(
        "<Name>{record}</Name><Type>A</Type><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>"
    );
    moto::records(&zone, &[&set]).await;
    let captured =
        action(KIND, &params(&name, &record, "A", 60), &at(moto::endpoint())).capture(&minute()).await.unwrap();
    assert_eq!(captured["zone"], zone);

    for text in [
        params(&name, &record, "AAAA", 60),
        params("ZNOSUCH", "x.example", "A", 60),
        params("nosuch.example", "www.nosuch.example", "A", 60),
    ] {
        let failure = action(KIND, &text, &at(moto::endpoint())).capture(&minute()).await.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_probe_finds_it_done() {
    let (name, r#type, sets) = shapes().remove(0);
    let zone = zone_of(&sets).await;
    let text = params(&zone, name, r#type, 60);
    let captured = action(KIND, &text, &at(moto::endpoint())).capture(&minute()).await.unwrap();
    for (spoil, done) in [(Spoil::HangUp, false), (Spoil::Swallow, false), (Spoil::LoseAnswer, true)] {
        let proxy = Proxy::new(moto::endpoint(), "<ChangeResourceRecordSetsRequest", spoil).await;
        let failure =
            action(KIND, &text, &at(&proxy.endpoint)).apply(&cx(Duration::from_secs(3)), &captured).await.unwrap_err();
        assert_eq!(failure.class, Class::Unknown, "{failure:?}");
        let words = if spoil == Spoil::HangUp { "the connection broke" } else { "timed out" };
        assert!(failure.message.contains(words), "{failure}");
        assert_eq!(proxy.changes(), 1, "never sent again by itself");
        let finding = action(KIND, &text, &at(moto::endpoint())).probe(&minute(), &captured, false).await.unwrap();
        assert_eq!(matches!(finding, Finding::Done(_)), done, "{finding:?}");
    }
}

#[tokio::test]
async fn cancelled_while_it_is_under_way_is_unknown() {
    let (name, r#type, sets) = shapes().remove(0);
    let zone = zone_of(&sets).await;
    let text = params(&zone, name, r#type, 60);
    let proxy = Proxy::new(moto::endpoint(), "<ChangeResourceRecordSetsRequest", Spoil::Swallow).await;
    let step = action(KIND, &text, &at(&proxy.endpoint));
    let cx = minute();
    let captured = step.capture(&cx).await.unwrap();
    let cancel = cx.cancel.clone();
    let watch = async {
        while proxy.changes() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let (failure, ()) = tokio::join!(step.apply(&cx, &captured), watch);
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::Unknown);
    assert!(failure.message.contains("cancelled"), "{failure}");
}

#[tokio::test]
async fn refused_connections_and_throttling_have_done_nothing() {
    let (name, r#type, sets) = shapes().remove(0);
    let zone = zone_of(&sets).await;
    let text = params(&zone, name, r#type, 60);
    let captured = action(KIND, &text, &at(moto::endpoint())).capture(&minute()).await.unwrap();
    let failure = action(KIND, &text, &at(&nobody().await)).apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    assert!(failure.message.contains("no connection"), "{failure}");

    let throttled = play(|_| super::aws::Answer::xml_error(400, "Throttling", "Rate exceeded")).await;
    let failure = action(KIND, &text, &at(&throttled)).apply(&cx(Duration::from_secs(3)), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    assert!(failure.message.contains("Throttling: Rate exceeded"), "{failure}");
    assert!(
        failure.causes.iter().any(|line| line.contains("req-1"))
            && failure.causes.iter().any(|line| line.starts_with("sent ")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn the_fence_refuses_another_account() {
    let aws = |account: &str| gonogo::runbook::AwsEnv {
        endpoint: Some(moto::endpoint().into()),
        account: Some(account.into()),
        ..Default::default()
    };
    let text = params("Z0ABC", "x.example", "A", 60);
    let failure = action(KIND, &text, &services(env_of(aws("444455556666")))).fence().await.unwrap_err();
    assert_eq!(failure.class, Class::Refused);
    assert!(failure.message.contains("444455556666") && failure.message.contains(moto::ACCOUNT), "{failure}");
    let identity = action(KIND, &text, &services(env_of(aws(moto::ACCOUNT)))).fence().await.unwrap().unwrap();
    assert!(identity.line.starts_with("account 123456789012 eu-west-1"), "{}", identity.line);
}

#[test]
fn mistakes_point_at_their_place() {
    let bad = "zone = \"acme.example\"\nname = \"www.other.example\"\ntype = \"cname\"\nttl = 4294967296\nvalu = 1\n";
    let found = mistakes(KIND, bad);
    let at: Vec<_> = found.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(at, ["valu", "\"www.other.example\"", "\"cname\"", "4294967296"], "{found:?}");
    assert_eq!(mistakes(KIND, "").len(), 4, "each missing key");
    assert_eq!(mistakes(KIND, "zone = 1\nname = \"x\"\ntype = \"A\"\nttl = \"60\"").len(), 2);
}

#[test]
fn it_says_what_it_sends() {
    let step = action(KIND, &params("Z0ABC", "x.example", "A", 60), &at("http://127.0.0.1:9"));
    assert_eq!(step.doubt(), Doubt::Swap);
    assert!(step.changes() && step.restorable());
    let does = step.does();
    assert_eq!(does[0], "Route 53 ListResourceRecordSets: capture A x.example of zone Z0ABC");
    assert_eq!(
        does[1],
        "Route 53 ChangeResourceRecordSets, one batch: DELETE A x.example as captured, CREATE it with TTL 60 s"
    );
    assert_eq!(does[2], "Route 53 GetChange until INSYNC, then ListResourceRecordSets again");
}

#[test]
fn it_needs_what_it_sends_and_no_more() {
    let needs = |zone: &str| {
        let text = format!("{zone}\nname = \"x.acme.example\"\ntype = \"A\"\nttl = 60");
        let needs = action(KIND, &text, &at("http://127.0.0.1:9")).needs();
        needs.iter().map(|need| format!("{} {}", need.action, need.resource)).collect::<Vec<_>>()
    };
    let zone = "arn:aws:route53:::hostedzone/";
    let base = |id: &str| {
        vec![
            format!("route53:ChangeResourceRecordSets {zone}{id}"),
            "route53:GetChange arn:aws:route53:::change/*".into(),
            format!("route53:ListResourceRecordSets {zone}{id}"),
        ]
    };
    assert_eq!(needs("zone = \"Z0ABC\""), base("Z0ABC"));
    let mut by_name = base("*");
    by_name.push("route53:ListHostedZonesByName *".into());
    assert_eq!(needs("zone = \"acme.example\"\nprivate = true"), by_name);
    by_name.push(format!("route53:GetHostedZone {zone}*"));
    assert_eq!(needs("zone = \"acme.example\"\nvpc = \"vpc-1\""), by_name);
}

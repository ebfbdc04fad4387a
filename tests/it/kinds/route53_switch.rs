//! `route53.switch` against moto.

use gonogo::{base::Class, plan::Finding};

use super::aws::{Proxy, Spoil, action, at, minute, mistakes, nobody};
use crate::moto;

const KIND: &str = "route53.switch";
const SHOP: &str = "<Name>shop.acme.example</Name><Type>CNAME</Type><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>old.example.net</Value></ResourceRecord></ResourceRecords>";
const APEX: &str = "<Name>acme.example</Name><Type>A</Type><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>";
const ALIAS: &str = "<Name>alias.acme.example</Name><Type>A</Type><AliasTarget><HostedZoneId>Z35SXDOTRQ7X7K</HostedZoneId><DNSName>old-alb.example.net.</DNSName><EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget>";

fn weighted(id: &str, weight: u8) -> String {
    format!(
        "<Name>w.acme.example</Name><Type>CNAME</Type><SetIdentifier>{id}</SetIdentifier><Weight>{weight}</Weight><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>{id}.example.net</Value></ResourceRecord></ResourceRecords>"
    )
}

async fn zone() -> String {
    let zone = moto::zone("acme.example").await;
    let (blue, green) = (weighted("blue", 100), weighted("green", 0));
    moto::records(&zone, &[SHOP, APEX, ALIAS, &blue, &green]).await;
    zone
}

/// There, twice, and back: what the zone says in between.
async fn there_and_back(record: &str, change: &str) -> String {
    let zone = zone().await;
    let before = moto::listing(&zone).await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let step = action(KIND, &format!("zone = \"{zone}\"\n{record}\n{change}"), &at(&proxy.endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    assert_eq!((proxy.changes(), moto::listing(&zone).await == before), (0, true), "a capture only reads");
    step.apply(&minute(), &captured).await.unwrap();
    let between = moto::listing(&zone).await;
    assert_ne!(between, before);
    step.apply(&minute(), &captured).await.unwrap();
    assert_eq!(proxy.changes(), 1, "twice equals once");
    assert!(matches!(step.probe(&minute(), &captured, false).await.unwrap(), Finding::Done(_)));
    step.restore(&minute(), &captured).await.unwrap();
    assert_eq!(moto::listing(&zone).await, before, "{record} came back byte for byte");
    assert!(matches!(step.probe(&minute(), &captured, true).await.unwrap(), Finding::Done(_)));
    between
}

#[tokio::test]
async fn a_value_keeps_the_ttl() {
    let record = "name = \"shop.acme.example\"\ntype = \"CNAME\"";
    let text = there_and_back(record, "value = \"new.example.net\"\nexpect = \"old.example.net.\"").await;
    assert!(
        text.contains("<TTL>60</TTL>") && text.contains("new.example.net") && !text.contains("old.example.net<"),
        "{text}"
    );
}

#[tokio::test]
async fn several_values_and_another_ttl() {
    let record = "name = \"acme.example\"\ntype = \"A\"";
    let text = there_and_back(record, "values = [\"192.0.2.8\", \"192.0.2.9\"]\nttl = 30").await;
    assert!(text.contains("192.0.2.8") && text.contains("192.0.2.9") && text.contains("<TTL>30</TTL>"), "{text}");
}

#[tokio::test]
async fn values_become_an_alias() {
    let record = "name = \"acme.example\"\ntype = \"A\"";
    let alias = "alias = { zone = \"Z32O12XQLNTSW2\", dns_name = \"new-alb.example.net\", evaluate_health = true }";
    let text = there_and_back(record, alias).await;
    assert!(text.contains("Z32O12XQLNTSW2") && !text.contains("192.0.2.1<"), "{text}");
}

#[tokio::test]
async fn an_alias_becomes_another_and_back() {
    let record = "name = \"alias.acme.example\"\ntype = \"A\"";
    let alias =
        "alias = { zone = \"Z32O12XQLNTSW2\", dns_name = \"new-alb.example.net\" }\nexpect = \"old-alb.example.net\"";
    let text = there_and_back(record, alias).await;
    assert!(text.contains("new-alb") && !text.contains("old-alb"), "{text}");
}

#[tokio::test]
async fn a_weight_of_one_of_two() {
    let record = "name = \"w.acme.example\"\ntype = \"CNAME\"";
    let text = there_and_back(record, "set_identifier = \"green\"\nweight = 100").await;
    assert_eq!(text.matches("<Weight>100</Weight>").count(), 2, "{text}");
}

#[tokio::test]
async fn a_new_record_is_created_and_deleted_again() {
    let record = "name = \"brand-new.acme.example\"\ntype = \"A\"";
    let text = there_and_back(record, "value = \"192.0.2.77\"\nttl = 60").await;
    assert!(text.contains("brand-new.acme.example"), "{text}");
}

#[tokio::test]
async fn what_does_not_fit_is_said_before_anything_is_sent() {
    let zone = zone().await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let services = at(&proxy.endpoint);
    let fails = async |rest: &str| {
        let step = action(KIND, &format!("zone = \"{zone}\"\n{rest}"), &services);
        step.capture(&minute()).await.unwrap_err()
    };
    let other =
        fails("name = \"shop.acme.example\"\ntype = \"CNAME\"\nvalue = \"new\"\nexpect = \"else.example.net\"").await;
    assert_eq!(other.class, Class::Refused);
    assert_eq!(other.causes[0], "expected else.example.net");
    assert!(other.causes[1].contains("old.example.net"), "{other:?}");
    let several = fails("name = \"w.acme.example\"\ntype = \"CNAME\"\nvalue = \"new\"").await;
    assert!(several.class == Class::Misconfigured && several.causes.len() == 2, "{several:?}");
    let unweighted = fails("name = \"acme.example\"\ntype = \"A\"\nweight = 1").await;
    assert!(unweighted.message.contains("not a weighted"), "{unweighted}");
    let no_ttl = fails("name = \"alias.acme.example\"\ntype = \"A\"\nvalue = \"192.0.2.1\"").await;
    assert!(no_ttl.message.contains("no TTL that could be kept"), "{no_ttl}");
    let nothing = fails("name = \"none.acme.example\"\ntype = \"A\"\nweight = 1").await;
    assert_eq!(nothing.class, Class::Misconfigured);
    assert_eq!(proxy.changes(), 0);
}

#[tokio::test]
async fn already_there_needs_no_expected_value() {
    let zone = zone().await;
    let text = format!(
        "zone = \"{zone}\"\nname = \"shop.acme.example\"\ntype = \"CNAME\"\nvalue = \"old.example.net\"\nexpect = \"x\""
    );
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let step = action(KIND, &text, &at(&proxy.endpoint));
    let captured = step.capture(&minute()).await.unwrap();
    let done = step.apply(&minute(), &captured).await.unwrap();
    assert!(done.line.starts_with("already so, nothing sent"), "{}", done.line);
    assert_eq!(proxy.changes(), 0);
}

#[tokio::test]
async fn a_refused_connection_has_done_nothing() {
    let zone = zone().await;
    let text =
        format!("zone = \"{zone}\"\nname = \"shop.acme.example\"\ntype = \"CNAME\"\nvalue = \"new.example.net\"");
    let captured = action(KIND, &text, &at(moto::endpoint())).capture(&minute()).await.unwrap();
    let failure = action(KIND, &text, &at(&nobody().await)).apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
}

#[test]
fn mistakes_point_at_their_place() {
    let base = "zone = \"acme.example\"\nname = \"shop.acme.example\"\ntype = \"CNAME\"\n";
    let at = |rest: &str| mistakes(KIND, &format!("{base}{rest}"));
    assert_eq!(at("")[0].1, "`route53.switch` is told nothing to change");
    assert_eq!(at("value = \"a\"\nvalues = [\"b\"]")[0].0, "[\"b\"]");
    assert_eq!(at("weight = 256")[0].0, "256");
    assert_eq!(at("values = []")[0].0, "[]");
    assert_eq!(at("alias = \"x\"")[0].0, "\"x\"");
    assert_eq!(at("alias = { zone = \"Z\", dns_nam = \"x\" }")[0].0, "dns_nam");
    assert_eq!(at("alias = { zone = \"Z\", dns_name = \"x\" }\nttl = 60")[0].0, "60");
}

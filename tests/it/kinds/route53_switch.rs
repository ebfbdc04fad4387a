//! `route53.switch` against moto.

use gonogo::base::Class;

use super::{
    aws::{Proxy, Spoil, action, at, minute, mistakes, nobody},
    ends::{Case, End, aws, contract},
};
use crate::moto;

const KIND: &str = "route53.switch";

/// A CNAME to an alias for both address families, in one batch. moto does not mind an A beside a CNAME; the sandbox does.
async fn case(end: End) -> Case {
    let there = aws(end).await;
    let zone = if end == End::Sandbox { "Z0SANDBOX".to_owned() } else { zone().await };
    let alias = "alias = { zone = \"Z32O12XQLNTSW2\", dns_name = \"acme-web-1.eu-west-1.elb.example\" }";
    let record =
        |r#type: &str| format!("{{ name = \"shop.acme.example\", type = \"{type}\", replaces = \"CNAME\", {alias} }}");
    let text = format!("zone = \"{zone}\"\nrecords = [{}, {}]", record("A"), record("AAAA"));
    Case::aws(&there, text, ("zone = 'Z'\nname = 'x'\ntype = 'A'\nreplaces = 'A'\nvalue = '::'", "'A'"))
        .mark("<ChangeResourceRecordSetsRequest")
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);
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

/// There, twice, and back; what the zone said in between, by what was captured as wanted.
async fn there_and_back(record: &str, change: &str) -> String {
    let zone = zone().await;
    let before = moto::listing(&zone).await;
    let text = format!("zone = \"{zone}\"\n{record}\n{change}");
    let (first, second) = super::aws::there_and_back(moto::endpoint(), KIND, &text).await;
    assert_eq!(first, second);
    assert_eq!(moto::listing(&zone).await, before, "{record} came back byte for byte");
    first["after"].to_string()
}

#[tokio::test]
async fn every_way_of_switching() {
    let apex = "name = \"acme.example\"\ntype = \"A\"";
    let shop = "name = \"shop.acme.example\"\ntype = \"CNAME\"";
    let values = "values = [\"192.0.2.8\", \"192.0.2.9\"]\nttl = 30";
    let alias = "alias = { zone = \"Z32O12XQLNTSW2\", dns_name = \"new-alb.example.net\", evaluate_health = true }";
    let expect = "expect = \"old-alb.example.net\"";
    let (value, from_alias) =
        ("value = \"new.example.net\"\nexpect = \"old.example.net.\"", format!("{alias}\n{expect}"));
    // Side by side: each client keeps its own pace of two requests a second.
    let (value, values, to_alias, aliases, weight, new) = tokio::join!(
        there_and_back(shop, value),
        there_and_back(apex, values),
        there_and_back(apex, alias),
        there_and_back("name = \"alias.acme.example\"\ntype = \"A\"", &from_alias),
        there_and_back("name = \"w.acme.example\"\ntype = \"CNAME\"", "set_identifier = \"green\"\nweight = 100"),
        there_and_back("name = \"brand-new.acme.example\"\ntype = \"A\"", "value = \"192.0.2.77\"\nttl = 60"),
    );
    assert!(value.contains("new.example.net") && value.contains("\"ttl\":60"), "the TTL stays: {value}");
    assert!(["192.0.2.8", "192.0.2.9", "\"ttl\":30"].iter().all(|part| values.contains(part)), "{values}");
    assert!(to_alias.contains("Z32O12XQLNTSW2") && !to_alias.contains("192.0.2.1"), "{to_alias}");
    assert!(aliases.contains("new-alb") && !aliases.contains("old-alb"), "{aliases}");
    assert_eq!(weight.matches("\"weight\":100").count(), 2, "{weight}");
    assert!(new.contains("brand-new.acme.example"), "created, and deleted again: {new}");
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
    assert_eq!(at("")[0].1, "the step is told nothing to change");
    assert_eq!(at("value = \"a\"\nvalues = [\"b\"]")[0].0, "[\"b\"]");
    assert_eq!(at("weight = 256")[0].0, "256");
    assert_eq!(at("values = []")[0].0, "[]");
    assert_eq!(at("alias = \"x\"")[0].0, "\"x\"");
    assert_eq!(at("alias = { zone = \"Z\", dns_nam = \"x\" }")[0].0, "dns_nam");
    assert_eq!(at("alias = { zone = \"Z\", dns_name = \"x\" }\nttl = 60")[0].0, "60");
}

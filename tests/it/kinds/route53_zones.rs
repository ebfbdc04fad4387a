//! What the Route 53 kinds share: which zone is meant, who was faster, what would be lost, and how much one batch holds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_route53::types::{ChangeAction, ResourceRecord, ResourceRecordSet, RrType};
use gonogo::base::{Class, Failure};

use super::{
    aws::{Answer, Heard, Proxy, Spoil, action, at, cx_heard, minute, mistakes, play, services},
    ends::{End, aws, aws_with},
    route53_restore::{client, make_zone, write},
};
use crate::moto;

const TTL: &str = "route53.set_ttl";
const SWITCH: &str = "route53.switch";

fn a(name: &str) -> ResourceRecordSet {
    let value = ResourceRecord::builder().value("192.0.2.1").build().unwrap();
    ResourceRecordSet::builder().name(name).r#type(RrType::A).ttl(60).resource_records(value).build().unwrap()
}

/// A public zone and two private ones share a name: which is meant has to be said, and all are named until it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zones_of_one_name_are_told_apart() {
    let there = aws(End::Sandbox).await;
    let sdk = client(&there.endpoint).await;
    let one = make_zone(&sdk, Some("vpc-1")).await;
    let two = make_zone(&sdk, Some("vpc-2")).await;
    for zone in [&one, &two] {
        write(&sdk, zone, ChangeAction::Create, &[a("www2.acme.example")]).await;
    }
    let captured = async |zone: &str| {
        let text = format!("{zone}\nname = \"www2.acme.example.\"\ntype = \"A\"\nttl = 7");
        let step = action(TTL, &text, &services(there.env.clone()));
        step.capture(&minute()).await.map(|captured| captured["zone"].as_str().unwrap().to_owned())
    };
    let failure = captured("zone = \"acme.example\"").await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    for id in ["public zone Z0SANDBOX ", &format!("private zone {one} "), &format!("private zone {two} ")] {
        assert!(failure.causes.iter().any(|line| line.starts_with(id)), "{id}: {failure:?}");
    }
    let failure = captured("zone = \"ACME.example.\"\nprivate = true").await.unwrap_err();
    assert!(failure.message.contains("is the name of 2 zones") || failure.causes.len() == 3, "{failure:?}");
    assert_eq!(captured("zone = \"acme.example.\"\nvpc = \"vpc-2\"").await.unwrap(), two);
    assert_eq!(captured("zone = \"acme.example\"\nprivate = true\nvpc = \"vpc-1\"").await.unwrap(), one);
    assert_eq!(captured(&format!("zone = \"/hostedzone/{one}\"")).await.unwrap(), one);
    let failure = captured("zone = \"acme.example\"\nvpc = \"vpc-9\"").await.unwrap_err();
    assert!(failure.message.contains("no zone acme.example (private, vpc-9) of that kind"), "{failure}");
    let failure = captured("zone = \"acme.example\"\nprivate = false").await.unwrap_err();
    assert!(failure.message.contains("has no A www2.acme.example"), "the public one was looked at: {failure}");
}

/// moto, too, says which of its zones are private.
#[tokio::test]
async fn zones_by_name_at_moto() {
    let sdk = client(moto::endpoint()).await;
    let name = format!("n{}.example", fastrand::u32(..));
    let zone = moto::zone(&name).await;
    write(&sdk, &zone, ChangeAction::Create, &[a(&format!("*.{name}"))]).await;
    for spelling in ["*", "\\\\052"] {
        let text = format!("zone = \"{name}.\"\nprivate = false\nname = \"{spelling}.{name}\"\ntype = \"A\"\nttl = 7");
        let step = action(TTL, &text, &at(moto::endpoint()));
        assert_eq!(step.capture(&minute()).await.unwrap()["zone"], zone);
    }
    let text = format!("zone = \"{name}\"\nprivate = true\nname = \"*.{name}\"\ntype = \"A\"\nttl = 7");
    let failure = action(TTL, &text, &at(moto::endpoint())).capture(&minute()).await.unwrap_err();
    assert!(failure.causes[0].starts_with(&format!("public zone {zone} ")), "{failure:?}");
}

#[test]
fn mistakes_about_zones_point_at_their_place() {
    let at = |zone: &str| {
        let found = mistakes(TTL, &format!("{zone}\nname = \"x.acme.example\"\ntype = \"A\"\nttl = 7"));
        found.into_iter().map(|(place, _)| place).collect::<Vec<_>>()
    };
    assert_eq!(at("zone = \"Z0ABC\"\nprivate = true"), ["true"]);
    assert_eq!(at("zone = \"Z0ABC\"\nvpc = \"vpc-1\""), ["\"vpc-1\""]);
    assert_eq!(at("zone = \"acme.example\"\nprivate = false\nvpc = \"vpc-1\""), ["\"vpc-1\""]);
    let found = mistakes(TTL, "zone = 'Z'\nttl = 1\nrecords = [{ name = 'x' }, 7, { name = 'x', type = 'A', tt = 1 }]");
    let places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["{ name = 'x' }", "7", "tt"], "{found:?}");
    let found = mistakes(TTL, "zone = 'Z'\nttl = 1\nname = 'y'\nrecords = []");
    assert_eq!(found.len(), 2, "{found:?}");
}

/// Somebody is faster between the look and the batch: Route 53 refuses, and what is told is who wants what.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_party_between_look_and_batch() {
    let there = aws_with(&["route53.third_party", "route53.prior_request:2", "route53.insync"]).await;
    let text = "zone = \"Z0SANDBOX\"\nname = \"shop.acme.example\"\ntype = \"CNAME\"\nttl = 5";
    let step = action(TTL, text, &services(there.env.clone()));
    let heard = Arc::new(Heard::default());
    let cx = cx_heard(Duration::from_secs(60), heard.clone());
    let captured = step.capture(&cx).await.unwrap();
    let failure = step.apply(&cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert_eq!(failure.message, "somebody else changed the record since it was captured");
    assert!(failure.causes[4].contains("InvalidChangeBatch: [Tried to delete resource record set"), "{failure:?}");
    let told = failure.causes[..4].iter().map(|line| line.trim_end_matches(" → acme-shop.herokudns.example"));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "CNAME shop.acme.example: TTL differs",
            "captured CNAME shop.acme.example 20 s",
            "found    CNAME shop.acme.example 299 s",
            "wanted   CNAME shop.acme.example 5 s",
        ]
    );
    // A retry captures it as it is now; the slow INSYNC is told while it lasts.
    let again = step.capture(&cx).await.unwrap();
    step.apply(&cx, &again).await.unwrap();
    let lines = heard.lines();
    assert!(lines.iter().any(|line| line.contains("is PENDING for 0m1")), "{lines:?}");
}

const EMPTY: &str = "<ListResourceRecordSetsResponse><ResourceRecordSets>";

/// A Route 53 whose record sets hold this, and that refuses a change with `refusal`.
async fn newer(inside: &'static str, refusal: &'static str) -> (String, Arc<AtomicUsize>) {
    answered(inside, 400, refusal).await
}

/// The same, that answers a change with this.
async fn answered(inside: &'static str, status: u16, answer: &'static str) -> (String, Arc<AtomicUsize>) {
    let changes = Arc::new(AtomicUsize::new(0));
    let counted = changes.clone();
    let endpoint = play(move |asked| {
        if asked.operation.starts_with("POST") {
            counted.fetch_add(1, Ordering::Relaxed);
            return Answer { status, ..Answer::xml(answer) };
        }
        Answer::xml(format!(
            "{EMPTY}<ResourceRecordSet><Name>x.acme.example.</Name><Type>A</Type><TTL>300</TTL><ResourceRecords>\
             <ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords>{inside}</ResourceRecordSet>\
             </ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>300</MaxItems></ListResourceRecordSetsResponse>"
        ))
    })
    .await;
    (endpoint, changes)
}

async fn lower(endpoint: &str) -> Result<gonogo::plan::Done, Failure> {
    let step = action(TTL, "zone = \"Z0ABC\"\nname = \"x.acme.example\"\ntype = \"A\"\nttl = 60", &at(endpoint));
    let captured = step.capture(&minute()).await?;
    step.apply(&minute(), &captured).await
}

#[tokio::test]
async fn what_this_version_does_not_know_is_not_lost() {
    let (endpoint, changes) = newer("<LunarRoutingConfig><Phase>full</Phase></LunarRoutingConfig>", "").await;
    let failure = lower(&endpoint).await.unwrap_err();
    assert_eq!((failure.class, changes.load(Ordering::Relaxed)), (Class::Misconfigured, 0));
    assert!(failure.causes[0].contains("LunarRoutingConfig"), "{failure:?}");
    let (endpoint, changes) = newer("<TrafficPolicyInstanceId>t-1</TrafficPolicyInstanceId>", "").await;
    let failure = lower(&endpoint).await.unwrap_err();
    assert!(failure.message.contains("traffic policy") && changes.load(Ordering::Relaxed) == 0, "{failure:?}");
}

/// AWS's two shapes of a refused batch.
#[tokio::test]
async fn each_complaint_of_a_refused_batch_is_told() {
    let error = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidChangeBatch</Code><Message>[first, second]</Message></Error><RequestId>r-1</RequestId></ErrorResponse>";
    let (endpoint, changes) = newer("", error).await;
    let failure = lower(&endpoint).await.unwrap_err();
    assert_eq!((failure.class, changes.load(Ordering::Relaxed)), (Class::Refused, 1), "{failure:?}");
    assert!(failure.message.contains("InvalidChangeBatch: [first, second]"), "{failure}");
    let listed = "<InvalidChangeBatch xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Messages><Message>one thing</Message><Message>another</Message></Messages><RequestId>r-1</RequestId></InvalidChangeBatch>";
    let (endpoint, _) = newer("", listed).await;
    let failure = lower(&endpoint).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert!(failure.message.contains("InvalidChangeBatch: [one thing, another]"), "{failure}");
}

/// A batch that was answered by something else than AWS: by a page that says yes, nobody knows; by one that refused
/// to pass it on, nothing was done. Neither is a word of AWS, nor a missing permission.
#[tokio::test]
async fn a_page_in_the_place_of_awss_answer() {
    let page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>guest<br></body></html>";
    for (status, class, words) in [
        (200, Class::Unknown, "Route 53 answered ChangeResourceRecordSets in words we cannot read"),
        (403, Class::Refused, "Route 53 refused ChangeResourceRecordSets: HTTP 403, not in AWS's words"),
        (502, Class::Unknown, "Route 53 failed at ChangeResourceRecordSets: HTTP 502, not in AWS's words"),
    ] {
        let (endpoint, changes) = answered("", status, page).await;
        let failure = lower(&endpoint).await.unwrap_err();
        assert_eq!((failure.class, changes.load(Ordering::Relaxed)), (class, 1), "{status}: {failure:?}");
        assert_eq!(failure.message, words, "{failure:?}");
        assert!(!format!("{failure:?}").contains("Extensions"), "a debug print: {failure:?}");
    }
}

#[tokio::test]
async fn more_than_a_batch_holds_is_said_before_anything_is_sent() {
    let zone = moto::zone("acme.example").await;
    let values: String = (0..90)
        .map(|i| format!("<ResourceRecord><Value>\"{i:03}{}\"</Value></ResourceRecord>", "x".repeat(200)))
        .collect();
    moto::records(
        &zone,
        &[&format!(
            "<Name>t.acme.example</Name><Type>TXT</Type><TTL>300</TTL><ResourceRecords>{values}</ResourceRecords>"
        )],
    )
    .await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let text = format!("zone = \"{zone}\"\nname = \"t.acme.example\"\ntype = \"TXT\"\nttl = 7");
    let failure = action(TTL, &text, &at(&proxy.endpoint)).capture(&minute()).await.unwrap_err();
    assert_eq!((failure.class, proxy.changes()), (Class::Misconfigured, 0));
    assert!(failure.message.contains("180 records with 36900 characters"), "{failure}");
}

/// A CNAME, alone at its name, and what is beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_and_other_types_of_the_name() {
    let there = aws(End::Sandbox).await;
    let services = services(there.env.clone());
    let capture = async |text: &str| {
        let heard = Arc::new(Heard::default());
        let cx = cx_heard(Duration::from_secs(30), heard.clone());
        let step = action(SWITCH, &format!("zone = \"Z0SANDBOX\"\n{text}"), &services);
        (step.capture(&cx).await, heard.lines())
    };
    let (beside, _) = capture("name = \"shop.acme.example\"\ntype = \"A\"\nvalue = \"192.0.2.1\"\nttl = 60").await;
    let beside = beside.unwrap_err();
    assert_eq!(beside.message, "A shop.acme.example cannot stand beside CNAME shop.acme.example");
    assert_eq!(beside.hint.unwrap(), "`replaces = \"CNAME\"` deletes it in the same batch");
    let (none, _) =
        capture("name = \"new.acme.example\"\ntype = \"A\"\nreplaces = \"CNAME\"\nvalue = \"192.0.2.1\"\nttl = 60")
            .await;
    let none = none.unwrap_err();
    assert_eq!((none.class, none.message.as_str()), (Class::Refused, "there is no CNAME new.acme.example to replace"));
    let (twin, lines) =
        capture("name = \"assets.acme.example\"\ntype = \"AAAA\"\nvalue = \"2001:db8::1\"\nttl = 60").await;
    twin.unwrap();
    assert!(lines.iter().any(|line| line.starts_with("warning: A of assets.acme.example stays as it is")), "{lines:?}");
    let (other, _) = capture(
        "name = \"shop.acme.example\"\ntype = \"A\"\nreplaces = \"CNAME\"\nvalue = \"192.0.2.1\"\nexpect = \"else.example\"",
    )
    .await;
    let other = other.unwrap_err();
    assert_eq!(other.class, Class::Refused, "{other:?}");
    assert!(other.causes[2].starts_with("wanted   DELETE CNAME shop.acme.example as captured, CREATE A"), "{other:?}");
}

/// A health check is attached and taken away; one that is not there is refused by the sandbox as AWS does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_come_and_go() {
    let there = aws(End::Sandbox).await;
    let sdk = client(&there.endpoint).await;
    let story = sdk.list_health_checks().send().await.unwrap();
    let id = story.health_checks()[0].id.clone();
    assert_eq!(sdk.get_health_check().health_check_id(&id).send().await.unwrap().health_check.unwrap().id, id);
    let attach = |id: &str| {
        let text = format!(
            "zone = \"Z0SANDBOX\"\nname = \"api.acme.example\"\ntype = \"A\"\nset_identifier = \"green\"\nhealth_check = \"{id}\""
        );
        action(SWITCH, &text, &services(there.env.clone()))
    };
    let step = attach(&id);
    let captured = step.capture(&minute()).await.unwrap();
    let done = step.apply(&minute(), &captured).await.unwrap();
    assert!(done.line.contains(&format!("[green] weight 10 health check {id} 60 s → 127.0.0.3")), "{}", done.line);
    let away = attach("");
    let before = away.capture(&minute()).await.unwrap();
    away.apply(&minute(), &before).await.unwrap();
    away.restore(&minute(), &before).await.unwrap();
    step.restore(&minute(), &captured).await.unwrap();
    let step = attach("00000000-0000-4000-8000-000000000000");
    let captured = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&minute(), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused);
    assert!(failure.message.contains("NoSuchHealthCheck"), "{failure}");
}

/// A record is removed, and comes back.
#[tokio::test]
async fn a_record_that_goes_comes_back() {
    let zone = moto::zone("acme.example").await;
    moto::records(&zone, &["<Name>www.acme.example</Name><Type>AAAA</Type><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>2001:db8::1</Value></ResourceRecord></ResourceRecords>"]).await;
    let before = moto::listing(&zone).await;
    let text = format!(
        "zone = \"{zone}\"\nname = \"www.acme.example\"\ntype = \"AAAA\"\nremove = true\nexpect = \"2001:0db8::0001\""
    );
    let (first, second) = super::aws::there_and_back(moto::endpoint(), SWITCH, &text).await;
    assert_eq!((&first, moto::listing(&zone).await), (&second, before));
    let found = mistakes(SWITCH, "zone = 'Z'\nname = 'x'\ntype = 'A'\nremove = true\nttl = 5");
    assert_eq!(found[0].0, "5");
}

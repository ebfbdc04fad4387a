//! `route53.weights`: the contract, the ramp and where it stops.

use std::{sync::Arc, time::Duration};

use gonogo::{base::Class, plan::Finding};
use serde_json::Value as Json;

use super::{
    aws::{Heard, Proxy, Spoil, action, at, cx, cx_heard, minute, mistakes},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "route53.weights";

fn weighted(r#type: &str, id: &str, weight: u8, more: &str) -> String {
    let value = if r#type == "AAAA" { "2001:db8::1" } else { "192.0.2.1" };
    format!(
        "<Name>api.acme.example</Name><Type>{type}</Type><SetIdentifier>{id}</SetIdentifier><Weight>{weight}</Weight>\
         <TTL>60</TTL><ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord></ResourceRecords>{more}"
    )
}

async fn zone(sets: &[String]) -> String {
    let zone = moto::zone("acme.example").await;
    moto::records(&zone, &sets.iter().map(String::as_str).collect::<Vec<_>>()).await;
    zone
}

async fn blue_and_green() -> String {
    zone(&[weighted("A", "blue", 90, ""), weighted("A", "green", 10, "")]).await
}

fn params(zone: &str, steps: &str, soak: &str) -> String {
    format!(
        "zone = \"{zone}\"\nname = \"api.acme.example\"\ntype = \"A\"\nfrom = \"blue\"\nto = \"green\"\nsteps = {steps}\nsoak = \"{soak}\"\n"
    )
}

/// A check that holds while a file is there.
fn sign(path: &std::path::Path) -> String {
    format!("guard = [{{ kind = \"command\", argv = [\"/usr/bin/test\", \"-e\", \"{}\"] }}]\n", path.display())
}

/// The weights that moto has: blue, green.
async fn weights(zone: &str) -> (u32, u32) {
    let text = moto::listing(zone).await;
    let of = |id: &str| {
        let at = text.find(&format!("<SetIdentifier>{id}<")).unwrap();
        moto::between(&text[at..], "<Weight>", "<").parse().unwrap()
    };
    (of("blue"), of("green"))
}

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let zone = if end == End::Sandbox { "Z0SANDBOX".to_owned() } else { blue_and_green().await };
    let bad = "zone = 'Z'\nname = 'x'\ntype = 'A'\nfrom = 'a'\nto = 'b'\nsoak = '1s'\nsteps = [50, 10]";
    Case::aws(&there, params(&zone, "[20, 60, 100]", "1s"), (bad, "10")).mark("<ChangeResourceRecordSetsRequest")
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

#[tokio::test]
async fn both_families_move_together_stage_by_stage() {
    let sets: Vec<String> = ["A", "AAAA"]
        .into_iter()
        .flat_map(|family| [weighted(family, "blue", 255, ""), weighted(family, "green", 0, "")])
        .collect();
    let zone = zone(&sets).await;
    let before = moto::listing(&zone).await;
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let text = params(&zone, "[10, 100]", "1s").replace("type = \"A\"", "type = [\"A\", \"AAAA\"]");
    let step = action(KIND, &text, &at(&proxy.endpoint));
    let heard = Arc::new(Heard::default());
    let cx = cx_heard(Duration::from_secs(60), heard.clone());
    let captured = step.capture(&cx).await.unwrap();
    let done = step.apply(&cx, &captured).await.unwrap();
    assert_eq!(proxy.changes(), 2, "a batch a stage");
    assert_eq!(done.evidence["stages"].as_array().unwrap().len(), 2);
    assert_eq!(done.line, "green 100 %, blue 0 % (stage 2 of 2)");
    let after = moto::listing(&zone).await;
    assert_eq!((after.matches("<Weight>100<").count(), after.matches("<Weight>0<").count()), (2, 2), "{after}");
    let lines = heard.lines();
    assert!(lines.iter().any(|line| line.contains("A api.acme.example [blue] has no health check")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("green 10 %, blue 90 % (stage 1 of 2)")), "{lines:?}");
    step.restore(&cx, &captured).await.unwrap();
    assert_eq!(moto::listing(&zone).await, before, "byte for byte");
}

#[tokio::test]
async fn a_check_that_fails_stops_it_and_a_retry_goes_on_there() {
    let zone = blue_and_green().await;
    let before = moto::listing(&zone).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sign");
    let text = format!("{}{}", params(&zone, "[30, 100]", "1s"), sign(&path));
    let proxy = Proxy::new(moto::endpoint(), "", Spoil::Nothing).await;
    let step = action(KIND, &text, &at(&proxy.endpoint));
    let first = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&minute(), &first).await.unwrap_err();
    assert_eq!((failure.class, proxy.changes()), (Class::Failed, 1), "{failure:?}");
    assert!(failure.message.starts_with("the ramp stopped: "), "{failure}");
    assert!(failure.causes.contains(&"Route 53 serves green 30 %, blue 70 % (stage 1 of 2)".into()), "{failure:?}");
    assert!(failure.causes.contains(&"a rollback puts back green weight 10, blue weight 90, as captured".into()));
    assert_eq!(weights(&zone).await, (70, 30));
    let Finding::Unclear { line } = step.probe(&minute(), &first, false).await.unwrap() else { panic!() };
    assert!(line.starts_with("half way: green 30 %"), "{line}");
    assert!(matches!(step.probe(&minute(), &first, true).await.unwrap(), Finding::NotDone { .. }));

    // A retry captures anew and goes on; what is put back is what the first attempt captured.
    std::fs::write(&path, "").unwrap();
    let second = step.capture(&minute()).await.unwrap();
    let heard = Arc::new(Heard::default());
    step.apply(&cx_heard(Duration::from_secs(60), heard.clone()), &second).await.unwrap();
    assert_eq!((weights(&zone).await, proxy.changes()), ((0, 100), 2));
    assert!(heard.lines().iter().any(|line| line.contains("going on there")), "{:?}", heard.lines());
    step.restore(&minute(), &first).await.unwrap();
    assert_eq!(moto::listing(&zone).await, before);
}

#[tokio::test]
async fn a_check_that_held_and_fails_twice_stops_the_soak() {
    let zone = blue_and_green().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sign");
    std::fs::write(&path, "").unwrap();
    let text = format!("{}{}", params(&zone, "[30, 100]", "50s"), sign(&path));
    let step = action(KIND, &text, &at(moto::endpoint()));
    let heard = Arc::new(Heard::default());
    let cx = cx_heard(Duration::from_secs(60), heard.clone());
    let captured = step.capture(&cx).await.unwrap();
    let gone = async {
        while !heard.lines().iter().any(|line| line.contains("1 of 1 checks hold")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        std::fs::remove_file(&path).unwrap();
    };
    let begun = std::time::Instant::now();
    let (failure, ()) = tokio::join!(step.apply(&cx, &captured), gone);
    assert_eq!(failure.unwrap_err().class, Class::Failed);
    assert!(begun.elapsed() < Duration::from_secs(30), "it does not wait for the end of the soak");
    assert_eq!(weights(&zone).await, (70, 30));
}

#[tokio::test]
async fn an_attempt_that_ends_in_a_soak_knows_where_it_stands() {
    let zone = blue_and_green().await;
    let step = action(KIND, &params(&zone, "[30, 100]", "1h"), &at(moto::endpoint()));
    let captured = step.capture(&minute()).await.unwrap();
    let failure = step.apply(&cx(Duration::from_secs(6)), &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Failed, "what it did is known: {failure:?}");
    assert!(failure.message.contains("timed out"), "{failure}");
    assert!(failure.causes.iter().any(|line| line.contains("green 30 %")), "{failure:?}");
}

#[tokio::test]
async fn a_third_party_stops_it_before_anything_is_sent() {
    let zone = blue_and_green().await;
    let step = action(KIND, &params(&zone, "[30, 100]", "1s"), &at(moto::endpoint()));
    let captured = step.capture(&minute()).await.unwrap();
    moto::records(&zone, &[&weighted("A", "blue", 77, "")]).await;
    for failure in [step.apply(&minute(), &captured).await, step.restore(&minute(), &captured).await] {
        let failure = failure.unwrap_err();
        assert_eq!(failure.class, Class::Refused);
        assert_eq!(failure.causes[0], "A api.acme.example [blue]: weight differs", "{failure:?}");
    }
    assert_eq!(weights(&zone).await, (77, 10));
}

/// The sandbox's other hand changes the records just before a stage arrives: the first stage stands, and that is said.
#[tokio::test]
async fn a_third_party_between_two_stages() {
    let there = aws_with(&[]).await;
    let other = super::aws::services(there.env.clone());
    let step = action(KIND, &params("Z0SANDBOX", "[30, 100]", "4s"), &other);
    let heard = Arc::new(Heard::default());
    let cx = cx_heard(Duration::from_secs(60), heard.clone());
    let captured = step.capture(&cx).await.unwrap();
    let meddle = async {
        while !heard.lines().iter().any(|line| line.starts_with("green 30 %")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let text = "zone = \"Z0SANDBOX\"\nname = \"api.acme.example\"\ntype = \"A\"\nttl = 33";
        let theirs = action("route53.set_ttl", text, &super::aws::services(there.env.clone()));
        let captured = theirs.capture(&minute()).await.unwrap();
        theirs.apply(&minute(), &captured).await.unwrap();
    };
    let (failure, ()) = tokio::join!(step.apply(&cx, &captured), meddle);
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::Failed, "a stage was done, so it is not \"nothing done\": {failure:?}");
    assert!(failure.causes.iter().any(|line| line.contains("TTL differs")), "{failure:?}");
    assert!(failure.causes.iter().any(|line| line.starts_with("Route 53 serves green 30 %")), "{failure:?}");
}

#[tokio::test]
async fn what_cannot_be_ramped_is_said_before_anything_is_sent() {
    let third =
        zone(&[weighted("A", "blue", 50, ""), weighted("A", "green", 0, ""), weighted("A", "red", 50, "")]).await;
    let fails = async |zone: &str, text: &str| {
        let step = action(KIND, text, &at(moto::endpoint()));
        let failure = step.capture(&minute()).await.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured, "{zone}: {failure:?}");
        failure
    };
    let failure = fails(&third, &params(&third, "[10, 100]", "1s")).await;
    assert!(failure.message.contains("[red] has a share too"), "{failure}");
    let failure = fails(&third, &params(&third, "[10, 100]", "1s").replace("green", "grean")).await;
    assert!(failure.message.contains("set_identifier grean") && failure.causes.len() == 3, "{failure:?}");
}

#[test]
fn mistakes_point_at_their_place() {
    let at = |text: &str| {
        let found = mistakes(KIND, text);
        found.iter().map(|(place, _)| place.clone()).collect::<Vec<_>>()
    };
    let good = params("Z", "[10, 100]", "1s");
    assert_eq!(at(&good.replace("[10, 100]", "[100, 100]")), ["100"]);
    assert_eq!(at(&good.replace("[10, 100]", "[10, 101]")), ["101"]);
    assert_eq!(at(&good.replace("[10, 100]", "[]")), ["[]"]);
    assert_eq!(at(&good.replace("\"blue\"", "\"green\"")), ["\"green\""]);
    assert_eq!(at(&good.replace("soak = \"1s\"\n", "")), ["[10, 100]"]);
    assert_eq!(at(&good.replace("\"A\"", "[\"A\", \"a\"]")), ["[\"A\", \"a\"]"]);
    assert_eq!(at(&format!("{good}guard = {{ kind = \"ecs.deploy\" }}")), ["\"ecs.deploy\""]);
    assert_eq!(at(&format!("{good}guard = [\"http.check\"]")), ["\"http.check\""]);
    assert_eq!(mistakes(KIND, "").len(), 6, "zone, name, type, to, from, steps");
}

#[test]
fn it_says_what_it_sends_and_needs_what_its_checks_need() {
    let guard = "guard = { kind = \"ecs.steady\", cluster = \"c\", service = \"s\" }";
    let text = format!("{}{guard}", params("Z0ABC", "[10, 100]", "2m"));
    let step = action(KIND, &text, &at("http://127.0.0.1:9"));
    let does = step.does().join("\n");
    for part in [
        "DELETE A api.acme.example [green] and [blue] as they are, CREATE them with weight 10 and 90",
        "weight 100 and 0",
        "wait 2m, then it must hold: ",
    ] {
        assert!(does.contains(part), "{part}: {does}");
    }
    let needs: Vec<String> = step.needs().into_iter().map(|need| need.action).collect();
    assert!(needs.contains(&"route53:ChangeResourceRecordSets".into()), "{needs:?}");
    let captured: Json = serde_json::json!({ "zone": "Z" });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failure = runtime.block_on(step.apply(&minute(), &captured)).unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "what another kind captured is refused");
}

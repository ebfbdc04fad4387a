//! `logs.arrive` against the sandbox, moto, and a played CloudWatch Logs whose pages are empty.

use std::sync::atomic::{AtomicUsize, Ordering};

use gonogo::base::Class;
use serde_json::{Value as Json, json};

use super::{
    aws::{Answer, at, check, minute, mistakes, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "logs.arrive";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let bad = ("group = 'g'\nurl = 'https://shop.example/'", "'https://shop.example/'");
    if end == End::Moto {
        let group = format!("/ecs/{}", fastrand::u32(..));
        write(&group, "app/1", "GET /healthz?m=seen-it 200").await;
        let text = |marker: &str| format!("group = '{group}'\nmarker = '{marker}'");
        return Case::aws(&there, text("m=seen-it"), bad).not_so(text("m=never-sent"));
    }
    let origin = there.sandbox.as_ref().unwrap().endpoints().new_origin;
    let text =
        format!("group = '/ecs/web'\nurl = 'http://shop.acme.example/healthz?m={{marker}}'\nconnect_to = '{origin}'");
    Case::aws(&there, text, bad).not_so("prefix = '/ecs/'\nmarker = 'nobody-writes-this'")
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

/// One line in a log of moto.
async fn write(group: &str, stream: &str, line: &str) {
    let call =
        async |operation: &str, body: Json| moto::json("logs", &format!("Logs_20140328.{operation}"), body).await;
    call("CreateLogGroup", json!({ "logGroupName": group })).await;
    call("CreateLogStream", json!({ "logGroupName": group, "logStreamName": stream })).await;
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let events = json!([{ "timestamp": u64::try_from(at).unwrap(), "message": line }]);
    call("PutLogEvents", json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events })).await;
}

#[tokio::test]
async fn empty_pages_are_followed_to_the_end() {
    let pages = std::sync::Arc::new(AtomicUsize::new(0));
    let asked = pages.clone();
    let endpoint = play(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Answer::json(json!({ "events": [], "nextToken": "more" })),
        _ => Answer::json(json!({ "events": [{ "timestamp": 1, "message": "m", "logStreamName": "web/app/1" }] })),
    })
    .await;
    let look = check(KIND, "group = 'g'\nmarker = 'm'", &at(&endpoint));
    let seen = look.check(&minute()).await.unwrap();
    assert_eq!(pages.load(Ordering::SeqCst), 3);
    assert!(
        seen.line.starts_with(r#"1 event with "m" in g, the newest"#) && seen.line.ends_with("in web/app/1"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_search_without_an_end_and_no_events_are_never_green() {
    let endless = play(|_| Answer::json(json!({ "events": [], "nextToken": "more" }))).await;
    let failure = check(KIND, "group = 'g'\nmarker = 'm'", &at(&endless)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert!(failure.message.starts_with("no data: the search in g has more than"), "{failure}");
    let two = play(|_| Answer::json(json!({ "events": [{ "timestamp": 1, "message": "m" }] }))).await;
    let failure = check(KIND, "group = 'g'\nmarker = 'm'\nmin = 2", &at(&two)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.message, r#"1 of 2 events with "m" in g of the last 1m00"#);
    let gone =
        play(|_| Answer::json_error(400, "ResourceNotFoundException", "The specified log group does not exist.")).await;
    let failure = check(KIND, "group = 'g'\nmarker = 'm'", &at(&gone)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
}

#[tokio::test]
async fn one_marker_is_sent_until_it_is_found_or_late() {
    let there = aws_with(&[]).await;
    let origin = there.sandbox.as_ref().unwrap().endpoints().new_origin;
    let text = |within: &str| {
        format!(
            "prefix = '/ecs/'\nurl = 'http://shop.acme.example/orders?m={{marker}}'\nconnect_to = '{origin}'\nwithin = '{within}'"
        )
    };
    let services = services(there.env.clone());
    let look = check(KIND, &text("30s"), &services);
    let cx = minute();
    let first = look.check(&cx).await.unwrap_err();
    assert!(first.message.contains("after it was sent (0m30 are allowed)"), "{first}");
    assert_eq!(first.causes[0], "the app answered 200 to the request that carried it");
    let seen = cx.poll(std::time::Duration::from_millis(200), || look.check(&cx)).await.unwrap();
    let marker = |text: &str| text.split_whitespace().find(|word| word.starts_with("gonogo-")).unwrap().to_owned();
    assert_eq!(marker(&first.message), marker(&seen.line), "one marker");
    assert!(seen.line.contains("in 3 groups /ecs/…"), "{seen:?}");
    let again = look.check(&cx).await.unwrap_err();
    assert_ne!(marker(&again.message), marker(&seen.line), "found is found: the next one is new");
    let late = check(KIND, &text("1ms"), &services).check(&cx).await.unwrap_err();
    assert_eq!(late.class, Class::NotYet, "{late:?}");
}

#[test]
fn mistakes_point_at_their_place_and_needs_are_groups() {
    assert!(mistakes(KIND, "marker = 'm'")[0].1.contains("either `group` or `prefix`"));
    assert!(mistakes(KIND, "group = 'g'")[0].1.contains("one of `url`, `marker` and `pattern`"));
    assert_eq!(mistakes(KIND, "group = 'g'\nmarker = 'm'\nmin = 0")[0].0, "0");
    assert_eq!(mistakes(KIND, "group = 'g'\nurl = 'ftp://x/{marker}'")[0].0, "'ftp://x/{marker}'");
    assert_eq!(mistakes(KIND, "group = 'g'\nmarker = 'm'\nconnect_to = '127.0.0.1'")[0].0, "'127.0.0.1'");
    let needs = check(KIND, "group = ['/ecs/web', '/ecs/worker']\nmarker = 'm'", &at("http://127.0.0.1:9")).needs();
    let needs: Vec<_> = needs.iter().map(|need| need.resource.as_str()).collect();
    assert_eq!(needs, ["arn:aws:logs:*:*:log-group:/ecs/web:*", "arn:aws:logs:*:*:log-group:/ecs/worker:*"]);
}

//! CloudWatch Logs of the built-in world, as AWS tells it: what tasks write, pages that are empty, ends that are not.

use std::time::Duration;

use aws_sdk_ecs::Client;
use serde_json::{Value, json};

use super::{aws, http, until, world};
use gonogo::sandbox::Sandbox;

/// A signed request of the JSON protocol.
async fn ask(world: &Sandbox, service: &str, target: &str, body: Value) -> (u16, Value) {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let at = world.endpoints();
    let body = body.to_string();
    let keys =
        aws_credential_types::Credentials::new(at.access_key_id, at.secret_access_key, None, None, "test").into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&keys)
        .region(&at.region)
        .name(service)
        .time(std::time::SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let headers = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")];
    let url = format!("{}/", at.aws);
    let signable =
        SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes())).unwrap();
    let (signed, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = http().post(&url).body(body);
    for (name, value) in headers.into_iter().chain(signed.headers()) {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

async fn logs(world: &Sandbox, operation: &str, body: Value) -> (u16, Value) {
    ask(world, "logs", &format!("Logs_20140328.{operation}"), body).await
}

#[tokio::test]
async fn what_a_task_wrote_is_there_to_its_last_line() {
    let world = world(&[]).await;
    let client = Client::new(&aws(world.endpoints()).await);
    let command = aws_sdk_ecs::types::ContainerOverride::builder().name("app").command("exit").command("3").build();
    let overrides = aws_sdk_ecs::types::TaskOverride::builder().container_overrides(command).build();
    let run = client.run_task().cluster("acme").task_definition("migrate").overrides(overrides).send().await.unwrap();
    let id = run.tasks()[0].task_arn().unwrap().rsplit('/').next().unwrap().to_owned();
    let stream = format!("migrate/app/{id}");
    let tail = |body: Value| {
        let mut all = json!({ "logGroupName": "/ecs/migrate", "logStreamName": stream });
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        logs(&world, "GetLogEvents", all)
    };
    let texts = |answer: &Value| {
        let events = answer["events"].as_array().into_iter().flatten();
        events.map(|event| event["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (status, none) = tail(json!({})).await;
    assert_eq!((status, none["__type"].as_str()), (400, Some("ResourceNotFoundException")), "nothing written yet");
    let (_, whole) = until("its last line", || tail(json!({})), |(_, it)| texts(it).len() == 4).await;
    assert_eq!(texts(&whole)[3], "=> exiting with 3");
    // From the end backwards, two at a time, until the token stays.
    let (_, last) = tail(json!({ "limit": 2 })).await;
    assert_eq!(texts(&last), texts(&whole)[2..]);
    let (_, first) = tail(json!({ "limit": 2, "nextToken": last["nextBackwardToken"] })).await;
    assert_eq!(texts(&first), texts(&whole)[..2]);
    let (_, none) = tail(json!({ "limit": 2, "nextToken": first["nextBackwardToken"] })).await;
    assert_eq!((texts(&none).len(), &none["nextBackwardToken"]), (0, &first["nextBackwardToken"]));
    let (_, head) = tail(json!({ "limit": 1, "startFromHead": true })).await;
    assert!(texts(&head)[0].starts_with("=> booting"), "{head}");
}

#[tokio::test]
async fn a_search_has_empty_pages_and_an_end() {
    let world = world(&[]).await;
    let at = world.endpoints().clone();
    for n in 0..90 {
        let url = format!("http://{}/healthz?n={n}-", at.new_origin);
        assert!(http().get(url).send().await.unwrap().status().is_success());
    }
    let find = async |body: Value| {
        let mut all = json!({ "logGroupName": "/ecs/web", "filterPattern": "\"n=88-\"" });
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        logs(&world, "FilterLogEvents", all).await
    };
    let whole = async || {
        let (mut pages, mut found, mut token) = (0, 0, json!({}));
        loop {
            let (status, answer) = find(token).await;
            assert_eq!(status, 200, "{answer}");
            pages += 1;
            found += answer["events"].as_array().unwrap().len();
            match answer.get("nextToken") {
                Some(next) => token = json!({ "nextToken": next }),
                None => return (pages, found),
            }
        }
    };
    let (pages, _) = until("the line", whole, |(_, found)| *found == 1).await;
    assert!(pages >= 3, "the first pages have nothing: {pages}");
    let (_, later) = find(json!({ "startTime": 9_999_999_999_999_i64 })).await;
    assert_eq!(later["events"], json!([]));
    for (bad, code) in [
        (json!({ "logGroupName": "/nope" }), "ResourceNotFoundException"),
        (json!({ "nextToken": "x" }), "InvalidParameterException"),
        (json!({ "filterPattern": "\"open" }), "InvalidParameterException"),
        (json!({ "limit": 0 }), "InvalidParameterException"),
        (json!({ "logStreamNames": ["a"], "logStreamNamePrefix": "b" }), "InvalidParameterException"),
    ] {
        let (status, answer) = find(bad).await;
        assert_eq!((status, answer["__type"].as_str()), (400, Some(code)), "{answer}");
    }
}

#[tokio::test]
async fn groups_and_streams_come_in_pages() {
    let world = world(&[]).await;
    let (_, all) = logs(&world, "DescribeLogGroups", json!({ "logGroupNamePrefix": "/ecs/" })).await;
    let names: Vec<_> = all["logGroups"].as_array().unwrap().iter().map(|it| it["logGroupName"].clone()).collect();
    assert_eq!(names, ["/ecs/migrate", "/ecs/web", "/ecs/worker"]);
    let (_, one) = logs(&world, "DescribeLogGroups", json!({ "limit": 2 })).await;
    let (_, two) = logs(&world, "DescribeLogGroups", json!({ "limit": 2, "nextToken": one["nextToken"] })).await;
    assert_eq!((two["logGroups"].as_array().unwrap().len(), two.get("nextToken")), (1, None));
    let (_, streams) = logs(&world, "DescribeLogStreams", json!({ "logGroupName": "/ecs/web" })).await;
    assert!(streams["logStreams"][0]["logStreamName"].as_str().unwrap().starts_with("web/app/"), "{streams}");
    tokio::time::timeout(Duration::from_secs(5), async {
        let (status, _) = logs(&world, "PutLogEvents", json!({})).await;
        assert_eq!(status, 400);
    })
    .await
    .unwrap();
}

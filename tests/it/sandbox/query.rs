//! The query services as our own thin client asks them: a signed form in, XML out. The signature is
//! made by AWS's own crate.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use chrono::Utc;
use gonogo::sandbox::Sandbox;
use reqwest::{Response, StatusCode};

use super::{http, until, world};

pub async fn post(world: &Sandbox, service: &str, form: &str) -> Response {
    signed(world, service, &[("content-type", "application/x-www-form-urlencoded")], form).await
}

/// A POST with these headers, signed.
pub async fn signed(world: &Sandbox, service: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let at = world.endpoints();
    let identity = Credentials::new(at.access_key_id, at.secret_access_key, None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&at.region)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let url = format!("{}/", at.aws);
    let signable =
        SignableRequest::new("POST", &url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes())).unwrap();
    let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
    let mut request = http().post(url).body(body.to_owned());
    for (name, value) in headers.iter().copied().chain(instructions.headers()) {
        request = request.header(name, value);
    }
    request.send().await.unwrap()
}

pub async fn text(world: &Sandbox, service: &str, form: &str) -> String {
    let said = post(world, service, form).await;
    let status = said.status();
    assert!(said.headers().contains_key("x-amzn-requestid"));
    let text = said.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{text}");
    text
}

/// Texts of every element of a name, in order.
pub fn all<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap()).collect()
}

fn metric(id: &str, name: &str, stat: &str) -> String {
    let from = (Utc::now() - chrono::TimeDelta::minutes(5)).format("%Y-%m-%dT%H%%3A%M%%3A%SZ");
    let to = (Utc::now() + chrono::TimeDelta::minutes(5)).format("%Y-%m-%dT%H%%3A%M%%3A%SZ");
    let q = "MetricDataQueries.member.1";
    format!(
        "Action=GetMetricData&Version=2010-08-01&StartTime={from}&EndTime={to}&{q}.Id={id}&{q}.MetricStat.Period=1\
         &{q}.MetricStat.Stat={stat}&{q}.MetricStat.Metric.Namespace=Acme%2FVisitors&{q}.MetricStat.Metric.MetricName={name}\
         &{q}.MetricStat.Metric.Dimensions.member.1.Name=Host&{q}.MetricStat.Metric.Dimensions.member.1.Value=shop.acme.example"
    )
}

/// The newest second's average of a visitors' metric.
pub async fn newest(world: &Sandbox, name: &str) -> Option<f64> {
    let said = text(world, "monitoring", &metric("m", name, "Average")).await;
    let values = all(&said, "Values").join("");
    all(&values, "member").first().map(|it| it.parse().unwrap())
}

#[tokio::test]
async fn who_we_are() {
    let world = world(&["sts.other_account:once"]).await;
    let form = "Action=GetCallerIdentity&Version=2011-06-15";
    assert_eq!(all(&text(&world, "sts", form).await, "Account"), ["999988887777"]);
    assert_eq!(all(&text(&world, "sts", form).await, "Account"), ["111122223333"]);
    let unknown = post(&world, "sts", "Action=AssumeRole").await;
    assert_eq!(unknown.status(), 400);
    assert_eq!(all(&unknown.text().await.unwrap(), "Code"), ["InvalidAction"]);
    let service = post(&world, "sns", "Action=ListTopics").await;
    assert!(service.text().await.unwrap().contains("service `sns` is not part of the sandbox"));
}

#[tokio::test]
async fn visitors_become_numbers() {
    let world = world(&[]).await;
    let values = |name: &'static str, stat: &'static str| {
        let world = &world;
        async move {
            let said = text(world, "monitoring", &metric("m", name, stat)).await;
            let values = all(&said, "Values").join("");
            all(&values, "member").iter().map(|it| it.parse::<f64>().unwrap()).collect::<Vec<_>>()
        }
    };
    until("three seconds of requests", || values("Requests", "Sum"), |it| it.len() >= 3).await;
    let requests: f64 = values("Requests", "Sum").await.iter().sum();
    let seconds = values("Requests", "SampleCount").await.len();
    assert!(requests / seconds as f64 > 1.0, "{requests} in {seconds} s");
    assert!(values("5xxShare", "Average").await.iter().all(|it| *it == 0.0));
    assert!(values("OldOriginShare", "Average").await.iter().all(|it| *it == 100.0));
    assert!(values("Latency", "p99").await.iter().all(|it| *it > 0.0));
    let off = "/apps/acme-shop";
    let patch = http().patch(format!("{}{off}", world.endpoints().heroku)).bearer_auth("sandbox-key");
    let patch = patch.header("accept", "application/vnd.heroku+json; version=3").body(r#"{"maintenance":true}"#);
    assert!(patch.send().await.unwrap().status().is_success());
    // Newest first, as GetMetricData says it.
    until("the outage", || values("5xxShare", "Average"), |it| it[0] == 100.0).await;
}

#[tokio::test]
async fn no_data_and_bad_questions() {
    let world = world(&["cloudwatch.no_data:always"]).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let said = text(&world, "monitoring", &metric("m", "Requests", "Sum")).await;
    assert!(all(&all(&said, "Values").join(""), "member").is_empty(), "{said}");
    assert_eq!(all(&said, "StatusCode"), ["Complete"]);
    let bad = post(&world, "monitoring", &metric("m", "Requests", "Median")).await;
    assert_eq!(bad.status(), 400);
    assert_eq!(all(&bad.text().await.unwrap(), "Code"), ["ValidationError"]);
    let math = post(
        &world,
        "monitoring",
        "Action=GetMetricData&StartTime=2026-01-01T00%3A00%3A00Z&EndTime=2026-01-02T00%3A00%3A00Z\
        &MetricDataQueries.member.1.Id=e&MetricDataQueries.member.1.Expression=m1*2",
    )
    .await;
    assert!(math.text().await.unwrap().contains("Unknown identifier: m1"));
}

#[tokio::test]
async fn targets_follow_the_tasks() {
    let world = world(&[]).await;
    let groups = text(&world, "elasticloadbalancing", "Action=DescribeTargetGroups&Names.member.1=acme-web").await;
    let arn = all(&groups, "TargetGroupArn")[0].to_owned();
    let states = || async {
        let form =
            format!("Action=DescribeTargetHealth&TargetGroupArn={}", arn.replace('/', "%2F").replace(':', "%3A"));
        let said = text(&world, "elasticloadbalancing", &form).await;
        all(&said, "State").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(states().await, ["healthy"]);
    let ecs = aws_sdk_ecs::Client::new(&super::aws(world.endpoints()).await);
    ecs.update_service().cluster("acme").service("web").desired_count(2).send().await.unwrap();
    until("a new target", states, |it| it == &["healthy", "initial"]).await;
    until("healthy", states, |it| it == &["healthy", "healthy"]).await;
    ecs.update_service().cluster("acme").service("web").desired_count(0).send().await.unwrap();
    assert_eq!(states().await, ["draining", "draining"]);
    until("gone", states, Vec::is_empty).await;
    let missing = post(&world, "elasticloadbalancing", "Action=DescribeTargetHealth&TargetGroupArn=nope").await;
    assert_eq!(all(&missing.text().await.unwrap(), "Code"), ["TargetGroupNotFound"]);
}

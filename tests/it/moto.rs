//! moto, somebody else's AWS: started once per test binary on a port that the system chooses, ended with
//! it. Where moto is known to lie, the test that meets the lie says so (`facts.md`, section 3).

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

/// moto's account, whatever the key.
pub const ACCOUNT: &str = "123456789012";
pub const REGION: &str = "eu-west-1";

/// A running moto. Its standard input is a pipe that only this process holds: when the process ends,
/// however it ends, `cat` sees the end of it and the wrapper ends moto.
struct Moto {
    endpoint: String,
    _wrapper: Child,
}

const WRAPPER: &str = r#""$1" -H 127.0.0.1 -p 0 >"$2" 2>&1 & pid=$!; cat >/dev/null; kill "$pid""#;

fn server() -> PathBuf {
    if let Some(path) = std::env::var_os("GONOGO_MOTO") {
        return path.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache.unwrap_or_default().join("gonogo/tools/venv/bin/moto_server")
}

/// moto's endpoint; the first caller starts it.
pub fn endpoint() -> &'static str {
    static MOTO: OnceLock<Moto> = OnceLock::new();
    &MOTO.get_or_init(start).endpoint
}

fn start() -> Moto {
    let server = server();
    assert!(server.exists(), "{} is missing: run tests/run, which installs it", server.display());
    let log = std::env::temp_dir().join(format!("gonogo-moto-{}.log", std::process::id()));
    std::fs::write(&log, "").unwrap();
    #[expect(clippy::zombie_processes, reason = "it lives as long as this process, and ends with it")]
    let wrapper = Command::new("sh")
        .args(["-c", WRAPPER, "moto"])
        .args([&server, &log])
        // A certificate is issued by the clock alone, without a look at DNS.
        .env("MOTO_ACM_VALIDATION_WAIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if let Some((_, rest)) = text.split_once("Running on ")
            && let Some((endpoint, _)) = rest.split_once('\n')
        {
            let _ = std::fs::remove_file(&log);
            return Moto { endpoint: endpoint.trim().to_owned(), _wrapper: wrapper };
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "moto did not start: {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A request as moto wants it: it tells services apart by the credential's scope and checks no signature.
async fn send(service: &str, path: &str, headers: &[(&str, &str)], body: Option<String>) -> String {
    let method = if body.is_some() { reqwest::Method::POST } else { reqwest::Method::GET };
    send_by(method, service, path, headers, body).await
}

/// A bucket or an object of S3: `/bucket/key`, escaped.
pub async fn put(path: &str, headers: &[(&str, &str)], body: impl Into<String>) {
    send_by(reqwest::Method::PUT, "s3", path, headers, Some(body.into())).await;
}

async fn send_by(
    method: reqwest::Method,
    service: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<String>,
) -> String {
    gonogo_tls();
    let url = format!("{}{path}", endpoint());
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=AKIA/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=x"
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.request(method, url);
    let request = match body {
        Some(body) => request.body(body),
        None => request,
    };
    let request = headers.iter().fold(request.header("authorization", scope), |r, (k, v)| r.header(*k, *v));
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{service} {path} {status}: {text}");
    text
}

fn gonogo_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// ECS, Secrets Manager, SSM, ….
pub async fn json(service: &str, target: &str, body: Json) -> Json {
    let headers = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")];
    let answer = send(service, "/", &headers, Some(body.to_string())).await;
    // Some operations answer nothing at all.
    if answer.is_empty() { Json::Null } else { serde_json::from_str(&answer).unwrap() }
}

/// REST services in JSON (Scheduler).
pub async fn rest(service: &str, path: &str, body: Json) -> String {
    send(service, path, &[("content-type", "application/json")], Some(body.to_string())).await
}

/// STS, ELB, CloudWatch, EC2.
pub async fn query(service: &str, form: &str) -> String {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    send(service, "/", &headers, Some(form.to_owned())).await
}

/// The first text between two marks.
pub fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("no {from} in {text}")) + from.len();
    let rest = &text[start..];
    &rest[..rest.find(to).unwrap()]
}

/// A new hosted zone; its id.
pub async fn zone(name: &str) -> String {
    let reference = format!("{name}-{}", fastrand::u64(..));
    let body = format!(
        r#"<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>{name}</Name><CallerReference>{reference}</CallerReference></CreateHostedZoneRequest>"#
    );
    let xml = [("content-type", "application/xml")];
    let answer = send("route53", "/2013-04-01/hostedzone", &xml, Some(body)).await;
    between(&answer, "<Id>/hostedzone/", "</Id>").to_owned()
}

/// Writes record sets, given as the XML inside `ResourceRecordSet`.
pub async fn records(zone: &str, sets: &[&str]) {
    change(zone, "UPSERT", sets).await;
}

/// One batch of one action.
pub async fn change(zone: &str, action: &str, sets: &[&str]) {
    let changes = sets
        .iter()
        .map(|set| format!("<Change><Action>{action}</Action><ResourceRecordSet>{set}</ResourceRecordSet></Change>"))
        .collect::<String>();
    let body = format!(
        r#"<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"#
    );
    let xml = [("content-type", "application/xml")];
    send("route53", &format!("/2013-04-01/hostedzone/{zone}/rrset/"), &xml, Some(body)).await;
}

/// The whole zone as the server tells it, byte for byte.
pub async fn listing(zone: &str) -> String {
    send("route53", &format!("/2013-04-01/hostedzone/{zone}/rrset"), &[], None).await
}

const ECS: &str = "AmazonEC2ContainerServiceV20141113";

/// An ECS operation.
pub async fn ecs(operation: &str, body: Json) -> Json {
    json("ecs", &format!("{ECS}.{operation}"), body).await
}

/// A cluster with a service `web` of two tasks on `<family>:1`, and a newer `<family>:2`.
pub async fn cluster(cluster: &str, family: &str) {
    ecs("CreateCluster", json!({ "clusterName": cluster })).await;
    for image in ["web:1", "web:2"] {
        definition(family, image).await;
    }
    // moto freezes the deployment as it is at the creation; with tasks it would stay IN_PROGRESS for ever.
    let definition = format!("{family}:1");
    ecs(
        "CreateService",
        json!({ "cluster": cluster, "serviceName": "web", "taskDefinition": definition, "desiredCount": 0 }),
    )
    .await;
    ecs("UpdateService", json!({ "cluster": cluster, "service": "web", "desiredCount": 2 })).await;
}

/// A task definition that Fargate can run.
pub async fn fargate(family: &str) {
    let container = json!({ "name": "web", "image": "web:1", "cpu": 128, "memory": 256 });
    let definition = json!({
        "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [container]
    });
    ecs("RegisterTaskDefinition", definition).await;
}

/// Registers one more revision. moto answers HTTP 500 to a task whose container has no `memory`.
pub async fn definition(family: &str, image: &str) {
    let container = json!({ "name": "web", "image": image, "cpu": 128, "memory": 256 });
    ecs("RegisterTaskDefinition", json!({ "family": family, "containerDefinitions": [container] })).await;
}

/// A subnet and a security group of moto's default VPC.
pub async fn network() -> (String, String) {
    let subnets = query("ec2", "Action=DescribeSubnets&Version=2016-11-15").await;
    let groups = query("ec2", "Action=DescribeSecurityGroups&Version=2016-11-15").await;
    (between(&subnets, "<subnetId>", "<").to_owned(), between(&groups, "<groupId>", "<").to_owned())
}

/// Prepares moto for `tests/runbooks/moto.toml` and gives the runbook's text, its `vars` changed to what was made: a zone
/// `acme.example` with the CNAMEs `shop` and `www` at an hour, a cluster with service `web` of two tasks on the first of two
/// revisions, `migrate` for Fargate, moto's own subnet. Each call makes its own.
pub async fn runbook() -> String {
    let zone = zone("acme.example").await;
    let record = |name: &str| {
        format!(
            "<Name>{name}.acme.example</Name><Type>CNAME</Type><TTL>3600</TTL><ResourceRecords><ResourceRecord><Value>acme-shop.herokudns.example</Value></ResourceRecord></ResourceRecords>"
        )
    };
    records(&zone, &[&record("shop"), &record("www")]).await;
    let n = fastrand::u32(..);
    cluster(&format!("acme-{n}"), &format!("web-{n}")).await;
    fargate("migrate").await;
    let (subnet, group) = network().await;
    let text = include_str!("../runbooks/moto.toml");
    [
        ("zone = \"acme.example\"", format!("zone = \"{zone}\"")),
        ("cluster = \"acme\"", format!("cluster = \"acme-{n}\"")),
        ("web = \"web:2\"", format!("web = \"web-{n}:2\"")),
        ("\"subnet-of-moto\"", format!("\"{subnet}\"")),
        ("\"group-of-moto\"", format!("\"{group}\"")),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (old, new)| {
        assert_eq!(text.matches(old).count(), 1, "{old}");
        text.replace(old, &new)
    })
}

/// The actions of `tests/runbooks/moto.toml` one after the other, then their restores in reverse; the whole program runs
/// it elsewhere.
#[tokio::test]
async fn the_runbooks_actions_run_and_roll_back() {
    use crate::kinds::aws::{action, at, minute};
    let text = runbook().await;
    let mut file: toml::Table = text.parse().unwrap();
    let vars = file["env"]["moto"]["vars"].as_table().unwrap().clone();
    let filled =
        vars.iter().fold(text, |text, (name, value)| text.replace(&format!("${{{name}}}"), value.as_str().unwrap()));
    file = filled.parse().unwrap();
    let zone = vars["zone"].as_str().unwrap();
    let cluster = vars["cluster"].as_str().unwrap();
    let count = async || {
        let answer = ecs("DescribeServices", json!({ "cluster": cluster, "services": ["web"] })).await;
        (
            answer["services"][0]["desiredCount"].clone(),
            answer["services"][0]["taskDefinition"].as_str().unwrap().ends_with(":1"),
        )
    };
    let before = (listing(zone).await, count().await);
    let services = at(endpoint());
    let mut done = Vec::new();
    for step in file["step"].as_array().unwrap() {
        let Some(table) = step.get("action").and_then(toml::Value::as_table) else { continue };
        let mut params = table.clone();
        let kind = params.remove("kind").unwrap();
        let action = action(kind.as_str().unwrap(), &params.to_string(), &services);
        let captured = action.capture(&minute()).await.unwrap();
        action.apply(&minute(), &captured).await.unwrap();
        if step["rollback"].as_str() == Some("restore") {
            done.push((action, captured));
        }
    }
    let between = listing(zone).await;
    assert!(between.contains("<TTL>60</TTL>") && between.contains("acme-web-1.eu-west-1.elb.example"), "{between}");
    assert_eq!(count().await, (json!(3), false));
    assert_eq!(done.len(), 3);
    for (action, captured) in done.iter().rev() {
        action.restore(&minute(), captured).await.unwrap();
    }
    assert_eq!((listing(zone).await, count().await), before);
}

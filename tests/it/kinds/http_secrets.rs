//! What the HTTP kinds show of secrets that a server repeats: nothing, cut or whole, and nobody else is sent them.

use std::sync::Arc;

use gonogo::{
    base::{Class, Redactor},
    runbook::{SecretRef, SecretSource},
    services::Services,
};

use super::{
    contract::{action, attempt, check, env, services_with},
    fake_http::{FakeHttp, Say, ok},
};

const KEY: &str = "sk_live_51HxABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

fn knows(name: &str, value: &str) -> (Arc<Services>, Arc<Redactor>) {
    let source = SecretSource::Command(vec!["printf".into(), "%s".into(), value.into()]);
    let secrets = [SecretRef { name: name.into(), span: 0..0, source }];
    let redactor = Arc::new(Redactor::default());
    (services_with(env(), &secrets, redactor.clone()), redactor)
}

/// The failure of a check, as it is written down.
async fn told(services: &Arc<Services>, redactor: &Redactor, params: &str) -> String {
    let failure = check("http.check", params, services).check(&attempt().cx).await.unwrap_err();
    redactor.redact(&[vec![failure.message], failure.causes].concat().join("\n")).into_owned()
}

/// Bodies, headers and addresses are shown up to a length: what is cut in the middle of a secret is one all the same.
#[tokio::test]
async fn a_secret_that_is_cut() {
    let server = FakeHttp::start(|asked| {
        let key = asked.header("authorization").and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        match asked.path.strip_prefix("/to/") {
            Some(fill) => {
                Say::Answer(302, vec![("location", format!("/{}{key}", "z".repeat(fill.parse().unwrap())))], Vec::new())
            }
            None => {
                let fill = asked.path[1..].parse().unwrap();
                Say::Answer(500, Vec::new(), format!("{}{key}yyy", "x".repeat(fill)).into_bytes())
            }
        }
    })
    .await;
    let (services, redactor) = knows("key", KEY);
    for path in ["360", "352", "391", "to/160", "to/190"] {
        for claim in ["", "contains = \"fine\"\nstatus = 500"] {
            let params = format!("url = \"{}/{path}\"\nbearer = \"${{secret.key}}\"\n{claim}", server.url());
            let told = told(&services, &redactor, &params).await;
            assert!(!told.contains(&KEY[..8]), "{path}: {told}");
        }
    }
    let hook = format!("url = \"{}/150\"\nbearer = \"${{secret.key}}\"\nbody = \"x\"", server.url());
    let failure =
        action("http.send", &hook, &services).apply(&attempt().cx, &serde_json::Value::Null).await.unwrap_err();
    assert!(!redactor.redact(&format!("{failure:?}")).contains(&KEY[..8]), "{failure:?}");
}

/// What is captured as a secret is one from the moment it is there, whatever else is wrong with the answer.
#[tokio::test]
async fn a_captured_secret_of_an_answer_that_is_odd() {
    let server = FakeHttp::start(|_| ok("{\"token\": \"SuperSecretCaptured42\", \"role\": \"guest\"}")).await;
    let (services, redactor) = knows("key", KEY);
    for odd in ["max_latency = \"0ms\"", "json = { role = \"admin\" }", "status = 201"] {
        let params = format!(
            "url = \"{}\"\nsteps = [{{ url = \"/login\", capture = {{ token = {{ json = \"$.token\", secret = true }} }}, {odd} }}]",
            server.url()
        );
        let told = told(&services, &redactor, &params).await;
        assert!(told.contains("***") && !told.contains("SuperSecret"), "{odd}: {told}");
    }
}

/// The signature of a webhook stands in its query, and servers repeat that.
#[tokio::test]
async fn a_webhooks_signature() {
    let server =
        FakeHttp::start(|asked| Say::Answer(404, Vec::new(), format!("Cannot POST {}", asked.path).into_bytes())).await;
    let (services, redactor) =
        knows("hook", &format!("{}/hook/T000/B000?api-version=2016&sig=qW3r%2FTyUiOpAsDfGh", server.url()));
    let send = action("http.send", "url = \"${secret.hook}\"\nbody = \"{}\"", &services);
    let failure = send.apply(&attempt().cx, &serde_json::Value::Null).await.unwrap_err();
    let told = redactor.redact(&format!("{failure:?}")).into_owned();
    assert!(told.contains("***") && !told.contains("qW3r") && !told.contains("T000"), "{told}");
    assert_eq!(redactor.redact("it is qW3r/TyUiOpAsDfGh"), "it is ***", "decoded, too");
}

/// A secret in a body is for the server that the runbook names, as one in a header is.
#[tokio::test]
async fn no_body_with_a_secret_goes_elsewhere() {
    let elsewhere = FakeHttp::start(|_| ok("{}")).await;
    let (there, land) = (elsewhere.url(), elsewhere.url().replace("127.0.0.1", "localhost"));
    let server = FakeHttp::start(move |asked| match asked.path.as_str() {
        "/login" => ok(format!("{{\"url\": \"{there}/land\"}}")),
        _ => Say::Answer(302, vec![("location", format!("{land}/land"))], Vec::new()),
    })
    .await;
    let (services, _) = knows("key", KEY);
    let body = "body_json = { key = \"${secret.key}\" }";
    let led = format!(
        "url = \"{}\"\nsteps = [{{ url = \"/login\", capture = {{ next = \"$.url\" }} }}, {{ url = \"{{{{next}}}}\", method = \"POST\", {body} }}]",
        server.url()
    );
    let failure = check("http.check", &led, &services).check(&attempt().cx).await.unwrap_err();
    assert!(failure.class == Class::Refused && failure.message.contains("holds a secret"), "{failure:?}");
    assert_eq!(elsewhere.count(), 0);
    let moved = format!("url = \"{}/moved\"\nmethod = \"GET\"\nfollow = true\n{body}", server.url());
    check("http.check", &moved, &services).check(&attempt().cx).await.unwrap();
    let asked = elsewhere.asked.lock().unwrap()[0].clone();
    assert_eq!((asked.body.as_str(), asked.header("content-type")), ("", None));
}

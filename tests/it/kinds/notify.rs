//! `notify`: what each receiver is sent, and that nothing that happens to a message holds up a step.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gonogo::{
    base::{Class, Redactor},
    plan::{Action, Finding, contract::Prior},
    runbook::{SecretRef, SecretSource},
    services::Services,
};
use serde_json::{Value as Json, json};

use super::{
    contract::{action, attempt, attempt_of, env, points_at, services_with},
    fake_http::{Asked, FakeHttp, Say, ok},
};
use crate::nginx::free_port;

fn secret(name: &str, value: &str) -> SecretRef {
    let source = SecretSource::Command(vec!["printf".into(), value.into()]);
    SecretRef { name: name.into(), span: 0..0, source }
}

async fn told(action: &Arc<dyn Action>) -> (String, Json) {
    let attempt = attempt();
    let done = action.apply(&attempt.cx, &Json::Null).await.expect("a message never holds up a step");
    let lines = attempt.seen.lines.lock().unwrap().clone();
    // A failure is told as a line as well.
    assert_eq!(done.evidence["delivered"] == true, lines.is_empty(), "{lines:?}");
    (done.line, done.evidence)
}

fn body(asked: &Asked) -> Json {
    assert_eq!(asked.header("content-type"), Some("application/json"));
    serde_json::from_str(&asked.body).unwrap()
}

fn services_of(server: &FakeHttp, path: &str) -> Arc<Services> {
    let secrets =
        [secret("hook", &format!("{}{path}", server.url())), secret("key", "0123456789abcdef0123456789abcdef")];
    services_with(env(), &secrets, Arc::new(Redactor::default()))
}

#[tokio::test]
async fn slack() {
    let server = FakeHttp::start(|asked| if asked.path == "/services/T/B/xyz" { ok("ok") } else { ok("<html>") }).await;
    let services = services_of(&server, "/services/T/B/xyz");
    let notify =
        |rest: &str| action("notify", &format!("to = \"slack\"\nurl = \"${{secret.hook}}\"\n{rest}"), &services);
    let evil = "text = \"a <!channel> & <https://evil|here> {{step}}\"\ntitle = \"Go *now*\"\nfacts = { Env = \"{{env}}\", N = \"<@U1>\" }";
    let (line, evidence) = told(&notify(evil)).await;
    assert!(line.contains("told Slack (http://127.0.0.1:") && evidence["delivered"] == true, "{line}");
    let text = "*Go ∗now∗*\na &lt;!channel&gt; &amp; &lt;https://evil|here&gt; step\n• Env: test\n• N: &lt;@U1&gt;";
    assert_eq!(body(&server.asked.lock().unwrap()[0]), json!({ "text": text }));
    told(&notify("text = \"up\"\nmention = \"channel\"")).await;
    assert_eq!(body(&server.asked.lock().unwrap()[1]), json!({ "text": "<!channel> up" }));
    let does = notify("text = \"up\"").does().join("\n");
    assert_eq!(does, "tell Slack at ${secret.hook}: up");
    // A 200 of somebody else is no delivery.
    let services = services_of(&server, "/other");
    let (line, evidence) =
        told(&action("notify", "to = \"slack\"\nurl = \"${secret.hook}\"\ntext = \"up\"", &services)).await;
    assert!(
        line.contains("NOT delivered") && line.contains("not Slack's \"ok\"") && evidence["delivered"] == false,
        "{line}"
    );
}

#[tokio::test]
async fn teams() {
    let server = FakeHttp::start(|asked| match asked.path.as_str() {
        "/old" => ok("Summary or Text is required."),
        _ => Say::Answer(202, Vec::new(), Vec::new()),
    })
    .await;
    let services = services_of(&server, "/workflows/1?sig=s3cret");
    let text = "to = \"teams\"\nurl = \"${secret.hook}\"\ntitle = \"Go\"\ntext = \"one **bold** [x](y)\\n\\ntwo\"\nfacts = { A = \"b\" }";
    let (_, evidence) = told(&action("notify", text, &services)).await;
    assert_eq!(evidence["delivered"], true);
    let asked = server.asked.lock().unwrap()[0].clone();
    assert_eq!(asked.path, "/workflows/1?sig=s3cret");
    let sent = body(&asked);
    assert_eq!((&sent["type"], sent["attachments"].as_array().unwrap().len()), (&json!("message"), 1));
    let attachment = &sent["attachments"][0];
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &attachment["content"];
    assert_eq!((&card["type"], &card["version"]), (&json!("AdaptiveCard"), &json!("1.4")));
    let runs = card["body"].as_array().unwrap().iter().map(|block| {
        assert_eq!((&block["type"], &block["inlines"][0]["type"]), (&json!("RichTextBlock"), &json!("TextRun")));
        block["inlines"][0]["text"].as_str().unwrap()
    });
    assert_eq!(runs.collect::<Vec<_>>(), ["Go", "one **bold** [x](y)", "two", "A: b"]);
    let services = services_of(&server, "/old");
    let (line, _) = told(&action("notify", text, &services)).await;
    assert!(line.contains("NOT delivered") && line.contains("Summary or Text is required"), "{line}");
}

#[tokio::test]
async fn pagerduty() {
    let server = FakeHttp::start(|asked| match asked.path.as_str() {
        "/bad" => Say::Answer(
            400,
            Vec::new(),
            b"{\"status\":\"invalid event\",\"errors\":[\"Length of 'routing_key' is incorrect\"]}".to_vec(),
        ),
        _ => Say::Answer(
            202,
            Vec::new(),
            b"{\"status\":\"success\",\"message\":\"Event processed\",\"dedup_key\":\"cut\"}".to_vec(),
        ),
    })
    .await;
    let services = services_of(&server, "/v2/enqueue");
    let notify = |rest: &str| {
        action(
            "notify",
            &format!("to = \"pagerduty\"\nurl = \"${{secret.hook}}\"\nrouting_key = \"${{secret.key}}\"\n{rest}"),
            &services,
        )
    };
    let trigger = notify(&format!(
        "text = \"{}\"\nseverity = \"warning\"\nfacts = {{ Step = \"{{{{step}}}}\" }}",
        "é".repeat(1200)
    ));
    let (_, evidence) = told(&trigger).await;
    assert_eq!((&evidence["delivered"], &evidence["dedup_key"]), (&json!(true), &json!("cut")));
    let sent = body(&server.asked.lock().unwrap()[0]);
    assert_eq!(sent["routing_key"], "0123456789abcdef0123456789abcdef");
    assert_eq!((&sent["event_action"], &sent["dedup_key"]), (&json!("trigger"), &json!(attempt().cx.token)));
    let payload = &sent["payload"];
    assert_eq!(
        (&payload["severity"], &payload["source"], &payload["component"]),
        (&json!("warning"), &json!("test"), &json!("step"))
    );
    assert!(payload["summary"].as_str().unwrap().chars().count() <= 1024);
    assert_eq!(payload["custom_details"], json!({ "Step": "step" }));
    for event in ["acknowledge", "resolve"] {
        told(&notify(&format!("event = \"{event}\"\ndedup_key = \"cut-{{{{env}}}}\""))).await;
        let sent = body(server.asked.lock().unwrap().last().unwrap());
        assert_eq!((&sent["event_action"], &sent["dedup_key"]), (&json!(event), &json!("cut-test")));
        assert_eq!(sent.get("payload"), None);
    }
    // Its key makes a second event the same, so a resume sends it again.
    let found = trigger.probe(&attempt().cx, &Json::Null, false).await.unwrap();
    assert!(matches!(found, Finding::NotDone { .. }), "{found:?}");
    let bad = services_of(&server, "/bad");
    let (line, _) = told(&action(
        "notify",
        "to = \"pagerduty\"\nurl = \"${secret.hook}\"\nrouting_key = \"x\"\ntext = \"t\"",
        &bad,
    ))
    .await;
    assert!(
        line.contains("NOT delivered") && line.contains("says 400") && line.contains("Length of 'routing_key'"),
        "{line}"
    );
    points_at(
        "notify",
        "to = \"pagerduty\"\nrouting_key = \"x\"\nevent = \"resolve\"",
        &services,
        "\"resolve\"",
        "needs the `dedup_key`",
    );
}

#[tokio::test]
async fn statuspage() {
    let token = attempt().cx.token;
    let known =
        json!([{ "id": "old1", "metadata": {} }, { "id": "inc7", "metadata": { "gonogo": { "token": token } } }]);
    let server = FakeHttp::start(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/v1/pages/p1/incidents") => Say::Answer(201, Vec::new(), b"{\"id\": \"inc7\"}".to_vec()),
        ("PATCH", "/v1/pages/p1/incidents/inc7") => ok("{\"id\": \"inc7\"}"),
        ("GET", "/v1/pages/p1/incidents?limit=100") => ok(known.to_string()),
        ("GET", "/v1/pages/p2/incidents?limit=100") => ok("[]"),
        _ => Say::Answer(401, Vec::new(), b"{\"error\":\"Could not authenticate\"}".to_vec()),
    })
    .await;
    let services = services_of(&server, "/v1");
    let notify = |page: &str, rest: &str| {
        let common = format!(
            "to = \"statuspage\"\nurl = \"{}/v1\"\npage = \"{page}\"\ntoken = \"${{secret.key}}\"",
            server.url()
        );
        action("notify", &format!("{common}\n{rest}"), &services)
    };
    let open = "name = \"We move\"\ntext = \"Writes are off.\"\nstatus = \"in_progress\"\nimpact = \"maintenance\"\ncomponents = { c1 = \"under_maintenance\" }";
    let opening = notify("p1", open);
    let (_, evidence) = told(&opening).await;
    assert_eq!((&evidence["delivered"], &evidence["incident"]), (&json!(true), &json!("inc7")));
    let asked = server.asked.lock().unwrap()[0].clone();
    assert_eq!(asked.header("authorization"), Some("OAuth 0123456789abcdef0123456789abcdef"));
    let incident = json!({
        "name": "We move", "body": "Writes are off.", "status": "in_progress", "impact_override": "maintenance",
        "components": { "c1": "under_maintenance" }, "component_ids": ["c1"], "metadata": { "gonogo": { "token": attempt().cx.token } },
    });
    assert_eq!(body(&asked), json!({ "incident": incident }));
    // A later step updates what an earlier one opened.
    let update = notify("p1", "after = \"opened\"\ntext = \"Done.\"\nstatus = \"completed\"");
    let prior = Prior { captured: Json::Null, evidence, by_hand: None };
    let later = attempt_of(Duration::from_secs(30), BTreeMap::from([("opened", prior)]));
    let done = update.apply(&later.cx, &Json::Null).await.unwrap();
    assert_eq!(done.evidence["delivered"], true, "{done:?}");
    let last = server.asked.lock().unwrap().last().unwrap().clone();
    assert_eq!(
        (last.method.as_str(), body(&last)),
        ("PATCH", json!({ "incident": { "body": "Done.", "status": "completed" } }))
    );
    let (line, _) = told(&update).await;
    assert!(line.contains("NOT delivered") && line.contains("step opened opened no incident"), "{line}");
    // A resume looks whether the incident is there.
    let attempt = attempt();
    assert!(
        matches!(opening.probe(&attempt.cx, &Json::Null, false).await.unwrap(), Finding::Done(done) if done.evidence["incident"] == "inc7")
    );
    assert!(matches!(
        notify("p2", open).probe(&attempt.cx, &Json::Null, false).await.unwrap(),
        Finding::NotDone { .. }
    ));
    // One that was under way at the first look is there at the second.
    let late = FakeHttp::start(move |asked| match asked.count {
        0 => ok("[]"),
        _ => ok(json!([{ "id": "inc9", "metadata": { "gonogo": { "token": super::contract::attempt().cx.token } } }])
            .to_string()),
    })
    .await;
    let services_late = services_of(&late, "/v1");
    let params =
        format!("to = \"statuspage\"\nurl = \"{}/v1\"\npage = \"p1\"\ntoken = \"${{secret.key}}\"\n{open}", late.url());
    let found = action("notify", &params, &services_late).probe(&attempt.cx, &Json::Null, false).await.unwrap();
    assert!(matches!(&found, Finding::Done(done) if done.evidence["incident"] == "inc9"), "{found:?}");
    let unsure = notify("p3", open).probe(&attempt.cx, &Json::Null, false).await.unwrap();
    assert!(
        matches!(unsure, Finding::Done(done) if done.evidence["delivered"].is_null() && done.line.contains("nobody knows"))
    );
    let (line, _) = told(&notify("p3", open)).await;
    assert!(line.contains("says 401") && line.contains("Could not authenticate"), "{line}");
}

/// Nothing that can happen to a message holds up a step, and nothing is called delivered that was not.
#[tokio::test]
async fn nothing_holds_up_a_step() {
    let server = FakeHttp::start(|asked| match asked.path.as_str() {
        "/hang" => Say::Hang,
        "/drip" => Say::Drip,
        "/reset" => Say::Reset,
        "/busy" if asked.count == 0 => Say::Answer(429, vec![("retry-after", "0".into())], Vec::new()),
        "/never" => Say::Answer(429, vec![("retry-after", "3600".into())], Vec::new()),
        "/storm" => Say::Answer(429, vec![("retry-after", "0".into())], Vec::new()),
        "/408" | "/500" | "/502" | "/504" | "/501" => {
            Say::Answer(asked.path[1..].parse().unwrap(), Vec::new(), b"oops".to_vec())
        }
        "/moved" => Say::Answer(302, vec![("location", "/ok".into())], Vec::new()),
        _ => ok("fine"),
    })
    .await;
    let services = services_with(env(), &[secret("none", "")], Arc::new(Redactor::default()));
    let to = |url: &str| {
        action("notify", &format!("to = \"webhook\"\nurl = \"{url}\"\ntext = \"x\"\ntimeout = \"700ms\""), &services)
    };
    let at = |path: &str| to(&format!("{}{path}", server.url()));
    let (line, evidence) = told(&at("/busy")).await;
    assert!(evidence["delivered"] == true && server.count() == 2, "throttled once, then taken: {line}");
    for (path, delivered, said) in [
        ("/hang", json!(null), "nobody knows whether it was delivered"),
        ("/drip", json!(null), "nobody knows whether it was delivered"),
        ("/reset", json!(null), "nobody knows whether it was delivered"),
        ("/never", json!(false), "it asks to wait 3600 s"),
        ("/500", json!(null), "nobody knows whether it was delivered: http"),
        ("/502", json!(null), "says 502"),
        ("/504", json!(null), "says 504"),
        ("/408", json!(null), "says 408"),
        ("/501", json!(false), "says 501"),
        ("/moved", json!(false), "says 302"),
    ] {
        let begun = Instant::now();
        let (line, evidence) = told(&at(path)).await;
        assert!(line.contains(said) && evidence["delivered"] == delivered, "{path}: {line} {evidence}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{path}");
    }
    let before = server.count();
    let (line, _) = told(&at("/storm")).await;
    assert!(line.contains("NOT delivered") && server.count() == before + 2, "no storm: {line}");
    let (line, evidence) = told(&to(&format!("http://127.0.0.1:{}/", free_port()))).await;
    assert!(line.contains("connection refused") && evidence["delivered"] == false, "{line}");
    for url in ["${secret.none}", "${secret.gone}"] {
        let (line, evidence) = told(&to(url)).await;
        assert!(line.contains("NOT delivered") && evidence["delivered"] == false, "{line}");
    }
    // Sent, and nobody saw the end of it: it is not sent again.
    let before = server.count();
    let found = at("/ok").probe(&attempt().cx, &Json::Null, false).await.unwrap();
    assert!(matches!(found, Finding::Done(done) if done.line.contains("nobody knows")) && server.count() == before);
    // An abort is told as what it is.
    let hang = action("notify", &format!("to = \"webhook\"\nurl = \"{}/hang\"\ntext = \"x\"", server.url()), &services);
    let cut = attempt();
    let (cx, cancel) = (cut.cx.clone(), cut.cx.cancel.clone());
    let changes = server.changes();
    let task = tokio::spawn(async move { hang.apply(&cx, &Json::Null).await });
    server.until_changes(changes + 1).await;
    cancel.cancel();
    assert_eq!(task.await.unwrap().unwrap_err().class, Class::Unknown);
}

#[tokio::test]
async fn webhooks_and_bad_parameters() {
    let server = FakeHttp::start(|_| ok("fine")).await;
    let services = services_of(&server, "/hook");
    let notify =
        |rest: &str| action("notify", &format!("to = \"webhook\"\nurl = \"${{secret.hook}}\"\n{rest}"), &services);
    told(&notify("text = \"{{env}}: {{step}}\"")).await;
    told(&notify("body_json = { msg = \"\\\"{{step}}\", n = \"{{attempt}}\", key = \"${secret.key}\" }\nheaders = { X-Key = \"${secret.key}\" }")).await;
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(body(&asked[0]), json!({ "text": "test: step", "step": "step", "attempt": 1, "env": "test" }));
    assert_eq!(body(&asked[1]), json!({ "msg": "\"step", "n": 1, "key": "0123456789abcdef0123456789abcdef" }));
    assert_eq!(asked[1].header("x-key"), Some("0123456789abcdef0123456789abcdef"));
    // People count tries; a look between two of them counts as an attempt only for us.
    let mut second = attempt().cx;
    (second.attempt, second.nth) = (3, 2);
    notify("text = \"try {{attempt}}\"").apply(&second, &Json::Null).await.unwrap();
    assert_eq!(body(&server.asked.lock().unwrap()[2])["text"], "try 2");
    assert!(notify("text = \"x\"").restore(&attempt().cx, &Json::Null).await.is_err());
    let hook = "url = \"http://a.b\"\n";
    for (text, marked, message) in [
        ("to = \"slack\"\ntext = \"x\"".to_owned(), "", "needs `url`"),
        (format!("to = \"slak\"\ntext = \"x\"\n{hook}"), "\"slak\"", "`to` must be one of"),
        (format!("to = \"slack\"\n{hook}"), "", "needs `text`"),
        (format!("to = \"slack\"\ntext = \"x\"\nroute = 1\n{hook}"), "route", "does not know"),
        (format!("to = \"slack\"\ntext = \"x\"\nrouting_key = \"k\"\n{hook}"), "\"k\"", "is for pagerduty"),
        (format!("to = \"slack\"\ntext = \"{{{{stp}}}}\"\n{hook}"), "\"{{stp}}\"", "nothing fills in"),
        (format!("to = \"slack\"\ntext = \"x\"\ntimeout = \"2m\"\n{hook}"), "\"2m\"", "at most 60s"),
        (
            format!("to = \"slack\"\ntext = \"x\"\nfacts = {{ a = \"${{secret.key}}\" }}\n{hook}"),
            "{ a = \"${secret.key}\" }",
            "must not be a secret",
        ),
        ("to = \"pagerduty\"\ntext = \"x\"".into(), "", "needs `routing_key`"),
        ("to = \"statuspage\"\npage = \"p\"\ntoken = \"t\"".into(), "", "needs `name` to open an incident"),
        (
            "to = \"statuspage\"\npage = \"p\"\ntoken = \"t\"\nname = \"n\"\nstatus = \"open\"".into(),
            "\"open\"",
            "`status` must be one of",
        ),
        (
            "to = \"statuspage\"\npage = \"p\"\ntoken = \"t\"\nname = \"n\"\ncomponents = { a = \"down\" }".into(),
            "{ a = \"down\" }",
            "`a` must be one of",
        ),
    ] {
        points_at("notify", &text, &services, marked, message);
    }
}

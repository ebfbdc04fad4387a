//! `heroku.maintenance`, in the built-in world and against an API that hangs, throttles and lies.

use std::sync::Arc;

use gonogo::{
    base::{Class, Redactor},
    plan::Finding,
    runbook::{EnvKind, HerokuEnv, SecretRef, SecretSource},
    services::Services,
};
use serde_json::json;

use super::{
    contract::{action, acts_and_restores, attempt, cut_short_is_unknown, env, points_at, services_with},
    fake_http::{Asked, FakeHttp, Say},
    heroku_world::{answer, app, at, inside, world},
};

async fn maintenance(services: &Services) -> bool {
    services.heroku.read_app(&gonogo::services::heroku::Limits::short()).await.unwrap().maintenance
}

#[tokio::test]
async fn keeps_the_contract() {
    let world = world().await;
    let services = &world.services;
    let on = action("heroku.maintenance", "on = true", services);
    acts_and_restores(on.as_ref(), async || maintenance(services).await, async || world.changes().await).await;
    let clocks = on.clocks();
    assert!(clocks.downtime_starts && !clocks.downtime_stops);
    let off = action("heroku.maintenance", "on = false", services);
    assert!(off.clocks().downtime_stops && !off.clocks().downtime_starts);
}

#[tokio::test]
async fn the_fence_shows_the_app() {
    let world = world().await;
    let identity = world.services.heroku.identity().await.unwrap();
    assert!(identity.line.starts_with("app acme-shop"), "{}", identity.line);
    // An API that answers with another app than the one asked for.
    let other = FakeHttp::start(|_| answer(200, &json!({ "name": "acme-shop-prod", "maintenance": false }))).await;
    let on = action("heroku.maintenance", "on = true", &at(&other.url()));
    let failure = on.fence().await.unwrap_err();
    assert_eq!(failure.class, Class::Refused);
    assert!(
        failure.message.contains("acme-shop-prod") && failure.message.contains("only touch app acme-shop"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn cut_short() {
    let stuck = FakeHttp::start(|asked| if asked.method == "GET" { app(false) } else { Say::Hang }).await;
    let on = action("heroku.maintenance", "on = true", &at(&stuck.url()));
    cut_short_is_unknown(on, json!({ "maintenance": false }), async || stuck.until_changes(1).await).await;
    assert_eq!(stuck.changes(), 2, "a change is never sent again by itself");
}

/// What the API's answers to a change prove.
#[tokio::test]
async fn classes_of_failure() {
    for (status, class) in [
        (401, Class::Denied),
        (403, Class::Denied),
        (404, Class::Misconfigured),
        (422, Class::Refused),
        (500, Class::Unknown),
        (503, Class::Unknown),
    ] {
        let api = FakeHttp::start(move |asked: &Asked| match asked.method.as_str() {
            "GET" => app(false),
            _ => answer(status, &json!({ "id": "some_id", "message": "Some\u{1b}[2J words." })),
        })
        .await;
        let on = action("heroku.maintenance", "on = true", &at(&api.url()));
        let attempt = attempt();
        let captured = on.capture(&attempt.cx).await.unwrap();
        let failure = on.apply(&attempt.cx, &captured).await.unwrap_err();
        assert_eq!(failure.class, class, "{status}: {failure:?}");
        assert_eq!(api.changes(), 1, "{status}");
        let causes = failure.causes.join("\n");
        assert!(
            causes.contains("request id req-4711") && causes.contains("some_id: Some\\u{1b}[2J words."),
            "{causes}"
        );
    }
    let reset = FakeHttp::start(|asked| if asked.method == "GET" { app(false) } else { Say::Reset }).await;
    let on = action("heroku.maintenance", "on = true", &at(&reset.url()));
    assert_eq!(on.apply(&attempt().cx, &json!(null)).await.unwrap_err().class, Class::Unknown);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let on = action("heroku.maintenance", "on = true", &at(&format!("http://{closed}")));
    let short = super::contract::attempt_of(std::time::Duration::from_secs(2), Default::default());
    let failure = on.capture(&short.cx).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone);
    assert!(failure.message.contains("connection refused"), "{failure:?}");
}

/// 429 did nothing and is waited out, for a change too; a read is repeated after a 503.
#[tokio::test]
async fn throttled_and_unavailable() {
    let api = FakeHttp::start(|asked| match (asked.method.as_str(), asked.count) {
        ("GET", 0) => answer(503, &json!({})),
        ("GET", n) => app(n > 3),
        (_, 2) => Say::Answer(429, vec![("retry-after", "1".into())], b"{\"id\":\"rate_limit\"}".to_vec()),
        _ => app(true),
    })
    .await;
    let on = action("heroku.maintenance", "on = true", &at(&api.url()));
    let started = std::time::Instant::now();
    on.apply(&attempt().cx, &json!(null)).await.unwrap();
    assert!(started.elapsed().as_secs_f32() > 1.4, "Retry-After and a pause after the 503 were waited for");
    let methods = api.asked.lock().unwrap().iter().map(|asked| asked.method.clone()).collect::<Vec<_>>();
    assert_eq!(methods, ["GET", "GET", "PATCH", "PATCH", "GET"]);
    let asked = api.asked.lock().unwrap()[0].clone();
    assert_eq!(asked.header("accept"), Some("application/vnd.heroku+json; version=3"));
    assert_eq!(asked.header("authorization"), Some("Bearer sandbox-key"));
    // A Retry-After beyond the deadline is told at once.
    let api = FakeHttp::start(|_| Say::Answer(429, vec![("retry-after", "3600".into())], b"{}".to_vec())).await;
    let on = action("heroku.maintenance", "on = true", &at(&api.url()));
    let started = std::time::Instant::now();
    assert_eq!(on.capture(&attempt().cx).await.unwrap_err().class, Class::FailedNothingDone);
    assert!(started.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn a_probe_that_sees_it_move_is_unclear_or_done() {
    let api = FakeHttp::start(|asked| app(asked.count > 0)).await;
    let on = action("heroku.maintenance", "on = true", &at(&api.url()));
    let found = on.probe(&attempt().cx, &json!({ "maintenance": false }), false).await.unwrap();
    assert!(matches!(found, Finding::Done(_)), "arrived between the two looks: {found:?}");
    assert_eq!(on.restore(&attempt().cx, &json!(null)).await.unwrap_err().class, Class::Misconfigured);
}

#[tokio::test]
async fn tokens_and_endpoints() {
    let api = FakeHttp::start(|asked| match asked.header("authorization") {
        Some("Bearer HRKU-canary-1") => app(false),
        _ => answer(401, &json!({ "id": "unauthorized", "message": "Invalid credentials." })),
    })
    .await;
    let mut env = env();
    let heroku = HerokuEnv { app: "acme-shop".into(), endpoint: Some(api.url()), token: Some("token".into()) };
    env.heroku = Some(heroku.clone());
    let source = SecretSource::Command(vec!["printf".into(), "HRKU-canary-1".into()]);
    let secrets = [SecretRef { name: "token".into(), span: 0..0, source }];
    let redactor = Arc::new(Redactor::default());
    let services = services_with(env.clone(), &secrets, redactor.clone());
    services.heroku.identity().await.unwrap();
    assert_eq!(redactor.redact("HRKU-canary-1"), "***");
    // The token never goes to a plain address beyond this machine, and a sandbox never beyond loopback.
    for (endpoint, kind) in [
        ("http://api.heroku.example", EnvKind::Live),
        ("https://203.0.113.9", EnvKind::Sandbox),
        ("ftp://127.0.0.1", EnvKind::Live),
    ] {
        env.kind = kind;
        env.heroku = Some(HerokuEnv { endpoint: Some(endpoint.into()), ..heroku.clone() });
        let failure = super::contract::services_with(env.clone(), &secrets, redactor.clone());
        let failure = failure.heroku.identity().await.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured, "{endpoint}: {failure:?}");
    }
    env.kind = EnvKind::Sandbox;
    env.heroku = Some(HerokuEnv { endpoint: None, ..heroku });
    let failure = super::contract::services(env).heroku.identity().await.unwrap_err();
    assert!(failure.message.contains("the sandbox did not give"), "{failure:?}");
}

#[tokio::test]
async fn bad_parameters() {
    let services = at("http://127.0.0.1:9");
    let kind = "heroku.maintenance";
    points_at(kind, "", &services, "", "needs `on`");
    points_at(kind, "on = \"yes\"", &services, "\"yes\"", "true or false");
    points_at(kind, "on = true\napp = \"other\"", &services, "\"other\"", "is not environment `test`'s");
    points_at(kind, "on = true", &super::contract::services(env()), "", "has no Heroku app");
}

/// The checks agree with each other about the world: what DNS says is who answers, and the page is what is asked for.
#[tokio::test]
async fn the_whole_world_through_the_real_clients() {
    let sandbox = world().await.sandbox;
    let services = inside(&sandbox);
    let host = "shop.acme.example";
    let see = async |kind: &str, params: String| {
        let check = super::contract::check(kind, &params, &services);
        let attempt = attempt();
        check.check(&attempt.cx).await.unwrap_or_else(|failure| panic!("{kind}: {failure:?}")).line
    };
    let target = "acme-shop.herokudns.example";
    see("dns.authoritative", format!("name = '{host}'\nvalue = '{target}'")).await;
    see("dns.propagated", format!("name = '{host}'\nvalue = '{target}'\nsamples = 3")).await;
    let line = see("http.check", format!("url = 'http://{host}/'\nstatus = 200")).await;
    assert!(line.contains(&sandbox.endpoints().old_origin.to_string()), "{line}");
    see("http.check", format!("url = 'http://{host}/'\ntimes = 20\nat_once = 5")).await;
    super::contract::done(action("heroku.maintenance", "on = true", &services).as_ref()).await;
    see("http.check", format!("url = 'http://{host}/'\nstatus = 503")).await;
    see("heroku.state", "maintenance = true\ndynos = { run = 0 }".into()).await;
}

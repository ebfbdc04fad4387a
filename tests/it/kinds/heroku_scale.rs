//! `heroku.scale`, in the built-in world and against dynos that do not stop.

use std::{collections::BTreeMap, time::Duration};

use gonogo::{base::Class, plan::Finding, services::heroku::Limits};
use serde_json::{Value as Json, json};

use super::{
    contract::{action, acts_and_restores, attempt, attempt_of, cut_short_is_unknown, points_at},
    fake_http::{FakeHttp, Say},
    heroku_world::{answer, at, world},
};

#[tokio::test]
async fn keeps_the_contract() {
    let world = world().await;
    let workers = action("heroku.scale", "formation = { worker = 0 }", &world.services);
    let state = async || {
        let heroku = &world.services.heroku;
        let formation = heroku.formation(&Limits::short()).await.unwrap();
        let mut dynos = heroku.dynos(&Limits::short()).await.unwrap();
        dynos.sort_by(|a, b| a.name.cmp(&b.name));
        let dynos = dynos.into_iter().map(|d| (d.kind, d.state)).collect::<Vec<_>>();
        (formation, dynos)
    };
    acts_and_restores(workers.as_ref(), state, async || world.changes().await).await;
}

#[tokio::test]
async fn every_type_but_some() {
    let world = world().await;
    let services = &world.services;
    let all = action("heroku.scale", "to = 0\nexcept = [\"web\"]", services);
    let captured = super::contract::done(all.as_ref()).await;
    let types = captured["formation"].as_array().unwrap().iter().map(|p| p["type"].clone()).collect::<Vec<_>>();
    assert!(types.contains(&json!("worker")) && !types.contains(&json!("web")), "{types:?}");
    let formation = services.heroku.formation(&Limits::short()).await.unwrap();
    assert!(formation.iter().all(|p| (p.quantity == 0) != (p.kind == "web")), "{formation:?}");
}

/// One word for everything that works behind the web dynos; what no formation stops is named.
#[tokio::test]
async fn all_but_web_in_one_word() {
    let world = world().await;
    let console = world.send("POST", "/dynos", json!({ "command": "rails console" })).await;
    let name = console["name"].as_str().unwrap();
    let stop = action("heroku.scale", "formation = 'all-but-web'", &world.services);
    assert!(stop.does()[0].ends_with("every process type but web=0"), "{:?}", stop.does());
    let attempt = attempt();
    let captured = stop.capture(&attempt.cx).await.unwrap();
    let done = stop.apply(&attempt.cx, &captured).await.unwrap();
    assert!(done.line.contains("clock=0:Standard-1X, worker=0:Standard-1X; dynos agree"), "{}", done.line);
    assert!(done.line.contains(&format!("one-off dynos go on: {name} ")), "{}", done.line);
    let formation = world.services.heroku.formation(&Limits::short()).await.unwrap();
    assert!(formation.iter().all(|p| (p.quantity == 0) != (p.kind == "web")), "{formation:?}");
    // An app that has nothing but web has nothing to stop.
    let web = FakeHttp::start(|_| answer(200, &json!([{ "type": "web", "quantity": 1 }]))).await;
    let stop = action("heroku.scale", "formation = 'all-but-web'", &at(&web.url()));
    let captured = stop.capture(&attempt.cx).await.unwrap();
    let done = stop.apply(&attempt.cx, &captured).await.unwrap();
    assert!(done.line.contains("nothing to do"), "{}", done.line);
    assert_eq!(web.changes(), 0);
}

/// A size changes quantity and dynos as well, and goes back.
#[tokio::test]
async fn sizes_there_and_back() {
    let world = world().await;
    let bigger = "formation = { worker = { quantity = 1, size = 'Standard-2X' } }";
    let bigger = action("heroku.scale", bigger, &world.services);
    let heroku = &world.services.heroku;
    let state = async || {
        let worker =
            heroku.formation(&Limits::short()).await.unwrap().into_iter().find(|p| p.kind == "worker").unwrap();
        let dynos = heroku.dynos(&Limits::short()).await.unwrap();
        let mut sizes = dynos.into_iter().filter(|d| d.kind == "worker").map(|d| d.size).collect::<Vec<_>>();
        sizes.sort();
        (worker.quantity, worker.size, sizes)
    };
    acts_and_restores(bigger.as_ref(), state, async || world.changes().await).await;
}

fn formation(quantity: u64) -> Say {
    answer(
        200,
        &json!([
            { "type": "web", "quantity": 1, "size": "Standard-1X" },
            { "type": "worker", "quantity": quantity, "size": "Standard-2X" },
        ]),
    )
}

fn captured() -> Json {
    json!({ "formation": [{ "type": "worker", "quantity": 2, "size": "Standard-2X" }] })
}

/// The formation says 0, but a dyno still runs: not done, and at the end nobody may say that it is.
#[tokio::test]
async fn waits_for_dynos_not_for_the_formation() {
    let api = FakeHttp::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PATCH", _) => answer(200, &json!([])),
        (_, "/apps/acme-shop/dynos") => {
            answer(200, &json!([{ "name": "worker.1", "type": "worker", "state": "stopping" }]))
        }
        (_, "/apps/acme-shop/formation") => formation(if asked.count == 0 { 2 } else { 0 }),
        _ => Say::Hang,
    })
    .await;
    let workers = action("heroku.scale", "formation = { worker = 0 }", &at(&api.url()));
    let attempt = attempt_of(Duration::from_millis(700), BTreeMap::new());
    let failure = workers.apply(&attempt.cx, &captured()).await.unwrap_err();
    assert_eq!(failure.class, Class::Unknown);
    assert!(failure.message.contains("1 of worker still there: worker.1 stopping"), "{failure:?}");
    assert!(failure.causes.join("").contains("request id req-4711"), "{failure:?}");
    let sent: Json = serde_json::from_str(&api.asked.lock().unwrap()[1].body).unwrap();
    let update = json!({ "type": "worker", "quantity": 0, "dyno_size": { "name": "Standard-2X" } });
    assert_eq!(sent, json!({ "updates": [update] }));
    let found = workers.probe(&super::contract::attempt().cx, &captured(), false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains("worker.1 stopping")), "{found:?}");
}

#[tokio::test]
async fn somebody_else_scaled_meanwhile() {
    let api = FakeHttp::start(|_| formation(7)).await;
    let workers = action("heroku.scale", "formation = { worker = 0 }", &at(&api.url()));
    let found = workers.probe(&attempt().cx, &captured(), false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains("worker=7")), "{found:?}");
}

#[tokio::test]
async fn cut_short_and_unknown_types() {
    let api = FakeHttp::start(|asked| if asked.method == "GET" { formation(2) } else { Say::Hang }).await;
    let services = at(&api.url());
    let workers = action("heroku.scale", "formation = { worker = 0 }", &services);
    cut_short_is_unknown(workers, captured(), async || api.until_changes(1).await).await;
    let clock = action("heroku.scale", "formation = { clock = 0, web = 1, cron = 0 }", &services);
    let failure = clock.capture(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert_eq!(failure.message, "the app has no process type `clock`, `cron`");
    assert_eq!(failure.hint.as_deref(), Some("it has: web, worker"));
    let kind = "heroku.scale";
    points_at(kind, "", &services, "", "either `formation` or `to`");
    points_at(kind, "to = 0\nformation = { web = 1 }", &services, "", "either `formation` or `to`");
    points_at(kind, "formation = { web = -1 }", &services, "-1", "quantity of `web`");
    points_at(kind, "formation = {}", &services, "{}", "is empty");
    points_at(kind, "formation = 3", &services, "3", "a table of quantities");
    points_at(kind, "formation = { web = 1 }\ntypes = [\"web\"]", &services, "[\"web\"]", "goes with `to`");
    points_at(kind, "formation = 'workers'", &services, "'workers'", "\"all-but-web\"");
    points_at(kind, "formation = 'all'\nexcept = ['web']", &services, "['web']", "without `formation`");
    points_at(kind, "formation = { web = { size = 'x' } }", &services, "{ size = 'x' }", "quantity of `web`");
    points_at(
        kind,
        "formation = { web = { quantity = 1, sise = 'x' } }",
        &services,
        "{ quantity = 1, sise = 'x' }",
        "quantity",
    );
    points_at(kind, "to = 0\ntypes = [\"web\"]\nexcept = [\"a\"]", &services, "[\"a\"]", "exclude each other");
    points_at(kind, "to = 0\napp = \"other\"", &services, "\"other\"", "is not environment");
}

/// Lists come in pages.
#[tokio::test]
async fn pages() {
    let api = FakeHttp::start(|asked| {
        let page = |from: usize| json!([{ "type": format!("t{from}"), "quantity": 0 }]).to_string().into_bytes();
        match asked.header("range") {
            None => Say::Answer(206, vec![("next-range", "type t1..".into())], page(0)),
            Some("type t1..") => Say::Answer(206, vec![("next-range", "type t2..".into())], page(1)),
            Some(_) => Say::Answer(200, Vec::new(), page(2)),
        }
    })
    .await;
    let all = at(&api.url()).heroku.formation(&Limits::short()).await.unwrap();
    assert_eq!(all.iter().map(|p| p.kind.as_str()).collect::<Vec<_>>(), ["t0", "t1", "t2"]);
}

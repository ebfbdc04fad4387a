//! `heroku.scale`, in the built-in world and against dynos that do not stop.

use std::{collections::BTreeMap, time::Duration};

use gonogo::{base::Class, plan::Finding, services::heroku::Limits};
use serde_json::{Value as Json, json};

use super::{
    contract::{action, acts_and_restores, attempt, attempt_of, cut_short_is_unknown, points_at},
    fake_http::{FakeHttp, Say},
    heroku_maintenance::{answer, at, changes, world},
};

#[tokio::test]
async fn keeps_the_contract() {
    let (sandbox, services) = world().await;
    let workers = action("heroku.scale", "formation = { worker = 0 }", &services);
    let state = async || {
        let heroku = &services.heroku;
        let formation = heroku.formation(&Limits::short()).await.unwrap();
        let mut dynos = heroku.dynos(&Limits::short()).await.unwrap();
        dynos.sort_by(|a, b| a.name.cmp(&b.name));
        let dynos = dynos.into_iter().map(|d| (d.kind, d.state)).collect::<Vec<_>>();
        (formation, dynos)
    };
    acts_and_restores(workers.as_ref(), state, async || changes(&sandbox).await).await;
}

#[tokio::test]
async fn every_type_but_some() {
    let (_sandbox, services) = world().await;
    let all = action("heroku.scale", "to = 0\nexcept = [\"web\"]", &services);
    let captured = super::contract::done(all.as_ref()).await;
    let types = captured["formation"].as_array().unwrap().iter().map(|p| p["type"].clone()).collect::<Vec<_>>();
    assert!(types.contains(&json!("worker")) && !types.contains(&json!("web")), "{types:?}");
    let formation = services.heroku.formation(&Limits::short()).await.unwrap();
    assert!(formation.iter().all(|p| (p.quantity == 0) != (p.kind == "web")), "{formation:?}");
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
    assert_eq!(sent, json!({ "updates": [{ "type": "worker", "quantity": 0, "size": "Standard-2X" }] }));
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
    let clock = action("heroku.scale", "formation = { clock = 0 }", &services);
    let failure = clock.capture(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert_eq!(failure.hint.as_deref(), Some("it has: web, worker"));
    let kind = "heroku.scale";
    points_at(kind, "", &services, "", "either `formation` or `to`");
    points_at(kind, "to = 0\nformation = { web = 1 }", &services, "", "either `formation` or `to`");
    points_at(kind, "formation = { web = -1 }", &services, "-1", "quantity of `web`");
    points_at(kind, "formation = {}", &services, "{}", "is empty");
    points_at(kind, "formation = 3", &services, "3", "a table of quantities");
    points_at(kind, "formation = { web = 1 }\ntypes = [\"web\"]", &services, "[\"web\"]", "goes with `to`");
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

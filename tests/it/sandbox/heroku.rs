//! Heroku's Platform API by reqwest.

use std::time::{Duration, Instant};

use gonogo::sandbox::Sandbox;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::{http, until, world};

const JSON: &str = "application/vnd.heroku+json; version=3";

async fn send(world: &Sandbox, method: Method, path: &str, body: Value) -> Response {
    let request = http().request(method, format!("{}{path}", world.endpoints().heroku)).header("accept", JSON);
    let request = request.bearer_auth(world.endpoints().heroku_api_key);
    let request = if body.is_null() { request } else { request.json(&body) };
    request.send().await.unwrap()
}

async fn get(world: &Sandbox, path: &str) -> Value {
    let said = send(world, Method::GET, path, Value::Null).await;
    assert!(said.status().is_success(), "{path}: {}", said.status());
    said.json().await.unwrap()
}

/// `name state` of every dyno of a type.
async fn dynos(world: &Sandbox, kind: &str) -> Vec<String> {
    let all = get(world, "/apps/acme-shop/dynos").await;
    let own = all.as_array().unwrap().iter().filter(|it| it["type"] == kind);
    let mut own: Vec<String> =
        own.map(|it| format!("{} {}", it["name"].as_str().unwrap(), it["state"].as_str().unwrap())).collect();
    own.sort();
    own
}

#[tokio::test]
async fn dynos_take_time_to_stop_and_to_start() {
    let world = world(&[]).await;
    assert_eq!(dynos(&world, "worker").await, ["worker.1 up", "worker.2 up"]);
    let start = Instant::now();
    let updates = json!({ "updates": [{ "type": "worker", "quantity": "0" }, { "type": "clock", "quantity": 0 }] });
    let said = send(&world, Method::PATCH, "/apps/acme-shop/formation", updates).await;
    let said: Value = said.json().await.unwrap();
    assert_eq!((&said[0]["type"], &said[0]["quantity"]), (&json!("worker"), &json!(0)), "a text is made a number");
    assert_eq!(dynos(&world, "worker").await, ["worker.1 down", "worker.2 down"]);
    until("gone", || dynos(&world, "worker"), Vec::is_empty).await;
    assert!((2400..6000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    send(&world, Method::PATCH, "/apps/acme-shop/formation/worker", json!({ "quantity": 1 })).await;
    assert_eq!(dynos(&world, "worker").await, ["worker.1 starting"]);
    until("up", || dynos(&world, "worker"), |all| all == &["worker.1 up"]).await;
    assert_eq!(get(&world, "/apps/acme-shop/formation/worker").await["quantity"], 1);
    assert_eq!(world.effects().await.len(), 2);
}

#[tokio::test]
async fn refuses_what_heroku_refuses() {
    let world = world(&["heroku.rate_limit:once", "heroku.503:once"]).await;
    let status = |path: &'static str| send(&world, Method::GET, path, Value::Null);
    let limited = status("/account").await;
    assert_eq!(limited.status(), 429);
    assert!(limited.headers().contains_key("request-id"));
    assert_eq!(limited.json::<Value>().await.unwrap()["id"], "rate_limit");
    assert_eq!(status("/account").await.status(), 503);
    let missing = status("/apps/nobody").await;
    assert_eq!(missing.status(), 404);
    let missing: Value = missing.json().await.unwrap();
    assert_eq!(missing, json!({ "id": "not_found", "resource": "app", "message": "Couldn't find that app." }));
    let base = &world.endpoints().heroku;
    let bare = http().get(format!("{base}/account")).bearer_auth("sandbox-key").send().await.unwrap();
    assert_eq!(bare.status(), 404, "without a version there is no endpoint");
    let wrong = http().get(format!("{base}/account")).header("accept", JSON).bearer_auth("wrong").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    for (path, body) in [
        ("/apps/acme-shop", json!({ "maintenance": "on" })),
        ("/apps/acme-shop/formation", json!({ "updates": [{ "type": "web", "quantity": "many" }] })),
        ("/apps/acme-shop/formation", json!({ "updates": [{ "type": "web", "quantity": -1 }] })),
        ("/apps/acme-shop/formation", json!({ "web": 1 })),
        ("/apps/acme-shop/config-vars", json!({ "A": 1 })),
    ] {
        assert_eq!(send(&world, Method::PATCH, path, body.clone()).await.status(), 422, "{path} {body}");
    }
    let both = json!({ "updates": [{ "type": "web", "quantity": 0 }, { "type": "nope", "quantity": 0 }] });
    assert_eq!(send(&world, Method::PATCH, "/apps/acme-shop/formation", both).await.status(), 404);
    assert_eq!(get(&world, "/apps/acme-shop/formation/web").await["quantity"], 2, "all or nothing");
    assert!(world.effects().await.is_empty());
}

#[tokio::test]
async fn lists_are_ordered_and_paged_by_range() {
    let world = world(&[]).await;
    let ask = |range: String| {
        let request = http().get(format!("{}/apps/acme-shop/releases", world.endpoints().heroku));
        request.header("accept", JSON).bearer_auth("sandbox-key").header("range", range).send()
    };
    let first = ask("version ..; order=desc, max=1".into()).await.unwrap();
    assert_eq!(first.status(), 206);
    let remaining: u32 = first.headers()["ratelimit-remaining"].to_str().unwrap().parse().unwrap();
    assert!((4400..4500).contains(&remaining), "{remaining}");
    let next = first.headers()["next-range"].to_str().unwrap().to_owned();
    let newest: Value = first.json().await.unwrap();
    assert_eq!(
        (newest.as_array().unwrap().len(), &newest[0]["version"], &newest[0]["current"]),
        (1, &json!(142), &json!(true))
    );
    let second: Value = ask(next).await.unwrap().json().await.unwrap();
    assert_eq!(second[0]["version"], 141);
    let all: Value = ask(String::new()).await.unwrap().json().await.unwrap();
    let versions: Vec<_> = all.as_array().unwrap().iter().map(|it| it["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, [140, 141, 142]);
}

#[tokio::test]
async fn a_config_change_makes_a_release_and_restarts() {
    let world = world(&[]).await;
    let change = json!({ "NEW": "secret-value", "LOG_LEVEL": null });
    let vars: Value = send(&world, Method::PATCH, "/apps/acme-shop/config-vars", change).await.json().await.unwrap();
    assert_eq!((&vars["NEW"], vars.get("LOG_LEVEL")), (&json!("secret-value"), None));
    assert!(dynos(&world, "web").await.contains(&"web.1 starting".to_owned()));
    assert_eq!(
        get(&world, "/apps/acme-shop/releases/143").await["description"],
        "Set NEW config vars, Remove LOG_LEVEL config vars"
    );
    let effects = world.effects().await;
    assert!(!format!("{effects:?}").contains("secret-value"), "names only");
    let start = Instant::now();
    assert_eq!(send(&world, Method::DELETE, "/apps/acme-shop/dynos/web.1", Value::Null).await.status(), 202);
    until(
        "up again",
        || dynos(&world, "web"),
        |all| all == &["web.1 up", "web.2 up"] || all == &["web.2 up", "web.1 up"],
    )
    .await;
    assert!(start.elapsed() > Duration::from_secs(1));
}

/// A release phase decides whether a change of config vars takes place; until then the API shows the former ones.
#[tokio::test]
async fn release_phases_rollbacks_and_what_belongs_to_add_ons() {
    let world = world(&["heroku.release_fails:once"]).await;
    let release = async |which: &str| get(&world, &format!("/apps/acme-shop/releases/{which}")).await;
    let said = send(&world, Method::PATCH, "/apps/acme-shop/config-vars", json!({ "A": "1" })).await;
    assert_eq!(said.json::<Value>().await.unwrap().get("A"), None, "not yet");
    let pending = release("143").await;
    assert_eq!((&pending["status"], &pending["current"]), (&json!("pending"), &json!(false)));
    assert_eq!(dynos(&world, "release").await.len(), 1, "the release phase has a dyno");
    until("failed", || release("143"), |it| it["status"] == "failed").await;
    assert_eq!(get(&world, "/apps/acme-shop/config-vars").await.get("A"), None, "a failed phase changes nothing");
    assert_eq!(dynos(&world, "web").await, ["web.1 up", "web.2 up"], "and restarts nothing");
    send(&world, Method::PATCH, "/apps/acme-shop/config-vars", json!({ "A": "1" })).await;
    assert_eq!(get(&world, "/apps/acme-shop/config-vars").await["A"], "1");
    assert_eq!(get(&world, "/apps/acme-shop/releases/142/config-vars").await.get("A"), None);
    assert_eq!(get(&world, "/apps/acme-shop/releases/v144/config-vars").await["A"], "1");
    let taken =
        send(&world, Method::PATCH, "/apps/acme-shop/config-vars", json!({ "B": "1", "REDIS_URL": null })).await;
    assert_eq!(taken.status(), 422);
    let taken: Value = taken.json().await.unwrap();
    assert_eq!(taken["message"], "Cannot overwrite attachment values REDIS_URL.");
    let failed = release("143").await["id"].clone();
    let back = send(&world, Method::POST, "/apps/acme-shop/releases", json!({ "release": failed })).await;
    assert_eq!(back.status(), 404, "nobody goes back to what never ran");
    let back =
        send(&world, Method::POST, "/apps/acme-shop/releases", json!({ "release": release("142").await["id"] })).await;
    assert_eq!(back.json::<Value>().await.unwrap()["description"], "Rollback to v142");
    let vars = get(&world, "/apps/acme-shop/config-vars").await;
    assert!(vars.get("A").is_none() && vars["DATABASE_URL"].is_string(), "{vars}");
}

/// What others do while somebody looks: a deploy, a job of Heroku Scheduler, a forgotten console.
#[tokio::test]
async fn what_others_do_meanwhile() {
    let world = world(&["heroku.deploy:once", "heroku.job:once", "heroku.one_off:once"]).await;
    let first = get(&world, "/apps/acme-shop/dynos").await;
    let has = |kind: &str| first.as_array().unwrap().iter().any(|it| it["type"] == kind);
    assert!(has("scheduler") || has("run"), "{first}");
    until("both", || get(&world, "/apps/acme-shop/dynos"), |it| it.to_string().contains("\"run\"")).await;
    until("the job ends", || dynos(&world, "scheduler"), Vec::is_empty).await;
    let name = dynos(&world, "run").await[0].split(' ').next().unwrap().to_owned();
    let stop = format!("/apps/acme-shop/dynos/{name}/actions/stop");
    assert_eq!(send(&world, Method::POST, &stop, Value::Null).await.status(), 202);
    until("the console ends", || dynos(&world, "run"), Vec::is_empty).await;
    assert_eq!(dynos(&world, "web").await, ["web.1 up", "web.2 up"], "nothing else was restarted");
    let builds = get(&world, "/apps/acme-shop/builds").await;
    assert_eq!(builds.as_array().unwrap().last().unwrap()["status"], "pending");
    let newest =
        || async { get(&world, "/apps/acme-shop/releases").await.as_array().unwrap().last().cloned().unwrap() };
    let made = until("a release", newest, |it| it["version"] == 143 && it["status"] == "succeeded").await;
    assert!(made["description"].as_str().unwrap().starts_with("Deploy "), "{made}");
}

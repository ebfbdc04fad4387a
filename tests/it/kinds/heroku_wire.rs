//! Every request of the Heroku kinds and every answer of the built-in world against Heroku's published schema; and the
//! validator against what it has to find.

use std::{collections::BTreeMap, time::Duration};

use gonogo::services::heroku::Limits;
use serde_json::{Value as Json, json};

use super::{
    contract::{action, attempt_of, check},
    fake_http::FakeHttp,
    heroku_lock_deploys::with_word,
    heroku_world::{
        answer, at,
        schema::schema,
        wire::{Wire, exchange},
        world,
    },
};

/// All that the client asks, by the schema's names.
const ASKED: &[&str] = &[
    "GET /apps/{}",
    "GET /apps/{}/addon-attachments",
    "GET /apps/{}/addons",
    "GET /apps/{}/builds",
    "GET /apps/{}/config-vars",
    "GET /apps/{}/domains",
    "GET /apps/{}/dynos",
    "GET /apps/{}/formation",
    "GET /apps/{}/log-drains",
    "GET /apps/{}/pipeline-couplings",
    "GET /apps/{}/releases",
    "GET /apps/{}/releases/{}/config-vars",
    "PATCH /apps/{}",
    "PATCH /apps/{}/config-vars",
    "PATCH /apps/{}/formation",
];

/// Every kind does all that it can in one world; the proxy looks at each word, and no endpoint is left out.
#[tokio::test]
async fn every_request_and_answer_is_what_the_schema_says() {
    let world = world().await;
    let services = &world.services;
    for (kind, text) in [
        ("heroku.config", "set = { LOG_LEVEL = 'debug', NEW = 'x' }\nunset = ['SECRET_KEY_BASE']"),
        ("heroku.scale", "formation = { worker = { quantity = 1, size = 'Standard-2X' }, web = 1 }"),
        ("heroku.maintenance", "on = true"),
    ] {
        let step = action(kind, text, services);
        step.fence().await.unwrap();
        let cx = attempt_of(Duration::from_secs(60), BTreeMap::new()).cx;
        let captured = step.capture(&cx).await.unwrap();
        step.apply(&cx, &captured).await.unwrap();
        step.restore(&cx, &captured).await.unwrap();
    }
    for (kind, text) in [("heroku.lock_deploys", ""), ("heroku.scheduler", "quiet = '1s'")] {
        with_word(&action(kind, text, services), Json::Null).await.1.unwrap();
        check(kind, "", services).check(&attempt_of(Duration::from_secs(30), BTreeMap::new()).cx).await.unwrap();
    }
    check("heroku.state", "", services).check(&attempt_of(Duration::from_secs(30), BTreeMap::new()).cx).await.unwrap();
    let used = world.wire.endpoints();
    assert_eq!(used.iter().map(String::as_str).collect::<Vec<_>>(), ASKED, "against {}", schema().source);
    assert_eq!(world.wire.wrong(), Vec::<String>::new(), "against {}", schema().source);
}

/// What the world answers to others (the CLI) as well.
#[tokio::test]
async fn everything_that_the_world_answers() {
    let world = world().await;
    let wire = Wire::to(&world.sandbox.endpoints().heroku).await;
    let send = async |method: &str, path: &str, body: Json| -> Json {
        let request = crate::sandbox::http().request(method.parse().unwrap(), format!("{}{path}", wire.endpoint));
        let request = request.header("accept", "application/vnd.heroku+json; version=3").bearer_auth("sandbox-key");
        let request = if body.is_null() { request } else { request.json(&body) };
        request.send().await.unwrap().json().await.unwrap()
    };
    let console = send("POST", "/apps/acme-shop/dynos", json!({ "command": "rake x", "time_to_live": 60 })).await;
    let dyno = format!("/apps/acme-shop/dynos/{}", console["name"].as_str().unwrap());
    let addon = send("GET", "/addons", Json::Null).await[0]["name"].as_str().unwrap().to_owned();
    for path in [
        "/account",
        "/account/rate-limits",
        "/addon-attachments",
        &format!("/addons/{addon}"),
        "/apps",
        &format!("/apps/acme-shop/addons/{addon}"),
        "/apps/acme-shop/collaborators",
        "/apps/acme-shop/formation/web",
        "/apps/acme-shop/releases/142",
        &dyno,
        "/apps/nobody",
    ] {
        send("GET", path, Json::Null).await;
    }
    send("PATCH", "/apps/acme-shop/formation/web", json!({ "quantity": 1 })).await;
    send(
        "POST",
        "/apps/acme-shop/releases",
        json!({ "release": send("GET", "/apps/acme-shop/releases/140", Json::Null).await["id"] }),
    )
    .await;
    assert_eq!(
        send("GET", "/apps/acme-shop/config-vars", Json::Null).await["LOG_LEVEL"],
        "debug",
        "a rollback brings config back"
    );
    let builds = send("GET", "/apps/acme-shop/builds", Json::Null).await;
    assert_eq!(builds.as_array().unwrap().len(), 2);
    assert!(wire.endpoints().len() >= 15, "{:?}", wire.endpoints());
    assert_eq!(wire.wrong(), Vec::<String>::new());
}

/// The typed reads, fed with nothing but what the schema has, find everything that they look for.
#[tokio::test]
async fn the_model_reads_what_the_schema_has() {
    let api = FakeHttp::start(|asked| {
        let path = asked.path.replacen("/apps/acme-shop", "/apps/{}", 1);
        answer(200, &schema().sample(schema().answer(&format!("GET {path}"))))
    })
    .await;
    let services = at(&api.url());
    let (heroku, limits) = (&services.heroku, Limits::short());
    let complete = |read: String| {
        for nothing in ["None", "\"\"", "[]"] {
            assert!(!read.contains(nothing), "{nothing}: {read}");
        }
    };
    complete(format!("{:?}", heroku.read_app(&limits).await.unwrap()));
    complete(format!("{:?}", heroku.dynos(&limits).await.unwrap()[0]));
    complete(format!("{:?}", heroku.releases(&limits).await.unwrap()[0]));
    complete(format!("{:?}", heroku.attachments(&limits).await.unwrap()[0]));
    complete(format!("{:?}", heroku.domains(&limits).await.unwrap()[0]));
    complete(format!("{:?}", heroku.formation(&limits).await.unwrap()[0]));
    complete(format!("{:?}", heroku.pipeline_stage(&limits).await.unwrap().unwrap()));
    if !schema().requests {
        // Types hold no examples, so a web address or a number of a build is any text.
        heroku.builds(&limits).await.unwrap();
        heroku.drains(&limits).await.unwrap();
        return;
    }
    complete(format!("{:?}", heroku.builds(&limits).await.unwrap()[0]));
    complete(format!("{:?}", heroku.addons(&limits).await.unwrap()[0]));
    assert_eq!(heroku.drains(&limits).await.unwrap()[0].to, "https://example.com");
}

/// A validator that finds nothing would let everything pass.
#[test]
fn the_validator_finds_what_is_wrong() {
    let schema = schema();
    let app = |change: &dyn Fn(&mut Json)| {
        let mut app = schema.sample(schema.answer("GET /apps/{}"));
        change(&mut app);
        schema.check(&exchange("GET", "/apps/acme-shop", Json::Null, 200, app)).1.join("\n")
    };
    assert_eq!(app(&|_| {}), "", "an app as the schema has it");
    assert!(app(&|app| app["maintenance"] = json!("on")).contains("/maintenance: \"on\" is no boolean"));
    assert!(app(&|app| app["maintenence"] = json!(true)).contains("/maintenence: is not known"));
    let (name, wrong) = schema.check(&exchange("GET", "/apps/acme-shop/dyno", Json::Null, 200, json!([])));
    assert_eq!((name, wrong), (None, vec!["GET /apps/acme-shop/dyno is no endpoint".to_owned()]));
    let list = exchange("GET", "/apps/acme-shop/dynos", Json::Null, 200, json!([{ "state": 3 }]));
    assert!(schema.check(&list).1.join("\n").contains("/0/state: 3 is no string"));
    let vars = exchange("GET", "/apps/acme-shop/config-vars", Json::Null, 200, json!({ "A": 1 }));
    assert!(schema.check(&vars).1.join("\n").contains("/A: 1 is no string"), "{:?}", schema.check(&vars));
    let page = exchange("GET", "/apps/acme-shop", Json::Null, 502, Json::Null);
    assert!(schema.check(&page).1.join("\n").contains("502 without id and message"));
    if !schema.requests {
        return;
    }
    assert!(app(&|app| app["id"] = json!("no-uuid")).contains("is no \"uuid\""));
    assert!(app(&|app| app["name"] = json!("No Name")).contains("is not like"));
    assert!(app(&|app| drop(app.as_object_mut().unwrap().remove("stack"))).contains("/stack: is missing"));
    let change = |path: &str, body: Json| {
        let list = schema.sample(schema.answer(&format!("PATCH {}", path.replace("acme-shop", "{}"))));
        schema.check(&exchange("PATCH", path, body, 200, list)).1.join("\n")
    };
    let update = |update: Json| change("/apps/acme-shop/formation", json!({ "updates": [update] }));
    assert_eq!(update(json!({ "type": "web", "quantity": 1, "dyno_size": { "name": "Standard-1X" } })), "");
    assert!(update(json!({ "type": "web", "quantity": "1" })).contains("\"1\" is no integer"));
    assert!(update(json!({ "type": "web", "size": "Standard-1X" })).contains("/size: is not known"));
    assert!(update(json!({ "quantity": 1 })).contains("type is missing"));
    assert!(change("/apps/acme-shop", json!({ "maintenence": true })).contains("/maintenence: is not known"));
    assert!(change("/apps/acme-shop/config-vars", json!({ "A B": "x" })).contains("/A B: is not known"));
    let mut builds = exchange("GET", "/apps/acme-shop/builds", Json::Null, 200, json!([]));
    builds.range = Some("version ..; order=desc".into());
    assert!(schema.check(&builds).1.join("\n").contains("cannot be ordered by version"));
}

//! `heroku.config`, in the built-in world and against an API that hangs, refuses and forgets. No value may be seen.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Redactor},
    plan::{Action, Finding},
    runbook::{EnvKind, HerokuEnv, SecretRef, SecretSource},
    services::{Services, heroku::Limits},
};
use serde_json::{Value as Json, json};

use super::{
    contract::{action, acts_and_restores, attempt, attempt_of, cut_short_is_unknown, env, points_at, services_with},
    fake_http::{FakeHttp, Say},
    heroku_world::{World, answer, at, world, world_with},
};

const KIND: &str = "heroku.config";
const CHANGE: &str =
    "set = { LOG_LEVEL = 'canary-new', FEATURE = 'canary-on' }\nunset = ['SECRET_KEY_BASE', 'NEVER_THERE']";

async fn vars(services: &Services) -> BTreeMap<String, String> {
    let vars = services.heroku.config_vars(&Limits::short()).await.unwrap();
    vars.into_iter().map(|(name, value)| (name, value.to_string())).collect()
}

/// Config vars, and dynos by type and state.
async fn state(services: &Services) -> (BTreeMap<String, String>, Vec<(String, String)>) {
    let mut dynos = services.heroku.dynos(&Limits::short()).await.unwrap();
    dynos.sort_by(|a, b| a.name.cmp(&b.name));
    (vars(services).await, dynos.into_iter().map(|dyno| (dyno.name, dyno.state)).collect())
}

/// With secret `new`, whose value is a command's output.
fn with_secret(endpoint: &str, value: &str) -> (Arc<Services>, Arc<Redactor>) {
    let mut env = env();
    env.kind = EnvKind::Sandbox;
    env.heroku = Some(HerokuEnv { app: "acme-shop".into(), endpoint: Some(endpoint.into()), token: None });
    let source = SecretSource::Command(vec!["printf".into(), value.into()]);
    let redactor = Arc::new(Redactor::default());
    let secrets = [SecretRef { name: "new".into(), span: 0..0, source }];
    (services_with(env, &secrets, redactor.clone()), redactor)
}

async fn applied(world: &World, text: &str) -> (Arc<dyn Action>, Json, gonogo::plan::Done) {
    let change = action(KIND, text, &world.services);
    let attempt = attempt_of(Duration::from_secs(60), BTreeMap::new());
    let captured = change.capture(&attempt.cx).await.unwrap();
    let done = change.apply(&attempt.cx, &captured).await.unwrap();
    (change, captured, done)
}

#[tokio::test]
async fn keeps_the_contract() {
    let world = world().await;
    let change = action(KIND, CHANGE, &world.services);
    acts_and_restores(change.as_ref(), async || state(&world.services).await, async || world.changes().await).await;
}

/// Nothing that is kept or shown holds a value: captured, evidence, lines, effects.
#[tokio::test]
async fn no_value_is_seen() {
    let world = world().await;
    let (services, redactor) = with_secret(&world.wire.endpoint, "canary-secret");
    let change = action(KIND, "set = { API_KEY = '${secret.new}', LOG_LEVEL = 'canary-new' }", &services);
    let attempt = attempt();
    let captured = change.capture(&attempt.cx).await.unwrap();
    assert_eq!(captured, json!({ "release": 142, "vars": { "API_KEY": "unset", "LOG_LEVEL": "set" } }));
    let done = change.apply(&attempt.cx, &captured).await.unwrap();
    assert_eq!(vars(&services).await["API_KEY"], "canary-secret");
    assert_eq!(done.line, "acme-shop: API_KEY, LOG_LEVEL set; every dyno runs v143");
    assert_eq!(done.evidence["release"], 143);
    let found = change.probe(&attempt.cx, &captured, false).await.unwrap();
    let effects = world.sandbox.effects().await;
    let all = format!(
        "{captured} {done:?} {found:?} {effects:?} {:?} {:?} {:?}",
        change.does(),
        attempt.seen.lines.lock().unwrap(),
        attempt.seen.progress.lock().unwrap()
    );
    assert!(!all.contains("canary") && !all.contains("info"), "{all}");
    assert_eq!(redactor.redact("canary-secret"), "***", "a secret is learned before it is sent");
    let sent = world.wire.exchanges().into_iter().find(|exchange| exchange.method == "PATCH").unwrap();
    assert_eq!(sent.body, json!({ "API_KEY": "canary-secret", "LOG_LEVEL": "canary-new" }));
}

/// Only what is not so yet is sent, and a second time nothing is.
#[tokio::test]
async fn only_differences_are_sent_and_one_off_dynos_are_named() {
    let world = world().await;
    let console = world.send("POST", "/dynos", json!({ "command": "rails console" })).await;
    let (change, captured, done) = applied(&world, "set = { LOG_LEVEL = 'info', NEW = 'x' }\nunset = ['OTHER']").await;
    let name = console["name"].as_str().unwrap();
    assert!(done.line.contains(&format!("one-off dynos keep the old values: {name}")), "{}", done.line);
    let bodies = |world: &World| -> Vec<Json> {
        world.wire.exchanges().into_iter().filter(|it| it.method == "PATCH").map(|it| it.body).collect()
    };
    assert_eq!(bodies(&world), [json!({ "NEW": "x" })]);
    let done = change.apply(&attempt().cx, &captured).await.unwrap();
    assert!(done.line.contains("LOG_LEVEL, NEW set, OTHER not there already"), "{}", done.line);
    assert_eq!((bodies(&world).len(), &done.evidence["release"]), (1, &Json::Null));
}

/// What belongs to an add-on is refused by name before anything is sent.
#[tokio::test]
async fn an_add_ons_names_are_refused() {
    let world = world().await;
    let change =
        action(KIND, "set = { DATABASE_URL = 'postgres://new', X = 'y' }\nunset = ['REDIS_URL']", &world.services);
    let failure = change.capture(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused);
    let said = "DATABASE_URL belongs to add-on postgresql-curved-12345, REDIS_URL belongs to add-on redis-round-54321";
    assert_eq!(failure.message, said);
    assert!(failure.hint.unwrap().contains("pg:promote"));
    assert_eq!(change.apply(&attempt().cx, &json!(null)).await.unwrap_err().class, Class::Refused);
    assert_eq!(world.wire.changes(), 0);
    // One that is listed nowhere is refused by Heroku itself.
    let api = FakeHttp::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PATCH", _) => {
            answer(422, &json!({ "id": "invalid_params", "message": "Cannot overwrite attachment values A." }))
        }
        (_, "/apps/acme-shop/config-vars") => answer(200, &json!({})),
        _ => answer(200, &json!([])),
    })
    .await;
    let change = action(KIND, "set = { A = 'b' }", &at(&api.url()));
    let failure = change.apply(&attempt().cx, &json!(null)).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused);
    assert!(failure.hint.unwrap().contains("addons:attach"));
}

/// While a release phase runs the change is not there; where it fails it never is, and that is said.
#[tokio::test]
async fn a_release_phase_decides() {
    let world = world_with(&["heroku.release_fails:once"]).await;
    let change = action(KIND, "set = { LOG_LEVEL = 'canary' }", &world.services);
    let attempt = attempt();
    let captured = change.capture(&attempt.cx).await.unwrap();
    let failure = change.apply(&attempt.cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Failed, "{failure:?}");
    assert_eq!(failure.message, "not as asked: LOG_LEVEL is not set to the value asked for");
    assert_eq!(failure.causes, ["release v143 (Set LOG_LEVEL config vars by platform@acme.example) failed"]);
    assert!(failure.hint.unwrap().contains("releases:output"));
    assert_eq!(vars(&world.services).await["LOG_LEVEL"], "info");
    let found = change.probe(&attempt.cx, &captured, false).await.unwrap();
    assert!(matches!(found, Finding::NotDone { .. }), "{found:?}");
    // A second try works, and waits out its release phase.
    let world = world_with(&["heroku.release_slow:once"]).await;
    let change = action(KIND, "set = { LOG_LEVEL = 'canary' }", &world.services);
    let running = { change.clone() };
    let patient = attempt_of(Duration::from_secs(60), BTreeMap::new());
    let captured = change.capture(&patient.cx).await.unwrap();
    let (cx, kept) = (patient.cx.clone(), captured.clone());
    let task = tokio::spawn(async move { running.apply(&cx, &kept).await });
    loop {
        let release = world.services.heroku.release(&Limits::short()).await.unwrap().unwrap();
        if release.status == "pending" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = change.probe(&patient.cx, &captured, false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains("its release phase decides")), "{found:?}");
    assert_eq!(task.await.unwrap().unwrap().evidence["release"], 143);
    assert_eq!(vars(&world.services).await["LOG_LEVEL"], "canary");
}

/// The values are set, but the app does not come up with them: that is known, and no doubt.
#[tokio::test]
async fn a_dyno_that_crashes() {
    let world = world_with(&["heroku.crash:once"]).await;
    let change = action(KIND, "set = { LOG_LEVEL = 'canary' }", &world.services);
    let patient = attempt_of(Duration::from_secs(90), BTreeMap::new());
    let captured = change.capture(&patient.cx).await.unwrap();
    let (cx, acting, kept) = (patient.cx.clone(), change.clone(), captured.clone());
    let task = tokio::spawn(async move { acting.apply(&cx, &kept).await });
    while !patient.seen.progress.lock().unwrap().iter().any(|(_, line)| line.contains("crashed")) {
        assert!(!task.is_finished(), "it is done although a dyno crashes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    patient.cx.cancel.cancel();
    let failure = task.await.unwrap().unwrap_err();
    assert_eq!(failure.class, Class::Failed, "{failure:?}");
    assert!(failure.message.contains("crashed"), "{failure:?}");
    assert!(failure.causes.join("").contains("the values are as asked, in release v143"), "{failure:?}");
    change.restore(&attempt_of(Duration::from_secs(60), BTreeMap::new()).cx, &captured).await.unwrap();
    assert_eq!(vars(&world.services).await["LOG_LEVEL"], "info");
}

/// The values are as asked, and every dyno still runs the release before them: nobody has them yet.
#[tokio::test]
async fn values_that_no_dyno_runs_with() {
    for (release, settled) in [(7, false), (8, true)] {
        let api = FakeHttp::start(move |asked| match asked.path.as_str() {
            "/apps/acme-shop/config-vars" => answer(200, &json!({ "A": "b" })),
            "/apps/acme-shop/releases/7/config-vars" => answer(200, &json!({ "A": "a" })),
            "/apps/acme-shop/releases" => answer(200, &json!([{ "version": 8, "status": "succeeded", "current": true }])),
            "/apps/acme-shop/formation" => answer(200, &json!([{ "type": "web", "quantity": 1, "size": "Basic" }])),
            "/apps/acme-shop/dynos" => answer(
                200,
                &json!([{ "name": "web.1", "type": "web", "state": "up", "size": "Basic", "release": { "version": release } }]),
            ),
            _ => answer(200, &json!([])),
        })
        .await;
        let change = action(KIND, "set = { A = 'b' }", &at(&api.url()));
        let captured = json!({ "release": 7, "vars": { "A": "set" } });
        let found = change.probe(&attempt().cx, &captured, false).await.unwrap();
        match found {
            Finding::Done(_) => assert!(settled, "found done with v{release}"),
            Finding::Unclear { line } => assert!(!settled && line.contains("web.1 still runs v7"), "{line}"),
            other => panic!("{other:?}"),
        }
    }
}

/// What Heroku held is a secret from the moment it is read: the API repeats what it refuses.
#[tokio::test]
async fn former_values_are_learnt() {
    let api = forgetful(json!({ "A": "new-canary" }), Some(json!({ "A": "former-canary" }))).await;
    let (services, redactor) = with_secret(&api.url(), "other");
    let change = action(KIND, "set = { A = 'new-canary' }", &services);
    let short = attempt_of(Duration::from_secs(1), BTreeMap::new());
    let captured = json!({ "release": 7, "vars": { "A": "set" } });
    change.restore(&short.cx, &captured).await.unwrap_err();
    assert_eq!(api.changes(), 1);
    assert_eq!(redactor.redact("bad former-canary"), "bad ***");
}

/// An app whose config vars are these, whose release holds those.
async fn forgetful(now: Json, held: Option<Json>) -> FakeHttp {
    FakeHttp::start(move |asked| match (asked.method.as_str(), asked.path.as_str(), &held) {
        ("PATCH", ..) => Say::Hang,
        (_, "/apps/acme-shop/config-vars", _) => answer(200, &now),
        (_, "/apps/acme-shop/releases/7/config-vars", Some(held)) => answer(200, held),
        (_, "/apps/acme-shop/releases/7/config-vars", None) => {
            answer(404, &json!({ "id": "not_found", "message": "gone" }))
        }
        (_, "/apps/acme-shop/releases", _) => answer(
            200,
            &json!([{ "version": 7, "status": "succeeded", "current": true }, { "version": 8, "status": "failed" }]),
        ),
        _ => answer(200, &json!([])),
    })
    .await
}

/// What could not be put back is refused before it is changed, unless the author gives it.
#[tokio::test]
async fn restoring_needs_the_former_value() {
    for held in [None, Some(json!({ "A": "older-canary" })), Some(json!({}))] {
        let api = forgetful(json!({ "A": "canary" }), held).await;
        let change = action(KIND, "set = { A = 'b' }", &at(&api.url()));
        let failure = change.capture(&attempt().cx).await.unwrap_err();
        assert_eq!(failure.class, Class::Refused);
        assert_eq!(failure.message, "A could not be put back: release v7 does not hold its present value");
        assert!(failure.hint.unwrap().contains("former = { A = "));
    }
    let api = forgetful(json!({ "A": "canary" }), None).await;
    let (services, _) = with_secret(&api.url(), "canary");
    let change = action(KIND, "set = { A = 'b' }\nformer = { A = '${secret.new}' }", &services);
    let captured = change.capture(&attempt().cx).await.unwrap();
    assert!(!captured.to_string().contains("canary"), "{captured}");
    let found = change.probe(&attempt().cx, &captured, true).await.unwrap();
    assert!(matches!(found, Finding::Unclear { .. } | Finding::Done(_)), "{found:?}");
    let stale = action(KIND, "set = { A = 'b' }\nformer = { A = 'stale' }", &services);
    let failure = stale.capture(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.message, "`former` gives A another value than it has");
    // Captured once, forgotten by Heroku since.
    let change = action(KIND, "set = { A = 'b' }", &services);
    let captured = json!({ "release": 7, "vars": { "A": "set" } });
    let failure = change.restore(&attempt().cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    assert!(failure.message.contains("does not hold that release any more"), "{failure:?}");
    assert_eq!(change.restore(&attempt().cx, &json!(null)).await.unwrap_err().class, Class::Misconfigured);
    assert_eq!(api.changes(), 0);
}

#[tokio::test]
async fn cut_short() {
    let api = forgetful(json!({}), None).await;
    let change = action(KIND, "set = { A = 'b' }", &at(&api.url()));
    let captured = json!({ "release": 7, "vars": { "A": "unset" } });
    cut_short_is_unknown(change.clone(), captured.clone(), async || api.until_changes(1).await).await;
    assert_eq!(api.changes(), 2, "a change is never sent again by itself");
    let found = change.probe(&attempt().cx, &captured, false).await.unwrap();
    assert!(matches!(found, Finding::NotDone { .. }), "{found:?}");
    let third = forgetful(json!({ "A": "somebody else's" }), None).await;
    let change = action(KIND, "set = { A = 'b' }", &at(&third.url()));
    let found = change.probe(&attempt().cx, &captured, false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains("neither")), "{found:?}");
}

#[tokio::test]
async fn bad_parameters() {
    let services = at("http://127.0.0.1:9");
    points_at(KIND, "", &services, "", "needs `set` or `unset`");
    points_at(KIND, "set = { A = 3 }", &services, "3", "a table of texts");
    points_at(KIND, "set = { 'A B' = 'x' }", &services, "'A B'", "`A B` is no name");
    points_at(KIND, "set = { A = 'x' }\nunset = ['A']", &services, "['A']", "`A` is set and unset");
    points_at(KIND, "unset = ['a-b']", &services, "['a-b']", "is no name of a config var");
    points_at(KIND, "unset = ['A']\nformer = { B = 'x' }", &services, "{ B = 'x' }", "neither set nor unset");
    points_at(KIND, "unset = ['A']\napp = 'other'", &services, "'other'", "is not environment");
}

//! `heroku.scheduler`: the owner's word, and dynos that are watched behind it.

use std::{collections::BTreeMap, time::Duration};

use gonogo::{
    base::Class,
    plan::{Doubt, Finding, contract::OwnerDone},
};
use serde_json::{Value as Json, json};

use super::{
    contract::{action, attempt, attempt_of, check, check_changes_nothing, points_at},
    fake_http::{FakeHttp, Say},
    heroku_lock_deploys::with_word,
    heroku_world::{answer, at, world, world_with},
};

const KIND: &str = "heroku.scheduler";

#[tokio::test]
async fn its_owner_switches_it_off_and_nothing_starts() {
    let world = world().await;
    let job = world
        .send("POST", "/dynos", json!({ "command": "rake nightly", "type": "scheduler", "time_to_live": 12 }))
        .await;
    let off = action(KIND, "quiet = '2s'", &world.services);
    assert!(off.manual() && off.changes() && !off.restorable());
    assert_eq!(off.doubt(), Doubt::Manual);
    let does = off.does().join("\n");
    assert!(does.contains("Heroku Scheduler has no API") && does.contains("[ ] every job is written down"), "{does}");
    assert_eq!(off.checklist().len(), 2);
    let captured = off.capture(&attempt().cx).await.unwrap();
    let (attempt, done) = with_word(&off, captured.clone()).await;
    let done = done.unwrap();
    let name = job["name"].as_str().unwrap();
    assert!(
        done.line.starts_with("Heroku Scheduler of acme-shop is off, says dana; no job started for "),
        "{}",
        done.line
    );
    assert!(done.line.ends_with(&format!("; {name} ended")), "{}", done.line);
    let lines = attempt.seen.lines.lock().unwrap().join("\n");
    let page =
        "scheduler-sunny-67890 (scheduler:standard): https://dashboard.heroku.com/apps/acme-shop/resources/scheduler";
    assert!(lines.contains(page) && lines.contains(&format!("runs now: {name}")), "{lines}");
    let found = off.probe(&attempt.cx, &captured, false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains("no job runs now")), "{found:?}");
    assert_eq!(off.restore(&attempt.cx, &captured).await.unwrap_err().class, Class::Misconfigured);
    let on = action(KIND, "to = 'on'", &world.services);
    let (_, done) = with_word(&on, Json::Null).await;
    assert_eq!(done.unwrap().line, "Heroku Scheduler of acme-shop is on again, says dana");
    assert_eq!(world.wire.changes(), 0);
}

/// A job that starts behind the owner's word proves it wrong.
#[tokio::test]
async fn a_job_that_was_forgotten() {
    let api = FakeHttp::start(|asked| match (asked.path.as_str(), asked.count) {
        ("/apps/acme-shop/addons", _) => {
            answer(200, &json!([{ "name": "s-1", "plan": { "name": "scheduler:standard" } }]))
        }
        (_, 0..=2) => answer(200, &json!([])),
        _ => answer(200, &json!([{ "name": "scheduler.4711", "type": "scheduler", "state": "up" }])),
    })
    .await;
    let off = action(KIND, "quiet = '10m'", &at(&api.url()));
    let (_, done) = with_word(&off, Json::Null).await;
    let failure = done.unwrap_err();
    assert_eq!(failure.class, Class::Failed);
    assert!(failure.message.starts_with("scheduler.4711 was started "), "{failure:?}");
    assert!(failure.message.ends_with(" after dana said that Heroku Scheduler is off"), "{failure:?}");
    assert!(failure.hint.unwrap().contains("https://dashboard.heroku.com/apps/acme-shop/resources"));
    // One that runs and does not end is told as well.
    let api = FakeHttp::start(|asked| match asked.path.as_str() {
        "/apps/acme-shop/addons" => answer(200, &json!([{ "name": "c-1", "plan": { "name": "crontogo:pro" } }])),
        _ => answer(200, &json!([{ "name": "scheduler.7", "type": "scheduler", "state": "up" }])),
    })
    .await;
    let off = action(KIND, "quiet = '0s'\nwait = '0s'", &at(&api.url()));
    let (attempt, done) = with_word(&off, Json::Null).await;
    let failure = done.unwrap_err();
    assert!(failure.message.contains("still runs: scheduler.7"), "{failure:?}");
    let lines = attempt.seen.lines.lock().unwrap().join("\n");
    assert!(lines.contains("starts jobs too: c-1 (crontogo:pro)"), "{lines}");
}

#[tokio::test]
async fn an_app_without_it_needs_nobody() {
    let api = FakeHttp::start(|_| answer(200, &json!([]))).await;
    let off = action(KIND, "", &at(&api.url()));
    let done = off.apply(&attempt().cx, &Json::Null).await.unwrap();
    assert!(done.line.contains("there is nothing to switch off"), "{}", done.line);
    let ended = FakeHttp::start(|asked| match asked.path.as_str() {
        "/apps/acme-shop/addons" => answer(200, &json!([{ "name": "s-1", "plan": { "name": "scheduler:standard" } }])),
        _ => answer(200, &json!([])),
    })
    .await;
    let off = action(KIND, "", &at(&ended.url()));
    let cut = attempt();
    let (cx, cancel) = (cut.cx.clone(), cut.cx.cancel.clone());
    let task = tokio::spawn(async move { off.apply(&cx, &Json::Null).await });
    while ended.count() < 2 {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    assert_eq!(task.await.unwrap().unwrap_err().class, Class::Unknown, "nobody knows what its owner has done");
    cut.owner.send(Some(OwnerDone { who: "dana".into(), value: None, unticked: Vec::new() })).ok();
}

#[tokio::test]
async fn as_a_check() {
    let world = world_with(&["heroku.job:once"]).await;
    let quiet = check(KIND, "", &world.services);
    check_changes_nothing(quiet.as_ref(), async || world.changes().await).await;
    let failure = quiet.check(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert!(failure.message.starts_with("jobs of Heroku Scheduler run: scheduler."), "{failure:?}");
    // It has to be quiet without a break, and the job ends after 6 s.
    let held = check(KIND, "quiet = '1s'", &world.services);
    let cx = attempt().cx;
    let seen = cx.poll(Duration::from_millis(200), || held.check(&cx)).await.unwrap();
    assert!(seen.line.starts_with("no job of Heroku Scheduler runs for "), "{}", seen.line);
    let hangs = FakeHttp::start(|_| Say::Hang).await;
    let short = attempt_of(Duration::from_millis(300), BTreeMap::new());
    assert_eq!(check(KIND, "", &at(&hangs.url())).check(&short.cx).await.unwrap_err().class, Class::NotYet);
}

#[tokio::test]
async fn bad_parameters() {
    let services = at("http://127.0.0.1:9");
    points_at(KIND, "to = 'stop'", &services, "'stop'", "\"off\", \"on\"");
    points_at(KIND, "to = 'on'\nquiet = '5m'", &services, "'5m'", "goes with to = \"off\"");
    points_at(KIND, "quiet = 'long'", &services, "'long'", "a duration");
    points_at(KIND, "app = 'other'", &services, "'other'", "is not environment");
}

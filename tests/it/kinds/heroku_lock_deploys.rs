//! `heroku.lock_deploys`: the owner's word, and what can be seen of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Failure},
    plan::{
        Action, Doubt, Finding,
        contract::{OwnerDone, Prior},
    },
};
use serde_json::{Value as Json, json};

use super::{
    contract::{Attempt, action, attempt, attempt_of, check, check_changes_nothing, points_at},
    fake_http::{Asked, FakeHttp, Say},
    heroku_world::{answer, at, world, world_with},
};

const KIND: &str = "heroku.lock_deploys";

/// Applies, and lets the owner say that it is done.
pub async fn with_word(action: &Arc<dyn Action>, captured: Json) -> (Attempt, Result<gonogo::plan::Done, Failure>) {
    let attempt = attempt_of(Duration::from_secs(90), BTreeMap::new());
    let (cx, acting) = (attempt.cx.clone(), action.clone());
    let task = tokio::spawn(async move { acting.apply(&cx, &captured).await });
    attempt.owner.send(Some(OwnerDone { who: "dana".into(), value: None, unticked: Vec::new() })).unwrap();
    let done = task.await.unwrap();
    (attempt, done)
}

#[tokio::test]
async fn its_owner_locks_and_the_release_is_written_down() {
    let world = world().await;
    let lock = action(KIND, "checklist = ['Buildkite is paused']", &world.services);
    assert!(lock.manual() && lock.changes() && !lock.restorable());
    assert_eq!(lock.doubt(), Doubt::Manual);
    let does = lock.does().join("\n");
    assert!(does.contains("https://dashboard.heroku.com/apps/acme-shop/deploy"), "{does}");
    assert!(does.contains("[ ] automatic deploys are off") && does.contains("[ ] Buildkite is paused"), "{does}");
    assert_eq!(lock.checklist().len(), 4, "each is ticked off by itself");
    let captured = lock.capture(&attempt().cx).await.unwrap();
    let (attempt, done) = with_word(&lock, captured.clone()).await;
    let done = done.unwrap();
    let said = "deploys of acme-shop are locked at v142 (Deploy 9be01d7 by platform@acme.example), says dana; nothing is under way";
    assert_eq!(done.line, said);
    assert_eq!((&done.evidence["release"], &done.evidence["pipeline_stage"]), (&json!(142), &json!("production")));
    assert!(attempt.seen.lines.lock().unwrap()[0].contains("at stage production of a pipeline"));
    let found = lock.probe(&attempt.cx, &captured, false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains("0 releases since v142")), "{found:?}");
    assert_eq!(lock.restore(&attempt.cx, &captured).await.unwrap_err().class, Class::Misconfigured);
    let unlock = action(KIND, "to = 'unlocked'", &world.services);
    let (_, done) = with_word(&unlock, Json::Null).await;
    assert_eq!(done.unwrap().line, "deploys of acme-shop are on again, says dana");
    // What was not ticked off stands in the record.
    let open = self::attempt();
    let said = OwnerDone { who: "dana".into(), value: None, unticked: vec!["CI is paused".into()] };
    open.owner.send(Some(said)).unwrap();
    let done = lock.apply(&open.cx, &captured).await.unwrap();
    assert!(done.line.contains("says dana; not ticked off: CI is paused; nothing is under way"), "{}", done.line);
    assert_eq!(done.evidence["unticked"], json!(["CI is paused"]));
    assert_eq!(world.wire.changes(), 0);
}

/// A build that runs, and the release phase behind it, are waited for and named.
#[tokio::test]
async fn what_is_under_way_ends_first() {
    let world = world_with(&["heroku.deploy:once"]).await;
    let lock = action(KIND, "", &world.services);
    let (attempt, done) = with_word(&lock, json!({ "release": 142 })).await;
    let done = done.unwrap();
    assert!(done.line.contains("locked at v143 (Deploy "), "{}", done.line);
    assert!(done.line.contains("came since the step began: v143 (Deploy "), "{}", done.line);
    let mut lines = attempt.seen.lines.lock().unwrap().join("\n");
    lines.extend(attempt.seen.progress.lock().unwrap().iter().map(|(_, line)| format!("{line}\n")));
    assert!(lines.contains("the build of ") && lines.contains(" by platform@acme.example is running at "), "{lines}");
    assert!(lines.contains("the release phase of v143 (Deploy "), "{lines}");
}

#[tokio::test]
async fn what_never_ends_is_told() {
    let pending = |asked: &Asked| match asked.path.as_str() {
        "/apps/acme-shop/builds" => answer(200, &json!([{ "status": "pending" }])),
        "/apps/acme-shop/pipeline-couplings" => answer(404, &json!({ "id": "not_found", "message": "none" })),
        _ => answer(200, &json!([{ "version": 3, "status": "succeeded", "current": true }])),
    };
    let api = FakeHttp::start(pending).await;
    let lock = action(KIND, "wait = '1s'", &at(&api.url()));
    let (_, done) = with_word(&lock, json!({ "release": 3 })).await;
    let failure = done.unwrap_err();
    assert_eq!(failure.class, Class::Failed);
    assert!(failure.message.contains("the build is running"), "{failure:?}");
    assert_eq!(failure.causes, ["dana said that it is done"]);
    // Behind the owner's word nobody can say that nothing was done.
    let gone = FakeHttp::start(|asked| match asked.count {
        0 => answer(404, &json!({ "id": "not_found", "message": "none" })),
        1 | 2 => answer(200, &json!([])),
        _ => answer(403, &json!({ "id": "forbidden", "message": "no" })),
    })
    .await;
    let lock = action(KIND, "", &at(&gone.url()));
    assert_eq!(with_word(&lock, json!(null)).await.1.unwrap_err().class, Class::Unknown);
    let cancelled = attempt();
    cancelled.cx.cancel.cancel();
    assert!(lock.apply(&cancelled.cx, &json!(null)).await.is_err());
}

fn priors(steps: &[(&'static str, Json)]) -> Attempt {
    let prior =
        |evidence: &Json| Prior { captured: json!({ "release": 1 }), evidence: evidence.clone(), by_hand: None };
    attempt_of(Duration::from_secs(30), steps.iter().map(|(step, evidence)| (*step, prior(evidence))).collect())
}

#[tokio::test]
async fn no_release_but_our_own() {
    let world = world().await;
    let since = check(KIND, "after = 'lock'\nallow = ['notice']", &world.services);
    check_changes_nothing(since.as_ref(), async || world.changes().await).await;
    let none = since.check(&attempt().cx).await.unwrap_err();
    assert_eq!((none.class, none.message.as_str()), (Class::NotYet, "no data: step lock wrote down no release"));
    let locked = ("lock", json!({ "release": 142 }));
    let seen = since.check(&priors(std::slice::from_ref(&locked)).cx).await.unwrap();
    assert!(seen.line.starts_with("acme-shop: nothing is under way and no release since step lock"), "{}", seen.line);
    // Our own change of config vars is expected, somebody else's is not.
    world.send("PATCH", "/config-vars", json!({ "OURS": "1" })).await;
    world.send("PATCH", "/config-vars", json!({ "THEIRS": "1" })).await;
    let ours = ("notice", json!({ "release": 143 }));
    let failure = since.check(&priors(&[locked.clone(), ours.clone()]).cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    let said = "acme-shop: release v144 (Set THEIRS config vars by platform@acme.example) came at ";
    assert!(failure.message.starts_with(said) && failure.causes.is_empty(), "{failure:?}");
    let failure = since.check(&priors(&[locked]).cx).await.unwrap_err();
    assert!(failure.message.contains("v143") && failure.message.ends_with("(and 1 more)"), "{failure:?}");
    for (good, bad) in
        [("release = 144", "release = 143"), ("since = 2100-01-01T00:00:00Z", "since = 2020-01-01T00:00:00Z")]
    {
        check(KIND, good, &world.services).check(&attempt().cx).await.unwrap();
        let failure = check(KIND, bad, &world.services).check(&attempt().cx).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet);
        assert!(failure.message.contains(" came at "), "{failure:?}");
    }
    let failure = check(KIND, "release = 200", &world.services).check(&attempt().cx).await.unwrap_err();
    assert!(failure.message.contains("the newest release is v144, and v200 was expected"), "{failure:?}");
}

#[tokio::test]
async fn builds_and_release_phases_are_not_green() {
    let world = world_with(&["heroku.deploy:once"]).await;
    let nothing = check(KIND, "", &world.services);
    let failure = nothing.check(&attempt().cx).await.unwrap_err();
    assert!(failure.message.contains("the build of "), "{failure:?}");
    let cx = attempt().cx;
    let seen = cx.poll(Duration::from_millis(200), || nothing.check(&cx)).await.unwrap();
    assert!(seen.line.contains("nothing is under way; newest is v143 (Deploy "), "{}", seen.line);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let short = attempt_of(Duration::from_secs(2), BTreeMap::new());
    let failure = check(KIND, "", &at(&format!("http://{closed}"))).check(&short.cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert!(failure.message.starts_with("no data: "), "{failure:?}");
    let hangs = FakeHttp::start(|_| Say::Hang).await;
    let short = attempt_of(Duration::from_millis(300), BTreeMap::new());
    assert_eq!(check(KIND, "", &at(&hangs.url())).check(&short.cx).await.unwrap_err().class, Class::NotYet);
}

#[tokio::test]
async fn bad_parameters() {
    let services = at("http://127.0.0.1:9");
    points_at(KIND, "to = 'shut'", &services, "'shut'", "\"locked\", \"unlocked\"");
    points_at(KIND, "to = 'unlocked'\nwait = '1m'", &services, "'1m'", "goes with to = \"locked\"");
    points_at(KIND, "after = 'lock'", &services, "'lock'", "`after` is for the check");
    let bad = |text: &str| {
        let bound = super::contract::bound(KIND, text, |bind, params| match bind {
            gonogo::kinds::Bind::Both(check, _) => drop(check(params, &services)),
            _ => panic!("both"),
        });
        let mistakes = bound.unwrap_err();
        (text[mistakes[0].span.clone()].to_owned(), mistakes[0].message.clone())
    };
    assert_eq!(bad("checklist = ['a']").1, "`checklist` is for the action");
    assert_eq!(bad("after = 'a'\nrelease = 3").0, "3");
    assert_eq!(bad("allow = ['a']").1, "`allow` goes with `after`, `since` or `release`");
    assert_eq!(bad("release = 3\nallow = ['a', 'B C']").0, "'B C'");
    assert_eq!(bad("since = 'noon'").0, "'noon'");
}

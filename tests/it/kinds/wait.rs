//! `wait`.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use gonogo::{base::Class, plan::Finding};
use serde_json::Value as Json;

use super::contract::{action, attempt, attempt_of, env, points_at, services};

#[tokio::test]
async fn for_a_while_and_until_a_moment() {
    let services = services(env());
    let soon = Utc::now() + TimeDelta::milliseconds(1200);
    for params in ["for = \"1200ms\"".to_owned(), format!("until = {}", soon.to_rfc3339())] {
        let wait = action("wait", &params, &services);
        assert!(!wait.changes());
        let attempt = attempt();
        let started = Instant::now();
        wait.apply(&attempt.cx, &Json::Null).await.unwrap();
        let took = started.elapsed().as_millis();
        assert!((if params.contains("for") { 1200 } else { 0 }..6000).contains(&took), "{params}: {took}");
    }
    assert!(Utc::now() >= soon);
    let past = action("wait", "until = \"2020-01-01T00:00:00+01:00\"", &services);
    past.apply(&attempt().cx, &Json::Null).await.unwrap();
}

#[tokio::test]
async fn ends_early_and_says_so() {
    let services = services(env());
    let wait = action("wait", "for = \"1h\"", &services);
    let failure = wait.apply(&attempt().cx, &Json::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "longer than the attempt: told at once");
    let attempt = attempt_of(Duration::from_secs(7200), std::collections::BTreeMap::new());
    attempt.cx.cancel.cancel();
    assert_eq!(wait.apply(&attempt.cx, &Json::Null).await.unwrap_err().class, Class::NotYet);
    points_at("wait", "", &services, "", "either `for` or `until`");
    points_at("wait", "for = \"1h\"\nuntil = \"2030-01-01T00:00:00Z\"", &services, "", "either `for` or `until`");
    points_at("wait", "for = \"soon\"", &services, "\"soon\"", "a duration");
    points_at("wait", "until = \"02:15\"", &services, "\"02:15\"", "a moment with its offset");
}

#[tokio::test]
async fn until_a_check_holds() {
    let services = services(env());
    let folder = tempfile::tempdir().unwrap();
    let sign = folder.path().join("sign");
    let params =
        format!("until = {{ kind = \"command\", argv = [\"/usr/bin/test\", \"-e\", \"{}\"] }}", sign.display());
    let wait = action("wait", &params, &services);
    assert!(!wait.changes());
    let found = wait.probe(&attempt().cx, &Json::Null, false).await.unwrap();
    assert!(matches!(found, Finding::NotDone { .. }), "{found:?}");
    let short = attempt_of(Duration::from_millis(300), std::collections::BTreeMap::new());
    assert_eq!(wait.apply(&short.cx, &Json::Null).await.unwrap_err().class, Class::NotYet);
    std::fs::write(&sign, "").unwrap();
    wait.apply(&attempt().cx, &Json::Null).await.unwrap();
    points_at("wait", "until = { kind = \"http.chek\" }", &services, "\"http.chek\"", "the kind of a check");
    points_at("wait", "until = { kind = \"ecs.deploy\" }", &services, "\"ecs.deploy\"", "the kind of a check");
    points_at("wait", "until = { kind = \"http.check\" }", &services, "\"http.check\"", "needs `url`");
}

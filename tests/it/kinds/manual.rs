//! `manual`.

use gonogo::{
    base::Class,
    plan::{Doubt, Finding, contract::OwnerDone},
};
use serde_json::Value as Json;

use super::contract::{action, attempt, env, points_at, services};

const CALL: &str = "instructions = \"Call them.\\nTwice.\"\nchecklist = [\"one\"]\nvalue = \"ticket\"";

#[tokio::test]
async fn its_owner_says_when_it_is_done() {
    let call = action("manual", CALL, &services(env()));
    assert_eq!(call.does(), ["Call them.", "Twice.", "[ ] one", "write down: ticket"]);
    assert_eq!(call.checklist(), ["one"]);
    assert!(call.manual() && call.changes() && !call.restorable());
    assert_eq!(call.doubt(), Doubt::Manual);
    for (value, line) in [(Some("T-1"), "done by dana: T-1"), (None, "done by dana; ticket was not written down")] {
        let attempt = attempt();
        let (cx, acting) = (attempt.cx.clone(), call.clone());
        let task = tokio::spawn(async move { acting.apply(&cx, &Json::Null).await });
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        attempt
            .owner
            .send(Some(OwnerDone { who: "dana".into(), value: value.map(Into::into), unticked: Vec::new() }))
            .unwrap();
        let done = task.await.unwrap().unwrap();
        assert_eq!(done.line, line);
        assert_eq!(done.evidence["who"], "dana");
    }
}

#[tokio::test]
async fn what_was_left_is_told() {
    let params = format!("{CALL}\nmin = 1\nmax = 2.5");
    let call = action("manual", &params, &services(env()));
    let rule = call.value_rule().unwrap();
    assert_eq!(rule.words(), "a number from 1 to 2.5");
    assert!(rule.fits("2.5") && !rule.fits("2.6") && !rule.fits("two"));
    let attempt = attempt();
    let said = OwnerDone { who: "dana".into(), value: Some("2".into()), unticked: vec!["one".into()] };
    attempt.owner.send(Some(said)).unwrap();
    let done = call.apply(&attempt.cx, &Json::Null).await.unwrap();
    assert_eq!(done.line, "done by dana: 2; not ticked off: one");
    assert_eq!(done.evidence["unticked"][0], "one");
}

#[tokio::test]
async fn cut_short_nobody_knows() {
    let services = services(env());
    let call = action("manual", CALL, &services);
    let cancelled = attempt();
    cancelled.cx.cancel.cancel();
    assert_eq!(call.apply(&cancelled.cx, &Json::Null).await.unwrap_err().class, Class::Unknown);
    let ended = attempt();
    drop(ended.owner);
    assert_eq!(call.apply(&ended.cx, &Json::Null).await.unwrap_err().class, Class::Unknown);
    assert!(matches!(call.probe(&attempt().cx, &Json::Null, false).await, Ok(Finding::Unclear { .. })));
    assert_eq!(call.restore(&attempt().cx, &Json::Null).await.unwrap_err().class, Class::Misconfigured);
    let bad = |more: &str, at: &str, say: &str| {
        points_at("manual", &format!("instructions = \"x\"\n{more}"), &services, at, say);
    };
    bad("checklist = [\"a\", \" \"]", "[\"a\", \" \"]", "empty line");
    bad("min = 1", "1", "`min` without `value`");
    bad("value = \"n\"\nmin = 3\nmax = 1", "3", "`min` is more than `max`");
    bad("value = \"n\"\npattern = \"(\"", "\"(\"", "no regular expression");
    bad("value = \"n\"\npattern = \"x\"\nchoices = [\"a\"]", "[\"a\"]", "`choices` names the values, alone");
    bad("value = \"n\"\nchoices = []", "[]", "`choices` names the values, alone");
    points_at("manual", "value = \"x\"", &services, "", "needs `instructions`");
    points_at("manual", "instructions = \" \"", &services, "\" \"", "is empty");
    points_at("manual", "instructions = \"${secret.x}\"", &services, "\"${secret.x}\"", "must not be a secret");
}

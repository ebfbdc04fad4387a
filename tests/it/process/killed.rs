//! `kill -9` in the middle of the two changes that hurt most, then `resume`: the run goes on, and the built-in world's
//! own log, kept by the other side, has each change once.

use std::time::Duration;

use gonogo::run::{Event, Finding, Outcome, What};
use serde_json::{Value as Json, json};

use super::{Home, book, until};

const DEPLOYED: &str = "UpdateService web: web:41 -> web:42, desired 1 -> 2";
const SWITCHED: &str = "ChangeResourceRecordSets shop.acme.example. CNAME: DELETE shop.acme.example. CNAME TTL 20 \
                        acme-shop.herokudns.example; CREATE shop.acme.example. CNAME TTL 20 acme-web-1.eu-west-1.elb.example";

/// Starts the run with steps from `from` on, waits for the moment, kills, and resumes to the end. What the resume found
/// out about the attempt in doubt, in words.
fn cut(from: &str, moment: impl FnOnce(&Home)) -> Vec<String> {
    let home = Home::new();
    let path = book("cut.toml").display().to_string();
    let args = ["rehearse", path.as_str(), "--env", "sandbox", "--plain", "--auto-go", "--from", from];
    let run = home.start(args);
    moment(&home);
    let killed = run.kill();
    assert_eq!(killed.code, 128 + 9, "{killed:?}");
    in_doubt(&home, from);
    let before = home.effects();
    let (envelopes, _) = home.journal();
    let open = |events: &[gonogo::run::Envelope]| {
        let started = events.iter().filter(|it| matches!(it.event, Event::AttemptStarted { .. })).count();
        let ended = events.iter().filter(|it| matches!(it.event, Event::AttemptEnded { .. })).count();
        started - ended
    };
    assert_eq!(open(&envelopes), 1, "an attempt is open: {:?}", envelopes.last());
    let resumed = home.run(["resume", "last", "--plain", "--auto-go"]);
    assert!([0, 15].contains(&resumed.code), "{resumed:?}");
    let (envelopes, state) = home.journal();
    assert!(state.steps.iter().all(|step| step.forward.state.settled()));
    assert!(home.effects().starts_with(&before), "the world's own log goes on");
    let mut wanted = vec![DEPLOYED.to_owned(), SWITCHED.to_owned()];
    if from == "switch-dns" {
        wanted.remove(0);
    }
    assert_eq!(home.effects(), wanted, "each change once; {resumed:?}");
    let show = home.run(["runs", "verify"]);
    assert_eq!(show.code, 0, "{show:?}");
    let found = |event: &Event| match event {
        Event::Probed { finding, .. } => Some(match finding {
            Finding::Done(_) => "done".to_owned(),
            Finding::NotDone { .. } => "not done".to_owned(),
            other => format!("{other:?}"),
        }),
        Event::AttemptEnded { outcome: Outcome::Failed(failure), .. } => Some(failure.message.clone()),
        Event::AttemptStarted { what: What::Probe | What::Recheck, .. } => None,
        _ => None,
    };
    envelopes.iter().filter_map(|envelope| found(&envelope.event)).collect()
}

/// Nobody is at work any more, and what the killed process was at is said to be in doubt.
fn in_doubt(home: &Home, step: &str) {
    let text = home.run(["status"]);
    let doubt = text.out.lines().find(|line| line.starts_with("IN DOUBT: "));
    assert!(doubt.is_some_and(|line| line.contains("(attempt 1 began ") && line.contains("; resume ")), "{text:?}");
    assert!(text.code == 0 && !text.out.contains("On it: ") && !text.out.contains("Next: "), "{text:?}");
    let json: Json = serde_json::from_str(&home.run(["status", "last", "--json"]).out).unwrap();
    assert_eq!((&json["at_work"], &json["next"]), (&json!([]), &json!("nothing until it is resumed")), "{json}");
    assert_eq!((&json["in_doubt"][0]["step"], &json["in_doubt"][0]["attempt"]), (&json!(step), &json!(1)), "{json}");
}

fn after_effect(home: &Home, operation: &str) {
    until(&format!("{operation} is made"), || {
        home.effects().iter().any(|effect| effect.starts_with(operation)).then_some(())
    });
}

/// The runbook's own fault was left out of this run, so it does not strike after a resume either.
#[test]
fn faults_that_were_left_out_stay_out() {
    let home = Home::new();
    let path = book("night.toml").display().to_string();
    let args = ["rehearse", &path, "--env", "sandbox", "--plain", "--auto-go"];
    let run = home.start([&args[..], &["--until", "deploy-web", "--fault", "none"]].concat());
    home.until_journal_has("{\"intended\":");
    assert_eq!(run.kill().code, 128 + 9);
    let resumed = home.run(["resume", "last", "--plain", "--auto-go"]);
    assert!(resumed.code == 0 && !resumed.out.contains("FAILED"), "{resumed:?}");
    assert!(home.effects().iter().any(|effect| effect.starts_with("UpdateService web")), "{resumed:?}");
}

/// What a later step counts from is there, also where a probe found it and the checks came after it.
#[test]
fn a_ttl_that_was_found_lowered_left_its_moment_behind() {
    let home = Home::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/kinds/dns.wait_ttl.toml");
    let run = home.start(["rehearse", path, "--env", "sandbox", "--plain", "--auto-go", "--until", "lower-ttl"]);
    after_effect(&home, "ChangeResourceRecordSets");
    assert_eq!(run.kill().code, 128 + 9);
    let resumed = home.run(["resume", "last", "--plain", "--auto-go"]);
    assert!(resumed.code == 0 && resumed.out.contains("found done, its checks hold"), "{resumed:?}");
    let (_, state) = home.journal();
    let evidence = &state.steps[0].evidence;
    assert!(evidence["insync_at"].is_string() && evidence["checks"].is_array(), "{evidence}");
}

/// The program that a killed run had started lives on and does its work: a resume looks after its end.
#[test]
fn a_program_that_lives_on_is_waited_for() {
    let home = Home::new();
    let action = r#"action = { kind = "command", argv = ["sh", "-c", "echo began >> log; until test -e go; do sleep 0.05; done; echo done >> log"], probe = ["grep", "-q", "done", "log"] }"#;
    let path = home.file("lives.toml", &program(action)).display().to_string();
    let log = || std::fs::read_to_string(home.path().join("log")).unwrap_or_default();
    let run = home.start(["rehearse", &path, "--env", "sandbox", "--plain", "--auto-go"]);
    until("it works", || (log() == "began\n").then_some(()));
    assert_eq!(run.kill().code, 128 + 9);
    let resumed = home.start(["resume", "last", "--plain", "--auto-go"]);
    home.until_journal_has("what it started still runs: waiting for its end");
    home.file("go", "");
    let resumed = resumed.ended();
    assert_eq!((resumed.code, log().as_str()), (0, "began\ndone\n"), "{resumed:?}");
}

/// A runbook of one step.
fn program(action: &str) -> String {
    format!(
        r#"format = 1
[runbook]
id = "program"
title = "A program"
lead = "mira"
[people]
mira = {{ name = "Mira Okafor" }}
[env.sandbox]
kind = "sandbox"
[[step]]
id = "program"
title = "Run it"
owner = "mira"
planned = "1s"
timeout = "60s"
{action}
rollback = {{ none = "it stays" }}
"#
    )
}

/// Stopped past the deadline by ctrl+z, with the program long at its end: that end counts.
#[test]
fn a_program_that_ended_while_we_were_stopped_is_done() {
    let home = Home::new();
    let action = r#"action = { kind = "command", argv = ["sh", "-c", "echo began >> log; until test -e go; do sleep 0.05; done; echo the last line; echo done >> log"] }"#;
    let text = program(action).replace("timeout = \"60s\"", "timeout = \"3s\"");
    let path = home.file("stopped.toml", &text).display().to_string();
    let log = || std::fs::read_to_string(home.path().join("log")).unwrap_or_default();
    let run = home.start(["rehearse", &path, "--env", "sandbox", "--plain", "--auto-go"]);
    until("it works", || (log() == "began\n").then_some(()));
    run.signal(rustix::process::Signal::STOP);
    home.file("go", "");
    until("it is done", || (log() == "began\ndone\n").then_some(()));
    // Nothing tells that a deadline is over but the time.
    std::thread::sleep(Duration::from_millis(3200));
    run.signal(rustix::process::Signal::CONT);
    let ended = run.ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    let (envelopes, _) = home.journal();
    let said = |event: &Event| matches!(event, Event::Line { text, .. } if text == "the last line");
    assert!(envelopes.iter().any(|envelope| said(&envelope.event)), "{ended:?}");
}

#[test]
fn people_see_tries_and_not_looks_counted() {
    let home = Home::new();
    let action = r#"action = { kind = "command", argv = ["sleep", "60"], probe = ["false"] }"#;
    let text = program(action).replace("timeout = \"60s\"", "timeout = \"1s\"");
    let path = home.file("tries.toml", &text).display().to_string();
    let ended = home.typed(["rehearse", &path, "--env", "sandbox", "--plain"], &["retry", "retry"]);
    assert_eq!(ended.code, 12, "{ended:?}");
    let looks: Vec<&str> = ended.out.lines().filter(|line| line.contains("looking whether attempt")).collect();
    assert!(matches!(looks[..], [one, two] if one.contains("attempt 1 ") && two.contains("attempt 2 ")), "{ended:?}");
}

#[test]
fn right_after_update_service() {
    let found = cut("deploy-web", |home| after_effect(home, "UpdateService"));
    assert_eq!(found, ["done"]);
}

#[test]
fn while_the_deployment_goes_on() {
    let found = cut("deploy-web", |home| {
        after_effect(home, "UpdateService");
        // Tasks start after 1.2 s and are healthy after 3.2 s: in between by the world's own clock.
        std::thread::sleep(Duration::from_secs(2));
    });
    assert_eq!(found, ["done"]);
}

#[test]
fn after_the_intent_to_deploy() {
    // The request goes out some milliseconds later: either it was made or it was not, and both are found out.
    let found = cut("deploy-web", |home| home.until_journal_has("{\"intended\":"));
    assert!(found == ["done"] || found == ["not done"], "{found:?}");
}

#[test]
fn after_the_intent_to_switch() {
    // Route 53 takes two requests a second: about a second lies between the intent and the change.
    let found = cut("switch-dns", |home| home.until_journal_has("{\"intended\":"));
    assert!(found == ["done"] || found == ["not done"], "{found:?}");
}

#[test]
fn right_after_change_resource_record_sets() {
    let found = cut("switch-dns", |home| after_effect(home, "ChangeResourceRecordSets"));
    assert_eq!(found, ["done"]);
}

#[test]
fn before_the_switch_has_its_outcome() {
    // INSYNC comes 1.5 s after the change.
    let found = cut("switch-dns", |home| {
        home.until_journal_has("is PENDING for");
        std::thread::sleep(Duration::from_millis(900));
    });
    assert_eq!(found, ["done"]);
}

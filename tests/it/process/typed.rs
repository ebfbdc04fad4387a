//! Decisions by typed words on standard input, and what each of them ends with.

use gonogo::{
    cli::{Exit, exit_of},
    run::Event,
};

use super::{Home, book, fold};

const REHEARSE: [&str; 3] = ["rehearse", "--env", "sandbox"];

fn rehearse(extra: &[&str]) -> Vec<String> {
    let path = book("words.toml").display().to_string();
    REHEARSE.iter().copied().chain([path.as_str(), "--plain"]).chain(extra.iter().copied()).map(String::from).collect()
}

/// The journal of the only run folds to this exit code.
fn recorded(home: &Home, code: i32) {
    let (_, state) = home.journal();
    assert_eq!(i32::from(exit_of(&state).code()), code);
}

#[test]
fn nobody_is_asked_without_input() {
    let home = Home::new();
    let ended = home.run(rehearse(&["--no-input"]));
    assert_eq!(ended.code, 10, "{ended:?}");
    assert!(ended.out.contains("Question: Go on?") && ended.out.contains("SANDBOX"), "{ended:?}");
    assert!(ended.err.contains("gonogo resume"), "{ended:?}");
    recorded(&home, 10);
    // Nobody there is the same as nobody asked.
    let again = home.run(["resume", "last", "--plain"]);
    assert_eq!(again.code, 10, "{again:?}");
}

#[test]
fn a_word_given_before_answers_and_the_failure_waits() {
    let home = Home::new();
    let ended = home.run(rehearse(&["--no-input", "--confirm", "go-on=go"]));
    assert_eq!(ended.code, 12, "{ended:?}");
    recorded(&home, 12);
    // What it lacked is there now: the run goes on where it stood and ends whole.
    home.file("told", "");
    let ended = home.typed(["resume", "last", "--plain"], &["retry", "retry", "go"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    recorded(&home, 0);
    let show = home.run(["runs", "show"]);
    assert!(show.out.lines().any(|line| line.starts_with("state") && line.ends_with(" done")), "{show:?}");
    assert_eq!(home.effects().len(), 1, "the step before was not done again: {:?}", home.effects());
}

#[test]
fn no_go_holds_and_can_be_turned_round() {
    let home = Home::new();
    let ended = home.typed(rehearse(&[]), &["no-go because the partner is asleep"]);
    assert_eq!(ended.code, 11, "{ended:?}");
    recorded(&home, 11);
    let (envelopes, _) = home.journal();
    let reason = envelopes.iter().find_map(|envelope| match &envelope.event {
        Event::Decided { reason, .. } => reason.clone(),
        _ => None,
    });
    assert_eq!(reason.as_deref(), Some("the partner is asleep"));
}

#[test]
fn skip_is_done_with_exceptions() {
    let home = Home::new();
    let ended = home.typed(rehearse(&[]), &["go", "skip", "skip", "the file is not needed"]);
    assert_eq!(ended.code, 15, "{ended:?}");
    recorded(&home, 15);
    let report = home.run(["report", "last"]);
    assert!(report.out.contains("the file is not needed"), "{report:?}");
}

#[test]
fn abort_undoes_nothing() {
    let home = Home::new();
    let ended = home.typed(rehearse(&[]), &["go", "abort", "abort", "enough for tonight"]);
    assert_eq!(ended.code, 16, "{ended:?}");
    recorded(&home, 16);
    assert_eq!(home.effects().len(), 1, "{:?}", home.effects());
    let again = home.run(["resume", "last", "--plain"]);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains("is over"), "{again:?}");
}

#[test]
fn rollback_puts_back_what_was() {
    let home = Home::new();
    let ended = home.typed(rehearse(&[]), &["go", "rollback", "rollback because it is late", "undo", "undo"]);
    assert_eq!(ended.code, 13, "{ended:?}");
    recorded(&home, 13);
    let status = home.run(["status", "last", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!((&status["rollback"], &status["late_ms"]), (&"DONE".into(), &serde_json::Value::Null), "{status}");
    let effects = home.effects();
    assert_eq!(effects.len(), 2, "{effects:?}");
    let there = effects[0].split_once(": ").unwrap().1.split_once("; ").unwrap();
    let back = effects[1].split_once(": ").unwrap().1.split_once("; ").unwrap();
    let record = |text: &str| text.split_once(' ').unwrap().1.to_owned();
    assert_eq!((record(there.0), record(there.1)), (record(back.1), record(back.0)));
    // The log says of each what was sent, not the same twice.
    let intents = home.journal().0.into_iter().filter_map(|envelope| match envelope.event {
        Event::Intended(intended) => Some(intended.does.join("; ")),
        _ => None,
    });
    let intents = intents.collect::<Vec<_>>();
    let (there, back) = (&intents[0], &intents[intents.len() - 1]);
    assert!(!there.contains("what was there before"), "{there}");
    assert!(back.starts_with("write back what was there before: ") && back.contains("\"ttl\""), "{back}");
}

#[test]
fn a_dry_run_changes_nothing() {
    let home = Home::new();
    let ended = home.run(rehearse(&["--dry-run", "--auto-go"]));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(home.effects(), Vec::<String>::new());
    let (envelopes, state) = home.journal();
    assert!(state.outline.unwrap().dry_run);
    assert!(!envelopes.iter().any(|envelope| matches!(envelope.event, Event::Intended(_))));
}

#[test]
fn json_is_the_journal() {
    let home = Home::new();
    let args: Vec<_> = rehearse(&["--json", "--auto-go"]).into_iter().filter(|arg| arg != "--plain").collect();
    let ended = home.run(args);
    let (printed, state) = fold(&ended.out);
    assert_eq!(ended.code, 12, "{ended:?}");
    assert_eq!(exit_of(&state), Exit::StepFailed);
    assert_eq!(printed, home.journal().0);
    assert!(ended.err.contains("SANDBOX"), "the talk goes beside it: {ended:?}");
    let show = home.run(["runs", "show"]);
    assert!(show.out.contains("failed, open"), "{show:?}");
}

/// Five of six steps, the point of no return among them, are not asked for: nothing is said as if they were.
#[test]
fn a_part_of_it_is_not_the_whole() {
    let home = Home::new();
    let path = book("night.toml").display().to_string();
    let ended = home.run(["rehearse", &path, "--env", "sandbox", "--plain", "--auto-go", "--until", "lower-ttl"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    for words in [
        "1 of 6 steps, ",
        "No point of no return in this run.",
        "ENDED: everything of this run is done; 5 steps were not part of it. 1 of 1 steps",
    ] {
        assert!(ended.out.contains(words), "{words:?} in {ended:?}");
    }
    assert!(!ended.out.contains("No return at"), "{ended:?}");
    let list = home.run(["runs", "list"]);
    assert!(list.out.contains("done, without 5 steps") && list.out.contains(" 1/1 "), "{list:?}");
    assert!(home.run(["runs", "show"]).out.contains("1 of 1 settled"));
    let status = home.run(["status"]);
    assert!(
        status.out.contains("no point of no return in this run") && status.out.contains("1 of 1 steps"),
        "{status:?}"
    );
}

#[test]
fn a_part_of_it() {
    let home = Home::new();
    let ended = home.run(rehearse(&["--auto-go", "--from", "who", "--until", "go-on"]));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(home.effects(), Vec::<String>::new());
}

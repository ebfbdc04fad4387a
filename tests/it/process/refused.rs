//! What cannot be started or opened: one clear sentence on standard error, the right exit code, nothing done.

use std::{net::TcpListener, path::Path};

use super::{Ended, Home, book, shipped};

/// One sentence, perhaps a hint, and the code.
fn refused(ended: &Ended, code: i32, words: &str) {
    assert_eq!(ended.code, code, "{ended:?}");
    assert!(ended.err.contains(words), "{words:?} in {ended:?}");
    let lines: Vec<&str> = ended.err.lines().collect();
    assert!((1..=4).contains(&lines.len()), "{ended:?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 600), "{ended:?}");
    assert!(lines.iter().filter(|line| line.starts_with("gonogo: ")).count() == 1, "{ended:?}");
    assert!(!ended.err.contains("Error {") && !ended.err.contains("Os {"), "a debug print: {ended:?}");
}

fn words() -> String {
    book("words.toml").display().to_string()
}

fn nothing_recorded(home: &Home) {
    let runs = std::fs::read_dir(home.state().join("runs")).map_or(0, Iterator::count);
    assert_eq!(runs, 0);
}

#[test]
fn a_runbook_that_cannot_be_read() {
    let home = Home::new();
    let rehearse = |path: &Path| {
        let path = path.display().to_string();
        home.run(["rehearse", path.as_str(), "--env", "sandbox", "--plain", "--auto-go"])
    };
    refused(&rehearse(&home.path().join("night.toml")), 2, "there is no file");
    refused(&rehearse(home.path()), 2, "is a folder");
    // Root may read everything but this: a socket cannot be opened (ENXIO).
    let socket = home.path().join("socket.toml");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    refused(&rehearse(&socket), 2, "cannot be read");
    let ended = rehearse(&home.file("empty.toml", ""));
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("the runbook has 1 error; nothing was executed"), "{ended:?}");
    assert!(ended.err.lines().count() < 12, "{ended:?}");
    // What it points at is there, and is a runbook.
    assert!(ended.err.contains("`gonogo kinds wait --example`"), "{ended:?}");
    let example = home.run(["kinds", "wait", "--example"]);
    assert_eq!(
        home.run(["check".as_ref(), home.file("example.toml", &example.out).as_os_str()]).code,
        0,
        "{example:?}"
    );
    nothing_recorded(&home);
}

#[test]
fn names_that_the_runbook_does_not_have() {
    let home = Home::new();
    let run = |args: &[&str]| home.run([&["rehearse", &words()], args].concat());
    let ended = run(&["--env", "sandbax"]);
    refused(&ended, 2, "no environment `sandbax`");
    assert!(ended.err.contains("did you mean `sandbox`?"), "{ended:?}");
    let ended = run(&["--env", "sandbox", "--from", "go-onn"]);
    refused(&ended, 2, "--from: there is no step `go-onn`");
    assert!(ended.err.contains("did you mean `go-on`?"), "{ended:?}");
    refused(&run(&["--env", "sandbox", "--until", "nowhere"]), 2, "--until: there is no step `nowhere`");
    let none = run(&["--env", "sandbox", "--from", "go-on", "--until", "who"]);
    refused(&none, 2, "--until who comes before --from go-on: no step is left");
    refused(&run(&["--env", "sandbox", "--operator", "bob"]), 2, "`bob` is not in [people]");
    refused(&run(&["--env", "sandbox", "--fault", "ecs.deplou"]), 2, "did you mean `ecs.deploy`?");
    refused(&run(&["--env", "sandbox", "--confirm", "go-on"]), 2, "--confirm takes STEP=WORD");
    refused(&run(&["--env", "staging", "--fault", "ecs.deploy"]), 2, "--fault is for the sandbox");
    refused(&run(&[]), 2, "--env NAME");
}

/// A word given beforehand is compared before anything is started, not when it is wanted at night.
#[test]
fn words_given_beforehand_that_nobody_asks_for() {
    let home = Home::new();
    let night = book("night.toml").display().to_string();
    let run = |confirm: &str| home.run(["rehearse", &night, "--env", "sandbox", "--no-input", "--confirm", confirm]);
    let no = |confirm: &str, words: &str, hint: &str| {
        let ended = run(confirm);
        refused(&ended, 2, words);
        assert!(ended.err.contains(hint), "{hint:?} in {ended:?}");
    };
    no("open-write=sandbox", "--confirm: there is no step `open-write`", "did you mean `open-writes`?");
    no("open-writes=wrong", "--confirm open-writes: `wrong` is no answer there", "it takes: sandbox");
    no("open-writes=eve: sandbox", "`eve: sandbox` is no answer there", "it takes: sandbox");
    no("go-switch=sandbox", "`sandbox` is no answer there", "it takes: go or no-go");
    no("call=sandbox", "`sandbox` is no answer there", "it takes: done");
    no("deploy-web=sandbox", "`sandbox` is no answer there", "it takes: undo");
    let path = words();
    let look = home.run(["rehearse", &path, "--env", "sandbox", "--no-input", "--confirm", "who=go"]);
    refused(&look, 2, "--confirm who: nobody is asked for a word there");
    nothing_recorded(&home);
    held(&home);
    let resume = |confirm: &str| home.run(["resume", "last", "--no-input", "--confirm", confirm]);
    refused(&resume("go-on=gone"), 2, "`gone` is no answer there");
    let resumed = resume("go-on=go because nobody is against it");
    assert!(
        resumed.code == 10 && resumed.out.contains("go because nobody is against it (given before)"),
        "{resumed:?}"
    );
}

#[test]
fn the_wrong_verb_and_what_live_environments_forbid() {
    let home = Home::new();
    let words = words();
    refused(&home.run(["rehearse", &words, "--env", "production"]), 2, "is a live environment");
    for env in ["sandbox", "staging"] {
        refused(&home.run(["run", &words, "--env", env, "--operator", "mira"]), 2, "is not a live environment");
    }
    let live = ["run", &words, "--env", "production"];
    refused(&home.run([&live[..], &["--auto-go", "--operator", "mira"]].concat()), 2, "--auto-go is refused");
    refused(&home.run(live), 2, "--operator NAME");
    nothing_recorded(&home);
}

#[test]
fn not_logged_in() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let home = Home::new().with("AWS_ENDPOINT_URL", &endpoint);
    let ended = home.run(["rehearse", &words(), "--env", "staging", "--plain", "--auto-go"]);
    refused(&ended, 4, "credential");
}

#[test]
fn another_account_than_the_runbook_names() {
    let home = Home::new();
    let path = shipped().display().to_string();
    let ended = home.run([
        "rehearse",
        path.as_str(),
        "--env",
        "sandbox",
        "--plain",
        "--auto-go",
        "--fault",
        "sts.other_account:always",
    ]);
    refused(&ended, 4, "999988887777");
    assert_eq!(home.effects(), Vec::<String>::new());
}

#[test]
fn nobody_listens() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::new()
        .with("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}"))
        .with("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .with("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let ended = home.run(["rehearse", &words(), "--env", "staging", "--plain", "--auto-go"]);
    refused(&ended, 5, "no connection");
    assert!(!ended.err.contains("wJalr"), "{ended:?}");
}

#[test]
fn a_state_folder_that_is_none() {
    let home = Home::new();
    let file = home.file("state-is-a-file", "");
    let ended = home.run(["rehearse", &words(), "--env", "sandbox", "--plain", "--state-dir", file.to_str().unwrap()]);
    refused(&ended, 5, "state-is-a-file");
    refused(&home.run(["resume", "last"]), 2, "no runs");
    refused(&home.run(["replay", "nonsense"]), 2, "no runs");
}

/// A held run, and its folder.
fn held(home: &Home) {
    let ended = home.run(["rehearse", &words(), "--env", "sandbox", "--plain", "--no-input"]);
    assert_eq!(ended.code, 10, "{ended:?}");
}

#[test]
fn two_processes_do_not_drive_one_run() {
    let home = Home::new();
    held(&home);
    let mut first = home.start(["resume", "last", "--plain"]);
    first.says("HELD");
    refused(&home.run(["resume", "last", "--plain"]), 20, "driven");
    // Looking is allowed.
    assert_eq!(home.run(["replay", "last", "--plain"]).code, 0);
    assert_eq!(home.run(["runs", "verify"]).code, 0);
    first.types("leave");
    assert_eq!(first.ended().code, 10);
}

#[test]
fn a_damaged_journal_is_not_written_to() {
    let home = Home::new();
    held(&home);
    let good = std::fs::read(home.folder().join("journal.jsonl")).unwrap();
    // In the first record, without which nothing can be shown, and behind it.
    for part in [1, 6] {
        damaged(&home, part);
        std::fs::write(home.folder().join("journal.jsonl"), &good).unwrap();
    }
    assert_eq!(home.run(["runs", "verify"]).code, 0);
}

fn damaged(home: &Home, part: usize) {
    let path = home.folder().join("journal.jsonl");
    let mut bytes = std::fs::read(&path).unwrap();
    let place = bytes.len() * part / 8;
    bytes[place] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    refused(&home.run(["resume", "last", "--plain"]), 22, "damaged");
    let verified = home.run(["runs", "verify"]);
    assert_eq!(verified.code, 22, "{verified:?}");
    assert!(verified.out.contains("DAMAGED at"), "{verified:?}");
    for verb in [["replay", "last", "--plain"], ["report", "last", "--format=md"]] {
        let ended = home.run(verb);
        assert_eq!(ended.code, 22, "{ended:?}");
    }
    // Nobody is sent to a resume that is refused.
    let status = home.run(["status"]);
    assert!(status.code == 22 && !format!("{status:?}").contains("resume"), "{status:?}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "it is evidence");
}

#[test]
fn an_edited_runbook_does_not_go_on() {
    let home = Home::new();
    held(&home);
    let path = home.folder().join("runbook.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[\"echo\", \"the end\"]", "[\"echo\", \"THE end\"]")).unwrap();
    refused(&home.run(["resume", "last", "--plain"]), 22, "was edited");
    edited(&home, &["runbook.toml"]);
    std::fs::write(&path, text).unwrap();
    edited(&home, &[]);
    assert_eq!(home.run(["resume", "last", "--plain"]).code, 10);
}

/// `runs verify` names these files, and no other.
#[track_caller]
fn edited(home: &Home, files: &[&str]) {
    let verified = home.run(["runs", "verify"]);
    let names: Vec<&str> =
        verified.out.lines().filter_map(|line| line.strip_prefix("EDITED: ")?.split_whitespace().next()).collect();
    assert_eq!((names.as_slice(), verified.code), (files, if files.is_empty() { 0 } else { 22 }), "{verified:?}");
    assert!(verified.out.contains("chain whole"), "{verified:?}");
}

/// The plan that goes on is the journal's: an edited copy changes nothing, and is told.
#[test]
fn an_edited_plan_is_told_and_not_followed() {
    let home = Home::new();
    held(&home);
    let path = home.folder().join("plan.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("Mira", "Mirx")).unwrap();
    edited(&home, &["plan.json"]);
    let resumed = home.run(["resume", "last", "--plain"]);
    assert!(resumed.code == 10 && !resumed.out.contains("Mirx"), "{resumed:?}");
    std::fs::remove_file(&path).unwrap();
    let verified = home.run(["runs", "verify"]);
    assert!(verified.code == 22 && verified.out.contains("plan.json"), "{verified:?}");
}

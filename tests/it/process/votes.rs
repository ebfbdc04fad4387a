//! Votes from other terminals: the real program twice, one that drives the run and one that votes; and everybody
//! who has no business at its socket.

use std::{
    io::{Read as _, Write as _},
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta};
use gonogo::run::{Decision, Event, StepState};
use serde_json::{Value as Json, json};

use super::{Ended, Home, Run, book, keys::Pty, until};

const FIRST: &str = "STOP POINT 1 of 3";
const SECOND: &str = "STOP POINT 3 of 3";

fn rehearse() -> Vec<String> {
    let path = book("votes.toml").display().to_string();
    ["rehearse", "--env", "sandbox", "--plain", &path].map(String::from).into()
}

/// A run that waits at its first stop point.
fn asked(home: &Home) -> Run {
    let mut run = home.start(rehearse());
    run.says(FIRST);
    run
}

fn vote(home: &Home, words: &[&str]) -> Ended {
    home.run([&["vote", "last"], words].concat())
}

#[track_caller]
fn refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{ended:?}");
    assert!(words.iter().all(|words| ended.err.contains(words)) && ended.out.is_empty(), "{words:?} in {ended:?}");
}

fn socket(home: &Home) -> PathBuf {
    home.folder().join("socket")
}

/// What the socket answers to these bytes; nothing where it hangs up.
fn raw(stream: &mut UnixStream, bytes: &[u8]) -> Json {
    stream.write_all(bytes).unwrap();
    answer(stream)
}

fn answer(stream: &mut UnixStream) -> Json {
    stream.set_read_timeout(Some(super::LONG)).unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(1)) {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    serde_json::from_slice(&line).unwrap_or(Json::Null)
}

#[test]
fn a_vote_is_taken_shown_changed_and_recorded() {
    let home = Home::new();
    let mut run = asked(&home);
    let ended = vote(&home, &["go-first", "go", "--as", "dana"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    // The answer comes after the disk.
    let journal = std::fs::read_to_string(home.folder().join("journal.jsonl")).unwrap();
    assert!(journal.lines().any(|line| line.contains(r#"{"voted":{"step":"go-first","who":"dana""#)), "{journal}");
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines[0], "dana votes go at 1 Go / no-go: the first (go-first)");
    assert!(lines[1].starts_with("  dana         GO ") && lines[1].contains("  from "), "{ended:?}");
    assert_eq!(lines[2..], ["  sam          no vote yet", "  mira decides, at the run's own terminal"]);
    run.says("vote at 1: dana votes go (from ");
    // By number, with a reason, and then otherwise.
    let against = vote(&home, &["1", "no-go", "--as", "sam", "--reason", "the lag grows\x1b[2J"]);
    assert!(against.code == 0 && against.out.contains("sam          NO-GO"), "{against:?}");
    assert!(against.out.contains("\"the lag grows\\u{1b}[2J\""), "{against:?}");
    run.says("vote at 1: sam votes NO-GO, \"the lag grows\\u{1b}[2J\" (from ");
    run.types("go");
    run.says("refused: it needs a reason (sam voted no-go)");
    assert_eq!(vote(&home, &["go-first", "go", "--as", "sam"]).code, 0);
    assert_eq!(vote(&home, &["go-first", "go", "--as", "sam"]).code, 0, "the same word twice is harmless");
    run.types("go");
    run.says(SECOND);
    refused(
        &vote(&home, &["go-first", "no-go", "--as", "dana"]),
        17,
        &["too late for `go-first`", "mira has decided go"],
    );
    let prefix = home.folder().file_name().unwrap().to_string_lossy()[..12].to_owned();
    assert_eq!(home.run(["vote", &prefix, "go-second", "go", "--as", "dana"]).code, 0);
    run.types("go");
    let ended = run.ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    let (envelopes, _) = home.journal();
    let votes: Vec<(String, String, bool, u32)> = envelopes
        .iter()
        .filter_map(|envelope| match &envelope.event {
            Event::Voted { step, who, go, via: Some(via), .. } => {
                Some((step.to_string(), who.to_string(), *go, via.uid))
            }
            _ => None,
        })
        .collect();
    let us = rustix::process::geteuid().as_raw();
    let cast = |step: &str, who: &str, go| (step.to_owned(), who.to_owned(), go, us);
    let first = [cast("go-first", "dana", true), cast("go-first", "sam", false), cast("go-first", "sam", true)];
    assert_eq!(votes, [&first[..], &[cast("go-second", "dana", true)]].concat());
    let report = home.run(["report", "last"]);
    assert!(report.out.contains("vote no-go, from "), "{report:?}");
}

/// On the screen a vote shows at once in the open sheet, and what is being typed there stays.
#[test]
fn a_vote_shows_on_the_operators_screen_while_they_type() {
    let home = Home::new();
    let path = book("votes.toml").display().to_string();
    let args = ["rehearse".into(), path, "--env".into(), "sandbox".into()];
    let mut pty = Pty::open(&home, 80, 24, "xterm-256color", &args);
    pty.answers("Go on to the second?", "no");
    assert_eq!(vote(&home, &["go-first", "no-go", "--as", "sam", "--reason", "the lag grows"]).code, 0);
    for words in ["NO-GO sam", "\"the lag grows\"", "gonogo vote last go-first go --as dana", "then enter: no"] {
        pty.shows(words);
    }
    pty.answers("Go on to the second?", "-go\r");
    pty.shows("no-go by mira");
    let ended = vote(&home, &["go-first", "go", "--as", "sam"]);
    assert!(ended.code == 0 && ended.out.contains("so far no-go by mira"), "{ended:?}");
    pty.shows("GO    sam");
}

#[test]
fn what_is_refused_says_why() {
    let home = Home::new();
    refused(&vote(&home, &["go-first", "go", "--as", "dana"]), 2, &["there are no runs"]);
    let mut run = asked(&home);
    let no = |words: &[&str], code: i32, say: &[&str]| refused(&vote(&home, words), code, say);
    no(&["go-frist", "go", "--as", "dana"], 2, &["no step `go-frist`", "did you mean `go-first`?"]);
    no(&["7", "go", "--as", "dana"], 2, &["no step `7`"]);
    no(&["told", "go", "--as", "dana"], 2, &["`told` is no stop point"]);
    no(&["go-second", "go", "--as", "dana"], 17, &["does not ask that now: it is not started"]);
    no(&["go-first", "go", "--as", "dnaa"], 2, &["`dnaa` is not in [people]", "did you mean `dana`?"]);
    no(&["go-first", "go", "--as", "D A"], 2, &["`D A` is not in [people]"]);
    no(
        &["go-first", "go", "--as", "eve"],
        2,
        &["eve is not a voter at `go-first`", "asked there: dana, sam; mira decides"],
    );
    no(&["go-first", "go", "--as", "mira"], 2, &["mira is not a voter"]);
    no(&["go-first", "maybe", "--as", "dana"], 2, &["maybe"]);
    no(&["go-first", "go"], 2, &["--as"]);
    refused(&home.run(["vote", "2099", "go-first", "go", "--as", "dana"]), 2, &["no run is called `2099`"]);
    // Nobody is there any more: held first, over then.
    run.types("leave");
    assert_eq!(run.ended().code, 10);
    no(&["go-first", "go", "--as", "dana"], 10, &["nobody drives run", "gonogo resume"]);
    let ended = home.typed(["resume", "last", "--plain"], &["abort", "abort"]);
    assert_eq!(ended.code, 16, "{ended:?}");
    no(&["go-first", "go", "--as", "dana"], 17, &["is over: stopped; nothing was undone"]);
    let (envelopes, state) = home.journal();
    assert!(!envelopes.iter().any(|envelope| matches!(envelope.event, Event::Voted { .. })));
    assert!(state.steps[0].votes.is_empty());
}

#[test]
fn of_a_vote_and_a_decision_at_once_the_first_counts_and_the_second_is_told() {
    let home = Home::new();
    let mut run = asked(&home);
    let home = &home;
    let ends: Vec<Ended> = thread::scope(|scope| {
        let voters: Vec<_> = (0..8)
            .map(|i| {
                let (who, word) = (["dana", "sam"][i % 2], ["go", "no-go"][i / 2 % 2]);
                scope.spawn(move || vote(home, &["go-first", word, "--as", who]))
            })
            .collect();
        until("a vote", || run.out().contains("vote at 1").then_some(()));
        run.types("go because the window closes");
        voters.into_iter().map(|voter| voter.join().unwrap()).collect()
    });
    run.says(SECOND);
    run.types("go because it is late");
    assert_eq!(run.ended().code, 0);
    let (envelopes, state) = home.journal();
    let decided = envelopes.iter().position(|it| matches!(it.event, Event::Decided { decision: Decision::Go, .. }));
    let votes: Vec<usize> = (0..envelopes.len())
        .filter(|&at| matches!(&envelopes[at].event, Event::Voted { step, .. } if step.as_str() == "go-first"))
        .collect();
    assert!(votes.iter().all(|at| Some(*at) < decided), "{votes:?} {decided:?}");
    let (taken, late) = ends.iter().partition::<Vec<_>, _>(|ended| ended.code == 0);
    assert!(!taken.is_empty() && late.iter().all(|it| it.code == 17 && it.err.contains("decided go")), "{ends:?}");
    // Two of a kind may have been one.
    assert!(votes.len() <= taken.len(), "{} of {}", votes.len(), taken.len());
    assert!(matches!(state.steps[0].forward.state, StepState::Settled(_)));
}

#[test]
fn a_killed_run_is_voted_on_after_its_resume_and_keeps_its_votes() {
    let home = Home::new();
    let run = asked(&home);
    assert_eq!(vote(&home, &["go-first", "go", "--as", "dana"]).code, 0);
    assert_eq!(run.kill().code, 128 + 9);
    assert!(std::fs::symlink_metadata(socket(&home)).unwrap().file_type().is_socket(), "left behind");
    refused(&vote(&home, &["go-first", "go", "--as", "sam"]), 10, &["nobody drives run", "gonogo resume"]);
    let mut run = home.start(["resume", "last", "--plain"]);
    run.says(FIRST);
    let ended = vote(&home, &["go-first", "go", "--as", "sam"]);
    assert!(
        ended.code == 0 && ended.out.contains("dana         GO") && ended.out.contains("sam          GO"),
        "{ended:?}"
    );
    run.types("go");
    run.types("go");
    run.says(SECOND);
    assert_eq!(vote(&home, &["go-second", "go", "--as", "dana"]).code, 0);
    run.types("go");
    assert_eq!(run.ended().code, 0);
    let (_, state) = home.journal();
    assert_eq!((state.steps[0].votes.len(), state.steps[2].votes.len()), (2, 1));
    assert!(!socket(&home).exists(), "it is gone with the process");
    assert_eq!(home.run(["runs", "verify"]).code, 0);
}

#[test]
fn a_state_folder_deeper_than_a_socket_address_is_as_good() {
    let deep = format!("{}/s", "a-folder-of-forty-characters-and-more---/".repeat(5));
    let home = Home::new();
    let state = home.path().join(deep);
    let home = home.with("GONOGO_STATE_DIR", &state.display().to_string());
    let mut run = asked(&home);
    assert_eq!(vote(&home, &["go-first", "go", "--as", "dana"]).code, 0);
    run.says("dana votes go");
}

/// The program with a umask, and as another user where one is named.
fn under(home: &Home, umask: &str, user: &[&str], args: &[&str]) -> std::process::Command {
    let program = home.path().join("gonogo");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_gonogo"), &program).unwrap();
    }
    let script = format!("umask {umask}; exec \"$@\"");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script, "sh"]).args(user).arg(program).args(args);
    command.env_clear().envs(home.environment()).current_dir(home.path());
    command
}

#[test]
fn the_socket_is_private_whatever_the_umask() {
    for umask in ["000", "022", "077"] {
        let home = Home::new();
        let args = rehearse();
        let mut run = Run::of(under(&home, umask, &[], &args.iter().map(String::as_str).collect::<Vec<_>>()));
        run.says(FIRST);
        let at = std::fs::symlink_metadata(socket(&home)).unwrap();
        assert_eq!((at.mode() & 0o777, at.uid()), (0o600, rustix::process::geteuid().as_raw()), "umask {umask}");
        assert_eq!(std::fs::metadata(home.folder()).unwrap().mode() & 0o777, 0o700, "umask {umask}");
        assert_eq!(vote(&home, &["go-first", "go", "--as", "dana"]).code, 0);
        // Open to others it is no longer trusted.
        std::fs::set_permissions(socket(&home), std::fs::Permissions::from_mode(0o666)).unwrap();
        refused(&vote(&home, &["go-first", "go", "--as", "sam"]), 5, &["socket is refused: others may use it"]);
    }
}

/// Root can be anybody: nobody drives the run, and root, whom no permission keeps out, is sent away by its credentials.
/// Where we are not root no other user's process can be made: then what keeps others out are the permissions that the
/// test above reads, and the comparison of credentials is tested beside it (`attach::server`).
#[test]
fn another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return the_socket_is_private_whatever_the_umask();
    }
    let home = Home::new();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let book = home.file("votes.toml", &std::fs::read_to_string(book("votes.toml")).unwrap());
    let args = ["rehearse", "--env", "sandbox", "--plain", book.to_str().unwrap()];
    let mut run = Run::of(under(&home, "022", &nobody, &args));
    run.says(FIRST);
    // Root's gonogo does not trust a folder that is another user's.
    refused(&vote(&home, &["go-first", "go", "--as", "dana"]), 5, &["belongs to another user"]);
    // Root's own client gets no further than the door.
    let mut stream = UnixStream::connect(socket(&home)).unwrap();
    let id = home.folder().file_name().unwrap().to_string_lossy().into_owned();
    let vote = json!({ "vote": { "step": "go-first", "who": "dana", "go": true, "opening": 1 } });
    let _hung_up = writeln!(stream, "{}", json!({ "v": 1, "run": id, "ask": vote }));
    assert_eq!(answer(&mut stream)["answer"]["error"]["code"], "foreign");
    // A third user sees nothing of it, and nobody's own client votes.
    let third = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"];
    let words = ["vote", "last", "go-first", "go", "--as", "dana"];
    let said = Run::of(under(&home, "022", &third, &words)).ended();
    refused(&said, 2, &["Permission denied"]);
    let said = Run::of(under(&home, "022", &nobody, &words)).ended();
    assert_eq!(said.code, 0, "{said:?}");
    run.says("dana votes go");
    run.types("leave");
    assert_eq!(run.ended().code, 10);
    let journal = std::fs::read_to_string(home.folder().join("journal.jsonl")).unwrap();
    assert_eq!(journal.matches(r#"{"voted":"#).count(), 1, "{journal}");
    assert!(journal.contains(r#""via":{"uid":65534,"pid":"#), "{journal}");
}

/// The disk takes no more at the very vote: it is not answered with yes, and everybody who asks is told.
#[test]
fn a_vote_that_cannot_be_recorded_is_not_taken() {
    let home = Home::new();
    let mut run = asked(&home);
    let journal = home.folder().join("journal.jsonl");
    let limit = std::fs::metadata(&journal).unwrap().len() + 10;
    let (pid, limit) = (run.child.id().to_string(), format!("--fsize={limit}"));
    let set = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(set.success());
    refused(&vote(&home, &["go-first", "go", "--as", "dana"]), 22, &["the journal cannot be written"]);
    run.says("the journal cannot be written");
    refused(&vote(&home, &["go-first", "no-go", "--as", "sam"]), 22, &["the journal cannot be written"]);
    let ended = home.run(["status"]);
    assert!(ended.code == 0 && ended.out.contains("the journal cannot be written"), "{ended:?}");
    assert!(!std::fs::read_to_string(&journal).unwrap_or_default().contains(r#""who":"dana","typed_by""#));
    run.types("leave");
    assert_eq!(run.ended().code, 22);
}

/// What people on the call see of a run: while it is driven, after its process was killed, and when it is over.
#[test]
fn status_tells_where_a_run_stands() {
    let home = Home::new();
    let status = |args: &[&str]| {
        let ended = home.run([&["status"], args].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.out
    };
    let json = || serde_json::from_str::<Json>(&status(&["last", "--json"])).unwrap();
    let mut run = asked(&home);
    assert_eq!(vote(&home, &["go-first", "no-go", "--as", "sam", "--reason", "not yet"]).code, 0);
    let text = status(&[]);
    for words in [
        ", driven by process ",
        "0 of 3 steps",
        "Rollback OPEN",
        "GO / NO-GO 1 Go / no-go: the first, for ",
        ": Go on to the second?",
        "dana         no vote yet",
        "sam          NO-GO",
        "\"not yet\"",
        "gonogo vote ",
        " go-first go --as dana",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let told = json();
    assert_eq!((&told["driven"], &told["live"], &told["ended"]), (&json!(true), &json!(true), &Json::Null), "{told}");
    assert_eq!(told["asked"]["kind"], "stop_point");
    assert_eq!(told["asked"]["voters"], json!(["dana", "sam"]));
    assert_eq!((&told["asked"]["votes"][0]["who"], &told["asked"]["votes"][0]["go"]), (&json!("sam"), &json!(false)));
    assert_eq!(told["steps"], json!({ "settled": 0, "all": 3 }));
    run.types("go because nobody is against it");
    run.says(SECOND);
    assert_eq!(json()["asked"]["step"], "go-second");
    assert_eq!(run.kill().code, 128 + 9);
    let text = status(&[]);
    assert!(text.contains(" is not over, nobody drives it since ") && text.contains("): gonogo resume "), "{text}");
    assert!(!text.contains("held") && !text.contains("gonogo vote"), "{text}");
    assert!(text.contains("Nothing is at work, nothing is in doubt.") && !text.contains("Next: "), "{text}");
    let told = json();
    assert_eq!((&told["driven"], &told["asked"]["step"]), (&json!(false), &json!("go-second")), "{told}");
    // Nobody drives it, and time goes on.
    let time = |told: &Json, name: &str| DateTime::parse_from_rfc3339(told[name].as_str().unwrap()).unwrap();
    until("two seconds pass", || {
        let told = json();
        (time(&told, "now") - time(&told, "last") >= TimeDelta::seconds(2)).then_some(())
    });
    let text = status(&[]);
    assert!(text.contains("AT STOP POINT 3 for 0m") && !text.contains("for 0m00"), "{text}");
    let ended = home.typed(["resume", "last", "--plain"], &["go because it is late", "go"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(status(&[]).contains("is over: everything is done"));
    assert_eq!(json()["ended"], "completed");
    let over = json();
    assert_eq!(over["now"], over["last"], "a run that is over stands still: {over}");
    refused(&home.run(["status", "2099"]), 2, &["no run is called `2099`"]);
    // A journal that cannot be trusted is no status.
    let journal = home.folder().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap().replacen("mira", "dana", 1);
    std::fs::write(&journal, text).unwrap();
    let ended = home.run(["status"]);
    assert_eq!(ended.code, 22, "{ended:?}");
}

/// A driver that was stopped is not waited for as long as a vote waits.
#[test]
fn status_of_a_driver_that_does_not_answer_comes_from_its_journal() {
    let home = Home::new();
    let mut run = asked(&home);
    run.signal(rustix::process::Signal::STOP);
    let begun = Instant::now();
    let ended = home.run(["status"]);
    let took = begun.elapsed();
    run.signal(rustix::process::Signal::CONT);
    assert!(ended.code == 0 && took < Duration::from_secs(40), "{took:?}: {ended:?}");
    assert!(ended.out.contains(", which does not answer; last record "), "{ended:?}");
    assert!(ended.out.contains("GO / NO-GO 1 ") && ended.err.contains("this is what its journal says"), "{ended:?}");
    run.types("leave");
    run.ended();
}

#[test]
fn a_note_from_elsewhere_is_shown_and_recorded() {
    let home = Home::new().with("USER", "dana");
    let mut run = asked(&home);
    let ended = home.run(["note", "last", "three jobs are from August", "--step", "3"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "noted by dana on 3 Go / no-go: the second\n"), "{ended:?}");
    run.says("note by dana on 3 (from dana@");
    assert_eq!(home.run(["note", "last", "seen", "--as", "eve"]).code, 0);
    run.says(": seen");
    refused(&home.run(["note", "last", "x", "--as", "bob"]), 2, &["`bob` is not in [people]"]);
    refused(&home.run(["note", "last", " ", "--as", "sam"]), 2, &["a note says something"]);
    refused(&home.run(["note", "last", "x", "--step", "nine"]), 2, &["no step `nine`"]);
    run.types("leave");
    assert_eq!(run.ended().code, 10);
    refused(&home.run(["note", "last", "x"]), 10, &["nobody drives run"]);
    let (_, state) = home.journal();
    assert_eq!(state.notes.len(), 2);
    let text = &state.notes[0];
    assert_eq!((text.who.as_str(), text.text.as_str()), ("dana", "three jobs are from August"));
}

#[test]
fn hostile_clients_do_not_disturb_the_run() {
    let home = Home::new();
    let mut run = asked(&home);
    let path = socket(&home);
    let id = home.folder().file_name().unwrap().to_string_lossy().into_owned();
    let connect = || UnixStream::connect(&path).unwrap();
    // Garbage, with and without an end; a line that never ends; another run; another version; a decision.
    let code = |bytes: &[u8]| raw(&mut connect(), bytes)["answer"]["error"]["code"].clone();
    assert_eq!(code(&[b'x'; 10_000].iter().copied().chain([b'\n']).collect::<Vec<u8>>()), "not_understood");
    assert_eq!(code(&[0; 20_000]), "too_long");
    assert_eq!(code(b"{\"v\":1}\n"), "not_understood");
    assert_eq!(code(b"{\"v\":7,\"run\":\"x\"}\n"), "version");
    let ask = |run: &str, ask: Json| format!("{}\n", json!({ "v": 1, "run": run, "from": "x\u{1b}[2J", "ask": ask }));
    let events = || json!({ "events": { "after": 0 } });
    assert_eq!(code(ask("20260101-000000-abcdef", events()).as_bytes()), "other_run");
    assert_eq!(code(ask(&id, json!({ "go": { "step": "go-first" } })).as_bytes()), "not_understood");
    let endless = connect();
    let feeding = thread::spawn(move || {
        let mut endless = endless;
        let mut fed = 0;
        while let Ok(written @ 1..) = endless.write(&[b'a'; 4096]) {
            fed += written;
        }
        fed
    });
    // Two hundred that say nothing, and a dozen that ask for everything and read nothing.
    let silent: Vec<UnixStream> = (0..200).map(|_| connect()).collect();
    let deaf: Vec<UnixStream> = (0..12)
        .map(|_| {
            let mut deaf = connect();
            deaf.set_nonblocking(true).unwrap();
            let line = ask(&id, events());
            for _ in 0..400 {
                let _full = deaf.write(line.as_bytes());
            }
            deaf
        })
        .collect();
    // The run goes on as if nobody was there, and a voter gets through.
    run.types("go because nobody votes");
    run.says(SECOND);
    let ended = vote(&home, &["go-second", "go", "--as", "dana"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    run.says("dana votes go");
    assert!(feeding.join().unwrap() < 1 << 20, "it was hung up on");
    drop((silent, deaf));
    // A flood of words has to wait; those that are taken are few.
    let mut flood = connect();
    let mut taken = 0;
    for i in 0..200 {
        let ballot = json!({ "vote": { "step": "go-second", "who": "dana", "go": i % 2 == 1, "opening": 1 } });
        let answer = raw(&mut flood, ask(&id, ballot).as_bytes());
        taken += i32::from(answer["answer"]["taken"].is_object());
        let busy = answer["answer"]["error"]["code"] == "busy";
        assert!(busy || answer["answer"]["taken"].is_object(), "{answer}");
    }
    assert!((1..200).contains(&taken), "{taken}");
    run.types("go because it is late");
    let ended = run.ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!ended.out.contains('\x1b'), "{ended:?}");
    let (envelopes, _) = home.journal();
    let votes = envelopes.iter().filter(|it| matches!(it.event, Event::Voted { .. })).count();
    assert!(votes <= usize::try_from(taken).unwrap() + 1, "{votes}");
}

#[test]
fn the_run_goes_on_where_no_socket_can_be_made() {
    let home = Home::new();
    let run = asked(&home);
    assert_eq!(run.kill().code, 128 + 9);
    let path = socket(&home);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let mut run = home.start(["resume", "last", "--plain"]);
    run.says(FIRST);
    assert!(run.err().contains("other terminals cannot vote: "), "{}", run.err());
    refused(&vote(&home, &["go-first", "go", "--as", "dana"]), 5, &["it is not a socket"]);
    run.types("go because nobody can vote");
    run.types("go");
    run.says(SECOND);
    run.types("go because nobody can vote");
    assert_eq!(run.ended().code, 0);
    // A link in its place leads nowhere.
    let home = Home::new();
    let run = asked(&home);
    assert_eq!(run.kill().code, 128 + 9);
    let (path, elsewhere) = (socket(&home), home.file("elsewhere", "kept"));
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    refused(&vote(&home, &["go-first", "go", "--as", "dana"]), 5, &["it is not a socket"]);
    let mut run = home.start(["resume", "last", "--plain"]);
    run.says(FIRST);
    assert_eq!(vote(&home, &["go-first", "go", "--as", "dana"]).code, 0);
    run.says("dana votes go");
    assert_eq!(std::fs::read_to_string(elsewhere).unwrap(), "kept");
}

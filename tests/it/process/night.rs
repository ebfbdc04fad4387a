//! The shipped night as a newcomer lives it: rehearsed to its end without a hand, played back where there is no network,
//! reported, listed, shown, verified.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use super::{Home, Run, book, keys::Pty, shipped};

/// What stands in front of a program so that it sees no network at all, not even loopback, where the machine lets us
/// make such a place; else strace, which says every socket that it asks for, and refuses it.
fn without_network() -> Vec<String> {
    let possible = Command::new("unshare").args(["-rn", "true"]).output().is_ok_and(|output| output.status.success());
    if possible {
        return ["unshare", "-rn"].map(String::from).to_vec();
    }
    eprintln!("unshare is not permitted here: strace proves that no socket is opened");
    let words = ["strace", "-f", "-qq", "-e", "trace=socket,connect,bind,sendto", "-e", "inject=socket:error=EACCES"];
    words.map(String::from).to_vec()
}

/// Run there to its end.
pub(super) fn cut_off(home: &Home, args: &[&str]) -> super::Ended {
    let front = without_network();
    let mut command = Command::new(&front[0]);
    command.args(&front[1..]).arg(env!("CARGO_BIN_EXE_gonogo")).args(args);
    command.env_clear().envs(home.environment()).current_dir(home.path());
    let ended = Run::of(command).ended();
    assert!(!ended.err.contains("socket("), "{ended:?}");
    ended
}

#[test]
fn a_night_is_played_back_on_the_screen_without_a_network() {
    let home = Home::new();
    let path = book("cut.toml").display().to_string();
    assert_eq!(home.run(["rehearse", &path, "--env", "sandbox", "--auto-go", "--plain"]).code, 0);
    let front = without_network();
    let behind = [env!("CARGO_BIN_EXE_gonogo"), "replay", "last", "--speed", "20"].map(String::from);
    let args: Vec<String> = front[1..].iter().cloned().chain(behind).collect();
    let mut pty = Pty::of(&home, 80, 24, "xterm-256color", &front[0], &args);
    pty.shows("REPLAY");
    // It still says where that was.
    pty.shows("SANDBOX");
    pty.shows("END   everything is done");
    // Nothing can be decided here.
    pty.sends(b"b");
    pty.sends(b"q");
    assert_eq!(pty.ended(), 0, "{}", pty.text());
    assert!(!pty.raw().contains("socket("), "{}", pty.raw());
    assert_eq!(home.effects().len(), 2);
}

#[test]
fn the_shipped_night_and_its_replay() {
    let home = Home::new();
    let path = shipped().display().to_string();
    let begun = Instant::now();
    let night = home.run(["rehearse", &path, "--env", "sandbox", "--auto-go", "--plain"]);
    let took = begun.elapsed();
    assert_eq!(night.code, 0, "{night:?}");
    assert!(took <= Duration::from_secs(150), "{took:?}");
    assert!(night.out.starts_with("SANDBOX heroku-to-aws"), "{night:?}");
    assert!(
        night.out.contains("36 of 36 steps") && night.out.contains("FAILED"),
        "the failure that teaches: {night:?}"
    );
    let run = home.folder().file_name().unwrap().to_str().unwrap().to_owned();

    let replay = cut_off(&home, &["replay", "last", "--plain"]);
    assert_eq!(replay.code, 0, "{replay:?}");
    let ended = |text: &str| text.lines().find(|line| line.contains("ENDED: ")).map(str::to_owned);
    assert!(ended(&night.out).is_some());
    assert_eq!(ended(&replay.out), ended(&night.out));
    // Whatever happened is told in the same words. Questions and progress by the clock belong to the live night.
    let told = |text: &str| {
        let facts = [" DONE after", " FAILED after", " DECIDED: ", " vote at ", " started: ", " sends: ", " HELD: "];
        text.lines().filter(|line| facts.iter().any(|fact| line.contains(fact))).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(told(&replay.out), told(&night.out));
    assert!(told(&night.out).len() > 40, "{:#?}", told(&night.out));

    let (envelopes, state) = home.journal();
    assert!(state.ended.is_some() && envelopes.len() > 100);
    reports(&home, &run);
    listed(&home, &run);
}

fn reports(home: &Home, run: &str) {
    let report = |format: &str| {
        let ended = cut_off(home, &["report", run, "--format", format]);
        assert_eq!(ended.code, 0, "{ended:?}");
        ended.out
    };
    let markdown = report("md");
    assert!(markdown.starts_with("# ") && markdown.contains(run) && markdown.contains("| lead | mira |"), "{markdown}");
    let json: serde_json::Value = serde_json::from_str(&report("json")).unwrap();
    assert!(json.to_string().contains("deploy-web"));
    let csv = report("csv");
    let columns = |line: &str| line.split(',').count();
    assert!(csv.lines().count() > 21 && columns(csv.lines().next().unwrap()) > 5, "{csv}");
}

fn listed(home: &Home, run: &str) {
    let list = home.run(["runs", "list"]);
    assert!(list.out.contains(run) && list.out.contains("done") && list.out.contains("36/36"), "{list:?}");
    let json: serde_json::Value = serde_json::from_str(&home.run(["runs", "list", "--json"]).out).unwrap();
    assert_eq!((&json[0]["run"], &json[0]["state"]), (&run.into(), &"done".into()));
    let show = home.run(["runs", "show", run]);
    assert!(show.out.contains("36 of 36 settled") && show.out.contains("chain whole"), "{show:?}");
    let verify = home.run(["runs", "verify", run]);
    assert!(verify.code == 0 && verify.out.contains("chain whole, anchored up to"), "{verify:?}");
}

//! `command`: what the child gets, what is seen of it, and that all of its group is gone in the end.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gonogo::{
    base::{Class, Failure, Redactor},
    plan::{Action, Done, Doubt, Finding},
    runbook::{SecretRef, SecretSource},
};
use serde_json::Value as Json;

use super::contract::{Attempt, action, attempt, attempt_of, check, env, points_at, services, services_with};

fn sh(script: &str) -> String {
    format!("argv = ['sh', '-c', '''{script}''']\n")
}

fn run(params: &str) -> Arc<dyn Action> {
    action("command", params, &services(env()))
}

async fn applied(params: &str) -> (Result<Done, Failure>, Attempt) {
    let attempt = attempt();
    let result = run(params).apply(&attempt.cx, &Json::Null).await;
    (result, attempt)
}

fn output(attempt: &Attempt) -> String {
    String::from_utf8(attempt.seen.output.lock().unwrap().clone()).unwrap()
}

#[tokio::test]
async fn output_in_order_lines_and_exit_codes() {
    let (done, attempt) = applied(&sh("echo one; echo two >&2; printf three")).await;
    assert_eq!(done.unwrap().line, "`sh`: exit status: 0");
    assert_eq!(output(&attempt), "one\ntwo\nthree");
    assert_eq!(*attempt.seen.lines.lock().unwrap(), ["one", "two", "three"]);
    let (failed, _) = applied(&sh("echo why; exit 3")).await;
    let failure = failed.unwrap_err();
    assert_eq!((failure.class, failure.causes.as_slice()), (Class::Failed, ["why".to_owned()].as_slice()));
    assert_eq!(failure.message, "`sh`: exit status: 3");
    applied(&format!("{}expect_exit = 3", sh("exit 3"))).await.0.unwrap();
    let failure = applied(&format!("{}expect_exit = 3", sh("exit 0"))).await.0.unwrap_err();
    assert_eq!(failure.message, "`sh` ended with 0, expected 3");
    let failure = applied(&sh("kill -9 $$")).await.0.unwrap_err();
    assert!(failure.class == Class::Failed && failure.message.contains("signal: 9"), "{failure:?}");
}

#[tokio::test]
async fn only_the_environment_that_was_asked_for() {
    let source = SecretSource::Command(vec!["printf".into(), "canary-value".into()]);
    let secrets = [SecretRef { name: "key".into(), span: 0..0, source }];
    let services = services_with(env(), &secrets, Arc::new(Redactor::default()));
    let params = "argv = ['env']\nenv = { KEY = '${secret.key}', PLAIN = 'a b' }\ninherit = ['CARGO_PKG_NAME']";
    let attempt = attempt();
    let command = action("command", params, &services);
    assert!(!format!("{:?}", command.does()).contains("canary"));
    command.apply(&attempt.cx, &Json::Null).await.unwrap();
    let text = output(&attempt);
    let names = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect::<Vec<_>>();
    const KNOWN: [&str; 15] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "TMPDIR",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TERM",
        "KEY",
        "PLAIN",
        "CARGO_PKG_NAME",
        "_",
    ];
    assert!(names.iter().all(|name| KNOWN.contains(name)), "{names:?}");
    assert!(
        text.contains("KEY=canary-value\n") && text.contains("PLAIN=a b\n") && text.contains("TERM=dumb\n"),
        "{text}"
    );
    assert!(text.contains("CARGO_PKG_NAME=gonogo"), "{text}");
}

#[tokio::test]
async fn standard_input_folder_and_no_shell() {
    let (_, attempt) = applied("argv = ['cat']").await;
    assert_eq!(output(&attempt), "", "nothing to read, and no waiting for it");
    let (_, attempt) = applied("argv = ['cat']\nstdin = 'given'").await;
    assert_eq!(output(&attempt), "given");
    // A child that does not read what it is given.
    applied(&format!("argv = ['true']\nstdin = '{}'", "x".repeat(1 << 20))).await.0.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let (_, attempt) = applied(&format!("argv = ['pwd']\ncwd = '{}'", path.display())).await;
    assert_eq!(output(&attempt).trim(), path.to_str().unwrap());
    let (_, attempt) = applied("argv = ['echo', '$HOME', '*', ';', 'a  b']").await;
    assert_eq!(output(&attempt), "$HOME * ; a  b\n");
}

#[tokio::test]
async fn what_cannot_be_started() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "x").unwrap();
    for params in [
        "argv = ['gonogo-no-such-program']".to_owned(),
        "argv = ['/gonogo/none']".into(),
        format!("argv = ['{}']", plain.display()),
        format!("argv = ['{}']", folder.path().display()),
        "argv = ['true']\ncwd = '/gonogo/none'".into(),
    ] {
        let failure = applied(&params).await.0.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured, "{params}: {failure:?}");
    }
}

fn alive(pid: &str) -> bool {
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::test_kill_process(pid).is_ok() && !zombie(pid)
}

fn zombie(pid: rustix::process::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

async fn gone(pid: &str) {
    let until = Instant::now() + Duration::from_secs(5);
    while alive(pid) {
        assert!(Instant::now() < until, "process {pid} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The whole group goes, the grandchild too, at the deadline and on an abort.
#[tokio::test]
async fn cut_short_ends_the_group_and_is_unknown() {
    let script = sh("sleep 300 & echo $!; wait");
    let short = attempt_of(Duration::from_millis(500), BTreeMap::new());
    let started = Instant::now();
    let failure = run(&script).apply(&short.cx, &Json::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::Unknown);
    assert!(failure.message.contains("timed out"), "{failure:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
    gone(&output(&short)).await;

    let attempt = attempt();
    let (cx, command) = (attempt.cx.clone(), run(&script));
    let task = tokio::spawn(async move { command.apply(&cx, &Json::Null).await });
    while attempt.seen.lines.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    attempt.cx.cancel.cancel();
    assert_eq!(task.await.unwrap().unwrap_err().class, Class::Unknown);
    gone(&output(&attempt)).await;

    // Dropped in the middle: the conductor gave up on it.
    let attempt = super::contract::attempt();
    let (cx, command) = (attempt.cx.clone(), run(&script));
    let task = tokio::spawn(async move { command.apply(&cx, &Json::Null).await });
    while attempt.seen.lines.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    task.abort();
    gone(&output(&attempt)).await;
}

/// A child that ignores SIGTERM is killed 10 s later.
#[tokio::test]
async fn sigterm_then_sigkill() {
    let short = attempt_of(Duration::from_millis(300), BTreeMap::new());
    let started = Instant::now();
    let command = run(&sh("trap \"\" TERM; echo $$; while :; do sleep 0.2; done"));
    command.apply(&short.cx, &Json::Null).await.unwrap_err();
    let took = started.elapsed().as_secs_f32();
    assert!((4.0..12.0).contains(&took), "{took}");
    gone(output(&short).lines().next().unwrap()).await;
}

/// A process that was left behind with our pipe does not hold the step.
#[tokio::test]
async fn what_is_left_behind_is_ended() {
    let started = Instant::now();
    let (done, attempt) = applied(&sh("sleep 300 & echo $!")).await;
    done.unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    gone(&output(&attempt)).await;
}

#[tokio::test]
async fn memory_and_lines_are_bounded() {
    let (done, attempt) =
        applied(&sh("head -c 3000000 /dev/zero | tr \"\\\\0\" x; echo; printf \"\\\\033[2Jend\"")).await;
    done.unwrap();
    assert_eq!(attempt.seen.output.lock().unwrap().len(), 3_000_001 + 7);
    let lines = attempt.seen.lines.lock().unwrap();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].len() < 5000 && lines[1] == "\\u{1b}[2Jend", "{}", lines[1]);
}

/// The child has no terminal and is the leader of a group of its own.
#[tokio::test]
async fn an_own_group() {
    let (_, attempt) =
        applied(&sh("ps -o pid=,pgid= -p $$ 2>/dev/null || awk \"{print \\$1, \\$5}\" /proc/$$/stat")).await;
    let text = output(&attempt);
    let ids = text.split_whitespace().collect::<Vec<_>>();
    assert_eq!(ids[0], ids[1], "{text}");
}

#[tokio::test]
async fn as_a_check() {
    let services = services(env());
    let look = |params: &str| check("command", params, &services);
    let seen =
        look(&format!("{}expect_output = 'all good'", sh("echo it is; echo all good"))).check(&attempt().cx).await;
    assert_eq!(seen.unwrap().line, "`sh`: exit status: 0, last line: all good");
    for (params, said) in [
        (format!("{}expect_output = 'good'", sh("echo bad")), "does not contain \"good\""),
        (sh("exit 1"), "exit status: 1"),
        (sh("sleep 60"), "timed out"),
    ] {
        let short = attempt_of(Duration::from_millis(500), BTreeMap::new());
        let failure = look(&params).check(&short.cx).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        assert!(failure.message.contains(said), "{failure:?}");
    }
    assert!(look("argv = ['echo', 'a b']").looks().starts_with("run echo 'a b', expect exit code 0"));
}

#[tokio::test]
async fn the_authors_probe_decides() {
    for (probe, word) in [("exit 0", "Done"), ("exit 1", "NotDone"), ("exit 2", "Unclear"), ("kill -9 $$", "Unclear")] {
        let command = run(&format!("argv = ['true']\nprobe = ['sh', '-c', '{probe}']"));
        assert_eq!(command.doubt(), Doubt::Opaque);
        let found = command.probe(&attempt().cx, &Json::Null, false).await.unwrap();
        assert!(format!("{found:?}").starts_with(word), "{probe}: {found:?}");
    }
    let command = run("argv = ['true']");
    let found = command.probe(&attempt().cx, &Json::Null, false).await.unwrap();
    assert!(matches!(found, Finding::Unclear { .. }), "{found:?}");
    assert!(!command.restorable() && command.changes());
    assert_eq!(command.restore(&attempt().cx, &Json::Null).await.unwrap_err().class, Class::Misconfigured);
}

#[tokio::test]
async fn bad_parameters() {
    let services = services(env());
    for (text, marked, message) in [
        ("", "", "needs `argv`"),
        ("argv = []", "[]", "must begin with a program"),
        ("argv = ['']", "['']", "must begin with a program"),
        ("argv = ['a', '${secret.x}']", "'${secret.x}'", "must not stand in `argv`"),
        ("argv = ['a', 1]", "1", "a list of texts"),
        ("argv = ['a']\nexpect_exit = 256", "256", "0 to 255"),
        ("argv = ['a']\nenv = { A = 1 }", "1", "a table of texts"),
        ("argv = ['a']\nexpect_output = 'x'", "'x'", "is for `command` as a check"),
        ("argv = ['a']\nenv = { 'A=B' = 'x' }", "{ 'A=B' = 'x' }", "no name of a variable"),
    ] {
        points_at("command", text, &services, marked, message);
    }
}

/// Wherever we run, also in a terminal: the child cannot open one.
#[tokio::test]
async fn no_terminal() {
    let (done, attempt) = applied(&sh("if (: < /dev/tty) 2>/dev/null; then echo terminal; else echo none; fi")).await;
    done.unwrap();
    assert_eq!(output(&attempt), "none\n");
}

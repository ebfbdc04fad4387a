//! The reader of the output goes away, or was never there: the step in flight is finished and recorded, the run holds,
//! nothing spins, and `resume` goes on. No terminal, however small or simple, ends in a panic.

use std::{io::Write as _, process::Stdio, time::Duration};

use gonogo::run::{Event, HoldWhy};

use super::{Home, book, code, keys::Pty, until};

fn cut() -> [String; 4] {
    ["rehearse".into(), book("cut.toml").display().to_string(), "--env".into(), "sandbox".into()]
}

/// The deployment was finished and recorded, the switch was not begun, and a resume ends the night.
fn finished_and_held(home: &Home) {
    let (envelopes, state) = home.journal();
    let held = envelopes.iter().any(|it| matches!(it.event, Event::Held { why: HoldWhy::TerminalLost, .. }));
    assert!(held, "{:?}", envelopes.last());
    let settled: Vec<bool> = state.steps.iter().map(|step| step.forward.state.settled()).collect();
    assert_eq!(settled, [true, false, false]);
    assert_eq!(home.effects().len(), 1);
    let resumed = home.run(["resume", "last", "--plain", "--auto-go"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(home.effects().len(), 2);
}

/// Processor time of a process in hundredths of a second (`/proc/PID/stat`, fields 14 and 15).
fn cpu(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<u64>().ok()).sum()
}

#[test]
fn a_closed_terminal_ends_the_drawing_and_not_the_step() {
    let home = Home::new();
    let mut pty = Pty::open(&home, 80, 24, "xterm-256color", &cut());
    pty.shows("SANDBOX");
    home.until_journal_has("{\"intended\":");
    let process = pty.process();
    pty.hang_up();
    home.until_journal_has("{\"held\":");
    let (before, begun) = (cpu(process), std::time::Instant::now());
    let code = pty.ended();
    let (spent, took) = (cpu(process).saturating_sub(before), begun.elapsed());
    assert_eq!(code, 129);
    assert!(took > Duration::from_secs(1), "the deployment took its time after that: {took:?}");
    assert!(u128::from(spent) * 10 < took.as_millis() / 2, "it spins: {spent} hundredths in {took:?}");
    finished_and_held(&home);
}

#[test]
fn a_closed_pipe_holds_as_well() {
    let home = Home::new();
    let mut command = home.command(cut());
    command.arg("--plain").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    home.until_journal_has("{\"intended\":");
    drop(child.stdout.take());
    let status = until("it ends", || child.try_wait().unwrap());
    assert_eq!(code(status), 129);
    finished_and_held(&home);
}

#[test]
fn a_reader_that_takes_nothing_holds_nobody_up() {
    let home = Home::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    // Full from the beginning: Linux gives a pipe 64 KiB.
    writer.write_all(&[b'.'; 1 << 16]).unwrap();
    let mut command = home.command(cut());
    command.args(["--plain", "--auto-go"]).stdin(Stdio::null()).stdout(writer).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    // Nobody reads: the run goes on to its end all the same.
    home.until_journal_has("{\"ended\":");
    drop(reader);
    until("it ends", || child.try_wait().unwrap());
    assert_eq!(home.effects().len(), 2);
}

#[test]
fn a_simple_terminal_gets_lines() {
    let home = Home::new();
    let args: Vec<String> = cut().into_iter().chain(["--auto-go".into()]).collect();
    let mut pty = Pty::open(&home, 120, 24, "dumb", &args);
    assert_eq!(pty.ended(), 0, "{}", pty.raw());
    let raw = pty.raw();
    assert!(raw.contains("SANDBOX cut") && raw.contains("ENDED: everything is done"), "{raw}");
    assert!(!raw.contains('\x1b'), "no escape sequences: {raw:?}");
}

#[test]
fn a_terminal_of_one_cell() {
    let home = Home::new();
    let args: Vec<String> = cut().into_iter().chain(["--auto-go".into()]).collect();
    let mut pty = Pty::open(&home, 1, 1, "xterm-256color", &args);
    home.until_journal_has("{\"ended\":");
    // Still there, for somebody to look; large again, it can be read.
    pty.resize(80, 24);
    pty.shows("SANDBOX");
    pty.shows("COMPLETED");
    pty.sends(b"q");
    assert_eq!(pty.ended(), 0, "{}", pty.raw());
}

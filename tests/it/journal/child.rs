//! A process to be killed, starved and raced: this test binary, started again with one verb.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
};

use gonogo::journal::{Journal, JournalError, Resume, Room, RunDir, RunDirError};
use serde_json::Value;

use super::{ROOM, run, text};

const VERB: &str = "GONOGO_TEST_CHILD";
const DIR: &str = "GONOGO_TEST_DIR";

/// The command that runs `verb` on `dir`, behind `wrapper` (strace, sh).
pub fn command(wrapper: &[&str], verb: &str, dir: &Path) -> Command {
    let exe = std::env::current_exe().unwrap();
    let mut words: Vec<&str> = wrapper.to_vec();
    words.push(exe.to_str().unwrap());
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args([
        "--exact",
        "journal::child::child",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env(VERB, verb).env(DIR, dir).env("RUST_BACKTRACE", "0");
    command
}

/// What a child said, one word group a line.
pub fn said(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| Some(line.split_once("@ ")?.1.to_owned())).collect()
}

/// A child that waits for its input to end.
pub struct Waiting {
    pub child: Child,
    pub input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Waiting {
    pub fn start(verb: &str, dir: &Path) -> Self {
        let mut child = command(&[], verb, dir).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// The next thing it says.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, said)) = line.split_once("@ ") {
                return said.trim_end().to_owned();
            }
            line.clear();
        }
        panic!("the child ended");
    }

    pub fn go(&mut self) {
        self.input.take();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(text: impl std::fmt::Display) {
    // The newline first: the test harness may be in the middle of a line.
    println!("\n@ {text}");
    std::io::stdout().flush().unwrap();
}

fn wait() {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

fn resume(dir: &Path) -> Result<Journal, RunDirError> {
    let how = Resume { room: ROOM, accept_copy: false };
    RunDir::resume::<Value>(dir, how, |_, _| ()).map(|resumed| resumed.journal)
}

#[test]
#[ignore = "a process for other tests"]
fn child() {
    let Ok(verb) = std::env::var(VERB) else { return };
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    match verb.as_str() {
        "append" => append(&dir),
        "resume" => say(format_args!("resumed behind {}", resume(&dir).unwrap().next_seq() - 1)),
        "create" => drop(super::create(&dir)),
        "hold" => {
            let _journal = resume(&dir).unwrap();
            say("held");
            wait();
        }
        "race to resume" => race(|| resume(&dir)),
        "race to create" => race(|| RunDir::create(&dir, &run(), b"", b"", ROOM)),
        "fill" => fill(&dir),
        "outgrow" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                gonogo::journal::outlive_file_size_limit().unwrap();
                outgrow(&dir);
            });
        }
        other => panic!("{other}"),
    }
}

/// Forty records, two a step, and on after a failure to see that it stays one.
fn append(dir: &Path) {
    let mut journal = resume(dir).unwrap();
    let mut first: Option<JournalError> = None;
    for _ in 0..40 {
        let seq = journal.next_seq();
        let (result, acked) = if seq.is_multiple_of(4) {
            // Progress and the outcome behind it: one write, one sync.
            (journal.append(&[text(seq, 9), text(seq + 1, 30)], true), seq + 1)
        } else {
            (journal.append(&[text(seq, 20)], true), seq)
        };
        match (result, &first) {
            (Ok(()), None) => say(format_args!("acked {acked}")),
            (Err(error), None) => {
                say(format_args!("failed {error}"));
                first = Some(error);
            }
            (result, Some(first)) => {
                assert_eq!(result.as_ref(), Err(first), "a broken journal");
                assert!(journal.seal_head().is_err());
            }
        }
    }
    if matches!(&first, Some(JournalError::Broken(fault)) if !fault.full) {
        assert!(journal.last_words(&[text(journal.next_seq(), 5)]).is_err());
    }
    say("ended");
}

fn race(start: impl Fn() -> Result<Journal, RunDirError>) {
    say("ready");
    wait();
    match start() {
        Ok(journal) => {
            say("won");
            // Held until all have tried: they are all killed at the end.
            let _journal = journal;
            loop {
                std::thread::park();
            }
        }
        Err(RunDirError::Held(holder)) => say(format_args!("held by {}", holder.pid.unwrap_or_default())),
        Err(RunDirError::Exists { .. }) => say("exists"),
        Err(other) => say(format_args!("failed {other}")),
    }
}

/// Fills a small disk with records, then says its last words.
fn fill(state: &Path) {
    let room = Room { free: 0, reserve: 256 << 10, shared: false };
    let mut journal = RunDir::create(state, &run(), b"", b"", room).unwrap();
    let path = journal.dir().path().to_owned();
    let failure = loop {
        let seq = journal.next_seq();
        if let Err(error) = journal.append(&[text(seq, 5000)], seq.is_multiple_of(10)) {
            break error;
        }
    };
    assert!(matches!(&failure, JournalError::Broken(fault) if fault.full), "{failure}");
    let last = journal.next_seq() - 1;
    assert_eq!(journal.append(&[text(last + 1, 1)], true).as_ref(), Err(&failure));
    // Two attempts were in flight.
    for seq in [last + 1, last + 2] {
        journal.last_words(&[text(seq, 5000)]).unwrap();
        assert_eq!(journal.append(&[text(seq + 1, 1)], true).as_ref(), Err(&failure));
        assert_eq!(journal.append(&[], true).as_ref(), Err(&failure));
    }
    assert!(!path.join("reserve").exists());
    // In the end the reserve is used up as well.
    while journal.last_words(&[text(journal.next_seq(), 5000)]).is_ok() {}
    let last = journal.next_seq() - 1;
    drop(journal);
    let load = RunDir::view(&path).unwrap().verify(&[]).unwrap();
    assert_eq!((load.records, load.damage), (last, None));
    // Going on needs room for what was torn and for the reserve, and says so.
    let how = Resume { room, accept_copy: false };
    let refused = RunDir::resume::<Value>(&path, how, |_, _| ()).unwrap_err();
    assert!(refused.to_string().contains("No space left"), "{refused}");
    say(format_args!("filled {last}"));
}

/// Writes until the limit on the size of files is reached.
fn outgrow(dir: &Path) {
    let mut journal = resume(dir).unwrap();
    let failure = loop {
        if let Err(error) = journal.append(&[text(journal.next_seq(), 5000)], false) {
            break error;
        }
    };
    say(format_args!("failed behind {}: {failure}", journal.next_seq() - 1));
    assert!(journal.append(&[text(journal.next_seq(), 1)], true).is_err());
    assert!(journal.last_words(&[text(journal.next_seq(), 5000)]).is_err());
    say("ended");
}

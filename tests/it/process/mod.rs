//! The program as people run it: the real binary, each test with its own folder for runs and an environment that
//! has nothing but a path and a home. Every wait has an end, and no child outlives its test.

mod again;
mod burst;
mod data;
mod echoed;
mod gone;
mod hands;
mod heroku;
mod keys;
mod killed;
mod moto;
mod night;
mod partial;
mod permission;
mod refused;
mod renewed;
mod signals;
mod typed;
mod votes;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use gonogo::run::{Envelope, Event, RunState};
use serde_json::Value as Json;

/// Nothing here takes this long, on two slow cores that do other things too.
const LONG: Duration = Duration::from_secs(180);

/// A runbook of `tests/runbooks/process`.
fn book(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runbooks/process").join(name)
}

/// The shipped runbook.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks/heroku-to-aws.toml")
}

/// Waits until something is so.
fn until<T>(what: &str, mut met: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(it) = met() {
            return it;
        }
        assert!(begun.elapsed() < LONG, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A home with a folder for runs.
struct Home {
    dir: tempfile::TempDir,
    vars: Vec<(String, String)>,
}

impl Home {
    fn new() -> Self {
        // Where there are no credentials the SDK would ask the machine's metadata service.
        let vars = vec![("AWS_EC2_METADATA_DISABLED".into(), "true".into())];
        Self { dir: tempfile::tempdir().unwrap(), vars }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A file in it.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The variables of every child: nothing of the machine's own AWS or Heroku configuration is read.
    fn environment(&self) -> Vec<(String, String)> {
        let mut vars = vec![
            ("PATH".into(), std::env::var("PATH").unwrap()),
            ("HOME".into(), self.path().display().to_string()),
            ("GONOGO_STATE_DIR".into(), self.state().display().to_string()),
        ];
        vars.extend(self.vars.iter().cloned());
        vars
    }

    fn command<A: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gonogo"));
        command.args(args).env_clear().envs(self.environment()).current_dir(self.path());
        command
    }

    /// Started, with pipes. Nothing is typed until the test does.
    fn start<A: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        Run::of(self.command(args))
    }

    /// Run to its end with these lines typed beforehand, and then nobody there.
    fn typed<A: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = A>, lines: &[&str]) -> Ended {
        let mut run = self.start(args);
        for line in lines {
            run.types(line);
        }
        run.stdin = None;
        run.ended()
    }

    /// Run to its end with nobody there.
    fn run<A: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ended {
        self.typed(args, &[])
    }

    /// The folder of the only run.
    fn folder(&self) -> PathBuf {
        self.only_folder().unwrap_or_else(|| panic!("not one run in {}", self.state().display()))
    }

    fn only_folder(&self) -> Option<PathBuf> {
        let mut all = std::fs::read_dir(self.state().join("runs")).ok()?;
        let first = all.next()?.unwrap().path();
        all.next().is_none().then_some(first)
    }

    /// What the built-in world's own log says was changed: service, operation, target, detail.
    fn effects(&self) -> Vec<String> {
        let Some(folder) = self.only_folder() else { return Vec::new() };
        let text = std::fs::read_to_string(folder.join("world/effects.jsonl")).unwrap_or_default();
        let line = |json: Json| {
            let text = |key: &str| json[key].as_str().unwrap().to_owned();
            format!("{} {}: {}", text("operation"), text("target"), text("detail"))
        };
        text.split_inclusive('\n')
            .filter(|text| text.ends_with('\n'))
            .map(|text| line(serde_json::from_str(text).unwrap()))
            .collect()
    }

    /// The built-in world as it is kept: every record set, and each service's revision and count. It can be
    /// compared; times and ids are left out.
    fn world(&self) -> Option<(Json, Vec<String>)> {
        let bytes = std::fs::read(self.only_folder()?.join("world/world.json")).ok()?;
        let world: Json = serde_json::from_slice(&bytes).unwrap();
        let sets = world["zones"].as_array().unwrap().iter().map(|zone| zone["sets"].clone()).collect();
        let services = world["ecs"]["services"].as_array().unwrap().iter().map(|service| {
            let runs = &service["deployments"][0];
            format!("{} {}:{} x {}", service["name"], runs["family"], runs["revision"], service["desired"])
        });
        Some((sets, services.collect()))
    }

    /// The journal as another process reads it, and what it folds to.
    fn journal(&self) -> (Vec<Envelope>, RunState) {
        let ended = self.run(["replay", "last", "--json"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        fold(&ended.out)
    }

    /// Waits until the file of the journal has these bytes after what it had.
    fn until_journal_has(&self, words: &str) {
        until(&format!("the journal has {words}"), || {
            let journal = std::fs::read_to_string(self.only_folder()?.join("journal.jsonl")).ok()?;
            journal.contains(words).then_some(())
        });
    }
}

/// Envelopes, one a line, and what they fold to.
fn fold(lines: &str) -> (Vec<Envelope>, RunState) {
    let mut state = RunState::default();
    let envelopes: Vec<Envelope> = lines
        .lines()
        .map(|line| {
            let envelope = Envelope::decode(line.as_bytes()).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(!matches!(envelope.event, Event::Unknown(_)), "{line}");
            state.evolve(&envelope.event, envelope.stamp());
            envelope
        })
        .collect();
    let numbers: Vec<u64> = envelopes.iter().map(|envelope| envelope.seq).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "a gap: {numbers:?}");
    (envelopes, state)
}

/// A process under way.
struct Run {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Text,
    err: Text,
    readers: Vec<thread::JoinHandle<()>>,
}

type Text = Arc<Mutex<String>>;

/// How a process ended.
#[derive(Debug)]
struct Ended {
    /// Exit code; 128 and the signal where one ended it.
    code: i32,
    out: String,
    err: String,
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn collect(from: impl std::io::Read + Send + 'static) -> (Text, thread::JoinHandle<()>) {
    let text = Text::default();
    let to = Arc::clone(&text);
    let reader = thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
            to.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    (text, reader)
}

impl Run {
    fn of(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let (out, first) = collect(child.stdout.take().unwrap());
        let (err, second) = collect(child.stderr.take().unwrap());
        Self { child, stdin, out, err, readers: vec![first, second] }
    }

    fn types(&mut self, line: &str) {
        // Where it is over already, its exit code says so.
        let _gone = writeln!(self.stdin.as_mut().unwrap(), "{line}");
    }

    fn out(&self) -> String {
        self.out.lock().unwrap().clone()
    }

    fn err(&self) -> String {
        self.err.lock().unwrap().clone()
    }

    /// Waits until standard output has these words.
    fn says(&mut self, words: &str) {
        let begun = Instant::now();
        while !self.out().contains(words) {
            let over = self.child.try_wait().unwrap();
            assert!(begun.elapsed() < LONG, "never says {words:?}:\n{}\n{}", self.out(), self.err());
            assert!(
                over.is_none() || self.out().contains(words),
                "{over:?} without {words:?}:\n{}\n{}",
                self.out(),
                self.err()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// `kill -9`, now.
    fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.ended()
    }

    fn ended(mut self) -> Ended {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < LONG, "it does not end:\n{}\n{}", self.out(), self.err());
            thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let ended = Ended { code: code(status), out: self.out(), err: self.err() };
        assert!(!ended.err.contains("panicked") && !ended.out.contains("panicked"), "{ended:?}");
        ended
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

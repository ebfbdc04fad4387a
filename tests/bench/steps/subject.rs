//! The built binary, run and looked at from outside.

use std::{
    fmt::Write as _,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::figures::median;

const GONOGO: &str = env!("CARGO_BIN_EXE_gonogo");
/// A frame that is not there by then is not coming.
const NO_FRAME: Duration = Duration::from_secs(20);

/// One run.
pub struct Run {
    /// Seconds from outside.
    pub wall: f64,
    /// Seconds from the first to the last event, as recorded.
    pub recorded: f64,
}

/// A runbook of `/bin/true`, one step after the other.
pub fn runbook(place: &Path, name: &str, steps: usize) -> PathBuf {
    let mut text = String::from(
        "format = 1\n\n[runbook]\nid = \"steps\"\ntitle = \"Many steps\"\nlead = \"mira\"\n\n\
         [people]\nmira = { name = \"Mira Okafor\" }\n\n[env.sandbox]\nkind = \"sandbox\"\n",
    );
    for i in 1..=steps {
        write!(
            text,
            "\n[[step]]\nid = \"step-{i}\"\ntitle = \"Step {i}\"\nowner = \"mira\"\nplanned = \"1s\"\n\
             action = {{ kind = \"command\", argv = [\"/bin/true\"], probe = [\"/bin/true\"] }}\n\
             rollback = {{ none = \"nothing was changed\" }}\n"
        )
        .expect("written");
    }
    let path = place.join(name);
    fs::write(&path, text).expect("written");
    path
}

fn rehearse(program: &mut Command, runbook: &Path, state: &Path) -> Output {
    program.arg("rehearse").arg(runbook).args(["--env", "sandbox", "--plain", "--auto-go", "--state-dir"]).arg(state);
    let output = program.stdin(Stdio::null()).output().expect("started");
    assert!(output.status.success(), "{}\n{}", tail(&output.stdout), tail(&output.stderr));
    output
}

fn tail(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(2000)..]).into_owned()
}

pub fn run(runbook: &Path, state: &Path) -> Run {
    let begun = Instant::now();
    rehearse(&mut Command::new(GONOGO), runbook, state);
    Run { wall: begun.elapsed().as_secs_f64(), recorded: recorded(state) }
}

/// The steady clock of the last record; the first one has zero.
fn recorded(state: &Path) -> f64 {
    let run = fs::read_dir(state.join("runs")).expect("runs").next().expect("a run").expect("read").path();
    let journal = fs::read_to_string(run.join("journal.jsonl")).expect("a journal");
    let last = journal.lines().next_back().expect("a record");
    let digits = last.split("\"elapsed\":").nth(1).expect("a clock");
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<f64>().expect("milliseconds") / 1e3
}

/// The highest resident size, MiB, as the kernel counts it.
pub fn memory_mib(runbook: &Path, state: &Path) -> f64 {
    let mut child = Command::new(GONOGO)
        .arg("rehearse")
        .arg(runbook)
        .args(["--env", "sandbox", "--plain", "--auto-go", "--state-dir"])
        .arg(state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut highest = 0.0_f64;
    while child.try_wait().expect("waited").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let high =
            text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse::<f64>().ok());
        highest = highest.max(high.unwrap_or(0.0) / 1024.0);
        std::thread::sleep(Duration::from_millis(2));
    }
    highest
}

/// fdatasync calls of a step: the difference of two runs of different length, so that what a run costs
/// once falls out. `None` where strace cannot be used.
pub fn syncs_a_step(place: &Path) -> Option<f64> {
    let count = |steps: usize| -> Option<f64> {
        let file = place.join(format!("strace-{steps}"));
        let mut strace = Command::new("strace");
        strace.args(["-f", "-c", "-e", "trace=fdatasync", "-o"]).arg(&file).arg(GONOGO);
        if Command::new("strace")
            .args(["-c", "-o", "/dev/null", "/bin/true"])
            .output()
            .is_ok_and(|o| o.status.success())
        {
            let runbook = runbook(place, &format!("syncs-{steps}.toml"), steps);
            rehearse(&mut strace, &runbook, &place.join(format!("syncs-{steps}")));
        }
        let table = fs::read_to_string(file).ok()?;
        let row = table.lines().find(|line| line.ends_with("fdatasync"))?;
        row.split_whitespace().nth(3)?.parse().ok()
    };
    Some((count(150)? - count(50)?) / 100.0)
}

/// Seconds of `--version` and of a hello world built here, run by run in turns.
pub fn version_and_hello(place: &Path, rounds: usize) -> (f64, f64) {
    let (source, hello) = (place.join("hello.rs"), place.join("hello"));
    fs::write(&source, "fn main() { println!(\"hello\"); }\n").expect("written");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc).arg("-O").arg(&source).arg("-o").arg(&hello).status().expect("rustc");
    assert!(built.success());
    let time = |program: &Path, args: &[&str]| {
        let begun = Instant::now();
        assert!(Command::new(program).args(args).stdout(Stdio::null()).status().expect("started").success());
        begun.elapsed().as_secs_f64()
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(time(Path::new(GONOGO), &["--version"]));
        theirs.push(time(&hello, &[]));
    }
    (median(&ours), median(&theirs))
}

/// Seconds of `check`.
pub fn check(runbook: &Path) -> f64 {
    let once = || {
        let begun = Instant::now();
        let output = Command::new(GONOGO).arg("check").arg(runbook).output().expect("started");
        assert!(output.status.success(), "{}", tail(&output.stderr));
        begun.elapsed().as_secs_f64()
    };
    median(&[once(), once(), once(), once(), once()])
}

/// Seconds until the screen names the mode, in a terminal of its own. `None` where it never does.
pub fn first_frame(runbook: &Path, state: &Path) -> Option<f64> {
    let once = |state: PathBuf| -> Option<f64> {
        let size = PtySize { rows: 24, cols: 80, ..PtySize::default() };
        let pty = native_pty_system().openpty(size).ok()?;
        let mut command = CommandBuilder::new(GONOGO);
        command.args(["rehearse".as_ref(), runbook.as_os_str(), "--env".as_ref(), "sandbox".as_ref()]);
        command.args(["--state-dir".as_ref(), state.as_os_str()]);
        command.env("TERM", "xterm-256color");
        for name in ["CI", "NO_COLOR"] {
            command.env_remove(name);
        }
        let mut reader = pty.master.try_clone_reader().ok()?;
        let begun = Instant::now();
        let mut child = pty.slave.spawn_command(command).ok()?;
        drop(pty.slave);
        let (seen, frame) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                all.extend_from_slice(&buffer[..n]);
                if all.windows(7).any(|word| word == b"SANDBOX") {
                    let _nobody_waits = seen.send(begun.elapsed().as_secs_f64());
                    return;
                }
            }
        });
        let first = frame.recv_timeout(NO_FRAME).ok();
        let _gone = child.kill();
        let _gone = child.wait();
        first
    };
    let times: Vec<f64> = (0..5).filter_map(|i| once(state.join(i.to_string()))).collect();
    (!times.is_empty()).then(|| median(&times))
}

//! A whole night by keys through a real terminal of 80x24: the failure, the retry, a no-go turned round, a rollback.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use gonogo::run::{Decision, Event};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::{Home, LONG, book, until};

/// The test's end of a terminal with the program behind it.
pub struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn std::io::Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    screen: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    /// The reader holds a copy of the terminal, which it lets go of at the next byte after this is set.
    closing: Arc<AtomicBool>,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

impl Pty {
    pub fn open(home: &Home, cols: u16, rows: u16, term: &str, args: &[String]) -> Self {
        Self::of(home, cols, rows, term, env!("CARGO_BIN_EXE_gonogo"), args)
    }

    /// With another program in front.
    pub fn of(home: &Home, cols: u16, rows: u16, term: &str, program: &str, args: &[String]) -> Self {
        let pair = native_pty_system().openpty(size(cols, rows)).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(home.path());
        command.env_clear();
        for (name, value) in home.environment() {
            command.env(name, value);
        }
        command.env("TERM", term);
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0)));
        let (raw, closing) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (to, kept, over) = (Arc::clone(&screen), Arc::clone(&raw), Arc::clone(&closing));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                to.lock().unwrap().process(&bytes[..read]);
                kept.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { master: Some(pair.master), writer: Some(writer), child, screen, raw, closing }
    }

    pub fn process(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Closes the terminal, as a lost connection does.
    pub fn hang_up(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        self.writer = None;
        self.master = None;
    }

    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(rows.try_into().unwrap(), cols.try_into().unwrap());
        self.master.as_ref().unwrap().resize(size(cols, rows)).unwrap();
    }

    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw.lock().unwrap()).into_owned()
    }

    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    pub fn shows(&mut self, words: &str) {
        self.shows_one(&[words]);
    }

    fn shows_one(&mut self, words: &[&str]) {
        let begun = Instant::now();
        while !words.iter().any(|words| self.text().contains(words)) {
            let over = self.child.try_wait().unwrap();
            assert!(over.is_none(), "{over:?} without {words:?}\n{}", self.text());
            assert!(begun.elapsed() < LONG, "never shows {words:?}\n{}", self.text());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn sends(&mut self, bytes: &[u8]) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(bytes).unwrap();
        writer.flush().unwrap();
    }

    /// A sheet with these words is open and hears (it is deaf for its first 400 ms); then keys, one by one as a hand
    /// types them. Whatever is asked, the screen says where.
    pub fn answers(&mut self, sheet: &str, keys: &str) {
        self.shows(sheet);
        assert!(self.text().contains("SANDBOX"), "{}", self.text());
        thread::sleep(Duration::from_millis(450));
        for key in keys.bytes() {
            if key == b'\r' {
                self.enter();
            } else {
                self.sends(&[key]);
                thread::sleep(Duration::from_millis(25));
            }
        }
    }

    /// Enter, as a hand presses it. On a machine under load letters and Enter can reach the program in one burst, which
    /// it takes for a paste and asks for Enter again.
    fn enter(&mut self) {
        thread::sleep(Duration::from_millis(150));
        self.sends(b"\r");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(250) {
            if self.text().contains("press enter again") {
                self.sends(b"\r");
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its exit code, once it has ended.
    pub fn ended(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return i32::try_from(status.exit_code()).unwrap();
            }
            assert!(begun.elapsed() < LONG, "it does not end\n{}", self.text());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn night(home: &Home) -> Pty {
    let args = ["rehearse", &book("night.toml").display().to_string(), "--env", "sandbox"].map(String::from);
    Pty::open(home, 80, 24, "xterm-256color", &args)
}

/// The decisions that were recorded, in order.
fn decisions(home: &Home) -> Vec<Decision> {
    let decided = |event: Event| if let Event::Decided { decision, .. } = event { Some(decision) } else { None };
    home.journal().0.into_iter().filter_map(|envelope| decided(envelope.event)).collect()
}

/// The deployment fails, its sheet teaches, it is tried again.
fn retried(pty: &mut Pty) {
    pty.answers("STEP FAILED", "r\r");
    pty.answers("RETRY", "retry\r");
}

#[test]
fn a_night_with_a_failure_a_retry_and_a_no_go() {
    let home = Home::new();
    let mut pty = night(&home);
    pty.shows("STEP FAILED");
    let sheet = pty.text();
    assert!(sheet.contains("circuit breaker") && sheet.contains("exit code 1"), "it says why:\n{sheet}");
    assert!(sheet.contains("failed, nothing done"), "{sheet}");
    // A letter moves the cursor; without the word behind it, nothing goes on.
    assert_eq!(decisions(&home), []);
    retried(&mut pty);
    pty.answers("Send the users to AWS?", "no-go\r");
    pty.shows("no-go by mira");
    pty.answers("Go / no-go", "dana go\r");
    pty.shows("GO dana");
    pty.answers("Go / no-go", "go\r");
    pty.answers("what they see:", "nothing unusual\rdone\r");
    pty.answers("POINT OF NO RETURN", "sandbox\r");
    pty.shows("COMPLETED");
    assert!(pty.text().contains("SANDBOX"), "{}", pty.text());
    pty.sends(b"q");
    assert_eq!(pty.ended(), 0, "{}", pty.text());
    assert_eq!(decisions(&home), [Decision::Retry, Decision::NoGo, Decision::Go]);
    let report = home.run(["report", "last"]);
    assert!(report.out.contains("nothing unusual"), "{report:?}");
}

#[test]
fn a_rollback_puts_the_world_back() {
    let home = Home::new();
    let mut pty = night(&home);
    let before = until("the world is there", || home.world());
    retried(&mut pty);
    pty.answers("Send the users to AWS?", "dana go\r");
    pty.shows("GO dana");
    pty.answers("Send the users to AWS?", "go\r");
    // Held in the middle of the switch, which comes to its end.
    pty.shows("start 4 The shop points");
    pty.sends(b" ");
    pty.shows("done  4 The shop points");
    assert_ne!(home.world().as_ref(), Some(&before));
    pty.answers("HELD", "b");
    pty.answers("ROLL BACK", "rollback\r");
    for step in ["UNDO 4", "UNDO 2", "UNDO 1"] {
        pty.answers(step, "undo\r");
    }
    pty.shows("ROLLED BACK");
    assert!(pty.text().contains("SANDBOX"), "{}", pty.text());
    pty.sends(b"q");
    assert_eq!(pty.ended(), 13, "{}", pty.text());
    assert_eq!(home.world(), Some(before));
}

/// Away to the shell and back: the keys are the screen's again, whether it left by itself or was stopped from outside.
#[test]
fn after_a_shell_had_the_terminal_every_key_counts_again() {
    let home = Home::new();
    let mut pty = Pty::of(&home, 80, 24, "xterm-256color", "bash", &["--norc", "--noprofile", "-i"].map(String::from));
    let night = book("night.toml").display().to_string();
    let line = format!("{} rehearse {night} --env sandbox\r", env!("CARGO_BIN_EXE_gonogo"));
    pty.sends(line.as_bytes());
    pty.answers("STEP FAILED", "\x1b");
    until("the sheet is closed", || (!pty.text().contains("STEP FAILED")).then_some(()));
    pty.sends(b"\x1a");
    pty.shows("Stopped");
    let shell = pty.text();
    assert!(!shell.contains("ROLLBACK OPEN"), "the shell has its own screen:\n{shell}");
    pty.sends(b"fg\r");
    pty.shows("ROLLBACK OPEN");
    // No Enter follows.
    pty.sends(b"?");
    pty.shows("KEYS");
    pty.sends(b"?x");
    pty.answers("STEP FAILED", "r\r");
    pty.shows("RETRY");
    // From outside: nobody left the screen.
    let group = pty.master.as_ref().unwrap().process_group_leader().unwrap();
    let group = rustix::process::Pid::from_raw(group).unwrap();
    rustix::process::kill_process_group(group, rustix::process::Signal::STOP).unwrap();
    pty.shows("Stopped");
    pty.sends(b"fg\r");
    until("the terminal is taken again", || (!pty.text().contains("Stopped")).then_some(()));
    pty.answers("RETRY", "retry\r");
    pty.answers("Send the users to AWS?", "dana go\r");
    pty.shows("GO dana");
}

//! The screen on a real terminal: a pty, the test binary started again as the program behind it, and a
//! made-up engine that plays the night's steps. What the terminal does (closes, shrinks, blocks, pastes)
//! may end the drawing and never the steps.
//!
//! ```text
//! test ── pty ── child: tui::run on a thread ── InputSender ──▶ engine ── EventLog ──▶ tui
//!                                                                 └──▶ progress file, which the test reads
//! ```

use std::{
    io::{Read as _, Write as _},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use gonogo::{
    base::Stamp,
    board::{Face, Zone},
    log::{EventLog, InputReceiver, InputSender, Playhead, Said},
    run::{Input, Outcome, Report, StepState},
    runbook::EnvKind,
    tui::{Exit, Options, View},
};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::night::{Night, outline, stamp};

/// Set in the child: where it writes how far it is.
const CHILD: &str = "GONOGO_TEST_SCREEN";
/// Nothing here takes this long.
const LONG: Duration = Duration::from_secs(20);

/// The program behind the terminal. Does nothing when it is run as a test.
#[test]
fn child() {
    if let Some(progress) = std::env::var_os(CHILD) {
        behind_the_terminal(Path::new(&progress));
    }
}

struct Clock(Instant);

impl Playhead for Clock {
    fn visible(&self, log: &EventLog) -> usize {
        log.len()
    }

    fn now(&self) -> Stamp {
        stamp(u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

fn behind_the_terminal(progress: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (sender, receiver) = InputSender::channel();
    let log = EventLog::default();
    let begun = Instant::now();
    let view = View {
        log: log.clone(),
        playhead: Arc::new(Clock(begun)),
        inputs: Some(sender),
        player: None,
        operator: None,
        opening: None,
        options: Options {
            ascii: false,
            color: true,
            term: std::env::var("TERM").unwrap_or_default(),
            face: Face { zone: Zone::fixed(3600, "CET"), ..Face::default() },
        },
        stop: Arc::new(AtomicBool::new(false)),
    };
    let note = progress.to_owned();
    let screen = thread::spawn(move || {
        let exit = gonogo::tui::run(&view);
        write(&note.with_extension("exit"), &format!("{exit:?}"));
        exit
    });
    runtime.block_on(engine(receiver, &log, begun, progress));
    log.close();
    let exit = screen.join().unwrap();
    // A lost terminal would take the words with it; whoever waits reads the files.
    if matches!(exit, Ok(Exit::TerminalLost)) {
        thread::sleep(Duration::from_millis(1500));
    }
    write(&progress.with_extension("over"), "over");
}

fn write(path: &Path, text: &str) {
    // Beside each file one of its own: two threads write here.
    let aside = path.with_file_name(format!("{}.aside", path.file_name().unwrap().display()));
    std::fs::write(&aside, text).unwrap();
    std::fs::rename(&aside, path).unwrap();
}

/// Plays steps of a quarter of a second, answers what is said, until the night is over.
async fn engine(mut inputs: InputReceiver, log: &EventLog, begun: Instant, progress: &Path) {
    // The process outlives its terminal, as the real one does.
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap();
    let mut outline = outline(EnvKind::Sandbox);
    outline.watches.clear();
    let mut night = Night::of(outline);
    let mut published = 0;
    let mut listening = true;
    while night.state.ended.is_none() {
        tokio::select! {
            request = inputs.next(), if listening => match request {
                Some(request) => {
                    night.ms = u64::try_from(begun.elapsed().as_millis()).unwrap();
                    let input = match request.said {
                        Said::Intent { who, typed_by, intent } => Input::Person { who, typed_by, intent },
                        Said::Leave(why) => Input::Hold(why),
                    };
                    let _ = request.answer.send(night.try_input(input).map(|_| ()));
                }
                None => listening = false,
            },
            _ = hangup.recv() => {}
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        night.ms = u64::try_from(begun.elapsed().as_millis()).unwrap();
        work(&mut night);
        log.publish(night.log[published..].iter().cloned());
        published = night.log.len();
        let settled = night.state.steps.iter().filter(|step| step.forward.state.settled()).count();
        write(progress, &settled.to_string());
    }
}

fn work(night: &mut Night) {
    for wanted in night.state.wanted_criteria() {
        if wanted.from <= night.now().elapsed {
            let count = night.state.step(&wanted.step).unwrap().1.criteria.len();
            night.criteria(wanted.step.as_str(), &vec![Ok("as it should be"); count]);
        }
    }
    for wanted in night.state.wanted() {
        let (step, run) = night.state.step(&wanted.step).unwrap();
        let attempt = run.attempts.last().unwrap();
        let waits = step.manual && attempt.owner_done.is_none();
        let old = night.now() - attempt.started > Duration::from_millis(250);
        let id = wanted.step.as_str();
        night.ready(id);
        if old && !waits && matches!(night.state.step(&wanted.step).unwrap().1.forward.state, StepState::Running) {
            night.report(id, Report::Ended(Outcome::Done(gonogo::run::Done::new("as it should be"))));
        }
    }
}

/// The test's end of the pty.
struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn std::io::Write + Send>>,
    child: Box<dyn Child + Send + Sync>,
    screen: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    /// The reader stops reading while this is locked…
    blocked: Arc<Mutex<()>>,
    /// …and lets go of the terminal at the next byte after this is set.
    closing: Arc<AtomicBool>,
    folder: tempfile::TempDir,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

fn parser(cols: u16, rows: u16) -> vt100::Parser {
    vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0)
}

impl Pty {
    fn open(cols: u16, rows: u16, term: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = native_pty_system().openpty(size(cols, rows)).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "screens::terminal::child", "--nocapture", "--quiet"]);
        command.env(CHILD, folder.path().join("progress"));
        command.env("TERM", term);
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(parser(cols, rows)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let blocked = Arc::new(Mutex::new(()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let closing = Arc::new(AtomicBool::new(false));
        let (to, kept, gate, over) =
            (Arc::clone(&screen), Arc::clone(&raw), Arc::clone(&blocked), Arc::clone(&closing));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                drop(gate.lock().unwrap());
                let Ok(read @ 1..) = reader.read(&mut bytes) else { return };
                if over.load(Ordering::SeqCst) {
                    return;
                }
                to.lock().unwrap().process(&bytes[..read]);
                kept.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { master: Some(pair.master), writer: Some(writer), child, screen, raw, blocked, closing, folder }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn until(&self, what: &str, met: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !met(self) {
            assert!(begun.elapsed() < LONG, "never {what}; progress {:?}\n{}", self.file("progress"), self.text());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn shows(&self, words: &str) {
        self.until(&format!("shows {words:?}"), |pty| pty.text().contains(words));
    }

    fn sends(&mut self, bytes: &[u8]) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(bytes).unwrap();
        writer.flush().unwrap();
    }

    /// A sheet with these words is open and hears; then keys, one by one as a hand types them.
    fn answers(&mut self, sheet: &str, keys: &str) {
        self.shows(sheet);
        // Deaf for 400 ms; what is typed before does not count, which another test holds.
        thread::sleep(Duration::from_millis(450));
        for key in keys.bytes() {
            self.sends(&[key]);
            thread::sleep(Duration::from_millis(25));
        }
    }

    fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("progress").with_file_name(name)).ok()
    }

    fn settled(&self) -> usize {
        self.file("progress").and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn ended(&self) -> String {
        self.until("ends", |pty| pty.file("progress.exit").is_some());
        self.file("progress.exit").unwrap()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_night_by_keys_and_the_terminal_as_it_was() {
    let mut pty = Pty::open(80, 24, "xterm-256color");
    let found = pty.master.as_ref().unwrap().get_termios();
    pty.answers("Freeze writes and show the maintenance page?", "dana go\r");
    pty.shows("GO dana");
    pty.answers("GO/NO-GO 1", "sam go\r");
    pty.shows("GO sam");
    pty.answers("GO/NO-GO 1", "go\r");
    pty.answers("position at promotion", "4/8A2F10\rdone\r");
    pty.answers("Send the users to AWS?", "no-go\r");
    pty.shows("no-go by mira");
    pty.answers("GO/NO-GO 2", "go\tquiet night\t\t\r");
    pty.answers("POINT OF NO RETURN", "sandbox\r");
    pty.answers("dana ✓", "sandbox\tmira\t\r");
    pty.answers("mira does this by hand", "done\r");
    pty.shows("COMPLETED");
    assert!(pty.text().starts_with("[SANDBOX]"), "{}", pty.text());
    pty.until("is over", |pty| pty.file("progress") == Some("18".into()));
    pty.sends(b"q");
    assert_eq!(pty.ended(), "Ok(Quit)");
    pty.child.wait().unwrap();
    let now = pty.master.as_ref().unwrap().get_termios();
    assert!(found.is_some() && now == found, "the settings are as they were found");
    let raw = pty.raw.lock().unwrap().clone();
    let at = |sequence: &[u8]| raw.windows(sequence.len()).rposition(|window| window == sequence);
    for (on, off) in [("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?2004h", "\x1b[?2004l"), ("\x1b[?25l", "\x1b[?25h")] {
        assert!(at(on.as_bytes()).is_some() && at(on.as_bytes()) < at(off.as_bytes()), "{on:?} is taken back");
    }
}

#[test]
fn a_closed_terminal_ends_the_drawing_and_not_the_steps() {
    let mut pty = Pty::open(80, 24, "xterm-256color");
    pty.shows("SANDBOX");
    let before = pty.settled();
    let process = pty.child.process_id().unwrap();
    // The reader holds the last copy of the terminal.
    pty.closing.store(true, Ordering::SeqCst);
    pty.writer = None;
    pty.master = None;
    assert_eq!(pty.ended(), "Ok(TerminalLost)");
    pty.until("goes on", |pty| pty.settled() >= 3);
    assert!(before < 3, "the terminal was closed in the middle of a step");
    let spent = cpu(process);
    thread::sleep(Duration::from_millis(600));
    assert!(cpu(process) - spent < 20, "a dead terminal costs nothing: {} ticks", cpu(process) - spent);
}

/// Processor time of a process in ticks of a hundredth second (`/proc/PID/stat`, fields 14 and 15).
fn cpu(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<u64>().ok()).sum()
}

#[test]
fn a_storm_of_sizes_leaves_a_usable_screen() {
    let mut pty = Pty::open(80, 24, "xterm-256color");
    pty.shows("Freeze writes");
    let sizes = [(1, 1), (0, 0), (500, 200), (80, 24), (59, 16), (7, 60), (160, 45), (200, 1)];
    for n in 0..400 {
        let (cols, rows) = sizes[n % sizes.len()];
        pty.master.as_ref().unwrap().resize(size(cols, rows)).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    for (cols, rows) in [(1, 1), (0, 0), (80, 24)] {
        pty.master.as_ref().unwrap().resize(size(cols, rows)).unwrap();
        thread::sleep(Duration::from_millis(300));
    }
    *pty.screen.lock().unwrap() = parser(80, 24);
    pty.sends(b"\x0c");
    pty.answers("Freeze writes", "dana go\r");
    pty.shows("GO dana");
    assert!(pty.text().starts_with("[SANDBOX]"), "{}", pty.text());
}

#[test]
fn what_was_pasted_or_typed_too_early_is_no_decision() {
    let mut pty = Pty::open(80, 24, "xterm-256color");
    // Before there is any screen, and while it opens.
    pty.sends(b"go\rgo\rgo\r");
    pty.shows("Freeze writes");
    pty.sends(b"go\r");
    thread::sleep(Duration::from_millis(450));
    pty.sends(b"\x1b[200~go\r\x1b[201~");
    pty.shows("paste is off here");
    pty.sends(b"go\r");
    pty.shows("like a paste");
    assert_eq!(pty.settled(), 3);
    assert!(!pty.text().contains("has not voted"), "{}", pty.text());
}

#[test]
fn a_terminal_that_takes_nothing_holds_nobody_up() {
    let mut pty = Pty::open(200, 60, "xterm-256color");
    pty.shows("SANDBOX");
    {
        let gate = Arc::clone(&pty.blocked);
        let _shut = gate.lock().unwrap();
        // Whole frames until the pty is full.
        for _ in 0..60 {
            pty.sends(b"\x0c");
        }
        pty.until("goes on", |pty| pty.settled() >= 3);
    }
    pty.shows("Freeze writes");
}

#[test]
fn no_screen_for_a_simple_terminal() {
    let pty = Pty::open(80, 24, "dumb");
    assert!(pty.ended().contains("Dumb"), "{}", pty.ended());
    assert!(!pty.text().contains("SANDBOX"));
}

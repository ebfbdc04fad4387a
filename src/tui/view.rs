//! The loop of the screen's own thread: read the log, draw, wait for keys. Nothing here is waited for
//! by the run.
//!
//! ```text
//! log ──(bell thread)──▶ pipe ─┐
//! terminal ────────────────────┴▶ poll ─▶ keys ─▶ App ─▶ effects ─▶ run, player
//!                                  └────▶ tick ─▶ App ─▶ cells ─▶ terminal
//! ```

use std::{
    io,
    os::fd::AsFd as _,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ratatui::{
    buffer::Buffer,
    layout::{Rect, Size},
};
use tokio::sync::oneshot;

use super::{
    app::{App, Effect, Setup},
    bell::Bell,
    decode::{Decoder, Typed},
    keys::{Action, Desk},
    terminal::{Lost, Terminal, TuiError},
    theme::Theme,
};
use crate::{
    base::PersonId,
    board::{Face, mode_words},
    log::{Answer, EventLog, InputSender, Playhead},
    replay::Player,
    run::{Outline, Refusal},
};

/// Figures of what runs move this often…
const RUNNING: Duration = Duration::from_millis(250);
/// …the clock this often…
const CLOCK: Duration = Duration::from_secs(1);
/// …and events are gathered for this long into one frame.
const GATHER: Duration = Duration::from_millis(40);
/// The size of the terminal and the wish to stop are looked at this often.
const LOOK: Duration = Duration::from_millis(200);
/// An answer is looked for this often while one is awaited.
const ANSWER: Duration = Duration::from_millis(10);
/// Envelopes folded between two looks at the keys.
const PORTION: usize = 20_000;
/// A screen that broke down is begun anew this often.
const LIVES: u32 = 3;

/// How things are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Only ASCII.
    pub ascii: bool,
    /// Colours may be used.
    pub color: bool,
    /// The value of `TERM`; `dumb` is refused.
    pub term: String,
    /// Zone and clock.
    pub face: Face,
}

/// What a screen shows and whom it may speak to.
pub struct View {
    /// What is read.
    pub log: EventLog,
    /// How far, and what time it is there.
    pub playhead: Arc<dyn Playhead>,
    /// The way to the run; without it the screen can only be looked at.
    pub inputs: Option<InputSender>,
    /// The player of a recorded night; the playhead is the same object.
    pub player: Option<Arc<Player>>,
    /// Who types; `None`: as the run says.
    pub operator: Option<PersonId>,
    /// What is being opened, so that the first frame says where; `None`: a run that is on the record.
    pub opening: Option<Arc<Outline>>,
    /// How things are shown.
    pub options: Options,
    /// Set by others to end the screen; noticed within [`LOOK`].
    pub stop: Arc<AtomicBool>,
}

/// How the screen ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The person quit: the run is over, or was only looked at.
    Quit,
    /// The operator left; the run was told, and its log is at its end.
    Left,
    /// The terminal is gone. The run has not been told anything.
    TerminalLost,
    /// It was told to stop.
    Stopped,
}

/// Where the last panic was; our own source, nothing of what was shown.
static BROKEN: Mutex<Option<String>> = Mutex::new(None);
/// A screen is up: a panic's text would be drawn over it, and may hold what was shown.
static UP: AtomicBool = AtomicBool::new(false);

fn keep_panics_off_the_screen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !UP.load(Ordering::SeqCst) {
                return before(info);
            }
            let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
            *BROKEN.lock().unwrap_or_else(PoisonError::into_inner) = place;
        }));
    });
}

/// Draws until the person quits, the terminal is gone or it is told to stop. Call it on a thread of its own.
///
/// # Errors
/// No terminal, a simple one, or a screen that breaks down again and again. The terminal is as it was found.
pub fn run(view: &View) -> Result<Exit, TuiError> {
    keep_panics_off_the_screen();
    let mut terminal = Terminal::take(&view.options.term)?;
    UP.store(true, Ordering::SeqCst);
    let mut result = Err(TuiError::Broken("?".into()));
    for _ in 0..LIVES {
        // The screen is a fold of the log: beginning anew loses what was being typed and nothing else.
        match panic::catch_unwind(AssertUnwindSafe(|| Screen::open(view).and_then(|mut it| it.drive(&mut terminal)))) {
            Ok(ended) => {
                result = ended.map_err(TuiError::Setup);
                break;
            }
            Err(_) => {
                terminal.redraw();
                let place = BROKEN.lock().unwrap_or_else(PoisonError::into_inner).take();
                result = Err(TuiError::Broken(place.unwrap_or_else(|| "?".into())));
            }
        }
    }
    terminal.leave();
    UP.store(false, Ordering::SeqCst);
    result
}

struct Screen<'v> {
    view: &'v View,
    app: App,
    begun: Instant,
    bell: Bell,
    bell_over: bool,
    decoder: Decoder,
    awaited: Vec<(u64, oneshot::Receiver<Answer>)>,
}

impl<'v> Screen<'v> {
    fn open(view: &'v View) -> io::Result<Self> {
        let desk = match (&view.inputs, &view.player) {
            (_, Some(_)) => Desk::Replay,
            (Some(_), None) => Desk::Live,
            (None, None) => Desk::Watch,
        };
        let setup = Setup {
            opening: view.opening.as_deref().map(mode_words),
            theme: Theme { color: view.options.color, ascii: view.options.ascii },
            desk,
            operator: view.operator.clone(),
            face: view.options.face.clone(),
            now: view.playhead.now(),
            size: Size::ZERO,
        };
        Ok(Self {
            view,
            app: App::new(setup),
            begun: Instant::now(),
            bell: Bell::hang(&view.log)?,
            bell_over: false,
            decoder: Decoder::default(),
            awaited: Vec::new(),
        })
    }

    fn drive(&mut self, terminal: &mut Terminal) -> io::Result<Exit> {
        // The first frame comes before anything is read: somebody is waiting for it.
        let size = terminal.size();
        self.tick(size);
        if self.frame(terminal, size).is_err() {
            return Ok(Exit::TerminalLost);
        }
        match self.turns(terminal) {
            Ok(exit) => Ok(exit),
            Err(Lost) => Ok(Exit::TerminalLost),
        }
    }

    fn turns(&mut self, terminal: &mut Terminal) -> Result<Exit, Lost> {
        let mut drawn = self.begun.elapsed();
        let mut size = terminal.size();
        let mut typed_at = drawn;
        // Drawn at once, or as soon as what belongs together has come together.
        let (mut at_once, mut gathering) = (true, false);
        loop {
            if self.view.stop.load(Ordering::SeqCst) {
                return Ok(Exit::Stopped);
            }
            if let Some(player) = &self.view.player {
                player.tick(self.begun.elapsed());
            }
            let more = self.read_log();
            gathering |= more > 0;
            at_once |= self.take_answers();
            terminal.regain()?;
            let now_size = terminal.size();
            if now_size != size {
                size = now_size;
                at_once = true;
            }
            self.tick(size);
            if self.app.leaving && self.view.log.closed() {
                return Ok(Exit::Left);
            }
            let at = self.begun.elapsed();
            let since = at.saturating_sub(drawn);
            let due = if self.app.busy() { RUNNING } else { CLOCK };
            if at_once || gathering && since >= GATHER || since >= due {
                self.frame(terminal, size)?;
                drawn = self.begun.elapsed();
                (at_once, gathering) = (false, false);
            }
            let spent = self.begun.elapsed().saturating_sub(drawn);
            let mut wait = LOOK.min(due.saturating_sub(spent));
            if gathering {
                wait = wait.min(GATHER.saturating_sub(spent));
            }
            if !self.awaited.is_empty() || self.decoder.waits() {
                wait = wait.min(ANSWER);
            }
            if more == PORTION {
                wait = Duration::ZERO;
            }
            // A log at its end has let go of the bell, and its pipe would wake the loop for ever.
            let bell = (!self.bell_over).then(|| self.bell.rung.as_fd());
            let woken = terminal.wait(bell, wait)?;
            if woken.bell && !self.bell_over {
                self.bell.silence();
                self.bell_over = self.view.log.closed();
            }
            let at = self.begun.elapsed();
            let typed = if woken.keys {
                typed_at = at;
                let mut bytes = [0; 4096];
                let read = terminal.read(&mut bytes)?;
                self.decoder.feed(&bytes[..read])
            } else {
                self.decoder.silence(at.saturating_sub(typed_at))
            };
            for typed in typed {
                at_once = true;
                if let Some(exit) = self.typed(&typed, at, terminal)? {
                    return Ok(exit);
                }
            }
        }
    }

    /// Reads on, or begins anew where the playhead went back. Says how many envelopes were read.
    fn read_log(&mut self) -> usize {
        let visible = self.view.playhead.visible(&self.view.log);
        if visible < self.app.seen() {
            self.app.refold();
        }
        let seen = self.app.seen();
        let envelopes = self.view.log.read(seen, visible.min(seen + PORTION));
        self.app.feed(&envelopes);
        envelopes.len()
    }

    fn tick(&mut self, size: Size) {
        let shown = self.view.player.as_ref().map(|player| player.shown());
        self.app.tick(self.view.playhead.now(), self.begun.elapsed(), size, shown);
    }

    fn frame(&mut self, terminal: &mut Terminal, size: Size) -> Result<(), Lost> {
        let mut buffer = Buffer::empty(Rect::new(0, 0, size.width, size.height));
        self.app.draw(&mut buffer);
        terminal.show(buffer)?;
        self.app.presented(self.begun.elapsed());
        Ok(())
    }

    fn take_answers(&mut self) -> bool {
        let before = self.awaited.len();
        let mut answers = Vec::new();
        self.awaited.retain_mut(|(ticket, receiver)| {
            let answer = match receiver.try_recv() {
                Ok(answer) => answer,
                Err(oneshot::error::TryRecvError::Empty) => return true,
                Err(oneshot::error::TryRecvError::Closed) => Err(Refusal::Over),
            };
            answers.push((*ticket, answer));
            false
        });
        for (ticket, answer) in answers {
            self.app.answer(ticket, answer);
        }
        self.awaited.len() != before
    }

    fn typed(&mut self, typed: &Typed, at: Duration, terminal: &mut Terminal) -> Result<Option<Exit>, Lost> {
        let effects = match typed {
            Typed::Key(key) => self.app.key(key, at),
            Typed::Paste(text) => {
                self.app.paste(text, at);
                Vec::new()
            }
        };
        for effect in effects {
            match effect {
                Effect::Say { ticket, said } => match self.view.inputs.as_ref().and_then(|inputs| inputs.say(said)) {
                    Some(answer) => self.awaited.push((ticket, answer)),
                    None => self.app.answer(ticket, Err(Refusal::Over)),
                },
                Effect::Player(action, digit) => self.play(action, digit),
                Effect::Redraw => terminal.redraw(),
                Effect::Suspend => suspend(terminal)?,
                Effect::Quit => return Ok(Some(Exit::Quit)),
            }
        }
        Ok(None)
    }

    fn play(&self, action: Action, digit: u64) {
        let Some(player) = &self.view.player else { return };
        match action {
            Action::Play => player.toggle(),
            Action::Earlier => player.jump(false),
            Action::Later => player.jump(true),
            Action::TenthBack => player.tenth(false),
            Action::TenthOn => player.tenth(true),
            Action::StepBack => player.step(false),
            Action::StepOn => player.step(true),
            Action::EventBack => player.event(false),
            Action::EventOn => player.event(true),
            Action::Slower => player.faster(false),
            Action::Faster => player.faster(true),
            Action::Idle => player.toggle_idle(),
            Action::Jump => player.to_tenth(digit),
            _ => {}
        }
    }
}

/// To the shell until it is called back.
fn suspend(terminal: &mut Terminal) -> Result<(), Lost> {
    terminal.leave();
    // Sent to this thread, so that it stops here and not after it has drawn again. Where the process cannot be stopped,
    // the screen simply comes back.
    let _ = signal_hook::low_level::raise(signal_hook::consts::SIGTSTP);
    terminal.enter().map_err(|_| Lost)
}

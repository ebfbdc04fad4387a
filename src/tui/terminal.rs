//! The terminal itself: raw mode, the other screen, bytes in, frames out, and back to how it was found
//! on every way out. A terminal that is gone is noticed here, by its descriptor.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use crossterm::{
    cursor::{Hide, Show},
    event::{DisableBracketedPaste, EnableBracketedPaste},
    queue,
    terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen},
};
use ratatui::{
    backend::{Backend as _, ClearType, CrosstermBackend},
    buffer::Buffer,
    layout::{Rect, Size},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read, write},
    process::getpgrp,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr},
};

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// Standard input or output is no terminal.
    #[error("there is no terminal to draw on")]
    NoTerminal,
    /// The terminal says that it cannot place text.
    #[error("the terminal cannot place text (TERM={0})")]
    Dumb(String),
    /// The terminal could not be set up.
    #[error("failed to set up the terminal: {0}")]
    Setup(#[source] io::Error),
    /// The screen broke down again and again; the place is our own source, nothing of what was shown.
    #[error("the screen broke down: {0}")]
    Broken(String),
}

/// The terminal is gone.
#[derive(Debug)]
pub struct Lost;

/// What woke the loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Woken {
    /// Keys can be read.
    pub keys: bool,
    /// The log has grown, or something else wants attention.
    pub bell: bool,
}

/// A terminal taken over. Dropping it gives it back.
pub struct Terminal {
    input: OwnedFd,
    backend: CrosstermBackend<Out>,
    found: Termios,
    shown: Buffer,
    up: bool,
}

/// Collects a frame and writes it at once.
struct Out {
    to: OwnedFd,
    frame: Vec<u8>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let frame = std::mem::take(&mut self.frame);
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            match write(&self.to, rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Standard input or output where they are a terminal, else the terminal that controls the process.
fn terminal_fd(standard: BorrowedFd<'_>, is_terminal: bool) -> Result<OwnedFd, TuiError> {
    if is_terminal {
        return standard.try_clone_to_owned().map_err(TuiError::Setup);
    }
    let tty = File::options().read(true).write(true).open("/dev/tty");
    tty.map(OwnedFd::from).map_err(|_| TuiError::NoTerminal)
}

impl Terminal {
    /// Takes the terminal over. `term` is the value of `TERM`.
    ///
    /// # Errors
    /// Where there is none, it is too simple, or it cannot be set up; then nothing has been changed.
    pub fn take(term: &str) -> Result<Self, TuiError> {
        if term == "dumb" {
            return Err(TuiError::Dumb(term.into()));
        }
        let (stdin, stdout) = (io::stdin(), io::stdout());
        // Output that goes elsewhere is wanted there, not drawn beside it.
        if !stdout.is_terminal() {
            return Err(TuiError::NoTerminal);
        }
        let input = terminal_fd(stdin.as_fd(), stdin.is_terminal())?;
        let output = terminal_fd(stdout.as_fd(), true)?;
        let found = tcgetattr(&input).map_err(|error| TuiError::Setup(error.into()))?;
        let backend = CrosstermBackend::new(Out { to: output, frame: Vec::new() });
        let mut terminal = Self { input, backend, found, shown: Buffer::default(), up: false };
        terminal.enter().map_err(TuiError::Setup)?;
        Ok(terminal)
    }

    /// Raw mode and the other screen.
    pub fn enter(&mut self) -> io::Result<()> {
        let mut raw = self.found.clone();
        raw.make_raw();
        tcsetattr(&self.input, OptionalActions::Flush, &raw)?;
        self.up = true;
        queue!(self.backend, EnterAlternateScreen, Hide, EnableBracketedPaste)?;
        self.redraw();
        io::Write::flush(&mut self.backend)
    }

    /// Takes the terminal over again where a shell has had it meanwhile: whoever stops the process from outside (SIGSTOP)
    /// gives nobody the time to leave.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn regain(&mut self) -> Result<(), Lost> {
        let cooked = |mode: Termios| mode.local_modes.contains(LocalModes::ICANON);
        // In the background the terminal is somebody else's, and setting it would stop us.
        let ours = || tcgetpgrp(&self.input).is_ok_and(|group| group == getpgrp());
        if self.up && tcgetattr(&self.input).is_ok_and(cooked) && ours() {
            self.enter().map_err(|_| Lost)?;
        }
        Ok(())
    }

    /// As it was found. What was typed and not read is dropped: it was meant for the screen.
    pub fn leave(&mut self) {
        if !self.up {
            return;
        }
        self.up = false;
        // Nobody is left to be told; the settings are put back even where the text is not taken.
        let _ = queue!(self.backend, EndSynchronizedUpdate, DisableBracketedPaste, Show, LeaveAlternateScreen);
        let _ = io::Write::flush(&mut self.backend);
        let _ = tcsetattr(&self.input, OptionalActions::Flush, &self.found);
    }

    /// The next frame draws every cell.
    pub fn redraw(&mut self) {
        self.shown = Buffer::default();
    }

    /// Cells; 0x0 where the terminal does not say.
    #[must_use]
    pub fn size(&self) -> Size {
        tcgetwinsize(&self.input).map_or(Size::ZERO, |size| Size::new(size.ws_col, size.ws_row))
    }

    /// Waits for keys, for a bell, or until the time is over.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn wait(&self, bell: Option<BorrowedFd<'_>>, wait: Duration) -> Result<Woken, Lost> {
        let mut watched = vec![PollFd::new(&self.input, PollFlags::IN)];
        watched.extend(bell.map(|bell| PollFd::from_borrowed_fd(bell, PollFlags::IN)));
        let wait = Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(1), tv_nsec: wait.subsec_nanos().into() };
        match poll(&mut watched, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return Err(Lost),
        }
        let seen = watched[0].revents();
        if seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Err(Lost);
        }
        Ok(Woken {
            keys: seen.contains(PollFlags::IN),
            bell: watched.get(1).is_some_and(|bell| !bell.revents().is_empty()),
        })
    }

    /// Bytes that are there; an end of file is a terminal that is gone.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, Lost> {
        match read(&self.input, bytes) {
            Ok(0) => Err(Lost),
            Ok(read) => Ok(read),
            Err(Errno::INTR | Errno::AGAIN) => Ok(0),
            Err(_) => Err(Lost),
        }
    }

    /// Draws what differs from the last frame. Blocks while the terminal takes nothing, which stops this
    /// thread and no other.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn show(&mut self, frame: Buffer) -> Result<(), Lost> {
        self.try_show(frame).map_err(|_| Lost)
    }

    fn try_show(&mut self, frame: Buffer) -> io::Result<()> {
        queue!(self.backend, BeginSynchronizedUpdate)?;
        if self.shown.area != frame.area {
            self.backend.clear_region(ClearType::All)?;
            self.shown = Buffer::empty(Rect::new(0, 0, frame.area.width, frame.area.height));
        }
        self.backend.draw(self.shown.diff(&frame).into_iter())?;
        queue!(self.backend, EndSynchronizedUpdate)?;
        io::Write::flush(&mut self.backend)?;
        self.shown = frame;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.leave();
    }
}

//! What people type: lines from standard input, read by a thread of their own and bounded.

use std::{
    collections::VecDeque,
    io::{BufRead, IsTerminal as _, Read as _},
    time::Instant,
};

use tokio::sync::mpsc;

use crate::base::clean_line;

/// Longest line, bytes: the longest reason that is kept is 500.
const LINE: u64 = 4096;
/// Lines read ahead.
const AHEAD: usize = 64;

/// A typed line and when it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub text: String,
    pub at: Instant,
    /// It was taken before and given back.
    pub again: bool,
}

/// Typed lines.
pub struct Typed {
    lines: mpsc::Receiver<Line>,
    ahead: VecDeque<Line>,
    over: bool,
    /// A person types: what was typed before a question never answers it.
    pub(super) live: bool,
    terminal: bool,
}

impl Typed {
    /// Standard input. From a terminal a person is expected; from anything else a script, whose lines
    /// are taken one by one as questions come.
    #[must_use]
    pub fn stdin() -> Self {
        let terminal = std::io::stdin().is_terminal();
        let (sender, lines) = mpsc::channel(AHEAD);
        // The thread is in `read` when the process ends; nothing has to be saved.
        std::thread::spawn(move || read(&mut std::io::stdin().lock(), &sender));
        Self { lines, ahead: VecDeque::new(), over: false, live: terminal, terminal }
    }

    /// Lines from `input`; `live`: as if a person typed them.
    #[must_use]
    pub fn from(mut input: Box<dyn BufRead + Send>, live: bool) -> Self {
        let (sender, lines) = mpsc::channel(AHEAD);
        std::thread::spawn(move || read(&mut input, &sender));
        Self { lines, ahead: VecDeque::new(), over: false, live, terminal: false }
    }

    /// Nobody types (`--no-input`).
    #[must_use]
    pub fn nobody() -> Self {
        let (_, lines) = mpsc::channel(1);
        Self { lines, ahead: VecDeque::new(), over: true, live: false, terminal: false }
    }

    /// The next line, left where it is; `None` while there is none yet.
    pub(super) fn peek(&mut self) -> Option<&Line> {
        if self.ahead.is_empty() {
            match self.lines.try_recv() {
                Ok(line) => self.ahead.push_back(line),
                Err(mpsc::error::TryRecvError::Empty) => {}
                Err(mpsc::error::TryRecvError::Disconnected) => self.over = true,
            }
        }
        self.ahead.front()
    }

    /// Takes the next line.
    pub(super) fn take(&mut self) -> Option<Line> {
        self.peek();
        self.ahead.pop_front()
    }

    /// Gives a line back: it was too early.
    pub(super) fn put_back(&mut self, line: Line) {
        self.ahead.push_front(Line { again: true, ..line });
    }

    /// Waits until there is a line to be seen, or the input is at its end.
    pub(super) async fn arrived(&mut self) {
        if self.ahead.is_empty() {
            match self.lines.recv().await {
                Some(line) => self.ahead.push_back(line),
                None => self.over = true,
            }
        }
    }

    /// True while waiting for a line makes sense.
    pub(super) fn can_wait(&self) -> bool {
        self.ahead.is_empty() && !self.over
    }

    /// True once there is nothing, and nothing will come.
    pub(super) fn ended(&mut self) -> bool {
        self.peek().is_none() && self.over
    }

    /// Throws away what stands half typed in the terminal: it was typed for something else.
    pub(super) fn discard_half_typed(&self) {
        if self.terminal {
            // Where it fails the input is no terminal any more, and nothing is typed there.
            let _gone = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
        }
    }
}

/// When a line arrived decides whether it can answer a question.
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Reads lines until the end, an error, or until nobody listens. A line that is too long is cut, and
/// its rest is thrown away.
fn read(input: &mut dyn BufRead, lines: &mpsc::Sender<Line>) {
    loop {
        let mut bytes = Vec::new();
        match (&mut *input).take(LINE).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if bytes.last() != Some(&b'\n') && bytes.len() as u64 == LINE {
            skip_line(input);
        }
        let text = clean_line(String::from_utf8_lossy(&bytes).trim(), LINE as usize);
        if lines.blocking_send(Line { text, at: now(), again: false }).is_err() {
            return;
        }
    }
}

fn skip_line(input: &mut dyn BufRead) {
    loop {
        let Ok(buffer) = input.fill_buf() else { return };
        let (used, found) = match buffer.iter().position(|b| *b == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if found {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: Vec<u8>) -> Vec<String> {
        let (sender, mut lines) = mpsc::channel(AHEAD);
        read(&mut input.as_slice(), &sender);
        drop(sender);
        std::iter::from_fn(|| lines.try_recv().ok()).map(|line| line.text).collect()
    }

    #[test]
    fn lines_are_bounded_and_clean() {
        let long = [b"a".repeat(9000), b"\nnext\x1b[2J\r\n\xff\nlast".to_vec()].concat();
        let lines = all(long);
        assert_eq!(lines[0].len(), 4096);
        assert_eq!(&lines[1..], ["next\\u{1b}[2J", "\u{fffd}", "last"]);
        assert!(all(Vec::new()).is_empty());
    }
}

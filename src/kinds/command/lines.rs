//! The output of a command on its way to the reporter.

use std::collections::VecDeque;

use crate::{base::clean_line, plan::Cx};

/// How many of the last lines explain a failure.
const TAIL: usize = 12;
/// The longest line that is told; the rest of it is cut.
const LINE: usize = 4 << 10;

/// Output on its way to the reporter: bytes as they come, lines when they are whole. Memory is bounded.
pub(super) struct Lines<'a> {
    cx: &'a Cx,
    line: Vec<u8>,
    tail: VecDeque<String>,
    output: VecDeque<u8>,
    keep: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(cx: &'a Cx, keep: usize) -> Self {
        Self { cx, line: Vec::new(), tail: VecDeque::new(), output: VecDeque::new(), keep }
    }

    pub(super) fn take(&mut self, piece: &[u8]) {
        self.cx.reporter.output(piece);
        if self.keep > 0 {
            self.output.extend(piece);
            let over = self.output.len().saturating_sub(self.keep);
            self.output.drain(..over);
        }
        let mut parts = piece.split(|&b| b == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            self.add(part);
            self.end_line();
        }
        self.add(last);
    }

    fn add(&mut self, part: &[u8]) {
        let room = LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(part.get(..room).unwrap_or(part));
    }

    fn end_line(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        let text = clean_line(text.trim_end_matches('\r'), LINE);
        self.line.clear();
        if text.is_empty() {
            return;
        }
        self.cx.line(&text);
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(text);
    }

    pub(super) fn finish(mut self) -> (VecDeque<String>, Vec<u8>) {
        self.end_line();
        (self.tail, self.output.into())
    }
}

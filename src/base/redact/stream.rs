//! Redaction of bytes that arrive in pieces.
//!
//! Only a tail that some pattern could begin with is held back, so that a line of output is seen at
//! once unless it ends like a secret starts.

use std::sync::{Arc, atomic::Ordering};

use super::{MASK, Redactor};

/// One output on its way to a sink. Whatever is still held at the end comes with [`Stream::finish`].
pub struct Stream {
    redactor: Arc<Redactor>,
    held: Vec<u8>,
    /// How many of the held bytes lie under a mask that was already written.
    masked: usize,
    /// Whether the byte before the held ones is part of a word.
    after_word: bool,
}

impl Stream {
    pub(super) fn new(redactor: Arc<Redactor>) -> Self {
        Self { redactor, held: Vec::new(), masked: 0, after_word: false }
    }

    /// Takes the next piece; answers what is certain so far.
    #[must_use]
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.held.is_empty() && !self.redactor.any.load(Ordering::Acquire) {
            if let Some(&last) = piece.last() {
                self.after_word = is_word(last);
            }
            return piece.to_vec();
        }
        self.held.extend_from_slice(piece);
        let cut = self.redactor.net().open_end(&self.held);
        self.release(cut, false)
    }

    /// Answers what was held back. Call it at the end, and where waiting longer would hide a prompt.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.release(self.held.len(), true)
    }

    fn release(&mut self, cut: usize, ends: bool) -> Vec<u8> {
        let mut masks = self.redactor.net().masks(&self.held, !self.after_word, ends);
        let mut out = Vec::with_capacity(cut);
        let mut at = self.masked.min(cut);
        let covered = self.masked;
        masks.retain_mut(|mask| {
            // A mask that begins under the one already written continues it: no second `***`.
            if mask.0 < covered {
                at = at.max(mask.1.min(cut));
                self.masked = self.masked.max(mask.1);
                return false;
            }
            true
        });
        for (from, to) in masks.into_iter().filter(|mask| mask.0 < cut) {
            out.extend_from_slice(self.held.get(at..from).unwrap_or_default());
            out.extend_from_slice(MASK.as_bytes());
            at = to.min(cut);
            self.masked = self.masked.max(to);
        }
        out.extend_from_slice(self.held.get(at..cut).unwrap_or_default());
        self.masked = self.masked.saturating_sub(cut);
        if let Some(&last) = self.held[..cut].last() {
            self.after_word = is_word(last);
        }
        self.held.drain(..cut);
        out
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

//! Bytes of a terminal into keys and pastes. crossterm's own reader is not used: it loops for ever
//! inside `read` once the terminal is gone (its source, `event/source/unix/mio.rs`, reads again on an
//! end of file), and a dead terminal must cost nothing.
//!
//! Sequences are those of xterm (ctlseqs, "PC-Style Function Keys" and "Bracketed Paste Mode"). What is
//! not known is dropped; it never becomes letters.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A lone escape byte is the escape key when nothing followed for this long.
pub const ESCAPE: Duration = Duration::from_millis(40);
/// A paste whose end never came is over after this much silence.
pub const PASTE_SILENCE: Duration = Duration::from_millis(500);
/// Longest paste that is kept.
const PASTE: usize = 64 * 1024;
/// Longest sequence that is waited for.
const SEQUENCE: usize = 32;
const PASTE_END: &[u8] = b"\x1b[201~";

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A key.
    Key(KeyEvent),
    /// Text between the marks of a paste.
    Paste(String),
}

/// Keeps the bytes of sequences that are not complete yet.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    paste: Option<Vec<u8>>,
}

impl Decoder {
    /// True while more bytes would change what the last ones mean.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.pending.is_empty() || self.paste.is_some()
    }

    /// Bytes as they were read.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        self.pending.extend_from_slice(bytes);
        loop {
            if let Some(paste) = &mut self.paste {
                match find(&self.pending, PASTE_END) {
                    Some(at) => {
                        paste.extend(self.pending.drain(..at));
                        self.pending.drain(..PASTE_END.len());
                        self.end_paste(&mut typed);
                    }
                    None => {
                        // The last bytes may be the beginning of the mark.
                        let safe = self.pending.len().saturating_sub(PASTE_END.len() - 1);
                        paste.extend(self.pending.drain(..safe));
                        paste.truncate(PASTE);
                        return typed;
                    }
                }
            }
            match next(&self.pending) {
                Next::Key(key, used) => {
                    self.pending.drain(..used);
                    typed.push(Typed::Key(key));
                }
                Next::Drop(used) => {
                    self.pending.drain(..used);
                }
                Next::Paste(used) => {
                    self.pending.drain(..used);
                    self.paste = Some(Vec::new());
                }
                Next::More => return typed,
            }
        }
    }

    /// Nothing came for a while: what waits is complete as it is.
    pub fn silence(&mut self, spent: Duration) -> Vec<Typed> {
        let mut typed = Vec::new();
        if self.paste.is_some() {
            if spent >= PASTE_SILENCE {
                if let Some(paste) = &mut self.paste {
                    paste.append(&mut self.pending);
                }
                self.end_paste(&mut typed);
            }
        } else if spent >= ESCAPE && !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            if pending == [0x1b] {
                typed.push(Typed::Key(plain(KeyCode::Esc)));
            }
        }
        typed
    }

    fn end_paste(&mut self, typed: &mut Vec<Typed>) {
        if let Some(paste) = self.paste.take() {
            typed.push(Typed::Paste(String::from_utf8_lossy(&paste).into_owned()));
        }
    }
}

enum Next {
    Key(KeyEvent, usize),
    Drop(usize),
    Paste(usize),
    More,
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn plain(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn next(bytes: &[u8]) -> Next {
    match bytes {
        [] => Next::More,
        [0x1b] => Next::More,
        [0x1b, b'[', rest @ ..] => csi(rest),
        [0x1b, b'O', rest @ ..] => match rest.first() {
            None => Next::More,
            Some(byte) => letter(*byte, KeyModifiers::NONE).map_or(Next::Drop(3), |key| Next::Key(key, 3)),
        },
        [0x1b, 0x1b, ..] => Next::Key(plain(KeyCode::Esc), 1),
        [0x1b, rest @ ..] => match character(rest) {
            Next::Key(mut key, used) => {
                key.modifiers |= KeyModifiers::ALT;
                Next::Key(key, used + 1)
            }
            Next::Drop(used) => Next::Drop(used + 1),
            other => other,
        },
        _ => character(bytes),
    }
}

/// One character, or a control key.
fn character(bytes: &[u8]) -> Next {
    let Some(&first) = bytes.first() else { return Next::More };
    let control = |c: u8| KeyEvent::new(KeyCode::Char(char::from(c)), KeyModifiers::CONTROL);
    match first {
        b'\r' | b'\n' => Next::Key(plain(KeyCode::Enter), 1),
        b'\t' => Next::Key(plain(KeyCode::Tab), 1),
        0x7f | 0x08 => Next::Key(plain(KeyCode::Backspace), 1),
        0 => Next::Key(control(b' '), 1),
        1..=26 => Next::Key(control(first - 1 + b'a'), 1),
        27..=31 => Next::Drop(1),
        _ => {
            let length = match first {
                0..0x80 => 1,
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => return Next::Drop(1),
            };
            if bytes.len() < length {
                return Next::More;
            }
            let c = std::str::from_utf8(&bytes[..length]).ok().and_then(|text| text.chars().next());
            c.map_or(Next::Drop(1), |c| Next::Key(plain(KeyCode::Char(c)), length))
        }
    }
}

/// What follows `ESC [`.
fn csi(rest: &[u8]) -> Next {
    let Some(end) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        return if rest.len() > SEQUENCE { Next::Drop(rest.len() + 2) } else { Next::More };
    };
    let used = end + 3;
    let Ok(parameters) = std::str::from_utf8(&rest[..end]) else { return Next::Drop(used) };
    let mut numbers = parameters.split(';').map(|number| number.parse::<u16>().unwrap_or(0));
    let first = numbers.next().unwrap_or(0);
    let modifiers = modifiers(numbers.next().unwrap_or(1));
    let key = match rest[end] {
        b'~' => match first {
            200 => return Next::Paste(used),
            1 | 7 => Some(KeyCode::Home),
            3 => Some(KeyCode::Delete),
            4 | 8 => Some(KeyCode::End),
            5 => Some(KeyCode::PageUp),
            6 => Some(KeyCode::PageDown),
            11 => Some(KeyCode::F(1)),
            _ => None,
        }
        .map(|code| KeyEvent::new(code, modifiers)),
        b'Z' => Some(KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT)),
        byte => letter(byte, modifiers),
    };
    key.map_or(Next::Drop(used), |key| Next::Key(key, used))
}

fn letter(byte: u8, modifiers: KeyModifiers) -> Option<KeyEvent> {
    let code = match byte {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        b'P' => KeyCode::F(1),
        b'M' => KeyCode::Enter,
        _ => return None,
    };
    Some(KeyEvent::new(code, modifiers))
}

/// 1 + shift 1 + alt 2 + control 4.
fn modifiers(number: u16) -> KeyModifiers {
    let bits = number.saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)] {
        if bits & bit != 0 {
            modifiers |= modifier;
        }
    }
    modifiers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(typed: &[Typed]) -> Vec<KeyCode> {
        typed
            .iter()
            .map(|typed| match typed {
                Typed::Key(key) => key.code,
                Typed::Paste(text) => panic!("pasted {text}"),
            })
            .collect()
    }

    #[test]
    fn keys() {
        let mut decoder = Decoder::default();
        let typed = decoder.feed("gé\r\x03\x1b[A\x1b[1;2C\x1bOH\x1b[6~\x7f\t\x1b[Z数".as_bytes());
        use KeyCode::{BackTab, Backspace, Char, Enter, Home, PageDown, Right, Tab, Up};
        assert_eq!(
            codes(&typed),
            [Char('g'), Char('é'), Enter, Char('c'), Up, Right, Home, PageDown, Backspace, Tab, BackTab, Char('数')]
        );
        assert!(!decoder.waits());
    }

    #[test]
    fn an_escape_is_told_from_a_sequence_by_silence() {
        let mut decoder = Decoder::default();
        assert!(decoder.feed(b"\x1b").is_empty());
        assert!(decoder.silence(Duration::from_millis(1)).is_empty());
        assert_eq!(codes(&decoder.silence(ESCAPE)), [KeyCode::Esc]);
        assert!(decoder.feed(b"\x1b").is_empty());
        assert_eq!(codes(&decoder.feed(b"[B")), [KeyCode::Down]);
    }

    #[test]
    fn a_paste_is_no_keys_however_it_is_cut() {
        let bytes = b"\x1b[200~go\r\x1b[A\x1b[201~x";
        for cut in 0..bytes.len() {
            let mut decoder = Decoder::default();
            let mut typed = decoder.feed(&bytes[..cut]);
            typed.extend(decoder.feed(&bytes[cut..]));
            let key = Typed::Key(plain(KeyCode::Char('x')));
            assert_eq!(typed, [Typed::Paste("go\r\x1b[A".into()), key], "cut at {cut}");
        }
    }

    #[test]
    fn a_paste_without_an_end_gives_the_keys_back() {
        let mut decoder = Decoder::default();
        assert!(decoder.feed(b"\x1b[200~go").is_empty());
        assert_eq!(decoder.silence(PASTE_SILENCE), [Typed::Paste("go".into())]);
        assert_eq!(codes(&decoder.feed(b" ")), [KeyCode::Char(' ')]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_harmless(chunks in proptest::collection::vec(proptest::collection::vec(0u8.., 0..12), 0..12)) {
            let mut decoder = Decoder::default();
            for chunk in chunks {
                decoder.feed(&chunk);
            }
            decoder.silence(PASTE_SILENCE);
            proptest::prop_assert!(!decoder.waits());
        }
    }
}

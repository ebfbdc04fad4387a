//! The file as read: its text, its hash, and where a byte stands in lines and columns.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::value::Span;

/// A runbook's bytes as text. Where the bytes were not UTF-8 or too many, the text is only good
/// enough to point at the mistake.
#[derive(Debug, Clone, Default)]
pub struct Source {
    path: String,
    text: String,
    sha256: String,
    lines: Vec<usize>,
}

/// A place for people: both count from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

const BOM: char = '\u{feff}';

impl Source {
    /// The text of `path`; `bytes` are what the hash is taken of.
    #[must_use]
    pub fn new(path: &str, text: String, bytes: &[u8]) -> Self {
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1));
        Self { path: crate::base::clean_line(path, 400), text, sha256: sha256_hex(bytes), lines }
    }

    /// The file's name as given, safe to print.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the file's bytes, lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The text of a span; empty where the span does not fit the text.
    #[must_use]
    pub fn slice(&self, span: &Span) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Where a byte stands. A byte past the end stands at the end.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        let offset = self.floor(offset);
        let index = self.line_index(offset);
        let start = self.lines.get(index).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        let before = if index == 0 { before.trim_start_matches(BOM) } else { before };
        Place { line: index + 1, column: before.chars().count() + 1 }
    }

    /// The bytes of the line, counted from 0, without its end.
    #[must_use]
    pub fn line(&self, index: usize) -> Span {
        let start = self.lines.get(index).copied().unwrap_or(self.text.len());
        let next = self.lines.get(index + 1).copied().unwrap_or(self.text.len());
        let line = self.text.get(start..next).unwrap_or_default();
        let bom = if index == 0 && line.starts_with(BOM) { BOM.len_utf8() } else { 0 };
        start + bom..start + line.trim_end_matches(['\n', '\r']).len().max(bom)
    }

    /// The line, counted from 0, on which a byte stands.
    #[must_use]
    pub fn line_index(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start <= offset).saturating_sub(1)
    }

    /// `offset` moved back to the start of its character and into the text.
    #[must_use]
    pub fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

/// SHA-256 as lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters() {
        let source = Source::new("x", "\u{feff}äb\r\nc\n".into(), b"");
        assert_eq!(source.place(3), Place { line: 1, column: 1 });
        assert_eq!(source.place(5), Place { line: 1, column: 2 });
        assert_eq!(source.place(8), Place { line: 2, column: 1 });
        assert_eq!(source.place(99), Place { line: 3, column: 1 });
        assert_eq!(source.slice(&source.line(0)), "äb");
        assert_eq!(source.slice(&source.line(1)), "c");
        assert_eq!(source.slice(&source.line(7)), "");
    }

    #[test]
    fn hash_is_of_the_bytes() {
        assert!(Source::new("x", String::new(), b"abc").sha256().starts_with("ba7816bf"));
    }
}

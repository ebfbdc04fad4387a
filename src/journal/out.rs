//! What a command printed: its first and last part on disk, the size and hash of all of it in the journal.
//!
//! Memory is bounded by the last part whatever is printed. Nothing is synced: output may be lost in a crash,
//! its hash in the outcome says so.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::frame::hex_text;

/// Bytes kept from the beginning.
pub const FIRST: usize = 256 << 10;
/// Bytes kept from the end.
pub const LAST: usize = 256 << 10;

/// The file of one attempt's output. It takes bytes as they come, already redacted.
#[derive(Debug)]
pub struct OutFile {
    folder: PathBuf,
    name: String,
    file: Option<File>,
    size: u64,
    hash: Sha256,
    last: VecDeque<u8>,
    failed: Option<io::Error>,
}

/// What was printed in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The file, `out/migrate-1.log` below the run's folder; `None` where nothing was printed.
    pub file: Option<String>,
    /// Bytes printed.
    pub size: u64,
    /// SHA-256 of all of them, hex.
    pub sha256: String,
    /// True if the file holds all of them.
    pub whole: bool,
}

impl OutFile {
    pub(super) fn new(folder: PathBuf, name: String) -> Self {
        let (hash, last) = (Sha256::new(), VecDeque::new());
        Self { folder, name, file: None, size: 0, hash, last, failed: None }
    }

    /// Takes the next bytes. It cannot fail: a full disk must not stop a command, so the first error is kept
    /// for [`OutFile::finish`] and the rest is only counted and hashed.
    pub fn push(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        let before = usize::try_from(self.size).unwrap_or(usize::MAX);
        self.size += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(FIRST.saturating_sub(before)));
        if !first.is_empty() {
            self.write(first);
        }
        let rest = &rest[rest.len().saturating_sub(LAST)..];
        let over = (self.last.len() + rest.len()).saturating_sub(LAST);
        self.last.drain(..over);
        self.last.extend(rest);
    }

    /// Writes the last part and tells the whole. The error is the first that kept the file from being written;
    /// the size and the hash hold all the same.
    pub fn finish(mut self) -> (Output, Option<io::Error>) {
        let left_out = self.size.saturating_sub((FIRST + self.last.len()) as u64);
        if left_out > 0 {
            self.write(format!("\n[… {left_out} bytes left out …]\n").as_bytes());
        }
        let last = std::mem::take(&mut self.last);
        if !last.is_empty() {
            let (a, b) = last.as_slices();
            self.write(a);
            self.write(b);
        }
        let output = Output {
            file: self.file.is_some().then(|| format!("out/{}", self.name)),
            size: self.size,
            sha256: hex_text(&self.hash.finalize().into()),
            whole: left_out == 0 && self.failed.is_none(),
        };
        (output, self.failed)
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let path = self.folder.join(&self.name);
        let written = match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => create(&path).and_then(|file| self.file.insert(file).write_all(bytes)),
        };
        self.failed = written.err();
    }
}

fn create(path: &Path) -> io::Result<File> {
    // Exclusive creation follows no link either.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

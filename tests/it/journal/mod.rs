//! The journal is attacked: bytes are changed, cut and moved, processes killed, disks made to fail.

mod chain;
mod child;
mod disk;
mod folder;
mod lock;
mod out;
mod resume;
mod tail;
mod thread;

use std::path::{Path, PathBuf};

use gonogo::{
    base::RunId,
    journal::{Journal, Load, Pin, Room, RunDir},
};

pub const RUN: &str = "20261206-013000-7f3a9c";

pub fn run() -> RunId {
    RUN.parse().unwrap()
}

/// Small demands, so that a test also runs on a small disk.
pub const ROOM: Room = Room { free: 1 << 20, reserve: 64 << 10, shared: false };

/// A text as the conductor would write it.
pub fn text(seq: u64, fill: usize) -> Vec<u8> {
    format!(
        r#"{{"seq":{seq},"at":"2026-12-06T01:30:00.123Z","elapsed":{seq}00,"event":{{"line":"{}"}}}}"#,
        "x".repeat(fill)
    )
    .into_bytes()
}

/// A state folder with one run of so many records, not driven any more.
pub struct Made {
    pub state: tempfile::TempDir,
    pub dir: PathBuf,
}

impl Made {
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal.jsonl")
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.journal()).unwrap()
    }

    pub fn set(&self, bytes: &[u8]) {
        std::fs::write(self.journal(), bytes).unwrap();
    }
}

pub fn create(state: &Path) -> Journal {
    RunDir::create(state, &run(), b"runbook", b"{}", ROOM).unwrap()
}

pub fn made(records: u64, sealed_at: u64) -> Made {
    let state = tempfile::tempdir().unwrap();
    let mut journal = create(state.path());
    for seq in 1..=records {
        journal.append(&[text(seq, 20)], false).unwrap();
        if seq == sealed_at {
            journal.seal_head().unwrap();
        }
    }
    journal.append(&[], true).unwrap();
    let dir = journal.dir().path().to_owned();
    Made { state, dir }
}

/// Verifies bytes in memory.
pub fn verify(bytes: &[u8], pins: &[Pin]) -> Load {
    gonogo::journal::verify(bytes, &run(), pins).unwrap()
}

/// Where each line ends.
pub fn ends(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|&at| bytes[at] == b'\n').map(|at| at + 1).collect()
}

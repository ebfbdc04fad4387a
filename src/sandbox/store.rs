//! The world on disk: `world.json`, replaced whole before an answer is sent, and `effects.jsonl`, one
//! line for every change that was made. The world carries its newest effects too, so that a process
//! killed between the two writes neither loses nor doubles a line.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::world::World;

const WORLD: &str = "world.json";
const LOCK: &str = "world.lock";
const EFFECTS: &str = "effects.jsonl";

/// A directory that keeps the world; without one it lives in memory.
pub(super) struct Store {
    dir: Option<PathBuf>,
    /// Held while the world runs: two processes on one directory would overwrite each other. Ends with the process.
    _lock: Option<File>,
    /// Number of the newest effect in the file.
    written: u64,
}

impl Store {
    /// Opens the directory and reads the world that is in it, if there is one.
    pub fn open(dir: Option<PathBuf>) -> io::Result<(Self, Option<World>)> {
        let Some(dir) = dir else { return Ok((Self { dir: None, _lock: None, written: 0 }, None)) };
        fs::create_dir_all(&dir)?;
        let lock = OpenOptions::new().create(true).append(true).open(dir.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process has it"));
            }
            Err(TryLockError::Error(e)) => return Err(e),
        }
        let world = match fs::read(dir.join(WORLD)) {
            Ok(bytes) => Some(serde_json::from_slice::<World>(&bytes).map_err(io::Error::other)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        let written = mend(&dir.join(EFFECTS))?;
        Ok((Self { dir: Some(dir), _lock: Some(lock), written }, world))
    }

    /// Where the effects are listed.
    pub fn effects(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(EFFECTS))
    }

    /// Where the visitors' numbers are kept.
    pub fn metrics(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join("metrics.jsonl"))
    }

    /// Leaves the origins' authority where clients that are not ours can read it.
    pub fn keep_authority(&self, pem: &str) -> io::Result<Option<PathBuf>> {
        let Some(dir) = &self.dir else { return Ok(None) };
        let file = dir.join("ca.pem");
        fs::write(&file, pem)?;
        Ok(Some(file))
    }

    /// Replaces the world, then appends the effects that the file does not have yet.
    pub fn save(&mut self, world: &World, bytes: &[u8]) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let aside = dir.join("world.json.new");
        fs::write(&aside, bytes)?;
        fs::rename(&aside, dir.join(WORLD))?;
        let fresh: Vec<_> = world.effects.iter().filter(|effect| effect.n > self.written).collect();
        if let Some(last) = fresh.last() {
            let mut lines = Vec::new();
            for effect in &fresh {
                serde_json::to_writer(&mut lines, effect).map_err(io::Error::other)?;
                lines.push(b'\n');
            }
            OpenOptions::new().create(true).append(true).open(dir.join(EFFECTS))?.write_all(&lines)?;
            self.written = last.n;
        }
        Ok(())
    }
}

/// Cuts a torn last line off and returns the number of the last whole one.
fn mend(path: &Path) -> io::Result<u64> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(e),
    };
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    if whole < bytes.len() {
        OpenOptions::new().write(true).open(path)?.set_len(whole as u64)?;
    }
    let last = bytes[..whole].split(|b| *b == b'\n').rfind(|line| !line.is_empty());
    let number = |line| serde_json::from_slice::<serde_json::Value>(line).ok()?["n"].as_u64();
    Ok(last.and_then(number).unwrap_or(0))
}

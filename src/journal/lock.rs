//! Who drives: a lock on a file for as long as the process lives.
//!
//! The lock itself (`flock`) is what counts: the system lets go of it when the process is gone, however it
//! went, and children do not get the descriptor. The text in the file only tells people whom to ask.

use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Read, Write},
    thread,
    time::Duration,
};

use rustix::{
    fs::{Stat, fstat, ftruncate},
    process::{getpid, getuid},
    system::uname,
};

use super::{error::RunDirError, folder::Folder};
use crate::base::clean_line;

const NAME: &str = "lock";
/// How often a lock that is taken is tried again.
const LOOKS: u32 = 4;
/// Between two tries: a look takes microseconds, signing a lock less than a millisecond.
const PAUSE: Duration = Duration::from_millis(5);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

/// Who holds a lock, as far as its text tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: Option<u32>,
    /// The boot of its machine.
    pub boot: String,
    /// Its machine.
    pub host: String,
    /// Its user.
    pub user: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid} of {} on {}", self.user, self.host),
            None => f.write_str("another process"),
        }
    }
}

impl Holder {
    fn us() -> Self {
        let name = ["USER", "LOGNAME"].iter().find_map(|key| std::env::var(key).ok()).unwrap_or_default();
        Self {
            pid: u32::try_from(getpid().as_raw_pid()).ok(),
            boot: std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
            host: clean_line(&uname().nodename().to_string_lossy(), 120),
            user: clean_line(&format!("{name} (uid {})", getuid().as_raw()), 120).trim_start().to_owned(),
        }
    }

    fn text(&self) -> String {
        let pid = self.pid.map(|pid| pid.to_string()).unwrap_or_default();
        format!("pid {pid}\nboot {}\nhost {}\nuser {}\n", self.boot, self.host, self.user)
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            clean_line(value.unwrap_or_default(), 120)
        };
        Self { pid: field("pid").parse().ok(), boot: field("boot"), host: field("host"), user: field("user") }
    }
}

impl Lock {
    /// Makes the lock of a new run and takes it.
    pub fn create(folder: &Folder) -> Result<Self, RunDirError> {
        Self::take(folder, folder.create(NAME)?)
    }

    /// Takes the lock of a run, or says who has it.
    pub fn acquire(folder: &Folder) -> Result<Self, RunDirError> {
        let missing = || RunDirError::NotThere { path: folder.path().join(NAME) };
        Self::take(folder, folder.append(NAME)?.ok_or_else(missing)?)
    }

    fn take(folder: &Folder, file: File) -> Result<Self, RunDirError> {
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // A listing looks whether a run is driven by sharing the lock for a moment.
                Err(TryLockError::WouldBlock) if tries < LOOKS => tries += 1,
                Err(TryLockError::WouldBlock) => return Err(RunDirError::Held(holder_of(&file))),
                Err(TryLockError::Error(error)) => return Err(folder.io("lock", NAME)(error)),
            }
            thread::sleep(PAUSE);
        }
        let lock = Self { file };
        // Somebody may have put another file in its place between opening and locking: that one counts.
        if !lock.in_place(folder) {
            return Err(RunDirError::Unsafe { path: folder.path().join(NAME), what: "it was replaced just now" });
        }
        lock.sign().map_err(folder.io("write", NAME))?;
        Ok(lock)
    }

    /// True while the folder's lock is this one.
    pub fn in_place(&self, folder: &Folder) -> bool {
        let id = |stat: Stat| (stat.st_dev, stat.st_ino);
        matches!((fstat(&self.file), folder.stat_of(NAME)), (Ok(ours), Ok(named)) if id(ours) == id(named))
    }

    fn sign(&self) -> io::Result<()> {
        ftruncate(&self.file, 0)?;
        (&self.file).write_all(Holder::us().text().as_bytes())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // So that the next one to be refused is not told of us.
        let _ = ftruncate(&self.file, 0);
        // A child that was forked and has not yet started its program shares the descriptor for a moment: closing
        // ours would not be enough.
        let _ = self.file.unlock();
    }
}

/// Who drives the run of this folder now; `None` if nobody does.
pub(super) fn holder(folder: &Folder) -> Result<Option<Holder>, RunDirError> {
    let Some(file) = folder.read(NAME)? else { return Ok(None) };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(holder_of(&file))),
        Err(TryLockError::Error(error)) => Err(folder.io("look at", NAME)(error)),
    }
}

/// The text of a lock that somebody holds. The winner of a race needs a moment to sign.
fn holder_of(file: &File) -> Holder {
    const TRIES: u32 = 20;
    let read = || {
        let mut text = String::new();
        // By a position of its own: the descriptor is at the start, since it was only just opened.
        rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0)).ok()?;
        file.take(4096).read_to_string(&mut text).ok()?;
        Some(Holder::parse(&text)).filter(|holder| holder.pid.is_some())
    };
    for _ in 0..TRIES {
        if let Some(holder) = read() {
            return holder;
        }
        thread::sleep(PAUSE);
    }
    Holder::default()
}

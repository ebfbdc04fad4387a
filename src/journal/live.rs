//! What lives on: a lock that every program shares which an attempt of a step started to change something, handed down
//! to whatever those start.
//!
//! The system lets go of it with the last of them, however they and the process that started them went. Nothing is
//! written into the file.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};

/// Never through a link, and only a child that is meant to gets it.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A share of the lock, held until the last copy of the descriptor is closed.
pub(super) fn share(path: &Path) -> io::Result<File> {
    let file = File::from(open(path, FLAGS | OFlags::CREATE, PRIVATE)?);
    // Waits for a look at most, which takes microseconds.
    file.lock_shared()?;
    Ok(file)
}

/// True while anybody has a share.
pub(super) fn shared(path: &Path) -> io::Result<bool> {
    let file = match open(path, FLAGS, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

//! The run's socket as a name in its folder. Who drives the run makes it, under the run's lock, in the place of
//! one that a killed process left behind; other terminals of the same user find it.
//!
//! The name is reached through the open folder (`/proc/self/fd/N/socket`): the system takes at most 107 bytes of
//! a socket's path, and a state folder may be deeper than that.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, chmodat},
    process::geteuid,
};

use super::{dir::RunDir, error::RunDirError};

const SOCKET: &str = "socket";
const PERMISSIONS: u32 = 0o777;

impl RunDir {
    /// Makes the socket with `bind`, which is given its path, private and ours. A name that is there already is
    /// that of a process that is gone, since the lock is ours.
    ///
    /// # Errors
    /// Where this process does not drive the run, where something else than a file stands in the way, or as
    /// `bind` says.
    pub fn listen<T>(&self, bind: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, RunDirError> {
        let refused = |what| RunDirError::Unsafe { path: self.folder().path().join(SOCKET), what };
        if !self.locked() {
            return Err(refused("the run is driven by somebody else"));
        }
        self.folder().must_be_private()?;
        self.folder().remove(SOCKET)?;
        let bound = bind(&self.way()).map_err(self.folder().io("listen at", SOCKET))?;
        let private = Mode::RUSR | Mode::WUSR;
        chmodat(self.folder(), SOCKET, private, AtFlags::empty()).map_err(self.folder().io("close", SOCKET))?;
        self.socket()?.ok_or_else(|| refused("it is gone again"))?;
        Ok(bound)
    }

    /// Where other terminals find the run, for as long as this folder is open; `None` while nobody listens. The
    /// name says nothing of whether its process lives.
    ///
    /// # Errors
    /// Where it, or the folder around it, is not ours alone.
    pub fn socket(&self) -> Result<Option<PathBuf>, RunDirError> {
        let refused = |what| Err(RunDirError::Unsafe { path: self.folder().path().join(SOCKET), what });
        self.folder().must_be_private()?;
        let stat = match self.folder().stat_of(SOCKET) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.folder().io("look at", SOCKET)(errno)),
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return refused("it is not a socket");
        }
        if stat.st_uid != geteuid().as_raw() {
            return refused("it belongs to another user");
        }
        if stat.st_mode & PERMISSIONS & !0o600 != 0 {
            return refused("others may use it");
        }
        Ok(Some(self.way()))
    }

    /// Takes the name away; who is connected stays so.
    ///
    /// # Errors
    /// If the system says no.
    pub fn hang_up(&self) -> Result<(), RunDirError> {
        if self.locked() { self.folder().remove(SOCKET) } else { Ok(()) }
    }

    /// The socket's path by the open folder; its plain path where there is no `/proc`.
    fn way(&self) -> PathBuf {
        let folder = PathBuf::from(format!("/proc/self/fd/{}", self.folder().as_fd().as_raw_fd()));
        if folder.is_dir() { folder.join(SOCKET) } else { self.folder().path().join(SOCKET) }
    }
}

//! A run's folder and its files, by descriptor: names are looked up below the open folder, links and
//! anything but plain files are refused, new files are private and must not exist.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, mkdirat, open, openat, renameat, statat, unlinkat},
    io::Errno,
    process::geteuid,
};

use super::error::RunDirError;

const PRIVATE_FOLDER: Mode = Mode::RWXU;
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Never through a link, never waiting for the other end of a pipe, never passed to a child.
const PLAIN: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder that is not a link.
    pub fn open(path: &Path) -> Result<Self, RunDirError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Without a slash at the end, which would go through a link.
        let path: &Path = &path.components().collect::<PathBuf>();
        match open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_owned() }),
            Err(Errno::NOENT) => Err(RunDirError::NotThere { path: path.to_owned() }),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                Err(RunDirError::Unsafe { path: path.to_owned(), what: "it is not a folder, or a link to one" })
            }
            Err(errno) => Err(io_error("open", path)(errno)),
        }
    }

    /// Makes a folder in this one; it must not exist.
    pub fn make(&self, name: &str) -> Result<Self, RunDirError> {
        let path = self.path.join(name);
        match mkdirat(&self.fd, name, PRIVATE_FOLDER) {
            Ok(()) => Self::open(&path),
            Err(Errno::EXIST) => Err(RunDirError::Exists { path }),
            Err(errno) => Err(io_error("make", &path)(errno)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn stat(&self) -> Result<Stat, RunDirError> {
        fstat(&self.fd).map_err(io_error("look at", &self.path))
    }

    /// A name in it, a link as itself.
    pub fn stat_of(&self, name: &str) -> Result<Stat, Errno> {
        statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// A new, private file to append to; nothing may be there, not even a dead link.
    pub fn create(&self, name: &str) -> Result<File, RunDirError> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | PLAIN;
        match openat(&self.fd, name, flags, PRIVATE_FILE) {
            Ok(fd) => Ok(File::from(fd)),
            Err(Errno::EXIST) => Err(RunDirError::Exists { path: self.path.join(name) }),
            Err(errno) => Err(self.io("create", name)(errno)),
        }
    }

    /// A plain file to read, with one name only. `None` if it is not there.
    pub fn read(&self, name: &str) -> Result<Option<File>, RunDirError> {
        self.open_plain(name, OFlags::RDONLY)
    }

    /// A plain file to read and append to, ours and nobody else's. `None` if it is not there.
    pub fn append(&self, name: &str) -> Result<Option<File>, RunDirError> {
        let file = self.open_plain(name, OFlags::RDWR | OFlags::APPEND)?;
        if let Some(file) = &file {
            private(&fstat(file).map_err(self.io("look at", name))?, &self.path.join(name))?;
        }
        Ok(file)
    }

    fn open_plain(&self, name: &str, flags: OFlags) -> Result<Option<File>, RunDirError> {
        let refused = |what| RunDirError::Unsafe { path: self.path.join(name), what };
        let fd = match openat(&self.fd, name, flags | PLAIN, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(refused("it is a link")),
            Err(Errno::NXIO | Errno::ISDIR) => return Err(refused("it is not a plain file")),
            Err(errno) => return Err(self.io("open", name)(errno)),
        };
        let stat = fstat(&fd).map_err(self.io("look at", name))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused("it is not a plain file"));
        }
        if stat.st_nlink != 1 {
            return Err(refused("it has a second name, so somebody else may hold it"));
        }
        Ok(Some(File::from(fd)))
    }

    /// The bytes of a plain file, at most `max`.
    pub fn bytes(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, RunDirError> {
        let Some(file) = self.read(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file.take(max + 1).read_to_end(&mut bytes).map_err(self.io("read", name))?;
        if read as u64 > max {
            return Err(RunDirError::Unsafe { path: self.path.join(name), what: "it is far too large" });
        }
        Ok(Some(bytes))
    }

    /// A new file with these bytes, synced. The folder is not.
    pub fn put_new(&self, name: &str, bytes: &[u8]) -> Result<File, RunDirError> {
        let mut file = self.create(name)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(self.io("write", name))?;
        Ok(file)
    }

    /// Sets `name` to these bytes at once: written aside, synced, renamed, the folder synced.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), RunDirError> {
        let aside = format!("{name}.new");
        self.remove(&aside)?;
        drop(self.put_new(&aside, bytes)?);
        self.rename(&aside, name)
    }

    /// Gives a file its name and syncs the folder.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), RunDirError> {
        renameat(&self.fd, from, &self.fd, to).map_err(self.io("rename", from))?;
        self.sync()
    }

    /// Takes a name away, if it is there.
    pub fn remove(&self, name: &str) -> Result<(), RunDirError> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.io("remove", name)(errno)),
        }
    }

    /// Makes new names last.
    pub fn sync(&self) -> Result<(), RunDirError> {
        rustix::fs::fsync(&self.fd).map_err(io_error("sync", &self.path))
    }

    /// Refuses a folder that is not ours alone.
    pub fn must_be_private(&self) -> Result<(), RunDirError> {
        private(&self.stat()?, &self.path)
    }

    /// Refuses a folder in which others could swap what is ours.
    pub fn must_be_safe(&self) -> Result<(), RunDirError> {
        const OTHERS_WRITE: u32 = 0o022;
        let stat = self.stat()?;
        let refused = |what| Err(RunDirError::Unsafe { path: self.path.clone(), what });
        if stat.st_uid != geteuid().as_raw() {
            return refused("it belongs to another user");
        }
        if stat.st_mode & OTHERS_WRITE != 0 {
            return refused("others may write to it; if that was not meant, `chmod go-w` it");
        }
        Ok(())
    }

    /// True while its path still leads to it.
    pub fn in_place(&self) -> bool {
        let (Ok(held), Ok(named)) = (fstat(&self.fd), statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW)) else {
            return false;
        };
        (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)
    }

    /// For an error about a name in it.
    pub fn io<E: Into<io::Error>>(&self, doing: &'static str, name: &str) -> impl FnOnce(E) -> RunDirError + use<E> {
        io_error(doing, &self.path.join(name))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// For an error about a path.
pub(super) fn io_error<E: Into<io::Error>>(doing: &'static str, path: &Path) -> impl FnOnce(E) -> RunDirError + use<E> {
    let path = path.to_owned();
    move |source| RunDirError::Io { doing, path, source: source.into() }
}

fn private(stat: &Stat, path: &Path) -> Result<(), RunDirError> {
    let refused = |what| Err(RunDirError::Unsafe { path: path.to_owned(), what });
    if stat.st_uid != geteuid().as_raw() {
        return refused("it belongs to another user");
    }
    if stat.st_mode & 0o077 != 0 {
        return refused("others may use it; if that was not meant, `chmod go=` it");
    }
    Ok(())
}

//! Going on with a run: verify, set a torn write aside, cut it off, go on behind the last good record.
//!
//! Killed at any point, the next start does what is left: the torn bytes are copied aside and the copy
//! synced and named before the cut, and a copy that is there already is not made again.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use rustix::fs::{Advice, fadvise, fstat, ftruncate};
use sha2::{Digest, Sha256};

use super::{
    dir::{JOURNAL, RunDir},
    error::RunDirError,
    folder::Folder,
    frame::{Flaw, hex_text},
    head::Head,
    lines::Lines,
    read::Load,
    record::Record,
    room::{self, Room},
    writer::Journal,
};

/// How a run is opened again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resume {
    /// Demands on the disk; free space is not among them, since a run that began must be able to end.
    pub room: Room,
    /// A person vouches that the folder is the run and no copy of it goes on elsewhere.
    pub accept_copy: bool,
}

/// A torn write that was set aside, now or at an earlier start. The caller records those that it has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its file in the run's folder, `tear-1`.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
}

/// A run that goes on.
#[derive(Debug)]
pub struct Resumed {
    /// Ready to append.
    pub journal: Journal,
    /// What was read, before the cut.
    pub load: Load,
    /// Every torn write ever set aside, oldest first.
    pub set_aside: Vec<SetAside>,
    /// True if the folder is a copy and that was accepted.
    pub copied: bool,
}

impl RunDir {
    /// Opens a run to go on: takes the lock, verifies, hands every record to `on_record`, cuts a torn write.
    ///
    /// The journal is synced and the page cache dropped before it is read, so that what is read is what the disk
    /// has, also after a sync that failed in the process before.
    ///
    /// # Errors
    /// [`RunDirError::Held`] with who drives it, [`RunDirError::Damaged`] with the place, [`RunDirError::Newer`],
    /// [`RunDirError::Copied`], and the others. `on_record` may have been called by then.
    pub fn resume<T: Record>(path: &Path, how: Resume, on_record: impl FnMut(u64, T)) -> Result<Resumed, RunDirError> {
        let dir = Self::drive(path, how.room)?;
        let folder = dir.folder();
        let missing = || RunDirError::NotThere { path: folder.path().join(JOURNAL) };
        let mut file = folder.append(JOURNAL)?.ok_or_else(missing)?;
        file.sync_all().map_err(folder.io("sync", JOURNAL))?;
        // Only advice: a file system without it reads from memory.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        let load = dir.read(&[], on_record)?;
        match load.damage.as_ref().map(|damage| &damage.flaw) {
            None => {}
            Some(Flaw::Newer(format)) => return Err(RunDirError::Newer(*format)),
            Some(_) => return Err(RunDirError::Damaged(Box::new(load))),
        }
        let head = Head::load(folder)?.and_then(Result::ok);
        let inode = fstat(&file).map_err(folder.io("look at", JOURNAL))?.st_ino;
        let copied = head.as_ref().is_some_and(|head| head.inode != inode);
        if copied && !how.accept_copy {
            return Err(RunDirError::Copied { path: path.to_owned() });
        }
        if load.tear.is_some() {
            set_aside(folder, &mut file, load.length)?;
            ftruncate(&file, load.length).map_err(folder.io("cut", JOURNAL))?;
            file.sync_all().map_err(folder.io("sync", JOURNAL))?;
        }
        room::reserve(folder, how.room)?;
        let set_aside = all_set_aside(folder)?;
        // A copy that was accepted gets a head of its own with the first seal; so does a journal without one.
        let sealed = head.filter(|head| head.inode == inode).map_or(u64::MAX, |head| head.seq);
        let lines = Lines::new(file, load.chain.clone(), load.length);
        let dir = Arc::new(dir);
        let journal = Journal::new(dir.clone(), lines, sealed).map_err(dir.folder().io("look at", JOURNAL))?;
        Ok(Resumed { journal, load, set_aside, copied })
    }
}

fn name(n: usize) -> String {
    format!("tear-{n}")
}

/// Copies the bytes from `offset` on into the next `tear-<n>`, unless the last one has just these.
fn set_aside(folder: &Folder, journal: &mut File, offset: u64) -> Result<(), RunDirError> {
    const ASIDE: &str = "tear.new";
    let torn = digest(journal, offset).map_err(folder.io("read", JOURNAL))?;
    let mut n = 1;
    while let Some(mut earlier) = folder.read(&name(n))? {
        n += 1;
        let same = digest(&mut earlier, 0).map_err(folder.io("read", &name(n)))? == torn;
        if same && folder.read(&name(n))?.is_none() {
            return Ok(());
        }
    }
    folder.remove(ASIDE)?;
    let mut copy = folder.create(ASIDE)?;
    journal.seek(SeekFrom::Start(offset)).map_err(folder.io("read", JOURNAL))?;
    io::copy(journal, &mut copy).and_then(|_| copy.sync_all()).map_err(folder.io("write", ASIDE))?;
    folder.rename(ASIDE, &name(n))
}

fn all_set_aside(folder: &Folder) -> Result<Vec<SetAside>, RunDirError> {
    let mut all = Vec::new();
    while let Some(mut file) = folder.read(&name(all.len() + 1))? {
        let name = name(all.len() + 1);
        let (bytes, sha256) = digest(&mut file, 0).map_err(folder.io("read", &name))?;
        all.push(SetAside { file: name, bytes, sha256 });
    }
    Ok(all)
}

/// Size and SHA-256 of a file from `offset` on.
fn digest(file: &mut File, offset: u64) -> io::Result<(u64, String)> {
    file.seek(SeekFrom::Start(offset))?;
    let (mut hash, mut size, mut chunk) = (Sha256::new(), 0, vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok((size, hex_text(&hash.finalize().into())));
        }
        hash.update(&chunk[..read]);
        size += read as u64;
    }
}

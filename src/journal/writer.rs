//! The journal of a run that is being driven: records go in, `head` is sealed, the file is watched.

use std::sync::Arc;

use rustix::fs::fstat;

use super::{
    dir::{JOURNAL, RunDir},
    error::{Fault, JournalError},
    head::Head,
    lines::{Lines, fault},
    read, room,
};

/// The one writer of a run. It holds the run's lock until it is dropped.
///
/// After the first failed or short write, failed sync or vanished file it is broken: nothing is written any
/// more, and every call says why. If space ran out, and only then, [`Journal::last_words`] may still write the
/// outcome of what was in flight into the reserve.
#[derive(Debug)]
pub struct Journal {
    dir: Arc<RunDir>,
    lines: Lines,
    inode: u64,
    /// The last record that `head` covers.
    sealed: u64,
}

impl Journal {
    pub(super) fn new(dir: Arc<RunDir>, lines: Lines, sealed: u64) -> Result<Self, rustix::io::Errno> {
        let inode = fstat(lines.file())?.st_ino;
        Ok(Self { dir, lines, inode, sealed })
    }

    /// The run's folder.
    #[must_use]
    pub fn dir(&self) -> &Arc<RunDir> {
        &self.dir
    }

    /// The number that the next record gets.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.lines.chain().seq + 1
    }

    /// Writes records with one `write`, in order, numbered from [`Journal::next_seq`]; with `barrier` it
    /// returns after one `fdatasync`. A barrier without records syncs what was written before.
    ///
    /// # Errors
    /// [`JournalError::Broken`]: none of these records counts, and nothing will be written any more.
    /// [`JournalError::Unfit`]: nothing was written, the journal goes on.
    pub fn append(&mut self, payloads: &[Vec<u8>], barrier: bool) -> Result<(), JournalError> {
        if barrier && self.lines.fault().is_none() {
            self.still_there()?;
        }
        self.lines.append(payloads, barrier)
    }

    /// Writes and syncs the outcome of what was in flight, if need be into the reserve. On a journal that
    /// is not broken it is a barrier. The journal stays broken for [`Journal::append`]; this may be called
    /// again for another attempt in flight, for as long as the reserve lasts.
    ///
    /// # Errors
    /// As [`Journal::append`], where the journal broke for another reason than space, or space is not enough.
    pub fn last_words(&mut self, payloads: &[Vec<u8>]) -> Result<(), JournalError> {
        let Some(first) = self.lines.fault().cloned() else { return self.append(payloads, true) };
        if !first.full {
            return Err(JournalError::Broken(first));
        }
        // If the reserve cannot be given up, there may be space by now all the same.
        let _ = room::give_up(self.dir.folder());
        self.lines.reopen_full()?;
        let written = self.lines.append(payloads, true);
        let _ = self.lines.break_with(first);
        written
    }

    /// True knowledge of the file: it still has its name, its folder its place, and nobody else wrote to it.
    /// A journal that fails this is broken. Barriers ask by themselves; ask between them too, since a run may wait
    /// for long.
    ///
    /// # Errors
    /// [`JournalError::Broken`] with what happened.
    pub fn still_there(&mut self) -> Result<(), JournalError> {
        if let Some(fault) = self.lines.fault() {
            return Err(JournalError::Broken(fault.clone()));
        }
        let text = match (fstat(self.lines.file()), self.dir.folder().stat_of(JOURNAL)) {
            (Err(errno), _) => return Err(self.lines.break_with(fault("looked at", &errno.into(), false))),
            (Ok(held), _) if u64::try_from(held.st_size) != Ok(self.lines.length()) => "somebody else wrote to it",
            (Ok(held), Ok(named)) if (held.st_dev, held.st_ino) != (named.st_dev, named.st_ino) => "it was replaced",
            (Ok(_), Err(_)) => "it was deleted",
            _ if !self.dir.folder().in_place() => "its folder was moved, replaced or deleted",
            _ if !self.dir.locked() => "its lock was deleted or replaced",
            _ => return Ok(()),
        };
        Err(self.lines.break_with(Fault { doing: "looked at", text: text.into(), full: false }))
    }

    /// Seals `head` over everything written so far, which is synced first. Does nothing if all is covered.
    ///
    /// # Errors
    /// [`JournalError::Broken`] as in [`Journal::append`]; [`JournalError::Unsealed`] if only `head` failed.
    pub fn seal_head(&mut self) -> Result<(), JournalError> {
        self.lines.sync()?;
        let chain = self.lines.chain();
        if self.sealed == chain.seq {
            return Ok(());
        }
        let (seq, hash) = (chain.seq, super::frame::hex_text(&chain.hash));
        let head = Head { seq, hash, length: self.lines.length(), inode: self.inode };
        head.seal(self.dir.folder()).map_err(|error| JournalError::Unsealed(error.to_string().into()))?;
        self.sealed = seq;
        Ok(())
    }

    /// True if records were written that `head` does not cover.
    #[must_use]
    pub fn unsealed(&self) -> bool {
        self.sealed != self.lines.chain().seq
    }

    /// True once it is broken.
    #[must_use]
    pub fn broken(&self) -> bool {
        self.lines.fault().is_some()
    }

    /// The last record in a form to paste into a chat: `142-9f3ab2c4d5e60718`, its number and the first
    /// 16 digits of its hash. [`super::Pin`] reads it back.
    #[must_use]
    pub fn anchor(&self) -> String {
        let chain = self.lines.chain();
        read::anchor(chain.seq, &chain.hash)
    }
}

//! The file under the journal: whole batches in, one `write` each, and no second chance.
//!
//! Linux reports a lost write to one `fdatasync` and then says OK to the next, so a failed or short write
//! and a failed sync end the file for good: every later call fails at once with the first reason.

use std::{
    fs::File,
    io::{self, Write},
    sync::Arc,
};

use rustix::{fs::ftruncate, io::Errno};

use super::{
    error::{Fault, JournalError},
    frame::{Chain, MAX_PAYLOAD},
};

/// An open journal file at its end.
#[derive(Debug)]
pub(super) struct Lines {
    file: File,
    chain: Chain,
    length: u64,
    /// Bytes were written since the last sync.
    dirty: bool,
    fault: Option<Fault>,
    batch: Vec<u8>,
}

impl Lines {
    /// A file opened to append, whose good content ends at `length` with `chain`.
    pub fn new(file: File, chain: Chain, length: u64) -> Self {
        Self { file, chain, length, dirty: false, fault: None, batch: Vec::new() }
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// The last record written.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Bytes written.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Why nothing is written any more.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Writes records in one `write`, then syncs if asked. On an error that is not
    /// [`JournalError::Unfit`] none of them counts as recorded.
    pub fn append(&mut self, payloads: &[Vec<u8>], barrier: bool) -> Result<(), JournalError> {
        self.sound()?;
        let chain = self.frame(payloads)?;
        if !self.batch.is_empty() {
            match self.write_once() {
                Ok(()) => {}
                Err(fault) => return Err(self.break_with(fault)),
            }
            self.length += self.batch.len() as u64;
            self.chain = chain;
            self.dirty = true;
        }
        if barrier { self.sync() } else { Ok(()) }
    }

    /// Syncs what was written since the last sync.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.sound()?;
        if self.dirty {
            if let Err(error) = fdatasync(&self.file) {
                return Err(self.break_with(fault("synced", &error, false)));
            }
            self.dirty = false;
        }
        Ok(())
    }

    /// After space ran out: cuts off what was half written and forgets the failure, once space is there.
    /// The cut is safe because nothing behind `length` was ever reported as written.
    pub fn reopen_full(&mut self) -> Result<(), JournalError> {
        if let Err(errno) = ftruncate(&self.file, self.length) {
            return Err(self.break_with(fault("written", &errno.into(), false)));
        }
        self.fault = None;
        Ok(())
    }

    /// Ends the file, unless it has ended.
    pub fn break_with(&mut self, fault: Fault) -> JournalError {
        JournalError::Broken(self.fault.get_or_insert(fault).clone())
    }

    fn sound(&self) -> Result<(), JournalError> {
        self.fault.clone().map_or(Ok(()), |fault| Err(JournalError::Broken(fault)))
    }

    /// Fills `batch`; the chain behind it.
    fn frame(&mut self, payloads: &[Vec<u8>]) -> Result<Chain, JournalError> {
        self.batch.clear();
        let mut chain = self.chain.clone();
        for payload in payloads {
            if payload.len() > MAX_PAYLOAD {
                return Err(JournalError::Unfit("the record is longer than 16 MiB"));
            }
            if payload.is_empty() || payload.contains(&b'\n') {
                return Err(JournalError::Unfit("a record is one line"));
            }
            chain.push(&mut self.batch, payload);
        }
        Ok(chain)
    }

    fn write_once(&mut self) -> Result<(), Fault> {
        let of = self.batch.len();
        match (&self.file).write(&self.batch) {
            Ok(written) if written == of => Ok(()),
            // A disk takes part of a write only when it has no room for the rest.
            Ok(written) => {
                let text = format!("only {written} of {of} bytes were taken, the disk may be full");
                Err(Fault { doing: "written", text: text.into(), full: true })
            }
            Err(error) => {
                let full = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG].map(Errno::raw_os_error);
                Err(fault("written", &error, error.raw_os_error().is_some_and(|raw| full.contains(&raw))))
            }
        }
    }
}

pub(super) fn fault(doing: &'static str, error: &io::Error, full: bool) -> Fault {
    Fault { doing, text: Arc::from(error.to_string()), full }
}

/// Not `File::sync_data`, which would ask again where it was interrupted.
#[cfg(target_os = "linux")]
fn fdatasync(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fdatasync(file)?)
}

/// Elsewhere a plain sync may stop at the disk's own memory; the standard library knows the way on.
#[cfg(not(target_os = "linux"))]
fn fdatasync(file: &File) -> io::Result<()> {
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, os::fd::OwnedFd};

    use super::*;

    fn lines(file: File) -> Lines {
        Lines::new(file, Chain::start(&"r".parse().unwrap()), 0)
    }

    fn broken(result: Result<(), JournalError>) -> Fault {
        match result {
            Err(JournalError::Broken(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_full_disk_ends_it() {
        let mut lines = lines(OpenOptions::new().append(true).open("/dev/full").unwrap());
        let first = broken(lines.append(&[b"{}".to_vec()], true));
        assert!(first.full, "{first:?}");
        assert_eq!((lines.chain().seq, lines.length()), (0, 0));
        assert_eq!(broken(lines.append(&[b"{}".to_vec()], false)), first);
        assert_eq!(broken(lines.sync()), first);
    }

    #[test]
    fn a_failed_sync_ends_it_though_the_next_would_succeed() {
        // A pipe takes the bytes and cannot sync them.
        let (reader, writer) = io::pipe().unwrap();
        let mut lines = lines(File::from(OwnedFd::from(writer)));
        let first = broken(lines.append(&[b"{}".to_vec()], true));
        assert_eq!((first.doing, first.full), ("synced", false));
        lines.file = tempfile::tempfile().unwrap();
        assert_eq!(broken(lines.append(&[b"{}".to_vec()], false)), first);
        assert_eq!(broken(lines.sync()), first);
        assert_eq!(lines.file.metadata().unwrap().len(), 0);
        drop(reader);
    }

    #[test]
    fn a_short_write_ends_it() {
        let (reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let mut lines = lines(File::from(OwnedFd::from(writer)));
        let first = broken(lines.append(&[vec![b'x'; 1 << 20]], false));
        assert!(first.full && first.text.contains("only 65536 of"), "{first:?}");
        assert_eq!(lines.chain().seq, 0);
        assert_eq!(broken(lines.append(&[b"{}".to_vec()], false)), first);
        drop(reader);
    }

    #[test]
    fn what_is_no_line_is_refused_and_harms_nothing() {
        let mut lines = lines(tempfile::tempfile().unwrap());
        for bad in [b"".to_vec(), b"{\n}".to_vec(), vec![b' '; MAX_PAYLOAD + 1]] {
            assert!(matches!(lines.append(&[b"{}".to_vec(), bad], true), Err(JournalError::Unfit(_))));
        }
        assert_eq!(lines.length(), 0);
        lines.append(&[b"{}".to_vec()], true).unwrap();
        assert_eq!(lines.chain().seq, 1);
    }
}

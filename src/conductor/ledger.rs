//! What the conductor asks of the journal and of the output files.

use std::io;

use futures_util::future::BoxFuture;

use crate::{base::StepId, run::Event};

/// Where facts become durable. Errors are sentences; after the first one every later call fails too.
pub trait Ledger: Send {
    /// Writes records, one payload each, in one write; synced before it returns where `barrier`.
    fn append(&mut self, payloads: Vec<Vec<u8>>, barrier: bool) -> BoxFuture<'_, Result<(), String>>;

    /// Seals the head and returns the anchor that people can paste into their chat.
    fn seal(&mut self) -> BoxFuture<'_, Result<String, String>>;

    /// Says why, where the journal was removed or replaced behind our back.
    fn lost(&self) -> Option<String>;

    /// Tells facts that cannot be recorded any more where a person may still see them.
    fn last_words(&mut self, events: &[Event]);
}

/// Makes the files that keep commands' output.
pub trait OutputFiles: Send + Sync {
    /// The file of one attempt; bounded by the maker.
    ///
    /// # Errors
    /// It cannot be made.
    fn open(&self, step: &StepId, attempt: u32) -> io::Result<Box<dyn io::Write + Send>>;
}

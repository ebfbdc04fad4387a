//! What can go wrong with a run's folder and its journal.

use std::{io, path::PathBuf, sync::Arc};

use super::{frame::FORMAT, lock::Holder, read::Load};

/// Why a run's folder cannot be made or opened. Completes "failed to open the run: …".
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// No such run.
    #[error("{} is not there", path.display())]
    NotThere {
        /// What was looked for.
        path: PathBuf,
    },
    /// A run of this id exists, or a file that must be new.
    #[error("{} exists already", path.display())]
    Exists {
        /// What exists.
        path: PathBuf,
    },
    /// Somebody else drives the run.
    #[error("the run is driven by {0}")]
    Held(Holder),
    /// A link, a pipe, another user's file, or open to others.
    #[error("{} is refused: {what}", path.display())]
    Unsafe {
        /// What was refused.
        path: PathBuf,
        /// Why.
        what: &'static str,
    },
    /// The disk is too full to begin.
    #[error("only {free} MiB are free at {}, a run begins with {wanted} MiB", path.display())]
    NoRoom {
        /// The state folder.
        path: PathBuf,
        /// What is free.
        free: u64,
        /// What is wanted.
        wanted: u64,
    },
    /// Locks and syncs cannot be relied on here.
    #[error("{} is on {kind}, where locks cannot be relied on; choose a local folder with --state-dir", path.display())]
    SharedFilesystem {
        /// The state folder.
        path: PathBuf,
        /// The file system.
        kind: &'static str,
    },
    /// The journal cannot be written on. It can be read up to the place.
    #[error("the journal is damaged at {}", damage(.0))]
    Damaged(Box<Load>),
    /// A later version wrote the journal.
    #[error("the journal has format {0}, this version reads format {FORMAT}; use the version that wrote it")]
    Newer(u32),
    /// The folder was copied, restored or moved between disks since `head` was written.
    #[error("{} is a copy: its journal is not the file that was sealed, so the original may have gone on", path.display())]
    Copied {
        /// The run's folder.
        path: PathBuf,
    },
    /// The system said no.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

fn damage(load: &Load) -> String {
    load.damage.as_ref().map_or_else(String::new, ToString::to_string)
}

/// Why a record was not written. Completes "failed to record: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// A write or sync failed, now or earlier: nothing is written any more.
    #[error("{0}")]
    Broken(Fault),
    /// The text cannot be a record. Nothing was written, and the journal is as before.
    #[error("{0}")]
    Unfit(&'static str),
    /// `head` could not be written. The journal is as before.
    #[error("the journal's head could not be sealed: {0}")]
    Unsealed(Arc<str>),
    /// The journal's thread is gone.
    #[error("the journal was closed")]
    Closed,
}

/// The failure that ended a journal. The first one is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal broke when it was {doing}: {text}")]
pub struct Fault {
    /// `written`, `synced` or `looked at`.
    pub doing: &'static str,
    /// The system's words.
    pub text: Arc<str>,
    /// True if space ran out before anything was lost: the reserve is left for
    /// [`super::Journal::last_words`].
    pub full: bool,
}

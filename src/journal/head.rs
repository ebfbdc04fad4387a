//! `head`: how far the journal was known to be on disk. A chain alone does not show a file that was cut
//! off at a line's end; `head` does, up to where it was last sealed.

use serde::{Deserialize, Serialize};

use super::{error::RunDirError, folder::Folder, frame::Flaw, read::Pin};

const NAME: &str = "head";
/// It has about 140 bytes.
const MAX: u64 = 4096;

/// The file's content, one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// The last record covered; 0 when the run was made.
    pub seq: u64,
    /// Its hash, hex.
    pub hash: String,
    /// Bytes up to its end.
    pub length: u64,
    /// The journal's own number in its file system: a copied folder has another one.
    pub inode: u64,
}

impl Head {
    fn text(&self) -> Vec<u8> {
        format!("{}\n", serde_json::json!(self)).into_bytes()
    }

    /// Reads it; the inner error says that it was changed.
    pub fn load(folder: &Folder) -> Result<Option<Result<Self, Flaw>>, RunDirError> {
        let Some(bytes) = folder.bytes(NAME, MAX)? else { return Ok(None) };
        let head = serde_json::from_slice(&bytes).ok().filter(|head: &Self| head.text() == bytes);
        Ok(Some(head.ok_or(Flaw::Head)))
    }

    /// Puts it in place of the last one, for good.
    pub fn seal(&self, folder: &Folder) -> Result<(), RunDirError> {
        folder.replace(NAME, &self.text())
    }

    /// For the reader.
    pub fn pin(&self) -> Pin {
        Pin { seq: self.seq, hash: self.hash.clone(), length: Some(self.length) }
    }
}

//! Floor 3: the file that remembers a run, its chain, lock, recovery and output files. It knows bytes: a
//! record is the JSON text of an envelope, numbered here. It must not know steps or events: all it asks of an
//! envelope is to read its own text ([`Record`]).
//!
//! What it promises:
//! * A barrier that returned is on the disk. A failed write or sync is told once and for all.
//! * What is read was verified: a changed, missing, repeated, moved or foreign record is found with its place.
//! * One writer. Nobody else's file, no link and no pipe is ever written to.
//!
//! What it cannot see: a journal rewritten or cut whole behind the last seal of `head`, by somebody who may
//! write to the folder (`head` can be rewritten too: an anchor kept elsewhere finds it), and a copy of the
//! folder whose original goes on, once a person vouched for the copy.
//!
//! ```text
//! RunDir::create ─▶ Journal ─▶ JournalThread ◀─ append, seal ─ conductor
//! RunDir::resume ─▶ Journal + Load + every record        RunDir::view ─▶ read, verify
//! ```

mod dir;
mod error;
mod folder;
mod frame;
mod head;
mod lines;
mod live;
mod lock;
mod out;
mod read;
mod record;
mod recover;
mod room;
mod runs;
mod socket;
mod tail;
mod thread;
mod writer;

pub use dir::RunDir;
pub use error::{Fault, JournalError, RunDirError};
pub use frame::{FORMAT, Flaw, MAX_PAYLOAD};
pub use lock::Holder;
pub use out::{FIRST, LAST, OutFile, Output};
pub use read::{Damage, Load, Pin, Tear, read, verify};
pub use record::Record;
pub use recover::{Resume, Resumed, SetAside};
pub use room::{Room, outlive_file_size_limit};
pub use runs::{FindError, Run, find, runs, state_dir};
pub use thread::JournalThread;
pub use writer::Journal;

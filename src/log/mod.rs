//! Floor 3: what every view reads. [`EventLog`] is append only, read by cursor, and never drops: a
//! slow, blocked or dead view delays nobody. What a view may say goes through [`InputSender`];
//! replay is given none, so that read-only is a type.
//!
//! ```text
//! live run · journal at its own pace · journal at once ──▶ EventLog ──▶ tui · plain · json · report
//!                 conductor ◀── InputSender ── tui · plain · attach
//! ```

mod events;
mod inputs;

pub use events::EventLog;
pub use inputs::{Answer, InputReceiver, InputSender, Request, Said};

use crate::base::Stamp;

/// Where a view stands in the log, and what time it is there: the live run shows everything and the
/// clock's now, a replay what its playhead has reached.
pub trait Playhead: Send + Sync {
    /// How many envelopes of the log are to be shown. May go back in a replay.
    fn visible(&self, log: &EventLog) -> usize;
    /// The moment shown.
    fn now(&self) -> Stamp;
}

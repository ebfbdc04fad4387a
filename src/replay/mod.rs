//! Floor 4: a recorded night at its own pace. [`Player`] maps real time, which comes in as a value,
//! to how much of a loaded log is shown and what time it is there. It opens nothing and sends nothing.
//!
//! ```text
//! recorded:  ●──●────────────────────────●──●      steady clock of the run
//! played:    ●──●────●──●                           gaps longer than IDLE are shortened
//!            real time × speed ──▶ position
//! ```

mod player;
mod score;

pub use player::{Player, Shown};

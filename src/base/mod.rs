//! Floor 0: the small vocabulary that every other module shares. Knows nothing else.

mod failure;
mod id;
mod redact;
pub mod sandbox;
mod secret;
mod text;
mod time;
pub mod wild;

pub use failure::{Class, Failure};
pub use id::{BadId, EnvName, PersonId, RunId, StepId, WatchId};
pub use redact::{MASK, Redactor, Stream as RedactStream};
pub use secret::Secret;
pub use text::{bounded, clean, clean_line};
pub use time::{Elapsed, Stamp, hms, short_duration, signed_duration};

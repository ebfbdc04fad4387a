//! A fact with its place in the run, as the journal stores it: one line of JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::event::{Event, UnknownEvent};
use crate::base::{Elapsed, Stamp};

/// A fact with its place in the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// From 1, without a gap.
    pub seq: u64,
    /// Wall clock, UTC.
    pub at: DateTime<Utc>,
    /// Steady clock since the run was opened.
    pub elapsed: Elapsed,
    /// The fact.
    pub event: Event,
}

impl Envelope {
    /// Both clocks.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { at: self.at, elapsed: self.elapsed }
    }

    /// The JSON of the journal and of `--json`, on one line.
    ///
    /// # Errors
    /// A value that JSON cannot hold (a map with keys that are no text); none of ours is.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        if let Event::Unknown(UnknownEvent(event)) = &self.event {
            return serde_json::to_vec(&Loose {
                seq: self.seq,
                at: self.at,
                elapsed: self.elapsed,
                event: event.clone(),
            });
        }
        serde_json::to_vec(self)
    }

    /// Reads what [`Envelope::encode`] wrote; an event that this version does not know is kept as it is.
    ///
    /// # Errors
    /// Text that is no envelope, or an event that has a known name and another shape.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).or_else(|error| {
            if !error.to_string().starts_with("unknown variant") {
                return Err(error);
            }
            let Loose { seq, at, elapsed, event } = serde_json::from_slice(json)?;
            Ok(Self { seq, at, elapsed, event: Event::Unknown(UnknownEvent(event)) })
        })
    }
}

/// An envelope whose event is not understood.
#[derive(Serialize, Deserialize)]
struct Loose {
    seq: u64,
    at: DateTime<Utc>,
    elapsed: Elapsed,
    event: Json,
}

//! The lines of the socket: one JSON line asks, one JSON line answers, in turn, until either side hangs up.
//!
//! ```text
//! {"v":1,"run":"20261206-013000-7f3a9c","from":"deploy@bastion pts/3","ask":{"vote":{"step":"go-freeze",…}}}
//! {"v":1,"answer":{"taken":{"total":142}}}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    base::{PersonId, RunId, Stamp, StepId},
    journal::MAX_PAYLOAD,
};

/// The version of these lines. A client and a run that speak different ones say so.
pub const VERSION: u32 = 1;
/// Longest question, bytes: a note and a reason are some hundred.
pub(super) const LONGEST_ASK: usize = 16 << 10;
/// A page of events ends with the record that reaches this many bytes.
pub(super) const PAGE: usize = 256 << 10;
/// Longest answer, bytes: a page and its longest last record.
pub(super) const LONGEST_ANSWER: usize = PAGE + MAX_PAYLOAD + (4 << 10);

/// A question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    /// [`VERSION`].
    pub v: u32,
    /// The run that the client means.
    pub run: RunId,
    /// Where the client sits, in its own words.
    #[serde(default)]
    pub from: String,
    /// What.
    pub ask: Ask,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// The events behind the first `after`, as many as a page takes.
    Events {
        /// How many the client has.
        after: usize,
    },
    /// A vote.
    Vote {
        /// The stop point.
        step: StepId,
        /// Whose vote.
        who: PersonId,
        /// Go or no-go.
        go: bool,
        /// The opening of the question that the voter saw.
        opening: u32,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A note.
    Note {
        /// Whose.
        who: PersonId,
        /// What.
        text: String,
        /// About which step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
    },
}

/// An answer with its version.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answered {
    /// [`VERSION`].
    pub v: u32,
    /// What.
    pub answer: Answer,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// A page of events.
    Events {
        /// The run's clocks.
        now: Stamp,
        /// How many there are in all.
        total: usize,
        /// Envelopes as the journal has them.
        page: Vec<Box<RawValue>>,
    },
    /// It was taken, and is on disk.
    Taken {
        /// How many events there are with it.
        total: usize,
    },
    /// The run says no; nothing was changed.
    Refused {
        /// [`super::refusal::code`].
        code: String,
        /// In words.
        say: String,
    },
    /// The question did not reach the run.
    Error {
        /// Why.
        code: ErrorCode,
        /// In words.
        say: String,
    },
}

/// Why a question did not reach the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The client speaks another version.
    Version,
    /// No question of this version.
    NotUnderstood,
    /// The line is too long.
    TooLong,
    /// The client means another run.
    OtherRun,
    /// Too many clients, or too much said: again in a moment.
    Busy,
    /// The client belongs to another user.
    Foreign,
    /// The run did not answer in time: nobody knows whether it took it.
    Unanswered,
    /// An event cannot be written as JSON.
    Defect,
    /// A code of a newer version.
    #[serde(other)]
    Unknown,
}

impl Answer {
    /// An error.
    pub fn error(code: ErrorCode, say: impl Into<String>) -> Self {
        Self::Error { code, say: say.into() }
    }

    /// The line, with its line feed.
    pub fn line(self) -> Vec<u8> {
        let answered = Answered { v: VERSION, answer: self };
        let mut line = serde_json::to_vec(&answered).unwrap_or_else(|_| {
            // Its parts are text and numbers, and envelopes that are JSON already.
            br#"{"v":1,"answer":{"error":{"code":"defect","say":"the answer cannot be written"}}}"#.to_vec()
        });
        line.push(b'\n');
        line
    }
}

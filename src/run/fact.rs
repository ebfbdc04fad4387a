//! What kinds report, in the form that events keep.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::base::clean_line;

/// Longest line of a sighting or a deed.
const LINE: usize = 400;

/// What a check saw. A check that has no data returns a failure of class `NotYet`, never a `Seen`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// One line: what was seen, how old it is, from how many samples.
    pub line: String,
    /// The figure itself, for watches and reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// What stands behind it, as data: small, and free of secrets.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub evidence: Json,
}

impl Seen {
    /// A sighting told in one line.
    #[must_use]
    pub fn new(line: impl AsRef<str>) -> Self {
        Self { line: clean_line(line.as_ref(), LINE), value: None, evidence: Json::Null }
    }

    /// Adds the data behind it.
    #[must_use]
    pub fn with(mut self, evidence: Json) -> Self {
        self.evidence = evidence;
        self
    }

    /// Adds the figure.
    #[must_use]
    pub fn value(mut self, value: f64) -> Self {
        self.value = Some(value);
        self
    }
}

/// What an action did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// One line: what was done.
    pub line: String,
    /// What stands behind it (change ids, revisions, request ids); later steps may read it.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub evidence: Json,
}

impl Done {
    /// Something done, told in one line.
    #[must_use]
    pub fn new(line: impl AsRef<str>) -> Self {
        Self { line: clean_line(line.as_ref(), LINE), evidence: Json::Null }
    }

    /// Adds the data behind it.
    #[must_use]
    pub fn with(mut self, evidence: Json) -> Self {
        self.evidence = evidence;
        self
    }
}

/// What a probe found out about an attempt whose outcome nobody saw. A probe only reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The world is as the action wanted it.
    Done(Done),
    /// The world is as it was before, seen twice some seconds apart.
    NotDone {
        /// What was seen.
        line: String,
    },
    /// Neither, or nobody can know: a person has to look.
    Unclear {
        /// What differs, or why it cannot be known.
        line: String,
    },
}

/// What a resume may do with an attempt whose outcome nobody saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Doubt {
    /// Reads only: run it again.
    #[serde(rename = "R")]
    Read,
    /// Compare-and-swap: probe; a duplicate fails.
    #[serde(rename = "C")]
    Swap,
    /// A stored token: the same token is sent again within its lifetime.
    #[serde(rename = "T")]
    Token,
    /// The marker row of the same transaction decides.
    #[serde(rename = "X")]
    Transaction,
    /// Desired state: probe; as wanted is done, as before twice is not done.
    #[serde(rename = "D")]
    Desired,
    /// Opaque: never by itself; the author's probe, else a person.
    #[serde(rename = "O")]
    Opaque,
    /// A person did it, or did not.
    #[serde(rename = "M")]
    Manual,
}

impl Doubt {
    /// The letter of the class.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Read => 'R',
            Self::Swap => 'C',
            Self::Token => 'T',
            Self::Transaction => 'X',
            Self::Desired => 'D',
            Self::Opaque => 'O',
            Self::Manual => 'M',
        }
    }
}

/// Who we are at the other end, for the header and the fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Which system: `aws`, `heroku`.
    pub system: String,
    /// What it says we are: `account 444455556666 eu-west-1`, `app acme-shop`.
    pub line: String,
}

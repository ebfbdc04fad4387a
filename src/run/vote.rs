//! Votes at stop points, and the terminals that they come from. A vote informs whoever decides; it never acts.

use serde::{Deserialize, Serialize};

use super::state::StepRun;
use crate::base::{PersonId, Stamp};

/// Another terminal that a word came from: its process as the kernel knows it, and where it says that it sits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// The user of its process, as the kernel said.
    pub uid: u32,
    /// Its process, as the kernel said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// In its own words: `deploy@bastion pts/3 ssh 10.0.0.5`.
    pub from: String,
}

/// A vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// Whose.
    pub who: PersonId,
    /// Who typed it.
    pub typed_by: PersonId,
    /// Go or no-go.
    pub go: bool,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The terminal, where it was not the run's own.
    pub via: Option<Via>,
    /// When.
    pub at: Stamp,
}

impl StepRun {
    /// A person's last vote.
    #[must_use]
    pub fn vote(&self, who: &PersonId) -> Option<&Ballot> {
        self.votes.iter().find(|ballot| &ballot.who == who)
    }
}

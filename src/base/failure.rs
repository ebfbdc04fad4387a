//! Why something did not work, in the form that decides what may happen next.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::text::{clean, clean_line};

/// What is known about the world after a failure. Drives retry, resume and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A check looked and the answer is "not yet"; asking again is the way on.
    NotYet,
    /// The other side, or our own fence, said no. Nothing was done.
    Refused,
    /// Credentials are missing, expired or not allowed to. Nothing was done.
    Denied,
    /// The runbook or its parameters cannot work here. Nothing was done.
    Misconfigured,
    /// It failed with proof that nothing was done: no byte was sent, or it was throttled.
    FailedNothingDone,
    /// It ran and ended badly; what it did is known and has to be dealt with by a person.
    Failed,
    /// Nobody knows whether it was done.
    Unknown,
}

impl Class {
    /// True where the failure itself proves that the world is as before.
    #[must_use]
    pub fn nothing_done(self) -> bool {
        match self {
            Self::NotYet | Self::Refused | Self::Denied | Self::Misconfigured | Self::FailedNothingDone => true,
            Self::Failed | Self::Unknown => false,
        }
    }

    /// The class in words for a person.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NotYet => "not yet",
            Self::Refused => "refused, nothing done",
            Self::Denied => "denied, nothing done",
            Self::Misconfigured => "misconfigured, nothing done",
            Self::FailedNothingDone => "failed, nothing done",
            Self::Failed => "failed",
            Self::Unknown => "outcome unknown",
        }
    }
}

/// A failure as the journal keeps it and a person reads it. All text is cleaned and bounded here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Failure {
    /// What is known about the world.
    pub class: Class,
    /// One line, a lower-case fragment that completes "failed: …".
    pub message: String,
    /// Further lines: request ids, the other side's own words, the last lines of a log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How long the other side asks to be left alone before the next try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Duration>,
    /// A look that was answered, but not about what it looked for: turned away, too slow, a server in trouble. For
    /// whoever judges a probe; the journal does not keep it.
    #[serde(skip)]
    pub blind: bool,
}

const MESSAGE: usize = 600;
const CAUSE: usize = 2000;
const CAUSES: usize = 24;

impl Failure {
    /// A failure of a class, told in one line.
    #[must_use]
    pub fn new(class: Class, message: impl AsRef<str>) -> Self {
        let message = clean_line(message.as_ref(), MESSAGE);
        Self { class, message, causes: Vec::new(), hint: None, after: None, blind: false }
    }

    /// Adds a line of what lies behind it.
    #[must_use]
    pub fn because(mut self, cause: impl AsRef<str>) -> Self {
        if self.causes.len() < CAUSES {
            self.causes.push(clean(cause.as_ref(), CAUSE));
        }
        self
    }

    /// Says what a person can do.
    #[must_use]
    pub fn hint(mut self, hint: impl AsRef<str>) -> Self {
        self.hint = Some(clean_line(hint.as_ref(), MESSAGE));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

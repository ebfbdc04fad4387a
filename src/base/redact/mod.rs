//! Stands in front of every sink with every secret value in its usual encodings. The last net only:
//! the rule is that secrets are not put where they could be printed.
//!
//! ```text
//! Secret ─leaves→ value, URL password, JSON texts, lines ─forms→ raw, base64, hex, percent, … ─→ one automaton
//! ```
//!
//! - A form of 8 bytes or more is masked wherever it stands.
//! - A value of 4 to 7 bytes is masked in its raw form only and only as a whole word: masked anywhere
//!   it would eat harmless text. A shorter one is not masked; whoever opens secrets refuses it ([`Redactor::MIN`]).
//! - Texts are cut before they come here: 8 bytes or more of a form's beginning are masked in front of a `…`.

mod forms;
mod stream;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use aho_corasick::AhoCorasick;
use serde_json::Value as Json;

use super::Secret;
pub use stream::Stream;

/// What stands where a secret stood.
pub const MASK: &str = "***";

/// Knows every secret opened so far.
#[derive(Default)]
pub struct Redactor {
    any: AtomicBool,
    net: RwLock<Arc<Net>>,
}

/// Everything that is looked for, as one automaton.
#[derive(Default)]
struct Net {
    /// Sorted, so that "does a pattern start like this?" is a binary search.
    patterns: Vec<Pattern>,
    automaton: Option<AhoCorasick>,
    longest: usize,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Pattern {
    bytes: Vec<u8>,
    whole_word: bool,
}

impl Redactor {
    /// Values shorter than this many bytes cannot be masked without masking half of everything else.
    pub const MIN: usize = 4;

    /// Learns a value, its leaves where it is structured (URL passwords, JSON texts, lines) and their encodings.
    pub fn register(&self, secret: &Secret) {
        let found = forms::of(secret.expose());
        if found.is_empty() {
            return;
        }
        let mut net = self.net.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = net.patterns.iter().cloned().collect::<BTreeSet<_>>();
        let before = all.len();
        all.extend(found.into_iter().map(|(bytes, whole_word)| Pattern { bytes, whole_word }));
        if all.len() > before {
            *net = Arc::new(Net::new(all.into_iter().collect()));
            self.any.store(true, Ordering::Release);
        }
    }

    /// `text` with every known value replaced by `***`.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.any.load(Ordering::Acquire) {
            return Cow::Borrowed(text);
        }
        let net = self.net();
        let mut masks = net.masks(text.as_bytes(), true, true);
        let begun = net.begun(text);
        if !begun.is_empty() {
            masks.extend(begun);
            masks = merged(masks);
        }
        if masks.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (from, to) in masks {
            // A form is whole UTF-8 text, so its edges are characters' edges; `get` only avoids a panic.
            out.push_str(text.get(at..from).unwrap_or_default());
            out.push_str(MASK);
            at = to;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        Cow::Owned(out)
    }

    /// The same in every text and key of a JSON value; true where something was masked.
    pub fn redact_json(&self, json: &mut Json) -> bool {
        match json {
            Json::String(text) => match self.redact(text) {
                Cow::Borrowed(_) => false,
                Cow::Owned(masked) => {
                    *text = masked;
                    true
                }
            },
            Json::Array(items) => {
                let mut any = false;
                for item in items {
                    any |= self.redact_json(item);
                }
                any
            }
            Json::Object(map) => {
                let mut any = false;
                for value in map.values_mut() {
                    any |= self.redact_json(value);
                }
                let named = |key: &String| Some((key.clone(), self.redact(key).into_owned())).filter(|(a, b)| a != b);
                for (key, masked) in map.keys().filter_map(named).collect::<Vec<_>>() {
                    any = true;
                    let value = map.remove(&key);
                    map.extend(value.map(|value| (masked, value)));
                }
                any
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => false,
        }
    }

    /// The same for bytes that arrive in pieces: a value cut in two by a border is still masked.
    #[must_use]
    pub fn stream(self: &Arc<Self>) -> Stream {
        Stream::new(self.clone())
    }

    fn net(&self) -> Arc<Net> {
        self.net.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Net {
    fn new(patterns: Vec<Pattern>) -> Self {
        // Overlapping search over all patterns: two secrets that share bytes must both go.
        let automaton = AhoCorasick::new(patterns.iter().map(|p| &p.bytes)).ok();
        let longest = patterns.iter().map(|p| p.bytes.len()).max().unwrap_or(0);
        Self { patterns, automaton, longest }
    }

    /// The places to mask: sorted, disjoint. `starts`, `ends`: the buffer begins, ends where the text does.
    fn masks(&self, text: &[u8], starts: bool, ends: bool) -> Vec<(usize, usize)> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let word = |at: usize| text.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80);
        let found = automaton
            .find_overlapping_iter(text)
            .filter(|hit| {
                let whole = self.patterns.get(hit.pattern().as_usize()).is_some_and(|p| p.whole_word);
                let left = if hit.start() == 0 { starts } else { !word(hit.start() - 1) };
                let right = if hit.end() == text.len() { ends } else { !word(hit.end()) };
                !whole || (left && right)
            })
            .map(|hit| (hit.start(), hit.end()));
        merged(found.collect())
    }

    /// The places where a text was cut within a form: from where that begins to the `…`.
    fn begun(&self, text: &str) -> Vec<(usize, usize)> {
        let begins = |cut: usize| {
            let last = (cut + 1).checked_sub(forms::ANYWHERE)?;
            (cut.saturating_sub(self.longest)..last).find(|&at| {
                let tail = &text.as_bytes()[at..cut];
                let next = self.patterns.partition_point(|p| p.bytes.as_slice() < tail);
                self.patterns.get(next).is_some_and(|p| p.bytes.starts_with(tail))
            })
        };
        text.match_indices('…').filter_map(|(cut, _)| Some((begins(cut)?, cut))).collect()
    }

    /// Where the first pattern may begin that the next bytes could complete.
    fn open_end(&self, text: &[u8]) -> usize {
        let first = text.len().saturating_sub(self.longest);
        (first..text.len())
            .find(|&at| {
                let tail = &text[at..];
                let next = self.patterns.partition_point(|p| p.bytes.as_slice() < tail);
                // At most two patterns are the tail itself, so the third tells. A whole word that ends here is open too: the next byte may be part of the word.
                let like = |p: &Pattern| p.bytes.starts_with(tail) && (p.bytes.len() > tail.len() || p.whole_word);
                self.patterns[next..].iter().take(3).any(like)
            })
            .unwrap_or(text.len())
    }
}

/// Sorted, and those that overlap as one.
fn merged(mut found: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    found.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::with_capacity(found.len());
    for (from, to) in found {
        match merged.last_mut() {
            Some(last) if from < last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests;

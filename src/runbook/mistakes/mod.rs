//! What is wrong with a runbook, said to a person: one [`Diagnostic`] for one mistake, all of a
//! file in [`Diagnostics`], shown as rustc shows its own or as JSON.

mod code;
mod excerpt;
mod near;
mod render;

pub use code::Code;
pub use near::nearest;

use std::{collections::HashSet, sync::Arc};

use super::{Source, value::Span};
use crate::base::{clean, clean_line};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The runbook cannot be used: exit code 3.
    Error,
    /// It can be used, and somebody ought to look.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Its stable name.
    pub code: Code,
    /// Where.
    pub span: Span,
    /// What is wrong, one line.
    pub message: String,
    /// What stands under the marked place.
    pub label: String,
    /// Other places that belong to it, each with its label.
    pub related: Vec<(Span, String)>,
    /// How to mend it.
    pub help: Option<String>,
}

const LINE: usize = 400;
const HELP: usize = 1200;

impl Diagnostic {
    /// An error. Every text given here is cleaned: it may quote the file.
    #[must_use]
    pub fn error(code: Code, span: Span, message: impl AsRef<str>) -> Self {
        let message = clean_line(message.as_ref(), LINE);
        Self { severity: Severity::Error, code, span, message, label: String::new(), related: Vec::new(), help: None }
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: Code, span: Span, message: impl AsRef<str>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// The conversion of a kind's mistake in its parameters (`plan::params::Mistake`).
    #[must_use]
    pub fn from_mistake(span: Span, message: &str, label: &str, help: Option<&str>) -> Self {
        let diagnostic = Self::error(Code::KIND, span, message).label(label);
        match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }

    /// What stands under the marked place.
    #[must_use]
    pub fn label(mut self, label: impl AsRef<str>) -> Self {
        self.label = clean_line(label.as_ref(), LINE);
        self
    }

    /// Another place that belongs to it.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl AsRef<str>) -> Self {
        self.related.push((span, clean_line(label.as_ref(), LINE)));
        self
    }

    /// How to mend it.
    #[must_use]
    pub fn help(mut self, help: impl AsRef<str>) -> Self {
        self.help = Some(clean(help.as_ref(), HELP));
        self
    }

    /// Help only where there is a near name.
    #[must_use]
    pub fn near(self, near: Option<&str>) -> Self {
        match near {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

/// All mistakes of one file.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    source: Arc<Source>,
    list: Vec<Diagnostic>,
    masked: Vec<Span>,
    known: HashSet<(Code, Span, String)>,
    dropped: usize,
}

/// So many are kept and shown. A person mends the first and looks again; a hostile file must not buy time with more.
const KEPT: usize = 100;

impl Diagnostics {
    /// None yet, of this file.
    #[must_use]
    pub fn new(source: Arc<Source>) -> Self {
        Self { source, ..Self::default() }
    }

    /// The file.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Adds one. The same message at the same place is the same mistake found twice (each
    /// environment is resolved and planned apart) and is left out. Of a variable's mistakes at one
    /// place only the first is kept, which names all environments.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.full() {
            self.dropped += 1;
            return;
        }
        let told_by = if diagnostic.code.is_of_variable() { String::new() } else { diagnostic.message.clone() };
        let code = if diagnostic.code.is_of_variable() { Code::UNKNOWN_VARIABLE } else { diagnostic.code };
        if !self.known.insert((code, diagnostic.span.clone(), told_by)) {
            return;
        }
        self.list.push(diagnostic);
    }

    /// Adds those found elsewhere in the same file.
    pub fn extend(&mut self, found: impl IntoIterator<Item = Diagnostic>) {
        found.into_iter().for_each(|d| self.push(d));
    }

    /// Takes over what was found apart, with what it hides.
    pub fn absorb(&mut self, found: Self) {
        self.extend(found.list);
        self.masked.extend(found.masked);
        self.dropped += found.dropped;
    }

    /// True where no more are kept: looking for suggestions is idle.
    #[must_use]
    pub fn full(&self) -> bool {
        self.list.len() >= KEPT
    }

    /// How many more there were than are kept.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Hides a piece of the file in everything shown, because it looks like a secret.
    pub fn mask(&mut self, span: Span) {
        self.masked.push(span);
    }

    pub(super) fn masked(&self) -> &[Span] {
        &self.masked
    }

    /// Keeps those that fit.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.list.retain(keep);
    }

    /// In the order of the file.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<_> = self.list.iter().collect();
        list.sort_by_key(|d| (d.span.start, d.severity, d.code, d.span.end));
        list
    }

    /// In the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// True where nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many of a severity; those dropped count as errors.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let kept = self.list.iter().filter(|d| d.severity == severity).count();
        if severity == Severity::Error { kept + self.dropped } else { kept }
    }

    /// True where the runbook cannot be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }
}

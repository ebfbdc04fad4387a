//! TOML to a [`Table`] with spans, in the order of the file, within bounds: a file that is built to
//! exhaust memory, stack or time is turned away by its tokens, before a tree is made of it.

mod scan;
mod tree;

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::{
    Code, Diagnostic, Diagnostics, Source,
    value::{Span, Table},
};

pub(super) use tree::NO_MOMENT;

/// Names in one dotted key or header. The deepest of the format has five (`env.sandbox.sandbox.world.zone`).
const KEY_PARTS: usize = 8;
/// Tables and lists inside each other. A scenario inside a check inside a step needs six.
const DEPTH: usize = 24;

/// What could be read.
pub(super) struct Toml {
    pub table: Table,
    /// The first place where the structure is broken: what was read from there on is guesswork.
    pub broken_at: Option<usize>,
}

/// Reads the text. `None` where there is nothing to go on with.
pub(super) fn read(source: &Source, diagnostics: &mut Diagnostics) -> Option<Toml> {
    let broken = scan::scan(source, diagnostics)?;
    let broken_at = broken.iter().filter(|b| b.structure).map(|b| b.span.start).min();
    let told: BTreeSet<usize> = broken.iter().map(|b| source.line_index(b.span.start)).collect();
    let flood = broken.len() > scan::BROKEN;
    diagnostics.extend(broken.into_iter().take(scan::BROKEN).map(|b| b.diagnostic(source)));
    if flood {
        return None;
    }
    let (document, errors) = DeTable::parse_recoverable(source.text());
    // Left to find are keys and tables that are there twice. They leave the tree sound.
    let mut header = None;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        if diagnostics.full() {
            // Looking for the first of two costs a look upwards; a flood of them only counts.
            diagnostics.push(Diagnostic::error(Code::DUPLICATE_KEY, span, ""));
            continue;
        }
        let known = told.contains(&source.line_index(span.start));
        if !known && broken_at.is_none_or(|at| span.start < at) {
            diagnostics.extend(twice_defined(source, error.message(), span, &mut header));
        }
    }
    Some(Toml { table: tree::table(document.into_inner(), diagnostics), broken_at })
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(Code::TOO_DEEP, span, "tables, lists or keys are nested too deep")
        .label(format!("a runbook has at most {KEY_PARTS} names in a key and {DEPTH} levels"))
}

/// Keys that repeat because their whole table repeats are not reported again.
fn twice_defined(source: &Source, message: &str, span: Span, header: &mut Option<Span>) -> Option<Diagnostic> {
    let line = source.line(source.line_index(span.start));
    let is_header = source.slice(&line).trim_start().starts_with('[');
    if !message.starts_with("duplicate key") {
        return Some(Diagnostic::error(Code::SYNTAX, span, format!("this is not TOML: {message}")).label("here"));
    }
    let name = if is_header { source.slice(&line).trim() } else { source.slice(&span) };
    if is_header {
        *header = Some(line.clone());
    } else if header.as_ref().is_some_and(|h| !source.slice(&(h.end..span.start)).contains("\n[")) {
        return None;
    }
    let place = if is_header { "" } else { " in one table" };
    let mistake = Diagnostic::error(Code::DUPLICATE_KEY, span.clone(), format!("`{name}` is defined twice{place}"))
        .label("the second time");
    let mistake = match first_time(source, name, is_header, &line, &span) {
        Some(first) => mistake.related(first, "the first time"),
        None => mistake,
    };
    Some(mistake.help(if is_header {
        "put all of its keys into one place, or rename one of the two"
    } else {
        "keep one of the two"
    }))
}

/// The parser does not say where the first one stands; in the usual layout a look upwards does.
fn first_time(source: &Source, name: &str, is_header: bool, line: &Span, span: &Span) -> Option<Span> {
    let text = source.text();
    if is_header {
        return text.get(..line.start)?.rfind(&format!("{name}\n")).map(|at| at..at + name.len());
    }
    let before = text.get(..span.start)?;
    let table = before.rfind("\n[").unwrap_or(0);
    before[table..].rmatch_indices(name).map(|(at, _)| table + at).find_map(|at| {
        let alone = text[..at].ends_with(['\n', ' ', '{', ',', '\t']);
        (alone && text[at + name.len()..].trim_start_matches([' ', '\t']).starts_with('='))
            .then_some(at..at + name.len())
    })
}

/// The second and later ones of texts that are in a list more than once.
pub(super) fn twice<'a>(texts: impl IntoIterator<Item = (&'a str, &'a Span)>) -> Vec<(&'a str, Span)> {
    let mut seen = BTreeSet::new();
    texts.into_iter().filter(|(text, _)| !seen.insert(*text)).map(|(text, span)| (text, span.clone())).collect()
}

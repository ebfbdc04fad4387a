//! The few lines of the file that a diagnostic shows: cleaned of hostile characters, secrets
//! starred out, long lines cut around the marked places. Keeps where each marked byte went.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::Range,
};

use super::Diagnostic;
use crate::{
    base::clean_line,
    runbook::{Source, value::Span},
};

/// Characters kept on either side of the marked places of a long line.
const AROUND: usize = 50;
/// A line up to this long is shown whole.
const WHOLE: usize = 130;
/// Lines between two places that are still drawn as one excerpt: the renderer walks over all of them.
const FAR: usize = 20_000;
/// A marked place is shown up to this long.
const MARKED: usize = 100;

pub(super) struct Excerpt {
    /// Consecutive lines; those far from every marked place are empty (the renderer folds them).
    pub text: String,
    /// Number of the first line, from 1.
    pub first: usize,
    /// The marked places in `text`, in the order of the diagnostic: its own, then the related. `None`: too far to show.
    pub marks: Vec<Option<Range<usize>>>,
}

/// A span cut to its first line and to a length that can be shown.
fn on_one_line(source: &Source, span: &Span) -> Span {
    let start = source.floor(span.start);
    let line = source.line(source.line_index(start));
    let start = start.clamp(line.start, line.end);
    let end = source.floor(span.end.clamp(start, line.end));
    let marked = source.slice(&(start..end));
    start..start + marked.char_indices().nth(MARKED).map_or(marked.len(), |(i, _)| i)
}

pub(super) fn excerpt(source: &Source, masked: &[Span], diagnostic: &Diagnostic) -> Excerpt {
    let spans: Vec<Span> = std::iter::once(&diagnostic.span)
        .chain(diagnostic.related.iter().map(|(span, _)| span))
        .map(|span| on_one_line(source, span))
        .collect();
    let line_of = |span: &Span| source.line_index(span.start);
    let own = spans.first().map_or(0, line_of);
    let near = |span: &Span| line_of(span).abs_diff(own) <= FAR;
    let lines: BTreeSet<usize> = spans.iter().filter(|span| near(span)).map(line_of).collect();
    let (first, last) = (lines.first().copied().unwrap_or(0), lines.last().copied().unwrap_or(0));
    let mut text = String::new();
    let mut moved = BTreeMap::new();
    for index in first..=last {
        if lines.range(index.saturating_sub(1)..=index + 1).next().is_some() {
            let here: Vec<&Span> = spans.iter().filter(|s| source.line_index(s.start) == index).collect();
            show_line(source, masked, index, &here, &mut text, &mut moved);
        }
        text.push('\n');
    }
    let at = |offset: usize| moved.get(&offset).copied().unwrap_or(0);
    let mark = |span: &Span| at(span.start)..at(span.end).max(at(span.start));
    let marks = spans.iter().map(|span| near(span).then(|| mark(span))).collect();
    Excerpt { text, first: first + 1, marks }
}

fn show_line(
    source: &Source,
    masked: &[Span],
    index: usize,
    spans: &[&Span],
    text: &mut String,
    moved: &mut BTreeMap<usize, usize>,
) {
    let line = source.line(index);
    let shown = window(source, &line, spans);
    if shown.start > line.start {
        text.push('…');
    }
    let marks: BTreeSet<usize> = spans.iter().flat_map(|span| [span.start, span.end]).collect();
    let masked: Vec<&Span> = masked.iter().filter(|m| m.start < shown.end && m.end > shown.start).collect();
    for (i, c) in source.slice(&shown).char_indices() {
        let offset = shown.start + i;
        if marks.contains(&offset) {
            moved.insert(offset, text.len());
        }
        if masked.iter().any(|m| m.contains(&offset)) {
            text.push('*');
        } else if c == '\t' {
            text.push_str("    ");
        } else if c.is_ascii_graphic() || c == ' ' {
            text.push(c);
        } else {
            // `clean_line` trims a lone trailing space character; those are spelled out here.
            match clean_line(c.encode_utf8(&mut [0; 4]), 40) {
                cleaned if cleaned.is_empty() => drop(write!(text, "\\u{{{:x}}}", c as u32)),
                cleaned => text.push_str(&cleaned),
            }
        }
    }
    moved.entry(shown.end).or_insert(text.len());
    if shown.end < line.end {
        text.push('…');
    }
}

/// The part of a line that is shown: all of it, or what lies around the marked places.
fn window(source: &Source, line: &Span, spans: &[&Span]) -> Span {
    let text = source.slice(line);
    if text.chars().nth(WHOLE).is_none() {
        return line.clone();
    }
    let first = spans.iter().map(|s| s.start).min().unwrap_or(line.start);
    // Places further apart than a screen is wide: only those near the first are shown in full.
    let reach = first + 4 * WHOLE;
    let last = spans.iter().map(|s| s.end).filter(|end| *end <= reach).max().unwrap_or(first);
    let before = source.slice(&(line.start..first));
    let start = before.char_indices().rev().nth(AROUND - 1).map_or(line.start, |(i, _)| line.start + i);
    let after = source.slice(&(last..line.end));
    let end = after.char_indices().nth(AROUND).map_or(line.end, |(i, _)| last + i);
    start..end
}

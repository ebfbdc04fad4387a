//! Diagnostics for a terminal, a log or a program.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value as Json, json};

use super::{Diagnostic, Diagnostics, Severity, excerpt::excerpt};
use crate::runbook::Place;

impl Diagnostics {
    /// All of them, in the order of the file, as rustc shows its own, each followed by an empty
    /// line. `width`: columns of the terminal, where it is one.
    #[must_use]
    pub fn render(&self, colour: bool, width: Option<usize>) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.term_width(width.unwrap_or(140).clamp(40, 200));
        let mut out = String::new();
        for diagnostic in self.sorted() {
            out.push_str(&self.render_one(&renderer, diagnostic));
            out.push_str("\n\n");
        }
        if self.dropped() > 0 {
            out.push_str(&format!("… and {} more; mend these first\n\n", self.dropped()));
        }
        out
    }

    fn render_one(&self, renderer: &Renderer, diagnostic: &Diagnostic) -> String {
        let source = self.source();
        let place = source.place(diagnostic.span.start);
        let excerpt = excerpt(source, self.masked(), diagnostic);
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let labels = std::iter::once(&diagnostic.label).chain(diagnostic.related.iter().map(|(_, label)| label));
        let annotations = excerpt.marks.iter().zip(labels).enumerate().filter_map(|(i, (mark, label))| {
            let kind = if i == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(mark.clone()?);
            Some(if label.is_empty() { annotation } else { annotation.label(label.as_str()) })
        });
        let mut groups = vec![
            level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str()).element(
                Snippet::source(excerpt.text.as_str())
                    .path(source.path())
                    .line_start(excerpt.first)
                    .annotations(annotations),
            ),
        ];
        if let Some(help) = &diagnostic.help {
            groups.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
        }
        with_place(&renderer.render(&groups), source.path(), place)
    }

    /// All of them as JSON: an array in the order of the file. Lines and columns count from 1, columns in characters.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let source = self.source();
        let place = |span: &super::Span| {
            let (start, end) = (source.place(span.start), source.place(span.end));
            json!({"line": start.line, "column": start.column, "end_line": end.line, "end_column": end.column})
        };
        let one = |d: &Diagnostic| {
            json!({
                "severity": match d.severity { Severity::Error => "error", Severity::Warning => "warning" },
                "code": d.code.as_str(),
                "file": source.path(),
                "place": place(&d.span),
                "message": d.message,
                "label": d.label,
                "related": d.related.iter().map(|(span, label)| json!({"place": place(span), "label": label})).collect::<Vec<_>>(),
                "help": d.help,
            })
        };
        Json::Array(self.sorted().into_iter().map(one).collect())
    }
}

/// The renderer counts the column in the excerpt, whose lines may be cut or spelled out; the place in
/// the file is put there instead.
fn with_place(rendered: &str, path: &str, place: Place) -> String {
    let line = format!("{path}:{}:", place.line);
    // The title is one line, so the first mention after it is the place.
    let start = rendered.find('\n').and_then(|title| rendered[title..].find(&line).map(|at| title + at + line.len()));
    let Some(start) = start else { return rendered.to_owned() };
    let after = rendered[start..].trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{}{}{after}", &rendered[..start], place.column)
}

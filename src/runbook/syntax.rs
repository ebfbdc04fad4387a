//! TOML to a [`Table`] with spans, in the order of the file, within bounds: a file that is built to
//! exhaust memory, stack or time is turned away by its tokens, before a tree is made of it.

use std::collections::BTreeSet;

use chrono::{DateTime, FixedOffset, NaiveDate};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
    value::{Datetime, Offset},
};
use toml_parser::{Expected, ParseError, lexer::TokenKind};

use super::{
    Code, Diagnostic, Diagnostics, Source,
    value::{Entry, Kind, Span, Table, Value},
};

/// Names in one dotted key or header. The deepest of the format has five (`env.sandbox.sandbox.world.zone`).
const KEY_PARTS: usize = 8;
/// Tables and lists inside each other. A scenario inside a check inside a step needs six.
const DEPTH: usize = 24;
/// With more broken places than this the rest of the file is noise.
const BROKEN: usize = 20;

/// What could be read.
pub(super) struct Toml {
    pub table: Table,
    /// The first place where the TOML is broken: what was read from there on is guesswork.
    pub broken_at: Option<usize>,
}

/// Reads the text. `None` where there is nothing to go on with.
pub(super) fn read(source: &Source, diagnostics: &mut Diagnostics) -> Option<Toml> {
    let text = source.text();
    let mut broken = Vec::new();
    scan(text, &mut broken, diagnostics)?;
    let broken_at = broken.iter().map(|b: &Broken| b.span.start).min();
    let flood = broken.len() > BROKEN;
    for broken in broken.into_iter().take(BROKEN) {
        diagnostics.push(broken.diagnostic(source));
    }
    if flood {
        return None;
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut header = None;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        if broken_at.is_some_and(|at| span.start >= at) {
            continue;
        }
        diagnostics.extend(later_mistake(source, error.message(), span, &mut header));
    }
    // What this stage finds (a key twice, a bad escape) leaves the tree sound.
    let mut reader = Reader { diagnostics, depth: 0 };
    let table = reader.table(0..0, document.into_inner());
    Some(Toml { table, broken_at })
}

struct Broken {
    span: Span,
    message: String,
}

/// Looks at tokens and grammar only. `None`: turned away.
fn scan(text: &str, broken: &mut Vec<Broken>, diagnostics: &mut Diagnostics) -> Option<()> {
    let tokens = toml_parser::Source::new(text).lex().into_vec();
    let (mut dots, mut depth) = (0, 0_usize);
    for token in &tokens {
        match token.kind() {
            TokenKind::Dot => dots += 1,
            TokenKind::Equals | TokenKind::Newline | TokenKind::Comma => dots = 0,
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth += 1,
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        if dots >= KEY_PARTS || depth > 2 * DEPTH {
            diagnostics.push(too_deep(token.span().start()..token.span().end()));
            return None;
        }
    }
    let mut sink = |error: ParseError| {
        if broken.len() <= BROKEN {
            let span = error.unexpected().or(error.context()).map_or(0..0, |s| s.start()..s.end());
            broken.push(Broken { span, message: words(&error) });
        }
    };
    toml_parser::parser::parse_document(&tokens, &mut (), &mut sink);
    Some(())
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(Code::TOO_DEEP, span, "tables, lists or keys are nested too deep")
        .label(format!("a runbook has at most {KEY_PARTS} names in a key and {DEPTH} levels"))
}

fn words(error: &ParseError) -> String {
    let mut words = error.description().to_owned();
    for (i, expected) in error.expected().unwrap_or_default().iter().enumerate() {
        words.push_str(if i == 0 { ", expected " } else { " or " });
        match expected {
            Expected::Literal("\n") => words.push_str("a line end"),
            Expected::Literal(literal) => words.push_str(&format!("`{literal}`")),
            Expected::Description(text) => words.push_str(text),
            _ => words.push_str("something else"),
        }
    }
    words
}

impl Broken {
    fn diagnostic(self, source: &Source) -> Diagnostic {
        let line = source.slice(&source.line(source.line_index(self.span.start))).trim();
        let diagnostic =
            Diagnostic::error(Code::SYNTAX, self.span.clone(), format!("this is not TOML: {}", self.message))
                .label("here");
        let quoted = |c: char| matches!(c, '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}');
        if line.contains(quoted) {
            diagnostic.help("write straight quotes: \"…\"")
        } else if !line.contains('=') && line.contains(": ") {
            diagnostic.help("TOML writes `key = \"value\"`, not `key: value`")
        } else if self.message.contains("key without") || self.message.contains("key with no value") {
            diagnostic.help("a line is `key = value` or a `[table]`")
        } else {
            diagnostic
        }
    }
}

/// A mistake of the second stage. Keys that repeat because their whole table repeats are not reported again.
fn later_mistake(source: &Source, message: &str, span: Span, header: &mut Option<Span>) -> Option<Diagnostic> {
    let line = source.line(source.line_index(span.start));
    let is_header = source.slice(&line).trim_start().starts_with('[');
    if !message.starts_with("duplicate key") {
        return Some(
            Diagnostic::error(Code::SYNTAX, span, format!("this is not TOML: {message}")).label("not a TOML value"),
        );
    }
    let name = source.slice(&span).to_owned();
    if is_header {
        *header = Some(line.clone());
        return Some(
            Diagnostic::error(Code::DUPLICATE_KEY, span, format!("`{}` is defined twice", source.slice(&line).trim()))
                .label("the second time")
                .help("put all of its keys into one place, or rename one of the two"),
        );
    }
    let inside = header.as_ref().is_some_and(|h| {
        let between = source.slice(&(h.end..span.start));
        !between.lines().any(|l| l.starts_with('['))
    });
    (!inside).then(|| {
        Diagnostic::error(Code::DUPLICATE_KEY, span, format!("`{name}` is defined twice in one table"))
            .label("the second time")
            .help("keep one of the two")
    })
}

struct Reader<'d> {
    diagnostics: &'d mut Diagnostics,
    depth: usize,
}

impl Reader<'_> {
    fn table(&mut self, span: Span, table: DeTable<'_>) -> Table {
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let key_span = key.span();
            entries.push(Entry { key_span, key: key.into_inner().into_owned(), value: self.value(value) });
        }
        entries.sort_by_key(|entry| entry.key_span.start);
        Table { span, entries }
    }

    fn value(&mut self, value: Spanned<DeValue<'_>>) -> Value {
        let span = value.span();
        let kind = match value.into_inner() {
            DeValue::String(text) => Kind::Text(text.into_owned()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Kind::Int(number),
                Err(_) => self.bad(&span, "a whole number is too large", "at most 9223372036854775807", Kind::Int(1)),
            },
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Kind::Float(number),
                _ => self.bad(&span, "a number must be finite", "not a number to work with", Kind::Float(1.0)),
            },
            DeValue::Boolean(flag) => Kind::Bool(flag),
            DeValue::Datetime(time) => match moment(&time) {
                Ok(time) => Kind::Time(time),
                Err(why) => {
                    self.diagnostics.push(why.diagnostic(&span, &time));
                    Kind::Time(DateTime::UNIX_EPOCH.fixed_offset())
                }
            },
            DeValue::Array(list) => {
                let list = self.deeper(&span, |reader| list.into_iter().map(|v| reader.value(v)).collect());
                Kind::List(list.unwrap_or_default())
            }
            DeValue::Table(table) => {
                let inner = span.clone();
                Kind::Table(self.deeper(&span, |reader| reader.table(inner, table)).unwrap_or_default())
            }
        };
        Value { span, kind }
    }

    fn deeper<T>(&mut self, span: &Span, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.depth >= DEPTH {
            self.diagnostics.push(too_deep(span.clone()));
            return None;
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        Some(read)
    }

    fn bad(&mut self, span: &Span, message: &str, label: &str, instead: Kind) -> Kind {
        self.diagnostics.push(Diagnostic::error(Code::BAD_VALUE, span.clone(), message).label(label));
        instead
    }
}

enum NoMoment {
    NoOffset,
    NoDay,
    OutOfRange,
}

impl NoMoment {
    fn diagnostic(&self, span: &Span, time: &Datetime) -> Diagnostic {
        match self {
            Self::NoOffset => Diagnostic::error(Code::LOCAL_TIME, span.clone(), "a time needs its offset from UTC")
                .label("which time zone?")
                .help(format!("write the offset behind it: {time}+01:00, or {time}Z for UTC")),
            Self::NoDay => {
                Diagnostic::error(Code::LOCAL_TIME, span.clone(), "a time needs its date, its hour and its offset")
                    .label("not a moment")
                    .help("write a whole moment: 2026-12-06T01:30:00+01:00")
            }
            Self::OutOfRange => {
                Diagnostic::error(Code::BAD_VALUE, span.clone(), "this moment does not exist").label("out of range")
            }
        }
    }
}

fn moment(time: &Datetime) -> Result<DateTime<FixedOffset>, NoMoment> {
    let (Some(date), Some(clock)) = (time.date, time.time) else { return Err(NoMoment::NoDay) };
    let minutes = match time.offset {
        Some(Offset::Z) => 0,
        Some(Offset::Custom { minutes }) => i32::from(minutes),
        None => return Err(NoMoment::NoOffset),
    };
    let offset = FixedOffset::east_opt(minutes * 60).ok_or(NoMoment::OutOfRange)?;
    NaiveDate::from_ymd_opt(i32::from(date.year), u32::from(date.month), u32::from(date.day))
        .and_then(|day| {
            let second = clock.second.unwrap_or(0);
            let nano = clock.nanosecond.unwrap_or(0);
            day.and_hms_nano_opt(u32::from(clock.hour), u32::from(clock.minute), u32::from(second), nano)
        })
        .and_then(|local| local.and_local_timezone(offset).single())
        .ok_or(NoMoment::OutOfRange)
}

/// Keys of a table that are there twice are found by TOML; this finds texts that are twice in a list.
pub(super) fn twice<'a>(texts: impl IntoIterator<Item = (&'a str, &'a Span)>) -> Vec<(&'a str, Span)> {
    let mut seen = BTreeSet::new();
    texts.into_iter().filter(|(text, _)| !seen.insert(*text)).map(|(text, span)| (text, span.clone())).collect()
}

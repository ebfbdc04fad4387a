//! The parser's tree to ours: keys in the order of the file, moments with their offset, a bound on depth.

use chrono::{DateTime, FixedOffset, NaiveDate};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
    value::{Datetime, Offset},
};

use super::{DEPTH, too_deep};
use crate::runbook::{
    Code, Diagnostic, Diagnostics,
    value::{Entry, Kind, Span, Table, Value},
};

/// What stands for a moment that could not be read; its mistake is recorded already.
pub(in crate::runbook) const NO_MOMENT: DateTime<chrono::Utc> = DateTime::UNIX_EPOCH;

/// The whole document.
pub(super) fn table(document: DeTable<'_>, diagnostics: &mut Diagnostics) -> Table {
    Reader { diagnostics, depth: 0 }.table(0..0, document)
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
                    Kind::Time(NO_MOMENT.fixed_offset())
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

//! Typed reading of one table of the file. Every mistake is recorded at its place and reading goes
//! on, so that one look finds all of them.

use std::{str::FromStr, time::Duration};

use chrono::{DateTime, FixedOffset};

use super::Known;
use crate::base::{EnvName, PersonId};
use crate::runbook::{
    Code, Diagnostic, Diagnostics,
    mistakes::nearest,
    syntax::NO_MOMENT,
    units,
    value::{Entry, Kind, Span, Table, Value},
};

/// A table being read: what it is called, where it stands, which keys it knows.
pub(super) struct Fields<'t> {
    table: &'t Table,
    /// For messages: "step `lower-ttl`".
    pub what: String,
    /// Where a missing key is reported.
    pub place: Span,
}

/// Words of other tools for keys of ours.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("depends_on", "needs"),
    ("depends", "needs"),
    ("after", "needs"),
    ("requires", "needs"),
    ("name", "title"),
    ("description", "why"),
    ("notes", "why"),
    ("duration", "planned"),
    ("estimate", "planned"),
    ("undo", "rollback"),
    ("revert", "rollback"),
    ("assignee", "owner"),
    ("check", "verify"),
    ("checks", "verify"),
    ("run", "action"),
    ("condition", "precheck"),
    ("preconditions", "precheck"),
    ("envs", "only"),
    ("environments", "only"),
    ("retries", "retry"),
    ("section", "phase"),
    ("group", "phase"),
    ("interval", "every"),
];

impl<'t> Fields<'t> {
    /// Reports the unknown keys at once.
    pub fn new(
        table: &'t Table,
        what: impl Into<String>,
        place: Span,
        known: &[&'static str],
        d: &mut Diagnostics,
    ) -> Self {
        let fields = Self { table, what: what.into(), place };
        for entry in &table.entries {
            if !known.contains(&entry.key.as_str()) {
                fields.unknown(entry, known, d);
            }
        }
        fields
    }

    fn unknown(&self, entry: &Entry, known: &[&'static str], d: &mut Diagnostics) {
        if d.full() {
            d.push(Diagnostic::error(Code::UNKNOWN_KEY, entry.key_span.clone(), ""));
            return;
        }
        let other = OTHER_WORDS.iter().find(|(word, ours)| *word == entry.key && known.contains(ours));
        let near = nearest(&entry.key, known.iter().copied()).or(other.map(|(_, ours)| *ours));
        let mistake = Diagnostic::error(
            Code::UNKNOWN_KEY,
            entry.key_span.clone(),
            format!("{} does not know the key `{}`", self.what, entry.key),
        )
        .label("unknown key");
        d.push(match near {
            Some(_) => mistake.near(near),
            None => mistake.help(format!("known keys: {}", known.join(", "))),
        });
    }

    pub fn entry(&self, key: &str) -> Option<&'t Entry> {
        self.table.get(key)
    }

    pub fn value(&self, key: &str) -> Option<&'t Value> {
        self.table.get(key).map(|entry| &entry.value)
    }

    /// Where a key's value stands, or the table.
    pub fn place_of(&self, key: &str) -> Span {
        self.value(key).map_or_else(|| self.place.clone(), |value| value.span.clone())
    }

    pub fn missing(&self, key: &str, help: &str, d: &mut Diagnostics) {
        d.push(
            Diagnostic::error(Code::MISSING, self.place.clone(), format!("{} has no `{key}`", self.what))
                .label(format!("`{key}` is missing"))
                .help(help),
        );
    }

    /// Records that a required key is not there.
    pub fn required(&self, key: &str, help: &str, d: &mut Diagnostics) -> Option<&'t Value> {
        let value = self.value(key);
        if value.is_none() {
            self.missing(key, help, d);
        }
        value
    }

    /// Text that `resolve` fills in later.
    pub fn template(&self, key: &str, d: &mut Diagnostics) -> Option<Value> {
        let value = self.value(key)?;
        let Kind::Text(text) = &value.kind else {
            wrong(key, value, "text in quotes", d);
            return None;
        };
        if text.trim().is_empty() {
            d.push(bad_value(value, format!("`{key}` is empty"), "say it in a few words"));
        }
        Some(value.clone())
    }

    /// Text in which no variable is replaced.
    pub fn plain(&self, key: &str, d: &mut Diagnostics) -> Option<String> {
        let value = self.value(key)?;
        plain(key, value, d).map(str::to_owned)
    }

    /// A name with its grammar.
    pub fn id<T: FromStr<Err: std::fmt::Display>>(&self, key: &str, d: &mut Diagnostics) -> Option<T> {
        let value = self.value(key)?;
        id(text(key, value, d)?, &value.span, d)
    }

    /// A person of `[people]`.
    pub fn person(&self, key: &str, known: &Known<'_>, d: &mut Diagnostics) -> Option<PersonId> {
        let id = self.id::<PersonId>(key, d)?;
        known.person(&id, &self.place_of(key), d);
        Some(id)
    }

    /// Environments.
    pub fn envs(&self, key: &str, known: &Known<'_>, d: &mut Diagnostics) -> Option<Vec<EnvName>> {
        let envs = self.ids::<EnvName>(key, d)?;
        if let Some(value) = self.value(key)
            && matches!(&value.kind, Kind::List(list) if list.is_empty())
        {
            d.push(
                bad_value(value, format!("`{key}` names no environment"), "nowhere").help("leave it out: everywhere"),
            );
            return None;
        }
        envs.iter().for_each(|(env, span)| known.env(env, span, d));
        Some(envs.into_iter().map(|(env, _)| env).collect())
    }

    /// Names with their grammar and places.
    pub fn ids<T: FromStr<Err: std::fmt::Display>>(&self, key: &str, d: &mut Diagnostics) -> Option<Vec<(T, Span)>> {
        let list = self.list(key, "a list of names, such as [\"a\", \"b\"]", d)?;
        let texts: Vec<_> = list.iter().filter_map(|item| Some((text(key, item, d)?, &item.span))).collect();
        for (text, span) in crate::runbook::syntax::twice(texts.iter().copied()) {
            let name = crate::base::clean_line(text, 60);
            d.push(
                Diagnostic::error(Code::DUPLICATE_ID, span, format!("`{name}` is in `{key}` twice"))
                    .label("the second time"),
            );
        }
        let mut ids: Vec<(T, Span)> = Vec::with_capacity(texts.len());
        for (text, span) in texts {
            ids.extend(id(text, span, d).map(|id| (id, span.clone())));
        }
        Some(ids)
    }

    pub fn list(&self, key: &str, wanted: &str, d: &mut Diagnostics) -> Option<&'t [Value]> {
        let value = self.value(key)?;
        if let Kind::List(list) = &value.kind {
            return Some(list);
        }
        wrong(key, value, wanted, d);
        None
    }

    pub fn table(&self, key: &str, d: &mut Diagnostics) -> Option<&'t Table> {
        let value = self.value(key)?;
        if let Kind::Table(table) = &value.kind {
            return Some(table);
        }
        wrong(key, value, "a table", d);
        None
    }

    pub fn flag(&self, key: &str, d: &mut Diagnostics) -> Option<bool> {
        let value = self.value(key)?;
        if let Kind::Bool(flag) = value.kind {
            return Some(flag);
        }
        wrong(key, value, "true or false", d);
        None
    }

    /// A whole number within bounds.
    pub fn number(&self, key: &str, min: u64, max: u64, d: &mut Diagnostics) -> Option<u64> {
        let value = self.value(key)?;
        let Kind::Int(number) = value.kind else {
            wrong(key, value, "a whole number", d);
            return None;
        };
        let number = u64::try_from(number).ok().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            d.push(bad_value(value, format!("`{key}` must be from {min} to {max}"), "out of range"));
        }
        number
    }

    /// `90s`, `15m`, `1h30m`, at least `min`.
    pub fn duration(&self, key: &str, min: Duration, d: &mut Diagnostics) -> Option<Duration> {
        let value = self.value(key)?;
        let Kind::Text(text) = &value.kind else {
            let mistake = mismatch(key, value, "a duration such as \"90s\" or \"1h30m\"");
            d.push(match value.kind {
                Kind::Int(number) => mistake.help(format!("write the unit and quotes: \"{number}s\" or \"{number}m\"")),
                _ => mistake,
            });
            return None;
        };
        match units::duration(text) {
            Ok(duration) if duration >= min => Some(duration),
            Ok(_) => {
                let shortest = if min < Duration::from_secs(1) { "1ms" } else { "1s" };
                d.push(
                    Diagnostic::error(Code::BAD_DURATION, value.span.clone(), format!("`{key}` is too short"))
                        .label(format!("at least {shortest}")),
                );
                None
            }
            Err(why) => {
                d.push(
                    Diagnostic::error(
                        Code::BAD_DURATION,
                        value.span.clone(),
                        format!("`{key}` is not a duration: {why}"),
                    )
                    .label("not a duration")
                    .help("durations are written \"90s\", \"15m\" or \"1h30m\""),
                );
                None
            }
        }
    }

    pub fn time(&self, key: &str, d: &mut Diagnostics) -> Option<DateTime<FixedOffset>> {
        let value = self.value(key)?;
        match &value.kind {
            Kind::Time(time) => Some(*time).filter(|time| *time != NO_MOMENT),
            Kind::Text(_) => {
                d.push(
                    mismatch(key, value, "a time with its offset")
                        .help("times are written without quotes: 2026-12-06T01:30:00+01:00"),
                );
                None
            }
            _ => {
                wrong(key, value, "a time with its offset, such as 2026-12-06T01:30:00+01:00", d);
                None
            }
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&'static str, T)], d: &mut Diagnostics) -> Option<T> {
        let value = self.value(key)?;
        word(key, value, text(key, value, d)?, words, d)
    }
}

pub(super) fn word<T: Copy>(
    key: &str,
    value: &Value,
    text: &str,
    words: &[(&'static str, T)],
    d: &mut Diagnostics,
) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, word)| *word);
    if found.is_none() {
        let list = words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let mistake = bad_value(value, format!("`{key}` must be one of {list}"), "not one of them");
        d.push(mistake.near(nearest(text, words.iter().map(|(word, _)| *word))));
    }
    found
}

pub(super) fn bad_value(value: &Value, message: impl AsRef<str>, label: &str) -> Diagnostic {
    Diagnostic::error(Code::BAD_VALUE, value.span.clone(), message).label(label)
}

fn mismatch(key: &str, value: &Value, wanted: &str) -> Diagnostic {
    let message = format!("`{key}` must be {wanted}, found {}", value.kind.name());
    Diagnostic::error(Code::WRONG_TYPE, value.span.clone(), message).label(format!("found {}", value.kind.name()))
}

pub(super) fn wrong(key: &str, value: &Value, wanted: &str, d: &mut Diagnostics) {
    d.push(mismatch(key, value, wanted));
}

pub(super) fn text<'v>(key: &str, value: &'v Value, d: &mut Diagnostics) -> Option<&'v str> {
    if let Kind::Text(text) = &value.kind {
        return Some(text);
    }
    wrong(key, value, "text in quotes", d);
    None
}

pub(super) fn plain<'v>(key: &str, value: &'v Value, d: &mut Diagnostics) -> Option<&'v str> {
    let text = text(key, value, d)?;
    if text.trim().is_empty() {
        d.push(bad_value(value, format!("`{key}` is empty"), "empty"));
    } else if text.contains("${") {
        d.push(
            Diagnostic::error(Code::NOT_REPLACED, value.span.clone(), format!("variables are not replaced in `{key}`"))
                .label("write the value itself"),
        );
    }
    Some(text)
}

pub(super) fn id<T: FromStr<Err: std::fmt::Display>>(text: &str, span: &Span, d: &mut Diagnostics) -> Option<T> {
    match text.parse() {
        Ok(id) => Some(id),
        Err(bad) => {
            let mistake = Diagnostic::error(Code::BAD_ID, span.clone(), format!("{bad}")).label("does not fit");
            let slug = slug(text);
            d.push(match slug.parse::<T>() {
                Ok(_) => mistake.help(format!("for example `{slug}`")),
                Err(_) => mistake,
            });
            None
        }
    }
}

/// The nearest name of the grammar.
fn slug(text: &str) -> String {
    let mapped: String =
        text.chars().take(64).map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    mapped.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

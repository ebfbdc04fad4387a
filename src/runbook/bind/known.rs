//! The names that the head of the file defines, for everything below that uses one.

use std::{collections::BTreeSet, fmt};

use super::{Code, Diagnostic, Diagnostics, Fields, Kind, Span};
use crate::{base::PersonId, runbook::mistakes::nearest};

/// Names by table. An empty table is reported at its own place and makes nothing else unknown.
pub(super) struct Known<'t> {
    pub people: BTreeSet<&'t str>,
    pub envs: BTreeSet<&'t str>,
    pub secrets: BTreeSet<&'t str>,
    /// Stands in where an owner cannot be read, so that the rest of the step is looked at.
    pub lead: Option<PersonId>,
}

impl<'t> Known<'t> {
    pub fn of(top: &Fields<'t>) -> Self {
        let names = |key: &str| match top.value(key).map(|value| &value.kind) {
            Some(Kind::Table(table)) => table.entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => BTreeSet::new(),
        };
        Self { people: names("people"), envs: names("env"), secrets: names("secrets"), lead: None }
    }

    /// Reports a person who is not in `[people]`.
    pub fn person(&self, id: &impl fmt::Display, span: &Span, d: &mut Diagnostics) {
        look(&self.people, Code::UNKNOWN_PERSON, "person", "[people]", &id.to_string(), span, d);
    }

    /// Reports an environment that is not defined.
    pub fn env(&self, id: &impl fmt::Display, span: &Span, d: &mut Diagnostics) {
        look(&self.envs, Code::UNKNOWN_ENV, "environment", "[env]", &id.to_string(), span, d);
    }

    /// Reports a secret that is not in `[secrets]`.
    pub fn secret(&self, name: &str, span: &Span, d: &mut Diagnostics) {
        if self.secrets.is_empty() {
            let message = format!("secret `{name}` is not in [secrets]");
            d.push(Diagnostic::error(Code::UNKNOWN_SECRET, span.clone(), message).label("there is no [secrets]"));
        }
        look(&self.secrets, Code::UNKNOWN_SECRET, "secret", "[secrets]", name, span, d);
    }
}

fn look(known: &BTreeSet<&str>, code: Code, what: &str, table: &str, name: &str, span: &Span, d: &mut Diagnostics) {
    if known.is_empty() || known.contains(name) {
        return;
    }
    let mistake = Diagnostic::error(code, span.clone(), format!("{what} `{name}` is not in {table}"))
        .label(format!("unknown {what}"));
    let near = if d.full() { None } else { nearest(name, known.iter().copied()) };
    d.push(match near {
        Some(_) => mistake.near(near),
        None => {
            let some = known.iter().take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let more = if known.len() > 8 { ", …" } else { "" };
            mistake.help(format!("{table} has {some}{more}"))
        }
    });
}

//! Tables with a `kind`: checks and actions. Which kinds exist and what they take is the plan's to know.

use super::{
    Code, Diagnostic, Diagnostics, Fields, Kind, Table, Value,
    fields::{self, bad_value},
};
use crate::runbook::KindTable;

/// A table with a `kind`.
pub(super) fn kind_table(what: &str, table: &Table, value: &Value, d: &mut Diagnostics) -> Option<KindTable> {
    let Some(entry) = table.get("kind") else {
        d.push(
            Diagnostic::error(Code::MISSING, value.span.clone(), format!("`{what}` has no `kind`"))
                .label("`kind` is missing")
                .help("{ kind = \"http.check\", … }; `gonogo kinds` lists them"),
        );
        return None;
    };
    let kind = fields::text("kind", &entry.value, d)?;
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if kind.len() > 64 || !kind.split('.').all(part) {
        d.push(
            bad_value(&entry.value, "`kind` must be the name of a kind", "not a kind")
                .help("such as \"route53.switch\"; `gonogo kinds` lists them"),
        );
        return None;
    }
    let entries = table.entries.iter().filter(|e| e.key != "kind").cloned().collect();
    let params = Table { span: table.span.clone(), entries };
    Some(KindTable { kind: kind.to_owned(), kind_span: entry.value.span.clone(), params })
}

/// A list of checks. One that cannot be read is left out.
pub(super) fn checks(fields: &Fields<'_>, key: &str, d: &mut Diagnostics) -> Vec<KindTable> {
    if let Some(value) = fields.value(key)
        && let Kind::Table(table) = &value.kind
    {
        d.push(
            Diagnostic::error(
                Code::WRONG_TYPE,
                value.span.clone(),
                format!("`{key}` must be a list of checks, found one table"),
            )
            .label("one check")
            .help(format!("put it into brackets: {key} = [ {{ … }} ]")),
        );
        return kind_table(key, table, value, d).into_iter().collect();
    }
    let list = fields.list(key, "a list of checks, such as [ { kind = \"http.check\", … } ]", d).unwrap_or_default();
    let mut checks = Vec::with_capacity(list.len());
    for item in list {
        match &item.kind {
            Kind::Table(table) => checks.extend(kind_table(key, table, item, d)),
            _ => fields::wrong(key, item, "a table with a `kind`", d),
        }
    }
    checks
}

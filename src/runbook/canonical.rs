//! A resolved value as one text, the same for the same meaning: keys sorted, places left out,
//! secrets by name only. Drift is the difference of hashes of such texts.

use std::fmt::Write as _;

use super::value::{Kind, Table};

/// A resolved table as JSON with sorted keys and no spaces. A secret is `{"$secret":"name"}`, a
/// moment `{"$time":"2026-12-06T00:30:00Z"}`.
#[must_use]
pub fn canonical(table: &Table) -> String {
    let mut out = String::new();
    write_table(table, &mut out);
    out
}

fn write_table(table: &Table, out: &mut String) {
    let mut entries: Vec<_> = table.entries.iter().collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    out.push('{');
    for (i, entry) in entries.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_text(&entry.key, out);
        out.push(':');
        write_kind(&entry.value.kind, out);
    }
    out.push('}');
}

fn write_kind(kind: &Kind, out: &mut String) {
    match kind {
        Kind::Text(text) => write_text(text, out),
        Kind::Secret(name) => {
            out.push_str("{\"$secret\":");
            write_text(name, out);
            out.push('}');
        }
        Kind::Int(number) => drop(write!(out, "{number}")),
        // `{:?}` keeps the point, so that 1.0 and 1 stay different.
        Kind::Float(number) => drop(write!(out, "{number:?}")),
        Kind::Bool(flag) => drop(write!(out, "{flag}")),
        Kind::Time(time) => drop(write!(out, "{{\"$time\":\"{}\"}}", time.to_utc().to_rfc3339())),
        Kind::List(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_kind(&item.kind, out);
            }
            out.push(']');
        }
        Kind::Table(table) => write_table(table, out),
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

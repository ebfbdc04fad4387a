//! `databases = { … }` of an environment: which database each secret must lead to.

use std::collections::BTreeMap;

use super::{Code, Diagnostic, Diagnostics, Fields, Known, Value, as_table, fields, fields::bad_value};
use crate::runbook::DatabaseEnv;

const KEYS: &[&str] = &["host", "name", "system"];

pub(super) fn databases(env: &Fields<'_>, known: &Known<'_>, d: &mut Diagnostics) -> BTreeMap<String, DatabaseEnv> {
    let mut found = BTreeMap::new();
    for entry in env.table("databases", d).map(|table| table.entries.as_slice()).unwrap_or_default() {
        let Some(table) = as_table(&entry.key, &entry.value, d) else { continue };
        known.secret(&entry.key, &entry.key_span, d);
        let fields = Fields::new(table, format!("database `{}`", entry.key), entry.key_span.clone(), KEYS, d);
        if table.entries.is_empty() {
            d.push(
                Diagnostic::error(Code::NO_FENCE, entry.key_span.clone(), format!("{} may be any", fields.what))
                    .label("nothing to compare with")
                    .help("host = \"*.rds.amazonaws.com\", name = \"acme\", or system = \"…\" (pg_control_system)"),
            );
        }
        let text = |key, d: &mut Diagnostics| filled(key, fields.value(key), d);
        let database =
            DatabaseEnv { host: text("host", d), name: text("name", d), system: system(fields.value("system"), d) };
        found.insert(entry.key.clone(), database);
    }
    found
}

fn filled(key: &str, value: Option<&Value>, d: &mut Diagnostics) -> Option<String> {
    let value = value?;
    let text = fields::plain(key, value, d)?.to_owned();
    if text.contains(['@', '/']) && key == "host" && !text.starts_with('/') {
        // It may be a whole connection string with its password.
        d.mask(value.span.clone());
        d.push(
            bad_value(value, "`host` must be the name of a host", "not a name").help("without user, port and password"),
        );
        return None;
    }
    Some(text)
}

fn system(value: Option<&Value>, d: &mut Diagnostics) -> Option<String> {
    let text = filled("system", value, d)?;
    let digits = text.bytes().all(|b| b.is_ascii_digit()) && (1..=20).contains(&text.len());
    if let Some(value) = value.filter(|_| !digits && !text.trim().is_empty() && !text.contains("${")) {
        d.push(
            bad_value(value, "`system` must be a system identifier in quotes", "digits")
                .help("SELECT system_identifier FROM pg_control_system()"),
        );
    }
    Some(text)
}

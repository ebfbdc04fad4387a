//! Binding: the table of the file to the typed model, one file per part of the format. Names are
//! checked for their grammar here and for their existence in `meaning`.

mod contradictions;
mod databases;
mod env;
mod fields;
mod head;
mod kind;
mod known;
mod secret;
mod step;
mod watch;

use fields::Fields;
use known::Known;

use super::{
    Code, Diagnostic, Diagnostics, Runbook, Source,
    parse::MAX_STEPS,
    value::{Entry, Kind, Span, Table, Value},
};

/// More entries than this in `[people]`, `[env]`, `[vars]`, `[secrets]` or `[[watch]]` are no night's work.
const MAX_ENTRIES: usize = 500;

const TOP: &[&str] = &["format", "runbook", "window", "people", "env", "vars", "secrets", "step", "watch", "allow"];

/// The whole file. `None` where too little is there to go on.
pub(super) fn runbook(source: &std::sync::Arc<Source>, table: &Table, d: &mut Diagnostics) -> Option<Runbook> {
    let top = Fields::new(table, "the runbook", 0..0, TOP, d);
    head::format(&top, d);
    let mut known = Known::of(&top);
    let people = head::people(&top, d);
    let (id, title, lead) = head::runbook(&top, &known, d);
    let window = head::window(&top, d);
    let envs = env::envs(&top, &known, d);
    let vars = head::vars(top.table("vars", d), d);
    let secrets = secret::secrets(&top, d);
    let allow = head::allow(&top, d);
    // With a lead missing or misspelt the others' steps can still be looked at.
    known.lead = lead.or_else(|| people.first().map(|person| person.id.clone()));
    let steps = step::steps(&top, &known, d)?;
    let watches = watch::watches(&top, &known, d);
    let lead = known.lead?;
    let source = std::sync::Arc::clone(source);
    Some(Runbook { id, title, lead, window, people, envs, vars, secrets, steps, watches, allow, source })
}

/// The entries of a table of the top, at most [`MAX_ENTRIES`].
fn entries<'t>(top: &Fields<'t>, key: &str, d: &mut Diagnostics) -> &'t [Entry] {
    let Some(table) = top.table(key, d) else { return &[] };
    if let Some(entry) = table.entries.get(MAX_ENTRIES) {
        d.push(too_many(entry.key_span.clone(), &format!("[{key}]"), table.entries.len(), MAX_ENTRIES));
        return &table.entries[..MAX_ENTRIES];
    }
    &table.entries
}

/// The tables of `[[key]]`. `None` where there are too many to look at.
fn tables<'t>(top: &Fields<'t>, key: &str, max: usize, d: &mut Diagnostics) -> Option<Vec<(&'t Table, Span)>> {
    let Some(value) = top.value(key) else { return Some(Vec::new()) };
    let Kind::List(list) = &value.kind else {
        let span = top.entry(key).map_or_else(|| value.span.clone(), |entry| entry.key_span.clone());
        let message = format!("`{key}` must be a list of tables, found {}", value.kind.name());
        d.push(
            Diagnostic::error(Code::WRONG_TYPE, span, message)
                .label(format!("one of several, so it is [[{key}]]"))
                .help(format!("write [[{key}]] with two brackets")),
        );
        return Some(Vec::new());
    };
    if let Some(value) = list.get(max) {
        d.push(too_many(value.span.clone(), &format!("[[{key}]]"), list.len(), max));
        return None;
    }
    Some(list.iter().filter_map(|value| Some((as_table(key, value, d)?, value.span.clone()))).collect())
}

fn as_table<'t>(key: &str, value: &'t Value, d: &mut Diagnostics) -> Option<&'t Table> {
    if let Kind::Table(table) = &value.kind {
        return Some(table);
    }
    fields::wrong(key, value, "a table", d);
    None
}

fn too_many(span: Span, what: &str, found: usize, max: usize) -> Diagnostic {
    Diagnostic::error(Code::TOO_MANY, span, format!("{found} entries in {what}, at most {max} are allowed"))
        .label(format!("number {}", max + 1))
}

//! `[[watch]]`.

use std::time::Duration;

use super::{Diagnostics, Fields, Kind, Known, MAX_ENTRIES, Span, Table, Value, kind::kind_table, tables};
use crate::{
    base::{StepId, WatchId, clean_line},
    runbook::Watch,
};

const KEYS: &[&str] = &["id", "title", "from", "until", "every", "check", "breach", "on_breach", "only"];
/// A night of samples at a second each is the most that a service should be asked for.
const FASTEST: Duration = Duration::from_secs(1);

pub(super) fn watches(top: &Fields<'_>, known: &Known<'_>, d: &mut Diagnostics) -> Vec<Watch> {
    let list = tables(top, "watch", MAX_ENTRIES, d).unwrap_or_default();
    list.into_iter().filter_map(|(table, span)| watch(table, &span, known, d)).collect()
}

fn watch(table: &Table, header: &Span, known: &Known<'_>, d: &mut Diagnostics) -> Option<Watch> {
    let name = table.get("id");
    let what = match name.map(|entry| &entry.value.kind) {
        Some(Kind::Text(id)) => format!("watch `{}`", clean_line(id, 64)),
        _ => "this watch".into(),
    };
    let place = name.map_or_else(|| header.clone(), |entry| entry.value.span.clone());
    let fields = Fields::new(table, what, place.clone(), KEYS, d);
    fields.required("id", "id = \"errors\": stable, used in the record", d);
    fields.required("title", "title = \"5xx share below 1 %\": one line for the screen", d);
    fields.required("from", "from = \"…\": the step with which it starts", d);
    fields.required("until", "until = \"…\": the step with which it ends", d);
    fields.required("check", "check = { kind = \"cloudwatch.metric\", … }", d);
    let id = fields.id::<WatchId>("id", d);
    let title = fields.template("title", d).unwrap_or(Value { span: place.clone(), kind: Kind::Text(String::new()) });
    let step = |key: &str, d: &mut Diagnostics| Some((fields.id::<StepId>(key, d)?, fields.place_of(key)));
    let (from, until) = (step("from", d), step("until", d));
    let every = fields.duration("every", FASTEST, d).unwrap_or(Duration::from_secs(10));
    let check = fields.table("check", d).zip(fields.value("check"));
    let check = check.and_then(|(table, value)| kind_table("check", table, value, d));
    let (breach_after, no_data_is_bad) = breach(&fields, d);
    let hold = fields.word("on_breach", &[("hold", true), ("warn", false)], d).unwrap_or(true);
    let only = fields.envs("only", known, d);
    let (id, from, until, check) = (id?, from?, until?, check?);
    Some(Watch { id, id_span: place, title, from, until, every, check, breach_after, no_data_is_bad, hold, only })
}

/// `breach = { after = 3, no_data = "breach" }`; `no_data = "show"` shows it and stops counting.
fn breach(fields: &Fields<'_>, d: &mut Diagnostics) -> (u32, bool) {
    const AFTER: u32 = 3;
    let Some(table) = fields.table("breach", d) else { return (AFTER, true) };
    let fields = Fields::new(table, "`breach`", table.span.clone(), &["after", "no_data"], d);
    let after = fields.number("after", 1, 1000, d).and_then(|n| u32::try_from(n).ok()).unwrap_or(AFTER);
    (after, fields.word("no_data", &[("breach", true), ("show", false)], d).unwrap_or(true))
}

//! `format`, `[runbook]`, `[window]`, `[people]`, `[vars]`, `[allow]`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Code, Diagnostic, Diagnostics, Fields, Kind, Known, Table, as_table, entries,
    fields::{self, bad_value},
};
use crate::{
    base::{PersonId, RunId, clean_line},
    runbook::{Person, Scalar, Window},
};

/// The version of the format that this program reads.
const FORMAT: i64 = 1;

pub(super) fn format(top: &Fields<'_>, d: &mut Diagnostics) {
    let Some(value) = top.required("format", "write `format = 1` above everything else", d) else { return };
    match value.kind {
        Kind::Int(FORMAT) => {}
        Kind::Int(other) => d.push(
            Diagnostic::error(Code::FORMAT, value.span.clone(), format!("format {other} is not known"))
                .label("this program reads format 1")
                .help("a newer gonogo may read it"),
        ),
        _ => fields::wrong("format", value, "the whole number 1", d),
    }
}

pub(super) fn runbook(top: &Fields<'_>, known: &Known<'_>, d: &mut Diagnostics) -> (String, String, Option<PersonId>) {
    let Some(table) = top.table("runbook", d) else {
        if top.value("runbook").is_none() {
            top.missing("runbook", "add [runbook] with `id`, `title` and `lead`", d);
        }
        return (String::new(), String::new(), None);
    };
    let fields = Fields::new(table, "[runbook]", table.span.clone(), &["id", "title", "lead"], d);
    fields.required("id", "id = \"heroku-to-aws\": matches runs of the same runbook", d);
    fields.required("title", "title = \"…\": one line for the screen", d);
    fields.required("lead", "lead = \"…\": a person of [people], who decides at stop points", d);
    let id = fields.plain("id", d).unwrap_or_default();
    if id.parse::<RunId>().is_err()
        && let Some(value) = fields.value("id").filter(|_| !id.trim().is_empty() && !id.contains("${"))
    {
        let id = clean_line(&id, 80);
        d.push(
            Diagnostic::error(
                Code::BAD_ID,
                value.span.clone(),
                format!("runbook `{id}` must be 1 to 64 of a-z, 0-9 and -, starting with a letter or digit"),
            )
            .label("does not fit"),
        );
    }
    let title = fields.plain("title", d).unwrap_or_default();
    (clean_line(&id, 80), clean_line(&title, 200), fields.person("lead", known, d))
}

pub(super) fn window(top: &Fields<'_>, d: &mut Diagnostics) -> Window {
    let Some(table) = top.table("window", d) else { return Window::default() };
    let known = ["start", "end", "freeze_budget", "downtime_budget"];
    let fields = Fields::new(table, "[window]", table.span.clone(), &known, d);
    let window = Window {
        start: fields.time("start", d),
        end: fields.time("end", d),
        freeze_budget: fields.duration("freeze_budget", Duration::from_secs(1), d),
        downtime_budget: fields.duration("downtime_budget", Duration::from_secs(1), d),
    };
    if let (Some(start), Some(end)) = (window.start, window.end)
        && end <= start
    {
        d.push(
            Diagnostic::error(Code::CONFLICT, fields.place_of("end"), "the window ends before it starts")
                .label("not after the start")
                .related(fields.place_of("start"), "the start"),
        );
    }
    window
}

pub(super) fn people(top: &Fields<'_>, d: &mut Diagnostics) -> Vec<Person> {
    let mut people = Vec::new();
    let list = entries(top, "people", d);
    if list.is_empty() && !top.value("people").is_some_and(|v| !matches!(v.kind, Kind::Table(_))) {
        let place = top.value("people").map_or(0..0, |v| v.span.clone());
        d.push(
            Diagnostic::error(Code::MISSING, place, "the runbook has no people")
                .label("[people] is missing or empty")
                .help("[people]\nmira = { name = \"Mira Okafor\", role = \"cutover lead\" }"),
        );
    }
    for entry in list {
        let id = fields::id(&entry.key, &entry.key_span, d);
        let Some(table) = as_table(&entry.key, &entry.value, d) else { continue };
        let what = format!("person `{}`", entry.key);
        let fields = Fields::new(table, what, entry.key_span.clone(), &["name", "role", "reach"], d);
        fields.required("name", "name = \"…\": the full name, as it stands in the record", d);
        let one_line = |text: String| clean_line(&text, 200);
        let name = fields.plain("name", d).map(one_line).unwrap_or_default();
        let (role, reach) = (fields.plain("role", d).map(one_line), fields.plain("reach", d).map(one_line));
        people.extend(id.map(|id| Person { id, name, role, reach }));
    }
    people
}

/// `vars = { … }` of an environment, or `[vars]`.
pub(super) fn vars(table: Option<&Table>, d: &mut Diagnostics) -> BTreeMap<String, Scalar> {
    let mut vars = BTreeMap::new();
    let list = table.map(|t| t.entries.as_slice()).unwrap_or_default();
    if let Some(entry) = list.get(super::MAX_ENTRIES) {
        d.push(super::too_many(entry.key_span.clone(), "`vars`", list.len(), super::MAX_ENTRIES));
    }
    for entry in list.iter().take(super::MAX_ENTRIES) {
        if !is_name(&entry.key) {
            d.push(bad_name("variable", entry));
        } else if ["env", "secret"].contains(&entry.key.as_str()) {
            let message = format!("`{}` is a name of the format and cannot be a variable", entry.key);
            d.push(Diagnostic::error(Code::BAD_ID, entry.key_span.clone(), message).label("choose another name"));
        }
        let scalar = match &entry.value.kind {
            Kind::Text(text) => {
                if text.contains("${") {
                    d.push(
                        Diagnostic::error(
                            Code::NOT_REPLACED,
                            entry.value.span.clone(),
                            "variables are not replaced inside variables",
                        )
                        .label("write the value itself"),
                    );
                }
                Scalar::Text(text.clone())
            }
            Kind::Int(number) => Scalar::Int(*number),
            Kind::Float(number) => Scalar::Float(*number),
            Kind::Bool(flag) => Scalar::Bool(*flag),
            Kind::Secret(_) | Kind::Time(_) | Kind::List(_) | Kind::Table(_) => {
                fields::wrong(&entry.key, &entry.value, "text, a number, true or false", d);
                continue;
            }
        };
        vars.insert(entry.key.clone(), scalar);
    }
    vars
}

/// `[A-Za-z_][A-Za-z0-9_-]*`, at most 64: what may stand in `${…}`.
pub(super) fn is_name(text: &str) -> bool {
    crate::runbook::template::is_name(text)
}

pub(super) fn bad_name(what: &str, entry: &super::Entry) -> Diagnostic {
    let name = clean_line(&entry.key, 80);
    Diagnostic::error(
        Code::BAD_ID,
        entry.key_span.clone(),
        format!("{what} `{name}` must be 1 to 64 letters, digits, _ and -, starting with a letter"),
    )
    .label("does not fit")
}

pub(super) fn allow(top: &Fields<'_>, d: &mut Diagnostics) -> BTreeMap<String, String> {
    let mut allow = BTreeMap::new();
    for entry in entries(top, "allow", d) {
        let rule = entry.key.strip_prefix("GNG").filter(|n| n.len() == 3 && n.bytes().all(|b| b.is_ascii_digit()));
        if rule.is_none() {
            let message = format!("`{}` is not a rule that can be switched off", entry.key);
            d.push(
                Diagnostic::error(Code::BAD_VALUE, entry.key_span.clone(), message)
                    .label("not a rule")
                    .help("rules are written GNG001; errors of the file itself (GNE…) cannot be switched off"),
            );
        }
        if let Some(reason) = fields::text(&entry.key, &entry.value, d) {
            if reason.trim().is_empty() {
                d.push(bad_value(&entry.value, "switching a rule off needs a reason", "say why"));
            }
            allow.insert(entry.key.clone(), clean_line(reason, 400));
        }
    }
    allow
}

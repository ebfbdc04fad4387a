//! `[[step]]` and `[step.stop]`.

use std::time::Duration;

use super::{
    Code, Diagnostic, Diagnostics, Fields, Kind, Known, MAX_STEPS, Span, Table, Value, contradictions,
    fields::{self, bad_value},
    kind::{checks, kind_table},
    tables,
};
use crate::{
    base::{PersonId, StepId, clean_line},
    runbook::{Clocks, KindTable, OnFail, Retry, Rollback, Step, Stop},
};

const KEYS: &[&str] = &[
    "id",
    "phase",
    "title",
    "why",
    "owner",
    "planned",
    "timeout",
    "needs",
    "precheck",
    "action",
    "verify",
    "rollback",
    "retry",
    "stop",
    "no_return",
    "after_no_return",
    "people",
    "only",
    "on_fail",
    "reason",
    "clocks",
];
const SECOND: Duration = Duration::from_secs(1);

/// Every step that has an id. `None` where there are too many to look at.
pub(super) fn steps(top: &Fields<'_>, known: &Known<'_>, d: &mut Diagnostics) -> Option<Vec<Step>> {
    let list = tables(top, "step", MAX_STEPS, d)?;
    if list.is_empty() && top.value("step").is_none_or(|v| matches!(v.kind, Kind::List(_))) {
        d.push(
            Diagnostic::error(Code::NO_STEPS, top.place_of("step"), "the runbook has no steps")
                .label("[[step]] is missing")
                .help("[[step]]\nid = \"lower-ttl\"\ntitle = \"…\"\nowner = \"…\"\nplanned = \"1m\""),
        );
    }
    Some(list.into_iter().filter_map(|(table, span)| step(table, &span, known, d)).collect())
}

fn step(table: &Table, header: &Span, known: &Known<'_>, d: &mut Diagnostics) -> Option<Step> {
    let name = table.get("id");
    let what = match name.map(|entry| &entry.value.kind) {
        Some(Kind::Text(id)) => format!("step `{}`", clean_line(id, 64)),
        _ => "this step".into(),
    };
    let place = name.map_or_else(|| header.clone(), |entry| entry.value.span.clone());
    let fields = Fields::new(table, what, place, KEYS, d);
    fields.required("id", "id = \"lower-ttl\": stable, used by `needs` and in the record", d);
    fields.required("title", "title = \"…\": one line for the screen", d);
    fields.required("owner", "owner = \"…\": a person of [people], not a team", d);
    fields.required("planned", "planned = \"5m\": how long it takes, without waiting for people", d);
    let id = fields.id::<StepId>("id", d);
    let nothing = Value { span: fields.place.clone(), kind: Kind::Text(String::new()) };
    let (action, stop) = action_and_stop(&fields, known, d);
    let step = Step {
        id_span: fields.place.clone(),
        phase: fields.plain("phase", d).map(|phase| clean_line(&phase, 80)),
        title: fields.template("title", d).unwrap_or(nothing),
        why: fields.template("why", d),
        owner: fields.person("owner", known, d).or_else(|| known.lead.clone())?,
        planned: fields.duration("planned", SECOND, d).unwrap_or(SECOND),
        timeout: fields.duration("timeout", SECOND, d),
        needs: fields.ids::<StepId>("needs", d),
        precheck: checks(&fields, "precheck", d),
        action,
        verify: checks(&fields, "verify", d),
        rollback: rollback(&fields, d),
        retry: retry(&fields, d),
        stop,
        no_return: fields.flag("no_return", d).unwrap_or(false),
        after_no_return: fields.template("after_no_return", d),
        people: persons(&fields, known.people.len(), d),
        only: fields.envs("only", known, d),
        on_fail: on_fail(&fields, d),
        clocks: clocks(&fields, d),
        id: id?,
    };
    contradictions::find(&fields, &step, d);
    Some(step)
}

/// `action = { kind = "stop", … }` is `[step.stop]` in the other notation.
fn action_and_stop(fields: &Fields<'_>, known: &Known<'_>, d: &mut Diagnostics) -> (Option<KindTable>, Option<Stop>) {
    let stop = fields.table("stop", d).map(|table| {
        let place = fields.entry("stop").map_or(0..0, |entry| entry.key_span.clone());
        self::stop(table, place, known, d)
    });
    let Some(value) = fields.value("action") else { return (None, stop) };
    let Kind::Table(table) = &value.kind else {
        match &value.kind {
            Kind::List(_) => d.push(
                Diagnostic::error(Code::WRONG_TYPE, value.span.clone(), "`action` must be one table, found a list")
                    .label("a step does one thing")
                    .help("make a step of each action"),
            ),
            _ => fields::wrong("action", value, "a table such as { kind = \"…\", … }", d),
        }
        return (None, stop);
    };
    let Some(action) = kind_table("action", table, value, d) else { return (None, stop) };
    if action.kind != "stop" {
        return (Some(action), stop);
    }
    if let Some(entry) = fields.entry("stop") {
        d.push(
            Diagnostic::error(Code::CONFLICT, action.kind_span, "the stop point is described twice")
                .label("and here")
                .related(entry.key_span.clone(), "here")
                .help("leave the `action` out: `stop` alone makes a stop point"),
        );
        return (None, stop);
    }
    let stop = self::stop(&action.params, action.kind_span, known, d);
    (None, Some(stop))
}

fn stop(table: &Table, place: Span, known: &Known<'_>, d: &mut Diagnostics) -> Stop {
    let keys = ["question", "if_go", "if_no_go", "voters", "decides", "criteria"];
    let fields = Fields::new(table, "the stop point", place.clone(), &keys, d);
    fields.required("question", "question = \"Freeze writes?\": what is asked", d);
    let voters = fields.ids::<PersonId>("voters", d).unwrap_or_default();
    voters.iter().for_each(|(voter, span)| known.person(voter, span, d));
    Stop {
        question: fields.template("question", d).unwrap_or(Value { span: place, kind: Kind::Text(String::new()) }),
        if_go: fields.template("if_go", d),
        if_no_go: fields.template("if_no_go", d),
        voters: voters.into_iter().map(|(voter, _)| voter).collect(),
        decides: fields.person("decides", known, d),
        criteria: checks(&fields, "criteria", d),
    }
}

fn rollback(fields: &Fields<'_>, d: &mut Diagnostics) -> Option<Rollback> {
    const FORMS: &str = "rollback = \"restore\", rollback = { kind = \"…\", … } or rollback = { none = \"reason\" }";
    let value = fields.value("rollback")?;
    let table = match &value.kind {
        Kind::Text(text) if text == "restore" => return Some(Rollback::Restore),
        Kind::Text(_) => {
            d.push(bad_value(value, "`rollback` must be \"restore\" or a table", "neither").help(FORMS));
            return None;
        }
        Kind::Table(table) => table,
        _ => {
            fields::wrong("rollback", value, "\"restore\" or a table", d);
            return None;
        }
    };
    let Some(none) = table.get("none") else {
        if table.get("kind").is_none() {
            d.push(
                Diagnostic::error(Code::MISSING, value.span.clone(), "`rollback` has neither `kind` nor `none`")
                    .label("does not say how to go back")
                    .help(FORMS),
            );
            return None;
        }
        return kind_table("rollback", table, value, d).map(Rollback::Action);
    };
    let place = none.key_span.clone();
    let alone = Fields::new(table, "a rollback with `none`", place, &["none"], d);
    alone.template("none", d).map(Rollback::None)
}

fn retry(fields: &Fields<'_>, d: &mut Diagnostics) -> Option<Retry> {
    let table = fields.table("retry", d)?;
    let place = fields.entry("retry").map_or(0..0, |entry| entry.key_span.clone());
    let fields = Fields::new(table, "`retry`", place, &["attempts", "wait"], d);
    fields.required("attempts", "attempts = 3: tries in all", d);
    let attempts = fields.number("attempts", 1, 100, d).and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
    let wait = fields.duration("wait", Duration::ZERO, d).unwrap_or(Duration::from_secs(10));
    Some(Retry { attempts, wait })
}

fn persons(fields: &Fields<'_>, people: usize, d: &mut Diagnostics) -> u8 {
    let wanted = fields.number("people", 1, 9, d).and_then(|n| u8::try_from(n).ok()).unwrap_or(1);
    if usize::from(wanted) > people.max(1)
        && let Some(value) = fields.value("people")
    {
        d.push(
            bad_value(
                value,
                format!("{} wants {wanted} people, [people] has {people}", fields.what),
                "more than there are",
            )
            .help("so many different people must confirm: add them to [people]"),
        );
    }
    wanted
}

/// `"hold"`; `"continue"` with `reason = "…"` beside it, or `{ continue = "reason" }`.
fn on_fail(fields: &Fields<'_>, d: &mut Diagnostics) -> OnFail {
    let beside = fields.plain("reason", d);
    let unused = |d: &mut Diagnostics| {
        if let Some(entry) = fields.entry("reason") {
            d.push(
                Diagnostic::error(
                    Code::CONFLICT,
                    entry.key_span.clone(),
                    "`reason` belongs to `on_fail = \"continue\"`",
                )
                .label("nothing to give a reason for"),
            );
        }
    };
    let no_reason = |span: Span, d: &mut Diagnostics| {
        d.push(
            Diagnostic::error(Code::MISSING, span, "going on after a failure needs a reason")
                .label("why may this fail?")
                .help("on_fail = { continue = \"the cache warms up by itself\" }"),
        );
    };
    let Some(value) = fields.value("on_fail") else {
        unused(d);
        return OnFail::Hold;
    };
    match &value.kind {
        Kind::Text(text) => match fields::word("on_fail", value, text, &[("hold", false), ("continue", true)], d) {
            Some(true) => match beside {
                Some(reason) => return OnFail::Continue(clean_line(&reason, 400)),
                None => no_reason(value.span.clone(), d),
            },
            _ => unused(d),
        },
        Kind::Table(table) => {
            unused(d);
            let inner = Fields::new(table, "`on_fail`", value.span.clone(), &["continue"], d);
            match inner.plain("continue", d) {
                Some(reason) if !reason.trim().is_empty() => return OnFail::Continue(clean_line(&reason, 400)),
                Some(_) => {}
                None if inner.value("continue").is_none() => no_reason(value.span.clone(), d),
                None => {}
            }
        }
        _ => fields::wrong("on_fail", value, "\"hold\" or { continue = \"reason\" }", d),
    }
    OnFail::Hold
}

fn clocks(fields: &Fields<'_>, d: &mut Diagnostics) -> Option<Clocks> {
    let list = fields.list("clocks", "a list such as [\"freeze:start\"]", d)?;
    let words = [("freeze:start", 0), ("freeze:stop", 1), ("downtime:start", 2), ("downtime:stop", 3)];
    let mut named = [false; 4];
    for item in list {
        let index = fields::text("clocks", item, d).and_then(|text| fields::word("clocks", item, text, &words, d));
        if let Some(index) = index {
            named[index] = true;
        }
    }
    let [freeze_starts, freeze_stops, downtime_starts, downtime_stops] = named;
    if (freeze_starts && freeze_stops) || (downtime_starts && downtime_stops) {
        let message = "one step cannot both start and stop a clock";
        d.push(Diagnostic::error(Code::CONFLICT, fields.place_of("clocks"), message).label("both"));
    }
    Some(Clocks { freeze_starts, freeze_stops, downtime_starts, downtime_stops })
}

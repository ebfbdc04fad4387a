//! A resolved value as one text, the same for the same meaning: keys sorted, places left out,
//! secrets by name only. Drift is the difference of hashes of such texts.

use std::fmt::Write as _;

use super::{
    Clocks, Diagnostic, KindTable, OnFail, Resolver, Rollback, Step, Stop,
    value::{Entry, Kind, Table, Value},
};

/// A resolved table as JSON with sorted keys and no spaces. A secret is `{"$secret":"name"}`, a
/// moment `{"$time":"2026-12-06T00:30:00Z"}`.
#[must_use]
pub fn canonical(table: &Table) -> String {
    let mut out = String::new();
    write_table(table, &mut out);
    out
}

impl Step {
    /// The step as written, `${…}` unresolved: equal in all environments, so a live step can be
    /// compared with the one that was rehearsed.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical(&step(self, &mut Clone::clone))
    }
}

impl Resolver<'_> {
    /// The step as it is in this environment, and what could not be resolved.
    #[must_use]
    pub fn canonical_step(&self, step: &Step) -> (String, Vec<Diagnostic>) {
        let mut found = Vec::new();
        let table = self::step(step, &mut |value| {
            let (value, mistakes) = self.value(value);
            found.extend(mistakes);
            value
        });
        (canonical(&table), found)
    }
}

/// Everything of a step that decides what is done, asked or shown. `of` resolves, or does not.
fn step(step: &Step, of: &mut dyn FnMut(&Value) -> Value) -> Table {
    let mut out = Table::default();
    let names = |names: &[String]| Kind::List(names.iter().map(|name| value(text(name))).collect());
    put(&mut out, "id", text(step.id.as_str()));
    put(&mut out, "owner", text(step.owner.as_str()));
    put(&mut out, "planned", millis(step.planned));
    put(&mut out, "people", Kind::Int(i64::from(step.people)));
    put(&mut out, "no_return", Kind::Bool(step.no_return));
    put(&mut out, "title", of(&step.title).kind);
    put_some(&mut out, "phase", step.phase.as_deref().map(text));
    put_some(&mut out, "why", step.why.as_ref().map(|why| of(why).kind));
    put_some(&mut out, "after_no_return", step.after_no_return.as_ref().map(|after| of(after).kind));
    put_some(&mut out, "timeout", step.timeout.map(millis));
    let needs = step.needs.as_ref().map(|needs| needs.iter().map(|(need, _)| need.to_string()).collect::<Vec<_>>());
    put_some(&mut out, "needs", needs.map(|needs| names(&needs)));
    let only = step.only.as_ref().map(|only| only.iter().map(ToString::to_string).collect::<Vec<_>>());
    put_some(&mut out, "only", only.map(|only| names(&only)));
    put(&mut out, "precheck", kinds(&step.precheck, of));
    put_some(&mut out, "action", step.action.as_ref().map(|action| kind(action, of)));
    put(&mut out, "verify", kinds(&step.verify, of));
    let rollback = step.rollback.as_ref().map(|rollback| match rollback {
        Rollback::Restore => text("restore"),
        Rollback::Action(action) => kind(action, of),
        Rollback::None(reason) => table([("none", of(reason).kind)]),
    });
    put_some(&mut out, "rollback", rollback);
    let retry = step.retry.map(|r| table([("attempts", Kind::Int(i64::from(r.attempts))), ("wait", millis(r.wait))]));
    put_some(&mut out, "retry", retry);
    put_some(&mut out, "stop", step.stop.as_ref().map(|asked| stop(asked, of)));
    put_some(&mut out, "clocks", step.clocks.map(clocks));
    put(
        &mut out,
        "on_fail",
        match &step.on_fail {
            OnFail::Hold => text("hold"),
            OnFail::Continue(reason) => table([("continue", text(reason))]),
        },
    );
    out
}

fn stop(stop: &Stop, of: &mut dyn FnMut(&Value) -> Value) -> Kind {
    let mut out = Table::default();
    put(&mut out, "question", of(&stop.question).kind);
    put_some(&mut out, "if_go", stop.if_go.as_ref().map(|go| of(go).kind));
    put_some(&mut out, "if_no_go", stop.if_no_go.as_ref().map(|no_go| of(no_go).kind));
    put(&mut out, "voters", Kind::List(stop.voters.iter().map(|voter| value(text(voter.as_str()))).collect()));
    put_some(&mut out, "decides", stop.decides.as_ref().map(|person| text(person.as_str())));
    put(&mut out, "criteria", kinds(&stop.criteria, of));
    Kind::Table(out)
}

fn clocks(clocks: Clocks) -> Kind {
    table([
        ("freeze_starts", Kind::Bool(clocks.freeze_starts)),
        ("freeze_stops", Kind::Bool(clocks.freeze_stops)),
        ("downtime_starts", Kind::Bool(clocks.downtime_starts)),
        ("downtime_stops", Kind::Bool(clocks.downtime_stops)),
    ])
}

fn kinds(list: &[KindTable], of: &mut dyn FnMut(&Value) -> Value) -> Kind {
    Kind::List(list.iter().map(|item| value(kind(item, of))).collect())
}

fn kind(item: &KindTable, of: &mut dyn FnMut(&Value) -> Value) -> Kind {
    let mut out = Table::default();
    put(&mut out, "kind", text(&item.kind));
    for entry in &item.params.entries {
        put(&mut out, &entry.key, of(&entry.value).kind);
    }
    Kind::Table(out)
}

fn table<const N: usize>(entries: [(&str, Kind); N]) -> Kind {
    let mut out = Table::default();
    entries.into_iter().for_each(|(key, kind)| put(&mut out, key, kind));
    Kind::Table(out)
}

fn put(out: &mut Table, key: &str, kind: Kind) {
    out.entries.push(Entry { key_span: 0..0, key: key.to_owned(), value: value(kind) });
}

fn put_some(out: &mut Table, key: &str, kind: Option<Kind>) {
    if let Some(kind) = kind {
        put(out, key, kind);
    }
}

fn value(kind: Kind) -> Value {
    Value { span: 0..0, kind }
}

fn text(text: &str) -> Kind {
    Kind::Text(text.to_owned())
}

fn millis(duration: std::time::Duration) -> Kind {
    Kind::Int(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
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

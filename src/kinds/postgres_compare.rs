//! `postgres.compare`: two databases hold the same, row for row.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind, looking, no_data, postgres_words as words};
use crate::{
    base::{Class, Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Seen, Shape, TextOrSecret},
    services::{
        Services,
        postgres::compare::{Aspect, Column, Compare, Difference, Differs, Fault, Outcome, Scope, Spec},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "postgres.compare",
    summary: "two PostgreSQL databases are built alike and hold the same rows",
    docs: "\
Green when every table of `source` is in `target` with the same columns, keys, constraints, indexes, replica identities, triggers, sequences, views, types
and functions, and with the same rows. A difference is a failed check, always: it names the table, and the rows by their keys as changed,
missing or extra, with the columns that differ; what is in them only with `show_values`.

How: each side adds up a 64-bit hash of every row in one snapshot, in parallel over tables and key ranges (or pages, by buckets of the
key's hash), and only the sums come here. Parts whose sums differ are told apart further, down to keys, which are compared by a SHA-256
of the row's text. What is hashed is what a client reads, with the same settings on both sides (UTC, ISO dates, full floats): `1.0` is not
`1.00`, -0 is not 0, NULL is not empty, `json` is text, `jsonb` is what it means; the order of columns does not matter. Tables without a
key are compared as what they are: rows, each so many times. Partitioned tables are compared by their root, however each side cuts
them. A row that differs goes unseen by 1 in 2^64, and not twice: in each run the hash starts from another number.
Before that both servers are asked to hash the same values: where they do not agree (hashes are not promised to be the same in another
major version or on another processor), where their encodings differ, or before version 11, rows are hashed by text, which takes
about five times as long.

While the source is still written to: where logical replication links the two, the target's snapshot is taken once it has what the
source's snapshot shows (`marker_wait`), and rows that differ are looked at again, each time behind a new place in the log, until they agree
or are sure to differ. The answer is of that moment, and says that it is provisional; with `final = true` it is not green before
nothing was written meanwhile and no transaction that writes is open. Between two looks of a step a side is not added up again while its `txid_current_snapshot` is the same: then
nobody has committed anything.

What hurts people: this holds a snapshot and the weakest lock of each table on both servers while it looks: vacuum cannot clean up
meanwhile, and `ALTER TABLE` or `TRUNCATE` waits. The server's own row hash is not used, though it is there: added up over rows it cannot see
values that two rows swapped, nor a number's sign. A role that may not read a
table, or from which row-level security hides rows, is a failure, not fewer rows. Sequences' values are `postgres.sequences`' business.

Limits: foreign tables, materialised views' rows, large objects' contents, members of extensions, owners and privileges are not compared;
the first four are named. Nor are casts, operators, comments, extended statistics, event triggers, publications, storage
options, the cost and rows of functions, text search, which extensions there are, or indexes, checks and triggers that only a partition has.
A table that an extension made is left out with the rows that users have in it (as `cron.job`). `oid` columns hold numbers that may be a server's own. Where the major versions differ, a definition that is
printed differently is told and does not fail. Versions before 12 print floats otherwise: beside one of them, floats within arrays and composite
types are compared to 15 digits. More than 64 ranges that differ in one table, or more than 1,000 rows, are not all looked into: counts are then at least, and rows are not
looked at again. Rows of a table
without a key cannot be looked at again: while the source is written to, late ones are told as differences, and that this is
provisional. In a `SQL_ASCII` database keys and values that are shown have to be UTF-8.

Pages: <https://www.postgresql.org/docs/current/functions-info.html> (snapshots), functions-admin.html (`pg_export_snapshot`),
view-pg-replication-slots.html.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["CONNECT at both databases", "SELECT on every table that is compared"],
    example: include_str!("../../runbooks/kinds/postgres.compare.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param {
        name: "source",
        shape: Shape::TextOrSecret,
        required: true,
        help: "where the data comes from: a URL or `key=value` text, best a secret",
    },
    Param { name: "target", shape: Shape::TextOrSecret, required: true, help: "where it has to be" },
    Param {
        name: "schemas",
        shape: Shape::Texts,
        required: false,
        help: "schemas to compare, * and ? allowed; default: all but the system's",
    },
    Param {
        name: "tables",
        shape: Shape::Texts,
        required: false,
        help: "tables to compare, `table` or `schema.table`, * and ? allowed; default: all",
    },
    Param { name: "except", shape: Shape::Texts, required: false, help: "tables to leave out, as in `tables`" },
    Param {
        name: "connections",
        shape: Shape::Count,
        required: false,
        help: "sessions at each side, each with one statement at work, 1 to 32; default: 4",
    },
    Param {
        name: "statement_timeout",
        shape: Shape::Duration,
        required: false,
        help: "how long one statement may take; default: 10m",
    },
    Param {
        name: "marker_wait",
        shape: Shape::Duration,
        required: false,
        help: "how long to wait until the target has what the source's snapshot shows; default: 30s",
    },
    Param {
        name: "final",
        shape: Shape::Flag,
        required: false,
        help: "true: a provisional answer is not enough; default: false",
    },
    Param {
        name: "schema",
        shape: Shape::Flag,
        required: false,
        help: "false: only the rows of tables that both have, the others are named; default: true",
    },
    Param {
        name: "ignore",
        shape: Shape::Texts,
        required: false,
        help: "differences that nobody minds: table, column, default, constraint, index, replica_identity, trigger, policy, view, sequence, type, \
               function, large_objects; default: none",
    },
    Param {
        name: "shown",
        shape: Shape::Count,
        required: false,
        help: "rows of each table that are shown, 1 to 100; default: 10",
    },
    Param {
        name: "show_values",
        shape: Shape::Flag,
        required: false,
        help: "true: show what is in rows that differ, and put it into the journal; default: false",
    },
];

/// Sessions at each side.
const CONNECTIONS: u64 = 4;
const STATEMENT: Duration = Duration::from_secs(10 * 60);
const MARKER: Duration = Duration::from_secs(30);
const SHOWN: u64 = 10;
/// Lines of a kind that go to the log.
const LINES: usize = 200;
/// Tables, and lines of other kinds, that stand in a failure: it holds two dozen.
const CAUSES: usize = 10;

struct Same {
    services: Arc<Services>,
    compare: Compare,
    is_final: bool,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let nothing = || TextOrSecret::Text(String::new());
    let (source, target) = (params.opt_secret("source"), params.opt_secret("target"));
    if let (Some(one), Some(other)) = (&source, &target)
        && one == other
    {
        let at = params.place_of("target");
        params.mistake(at, "`target` is `source`", "a database is always like itself", None);
    }
    let connections = count(params, "connections", CONNECTIONS, 32);
    let shown = count(params, "shown", SHOWN, 100);
    let spec = Spec {
        source: source.unwrap_or_else(nothing),
        target: target.unwrap_or_else(nothing),
        scope: Scope {
            schemas: patterns(params, "schemas"),
            tables: patterns(params, "tables"),
            except: patterns(params, "except"),
        },
        connections,
        statement_timeout: time(params, "statement_timeout", STATEMENT),
        marker_wait: time(params, "marker_wait", MARKER),
        show_values: params.opt_flag("show_values").unwrap_or(false),
        shown,
        ignore: ignored(params),
        without_schema: !params.opt_flag("schema").unwrap_or(true),
    };
    let is_final = params.opt_flag("final").unwrap_or(false);
    Arc::new(Same { services: services.clone(), compare: Compare::new(spec), is_final })
}

fn count(params: &mut Params<'_>, key: &'static str, default: u64, most: u64) -> usize {
    let count = params.opt_count(key).unwrap_or(default);
    if count == 0 || count > most {
        let at = params.place_of(key);
        params.mistake(at, format!("`{key}` must be 1 to {most}"), "not one of them", None);
    }
    usize::try_from(count.clamp(1, most)).unwrap_or(1)
}

fn time(params: &mut Params<'_>, key: &'static str, default: Duration) -> Duration {
    let time = params.opt_duration(key).unwrap_or(default);
    if time < Duration::from_millis(1) {
        let at = params.place_of(key);
        params.mistake(at, format!("`{key}` must be longer than nothing"), "no time at all", None);
    }
    time
}

fn patterns(params: &mut Params<'_>, key: &'static str) -> Vec<String> {
    let patterns = params.texts(key);
    if params.has(key) && (patterns.is_empty() || patterns.iter().any(|pattern| pattern.trim().is_empty())) {
        let at = params.place_of(key);
        params.mistake(at, format!("`{key}` must not be empty"), "nothing here", None);
    }
    patterns
}

fn ignored(params: &mut Params<'_>) -> BTreeSet<Aspect> {
    let mut ignored = BTreeSet::new();
    for word in params.texts("ignore") {
        match Aspect::ALL.iter().find(|(known, _)| *known == word) {
            Some((_, aspect)) => {
                ignored.insert(*aspect);
            }
            None => {
                let at = params.place_of("ignore");
                let list = Aspect::ALL.map(|(word, _)| word).join(", ");
                let near = crate::plan::nearest(&word, Aspect::ALL.iter().map(|(word, _)| *word));
                let help = near.map_or(format!("known: {list}"), |near| format!("did you mean \"{near}\"?"));
                let word = crate::base::clean_line(&word, 60);
                params.mistake(at, format!("`ignore` does not know `{word}`"), "in this list", Some(help));
            }
        }
    }
    ignored
}

/// `changed id=5 (email, note)`.
fn row(difference: &Difference) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "NULL".into());
    let key: Vec<String> = difference.key.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    let times = if difference.times > 1 { format!(" × {}", difference.times) } else { String::new() };
    let column = |column: &Column| match &column.values {
        Some((one, other)) => match difference.fault {
            Fault::Changed => {
                format!("{}: {} at the source, {} at the target", column.name, text(one), text(other))
            }
            Fault::Missing => format!("{}: {}", column.name, text(one)),
            Fault::Extra => format!("{}: {}", column.name, text(other)),
        },
        None => column.name.clone(),
    };
    let columns: Vec<String> = difference.columns.iter().map(column).collect();
    let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    format!("{} {}{times}{columns}", difference.fault.word(), key.join(" "))
}

/// `public.orders: 3 changed, 1 missing, 1 extra`.
fn table(differs: &Differs) -> String {
    let words = ["changed", "missing", "extra"];
    let told = words.iter().zip(differs.counts).filter(|(_, count)| *count > 0);
    let told: Vec<String> = told.map(|(word, count)| format!("{count} {word}")).collect();
    let least = if differs.is_least { "at least " } else { "" };
    let told = if told.is_empty() {
        format!("{} rows at the source, {} at the target", differs.rows.0, differs.rows.1)
    } else {
        format!("{least}{}", told.join(", "))
    };
    let undecided = match differs.undecided {
        0 => String::new(),
        n => format!(" ({n} of them changed at the source in every look)"),
    };
    let late = if differs.may_be_late { " (provisional: without a key late rows are not told apart)" } else { "" };
    format!("{}: {told}{undecided}{late}", differs.name)
}

fn size(bytes: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib >= 1024.0 { format!("{:.1} GiB", mib / 1024.0) } else { format!("{mib:.1} MiB") }
}

impl Same {
    fn told(&self, cx: &Cx, outcome: &Outcome) {
        for line in outcome.notes.iter().take(LINES) {
            cx.line(line);
        }
        for line in outcome.left_out.iter().take(LINES) {
            cx.line(format!("not compared: {line}"));
        }
        for unlike in outcome.unlike.iter().take(LINES) {
            cx.line(&unlike.words);
        }
        for differs in &outcome.differs {
            cx.line(table(differs));
            for difference in &differs.first {
                cx.line(format!("{}: {}", differs.name, row(difference)));
            }
        }
    }

    fn differ(outcome: &Outcome) -> Failure {
        let mut parts = Vec::new();
        if !outcome.differs.is_empty() {
            let (differ, all) = (outcome.differs.len(), outcome.tables);
            let first: Vec<String> = outcome.differs.iter().take(3).map(table).collect();
            let more = if differ > first.len() { "; …" } else { "" };
            let word = if all == 1 { "table" } else { "tables" };
            let verb = if differ == 1 { "differs" } else { "differ" };
            parts.push(format!("{differ} of {all} {word} {verb}: {}{more}", first.join("; ")));
        }
        if let Some(first) = outcome.unlike.first() {
            let count = outcome.unlike.len();
            let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            parts.push(format!("built differently: {}{more}", first.words));
        }
        let mut failure = Failure::new(Class::NotYet, parts.join("; "));
        if let Some(why) = &outcome.provisional {
            failure = failure.because(format!("provisional: {why}"));
        }
        for differs in outcome.differs.iter().take(CAUSES) {
            let rows: Vec<String> = differs.first.iter().map(row).collect();
            failure = failure.because(format!("{}: {}", table(differs), rows.join("; ")));
        }
        for unlike in outcome.unlike.iter().take(CAUSES) {
            failure = failure.because(&unlike.words);
        }
        failure
    }

    fn seen(outcome: &Outcome) -> Seen {
        let took = short_duration(outcome.took);
        let (tables, rows, bytes) = (outcome.tables, outcome.rows, size(outcome.bytes));
        let (word, verb) = if tables == 1 { ("table", "agrees") } else { ("tables", "agree") };
        let mut line = format!("{tables} {word} with {rows} rows {verb} ({bytes} each side, in {took})");
        if outcome.remembered > 0 {
            line += &format!("; {} of them unchanged since they were last added up", outcome.remembered);
        }
        if !outcome.left_out.is_empty() {
            line += &format!("; {} left out", outcome.left_out.len());
        }
        if let Some(why) = &outcome.provisional {
            line += &format!("; provisional: {why}");
        }
        #[expect(clippy::cast_precision_loss, reason = "a count that is shown")]
        let value = rows as f64;
        Seen::new(line).value(value).with(json!({
            "tables": tables,
            "remembered": outcome.remembered,
            "rows": rows,
            "bytes": outcome.bytes,
            "hash": outcome.hash,
            "seconds": outcome.took.as_secs_f64(),
            "left_out": outcome.left_out.iter().take(LINES).collect::<Vec<_>>(),
            "notes": outcome.notes.iter().take(LINES).collect::<Vec<_>>(),
            "provisional": outcome.provisional,
        }))
    }
}

impl Check for Same {
    fn looks(&self) -> String {
        let spec = &self.compare.spec;
        let of = |what: &str, list: &[String]| {
            if list.is_empty() { String::new() } else { format!(" {what} {}", list.join(", ")) }
        };
        let scope = &spec.scope;
        format!(
            "compare every row of source and target, {} sessions each{}{}{}",
            spec.connections,
            of("in schemas", &scope.schemas),
            of("of tables", &scope.tables),
            of("except", &scope.except)
        )
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        let spec = &self.compare.spec;
        words::fences(&self.services, [Some(&spec.source), Some(&spec.target)])
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        let look = async {
            let outcome = self.compare.look(&self.services, cx).await.map_err(no_data)?;
            self.told(cx, &outcome);
            if !outcome.differs.is_empty() || !outcome.unlike.is_empty() {
                return Err(Self::differ(&outcome));
            }
            if let Some(why) = outcome.provisional.as_ref().filter(|_| self.is_final) {
                let words = format!("{} tables agree, but the answer is provisional: {why}", outcome.tables);
                return Err(Failure::new(Class::NotYet, words).hint("freeze the source first (postgres.freeze)"));
            }
            Ok(Self::seen(&outcome))
        };
        Box::pin(looking(cx, look))
    }
}

//! `postgres.headroom`: the database can take the night: connections, transactions, age, and what both sides have to
//! agree on.

mod agree;
mod schema;
mod server;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{Bind, Kind, amiss, looking, no_data, postgres_words as words};
use crate::{
    base::{Class, Failure, clean_line, wild},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Seen, Shape, TextOrSecret},
    runbook::value::Kind as Value,
    services::{Services, postgres::Session},
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "postgres.headroom",
    summary: "a PostgreSQL server has room for the night, and agrees with the old one",
    docs: "\
Looks at `database`, and with `source` at the old one too and at what they have to agree on. Every finding is told at once; those that are
meant are named in `except` (`*` is any text).

Of each server:
- **Connections.** `connections` (all tasks and workers at their most: a number, or a table of numbers that are added up) plus what other
  roles hold now fit into `max_connections` less what is reserved, and into the limits of the database and of the role.
- **Transactions.** None is open for longer than `max_transaction`, none is idle for longer than `max_idle`, and none is prepared (two-phase)
  for longer than `max_transaction`: they hold locks, the clean-up and the start of replication.
- **Age.** No database has used up more than `max_xid_age` transactions since its rows were frozen; at 2,146,483,648 a server takes no more writes.
- **Collations.** What the operating system's library sorts by now is what the indexes were built with: an upgrade of glibc or ICU under a
  database breaks its indexes on text silently. REINDEX what depends on it, then ALTER … REFRESH VERSION.
- **Indexes.** None is invalid (a `CREATE INDEX CONCURRENTLY` that failed).

Of both: the target's version is not older; every extension is there in the same version; encoding, locale and its provider are the same;
settings that change what a statement means or when it is given up are the same for a new session of the role (`settings` adds more);
tables, columns, types, constraints, indexes, sequences, policies, views, functions, triggers and rules are the same (`schema = false` leaves
that out). What views, triggers, rules and functions do is compared within one major version only: another one writes it differently, and the line says so.

What hurts people: the old side's pooler hid how many connections the processes really open; a report from the morning is still an open
transaction; the new side's locale was the image's default.

Limits: free disk space cannot be seen in SQL; the sizes of the databases are told. Owners and grants are not compared. Other roles' transactions are hidden from a role without
`pg_read_all_stats` (in `pg_monitor`): that is no data, and not green. Replication slots and rows are other kinds' work.

Relies on <https://www.postgresql.org/docs/current/monitoring-stats.html>,
<https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND> and
<https://www.postgresql.org/docs/current/sql-altercollation.html#SQL-ALTERCOLLATION-NOTES>.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["pg_monitor on both sides"],
    example: include_str!("../../runbooks/kinds/postgres.headroom.toml"),
    bind: Bind::Check(|params, services| Arc::new(Headroom::read(params, services))),
};

const PARAMS: &[Param] = &[
    words::DATABASE,
    Param {
        name: "source",
        shape: Shape::TextOrSecret,
        required: false,
        help: "the old database; default: only one is looked at",
    },
    Param {
        name: "connections",
        shape: Shape::Any,
        required: false,
        help: "how many will be opened: a number, or { web = 40, worker = 25 }; default: they are only told",
    },
    Param {
        name: "max_transaction",
        shape: Shape::Duration,
        required: false,
        help: "how long a transaction may be open; default: 5m",
    },
    Param {
        name: "max_idle",
        shape: Shape::Duration,
        required: false,
        help: "how long one may be idle in a transaction; default: 1m",
    },
    Param {
        name: "max_xid_age",
        shape: Shape::Count,
        required: false,
        help: "transactions since the oldest row was frozen; default: 1000000000",
    },
    Param { name: "settings", shape: Shape::Texts, required: false, help: "more settings that have to be the same" },
    Param {
        name: "schema",
        shape: Shape::Flag,
        required: false,
        help: "compare the schemas; default: true with a `source`",
    },
    Param {
        name: "except",
        shape: Shape::Texts,
        required: false,
        help: "findings that are meant: \"extension plpython3u*\", \"setting TimeZone*\", \"table audit.*\"",
    },
];

/// A web request's transaction takes seconds; what is open for minutes is a report or forgotten.
const TRANSACTION: Duration = Duration::from_secs(5 * 60);
const IDLE: Duration = Duration::from_secs(60);
/// About half of what there is; autovacuum starts at 200 million.
const XID_AGE: u64 = 1_000_000_000;

struct Headroom {
    services: Arc<Services>,
    database: TextOrSecret,
    source: Option<TextOrSecret>,
    limits: Limits,
    settings: Vec<String>,
    schema: bool,
    except: Vec<String>,
}

/// What one server may be.
struct Limits {
    connections: Option<u64>,
    transaction: Duration,
    idle: Duration,
    xid_age: u64,
}

impl Headroom {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let source = params.opt_secret("source");
        for key in ["settings", "schema"] {
            if params.has(key) && source.is_none() {
                let span = params.place_of(key);
                params.mistake(span, format!("`{key}` compares with a `source`"), "there is none", None);
            }
        }
        let xid_age = params.opt_count("max_xid_age").unwrap_or(XID_AGE);
        if !(1..=2_000_000_000).contains(&xid_age) {
            let span = params.place_of("max_xid_age");
            params.mistake(span, "`max_xid_age` must be 1 to 2000000000", "out of range", None);
        }
        Self {
            services: services.clone(),
            database: words::database(params, "database"),
            source,
            limits: Limits {
                connections: connections(params),
                transaction: words::longer_than_nothing(params, "max_transaction", TRANSACTION),
                idle: words::longer_than_nothing(params, "max_idle", IDLE),
                xid_age,
            },
            settings: params.texts("settings"),
            schema: params.opt_flag("schema").unwrap_or(true),
            except: params.texts("except"),
        }
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let open = async |database: &TextOrSecret| {
            self.services.postgres.connect_to_read(database, &cx.into()).await.map_err(no_data)
        };
        let target = open(&self.database).await?;
        let source = match &self.source {
            Some(source) => Some(open(source).await?),
            None => None,
        };
        let looked = self.looked(&target, source.as_ref()).await;
        target.close().await;
        if let Some(source) = source {
            source.close().await;
        }
        looked.map_err(no_data)
    }

    async fn looked(&self, target: &Session, source: Option<&Session>) -> Result<Seen, Failure> {
        let here = &target.server().place;
        let seen = server::look(target, &self.limits, self.limits.connections).await?;
        let mut found = seen.found.iter().map(|text| format!("{here}: {text}")).collect::<Vec<_>>();
        let mut told = vec![seen.told.clone()];
        let mut evidence = json!({ "target": seen.evidence });
        if let Some(source) = source {
            let there = &source.server().place;
            // The new connections are the target's.
            let old = server::look(source, &self.limits, None).await?;
            found.extend(old.found.iter().map(|text| format!("{there}: {text}")));
            found.extend(agree::look(source, target, &self.settings).await?);
            if self.schema {
                let schema = schema::look(source, target).await?;
                let bodies = if schema.bodies { "" } else { ", what views, triggers and functions do apart" };
                told.push(format!("{} parts of the schema are the same{bodies}", schema.same));
                found.extend(schema.found);
            }
            if let Json::Object(evidence) = &mut evidence {
                evidence.insert("source".into(), old.evidence);
            }
        }
        let before = found.len();
        found.retain(|text| !self.is_meant(text));
        let meant = before - found.len();
        let place = clean_line(here, 100);
        amiss(&place, found)?;
        if meant > 0 {
            told.push(format!("{meant} findings are meant"));
        }
        told.push("free disk space cannot be seen in SQL".into());
        let value = seen.room;
        let seen = Seen::new(format!("{place}: {}", told.join("; "))).with(evidence);
        Ok(value.map_or(seen.clone(), |room| seen.value(room)))
    }

    /// A finding that the runbook names: with its server's place before it or without.
    fn is_meant(&self, text: &str) -> bool {
        let short = text.split_once(": ").map_or(text, |(_, rest)| rest);
        self.except.iter().any(|pattern| {
            let pattern = format!("{}*", pattern.trim_end_matches('*'));
            wild::matches(&pattern, short) || wild::matches(&pattern, text)
        })
    }
}

/// A number, or a table of numbers that are added up.
fn connections(params: &mut Params<'_>) -> Option<u64> {
    let raw = params.raw("connections")?;
    let number = |kind: &Value| match kind {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let sum = match &raw.kind {
        Value::Table(table) if !table.entries.is_empty() => {
            table.entries.iter().map(|entry| number(&entry.value.kind)).sum::<Option<u64>>()
        }
        other => number(other),
    };
    match sum {
        Some(sum @ 1..) => Some(sum),
        _ => {
            let help = "connections = 65, or connections = { web = 40, worker = 25 }".to_owned();
            let span = raw.span.clone();
            params.mistake(span, "`connections` must be a number or a table of numbers", "not numbers", Some(help));
            None
        }
    }
}

impl Check for Headroom {
    fn looks(&self) -> String {
        let connections = self.limits.connections.map(|n| format!("room for {n} connections, ")).unwrap_or_default();
        let agree = if self.source.is_some() { ", and agreement with the source" } else { "" };
        format!(
            "PostgreSQL catalogs: {connections}no transaction over {}{agree}",
            humantime::format_duration(self.limits.transaction)
        )
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fences(&self.services, [Some(&self.database), self.source.as_ref()])
    }

    fn every(&self) -> Duration {
        // The catalogs are read whole.
        Duration::from_secs(10)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(looking(cx, self.look(cx)))
    }
}

/// What could not be seen is never green.
fn unseen(words: String) -> Failure {
    Failure::new(Class::NotYet, format!("no data: {words}"))
}

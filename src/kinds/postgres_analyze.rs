//! `postgres.analyze`: the planner's statistics after a load, made and proved.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, try_join_all};
use serde_json::{Value as Json, json};

use super::{Bind, Kind, amiss, looking, no_data, postgres_words as words};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Action, Check, Cx, Done, Doubt, Finding, Identity, Param, Params, Seen, Shape, TextOrSecret},
    services::{
        Services,
        postgres::{Limits, Session, quoted},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "postgres.analyze",
    summary: "ANALYZE after a load, and the proof that every table has statistics",
    docs: "\
As an action: runs `ANALYZE` on each of `tables`, or on every table and materialised view of the database, the largest first, with
`connections` at once, and waits until the server says of each that it was done. A partitioned table is analysed as a whole, its
partitions with it; a child by `INHERITS` is a table of its own, to be named in `tables` where these are given. Freshly loaded or replicated tables have no statistics: the first queries of the night get plans that read whole
tables until autovacuum has come round, and the statistics of a partitioned table it never makes.

As a check (`verify`): every table has statistics, not older than `max_age` where that is given, by hand or by autovacuum.

Nothing is put back: statistics do no harm. Twice is as good as once. A resume in doubt looks whether every table was analysed since the step
began.

Limits: `ANALYZE` takes a lock that another `ANALYZE`, `VACUUM` or DDL on the same table holds too, and waits for it until the step's timeout.
A table that the role may not analyse is refused beforehand, since the server would only warn and pass it over. Temporary
and foreign tables are left out.

Relies on <https://www.postgresql.org/docs/current/sql-analyze.html> and
<https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ALL-TABLES-VIEW>.",
    params: PARAMS,
    doubt: Doubt::Desired,
    needs: &["owner of the tables or of the database, or MAINTAIN (17)"],
    example: include_str!("../../runbooks/kinds/postgres.analyze.toml"),
    bind: Bind::Both(
        |params, services| Arc::new(Analyze::read(params, services, true)),
        |params, services| Arc::new(Analyze::read(params, services, false)),
    ),
};

const PARAMS: &[Param] = &[
    words::DATABASE,
    Param {
        name: "tables",
        shape: Shape::Texts,
        required: false,
        help: "schema.table as the catalog has them, quoted where SQL wants it; default: all of the database",
    },
    Param { name: "connections", shape: Shape::Count, required: false, help: "tables at once, 1 to 16; default: 2" },
    Param {
        name: "max_age",
        shape: Shape::Duration,
        required: false,
        help: "check: how old the statistics may be; default: any age",
    },
];

/// The most tables at once: `ANALYZE` reads the disk, and the night has other work.
const CONNECTIONS: u64 = 16;
/// Before 15 statistics of the server's own were told half a second late.
const TOLD: Duration = Duration::from_secs(5);

/// Ordinary, partitioned and materialised; a partition goes with the largest table that it belongs to. `$1`: names, or
/// NULL for all of them.
const TABLES: &str = "
SELECT c.oid, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relkind::pg_catalog.text,
       pg_catalog.pg_total_relation_size(c.oid) + COALESCE((
         SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(p.inhrelid)) FROM pg_catalog.pg_inherits p WHERE p.inhparent = c.oid), 0)
           ::pg_catalog.int8,
       pg_catalog.pg_has_role(c.relowner, 'USAGE')
         OR pg_catalog.pg_has_role((SELECT datdba FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()), 'USAGE')
         OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
         OR CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 170000
              THEN pg_catalog.has_table_privilege(c.oid, $2) ELSE false END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
  AND CASE WHEN $1::pg_catalog.oid[] IS NULL
        THEN n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%' AND NOT c.relispartition
        ELSE c.oid = ANY ($1) END
ORDER BY 5 DESC, 2, 3";

/// When each was analysed last, and whether that is after a moment. A partition of one that was asked for counts as well: it is
/// where the rows are. A child by `INHERITS` does not: `ANALYZE` of its parent makes no statistics of its own for it.
const LAST: &str = "
WITH RECURSIVE all_of AS (
  SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1)
  UNION ALL
  SELECT i.inhrelid FROM all_of JOIN pg_catalog.pg_inherits i ON i.inhparent = all_of.oid
    JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid AND p.relispartition)
SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
       GREATEST(s.last_analyze, s.last_autoanalyze)::pg_catalog.text,
       COALESCE(GREATEST(s.last_analyze, s.last_autoanalyze) >= $2::pg_catalog.text::pg_catalog.timestamptz, false)
FROM all_of JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'm') OR (c.relkind = 'p' AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 140000)
ORDER BY 1, 2";

struct Analyze {
    services: Arc<Services>,
    database: TextOrSecret,
    tables: Vec<String>,
    connections: usize,
    max_age: Option<Duration>,
}

/// One table of the catalog.
struct Table {
    oid: u32,
    schema: String,
    name: String,
    bytes: i64,
    may: bool,
}

impl Table {
    fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    fn shown(&self) -> String {
        clean_line(&format!("{}.{}", self.schema, self.name), 120)
    }
}

impl Analyze {
    fn read(params: &mut Params<'_>, services: &Arc<Services>, checks: bool) -> Self {
        let tables = params.texts("tables");
        if params.has("tables") && (tables.is_empty() || tables.iter().any(|name| name.trim().is_empty())) {
            let span = params.place_of("tables");
            params.mistake(span, "`tables` must name tables", "no table", Some("leave it out for all of them".into()));
        }
        let connections = params.opt_count("connections").unwrap_or(2);
        if !(1..=CONNECTIONS).contains(&connections) {
            let span = params.place_of("connections");
            params.mistake(span, format!("`connections` must be 1 to {CONNECTIONS}"), "out of range", None);
        }
        if params.has("max_age") && !checks {
            let span = params.place_of("max_age");
            params.mistake(span, "`max_age` is for the check", "an action makes new ones", None);
        }
        Self {
            services: services.clone(),
            database: words::database(params, "database"),
            tables,
            connections: usize::try_from(connections).unwrap_or(1),
            max_age: params.opt_duration("max_age"),
        }
    }

    async fn open(&self, limits: &Limits) -> Result<Session, Failure> {
        self.services.postgres.connect(&self.database, limits).await
    }

    /// The tables, the largest first.
    async fn tables(&self, session: &Session) -> Result<Vec<Table>, Failure> {
        let mut oids = None;
        if !self.tables.is_empty() {
            let mut found = Vec::with_capacity(self.tables.len());
            for name in &self.tables {
                let row =
                    session.row("SELECT pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid", &[name]).await?;
                let oid: Option<u32> = row.get(0);
                found.push(oid.ok_or_else(|| {
                    let words = format!("there is no table {} at {}", clean_line(name, 120), session.server().place);
                    Failure::new(Class::Misconfigured, words).hint("schema.table, quoted as in SQL: public.\"Order\"")
                })?);
            }
            oids = Some(found);
        }
        let count = oids.as_ref().map_or(0, Vec::len);
        let rows = session.rows(TABLES, &[&oids, &"MAINTAIN"]).await?;
        let table = |row: &crate::services::postgres::Row| Table {
            oid: row.get(0),
            schema: row.get(1),
            name: row.get(2),
            bytes: row.get(4),
            may: row.get(5),
        };
        let tables = rows.iter().map(table).collect::<Vec<_>>();
        if tables.len() < count {
            let words =
                "one of `tables` is no table that can be analysed (a view, an index, a temporary or foreign table)";
            return Err(Failure::new(Class::Misconfigured, words));
        }
        Ok(tables)
    }

    /// How many have statistics since a moment of the server's clock (`-infinity`: at all), and which have none.
    async fn since(&self, session: &Session, tables: &[Table], moment: &str) -> Result<(usize, Vec<String>), Failure> {
        let oids = tables.iter().map(|table| table.oid).collect::<Vec<_>>();
        let rows = session.rows(LAST, &[&oids, &moment]).await?;
        let mut missing = Vec::new();
        for row in &rows {
            let (schema, name, last, good): (String, String, Option<String>, bool) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            if !good {
                let last = last.map_or_else(|| "never".to_owned(), |last| format!("last at {last}"));
                missing.push(clean_line(&format!("{schema}.{name} was analysed {last}"), 200));
            }
        }
        Ok((rows.len(), missing))
    }

    async fn run(&self, cx: &Cx) -> Result<Done, Failure> {
        let limits = Limits::from(cx);
        let begun = std::time::Instant::now();
        let session = self.open(&limits).await?;
        let tables = self.tables(&session).await?;
        let forbidden = tables.iter().filter(|table| !table.may).map(Table::shown).collect::<Vec<_>>();
        if let Some(first) = forbidden.first() {
            let words = format!(
                "{} may not analyse {} of {} tables: {first}",
                session.server().user,
                forbidden.len(),
                tables.len()
            );
            let failure =
                Failure::new(Class::Denied, words).hint("connect as the owner of the tables or of the database");
            return Err(forbidden.iter().skip(1).fold(failure, Failure::because));
        }
        let since: String = session.row("SELECT pg_catalog.clock_timestamp()::pg_catalog.text", &[]).await?.get(0);
        let next = AtomicUsize::new(0);
        let (all, done) = (tables.iter().map(|table| table.bytes.max(1)).sum::<i64>(), AtomicUsize::new(0));
        let workers = (0..self.connections.min(tables.len().max(1)))
            .map(|_| self.worker(cx, &limits, &tables, all, &next, &done));
        try_join_all(workers).await.map_err(|failure| match failure.class {
            // Others were analysed already; that does no harm, but it is not nothing.
            Class::FailedNothingDone if done.load(Ordering::Relaxed) > 0 => Failure { class: Class::Failed, ..failure },
            _ => failure,
        })?;
        self.proved(&session, &tables, &since, cx).await?;
        let place = session.server().place.clone();
        session.close().await;
        let took = begun.elapsed();
        let line = format!("{} tables analysed at {place} in {:.1} s", tables.len(), took.as_secs_f64());
        let names = tables.iter().take(50).map(Table::shown).collect::<Vec<_>>();
        let evidence = json!({ "tables": tables.len(), "bytes": all, "largest": names, "since": since });
        Ok(Done::new(line).with(evidence))
    }

    async fn worker(
        &self,
        cx: &Cx,
        limits: &Limits,
        tables: &[Table],
        all: i64,
        next: &AtomicUsize,
        done: &AtomicUsize,
    ) -> Result<(), Failure> {
        let session = self.open(limits).await?;
        while let Some(table) = tables.get(next.fetch_add(1, Ordering::Relaxed)) {
            session.batch(&format!("ANALYZE {}", table.sql())).await?;
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            let bytes = tables.iter().take(count).map(|table| table.bytes.max(1)).sum::<i64>();
            #[expect(clippy::cast_precision_loss, reason = "a share for people")]
            let share = bytes as f32 / all.max(1) as f32;
            cx.progress(share, format!("{count} of {} tables, last {}", tables.len(), table.shown()));
        }
        session.close().await;
        Ok(())
    }

    /// Waits until the server tells of every table that it was analysed.
    async fn proved(&self, session: &Session, tables: &[Table], since: &str, cx: &Cx) -> Result<(), Failure> {
        let until = tokio::time::Instant::now() + TOLD;
        loop {
            let (_, missing) = self.since(session, tables, since).await?;
            let Some(first) = missing.first() else { return Ok(()) };
            if tokio::time::Instant::now() >= until || cx.pause(Duration::from_millis(200)).await.is_err() {
                let words = format!("{} tables were not analysed although nothing was refused: {first}", missing.len());
                return Err(missing.iter().skip(1).fold(Failure::new(Class::Failed, words), Failure::because));
            }
        }
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let session = self.services.postgres.connect_to_read(&self.database, &cx.into()).await.map_err(no_data)?;
        let looked = self.looked(&session).await;
        session.close().await;
        looked.map_err(no_data)
    }

    async fn looked(&self, session: &Session) -> Result<Seen, Failure> {
        let place = &session.server().place;
        let tables = self.tables(session).await?;
        let moment = match self.max_age {
            None => "-infinity".to_owned(),
            Some(age) => {
                let ago =
                    "SELECT (pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1))::pg_catalog.text";
                session.row(ago, &[&age.as_secs_f64()]).await?.get(0)
            }
        };
        let (count, missing) = self.since(session, &tables, &moment).await?;
        if count == 0 {
            return Err(Failure::new(Class::NotYet, format!("no data: there is no table at {place}")));
        }
        let without = missing.len();
        amiss(&format!("{without} of {count} tables at {place}"), missing)?;
        let age =
            self.max_age.map(|age| format!(" younger than {}", humantime::format_duration(age))).unwrap_or_default();
        Ok(Seen::new(format!("{count} tables at {place} have statistics{age}")).with(json!({ "tables": count })))
    }

    fn words(&self) -> String {
        if self.tables.is_empty() { "every table".into() } else { clean_line(&self.tables.join(", "), 200) }
    }
}

impl Check for Analyze {
    fn looks(&self) -> String {
        format!("pg_stat_all_tables: {} was analysed", self.words())
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fence(&self.services, &self.database)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(looking(cx, self.look(cx)))
    }
}

impl Action for Analyze {
    fn does(&self) -> Vec<String> {
        vec![format!("ANALYZE {}", self.words())]
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn restorable(&self) -> bool {
        false
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        words::fence(&self.services, &self.database)
    }

    /// The moment by the server's clock, for a resume in doubt.
    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let session = self.services.postgres.connect_to_read(&self.database, &cx.into()).await?;
            let now: String = session.row("SELECT pg_catalog.clock_timestamp()::pg_catalog.text", &[]).await?.get(0);
            session.close().await;
            Ok(json!({ "since": now }))
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.run(cx))
    }

    fn restore<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async { Ok(Done::new("statistics do no harm, so there is nothing to put back")) })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, _back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let since = captured.get("since").and_then(Json::as_str).ok_or_else(|| {
                Failure::new(Class::Misconfigured, "nothing to go by: the moment before the step was not captured")
            })?;
            let session = self.services.postgres.connect_to_read(&self.database, &cx.into()).await?;
            let tables = self.tables(&session).await?;
            let (count, missing) = self.since(&session, &tables, since).await?;
            session.close().await;
            Ok(match missing.first() {
                None => Finding::Done(Done::new(format!("all {count} tables were analysed since the step began"))),
                Some(first) => {
                    let line = format!("{} of {count} tables were not analysed since: {first}", missing.len());
                    Finding::NotDone { line }
                }
            })
        })
    }
}

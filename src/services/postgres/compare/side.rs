//! One of the two servers while it is compared: its sessions, all in one snapshot and with the same settings, and the
//! queue before them.
//!
//! ```text
//! leader  BEGIN REPEATABLE READ READ ONLY ─ pg_export_snapshot ─┐
//! others  BEGIN … ─ SET TRANSACTION SNAPSHOT ◀──────────────────┘   every statement sees one moment
//! ```

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, try_join_all};
use tokio::sync::Semaphore;

use super::{
    super::{
        Limits, Postgres, Row, Session,
        types::{ToSql, Type},
    },
    Spec,
};
use crate::base::{Class, Failure};

/// A parameter and its type.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Where the data comes from.
    Source,
    /// Where it has to be.
    Target,
}

impl Which {
    /// `source`, `target`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

/// "current transaction is aborted", as a failure has it.
const ABORTED: &str = "SQLSTATE 25P02";
/// How many times 5 ms the reason may come later.
const REASON: u32 = 40;

/// Statements that wait in each session beside the one that runs: the way there and back costs nothing then.
const AHEAD: usize = 1;

/// What was known of the server when its snapshot was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    /// Transactions that are over and in progress, as `txid_current_snapshot` has it, with what tells this server's life
    /// from another one's. Equal texts: nobody has committed anything in between.
    pub snapshot: String,
    /// Where the log was, after the snapshot: bytes from its beginning.
    pub lsn: String,
    /// The encoding of the database.
    pub encoding: String,
    /// Which database it is: when its server began, and its number there.
    pub database: String,
}

/// A server, open for comparing.
pub(super) struct Side {
    pub which: Which,
    pub moment: Moment,
    sessions: Vec<Session>,
    waiting: Vec<AtomicUsize>,
    gate: Semaphore,
    /// What went wrong first.
    first: OnceLock<Failure>,
}

/// Asks in one round trip and without a prepared statement, which poolers may lose.
pub(super) async fn ask(session: &Session, sql: &str, params: &[Param<'_>], what: &str) -> Result<Vec<Row>, Failure> {
    session.rows_once(sql, params, what).await
}

/// What every session has to have the same on both sides, or the same data would look different. `LOCAL`: behind a
/// transaction pooler the next one must not inherit it.
fn settings(spec: &Spec, version: u32, floats: i32) -> String {
    let limit = spec.statement_timeout.as_millis().clamp(1, u128::from(i32::MAX.unsigned_abs()));
    let mut set = vec![
        "search_path = pg_catalog".to_owned(),
        "timezone = 'UTC'".into(),
        "datestyle = 'ISO, YMD'".into(),
        "intervalstyle = 'postgres'".into(),
        format!("extra_float_digits = {floats}"),
        "bytea_output = 'hex'".into(),
        "lc_monetary = 'C'".into(),
        "xmloption = 'content'".into(),
        "quote_all_identifiers = off".into(),
        "array_nulls = on".into(),
        "standard_conforming_strings = on".into(),
        // A policy that hides rows is an error then, in place of fewer rows.
        "row_security = off".into(),
        format!("statement_timeout = {limit}"),
        format!("lock_timeout = {}", limit.min(10_000)),
        // What runs at once is bounded by the sessions.
        "max_parallel_workers_per_gather = 0".into(),
    ];
    if version >= 110_000 {
        set.push("jit = off".into());
    }
    if version >= 170_000 {
        set.push("transaction_timeout = 0".into());
    }
    set.iter().map(|one| format!("SET LOCAL {one}; ")).collect()
}

/// Opens the sessions that will be needed, without a transaction yet.
pub(super) async fn connect(
    postgres: &Postgres,
    spec: &Spec,
    which: Which,
    limits: &Limits,
) -> Result<Vec<Session>, Failure> {
    let database = match which {
        Which::Source => &spec.source,
        Which::Target => &spec.target,
    };
    let all = try_join_all((0..spec.connections.max(1)).map(|_| postgres.connect_to_read(database, limits))).await;
    all.map_err(|failure| named(which, failure))
}

/// Says at which side it was.
pub(super) fn named(which: Which, failure: Failure) -> Failure {
    let message = format!("{}: {}", which.word(), failure.message);
    Failure { message, ..failure }
}

impl Side {
    /// Takes a snapshot and puts every session into it.
    pub async fn begin(which: Which, sessions: Vec<Session>, spec: &Spec, floats: i32) -> Result<Self, Failure> {
        let begun = Self::begun(which, sessions, spec, floats).await;
        begun.map_err(|failure| named(which, failure))
    }

    async fn begun(which: Which, sessions: Vec<Session>, spec: &Spec, floats: i32) -> Result<Self, Failure> {
        let Some((leader, others)) = sessions.split_first() else {
            return Err(Failure::new(Class::FailedNothingDone, "no session"));
        };
        let server = leader.server();
        let set = settings(spec, server.version, floats);
        leader.batch(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {set}")).await?;
        let export = if others.is_empty() { "''" } else { "pg_catalog.pg_export_snapshot()" };
        let sql = format!("SELECT {}, {export}", moment(server.in_recovery));
        let rows = ask(leader, &sql, &[], "taking a snapshot").await?;
        let row = rows.first().ok_or_else(|| Failure::new(Class::FailedNothingDone, "no snapshot"))?;
        let moment = Moment { snapshot: row.get(0), lsn: row.get(1), encoding: row.get(2), database: row.get(3) };
        let snapshot: String = row.get(4);
        let import = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT '{}'; {set}",
            snapshot.replace('\'', "''")
        );
        each(others, &import).await?;
        let waiting = sessions.iter().map(|_| AtomicUsize::new(0)).collect();
        let gate = Semaphore::new(sessions.len() * (1 + AHEAD));
        Ok(Self { which, moment, waiting, gate, sessions, first: OnceLock::new() })
    }

    /// How many statements may be under way at once.
    pub fn width(&self) -> usize {
        self.sessions.len() * (1 + AHEAD)
    }

    /// The server.
    pub fn version(&self) -> u32 {
        self.sessions.first().map_or(0, |session| session.server().version)
    }

    /// Runs a statement in the session that has least to do.
    pub async fn rows(&self, sql: &str, params: &[Param<'_>], what: &str) -> Result<Vec<Row>, Failure> {
        let closed = |_| Failure::new(Class::FailedNothingDone, "the sessions are closed");
        let _turn = self.gate.acquire().await.map_err(closed)?;
        let at = (0..self.sessions.len()).min_by_key(|at| self.waiting[*at].load(Ordering::Relaxed)).unwrap_or(0);
        let (session, waiting) = (&self.sessions[at], &self.waiting[at]);
        waiting.fetch_add(1, Ordering::Relaxed);
        let rows = ask(session, sql, params, what).await;
        waiting.fetch_sub(1, Ordering::Relaxed);
        let failure = match rows {
            Ok(rows) => return Ok(rows),
            Err(failure) => named(self.which, failure),
        };
        if !failure.causes.iter().any(|cause| cause == ABORTED) {
            let _ = self.first.set(failure.clone());
            return Err(failure);
        }
        // What waited behind the statement that failed says only that; the reason is with that one.
        for _ in 0..REASON {
            if let Some(first) = self.first.get() {
                return Err(first.clone());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(failure)
    }

    /// Begins new transactions with the settings, each in a snapshot of its own.
    pub async fn reopen(&self, spec: &Spec, floats: i32) -> Result<(), Failure> {
        let begin =
            format!("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {}", settings(spec, self.version(), floats));
        each(&self.sessions, &begin).await.map_err(|failure| named(self.which, failure))
    }

    /// Ends the transactions; what the server knows then, and how many transactions that write are open.
    pub async fn over(&self) -> Result<(String, i64), Failure> {
        let end = async {
            each(&self.sessions, "COMMIT").await?;
            self.now().await
        };
        end.await.map_err(|failure| named(self.which, failure))
    }

    async fn now(&self) -> Result<(String, i64), Failure> {
        let Some(leader) = self.sessions.first() else { return Ok(<_>::default()) };
        // Before the snapshot: who ends in between is seen there.
        let open = ask(leader, WRITING, &[], "counting who writes").await?;
        let sql = format!("SELECT {}", moment(leader.server().in_recovery));
        let rows = ask(leader, &sql, &[], "reading the transactions").await?;
        let text = rows.first().map(|row| row.get(0)).unwrap_or_default();
        Ok((text, open.first().map_or(0, |row| row.get(0))))
    }

    /// Reads something in a snapshot of its own, with the settings; where the log was after it.
    pub async fn afresh(
        &self,
        spec: &Spec,
        floats: i32,
        sql: &str,
        params: &[Param<'_>],
        what: &str,
    ) -> Result<(Vec<Row>, String), Failure> {
        let read = async {
            let leader = self.sessions.first().ok_or_else(|| Failure::new(Class::FailedNothingDone, "no session"))?;
            let server = leader.server();
            let set = settings(spec, server.version, floats);
            leader.batch(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {set}")).await?;
            let rows = ask(leader, sql, params, what).await?;
            let at = ask(leader, &format!("SELECT {}", moment(server.in_recovery)), &[], what).await?;
            leader.batch("COMMIT").await?;
            Ok((rows, at.first().map(|row| row.get(1)).unwrap_or_default()))
        };
        read.await.map_err(|failure| named(self.which, failure))
    }

    /// Says goodbye.
    pub async fn close(self) {
        futures_util::future::join_all(self.sessions.into_iter().map(Session::close)).await;
    }
}

/// The same statements in every session.
async fn each(sessions: &[Session], sql: &str) -> Result<(), Failure> {
    let mut all: Vec<BoxFuture<'_, Result<(), Failure>>> = Vec::new();
    for session in sessions {
        all.push(Box::pin(session.batch(sql)));
    }
    try_join_all(all).await.map(drop)
}

/// Transactions that have written and are not over hold a lock on their own number. A snapshot's text does not list the ones that are
/// younger than all that are over.
const WRITING: &str = "SELECT count(DISTINCT l.virtualtransaction) FROM pg_catalog.pg_locks l \
    WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted";

/// The server's life: when it began, and its own processes, which are all others after a crash that it recovered from by itself.
/// Everybody may see their numbers.
const LIFE: &str = "extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text || coalesce((\
    SELECT ' of ' || pg_catalog.string_agg(a.pid::text, ',' ORDER BY a.pid) FROM pg_catalog.pg_stat_get_activity(NULL) a \
    WHERE a.datid IS NULL AND a.usesysid IS NULL), '')";

/// `txid_current_snapshot` is in every version, `pg_current_snapshot` since 13. On a standby it does not list what is in progress:
/// there no two moments are known to be alike.
fn moment(standby: bool) -> String {
    let (lsn, apart) = if standby {
        ("pg_last_wal_replay_lsn()", " || ' at ' || pg_catalog.clock_timestamp()::text")
    } else {
        ("pg_current_wal_insert_lsn()", "")
    };
    let lsn = written(lsn);
    format!(
        "pg_catalog.txid_current_snapshot()::text || ' since ' || {LIFE}{apart}, \
         coalesce({lsn}::text, '0'), pg_catalog.getdatabaseencoding()::text, \
         extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text || (SELECT ' ' || d.oid::text FROM pg_catalog.pg_database d \
         WHERE d.datname = pg_catalog.current_database())"
    )
}

/// A place in the log as bytes from its beginning, without the header of a page that holds nothing yet: the next record will be put
/// behind it, but nothing is ever confirmed there before. So it stands after every switch of a segment while nobody writes.
fn written(lsn: &str) -> String {
    format!(
        "(SELECT w.at - CASE WHEN w.at % pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) = 40 THEN 40 \
         WHEN w.at % pg_catalog.current_setting('wal_block_size')::int = 24 THEN 24 ELSE 0 END \
         FROM (SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.{lsn}, '0/0') AS at) w)"
    )
}

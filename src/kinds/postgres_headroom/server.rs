//! One server by itself: connections, transactions, age, collations, indexes.

use serde_json::{Value as Json, json};

use super::{Limits, unseen};
use crate::{
    base::{Failure, clean_line, short_duration},
    services::postgres::Session,
};

/// What one server is like.
pub(super) struct Looked {
    /// What is wrong.
    pub found: Vec<String>,
    /// What was seen, one line.
    pub told: String,
    /// Connections that are left once all are there.
    pub room: Option<f64>,
    pub evidence: Json,
}

/// The most, what is reserved, what others hold, the limits of database and role (-1: none), the database's size.
const CONNECTIONS: &str = "
SELECT pg_catalog.current_setting('max_connections')::pg_catalog.int8,
  pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int8
    + COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::pg_catalog.int8,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
     WHERE datid IS NOT NULL AND usename IS DISTINCT FROM current_user AND COALESCE(backend_type, 'client backend') = 'client backend'),
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
     WHERE datid IS NOT NULL AND COALESCE(backend_type, 'client backend') = 'client backend'),
  (SELECT datconnlimit::pg_catalog.int8 FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
  (SELECT rolconnlimit::pg_catalog.int8 FROM pg_catalog.pg_roles WHERE rolname = current_user),
  pg_catalog.pg_database_size(pg_catalog.current_database()),
  (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)";

/// Transactions of others, and how many sessions hide theirs.
const TRANSACTIONS: &str = "
SELECT pid, usename::pg_catalog.text, datname::pg_catalog.text, application_name, COALESCE(pg_catalog.host(client_addr), 'a socket'), state,
  extract(epoch FROM pg_catalog.clock_timestamp() - xact_start)::pg_catalog.float8,
  extract(epoch FROM pg_catalog.clock_timestamp() - state_change)::pg_catalog.float8,
  (state IS NULL AND query = '<insufficient privilege>')
FROM pg_catalog.pg_stat_activity
WHERE pid <> pg_catalog.pg_backend_pid() AND usename IS NOT NULL AND COALESCE(backend_type, 'client backend') = 'client backend'
ORDER BY xact_start NULLS LAST";

const PREPARED: &str = "
SELECT gid, database::pg_catalog.text, owner::pg_catalog.text,
  extract(epoch FROM pg_catalog.clock_timestamp() - prepared)::pg_catalog.float8 FROM pg_catalog.pg_prepared_xacts ORDER BY prepared";

const AGE: &str = "
SELECT datname::pg_catalog.text, pg_catalog.age(datfrozenxid)::pg_catalog.int8, pg_catalog.mxid_age(datminmxid)::pg_catalog.int8
FROM pg_catalog.pg_database ORDER BY GREATEST(pg_catalog.age(datfrozenxid), pg_catalog.mxid_age(datminmxid)) DESC LIMIT 1";

const INVALID: &str = "
SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready) AND c.relkind = 'i' AND n.nspname NOT LIKE 'pg\\_toast%' ORDER BY 1, 2";

/// Collations that a column or an index uses, whose library has another version by now. The database's own since 15.
const COLLATIONS: &str = "
SELECT n.nspname::pg_catalog.text || '.' || c.collname::pg_catalog.text, c.collversion, pg_catalog.pg_collation_actual_version(c.oid)
FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
WHERE c.collversion IS NOT NULL AND c.collversion IS DISTINCT FROM pg_catalog.pg_collation_actual_version(c.oid)
  AND (EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attcollation = c.oid AND a.attrelid >= 16384)
    OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE c.oid = ANY (i.indcollation) AND i.indrelid >= 16384))
ORDER BY 1";
const DATABASE_COLLATION: &str = "
SELECT datcollversion, pg_catalog.pg_database_collation_actual_version(oid) FROM pg_catalog.pg_database
WHERE datname = pg_catalog.current_database() AND datcollversion IS NOT NULL
  AND datcollversion IS DISTINCT FROM pg_catalog.pg_database_collation_actual_version(oid)";

/// Looks at a server. `needed`: connections that are still to come.
pub(super) async fn look(session: &Session, limits: &Limits, needed: Option<u64>) -> Result<Looked, Failure> {
    let mut found = Vec::new();
    let row = session.row(CONNECTIONS, &[]).await?;
    let (most, reserved, others, all): (i64, i64, i64, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
    let (of_database, of_role, bytes, superuser): (Option<i64>, Option<i64>, i64, Option<bool>) =
        (row.get(4), row.get(5), row.get(6), row.get(7));
    let available = most - reserved;
    let mut room = None;
    if let Some(needed) = needed.and_then(|needed| i64::try_from(needed).ok()) {
        let left = available - others - needed;
        if left < 0 {
            found.push(format!(
                "connections: {needed} are needed and others hold {others}, of {available} (max_connections {most} less {reserved} reserved)"
            ));
        }
        for (limit, whose) in [(of_database, "database"), (of_role.filter(|_| superuser != Some(true)), "role")] {
            if let Some(limit) = limit.filter(|limit| (0..needed).contains(limit)) {
                found.push(format!("connections: {needed} are needed, and the {whose} is limited to {limit}"));
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of connections")]
        let figure = left as f64;
        room = Some(figure);
    }
    found.extend(transactions(session, limits).await?);
    found.extend(prepared(session, limits).await?);
    let row = session.row(AGE, &[]).await?;
    let (oldest, age, multi): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
    for (age, what) in [(age, "transactions"), (multi, "multixacts")] {
        if u64::try_from(age).is_ok_and(|age| age > limits.xid_age) {
            found.push(format!(
                "age: database {} has used {age} {what} since its oldest row was frozen, at most {} are wanted; VACUUM FREEZE",
                name(&oldest),
                limits.xid_age
            ));
        }
    }
    for row in session.rows(INVALID, &[]).await? {
        let (schema, index): (String, String) = (row.get(0), row.get(1));
        found.push(format!("index {} is invalid: REINDEX or drop it", name(&format!("{schema}.{index}"))));
    }
    found.extend(collations(session).await?);
    let told = format!(
        "{all} of {available} connections in use{}, oldest age {age}, {:.1} GiB",
        needed.map(|needed| format!(", {needed} more fit")).unwrap_or_default(),
        gib(bytes)
    );
    let evidence = json!({
        "version": session.server().version, "max_connections": most, "reserved": reserved, "in_use": all,
        "xid_age": age, "multixact_age": multi, "database_bytes": bytes,
    });
    Ok(Looked { found, told, room, evidence })
}

#[expect(clippy::cast_precision_loss, reason = "one digit for people")]
fn gib(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn name(text: &str) -> String {
    clean_line(text, 120)
}

fn time(seconds: f64) -> String {
    short_duration(std::time::Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
}

async fn transactions(session: &Session, limits: &Limits) -> Result<Vec<String>, Failure> {
    let (mut found, mut hidden) = (Vec::new(), 0_usize);
    for row in session.rows(TRANSACTIONS, &[]).await? {
        if row.get::<_, Option<bool>>(8) == Some(true) {
            hidden += 1;
            continue;
        }
        let (pid, user): (i32, String) = (row.get(0), row.get(1));
        let (database, application): (Option<String>, Option<String>) = (row.get(2), row.get(3));
        let (address, state): (String, Option<String>) = (row.get(4), row.get(5));
        let (open, changed): (Option<f64>, Option<f64>) = (row.get(6), row.get(7));
        let who = name(&format!(
            "pid {pid} ({user} in {}, {}, {address})",
            database.unwrap_or_default(),
            application.filter(|text| !text.is_empty()).unwrap_or_else(|| "no application name".into())
        ));
        let idle = state.is_some_and(|state| state.starts_with("idle in transaction"));
        match (open, changed) {
            (Some(open), _) if open > limits.transaction.as_secs_f64() => {
                found.push(format!("transaction: {who} has one open for {}", time(open)));
            }
            (Some(_), Some(changed)) if idle && changed > limits.idle.as_secs_f64() => {
                found.push(format!("transaction: {who} is idle in one for {}", time(changed)));
            }
            _ => {}
        }
    }
    if hidden > 0 {
        let words = format!(
            "{hidden} sessions at {} hide their transactions from {}",
            session.server().place,
            session.server().user
        );
        return Err(unseen(words).hint("GRANT pg_monitor TO it, or connect as a role that has it"));
    }
    Ok(found)
}

async fn prepared(session: &Session, limits: &Limits) -> Result<Vec<String>, Failure> {
    let rows = session.rows(PREPARED, &[]).await?;
    let told = rows.iter().filter(|row| row.get::<_, f64>(3) > limits.transaction.as_secs_f64()).map(|row| {
        let (gid, database, owner): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let who = name(&format!("{gid} of {owner} in {database}"));
        format!("prepared transaction: {who} waits for {}: COMMIT PREPARED or ROLLBACK PREPARED", time(row.get(3)))
    });
    Ok(told.collect())
}

async fn collations(session: &Session) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    let version = session.server().version;
    let words = |what: String, built: Option<String>, now: Option<String>| {
        let unknown = || "unknown".to_owned();
        let (built, now) = (built.unwrap_or_else(unknown), now.unwrap_or_else(unknown));
        format!(
            "collation: {what} was built with {} and sorts by {} now; REINDEX, then REFRESH VERSION",
            name(&built),
            name(&now)
        )
    };
    // Versions are kept since 10, the database's own since 15.
    if version >= 100_000 {
        for row in session.rows(COLLATIONS, &[]).await? {
            found.push(words(name(&row.get::<_, String>(0)), row.get(1), row.get(2)));
        }
    }
    if version >= 150_000 {
        for row in session.rows(DATABASE_COLLATION, &[]).await? {
            found.push(words("the database's own".into(), row.get(0), row.get(1)));
        }
    }
    Ok(found)
}

//! The way back: a publication at the new side and a subscription at the old one, and what has to be out of the way
//! (<https://www.postgresql.org/docs/current/sql-createsubscription.html>, <https://www.postgresql.org/docs/current/logicaldecoding-sql.html>).

use std::fmt::Write as _;

use serde::Deserialize;

use super::{
    Postgres, Session, quoted,
    read::{literal, read},
    replication::{Subscription, mark},
    target::Mode,
    writers::code,
};
use crate::{
    base::{Class, Failure, Secret},
    plan::TextOrSecret,
};

/// By which ours are known again.
const MARK: &str = "made by gonogo: the way back";

/// What of the way back is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct There {
    /// It exists.
    pub exists: bool,
    /// We made it.
    pub ours: bool,
}

/// Whether the database publishes under a name.
///
/// # Errors
/// As [`Session::row`].
pub async fn publication(session: &Session, name: &str) -> Result<There, Failure> {
    let sql = "SELECT pg_catalog.json_build_object('exists', p.oid IS NOT NULL,
          'ours', coalesce(pg_catalog.obj_description(p.oid, 'pg_publication') = $2::text, false))::text
        FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_publication p ON p.pubname::text = $1::text";
    read(session, sql, &[&name, &MARK]).await
}

/// Whether the database subscribes under a name. What stands in the shared catalog is described there.
///
/// # Errors
/// As [`Session::row`].
pub async fn subscription(session: &Session, name: &str) -> Result<There, Failure> {
    let sql = "SELECT pg_catalog.json_build_object('exists', s.oid IS NOT NULL,
          'ours', coalesce(pg_catalog.obj_description(s.oid, 'pg_subscription') = $2::text, false))::text
        FROM (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) db
          LEFT JOIN pg_catalog.pg_subscription s ON s.subdbid = db.oid AND s.subname::text = $1::text";
    read(session, sql, &[&name, &MARK]).await
}

/// Whether a server can publish, and this role subscribe.
#[derive(Debug, Clone, Deserialize)]
pub struct Able {
    /// `wal_level`.
    pub wal_level: String,
    /// A superuser, or since 16 a member of `pg_create_subscription` that may create in the database.
    pub subscribes: bool,
    /// It owns the database, or is a superuser: it may publish its own tables.
    pub publishes: bool,
}

/// What the session's role and server can do.
///
/// # Errors
/// As [`Session::row`].
pub async fn able(session: &Session) -> Result<Able, Failure> {
    let sql = "SELECT pg_catalog.json_build_object('wal_level', pg_catalog.current_setting('wal_level'),
          'publishes', pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
          'subscribes', r.rolsuper OR EXISTS (SELECT FROM pg_catalog.pg_roles c WHERE c.rolname = 'pg_create_subscription'
            AND pg_catalog.pg_has_role(c.oid, 'USAGE') AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')))::text
        FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";
    read(session, sql, &[]).await
}

/// Publishes tables, in one transaction.
///
/// # Errors
/// As [`Session::batch`].
pub async fn publish(session: &Session, name: &str, tables: &[(String, String)]) -> Result<(), Failure> {
    let list: Vec<String> =
        tables.iter().map(|(schema, table)| format!("{}.{}", quoted(schema), quoted(table))).collect();
    let name = quoted(name);
    // Since 13; it matters to tables that are partitioned and published by their root.
    let with = if session.server().version >= 130_000 { " WITH (publish_via_partition_root = true)" } else { "" };
    let sql = format!(
        "CREATE PUBLICATION {name} FOR TABLE {}{with}; COMMENT ON PUBLICATION {name} IS {}",
        list.join(", "),
        literal(MARK)
    );
    session.batch(&sql).await
}

/// Subscribes without a copy; makes the slot at the other side. The connection string goes to the server and nowhere else.
///
/// # Errors
/// `Unknown` where the answer is missing; else by the server's code. The statement is never shown.
pub async fn subscribe(session: &Session, name: &str, connection: &Secret) -> Result<(), Failure> {
    // The statement holds a password: it shall stand in no log and no activity view. Only a superuser may say so.
    for quiet in [
        "log_statement = 'none'",
        "log_min_duration_statement = -1",
        "log_min_error_statement = 'panic'",
        "track_activities = off",
    ] {
        let _not_allowed = session.batch(&format!("SET {quiet}")).await;
    }
    let origin = if session.server().version >= 160_000 { ", origin = none" } else { "" };
    let quoted = quoted(name);
    let sql = format!(
        "CREATE SUBSCRIPTION {quoted} CONNECTION {} PUBLICATION {quoted} WITH (copy_data = false, slot_name = {}{origin})",
        literal(connection.expose()),
        literal(name)
    );
    let call = session.client().batch_execute(&sql);
    session.within(&format!("CREATE SUBSCRIPTION {quoted}"), call).await.map_err(|failure| match code(&failure) {
        // Told of the publisher's connection, by a server that is well: its statement is undone.
        Some(code) if code.starts_with("08") => Failure { class: Class::FailedNothingDone, ..failure },
        _ => failure,
    })?;
    session.batch(&format!("COMMENT ON SUBSCRIPTION {quoted} IS {}", literal(MARK))).await
}

/// Starts or stops a subscription.
///
/// # Errors
/// As [`Session::batch`].
pub async fn enable(session: &Session, name: &str, on: bool) -> Result<(), Failure> {
    session.batch(&format!("ALTER SUBSCRIPTION {} {}", quoted(name), if on { "ENABLE" } else { "DISABLE" })).await
}

/// Drops a stopped subscription and leaves its slot alone: the server that has the slot may be away.
///
/// # Errors
/// As [`Session::batch`].
pub async fn unsubscribe(session: &Session, name: &str) -> Result<(), Failure> {
    let name = quoted(name);
    session.batch(&format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE); DROP SUBSCRIPTION {name}")).await
}

/// Drops a publication.
///
/// # Errors
/// As [`Session::batch`].
pub async fn unpublish(session: &Session, name: &str) -> Result<(), Failure> {
    session.batch(&format!("DROP PUBLICATION {}", quoted(name))).await
}

/// Drops a slot of the connected database that nobody uses. False while somebody does.
///
/// # Errors
/// As [`Session::row`].
pub async fn drop_slot(session: &Session, name: &str) -> Result<bool, Failure> {
    let sql = "SELECT pg_catalog.count(*) FILTER (WHERE s.active) FROM pg_catalog.pg_replication_slots s
        WHERE s.slot_name::text = $1::text AND s.database = pg_catalog.current_database()";
    let row = session.row(sql, &[&name]).await?;
    if row.try_get::<_, i64>(0).is_ok_and(|active| active > 0) {
        return Ok(false);
    }
    let sql = "SELECT pg_catalog.pg_drop_replication_slot(s.slot_name)::text FROM pg_catalog.pg_replication_slots s
        WHERE s.slot_name::text = $1::text AND s.database = pg_catalog.current_database()";
    session.rows(sql, &[&name]).await?;
    Ok(true)
}

/// So many messages are looked at first; a transaction of nothing is two.
const FIRST: i32 = 5000;

/// What waits in the slot of a stopped subscription.
#[derive(Debug, Deserialize)]
struct Waiting {
    messages: i64,
    changes: i64,
    /// Those of them that came to the server by replication themselves.
    echoes: i64,
}

/// Changes that wait in the slot of a stopped subscription. Takes nothing.
///
/// # Errors
/// `NotYet` while somebody still streams from it; others as [`Session::row`].
pub async fn pending(session: &Session, stopped: &Subscription) -> Result<i64, Failure> {
    waiting(session, stopped, |found| found.changes).await
}

/// The same without those that came to this server by replication.
///
/// # Errors
/// As [`pending`].
pub async fn unsent(session: &Session, stopped: &Subscription) -> Result<i64, Failure> {
    waiting(session, stopped, |found| found.changes - found.echoes).await
}

/// Only those that came to this server by replication: sent on, they would come home as foreign rows.
///
/// # Errors
/// As [`pending`].
pub async fn echoes(session: &Session, stopped: &Subscription) -> Result<i64, Failure> {
    waiting(session, stopped, |found| found.echoes).await
}

async fn waiting(session: &Session, stopped: &Subscription, count: impl Fn(&Waiting) -> i64) -> Result<i64, Failure> {
    // A look into a slot ends where the WAL is flushed, and what was committed asynchronously may not be.
    mark(session, "flush").await?;
    let first = peeked(session, stopped, Some(FIRST)).await?;
    // What is asked for may stand behind what is not.
    let all = count(&first) > 0 || first.messages < i64::from(FIRST);
    Ok(count(&if all { first } else { peeked(session, stopped, None).await? }))
}

async fn peeked(session: &Session, stopped: &Subscription, most: Option<i32>) -> Result<Waiting, Failure> {
    let Some(slot) = &stopped.slot else { return Ok(Waiting { messages: 0, changes: 0, echoes: 0 }) };
    let mut names = String::new();
    for name in &stopped.publications {
        let _ = write!(names, "{}{}", if names.is_empty() { "" } else { "," }, quoted(name));
    }
    // Messages of pgoutput by their first byte: Origin, and Insert, Update, Delete, Truncate.
    let sql = "WITH m AS MATERIALIZED (SELECT c.xid::text AS xid, pg_catalog.get_byte(c.data, 0) AS kind
          FROM pg_catalog.pg_logical_slot_peek_binary_changes($1::text::pg_catalog.name, NULL, $3::int4, 'proto_version', '1', 'publication_names', $2::text) c),
        o AS MATERIALIZED (SELECT DISTINCT m.xid FROM m WHERE m.kind = 79)
        SELECT pg_catalog.json_build_object('messages', pg_catalog.count(*),
          'changes', pg_catalog.count(*) FILTER (WHERE m.kind IN (73, 85, 68, 84)),
          'echoes', pg_catalog.count(o.xid) FILTER (WHERE m.kind IN (73, 85, 68, 84)))::text
        FROM m LEFT JOIN o ON o.xid = m.xid";
    read(session, sql, &[&slot, &names, &most]).await.map_err(|failure| match code(&failure) {
        Some("55006") => Failure { class: Class::NotYet, ..failure },
        _ => failure,
    })
}

impl Postgres {
    /// A connection string by which another server finds a database: what was given, filled up from `PG*` as for
    /// ourselves. Its password is known to the redactor.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn connection_string(&self, database: &TextOrSecret) -> Result<Secret, Failure> {
        let target = self.target(database).await?;
        let quote = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        let hosts: Vec<&str> = target.hosts.iter().map(|host| host.name.as_str()).collect();
        let ports: Vec<String> = target.hosts.iter().map(|host| host.port.to_string()).collect();
        let mut text = format!(
            "host={} port={} dbname={} user={}",
            quote(&hosts.join(",")),
            quote(&ports.join(",")),
            quote(&target.database),
            quote(&target.user)
        );
        if let Some(password) = target.hosts.iter().find_map(|host| host.password.as_ref()) {
            let _ = write!(text, " password={}", quote(password.expose()));
        }
        let mode = match target.tls.mode {
            Mode::Disable => "disable",
            Mode::Allow => "allow",
            Mode::Prefer => "prefer",
            Mode::Require => "require",
            Mode::VerifyCa => "verify-ca",
            Mode::VerifyFull => "verify-full",
        };
        let _ = write!(text, " sslmode={mode} connect_timeout=10");
        // Any other roots are a file of this machine.
        if target.tls.roots.as_deref() == Some("system") {
            text += " sslrootcert=system";
        }
        if text.contains('\0') {
            return Err(Failure::new(Class::Misconfigured, "a connection string must not hold a NUL character"));
        }
        Ok(Secret::new(text))
    }
}

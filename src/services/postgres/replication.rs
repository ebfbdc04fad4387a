//! How far logical replication is: the slots and tables of the source, the subscriptions of the target.
//!
//! Read as a plain database owner can: `pg_replication_slots`, `pg_publication_tables`, `pg_subscription` (all but the
//! connection string) and `pg_subscription_rel` are open to everybody
//! (<https://www.postgresql.org/docs/current/logical-replication-monitoring.html>).

use serde::Deserialize;

use super::{Session, read::read};
use crate::base::Failure;

/// The source at one moment.
#[derive(Debug, Clone, Deserialize)]
pub struct Source {
    /// A standby: it writes no WAL of its own.
    pub standby: bool,
    /// The position that it has written to; nothing on a standby.
    pub now: Option<String>,
    /// Logical slots of the connected database.
    pub slots: Vec<Slot>,
}

/// A logical slot.
#[derive(Debug, Clone, Deserialize)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Somebody streams from it.
    pub active: bool,
    /// `reserved`, `extended`, `unreserved`, `lost`; nothing before `PostgreSQL` 13.
    pub wal_status: Option<String>,
    /// Why it is of no use any more (`PostgreSQL` 17).
    pub invalid: Option<String>,
    /// The position that the other side has written and flushed.
    pub confirmed: Option<String>,
    /// Bytes of WAL between that and now.
    pub behind: Option<i64>,
    /// Bytes of WAL that it keeps on the source's disk.
    pub retained: Option<i64>,
    /// Bytes that may still be written before it is lost; nothing where there is no limit.
    pub safe: Option<i64>,
    /// Who streams, where we may see it.
    pub client: Option<String>,
    /// Seconds between a flush here and its being applied there, where measured and visible.
    pub replay_lag: Option<f64>,
    /// The wanted position has arrived.
    pub reached: Option<bool>,
}

/// A table of the source.
#[derive(Debug, Clone, Deserialize)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// It writes no WAL, so that nothing of it can be replicated.
    pub unlogged: bool,
    /// One of the publications has it, or a table that it is a partition of.
    pub published: bool,
    /// `UPDATE` and `DELETE` can name a row of it.
    pub identity: bool,
    /// Schema and name of the tables that it is a partition of, at whatever remove.
    pub roots: Vec<(String, String)>,
}

impl Table {
    /// `shop.orders`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// It is one of the tables, or a partition of one.
    #[must_use]
    pub fn is_in(&self, tables: &[(String, String)]) -> bool {
        let own = (self.schema.clone(), self.name.clone());
        std::iter::once(&own).chain(&self.roots).any(|one| tables.contains(one))
    }
}

/// A subscription of the connected database.
#[derive(Debug, Clone, Deserialize)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// It is meant to run.
    pub enabled: bool,
    /// Its slot at the source.
    pub slot: Option<String>,
    /// What it takes.
    pub publications: Vec<String>,
    /// Its apply worker runs.
    pub works: bool,
    /// Seconds since the worker heard of the source.
    pub silent: Option<f64>,
    /// Schema, name and state (`i`, `d`, `f`, `s`, `r`) of its tables.
    pub tables: Vec<(String, String, String)>,
    /// How often applying failed, as counted (`PostgreSQL` 15).
    pub apply_errors: Option<i64>,
    /// How often the first copy failed.
    pub sync_errors: Option<i64>,
}

/// The state of a subscribed table in words (`pg_subscription_rel.srsubstate`).
#[must_use]
pub fn state_words(state: &str) -> &str {
    match state {
        "i" => "waits for its first copy",
        "d" => "is being copied",
        "f" => "is copied, not yet in step",
        "s" => "is getting in step",
        "r" => "streams",
        other => other,
    }
}

const SOURCE: &str = "\
SELECT pg_catalog.json_build_object(
  'standby', pg_catalog.pg_is_in_recovery(),
  'now', w.now::text,
  'slots', (SELECT coalesce(pg_catalog.json_agg(x ORDER BY x.name), '[]') FROM (
    SELECT s.slot_name AS name, s.active,
      pg_catalog.to_json(s)->>'wal_status' AS wal_status, pg_catalog.to_json(s)->>'invalidation_reason' AS invalid,
      s.confirmed_flush_lsn::text AS confirmed,
      pg_catalog.pg_wal_lsn_diff(w.now, s.confirmed_flush_lsn)::bigint AS behind,
      pg_catalog.pg_wal_lsn_diff(w.now, s.restart_lsn)::bigint AS retained,
      (pg_catalog.to_json(s)->>'safe_wal_size')::bigint AS safe,
      r.client_addr::text AS client, extract(epoch FROM r.replay_lag)::float8 AS replay_lag,
      s.confirmed_flush_lsn >= $1::text::pg_catalog.pg_lsn AS reached
    FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid
    WHERE s.slot_type = 'logical' AND s.database = pg_catalog.current_database()) x))::text
FROM (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_lsn() END AS now) w";

/// Reads the source; with a position, which slots have reached it.
///
/// # Errors
/// As [`Session::row`].
pub async fn source(session: &Session, position: Option<&str>) -> Result<Source, Failure> {
    read(session, SOURCE, &[&position]).await
}

const SUBSCRIPTIONS: &str = "\
SELECT coalesce(pg_catalog.json_agg(x ORDER BY x.name), '[]')::text FROM (
  SELECT s.subname AS name, s.subenabled AS enabled, s.subslotname AS slot, s.subpublications AS publications,
    EXISTS (SELECT FROM pg_catalog.pg_stat_subscription w
      WHERE w.subid = s.oid AND w.relid IS NULL AND w.pid IS NOT NULL) AS works,
    (SELECT pg_catalog.min(extract(epoch FROM pg_catalog.clock_timestamp() - w.last_msg_receipt_time))::float8
      FROM pg_catalog.pg_stat_subscription w WHERE w.subid = s.oid AND w.relid IS NULL) AS silent,
    (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname, r.srsubstate)
        ORDER BY n.nspname, c.relname), '[]')
      FROM pg_catalog.pg_subscription_rel r JOIN pg_catalog.pg_class c ON c.oid = r.srrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE r.srsubid = s.oid) AS tables{errors}
  FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
  WHERE d.datname = pg_catalog.current_database()) x";

const ERRORS: &str = ",
    (SELECT e.apply_error_count FROM pg_catalog.pg_stat_subscription_stats e WHERE e.subid = s.oid) AS apply_errors,
    (SELECT e.sync_error_count FROM pg_catalog.pg_stat_subscription_stats e WHERE e.subid = s.oid) AS sync_errors";

/// The version that counts a subscription's errors.
const COUNTS_ERRORS: u32 = 150_000;

/// Reads the subscriptions of the connected database.
///
/// # Errors
/// As [`Session::row`].
pub async fn subscriptions(session: &Session) -> Result<Vec<Subscription>, Failure> {
    let errors = if session.server().version >= COUNTS_ERRORS { ERRORS } else { "" };
    read(session, &SUBSCRIPTIONS.replace("{errors}", errors), &[]).await
}

const TABLES: &str = "\
WITH pub AS (
  SELECT DISTINCT c.oid FROM pg_catalog.pg_publication_tables p
    JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
  WHERE p.pubname::text = ANY ($1::text[]))
SELECT coalesce(pg_catalog.json_agg(x ORDER BY x.schema, x.name), '[]')::text FROM (
  SELECT n.nspname AS schema, c.relname AS name, c.relpersistence = 'u' AS unlogged,
    EXISTS (SELECT FROM pub WHERE pub.oid = c.oid OR c.relispartition AND pub.oid IN
      (SELECT a.relid FROM pg_catalog.pg_partition_ancestors(c.oid) a)) AS published,
    CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false
      ELSE EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
        AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END) END AS identity,
    (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(an.nspname, ac.relname)), '[]')
      FROM pg_catalog.pg_partition_ancestors(c.oid) a JOIN pg_catalog.pg_class ac ON ac.oid = a.relid
        JOIN pg_catalog.pg_namespace an ON an.oid = ac.relnamespace
      WHERE c.relispartition AND ac.oid <> c.oid) AS roots
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')) x";

/// Every table that holds rows, but those of extensions, and what the publications make of it.
///
/// # Errors
/// As [`Session::row`].
pub async fn tables(session: &Session, publications: &[String]) -> Result<Vec<Table>, Failure> {
    read(session, TABLES, &[&publications]).await
}

const PUBLISHED: &str = "\
SELECT coalesce(pg_catalog.json_agg(DISTINCT pg_catalog.jsonb_build_array(p.schemaname, p.tablename)), '[]')::text
FROM pg_catalog.pg_publication_tables p WHERE p.pubname::text = ANY ($1::text[])";

/// Schema and name of what the publications publish, as a subscription has to know it.
///
/// # Errors
/// As [`Session::row`].
pub async fn published(session: &Session, publications: &[String]) -> Result<Vec<(String, String)>, Failure> {
    read(session, PUBLISHED, &[&publications]).await
}

/// What a publication does not send.
#[derive(Debug, Clone)]
pub struct Narrowed {
    /// The publication, or the table.
    pub of: String,
    /// In words.
    pub words: String,
}

/// A publication as the catalog has it: operations that it leaves out, tables with their condition or their columns.
#[derive(Debug, Deserialize)]
struct Publication {
    name: String,
    without: Vec<String>,
    rows: Vec<(String, String)>,
    columns: Vec<(String, String)>,
}

const PUBLICATIONS: &str = "\
SELECT coalesce(pg_catalog.json_agg(x ORDER BY x.name), '[]')::text FROM (
  SELECT p.pubname AS name, pg_catalog.array_to_json(pg_catalog.array_remove(ARRAY[
      CASE WHEN NOT p.pubinsert THEN 'INSERT' END, CASE WHEN NOT p.pubupdate THEN 'UPDATE' END,
      CASE WHEN NOT p.pubdelete THEN 'DELETE' END,
      CASE WHEN pg_catalog.to_json(p)->>'pubtruncate' = 'false' THEN 'TRUNCATE' END], NULL)) AS without, {tables}
  FROM pg_catalog.pg_publication p WHERE p.pubname::text = ANY ($1::text[])) x";

const NARROWED_TABLES: &str = "\
    (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname || '.' || c.relname, pg_catalog.pg_get_expr(r.prqual, r.prrelid))
        ORDER BY n.nspname, c.relname), '[]')
      FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE r.prpubid = p.oid AND r.prqual IS NOT NULL) AS rows,
    (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname || '.' || c.relname,
        (SELECT pg_catalog.string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs::int2[]))) ORDER BY n.nspname, c.relname), '[]')
      FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE r.prpubid = p.oid AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
        AND NOT a.attisdropped AND a.attgenerated = '' AND a.attnum <> ALL (r.prattrs::int2[]))) AS columns";

/// The version since which a publication may send some rows or columns of a table only.
const NARROWS_TABLES: u32 = 150_000;

/// Operations, rows and columns that the publications do not send.
///
/// # Errors
/// As [`Session::row`].
pub async fn narrowed(session: &Session, publications: &[String]) -> Result<Vec<Narrowed>, Failure> {
    let new = session.server().version >= NARROWS_TABLES;
    let tables = if new { NARROWED_TABLES } else { "'[]'::json AS rows, '[]'::json AS columns" };
    let all: Vec<Publication> = read(session, &PUBLICATIONS.replace("{tables}", tables), &[&publications]).await?;
    let mut narrowed = Vec::new();
    for Publication { name, without, rows, columns } in all {
        if !without.is_empty() {
            let words = format!("publication {name} sends no {}", without.join(" and "));
            narrowed.push(Narrowed { of: name.clone(), words });
        }
        for (of, condition) in rows {
            let words = format!("publication {name} sends only rows WHERE {condition} of {of}");
            narrowed.push(Narrowed { of, words });
        }
        for (of, some) in columns {
            let words = format!("publication {name} sends only columns {some} of {of}");
            narrowed.push(Narrowed { of, words });
        }
    }
    Ok(narrowed)
}

/// Writes a message of a few bytes into the WAL and flushes it, and with it all that was committed before; no table is
/// touched and no subscriber applies it. Answers with the position behind it.
///
/// # Errors
/// As [`Session::row`].
pub async fn mark(session: &Session, text: &str) -> Result<String, Failure> {
    // Only a commit is sure to flush, and not even that by every role's default. A synchronous standby is not waited for.
    let sql = "SELECT pg_catalog.json_build_array(pg_catalog.set_config('synchronous_commit', 'local', true),
          pg_catalog.pg_logical_emit_message(true, 'gonogo', $1::text)::text)::text";
    let (_, behind): (String, String) = read(session, sql, &[&text]).await?;
    Ok(behind)
}

/// The position that the server has written to.
///
/// # Errors
/// As [`Session::row`].
pub async fn position(session: &Session) -> Result<String, Failure> {
    read(session, "SELECT pg_catalog.to_json(pg_catalog.pg_current_wal_lsn()::text)::text", &[]).await
}

/// The position behind everything that was committed, also what was committed asynchronously and is not written yet.
///
/// # Errors
/// As [`Session::row`].
pub async fn end(session: &Session) -> Result<String, Failure> {
    let sql = "SELECT pg_catalog.to_json(pg_catalog.pg_current_wal_insert_lsn()::text)::text";
    read(session, sql, &[]).await.map(|next: String| behind_the_last(&next))
}

/// The end of the last record, by where the next one will begin: at the begin of a page that is behind the page's header,
/// which no slot confirms before there is a record.
fn behind_the_last(next: &str) -> String {
    const PAGE: (u32, u32) = (0x1fff, 0x18);
    const SEGMENT: (u32, u32) = (0xf_ffff, 0x28);
    let Some((high, Ok(low))) = next.split_once('/').map(|(high, low)| (high, u32::from_str_radix(low, 16))) else {
        return next.to_owned();
    };
    match [SEGMENT, PAGE].iter().find(|(mask, header)| low & mask == *header) {
        Some((_, header)) => format!("{high}/{:X}", low - header),
        None => next.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::behind_the_last;

    #[test]
    fn a_header_is_no_record() {
        for (next, end) in [
            ("0/3000028", "0/3000000"),
            ("1/A3002018", "1/A3002000"),
            ("0/3002028", "0/3002028"),
            ("0/3000018", "0/3000000"),
            ("16/B374D848", "16/B374D848"),
        ] {
            assert_eq!(behind_the_last(next), end);
        }
    }
}

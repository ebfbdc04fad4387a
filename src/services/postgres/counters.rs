//! Rows written so far, by table, as the server counts them. A session reports what it wrote at most once a second while
//! it works, and up to ten seconds later once it is idle; each look here is a transaction of its own, so it sees the
//! newest figures (<https://www.postgresql.org/docs/current/monitoring-stats.html>).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Session, read::read};
use crate::base::Failure;

/// The counters at one moment.
#[derive(Debug, Clone, Deserialize)]
pub struct Counters {
    /// `track_counts`: without it there are none.
    pub kept: bool,
    /// Inserted, updated and deleted rows of each table; temporary ones left out, which anybody may write.
    pub rows: BTreeMap<String, i64>,
    /// The WAL position: a hint only, since an idle server writes WAL, too.
    pub wal: Option<String>,
}

/// Reads them.
///
/// # Errors
/// As [`Session::row`].
pub async fn counters(session: &Session) -> Result<Counters, Failure> {
    let sql = "SELECT pg_catalog.json_build_object(
        'kept', pg_catalog.current_setting('track_counts')::bool,
        'wal', CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_lsn()::text END,
        'rows', (SELECT coalesce(pg_catalog.json_object_agg(s.schemaname || '.' || s.relname, s.n_tup_ins + s.n_tup_upd + s.n_tup_del), '{}')
          FROM pg_catalog.pg_stat_user_tables s JOIN pg_catalog.pg_class c ON c.oid = s.relid WHERE c.relpersistence <> 't'))::text";
    read(session, sql, &[]).await
}

impl Counters {
    /// Tables whose counter is another one than before, and by how much.
    #[must_use]
    pub fn moved(&self, before: &Self) -> Vec<(String, i64)> {
        let now = self.rows.iter().map(|(table, rows)| (table.clone(), rows - before.rows.get(table).unwrap_or(&0)));
        now.filter(|(_, moved)| *moved != 0).collect()
    }
}

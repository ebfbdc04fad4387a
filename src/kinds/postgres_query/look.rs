//! The statement itself: a cursor over it in a read-only transaction that is rolled back.

use std::{error::Error, time::Duration};

use crate::{
    base::{Class, Failure, Secret},
    services::postgres::{
        Session, SimpleQueryMessage, ToSql,
        types::{Format, IsNull, Type, to_sql_checked},
    },
};

/// Functions that act although nothing is written in the transaction: other sessions, the server, other connections,
/// the log that replicas read. And those that run a text, in which any of them can hide.
const ACTS: &[&str] = &[
    "brin_desummarize_range",
    "brin_summarize_new_values",
    "brin_summarize_range",
    "connectby",
    "crosstab",
    "crosstab_hash",
    "dblink",
    "dblink_cancel_query",
    "dblink_connect",
    "dblink_connect_u",
    "dblink_exec",
    "dblink_open",
    "dblink_send_query",
    "gin_clean_pending_list",
    "lo_export",
    "lo_import",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_backup_start",
    "pg_backup_stop",
    "pg_cancel_backend",
    "pg_copy_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_create_logical_replication_slot",
    "pg_create_physical_replication_slot",
    "pg_create_restore_point",
    "pg_drop_replication_slot",
    "pg_export_snapshot",
    "pg_file_rename",
    "pg_file_sync",
    "pg_file_unlink",
    "pg_file_write",
    "pg_import_system_collations",
    "pg_log_backend_memory_contexts",
    "pg_log_standby_snapshot",
    "pg_logfile_rotate",
    "pg_logical_emit_message",
    "pg_logical_slot_get_binary_changes",
    "pg_logical_slot_get_changes",
    "pg_notify",
    "pg_promote",
    "pg_reload_conf",
    "pg_replication_origin_advance",
    "pg_replication_origin_session_reset",
    "pg_replication_origin_session_setup",
    "pg_replication_slot_advance",
    "pg_rotate_logfile",
    "pg_start_backup",
    "pg_stat_reset",
    "pg_stat_reset_backend_stats",
    "pg_stat_reset_replication_slot",
    "pg_stat_reset_shared",
    "pg_stat_reset_single_table_counters",
    "pg_stat_reset_slru",
    "pg_stat_reset_subscription_stats",
    "pg_stat_statements_reset",
    "pg_stop_backup",
    "pg_switch_wal",
    "pg_sync_replication_slots",
    "pg_terminate_backend",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_wal_replay_pause",
    "pg_wal_replay_resume",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "set_config",
    "ts_rewrite",
    "ts_stat",
    "xpath_table",
];

/// The first function of a statement that acts. Names are compared as words: one inside a text is seen too, which is
/// the safe mistake. A name written by its characters' numbers could be any.
pub(super) fn acts(sql: &str) -> Option<&'static str> {
    const NUMBERED: &str = "U&\"";
    if sql.to_ascii_lowercase().contains("u&\"") {
        return Some(NUMBERED);
    }
    let words = sql.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.map(str::to_ascii_lowercase).find_map(|word| {
        // `crosstab2`, `crosstab3`, …: people make more of them, one for each number of columns.
        let word =
            if word.starts_with("crosstab") { word.trim_end_matches(|c: char| c.is_ascii_digit()) } else { &word };
        ACTS.iter().copied().find(|name| *name == word)
    })
}

/// What a statement answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// How many rows; exact where they are counted, else at most two are fetched.
    pub rows: u64,
    /// The first column of the first row, as the server writes it; `None`: `NULL`, or no row.
    pub value: Option<String>,
    /// There was a row.
    pub any: bool,
}

/// A value as text that the server reads as whatever type it needs.
#[derive(Debug)]
struct AsText<'a>(&'a str);

impl ToSql for AsText<'_> {
    fn to_sql(&self, _: &Type, out: &mut tokio_util::bytes::BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// Asks, and rolls back whatever happens.
pub(super) async fn answer(
    session: &Session,
    sql: &str,
    values: &[Secret],
    statement: Duration,
    counts: bool,
) -> Result<Answer, Failure> {
    session.begin_to_read(statement).await?;
    let answer = asked(session, sql, values, counts).await;
    let over = session.batch("ROLLBACK").await;
    let answer = answer?;
    over?;
    Ok(answer)
}

async fn asked(session: &Session, sql: &str, values: &[Secret], counts: bool) -> Result<Answer, Failure> {
    let declare = format!("DECLARE gonogo NO SCROLL CURSOR FOR {sql}");
    let texts = values.iter().map(|value| AsText(value.expose())).collect::<Vec<_>>();
    let params = texts.iter().map(|text| text as &(dyn ToSql + Sync)).collect::<Vec<_>>();
    session.execute(&declare, &params).await.map_err(|failure| told(session, failure, values.len()))?;
    let fetched = session.texts("FETCH FORWARD 2 FROM gonogo").await;
    let fetched = fetched.map_err(|failure| told(session, failure, values.len()))?;
    let mut answer = Answer::default();
    for message in fetched {
        if let SimpleQueryMessage::Row(row) = message {
            if !answer.any {
                answer.any = true;
                answer.value = (!row.is_empty()).then(|| row.get(0).map(str::to_owned)).flatten();
            }
            answer.rows += 1;
        }
    }
    if counts && answer.rows == 2 {
        let moved = session.texts("MOVE FORWARD ALL FROM gonogo").await;
        for message in moved.map_err(|failure| told(session, failure, values.len()))? {
            if let SimpleQueryMessage::CommandComplete(more) = message {
                answer.rows += more;
            }
        }
    }
    Ok(answer)
}

/// A failure in the words of a runbook's author, who wrote the statement and not the cursor.
fn told(session: &Session, failure: Failure, values: usize) -> Failure {
    let state = |code: &str| failure.causes.iter().any(|cause| cause.strip_prefix("SQLSTATE ") == Some(code));
    let several = state("42601") && failure.message.contains("multiple commands");
    let writes = state("42601") || state("0A000");
    let message = failure.message.split_once("`: ").map_or(failure.message.as_str(), |(_, said)| said).to_owned();
    let failure = Failure { message: format!("{message} (at {})", session.server().place), ..failure };
    if several {
        return Failure { class: Class::Misconfigured, ..failure }.hint("one statement; make two checks of two");
    }
    if failure.class == Class::Refused {
        return failure.hint("the statement or a function in it writes; a check must not");
    }
    if writes {
        return failure
            .hint("a statement that answers rows and changes nothing: SELECT, VALUES, TABLE or WITH … SELECT");
    }
    if message.contains("parameters but") || message.contains("there is no parameter") {
        return failure.hint(format!("`values` has {values}; the statement names them $1, $2, …"));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_seen_as_a_word() {
        assert_eq!(acts("SELECT PG_TERMINATE_BACKEND(pid) FROM x"), Some("pg_terminate_backend"));
        assert_eq!(acts("select pg_catalog.set_config('a', 'b', true)"), Some("set_config"));
        assert_eq!(acts("select U&\"pg_terminate_backe!006Ed\" UESCAPE '!' (0)"), Some("U&\""));
        assert_eq!(acts("select u&\"\\0070g_notify\"('a', '')"), Some("U&\""));
        assert_eq!(acts("SELECT query_to_xml('select pg_' || 'notify(1)', true, true, '')"), Some("query_to_xml"));
        for sql in
            ["public.crosstab('select pg_' || 'notify(1)')", "\"crosstab4\"('')", "CrossTab12('')", "connectby('x')"]
        {
            assert!(acts(&format!("select * from {sql} as t(a int)")).is_some(), "{sql}");
        }
        assert_eq!(acts("select crosstabs, crosstab_2 from t"), None);
        assert_eq!(acts("select my_set_config_count from t where dblinks"), None);
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(ACTS.is_sorted());
    }
}

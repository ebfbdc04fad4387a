//! Catalog reading in one piece: a statement that answers with one JSON text, and its types. One round trip sees one
//! state of the server, and a column that an older server does not have is simply missing.

use serde::de::DeserializeOwned;
use tokio_postgres::types::ToSql;

use super::Session;
use crate::base::{Class, Failure};

/// Runs a statement that selects one JSON text.
///
/// # Errors
/// As [`Session::row`]; `FailedNothingDone` where the answer is not what was asked for.
pub(super) async fn read<T: DeserializeOwned>(
    session: &Session,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<T, Failure> {
    let row = session.row(sql, params).await?;
    let text: String = row.try_get(0).map_err(|e| odd(&e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| odd(&e.to_string()))
}

fn odd(why: &str) -> Failure {
    Failure::new(Class::FailedNothingDone, "the server's answer was not understood").because(why)
}

/// Text as an SQL literal, for statements that take no parameters (`ALTER ROLE`, `CREATE SUBSCRIPTION`). Right
/// whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r" E'a\\''b'");
    }
}

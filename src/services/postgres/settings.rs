//! Whether new sessions of a role begin read-only: `default_transaction_read_only` as it is set for a role in a database,
//! for the role, for the database, for all (`pg_db_role_setting`), in that order
//! (<https://www.postgresql.org/docs/current/sql-alterrole.html>, <https://www.postgresql.org/docs/current/catalog-pg-db-role-setting.html>).

use serde::{Deserialize, Serialize};

use super::{
    Session, quoted,
    read::{literal, read},
};
use crate::base::Failure;

/// The setting's name.
pub(super) const NAME: &str = "default_transaction_read_only";

/// The settings kept for a role, the database, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The role; nothing: whoever it is.
    pub role: Option<String>,
    /// In the connected database only.
    pub here: bool,
    /// `name=value` in their order.
    pub config: Vec<String>,
}

impl Kept {
    /// The value of the setting, as text.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.config.iter().find(|line| is_ours(line)).and_then(|line| line.split_once('=')).map(|(_, value)| value)
    }
}

/// Whether a `name=value` is this setting.
#[must_use]
pub fn is_ours(line: &str) -> bool {
    line.split_once('=').is_some_and(|(name, _)| name.eq_ignore_ascii_case(NAME))
}

/// Every setting kept for the connected database or for all.
///
/// # Errors
/// As [`Session::row`].
pub async fn kept(session: &Session) -> Result<Vec<Kept>, Failure> {
    let sql = "SELECT coalesce(pg_catalog.json_agg(x), '[]')::text FROM (
        SELECT CASE WHEN s.setrole = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(s.setrole) END AS role,
          s.setdatabase <> 0 AS here, s.setconfig AS config
        FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = 0 OR s.setdatabase =
          (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())) x";
    read(session, sql, &[]).await
}

/// What is kept for exactly this role and database.
#[must_use]
pub fn of<'k>(kept: &'k [Kept], role: Option<&str>, here: bool) -> Option<&'k Kept> {
    kept.iter().find(|one| one.role.as_deref() == role && one.here == here)
}

/// Whether a new session of the role begins read-only; nothing where only the server's own files say it.
#[must_use]
pub fn begins_read_only(kept: &[Kept], role: &str) -> Option<bool> {
    [(Some(role), true), (Some(role), false), (None, true), (None, false)]
        .into_iter()
        .find_map(|(role, here)| of(kept, role, here)?.value())
        .map(is_on)
}

/// How `PostgreSQL` reads a boolean: any beginning of these words that is not ambiguous.
#[must_use]
pub fn is_on(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    let begins = |word: &str, least: usize| value.len() >= least && word.starts_with(&value);
    value == "1" || begins("on", 2) || begins("true", 1) || begins("yes", 1)
}

/// The statement that sets or resets it for a role, or for the database.
#[must_use]
pub(super) fn statement(database: &str, role: Option<&str>, value: Option<&str>) -> String {
    let database = quoted(database);
    let whose = match role {
        Some(role) => format!("ALTER ROLE {} IN DATABASE {database}", quoted(role)),
        None => format!("ALTER DATABASE {database}"),
    };
    match value {
        Some(value) => format!("{whose} SET {NAME} = {};\n", literal(value)),
        None => format!("{whose} RESET {NAME};\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_for(role: Option<&str>, here: bool, value: &str) -> Kept {
        Kept { role: role.map(str::to_owned), here, config: vec!["work_mem=1MB".into(), format!("{NAME}={value}")] }
    }

    #[test]
    fn the_nearest_setting_counts() {
        let all = [kept_for(None, true, "on"), kept_for(Some("a"), false, "off"), kept_for(Some("b"), true, "TRUE")];
        assert_eq!(begins_read_only(&all, "a"), Some(false));
        assert_eq!(begins_read_only(&all, "b"), Some(true));
        assert_eq!(begins_read_only(&all, "c"), Some(true));
        assert_eq!(begins_read_only(&all[1..2], "c"), None);
    }

    #[test]
    fn booleans_are_read_as_the_server_reads_them() {
        for on in ["on", "ON", "1", "t", "tru", "yes", "y"] {
            assert!(is_on(on), "{on}");
        }
        for off in ["off", "o", "0", "false", "n", ""] {
            assert!(!is_on(off), "{off}");
        }
    }
}

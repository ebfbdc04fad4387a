//! Who is connected, and the end of a session. `pg_stat_activity` shows others' sessions in full only to a superuser,
//! to a member of their role and to `pg_read_all_stats`
//! (<https://www.postgresql.org/docs/current/monitoring-stats.html>).

use serde::{Deserialize, Serialize};

use super::{Session, own::PROCESS, read::read};
use crate::base::{Failure, clean_line};

/// One session of the connected database, ours and the server's own work left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// Process id at the server.
    pub pid: i32,
    /// The role that logged in; nothing for a background worker without one.
    pub role: Option<String>,
    /// What it calls itself.
    pub application: Option<String>,
    /// Where it comes from; nothing for a local socket, or where we may not see it.
    pub client: Option<String>,
    /// `active`, `idle`, `idle in transaction`, …
    pub state: Option<String>,
    /// When it began, RFC 3339; nothing where we may not see it.
    pub since: Option<String>,
    /// `client backend`, `logical replication worker`, …; nothing where we may not see it.
    pub kind: Option<String>,
    /// The first words of its last statement.
    pub query: Option<String>,
    /// It began no later than the moment that was asked about.
    pub early: bool,
    /// Its open transaction has written; false where we may not see it.
    pub wrote: bool,
}

impl Connected {
    /// `pid 4711 shop_app (puma 10.0.0.7, idle)`.
    #[must_use]
    pub fn shown(&self) -> String {
        let role = self.role.as_deref().or(self.kind.as_deref()).unwrap_or("?");
        let about = [self.application.as_deref(), self.client.as_deref(), self.state.as_deref()];
        let about: Vec<&str> = about.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(" ")) };
        clean_line(&format!("pid {} {role}{about}", self.pid), 120)
    }
}

const CONNECTED: &str = "\
SELECT coalesce(pg_catalog.json_agg(x ORDER BY x.since, x.pid), '[]')::text FROM (
  SELECT a.pid, a.usename AS role, a.application_name AS application, pg_catalog.host(a.client_addr) AS client, a.state,
    a.backend_start AS since, a.backend_type AS kind, pg_catalog.left(a.query, 200) AS query,
    $2::text IS NULL OR a.backend_start IS NULL OR a.backend_start <= $2::text::pg_catalog.timestamptz AS early,
    a.backend_xid IS NOT NULL AS wrote
  FROM pg_catalog.pg_stat_activity a
  WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
    AND coalesce(a.backend_type, '') NOT IN ('walsender', 'autovacuum worker', 'parallel worker')
    AND ($1::text[] IS NULL OR a.usename::text = ANY ($1::text[]) AND coalesce(a.backend_type, 'client backend') = 'client backend')
    AND {process} <> ALL ($3::text[])) x";

/// Sessions of the connected database; with roles only their clients', with a moment whether they are older. Those that
/// this process has open are left out.
///
/// # Errors
/// As [`Session::row`].
pub async fn connected(
    session: &Session,
    roles: Option<&[String]>,
    moment: Option<&str>,
) -> Result<Vec<Connected>, Failure> {
    let sql = CONNECTED.replace("{process}", PROCESS);
    let mut all: Vec<Connected> = read(session, &sql, &[&roles, &moment, &session.own.all()]).await?;
    for one in &mut all {
        one.query = one.query.as_deref().and_then(first_words);
    }
    Ok(all)
}

/// The words that a statement begins with, up to the first value: `INSERT INTO orders`.
fn first_words(query: &str) -> Option<String> {
    let word = |word: &&str| word.chars().all(|c| c.is_alphabetic() || "_.\"*=".contains(c));
    let words: Vec<&str> = query.split_whitespace().take(6).take_while(word).collect();
    let text = clean_line(&words.join(" "), 60);
    (!text.is_empty()).then_some(text)
}

/// The server's time, for comparing.
///
/// # Errors
/// As [`Session::row`].
pub async fn now(session: &Session) -> Result<String, Failure> {
    read(session, "SELECT pg_catalog.to_json(pg_catalog.clock_timestamp())::text", &[]).await
}

/// Ends a session that we saw: not another one that got its process id since. True where the server was told.
///
/// # Errors
/// As [`Session::row`]; `Denied` where this role may not.
pub async fn end(session: &Session, one: &Connected) -> Result<bool, Failure> {
    let sql = "SELECT coalesce(pg_catalog.json_agg(pg_catalog.pg_terminate_backend(a.pid)), '[]')::text
        FROM pg_catalog.pg_stat_activity a
        WHERE a.pid = $1 AND ($2::text IS NULL OR a.backend_start = $2::text::pg_catalog.timestamptz)";
    let told: Vec<bool> = read(session, sql, &[&one.pid, &one.since]).await?;
    Ok(told == [true])
}

/// A transaction that was prepared and waits for `COMMIT PREPARED`: it can still write.
#[derive(Debug, Clone, Deserialize)]
pub struct Prepared {
    /// Its name.
    pub name: String,
    /// Whose.
    pub owner: String,
    /// Since when.
    pub since: String,
}

/// Prepared transactions of the connected database.
///
/// # Errors
/// As [`Session::row`].
pub async fn prepared(session: &Session) -> Result<Vec<Prepared>, Failure> {
    let sql = "SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
          'name', p.gid, 'owner', p.owner, 'since', p.prepared) ORDER BY p.prepared), '[]')::text
        FROM pg_catalog.pg_prepared_xacts p WHERE p.database = pg_catalog.current_database()";
    read(session, sql, &[]).await
}

#[cfg(test)]
mod tests {
    use super::first_words;

    #[test]
    fn no_value_is_shown() {
        assert_eq!(first_words("INSERT INTO orders VALUES ('secret')").as_deref(), Some("INSERT INTO orders VALUES"));
        assert_eq!(first_words("update t set a='x' where b=1").as_deref(), Some("update t set"));
        assert_eq!(first_words("'x'"), None);
    }
}

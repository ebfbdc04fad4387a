//! Who can write to the connected database, by the catalog, and the proof of it: a canary.
//!
//! The canary is a real `INSERT`, `DELETE` or `UPDATE` of no row (`… WHERE false`) on a table that the role may write, in a
//! transaction that is rolled back. The server refuses it where it would refuse a row, for want of a privilege
//! (42501) or because the transaction is read-only (25006), and it has nothing to leave behind: no row, no lock that
//! lasts, no WAL. A table with statement triggers or rules is not used for it.

use serde::Deserialize;

use super::{Session, quoted, read::read};
use crate::base::{Class, Failure};

/// A role that can log in, or has a session.
#[derive(Debug, Clone, Deserialize)]
pub struct Writer {
    /// Its name.
    pub role: String,
    /// No privilege binds it.
    pub superuser: bool,
    /// It may log in, and connect to this database.
    pub logs_in: bool,
    /// It is the role of this very session.
    pub me: bool,
    /// It owns tables, itself or as a member: it can grant itself what was revoked.
    pub owns: bool,
    /// It may take a sequence's next value.
    pub sequences: bool,
    /// A replication connection runs as it, or could.
    pub replicates: bool,
    /// It is a member of `pg_write_all_data`.
    pub writes_all: bool,
    /// We may change its settings in this database.
    pub may_set: bool,
    /// We may take its right to log in.
    pub may_alter: bool,
    /// We may end its sessions.
    pub may_end: bool,
    /// We may become it.
    pub may_be: bool,
    /// Groups that it is in, at whatever remove.
    pub member_of: Vec<String>,
    /// By which role it writes: itself, or one that it is a member of.
    pub via: Option<String>,
    /// A table that it may write.
    pub relation: Option<String>,
    /// How.
    pub command: Option<String>,
    /// The canary, where there is a table that can be used for one.
    pub canary: Option<String>,
    /// `SECURITY DEFINER` functions that it may call, and their owners, who can write, themselves or through such
    /// functions in turn: one for each owner.
    pub through: Vec<(String, String)>,
}

impl Writer {
    /// Some privilege lets it write rows or move a sequence, its own or that of a function's owner.
    #[must_use]
    pub fn can_write(&self) -> bool {
        self.relation.is_some() || self.sequences || !self.through.is_empty()
    }
}

const WRITERS: &str = "\
WITH RECURSIVE rel AS MATERIALIZED (
  SELECT c.oid, c.relkind, c.relowner, n.oid AS nsp, pg_catalog.format('%I.%I', n.nspname, c.relname) AS shown,
    c.relkind <> 'v' AND c.relhasrules AS ruled,
    (SELECT coalesce(pg_catalog.bit_or(t.tgtype::int), 0) FROM pg_catalog.pg_trigger t
      WHERE t.tgrelid = c.oid AND t.tgenabled <> 'D' AND t.tgtype::int & 1 = 0) AS fires,
    CASE c.relkind WHEN 'v' THEN pg_catalog.pg_relation_is_updatable(c.oid, true) ELSE 28 END AS takes
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
), seq AS MATERIALIZED (
  SELECT c.oid, n.oid AS nsp FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
), fn AS MATERIALIZED (
  SELECT p.oid, p.proowner AS owner, n.oid AS nsp, pg_catalog.format('%I.%I', n.nspname, p.proname) AS shown
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE p.prosecdef AND (p.provolatile = 'v' OR p.prolang <> (SELECT l.oid FROM pg_catalog.pg_language l WHERE l.lanname = 'sql')) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
), owner AS MATERIALIZED (
  SELECT o.oid, o.rolname, o.rolsuper
    OR EXISTS (SELECT FROM rel WHERE pg_catalog.has_schema_privilege(o.oid, rel.nsp, 'USAGE')
      AND (pg_catalog.has_any_column_privilege(o.oid, rel.oid, 'INSERT, UPDATE') OR pg_catalog.has_table_privilege(o.oid, rel.oid, 'DELETE, TRUNCATE')))
    OR EXISTS (SELECT FROM seq WHERE pg_catalog.has_schema_privilege(o.oid, seq.nsp, 'USAGE') AND pg_catalog.has_sequence_privilege(o.oid, seq.oid, 'USAGE, UPDATE')) AS writes
  FROM pg_catalog.pg_roles o WHERE o.oid IN (SELECT owner FROM fn)
), definer AS (
  SELECT oid, rolname FROM owner WHERE writes
  UNION SELECT o.oid, o.rolname FROM definer d JOIN fn ON fn.owner = d.oid JOIN owner o ON NOT o.writes
    AND pg_catalog.has_schema_privilege(o.oid, fn.nsp, 'USAGE') AND pg_catalog.has_function_privilege(o.oid, fn.oid, 'EXECUTE')
), me AS (
  SELECT r.oid, r.rolsuper, r.rolcreaterole, d.oid AS db, pg_catalog.pg_has_role(d.datdba, 'USAGE') AS owner
  FROM pg_catalog.pg_roles r, pg_catalog.pg_database d WHERE r.rolname = current_user AND d.datname = pg_catalog.current_database()
), login AS MATERIALIZED (
  SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole, r.rolreplication, r.oid = me.oid AS me,
    r.rolcanlogin AND (r.rolsuper OR r.rolconnlimit <> 0) AND pg_catalog.has_database_privilege(r.oid, me.db, 'CONNECT') AS logs_in,
    me.rolsuper OR r.oid = me.oid OR me.rolcreaterole AND NOT r.rolsuper AND {admin} AS may_set,
    me.rolsuper OR me.rolcreaterole AND NOT r.rolsuper AND {admin} AS may_alter,
    me.rolsuper OR NOT r.rolsuper AND (pg_catalog.pg_has_role(r.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')) AS may_end
  FROM pg_catalog.pg_roles r, me
  WHERE r.rolname !~ '^pg_' AND (r.rolcanlogin OR r.rolname::text = ANY ($1::text[]) OR EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
    WHERE a.usesysid = r.oid AND a.datid = me.db))
), via AS MATERIALIZED (
  SELECT l.oid AS login, v.oid, v.rolname, v.oid = l.oid AS own FROM login l JOIN pg_catalog.pg_roles v
    ON v.oid = l.oid OR NOT l.rolsuper AND pg_catalog.pg_has_role(l.oid, v.oid, '{become}')
)
SELECT coalesce(pg_catalog.json_agg(x ORDER BY x.role), '[]')::text FROM (
  SELECT l.rolname AS role, l.rolsuper AS superuser, l.logs_in, l.me, l.may_set, l.may_alter, l.may_end,
    l.rolsuper OR EXISTS (SELECT FROM rel WHERE pg_catalog.pg_has_role(l.oid, rel.relowner, 'MEMBER')) AS owns,
    EXISTS (SELECT FROM seq, via WHERE via.login = l.oid AND pg_catalog.has_schema_privilege(via.oid, seq.nsp, 'USAGE')
      AND pg_catalog.has_sequence_privilege(via.oid, seq.oid, 'USAGE, UPDATE')) AS sequences,
    l.rolreplication OR EXISTS (SELECT FROM pg_catalog.pg_stat_replication s WHERE s.usesysid = l.oid) AS replicates,
    NOT l.rolsuper AND EXISTS (SELECT FROM pg_catalog.pg_roles w WHERE w.rolname = 'pg_write_all_data' AND pg_catalog.pg_has_role(l.oid, w.oid, 'MEMBER')) AS writes_all,
    pg_catalog.pg_has_role(coalesce(w.via_oid, l.oid), '{become}') AS may_be,
    (SELECT coalesce(pg_catalog.json_agg(g.rolname), '[]') FROM pg_catalog.pg_roles g
      WHERE NOT l.rolsuper AND g.oid <> l.oid AND pg_catalog.pg_has_role(l.oid, g.oid, 'MEMBER')) AS member_of,
    (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(f.shown, f.rolname) ORDER BY f.shown), '[]') FROM (
      SELECT pg_catalog.min(fn.shown) AS shown, definer.rolname FROM fn JOIN definer ON definer.oid = fn.owner
      WHERE NOT l.rolsuper AND definer.oid <> l.oid AND EXISTS (SELECT FROM via WHERE via.login = l.oid
        AND pg_catalog.has_schema_privilege(via.oid, fn.nsp, 'USAGE') AND pg_catalog.has_function_privilege(via.oid, fn.oid, 'EXECUTE'))
      GROUP BY definer.rolname) f) AS through,
    w.via, w.relation, w.command,
    CASE WHEN NOT w.quiet THEN NULL WHEN w.command = 'DELETE' THEN pg_catalog.format('DELETE FROM %s WHERE false', w.relation)
      WHEN w.command = 'INSERT' THEN pg_catalog.format('INSERT INTO %s (%I) SELECT NULL WHERE false', w.relation, w.col)
      WHEN w.command = 'UPDATE' THEN pg_catalog.format('UPDATE %s SET %I = NULL WHERE false', w.relation, w.col) END AS canary
  FROM login l LEFT JOIN LATERAL (
    SELECT rel.shown AS relation, via.rolname AS via, via.oid AS via_oid, p.command, c.col,
      NOT rel.ruled AND rel.fires & p.fires = 0 AND p.n < 4 AND (p.n = 2 OR c.col IS NOT NULL) AS quiet
    FROM via CROSS JOIN rel CROSS JOIN (VALUES (1, 'INSERT', 4, 8), (2, 'DELETE', 8, 16), (3, 'UPDATE', 16, 4), (4, 'TRUNCATE', 32, 0)) p(n, command, fires, takes)
      LEFT JOIN LATERAL (SELECT a.attname AS col FROM pg_catalog.pg_attribute a WHERE a.attrelid = rel.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND p.n IN (1, 3) AND a.attgenerated = '' AND a.attidentity <> 'a' AND pg_catalog.has_column_privilege(via.oid, rel.oid, a.attnum, p.command)
        ORDER BY a.attnum LIMIT 1) c ON true
    WHERE via.login = l.oid AND (rel.takes & p.takes <> 0 OR p.n = 4 AND rel.relkind <> 'v')
      AND pg_catalog.has_schema_privilege(via.oid, rel.nsp, 'USAGE')
      AND CASE WHEN p.n IN (1, 3) THEN pg_catalog.has_any_column_privilege(via.oid, rel.oid, p.command)
        ELSE pg_catalog.has_table_privilege(via.oid, rel.oid, p.command) END
    ORDER BY 6 DESC, via.own DESC, p.n, rel.shown LIMIT 1) w ON true) x";

/// Every role that can log in or has a session here, and those named, with what they can write.
///
/// # Errors
/// As [`Session::row`].
pub async fn writers(session: &Session, named: &[String]) -> Result<Vec<Writer>, Failure> {
    // Since 16 membership says apart whether one may become the role, and only its administrators may alter it.
    let new = session.server().version >= 160_000;
    let admin = if new { "pg_catalog.pg_has_role(r.oid, 'MEMBER WITH ADMIN OPTION')" } else { "true" };
    let sql = WRITERS.replace("{become}", if new { "SET" } else { "MEMBER" }).replace("{admin}", admin);
    read(session, &sql, &[&named]).await
}

/// Those who are meant by names, of which one that is a group stands for its members: it is nobody who logs in.
#[must_use]
pub fn meant<'w>(all: &'w [Writer], named: &[String]) -> Vec<&'w Writer> {
    let is_named = |role: &String| named.contains(role);
    let is_group = |one: &Writer| !one.logs_in && all.iter().any(|other| other.member_of.contains(&one.role));
    all.iter().filter(|one| (is_named(&one.role) && !is_group(one)) || one.member_of.iter().any(is_named)).collect()
}

/// What became of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canary {
    /// It was taken: a row would have been written.
    Written,
    /// 25006: the transaction is read-only.
    ReadOnly,
    /// 42501: the privilege is missing.
    NotAllowed,
    /// Something else: neither written nor refused for a freeze.
    Unclear(String),
}

impl Canary {
    /// It was refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::ReadOnly | Self::NotAllowed)
    }
}

/// How a canary's transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// As the session's own default has it.
    Plain,
    /// Read-only, as the role's settings would have it.
    ReadOnly,
    /// `READ WRITE`, as a session that asks for it.
    ReadWrite,
    /// Within the transaction that is open, which goes on afterwards.
    Within,
}

/// The server's code of a failure, where it said one.
#[must_use]
pub fn code(failure: &Failure) -> Option<&str> {
    failure.causes.iter().find_map(|cause| cause.strip_prefix("SQLSTATE "))
}

/// Tries a canary; `as_role`: after becoming it. Nothing of it stays.
///
/// # Errors
/// `Denied`: this session may not become the role. Others as [`Session::batch`].
pub async fn canary(session: &Session, as_role: Option<&str>, sql: &str, begins: Begins) -> Result<Canary, Failure> {
    let (open, end) = match begins {
        Begins::Plain => ("BEGIN", "ROLLBACK"),
        Begins::ReadOnly => ("BEGIN READ ONLY", "ROLLBACK"),
        Begins::ReadWrite => ("BEGIN READ WRITE", "ROLLBACK"),
        Begins::Within => ("SAVEPOINT gonogo", "ROLLBACK TO SAVEPOINT gonogo"),
    };
    let role = as_role.map_or_else(String::new, |role| format!("SET LOCAL ROLE {}; ", quoted(role)));
    if let Err(failure) = session.batch(&format!("{open}; SET LOCAL lock_timeout = '2s'; {role}")).await {
        let _gone = session.batch(end).await;
        return Err(failure);
    }
    let tried = session.batch(sql).await;
    // An error of the server leaves the transaction open, a lost connection ends it.
    let ended = session.batch(end).await;
    match tried {
        Ok(()) => ended.map(|()| Canary::Written),
        Err(failure) => match code(&failure) {
            Some("25006") => Ok(Canary::ReadOnly),
            Some("42501") => Ok(Canary::NotAllowed),
            Some(code) => Ok(Canary::Unclear(format!("{} ({code})", failure.message))),
            None => Err(Failure { class: Class::FailedNothingDone, ..failure }),
        },
    }
}

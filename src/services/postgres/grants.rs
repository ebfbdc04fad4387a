//! Who was granted what on tables and sequences, and how one state becomes another, to the order of the entries.
//!
//! An ACL is a list of entries *grantee, privileges, grantor* in the order in which they came to be. `GRANT` adds at the
//! end, `REVOKE` drops an entry that is empty: the only way back to the same list is to build it again in its order,
//! each entry by its grantor. That happens within one transaction, so nobody sees it half done.
//! (<https://www.postgresql.org/docs/current/ddl-priv.html>)

use std::{collections::BTreeSet, fmt::Write as _};

use serde::{Deserialize, Serialize};

use super::{Session, quoted, read::read};
use crate::base::Failure;

/// What writes rows, or takes a sequence's next value.
const WRITES: &[&str] = &["INSERT", "UPDATE", "DELETE", "TRUNCATE"];
const SEQUENCE_WRITES: &[&str] = &["USAGE", "UPDATE"];

/// One entry of an ACL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The role; nothing is `PUBLIC`.
    pub to: Option<String>,
    /// Who granted it.
    pub by: String,
    /// Privileges, with a `*` behind those that may be granted on.
    pub may: Vec<String>,
}

/// The grants on a table, view or sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Its identity, which no `RENAME` changes; 0 where nobody kept it.
    #[serde(default)]
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// It is a sequence.
    pub sequence: bool,
    /// Its owner.
    pub owner: String,
    /// No grant was ever made: the entries are the default ones.
    pub unset: bool,
    /// Entries of the whole.
    pub entries: Vec<Entry>,
    /// Entries of single columns.
    pub columns: Vec<(String, Vec<Entry>)>,
}

const ENTRIES: &str = "(SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('to', e.grantee, 'by', e.grantor, 'may', e.may) ORDER BY e.at), '[]')
  FROM (SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END AS grantee, pg_catalog.pg_get_userbyid(a.grantor) AS grantor,
      pg_catalog.min(a.at) AS at, pg_catalog.json_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END ORDER BY a.at) AS may
    FROM pg_catalog.aclexplode({acl}) WITH ORDINALITY AS a(grantor, grantee, privilege_type, is_grantable, at)
    GROUP BY a.grantee, a.grantor) e)";

const GRANTS: &str = "\
SELECT coalesce(pg_catalog.json_agg(x ORDER BY x.schema, x.name), '[]')::text FROM (
  SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind = 'S' AS sequence,
    pg_catalog.pg_get_userbyid(c.relowner) AS owner, c.relacl IS NULL AS unset, {entries} AS entries,
    (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(t.attname, {columns}) ORDER BY t.attnum), '[]')
      FROM pg_catalog.pg_attribute t WHERE t.attrelid = c.oid AND t.attacl IS NOT NULL AND NOT t.attisdropped) AS columns
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'f', 'S') AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') x";

/// Reads the grants on every table, view and sequence that is not the system's.
///
/// # Errors
/// As [`Session::row`].
pub async fn grants(session: &Session) -> Result<Vec<Grants>, Failure> {
    let default =
        "pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's'::\"char\" ELSE 'r'::\"char\" END, c.relowner)";
    let whole = ENTRIES.replace("{acl}", &format!("coalesce(c.relacl, {default})"));
    let columns = ENTRIES.replace("{acl}", "t.attacl");
    read(session, &GRANTS.replace("{entries}", &whole).replace("{columns}", &columns), &[]).await
}

/// What grants name and is still at the server.
#[derive(Debug, Deserialize)]
pub struct There {
    roles: BTreeSet<String>,
    columns: BTreeSet<(String, String, String)>,
}

/// Reads which roles there are, and which columns of the given names.
///
/// # Errors
/// As [`Session::row`].
pub async fn there(session: &Session, columns: &[&str]) -> Result<There, Failure> {
    let sql = "SELECT pg_catalog.json_build_object(
          'roles', (SELECT pg_catalog.json_agg(r.rolname) FROM pg_catalog.pg_roles r),
          'columns', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, c.relname, a.attname)), '[]')
            FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE a.attname::text = ANY ($1::text[]) AND a.attnum > 0 AND NOT a.attisdropped))::text";
    read(session, sql, &[&columns]).await
}

impl There {
    /// There is a role of the name.
    #[must_use]
    pub fn has(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// Grants without those by or to roles that are gone, and on columns that are; what is gone is told in `gone`.
    #[must_use]
    pub fn only(&self, grants: Grants, gone: &mut BTreeSet<String>) -> Grants {
        let before = grants.clone();
        let mut left = grants;
        let mut is_there = |entry: &Entry| {
            let roles = [entry.to.as_ref(), Some(&entry.by)].into_iter().flatten();
            let missing: Vec<String> =
                roles.filter(|role| !self.has(role)).map(|role| format!("role {role} is gone")).collect();
            let all = missing.is_empty();
            gone.extend(missing);
            all
        };
        left.entries.retain(&mut is_there);
        for (_, entries) in &mut left.columns {
            entries.retain(&mut is_there);
        }
        left.columns.retain(|(column, entries)| {
            let there = self.columns.contains(&(before.schema.clone(), before.name.clone(), column.clone()));
            if !there {
                gone.insert(format!("column {}.{column} is gone", before.shown()));
            }
            there && !entries.is_empty()
        });
        if left == before { before } else { left.held() }
    }
}

impl Grants {
    /// `shop.orders`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The same object.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.schema == other.schema && self.name == other.name && self.sequence == other.sequence
    }

    /// The same object as others have it: by its identity, whatever it is called by now, else by its name.
    #[must_use]
    pub fn among<'a>(&self, all: &'a [Self]) -> Option<&'a Self> {
        let same = |one: &&Self| self.oid != 0 && one.oid == self.oid && one.sequence == self.sequence;
        all.iter().find(same).or_else(|| all.iter().find(|one| one.is(self)))
    }

    /// These grants, on the object as it is called now.
    #[must_use]
    pub fn named_as(&self, now: &Self) -> Self {
        Self { oid: now.oid, schema: now.schema.clone(), name: now.name.clone(), ..self.clone() }
    }

    /// Only what its grantors may still grant.
    fn held(mut self) -> Self {
        self.entries = held(&self.owner, &[], self.entries);
        for (_, entries) in &mut self.columns {
            *entries = held(&self.owner, &self.entries, std::mem::take(entries));
        }
        self.columns.retain(|(_, entries)| !entries.is_empty());
        self
    }

    /// The same grants in the same order; whether they were ever written out is no difference.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        self.is(other) && self.entries == other.entries && self.columns == other.columns
    }

    /// Without what lets any of `roles` (nothing is `PUBLIC`) write, and without what hung on it.
    #[must_use]
    pub fn without_writes(&self, is_meant: impl Fn(Option<&str>) -> bool) -> Self {
        let writes = if self.sequence { SEQUENCE_WRITES } else { WRITES };
        let strip = |entries: &[Entry]| -> Vec<Entry> {
            let keeps = |entry: &Entry, word: &String| {
                !(is_meant(entry.to.as_deref()) && writes.contains(&word.trim_end_matches('*')))
            };
            let kept = entries
                .iter()
                .map(|e| Entry { may: e.may.iter().filter(|w| keeps(e, w)).cloned().collect(), ..e.clone() });
            kept.filter(|e| !e.may.is_empty()).collect()
        };
        let columns = self.columns.iter().map(|(column, entries)| (column.clone(), strip(entries))).collect();
        Self { unset: false, entries: strip(&self.entries), columns, ..self.clone() }.held()
    }

    /// These grants, and what `now` has beyond `before`: what others granted in between stays.
    #[must_use]
    pub fn keeping(&self, before: &Self, now: &Self) -> Self {
        let mut all = self.clone();
        add(&mut all.entries, &before.entries, &now.entries);
        for (column, entries) in &now.columns {
            let none = Vec::new();
            let old = before.columns.iter().find(|(c, _)| c == column).map_or(&none, |(_, e)| e);
            if let Some((_, there)) = all.columns.iter_mut().find(|(c, _)| c == column) {
                add(there, old, entries);
            } else {
                let mut there = Vec::new();
                add(&mut there, old, entries);
                if !there.is_empty() {
                    all.columns.push((column.clone(), there));
                }
            }
        }
        all
    }

    /// Statements that make `now` these grants. They belong into one transaction.
    #[must_use]
    pub fn rebuild(&self, now: &Self) -> String {
        let on = format!(
            "{} {}.{}",
            if self.sequence { "SEQUENCE" } else { "TABLE" },
            quoted(&self.schema),
            quoted(&self.name)
        );
        let all = now.entries.iter().chain(now.columns.iter().flat_map(|(_, entries)| entries));
        let mut roles: Vec<String> = all.map(|entry| role(entry.to.as_deref())).collect();
        roles.sort();
        roles.dedup();
        let mut sql = String::new();
        if !roles.is_empty() {
            // As the owner; what others granted on falls with it.
            let _ = writeln!(sql, "REVOKE ALL ON {on} FROM {} CASCADE;", roles.join(", "));
        }
        for entry in &self.entries {
            grant(&mut sql, &on, &self.owner, entry, "");
        }
        for (column, entries) in &self.columns {
            for entry in entries {
                grant(&mut sql, &on, &self.owner, entry, &format!(" ({})", quoted(column)));
            }
        }
        sql
    }
}

fn role(name: Option<&str>) -> String {
    name.map_or_else(|| "PUBLIC".to_owned(), quoted)
}

fn grant(sql: &mut String, on: &str, owner: &str, entry: &Entry, column: &str) {
    let other = entry.by != owner;
    if other {
        let _ = writeln!(sql, "SET LOCAL ROLE {};", quoted(&entry.by));
    }
    for (star, option) in [(false, ""), (true, " WITH GRANT OPTION")] {
        let words = entry.may.iter().filter(|word| word.ends_with('*') == star);
        let words: Vec<String> = words.map(|word| format!("{}{column}", word.trim_end_matches('*'))).collect();
        if !words.is_empty() {
            let _ = writeln!(sql, "GRANT {} ON {on} TO {}{option};", words.join(", "), role(entry.to.as_deref()));
        }
    }
    if other {
        let _ = writeln!(sql, "SET LOCAL ROLE NONE;");
    }
}

/// Only what its grantor may still grant; `whole`: the entries of the table, for a column's.
fn held(owner: &str, whole: &[Entry], mut entries: Vec<Entry>) -> Vec<Entry> {
    loop {
        let before = entries.clone();
        for entry in entries.iter_mut().filter(|entry| entry.by != owner) {
            entry.may.retain(|word| {
                let needed = format!("{}*", word.trim_end_matches('*'));
                let grants = |e: &Entry| e.to.as_deref() == Some(&entry.by) && e.may.contains(&needed);
                before.iter().chain(whole).any(grants)
            });
        }
        entries.retain(|entry| !entry.may.is_empty());
        if entries == before {
            return entries;
        }
    }
}

/// Adds to `all` what `now` has and `before` has not.
fn add(all: &mut Vec<Entry>, before: &[Entry], now: &[Entry]) {
    let has = |list: &[Entry], entry: &Entry, word: &String| {
        list.iter().any(|e| e.to == entry.to && e.by == entry.by && e.may.contains(word))
    };
    for entry in now {
        let new: Vec<String> =
            entry.may.iter().filter(|w| !has(before, entry, w) && !has(all, entry, w)).cloned().collect();
        if new.is_empty() {
            continue;
        }
        match all.iter_mut().find(|e| e.to == entry.to && e.by == entry.by) {
            Some(there) => there.may.extend(new),
            None => all.push(Entry { may: new, ..entry.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(to: &str, by: &str, may: &[&str]) -> Entry {
        let to = (!to.is_empty()).then(|| to.to_owned());
        Entry { to, by: by.into(), may: may.iter().map(|word| (*word).to_owned()).collect() }
    }

    fn grants(entries: Vec<Entry>) -> Grants {
        let (schema, name, owner) = ("s".into(), "t".into(), "o".into());
        Grants { oid: 0, schema, name, owner, sequence: false, unset: false, entries, columns: Vec::new() }
    }

    #[test]
    fn what_hung_on_a_revoked_grant_falls_with_it() {
        let all = grants(vec![
            entry("o", "o", &["INSERT", "SELECT"]),
            entry("a", "o", &["INSERT*", "SELECT*"]),
            entry("b", "a", &["INSERT*", "SELECT"]),
            entry("c", "b", &["INSERT"]),
            entry("", "o", &["DELETE"]),
        ]);
        let left = all.without_writes(|role| role == Some("a"));
        assert_eq!(
            left.entries,
            [
                entry("o", "o", &["INSERT", "SELECT"]),
                entry("a", "o", &["SELECT*"]),
                entry("b", "a", &["SELECT"]),
                entry("", "o", &["DELETE"]),
            ]
        );
        assert_eq!(all.without_writes(|role| role.is_none()).entries.len(), 4);
    }

    #[test]
    fn what_others_granted_in_between_stays() {
        let before = grants(vec![entry("a", "o", &["SELECT"])]);
        let now = grants(vec![entry("a", "o", &["SELECT"]), entry("d", "o", &["SELECT"])]);
        let wanted = grants(vec![entry("a", "o", &["INSERT", "SELECT"])]);
        let kept = wanted.keeping(&before, &now);
        assert_eq!(kept.entries, [entry("a", "o", &["INSERT", "SELECT"]), entry("d", "o", &["SELECT"])]);
    }

    #[test]
    fn names_are_quoted_and_grantors_kept() {
        let mut odd = grants(vec![entry("x\"y", "g", &["INSERT", "SELECT*"])]);
        odd.name = "T;\"".into();
        let sql = odd.rebuild(&odd);
        assert_eq!(
            sql,
            "REVOKE ALL ON TABLE \"s\".\"T;\"\"\" FROM \"x\"\"y\" CASCADE;\n\
             SET LOCAL ROLE \"g\";\n\
             GRANT INSERT ON TABLE \"s\".\"T;\"\"\" TO \"x\"\"y\";\n\
             GRANT SELECT ON TABLE \"s\".\"T;\"\"\" TO \"x\"\"y\" WITH GRANT OPTION;\n\
             SET LOCAL ROLE NONE;\n"
        );
    }
}

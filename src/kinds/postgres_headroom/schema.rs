//! Whether two databases have the same schema, as far as a cutover depends on it: what is there, and how it is defined
//! where both versions write a definition the same way.

use std::collections::BTreeMap;

use crate::{
    base::{Failure, clean_line},
    services::postgres::Session,
};

/// So many differences are told; more are counted.
const MOST: usize = 200;
/// How much of a definition is shown.
const SHOWN: usize = 120;

/// One row for each part: what it is, its name, its definition. What belongs to an extension is the extension's.
const PARTS: &str = "
WITH own AS (
  SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n
  WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
), extended AS (
  SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e'
), relations AS (
  SELECT c.*, own.nspname FROM pg_catalog.pg_class c JOIN own ON own.oid = c.relnamespace
  WHERE c.relpersistence <> 't'
    AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid)
)
SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialised view' WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table'
         ELSE 'table' END,
  pg_catalog.format('%I.%I', nspname, relname),
  CASE WHEN relkind = 'p' THEN 'partitioned by ' || pg_catalog.pg_get_partkeydef(oid)
       WHEN relispartition THEN 'partition ' || COALESCE(pg_catalog.pg_get_expr(relpartbound, oid), '') ELSE '' END
    || CASE WHEN relrowsecurity THEN ' row security' ELSE '' END || CASE WHEN relforcerowsecurity THEN ' forced' ELSE '' END
    || CASE relpersistence WHEN 'u' THEN ' unlogged' ELSE '' END
    || CASE relkind WHEN 'v' THEN COALESCE(' with ' || pg_catalog.array_to_string(reloptions, ', '), '') ELSE '' END
    || COALESCE((SELECT pg_catalog.format('%s start %s by %s from %s to %s cache %s%s', pg_catalog.format_type(s.seqtypid, NULL), s.seqstart,
                   s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END)
                 FROM pg_catalog.pg_sequence s WHERE s.seqrelid = relations.oid), ''){view}
FROM relations WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
UNION ALL
SELECT 'column', pg_catalog.format('%I.%I.%I', r.nspname, r.relname, a.attname),
  pg_catalog.format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
    || CASE a.attidentity WHEN '' THEN '' WHEN 'a' THEN ' identity always' ELSE ' identity by default' END
    || COALESCE(CASE {generated} WHEN '' THEN ' default ' WHEN 's' THEN ' generated stored ' ELSE ' generated virtual ' END
                || pg_catalog.pg_get_expr(d.adbin, d.adrelid), '')
    || COALESCE((SELECT ' collate ' || c.collname FROM pg_catalog.pg_collation c
                 WHERE c.oid = a.attcollation AND c.collname <> 'default'), '')
FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind IN ('r', 'p', 'm', 'f')
UNION ALL
SELECT 'index', pg_catalog.format('%I.%I', r.nspname, r.relname), pg_catalog.pg_get_indexdef(r.oid) FROM relations r WHERE r.relkind IN ('i', 'I')
UNION ALL
SELECT 'constraint', pg_catalog.format('%I.%I.%I', r.nspname, r.relname, c.conname),
  pg_catalog.pg_get_constraintdef(c.oid) || CASE WHEN c.convalidated THEN '' ELSE ' not validated' END
FROM pg_catalog.pg_constraint c JOIN relations r ON r.oid = c.conrelid WHERE c.contype <> 'n'
UNION ALL
SELECT 'trigger', pg_catalog.format('%I.%I.%I', r.nspname, r.relname, t.tgname), {trigger}t.tgenabled::pg_catalog.text
FROM pg_catalog.pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL
SELECT 'rule', pg_catalog.format('%I.%I.%I', r.nspname, r.relname, w.rulename), {rule}w.ev_enabled::pg_catalog.text
FROM pg_catalog.pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', pg_catalog.format('%I.%I.%I', r.nspname, r.relname, p.polname),
  p.polcmd::pg_catalog.text || CASE WHEN p.polpermissive THEN '' ELSE ' restrictive' END
    || COALESCE((SELECT ' to ' || pg_catalog.string_agg(o.rolname, ', ' ORDER BY o.rolname) FROM pg_catalog.pg_roles o WHERE o.oid = ANY (p.polroles)), '')
    || COALESCE(' using ' || pg_catalog.pg_get_expr(p.polqual, p.polrelid), '')
    || COALESCE(' with check ' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '')
FROM pg_catalog.pg_policy p JOIN relations r ON r.oid = p.polrelid
UNION ALL
SELECT 'function', pg_catalog.format('%I.%I(%s)', own.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)),
  {function} || CASE WHEN p.prosecdef THEN ' security definer' ELSE '' END || ' ' || p.provolatile::pg_catalog.text
FROM pg_catalog.pg_proc p JOIN own ON own.oid = p.pronamespace
WHERE NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid)
UNION ALL
SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' ELSE 'type' END, pg_catalog.format('%I.%I', own.nspname, t.typname),
  CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) || CASE WHEN t.typnotnull THEN ' not null' ELSE '' END
    || COALESCE(' default ' || t.typdefault, '')
    || COALESCE((SELECT ' ' || pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(c.oid), ' ' ORDER BY c.conname)
                 FROM pg_catalog.pg_constraint c WHERE c.contypid = t.oid AND c.contype = 'c'), '')
    WHEN 'r' THEN COALESCE((SELECT 'range of ' || pg_catalog.format_type(g.rngsubtype, NULL)
      || COALESCE((SELECT ' collate ' || c.collname FROM pg_catalog.pg_collation c WHERE c.oid = g.rngcollation AND c.collname <> 'default'), '')
      FROM pg_catalog.pg_range g WHERE g.rngtypid = t.oid), '')
    WHEN 'c' THEN COALESCE((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
      || COALESCE((SELECT ' collate ' || c.collname FROM pg_catalog.pg_collation c WHERE c.oid = a.attcollation AND c.collname <> 'default'), ''),
      ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') ELSE
    COALESCE((SELECT pg_catalog.string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid), '') END
FROM pg_catalog.pg_type t JOIN own ON own.oid = t.typnamespace
WHERE (t.typtype IN ('e', 'd', 'r')
       OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
  AND NOT EXISTS (SELECT FROM extended e WHERE e.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND e.objid = t.oid)";

/// What stands in [`PARTS`] for {view}, {trigger}, {rule} and {function}: the definitions as one major version writes them, or only
/// what another one writes the same.
const BODIES: [(&str, &str, &str); 4] = [
    (
        "{view}",
        " || CASE WHEN relkind IN ('v', 'm') THEN pg_catalog.md5(pg_catalog.pg_get_viewdef(oid)) ELSE '' END",
        "",
    ),
    ("{trigger}", "pg_catalog.pg_get_triggerdef(t.oid) || ' ' || ", ""),
    ("{rule}", "pg_catalog.pg_get_ruledef(w.oid) || ' ' || ", ""),
    (
        "{function}",
        "CASE WHEN p.prokind IN ('f', 'p') THEN pg_catalog.md5(pg_catalog.pg_get_functiondef(p.oid))
           ELSE pg_catalog.md5(p.prosrc) || COALESCE(p.probin, '') END",
        "pg_catalog.md5(p.prosrc) || COALESCE(p.probin, '')",
    ),
];
/// The version that says of a column whether it is generated.
const GENERATES_COLUMNS: u32 = 120_000;
/// The version that says what sort of function one is.
const SORTS_FUNCTIONS: u32 = 110_000;

/// How two schemas differ.
pub(super) struct Compared {
    /// Parts that are the same.
    pub same: usize,
    /// Definitions of views, triggers and functions are among them.
    pub bodies: bool,
    pub found: Vec<String>,
}

type Parts = BTreeMap<(String, String), String>;

/// Compares the two.
pub(super) async fn look(source: &Session, target: &Session) -> Result<Compared, Failure> {
    let (there, here) = (source.server().version, target.server().version);
    let bodies = there / 10_000 == here / 10_000 && there >= SORTS_FUNCTIONS;
    let (old, new) = tokio::try_join!(parts(source, bodies), parts(target, bodies))?;
    let mut compared = Compared { same: 0, bodies, found: Vec::new() };
    let shown = |text: &str| clean_line(text, SHOWN);
    // The columns and constraints of a table that is missing go without saying.
    let gone = |parts: &Parts, kind: &str, name: &str| {
        let table = name.rsplit_once('.').map_or(name, |(table, _)| table);
        matches!(kind, "column" | "constraint" | "trigger" | "rule" | "policy")
            && !["table", "materialised view", "foreign table", "view"]
                .iter()
                .any(|kind| parts.contains_key(&((*kind).to_owned(), table.to_owned())))
    };
    for (key @ (kind, name), definition) in &old {
        match new.get(key) {
            Some(other) if other == definition => compared.same += 1,
            Some(other) => compared.found.push(format!(
                "{kind} {}: {} at the source, {} at the target",
                shown(name),
                shown(definition),
                shown(other)
            )),
            None if gone(&new, kind, name) => {}
            None => compared.found.push(format!("{kind} {} is missing at the target", shown(name))),
        }
    }
    for key @ (kind, name) in new.keys() {
        if !old.contains_key(key) && !gone(&old, kind, name) {
            compared.found.push(format!("{kind} {} is at the target only", shown(name)));
        }
    }
    let more = compared.found.len().saturating_sub(MOST);
    if more > 0 {
        compared.found.truncate(MOST);
        compared.found.push(format!("schema: {more} more differences"));
    }
    Ok(compared)
}

async fn parts(session: &Session, bodies: bool) -> Result<Parts, Failure> {
    let sql = BODIES
        .iter()
        .fold(PARTS.to_owned(), |sql, (mark, whole, short)| sql.replace(mark, if bodies { whole } else { short }));
    let generates = session.server().version >= GENERATES_COLUMNS;
    let sql = sql.replace("{generated}", if generates { "a.attgenerated" } else { "''" });
    let rows = session.rows(&sql, &[]).await?;
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect())
}

//! What hangs on tables and schemas beside rows: indexes, constraints, triggers and rules, views, sequences, types, functions, policies,
//! what a table inherits from. Each is a name and a definition as the server prints it.

use std::collections::BTreeMap;

use super::{
    catalog::USERS,
    name::{Name, Scope, plain},
    side::Side,
};
use crate::base::Failure;

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// A table that only one side has, or that inherits from others.
    Table,
    /// Columns: there, type, nullability, collation.
    Column,
    /// Default, identity and generation of columns.
    Default,
    /// Primary keys, unique, foreign keys, checks, exclusions.
    Constraint,
    /// Indexes, and whether they are valid.
    Index,
    /// By what a row that is updated or deleted is named in the log.
    ReplicaIdentity,
    /// Triggers, those of foreign keys included, and whether they fire; rules.
    Trigger,
    /// Row-level security and its policies.
    Policy,
    /// Views.
    View,
    /// Sequences and who owns them; their values are another check's.
    Sequence,
    /// Enums, domains, composite types, ranges, collations.
    Type,
    /// Functions, procedures and aggregates.
    Function,
    /// Large objects, which no replication carries.
    LargeObjects,
}

impl Aspect {
    /// Every one, with the word that a runbook uses.
    pub const ALL: [(&'static str, Self); 13] = [
        ("table", Self::Table),
        ("column", Self::Column),
        ("default", Self::Default),
        ("constraint", Self::Constraint),
        ("index", Self::Index),
        ("replica_identity", Self::ReplicaIdentity),
        ("trigger", Self::Trigger),
        ("policy", Self::Policy),
        ("view", Self::View),
        ("sequence", Self::Sequence),
        ("type", Self::Type),
        ("function", Self::Function),
        ("large_objects", Self::LargeObjects),
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, aspect)| *aspect == self).map_or("", |(word, _)| word)
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, aspect)| *aspect)
    }

    /// Its definition is code that the server prints in its own way: another major version prints the same code
    /// differently.
    pub(super) fn is_code(self) -> bool {
        matches!(
            self,
            Self::Default
                | Self::Constraint
                | Self::Index
                | Self::Trigger
                | Self::Policy
                | Self::View
                | Self::Type
                | Self::Function
        )
    }
}

/// Aspect, and the name as people write it.
pub(super) type Id = (Aspect, String);

/// Objects with their definitions.
pub(super) type Objects = BTreeMap<Id, String>;

/// Not a member of an extension: what an extension made comes with it.
fn own(class: &str, oid: &str) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.{class}'::regclass AND e.objid = {oid} \
         AND e.deptype = 'e')"
    )
}

/// A collation, where it is not the one of the type that has it.
fn collate(collation: &str, of: &str) -> String {
    format!(
        "coalesce((SELECT ' collate ' || pg_catalog.quote_ident(ln.nspname) || '.' || pg_catalog.quote_ident(l.collname) \
         FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace \
         JOIN pg_catalog.pg_type lt ON lt.oid = {of} WHERE l.oid = {collation} AND l.oid <> lt.typcollation), '')"
    )
}

/// What an aggregate is made of, beside its transition function.
fn aggregate() -> String {
    let functions = [
        ("final", "aggfinalfn"),
        ("combine", "aggcombinefn"),
        ("serial", "aggserialfn"),
        ("deserial", "aggdeserialfn"),
        ("moving", "aggmtransfn"),
        ("moving inverse", "aggminvtransfn"),
        ("moving final", "aggmfinalfn"),
    ];
    let mut parts: Vec<String> = functions
        .iter()
        .map(|(word, column)| format!("'{word} ' || nullif(g.{column}::regprocedure::text, '-')"))
        .collect();
    parts.extend([
        "CASE WHEN g.aggfinalextra THEN 'final extra' END".to_owned(),
        "CASE WHEN g.aggmfinalextra THEN 'moving final extra' END".into(),
        "'final may ' || (to_json(g)->>'aggfinalmodify')".into(),
        "'moving final may ' || (to_json(g)->>'aggmfinalmodify')".into(),
        "'of ' || pg_catalog.format_type(g.aggtranstype, NULL)".into(),
        "CASE WHEN g.aggmtranstype <> 0 THEN 'moving of ' || pg_catalog.format_type(g.aggmtranstype, NULL) END".into(),
        "CASE WHEN g.aggsortop <> 0 THEN 'sorted by ' || g.aggsortop::regoperator::text END".into(),
        "'from ' || pg_catalog.quote_literal(g.agginitval)".into(),
        "'moving from ' || pg_catalog.quote_literal(g.aggminitval)".into(),
    ]);
    parts.join(", ")
}

/// One statement for all: aspect, schema, table or nothing, name, definition.
fn statement(version: u32) -> String {
    let own_table = own("pg_class", "c.oid");
    let tables = format!(
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {USERS} AND NOT c.relispartition AND {own_table}"
    );
    let body =
        if version >= 140_000 { "coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc)" } else { "p.prosrc" };
    // A foreign key to a partitioned table has one more for each partition, which either side may have its own.
    let root = if version >= 110_000 { " AND k.conparentid = 0" } else { "" };
    let parts = [
        format!(
            "SELECT 'index', n.nspname::text, c.relname::text, x.relname::text, pg_catalog.pg_get_indexdef(i.indexrelid) || \
             CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END \
             FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
             JOIN pg_catalog.pg_class c ON c.oid = i.indrelid {tables} AND c.relkind IN ('r', 'p', 'm') \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))"
        ),
        format!(
            "SELECT 'constraint', n.nspname::text, c.relname::text, k.conname::text, pg_catalog.pg_get_constraintdef(k.oid) || \
             coalesce((SELECT ' (invalid index)' FROM pg_catalog.pg_index i WHERE i.indexrelid = k.conindid AND NOT i.indisvalid \
             AND k.contype IN ('p', 'u', 'x')), '') \
             FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid {tables} \
             AND k.contype IN ('p', 'u', 'f', 'c', 'x'){root}"
        ),
        format!(
            "SELECT 'replica_identity', n.nspname::text, c.relname::text, 'rows'::text, CASE c.relreplident WHEN 'n' THEN 'nothing' \
             WHEN 'f' THEN 'full' WHEN 'i' THEN 'index' || coalesce((SELECT ' ' || x.relname FROM pg_catalog.pg_index i \
             JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisreplident), '') ELSE 'default' END \
             FROM pg_catalog.pg_class c {tables} AND c.relkind IN ('r', 'p')"
        ),
        format!(
            "SELECT 'trigger', n.nspname::text, c.relname::text, t.tgname::text, pg_catalog.pg_get_triggerdef(t.oid) || \
             CASE t.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' (disabled)' WHEN 'A' THEN ' (always)' ELSE ' (replica only)' END \
             FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid {tables} AND NOT t.tgisinternal"
        ),
        // A foreign key is kept by triggers of the server's, on both its tables.
        format!(
            "SELECT 'trigger', n.nspname::text, c.relname::text, 'those of ' || k.conname, \
             pg_catalog.string_agg(DISTINCT CASE t.tgenabled WHEN 'D' THEN 'disabled' WHEN 'A' THEN 'always' ELSE 'replica only' END, ', ') \
             FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint \
             JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid {tables} AND t.tgisinternal AND t.tgenabled <> 'O' \
             GROUP BY n.nspname, c.relname, k.conname"
        ),
        format!(
            "SELECT 'trigger', n.nspname::text, c.relname::text, 'rule ' || r.rulename, pg_catalog.pg_get_ruledef(r.oid) || \
             CASE r.ev_enabled WHEN 'O' THEN '' WHEN 'D' THEN ' (disabled)' WHEN 'A' THEN ' (always)' ELSE ' (replica only)' END \
             FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class {tables} AND r.rulename <> '_RETURN'"
        ),
        format!(
            "SELECT 'table', n.nspname::text, c.relname::text, 'inherits ' || h.inhparent::regclass::text, 'as number ' || h.inhseqno \
             FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid {tables} AND c.relkind IN ('r', 'f')"
        ),
        format!(
            "SELECT 'policy', n.nspname::text, c.relname::text, p.polname::text, pg_catalog.concat_ws(' ', \
             CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END, 'for ' || CASE p.polcmd WHEN 'r' THEN 'select' \
               WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete' ELSE 'all' END, \
             'to ' || (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(r.rolname), ', ' ORDER BY r.rolname) \
               FROM pg_catalog.pg_roles r WHERE r.oid = ANY (p.polroles)), \
             'using ' || pg_catalog.pg_get_expr(p.polqual, p.polrelid), \
             'with check ' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)) \
             FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid {tables}"
        ),
        format!(
            "SELECT 'policy', n.nspname::text, c.relname::text, 'row level security'::text, \
             CASE WHEN c.relforcerowsecurity THEN 'forced' ELSE 'enabled' END FROM pg_catalog.pg_class c {tables} AND c.relrowsecurity"
        ),
        format!(
            "SELECT 'view', n.nspname::text, NULL::text, c.relname::text, CASE WHEN c.relkind = 'v' THEN '' \
             WHEN c.relispopulated THEN 'materialised: ' ELSE 'materialised, not populated: ' END || pg_catalog.pg_get_viewdef(c.oid) || \
             CASE c.relkind WHEN 'v' THEN coalesce(' with ' || pg_catalog.array_to_string(c.reloptions, ', '), '') ELSE '' END || \
             coalesce((SELECT ' default ' || pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' ' || \
               pg_catalog.pg_get_expr(d.adbin, d.adrelid), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attrdef d \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = c.oid), '') \
             FROM pg_catalog.pg_class c {tables} AND c.relkind IN ('v', 'm')"
        ),
        format!(
            "SELECT 'sequence', n.nspname::text, o.relname::text, c.relname::text, \
             pg_catalog.format('%s start %s by %s from %s to %s cache %s%s%s', pg_catalog.format_type(s.seqtypid, NULL), s.seqstart, \
             s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ' cycle' ELSE '' END, \
             ' owned by ' || pg_catalog.quote_ident(m.nspname) || '.' || pg_catalog.quote_ident(o.relname) || '.' || \
             pg_catalog.quote_ident(a.attname)) \
             FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid \
             LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid \
               AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') \
             LEFT JOIN pg_catalog.pg_class o ON o.oid = d.refobjid LEFT JOIN pg_catalog.pg_namespace m ON m.oid = o.relnamespace \
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid {tables}"
        ),
        format!(
            "SELECT 'type', n.nspname::text, NULL::text, t.typname::text, CASE t.typtype \
             WHEN 'e' THEN 'enum ' || (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder) \
               FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid) \
             WHEN 'd' THEN 'domain ' || pg_catalog.format_type(t.typbasetype, t.typtypmod) || {} || CASE WHEN t.typnotnull THEN ' not null' ELSE '' END \
               || coalesce(' default ' || t.typdefault, '') || coalesce((SELECT ' ' || pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(k.oid), ' ' \
               ORDER BY k.conname) FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'), '') \
             WHEN 'r' THEN 'range' || coalesce((SELECT ' of ' || pg_catalog.format_type(r.rngsubtype, NULL) || {} || \
               coalesce((SELECT ' by ' || o.opcname FROM pg_catalog.pg_opclass o WHERE o.oid = r.rngsubopc AND NOT o.opcdefault), '') || \
               coalesce(' canonical ' || nullif(r.rngcanonical::text, '-'), '') || \
               coalesce(' difference ' || nullif(r.rngsubdiff::text, '-'), '') FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid), '') \
             ELSE 'composite ' || coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' ' || \
               pg_catalog.format_type(a.atttypid, a.atttypmod) || {}, ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a \
               WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') END \
             FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
             LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid \
             WHERE {USERS} AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c') AND {}",
            collate("t.typcollation", "t.typbasetype"),
            collate("r.rngcollation", "r.rngsubtype"),
            collate("a.attcollation", "a.atttypid"),
            own("pg_type", "t.oid")
        ),
        // Columns of later versions are read by way of JSON.
        format!(
            "SELECT 'type', n.nspname::text, l.collname::text, 'collation', pg_catalog.concat_ws(' ', l.collprovider, \
             coalesce(j.j->>'colllocale', j.j->>'colliculocale', l.collcollate), l.collctype, \
             CASE j.j->>'collisdeterministic' WHEN 'false' THEN 'not deterministic' END, 'rules ' || (j.j->>'collicurules')) \
             FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace \
             CROSS JOIN LATERAL (SELECT pg_catalog.to_json(l) AS j) j WHERE {USERS} AND {}",
            own("pg_collation", "l.oid")
        ),
        format!(
            "SELECT 'function', n.nspname::text, NULL::text, p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', \
             pg_catalog.concat_ws(' ', pg_catalog.pg_get_function_result(p.oid), l.lanname, \
             CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END, \
             CASE WHEN p.prosecdef THEN 'security definer' END, CASE WHEN p.proisstrict THEN 'strict' END, \
             CASE WHEN p.proleakproof THEN 'leakproof' END, \
             CASE p.proparallel WHEN 's' THEN 'parallel safe' WHEN 'r' THEN 'parallel restricted' END, \
             pg_catalog.md5({body} || coalesce(p.probin, '')), \
             CASE WHEN p.pronargdefaults > 0 THEN '(' || pg_catalog.pg_get_function_arguments(p.oid) || ')' END, \
             'set ' || pg_catalog.array_to_string(p.proconfig, ', '), \
             (SELECT pg_catalog.concat_ws(' ', 'over', g.aggtransfn::regprocedure, {}) FROM pg_catalog.pg_aggregate g \
               WHERE g.aggfnoid = p.oid)) \
             FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
             JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE {USERS} AND {}",
            aggregate(),
            own("pg_proc", "p.oid")
        ),
    ];
    parts.join(" UNION ALL ")
}

/// Reads a side's objects.
pub(super) async fn read(side: &Side, scope: &Scope) -> Result<Objects, Failure> {
    let rows = side.rows(&statement(side.version()), &[], "reading the definitions").await?;
    let mut objects = Objects::new();
    for row in &rows {
        let (word, schema, table, name): (&str, String, Option<String>, &str) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let Some(aspect) = Aspect::of(word) else { continue };
        let shown = match (aspect, &table) {
            (Aspect::Sequence, _) | (_, None) => match aspect {
                Aspect::Function => format!("{}.{name}", plain(&schema)),
                _ => format!("{}.{}", plain(&schema), plain(name)),
            },
            (_, Some(table)) => format!("{}.{}: {name}", plain(&schema), plain(table)),
        };
        let belongs = match table {
            Some(table) => scope.has(&Name { schema, table }),
            None => scope.is_whole() && scope.has_schema(&schema),
        };
        if belongs {
            objects.insert((aspect, shown), row.get::<_, Option<String>>(4).unwrap_or_default());
        }
    }
    Ok(objects)
}

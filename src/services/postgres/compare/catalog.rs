//! What a side holds: tables with their columns and keys, as the catalog has them in the snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    super::Row,
    name::{self, Name, Scope},
    side::Side,
};
use crate::base::{Failure, wild};

/// A table as one side has it.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// `p` permanent, `u` unlogged.
    pub persistence: String,
    /// In the order of the server.
    pub columns: Vec<Column>,
    /// Columns of the primary key, or of a unique index that cannot hold a null.
    pub key: Vec<String>,
    /// Where the rows are: itself, or its partitions.
    pub units: Vec<Unit>,
    /// Partitions that cannot be read here because they are elsewhere.
    pub foreign: Vec<Name>,
    /// Some of its rows do not outlive a crash.
    pub has_unlogged: bool,
}

impl Table {
    /// Rows by the planner's statistics, all units together.
    pub fn rows(&self) -> f64 {
        self.units.iter().map(|unit| unit.rows).sum()
    }

    /// Bytes of the rows' main storage.
    pub fn bytes(&self) -> i64 {
        self.units.iter().map(|unit| unit.bytes).sum()
    }

    /// A column by its name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// What is scanned.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// Its own name.
    pub name: Name,
    /// Not its children.
    pub only: bool,
    /// About.
    pub rows: f64,
    /// Main storage.
    pub bytes: i64,
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its name.
    pub name: String,
    /// As it is written: `numeric(10,2)`.
    pub type_name: String,
    /// The type below any domain. Below 16384: built in, the same everywhere.
    pub base: i64,
    /// As it is written.
    pub base_name: String,
    /// `enum`s are `e`, composites `c`.
    pub base_kind: String,
    /// Somebody made a cast between that type and `text`, which need not be what clients read and write.
    pub has_cast: bool,
    /// Length or precision of the base type, -1 without.
    pub typmod: i32,
    /// Cannot be null.
    pub not_null: bool,
    /// `''`, `a`, `d`.
    pub identity: String,
    /// `''`, `s` stored, `v` virtual.
    pub generated: String,
    /// Default or generation expression.
    pub default: Option<String>,
    /// Collation, where it is not the type's own.
    pub collation: Option<String>,
}

/// Everything of a side that is looked at.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// Tables; partitions count to their root.
    pub tables: BTreeMap<Name, Table>,
    /// Tables that nobody compares: foreign tables, materialised views, members of extensions.
    pub left_out: BTreeMap<Name, &'static str>,
    /// Large objects.
    pub large_objects: i64,
    /// Patterns of schemas and tables that fit nothing here.
    pub unfit: BTreeSet<String>,
}

/// Schemas of users.
pub(super) const USERS: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

const TABLES: &str = "SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, \
    c.relispartition, c.reltuples::float8, c.relpages::int8, \
    CASE WHEN c.relkind IN ('r', 'm') THEN coalesce(pg_catalog.pg_relation_size(c.oid), 0) ELSE 0 END::int8, \
    (SELECT i.inhparent::int8 FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition), \
    EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_class'::regclass AND e.objid = c.oid \
      AND e.deptype = 'e'), \
    pg_catalog.has_table_privilege(c.oid, 'SELECT') \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't' AND ";

const KEYS: &str = "SELECT i.indrelid::int8, array_agg(a.attname::text ORDER BY k.ord) \
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
    JOIN pg_catalog.pg_class c ON c.oid = i.indrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, ord) \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
    WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL \
    AND k.ord <= {keys} AND {users} \
    GROUP BY i.indrelid, i.indisprimary, x.relname HAVING bool_and(a.attnotnull) \
    ORDER BY i.indrelid, i.indisprimary DESC, count(*), x.relname";

const COLUMNS: &str = "SELECT a.attrelid::int8, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), \
    a.atttypid::int8, a.atttypmod::int4, a.attnotnull, a.attidentity::text, {generated}::text, \
    pg_catalog.pg_get_expr(d.adbin, d.adrelid), \
    CASE WHEN a.attcollation <> t.typcollation THEN pg_catalog.quote_ident(o.nspname) || '.' || pg_catalog.quote_ident(l.collname) END, \
    t.typtype::text \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
    LEFT JOIN pg_catalog.pg_namespace o ON o.oid = l.collnamespace \
    WHERE a.attnum > 0 AND NOT a.attisdropped AND {users} ORDER BY a.attrelid, a.attnum";

const DOMAINS: &str = "SELECT t.oid::int8, t.typbasetype::int8, t.typtypmod::int4, b.typtype::text, \
    pg_catalog.format_type(t.typbasetype, t.typtypmod) \
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype WHERE t.typtype = 'd'";

/// Types with a cast of somebody's own from or to `text`; `WITH INOUT` is what there is without one.
const CASTS: &str = "SELECT CASE k.casttarget WHEN 25 THEN k.castsource ELSE k.casttarget END::int8 FROM pg_catalog.pg_cast k \
    WHERE k.oid >= 16384 AND 25::oid IN (k.castsource, k.casttarget) AND k.castmethod <> 'i'";

/// What is below a domain.
struct Below {
    base: i64,
    typmod: i32,
    kind: String,
    name: String,
}

type Domains = HashMap<i64, Below>;

/// Reads a side's catalog.
pub(super) async fn read(side: &Side, scope: &Scope) -> Result<Catalog, Failure> {
    let version = side.version();
    let tables = format!("{TABLES}{USERS}");
    let keys = KEYS
        .replace("{keys}", if version >= 110_000 { "i.indnkeyatts" } else { "i.indnatts" })
        .replace("{users}", USERS);
    let columns = COLUMNS
        .replace("{generated}", if version >= 120_000 { "a.attgenerated" } else { "''" })
        .replace("{users}", USERS);
    let large = "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata";
    let schemas = format!("SELECT n.nspname::text FROM pg_catalog.pg_namespace n WHERE {USERS}");
    let (schemas, tables, keys, columns, domains, casts, large) = tokio::try_join!(
        side.rows(&schemas, &[], "reading the schemas"),
        side.rows(&tables, &[], "reading the tables"),
        side.rows(&keys, &[], "reading the keys"),
        side.rows(&columns, &[], "reading the columns"),
        side.rows(DOMAINS, &[], "reading the domains"),
        side.rows(CASTS, &[], "reading the casts"),
        side.rows(large, &[], "counting the large objects"),
    )?;
    let below = |row: &Row| Below { base: row.get(1), typmod: row.get(2), kind: row.get(3), name: row.get(4) };
    let domains: Domains = domains.iter().map(|row| (row.get(0), below(row))).collect();
    let casts: HashSet<i64> = casts.iter().map(|row| row.get(0)).collect();
    let mut by_oid: HashMap<i64, Vec<Column>> = HashMap::new();
    for row in &columns {
        by_oid.entry(row.get(0)).or_default().push(column(row, &domains, &casts));
    }
    let mut first_key: HashMap<i64, Vec<String>> = HashMap::new();
    for row in &keys {
        first_key.entry(row.get(0)).or_insert_with(|| row.get(1));
    }
    let mut catalog = assembled(&tables, by_oid, first_key, scope);
    catalog.large_objects = large.first().map_or(0, |row| row.get(0));
    let is_unfit = |pattern: &&String| !schemas.iter().any(|row| wild::matches(pattern, row.get(0)));
    catalog.unfit.extend(scope.schemas.iter().filter(is_unfit).cloned());
    Ok(catalog)
}

fn column(row: &Row, domains: &Domains, casts: &HashSet<i64>) -> Column {
    let mut base = Below { base: row.get(3), typmod: row.get(4), kind: row.get(10), name: row.get(2) };
    while let Some(Below { base: below, typmod, kind, name }) = domains.get(&base.base) {
        base = Below { base: *below, typmod: *typmod, kind: kind.clone(), name: name.clone() };
    }
    let Below { base, typmod, kind, name } = base;
    Column {
        name: row.get(1),
        type_name: row.get(2),
        has_cast: casts.contains(&base),
        base,
        base_name: name,
        base_kind: kind,
        typmod,
        not_null: row.get(5),
        identity: row.get(6),
        generated: row.get(7),
        default: row.get(8),
        collation: row.get(9),
    }
}

/// A row of [`TABLES`].
struct Relation {
    name: Name,
    kind: String,
    persistence: String,
    parent: Option<i64>,
    rows: f64,
    bytes: i64,
    is_member: bool,
    is_readable: bool,
}

/// Bytes of a row where no statistics say anything.
const ROW_BYTES: f64 = 100.0;
/// Bytes of a page of any stock server.
pub(super) const PAGE: i64 = 8192;

fn relation(row: &Row) -> (i64, Relation) {
    let (tuples, pages, bytes): (f64, i64, i64) = (row.get(6), row.get(7), row.get(8));
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rows = if pages > 0 && tuples >= 0.0 {
        tuples / pages as f64 * (bytes as f64 / PAGE as f64)
    } else {
        bytes as f64 / ROW_BYTES
    };
    let is_partition: bool = row.get(5);
    let relation = Relation {
        name: Name { schema: row.get(1), table: row.get(2) },
        kind: row.get(3),
        persistence: row.get(4),
        parent: if is_partition { row.get(9) } else { None },
        rows,
        bytes,
        is_member: row.get(10),
        is_readable: row.get(11),
    };
    (row.get(0), relation)
}

fn assembled(
    rows: &[Row],
    mut columns: HashMap<i64, Vec<Column>>,
    mut keys: HashMap<i64, Vec<String>>,
    scope: &Scope,
) -> Catalog {
    let relations: HashMap<i64, Relation> = rows.iter().map(relation).collect();
    let root_of = |mut oid: i64| {
        while let Some(parent) = relations.get(&oid).and_then(|relation| relation.parent) {
            oid = parent;
        }
        oid
    };
    let mut leaves: HashMap<i64, Vec<&Relation>> = HashMap::new();
    for (oid, relation) in &relations {
        if relation.parent.is_some() && relation.kind != "p" {
            leaves.entry(root_of(*oid)).or_default().push(relation);
        }
    }
    let mut catalog = Catalog::default();
    let roots = || relations.values().filter(|relation| relation.parent.is_none());
    let is_unfit =
        |pattern: &&String| !roots().any(|root| scope.has_schema(&root.name.schema) && name::fits(pattern, &root.name));
    catalog.unfit.extend(scope.tables.iter().filter(is_unfit).cloned());
    for (oid, relation) in relations.iter().filter(|(_, relation)| relation.parent.is_none()) {
        if !scope.has(&relation.name) {
            continue;
        }
        let why = match relation.kind.as_str() {
            _ if relation.is_member => Some("belongs to an extension"),
            "f" => Some("a foreign table, its rows are elsewhere"),
            "m" => Some("a materialised view, refreshed at each side"),
            _ => None,
        };
        if let Some(why) = why {
            catalog.left_out.insert(relation.name.clone(), why);
            continue;
        }
        let mine = leaves.remove(oid).unwrap_or_default();
        let foreign = mine.iter().filter(|leaf| leaf.kind == "f").map(|leaf| leaf.name.clone()).collect::<Vec<_>>();
        let table = Table {
            persistence: relation.persistence.clone(),
            columns: columns.remove(oid).unwrap_or_default(),
            key: keys.remove(oid).unwrap_or_default(),
            units: units(relation, &mine, !foreign.is_empty()),
            foreign,
            has_unlogged: mine.iter().chain([&relation]).any(|leaf| leaf.persistence == "u"),
        };
        catalog.tables.insert(relation.name.clone(), table);
    }
    catalog
}

/// A partitioned table is read by its partitions, so that they are read side by side; by its root where the role may
/// read the root only.
fn units(relation: &Relation, leaves: &[&Relation], has_foreign: bool) -> Vec<Unit> {
    let unit = |relation: &Relation, only| Unit {
        name: relation.name.clone(),
        only,
        rows: relation.rows,
        bytes: relation.bytes,
    };
    if relation.kind != "p" {
        return vec![unit(relation, true)];
    }
    let local = leaves.iter().filter(|leaf| leaf.kind != "f");
    if has_foreign || local.clone().all(|leaf| leaf.is_readable) {
        let mut units: Vec<Unit> = local.map(|leaf| unit(leaf, true)).collect();
        units.sort_by(|a, b| a.name.cmp(&b.name));
        return units;
    }
    let (rows, bytes) = (local.clone().map(|leaf| leaf.rows).sum(), local.map(|leaf| leaf.bytes).sum());
    vec![Unit { rows, bytes, ..unit(relation, false) }]
}

//! Where the two sides are built differently. What changes what clients see, or may store, fails; how another major version
//! prints the same code is told.

use super::{
    catalog::{Catalog, Column, Table},
    name::{Name, plain},
    objects::{Aspect, Objects},
};
use crate::base::clean_line;

/// A difference of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// Of what kind.
    pub aspect: Aspect,
    /// In words: `public.orders.total: numeric(10,2) at the source, numeric at the target`.
    pub words: String,
    /// It may be how another version prints the same thing.
    pub is_print: bool,
}

/// How much of a definition is shown.
const SHOWN: usize = 160;

struct Found {
    unlike: Vec<Unlike>,
    /// The two servers are of different major versions.
    versions_differ: bool,
}

impl Found {
    fn add(&mut self, aspect: Aspect, words: String) {
        self.unlike.push(Unlike { aspect, words, is_print: false });
    }

    fn code(&mut self, aspect: Aspect, words: String) {
        let is_print = self.versions_differ && aspect.is_code();
        self.unlike.push(Unlike { aspect, words, is_print });
    }
}

/// Every difference of the schema.
pub(super) fn unlike(
    (source, source_objects): (&Catalog, &Objects),
    (target, target_objects): (&Catalog, &Objects),
    versions_differ: bool,
) -> Vec<Unlike> {
    let mut found = Found { unlike: Vec::new(), versions_differ };
    lonely(source, target).into_iter().for_each(|(aspect, words)| found.add(aspect, words));
    for (name, one) in &source.tables {
        if let Some(other) = target.tables.get(name) {
            tables(&mut found, name, one, other);
        }
    }
    objects(&mut found, (source, source_objects), (target, target_objects));
    if source.large_objects != target.large_objects {
        let (one, other) = (source.large_objects, target.large_objects);
        found.add(
            Aspect::LargeObjects,
            format!("{one} large objects at the source, {other} at the target: no replication carries them"),
        );
    }
    found.unlike
}

/// Tables and columns that only one side has, so that nobody compares what they hold.
pub(super) fn lonely(source: &Catalog, target: &Catalog) -> Vec<(Aspect, String)> {
    let mut lonely = Vec::new();
    for (one, other, word) in [(source, target, "missing"), (target, source, "extra")] {
        for (name, table) in &one.tables {
            let Some(there) = other.tables.get(name) else {
                lonely.push((Aspect::Table, format!("table {name} is {word} at the target")));
                continue;
            };
            let columns = table.columns.iter().filter(|column| there.column(&column.name).is_none());
            let words = |column: &Column| format!("column {name}.{} is {word} at the target", plain(&column.name));
            lonely.extend(columns.map(|column| (Aspect::Column, words(column))));
        }
    }
    lonely
}

fn tables(found: &mut Found, name: &Name, source: &Table, target: &Table) {
    if source.persistence != target.persistence {
        let word = |table: &Table| if table.persistence == "u" { "unlogged" } else { "logged" };
        found.add(
            Aspect::Table,
            format!("table {name}: {} at the source, {} at the target", word(source), word(target)),
        );
    }
    for column in &source.columns {
        let shown = format!("{name}.{}", plain(&column.name));
        if let Some(other) = target.column(&column.name) {
            columns(found, &shown, column, other);
        }
    }
}

fn columns(found: &mut Found, shown: &str, source: &Column, target: &Column) {
    let mut differ = |aspect, what: &str, one: &str, other: &str| {
        if one != other {
            let (one, other) = (clean_line(one, SHOWN), clean_line(other, SHOWN));
            let words = format!("column {shown}: {what}{one} at the source, {what}{other} at the target");
            match aspect {
                Aspect::Default => found.code(aspect, words),
                _ => found.add(aspect, words),
            }
        }
    };
    let null = |column: &Column| if column.not_null { "not null" } else { "nullable" };
    let collation = |column: &Column| column.collation.clone().unwrap_or_else(|| "the default".into());
    let identity = |column: &Column| match column.identity.as_str() {
        "a" => "always an identity",
        "d" => "an identity by default",
        _ => "no identity",
    };
    let generated = |column: &Column| match column.generated.as_str() {
        "s" => "generated, stored",
        "v" => "generated, virtual",
        _ => "not generated",
    };
    let default = |column: &Column| column.default.clone().unwrap_or_else(|| "none".into());
    differ(Aspect::Column, "", &source.type_name, &target.type_name);
    differ(Aspect::Column, "", null(source), null(target));
    differ(Aspect::Column, "collation ", &collation(source), &collation(target));
    differ(Aspect::Default, "", identity(source), identity(target));
    differ(Aspect::Default, "", generated(source), generated(target));
    differ(Aspect::Default, "default ", &default(source), &default(target));
}

fn objects(found: &mut Found, (source, one): (&Catalog, &Objects), (target, other): (&Catalog, &Objects)) {
    // What hangs on a table that only one side has is said by that.
    let lonely = |shown: &str| {
        let on = |name: &Name| shown.starts_with(&format!("{name}: "));
        source.tables.keys().filter(|name| !target.tables.contains_key(name)).any(on)
            || target.tables.keys().filter(|name| !source.tables.contains_key(name)).any(on)
    };
    for ((aspect, shown), definition) in one {
        let what = format!("{} {shown}", aspect.word());
        match other.get(&(*aspect, shown.clone())) {
            Some(there) if there == definition => {}
            Some(there) => {
                let (here, there) = (clean_line(definition, SHOWN), clean_line(there, SHOWN));
                found.code(*aspect, format!("{what}: {here} at the source, {there} at the target"));
            }
            None if lonely(shown) => {}
            None => found.add(*aspect, format!("{what} is missing at the target: {}", clean_line(definition, SHOWN))),
        }
    }
    for ((aspect, shown), definition) in other {
        if !one.contains_key(&(*aspect, shown.clone())) && !lonely(shown) {
            found.add(
                *aspect,
                format!("{} {shown} is extra at the target: {}", aspect.word(), clean_line(definition, SHOWN)),
            );
        }
    }
}

//! Names of tables as people write them and as statements need them.

use std::fmt;

use super::super::quoted;
use crate::base::wild;

/// A table, its schema included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl Name {
    /// For a statement.
    pub(super) fn sql(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }
}

/// As `psql` takes it: quoted only where it has to be.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", plain(&self.schema), plain(&self.table))
    }
}

/// An identifier, quoted where it is not plain.
pub(super) fn plain(identifier: &str) -> String {
    let is_plain = identifier.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !identifier.starts_with(|c: char| c.is_ascii_digit())
        && !identifier.is_empty();
    if is_plain { identifier.to_owned() } else { quoted(identifier) }
}

/// Which tables are looked at.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Patterns of schemas; empty: all but the system's.
    pub schemas: Vec<String>,
    /// Patterns of `table` or `schema.table`; empty: all.
    pub tables: Vec<String>,
    /// Patterns of what is left out.
    pub except: Vec<String>,
}

impl Scope {
    /// The schema is looked at.
    pub(super) fn has_schema(&self, schema: &str) -> bool {
        self.schemas.is_empty() || self.schemas.iter().any(|pattern| wild::matches(pattern, schema))
    }

    /// The table is looked at.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.has_schema(&name.schema)
            && (self.tables.is_empty() || self.tables.iter().any(|pattern| fits(pattern, name)))
            && !self.except.iter().any(|pattern| fits(pattern, name))
    }

    /// Everything of the schemas is looked at, what belongs to no table included.
    pub(super) fn is_whole(&self) -> bool {
        self.tables.is_empty()
    }
}

/// A pattern fits the table's name, and one with a dot the whole name.
pub(super) fn fits(pattern: &str, name: &Name) -> bool {
    let whole = || wild::matches(pattern, &format!("{}.{}", name.schema, name.table));
    wild::matches(pattern, &name.table) || (pattern.contains('.') && whole())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(schema: &str, table: &str) -> Name {
        Name { schema: schema.into(), table: table.into() }
    }

    #[test]
    fn patterns_fit_with_and_without_the_schema() {
        let scope = Scope {
            schemas: vec!["pub*".into()],
            tables: vec!["order*".into(), "public.users".into()],
            except: vec!["orders_old".into()],
        };
        let has = |schema, table| scope.has(&name(schema, table));
        assert_eq!([has("public", "orders"), has("public", "users"), has("public", "orders_old")], [true, true, false]);
        assert_eq!([has("other", "orders"), has("public", "people")], [false, false]);
        assert!(
            !fits("p*", &name("public", "t")) && fits("p*.t", &name("public", "t")),
            "a schema is named with a dot"
        );
    }

    #[test]
    fn odd_names_are_quoted() {
        assert_eq!(name("public", "orders_2").to_string(), "public.orders_2");
        assert_eq!(name("Sch ema", "a.\"b\"").to_string(), "\"Sch ema\".\"a.\"\"b\"\"\"");
        assert_eq!(name("p", "o").sql(), "\"p\".\"o\"");
    }
}

//! Sequences: where they stand, which columns draw from them, and how far one has to be.
//!
//! Logical replication moves rows, not sequences: the first insert at the new side would draw a number that a row already
//! has (<https://www.postgresql.org/docs/current/logical-replication-restrictions.html>). `setval` is in no transaction:
//! it holds at once and is not rolled back (<https://www.postgresql.org/docs/current/functions-sequence.html>).

use serde::Deserialize;

use super::{Session, quoted, read::read};
use crate::base::{Class, Failure};

/// A sequence as one side has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sequence {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The first value.
    pub start: i64,
    /// The step, below 0 where it counts down.
    pub increment: i64,
    /// The least value.
    pub min: i64,
    /// The greatest value.
    pub max: i64,
    /// It begins anew at its end.
    pub cycle: bool,
    /// Schema, table and column of the numbers drawn from it: owned, identity, or by a default.
    pub columns: Vec<(String, String, String)>,
    /// `last_value`.
    #[serde(default)]
    pub last: i64,
    /// `is_called`: the last value was drawn; else it is the next one.
    #[serde(default)]
    pub called: bool,
}

const SEQUENCES: &str = "\
SELECT coalesce(pg_catalog.json_agg(x ORDER BY x.schema, x.name), '[]')::text FROM (
  SELECT n.nspname AS schema, c.relname AS name, s.seqstart AS start, s.seqincrement AS increment, s.seqmin AS min, s.seqmax AS max,
    s.seqcycle AS cycle,
    (SELECT coalesce(pg_catalog.json_agg(DISTINCT pg_catalog.jsonb_build_array(tn.nspname, t.relname, a.attname)), '[]')
      FROM (SELECT d.refobjid AS rel, d.refobjsubid AS col FROM pg_catalog.pg_depend d
          WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
            AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
        UNION SELECT f.adrelid, f.adnum FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
          WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND d.refobjid = c.oid) u
        JOIN pg_catalog.pg_class t ON t.oid = u.rel AND t.relkind IN ('r', 'p') AND NOT t.relispartition
        JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
        JOIN pg_catalog.pg_attribute a ON a.attrelid = u.rel AND a.attnum = u.col
        JOIN pg_catalog.pg_type y ON y.oid = a.atttypid AND y.typcategory = 'N') AS columns
  FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
      WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e')) x";

/// Sequences asked in one statement.
const AT_ONCE: usize = 200;

/// Every sequence of the connected database, those of extensions and temporary ones apart, and where it stands.
///
/// # Errors
/// As [`Session::row`]; `Denied` where one may not be read.
pub async fn sequences(session: &Session) -> Result<Vec<Sequence>, Failure> {
    let mut all: Vec<Sequence> = read(session, SEQUENCES, &[]).await?;
    for some in all.chunks_mut(AT_ONCE) {
        // `pg_sequences` does not tell where one stands whose value was set and not drawn.
        let each = some
            .iter()
            .map(|one| format!("SELECT pg_catalog.json_build_array(last_value, is_called) AS x FROM {}", one.quoted()));
        let each: Vec<String> =
            each.enumerate().map(|(n, sql)| format!("SELECT {n} AS n, x FROM ({sql}) q{n}")).collect();
        let sql = format!("SELECT pg_catalog.json_agg(x ORDER BY n)::text FROM ({}) u", each.join(" UNION ALL "));
        let stand: Vec<(i64, bool)> = read(session, &sql, &[]).await?;
        for (one, (last, called)) in some.iter_mut().zip(stand) {
            (one.last, one.called) = (last, called);
        }
    }
    Ok(all)
}

impl Sequence {
    /// `shop.orders_id_seq`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// The value drawn last; one step before the first where none was.
    #[must_use]
    pub fn used(&self) -> i128 {
        let last = i128::from(self.last);
        if self.called { last } else { last - i128::from(self.increment) }
    }

    /// True where `a` comes after `b` as it counts.
    #[must_use]
    pub fn further(&self, a: i128, b: i128) -> bool {
        if self.increment > 0 { a > b } else { a < b }
    }

    /// How far it has to be, being the target's: `margin` steps beyond `source`, and not before the furthest number that
    /// a row has. It stays on the values that it steps on. Nothing where it has never to have been used.
    ///
    /// # Errors
    /// What it cannot hold.
    pub fn needed(&self, source: Option<&Self>, furthest: Option<i128>, margin: u64) -> Result<Option<i64>, String> {
        let (step, own) = (i128::from(self.increment), i128::from(self.start) - i128::from(self.increment));
        let anchor = source.map_or(own, Self::used);
        let end = i128::from(if step > 0 { self.max } else { self.min });
        // What is beyond its end is as good as unlimited: the margin gives way, what is in use does not.
        let last_good = anchor + (end - anchor).div_euclid(step) * step;
        let mut need = if source.is_some() { anchor + i128::from(margin) * step } else { anchor };
        if self.further(need, end) {
            need = if self.further(anchor, end) || self.cycle { anchor } else { last_good };
        }
        if let Some(row) = furthest.filter(|row| !self.cycle && self.further(*row, need)) {
            let steps = (row - anchor).div_euclid(step) + i128::from((row - anchor).rem_euclid(step) != 0);
            let on_step = anchor + steps * step;
            need = if self.further(on_step, end) && !self.further(row, end) { row } else { on_step };
        }
        if self.further(need, end) {
            return Err(format!("{} ends at {end}, and {need} is in use", self.shown()));
        }
        let first = i128::from(if step > 0 { self.min } else { self.max });
        if self.further(first, need) {
            return Ok(None);
        }
        Ok(i64::try_from(need).ok())
    }
}

/// The furthest number that a row of the sequence's columns has; `NaN` and `Infinity` are none.
///
/// # Errors
/// As [`Session::row`]; `Denied` where row security hides rows from this role; `FailedNothingDone` where a number is
/// beyond what any sequence could have.
pub async fn furthest(session: &Session, sequence: &Sequence) -> Result<Option<i128>, Failure> {
    // Rows that a policy hides are there for the one who draws the number.
    session.batch("BEGIN READ ONLY; SET LOCAL row_security = off").await?;
    let furthest = of_columns(session, sequence).await;
    let ended = session.batch("ROLLBACK").await;
    furthest.and_then(|furthest| ended.map(|()| furthest))
}

async fn of_columns(session: &Session, sequence: &Sequence) -> Result<Option<i128>, Failure> {
    let pick = if sequence.increment > 0 { "max" } else { "min" };
    let mut furthest: Option<i128> = None;
    for (schema, table, column) in &sequence.columns {
        let sql = format!(
            "SELECT coalesce(pg_catalog.to_json(pg_catalog.trunc(pg_catalog.{pick}({column})::numeric)::text), 'null')::text
            FROM {}.{} WHERE {column}::text <> ALL ('{{NaN,Infinity,-Infinity}}'::text[])",
            quoted(schema),
            quoted(table),
            column = quoted(column)
        );
        let value: Option<String> = read(session, &sql, &[]).await?;
        let number = |text: String| {
            text.parse::<i128>().map_err(|_| {
                let words = format!("{schema}.{table}.{column} has a number beyond any sequence");
                Failure::new(Class::FailedNothingDone, words)
            })
        };
        let value = value.map(number).transpose()?;
        furthest = match (furthest, value) {
            (Some(a), Some(b)) => Some(if sequence.further(b, a) { b } else { a }),
            (a, b) => a.or(b),
        };
    }
    Ok(furthest)
}

/// Where a sequence stands.
pub type Stand = (i64, bool);

/// Where a sequence of a name stands; nothing where it is gone.
///
/// # Errors
/// As [`Session::row`].
pub async fn stand(session: &Session, schema: &str, name: &str) -> Result<Option<Stand>, Failure> {
    let sql = format!(
        "SELECT pg_catalog.json_build_array(last_value, is_called)::text FROM {}.{}",
        quoted(schema),
        quoted(name)
    );
    match read(session, &sql, &[]).await {
        Ok(stand) => Ok(Some(stand)),
        Err(failure) if super::writers::code(&failure) == Some("42P01") => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Sets a sequence that still stands where it was seen. False where it has moved on, and nothing was done.
///
/// # Errors
/// As [`Session::row`].
pub async fn set(session: &Session, schema: &str, name: &str, seen: Stand, to: Stand) -> Result<bool, Failure> {
    let whole = format!("{}.{}", quoted(schema), quoted(name));
    let sql = format!(
        "SELECT pg_catalog.setval($1::text::pg_catalog.regclass, $2::int8, $3::bool) FROM {whole} WHERE last_value = $4::int8 AND is_called = $5::bool"
    );
    let rows = session.rows(&sql, &[&whole, &to.0, &to.1, &seen.0, &seen.1]).await?;
    match rows.len() {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Failure::new(Class::Unknown, format!("{schema}.{name} answered with more than one row"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(start: i64, increment: i64, last: i64, called: bool) -> Sequence {
        let (min, max) = if increment > 0 { (1, 10_000) } else { (-10_000, -1) };
        let (schema, name) = ("s".into(), "q".into());
        Sequence { schema, name, start, increment, min, max, cycle: false, columns: Vec::new(), last, called }
    }

    #[test]
    fn up_down_and_by_steps() {
        let fresh = sequence(1, 1, 1, false);
        let at = |last| sequence(1, 1, last, true);
        let need = |source: &Sequence, row, margin| fresh.needed(Some(source), row, margin);
        assert_eq!(need(&at(50), None, 0), Ok(Some(50)));
        assert_eq!(need(&at(50), None, 100), Ok(Some(150)));
        assert_eq!(need(&at(50), Some(70), 10), Ok(Some(70)));
        assert_eq!(need(&fresh, None, 0), Ok(None), "never used on either side");
        assert_eq!(need(&fresh, None, 5), Ok(Some(5)));
        assert_eq!(need(&sequence(1, 1, 40, false), None, 0), Ok(Some(39)), "40 is the next one");
        let down = sequence(-1, -1, -1, false);
        assert_eq!(down.needed(Some(&sequence(-1, -1, -50, true)), Some(-70), 5), Ok(Some(-70)));
        assert_eq!(down.needed(Some(&sequence(-1, -1, -50, true)), None, 5), Ok(Some(-55)));
        // Odd numbers stay odd, also past a row that somebody numbered by hand.
        let odd = sequence(1, 2, 1, false);
        assert_eq!(odd.needed(Some(&sequence(1, 2, 51, true)), None, 10), Ok(Some(71)));
        assert_eq!(odd.needed(Some(&sequence(1, 2, 51, true)), Some(80), 0), Ok(Some(81)));
        assert_eq!(fresh.needed(None, Some(12), 1000), Ok(Some(12)), "at the target only");
    }

    #[test]
    fn at_the_end() {
        let fresh = sequence(1, 1, 1, false);
        assert_eq!(fresh.needed(Some(&sequence(1, 1, 9_500, true)), None, 1000), Ok(Some(10_000)));
        let full = fresh.needed(Some(&sequence(1, 1, 9_500, true)), Some(20_000), 0);
        assert_eq!(full, Err("s.q ends at 10000, and 20000 is in use".into()));
        let cycle = Sequence { cycle: true, ..fresh.clone() };
        assert_eq!(cycle.needed(Some(&sequence(1, 1, 9_500, true)), Some(20_000), 1000), Ok(Some(9_500)));
    }
}

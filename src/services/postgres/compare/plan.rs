//! How a table will be compared: the expressions of each side, and into how many parts its rows are told apart while they are
//! added up.
//!
//! ```text
//! small            one sum                                        SELECT count, sum(hash)
//! whole-number key ranges of the key, by the index, where rows    … WHERE id >= a AND id < b       (× ranges)
//!                  lie in the key's order on both sides
//! anything else    buckets by the key's hash, pages in pieces     … WHERE ctid >= … GROUP BY hash & 1023
//! ```
//!
//! Ranges cost nothing beside the scan. Buckets cost a fifth more, but no index is read and no order is needed, so that rows
//! that lie anywhere are still read from the disk in its order.

use std::sync::Arc;

use super::{
    catalog::{Column, PAGE, Table, Unit},
    hash::{self, Mode, Nonce, Seen, is_integer},
    name::Name,
    order::Order,
};

/// Rows of a table up to which it is added up as one.
const SMALL: f64 = 50_000.0;
/// Rows of a piece: a second or so of work, so that progress is seen and no snapshot waits for a long statement's end.
const PIECE: f64 = 100_000.0;
/// Pieces of a table at most: more would be more to ask than to work.
const PIECES: f64 = 1_000.0;
/// Rows of a bucket.
const BUCKET: f64 = 4_096.0;
/// Bits of the buckets of one table at most, by which our own memory is bounded.
const BITS: u32 = 12;
/// Columns of a table from which on its rows are hashed by text: each column's hash is nested in the next one's, and the server's
/// parser takes only some thousand of brackets (of nullable bigints, between 800 and 1,100 columns).
const WIDE: usize = 700;
/// How far rows may lie out of the key's order (`pg_stats.correlation`) until ranges cost more than they save.
const ORDERED: f64 = 0.9;

/// A table of both sides.
pub(super) struct Pair {
    pub name: Name,
    pub source: Half,
    pub target: Half,
    /// Columns of the key; none: rows are a multiset.
    pub key: Vec<String>,
    /// Both sides' columns, by name, in the source's order.
    pub columns: Vec<String>,
    /// How rows are told apart at first.
    pub parts: Parts,
    /// Which functions.
    pub mode: Mode,
}

/// A side's expressions. Rows are `t`.
pub(super) struct Half {
    /// What is scanned.
    pub units: Vec<Unit>,
    /// The hash of a row.
    pub row: String,
    /// The hash of its key; of the row where there is none.
    pub key: String,
    /// Texts of the key's columns.
    pub key_texts: Vec<String>,
    /// `t."id" = w.k1::bigint`, for keys that are given as texts.
    pub key_match: String,
    /// Texts of all columns, in the pair's order.
    pub texts: Vec<String>,
    /// The digest of a row.
    pub digest: String,
    /// Rows, about.
    pub rows: f64,
    /// Main storage.
    pub bytes: i64,
    /// Some of them do not outlive a crash.
    pub has_unlogged: bool,
}

/// How the rows of a table are told apart in the first pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parts {
    /// Not at all.
    One,
    /// By ranges of the first column of the key: below the first bound, between two, from the last.
    Ranges(Arc<Vec<i64>>),
    /// By as many bits of the key's hash.
    Buckets(u32),
}

impl Parts {
    /// How many.
    pub fn count(&self) -> usize {
        match self {
            Self::One => 1,
            Self::Ranges(bounds) => bounds.len() + 1,
            Self::Buckets(bits) => 1 << bits,
        }
    }
}

/// What is asked at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// Which unit.
    pub unit: usize,
    /// Pages from and to; no end: to the last.
    pub pages: Option<(i64, Option<i64>)>,
    /// Which range.
    pub range: Option<usize>,
    /// Rows, about.
    pub rows: f64,
}

/// What both servers have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Servers {
    pub source: u32,
    pub target: u32,
    pub exact_floats: bool,
}

impl Pair {
    /// A pair, without parts yet.
    pub fn new(name: Name, source: &Table, target: &Table, servers: Servers, mode: Mode, nonce: Nonce) -> Self {
        let both = source.columns.iter().filter_map(|one| Some((one, target.column(&one.name)?)));
        let both: Vec<(&Column, &Column)> = both.collect();
        let mode = if both.len() > WIDE { Mode::Text } else { mode };
        let key = if source.key.iter().all(|name| both.iter().any(|(one, _)| one.name == *name)) {
            source.key.clone()
        } else {
            Vec::new()
        };
        let half = |table: &Table, version: u32, pick: for<'c> fn((&'c Column, &'c Column)) -> &'c Column| {
            let seen = |pair: &(&'_ Column, &'_ Column)| {
                let alike = pair.0.base == pair.1.base;
                let nullable = !(pair.0.not_null && pair.1.not_null);
                let has_cast = pair.0.has_cast || pair.1.has_cast;
                (Column { has_cast, ..pick(*pair).clone() }, alike, nullable)
            };
            let columns: Vec<(Column, bool, bool)> = both.iter().map(seen).collect();
            half(table, &columns, &key, version, servers.exact_floats, mode, nonce)
        };
        Self {
            source: half(source, servers.source, |pair| pair.0),
            target: half(target, servers.target, |pair| pair.1),
            columns: both.iter().map(|(one, _)| one.name.clone()).collect(),
            parts: Parts::One,
            name,
            key,
            mode,
        }
    }

    /// The rows of the larger side.
    pub fn rows(&self) -> f64 {
        self.source.rows.max(self.target.rows)
    }

    /// True where its key's order is worth knowing.
    pub fn wants_order(&self, source: &Table, target: &Table) -> bool {
        let first = self.key.first();
        // The index that is read is the key's; a partition would be asked for every range of all.
        let fits = |table: &Table| {
            let column = first.and_then(|name| table.column(name));
            column.is_some_and(|column| is_integer(column) && column.not_null)
                && table.key.first() == first
                && table.units.len() == 1
        };
        self.rows() > SMALL && fits(source) && fits(target)
    }

    /// Chooses the parts.
    pub fn divide(&mut self, source: Option<&Order>, target: Option<&Order>) {
        if self.rows() <= SMALL {
            return;
        }
        let in_order = |order: &Order| order.correlation.is_none_or(|much| much.abs() >= ORDERED);
        let bounds = source.zip(target).filter(|(one, other)| in_order(one) && in_order(other)).map(|(one, _)| {
            let pieces = (self.rows() / PIECE).clamp(2.0, PIECES);
            bounds(&one.bounds, pieces)
        });
        self.parts = match bounds {
            Some(bounds) if !bounds.is_empty() => Parts::Ranges(Arc::new(bounds)),
            _ => Parts::Buckets(bits(self.rows())),
        };
    }

    /// Fewer buckets, where there are too many tables.
    pub fn coarser(&mut self, by: u32) {
        if let Parts::Buckets(bits) = &mut self.parts {
            *bits = bits.saturating_sub(by).max(1);
        }
    }
}

fn bits(rows: f64) -> u32 {
    let wanted = (rows / BUCKET).log2().ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 12")]
    let bits = wanted.clamp(1.0, f64::from(BITS)) as u32;
    bits
}

/// As many bounds as are wanted out of those that are known, with as many rows between each two.
fn bounds(known: &[i64], pieces: f64) -> Vec<i64> {
    let Some(spans) = known.len().checked_sub(1).filter(|spans| *spans > 0) else { return Vec::new() };
    #[expect(clippy::cast_precision_loss, reason = "a hundred or so")]
    let spans_f = spans as f64;
    let mut found = Vec::new();
    let mut at = 1.0;
    while at < pieces {
        let place = at * spans_f / pieces;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the number of spans")]
        let span = (place as usize).min(spans - 1);
        let (low, high) = (i128::from(known[span]), i128::from(known[span + 1]));
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a place within a span")]
        let inside = ((high - low) as f64 * (place - span as f64)) as i128;
        found.extend(i64::try_from(low + inside));
        at += 1.0;
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn half(
    table: &Table,
    columns: &[(Column, bool, bool)],
    key: &[String],
    version: u32,
    exact_floats: bool,
    mode: Mode,
    nonce: Nonce,
) -> Half {
    let seen = |(column, alike, nullable): &(Column, bool, bool)| (column.clone(), *alike, *nullable);
    let columns: Vec<_> = columns.iter().map(seen).collect();
    let all: Vec<(Seen<'_>, bool, bool)> = columns
        .iter()
        .map(|(column, alike, nullable)| (Seen { column, version, exact_floats }, *alike, *nullable))
        .collect();
    let keys: Vec<(Seen<'_>, bool, bool)> =
        key.iter().filter_map(|name| all.iter().find(|(seen, ..)| seen.column.name == *name).cloned()).collect();
    let row = hash::hash(&all, mode, nonce, nonce.row);
    Half {
        units: table.units.clone(),
        key: if keys.is_empty() { row.clone() } else { hash::hash(&keys, mode, nonce, nonce.key) },
        key_texts: keys.iter().map(|(seen, ..)| seen.text()).collect(),
        key_match: key_match(&keys),
        texts: all.iter().map(|(seen, ..)| seen.text()).collect(),
        digest: hash::digest(&all, nonce.row),
        rows: table.rows(),
        bytes: table.bytes(),
        has_unlogged: table.has_unlogged,
        row,
    }
}

impl Half {
    /// The pieces of one side. `ctid` ranges are read as such since version 14.
    pub fn pieces(&self, parts: &Parts, version: u32) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (at, unit) in self.units.iter().enumerate() {
            match parts {
                Parts::One => pieces.push(Piece { unit: at, pages: None, range: None, rows: unit.rows }),
                Parts::Ranges(_) => {
                    let count = parts.count();
                    #[expect(clippy::cast_precision_loss, reason = "a thousand or so")]
                    let rows = unit.rows / count as f64;
                    pieces.extend((0..count).map(|range| Piece { unit: at, pages: None, range: Some(range), rows }));
                }
                Parts::Buckets(_) => by_pages(&mut pieces, at, unit, version),
            }
        }
        pieces
    }
}

/// By the index, where the type's own `=` is sure to be found; by their texts elsewhere.
fn key_match(keys: &[(Seen<'_>, bool, bool)]) -> String {
    let one = |(at, (seen, ..)): (usize, &(Seen<'_>, bool, bool))| {
        if hash::can_be_found(seen.column, seen.exact_floats) {
            let column = super::super::quoted(&seen.column.name);
            // Not the domain itself: its checks need not hold for what is stored.
            format!("t.{column} = w.k{}::{}", at + 1, seen.column.base_name)
        } else {
            format!("{} = w.k{}", seen.text(), at + 1)
        }
    };
    keys.iter().enumerate().map(one).collect::<Vec<_>>().join(" AND ")
}

fn by_pages(pieces: &mut Vec<Piece>, at: usize, unit: &Unit, version: u32) {
    let pages = unit.bytes / PAGE;
    #[expect(clippy::cast_possible_truncation, reason = "at most a thousand")]
    let count = (unit.rows / PIECE).clamp(1.0, PIECES) as i64;
    if version < 140_000 || !unit.only || count <= 1 || pages < count {
        pieces.push(Piece { unit: at, pages: None, range: None, rows: unit.rows });
        return;
    }
    let step = pages / count;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rows = unit.rows / count as f64;
    for n in 0..count {
        let end = (n + 1 < count).then_some((n + 1) * step);
        pieces.push(Piece { unit: at, pages: Some((n * step, end)), range: None, rows });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_as_many_rows_between_them() {
        assert_eq!(bounds(&[0, 100], 4.0), [25, 50, 75]);
        assert_eq!(bounds(&[0, 10, 1000], 4.0), [5, 10, 505]);
        assert_eq!(bounds(&[i64::MIN, i64::MAX], 2.0).len(), 1, "no overflow");
        assert!(bounds(&[5, 5], 4.0).len() <= 1 && bounds(&[5], 4.0).is_empty());
    }

    #[test]
    fn pages_are_read_once_each_and_to_the_end() {
        let name = Name { schema: "s".into(), table: "t".into() };
        let unit = Unit { name, only: true, rows: 1_000_000.0, bytes: 10_007 * PAGE };
        let mut pieces = Vec::new();
        by_pages(&mut pieces, 0, &unit, 150_000);
        let mut from = 0;
        for (n, piece) in pieces.iter().enumerate() {
            let (start, end) = piece.pages.unwrap();
            assert_eq!(start, from);
            from = end.unwrap_or_default();
            assert_eq!(end.is_none(), n + 1 == pieces.len(), "the last one has no end");
        }
        assert_eq!(pieces.len(), 10);
    }

    #[test]
    fn buckets_are_bounded() {
        assert_eq!([bits(60_000.0), bits(1e6), bits(1e12)], [4, 8, 12]);
    }
}

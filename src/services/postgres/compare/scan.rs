//! The statements that add rows up, and the first pass over all tables with them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};

use super::{
    plan::{Half, Pair, Parts, Piece},
    side::{Side, Which},
};
use crate::base::Failure;

/// How many rows, and the sum of their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub rows: i64,
    pub hash: i128,
}

impl Sum {
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.hash = self.hash.wrapping_add(other.hash);
    }
}

/// A part of a table: of one range, of some buckets, or all.
#[derive(Debug, Clone, Default)]
pub(super) struct Region {
    /// Which of the ranges.
    pub range: Option<usize>,
    /// Bits of the key's hash, and which of their values.
    pub buckets: Option<(u32, Vec<i64>)>,
}

impl Pair {
    /// The half of a side.
    pub fn half(&self, which: Which) -> &Half {
        match which {
            Which::Source => &self.source,
            Which::Target => &self.target,
        }
    }

    fn range(&self, range: usize, said: &mut Vec<String>) {
        let (Parts::Ranges(bounds), Some(first)) = (&self.parts, self.key.first()) else { return };
        let column = format!("t.{}", super::super::quoted(first));
        if let Some(low) = range.checked_sub(1).and_then(|before| bounds.get(before)) {
            said.push(format!("{column} >= '{low}'::bigint"));
        }
        if let Some(high) = bounds.get(range) {
            said.push(format!("{column} < '{high}'::bigint"));
        }
    }

    /// `FROM … WHERE …` of a piece, within a region.
    pub fn from(&self, half: &Half, piece: &Piece, region: &Region) -> String {
        let unit = &half.units[piece.unit];
        let mut said = Vec::new();
        if let Some(range) = piece.range.or(region.range) {
            self.range(range, &mut said);
        }
        if let Some((from, to)) = piece.pages {
            said.push(format!("t.ctid >= '({from},0)'::tid"));
            said.extend(to.map(|to| format!("t.ctid < '({to},0)'::tid")));
        }
        if let Some((bits, values)) = &region.buckets {
            let list = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            said.push(format!("({}) & {} = ANY ('{{{list}}}'::bigint[])", half.key, mask(*bits)));
        }
        let only = if unit.only { "ONLY " } else { "" };
        let mut from = format!("FROM {only}{} t", unit.name.sql());
        if !said.is_empty() {
            from += " WHERE ";
            from += &said.join(" AND ");
        }
        from
    }

    /// Count and sum of each bucket of so many bits; all as one for none.
    pub fn sums(&self, half: &Half, piece: &Piece, region: &Region, bits: u32) -> String {
        let from = self.from(half, piece, region);
        if bits == 0 {
            return format!("SELECT 0::bigint, count(*), coalesce(sum({}), 0)::text {from}", half.row);
        }
        let mask = mask(bits);
        if self.key.is_empty() {
            // The hash is bucket and summand: worked out once.
            let rows = format!("SELECT {} AS h {from} OFFSET 0", half.row);
            return format!("SELECT q.h & {mask}, count(*), sum(q.h)::text FROM ({rows}) q GROUP BY 1");
        }
        format!("SELECT ({}) & {mask}, count(*), sum({})::text {from} GROUP BY 1", half.key, half.row)
    }
}

fn mask(bits: u32) -> i64 {
    (1_i64 << bits) - 1
}

/// Asks for the sums of a piece.
pub(super) async fn ask(
    side: &Side,
    pair: &Pair,
    piece: &Piece,
    region: &Region,
    bits: u32,
) -> Result<Vec<(i64, Sum)>, Failure> {
    let sql = pair.sums(pair.half(side.which), piece, region, bits);
    let rows = side.rows(&sql, &[], &format!("adding up {}", pair.name)).await?;
    let sum = |text: &str| text.parse::<i128>().unwrap_or_default();
    Ok(rows.iter().map(|row| (row.get(0), Sum { rows: row.get(1), hash: sum(row.get(2)) })).collect())
}

/// The sums of one side of a table, part by part, as they come in.
#[derive(Debug, Clone)]
struct Tally {
    parts: Vec<Sum>,
    pieces_left: usize,
}

/// What a pass found of each table that it was asked for, by its place in the list.
pub(super) type Tallies = HashMap<usize, Vec<Sum>>;

/// Adds up tables of one side: every piece of every table, as many at once as the side takes. `piece_done` hears about
/// rows, `table_done` about a table that is complete.
pub(super) async fn pass(
    side: &Side,
    pairs: &[Pair],
    which: &[usize],
    piece_done: impl Fn(f64) + Sync,
    table_done: impl Fn(usize, &[Sum]) + Sync,
) -> Result<Tallies, Failure> {
    let mut tallies: HashMap<usize, Tally> = HashMap::new();
    let mut pieces = Vec::new();
    for at in which {
        let pair = &pairs[*at];
        let mine = pair.half(side.which).pieces(&pair.parts, side.version());
        let tally = Tally { parts: vec![Sum::default(); pair.parts.count()], pieces_left: mine.len() };
        if mine.is_empty() {
            table_done(*at, &tally.parts);
        }
        tallies.insert(*at, tally);
        pieces.extend(mine.into_iter().map(|piece| (*at, piece)));
    }
    let tallies = Mutex::new(tallies);
    let hear = Hear { tallies: &tallies, piece_done: &piece_done, table_done: &table_done };
    let asked = stream::iter(pieces).map(|(at, piece)| one(side, pairs, at, piece, hear));
    asked.buffer_unordered(side.width()).try_collect::<()>().await?;
    let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(tallies.drain().map(|(at, tally)| (at, tally.parts)).collect())
}

/// Where the sums of a piece go, and who hears of it.
#[derive(Clone, Copy)]
struct Hear<'a> {
    tallies: &'a Mutex<HashMap<usize, Tally>>,
    piece_done: &'a (dyn Fn(f64) + Sync),
    table_done: &'a (dyn Fn(usize, &[Sum]) + Sync),
}

// Boxed: the stream's own type would be too general to be sent.
fn one<'a>(
    side: &'a Side,
    pairs: &'a [Pair],
    at: usize,
    piece: Piece,
    hear: Hear<'a>,
) -> BoxFuture<'a, Result<(), Failure>> {
    Box::pin(async move {
        let pair = &pairs[at];
        let bits = if let Parts::Buckets(bits) = pair.parts { bits } else { 0 };
        let sums = ask(side, pair, &piece, &Region::default(), bits).await?;
        let mut tallies = hear.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tally) = tallies.get_mut(&at) else { return Ok(()) };
        for (bucket, sum) in sums {
            let part = piece.range.unwrap_or_else(|| usize::try_from(bucket).unwrap_or(0));
            if let Some(known) = tally.parts.get_mut(part) {
                known.add(sum);
            }
        }
        tally.pieces_left -= 1;
        (hear.piece_done)(piece.rows);
        if tally.pieces_left == 0 {
            (hear.table_done)(at, &tally.parts);
        }
        Ok(())
    })
}

//! From parts that differ to the rows: smaller and smaller parts, then keys and digests of what is left, side against side.
//!
//! ```text
//! part of some ten thousand rows ─ buckets by the key's hash ─ those that differ ─ … ─ a few hundred rows ─ key, digest
//! ```

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use tokio::sync::Semaphore;

use super::{
    super::Row,
    plan::{Pair, Parts, Piece},
    scan::{self, Region, Sum},
    side::Side,
};
use crate::base::{Class, Failure};

/// A key as its texts; of a table without one, the digest of the row.
pub(super) type Key = Vec<Option<String>>;

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Both have the key, with other values.
    Changed,
    /// The target lacks it.
    Missing,
    /// Only the target has it.
    Extra,
}

impl Fault {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Extra => "extra",
        }
    }
}

/// A row that differs.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    pub fault: Fault,
    pub key: Key,
    /// How many such rows: more than one only without a key, or where it is not kept.
    pub times: i64,
    /// A side has the key more than once in its snapshot: nothing that is only late looks so.
    pub twice: bool,
}

/// The rows of a table that differ.
#[derive(Debug, Clone, Default)]
pub(super) struct Wrongs {
    /// By kind: changed, missing, extra.
    pub counts: [i64; 3],
    /// There are more: not all parts were looked into.
    pub is_least: bool,
    /// The first of them, in the order of their kind and key.
    pub rows: Vec<Wrong>,
}

impl Wrongs {
    pub fn push(&mut self, wrong: Wrong) {
        self.counts[wrong.fault as usize] += wrong.times;
        self.keep(wrong);
    }

    fn keep(&mut self, wrong: Wrong) {
        if self.rows.len() < KEPT {
            self.rows.push(wrong);
        }
    }

    /// Takes over what another region holds.
    fn absorb(&mut self, other: Self) {
        self.is_least |= other.is_least;
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        other.rows.into_iter().for_each(|wrong| self.keep(wrong));
    }

    /// True where not every row that differs is in the list.
    pub fn is_cut(&self) -> bool {
        self.is_least || self.rows.len() >= KEPT
    }

    /// All of them.
    pub fn total(&self) -> i64 {
        self.counts.iter().sum()
    }
}

/// Rows of a region from which on its keys are not fetched but told apart further, and rows whose keys are here at once, of all
/// regions of a table: our own memory hangs on it.
const LEAF: u32 = 4_000;
/// Rows of a bucket when a region is told apart further: so few that some hundred rows, far apart, do not bring along more than fits.
const FEW: i64 = 16;
/// Bits more at each step, of all buckets of a region together: their sums are here at once.
const STEP: u32 = 12;
/// Bits of the key's hash at most.
const MOST: u32 = 60;
/// Ranges that are looked into: what differs in more is told by number.
const RANGES: usize = 64;
/// Rows whose keys are remembered, for a second look and to be shown; and so buckets that are told apart further, as each holds one.
const KEPT: usize = 1_000;

/// Finds the rows in the parts that differ.
pub(super) async fn rows(
    source: &Side,
    target: &Side,
    pair: &Pair,
    (one, other): (&[Sum], &[Sum]),
) -> Result<Wrongs, Failure> {
    let differing: Vec<usize> = (0..one.len()).filter(|at| one[*at] != other[*at]).collect();
    let weight = |parts: &[usize]| parts.iter().map(|at| one[*at].rows.max(other[*at].rows)).sum::<i64>();
    let most = if matches!(pair.parts, Parts::Ranges(_)) { RANGES } else { KEPT };
    let mut found = Wrongs { is_least: differing.len() > most, ..Wrongs::default() };
    let looked_into = &differing[..differing.len().min(most)];
    let room = Semaphore::new(LEAF as usize);
    let regions: Vec<(Region, i64)> = match &pair.parts {
        Parts::One => vec![(Region::default(), weight(looked_into))],
        Parts::Ranges(_) => {
            let region = |at: &usize| (Region { range: Some(*at), buckets: None }, weight(&[*at]));
            looked_into.iter().map(region).collect()
        }
        Parts::Buckets(bits) => {
            let values = looked_into.iter().filter_map(|at| i64::try_from(*at).ok()).collect();
            vec![(Region { range: None, buckets: Some((*bits, values)) }, weight(looked_into))]
        }
    };
    let asked = stream::iter(regions).map(|(region, weight)| within(source, target, pair, (region, weight), &room));
    let mut asked = asked.buffer_unordered(source.width().min(target.width()));
    while let Some(wrongs) = asked.try_next().await? {
        found.absorb(wrongs);
    }
    found.rows.sort_by(|a, b| (a.fault, &a.key).cmp(&(b.fault, &b.key)));
    Ok(found)
}

// Boxed: the stream's own type would be too general to be sent.
fn within<'a>(
    source: &'a Side,
    target: &'a Side,
    pair: &'a Pair,
    region: (Region, i64),
    room: &'a Semaphore,
) -> BoxFuture<'a, Result<Wrongs, Failure>> {
    Box::pin(narrowed(source, target, pair, region, room))
}

async fn narrowed(
    source: &Side,
    target: &Side,
    pair: &Pair,
    (mut region, mut weight): (Region, i64),
    room: &Semaphore,
) -> Result<Wrongs, Failure> {
    let mut is_least = false;
    while weight > i64::from(LEAF) {
        let (have, parts) = region.buckets.as_ref().map_or((0, 1), |(bits, values)| (*bits, values.len().max(1)));
        // Each of its parts is told apart by as many bits.
        let wanted = (weight / FEW / i64::try_from(parts).unwrap_or(1)).max(2).ilog2() + 1;
        let bits = (have + wanted.min(STEP.saturating_sub(parts.ilog2()).max(1))).min(MOST);
        if bits <= have {
            break;
        }
        let (one, other) =
            tokio::try_join!(buckets(source, pair, &region, bits), buckets(target, pair, &region, bits))?;
        let differing: Vec<(i64, i64)> = one
            .keys()
            .chain(other.keys().filter(|value| !one.contains_key(*value)))
            .filter(|value| one.get(*value) != other.get(*value))
            .map(|value| (*value, rows_of(&one, *value).max(rows_of(&other, *value))))
            .collect();
        if differing.is_empty() {
            return Ok(Wrongs::default());
        }
        let before = weight;
        weight = differing.iter().map(|(_, rows)| rows).sum();
        let mut values: Vec<i64> = differing.iter().map(|(value, _)| *value).collect();
        // More differ than can be kept, or more bits do not help: many rows of one key.
        let is_cut = values.len() > KEPT || (values.len() > 1 && weight > before / 2);
        if weight > i64::from(LEAF) && is_cut {
            // Never more at once than fits; one bucket always.
            weight = 0;
            let fits = differing.iter().take_while(|(_, rows)| {
                let fits = weight == 0 || weight + rows <= i64::from(LEAF);
                weight += if fits { *rows } else { 0 };
                fits
            });
            values.truncate(fits.count());
            is_least |= values.len() < differing.len();
        }
        region.buckets = Some((bits, values));
    }
    let rows = u32::try_from(weight).unwrap_or(LEAF).clamp(1, LEAF);
    let closed = |_| Failure::new(Class::FailedNothingDone, "nothing is looked into any more");
    let _room = room.acquire_many(rows).await.map_err(closed)?;
    let (one, other) = tokio::try_join!(digests(source, pair, &region), digests(target, pair, &region))?;
    Ok(Wrongs { is_least, ..merged(one, other) })
}

fn rows_of(sums: &BTreeMap<i64, Sum>, bucket: i64) -> i64 {
    sums.get(&bucket).map_or(0, |sum| sum.rows)
}

/// Answers that are under way: each is folded as it comes.
type Asked<'a, T> = BoxFuture<'a, Result<Vec<T>, Failure>>;

async fn buckets(side: &Side, pair: &Pair, region: &Region, bits: u32) -> Result<BTreeMap<i64, Sum>, Failure> {
    let ask =
        |piece| -> Asked<'_, (i64, Sum)> { Box::pin(async move { scan::ask(side, pair, &piece, region, bits).await }) };
    let mut asked = stream::iter(side_pieces(side, pair, region)).map(ask).buffer_unordered(side.width());
    let mut sums: BTreeMap<i64, Sum> = BTreeMap::new();
    while let Some(more) = asked.try_next().await? {
        more.into_iter().for_each(|(bucket, sum)| sums.entry(bucket).or_default().add(sum));
    }
    Ok(sums)
}

/// A range is read by its index at once; buckets are read page by page.
fn side_pieces(side: &Side, pair: &Pair, region: &Region) -> Vec<Piece> {
    let half = pair.half(side.which);
    let parts = if region.range.is_some() { Parts::One } else { pair.parts.clone() };
    half.pieces(&parts, side.version())
}

/// Keys with the digests of their rows and how many there are: of almost every key one, for which a map would be large.
type Digests = BTreeMap<Key, Vec<(String, i64)>>;

fn count(digests: &mut Digests, key: Key, digest: String, times: i64) {
    let rows = digests.entry(key).or_insert_with(|| Vec::with_capacity(1));
    match rows.iter_mut().find(|(known, _)| *known == digest) {
        Some((_, known)) => *known += times,
        None => rows.push((digest, times)),
    }
}

async fn digests(side: &Side, pair: &Pair, region: &Region) -> Result<Digests, Failure> {
    let half = pair.half(side.which);
    let what = format!("reading keys of {}", pair.name);
    let ask = |piece: Piece| -> Asked<'_, Row> {
        let from = pair.from(half, &piece, region);
        let sql = if pair.key.is_empty() {
            format!("SELECT ARRAY[{0}]::text[], {0}, count(*) {from} GROUP BY 2", half.digest)
        } else {
            format!("SELECT ARRAY[{}]::text[], {}, 1::bigint {from}", half.key_texts.join(", "), half.digest)
        };
        let what = &what;
        Box::pin(async move { side.rows(&sql, &[], what).await })
    };
    let mut asked = stream::iter(side_pieces(side, pair, region)).map(ask).buffer_unordered(side.width());
    let mut digests = Digests::new();
    while let Some(rows) = asked.try_next().await? {
        for row in rows {
            count(&mut digests, row.get(0), row.get(1), row.get(2));
        }
    }
    Ok(digests)
}

/// Side against side: what both have goes, the rest is paired by its key.
fn merged(source: Digests, mut target: Digests) -> Wrongs {
    let mut found = Wrongs::default();
    let total = |rows: &[(String, i64)]| rows.iter().map(|(_, times)| times).sum::<i64>();
    let mut pair = |key: Key, mut one: Vec<(String, i64)>, mut other: Vec<(String, i64)>| {
        let twice = total(&one) > 1 || total(&other) > 1;
        for (digest, here) in &mut one {
            if let Some((_, there)) = other.iter_mut().find(|(known, _)| known == digest) {
                let both = (*here).min(*there);
                *here -= both;
                *there -= both;
            }
        }
        let (here, there) = (total(&one), total(&other));
        let changed = here.min(there);
        for (fault, times) in
            [(Fault::Changed, changed), (Fault::Missing, here - changed), (Fault::Extra, there - changed)]
        {
            if times > 0 {
                found.push(Wrong { fault, key: key.clone(), times, twice });
            }
        }
    };
    for (key, one) in source {
        let other = target.remove(&key).unwrap_or_default();
        pair(key, one, other);
    }
    target.into_iter().for_each(|(key, other)| pair(key, Vec::new(), other));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(rows: &[(&str, &str, i64)]) -> Digests {
        let mut side = Digests::new();
        for (key, digest, times) in rows {
            count(&mut side, vec![Some((*key).to_owned())], (*digest).to_owned(), *times);
        }
        side
    }

    #[test]
    fn rows_are_paired_by_key_and_counted() {
        let found = merged(
            side(&[("1", "a", 1), ("2", "b", 1), ("3", "c", 1), ("5", "x", 3)]),
            side(&[("1", "a", 1), ("2", "B", 1), ("4", "d", 1), ("5", "x", 1)]),
        );
        assert_eq!(found.counts, [1, 3, 1]);
        let told: Vec<_> = found.rows.iter().map(|row| (row.fault, row.key[0].clone().unwrap(), row.times)).collect();
        assert!(told.contains(&(Fault::Changed, "2".into(), 1)) && told.contains(&(Fault::Missing, "5".into(), 2)));
        assert!(found.rows.iter().all(|row| row.twice == (row.key[0].as_deref() == Some("5"))));
    }
}

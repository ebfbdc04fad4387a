//! The rows of all tables: adds up what is not known, narrows down what differs, and tells how far it is.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::try_join;

use super::{
    Compare,
    catalog::Catalog,
    details,
    hash::Mode,
    look::Sides,
    narrow::{self, Wrongs},
    outcome::Outcome,
    plan::Pair,
    scan::{self, Sum, Tallies},
    side::{Side, Which},
};
use crate::{
    base::{Failure, short_duration},
    plan::Cx,
};

/// A table whose sums differ, with the rows where they could be told.
pub(super) struct Found {
    pub at: usize,
    pub totals: (Sum, Sum),
    pub wrongs: Wrongs,
    pub first: Vec<details::Difference>,
}

/// How far the passes are.
struct Way {
    wanted: f64,
    done: Mutex<f64>,
    begun: Instant,
}

impl Way {
    fn went(&self, rows: f64, cx: &Cx) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += rows;
        let share = if self.wanted > 0.0 { (*done / self.wanted).min(1.0) } else { 1.0 };
        let took = self.begun.elapsed();
        let left = if share > 0.02 { took.mul_f64((1.0 - share) / share) } else { Duration::ZERO };
        let left = if left.as_secs() > 0 { format!(", about {} left", short_duration(left)) } else { String::new() };
        #[expect(clippy::cast_possible_truncation, reason = "a share")]
        cx.progress(
            share as f32 * 0.95,
            format!("{} of {} rows of both sides{left}", round(*done), round(self.wanted)),
        );
    }
}

fn round(rows: f64) -> String {
    match rows {
        _ if rows >= 1e6 => format!("{:.1} million", rows / 1e6),
        _ if rows >= 1e4 => format!("{:.0} thousand", rows / 1e3),
        _ => format!("{rows:.0}"),
    }
}

/// Adds everything up that is not known, and narrows down what differs.
pub(super) async fn rows(
    compare: &Compare,
    sides: &Sides,
    pairs: &[Pair],
    (source_catalog, target_catalog): (&Catalog, &Catalog),
    cx: &Cx,
    outcome: &mut Outcome,
) -> Result<Vec<Found>, Failure> {
    let (source, target) = (&sides.source, &sides.target);
    let known = |side: &Side| -> Vec<Option<Sum>> {
        pairs.iter().map(|pair| compare.memory.recall(side.which, pair, &side.moment.snapshot)).collect()
    };
    let (known_source, known_target) = (known(source), known(target));
    let open = |known: &[Option<Sum>]| (0..pairs.len()).filter(|at| known[*at].is_none()).collect::<Vec<usize>>();
    let (open_source, open_target) = (open(&known_source), open(&known_target));
    let weigh = |open: &[usize], which| open.iter().map(|at| pairs[*at].half(which).rows).sum::<f64>();
    // An empty sum is -0.
    let wanted = weigh(&open_source, Which::Source) + weigh(&open_target, Which::Target) + 0.0;
    let way = Way { wanted, done: Mutex::new(0.0), begun: Instant::now() };
    let (mut one, mut other) = try_join!(
        added(compare, source, pairs, &open_source, &way, cx),
        added(compare, target, pairs, &open_target, &way, cx)
    )?;
    outcome.remembered =
        (0..pairs.len()).filter(|at| known_source[*at].is_some() && known_target[*at].is_some()).count();
    let total = |known: &[Option<Sum>], tallies: &Tallies, at: usize| {
        known[at].unwrap_or_else(|| tallies.get(&at).map(|parts| whole(parts)).unwrap_or_default())
    };
    let totals: Vec<(Sum, Sum)> =
        (0..pairs.len()).map(|at| (total(&known_source, &one, at), total(&known_target, &other, at))).collect();
    outcome.rows = totals.iter().map(|(sum, _)| sum.rows).sum();
    let unequal: Vec<usize> = (0..pairs.len()).filter(|at| totals[*at].0 != totals[*at].1).collect();
    // A sum that was remembered has no parts.
    let lacks = |tallies: &Tallies| unequal.iter().copied().filter(|at| !tallies.contains_key(at)).collect::<Vec<_>>();
    let (more_source, more_target) = (lacks(&one), lacks(&other));
    let (parts_source, parts_target) = try_join!(
        added(compare, source, pairs, &more_source, &way, cx),
        added(compare, target, pairs, &more_target, &way, cx)
    )?;
    one.extend(parts_source);
    other.extend(parts_target);
    let mut found = Vec::new();
    for at in unequal {
        let pair = &pairs[at];
        let (here, there) = (one.remove(&at).unwrap_or_default(), other.remove(&at).unwrap_or_default());
        cx.progress(0.96, format!("{} differs: looking for the rows", pair.name));
        let mut wrongs = narrow::rows(source, target, pair, (&here, &there)).await?;
        if wrongs.total() == 0 && pair.mode == Mode::Native {
            // Rows are the same by their texts: the hashes of some value do not agree after all.
            outcome
                .notes
                .push(format!("{}: compared by digests of text: the servers hash some value differently", pair.name));
            let (Some(one), Some(other)) =
                (source_catalog.tables.get(&pair.name), target_catalog.tables.get(&pair.name))
            else {
                continue;
            };
            let mut by_text = Pair::new(pair.name.clone(), one, other, sides.servers, Mode::Text, compare.nonce);
            by_text.parts = pair.parts.clone();
            let by_text = [by_text];
            let (mut one, mut other) = try_join!(
                scan::pass(source, &by_text, &[0], |_| {}, |_, _| {}),
                scan::pass(target, &by_text, &[0], |_| {}, |_, _| {})
            )?;
            let (here, there) = (one.remove(&0).unwrap_or_default(), other.remove(&0).unwrap_or_default());
            if here == there {
                continue;
            }
            wrongs = narrow::rows(source, target, &by_text[0], (&here, &there)).await?;
        }
        let (most, show) = (compare.spec.shown, compare.spec.show_values);
        let first = details::more((source, target), pair, &wrongs.rows, most, show).await?;
        found.push(Found { at, totals: totals[at], wrongs, first });
    }
    Ok(found)
}

fn whole(parts: &[Sum]) -> Sum {
    parts.iter().fold(Sum::default(), |mut all, part| {
        all.add(*part);
        all
    })
}

async fn added(
    compare: &Compare,
    side: &Side,
    pairs: &[Pair],
    which: &[usize],
    way: &Way,
    cx: &Cx,
) -> Result<Tallies, Failure> {
    let piece_done = |rows| way.went(rows, cx);
    let table_done = |at: usize, parts: &[Sum]| {
        compare.memory.keep(side.which, &pairs[at], &side.moment.snapshot, whole(parts));
    };
    scan::pass(side, pairs, which, piece_done, table_done).await
}

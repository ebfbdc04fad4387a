//! A second look at rows that differ while the source is written to: what the target has not yet got must not count, and
//! what it lacks must not be excused.
//!
//! ```text
//! source: row, place in the log ─ wait until the target has that place ─ target: row ─ source: row again
//!   both looks at the source alike, the target other  → differs
//!   the target like one of the looks                  → agrees
//!   the source changed in between                     → once more
//! ```
//!
//! A key that a side has twice differs at once: lateness does not make two rows of one, and the index that finds rows again may be
//! what is broken.

use std::collections::HashMap;

use super::{
    super::types::Type,
    Spec,
    details::{by_key, columns_of},
    marker::Link,
    narrow::{Fault, Key, Wrong, Wrongs},
    plan::Pair,
    side::{Param, Side},
};
use crate::{base::Failure, plan::Cx};

/// How often a row may have changed in between until it is told as undecided.
const ROUNDS: usize = 5;

/// What is left after the second look.
pub(super) struct Left {
    /// Rows that differ.
    pub wrongs: Wrongs,
    /// Of those, rows that changed during every look.
    pub undecided: usize,
}

/// Digests of rows by their key; more than one where the key is not kept.
type Rows = HashMap<Key, Vec<String>>;

/// Looks again. The transactions of both sides are over.
pub(super) async fn look(
    (source, target): (&Side, &Side),
    pair: &Pair,
    wrongs: &Wrongs,
    (spec, floats, link): (&Spec, i32, &Link),
    cx: &Cx,
) -> Result<Left, Failure> {
    let (mut sure, late): (Vec<Wrong>, Vec<Wrong>) = wrongs.rows.iter().cloned().partition(|wrong| wrong.twice);
    let mut open: Vec<Key> = late.into_iter().map(|wrong| wrong.key).collect();
    for _ in 0..ROUNDS {
        if open.is_empty() {
            break;
        }
        let (one, lsn) = read(source, pair, &open, spec, floats).await?;
        link.reached(source, &lsn, spec.marker_wait, cx).await?;
        let (other, _) = read(target, pair, &open, spec, floats).await?;
        let (after, _) = read(source, pair, &open, spec, floats).await?;
        let mut next = Vec::new();
        for key in open {
            let (before, there, now) = (one.get(&key), other.get(&key), after.get(&key));
            if before == there || now == there {
                continue;
            }
            if before == now {
                let fault = match (before, there) {
                    (Some(_), Some(_)) => Fault::Changed,
                    (Some(_), None) => Fault::Missing,
                    _ => Fault::Extra,
                };
                sure.push(Wrong { fault, key, times: 1, twice: false });
            } else {
                next.push(key);
            }
        }
        open = next;
    }
    let undecided = open.len();
    let mut left = Wrongs::default();
    sure.into_iter().for_each(|wrong| left.push(wrong));
    open.into_iter().for_each(|key| left.push(Wrong { fault: Fault::Changed, key, times: 1, twice: false }));
    left.rows.sort_by(|a, b| (a.fault, &a.key).cmp(&(b.fault, &b.key)));
    Ok(Left { wrongs: left, undecided })
}

async fn read(side: &Side, pair: &Pair, keys: &[Key], spec: &Spec, floats: i32) -> Result<(Rows, String), Failure> {
    let sql = by_key(pair, side, &pair.half(side.which).digest);
    let keys: Vec<&Key> = keys.iter().collect();
    let columns = columns_of(&keys, pair.key.len());
    let params: Vec<Param<'_>> = columns.iter().map(|column| (column as _, Type::TEXT_ARRAY)).collect();
    let what = format!("looking again at rows of {}", pair.name);
    let (rows, lsn) = side.afresh(spec, floats, &sql, &params, &what).await?;
    let mut found = Rows::new();
    rows.iter().for_each(|row| found.entry(row.get(0)).or_default().push(row.get(1)));
    found.values_mut().for_each(|digests| digests.sort_unstable());
    Ok((found, lsn))
}

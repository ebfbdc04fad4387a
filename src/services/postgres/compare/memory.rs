//! What a side was added up to, kept between looks, for as long as it is sure to be so still: while `txid_current_snapshot` of the
//! server reads the same, no transaction that wrote anything has ended, so that no table can have changed. Counters of the
//! statistics or the place in the log would not do: the ones lag behind by up to a minute, the other moves by itself. A crash
//! changes rows without a transaction: it empties unlogged tables, which are never kept, and may lose commits that were not
//! waited for, whose numbers are then given again; what tells a server's life goes into the text for that.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{name::Name, plan::Pair, scan::Sum, side::Which};

/// Sums of tables, by side.
#[derive(Debug, Default)]
pub(super) struct Memory {
    kept: Mutex<HashMap<(bool, Name), Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    snapshot: String,
    /// The hash's expression: another one has other sums.
    hash: String,
    total: Sum,
}

impl Memory {
    /// The sum of a whole table, if nothing can have changed.
    pub fn recall(&self, which: Which, pair: &Pair, snapshot: &str) -> Option<Sum> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(&(which == Which::Source, pair.name.clone()))?;
        (known.snapshot == snapshot && known.hash == pair.half(which).row).then_some(known.total)
    }

    /// Keeps a sum.
    pub fn keep(&self, which: Which, pair: &Pair, snapshot: &str, total: Sum) {
        if pair.half(which).has_unlogged {
            return;
        }
        let known = Kept { snapshot: snapshot.to_owned(), hash: pair.half(which).row.clone(), total };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert((which == Which::Source, pair.name.clone()), known);
    }
}

//! What only the whole file can tell: names that point nowhere, an order that cannot be, secrets
//! written down, variables that are not there.

mod lookalike;
mod names;
mod order;
mod variables;

use super::{Diagnostics, Runbook};

pub(super) use lookalike::find as find_lookalikes;

/// Every check of the whole file.
pub(super) fn check(runbook: &Runbook, d: &mut Diagnostics) {
    names::check(runbook, d);
    order::check(runbook, d);
    variables::check(runbook, d);
}

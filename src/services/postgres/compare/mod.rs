//! Compares two databases: how they are built and every row in them. The work is done by the two servers; what comes here
//! are sums.
//!
//! ```text
//! side     sessions of a server, in one snapshot, with the same settings    marker   when the target has what the source had
//! catalog, objects, schema   what there is, and where it is built differently
//! hash     a row as 64 bits, the same on both sides
//! plan     into which parts a table is told apart (order: where to cut)
//! scan     adds the parts up, on both sides at once         rows     all tables, and how far it is
//! narrow   parts that differ → rows                        details  which columns of a row
//! memory   what cannot have changed since the last look    again   a second look while the source is written to
//! ```
//!
//! Our own memory is bounded: a sum for each part (4,096 of a table, 65,536 of all), and keys of small parts only.

mod again;
mod catalog;
mod details;
mod hash;
mod look;
mod marker;
mod memory;
mod name;
mod narrow;
mod objects;
mod order;
mod outcome;
mod plan;
mod rows;
mod scan;
mod schema;
mod side;

use std::{collections::BTreeSet, time::Duration};

use super::super::Services;
use crate::{
    base::Failure,
    plan::{Cx, TextOrSecret},
};
use hash::Nonce;
use memory::Memory;
pub use name::{Name, Scope};
pub use outcome::{Aspect, Column, Difference, Differs, Fault, Outcome, Unlike};

/// What is compared, and how much of the servers it may take.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Where the data comes from.
    pub source: TextOrSecret,
    /// Where it has to be.
    pub target: TextOrSecret,
    /// Which tables.
    pub scope: Scope,
    /// Sessions at each side; each works on one statement.
    pub connections: usize,
    /// How long one statement may take.
    pub statement_timeout: Duration,
    /// How long to wait until the target has what the source had.
    pub marker_wait: Duration,
    /// Show what is in rows, beside their keys.
    pub show_values: bool,
    /// Rows of a table that are shown.
    pub shown: usize,
    /// Differences of the schema that nobody minds.
    pub ignore: BTreeSet<Aspect>,
    /// Only compare what the tables hold.
    pub without_schema: bool,
}

/// A comparison that may be made again and again, and remembers.
pub struct Compare {
    /// What to compare.
    pub spec: Spec,
    nonce: Nonce,
    memory: Memory,
}

impl Compare {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        Self { spec, nonce: Nonce::new(), memory: Memory::default() }
    }

    /// Looks once. No session is left, whatever happens.
    ///
    /// # Errors
    /// Where it could not be looked; differences are in the [`Outcome`].
    pub async fn look(&self, services: &Services, cx: &Cx) -> Result<Outcome, Failure> {
        look::look(self, &services.postgres, cx).await
    }
}

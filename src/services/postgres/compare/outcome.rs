//! What a comparison found, for whoever tells it to people.

use std::time::Duration;

use super::name::Name;
pub use super::{
    details::{Column, Difference},
    narrow::Fault,
    objects::Aspect,
    schema::Unlike,
};

/// A table whose rows differ.
#[derive(Debug, Clone)]
pub struct Differs {
    /// Which.
    pub name: Name,
    /// Rows at the source and at the target.
    pub rows: (i64, i64),
    /// Changed, missing and extra rows.
    pub counts: [i64; 3],
    /// There may be more.
    pub is_least: bool,
    /// The first of them.
    pub first: Vec<Difference>,
    /// Rows that changed at the source during every look at them.
    pub undecided: usize,
    /// They may only have been late, and without a key nobody can look at them again.
    pub may_be_late: bool,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Tables that both sides have and whose rows were compared.
    pub tables: usize,
    /// Of those, the ones that were known from the look before.
    pub remembered: usize,
    /// Rows of the source.
    pub rows: i64,
    /// Bytes of the source's tables.
    pub bytes: i64,
    /// How rows were hashed.
    pub hash: &'static str,
    /// Differences of rows.
    pub differs: Vec<Differs>,
    /// Differences of the schema.
    pub unlike: Vec<Unlike>,
    /// What was not compared, and why.
    pub left_out: Vec<String>,
    /// What people should know: another major version, text in place of hashes.
    pub notes: Vec<String>,
    /// Why the answer is of a moment only, where it is.
    pub provisional: Option<String>,
    /// How long it took.
    pub took: Duration,
}

//! What the kinds that speak HTTP have in common: requests as a runbook writes them, values that are filled
//! in, what an answer must be.

pub(super) mod address;
pub(super) mod answer;
pub(super) mod ask;
pub(super) mod body;
pub(super) mod dial;
pub(super) mod expect;
pub(super) mod json;
pub(super) mod once;
pub(super) mod status;
pub(super) mod template;

use std::time::Duration;

use crate::{
    base::{Class, Failure},
    plan::{Param, Params},
    runbook::value::Span,
};

/// How long one request may take unless the runbook says otherwise.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Whole milliseconds.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Tables of parameters put together, for kinds that share them.
pub(super) const fn joined<const N: usize>(tables: &[&[Param]]) -> [Param; N] {
    let mut all = [tables[0][0]; N];
    let (mut table, mut at, mut filled) = (0, 0, 0);
    while table < tables.len() {
        while at < tables[table].len() {
            all[filled] = tables[table][at];
            filled += 1;
            at += 1;
        }
        (table, at) = (table + 1, 0);
    }
    assert!(filled == N, "the length of the joined table is another one");
    all
}

/// A number within limits; the lower one where it is left out.
pub(super) fn within(params: &mut Params<'_>, key: &'static str, least: u64, most: u64) -> u64 {
    let found = params.opt_count(key).unwrap_or(least);
    if !(least..=most).contains(&found) {
        let span = params.place_of(key);
        params.mistake(span, format!("`{key}` must be {least} to {most}"), "out of range", None);
    }
    found.clamp(least, most)
}

/// A value that came from a server and does not fit where it is to be used.
pub(super) fn unfit(name: &str, why: &str) -> Failure {
    Failure::new(Class::NotYet, format!("the captured value `{name}` cannot be used: {why}"))
}

/// A mistake at a place.
pub(super) struct Wrong {
    pub span: Span,
    pub message: String,
    pub label: &'static str,
    pub help: Option<String>,
}

impl Wrong {
    pub fn new(span: Span, message: impl Into<String>, label: &'static str) -> Self {
        Self { span, message: message.into(), label, help: None }
    }

    pub fn tell(self, params: &mut Params<'_>) {
        params.mistake(self.span, self.message, self.label, self.help);
    }
}

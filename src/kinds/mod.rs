//! Floor 4: one file per kind of step or check, and the registry that finds them by name. Knows
//! neither the conductor nor the views.
//!
//! A new kind touches four places: `src/kinds/<name>.rs`, one word in [`ALL`],
//! `tests/it/kinds/<name>.rs`, `runbooks/kinds/<name>.toml` (a runnable example). A test fails if one is missing.

mod command;
mod dns;
mod dns_authoritative;
mod dns_propagated;
mod dns_wait_ttl;
#[cfg(feature = "heroku")]
mod heroku;
#[cfg(feature = "heroku")]
mod heroku_maintenance;
#[cfg(feature = "heroku")]
mod heroku_scale;
#[cfg(feature = "heroku")]
mod heroku_state;
mod http_check;
mod manual;
mod reading;
mod stop;
mod wait;

use std::sync::Arc;

use crate::{
    plan::{Action, Check, Doubt, Param, Params},
    services::Services,
};
use reading::{looking, nothing_to_restore, only_waits};

/// What the registry knows of a kind.
pub struct Kind {
    /// `system.verb`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What it sends, what it waits for, what hurts people there, its limits, the API pages it rests on. Markdown.
    pub docs: &'static str,
    /// Its parameters.
    pub params: &'static [Param],
    /// What a resume may do with an attempt whose outcome nobody saw.
    pub doubt: Doubt,
    /// What it needs to be allowed: IAM actions, or the Heroku scope in words.
    pub needs: &'static [&'static str],
    /// `runbooks/kinds/<name>.toml`.
    pub example: &'static str,
    /// How it is bound.
    pub bind: Bind,
}

type BindCheck = fn(&mut Params<'_>, &Arc<Services>) -> Arc<dyn Check>;
type BindAction = fn(&mut Params<'_>, &Arc<Services>) -> Arc<dyn Action>;

/// How a kind is bound to its parameters. Binding reads nothing and connects nowhere; mistakes go to [`Params`].
pub enum Bind {
    /// It reads.
    Check(BindCheck),
    /// It changes the world, or waits.
    Action(BindAction),
    /// It can be used as either.
    Both(BindCheck, BindAction),
    /// Part of the format itself (`stop`): the runbook reader knows it.
    Format,
}

/// Every kind, by name.
pub static ALL: &[&Kind] = &[
    &command::KIND,
    &dns_authoritative::KIND,
    &dns_propagated::KIND,
    &dns_wait_ttl::KIND,
    #[cfg(feature = "heroku")]
    &heroku_maintenance::KIND,
    #[cfg(feature = "heroku")]
    &heroku_scale::KIND,
    #[cfg(feature = "heroku")]
    &heroku_state::KIND,
    &http_check::KIND,
    &manual::KIND,
    &stop::KIND,
    &wait::KIND,
];

/// The kind of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|kind| kind.name == name)
}

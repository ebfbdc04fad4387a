//! Floor 2: what a run will do. Turns a runbook and an environment into bound steps, and holds the
//! contract that a kind keeps. Does not know which kinds exist.

mod bind;
mod build;
pub mod contract;
mod lacking;
mod needs;
mod params;

use std::{collections::BTreeSet, sync::Arc};

use crate::{base::StepId, run::Outline};
pub use build::{Options, build, needs_of};
pub use contract::{Action, Check, Cx, Done, Doubt, Finding, Identity, Permission, Seen};
pub use needs::Need;
pub use params::{Mistake, Param, Params, Shape, StepRef, TextOrSecret, nearest};

/// A whole plan: the part that can be written down, and the bound steps behind it.
pub struct Plan {
    /// What a journal carries in its first event.
    pub outline: Outline,
    /// The steps, in the outline's order.
    pub steps: Vec<Arc<Bound>>,
    /// The watches, in the outline's order.
    pub watches: Vec<BoundWatch>,
    /// Names of the secrets that its kinds are given.
    pub secrets: BTreeSet<String>,
}

/// A step's checks and actions, bound to their parameters and clients.
pub struct Bound {
    /// Before the action.
    pub precheck: Vec<Arc<dyn Check>>,
    /// What it does.
    pub action: Option<Arc<dyn Action>>,
    /// After the action.
    pub verify: Vec<Arc<dyn Check>>,
    /// How it is taken back.
    pub rollback: BoundRollback,
    /// What ought to be green at its stop point.
    pub criteria: Vec<Arc<dyn Check>>,
    /// The steps that its kinds build on.
    pub refs: Vec<StepId>,
}

/// How a step is taken back.
pub enum BoundRollback {
    /// What its action captured is written back.
    Restore,
    /// An action of its own.
    Action(Arc<dyn Action>),
    /// It is not.
    None,
}

/// A watch's check.
pub struct BoundWatch {
    /// What is looked at.
    pub check: Arc<dyn Check>,
    /// The steps that it builds on.
    pub refs: Vec<StepId>,
}

/// What a registry knows of a kind.
#[derive(Debug, Clone, Copy)]
pub struct KindInfo {
    /// Its parameters.
    pub params: &'static [Param],
    /// It can be a check.
    pub checks: bool,
    /// It can be an action.
    pub acts: bool,
}

/// Finds kinds by name and binds them. Binding reads nothing and connects nowhere.
pub trait Registry {
    /// Every name.
    fn names(&self) -> Vec<&'static str>;
    /// The kind of a name.
    fn find(&self, kind: &str) -> Option<KindInfo>;
    /// Bound as a check; `None` where it cannot be one.
    fn check(&self, kind: &str, params: &mut Params<'_>) -> Option<Arc<dyn Check>>;
    /// Bound as an action; `None` where it cannot be one.
    fn action(&self, kind: &str, params: &mut Params<'_>) -> Option<Arc<dyn Action>>;
}

//! Floor 2: what a run will do. Turns a runbook and an environment into bound steps, and holds the
//! contract that a kind keeps. Does not know which kinds exist.

pub mod contract;
mod params;

pub use contract::{Action, Check, Cx, Done, Doubt, Finding, Identity, Seen};
pub use params::{Mistake, Param, Params, Shape, StepRef, TextOrSecret};

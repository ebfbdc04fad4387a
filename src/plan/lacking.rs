//! What a sandbox has not got on this machine, and what is left out of its runs because of it: whatever is given a
//! secret that leads there. A kind that reaches for a server of its own goes on as everywhere else.

use std::collections::BTreeSet;

use crate::{
    run::{StepOutline, Treatment},
    runbook::{Env, EnvKind, Lack},
};

/// What the environment has not got.
#[derive(Clone, Copy)]
pub(super) struct Lacking<'e>(&'e [Lack]);

impl<'e> Lacking<'e> {
    /// Only a sandbox may lack something: a rehearsal and the night itself are whole, or they fail.
    pub(super) fn of(env: &'e Env) -> Self {
        Self(if env.kind == EnvKind::Sandbox { &env.sandbox.lacks } else { &[] })
    }

    /// All of it.
    pub(super) fn all(self) -> Vec<Lack> {
        self.0.to_vec()
    }

    /// Why what is given these secrets is left out.
    pub(super) fn reason(self, given: &BTreeSet<String>) -> Option<String> {
        self.0.iter().find(|lack| lack.secrets.iter().any(|name| given.contains(name))).map(Lack::reason)
    }
}

/// A step that `--from` or `--until` leaves is not part of the run anyhow.
pub(super) fn leave_out(outline: &mut StepOutline, why: String) {
    if !matches!(outline.treatment, Treatment::Leave(_)) {
        outline.treatment = Treatment::LeftOut(why);
    }
}

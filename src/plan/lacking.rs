//! What a sandbox has not got on this machine, and what is left out of its runs because of it: whatever is given a
//! secret that leads there. A kind that reaches for a server of its own goes on as everywhere else.

use std::collections::{BTreeSet, HashSet};

use crate::{
    base::StepId,
    run::{StepOutline, Treatment},
    runbook::{Env, EnvKind, Lack},
};

/// What the environment has not got, and the steps that are left out so far.
pub(super) struct Lacking<'e> {
    lacks: &'e [Lack],
    out: HashSet<StepId>,
}

impl<'e> Lacking<'e> {
    /// Only a sandbox may lack something: a rehearsal and the night itself are whole, or they fail.
    pub(super) fn of(env: &'e Env) -> Self {
        let lacks: &[Lack] = if env.kind == EnvKind::Sandbox { &env.sandbox.lacks } else { &[] };
        Self { lacks, out: HashSet::new() }
    }

    /// All of it.
    pub(super) fn all(&self) -> Vec<Lack> {
        self.lacks.to_vec()
    }

    /// Why what is given these secrets, or builds on these steps, is left out.
    pub(super) fn reason<'r>(
        &self,
        given: &BTreeSet<String>,
        mut refs: impl Iterator<Item = &'r StepId>,
    ) -> Option<String> {
        let lack = self.lacks.iter().find(|lack| lack.secrets.iter().any(|name| given.contains(name)));
        lack.map(Lack::reason).or_else(|| {
            let on = refs.find(|id| self.out.contains(*id))?;
            Some(format!("it builds on `{on}`, which is left out"))
        })
    }

    /// Remembers a step that is left out: what builds on it has nothing to build on.
    pub(super) fn note(&mut self, outline: &StepOutline) {
        if outline.left_out().is_some() {
            self.out.insert(outline.id.clone());
        }
    }
}

/// A step that `--from` or `--until` leaves is not part of the run anyhow.
pub(super) fn leave_out(outline: &mut StepOutline, why: String) {
    if !matches!(outline.treatment, Treatment::Leave(_)) {
        outline.treatment = Treatment::LeftOut(why);
    }
}

//! What has to be allowed at AWS for a whole plan, and for which part of it.

use super::{BoundRollback, Permission, Plan};

/// Something that has to be allowed, and for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// Action and resource.
    pub permission: Permission,
    /// The id of the step or watch.
    pub of: String,
}

impl Plan {
    /// What the steps' checks, actions and rollbacks and the watches need, in the plan's order, as often as it
    /// is needed. What the secrets need is not among it: their values are the services' business.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        let mut needs = Vec::new();
        for (outline, step) in self.outline.steps.iter().zip(&self.steps) {
            let back = if let BoundRollback::Action(action) = &step.rollback { Some(action) } else { None };
            let checks = step.precheck.iter().chain(&step.verify).chain(&step.criteria);
            let of_checks = checks.flat_map(|check| check.needs());
            let of_actions = step.action.iter().chain(back).flat_map(|action| action.needs());
            let of = outline.id.as_str();
            needs.extend(of_actions.chain(of_checks).map(|permission| Need { permission, of: of.to_owned() }));
        }
        for (outline, watch) in self.outline.watches.iter().zip(&self.watches) {
            let of = outline.id.as_str();
            needs.extend(watch.check.needs().into_iter().map(|permission| Need { permission, of: of.to_owned() }));
        }
        needs
    }
}

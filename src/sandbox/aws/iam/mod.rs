//! IAM: with a policy in force, every request is authorised as AWS does it, and what was decided is
//! remembered. Without one everything is allowed, as before.
//!
//! ```text
//! request ─▶ services (service, operation → action, resource) ─┐
//!            roles    (roles handed over → iam:PassRole)       ├─▶ policy ─▶ verdict ─▶ AccessDenied │ the service
//!            context  (what conditions ask)                    ┘                └─▶ remembered
//! ```
//!
//! Source: "Policy evaluation logic" and "Troubleshoot access denied error messages", AWS Identity and Access
//! Management user guide; actions and resources by the Service Authorization Reference.

mod condition;
mod policy;
mod request;
mod roles;
mod services;

use super::{Caller, protocol::No};
use crate::sandbox::{names::WorldNames, world::World};
pub use policy::{BadPolicy, Policy, Verdict};

/// Different authorisations that are remembered; a night has a few hundred.
const KEPT: usize = 10_000;

/// What everybody may do, whatever a policy says (API reference of the service).
const FREE: &[(&str, &str)] = &[("sts", "GetCallerIdentity")];

/// One decision: may this action be done on this resource?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// `ecs:UpdateService`.
    pub action: String,
    /// The ARN that was asked about; `*` where the action takes no resource.
    pub resource: String,
    /// What was decided, and by which statement.
    pub verdict: Verdict,
    /// How often.
    pub times: u64,
}

/// The policy in force, and what it decided.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct Guard {
    policy: Option<Policy>,
    decided: Vec<Authorization>,
}

impl Guard {
    pub fn new(policy: Option<Policy>) -> Self {
        Self { policy, decided: Vec::new() }
    }

    /// What was decided, in the order in which it was first asked.
    pub fn decided(&self) -> Vec<Authorization> {
        self.decided.clone()
    }

    fn remember(&mut self, action: &str, resource: &str, verdict: &Verdict) {
        let room = self.decided.len() < KEPT;
        let same = |it: &&mut Authorization| (&*it.action, &*it.resource, &it.verdict) == (action, resource, verdict);
        if let Some(known) = self.decided.iter_mut().find(same) {
            known.times += 1;
        } else if room {
            let (action, resource) = (action.to_owned(), resource.to_owned());
            self.decided.push(Authorization { action, resource, verdict: verdict.clone(), times: 1 });
        }
    }
}

/// Lets a request pass, or refuses it in AWS's words.
pub(super) fn authorize(world: &mut World, caller: &Caller<'_>, service: &str) -> Result<(), No> {
    let Some(policy) = world.live.guard.policy.clone() else { return Ok(()) };
    let Some(service) = services::find(service) else { return Err(unmapped(world, service, "whatever it is")) };
    let Some(request) = request::read(caller.asked, service) else {
        return Err(unmapped(world, service.signs, "a request that is none of its operations"));
    };
    if FREE.contains(&(service.signs, &request.operation)) {
        return Ok(());
    }
    let Some(action) = service.action(&request.operation) else {
        return Err(unmapped(world, service.signs, &request.operation));
    };
    let context = condition::context(world, service, &request);
    let resources = service.resource(world, caller.asked, &request);
    let mut asked: Vec<_> =
        resources.split(' ').map(|resource| (action.clone(), resource.to_owned(), context.clone())).collect();
    for (role, to) in roles::passed(world, service, &request) {
        asked.push(("iam:PassRole".into(), role, vec![("iam:passedtoservice", to.to_owned())]));
    }
    for (action, resource, context) in asked {
        let verdict = policy.decide(&action, &resource, &context);
        world.live.guard.remember(&action, &resource, &verdict);
        let because = match verdict {
            Verdict::Allowed(_) => continue,
            Verdict::NotAllowed => format!("because no identity-based policy allows the {action} action"),
            Verdict::Denied(_) => "with an explicit deny in an identity-based policy".to_owned(),
        };
        let who = world.names.caller_arn();
        let (status, code) = service.denied(caller.asked);
        let message = format!("User: {who} is not authorized to perform: {action} on resource: {resource} {because}");
        return Err((status, code, message));
    }
    Ok(())
}

/// A gap of this table, not of the policy: it must not pass for a permission, in neither direction.
fn unmapped(world: &mut World, service: &str, operation: &str) -> No {
    world.live.guard.remember(&format!("{service}:{operation}"), "?", &Verdict::NotAllowed);
    let message = format!(
        "the sandbox does not know which IAM action {service} {operation} is: add it to src/sandbox/aws/iam/services.rs"
    );
    (403, "AccessDenied", message)
}

/// The ARN of a resource of the world's account and region.
fn arn(names: &WorldNames, service: &str, resource: &str) -> String {
    if resource.starts_with("arn:") {
        return resource.to_owned();
    }
    names.arn(service, resource)
}

/// Part of the table: what is asked of a service.
type Params = serde_json::Value;

#[cfg(test)]
mod tests {
    use super::services::SERVICES;

    #[test]
    fn the_table_is_in_order_and_whole() {
        assert!(SERVICES.is_sorted_by_key(|service| service.signs));
        for service in SERVICES {
            assert!(service.operations.is_sorted(), "{}", service.signs);
            for operation in service.operations {
                let action = service.action(operation).unwrap();
                assert!(action.starts_with(&format!("{}:", service.prefix)), "{action}");
            }
            assert!(service.action("NoSuchOperation").is_none());
        }
    }
}

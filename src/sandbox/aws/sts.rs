//! STS: who the credentials belong to.

use super::No;
use crate::sandbox::{world::World, xml::Node};

/// The account of the fault `sts.other_account`.
const OTHER_ACCOUNT: &str = "999988887777";

pub(super) fn answer(world: &mut World, action: &str) -> Result<Vec<Node>, No> {
    if action != "GetCallerIdentity" {
        return Err((400, "InvalidAction", format!("Could not find operation {action} for version 2011-06-15")));
    }
    let other = world.strikes("sts.other_account");
    let account = if other { OTHER_ACCOUNT } else { world.names.account.as_str() };
    Ok(vec![
        Node::leaf("Arn", format!("arn:aws:sts::{account}:assumed-role/cutover/sandbox")),
        Node::leaf("UserId", "AROASANDBOXCUTOVER00:sandbox"),
        Node::leaf("Account", account),
    ])
}

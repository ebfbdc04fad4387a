//! What the Route 53 kinds share: the zone and the record in a step's parameters, and one transaction over several
//! record sets.
//!
//! ```text
//! params ─▶ zone::read, record::each ─▶ Transaction<W: Wanted>
//!                                          capture: look at every name ─▶ Wanted::plan ─▶ Swap (before, after)
//!                                          apply, restore, probe: Swap
//! ```

pub(super) mod record;
pub(super) mod target;
pub(super) mod transaction;
pub(super) mod zone;

/// What each of them may need to be allowed; what checks of their own need is not among it.
pub(super) const NEEDS: &[&str] = &[
    "route53:ChangeResourceRecordSets",
    "route53:GetChange",
    "route53:GetHostedZone",
    "route53:ListHostedZonesByName",
    "route53:ListResourceRecordSets",
    "sts:GetCallerIdentity",
];

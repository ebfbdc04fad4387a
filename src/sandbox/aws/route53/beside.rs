//! Whether a record set may stand in its zone beside the others.
//!
//! Source: API reference of `ResourceRecordSet`, "Choosing between alias and non-alias records" and "Choosing a routing
//! policy" of the developer guide, and messages seen from the service.

use super::{
    value,
    zone::{RecordSet, Zone, normal_name},
};
use crate::sandbox::names::WorldNames;

/// Says why a set may not stand there.
pub(super) fn place(zone: &Zone, names: &WorldNames, sets: &[RecordSet], set: &RecordSet) -> Result<(), String> {
    name_fits(zone, set)?;
    let others = || sets.iter().filter(|other| other.name == set.name && !other.same_key(set));
    cname_alone(zone, set, others())?;
    same_policy(set, others().filter(|other| other.rtype == set.rtype))?;
    if set.failover.as_deref() == Some("PRIMARY") && set.alias.is_none() && set.health_check.is_none() {
        let message = "A non-alias primary ResourceRecordSet must have an associated health check. No changes made.";
        return Err(message.into());
    }
    if set.alias.is_some() { alias(zone, names, sets, set) } else { values(set) }
}

/// Weighted sets of one name and type have one TTL, as they are after the batch.
pub(super) fn one_ttl(sets: &[RecordSet], set: &RecordSet) -> Option<String> {
    let here = sets.iter().filter(|other| other.name == set.name && other.rtype == set.rtype && other.weight.is_some());
    let mut ttls: Vec<u32> = here.filter_map(|other| other.ttl).collect();
    ttls.sort_unstable();
    ttls.dedup();
    (ttls.len() > 1).then(|| {
        format!(
            "RRSet with DNS name {} and type {}, SetIdentifier {} cannot be created as weighted sets must contain the \
             same TTL.",
            set.name,
            set.rtype,
            set.set_identifier.as_deref().unwrap_or("null")
        )
    })
}

fn name_fits(zone: &Zone, set: &RecordSet) -> Result<(), String> {
    let (name, rtype, apex) = (&set.name, &set.rtype, &zone.name);
    if name != apex && !name.ends_with(&format!(".{apex}")) {
        return Err(format!("RRSet with DNS name {name} is not permitted in zone {apex}"));
    }
    let labels = name.trim_end_matches('.').split('.');
    if name.len() > 255 || labels.clone().any(|label| label.len() > 63 && !label.contains('\\')) {
        return Err(format!("FATAL problem: DomainLabelTooLong (Domain label is too long) encountered with '{name}'"));
    }
    if labels.clone().any(str::is_empty) {
        return Err(format!("FATAL problem: DomainLabelEmpty (Domain label is empty) encountered with '{name}'"));
    }
    if rtype == "CNAME" && name == apex {
        return Err(format!("RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {apex}"));
    }
    if rtype == "SOA" && name != apex {
        return Err(format!("RRSet of type SOA with DNS name {name} is not permitted in zone {apex}"));
    }
    if rtype == "DS" && name == apex {
        return Err(format!("RRSet of type DS with DNS name {name} is not permitted at apex in zone {apex}"));
    }
    Ok(())
}

fn cname_alone<'a>(
    zone: &Zone,
    set: &RecordSet,
    mut others: impl Iterator<Item = &'a RecordSet>,
) -> Result<(), String> {
    let RecordSet { name, rtype, .. } = set;
    let apex = &zone.name;
    if !others.any(|other| (other.rtype == "CNAME") != (rtype == "CNAME")) {
        return Ok(());
    }
    Err(if rtype == "CNAME" {
        format!(
            "RRSet of type CNAME with DNS name {name} is not permitted as it conflicts with other records with the \
             same DNS name in zone {apex}"
        )
    } else {
        format!(
            "RRSet of type {rtype} with DNS name {name} is not permitted because a conflicting RRSet of type  CNAME \
             with the same DNS name already exists in zone {apex}"
        )
    })
}

fn policy(set: &RecordSet) -> &'static str {
    match set {
        RecordSet { weight: Some(_), .. } => "weighted",
        RecordSet { region: Some(_), .. } => "latency",
        RecordSet { failover: Some(_), .. } => "failover",
        RecordSet { geo: Some(_), .. } => "geolocation",
        RecordSet { cidr: Some(_), .. } => "cidr",
        RecordSet { near: Some(_), .. } => "geoproximity",
        RecordSet { multivalue: Some(true), .. } => "multivalue answer",
        _ => "simple",
    }
}

/// Sets of one name and type have one policy, and each its own place in it.
fn same_policy<'a>(set: &RecordSet, mut others: impl Iterator<Item = &'a RecordSet>) -> Result<(), String> {
    let RecordSet { name, rtype, .. } = set;
    let id = set.set_identifier.as_deref().unwrap_or("null");
    let own = policy(set);
    let clash = others.find_map(|other| {
        if own == "simple" {
            return Some(format!(
                "RRSet with DNS name {name}, type {rtype} cannot be created as other RRSets exist with the same name \
                 and type."
            ));
        }
        if policy(other) != own {
            return Some(format!(
                "RRSet with DNS name {name}, type {rtype}, SetIdentifier {id} cannot be created as a non-{own} set \
                 exists with the same name and type."
            ));
        }
        let (same, what, shown) = match own {
            "latency" => (set.region == other.region, "region", set.region.clone().unwrap_or_default()),
            "failover" => (set.failover == other.failover, "failover", set.failover.clone().unwrap_or_default()),
            "geolocation" => (set.geo == other.geo, "geolocation", format!("{:?}", set.geo)),
            "cidr" => (set.cidr == other.cidr, "CIDR location", format!("{:?}", set.cidr)),
            _ => (false, "", String::new()),
        };
        same.then(|| {
            format!(
                "RRSet with DNS name {name}, type {rtype}, SetIdentifier {id}, and {what} {shown} cannot be created \
                 because a {own} RRSet with the same name, type and {what} already exists."
            )
        })
    });
    clash.map_or(Ok(()), Err)
}

/// An alias points into its own zone, or at the load balancer.
fn alias(zone: &Zone, names: &WorldNames, sets: &[RecordSet], set: &RecordSet) -> Result<(), String> {
    let (Some(alias), rtype) = (&set.alias, &set.rtype) else { return Ok(()) };
    let tried = format!("Tried to create an alias that targets {}, type {rtype} in zone {}", alias.name, alias.zone);
    if ["NS", "SOA"].contains(&rtype.as_str()) {
        return Err(format!("{tried}, but an alias cannot be of that type"));
    }
    if alias.zone == zone.id {
        if alias.name != zone.name && !alias.name.ends_with(&format!(".{}", zone.name)) {
            return Err(format!("{tried}, but the alias target name does not lie within the target zone"));
        }
        let there = sets.iter().any(|to| to.name == alias.name && to.rtype == *rtype && !to.same_key(set));
        return if there { Ok(()) } else { Err(format!("{tried}, but that target was not found")) };
    }
    let balancer = alias.name == normal_name(&names.new_target) && ["A", "AAAA"].contains(&rtype.as_str());
    if balancer { Ok(()) } else { Err(format!("{tried}, but that target was not found")) }
}

fn values(set: &RecordSet) -> Result<(), String> {
    let RecordSet { name, rtype, .. } = set;
    if ["CNAME", "SOA"].contains(&rtype.as_str()) && set.values.len() > 1 {
        return Err(format!("RRSet of type {rtype} with DNS name {name} has more than one value"));
    }
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = set.values.iter().find(|value| !seen.insert(value.as_str())) {
        return Err(format!("Duplicate Resource Record: '{twice}'"));
    }
    set.values.iter().try_for_each(|one| value::check(rtype, one))
}

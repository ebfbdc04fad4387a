//! What AWS refuses in a change batch, in AWS's words where they are known. A batch is checked whole
//! and applied whole or not at all.
//!
//! Source: API reference of `ChangeResourceRecordSets` (`InvalidChangeBatch`, `InvalidInput`), the developer guide's
//! "Supported DNS record types" and "Choosing between alias and non-alias records", and messages seen from the service.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::zone::{RecordSet, Zone, normal_name};
use crate::sandbox::names::WorldNames;

/// A batch that cannot be: the code and the message.
pub(super) type Refused = (&'static str, String);

const TYPES: [&str; 13] =
    ["SOA", "A", "TXT", "NS", "CNAME", "MX", "NAPTR", "PTR", "SRV", "SPF", "AAAA", "CAA", "HTTPS"];
/// Value characters in one request, and records in one request.
const MAX_RECORDS: usize = 1000;

/// One change of a batch.
pub(super) struct Asked {
    pub action: String,
    pub set: RecordSet,
}

/// The zone's sets after the batch.
pub(super) fn apply(zone: &Zone, names: &WorldNames, batch: &[Asked]) -> Result<Vec<RecordSet>, Refused> {
    for asked in batch {
        shape(asked).map_err(|message| ("InvalidInput", message))?;
    }
    if batch.iter().map(|asked| asked.set.values.len()).sum::<usize>() > MAX_RECORDS {
        return Err(("InvalidChangeBatch", format!("[Number of records limit of {MAX_RECORDS} exceeded.]")));
    }
    let mut sets = zone.sets.clone();
    let mut wrong = Vec::new();
    for Asked { action, set } in batch {
        let at = sets.iter().position(|old| old.same_key(set));
        let what = format!("resource record set [name='{}', type='{}'{}]", set.name, set.rtype, identifier(set));
        match (action.as_str(), at) {
            ("DELETE", None) => wrong.push(format!("Tried to delete {what} but it was not found")),
            ("DELETE", Some(at)) if !sets[at].same_content(set) => {
                wrong.push(format!("Tried to delete {what} but the values provided do not match the current values"));
            }
            ("DELETE", Some(_)) if set.name == zone.name && matches!(set.rtype.as_str(), "SOA" | "NS") => {
                let rtype = &set.rtype;
                wrong.push(format!("A HostedZone must contain {} {rtype} record{}", one(rtype), for_zone(rtype)));
            }
            ("DELETE", Some(at)) => {
                sets.remove(at);
            }
            ("CREATE", Some(_)) => wrong.push(format!("Tried to create {what} but it already exists")),
            (_, at) => match place(zone, names, &sets, set) {
                Ok(()) => match at {
                    Some(at) => sets[at] = set.clone(),
                    None => sets.push(set.clone()),
                },
                Err(message) => wrong.push(message),
            },
        }
    }
    if wrong.is_empty() { Ok(sets) } else { Err(("InvalidChangeBatch", format!("[{}]", wrong.join(", ")))) }
}

fn identifier(set: &RecordSet) -> String {
    set.set_identifier.as_ref().map(|id| format!(", set identifier='{id}'")).unwrap_or_default()
}

fn one(rtype: &str) -> &'static str {
    if rtype == "SOA" { "exactly one" } else { "at least one" }
}

fn for_zone(rtype: &str) -> &'static str {
    if rtype == "SOA" { "." } else { " for the zone itself." }
}

/// What can be said without looking at the zone.
fn shape(asked: &Asked) -> Result<(), String> {
    let Asked { action, set } = asked;
    let place = format!(
        "Change with [Action={action}, Name={}, Type={}, SetIdentifier={}]",
        set.name,
        set.rtype,
        set.set_identifier.as_deref().unwrap_or("null")
    );
    if !["CREATE", "DELETE", "UPSERT"].contains(&action.as_str()) {
        return Err(format!("Invalid XML ; the value '{action}' of element 'Action' is not valid."));
    }
    if !TYPES.contains(&set.rtype.as_str()) {
        return Err(format!("Invalid XML ; the value '{}' of element 'Type' is not valid.", set.rtype));
    }
    let record = set.ttl.is_some() && !set.values.is_empty();
    let partial = set.ttl.is_some() || !set.values.is_empty();
    let kinds = "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId]";
    match (set.alias.is_some(), record, partial) {
        (true, _, true) => return Err(format!("Invalid request: {kinds}, but found more than one in {place}")),
        (false, false, _) => return Err(format!("Invalid request: {kinds}, but found none in {place}")),
        _ => {}
    }
    let policies = [set.weight.is_some(), set.region.is_some(), set.failover.is_some(), set.multivalue.is_some()];
    let given = policies.iter().filter(|given| **given).count();
    let policy =
        "Expected exactly one of [Weight, Region, Failover, MultiValueAnswer, GeoLocation, or CidrRoutingConfig]";
    match (&set.set_identifier, given) {
        (None, 1..) => Err(format!("Invalid request: Missing field 'SetIdentifier' in {place}")),
        (Some(_), 0) => Err(format!("Invalid request: {policy}, but found none in {place}")),
        (Some(_), 2..) => Err(format!("Invalid request: {policy}, but found more than one in {place}")),
        (Some(id), _) if id.is_empty() || id.len() > 128 => {
            Err(format!("Invalid request: SetIdentifier must have 1 to 128 characters in {place}"))
        }
        _ => Ok(()),
    }
}

/// Whether a set may stand in the zone beside the others.
fn place(zone: &Zone, names: &WorldNames, sets: &[RecordSet], set: &RecordSet) -> Result<(), String> {
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
    let mut others = sets.iter().filter(|other| other.name == *name && !other.same_key(set));
    if rtype == "CNAME" && others.clone().any(|other| other.rtype != "CNAME") {
        return Err(format!(
            "RRSet of type CNAME with DNS name {name} is not permitted as it conflicts with other records with the \
             same DNS name in zone {apex}"
        ));
    }
    if rtype != "CNAME" && others.clone().any(|other| other.rtype == "CNAME") {
        return Err(format!(
            "RRSet of type {rtype} with DNS name {name} is not permitted because a conflicting RRSet of type  CNAME \
             with the same DNS name already exists in zone {apex}"
        ));
    }
    let policy = |set: &RecordSet| match set {
        RecordSet { weight: Some(_), .. } => "weighted",
        RecordSet { region: Some(_), .. } => "latency-based",
        RecordSet { failover: Some(_), .. } => "failover",
        RecordSet { multivalue: Some(_), .. } => "multivalue answer",
        _ => "simple",
    };
    if let Some(other) = others.find(|other| other.rtype == *rtype && policy(other) != policy(set)) {
        return Err(format!(
            "RRSet with DNS name {name}, type {rtype}, SetIdentifier {}, and routing policy {} cannot be created as \
             RRSets with routing policy {} exist with the same name and type",
            set.set_identifier.as_deref().unwrap_or("null"),
            policy(set),
            policy(other)
        ));
    }
    match &set.alias {
        Some(alias) => {
            let known = alias.name == normal_name(&names.new_target)
                || (alias.zone == zone.id && sets.iter().any(|to| to.name == alias.name && to.rtype == *rtype));
            if known {
                Ok(())
            } else {
                Err(format!(
                    "Tried to create an alias that targets {}, type {rtype} in zone {}, but that target was not found",
                    alias.name, alias.zone
                ))
            }
        }
        None => {
            if rtype == "CNAME" && set.values.len() > 1 {
                return Err(format!("RRSet of type CNAME with DNS name {name} has more than one value"));
            }
            let mut seen = set.values.clone();
            seen.sort();
            seen.dedup();
            if seen.len() < set.values.len() {
                return Err(format!("Duplicate Resource Record: '{}'", set.values[0]));
            }
            set.values.iter().try_for_each(|value| check_value(rtype, value))
        }
    }
}

fn check_value(rtype: &str, value: &str) -> Result<(), String> {
    let fatal =
        |problem: &str| Err(format!("Invalid Resource Record: 'FATAL problem: {problem} encountered with '{value}''"));
    let domain = |text: &str| {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.split('.').any(str::is_empty) {
            fatal("DomainLabelEmpty (Domain label is empty)")
        } else if text.split('.').any(|label| label.len() > 63) {
            fatal("DomainLabelTooLong (Domain label is too long)")
        } else if text.contains(char::is_whitespace) {
            fatal("UnexpectedWhitespace (Domain name contains white space)")
        } else {
            Ok(())
        }
    };
    let fields: Vec<&str> = value.split_whitespace().collect();
    let number = |text: &str| text.parse::<u16>().is_ok();
    match rtype {
        "A" if value.parse::<Ipv4Addr>().is_err() => {
            fatal("ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)")
        }
        "AAAA" if value.parse::<Ipv6Addr>().is_err() => {
            fatal("AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)")
        }
        "CNAME" | "NS" | "PTR" => domain(value),
        "TXT" | "SPF" if !(value.len() >= 2 && value.starts_with('"') && value.ends_with('"')) => {
            fatal("InvalidCharacterString (Value should be enclosed in quotation marks)")
        }
        "MX" if fields.len() != 2 => fatal("MXRRDATANotTwoFields (MX record does not have 2 fields)"),
        "MX" if !number(fields[0]) => fatal("MXRRDATAPriorityNotInteger (Priority is not an integer)"),
        "SRV" if fields.len() != 4 || !fields[..3].iter().all(|field| number(field)) => {
            fatal("SRVRRDATANotFourFields (SRV record does not have 4 fields)")
        }
        "CAA" if fields.len() < 3 => fatal("CAARRDATANotThreeFields (CAA record does not have 3 fields)"),
        _ => Ok(()),
    }
}

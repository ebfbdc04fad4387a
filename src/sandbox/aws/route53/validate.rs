//! What AWS refuses in a change batch, in AWS's words where they are known. A batch is checked whole
//! and applied whole or not at all.
//!
//! Source: API reference of `ChangeResourceRecordSets` and `ResourceRecordSet`, "Quotas on API requests" of the developer
//! guide, and messages seen from the service.

use super::{
    beside,
    health::HealthChecks,
    zone::{Near, RecordSet, Zone},
};
use crate::sandbox::names::WorldNames;

/// A batch that cannot be: status, code and message.
pub(super) type Refused = (u16, &'static str, String);

const TYPES: [&str; 17] = [
    "SOA", "A", "TXT", "NS", "CNAME", "MX", "NAPTR", "PTR", "SRV", "SPF", "AAAA", "CAA", "DS", "TLSA", "SSHFP", "SVCB",
    "HTTPS",
];
/// Records in one request, and characters of their values; an UPSERT counts twice.
const MAX_RECORDS: usize = 1000;
const MAX_CHARACTERS: usize = 32_000;

/// One change of a batch.
pub(super) struct Asked {
    pub action: String,
    pub set: RecordSet,
}

/// The zone's sets after the batch.
pub(super) fn apply(
    zone: &Zone,
    names: &WorldNames,
    checks: &HealthChecks,
    batch: &[Asked],
) -> Result<Vec<RecordSet>, Refused> {
    for asked in batch {
        shape(asked).map_err(|message| (400, "InvalidInput", message))?;
    }
    let invalid = |messages: &[String]| (400, "InvalidChangeBatch", format!("[{}]", messages.join(", ")));
    size(batch).map_err(|message| invalid(&[message]))?;
    let unknown =
        batch.iter().filter(|asked| asked.action != "DELETE").filter_map(|asked| asked.set.health_check.as_ref());
    if let Some(id) = unknown.into_iter().find(|id| !checks.has(id)) {
        return Err((404, "NoSuchHealthCheck", format!("A health check with id {id} does not exist.")));
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
            (_, at) => match beside::place(zone, names, &sets, set) {
                Ok(()) => match at {
                    Some(at) => sets[at] = set.clone(),
                    None => sets.push(set.clone()),
                },
                Err(message) => wrong.push(message),
            },
        }
    }
    wrong.extend(batch.iter().filter_map(|asked| beside::one_ttl(&sets, &asked.set)));
    wrong.dedup();
    if wrong.is_empty() { Ok(sets) } else { Err(invalid(&wrong)) }
}

fn size(batch: &[Asked]) -> Result<(), String> {
    let twice = |asked: &Asked| if asked.action == "UPSERT" { 2 } else { 1 };
    let records: usize = batch.iter().map(|asked| asked.set.values.len().max(1) * twice(asked)).sum();
    if records > MAX_RECORDS {
        return Err(format!("Number of records limit of {MAX_RECORDS} exceeded."));
    }
    let length =
        |asked: &Asked| asked.set.values.iter().map(|value| value.chars().count()).sum::<usize>() * twice(asked);
    if batch.iter().map(length).sum::<usize>() > MAX_CHARACTERS {
        return Err(format!("RDATA character limit of {MAX_CHARACTERS} exceeded."));
    }
    Ok(())
}

fn identifier(set: &RecordSet) -> String {
    set.set_identifier.as_ref().map(|id| format!(", set-identifier='{id}'")).unwrap_or_default()
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
    let policies = [
        set.weight.is_some(),
        set.region.is_some(),
        set.failover.is_some(),
        // False is the same as left out.
        set.multivalue == Some(true),
        set.geo.is_some(),
        set.cidr.is_some(),
        set.near.is_some(),
    ];
    let given = policies.iter().filter(|given| **given).count();
    let policy = "Expected exactly one of [Weight, Region, Failover, GeoLocation, MultiValueAnswer, CidrRoutingConfig, \
                  or GeoProximityLocation]";
    match (&set.set_identifier, given) {
        (None, 1..) => return Err(format!("Invalid request: Missing field 'SetIdentifier' in {place}")),
        (Some(_), 0) => return Err(format!("Invalid request: {policy}, but found none in {place}")),
        (Some(_), 2..) => return Err(format!("Invalid request: {policy}, but found more than one in {place}")),
        (Some(id), _) if id.is_empty() || id.chars().count() > 128 => {
            return Err(format!("Invalid request: SetIdentifier must have 1 to 128 characters in {place}"));
        }
        _ => {}
    }
    routing(set).map_err(|message| format!("Invalid request: {message} in {place}"))
}

/// What a routing policy itself must be.
fn routing(set: &RecordSet) -> Result<(), String> {
    let region = |text: &String| {
        let mut parts = text.split('-');
        let words = parts.clone().count() >= 3 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let number = parts.next_back().is_some_and(|last| last.parse::<u8>().is_ok());
        if words && number { Ok(()) } else { Err(format!("'{text}' is not a Region")) }
    };
    set.region.iter().try_for_each(region)?;
    if let Some(failover) = &set.failover
        && !["PRIMARY", "SECONDARY"].contains(&failover.as_str())
    {
        return Err(format!("Failover must be PRIMARY or SECONDARY, not '{failover}'"));
    }
    if let Some(geo) = &set.geo {
        let code = |text: &Option<String>, length: std::ops::RangeInclusive<usize>| {
            text.as_ref().is_none_or(|text| text == "*" || length.contains(&text.len()))
        };
        let whole = match (&geo.continent, &geo.country, &geo.subdivision) {
            (Some(_), None, None) | (None, Some(_), None) => true,
            (None, Some(country), Some(_)) => ["US", "UA"].contains(&country.as_str()),
            _ => false,
        };
        if !whole || !code(&geo.continent, 2..=2) || !code(&geo.country, 2..=2) || !code(&geo.subdivision, 1..=3) {
            return Err("GeoLocation must be a continent, a country, or a subdivision of US or UA".into());
        }
    }
    if let Some(cidr) = &set.cidr {
        let uuid = cidr.collection.len() == 36 && cidr.collection.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if !uuid || !(1..=16).contains(&cidr.location.len()) {
            return Err("CidrRoutingConfig must have a collection's id and a location of 1 to 16 characters".into());
        }
    }
    if let Some(Near { region: own, local_zone_group, at, .. }) = &set.near {
        own.iter().try_for_each(region)?;
        if [own.is_some(), local_zone_group.is_some(), at.is_some()].iter().filter(|given| **given).count() != 1 {
            return Err(
                "GeoProximityLocation must have exactly one of AWSRegion, LocalZoneGroup and Coordinates".into()
            );
        }
        let within = |text: &str, most: f64| text.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= most);
        if at.as_ref().is_some_and(|(latitude, longitude)| !within(latitude, 90.0) || !within(longitude, 180.0)) {
            return Err("Coordinates must be degrees".into());
        }
    }
    if set.multivalue == Some(true) && (set.alias.is_some() || ["CNAME", "NS"].contains(&set.rtype.as_str())) {
        return Err("a multivalue answer record cannot be an alias, a CNAME or an NS record".into());
    }
    Ok(())
}

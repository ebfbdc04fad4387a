//! Route 53, REST with XML, version 2013-04-01: zones, record sets, changes, health checks. A change is PENDING for
//! a moment and served by the name servers from INSYNC on.

mod beside;
mod create;
mod health;
mod list;
mod validate;
mod value;
pub(in crate::sandbox) mod wire;
pub(in crate::sandbox) mod zone;

use super::Caller;
use crate::sandbox::{
    http::Reply,
    world::{Moment, World, after},
    xml::Node,
};
pub(in crate::sandbox) use health::HealthChecks;
use validate::Asked;
pub(in crate::sandbox) use zone::{Alias, RecordSet, Zone, normal_name};

/// From a change to INSYNC, in milliseconds; AWS says "generally within 60 seconds".
const INSYNC: i64 = 1500;
/// The same under the fault `route53.insync`.
const INSYNC_SLOW: i64 = 20_000;
/// The TTL that the fault `route53.third_party` leaves behind.
const THIRD_PARTY_TTL: u32 = 299;

/// A refusal: HTTP status, code, message.
pub(super) type No = (u16, &'static str, String);

/// Answers one request; the path is without its query.
pub(super) fn answer(world: &mut World, caller: &Caller<'_>, now: Moment) -> Result<Reply, No> {
    let asked = caller.asked;
    let path = percent_encoding::percent_decode_str(&asked.path).decode_utf8_lossy().into_owned();
    let path = path.trim_end_matches('/').strip_prefix("/2013-04-01/").unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["hostedzone"]) => Ok(list::zones(world, asked)),
        ("GET", ["hostedzonecount"]) => {
            Ok(wire::reply("GetHostedZoneCountResponse", vec![Node::leaf("HostedZoneCount", world.zones.len())]))
        }
        ("GET", ["hostedzonesbyname"]) => Ok(list::zones_by_name(world, asked)),
        ("GET", ["hostedzone", id]) => {
            let zone = find(world, id)?;
            Ok(wire::reply("GetHostedZoneResponse", vec![wire::zone(zone), wire::belongings(zone)]))
        }
        ("POST", ["hostedzone"]) => create::zone(world, asked, &caller.request_id, now),
        ("POST", ["healthcheck"]) => health::create(world, asked, &caller.request_id, now),
        ("GET", ["healthcheck"]) => Ok(health::list(world, asked)),
        ("GET", ["healthcheck", id]) => health::get(world, id),
        ("GET", ["healthcheck", id, "status"]) => health::status(world, id, now),
        ("DELETE", ["healthcheck", id]) => health::delete(world, id, &caller.request_id, now),
        ("GET", ["hostedzone", id, "rrset"]) => list::record_sets(find(world, id)?, asked),
        ("POST", ["hostedzone", id, "rrset"]) => change(world, caller, id, now),
        ("GET", ["change", id]) => {
            let mut changes = world.zones.iter().flat_map(|zone| &zone.changes);
            let Some(change) = changes.rfind(|change| change.id == **id) else {
                return Err((404, "NoSuchChange", format!("Could not find resource with ID: {id}")));
            };
            Ok(wire::reply("GetChangeResponse", vec![wire::change_info(change, now)]))
        }
        (method, _) => Err((404, "UnknownOperationException", format!("{method} {path} is not part of the sandbox"))),
    }
}

/// The resource that IAM checks ("Actions, resources, and condition keys for Amazon Route 53"); `Id` is the path's.
pub(super) fn resource(_: &World, operation: &str, params: &serde_json::Value) -> String {
    let id = params["Id"].as_str().unwrap_or_default();
    match operation {
        "GetChange" => format!("arn:aws:route53:::change/{id}"),
        "ChangeResourceRecordSets" | "GetHostedZone" | "ListResourceRecordSets" => {
            format!("arn:aws:route53:::hostedzone/{id}")
        }
        "DeleteHealthCheck" | "GetHealthCheck" | "GetHealthCheckStatus" => {
            format!("arn:aws:route53:::healthcheck/{id}")
        }
        _ => "*".into(),
    }
}

fn find<'a>(world: &'a World, id: &str) -> Result<&'a Zone, No> {
    let none = || (404, "NoSuchHostedZone", format!("No hosted zone found with ID: {id}"));
    world.zones.iter().find(|zone| zone.id == id).ok_or_else(none)
}

fn change(world: &mut World, caller: &Caller<'_>, id: &str, now: Moment) -> Result<Reply, No> {
    let invalid = |message: String| (400, "InvalidInput", message);
    let document = Node::parse(&caller.asked.body).filter(|root| root.name == "ChangeResourceRecordSetsRequest");
    let document =
        document.ok_or_else(|| (400, "MalformedXML", "The XML you provided is not well-formed".to_owned()))?;
    let batch = document.get("ChangeBatch").ok_or_else(|| invalid("Invalid XML ; 'ChangeBatch' is missing".into()))?;
    let mut changes = Vec::new();
    for change in batch.get("Changes").map(|node| node.children.as_slice()).unwrap_or_default() {
        let set = change.get("ResourceRecordSet");
        let set = set.ok_or_else(|| invalid("Invalid XML ; 'ResourceRecordSet' is missing".into()))?;
        let action = change.text_of("Action").unwrap_or_default().to_owned();
        changes.push(Asked { action, set: wire::read_record_set(set).map_err(invalid)? });
    }
    if changes.is_empty() {
        return Err(invalid(
            "1 validation error detected: Value '[]' at 'changeBatch.changes' failed to satisfy \
                            constraint: Member must have length greater than or equal to 1"
                .into(),
        ));
    }
    find(world, id)?;
    if world.strikes("route53.prior_request") {
        let busy = "The request was rejected because Route 53 was still processing a prior request.";
        return Err((400, "PriorRequestNotComplete", busy.into()));
    }
    let meddled = world.strikes("route53.third_party");
    let insync = if world.strikes("route53.insync") { INSYNC_SLOW } else { INSYNC };
    let names = world.names.clone();
    let (change_id, theirs) = (format!("C{}", world.seed.upper(19)), format!("C{}", world.seed.upper(19)));
    let Some(zone) = world.zones.iter_mut().find(|zone| zone.id == id) else {
        return Err((404, "NoSuchHostedZone", format!("No hosted zone found with ID: {id}")));
    };
    if meddled {
        let mut sets = zone.sets.clone();
        if let Some(set) = sets.iter_mut().find(|set| set.same_key(&changes[0].set) && set.ttl.is_some()) {
            set.ttl = Some(THIRD_PARTY_TTL);
        }
        zone.submit(theirs, Some("terraform apply".into()), sets, now, after(now, insync));
    }
    let sets = validate::apply(zone, &names, &world.health, &changes)?;
    let comment = batch.text_of("Comment").map(str::to_owned);
    zone.submit(change_id, comment, sets, now, after(now, insync));
    let info = zone.changes.last().map(|change| wire::change_info(change, now));
    let mut targets: Vec<String> = changes.iter().map(|c| format!("{} {}", c.set.name, c.set.rtype)).collect();
    targets.dedup();
    let detail: Vec<String> = changes.iter().map(describe).collect();
    let operation = ("route53", "ChangeResourceRecordSets");
    world.effect(now, operation, targets.join(", "), detail.join("; "), &caller.request_id);
    Ok(wire::reply("ChangeResourceRecordSetsResponse", info.into_iter().collect()))
}

fn describe(change: &Asked) -> String {
    let set = &change.set;
    let to = match &set.alias {
        Some(alias) => format!("alias {}", alias.name),
        None => format!("TTL {} {}", set.ttl.unwrap_or_default(), set.values.join(" ")),
    };
    let weight = set.weight.map(|weight| format!(" weight {weight}")).unwrap_or_default();
    format!("{} {} {}{weight} {to}", change.action, set.name, set.rtype)
}

//! A new hosted zone, public or of a VPC.
//!
//! Source: API reference of `CreateHostedZone`.

use super::{
    No, wire,
    zone::{RecordSet, Zone, normal_name},
};
use crate::sandbox::{
    http::{Asked, Reply},
    world::{Moment, World, after},
    xml::Node,
};

/// What a new zone says of itself.
const SOA: &str = "ns-1.awsdns.example. hostmaster.awsdns.example. 1 7200 900 1209600 86400";
/// From the request to INSYNC, in milliseconds.
const INSYNC: i64 = 1500;

pub(super) fn zone(world: &mut World, asked: &Asked, request_id: &str, now: Moment) -> Result<Reply, No> {
    let invalid = |message: &str| (400, "InvalidInput", message.to_owned());
    let document = Node::parse(&asked.body).filter(|root| root.name == "CreateHostedZoneRequest");
    let document =
        document.ok_or_else(|| (400, "MalformedXML", "The XML you provided is not well-formed".to_owned()))?;
    let given = document.text_of("Name").unwrap_or_default();
    let name = normal_name(given);
    if name == "." || name.split_terminator('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err((400, "InvalidDomainName", format!("{given} is not a valid domain name.")));
    }
    let reference = document.text_of("CallerReference").filter(|text| (1..=128).contains(&text.len()));
    let reference = reference.ok_or_else(|| invalid("Invalid XML ; 'CallerReference' is missing"))?.to_owned();
    if world.zones.iter().any(|zone| zone.caller_reference == reference) {
        let message =
            format!("A hosted zone has already been created with the specified caller reference {reference}.");
        return Err((409, "HostedZoneAlreadyExists", message));
    }
    let vpc = document.get("VPC").map(|vpc| {
        let text = |name: &str| vpc.text_of(name).unwrap_or_default().to_owned();
        (text("VPCRegion"), text("VPCId"))
    });
    if let Some((_, id)) = &vpc
        && world.zones.iter().any(|zone| zone.name == name && zone.vpcs.iter().any(|(_, own)| own == id))
    {
        let message =
            format!("The VPC {id} has already been associated with the hosted zone with the same domain name.");
        return Err((400, "ConflictingDomainExists", message));
    }
    let comment = document.get("HostedZoneConfig").and_then(|config| config.text_of("Comment")).unwrap_or_default();
    let servers = ["ns-1.awsdns.example.", "ns-2.awsdns.example."];
    let sets = vec![RecordSet::simple(&name, "SOA", 900, &[SOA]), RecordSet::simple(&name, "NS", 172_800, &servers)];
    let (id, change) = (format!("Z{}", world.seed.upper(20)), format!("C{}", world.seed.upper(19)));
    let mut zone = Zone::new(&id, &name, comment, sets.clone());
    if let Some((region, vpc)) = &vpc {
        zone = zone.private(region, vpc);
    }
    zone.caller_reference = reference;
    zone.submit(change, None, sets, now, after(now, INSYNC));
    let mut parts = vec![wire::zone(&zone)];
    parts.extend(zone.changes.last().map(|change| wire::change_info(change, now)));
    parts.push(match zone.vpcs.first() {
        Some(first) => wire::vpc(first),
        None => wire::belongings(&zone),
    });
    world.zones.push(zone);
    let kind = if vpc.is_some() { "private" } else { "public" };
    world.effect(now, ("route53", "CreateHostedZone"), &name, kind, request_id);
    let location = format!("https://route53.amazonaws.com/2013-04-01/hostedzone/{id}");
    Ok(wire::created(201, "CreateHostedZoneResponse", parts).with("location", location))
}

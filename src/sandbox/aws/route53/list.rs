//! The listings: zones and record sets, in the API's order and in its pages.

use super::{
    No, wire,
    zone::{RecordSet, Zone, normal_name, reversed},
};
use crate::sandbox::{
    http::{Asked, Reply},
    world::World,
    xml::Node,
};

/// A page's size where nothing is said, and its limit: ListHostedZones.
const ZONES: usize = 100;
/// The same of ListResourceRecordSets.
const SETS: usize = 300;

fn page_size(asked: &Asked, limit: usize) -> usize {
    asked.param("maxitems").and_then(|n| n.parse().ok()).unwrap_or(limit).clamp(1, limit)
}

pub(super) fn zones(world: &World, asked: &Asked) -> Reply {
    let size = page_size(asked, ZONES);
    let marker = asked.param("marker");
    let start = marker.as_ref().and_then(|id| world.zones.iter().position(|zone| zone.id == *id)).unwrap_or(0);
    let page = world.zones.iter().skip(start).take(size);
    let next = world.zones.get(start + size);
    let mut parts = vec![Node::of("HostedZones", page.map(wire::zone))];
    parts.extend(marker.map(|marker| Node::leaf("Marker", marker)));
    parts.push(Node::leaf("IsTruncated", next.is_some()));
    parts.extend(next.map(|zone| Node::leaf("NextMarker", &zone.id)));
    parts.push(Node::leaf("MaxItems", size));
    wire::reply("ListHostedZonesResponse", parts)
}

pub(super) fn zones_by_name(world: &World, asked: &Asked) -> Reply {
    let size = page_size(asked, ZONES);
    let from = asked.param("dnsname").map(|name| normal_name(&name));
    let id = asked.param("hostedzoneid").unwrap_or_default();
    let mut sorted: Vec<&Zone> = world.zones.iter().collect();
    sorted.sort_by_cached_key(|zone| (reversed(&zone.name), zone.id.clone()));
    let start = from.as_ref().map(|name| (reversed(name), id));
    let mut rest = sorted
        .into_iter()
        .filter(|zone| start.as_ref().is_none_or(|start| (reversed(&zone.name), zone.id.clone()) >= *start));
    let page: Vec<_> = rest.by_ref().take(size).collect();
    let next = rest.next();
    let mut parts = vec![Node::of("HostedZones", page.into_iter().map(wire::zone))];
    parts.extend(from.map(|name| Node::leaf("DNSName", name)));
    parts.push(Node::leaf("IsTruncated", next.is_some()));
    if let Some(zone) = next {
        parts.extend([Node::leaf("NextDNSName", &zone.name), Node::leaf("NextHostedZoneId", &zone.id)]);
    }
    parts.push(Node::leaf("MaxItems", size));
    wire::reply("ListHostedZonesByNameResponse", parts)
}

pub(super) fn record_sets(zone: &Zone, asked: &Asked) -> Result<Reply, No> {
    let size = page_size(asked, SETS);
    let (name, rtype) = (asked.param("name"), asked.param("type"));
    let identifier = asked.param("identifier");
    let invalid = |message: &str| Err((400, "InvalidInput", message.to_owned()));
    if name.is_none() && rtype.is_some() {
        return invalid("Invalid request: the name must be given together with the type");
    }
    if identifier.is_some() && rtype.is_none() {
        return invalid("Invalid request: the type must be given together with the identifier");
    }
    let start = RecordSet {
        name: name.map(|name| normal_name(&name)).unwrap_or_default(),
        rtype: rtype.unwrap_or_default(),
        set_identifier: identifier,
        ..RecordSet::default()
    };
    let from = if start.name.is_empty() {
        0
    } else {
        let order = start.order();
        zone.sets.iter().position(|set| set.order() >= order).unwrap_or(zone.sets.len())
    };
    let page = zone.sets.iter().skip(from).take(size);
    let mut parts = vec![Node::of("ResourceRecordSets", page.map(wire::record_set))];
    let next = zone.sets.get(from + size);
    parts.push(Node::leaf("IsTruncated", next.is_some()));
    if let Some(next) = next {
        parts.extend([Node::leaf("NextRecordName", &next.name), Node::leaf("NextRecordType", &next.rtype)]);
        parts.extend(next.set_identifier.as_ref().map(|id| Node::leaf("NextRecordIdentifier", id)));
    }
    parts.push(Node::leaf("MaxItems", size));
    Ok(wire::reply("ListResourceRecordSetsResponse", parts))
}

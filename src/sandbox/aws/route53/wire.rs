//! Record sets, zones and changes as Route 53's XML writes them.

use super::zone::{Alias, Change, Cidr, Geo, Near, RecordSet, Zone, normal_name};
use crate::sandbox::{
    http::Reply,
    world::{Moment, iso},
    xml::Node,
};

const XMLNS: &str = "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";

/// Elements of a `ResourceRecordSet`; the schema refuses any other.
const ELEMENTS: &[&str] = &[
    "AliasTarget",
    "CidrRoutingConfig",
    "Failover",
    "GeoLocation",
    "GeoProximityLocation",
    "HealthCheckId",
    "MultiValueAnswer",
    "Name",
    "Region",
    "ResourceRecords",
    "SetIdentifier",
    "TTL",
    "TrafficPolicyInstanceId",
    "Type",
    "Weight",
];

/// A successful answer with this root.
pub(super) fn reply(name: &str, children: Vec<Node>) -> Reply {
    created(200, name, children)
}

/// The same with another status, 201 for what was made.
pub(super) fn created(status: u16, name: &str, children: Vec<Node>) -> Reply {
    Reply::new(status, "text/xml", Node::of(&format!("{name} {XMLNS}"), children).document())
}

/// An error.
pub(in crate::sandbox) fn error(status: u16, code: &str, message: &str, request_id: &str) -> Reply {
    let error = [Node::leaf("Type", "Sender"), Node::leaf("Code", code), Node::leaf("Message", message)];
    let children = [Node::of("Error", error), Node::leaf("RequestId", request_id)];
    Reply::new(status, "text/xml", Node::of(&format!("ErrorResponse {XMLNS}"), children).document())
}

pub(super) fn record_set(set: &RecordSet) -> Node {
    let leaves = |pairs: &[(&str, Option<String>)]| -> Vec<Node> {
        pairs.iter().filter_map(|(name, text)| text.as_ref().map(|text| Node::leaf(name, text))).collect()
    };
    let mut parts = vec![Node::leaf("Name", &set.name), Node::leaf("Type", &set.rtype)];
    parts.extend(leaves(&[
        ("SetIdentifier", set.set_identifier.clone()),
        ("Weight", set.weight.map(|weight| weight.to_string())),
        ("Region", set.region.clone()),
    ]));
    if let Some(Geo { continent, country, subdivision }) = set.geo.clone() {
        let codes = [("ContinentCode", continent), ("CountryCode", country), ("SubdivisionCode", subdivision)];
        parts.push(Node::of("GeoLocation", leaves(&codes)));
    }
    parts.extend(leaves(&[
        ("Failover", set.failover.clone()),
        ("MultiValueAnswer", set.multivalue.map(|yes| yes.to_string())),
        ("TTL", set.ttl.map(|ttl| ttl.to_string())),
    ]));
    if !set.values.is_empty() {
        let records = set.values.iter().map(|value| Node::of("ResourceRecord", [Node::leaf("Value", value)]));
        parts.push(Node::of("ResourceRecords", records));
    }
    if let Some(alias) = &set.alias {
        let target = [
            Node::leaf("HostedZoneId", &alias.zone),
            Node::leaf("DNSName", &alias.name),
            Node::leaf("EvaluateTargetHealth", alias.evaluate),
        ];
        parts.push(Node::of("AliasTarget", target));
    }
    parts.extend(leaves(&[("HealthCheckId", set.health_check.clone())]));
    if let Some(Cidr { collection, location }) = &set.cidr {
        let config = [Node::leaf("CollectionId", collection), Node::leaf("LocationName", location)];
        parts.push(Node::of("CidrRoutingConfig", config));
    }
    if let Some(Near { region, local_zone_group, at, bias }) = set.near.clone() {
        let mut near = leaves(&[("AWSRegion", region), ("LocalZoneGroup", local_zone_group)]);
        near.extend(at.map(|(latitude, longitude)| {
            Node::of("Coordinates", [Node::leaf("Latitude", latitude), Node::leaf("Longitude", longitude)])
        }));
        near.extend(leaves(&[("Bias", bias.map(|bias| bias.to_string()))]));
        parts.push(Node::of("GeoProximityLocation", near));
    }
    Node::of("ResourceRecordSet", parts)
}

/// Reads a record set; the message says what is wrong.
pub(super) fn read_record_set(node: &Node) -> Result<RecordSet, String> {
    if let Some(other) = node.children.iter().find(|child| !ELEMENTS.contains(&child.name.as_str())) {
        return Err(format!(
            "Invalid XML ; cvc-complex-type.2.4.a: Invalid content was found starting with element '{}'.",
            other.name
        ));
    }
    if node.get("TrafficPolicyInstanceId").is_some() {
        return Err("Invalid request: a record of a traffic policy is changed by its traffic policy instance".into());
    }
    let name = node.text_of("Name").filter(|name| !name.is_empty());
    let values = node.get("ResourceRecords").map(|records| {
        records.children.iter().filter_map(|record| record.text_of("Value")).map(str::to_owned).collect()
    });
    let alias = node.get("AliasTarget").map(|target| Alias {
        zone: target.text_of("HostedZoneId").unwrap_or_default().to_owned(),
        name: normal_name(target.text_of("DNSName").unwrap_or_default()),
        evaluate: target.text_of("EvaluateTargetHealth").is_some_and(|text| text == "true"),
    });
    let text = |name: &str| node.text_of(name).map(str::to_owned);
    Ok(RecordSet {
        name: normal_name(name.ok_or("Invalid XML ; the element 'Name' is missing")?),
        rtype: text("Type").ok_or("Invalid XML ; the element 'Type' is missing")?,
        set_identifier: text("SetIdentifier"),
        weight: number(node, "Weight", (0, 255), "weight")?.and_then(|n| u8::try_from(n).ok()),
        region: text("Region"),
        geo: node.get("GeoLocation").map(|geo| Geo {
            continent: geo.text_of("ContinentCode").map(str::to_owned),
            country: geo.text_of("CountryCode").map(str::to_owned),
            subdivision: geo.text_of("SubdivisionCode").map(str::to_owned),
        }),
        failover: text("Failover"),
        multivalue: text("MultiValueAnswer").map(|text| text == "true"),
        ttl: number(node, "TTL", (0, 2_147_483_647), "tTL")?.and_then(|n| u32::try_from(n).ok()),
        values: values.unwrap_or_default(),
        alias,
        health_check: text("HealthCheckId"),
        cidr: node.get("CidrRoutingConfig").map(|cidr| Cidr {
            collection: cidr.text_of("CollectionId").unwrap_or_default().to_owned(),
            location: cidr.text_of("LocationName").unwrap_or_default().to_owned(),
        }),
        near: node.get("GeoProximityLocation").map(near).transpose()?,
    })
}

fn near(node: &Node) -> Result<Near, String> {
    let text = |node: &Node, name: &str| node.text_of(name).map(str::to_owned);
    let at = node
        .get("Coordinates")
        .map(|at| (text(at, "Latitude").unwrap_or_default(), text(at, "Longitude").unwrap_or_default()));
    let bias = number(node, "Bias", (-99, 99), "geoProximityLocation.bias")?;
    Ok(Near {
        region: text(node, "AWSRegion"),
        local_zone_group: text(node, "LocalZoneGroup"),
        at,
        bias: bias.and_then(|n| i8::try_from(n).ok()),
    })
}

/// A whole number within limits, where the element is there.
fn number(node: &Node, name: &str, (min, max): (i64, i64), path: &str) -> Result<Option<i64>, String> {
    let Some(text) = node.text_of(name).map(str::trim) else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(n) if n > max => Err(constraint(text, path, &format!("less than or equal to {max}"))),
        Ok(n) if n < min => Err(constraint(text, path, &format!("greater than or equal to {min}"))),
        Ok(n) => Ok(Some(n)),
        Err(_) => Err(format!("Invalid XML ; cvc-datatype-valid.1.2.1: '{text}' is not a valid value for 'integer'.")),
    }
}

fn constraint(value: &str, path: &str, want: &str) -> String {
    format!(
        "1 validation error detected: Value '{value}' at 'changeBatch.changes.1.member.resourceRecordSet.{path}' \
         failed to satisfy constraint: Member must have value {want}"
    )
}

pub(super) fn change_info(change: &Change, now: Moment) -> Node {
    let status = if change.insync_at <= now { "INSYNC" } else { "PENDING" };
    let mut parts = vec![
        Node::leaf("Id", format!("/change/{}", change.id)),
        Node::leaf("Status", status),
        Node::leaf("SubmittedAt", iso(change.submitted_at)),
    ];
    parts.extend(change.comment.as_ref().map(|comment| Node::leaf("Comment", comment)));
    Node::of("ChangeInfo", parts)
}

pub(super) fn zone(zone: &Zone) -> Node {
    let config = [Node::leaf("Comment", &zone.comment), Node::leaf("PrivateZone", zone.private)];
    Node::of(
        "HostedZone",
        [
            Node::leaf("Id", format!("/hostedzone/{}", zone.id)),
            Node::leaf("Name", &zone.name),
            Node::leaf("CallerReference", &zone.caller_reference),
            Node::of("Config", config),
            Node::leaf("ResourceRecordSetCount", zone.sets.len()),
        ],
    )
}

/// What belongs to a zone beside it: the name servers of a public one, the VPCs of a private one.
pub(super) fn belongings(zone: &Zone) -> Node {
    if zone.private {
        return Node::of("VPCs", zone.vpcs.iter().map(vpc));
    }
    let servers = zone.sets.iter().filter(|set| set.rtype == "NS" && set.name == zone.name);
    let servers = servers.flat_map(|set| &set.values);
    let servers = servers.map(|server| Node::leaf("NameServer", server.trim_end_matches('.')));
    Node::of("DelegationSet", [Node::of("NameServers", servers)])
}

pub(super) fn vpc((region, id): &(String, String)) -> Node {
    Node::of("VPC", [Node::leaf("VPCRegion", region), Node::leaf("VPCId", id)])
}

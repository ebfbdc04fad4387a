//! Record sets, zones and changes as Route 53's XML writes them.

use super::zone::{Alias, Change, RecordSet, Zone, normal_name};
use crate::sandbox::{
    http::Reply,
    world::{Moment, iso},
    xml::Node,
};

const XMLNS: &str = "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";

/// A successful answer with this root.
pub(super) fn reply(name: &str, children: Vec<Node>) -> Reply {
    Reply::new(200, "text/xml", Node::of(&format!("{name} {XMLNS}"), children).document())
}

/// An error.
pub(in crate::sandbox) fn error(status: u16, code: &str, message: &str, request_id: &str) -> Reply {
    let error = [Node::leaf("Type", "Sender"), Node::leaf("Code", code), Node::leaf("Message", message)];
    let children = [Node::of("Error", error), Node::leaf("RequestId", request_id)];
    Reply::new(status, "text/xml", Node::of(&format!("ErrorResponse {XMLNS}"), children).document())
}

pub(super) fn record_set(set: &RecordSet) -> Node {
    let mut parts = vec![Node::leaf("Name", &set.name), Node::leaf("Type", &set.rtype)];
    let mut put = |name: &str, value: Option<String>| parts.extend(value.map(|value| Node::leaf(name, value)));
    put("SetIdentifier", set.set_identifier.clone());
    put("Weight", set.weight.map(|weight| weight.to_string()));
    put("Region", set.region.clone());
    put("Failover", set.failover.clone());
    put("MultiValueAnswer", set.multivalue.map(|yes| yes.to_string()));
    put("TTL", set.ttl.map(|ttl| ttl.to_string()));
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
    parts.extend(set.health_check.as_ref().map(|id| Node::leaf("HealthCheckId", id)));
    Node::of("ResourceRecordSet", parts)
}

/// Reads a record set; the message says what is wrong.
pub(super) fn read_record_set(node: &Node) -> Result<RecordSet, String> {
    let number = |name: &str, max: i64, path: &str| match node.text_of(name).map(str::trim) {
        None => Ok(None),
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n > max => Err(constraint(text, path, &format!("less than or equal to {max}"))),
            Ok(n) if n < 0 => Err(constraint(text, path, "greater than or equal to 0")),
            Ok(n) => Ok(Some(n)),
            Err(_) => {
                Err(format!("Invalid XML ; cvc-datatype-valid.1.2.1: '{text}' is not a valid value for 'integer'."))
            }
        },
    };
    let name = node.text_of("Name").filter(|name| !name.is_empty());
    let values = node.get("ResourceRecords").map(|records| {
        records.children.iter().filter_map(|record| record.text_of("Value")).map(str::to_owned).collect()
    });
    let alias = node.get("AliasTarget").map(|target| Alias {
        zone: target.text_of("HostedZoneId").unwrap_or_default().to_owned(),
        name: normal_name(target.text_of("DNSName").unwrap_or_default()),
        evaluate: target.text_of("EvaluateTargetHealth").is_some_and(|text| text == "true"),
    });
    for unknown in ["GeoLocation", "CidrRoutingConfig", "GeoProximityLocation", "TrafficPolicyInstanceId"] {
        if node.get(unknown).is_some() {
            return Err(format!("{unknown} is not part of the sandbox"));
        }
    }
    let text = |name: &str| node.text_of(name).map(str::to_owned);
    Ok(RecordSet {
        name: normal_name(name.ok_or("Invalid XML ; the element 'Name' is missing")?),
        rtype: text("Type").ok_or("Invalid XML ; the element 'Type' is missing")?,
        set_identifier: text("SetIdentifier"),
        weight: number("Weight", 255, "weight")?.and_then(|n| u8::try_from(n).ok()),
        region: text("Region"),
        failover: text("Failover"),
        multivalue: text("MultiValueAnswer").map(|text| text == "true"),
        ttl: number("TTL", 2_147_483_647, "tTL")?.and_then(|n| u32::try_from(n).ok()),
        values: values.unwrap_or_default(),
        alias,
        health_check: text("HealthCheckId"),
    })
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
            Node::leaf("CallerReference", format!("sandbox-{}", zone.id)),
            Node::of("Config", config),
            Node::leaf("ResourceRecordSetCount", zone.sets.len()),
        ],
    )
}

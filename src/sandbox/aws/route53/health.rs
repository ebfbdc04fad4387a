//! Health checks: made, told, listed, deleted. Nothing is checked by them; a record set may name one that exists.
//!
//! Source: API reference of `CreateHealthCheck`, `GetHealthCheck`, `ListHealthChecks`, `DeleteHealthCheck`.

use serde::{Deserialize, Serialize};

use super::{No, wire};
use crate::sandbox::{
    http::{Asked, Reply},
    names::WorldNames,
    world::{Moment, World, iso},
    xml::Node,
};

/// Page size where nothing is said, and its limit.
const PAGE: usize = 100;
/// Types that AWS has; a calculated one, an alarm and a control need no endpoint.
const TYPES: &[&str] = &[
    "CALCULATED",
    "CLOUDWATCH_METRIC",
    "HTTP",
    "HTTPS",
    "HTTPS_STR_MATCH",
    "HTTP_STR_MATCH",
    "RECOVERY_CONTROL",
    "TCP",
];

/// Every health check of the account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::sandbox) struct HealthChecks(Vec<HealthCheck>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct HealthCheck {
    id: String,
    caller_reference: String,
    version: u64,
    created_at: Moment,
    /// The configuration as it was sent.
    config: Vec<Element>,
}

/// An element of a configuration: a text, or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Element {
    name: String,
    text: String,
    children: Vec<(String, String)>,
}

impl HealthChecks {
    /// The story's: one that asks the load balancer.
    pub fn new(names: &WorldNames, now: Moment) -> Self {
        let leaf = |name: &str, text: &str| Element { name: name.into(), text: text.into(), children: Vec::new() };
        let config = vec![
            leaf("Port", "443"),
            leaf("Type", "HTTPS"),
            leaf("ResourcePath", "/up"),
            leaf("FullyQualifiedDomainName", &names.new_target),
            leaf("RequestInterval", "30"),
            leaf("FailureThreshold", "3"),
        ];
        let id = "5a0dc0de-0000-4000-8000-000000000001".to_owned();
        Self(vec![HealthCheck { id, caller_reference: "story".into(), version: 1, created_at: now, config }])
    }

    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|check| check.id == id)
    }
}

impl HealthCheck {
    fn node(&self) -> Node {
        let config = self.config.iter().map(|Element { name, text, children }| match children.as_slice() {
            [] => Node::leaf(name, text),
            children => Node::of(name, children.iter().map(|(name, text)| Node::leaf(name, text))),
        });
        Node::of(
            "HealthCheck",
            [
                Node::leaf("Id", &self.id),
                Node::leaf("CallerReference", &self.caller_reference),
                Node::of("HealthCheckConfig", config),
                Node::leaf("HealthCheckVersion", self.version),
            ],
        )
    }
}

fn none(id: &str) -> No {
    (404, "NoSuchHealthCheck", format!("A health check with id {id} does not exist."))
}

pub(super) fn create(world: &mut World, asked: &Asked, request_id: &str, now: Moment) -> Result<Reply, No> {
    let invalid = |message: &str| (400, "InvalidInput", message.to_owned());
    let document = Node::parse(&asked.body).filter(|root| root.name == "CreateHealthCheckRequest");
    let document =
        document.ok_or_else(|| (400, "MalformedXML", "The XML you provided is not well-formed".to_owned()))?;
    let reference = document.text_of("CallerReference").filter(|text| (1..=64).contains(&text.len()));
    let reference = reference.ok_or_else(|| invalid("Invalid XML ; 'CallerReference' is missing"))?;
    let config =
        document.get("HealthCheckConfig").ok_or_else(|| invalid("Invalid XML ; 'HealthCheckConfig' is missing"))?;
    let kind = config.text_of("Type").unwrap_or_default();
    if !TYPES.contains(&kind) {
        return Err(invalid(&format!("Invalid XML ; the value '{kind}' of element 'Type' is not valid.")));
    }
    let endpoint = ["IPAddress", "FullyQualifiedDomainName"].iter().any(|name| config.get(name).is_some());
    if !endpoint && !["CALCULATED", "CLOUDWATCH_METRIC", "RECOVERY_CONTROL"].contains(&kind) {
        return Err(invalid("Invalid parameter : Either IPAddress or FullyQualifiedDomainName must be specified."));
    }
    let element = |node: &Node| Element {
        name: node.name.clone(),
        text: node.text.clone(),
        children: node.children.iter().map(|child| (child.name.clone(), child.text.clone())).collect(),
    };
    let config: Vec<Element> = config.children.iter().map(element).collect();
    if let Some(before) = world.health.0.iter().find(|check| check.caller_reference == reference) {
        if before.config == config {
            return Ok(wire::created(201, "CreateHealthCheckResponse", vec![before.node()]));
        }
        let message = format!("A health check with caller reference {reference} has already been created.");
        return Err((409, "HealthCheckAlreadyExists", message));
    }
    let id = world.seed.uuid();
    let check =
        HealthCheck { id: id.clone(), caller_reference: reference.to_owned(), version: 1, created_at: now, config };
    let node = check.node();
    world.health.0.push(check);
    world.effect(now, ("route53", "CreateHealthCheck"), &id, kind, request_id);
    let location = format!("https://route53.amazonaws.com/2013-04-01/healthcheck/{id}");
    Ok(wire::created(201, "CreateHealthCheckResponse", vec![node]).with("location", location))
}

pub(super) fn get(world: &World, id: &str) -> Result<Reply, No> {
    let check = world.health.0.iter().find(|check| check.id == id).ok_or_else(|| none(id))?;
    Ok(wire::reply("GetHealthCheckResponse", vec![check.node()]))
}

pub(super) fn status(world: &World, id: &str, now: Moment) -> Result<Reply, No> {
    let check = world.health.0.iter().find(|check| check.id == id).ok_or_else(|| none(id))?;
    let report = [
        Node::leaf("Status", "Success: HTTP Status Code 200, OK"),
        Node::leaf("CheckedTime", iso(now.max(check.created_at))),
    ];
    let seen =
        [Node::leaf("Region", "eu-west-1"), Node::leaf("IPAddress", "192.0.2.53"), Node::of("StatusReport", report)];
    let all = Node::of("HealthCheckObservations", [Node::of("HealthCheckObservation", seen)]);
    Ok(wire::reply("GetHealthCheckStatusResponse", vec![all]))
}

pub(super) fn list(world: &World, asked: &Asked) -> Reply {
    let all = &world.health.0;
    let size = asked.param("maxitems").and_then(|n| n.parse().ok()).unwrap_or(PAGE).clamp(1, PAGE);
    let marker = asked.param("marker");
    let start = marker.as_ref().and_then(|id| all.iter().position(|check| check.id == *id)).unwrap_or(0);
    let next = all.get(start + size);
    let mut parts = vec![Node::of("HealthChecks", all.iter().skip(start).take(size).map(HealthCheck::node))];
    parts.push(Node::leaf("Marker", marker.unwrap_or_default()));
    parts.push(Node::leaf("IsTruncated", next.is_some()));
    parts.extend(next.map(|check| Node::leaf("NextMarker", &check.id)));
    parts.push(Node::leaf("MaxItems", size));
    wire::reply("ListHealthChecksResponse", parts)
}

/// Route 53 deletes a health check that record sets still name; they then count as healthy.
pub(super) fn delete(world: &mut World, id: &str, request_id: &str, now: Moment) -> Result<Reply, No> {
    let at = world.health.0.iter().position(|check| check.id == id).ok_or_else(|| none(id))?;
    world.health.0.remove(at);
    world.effect(now, ("route53", "DeleteHealthCheck"), id, "", request_id);
    Ok(wire::reply("DeleteHealthCheckResponse", Vec::new()))
}

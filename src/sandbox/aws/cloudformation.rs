//! `CloudFormation`: the stack `acme-shop`, which can drift, and `acme-legacy`, whose last update was rolled back.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{Form, No, field, members};
use crate::sandbox::{
    names::WorldNames,
    world::{Moment, World, after, iso},
    xml::Node,
};

/// The stacks' state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct CloudFormation {
    since: Moment,
    /// What is known of the drift of `acme-shop`, and since when.
    drifted: bool,
    checked: Moment,
    detections: Vec<Detection>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Detection {
    id: String,
    ends: Moment,
    drifted: bool,
}

/// A detection takes this many milliseconds; minutes at AWS.
const TAKES: i64 = 2500;
/// Detections that are remembered.
const KEPT: usize = 16;
const SHOP: &str = "acme-shop";
const LEGACY: &str = "acme-legacy";
const STATUSES: [&str; 6] = ["IN_SYNC", "MODIFIED", "DELETED", "NOT_CHECKED", "UNKNOWN", "UNSUPPORTED"];

impl CloudFormation {
    pub fn new(_names: &WorldNames, now: Moment) -> Self {
        Self { since: now, drifted: false, checked: now - TimeDelta::minutes(20), detections: Vec::new() }
    }

    /// Takes over what detections have found meanwhile.
    fn settle(&mut self, now: Moment) {
        let over = self.detections.iter().filter(|one| one.ends <= now).max_by_key(|one| one.ends);
        if let Some(newest) = over.filter(|one| one.ends > self.checked) {
            (self.drifted, self.checked) = (newest.drifted, newest.ends);
        }
    }
}

fn id(world: &World, name: &str) -> String {
    let WorldNames { region, account, .. } = &world.names;
    format!("arn:aws:cloudformation:{region}:{account}:stack/{name}/5a0db0c5-0000-11ef-a000-0a0000000001")
}

/// What IAM looks at.
pub(super) fn resource(world: &World, operation: &str, form: &Form) -> String {
    match (operation, field(form, "StackName")) {
        ("DescribeStackDriftDetectionStatus", _) | (_, None) => "*".into(),
        (_, Some(name)) if name.starts_with("arn:") => name.to_owned(),
        (_, Some(name)) => id(world, name),
    }
}

pub(super) fn answer(world: &mut World, region: &str, action: &str, form: &Form, now: Moment) -> Result<Vec<Node>, No> {
    world.cloudformation.settle(now);
    let invalid = |message: String| (400, "ValidationError", message);
    let asked = field(form, "StackName").filter(|name| !name.is_empty());
    let stacks: &[&str] = if region == world.names.region { &[LEGACY, SHOP] } else { &[] };
    let find =
        |world: &World, asked: &str| stacks.iter().copied().find(|name| *name == asked || id(world, name) == asked);
    let stack = |world: &World| {
        let asked = asked.ok_or_else(|| invalid("1 validation error detected: Value null at 'stackName' failed to satisfy constraint: Member must not be null".into()))?;
        find(world, asked).ok_or_else(|| invalid(format!("Stack with id {asked} does not exist")))
    };
    match action {
        "DescribeStacks" => {
            let found: Vec<&str> = if asked.is_some() { vec![stack(world)?] } else { stacks.to_vec() };
            if found.contains(&SHOP) && world.strikes("cloudformation.drifted") {
                world.cloudformation.drifted = true;
                world.cloudformation.checked = now;
            }
            let found: Vec<_> = found.into_iter().map(|name| described(world, name)).collect();
            Ok(vec![Node::of("Stacks", found)])
        }
        "DetectStackDrift" => {
            let name = stack(world)?;
            if world.cloudformation.detections.iter().any(|one| one.ends > now) {
                let id = id(world, name);
                return Err(invalid(format!("Drift detection is already in progress for stack [{id}]")));
            }
            let drifted = world.strikes("cloudformation.drifted");
            let detection = Detection { id: world.live.ids.uuid(), ends: after(now, TAKES), drifted };
            let said = Node::leaf("StackDriftDetectionId", &detection.id);
            let detections = &mut world.cloudformation.detections;
            detections.push(detection);
            let old = detections.len().saturating_sub(KEPT);
            detections.drain(..old);
            world.dirty = true;
            Ok(vec![said])
        }
        "DescribeStackDriftDetectionStatus" => {
            let asked = field(form, "StackDriftDetectionId").unwrap_or_default();
            let found = world.cloudformation.detections.iter().find(|one| one.id == asked);
            let one = found.ok_or_else(|| invalid(format!("Drift detection {asked} does not exist")))?;
            let over = one.ends <= now;
            let mut said = vec![
                Node::leaf("StackId", id(world, SHOP)),
                Node::leaf("StackDriftDetectionId", asked),
                Node::leaf("DetectionStatus", if over { "DETECTION_COMPLETE" } else { "DETECTION_IN_PROGRESS" }),
                Node::leaf("Timestamp", iso(one.ends.min(now))),
            ];
            if over {
                said.push(Node::leaf("StackDriftStatus", word(one.drifted)));
                said.push(Node::leaf("DriftedStackResourceCount", u8::from(one.drifted)));
            }
            Ok(said)
        }
        "DescribeStackResourceDrifts" => {
            let name = stack(world)?;
            drifts(world, name, form)
        }
        other => Err((400, "InvalidAction", format!("Could not find operation {other} for version 2010-05-15"))),
    }
}

fn word(drifted: bool) -> &'static str {
    if drifted { "DRIFTED" } else { "IN_SYNC" }
}

fn described(world: &World, name: &str) -> Node {
    let it = &world.cloudformation;
    let shop = name == SHOP;
    let outputs = [
        ("Cluster", world.names.cluster.as_str()),
        ("LoadBalancer", &world.names.new_target),
        ("Uploads", "acme-uploads"),
    ];
    let outputs = outputs
        .into_iter()
        .filter(|_| shop)
        .map(|(key, value)| Node::of("member", [Node::leaf("OutputKey", key), Node::leaf("OutputValue", value)]));
    let drift = if shop {
        vec![Node::leaf("StackDriftStatus", word(it.drifted)), Node::leaf("LastCheckTimestamp", iso(it.checked))]
    } else {
        vec![Node::leaf("StackDriftStatus", "NOT_CHECKED")]
    };
    let mut children = vec![
        Node::leaf("StackId", id(world, name)),
        Node::leaf("StackName", name),
        Node::leaf("CreationTime", iso(it.since - TimeDelta::days(60))),
        Node::leaf("LastUpdatedTime", iso(it.since - TimeDelta::days(2))),
        Node::leaf("StackStatus", if shop { "UPDATE_COMPLETE" } else { "UPDATE_ROLLBACK_COMPLETE" }),
        Node::leaf("DisableRollback", false),
        Node::leaf("EnableTerminationProtection", shop),
        Node::of("Outputs", outputs),
        Node::of("DriftInformation", drift),
    ];
    if !shop {
        children.push(Node::leaf("StackStatusReason", "The following resource(s) failed to update: [OldQueue]."));
    }
    Node::of("member", children)
}

fn drifts(world: &World, name: &str, form: &Form) -> Result<Vec<Node>, No> {
    let invalid = |message: String| (400, "ValidationError", message);
    let wanted = members(form, "StackResourceDriftStatusFilters");
    if let Some(bad) = wanted.iter().find(|status| !STATUSES.contains(status)) {
        return Err(invalid(format!(
            "1 validation error detected: Value '[{bad}]' at 'stackResourceDriftStatusFilters' failed to satisfy constraint"
        )));
    }
    let most = field(form, "MaxResults").map_or(Ok(100), str::parse::<usize>);
    let most = most.ok().filter(|n| (1..=100).contains(n)).ok_or_else(|| {
        invalid("1 validation error detected: Value at 'maxResults' failed to satisfy constraint".into())
    })?;
    let from = match field(form, "NextToken") {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| invalid("NextToken is not valid".into()))?,
    };
    let it = &world.cloudformation;
    let resources = [
        ("Cluster", "AWS::ECS::Cluster", world.names.cluster.clone()),
        ("LoadBalancer", "AWS::ElasticLoadBalancingV2::LoadBalancer", "acme-web".into()),
        ("Uploads", "AWS::S3::Bucket", "acme-uploads".into()),
        ("WebService", "AWS::ECS::Service", format!("{}/{}", world.names.cluster, world.names.web)),
    ];
    let known = resources.into_iter().filter(|_| name == SHOP).map(|(logical, kind, physical)| {
        let off = it.drifted && logical == "WebService";
        (logical, kind, physical, if off { "MODIFIED" } else { "IN_SYNC" })
    });
    let found: Vec<_> = known.filter(|one| wanted.is_empty() || wanted.contains(&one.3)).collect();
    let page = found.iter().skip(from).take(most).map(|(logical, kind, physical, status)| {
        let difference = [
            Node::leaf("PropertyPath", "/DesiredCount"),
            Node::leaf("ExpectedValue", 1),
            Node::leaf("ActualValue", 4),
            Node::leaf("DifferenceType", "NOT_EQUAL"),
        ];
        let difference = (*status == "MODIFIED").then(|| Node::of("member", difference));
        Node::of(
            "member",
            [
                Node::leaf("StackId", id(world, name)),
                Node::leaf("LogicalResourceId", logical),
                Node::leaf("PhysicalResourceId", physical),
                Node::leaf("ResourceType", kind),
                Node::leaf("StackResourceDriftStatus", status),
                Node::of("PropertyDifferences", difference),
                Node::leaf("Timestamp", iso(it.checked)),
            ],
        )
    });
    let mut said = vec![Node::of("StackResourceDrifts", page)];
    if from + most < found.len() {
        said.push(Node::leaf("NextToken", from + most));
    }
    Ok(said)
}

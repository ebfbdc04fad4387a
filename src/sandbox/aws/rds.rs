//! RDS: the shop's database `shop` with a standby, its replica `shop-reports`, and the Aurora cluster
//! `shop-analytics` of two instances. Read only.

use chrono::{Datelike as _, TimeDelta, Timelike as _};
use serde::{Deserialize, Serialize};

use super::{Form, No, field};
use crate::sandbox::{
    names::WorldNames,
    world::{Moment, World, iso},
    xml::Node,
};

/// What there is since the world began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Rds {
    since: Moment,
}

impl Rds {
    pub fn new(_names: &WorldNames, now: Moment) -> Self {
        Self { since: now }
    }
}

/// An instance of the story.
struct Instance {
    id: &'static str,
    cluster: Option<&'static str>,
    source: Option<&'static str>,
}

const INSTANCES: [Instance; 4] = [
    Instance { id: "shop", cluster: None, source: None },
    Instance { id: "shop-analytics-1", cluster: Some(CLUSTER), source: None },
    Instance { id: "shop-analytics-2", cluster: Some(CLUSTER), source: None },
    Instance { id: "shop-reports", cluster: None, source: Some("shop") },
];
const CLUSTER: &str = "shop-analytics";
/// Records of one answer, at least and at most (`DescribeDBInstances`, RDS API reference).
const RECORDS: std::ops::RangeInclusive<u32> = 20..=100;

fn arn(world: &World, resource: &str) -> String {
    world.names.arn("rds", resource)
}

/// What IAM looks at.
pub(super) fn resource(world: &World, operation: &str, form: &Form) -> String {
    match operation {
        "DescribeDBInstances" => arn(world, &format!("db:{}", field(form, "DBInstanceIdentifier").unwrap_or("*"))),
        "DescribeDBClusters" => arn(world, &format!("cluster:{}", field(form, "DBClusterIdentifier").unwrap_or("*"))),
        _ => field(form, "ResourceIdentifier").unwrap_or("*").to_owned(),
    }
}

pub(super) fn answer(world: &mut World, region: &str, action: &str, form: &Form, now: Moment) -> Result<Vec<Node>, No> {
    let here = region == world.names.region;
    limits(form)?;
    let filters = filters(form)?;
    match action {
        "DescribeDBInstances" => {
            let id = field(form, "DBInstanceIdentifier").map(str::to_ascii_lowercase);
            let wanted = |one: &&Instance| {
                here && id.as_ref().is_none_or(|id| one.id == id)
                    && filters.iter().all(|(name, values)| match name.as_str() {
                        "db-instance-id" => values.iter().any(|value| value == one.id),
                        "db-cluster-id" => values.iter().any(|value| Some(value.as_str()) == one.cluster),
                        _ => values.iter().any(|value| value == engine(one).0),
                    })
            };
            let found: Vec<_> = INSTANCES.iter().filter(wanted).collect();
            if let (Some(id), true) = (id, found.is_empty()) {
                return Err((404, "DBInstanceNotFound", format!("DBInstance {id} not found.")));
            }
            let found: Vec<_> = found.into_iter().map(|one| instance(world, one, now)).collect();
            Ok(vec![Node::of("DBInstances", found)])
        }
        "DescribeDBClusters" => {
            let id = field(form, "DBClusterIdentifier").map(str::to_ascii_lowercase);
            match id {
                Some(id) if !here || id != CLUSTER => {
                    Err((404, "DBClusterNotFoundFault", format!("DBCluster {id} not found.")))
                }
                _ => Ok(vec![Node::of("DBClusters", here.then(|| cluster(world, now)))]),
            }
        }
        "DescribePendingMaintenanceActions" => maintenance(world, here, form, now),
        other => Err((400, "InvalidAction", format!("Could not find operation {other} for version 2014-10-31"))),
    }
}

fn limits(form: &Form) -> Result<(), No> {
    let value = |message: String| (400, "InvalidParameterValue", message);
    if let Some(text) = field(form, "MaxRecords") {
        let fits = text.parse().is_ok_and(|n: u32| RECORDS.contains(&n));
        if !fits {
            return Err(value(format!("Invalid value {text} for MaxRecords. Must be between 20 and 100")));
        }
    }
    // Everything fits into one answer, so no marker was ever given.
    match field(form, "Marker") {
        Some(marker) if !marker.is_empty() => Err(value("Cannot parse marker".into())),
        _ => Ok(()),
    }
}

type Filters = Vec<(String, Vec<String>)>;

fn filters(form: &Form) -> Result<Filters, No> {
    let mut filters = Vec::new();
    for n in 1.. {
        let Some(name) = field(form, &format!("Filters.Filter.{n}.Name")) else { break };
        if !matches!(name, "db-instance-id" | "db-cluster-id" | "engine") {
            return Err((400, "InvalidParameterValue", format!("Unrecognized filter name: {name}")));
        }
        let values = (1..).map_while(|m| field(form, &format!("Filters.Filter.{n}.Values.Value.{m}")));
        filters.push((name.to_owned(), values.map(str::to_owned).collect()));
    }
    Ok(filters)
}

fn engine(one: &Instance) -> (&'static str, &'static str) {
    if one.cluster.is_some() { ("aurora-postgresql", "16.4") } else { ("postgres", "16.4") }
}

/// The weekly window: three days after the world began, or in half an hour where somebody put it into the night.
fn window(world: &mut World, now: Moment) -> String {
    let from = if world.strikes("rds.maintenance") {
        now + TimeDelta::minutes(30)
    } else {
        world.rds.since + TimeDelta::days(3)
    };
    let at = |moment: Moment| {
        let day = moment.weekday().to_string().to_ascii_lowercase();
        format!("{day}:{:02}:{:02}", moment.hour(), moment.minute())
    };
    format!("{}-{}", at(from), at(from + TimeDelta::minutes(30)))
}

fn instance(world: &mut World, one: &Instance, now: Moment) -> Node {
    let main = one.id == "shop";
    let modifying = main && world.strikes("rds.modifying");
    let reboot = main && world.strikes("rds.pending_reboot");
    let window = if main { window(world, now) } else { "sun:03:00-sun:03:30".into() };
    let (engine, version) = engine(one);
    let host = format!("{}.c0sandbox0.{}.rds.example", one.id, world.names.region);
    let (zone, since) = (format!("{}a", world.names.region), world.rds.since);
    let parameters = [
        Node::leaf("DBParameterGroupName", "shop-postgres16"),
        Node::leaf("ParameterApplyStatus", if reboot { "pending-reboot" } else { "in-sync" }),
    ];
    let pending = modifying.then(|| Node::leaf("EngineVersion", "16.6"));
    let replicas = INSTANCES.iter().filter(|other| other.source == Some(one.id));
    let mut children = vec![
        Node::leaf("DBInstanceIdentifier", one.id),
        Node::leaf("DBInstanceClass", "db.m7g.large"),
        Node::leaf("Engine", engine),
        Node::leaf("DBInstanceStatus", if modifying { "modifying" } else { "available" }),
        Node::leaf("MasterUsername", "shop"),
        Node::leaf("DBName", "shop"),
        Node::of("Endpoint", [Node::leaf("Address", host), Node::leaf("Port", 5432)]),
        Node::leaf("AllocatedStorage", 200),
        Node::leaf("InstanceCreateTime", iso(since - TimeDelta::days(30))),
        Node::leaf("PreferredBackupWindow", "01:00-01:30"),
        Node::leaf("BackupRetentionPeriod", if one.source.is_some() { 0 } else { 7 }),
        Node::of("DBParameterGroups", [Node::of("DBParameterGroup", parameters)]),
        Node::leaf("AvailabilityZone", zone),
        Node::leaf("PreferredMaintenanceWindow", window),
        Node::of("PendingModifiedValues", pending),
        Node::leaf("MultiAZ", main),
        Node::leaf("EngineVersion", version),
        Node::leaf("AutoMinorVersionUpgrade", false),
        Node::of(
            "ReadReplicaDBInstanceIdentifiers",
            replicas.map(|other| Node::leaf("ReadReplicaDBInstanceIdentifier", other.id)),
        ),
        Node::leaf("PubliclyAccessible", false),
        Node::leaf("StorageType", "gp3"),
        Node::leaf("StorageEncrypted", true),
        Node::leaf("DBInstanceArn", arn(world, &format!("db:{}", one.id))),
        Node::leaf("DeletionProtection", main),
    ];
    // A replica without backups of its own has no moment to go back to.
    if one.source.is_none() {
        children.push(Node::leaf("LatestRestorableTime", iso(now - TimeDelta::minutes(3))));
    }
    children.extend(one.source.map(|source| Node::leaf("ReadReplicaSourceDBInstanceIdentifier", source)));
    children.extend(one.cluster.map(|cluster| Node::leaf("DBClusterIdentifier", cluster)));
    Node::of("DBInstance", children)
}

fn cluster(world: &World, now: Moment) -> Node {
    let host = |reader: &str| format!("{CLUSTER}.cluster-{reader}c0sandbox0.{}.rds.example", world.names.region);
    let members = INSTANCES.iter().filter(|one| one.cluster.is_some()).enumerate().map(|(n, one)| {
        let member = [
            Node::leaf("DBInstanceIdentifier", one.id),
            Node::leaf("IsClusterWriter", n == 0),
            Node::leaf("DBClusterParameterGroupStatus", "in-sync"),
            Node::leaf("PromotionTier", 1),
        ];
        Node::of("DBClusterMember", member)
    });
    Node::of(
        "DBCluster",
        [
            Node::leaf("DBClusterIdentifier", CLUSTER),
            Node::leaf("DBClusterArn", arn(world, &format!("cluster:{CLUSTER}"))),
            Node::leaf("DBClusterParameterGroup", "shop-aurora16"),
            Node::leaf("Status", "available"),
            Node::leaf("Endpoint", host("")),
            Node::leaf("ReaderEndpoint", host("ro-")),
            Node::leaf("Port", 5432),
            Node::leaf("MultiAZ", true),
            Node::leaf("Engine", "aurora-postgresql"),
            Node::leaf("EngineVersion", "16.4"),
            Node::leaf("BackupRetentionPeriod", 7),
            Node::leaf("LatestRestorableTime", iso(now - TimeDelta::minutes(2))),
            Node::leaf("PreferredMaintenanceWindow", "sun:03:00-sun:03:30"),
            Node::of("DBClusterMembers", members),
            Node::leaf("ClusterCreateTime", iso(world.rds.since - TimeDelta::days(30))),
            Node::leaf("DeletionProtection", true),
        ],
    )
}

fn maintenance(world: &mut World, here: bool, form: &Form, now: Moment) -> Result<Vec<Node>, No> {
    let all = INSTANCES.iter().map(|one| arn(world, &format!("db:{}", one.id)));
    let known: Vec<String> = all.chain([arn(world, &format!("cluster:{CLUSTER}"))]).collect();
    let asked = field(form, "ResourceIdentifier");
    if let Some(asked) = asked.filter(|asked| !here || !known.iter().any(|one| one == asked)) {
        return Err((404, "ResourceNotFoundFault", format!("Could not find resource {asked}.")));
    }
    let shop = arn(world, "db:shop");
    // Nothing of it is planned for this week; the day after its window comes round again is far enough.
    let waits = here && asked.is_none_or(|asked| asked == shop);
    let update = [
        Node::leaf("Action", "system-update"),
        Node::leaf("AutoAppliedAfterDate", iso(now + TimeDelta::days(20))),
        Node::leaf("Description", "New Operating System update is available"),
    ];
    let details = Node::of("PendingMaintenanceActionDetails", [Node::of("PendingMaintenanceAction", update)]);
    let one = Node::of("ResourcePendingMaintenanceActions", [Node::leaf("ResourceIdentifier", shop), details]);
    Ok(vec![Node::of("PendingMaintenanceActions", waits.then_some(one))])
}

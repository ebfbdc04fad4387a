//! RDS, read: an instance or a cluster as it is described, and the maintenance that waits for it.

use chrono::{DateTime, Utc};

use super::{Aws, Patience, call::Call, errors::garbled, session::Service, xml::Node};
use crate::base::{Class, Failure};

const RDS: Service<'_> = Service::new("RDS", "rds", "RDS", "2014-10-31");
const INSTANCES: Call<'_> = Call::reads(RDS.name, "DescribeDBInstances", "rds:DescribeDBInstances");
const CLUSTERS: Call<'_> = Call::reads(RDS.name, "DescribeDBClusters", "rds:DescribeDBClusters");
const PENDING: Call<'_> =
    Call::reads(RDS.name, "DescribePendingMaintenanceActions", "rds:DescribePendingMaintenanceActions");
/// Pages that are followed; one holds 100, and a cluster has at most 16 instances.
const PAGES: usize = 20;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichDatabase {
    /// A DB instance.
    Instance(String),
    /// An Aurora or Multi-AZ DB cluster.
    Cluster(String),
}

impl WhichDatabase {
    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Instance(id) | Self::Cluster(id) => id,
        }
    }

    /// As its ARN names it: `db:shop`, `cluster:shop`.
    #[must_use]
    pub fn resource(&self) -> String {
        match self {
            Self::Instance(id) => format!("db:{id}"),
            Self::Cluster(id) => format!("cluster:{id}"),
        }
    }
}

/// A database as RDS describes it. What RDS did not say is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// In full.
    pub arn: String,
    /// `available`, `modifying`, `upgrading`, `rebooting`, ….
    pub status: String,
    /// `postgres`, `aurora-postgresql`, ….
    pub engine: String,
    /// `16.4`.
    pub version: String,
    /// A standby in another zone.
    pub multi_az: Option<bool>,
    /// What it replicates from.
    pub source: Option<String>,
    /// Names of what is changed at the next maintenance or reboot; never values.
    pub pending: Vec<String>,
    /// `sun:05:00-sun:06:00`, UTC.
    pub window: String,
    /// The newest moment to which it can be restored.
    pub restorable: Option<DateTime<Utc>>,
    /// Days that backups are kept; 0: no automatic backups.
    pub retention: Option<u64>,
    /// It cannot be deleted.
    pub protected: Option<bool>,
    /// `host:port`; empty while there is none.
    pub endpoint: String,
    /// Parameter groups, each with whose it is and its state: `in-sync`, `pending-reboot`, `applying`, ….
    pub groups: Vec<(String, String)>,
    /// The instances of a cluster: identifier, state; the writer first.
    pub members: Vec<(String, String)>,
}

/// Maintenance that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// `system-update`, `db-upgrade`, `os-upgrade`, ….
    pub action: String,
    /// AWS's own words.
    pub words: String,
    /// When it is applied at the latest known; `None`: not planned.
    pub at: Option<DateTime<Utc>>,
}

impl Aws {
    /// An instance, or a cluster with its instances.
    ///
    /// # Errors
    /// `Misconfigured` where there is none of that name, `Denied`, `FailedNothingDone`.
    pub async fn database(&self, which: &WhichDatabase, patience: &Patience) -> Result<Database, Failure> {
        match which {
            WhichDatabase::Instance(id) => {
                let params = [("DBInstanceIdentifier".to_owned(), id.clone())];
                let answer = self.query(&RDS, &INSTANCES, &params, patience).await?;
                let found = answer.each("DescribeDBInstancesResult/DBInstances", "DBInstance").next();
                let found = found.filter(|found| named(found, "DBInstanceIdentifier", id));
                instance(found.ok_or_else(|| missing("instance", id))?)
            }
            WhichDatabase::Cluster(id) => {
                let params = [("DBClusterIdentifier".to_owned(), id.clone())];
                let answer = self.query(&RDS, &CLUSTERS, &params, patience).await?;
                let found = answer.each("DescribeDBClustersResult/DBClusters", "DBCluster").next();
                let found = found.filter(|found| named(found, "DBClusterIdentifier", id));
                let found = found.ok_or_else(|| missing("cluster", id))?;
                let mut cluster = cluster(found)?;
                let instances = self.members(id, patience).await?;
                let mut members: Vec<_> = found.each("DBClusterMembers", "DBClusterMember").collect();
                members.sort_by_key(|member| member.text("IsClusterWriter") != "true");
                for member in members {
                    let name = member.text("DBInstanceIdentifier");
                    let state = member.text("DBClusterParameterGroupStatus").to_owned();
                    cluster.groups.push((format!("the cluster's parameter group on {name}"), state));
                    let found = instances.iter().find(|(id, _)| id == name).map(|(_, found)| found);
                    let state = found.map_or("not described", |found| found.status.as_str());
                    cluster.members.push((name.to_owned(), state.to_owned()));
                    let Some(found) = found else { continue };
                    cluster
                        .groups
                        .extend(found.groups.iter().map(|(of, state)| (format!("{of} on {name}"), state.clone())));
                    cluster.pending.extend(found.pending.iter().map(|what| format!("{what} of {name}")));
                }
                Ok(cluster)
            }
        }
    }

    /// The instances of a cluster, by identifier.
    async fn members(&self, cluster: &str, patience: &Patience) -> Result<Vec<(String, Database)>, Failure> {
        let filter = [("Filters.Filter.1.Name", "db-cluster-id"), ("Filters.Filter.1.Values.Value.1", cluster)];
        let filter = filter.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut found = Vec::new();
        let mut marker = String::new();
        for _ in 0..PAGES {
            let mut params = filter.to_vec();
            if !marker.is_empty() {
                params.push(("Marker".into(), marker.clone()));
            }
            let answer = self.query(&RDS, &INSTANCES, &params, patience).await?;
            for one in answer.each("DescribeDBInstancesResult/DBInstances", "DBInstance") {
                found.push((one.text("DBInstanceIdentifier").to_owned(), instance(one)?));
            }
            answer.text("DescribeDBInstancesResult/Marker").clone_into(&mut marker);
            if marker.is_empty() {
                return Ok(found);
            }
        }
        Err(endless(&INSTANCES))
    }

    /// The maintenance that waits for a resource, by its ARN.
    ///
    /// # Errors
    /// As [`Aws::database`].
    pub async fn maintenance(&self, arn: &str, patience: &Patience) -> Result<Vec<Maintenance>, Failure> {
        let mut found = Vec::new();
        let mut marker = String::new();
        for _ in 0..PAGES {
            let mut params = vec![("ResourceIdentifier".to_owned(), arn.to_owned())];
            if !marker.is_empty() {
                params.push(("Marker".into(), marker.clone()));
            }
            let answer = self.query(&RDS, &PENDING, &params, patience).await?;
            let list = "DescribePendingMaintenanceActionsResult/PendingMaintenanceActions";
            for resource in answer.each(list, "ResourcePendingMaintenanceActions") {
                for one in resource.each("PendingMaintenanceActionDetails", "PendingMaintenanceAction") {
                    let dates = ["CurrentApplyDate", "ForcedApplyDate", "AutoAppliedAfterDate"];
                    let at = dates.into_iter().find_map(|name| one.text(name).parse().ok());
                    let (action, words) = (one.text("Action").to_owned(), one.text("Description").to_owned());
                    found.push(Maintenance { action, words, at });
                }
            }
            answer.text("DescribePendingMaintenanceActionsResult/Marker").clone_into(&mut marker);
            if marker.is_empty() {
                return Ok(found);
            }
        }
        Err(endless(&PENDING))
    }
}

fn missing(what: &str, id: &str) -> Failure {
    Failure::new(Class::Misconfigured, format!("RDS describes no {what} {id}"))
        .hint("compare the identifier and the region with what the account holds")
}

fn endless(call: &Call<'_>) -> Failure {
    Failure::new(Class::FailedNothingDone, format!("no data: RDS {} has more than {PAGES} pages", call.operation))
}

/// RDS keeps identifiers in lower case.
fn named(found: &Node, key: &str, id: &str) -> bool {
    found.text(key).eq_ignore_ascii_case(id)
}

fn flag(node: &Node, name: &str) -> Option<bool> {
    match node.text(name) {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn address(host: &str, port: &str) -> String {
    if host.is_empty() || port.is_empty() { host.to_owned() } else { format!("{host}:{port}") }
}

/// What both have in common.
fn common(node: &Node, call: &Call<'_>, status: &str, arn: &str) -> Result<Database, Failure> {
    let text = |name: &str| node.text(name).to_owned();
    let pending = node.at("PendingModifiedValues").map(|values| values.children.as_slice()).unwrap_or_default();
    let said = Database {
        arn: text(arn),
        status: text(status),
        engine: text("Engine"),
        version: text("EngineVersion"),
        multi_az: flag(node, "MultiAZ"),
        pending: pending.iter().filter(|one| !is_empty(one)).map(|one| one.name.clone()).collect(),
        window: text("PreferredMaintenanceWindow"),
        restorable: node.text("LatestRestorableTime").parse().ok(),
        retention: node.text("BackupRetentionPeriod").parse().ok(),
        protected: flag(node, "DeletionProtection"),
        ..Database::default()
    };
    for (what, value) in [("status", &said.status), ("engine", &said.engine), ("version", &said.version)] {
        if value.is_empty() {
            return Err(garbled(call, &format!("the answer names no {what}")).failure);
        }
    }
    Ok(said)
}

fn is_empty(node: &Node) -> bool {
    node.text.trim().is_empty() && node.children.iter().all(is_empty)
}

fn instance(node: &Node) -> Result<Database, Failure> {
    let source = ["ReadReplicaSourceDBInstanceIdentifier", "ReadReplicaSourceDBClusterIdentifier"];
    let source = source.into_iter().map(|name| node.text(name)).find(|text| !text.is_empty());
    let groups = node.each("DBParameterGroups", "DBParameterGroup").map(|group| {
        let name = group.text("DBParameterGroupName");
        (format!("parameter group {name}"), group.text("ParameterApplyStatus").to_owned())
    });
    Ok(Database {
        source: source.map(ToOwned::to_owned),
        endpoint: address(node.text("Endpoint/Address"), node.text("Endpoint/Port")),
        groups: groups.collect(),
        ..common(node, &INSTANCES, "DBInstanceStatus", "DBInstanceArn")?
    })
}

fn cluster(node: &Node) -> Result<Database, Failure> {
    let source = node.text("ReplicationSourceIdentifier");
    Ok(Database {
        source: (!source.is_empty()).then(|| source.to_owned()),
        endpoint: address(node.text("Endpoint"), node.text("Port")),
        ..common(node, &CLUSTERS, "Status", "DBClusterArn")?
    })
}

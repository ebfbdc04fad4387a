//! `rds.status`: a database at RDS is available and is what it ought to be.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind, amiss};
use crate::{
    base::{Failure, short_duration},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Permission, Seen, Shape},
    services::{
        Services,
        aws::{Database, Maintenance, Patience, Weekly, WhichDatabase, moment, now},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "rds.status",
    summary: "an RDS instance or cluster is available, whole, and nothing waits for it",
    docs: "\
Green when the instance (`instance`) or the Aurora or Multi-AZ cluster (`cluster`) is `available`, no modified value waits, every parameter
group is `in-sync`, and whatever else is given holds. Of a cluster every member instance must be `available` too. `pending = \"any\"` lets
modified values and parameter groups wait.

`replica_of` names what it must replicate from; `promoted = true` means that it replicates from nothing any more. `max_restore_age` is the age of
the newest moment to which it can be restored. `no_maintenance_for = \"4h\"` is not green where the weekly maintenance window opens, or a planned
maintenance action falls, within that time; without it a window that opens within 12 hours is named in the line.

What hurts people: a changed parameter that waits for a reboot (`pending-reboot`): the group says one thing, the server another; a replica
that nobody promoted takes no writes; a maintenance window in the middle of the night; a database without automatic backups cannot go back;
`deletion_protection` off when the old stack is deleted.

Limits: free storage is a metric: `cloudwatch.metric` with `AWS/RDS` `FreeStorageSpace`. A group `in-sync` may be the wrong group: the line names it.
The newest restorable moment is about five minutes old on a healthy instance, and a replica or an instance without backups has none.

API: RDS `DescribeDBInstances`, `DescribeDBClusters`, and with `no_maintenance_for` `DescribePendingMaintenanceActions`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &[
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:DescribePendingMaintenanceActions",
        "sts:GetCallerIdentity",
    ],
    example: include_str!("../../runbooks/kinds/rds.status.toml"),
    bind: Bind::Check(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "instance", shape: Shape::Text, required: false, help: "identifier of a DB instance" },
    Param { name: "cluster", shape: Shape::Text, required: false, help: "identifier of a DB cluster, instead" },
    Param { name: "status", shape: Shape::Text, required: false, help: "wanted status; default: available" },
    Param { name: "engine", shape: Shape::Text, required: false, help: "such as postgres or aurora-postgresql" },
    Param { name: "version", shape: Shape::Text, required: false, help: "such as 16 (any 16.x) or 16.4" },
    Param { name: "multi_az", shape: Shape::Flag, required: false, help: "whether there must be a standby" },
    Param { name: "promoted", shape: Shape::Flag, required: false, help: "true: it must replicate from nothing" },
    Param { name: "replica_of", shape: Shape::Text, required: false, help: "what it must replicate from, id or ARN" },
    Param {
        name: "pending",
        shape: Shape::Text,
        required: false,
        help: "modified values and parameter groups that wait: none or any; default: none",
    },
    Param {
        name: "no_maintenance_for",
        shape: Shape::Duration,
        required: false,
        help: "no maintenance within this time from now",
    },
    Param { name: "endpoint", shape: Shape::Text, required: false, help: "host or host:port that it must have" },
    Param { name: "min_backup_days", shape: Shape::Count, required: false, help: "days that backups must be kept" },
    Param {
        name: "max_restore_age",
        shape: Shape::Duration,
        required: false,
        help: "age of the newest restorable moment, at most",
    },
    Param {
        name: "deletion_protection",
        shape: Shape::Flag,
        required: false,
        help: "whether it must be protected from deletion",
    },
];

/// A window that opens within this time is told although nobody asked.
const SOON: Duration = Duration::from_secs(12 * 3600);

struct Status {
    services: Arc<Services>,
    which: WhichDatabase,
    status: String,
    engine: Option<String>,
    version: Option<String>,
    multi_az: Option<bool>,
    promoted: bool,
    replica_of: Option<String>,
    pending: bool,
    quiet: Option<Duration>,
    endpoint: Option<String>,
    backup_days: Option<u64>,
    restore_age: Option<Duration>,
    protected: Option<bool>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Check> {
    let which = match (params.opt_text("instance"), params.opt_text("cluster")) {
        (Some(_), Some(_)) => {
            let at = params.place_of("cluster");
            params.mistake(at, "`cluster` does not go with `instance`", "give one or the other", None);
            WhichDatabase::Instance(String::new())
        }
        (Some(instance), None) => WhichDatabase::Instance(instance),
        (None, Some(cluster)) => WhichDatabase::Cluster(cluster),
        (None, None) => {
            if !params.has("instance") && !params.has("cluster") {
                let at = params.place();
                let words = "`rds.status` needs `instance` or `cluster`";
                params.mistake(at, words, "neither is given here", None);
            }
            WhichDatabase::Instance(String::new())
        }
    };
    let promoted = params.opt_flag("promoted");
    let replica_of = params.opt_text("replica_of");
    if promoted == Some(false) {
        let at = params.place_of("promoted");
        let help = Some("name its source by `replica_of`".into());
        params.mistake(at, "`promoted` can only be true", "says nothing that can be checked", help);
    } else if promoted.is_some() && replica_of.is_some() {
        let at = params.place_of("replica_of");
        params.mistake(at, "`replica_of` does not go with `promoted`", "give one or the other", None);
    }
    Arc::new(Status {
        services: services.clone(),
        which,
        status: params.opt_text("status").unwrap_or_else(|| "available".into()),
        engine: params.opt_text("engine"),
        version: params.opt_text("version"),
        multi_az: params.opt_flag("multi_az"),
        promoted: promoted == Some(true),
        replica_of,
        pending: params.word("pending", &[("none", false), ("any", true)]),
        quiet: params.opt_duration("no_maintenance_for"),
        endpoint: params.opt_text("endpoint"),
        backup_days: params.opt_count("min_backup_days"),
        restore_age: params.opt_duration("max_restore_age"),
        protected: params.opt_flag("deletion_protection"),
    })
}

/// `16` stands for every `16.x`, `16.4` for itself and `16.4-R2`.
fn is_version(found: &str, wanted: &str) -> bool {
    found.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
}

/// A source by identifier or ARN; the other side may write it either way.
fn is_source(found: &str, wanted: &str) -> bool {
    let id = |text: &str| text.rsplit(':').next().unwrap_or_default().to_ascii_lowercase();
    if wanted.starts_with("arn:") && found.starts_with("arn:") { found == wanted } else { id(found) == id(wanted) }
}

fn on(flag: bool) -> &'static str {
    if flag { "on" } else { "off" }
}

impl Status {
    /// Everything that is not as it ought to be.
    fn wrong(&self, now: DateTime<Utc>, found: &Database, waiting: &[Maintenance]) -> Vec<String> {
        let mut wrong = Vec::new();
        if found.status != self.status {
            wrong.push(format!("it is {}, wanted {}", found.status, self.status));
        }
        let members = found.members.iter().filter(|(_, state)| *state != self.status);
        wrong.extend(members.map(|(id, state)| format!("instance {id} is {state}, wanted {}", self.status)));
        if matches!(self.which, WhichDatabase::Cluster(_)) && found.members.is_empty() {
            wrong.push("the cluster has no instance".into());
        }
        if let Some(engine) = self.engine.as_ref().filter(|engine| **engine != found.engine) {
            wrong.push(format!("its engine is {}, wanted {engine}", found.engine));
        }
        if let Some(version) = self.version.as_ref().filter(|version| !is_version(&found.version, version)) {
            wrong.push(format!("its version is {}, wanted {version}", found.version));
        }
        if let (true, Some(source)) = (self.promoted, &found.source) {
            wrong.push(format!("it was not promoted: it still replicates from {source}"));
        }
        if let Some(wanted) = &self.replica_of {
            match &found.source {
                Some(source) if is_source(source, wanted) => {}
                Some(source) => wrong.push(format!("it replicates from {source}, wanted {wanted}")),
                None => wrong.push(format!("it replicates from nothing, wanted {wanted}")),
            }
        }
        if !self.pending {
            if !found.pending.is_empty() {
                wrong.push(format!("modified and not applied yet: {}", found.pending.join(", ")));
            }
            for (group, state) in found.groups.iter().filter(|(_, state)| state != "in-sync") {
                let state = if state.is_empty() { "in an unknown state" } else { state };
                wrong.push(format!("{group} is {state}, wanted in-sync"));
            }
        }
        for (what, wanted, found) in
            [("Multi-AZ", self.multi_az, found.multi_az), ("deletion protection", self.protected, found.protected)]
        {
            match (wanted, found) {
                (Some(wanted), Some(found)) if wanted != found => {
                    wrong.push(format!("{what} is {}, wanted {}", on(found), on(wanted)));
                }
                (Some(_), None) => wrong.push(format!("no data: RDS does not say whether {what} is on")),
                _ => {}
            }
        }
        if let Some(endpoint) = &self.endpoint {
            let host = found.endpoint.rsplit_once(':').map_or(found.endpoint.as_str(), |(host, _)| host);
            if *endpoint != found.endpoint && endpoint != host {
                let there = if found.endpoint.is_empty() { "none yet" } else { &found.endpoint };
                wrong.push(format!("its endpoint is {there}, wanted {endpoint}"));
            }
        }
        wrong.extend(self.backups(now, found));
        wrong.extend(self.unquiet(now, found, waiting));
        wrong
    }

    fn backups(&self, now: DateTime<Utc>, found: &Database) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(least) = self.backup_days {
            match found.retention {
                Some(days) if days >= least => {}
                Some(0) => wrong.push(format!("automatic backups are off, wanted {least} days")),
                Some(days) => wrong.push(format!("backups are kept {days} days, wanted {least}")),
                None => wrong.push("no data: RDS does not say how long backups are kept".into()),
            }
        }
        if let Some(most) = self.restore_age {
            match found.restorable.map(|at| (now - at).to_std().unwrap_or_default()) {
                Some(age) if age <= most => {}
                Some(age) => {
                    let (age, most) = (short_duration(age), short_duration(most));
                    wrong.push(format!("it can be restored to {age} ago only, wanted {most}"));
                }
                None => wrong.push("no data: RDS names no moment to which it can be restored".into()),
            }
        }
        wrong
    }

    /// Maintenance within the time that has to be quiet.
    fn unquiet(&self, now: DateTime<Utc>, found: &Database, waiting: &[Maintenance]) -> Vec<String> {
        let Some(quiet) = self.quiet else { return Vec::new() };
        let mut wrong = Vec::new();
        match Weekly::read(&found.window) {
            Some(window) if window.opens_in(now) <= quiet => wrong.push(format!("{}", Opens(window, now))),
            Some(_) => {}
            None => wrong.push("no data: RDS names no maintenance window".into()),
        }
        let end = TimeDelta::from_std(quiet).ok().and_then(|quiet| now.checked_add_signed(quiet));
        for one in waiting.iter().filter(|one| one.at.is_some_and(|at| end.is_none_or(|end| at <= end))) {
            let at = one.at.map(moment).unwrap_or_default();
            wrong.push(format!("maintenance {} is planned for {at}: {}", one.action, one.words));
        }
        wrong
    }

    fn line(&self, now: DateTime<Utc>, found: &Database) -> String {
        let mut line = format!("{} is {}: {} {}", self.which.id(), found.status, found.engine, found.version);
        let mut say = |words: String| {
            line.push_str(", ");
            line.push_str(&words);
        };
        if found.multi_az == Some(true) {
            say("Multi-AZ".into());
        }
        if !found.members.is_empty() {
            say(format!("{} instances, {} writes", found.members.len(), found.members[0].0));
        }
        if let Some(source) = &found.source {
            say(format!("replica of {source}"));
        }
        if let Some(at) = found.restorable {
            say(format!("restorable to {} ago", short_duration((now - at).to_std().unwrap_or_default())));
        }
        if !found.pending.is_empty() {
            say(format!("waiting: {}", found.pending.join(", ")));
        }
        for (group, state) in found.groups.iter().filter(|(_, state)| state != "in-sync") {
            say(format!("{group} {state}"));
        }
        if let Some(window) = Weekly::read(&found.window).filter(|window| window.opens_in(now) <= SOON) {
            say(format!("{}", Opens(window, now)));
        }
        line
    }
}

/// What can be done about what hurts most often.
fn hinted(failure: Failure, found: &Database) -> Failure {
    if found.groups.iter().any(|(_, state)| state == "pending-reboot") {
        failure.hint("a changed parameter is not in force until the instance is rebooted: do it before the night")
    } else if failure.message.contains("was not promoted") {
        failure.hint("a replica takes no writes: promote it, which takes minutes, and look again")
    } else {
        failure
    }
}

/// A window in words.
struct Opens(Weekly, DateTime<Utc>);

impl std::fmt::Display for Opens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(window, now) = self;
        match window.opens_in(*now) {
            Duration::ZERO => write!(f, "maintenance window {window} is OPEN"),
            left => write!(f, "maintenance window {window} opens in {}", short_duration(left)),
        }
    }
}

impl Check for Status {
    fn looks(&self) -> String {
        let what = match &self.which {
            WhichDatabase::Instance(id) => format!("RDS DescribeDBInstances {id}"),
            WhichDatabase::Cluster(id) => format!("RDS DescribeDBClusters {id} and its instances"),
        };
        let quiet = self.quiet.map(|time| format!(", no maintenance for {}", short_duration(time)));
        format!("{what} expects {}{}", self.status, quiet.unwrap_or_default())
    }

    fn needs(&self) -> Vec<Permission> {
        let aws = &self.services.aws;
        let arn = aws.arn("rds", &self.which.resource());
        let mut needs = match &self.which {
            WhichDatabase::Instance(_) => vec![Permission::new("rds:DescribeDBInstances", arn.clone())],
            // The instances of a cluster are found by a filter, and their names are not known beforehand.
            WhichDatabase::Cluster(_) => vec![
                Permission::new("rds:DescribeDBClusters", arn.clone()),
                Permission::new("rds:DescribeDBInstances", aws.arn("rds", "db:*")),
            ],
        };
        if self.quiet.is_some() {
            needs.push(Permission::new("rds:DescribePendingMaintenanceActions", arn));
        }
        needs
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let aws = &self.services.aws;
            let found = aws.database(&self.which, &patience).await?;
            let waiting = match self.quiet {
                Some(_) => aws.maintenance(&found.arn, &patience).await?,
                None => Vec::new(),
            };
            let now = now();
            amiss(self.which.id(), self.wrong(now, &found, &waiting)).map_err(|failure| hinted(failure, &found))?;
            let evidence = json!({
                "arn": found.arn, "status": found.status, "engine": found.engine, "version": found.version,
                "multi_az": found.multi_az, "source": found.source, "pending": found.pending,
                "parameter_groups": found.groups, "members": found.members, "endpoint": found.endpoint,
                "maintenance_window": found.window, "restorable": found.restorable.map(moment),
                "maintenance": waiting.iter().map(|one| &one.action).collect::<Vec<_>>(),
            });
            Ok(Seen::new(self.line(now, &found)).with(evidence))
        })
    }
}

//! `rds.status`. moto's databases are available at once, keep their source when they are promoted, and know no pending
//! maintenance: those states are the sandbox's and played ones.

use gonogo::{
    base::{Class, Failure},
    plan::{Permission, Seen},
};

use super::{
    aws::{Answer, at, check, minute, mistakes, nobody, play, services},
    ends::{Case, End, aws, aws_with, contract},
};
use crate::moto;

const KIND: &str = "rds.status";

async fn case(end: End) -> Case {
    let there = aws(end).await;
    let mut id = "shop".to_owned();
    let mut more = "multi_az = true\npromoted = true\nmax_restore_age = \"10m\"\nno_maintenance_for = \"4h\"";
    if end == End::Moto {
        id = format!("shop-{}", fastrand::u32(..));
        let form = format!(
            "Action=CreateDBInstance&Version=2014-10-31&DBInstanceIdentifier={id}&DBInstanceClass=db.t3.micro&Engine=postgres\
             &EngineVersion=16.4&MasterUsername=shop&MasterUserPassword=longpassword&AllocatedStorage=20&BackupRetentionPeriod=7"
        );
        moto::query("rds", &form).await;
        more = "multi_az = false\npromoted = true\nmin_backup_days = 7\ndeletion_protection = false";
    }
    let text = format!("instance = \"{id}\"\nengine = \"postgres\"\nversion = \"16\"\n{more}");
    let bad = ("instance = 'a'\ncluster = 'b'", "'b'");
    Case::aws(&there, &text, bad).not_so(text.replace("\"16\"", "\"15\""))
}

contract!(KIND, case; sandbox: Sandbox, moto: Moto);

/// A played instance: elements that replace those of a healthy one.
fn instance(changes: &[(&str, &str)]) -> String {
    let restorable = chrono::Utc::now() - chrono::TimeDelta::minutes(4);
    let mut elements = vec![
        ("DBInstanceIdentifier", "shop".to_owned()),
        ("DBInstanceArn", "arn:aws:rds:eu-west-1:111122223333:db:shop".into()),
        ("DBInstanceStatus", "available".into()),
        ("Engine", "postgres".into()),
        ("EngineVersion", "16.4".into()),
        ("MultiAZ", "true".into()),
        ("DeletionProtection", "true".into()),
        ("BackupRetentionPeriod", "7".into()),
        ("LatestRestorableTime", restorable.to_rfc3339()),
        ("PreferredMaintenanceWindow", far_window()),
        ("PendingModifiedValues", String::new()),
        ("Endpoint", "<Address>shop.rds.example</Address><Port>5432</Port>".into()),
        ("DBParameterGroups", group("in-sync")),
        ("SomethingNew", "<x>unknown</x>".into()),
    ];
    for (name, text) in changes {
        elements.retain(|(it, _)| it != name);
        elements.push((name, (*text).to_owned()));
    }
    let inner: String = elements.iter().map(|(name, text)| format!("<{name}>{text}</{name}>")).collect();
    format!("<DBInstance>{inner}</DBInstance>")
}

fn group(state: &str) -> String {
    format!(
        "<DBParameterGroup><DBParameterGroupName>shop16</DBParameterGroupName><ParameterApplyStatus>{state}</ParameterApplyStatus></DBParameterGroup>"
    )
}

/// A window so many minutes from now.
fn window(minutes: i64) -> String {
    let at = |minutes: i64| {
        let at = chrono::Utc::now() + chrono::TimeDelta::minutes(minutes);
        at.format("%a:%H:%M").to_string().to_lowercase()
    };
    format!("{}-{}", at(minutes), at(minutes + 30))
}

fn far_window() -> String {
    window(3 * 24 * 60)
}

fn described(instances: &str, marker: &str) -> Answer {
    let marker = if marker.is_empty() { String::new() } else { format!("<Marker>{marker}</Marker>") };
    Answer::xml(format!(
        "<DescribeDBInstancesResponse><DescribeDBInstancesResult>{marker}<DBInstances>{instances}</DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>"
    ))
}

fn maintenance(action: &str, days: i64) -> Answer {
    let date = chrono::Utc::now() + chrono::TimeDelta::days(days);
    let date = date.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    Answer::xml(format!(
        "<R><DescribePendingMaintenanceActionsResult><PendingMaintenanceActions><ResourcePendingMaintenanceActions>\
         <PendingMaintenanceActionDetails><PendingMaintenanceAction><Action>{action}</Action><CurrentApplyDate>{date}</CurrentApplyDate>\
         <Description>patch</Description></PendingMaintenanceAction></PendingMaintenanceActionDetails>\
         </ResourcePendingMaintenanceActions></PendingMaintenanceActions></DescribePendingMaintenanceActionsResult></R>"
    ))
}

async fn look(changes: &[(&str, &str)], rest: &str) -> Result<Seen, Failure> {
    let instance = instance(changes);
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "DescribeDBInstances" => described(&instance, ""),
        _ => maintenance("system-update", 20),
    })
    .await;
    check(KIND, &format!("instance = \"shop\"\n{rest}"), &at(&endpoint)).check(&minute()).await
}

#[tokio::test]
async fn what_hurts_is_named() {
    let all = "engine = \"postgres\"\nversion = \"16.4\"\nmulti_az = true\npromoted = true\ndeletion_protection = true\n\
               endpoint = \"shop.rds.example\"\nmin_backup_days = 7\nmax_restore_age = \"10m\"\nno_maintenance_for = \"4h\"";
    let seen = look(&[], all).await.unwrap();
    assert!(seen.line.starts_with("shop is available: postgres 16.4, Multi-AZ, restorable to 4m0"), "{}", seen.line);
    let soon = window(60);
    let open = window(-10);
    for (name, value, rest, words) in [
        ("DBInstanceStatus", "modifying", "", "it is modifying, wanted available"),
        (
            "DBParameterGroups",
            &*group("pending-reboot"),
            "",
            "parameter group shop16 is pending-reboot, wanted in-sync",
        ),
        (
            "PendingModifiedValues",
            "<EngineVersion>16.6</EngineVersion>",
            "",
            "modified and not applied yet: EngineVersion",
        ),
        ("ReadReplicaSourceDBInstanceIdentifier", "old", all, "it was not promoted: it still replicates from old"),
        ("ReadReplicaSourceDBClusterIdentifier", "old", all, "it was not promoted"),
        ("Engine", "mysql", all, "its engine is mysql, wanted postgres"),
        ("EngineVersion", "16.40", all, "its version is 16.40, wanted 16.4"),
        ("MultiAZ", "false", all, "Multi-AZ is off, wanted on"),
        ("MultiAZ", "", all, "no data: RDS does not say whether Multi-AZ is on"),
        ("DeletionProtection", "false", all, "deletion protection is off, wanted on"),
        ("BackupRetentionPeriod", "0", all, "automatic backups are off, wanted 7 days"),
        ("LatestRestorableTime", "2020-01-01T00:00:00Z", all, "it can be restored to"),
        ("LatestRestorableTime", "", all, "no data: RDS names no moment"),
        ("Endpoint", "", all, "its endpoint is none yet, wanted shop.rds.example"),
        ("PreferredMaintenanceWindow", &soon, all, "opens in "),
        ("PreferredMaintenanceWindow", &open, all, "is OPEN"),
        ("PreferredMaintenanceWindow", "", all, "no data: RDS names no maintenance window"),
    ] {
        let failure = look(&[(name, value)], rest).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{name}: {failure:?}");
        assert!(failure.message.contains(words), "{name}: {}", failure.message);
    }
    let two = look(&[("DBInstanceStatus", "upgrading"), ("MultiAZ", "false")], all).await.unwrap_err();
    assert_eq!(two.message, "shop: it is upgrading, wanted available (and 1 more)");
    assert_eq!(two.causes, ["Multi-AZ is off, wanted on"]);
    // What nobody asked for is told where it will hurt tonight.
    let warned = look(&[("PreferredMaintenanceWindow", &soon)], "").await.unwrap();
    assert!(warned.line.contains("maintenance window") && warned.line.contains("opens in"), "{}", warned.line);
    let reboot = look(&[("DBParameterGroups", &group("pending-reboot"))], "").await.unwrap_err();
    assert!(reboot.hint.unwrap().contains("rebooted"));
    let waits = look(&[("DBParameterGroups", &group("pending-reboot"))], "pending = \"any\"").await.unwrap();
    assert!(waits.line.ends_with("parameter group shop16 pending-reboot"), "{}", waits.line);
    look(&[("ReadReplicaSourceDBInstanceIdentifier", "arn:aws:rds:us-east-1:1:db:old")], "replica_of = \"old\"")
        .await
        .unwrap();
    let other = look(&[], "replica_of = \"old\"").await.unwrap_err();
    assert_eq!(other.message, "shop: it replicates from nothing, wanted old");
}

#[tokio::test]
async fn planned_maintenance_is_found() {
    let there = instance(&[]);
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "DescribeDBInstances" => described(&there, ""),
        _ => maintenance("db-upgrade", 0),
    })
    .await;
    let quiet = check(KIND, "instance = \"shop\"\nno_maintenance_for = \"4h\"", &at(&endpoint)).check(&minute()).await;
    let failure = quiet.unwrap_err();
    assert!(failure.message.contains("maintenance db-upgrade is planned for 20"), "{failure}");
    check(KIND, "instance = \"shop\"", &at(&endpoint)).check(&minute()).await.unwrap();
}

fn cluster() -> Answer {
    let member = |id: &str, writer: bool| {
        format!(
            "<DBClusterMember><DBInstanceIdentifier>{id}</DBInstanceIdentifier><IsClusterWriter>{writer}</IsClusterWriter>\
             <DBClusterParameterGroupStatus>in-sync</DBClusterParameterGroupStatus></DBClusterMember>"
        )
    };
    Answer::xml(format!(
        "<R><DescribeDBClustersResult><DBClusters><DBCluster><DBClusterIdentifier>big</DBClusterIdentifier><Status>available</Status>\
         <Engine>aurora-postgresql</Engine><EngineVersion>16.4</EngineVersion><DBClusterMembers>{}{}</DBClusterMembers></DBCluster>\
         </DBClusters></DescribeDBClustersResult></R>",
        member("big-2", false),
        member("big-1", true)
    ))
}

#[tokio::test]
async fn the_instances_of_a_cluster_are_read_to_the_last_page() {
    let state = |id: &str, state: &str| instance(&[("DBInstanceIdentifier", id), ("DBInstanceStatus", state)]);
    for (last, good) in [("available", true), ("rebooting", false)] {
        let (one, two) = (state("big-1", "available"), state("big-2", last));
        let endpoint = play(move |asked| match asked.operation.as_str() {
            "DescribeDBClusters" => cluster(),
            _ if asked.body.contains("Marker=m1") => described(&two, ""),
            _ => {
                assert!(asked.body.contains("Filters.Filter.1.Values.Value.1=big"), "{}", asked.body);
                described(&one, "m1")
            }
        })
        .await;
        let seen = check(KIND, "cluster = \"big\"", &at(&endpoint)).check(&minute()).await;
        match seen {
            Ok(seen) => assert!(good && seen.line.contains("2 instances, big-1 writes"), "{}", seen.line),
            Err(failure) => {
                assert_eq!(
                    (good, failure.message.as_str()),
                    (false, "big: instance big-2 is rebooting, wanted available")
                );
            }
        }
    }
    // A member's own parameter group waits, while the cluster's is in sync.
    let (one, two) =
        (state("big-1", "available"), state("big-2", "available").replace(">in-sync<", ">pending-reboot<"));
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "DescribeDBClusters" => cluster(),
        _ => described(&format!("{one}{two}"), ""),
    })
    .await;
    let failure = check(KIND, "cluster = \"big\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert_eq!(failure.message, "big: parameter group shop16 on big-2 is pending-reboot, wanted in-sync");
    let endpoint = play(move |asked| match asked.operation.as_str() {
        "DescribeDBClusters" => cluster(),
        _ => described("", "again"),
    })
    .await;
    let failure = check(KIND, "cluster = \"big\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
    assert!(failure.message.contains("more than 20 pages"), "{failure}");
}

#[tokio::test]
async fn hostile_and_empty_answers_are_never_green() {
    for (body, class) in [
        ("<R><DescribeDBInstancesResult><DBInstances/></DescribeDBInstancesResult></R>".to_owned(), Class::Misconfigured),
        ("<R/>".into(), Class::FailedNothingDone),
        ("not xml".into(), Class::FailedNothingDone),
        (
            "<R><DescribeDBInstancesResult><DBInstances><DBInstance><DBInstanceIdentifier>other</DBInstanceIdentifier></DBInstance></DBInstances></DescribeDBInstancesResult></R>".into(),
            Class::Misconfigured,
        ),
        (
            "<R><DescribeDBInstancesResult><DBInstances><DBInstance><DBInstanceIdentifier>shop</DBInstanceIdentifier></DBInstance></DBInstances></DescribeDBInstancesResult></R>".into(),
            Class::FailedNothingDone,
        ),
    ] {
        let answer = body.clone();
        let endpoint = play(move |_| Answer::xml(answer.clone())).await;
        let failure = check(KIND, "instance = \"shop\"", &at(&endpoint)).check(&minute()).await.unwrap_err();
        assert!(failure.class == class || body == "<R/>", "{body}: {failure:?}");
    }
    let evil = look(&[("DBInstanceStatus", "avail\u{1b}[2Jable&#7;")], "").await;
    assert!(!evil.unwrap_err().message.contains('\u{1b}'));
    let missing = check(KIND, "instance = \"nope\"", &at(moto::endpoint())).check(&minute()).await.unwrap_err();
    assert_eq!(missing.class, Class::Misconfigured, "{missing:?}");
    let nobody = check(KIND, "instance = \"shop\"", &at(&nobody().await)).check(&minute()).await.unwrap_err();
    assert_eq!(nobody.class, Class::FailedNothingDone);
}

#[tokio::test]
async fn the_sandboxs_faults_teach() {
    let there = aws_with(&["rds.modifying:once", "rds.pending_reboot:2", "rds.maintenance:3"]).await;
    let look = check(KIND, "instance = \"shop\"\nno_maintenance_for = \"4h\"", &services(there.env.clone()));
    for words in ["it is modifying", "parameter group shop-postgres16 is pending-reboot", "maintenance window"] {
        let failure = look.check(&minute()).await.unwrap_err();
        assert!(failure.message.contains(words), "{words}: {failure}");
    }
    look.check(&minute()).await.unwrap();
    let replica = check(KIND, "instance = \"shop-reports\"\npromoted = true", &services(there.env.clone()));
    let failure = replica.check(&minute()).await.unwrap_err();
    assert_eq!(failure.message, "shop-reports: it was not promoted: it still replicates from shop");
    let cluster = check(KIND, "cluster = \"shop-analytics\"", &services(there.env));
    cluster.check(&minute()).await.unwrap();
}

#[tokio::test]
async fn it_needs_what_it_calls() {
    let there = aws(End::Sandbox).await;
    let needs = |text: &str| check(KIND, text, &services(there.env.clone())).needs();
    let on = |action: &str, resource: &str| {
        Permission::new(format!("rds:{action}"), format!("arn:aws:rds:eu-west-1:111122223333:{resource}"))
    };
    assert_eq!(needs("instance = \"shop\""), [on("DescribeDBInstances", "db:shop")]);
    assert_eq!(
        needs("cluster = \"c\"\nno_maintenance_for = \"1h\""),
        [
            on("DescribeDBClusters", "cluster:c"),
            on("DescribeDBInstances", "db:*"),
            on("DescribePendingMaintenanceActions", "cluster:c")
        ]
    );
}

#[test]
fn mistakes_have_their_place() {
    assert_eq!(mistakes(KIND, "engine = 'postgres'")[0].1, "`rds.status` needs `instance` or `cluster`");
    for (text, place) in [
        ("instance = 'a'\npromoted = false", "false"),
        ("instance = 'a'\npromoted = true\nreplica_of = 'b'", "'b'"),
        ("instance = 'a'\npending = 'some'", "'some'"),
        ("instance = 'a'\nno_maintenance_for = 4", "4"),
    ] {
        assert_eq!(mistakes(KIND, text)[0].0, place, "{text}");
    }
}

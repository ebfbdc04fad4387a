//! `postgres.analyze` against a real server: as an action, as a check, in doubt, and with servers that fail.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Failure},
    plan::{Finding, Seen},
    services::Services,
};

use super::contract::{
    action, attempt, attempt_of, check, check_changes_nothing, cut_short_is_unknown, env, points_at, services,
};
use crate::postgres::{Cluster, Database, database};

async fn loaded(name: &str) -> Database {
    let database = database(name).await;
    database
        .sql(
            "CREATE SCHEMA \"Odd\"; CREATE TABLE \"Odd\".\"T \"\"x\" (id int); INSERT INTO \"Odd\".\"T \"\"x\" SELECT generate_series(1, 500);
             CREATE TABLE plain (id int) WITH (autovacuum_enabled = off); INSERT INTO plain SELECT generate_series(1, 1000);
             CREATE TABLE parent (id int) PARTITION BY RANGE (id);
             CREATE TABLE part_1 PARTITION OF parent FOR VALUES FROM (0) TO (100);
             CREATE TABLE part_2 PARTITION OF parent FOR VALUES FROM (100) TO (200);
             INSERT INTO parent SELECT generate_series(0, 199);
             CREATE MATERIALIZED VIEW m AS SELECT id FROM plain; CREATE VIEW v AS SELECT 1 AS a",
        )
        .await;
    database
}

async fn look(services: &Arc<Services>, url: &str, more: &str) -> Result<Seen, Failure> {
    check("postgres.analyze", &format!("database = \"{url}\"\n{more}"), services).check(&attempt().cx).await
}

#[tokio::test]
async fn every_table_gets_statistics_and_that_is_proved() {
    let database = loaded("analyze").await;
    let services = services(env());
    let failure = look(&services, &database.url(), "").await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(failure.message.contains("never") || failure.causes.iter().any(|c| c.contains("never")), "{failure:?}");

    let text = format!("database = \"{}\"\nconnections = 3", database.url());
    let analyze = action("postgres.analyze", &text, &services);
    let attempt = attempt();
    let captured = analyze.capture(&attempt.cx).await.unwrap();
    assert!(matches!(analyze.probe(&attempt.cx, &captured, false).await.unwrap(), Finding::NotDone { .. }));
    let done = analyze.apply(&attempt.cx, &captured).await.unwrap();
    // The table with the odd name, the plain one, the parent with its partitions, the materialised view.
    assert!(done.line.starts_with("4 tables analysed"), "{}", done.line);
    assert!(matches!(analyze.probe(&attempt.cx, &captured, false).await.unwrap(), Finding::Done(_)));
    let progress = attempt.seen.progress.lock().unwrap().clone();
    assert!(progress.len() == 4 && progress.last().unwrap().0 >= 0.99, "{progress:?}");
    assert!(!analyze.restorable() && !analyze.does().is_empty());

    let rows = "SELECT relname::text, reltuples::float8 FROM pg_class WHERE relname IN ('plain', 'parent', 'part_1', 'm', 'T \"x') ORDER BY 1";
    let rows =
        database.rows(rows, &[]).await.iter().map(|r| (r.get::<_, String>(0), r.get::<_, f64>(1))).collect::<Vec<_>>();
    let wanted = [("T \"x", 500.0), ("m", 1000.0), ("parent", 200.0), ("part_1", 100.0), ("plain", 1000.0)];
    assert_eq!(rows, wanted.map(|(name, n)| (name.to_owned(), n)));
    let seen = look(&services, &database.url(), "max_age = \"5m\"").await.unwrap();
    assert!(seen.line.starts_with("6 tables"), "{}", seen.line);
    // Twice is as good as once.
    analyze.apply(&attempt.cx, &captured).await.unwrap();
    analyze.restore(&attempt.cx, &captured).await.unwrap();
    look(&services, &database.url(), "tables = [\"plain\", '\"Odd\".\"T \"\"x\"']").await.unwrap();
    database.sql("CREATE TABLE late (id int)").await;
    let failure = look(&services, &database.url(), "").await.unwrap_err();
    assert!(failure.message.contains("public.late was analysed never"), "{failure:?}");
    database.cluster.nothing_left(&database.name).await;
}

/// `ANALYZE` goes to the partitions of a table that is named, not to the children that inherit from it.
#[tokio::test]
async fn a_parent_by_inheritance_is_analysed_alone() {
    let database = database("inherits").await;
    let make = "CREATE TABLE par (id int); CREATE TABLE chi (more int) INHERITS (par); INSERT INTO par VALUES (1);
        INSERT INTO chi VALUES (1, 2)";
    database.sql(make).await;
    let services = services(env());
    let text = format!("database = \"{}\"\ntables = [\"public.par\"]", database.url());
    let done =
        action("postgres.analyze", &text, &services).apply(&attempt().cx, &serde_json::Value::Null).await.unwrap();
    assert!(done.line.starts_with("1 table"), "{}", done.line);
    look(&services, &database.url(), "tables = [\"public.par\"]").await.unwrap();
    let failure = look(&services, &database.url(), "").await.unwrap_err();
    assert!(failure.message.contains("public.chi was analysed never"), "{failure:?}");
}

#[tokio::test]
async fn the_contract_of_its_check() {
    let database = loaded("contract_a").await;
    let text = format!("database = \"{}\"", database.url());
    let check = check("postgres.analyze", &text, &services(env()));
    let count = "SELECT COALESCE(sum(analyze_count + autoanalyze_count), 0)::int8 FROM pg_stat_user_tables";
    check_changes_nothing(check.as_ref(), async || {
        usize::try_from(database.rows(count, &[]).await[0].get::<_, i64>(0)).unwrap()
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_analysed_is_said_beforehand() {
    let database = loaded("rights").await;
    let services = services(env());
    let role = database.role("reader", "").await;
    database.sql(&format!("GRANT SELECT ON plain TO {}", role.name)).await;
    for more in ["", "\ntables = \"plain\""] {
        let analyze =
            action("postgres.analyze", &format!("database = \"{}\"{more}", database.url_of(&role)), &services);
        let failure = analyze.apply(&attempt().cx, &serde_json::Value::Null).await.unwrap_err();
        assert_eq!(failure.class, Class::Denied, "{failure:?}");
    }
    database.sql(&format!("ALTER TABLE plain OWNER TO {}", role.name)).await;
    let own = format!("database = \"{}\"\ntables = \"plain\"", database.url_of(&role));
    action("postgres.analyze", &own, &services).apply(&attempt().cx, &serde_json::Value::Null).await.unwrap();
    for (table, class) in [("nowhere", Class::Misconfigured), ("v", Class::Misconfigured)] {
        let text = format!("database = \"{}\"\ntables = \"{table}\"", database.url());
        let failure = action("postgres.analyze", &text, &services).apply(&attempt().cx, &serde_json::Value::Null).await;
        assert_eq!(failure.unwrap_err().class, class, "{table}");
    }
    points_at("postgres.analyze", "database = \"x\"\ntables = []", &services, "[]", "`tables` must name tables");
    points_at(
        "postgres.analyze",
        "database = \"x\"\nconnections = 17",
        &services,
        "17",
        "`connections` must be 1 to 16",
    );
    points_at(
        "postgres.analyze",
        "database = \"x\"\nmax_age = \"5m\"",
        &services,
        "\"5m\"",
        "`max_age` is for the check",
    );
    points_at("postgres.analyze", "", &services, "", "needs `database`");
}

/// A table that somebody has locked: it waits, and an end in between is unknown; nothing of ours stays.
#[tokio::test]
async fn cut_short_in_the_middle_is_unknown() {
    let database = loaded("locked").await;
    let services = services(env());
    let lock = database.client().await;
    lock.batch_execute("BEGIN; LOCK TABLE plain IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
    let analyze =
        action("postgres.analyze", &format!("database = \"{}\"\ntables = \"plain\"", database.url()), &services);
    let waits = "SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND application_name = 'gonogo' AND wait_event_type = 'Lock'";
    cut_short_is_unknown(analyze.clone(), serde_json::Value::Null, async || {
        while database.rows(waits, &[&database.name]).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    database.cluster.nothing_left(&database.name).await;
    drop(lock);
    analyze.apply(&attempt().cx, &serde_json::Value::Null).await.unwrap();

    let mut cluster = Cluster::start(&[]);
    cluster.client("postgres").await.batch_execute("CREATE TABLE t (id int)").await.unwrap();
    let text = format!("database = \"{}\"", cluster.url("postgres"));
    let analyze = action("postgres.analyze", &text, &services);
    let lock = cluster.client("postgres").await;
    lock.batch_execute("BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
    let watcher = cluster.client("postgres").await;
    let limited = attempt_of(Duration::from_secs(20), BTreeMap::new());
    let (cx, acting) = (limited.cx.clone(), analyze.clone());
    let task = tokio::spawn(async move { acting.apply(&cx, &serde_json::Value::Null).await });
    while watcher.query(waits, &[&"postgres"]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop((lock, watcher));
    cluster.stop();
    assert_eq!(task.await.unwrap().unwrap_err().class, Class::Unknown);
    let failure = analyze.apply(&attempt().cx, &serde_json::Value::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    cluster.start_again();
    analyze.apply(&attempt().cx, &serde_json::Value::Null).await.unwrap();
    cluster.nothing_left("").await;
}

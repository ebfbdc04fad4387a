//! While the source is written to, between the looks of a step, and what is shown of rows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gonogo::base::Class;

use super::{KIND, both, check, look, look_with, services, text};
use crate::{
    kinds::contract::env,
    postgres::{Cluster, Database, pair, target, unique},
};

const ROWS: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 2000) g";

/// A subscription of the target; resolves when its tables are copied.
async fn subscribed(source: &Database, target: &Database) -> String {
    let name = unique("sub");
    source.sql("CREATE PUBLICATION p FOR ALL TABLES").await;
    source.sql(&format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")).await;
    let from = format!("host=127.0.0.1 port={} dbname={} user=postgres", source.cluster.port, source.name);
    target
        .sql(&format!(
            "CREATE SUBSCRIPTION {name} CONNECTION '{from}' PUBLICATION p WITH (create_slot = false, slot_name = '{name}')"
        ))
        .await;
    let ready = "SELECT count(*) FILTER (WHERE srsubstate <> 'r'), count(*) FROM pg_subscription_rel";
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let row = target.rows(ready, &[]).await.remove(0);
        if row.get::<_, i64>(0) == 0 && row.get::<_, i64>(1) > 0 {
            return name;
        }
        assert!(tokio::time::Instant::now() < until, "the tables are not copied");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Rows that are on their way are no differences; one that never comes is, among a thousand that do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_written_to_is_compared_behind_a_marker() {
    let (source, target) = pair("alive").await;
    source.sql(ROWS).await;
    target.sql("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    subscribed(&source, &target).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (stop, client) = (stop.clone(), source.client().await);
        tokio::spawn(async move {
            let mut n = 0_i32;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                let id = n % 1000 + 1000;
                client.execute("UPDATE t SET v = $2 WHERE id = $1", &[&id, &format!("w{n}")]).await.unwrap();
                client.execute("INSERT INTO t VALUES ($1, 'new')", &[&(10_000 + n)]).await.unwrap();
            }
            n
        })
    };
    let services = services(env());
    let with = text(&source, &target, "marker_wait = \"60s\"");
    for _ in 0..3 {
        let (seen, lines) = look(&services, &with).await;
        let seen = seen.unwrap_or_else(|failure| panic!("{failure:?} {lines:?}"));
        assert!(seen.line.contains("provisional: transactions ran at the source meanwhile"), "{}", seen.line);
        assert!(!seen.evidence["provisional"].is_null());
    }
    let (failure, _) = look(&services, &text(&source, &target, "marker_wait = \"60s\"\nfinal = true")).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert!(failure.message.contains("the answer is provisional"), "{failure:?}");
    target
        .sql("UPDATE t SET v = 'wrong' WHERE id = 5; DELETE FROM t WHERE id = 6; INSERT INTO t VALUES (0, 'x')")
        .await;
    let (failure, lines) = look(&services, &with).await;
    assert_eq!(
        failure.unwrap_err().message,
        "1 of 1 table differs: public.t: 1 changed, 1 missing, 1 extra",
        "{lines:?}"
    );
    for row in ["changed id=5 (v)", "missing id=6", "extra id=0"] {
        assert!(lines.contains(&format!("public.t: {row}")), "{row}: {lines:?}");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 10, "nothing was written");
}

/// However far apart the rows are that are on their way: they lie in more parts of the table than are looked into at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_on_their_way_are_told_apart_all_over_a_table() {
    let (source, target) = pair("all_over").await;
    let make = "CREATE TABLE t (id int PRIMARY KEY, v text) WITH (autovacuum_enabled = off)";
    source.sql(&format!("{make}; INSERT INTO t SELECT g, 'v' FROM generate_series(1, 120000) g; ANALYZE t")).await;
    target.sql(make).await;
    subscribed(&source, &target).await;
    target.sql("ANALYZE t").await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (stop, client) = (stop.clone(), source.client().await);
        tokio::spawn(async move {
            let mut n = 0_i32;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                let change = "UPDATE t SET v = 'w' || $1 WHERE id IN (SELECT ($1 * 7919 + g * 263) % 120000 + 1 FROM generate_series(1, 40) g)";
                client.execute(change, &[&(n % 100_000)]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    };
    let services = services(env());
    let with = text(&source, &target, "marker_wait = \"60s\"");
    let mut told = Vec::new();
    for _ in 0..3 {
        let (seen, lines) = look(&services, &with).await;
        told.push((seen.map(|seen| seen.line).map_err(|failure| failure.message), lines));
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    for (seen, lines) in told {
        let line = seen.unwrap_or_else(|message| panic!("{message} {lines:?}"));
        assert!(line.contains("provisional: transactions ran at the source meanwhile"), "{line}");
    }
}

/// A table that is not compared is written to all the time.
fn busy(client: tokio_postgres::Client) -> (Arc<AtomicBool>, tokio::task::JoinHandle<()>) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let writer = tokio::spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            client.execute("INSERT INTO busy DEFAULT VALUES", &[]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    (stop, writer)
}

/// Lateness makes no second row of one, however busy the source is; and where it could be lateness, that is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_there_twice_is_not_excused() {
    let (source, target) = pair("twice").await;
    let more = "CREATE TABLE busy (id serial PRIMARY KEY); CREATE TABLE broken (id int PRIMARY KEY, v int); \
        CREATE TABLE loose (v int);";
    source.sql(&format!("{more} CREATE TABLE t (id int PRIMARY KEY, v int)")).await;
    target.sql(&format!("{more} CREATE TABLE t (id int NOT NULL, v int)")).await;
    for table in ["t", "broken"] {
        source.sql(&format!("INSERT INTO {table} SELECT g, g FROM generate_series(1, 10) g")).await;
    }
    source.sql("INSERT INTO loose VALUES (1), (2)").await;
    subscribed(&source, &target).await;
    target.sql("INSERT INTO t SELECT * FROM t; DELETE FROM loose WHERE v = 2").await;
    // An index that misses a row.
    target.sql("UPDATE pg_index SET indisready = false WHERE indexrelid = 'broken_pkey'::regclass").await;
    target.sql("INSERT INTO broken VALUES (5, 5)").await;
    target.sql("UPDATE pg_index SET indisready = true WHERE indexrelid = 'broken_pkey'::regclass").await;
    let (stop, writer) = busy(source.client().await);
    let services = services(env());
    let of = async |rest: &str| {
        let (seen, _) = look(&services, &text(&source, &target, &format!("marker_wait = \"60s\"\n{rest}"))).await;
        seen.map_err(|failure| failure.message).map(|seen| seen.line)
    };
    let twice = of("tables = [\"t\"]\nignore = [\"constraint\", \"column\"]").await;
    let broken = of("tables = [\"broken\"]").await;
    let loose = of("tables = [\"loose\"]").await;
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    assert_eq!(twice, Err("1 of 1 table differs: public.t: 10 extra".into()));
    assert_eq!(broken, Err("1 of 1 table differs: public.broken: 1 extra".into()));
    assert!(loose.as_ref().unwrap_err().contains("1 missing (provisional: "), "{loose:?}");
}

/// After a switch of the log's segment nothing is written, as when the source is frozen: it has all been confirmed.
#[tokio::test]
async fn an_idle_source_is_reached_after_its_log_went_to_a_new_segment() {
    // It ends with this process.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(&["autovacuum=off"])));
    let (source, target) = (cluster.database("idle").await, target().database("idle").await);
    source.sql(ROWS).await;
    target.sql("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    subscribed(&source, &target).await;
    let services = services(env());
    let with = text(&source, &target, "marker_wait = \"5s\"");
    for _ in 0..3 {
        source.sql("CHECKPOINT").await;
        source.sql("SELECT pg_switch_wal()").await;
        let (seen, _) = look(&services, &with).await;
        let seen = seen.unwrap_or_else(|failure| panic!("{failure:?}"));
        assert!(seen.line.starts_with("1 table with 2000 rows agrees"), "{}", seen.line);
    }
}

/// A crash empties unlogged tables, and no transaction says so.
#[tokio::test]
async fn nothing_is_remembered_over_a_crash() {
    let (one, other) = (Cluster::start(&["autovacuum=off"]), Cluster::start(&["autovacuum=off"]));
    for cluster in [&one, &other] {
        let make = "CREATE UNLOGGED TABLE u (id int PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 99); \
            CREATE TABLE logged (id int PRIMARY KEY); INSERT INTO logged VALUES (1)";
        cluster.client("postgres").await.batch_execute(make).await.unwrap();
        cluster.client("postgres").await.batch_execute("CHECKPOINT").await.unwrap();
    }
    let services = services(env());
    let with = format!("source = \"{}\"\ntarget = \"{}\"", one.url("postgres"), other.url("postgres"));
    let same = check(KIND, &with, &services);
    let remembered = async || look_with(&*same).await.0.unwrap().evidence["remembered"].as_u64().unwrap();
    assert_eq!([remembered().await, remembered().await], [0, 1], "an unlogged table is never remembered");
    let victim = other.client("postgres").await;
    let process: i32 = victim.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let killed = std::process::Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
    assert!(killed.success());
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    let empty = async || {
        let (client, connection) = tokio_postgres::connect(&other.url("postgres"), tokio_postgres::NoTls).await.ok()?;
        tokio::spawn(connection);
        let rows: i64 = client.query_one("SELECT count(*) FROM u", &[]).await.ok()?.get(0);
        (rows == 0).then_some(())
    };
    while empty().await.is_none() {
        assert!(tokio::time::Instant::now() < until, "the server is not back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (failure, _) = look_with(&*same).await;
    assert_eq!(failure.unwrap_err().message, "1 of 2 tables differs: public.u: 99 missing");
    one.client("postgres").await.batch_execute("DELETE FROM u").await.unwrap();
    assert_eq!(remembered().await, 0, "the crash is seen in what was logged, too");
}

/// A subscription that stands still is behind: that is said, and nothing is compared before it has caught up.
#[tokio::test]
async fn a_target_that_is_behind_is_not_compared() {
    let (source, target) = pair("behind").await;
    source.sql(ROWS).await;
    target.sql("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    let name = subscribed(&source, &target).await;
    // It applies nothing while the table is locked, but is still there.
    let locker = target.client().await;
    locker.batch_execute("BEGIN; LOCK TABLE t IN EXCLUSIVE MODE").await.unwrap();
    source.sql("UPDATE t SET v = 'w' WHERE id = 1").await;
    let services = services(env());
    let (failure, _) = look(&services, &text(&source, &target, "marker_wait = \"300ms\"")).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(failure.message.contains("bytes of log behind the source"), "{failure:?}");
    locker.batch_execute("COMMIT").await.unwrap();
    let (seen, _) = look(&services, &text(&source, &target, "marker_wait = \"60s\"")).await;
    seen.unwrap();
    target.sql(&format!("ALTER SUBSCRIPTION {name} DISABLE")).await;
}

/// Between two looks only what may have changed is added up again. (Clusters of its own: any transaction in one counts.)
#[tokio::test]
async fn it_remembers_while_nobody_has_committed_anything() {
    let (one, other) =
        (crate::postgres::Cluster::start(&["autovacuum=off"]), crate::postgres::Cluster::start(&["autovacuum=off"]));
    for cluster in [&one, &other] {
        cluster.client("postgres").await.batch_execute(ROWS).await.unwrap();
    }
    let services = services(env());
    let with = format!("source = \"{}\"\ntarget = \"{}\"", one.url("postgres"), other.url("postgres"));
    let same = check(KIND, &with, &services);
    let remembered = async || look_with(&*same).await.0.unwrap().evidence["remembered"].as_u64().unwrap();
    assert_eq!([remembered().await, remembered().await], [0, 1]);
    // One side changed elsewhere: the other side's sum still counts.
    other
        .client("postgres")
        .await
        .batch_execute("CREATE TABLE IF NOT EXISTS t (id int); SELECT txid_current()")
        .await
        .unwrap();
    assert_eq!([remembered().await, remembered().await], [0, 1]);
    other.client("postgres").await.batch_execute("UPDATE t SET v = 'w' WHERE id = 77").await.unwrap();
    let (failure, lines) = look_with(&*same).await;
    assert_eq!(failure.unwrap_err().message, "1 of 1 table differs: public.t: 1 changed");
    assert!(lines.contains(&"public.t: changed id=77 (v)".to_owned()));
    // A difference is found again from what is remembered, too.
    let (failure, _) = look_with(&*same).await;
    failure.unwrap_err();
    other.client("postgres").await.batch_execute("UPDATE t SET v = 'v' WHERE id = 77").await.unwrap();
    assert_eq!(remembered().await, 0);
    // What a transaction has written and not committed is in no comparison.
    let is_final = check(KIND, &format!("{with}\nfinal = true"), &services);
    look_with(&*is_final).await.0.unwrap();
    let writer = one.client("postgres").await;
    writer.batch_execute("BEGIN; INSERT INTO t VALUES (5000, 'open')").await.unwrap();
    let (failure, _) = look_with(&*is_final).await;
    let failure = failure.unwrap_err();
    assert!(failure.message.ends_with("1 transaction that writes is open at the source"), "{failure:?}");
    writer.batch_execute("ROLLBACK").await.unwrap();
    look_with(&*is_final).await.0.unwrap();
}

/// Values only where they are asked for; keys always; never more rows than asked.
#[tokio::test]
async fn values_are_shown_on_request_only() {
    let (source, target) = pair("values").await;
    both(&source, &target, ROWS).await;
    target.sql("UPDATE t SET v = 'secret-there' WHERE id <= 300; DELETE FROM t WHERE id = 2000").await;
    source.sql("UPDATE t SET v = 'secret-here' WHERE id <= 300").await;
    let services = services(env());
    let (failure, lines) = look(&services, &text(&source, &target, "shown = 4")).await;
    let failure = failure.unwrap_err();
    assert!(!format!("{failure:?} {lines:?}").contains("secret"), "{failure:?} {lines:?}");
    assert_eq!(failure.message, "1 of 1 table differs: public.t: 300 changed, 1 missing");
    let rows: Vec<&String> = lines.iter().filter(|line| line.contains("id=")).collect();
    assert_eq!(rows.len(), 4, "{lines:?}");
    assert!(rows.iter().any(|line| line.contains("missing id=2000")), "one of each kind is shown: {lines:?}");
    let (_, lines) = look(&services, &text(&source, &target, "shown = 1\nshow_values = true")).await;
    let shown = "public.t: changed id=1 (v: secret-here at the source, secret-there at the target)";
    assert!(lines.contains(&shown.to_owned()), "{lines:?}");
}

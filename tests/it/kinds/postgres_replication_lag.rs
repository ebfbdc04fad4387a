//! `postgres.replication_lag` between two real clusters. How a pair is made to replicate is here too.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use gonogo::{base::Class, plan::Check, services::Services};

use super::contract::{attempt, attempt_of, check, check_changes_nothing, env, points_at, services};
use crate::{
    postgres::{Cluster, Database, pair, target},
    proxy::{Proxy, Way},
};

const KIND: &str = "postgres.replication_lag";

/// What both sides begin with.
pub const TABLES: &str = "\
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id bigserial PRIMARY KEY, note text);
CREATE TABLE shop.\"Odd \"\"T\" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int);";

/// The connection string by which the target's server finds the source.
pub fn conninfo(database: &Database) -> String {
    format!("host=127.0.0.1 port={} dbname={} user=postgres", database.cluster.port, database.name)
}

/// Names a subscription of a database: slots are the cluster's.
pub fn cut(database: &Database) -> String {
    format!("cut_{}", database.name)
}

/// A pair with tables that replicate; the subscription is named by [`cut`].
pub async fn replicating(name: &str) -> (Database, Database) {
    let (source, target) = pair(name).await;
    replicate(&source, &target).await;
    (source, target)
}

pub async fn replicate(source: &Database, target: &Database) {
    source.sql(TABLES).await;
    target.sql(TABLES).await;
    source.sql("CREATE PUBLICATION cut FOR TABLE shop.orders, shop.\"Odd \"\"T\"").await;
    subscribe(source, target).await;
}

pub async fn subscribe(source: &Database, target: &Database) {
    let sql = format!("CREATE SUBSCRIPTION {} CONNECTION '{}' PUBLICATION cut", cut(target), conninfo(source));
    target.sql(&sql).await;
}

/// A number that a statement selects.
pub async fn count(database: &Database, sql: &str) -> usize {
    let rows = database.rows(&format!("SELECT ({sql})::bigint"), &[]).await;
    usize::try_from(rows[0].get::<_, i64>(0)).unwrap()
}

/// A database of a source that says "committed" long before it writes.
pub async fn hasty(name: &str) -> Database {
    static HASTY: OnceLock<Cluster> = OnceLock::new();
    let settings = ["synchronous_commit=off", "wal_writer_delay=10s"];
    HASTY.get_or_init(|| Cluster::start(&settings)).database(name).await
}

/// A check of the pair with more parameters.
pub fn lag(services: &Arc<Services>, source: &Database, target: &Database, more: &str) -> Arc<dyn Check> {
    let text = format!("source = '{}'\ntarget = '{}'\n{more}", source.url(), target.url());
    check(KIND, &text, services)
}

/// Polls a check until it is green, as a step does, and tells its line.
pub async fn green(check: &dyn Check) -> String {
    let attempt = attempt();
    let seen = attempt.cx.poll(Duration::from_millis(100), || check.check(&attempt.cx)).await;
    seen.unwrap_or_else(|failure| panic!("{failure:?}")).line
}

/// What one look of a check that is not green says.
pub async fn not_yet(check: &dyn Check) -> String {
    let failure = check.check(&attempt().cx).await.expect_err("green");
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    std::iter::once(failure.message).chain(failure.causes).collect::<Vec<_>>().join("; ")
}

/// Polls a check until it says a text.
pub async fn says(check: &dyn Check, text: &str) {
    for _ in 0..150 {
        let said = match check.check(&attempt().cx).await {
            Ok(seen) => seen.line,
            Err(failure) => format!("{} {}", failure.message, failure.causes.join(" ")),
        };
        if said.contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never says {text:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let services = services(env());
    let (source, target) = replicating("lag").await;
    let close = lag(&services, &source, &target, "max_age = '20s'");
    let line = green(close.as_ref()).await;
    assert!(line.contains("2 tables stream") && line.contains("arrived in"), "{line}");
    let rows = async || count(&source, "SELECT count(*) FROM shop.orders").await;
    check_changes_nothing(close.as_ref(), rows).await;
    source.cluster.nothing_left(&source.name).await;
    target.cluster.nothing_left(&target.name).await;
    // With a marker as well, and as a barrier.
    let marked = lag(&services, &source, &target, "max = '0 B'\nmarker = true");
    let line = green(marked.as_ref()).await;
    assert!(line.contains("a marker arrived"), "{line}");
    // Everybody may look: a role with no right at all.
    let (here, there) = (source.role("looker", "").await, target.role("looker", "").await);
    let text = format!("source = '{}'\ntarget = '{}'", source.url_of(&here), target.url_of(&there));
    green(check(KIND, &text, &services).as_ref()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_data_it_is_not_green() {
    let services = services(env());
    let (source, target) = pair("lag_none").await;
    let said = not_yet(lag(&services, &source, &target, "").as_ref()).await;
    assert!(said.contains("no data: the target's database has no subscription"), "{said}");
    let alone = check(KIND, &format!("source = '{}'", source.url()), &services);
    let said = not_yet(alone.as_ref()).await;
    assert!(said.contains("no logical replication slot"), "{said}");
    let named = check(KIND, &format!("source = '{}'\nslots = ['cut']", source.url()), &services);
    assert!(not_yet(named.as_ref()).await.contains("no slot cut"));
    source.sql(TABLES).await;
    source.sql("CREATE PUBLICATION cut FOR TABLE shop.orders").await;
    target.sql(TABLES).await;
    subscribe(&source, &target).await;
    let said = not_yet(lag(&services, &source, &target, "subscriptions = ['other']").as_ref()).await;
    assert!(said.contains("no subscription other"), "{said}");
    // Of the source alone, the slot is looked at, and the line says what was not.
    let line = green(alone.as_ref()).await;
    assert!(line.contains("tables were not looked at"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_out_is_named() {
    let services = services(env());
    let (source, target) = replicating("lag_out").await;
    let plain = lag(&services, &source, &target, "");
    green(plain.as_ref()).await;
    source.sql("CREATE TABLE shop.late (id int); CREATE UNLOGGED TABLE shop.fast (id int PRIMARY KEY)").await;
    let said = not_yet(plain.as_ref()).await;
    assert!(said.contains("in no publication: shop.fast (unlogged), shop.late"), "{said}");
    let excused = lag(&services, &source, &target, "except = ['shop.fast', 'shop.la*']");
    green(excused.as_ref()).await;
    // Published, without a key, not yet subscribed; then subscribed.
    source.sql("ALTER PUBLICATION cut ADD TABLE shop.late").await;
    target.sql("CREATE TABLE shop.late (id int)").await;
    let said = not_yet(excused.as_ref()).await;
    assert!(said.contains("published and not subscribed") && said.contains("shop.late"), "{said}");
    target.sql(&format!("ALTER SUBSCRIPTION {} REFRESH PUBLICATION", cut(&target))).await;
    let line = green(excused.as_ref()).await;
    assert!(line.contains("3 tables stream") && line.contains("want of a key: shop.late"), "{line}");
    // A first copy that cannot be made.
    source.sql("CREATE TABLE shop.twice (id int PRIMARY KEY); INSERT INTO shop.twice VALUES (1)").await;
    source.sql("ALTER PUBLICATION cut ADD TABLE shop.twice").await;
    target.sql("CREATE TABLE shop.twice (id int PRIMARY KEY); INSERT INTO shop.twice VALUES (1)").await;
    target.sql(&format!("ALTER SUBSCRIPTION {} REFRESH PUBLICATION", cut(&target))).await;
    says(excused.as_ref(), "1 of 4 tables do not stream: shop.twice").await;
    target.sql(&format!("ALTER SUBSCRIPTION {} DISABLE", cut(&target))).await;
    let said = not_yet(excused.as_ref()).await;
    assert!(said.contains("is disabled"), "{said}");
    says(excused.as_ref(), "nobody streams from slot").await;
}

/// A table can be published and not all of it sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_publication_does_not_send_is_named() {
    let services = services(env());
    let (source, target) = replicating("lag_part").await;
    let plain = lag(&services, &source, &target, "");
    green(plain.as_ref()).await;
    source.sql("ALTER PUBLICATION cut SET (publish = 'insert, truncate')").await;
    let said = not_yet(plain.as_ref()).await;
    assert!(said.contains("publication cut sends no UPDATE and DELETE"), "{said}");
    green(lag(&services, &source, &target, "except = ['cut']").as_ref()).await;
    source.sql("ALTER PUBLICATION cut SET TABLE shop.orders WHERE (id % 2 = 0), shop.\"Odd \"\"T\" (id)").await;
    let said = not_yet(lag(&services, &source, &target, "except = ['cut']").as_ref()).await;
    assert!(said.contains("publication cut sends only rows WHERE ((id % (2)::bigint) = 0) of shop.orders"), "{said}");
    assert!(said.contains("publication cut sends only columns id of shop.Odd \"T"), "{said}");
    green(lag(&services, &source, &target, "except = ['cut', 'shop.*']").as_ref()).await;
    source.sql("ALTER PUBLICATION cut SET TABLE shop.orders, shop.\"Odd \"\"T\" (id, a)").await;
    source.sql("ALTER PUBLICATION cut SET (publish = 'insert, update, delete, truncate')").await;
    green(plain.as_ref()).await;
}

/// Partitions are published by their root or by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_count_with_their_root() {
    const PARTS: &str = "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);";
    let services = services(env());
    let (source, target) = pair("lag_parts").await;
    source.sql(PARTS).await;
    target.sql(PARTS).await;
    source.sql("CREATE PUBLICATION cut FOR TABLE p WITH (publish_via_partition_root = true)").await;
    subscribe(&source, &target).await;
    let line = green(lag(&services, &source, &target, "").as_ref()).await;
    assert!(line.contains("1 tables stream"), "{line}");
}

/// A target that cannot apply falls behind, in bytes and in seconds, and is green again once it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_falls_behind_and_catches_up() {
    let services = services(env());
    let (source, target) = replicating("lag_far").await;
    let strict = lag(&services, &source, &target, "max = '16 KiB'\nmax_age = '1s'");
    green(strict.as_ref()).await;
    let blocker = target.client().await;
    blocker.batch_execute("BEGIN; LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE").await.unwrap();
    source.sql("INSERT INTO shop.orders (note) SELECT repeat('x', 100) FROM generate_series(1, 2000)").await;
    let said = not_yet(strict.as_ref()).await;
    assert!(
        // How far depends on what else is written in this cluster.
        said.contains("iB behind") && said.contains("did not arrive in") && said.contains("at most 16.0 KiB"),
        "{said}"
    );
    let said = not_yet(lag(&services, &source, &target, "marker = true\nmax_age = '500ms'").as_ref()).await;
    assert!(said.contains("the marker did not arrive"), "{said}");
    blocker.batch_execute("ROLLBACK").await.unwrap();
    green(strict.as_ref()).await;
    let rows = target.rows("SELECT count(*) FROM shop.orders", &[]).await;
    assert_eq!(rows[0].get::<_, i64>(0), 2000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_silent_slow_or_gone_holds_nobody_up() {
    let services = services(env());
    let (source, target) = replicating("lag_cut").await;
    let proxy = Proxy::to(source.cluster.port).await;
    let text = format!("source = 'postgres://postgres@{}/{}'\ntarget = '{}'", proxy.address, source.name, target.url());
    let through = check(KIND, &text, &services);
    green(through.as_ref()).await;
    proxy.set(Way::Slow(Duration::from_millis(60)));
    green(through.as_ref()).await;
    for way in [Way::Swallow, Way::Deaf, Way::Cut] {
        proxy.set(way);
        let begun = std::time::Instant::now();
        let short = attempt_of(Duration::from_millis(1500), std::collections::BTreeMap::new());
        let failure = through.check(&short.cx).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{way:?}: {failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{way:?}: {:?}", begun.elapsed());
    }
    proxy.set(Way::Pass);
    green(through.as_ref()).await;
    source.cluster.nothing_left(&source.name).await;
    target.cluster.nothing_left(&target.name).await;
}

/// What was committed and is not on the source's disk yet has not arrived either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_asynchronously_is_waited_for() {
    let services = services(env());
    let (source, target) = (hasty("lag_async").await, target().database("lag_async").await);
    replicate(&source, &target).await;
    green(lag(&services, &source, &target, "max = '0 B'\nmarker = true").as_ref()).await;
    let rows = async || count(&target, "SELECT count(*) FROM shop.orders").await;
    let writer = source.client().await;
    for (more, n) in [("max = '0 B'", 1), ("max = '0 B'\nmarker = true", 2)] {
        writer.batch_execute("INSERT INTO shop.orders (note) VALUES ('x')").await.unwrap();
        let short = attempt_of(Duration::from_secs(3), BTreeMap::new());
        match lag(&services, &source, &target, more).check(&short.cx).await {
            Ok(seen) => assert_eq!(rows().await, n, "{more}: {}", seen.line),
            Err(failure) => assert!(!more.contains("marker"), "{failure:?}"),
        }
    }
}

#[tokio::test]
async fn bad_parameters() {
    let services = services(env());
    points_at(KIND, "", &services, "", "needs `source`");
    points_at(KIND, "source = 'x'\nmax = '1 mb'", &services, "'1 mb'", "must be a size");
    points_at(KIND, "source = 'x'\nsubscriptions = ['a']", &services, "['a']", "needs `target`");
    points_at(KIND, "source = 'x'\ntarget = 'y'\nslots = ['a']", &services, "['a']", "exclude each other");
}

//! Servers that are stopped, restarted, stand still or are cut off in the middle: the right outcome in time, and no session and no statement
//! left behind.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Failure},
    plan::{Check, Seen},
    services::Services,
};
use tokio::time::Instant;

use super::{KIND, check, look, services, text};
use crate::{
    kinds::contract::{attempt_of, env},
    postgres::{Cluster, pair},
    proxy::{Proxy, Way},
};

const ROWS: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 20000) g";

fn slow(services: &Arc<Services>, source: &str, target: &str) -> Arc<dyn Check> {
    check(KIND, &format!("source = \"{source}\"\ntarget = \"{target}\"\nconnections = 2"), services)
}

/// Waits until a statement of ours is at work.
async fn at_work(cluster: &Cluster, database: &str) {
    let client = cluster.client("postgres").await;
    let busy =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gonogo' AND state = 'active' AND datname = $1";
    let until = Instant::now() + Duration::from_secs(30);
    while client.query_one(busy, &[&database]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(Instant::now() < until, "nothing is at work");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Locked, so that the look is in the middle for as long as it is wanted.
async fn locked(cluster: &Cluster, database: &str) -> tokio_postgres::Client {
    let client = cluster.client(database).await;
    client.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_when_it_is_told_to_and_at_its_deadline() {
    let (source, target) = pair("told").await;
    super::both(&source, &target, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let services = services(env());
    let locker = locked(target.cluster, &target.name).await;
    let same = slow(&services, &source.url(), &target.url());
    let attempt = attempt_of(Duration::from_secs(60), BTreeMap::new());
    let (cx, cancel, looking) = (attempt.cx.clone(), attempt.cx.cancel.clone(), same.clone());
    let task = tokio::spawn(async move { looking.check(&cx).await });
    at_work(target.cluster, &target.name).await;
    cancel.cancel();
    let begun = Instant::now();
    assert_eq!(task.await.unwrap().unwrap_err().class, Class::NotYet);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    source.cluster.nothing_left(&source.name).await;
    target.cluster.nothing_left(&target.name).await;
    let short = attempt_of(Duration::from_secs(2), BTreeMap::new());
    let begun = Instant::now();
    let failure = same.check(&short.cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    source.cluster.nothing_left(&source.name).await;
    target.cluster.nothing_left(&target.name).await;
    // A statement that takes too long, here for a lock, is told as that.
    let (failure, _) = look(&services, &text(&source, &target, "statement_timeout = \"500ms\"")).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(failure.message.starts_with("no data: target: ") && failure.message.contains("timeout"), "{failure:?}");
    locker.batch_execute("COMMIT").await.unwrap();
    look(&services, &text(&source, &target, "")).await.0.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_no_data_and_comes_back() {
    let mut cluster = Cluster::start(&[]);
    let (source, _) = pair("away").await;
    source.sql(ROWS).await;
    cluster.client("postgres").await.batch_execute(ROWS).await.unwrap();
    let services = services(env());
    let same = slow(&services, &source.url(), &cluster.url("postgres"));
    for in_order in [true, false] {
        let attempt = attempt_of(Duration::from_secs(60), BTreeMap::new());
        let locker = locked(&cluster, "postgres").await;
        let (cx, looking) = (attempt.cx.clone(), same.clone());
        let task = tokio::spawn(async move { looking.check(&cx).await });
        at_work(&cluster, "postgres").await;
        if in_order {
            cluster.stop_in_order()
        } else {
            cluster.stop()
        }
        let failure = task.await.unwrap().unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        assert!(failure.message.starts_with("no data: target: "), "{failure:?}");
        source.cluster.nothing_left(&source.name).await;
        let failure = same.check(&attempt.cx).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        drop(locker);
        cluster.start_again();
    }
    let attempt = attempt_of(Duration::from_secs(60), BTreeMap::new());
    let seen = attempt.cx.poll(Duration::from_millis(200), || same.check(&attempt.cx)).await.unwrap();
    assert!(seen.line.starts_with("1 table with 20000 rows agrees"), "{}", seen.line);
    // Stands still: nobody answers, and nobody says so.
    cluster.freeze();
    let short = attempt_of(Duration::from_secs(2), BTreeMap::new());
    let begun = Instant::now();
    let failure = same.check(&short.cx).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    cluster.thaw();
    cluster.nothing_left("postgres").await;
    source.cluster.nothing_left(&source.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_is_right_and_a_cut_one_is_no_data() {
    let (source, target) = pair("line").await;
    super::both(&source, &target, ROWS).await;
    let proxy = Proxy::to(target.cluster.port).await;
    let there = format!("postgres://postgres@127.0.0.1:{}/{}", proxy.address.port(), target.name);
    let services = services(env());
    let same = slow(&services, &source.url(), &there);
    proxy.set(Way::Slow(Duration::from_millis(20)));
    let attempt = attempt_of(Duration::from_secs(60), BTreeMap::new());
    same.check(&attempt.cx).await.unwrap();
    proxy.set(Way::Pass);
    target.sql("UPDATE t SET v = 'w' WHERE id = 7").await;
    for way in [Way::Cut, Way::Swallow, Way::Deaf] {
        let locker = locked(target.cluster, &target.name).await;
        let limit = if way == Way::Cut { 60 } else { 4 };
        let attempt = attempt_of(Duration::from_secs(limit), BTreeMap::new());
        let (cx, looking) = (attempt.cx.clone(), same.clone());
        let begun = Instant::now();
        let task = tokio::spawn(async move { looking.check(&cx).await });
        at_work(target.cluster, &target.name).await;
        proxy.set(way);
        let failure = task.await.unwrap().unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{way:?}: {failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(12), "{way:?}: {:?}", begun.elapsed());
        proxy.set(Way::Pass);
        locker.batch_execute("ROLLBACK").await.unwrap();
        source.cluster.nothing_left(&source.name).await;
        target.cluster.nothing_left(&target.name).await;
    }
    let attempt = attempt_of(Duration::from_secs(60), BTreeMap::new());
    assert_eq!(same.check(&attempt.cx).await.unwrap_err().message, "1 of 1 table differs: public.t: 1 changed");
}

/// A look that its deadline ends from within has no data, and hides nothing of what the one before it had found.
#[tokio::test]
async fn what_was_found_before_the_deadline_is_told_there() {
    for cut in ["no data: source: no answer to reading keys of public.t from a server in time", "timed out"] {
        let attempt = attempt_of(Duration::from_millis(300), BTreeMap::new());
        let (cx, looks) = (&attempt.cx, std::cell::Cell::new(0));
        let look = || async {
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                return Err::<Seen, Failure>(Failure::new(Class::NotYet, "1 of 1 table differs"));
            }
            tokio::time::sleep_until(cx.deadline).await;
            Err(Failure::new(Class::NotYet, cut))
        };
        let failure = cx.poll(Duration::from_millis(50), look).await.unwrap_err();
        assert_eq!((failure.message.as_str(), looks.get()), ("timed out: 1 of 1 table differs", 2));
    }
}

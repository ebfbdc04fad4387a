//! Servers that stand still, are stopped and started again in the middle of the kinds that freeze and move the data.

use std::{collections::BTreeMap, time::Duration};

use gonogo::{base::Class, kinds::Bind, plan::Finding};

use super::{
    contract::{action, attempt, attempt_of, check, env, services},
    postgres_replication_lag::{green, says},
};
use crate::postgres::{Cluster, client};

const KINDS: [&str; 6] = [
    "postgres.freeze",
    "postgres.frozen",
    "postgres.replication_lag",
    "postgres.reverse",
    "postgres.sequences",
    "postgres.unfreeze",
];

fn params(kind: &str, source: &str, target: &str) -> String {
    match kind {
        "postgres.replication_lag" | "postgres.reverse" | "postgres.sequences" => {
            format!("source = '{source}'\ntarget = '{target}'")
        }
        _ => format!("database = '{source}'"),
    }
}

/// Each kind against a server that stands still and one that is down: in time, and nothing was done.
async fn nobody_is_held_up(source: &str, target: &str) {
    let services = services(env());
    for kind in KINDS {
        let text = params(kind, source, target);
        let begun = std::time::Instant::now();
        let limit = || attempt_of(Duration::from_millis(1500), BTreeMap::new());
        let bind = &gonogo::kinds::find(kind).unwrap().bind;
        if matches!(bind, Bind::Check(_) | Bind::Both(..)) {
            let failure = check(kind, &text, &services).check(&limit().cx).await.unwrap_err();
            assert_eq!(failure.class, Class::NotYet, "{kind}: {failure:?}");
        }
        if matches!(bind, Bind::Action(_) | Bind::Both(..)) {
            let failure = action(kind, &text, &services).capture(&limit().cx).await.unwrap_err();
            assert!(failure.class.nothing_done(), "{kind}: {failure:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(12), "{kind} took {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_still_and_started_again() {
    let services = services(env());
    let mut cluster = Cluster::start(&[]);
    let url = cluster.url("postgres");
    let app = format!("postgres://app:pw-1234@127.0.0.1:{}/postgres", cluster.port);
    let admin = cluster.client("postgres").await;
    admin
        .batch_execute("CREATE ROLE app LOGIN PASSWORD 'pw-1234'; CREATE TABLE t (id int); GRANT INSERT ON t TO app")
        .await
        .unwrap();
    drop(admin);
    let target = crate::postgres::database("restarts").await;
    let (here, there) = (url.clone(), target.url());

    cluster.freeze();
    nobody_is_held_up(&here, &there).await;
    cluster.thaw();
    cluster.nothing_left("").await;

    // A freeze that waits for its sessions' end while the server stands still says so in time.
    let freeze = action("postgres.freeze", &format!("database = '{url}'\nroles = ['app']"), &services);
    let captured = freeze.capture(&attempt().cx).await.unwrap();
    let told = freeze.apply(&attempt().cx, &captured).await.unwrap();
    assert!(told.line.contains("no session had to be ended"), "{}", told.line);

    // What is frozen stays frozen over a restart; a proof that was under way when the server went is none.
    let frozen = check("postgres.frozen", &format!("database = '{url}'\nroles = ['app']\nheld = '4s'"), &services);
    let (looking, cx) = (frozen.clone(), attempt().cx);
    let task = tokio::spawn(async move { looking.check(&cx).await });
    tokio::time::sleep(Duration::from_millis(700)).await;
    cluster.stop();
    let failure = task.await.unwrap().unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    nobody_is_held_up(&here, &there).await;
    cluster.start_again();
    let quick = check("postgres.frozen", &format!("database = '{url}'\nroles = ['app']\nheld = '1s'"), &services);
    let line = green(quick.as_ref()).await;
    assert!(line.contains("1 roles cannot write"), "{line}");
    let found = freeze.probe(&attempt().cx, &captured, false).await.unwrap();
    assert!(matches!(found, Finding::Done(_)), "{found:?}");

    // Ended in order while it is put back: what is said is true, and doing it again ends it.
    let (acting, kept, cx) = (freeze.clone(), captured.clone(), attempt().cx);
    let task = tokio::spawn(async move { acting.restore(&cx, &kept).await });
    tokio::time::sleep(Duration::from_millis(40)).await;
    cluster.stop_in_order();
    let outcome = task.await.unwrap();
    cluster.start_again();
    let found = freeze.probe(&attempt().cx, &captured, true).await.unwrap();
    match (&outcome, &found) {
        (Ok(_), Finding::Done(_)) => {}
        (Err(failure), Finding::Done(_)) => assert!(!failure.class.nothing_done(), "{failure:?}"),
        (Err(_), Finding::NotDone { .. }) => {}
        odd => panic!("{odd:?}"),
    }
    freeze.restore(&attempt().cx, &captured).await.unwrap();
    client(&app).await.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    says(quick.as_ref(), "role app (INSERT on public.t)").await;
    cluster.nothing_left("").await;
    target.cluster.nothing_left(&target.name).await;
}

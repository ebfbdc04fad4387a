//! The connection layer against real servers: strings, limits, ends, and that nothing is left behind.

use std::{sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Failure},
    plan::TextOrSecret,
    services::{
        Services,
        postgres::{Limits, Session},
    },
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::contract::{env, services};
use crate::{
    postgres::{Cluster, database, pair},
    proxy::{Proxy, Way},
};

pub fn limits(seconds: u64) -> Limits {
    Limits { deadline: Instant::now() + Duration::from_secs(seconds), cancel: CancellationToken::new() }
}

pub fn text(text: impl Into<String>) -> TextOrSecret {
    TextOrSecret::Text(text.into())
}

/// A kind's future goes from thread to thread.
fn sent<T: Send>(future: T) -> T {
    future
}

async fn open(services: &Arc<Services>, url: &str) -> Result<Session, Failure> {
    sent(services.postgres.connect(&text(url), &limits(20))).await
}

#[tokio::test]
async fn a_session_knows_its_server_and_reads_and_writes() {
    let database = database("session").await;
    let services = services(env());
    let role = database.role("owner", "").await;
    database.sql(&format!("GRANT CREATE ON SCHEMA public TO {}", role.name)).await;
    let session = open(&services, &database.url_of(&role)).await.unwrap();
    let server = session.server();
    assert_eq!((server.database.as_str(), server.user.as_str()), (database.name.as_str(), role.name.as_str()));
    assert!(server.version >= 90_000 && !server.in_recovery && !server.read_only, "{server:?}");
    assert_eq!(server.place, format!("127.0.0.1:{}", database.cluster.port));
    session.batch("CREATE TABLE t (id int, note text)").await.unwrap();
    assert_eq!(session.execute("INSERT INTO t VALUES ($1, $2)", &[&7, &"it's"]).await.unwrap(), 1);
    let row = session.row("SELECT id, note FROM t WHERE note = $1", &[&"it's"]).await.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, String>(1)), (7, "it's".into()));
    let failure = session.row("SELECT 1 FROM t WHERE false", &[]).await.unwrap_err();
    assert!(failure.message.contains("0 rows"), "{failure:?}");
    session.close().await;
    database.cluster.nothing_left(&database.name).await;
}

/// A database that is frozen for everybody lets an administrator's session write, and one that reads stays read-only.
#[tokio::test]
async fn a_frozen_database_does_not_freeze_the_one_who_froze_it() {
    let database = database("frozen").await;
    database.sql(&format!("ALTER DATABASE \"{}\" SET default_transaction_read_only = on", database.name)).await;
    let services = services(env());
    let session = open(&services, &database.url()).await.unwrap();
    assert!(session.server().read_only);
    session.batch("CREATE TABLE t (id int)").await.unwrap();
    let reader = services.postgres.connect_to_read(&text(database.url()), &limits(20)).await.unwrap();
    let failure = reader.batch("INSERT INTO t VALUES (1)").await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert!(failure.causes.contains(&"SQLSTATE 25006".to_owned()), "{failure:?}");
}

/// What a role has as its own defaults neither ends a session of ours nor makes a look wait for everybody else.
#[tokio::test]
async fn defaults_of_a_role_do_not_reach_our_sessions() {
    let database = database("defaults").await;
    let role = database.role("odd", "").await;
    for setting in [
        "idle_session_timeout = '1s'",
        "default_transaction_isolation = serializable",
        "default_transaction_deferrable = on",
    ] {
        database.sql(&format!("ALTER ROLE {} SET {setting}", role.name)).await;
    }
    let services = services(env());
    let session = services.postgres.connect_to_read(&text(database.url_of(&role)), &limits(20)).await.unwrap();
    for (setting, wanted) in [
        ("idle_session_timeout", "0"),
        ("transaction_isolation", "read committed"),
        ("transaction_deferrable", "off"),
        ("transaction_read_only", "on"),
    ] {
        let row = session.row("SELECT pg_catalog.current_setting($1)", &[&setting]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), wanted, "{setting}");
    }
}

#[tokio::test]
async fn a_call_ends_with_its_deadline_with_its_cancellation_and_at_the_server() {
    let database = database("ends").await;
    let services = services(env());
    let busy =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state = 'active' AND application_name = 'gonogo'";
    let busy = async || database.rows(busy, &[&database.name]).await[0].get::<_, i64>(0);

    let short = Limits { deadline: Instant::now() + Duration::from_millis(700), ..limits(0) };
    let session = services.postgres.connect(&text(database.url()), &short).await.unwrap();
    let failure = session.batch("SELECT pg_sleep(60)").await.unwrap_err();
    assert_eq!(failure.class, Class::Unknown, "{failure:?}");
    // Still held: the server was asked to stop all the same.
    let begun = Instant::now();
    while busy().await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(15), "it goes on at the server");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(session);
    database.cluster.nothing_left(&database.name).await;

    let long = limits(60);
    let session = services.postgres.connect_to_read(&text(database.url()), &long).await.unwrap();
    let cancel = long.cancel.clone();
    let (failure, ()) = tokio::join!(session.rows("SELECT pg_sleep(60)", &[]), async {
        while busy().await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel();
    });
    assert_eq!(failure.unwrap_err().class, Class::FailedNothingDone);
    drop(session);
    database.cluster.nothing_left(&database.name).await;

    // A call that is dropped without a word, and one of the library's own client.
    for lent in [false, true] {
        let session = open(&services, &database.url()).await.unwrap();
        let call = async {
            if lent {
                drop(session.client().batch_execute("SELECT pg_sleep(60)").await);
            } else {
                drop(session.batch("SELECT pg_sleep(60)").await);
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(300), call).await.unwrap_err();
        drop(session);
        database.cluster.nothing_left(&database.name).await;
    }
}

#[tokio::test]
async fn what_the_server_says_becomes_a_class() {
    let database = database("classes").await;
    let services = services(env());
    let role = database.role("weak", "").await;
    let class = async |url: String| open(&services, &url).await.map(drop).unwrap_err();
    let wrong = class(database.url_of(&role).replace("pw-", "no-")).await;
    assert_eq!(wrong.class, Class::Denied, "{wrong:?}");
    assert!(wrong.causes.contains(&"SQLSTATE 28P01".to_owned()), "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("no-"), "{wrong:?}");
    let none = class(database.url_of(&role).replace(&database.name, "no_such_database")).await;
    assert_eq!(none.class, Class::Misconfigured, "{none:?}");
    let silent = class(format!("postgres://{}@127.0.0.1:{}/x", role.name, database.cluster.port)).await;
    assert_eq!(silent.class, Class::Denied, "{silent:?}");
    let closed = class("postgres://x@127.0.0.1:1/x".into()).await;
    assert_eq!(closed.class, Class::FailedNothingDone, "{closed:?}");
    assert!(closed.message.contains("connection refused"), "{closed:?}");

    database.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let session = open(&services, &database.url_of(&role)).await.unwrap();
    let failure = session.rows("SELECT * FROM t", &[]).await.unwrap_err();
    assert_eq!(failure.class, Class::Denied, "{failure:?}");
    assert!(failure.hint.is_some());
    let failure = session.rows("SELEC", &[]).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    let owner = open(&services, &database.url()).await.unwrap();
    let failure = owner.batch("INSERT INTO t VALUES (1)").await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    assert!(failure.causes.iter().any(|cause| cause.contains("(id)=(1) already exists")), "{failure:?}");
}

/// A server that ends while it works: what it did is not known, unless the session only reads.
#[tokio::test]
async fn a_server_that_ends_in_the_middle_is_unknown() {
    let mut cluster = Cluster::start(&[]);
    let services = services(env());
    for (order, reads) in [(true, false), (false, false), (true, true), (false, true)] {
        let url = text(cluster.url("postgres"));
        let limits = limits(30);
        let session = if reads {
            services.postgres.connect_to_read(&url, &limits).await.unwrap()
        } else {
            services.postgres.connect(&url, &limits).await.unwrap()
        };
        let call = tokio::spawn(async move { session.batch("SELECT pg_sleep(60)").await });
        let client = cluster.client("postgres").await;
        let active = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'gonogo' AND state = 'active'";
        while client.query(active, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(client);
        cluster = tokio::task::spawn_blocking(move || {
            if order {
                cluster.stop_in_order()
            } else {
                cluster.stop()
            }
            cluster
        })
        .await
        .unwrap();
        let failure = call.await.unwrap().unwrap_err();
        let wanted = if reads { Class::FailedNothingDone } else { Class::Unknown };
        assert_eq!(failure.class, wanted, "{failure:?}");
        let closed = services.postgres.connect(&url, &limits).await.map(drop).unwrap_err();
        assert_eq!(closed.class, Class::FailedNothingDone, "{closed:?}");
        cluster.start_again();
    }
    // One that stands still is given up, and finds nothing of ours when it goes on.
    cluster.freeze();
    let begun = Instant::now();
    let failure = services.postgres.connect(&text(cluster.url("postgres")), &limits(30)).await.map(drop).unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    cluster.thaw();
    cluster.nothing_left("").await;
}

/// A network that breaks: in the middle of a call, before there is a session, and without a word.
#[tokio::test]
async fn a_network_that_breaks_hangs_nothing() {
    let database = database("network").await;
    let services = services(env());
    let proxy = Proxy::to(database.cluster.port).await;
    let url = text(format!("postgres://postgres@{}/{}", proxy.address, database.name));

    let session = services.postgres.connect(&url, &limits(30)).await.unwrap();
    assert_eq!(proxy.taken(), 1);
    let heard = proxy.heard();
    let (failure, ()) = tokio::join!(session.batch("SELECT pg_sleep(60)"), async {
        while proxy.heard() == heard {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        proxy.set(Way::Cut);
    });
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::Unknown, "{failure:?}");
    drop(session);

    proxy.set(Way::Slow(Duration::from_millis(50)));
    let short = Limits { deadline: Instant::now() + Duration::from_secs(4), ..limits(0) };
    let session = services.postgres.connect_to_read(&url, &short).await.unwrap();
    session.row("SELECT 1", &[]).await.unwrap();
    proxy.set(Way::Deaf);
    let failure = session.row("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    drop(session);

    proxy.set(Way::Swallow);
    let begun = Instant::now();
    let failure = services.postgres.connect(&url, &limits(30)).await.map(drop).unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    drop(proxy);
    database.cluster.nothing_left(&database.name).await;
}

#[tokio::test]
async fn clusters_tell_themselves_apart() {
    let (old, new) = pair("apart").await;
    let services = services(env());
    let (old, new) = (open(&services, &old.url()).await.unwrap(), open(&services, &new.url()).await.unwrap());
    let (old, new) = (old.server().clone(), new.server().clone());
    assert_eq!(old.database, new.database);
    assert!(old.system_identifier.is_some() && old.system_identifier != new.system_identifier, "{old:?} {new:?}");
    assert!(old.pooler.is_none() && new.pooler.is_none(), "{old:?}");
}

/// A server that has no connection left says so; nothing was done, and it can be tried again.
#[tokio::test]
async fn a_full_server_has_done_nothing() {
    let cluster = Cluster::start(&["max_connections=4", "superuser_reserved_connections=0", "max_wal_senders=0"]);
    let services = services(env());
    let url = text(cluster.url("postgres"));
    let mut held = Vec::new();
    let failure = loop {
        match services.postgres.connect(&url, &limits(20)).await {
            Ok(session) => held.push(session),
            Err(failure) => break failure,
        }
        assert!(held.len() <= 4, "the server is larger than it was made");
    };
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    assert!(failure.causes.contains(&"SQLSTATE 53300".to_owned()) && failure.hint.is_some(), "{failure:?}");
    drop(held);
    let begun = Instant::now();
    while services.postgres.connect(&url, &limits(20)).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "sessions were left behind");
    }
}

//! The kinds that freeze and move the data, one after the other as in a night: nothing is lost on the way, nor on the way
//! back.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use gonogo::{
    base::Class,
    plan::{Check, Done, contract::Prior},
    services::Services,
};
use serde_json::Value as Json;

use super::{
    contract::{action, attempt, attempt_of, check, env, services},
    postgres_replication_lag::{count, green, lag, replicate},
};
use crate::postgres::{Role, client, pair_alone};

/// Inserts as fast as it is let, and counts what was taken.
async fn write_on(url: String, stop: Arc<AtomicBool>, written: Arc<AtomicUsize>) {
    let mut open = None;
    while !stop.load(Ordering::Relaxed) {
        if open.is_none() {
            open = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.ok().map(|(client, connection)| {
                tokio::spawn(connection);
                client
            });
        }
        let Some(session) = &open else { continue };
        match session.batch_execute("INSERT INTO shop.orders (note) VALUES ('x')").await {
            Ok(()) => drop(written.fetch_add(1, Ordering::Relaxed)),
            Err(_) => open = None,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn act(services: &Arc<Services>, kind: &str, text: &str) -> (Json, Done) {
    let action = action(kind, text, services);
    let attempt = attempt();
    let captured = action.capture(&attempt.cx).await.unwrap_or_else(|failure| panic!("{kind}: {failure:?}"));
    let done = action.apply(&attempt.cx, &captured).await.unwrap_or_else(|failure| panic!("{kind}: {failure:?}"));
    (captured, done)
}

async fn green_after(check: &dyn Check, evidence: &Json) {
    let prior = Prior { captured: Json::Null, evidence: evidence.clone(), by_hand: None };
    let attempt = attempt_of(Duration::from_secs(30), BTreeMap::from([("freeze", prior)]));
    let seen = attempt.cx.poll(Duration::from_millis(200), || check.check(&attempt.cx)).await;
    seen.unwrap_or_else(|failure| panic!("{failure:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_and_back() {
    let services = services(env());
    let (_alone, source, target) = pair_alone("night").await;
    replicate(&source, &target).await;
    let (old, new) = (source.role("app", "").await, target.role("app", "").await);
    for (side, role) in [(&source, &old), (&target, &new)] {
        let grant = "GRANT USAGE ON SCHEMA shop TO {0}; GRANT SELECT, INSERT ON shop.orders TO {0}; GRANT USAGE ON SEQUENCE shop.orders_id_seq TO {0}";
        side.sql(&grant.replace("{0}", &role.name)).await;
    }
    target.sql(&format!("ALTER DATABASE \"{}\" SET default_transaction_read_only = on", target.name)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = |side: &crate::postgres::Database, role: &Role| {
        let written = Arc::new(AtomicUsize::new(0));
        (tokio::spawn(write_on(side.url_of(role), stop.clone(), written.clone())), written)
    };
    let (old_writer, written) = writer(&source, &old);
    let (new_writer, written_new) = writer(&target, &new);
    let both = format!("source = '{}'\ntarget = '{}'", source.url(), target.url());

    green(lag(&services, &source, &target, "max_age = '20s'").as_ref()).await;
    let (frozen_captured, frozen) = act(&services, "postgres.freeze", &format!("database = '{}'", source.url())).await;
    let proof = format!("database = '{}'\nafter = 'freeze'\nexcept = ['postgres']\nheld = '1s'", source.url());
    green_after(check("postgres.frozen", &proof, &services).as_ref(), &frozen.evidence).await;
    green(lag(&services, &source, &target, "max = '0 B'\nmarker = true").as_ref()).await;
    let taken = written.load(Ordering::Relaxed);
    assert!(taken > 0);
    assert_eq!(count(&target, "SELECT count(*) FROM shop.orders").await, taken, "rows are missing");
    assert_eq!(written_new.load(Ordering::Relaxed), 0, "the guard did not hold");
    act(&services, "postgres.sequences", &both).await;
    green(check("postgres.sequences", &both, &services).as_ref()).await;
    let (turned, _) = act(&services, "postgres.reverse", &both).await;
    let opening = format!("database = '{}'\nroles = ['{}']", target.url(), new.name);
    let (opened, _) = act(&services, "postgres.unfreeze", &opening).await;
    for _ in 0..400 {
        if written_new.load(Ordering::Relaxed) > 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(written_new.load(Ordering::Relaxed) > 20, "the new side does not take writes");
    green(check("postgres.reverse", &format!("{both}\nmarker = true"), &services).as_ref()).await;

    // And back: guard the new side, let the last rows come, open the old one.
    action("postgres.unfreeze", &opening, &services).restore(&attempt().cx, &opened).await.unwrap();
    green(check("postgres.reverse", &format!("{both}\nmarker = true"), &services).as_ref()).await;
    let all = taken + written_new.load(Ordering::Relaxed);
    assert_eq!(count(&source, "SELECT count(*) FROM shop.orders").await, all, "rows of the new side did not come back");
    let back = action("postgres.reverse", &both, &services);
    let failure = back.restore(&attempt().cx, &turned).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    // Sequences do not travel: the sides swapped, before the old side draws numbers again.
    let swapped = format!("source = '{}'\ntarget = '{}'", target.url(), source.url());
    act(&services, "postgres.sequences", &swapped).await;
    let freeze = action("postgres.freeze", &format!("database = '{}'", source.url()), &services);
    freeze.restore(&attempt().cx, &frozen_captured).await.unwrap();
    client(&source.url_of(&old)).await.batch_execute("INSERT INTO shop.orders (note) VALUES ('home')").await.unwrap();
    stop.store(true, Ordering::Relaxed);
    old_writer.await.unwrap();
    new_writer.await.unwrap();
    source.cluster.nothing_left(&source.name).await;
    target.cluster.nothing_left(&target.name).await;
}

//! `postgres.reverse` between two real clusters: rows come back, and what speaks against going forward again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Redactor},
    plan::{Action, Check, Finding},
    runbook::{SecretRef, SecretSource},
    services::Services,
};

use super::{
    contract::{
        action, acts_and_restores, attempt, attempt_of, check, check_changes_nothing, done, env, points_at, services,
        services_with,
    },
    postgres_replication_lag::{count, cut, green, hasty, lag, not_yet, replicate, says},
};
use crate::{
    postgres::{Database, pair_alone},
    proxy::{Proxy, Way},
};

const KIND: &str = "postgres.reverse";

fn text(source: &Database, target: &Database, more: &str) -> String {
    format!("source = '{}'\ntarget = '{}'\n{more}", source.url(), target.url())
}

fn turning(services: &Arc<Services>, source: &Database, target: &Database) -> Arc<dyn Action> {
    action(KIND, &text(source, target, ""), services)
}

fn streaming(services: &Arc<Services>, source: &Database, target: &Database, more: &str) -> Arc<dyn Check> {
    check(KIND, &text(source, target, more), services)
}

/// Subscriptions, publications and slots of both sides.
async fn state(source: &Database, target: &Database) -> String {
    const SQL: &str = "SELECT json_build_array(
        (SELECT json_agg(json_build_array(subname, subenabled, subslotname, subpublications) ORDER BY subname) FROM pg_subscription s
          JOIN pg_database d ON d.oid = s.subdbid WHERE datname = current_database()),
        (SELECT json_agg(pubname ORDER BY pubname) FROM pg_publication),
        (SELECT json_agg(slot_name ORDER BY slot_name) FROM pg_replication_slots WHERE database = current_database() AND NOT temporary))::text";
    let mut state = String::new();
    for side in [source, target] {
        state += side.rows(SQL, &[]).await[0].get(0);
    }
    state
}

async fn until(database: &Database, sql: &str, wanted: usize) {
    for _ in 0..200 {
        if count(database, sql).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{sql} is not {wanted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_and_rows_come_back() {
    let services = services(env());
    let (_alone, source, target) = pair_alone("back").await;
    replicate(&source, &target).await;
    source.sql("INSERT INTO shop.orders (note) VALUES ('old')").await;
    green(lag(&services, &source, &target, "max = '0 B'\nmarker = true").as_ref()).await;
    let back = streaming(&services, &source, &target, "");
    let said = not_yet(back.as_ref()).await;
    assert!(
        said.contains("still runs forward")
            && said.contains("no data: the source has no subscription gonogo_back_back_"),
        "{said}"
    );
    let turn = turning(&services, &source, &target);
    let changes = async || {
        let sql = "SELECT (SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
            + (SELECT count(*) FROM pg_publication)";
        count(&source, sql).await + count(&target, sql).await
    };
    acts_and_restores(turn.as_ref(), || state(&source, &target), changes).await;
    source.sql("INSERT INTO shop.orders (note) VALUES ('forward again')").await;
    until(&target, "SELECT count(*) FROM shop.orders", 2).await;

    done(turn.as_ref()).await;
    let line = green(streaming(&services, &source, &target, "marker = true").as_ref()).await;
    assert!(line.contains("2 tables stream back"), "{line}");
    check_changes_nothing(back.as_ref(), changes).await;
    // Writes at the new side come back to the old one; sequences do not.
    target.sql("INSERT INTO shop.orders (id, note) SELECT nextval('shop.orders_id_seq') + 1000, 'new' FROM generate_series(1, 10)").await;
    target.sql("UPDATE shop.orders SET note = 'changed' WHERE id = 1; DELETE FROM shop.orders WHERE note = 'forward again'").await;
    until(&source, "SELECT count(*) FROM shop.orders WHERE note IN ('new', 'changed')", 11).await;
    let line = green(back.as_ref()).await;
    assert!(line.contains("1 sequences are ahead here"), "{line}");
    assert_eq!(count(&target, "SELECT count(*) FROM shop.orders").await, 11, "rows went round");
    // Forward again would send them home once more.
    let captured = serde_json::json!({
        "name": format!("gonogo_back_{}", target.name), "there": false, "tables": [],
        "forward": [{ "name": cut(&target), "enabled": true }],
    });
    let failure = turn.restore(&attempt().cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert!(failure.message.contains("12 changes came back this way"), "{failure:?}");
    green(back.as_ref()).await;
    source.cluster.nothing_left(&source.name).await;
    target.cluster.nothing_left(&target.name).await;
}

/// Rows that the source wrote itself while forward was off are sent once it runs again, and lost nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_forward_again_loses_nothing() {
    let services = services(env());
    let (_alone, source, target) = pair_alone("back_f").await;
    replicate(&source, &target).await;
    green(lag(&services, &source, &target, "").as_ref()).await;
    let turn = turning(&services, &source, &target);
    let captured = done(turn.as_ref()).await;
    source.sql("INSERT INTO shop.orders (note) VALUES ('meanwhile')").await;
    turn.restore(&attempt().cx, &captured).await.unwrap();
    until(&target, "SELECT count(*) FROM shop.orders", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_turned_is_refused_and_nothing_done() {
    let services = services(env());
    let (_alone, source, target) = pair_alone("back_no").await;
    replicate(&source, &target).await;
    green(lag(&services, &source, &target, "").as_ref()).await;
    let before = state(&source, &target).await;
    let turn = turning(&services, &source, &target);
    let refused = async |text: String, class: Class, why: &str| {
        let failure = action(KIND, &text, &services).capture(&attempt().cx).await.unwrap_err();
        assert_eq!(failure.class, class, "{failure:?}");
        assert!(failure.message.contains(why), "{failure:?}");
    };
    refused(text(&source, &source, ""), Class::Misconfigured, "the same database").await;
    refused(text(&source, &target, "subscriptions = ['other']"), Class::Misconfigured, "no subscription other").await;
    let plain = source.role("plain", "").await;
    refused(
        format!("source = '{}'\ntarget = '{}'", source.url_of(&plain), target.url()),
        Class::Denied,
        "may not subscribe at the source",
    )
    .await;
    target.sql("ALTER TABLE shop.orders REPLICA IDENTITY NOTHING").await;
    refused(text(&source, &target, ""), Class::Refused, "for want of a key: shop.orders").await;
    target.sql("ALTER TABLE shop.orders REPLICA IDENTITY DEFAULT").await;
    // Half of it is there, and not ours.
    target.sql("CREATE PUBLICATION mine FOR TABLE shop.orders").await;
    refused(text(&source, &target, "name = 'mine'"), Class::Refused, "publishes as mine already").await;
    target.sql("DROP PUBLICATION mine").await;
    // The source's server does not find the target: all is undone, and forward runs on.
    let nowhere = format!("connection = 'host=127.0.0.1 port=1 dbname={} user=postgres'", target.name);
    let lost = action(KIND, &text(&source, &target, &nowhere), &services);
    let captured = lost.capture(&attempt().cx).await.unwrap();
    let failure = lost.apply(&attempt().cx, &captured).await.unwrap_err();
    assert!(failure.class.nothing_done(), "{failure:?}");
    assert!(failure.causes.iter().any(|cause| cause.contains("runs forward as before")), "{failure:?}");
    assert_eq!(state(&source, &target).await, before);
    // A target that has not all of the source yet is not turned.
    let blocker = target.client().await;
    blocker.batch_execute("BEGIN; LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE").await.unwrap();
    source.sql("INSERT INTO shop.orders (note) VALUES ('late')").await;
    let captured = turn.capture(&attempt().cx).await.unwrap();
    let short = attempt_of(Duration::from_secs(3), BTreeMap::new());
    let failure = turn.apply(&short.cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    assert!(failure.message.contains("behind"), "{failure:?}");
    blocker.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(state(&source, &target).await, before);
}

/// The password is in no journal, no failure and no log of either server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_stays_where_it_belongs() {
    let (_alone, source, target) = pair_alone("back_pw").await;
    replicate(&source, &target).await;
    let way = target.role("way", "REPLICATION").await;
    target
        .sql(&format!("GRANT USAGE ON SCHEMA shop TO {0}; GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {0}", way.name))
        .await;
    let url = target.url_of(&way);
    let source_of = SecretSource::Command(vec!["printf".into(), "%s".into(), url.clone()]);
    let secrets = [SecretRef { name: "way".into(), span: 0..0, source: source_of }];
    let redactor = Arc::new(Redactor::default());
    let services = services_with(env(), &secrets, redactor.clone());
    green(lag(&services, &source, &target, "").as_ref()).await;
    source.sql("SET log_statement = 'all'").await;
    let turn = action(KIND, &text(&source, &target, "connection = '${secret.way}'"), &services);
    let attempt = attempt();
    let captured = turn.capture(&attempt.cx).await.unwrap();
    let told = turn.apply(&attempt.cx, &captured).await.unwrap();
    let said = format!("{captured} {told:?} {:?} {:?}", turn.does(), attempt.seen.lines.lock().unwrap());
    assert!(!said.contains(&way.password), "{said}");
    green(streaming(&services, &source, &target, "marker = true").as_ref()).await;
    turn.restore(&attempt.cx, &captured).await.unwrap();
    // A wrong one is in no failure either.
    let wrong = url.replace(&way.password, "wrong-password-hunter2");
    let turn = action(KIND, &text(&source, &target, &format!("connection = '{wrong}'")), &services);
    let failure = turn.apply(&attempt.cx, &captured).await.unwrap_err();
    assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    for side in [&source, &target] {
        let log = side.cluster.log();
        assert!(!log.contains(&way.password) && !log.contains("hunter2"), "a log has it");
    }
}

/// Cut off in the middle, it says what is known, a probe finds out, and trying again or going back ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_short_in_the_middle() {
    let services = services(env());
    let (_alone, source, target) = pair_alone("back_cut").await;
    replicate(&source, &target).await;
    green(lag(&services, &source, &target, "").as_ref()).await;
    let before = state(&source, &target).await;
    let direct = turning(&services, &source, &target);
    let captured = direct.capture(&attempt().cx).await.unwrap();
    let proxy = Proxy::to(source.cluster.port).await;
    let through =
        format!("source = 'postgres://postgres@{}/{}'\ntarget = '{}'", proxy.address, source.name, target.url());
    let through = action(KIND, &through, &services);
    for (way, wait) in [(Way::Cut, 40), (Way::Cut, 150), (Way::Swallow, 80)] {
        let cut = attempt_of(Duration::from_secs(6), BTreeMap::new());
        let (cx, acting, kept) = (cut.cx.clone(), through.clone(), captured.clone());
        let begun = std::time::Instant::now();
        let task = tokio::spawn(async move { acting.apply(&cx, &kept).await });
        tokio::time::sleep(Duration::from_millis(wait)).await;
        proxy.set(way);
        let outcome = task.await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(15), "{way:?}: {:?}", begun.elapsed());
        proxy.set(Way::Pass);
        source.cluster.nothing_left(&source.name).await;
        target.cluster.nothing_left(&target.name).await;
        let same = state(&source, &target).await == before;
        let found = direct.probe(&attempt().cx, &captured, false).await.unwrap();
        match &outcome {
            Err(failure) if failure.class.nothing_done() => assert!(same, "{failure:?}"),
            Err(_) => assert!(!same || matches!(found, Finding::NotDone { .. }), "{found:?}"),
            Ok(_) => assert!(matches!(found, Finding::Done(_)), "{found:?}"),
        }
        // Trying again does the rest; going back leaves nothing.
        direct.apply(&attempt().cx, &captured).await.unwrap();
        direct.restore(&attempt().cx, &captured).await.unwrap();
        assert_eq!(state(&source, &target).await, before);
    }
}

/// A way back that stopped is not green.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_back_that_does_not_stream_is_not_green() {
    let services = services(env());
    let (_alone, source, target) = pair_alone("back_stop").await;
    for side in [&source, &target] {
        side.sql("CREATE TABLE t (id int PRIMARY KEY)").await;
    }
    // No forward subscription: all tables that both have.
    let turn = turning(&services, &source, &target);
    done(turn.as_ref()).await;
    let back = streaming(&services, &source, &target, "max_age = '500ms'");
    green(back.as_ref()).await;
    let blocker = source.client().await;
    blocker.batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await.unwrap();
    target.sql("INSERT INTO t VALUES (1)").await;
    let said = not_yet(back.as_ref()).await;
    assert!(said.contains("behind; nothing arrived in"), "{said}");
    blocker.batch_execute("ROLLBACK").await.unwrap();
    green(back.as_ref()).await;
    target.sql("CREATE TABLE late (id int PRIMARY KEY)").await;
    assert!(green(back.as_ref()).await.contains("not coming back: public.late"));
    source.sql(&format!("ALTER SUBSCRIPTION gonogo_back_{} DISABLE", target.name)).await;
    says(back.as_ref(), "is disabled").await;
}

/// What the target has not got of the source would never come any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_arrived_is_not_turned() {
    let services = services(env());
    let (_alone, source, target) = pair_alone("back_behind").await;
    replicate(&source, &target).await;
    green(lag(&services, &source, &target, "").as_ref()).await;
    let turn = turning(&services, &source, &target);
    // Somebody writes on.
    let before = state(&source, &target).await;
    let writer = source.client().await;
    let writes = tokio::spawn(async move {
        while writer.batch_execute("INSERT INTO shop.orders (note) VALUES ('x')").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let captured = turn.capture(&attempt().cx).await.unwrap();
    let failure = turn.apply(&attempt().cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert!(failure.message.contains("changes of the source have not arrived"), "{failure:?}");
    writes.abort();
    let _ = writes.await;
    assert_eq!(state(&source, &target).await, before);
    green(lag(&services, &source, &target, "max = '0 B'\nmarker = true").as_ref()).await;
    // The subscription was stopped before.
    target.sql(&format!("ALTER SUBSCRIPTION {} DISABLE", cut(&target))).await;
    source.sql("INSERT INTO shop.orders (note) VALUES ('a'), ('b'), ('c')").await;
    let before = state(&source, &target).await;
    let captured = turn.capture(&attempt().cx).await.unwrap();
    let failure = turn.apply(&attempt().cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert!(failure.message.contains("3 changes of the source have not arrived"), "{failure:?}");
    assert_eq!(state(&source, &target).await, before);
    target.sql(&format!("ALTER SUBSCRIPTION {} ENABLE", cut(&target))).await;
    green(lag(&services, &source, &target, "max = '0 B'\nmarker = true").as_ref()).await;
    let captured = done(turn.as_ref()).await;
    // Again, with rows that came back: these are not the source's.
    target.sql("INSERT INTO shop.orders (id, note) VALUES (100000, 'new')").await;
    until(&source, "SELECT count(*) FROM shop.orders WHERE note = 'new'", 1).await;
    done(turn.as_ref()).await;
    // Its own that nobody has got would be lost, and the way back, with what came, is not given up for it.
    source.sql("INSERT INTO shop.orders (id, note) VALUES (200000, 'late')").await;
    let failure = turn.apply(&attempt().cx, &captured).await.unwrap_err();
    assert!(failure.message.contains("1 changes of the source have not arrived"), "{failure:?}");
    green(streaming(&services, &source, &target, "marker = true").as_ref()).await;
}

/// Going back loses nothing that was written at the target, and sends nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_come_back_is_not_given_up() {
    let services = services(env());
    let (_alone, source, target) = pair_alone("back_lost").await;
    replicate(&source, &target).await;
    green(lag(&services, &source, &target, "").as_ref()).await;
    let turn = turning(&services, &source, &target);
    let back = streaming(&services, &source, &target, "marker = true");
    let captured = turn.capture(&attempt().cx).await.unwrap();
    turn.apply(&attempt().cx, &captured).await.unwrap();
    let way = format!("gonogo_back_{}", target.name);
    // The way back was stopped.
    source.sql(&format!("ALTER SUBSCRIPTION {way} DISABLE")).await;
    target.sql("INSERT INTO shop.orders (id, note) VALUES (1, 'new')").await;
    let before = state(&source, &target).await;
    let failure = turn.restore(&attempt().cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert!(failure.message.contains("1 changes written at the target have not come back"), "{failure:?}");
    assert_eq!(state(&source, &target).await, before);
    // It runs, and is held up.
    let blocker = source.client().await;
    blocker.batch_execute("BEGIN; LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE").await.unwrap();
    source.sql(&format!("ALTER SUBSCRIPTION {way} ENABLE")).await;
    let before = state(&source, &target).await;
    let short = attempt_of(Duration::from_secs(12), BTreeMap::new());
    let failure = turn.restore(&short.cx, &captured).await.unwrap_err();
    assert!(failure.class.nothing_done(), "{failure:?}");
    assert_eq!(state(&source, &target).await, before);
    blocker.batch_execute("ROLLBACK").await.unwrap();
    green(back.as_ref()).await;
    assert_eq!(count(&source, "SELECT count(*) FROM shop.orders").await, 1);
    let failure = turn.restore(&attempt().cx, &captured).await.unwrap_err();
    assert!(failure.message.contains("1 changes came back this way"), "{failure:?}");
    green(back.as_ref()).await;
    // What is published in part does not come back whole.
    target.sql(&format!("ALTER PUBLICATION {way} SET (publish = 'insert')")).await;
    let said = not_yet(back.as_ref()).await;
    assert!(said.contains(&format!("publication {way} sends no UPDATE and DELETE and TRUNCATE")), "{said}");
}

/// A row that was committed and is not on the source's disk yet is no row that is missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_asynchronously_goes_forward_first() {
    let services = services(env());
    let (_alone, _, target) = pair_alone("back_async").await;
    let source = hasty("back_async").await;
    replicate(&source, &target).await;
    green(lag(&services, &source, &target, "max = '0 B'\nmarker = true").as_ref()).await;
    let turn = turning(&services, &source, &target);
    let captured = turn.capture(&attempt().cx).await.unwrap();
    let writer = source.client().await;
    writer.batch_execute("INSERT INTO shop.orders (note) VALUES ('last')").await.unwrap();
    turn.apply(&attempt().cx, &captured).await.unwrap();
    assert_eq!(count(&target, "SELECT count(*) FROM shop.orders").await, 1, "turned without it");
    turn.restore(&attempt().cx, &captured).await.unwrap();
    // With forward stopped, it waits in the slot and is found there.
    target.sql(&format!("ALTER SUBSCRIPTION {} DISABLE", cut(&target))).await;
    writer.batch_execute("INSERT INTO shop.orders (note) VALUES ('later')").await.unwrap();
    let captured = turn.capture(&attempt().cx).await.unwrap();
    let failure = turn.apply(&attempt().cx, &captured).await.unwrap_err();
    assert!(failure.message.contains("1 changes of the source have not arrived"), "{failure:?}");
}

/// A key by which no row can be named, and partitions that have none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_would_take_no_more_updates_are_refused() {
    let services = services(env());
    let (_alone, source, target) = pair_alone("back_key").await;
    for side in [&source, &target] {
        side.sql(
            "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE); CREATE TABLE root (id int, at int) PARTITION BY LIST (at);
             CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1)",
        )
        .await;
    }
    source.sql("CREATE PUBLICATION cut FOR TABLE late, root WITH (publish_via_partition_root = true)").await;
    super::postgres_replication_lag::subscribe(&source, &target).await;
    let line = green(lag(&services, &source, &target, "").as_ref()).await;
    assert!(line.contains("for want of a key: public.late, public.leaf"), "{line}");
    let refused = turning(&services, &source, &target).capture(&attempt().cx).await.unwrap_err();
    assert_eq!(refused.class, Class::Refused, "{refused:?}");
    assert!(refused.message.contains("for want of a key: public.late, public.leaf"), "{refused:?}");
    for side in [&source, &target] {
        side.sql("ALTER TABLE late REPLICA IDENTITY FULL; ALTER TABLE leaf ADD PRIMARY KEY (id)").await;
    }
    done(turning(&services, &source, &target).as_ref()).await;
    target
        .sql("INSERT INTO root VALUES (1, 1); UPDATE root SET id = 2; INSERT INTO late VALUES (1); DELETE FROM late")
        .await;
}

#[tokio::test]
async fn bad_parameters() {
    let services = services(env());
    points_at(KIND, "source = 'x'", &services, "", "needs `target`");
    points_at(KIND, "source = 'x'\ntarget = 'y'\nname = 'No-Slot'", &services, "'No-Slot'", "small letters");
}

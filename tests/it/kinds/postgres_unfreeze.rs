//! `postgres.unfreeze`: a guarded new side, a frozen old one, and everything that speaks against opening them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::Class,
    plan::{Action, Finding, contract::Prior},
    services::Services,
};
use serde_json::Value as Json;

use super::{
    contract::{action, acts_and_restores, attempt, attempt_of, done, env, points_at, services},
    postgres_freeze::{Shop, refused},
    postgres_replication_lag::replicating,
};
use crate::{
    postgres::{client, database},
    proxy::{Proxy, Way},
};

const KIND: &str = "postgres.unfreeze";
const WRITE: &str = "INSERT INTO s.orders (note) VALUES ('x')";

fn open(services: &Arc<Services>, url: &str, more: &str) -> Arc<dyn Action> {
    action(KIND, &format!("database = '{url}'\n{more}"), services)
}

async fn guard(shop: &Shop) {
    let name = &shop.database.name;
    shop.database.sql(&format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = 'yes'")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_on_a_guarded_side() {
    let services = services(env());
    let shop = Shop::new("unfreeze").await;
    guard(&shop).await;
    let (app, owner) = (&shop.app.name, &shop.owner.name);
    let set = format!("ALTER ROLE {app} IN DATABASE \"{}\" SET default_transaction_read_only = on", shop.database.name);
    client(&format!("{}?options=-cdefault_transaction_read_only%3Doff", shop.database.url()))
        .await
        .batch_execute(&set)
        .await
        .unwrap();
    let waiting = shop.client(&shop.app).await;
    assert_eq!(refused(&waiting, WRITE).await, "25006");
    let opens = open(&services, &shop.database.url(), &format!("roles = ['{app}', '{owner}']"));
    assert!(opens.clocks().freeze_stops && !opens.clocks().freeze_starts);
    acts_and_restores(opens.as_ref(), || shop.state(), || shop.changes()).await;
    assert_eq!(refused(&shop.client(&shop.app).await, WRITE).await, "25006");

    let late = shop.client(&shop.app).await;
    let attempt = attempt();
    let captured = opens.capture(&attempt.cx).await.unwrap();
    let told = opens.apply(&attempt.cx, &captured).await.unwrap();
    assert!(
        told.line.contains(&format!("takes writes of {app}, {owner}")) && told.line.contains("ended 1 session"),
        "{}",
        told.line
    );
    assert!(late.batch_execute("SELECT 1").await.is_err(), "a session that is read-only for ever was left");
    for role in [&shop.app, &shop.owner] {
        shop.client(role).await.batch_execute(WRITE).await.unwrap();
    }
    // Guarded again, nobody writes on.
    let writer = shop.client(&shop.app).await;
    opens.restore(&attempt.cx, &captured).await.unwrap();
    assert!(writer.batch_execute(WRITE).await.is_err());
    shop.database.cluster.nothing_left(&shop.database.name).await;
}

/// What a freeze took is put back exactly, whatever its strength, and real logins prove it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_is_taken_back() {
    let services = services(env());
    for strength in ["default", "revoke", "nologin"] {
        let shop = Shop::new("unfreeze_f").await;
        let before = shop.state().await;
        let freeze = shop.freeze(&services, &format!("strength = '{strength}'\nroles = ['{}']", shop.app.name));
        let captured = done(freeze.as_ref()).await;
        let more =
            format!("freeze = 'freeze'\nlogins = {{ {} = '{}' }}", shop.app.name, shop.database.url_of(&shop.app));
        let opens = open(&services, &shop.database.url(), &more);
        let prior = Prior { captured, evidence: Json::Null, by_hand: None };
        let after = attempt_of(Duration::from_secs(30), BTreeMap::from([("freeze", prior)]));
        let captured = opens.capture(&after.cx).await.unwrap();
        let told = opens.apply(&after.cx, &captured).await.unwrap();
        assert!(told.line.contains(&shop.app.name), "{}", told.line);
        assert_eq!(shop.state().await, before, "{strength}");
        shop.client(&shop.app).await.batch_execute(WRITE).await.unwrap();
        let found = opens.probe(&after.cx, &captured, false).await.unwrap();
        assert!(matches!(found, Finding::Done(_) | Finding::Unclear { .. }), "{found:?}");
        opens.restore(&after.cx, &captured).await.unwrap();
        assert_ne!(shop.state().await, before, "{strength}: it is frozen again");
    }
    let shop = Shop::new("unfreeze_n").await;
    let opens = open(&services, &shop.database.url(), "freeze = 'freeze'");
    let failure = opens.capture(&attempt().cx).await.unwrap_err();
    assert!(failure.message.contains("step freeze has not captured"), "{failure:?}");
}

/// A table that was renamed is put back under its new name; one that is gone is named, with a role that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_table_is_put_back_and_a_gone_one_named() {
    let services = services(env());
    let database = database("unfreeze_name").await;
    let (app, temp) = (database.role("app", "").await, database.role("temp", "").await);
    let (a, d) = (&app.name, &temp.name);
    let tables = format!(
        "CREATE TABLE t (a int); CREATE TABLE u (a int); CREATE TABLE v (a int); GRANT INSERT ON t, u, v TO {a}; GRANT INSERT ON t TO {d}"
    );
    database.sql(&tables).await;
    let text = format!("database = '{}'\nstrength = 'revoke'\nroles = ['{a}', '{d}']", database.url());
    let captured = done(action("postgres.freeze", &text, &services).as_ref()).await;
    database.sql(&format!("ALTER TABLE u RENAME TO u2; DROP TABLE v; DROP OWNED BY {d}; DROP ROLE {d}")).await;
    let opens = open(&services, &database.url(), "freeze = 'freeze'");
    let prior = Prior { captured, evidence: Json::Null, by_hand: None };
    let after = attempt_of(Duration::from_secs(30), BTreeMap::from([("freeze", prior)]));
    let captured = opens.capture(&after.cx).await.unwrap();
    let told = opens.apply(&after.cx, &captured).await.unwrap();
    let gone = format!("not put back: public.v is gone, role {d} is gone");
    assert!(told.line.contains(&gone), "{}", told.line);
    let writes = "INSERT INTO t VALUES (1); INSERT INTO u2 VALUES (1)";
    client(&database.url_of(&app)).await.batch_execute(writes).await.unwrap();
    // Guarded again after one more change of the name.
    database.sql("ALTER TABLE u2 RENAME TO u3").await;
    opens.restore(&after.cx, &captured).await.unwrap();
    assert_eq!(refused(&client(&database.url_of(&app)).await, "INSERT INTO u3 VALUES (1)").await, "42501");
}

/// If one of them could not write then, nothing is changed at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_could_not_write_stops_it() {
    let services = services(env());
    let shop = Shop::new("unfreeze_w").await;
    let none = shop.database.role("none", "").await;
    shop.database.sql("REVOKE DELETE ON s.cols FROM PUBLIC").await;
    guard(&shop).await;
    let before = shop.state().await;
    for (more, class, why) in [
        (format!("roles = ['{}', '{}']", shop.app.name, none.name), Class::Refused, "no privilege lets it write"),
        ("roles = ['nobody_there']".to_owned(), Class::Misconfigured, "there is no role"),
    ] {
        let opens = open(&services, &shop.database.url(), &more);
        let failure = match opens.capture(&attempt().cx).await {
            Ok(captured) => opens.apply(&attempt().cx, &captured).await.unwrap_err(),
            Err(failure) => failure,
        };
        assert_eq!(failure.class, class, "{failure:?}");
        assert!(failure.message.contains(why), "{failure:?}");
        assert_eq!(shop.state().await, before);
    }
    // A role whose own setting says read-only everywhere is opened here, and only here.
    let admin = client(&format!("{}?options=-cdefault_transaction_read_only%3Doff", shop.database.url())).await;
    admin.batch_execute(&format!("ALTER ROLE {} SET default_transaction_read_only = on", shop.app.name)).await.unwrap();
    drop(admin);
    done(open(&services, &shop.database.url(), &format!("roles = ['{}']", shop.app.name)).as_ref()).await;
    shop.client(&shop.app).await.batch_execute(WRITE).await.unwrap();
    shop.database.cluster.nothing_left(&shop.database.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_rows_still_come_in_it_refuses() {
    let services = services(env());
    let (_source, target) = replicating("unfreeze_s").await;
    let role = target.role("app", "").await;
    target.sql(&format!("GRANT USAGE ON SCHEMA shop TO {0}; GRANT INSERT ON shop.orders TO {0}", role.name)).await;
    target.sql(&format!("ALTER DATABASE \"{}\" SET default_transaction_read_only = on", target.name)).await;
    let opens = open(&services, &target.url(), "");
    let failure = opens.capture(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused);
    assert!(failure.message.contains("still subscribed: cut_unfreeze_s"), "{failure:?}");
    let failure = opens.apply(&attempt().cx, &Json::Null).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured);
    done(open(&services, &target.url(), "subscriptions = 'leave'").as_ref()).await;
    client(&target.url_of(&role)).await.batch_execute("INSERT INTO shop.orders (id) VALUES (1)").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_short_a_probe_knows() {
    let services = services(env());
    let shop = Shop::new("unfreeze_c").await;
    guard(&shop).await;
    let direct = open(&services, &shop.database.url(), &format!("roles = ['{}']", shop.owner.name));
    let captured = direct.capture(&attempt().cx).await.unwrap();
    let before = shop.state().await;
    let proxy = Proxy::to(shop.database.cluster.port).await;
    let url = format!("postgres://postgres@{}/{}", proxy.address, shop.database.name);
    let through = open(&services, &url, &format!("roles = ['{}']", shop.owner.name));
    for (way, wait) in [(Way::Cut, 5), (Way::Cut, 30), (Way::Swallow, 10), (Way::Deaf, 40)] {
        let cut = attempt_of(Duration::from_secs(2), BTreeMap::new());
        let (cx, acting, kept) = (cut.cx.clone(), through.clone(), captured.clone());
        let begun = std::time::Instant::now();
        let task = tokio::spawn(async move { acting.apply(&cx, &kept).await });
        tokio::time::sleep(Duration::from_millis(wait)).await;
        proxy.set(way);
        let outcome = task.await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10), "{way:?}");
        proxy.set(Way::Pass);
        shop.database.cluster.nothing_left(&shop.database.name).await;
        let changed = shop.state().await != before;
        let found = direct.probe(&attempt().cx, &captured, false).await.unwrap();
        assert_eq!(changed, !matches!(found, Finding::NotDone { .. }), "{found:?}");
        if let Err(failure) = &outcome {
            assert!(!(changed && failure.class.nothing_done()), "{way:?} {wait}: {failure:?}");
        }
        direct.restore(&attempt().cx, &captured).await.unwrap();
        assert_eq!(shop.state().await, before);
    }
}

#[tokio::test]
async fn bad_parameters() {
    let services = services(env());
    points_at(KIND, "", &services, "", "needs `database`");
    points_at(KIND, "database = 'x'\nsubscriptions = 'keep'", &services, "'keep'", "must be one of");
    points_at(KIND, "database = 'x'\nroles = []", &services, "[]", "must name roles");
}

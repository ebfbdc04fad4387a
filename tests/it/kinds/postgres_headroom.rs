//! `postgres.headroom` against two real servers: each finding made, found and mended.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Failure},
    plan::Seen,
    services::Services,
};

use super::contract::{attempt, attempt_of, check, check_changes_nothing, env, points_at, services};
use crate::{
    postgres::{Cluster, Database, database, pair},
    proxy::{Proxy, Way},
};

/// Tests of other databases may have transactions open for a while.
const PATIENT: &str = "max_transaction = \"10m\"\nmax_idle = \"10m\"\n";

async fn look(services: &Arc<Services>, text: &str) -> Result<Seen, Failure> {
    check("postgres.headroom", text, services).check(&attempt().cx).await
}

fn all(failure: &Failure) -> String {
    format!("{}\n{}", failure.message, failure.causes.join("\n"))
}

fn one(database: &Database, more: &str) -> String {
    format!("database = \"{}\"\n{more}", database.url())
}

#[tokio::test]
async fn connections_have_to_fit() {
    let database = database("room").await;
    let services = services(env());
    let seen =
        look(&services, &one(&database, &format!("{PATIENT}connections = {{ web = 3, worker = 2 }}"))).await.unwrap();
    assert!(seen.value.is_some_and(|room| room > 0.0 && room < 197.0), "{seen:?}");
    assert!(seen.line.contains("disk space cannot be seen"), "{}", seen.line);
    let failure = look(&services, &one(&database, &format!("{PATIENT}connections = 500"))).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(all(&failure).contains("connections: 500 are needed") && all(&failure).contains("of 197"), "{failure:?}");
    database.sql(&format!("ALTER DATABASE \"{}\" CONNECTION LIMIT 10", database.name)).await;
    let failure = look(&services, &one(&database, &format!("{PATIENT}connections = 11"))).await.unwrap_err();
    assert!(all(&failure).contains("the database is limited to 10"), "{failure:?}");
    let role = database.role("app", "CONNECTION LIMIT 4 IN ROLE pg_monitor").await;
    let text = format!("database = \"{}\"\n{PATIENT}connections = 5", database.url_of(&role));
    let failure = look(&services, &text).await.unwrap_err();
    assert!(all(&failure).contains("the role is limited to 4"), "{failure:?}");
    database.cluster.nothing_left(&database.name).await;
}

#[tokio::test]
async fn open_idle_and_prepared_transactions_are_named() {
    let cluster = Cluster::start(&[]);
    let services = services(env());
    let text = |more: &str| format!("database = \"{}\"\n{more}", cluster.url("postgres"));
    look(&services, &text("max_transaction = \"1m\"")).await.unwrap();
    let idle = cluster.client("postgres").await;
    idle.batch_execute("SET application_name = 'report'; BEGIN; CREATE TABLE t (id int)").await.unwrap();
    let begun = std::time::Instant::now();
    let failure = loop {
        match look(&services, &text("max_transaction = \"1m\"\nmax_idle = \"100ms\"")).await {
            Err(failure) => break failure,
            Ok(seen) => assert!(begun.elapsed() < Duration::from_secs(15), "{}", seen.line),
        }
    };
    assert!(all(&failure).contains("report") && all(&failure).contains("is idle in one"), "{failure:?}");
    let failure = look(&services, &text("max_transaction = \"100ms\"")).await.unwrap_err();
    assert!(all(&failure).contains("has one open for"), "{failure:?}");
    idle.batch_execute("PREPARE TRANSACTION 'left'").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let failure = look(&services, &text("max_transaction = \"100ms\"")).await.unwrap_err();
    assert!(all(&failure).contains("prepared transaction: left"), "{failure:?}");
    look(&services, &text("max_transaction = \"100ms\"\nexcept = [\"prepared transaction: left\"]")).await.unwrap();
    idle.batch_execute("ROLLBACK PREPARED 'left'").await.unwrap();
    drop(idle);
    look(&services, &text("max_transaction = \"1s\"")).await.unwrap();

    // Age, an invalid index, and a collation that the library has left behind.
    let client = cluster.client("postgres").await;
    client.batch_execute("SELECT txid_current()").await.unwrap();
    let failure = look(&services, &text("max_xid_age = 1")).await.unwrap_err();
    assert!(all(&failure).contains("since its oldest row was frozen"), "{failure:?}");
    client
        .batch_execute(
            "CREATE TABLE i (a text COLLATE \"en-x-icu\"); CREATE INDEX gone ON i (a);
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'gone'::regclass;
             UPDATE pg_collation SET collversion = '1.2' WHERE collname = 'en-x-icu'",
        )
        .await
        .unwrap();
    let failure = look(&services, &text("")).await.unwrap_err();
    assert!(all(&failure).contains("index public.gone is invalid"), "{failure:?}");
    assert!(all(&failure).contains("en-x-icu was built with 1.2"), "{failure:?}");
    client.batch_execute("ALTER COLLATION \"en-x-icu\" REFRESH VERSION; DROP TABLE i").await.unwrap();
    look(&services, &text("")).await.unwrap();

    // Who may not see others' transactions has no data.
    client.batch_execute("CREATE ROLE blind LOGIN PASSWORD 'blind-pw'").await.unwrap();
    let blind = format!("database = \"postgres://blind:blind-pw@127.0.0.1:{}/postgres\"", cluster.port);
    let failure = look(&services, &blind).await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(
        failure.message.contains("no data") && failure.hint.as_ref().unwrap().contains("pg_monitor"),
        "{failure:?}"
    );
    client.batch_execute("GRANT pg_monitor TO blind").await.unwrap();
    look(&services, &blind).await.unwrap();
    drop(client);
    cluster.nothing_left("").await;
}

#[tokio::test]
async fn both_sides_have_to_agree() {
    let (old, new) = pair("agree").await;
    let services = services(env());
    let text = |more: &str| format!("database = \"{}\"\nsource = \"{}\"\n{PATIENT}{more}", new.url(), old.url());
    let schema = "CREATE TABLE shop (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', \"Odd.Name\" numeric(10,2));
        CREATE INDEX by_name ON shop (name); CREATE SEQUENCE s; CREATE VIEW v AS SELECT id FROM shop;
        CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT a'";
    old.sql(schema).await;
    new.sql(schema).await;
    let seen = look(&services, &text("")).await.unwrap();
    assert!(seen.line.contains("parts of the schema are the same"), "{}", seen.line);

    let name = &new.name;
    for (there, here, said, back) in [
        ("CREATE TABLE extra (id int)", "SELECT 1", "table public.extra is missing at the target", "DROP TABLE extra"),
        (
            "ALTER TABLE shop ADD more int",
            "SELECT 1",
            "column public.shop.more is missing",
            "ALTER TABLE shop DROP more",
        ),
        (
            "ALTER TABLE shop ALTER name TYPE varchar(10)",
            "SELECT 1",
            "character varying(10)",
            "ALTER TABLE shop ALTER name TYPE text",
        ),
        ("CREATE INDEX two ON shop (id, name)", "SELECT 1", "index public.two is missing", "DROP INDEX two"),
        ("CREATE EXTENSION pgcrypto", "SELECT 1", "extension pgcrypto", "DROP EXTENSION pgcrypto"),
        // There is no way back from this one, so it comes last.
        ("ALTER TYPE mood ADD VALUE 'odd'", "ALTER TYPE mood ADD VALUE 'even'", "enum public.mood", ""),
    ] {
        let Ok(()) = old.client().await.batch_execute(there).await else {
            // An extension's files may not be installed; its own look is covered by plpgsql's version then.
            assert!(there.contains("EXTENSION"), "{there}");
            continue;
        };
        new.sql(here).await;
        let failure = look(&services, &text("")).await.map(|seen| panic!("{there}: {}", seen.line)).unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{failure:?}");
        assert!(all(&failure).contains(said), "{there}: {failure:?}");
        let meant = said.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        if !back.is_empty() {
            if !said.starts_with("character") {
                look(&services, &text(&format!("except = [\"{meant}\"]")))
                    .await
                    .unwrap_or_else(|e| panic!("{meant}: {e:?}"));
            }
            old.sql(back).await;
        }
    }
    let meant = "except = [\"enum public.mood\"]";
    look(&services, &text(meant)).await.unwrap();
    look(&services, &text("schema = false")).await.unwrap();
    new.sql(&format!("ALTER DATABASE \"{name}\" SET timezone = 'Asia/Tokyo'")).await;
    let failure = look(&services, &text(meant)).await.unwrap_err();
    assert!(all(&failure).contains("setting TimeZone: UTC at the source, Asia/Tokyo at the target"), "{failure:?}");
    new.sql(&format!("ALTER DATABASE \"{name}\" RESET timezone; ALTER DATABASE \"{name}\" SET work_mem = '7MB'")).await;
    look(&services, &text(meant)).await.unwrap();
    let failure = look(&services, &text(&format!("{meant}\nsettings = [\"work_mem\"]"))).await.unwrap_err();
    assert!(all(&failure).contains("setting work_mem"), "{failure:?}");
    old.cluster.nothing_left(&old.name).await;
    new.cluster.nothing_left(&new.name).await;
}

/// Of the same name is not the same.
#[tokio::test]
async fn what_a_part_does_has_to_agree() {
    let (old, new) = pair("bodies").await;
    let services = services(env());
    let text = format!("database = \"{}\"\nsource = \"{}\"\n{PATIENT}", new.url(), old.url());
    let schema = "CREATE TABLE t (id int PRIMARY KEY, name text); CREATE VIEW v AS SELECT id FROM t WHERE id > 0;
        CREATE MATERIALIZED VIEW m AS SELECT id FROM t WHERE id > 0;
        CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 1; END;
        CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
        CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER noted BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION noted();
        CREATE DOMAIN few AS int CONSTRAINT small CHECK (VALUE < 10);
        ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (id > 0);
        CREATE TABLE counted (id int GENERATED BY DEFAULT AS IDENTITY, twice int GENERATED ALWAYS AS (1 + 1) STORED, plain int);
        CREATE SEQUENCE apart; CREATE TYPE two AS (a int, b text); CREATE TYPE span AS RANGE (subtype = float8)";
    old.sql(schema).await;
    new.sql(schema).await;
    let seen = look(&services, &text).await.unwrap();
    assert!(seen.line.contains("parts of the schema are the same; "), "{}", seen.line);
    for (change, said) in [
        ("CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 1", "view public.v: "),
        ("DROP MATERIALIZED VIEW m; CREATE MATERIALIZED VIEW m AS SELECT id FROM t", "materialised view public.m: "),
        (
            "CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + 2; END",
            "function public.f(",
        ),
        ("ALTER FUNCTION g() SECURITY DEFINER", "function public.g(): "),
        ("ALTER FUNCTION g() STABLE", "function public.g(): "),
        ("CREATE OR REPLACE PROCEDURE p() LANGUAGE sql AS 'SELECT 2'", "function public.p(): "),
        (
            "DROP TRIGGER noted ON t; CREATE TRIGGER noted BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION noted()",
            "trigger public.t.noted: ",
        ),
        (
            "ALTER DOMAIN few DROP CONSTRAINT small; ALTER DOMAIN few ADD CONSTRAINT small CHECK (VALUE < 11)",
            "domain public.few: ",
        ),
        ("ALTER DOMAIN few SET NOT NULL", "domain public.few: "),
        ("ALTER POLICY own ON t USING (id > 1)", "policy public.t.own: "),
        ("DROP POLICY own ON t", "policy public.t.own is missing at the target"),
        ("ALTER TABLE counted ALTER id SET GENERATED ALWAYS", "integer not null identity by default at the source, "),
        (
            "ALTER TABLE counted DROP twice; ALTER TABLE counted ADD twice int DEFAULT 1 + 1",
            "integer generated stored (1 + 1) at the source, integer default (1 + 1) at the target",
        ),
        ("ALTER SEQUENCE apart INCREMENT BY 2 CYCLE", "sequence public.apart: bigint start 1 by 1 "),
        (
            "ALTER TABLE t SET UNLOGGED",
            "table public.t:  row security at the source,  row security unlogged at the target",
        ),
        ("ALTER TYPE two ADD ATTRIBUTE c int", "type public.two: a integer, b text at the source, "),
        (
            "DROP TYPE span; CREATE TYPE span AS RANGE (subtype = numeric)",
            "type public.span: range of double precision at",
        ),
        ("ALTER VIEW v SET (security_barrier)", "view public.v: "),
        (
            "CREATE RULE away AS ON INSERT TO counted DO INSTEAD NOTHING",
            "rule public.counted.away is at the target only",
        ),
        ("ALTER TABLE t FORCE ROW LEVEL SECURITY", "table public.t: "),
    ] {
        new.sql(&format!("{change}; ")).await;
        let failure = look(&services, &text).await.map(|seen| panic!("{change}: {}", seen.line)).unwrap_err();
        assert!(all(&failure).contains(said), "{change}: {failure:?}");
        old.sql(change).await;
        look(&services, &text).await.unwrap_or_else(|failure| panic!("{change}: {failure:?}"));
    }
}

#[tokio::test]
async fn locales_and_encodings_have_to_agree() {
    let old = Cluster::start(&[]);
    let services = services(env());
    let client = old.client("postgres").await;
    client
        .batch_execute("CREATE DATABASE l1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
        .await
        .unwrap();
    client.batch_execute("CREATE DATABASE u8 TEMPLATE template0 ENCODING 'UTF8'").await.unwrap();
    let text = format!("database = \"{}\"\nsource = \"{}\"", old.url("u8"), old.url("l1"));
    let failure = look(&services, &text).await.unwrap_err();
    assert!(all(&failure).contains("encoding is LATIN1 at the source and UTF8 at the target"), "{failure:?}");
    drop(client);
    old.nothing_left("").await;
}

#[tokio::test]
async fn the_contract_of_a_check() {
    let (old, new) = pair("contract_h").await;
    let text = format!("database = \"{}\"\nsource = \"{}\"\n{PATIENT}", new.url(), old.url());
    let services = services(env());
    let check = check("postgres.headroom", &text, &services);
    let writes = "SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = $1";
    check_changes_nothing(check.as_ref(), async || {
        let mut sum = 0;
        for database in [&old, &new] {
            sum += database.rows(writes, &[&database.name]).await[0].get::<_, i64>(0);
        }
        usize::try_from(sum).unwrap()
    })
    .await;
    let identity = check.fence().await.unwrap().unwrap();
    assert_eq!(identity.line.matches(&old.name).count(), 2, "{}", identity.line);
    let base = "database = \"x\"\n";
    for (text, marked, message) in [
        ("connections = 0", "0", "`connections` must be a number"),
        ("connections = { web = \"x\" }", "{ web = \"x\" }", "`connections` must be a number"),
        ("max_transaction = \"0s\"", "\"0s\"", "longer than nothing"),
        ("max_xid_age = 3000000000", "3000000000", "must be 1 to 2000000000"),
        ("settings = [\"work_mem\"]", "[\"work_mem\"]", "compares with a `source`"),
    ] {
        points_at("postgres.headroom", &format!("{base}{text}"), &services, marked, message);
    }
}

#[tokio::test]
async fn faults_end_the_look_and_leave_nothing() {
    let (old, new) = pair("faults_h").await;
    let services = services(env());
    let proxy = Proxy::to(new.cluster.port).await;
    let url = format!("postgres://postgres@{}/{}", proxy.address, new.name);
    let text = format!("database = \"{url}\"\nsource = \"{}\"\n{PATIENT}", old.url());
    let check = check("postgres.headroom", &text, &services);
    for way in [Way::Cut, Way::Swallow, Way::Deaf] {
        proxy.set(way);
        let limited = attempt_of(Duration::from_secs(7), BTreeMap::new());
        let begun = std::time::Instant::now();
        let failure = check.check(&limited.cx).await.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{way:?}: {failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(14), "{way:?}");
    }
    proxy.set(Way::Slow(Duration::from_millis(30)));
    check.check(&attempt().cx).await.unwrap();
    let mut cluster = Cluster::start(&[]);
    let text = format!("database = \"{}\"\nsource = \"{}\"\n{PATIENT}", cluster.url("postgres"), old.url());
    cluster.stop();
    let failure = look(&services, &text).await.unwrap_err();
    assert!(failure.class == Class::NotYet && failure.message.contains("no data"), "{failure:?}");
    cluster.start_again();
    look(&services, &format!("{text}schema = false")).await.unwrap();
    drop(proxy);
    old.cluster.nothing_left(&old.name).await;
    new.cluster.nothing_left(&new.name).await;
}

//! `postgres.sequences` between two real clusters.

use std::{sync::Arc, time::Duration};

use gonogo::{
    base::Class,
    plan::{Action, Finding},
    services::Services,
};

use super::{
    contract::{
        action, acts_and_restores, attempt, attempt_of, check, check_changes_nothing, done, env, points_at, services,
    },
    postgres_replication_lag::{count, green, not_yet},
};
use crate::{
    postgres::{Database, pair},
    proxy::{Proxy, Way},
};

const KIND: &str = "postgres.sequences";

/// Sequences of every sort.
const TABLES: &str = "\
CREATE SCHEMA s;
CREATE TABLE s.serial (id bigserial PRIMARY KEY);
CREATE TABLE s.\"Odd \"\"T\" (\"I d\" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE SEQUENCE s.loose;
CREATE SEQUENCE s.down INCREMENT -1 MINVALUE -1000 MAXVALUE -1 START -1;
CREATE SEQUENCE s.odd INCREMENT 2 START 1;
CREATE SEQUENCE s.round MAXVALUE 10 CYCLE;
CREATE SEQUENCE s.short AS smallint MAXVALUE 120;
CREATE SEQUENCE s.fresh;
CREATE TABLE s.by_default (id int PRIMARY KEY DEFAULT nextval('s.odd'), n numeric DEFAULT nextval('s.loose'), t text DEFAULT nextval('s.fresh')::text);";

async fn both(name: &str) -> (Database, Database) {
    let (source, target) = pair(name).await;
    source.sql(TABLES).await;
    target.sql(TABLES).await;
    let used = "INSERT INTO s.serial SELECT FROM generate_series(1, 50);
        INSERT INTO s.\"Odd \"\"T\" SELECT FROM generate_series(1, 7);
        SELECT nextval('s.loose'), nextval('s.down'), nextval('s.odd'), nextval('s.short') FROM generate_series(1, 100);
        SELECT nextval('s.round') FROM generate_series(1, 13);";
    source.sql(used).await;
    // As replication would bring them: rows without their sequences.
    target
        .sql("INSERT INTO s.serial SELECT generate_series(1, 50); INSERT INTO s.by_default VALUES (500, 30.5, 'x')")
        .await;
    (source, target)
}

fn text(source: &Database, target: &Database, more: &str) -> String {
    format!("source = '{}'\ntarget = '{}'\n{more}", source.url(), target.url())
}

fn acting(services: &Arc<Services>, source: &Database, target: &Database, more: &str) -> Arc<dyn Action> {
    action(KIND, &text(source, target, more), services)
}

const NAMES: [&str; 8] = ["serial_id_seq", "Odd \"T_I d_seq", "loose", "down", "odd", "round", "short", "fresh"];

/// Where all stand.
async fn stands(database: &Database) -> Vec<(i64, bool)> {
    let mut stands = Vec::new();
    for name in NAMES {
        let sql = format!("SELECT last_value, is_called FROM s.\"{}\"", name.replace('"', "\"\""));
        let row = database.rows(&sql, &[]).await.remove(0);
        stands.push((row.get(0), row.get(1)));
    }
    stands
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let services = services(env());
    let (source, target) = both("seq").await;
    let looks = check(KIND, &text(&source, &target, "margin = 10"), &services);
    let said = not_yet(looks.as_ref()).await;
    assert!(
        said.contains("8 of 8 are behind") && said.contains("s.down -1 → -110") && said.contains("and 3 more"),
        "{said}"
    );
    let changes =
        async || usize::try_from(stands(&target).await.iter().map(|(last, _)| last.abs()).sum::<i64>()).unwrap();
    check_changes_nothing(looks.as_ref(), changes).await;
    let set = acting(&services, &source, &target, "margin = 10");
    acts_and_restores(set.as_ref(), || stands(&target), changes).await;
    done(set.as_ref()).await;
    let line = green(looks.as_ref()).await;
    assert!(line.contains("8 sequences are 10 steps beyond"), "{line}");
    let wanted = [(60, true), (17, true), (110, true), (-110, true), (501, true), (3, true), (110, true), (10, true)];
    assert_eq!(stands(&target).await, wanted);
    // Nobody draws a number that a row has.
    target.sql("INSERT INTO s.serial DEFAULT VALUES; INSERT INTO s.by_default DEFAULT VALUES; INSERT INTO s.\"Odd \"\"T\" DEFAULT VALUES").await;
    // Never back, and rows of the new side are no reason to be behind.
    let before = stands(&target).await;
    done(set.as_ref()).await;
    assert_eq!(stands(&target).await, before);
    green(looks.as_ref()).await;
    source.cluster.nothing_left(&source.name).await;
    target.cluster.nothing_left(&target.name).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_by_name() {
    let services = services(env());
    let (source, target) = both("seq_no").await;
    source.sql("CREATE SEQUENCE s.\"only here\"").await;
    let set = acting(&services, &source, &target, "");
    let failure = set.capture(&attempt().cx).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused);
    assert!(failure.message.contains("the target has no s.only here"), "{failure:?}");
    let excused = acting(&services, &source, &target, "except = ['s.only*', 's.short']");
    let captured = excused.capture(&attempt().cx).await.unwrap();
    assert!(!captured.to_string().contains("short"), "{captured}");
    target.sql("CREATE SEQUENCE s.\"only here\" INCREMENT 3; CREATE TABLE s.full (id int DEFAULT nextval('s.short')); INSERT INTO s.full VALUES (121)").await;
    let failure = set.capture(&attempt().cx).await.unwrap_err();
    let said = format!("{} {}", failure.message, failure.causes.join(" "));
    assert!(
        said.contains("s.only here steps by 1 at the source and by 3")
            && said.contains("s.short ends at 120, and 121 is in use"),
        "{said}"
    );
    let (here, there) = pair("seq_none").await;
    let said = not_yet(check(KIND, &text(&here, &there, ""), &services).as_ref()).await;
    assert!(said.contains("no data: the target has no sequence"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_was_drawn_is_never_given_out_again() {
    let services = services(env());
    let (source, target) = both("seq_back").await;
    let set = acting(&services, &source, &target, "");
    let captured = done(set.as_ref()).await;
    let after = stands(&target).await;
    target.sql("SELECT nextval('s.loose')").await;
    let failure = set.restore(&attempt().cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert!(failure.message.contains("moved on since: s.loose is at 1101, not at 1100"), "{failure:?}");
    let now = stands(&target).await;
    assert_eq!(now.iter().zip(&after).filter(|(a, b)| a != b).count(), 1, "one was set back all the same");
    // Some set, some not: a person hears that doing it again does the rest.
    target.sql("SELECT setval('s.serial_id_seq', 1, false)").await;
    let found = set.probe(&attempt().cx, &captured, false).await.unwrap();
    assert!(matches!(&found, Finding::Unclear { line } if line.contains("does the rest")), "{found:?}");
    // A source that moves on within the margin is no trouble.
    source.sql("SELECT nextval('s.loose') FROM generate_series(1, 20)").await;
    let told = set.apply(&attempt().cx, &captured).await.unwrap();
    assert!(told.line.contains("are set"), "{}", told.line);
    green(check(KIND, &text(&source, &target, "margin = 0"), &services).as_ref()).await;
}

/// What the source draws while they are set is what the margin is for; it does not stand in the way back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_goes_on_does_not_stand_in_the_way_back() {
    let services = services(env());
    let (source, target) = both("seq_moves").await;
    let set = acting(&services, &source, &target, "margin = 50");
    let before = stands(&target).await;
    let captured = set.capture(&attempt().cx).await.unwrap();
    source.sql("SELECT nextval('s.loose') FROM generate_series(1, 20)").await;
    set.apply(&attempt().cx, &captured).await.unwrap();
    green(check(KIND, &text(&source, &target, "margin = 0"), &services).as_ref()).await;
    set.restore(&attempt().cx, &captured).await.unwrap();
    assert_eq!(stands(&target).await, before, "not as it was");
    // More than the margin is not covered up.
    source.sql("SELECT nextval('s.loose') FROM generate_series(1, 100)").await;
    let failure = set.apply(&attempt().cx, &captured).await.unwrap_err();
    assert_eq!(failure.class, Class::Failed, "some were set: {failure:?}");
    assert!(failure.message.contains("by more than the margin meanwhile: s.loose"), "{failure:?}");
    set.restore(&attempt().cx, &captured).await.unwrap();
    assert_eq!(stands(&target).await, before, "not as it was");
}

/// Rows that the role does not see, and numbers that are none: neither is a reason to set too little.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greatest_number_is_that_of_all_rows() {
    let services = services(env());
    let (source, target) = both("seq_rows").await;
    target.sql("INSERT INTO s.by_default VALUES (501, 7000, 'x'), (502, 'NaN', 'x'), (503, 'Infinity', 'x')").await;
    let captured = done(acting(&services, &source, &target, "").as_ref()).await;
    assert_eq!(stands(&target).await[2], (7000, true), "{captured}");
    target.sql("INSERT INTO s.by_default VALUES (504, 1e50, 'x')").await;
    let looks = check(KIND, &text(&source, &target, ""), &services);
    let failure = looks.check(&attempt().cx).await.expect_err("green");
    assert!(failure.message.contains("s.by_default.n has a number beyond any sequence"), "{failure:?}");
    target.sql("DELETE FROM s.by_default WHERE id = 504").await;

    let setter = target.role("setter", "").await;
    let hidden = format!(
        "INSERT INTO s.serial VALUES (90000); GRANT USAGE ON SCHEMA s TO {0}; GRANT ALL ON ALL SEQUENCES IN SCHEMA s TO {0};
         GRANT SELECT ON ALL TABLES IN SCHEMA s TO {0}; ALTER TABLE s.serial ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         CREATE POLICY part ON s.serial USING (id < 60)",
        setter.name
    );
    target.sql(&hidden).await;
    let by = format!("source = '{}'\ntarget = '{}'", source.url(), target.url_of(&setter));
    let failure = action(KIND, &by, &services).capture(&attempt().cx).await.unwrap_err();
    assert!(failure.class == Class::Denied && failure.message.contains("row-level security"), "{failure:?}");
    target.sql(&format!("ALTER ROLE {} BYPASSRLS", setter.name)).await;
    done(action(KIND, &by, &services).as_ref()).await;
    assert_eq!(stands(&target).await[0], (90000, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_short_it_says_what_is_known() {
    let services = services(env());
    let (source, target) = both("seq_cut").await;
    let proxy = Proxy::to(target.cluster.port).await;
    let url = format!("postgres://postgres@{}/{}", proxy.address, target.name);
    let through = action(KIND, &format!("source = '{}'\ntarget = '{url}'", source.url()), &services);
    let captured = through.capture(&attempt().cx).await.unwrap();
    for way in [Way::Swallow, Way::Deaf, Way::Cut] {
        for wait in [0, 30] {
            let before = stands(&target).await;
            let short = attempt_of(Duration::from_secs(2), std::collections::BTreeMap::new());
            let (cx, acting, kept) = (short.cx.clone(), through.clone(), captured.clone());
            let begun = std::time::Instant::now();
            let task = tokio::spawn(async move { acting.apply(&cx, &kept).await });
            tokio::time::sleep(Duration::from_millis(wait)).await;
            proxy.set(way);
            let outcome = task.await.unwrap();
            assert!(begun.elapsed() < Duration::from_secs(10), "{way:?}");
            proxy.set(Way::Pass);
            target.cluster.nothing_left(&target.name).await;
            if let Err(failure) = outcome {
                let moved = stands(&target).await != before;
                assert!(!(moved && failure.class.nothing_done()), "{way:?} {wait}: {failure:?}");
            }
        }
    }
    through.apply(&attempt().cx, &captured).await.unwrap();
    assert!(count(&target, "SELECT last_value FROM s.loose").await >= 1100);
    source.cluster.nothing_left(&source.name).await;
}

#[tokio::test]
async fn bad_parameters() {
    let services = services(env());
    points_at(KIND, "source = 'x'", &services, "", "needs `target`");
    points_at(KIND, "source = 'x'\ntarget = 'y'\nmargin = -1", &services, "-1", "a whole number");
}

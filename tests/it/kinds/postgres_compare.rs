//! `postgres.compare` against two real clusters: what is the same is found so, what is planted is found by its key, and
//! nothing is left behind.

mod alive;
mod built;
mod corpus;
mod faults;

use std::{sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Failure},
    plan::{Check, Seen},
    services::Services,
};
use tokio::time::Instant;

use self::corpus::{BUILT, TYPED, TYPES_NEED};
use super::contract::{Attempt, attempt_of, check, check_changes_nothing, env, points_at, services};
use crate::postgres::{Database, pair};

const KIND: &str = "postgres.compare";

fn text(source: &Database, target: &Database, rest: &str) -> String {
    format!("source = \"{}\"\ntarget = \"{}\"\n{rest}", source.url(), target.url())
}

fn minutes() -> Attempt {
    attempt_of(Duration::from_secs(120), std::collections::BTreeMap::new())
}

/// One look with a check of its own; what it said on the way.
async fn look(services: &Arc<Services>, text: &str) -> (Result<Seen, Failure>, Vec<String>) {
    look_with(&*check(KIND, text, services)).await
}

async fn look_with(check: &dyn Check) -> (Result<Seen, Failure>, Vec<String>) {
    let attempt = minutes();
    let result = check.check(&attempt.cx).await;
    let lines = attempt.seen.lines.lock().unwrap().clone();
    (result, lines)
}

async fn both(source: &Database, target: &Database, sql: &str) {
    source.sql(sql).await;
    target.sql(sql).await;
}

#[tokio::test]
async fn it_holds_to_the_contract() {
    let (source, target) = pair("contract").await;
    both(
        &source,
        &target,
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, 'v' FROM generate_series(1, 99) g",
    )
    .await;
    let services = services(env());
    let same = check(KIND, &text(&source, &target, ""), &services);
    let counters = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_user_tables";
    let changes = async || {
        let (one, other) = (source.rows(counters, &[]).await, target.rows(counters, &[]).await);
        usize::try_from(one[0].get::<_, i64>(0) + other[0].get::<_, i64>(0)).unwrap()
    };
    // The counters of the inserts come late.
    let until = Instant::now() + Duration::from_secs(20);
    while changes().await < 198 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    check_changes_nothing(&*same, changes).await;
    let (seen, _) = look_with(&*same).await;
    let seen = seen.unwrap();
    assert!(seen.line.starts_with("1 table with 99 rows agrees"), "{}", seen.line);
    assert_eq!(seen.evidence["rows"], 99);
    target.sql("UPDATE t SET v = 'w' WHERE id = 7").await;
    let (failure, lines) = look_with(&*same).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::NotYet);
    assert_eq!(failure.message, "1 of 1 table differs: public.t: 1 changed");
    assert!(lines.contains(&"public.t: changed id=7 (v)".to_owned()), "{lines:?}");
    let stopped = minutes();
    stopped.cx.cancel.cancel();
    assert_eq!(same.check(&stopped.cx).await.unwrap_err().class, Class::NotYet);
    source.cluster.nothing_left(&source.name).await;
    target.cluster.nothing_left(&target.name).await;
}

#[test]
fn a_bad_parameter_points_at_its_place() {
    let services = services(env());
    let with = |rest: &str| format!("source = \"postgres://a/x\"\ntarget = \"postgres://b/x\"\n{rest}");
    for (rest, marked, message) in [
        ("connections = 0", "0", "`connections` must be 1 to 32"),
        ("connections = 99", "99", "`connections` must be 1 to 32"),
        ("shown = 101", "101", "`shown` must be 1 to 100"),
        ("statement_timeout = \"0s\"", "\"0s\"", "`statement_timeout` must be longer than nothing"),
        ("tables = []", "[]", "`tables` must not be empty"),
        ("schemas = [\"\"]", "[\"\"]", "`schemas` must not be empty"),
        ("ignore = [\"indexes\"]", "[\"indexes\"]", "`ignore` does not know `indexes`"),
    ] {
        points_at(KIND, &with(rest), &services, marked, message);
    }
    let same = "source = \"postgres://a/x\"\ntarget = \"postgres://a/x\"";
    points_at(KIND, same, &services, "\"postgres://a/x\"", "`target` is `source`");
    points_at(KIND, "source = \"postgres://a/x\"", &services, "", "needs `target`");
}

/// What is stored need not keep to a check that came later and was not validated.
#[tokio::test]
async fn a_key_that_its_domain_would_not_take_is_found() {
    let (source, target) = pair("not_valid").await;
    let make = "CREATE DOMAIN code AS varchar(9); CREATE DOMAIN short AS code; CREATE TABLE t (id short PRIMARY KEY, v int); \
        INSERT INTO t VALUES ('bad', 1), ('good', 1); \
        ALTER DOMAIN short ADD CONSTRAINT good CHECK (VALUE = 'good') NOT VALID";
    both(&source, &target, make).await;
    source.sql("UPDATE t SET v = 2 WHERE id = 'bad'").await;
    let (failure, lines) = look(&services(env()), &text(&source, &target, "")).await;
    assert_eq!(failure.unwrap_err().message, "1 of 1 table differs: public.t: 1 changed", "{lines:?}");
    assert!(lines.contains(&"public.t: changed id=bad (v)".to_owned()), "{lines:?}");
}

/// Equal ones are equal, each planted difference is found, and nothing else.
#[tokio::test]
async fn sixty_awkward_tables() {
    assert!(TYPED.len() + BUILT.len() >= 60);
    let (source, target) = pair("corpus").await;
    // Other settings, and other numbers for the same names.
    let odd = [
        "timezone = 'America/New_York'",
        "datestyle = 'German'",
        "intervalstyle = 'iso_8601'",
        "bytea_output = 'escape'",
        "extra_float_digits = -5",
        "xmloption = 'document'",
    ];
    for setting in odd {
        target.sql(&format!("ALTER DATABASE \"{}\" SET {setting}", target.name)).await;
    }
    target.sql("CREATE SCHEMA other; CREATE TABLE other.t (id int); DROP SCHEMA other CASCADE").await;
    let types = format!(
        "CREATE SCHEMA s; CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; \
         CREATE EXTENSION ltree SCHEMA ext; SET search_path = s; {TYPES_NEED}"
    );
    both(&source, &target, &types).await;
    let typed: String = TYPED
        .iter()
        .map(|(name, kind, value, _)| {
            format!(
                "SET search_path = s, pg_catalog; SET xmloption = content; \
            CREATE TABLE s.{name} (id int PRIMARY KEY, v {kind}); \
            INSERT INTO s.{name} VALUES (1, {value}), (2, {value}), (3, {value}), (4, NULL); "
            )
        })
        .collect();
    both(&source, &target, &typed).await;
    for built in BUILT {
        source.sql(built.source).await;
        target.sql(if built.target.is_empty() { built.source } else { built.target }).await;
    }
    let services = services(env());
    let (seen, lines) = look(&services, &text(&source, &target, "")).await;
    let seen = seen.unwrap_or_else(|failure| panic!("{failure:?} {lines:#?}"));
    // An inherited child is a table, too.
    assert_eq!(seen.evidence["tables"], TYPED.len() + BUILT.len() + 1, "{}", seen.line);

    for (name, _, value, other) in TYPED {
        target.sql(&format!("SET search_path = s, pg_catalog; SET xmloption = content; \
            UPDATE s.{name} SET v = {other} WHERE id = 2; DELETE FROM s.{name} WHERE id = 3; INSERT INTO s.{name} VALUES (9, {value})")).await;
    }
    for built in BUILT {
        target.sql(built.plant).await;
    }
    let (failure, lines) = look(&services, &text(&source, &target, "shown = 100")).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    let mut wrong = Vec::new();
    let mut expected = 0;
    for (name, ..) in TYPED {
        for said in ["1 changed, 1 missing, 1 extra", "changed id=2 (v)", "missing id=3", "extra id=9"] {
            expected += 1;
            let line = format!("s.{name}: {said}");
            if !lines.contains(&line) {
                wrong.push(line);
            }
        }
    }
    for built in BUILT {
        let rows: Vec<&String> = lines.iter().filter(|line| line.starts_with(&format!("{}: ", built.name))).collect();
        expected += rows.len();
        let words = ["changed", "missing", "extra"];
        let counts: Vec<String> =
            words.iter().zip(built.counts).filter(|(_, n)| *n > 0).map(|(word, n)| format!("{n} {word}")).collect();
        if !rows.iter().any(|line| **line == format!("{}: {}", built.name, counts.join(", "))) {
            wrong.push(format!("{}: {counts:?}", built.name));
        }
        for shown in built.shown {
            if !rows.iter().any(|line| line.contains(shown)) {
                wrong.push(format!("{}: {shown}", built.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?} {lines:#?}");
    let others: Vec<&String> = lines.iter().filter(|line| line.contains(" changed") || line.contains(" row")).collect();
    assert_eq!(failure.message.split(" of ").next(), Some((TYPED.len() + BUILT.len()).to_string().as_str()));
    assert_eq!(lines.len(), expected, "{others:#?}");
    source.cluster.nothing_left(&source.name).await;
    target.cluster.nothing_left(&target.name).await;
}

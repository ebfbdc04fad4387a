//! `postgres.query` against a real server: what it answers, what it refuses, and that it cannot write.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gonogo::{
    base::{Class, Failure, Redactor},
    plan::Seen,
    runbook::{SecretRef, SecretSource},
    services::Services,
};

use super::{
    contract::{attempt, attempt_of, check, check_changes_nothing, env, points_at, services, services_with},
    postgres_pooler::Bouncer,
};
use crate::{
    postgres::{Cluster, Database, database},
    proxy::{Proxy, Way},
};

fn toml(text: &str) -> String {
    format!("'''{text}'''")
}

async fn look_at(services: &Arc<Services>, url: &str, sql: &str, more: &str) -> Result<Seen, Failure> {
    let text = format!("database = \"{url}\"\nsql = {}\n{more}", toml(sql));
    check("postgres.query", &text, services).check(&attempt().cx).await
}

async fn look(database: &Database, sql: &str, more: &str) -> Result<Seen, Failure> {
    look_at(&services(env()), &database.url(), sql, more).await
}

#[tokio::test]
async fn values_and_rows_are_judged() {
    let database = database("query").await;
    database.sql("CREATE TABLE t (id int PRIMARY KEY, n numeric, note text, at timestamptz)").await;
    database.sql("INSERT INTO t SELECT g, g * 1.50, 'note ' || g, now() FROM generate_series(1, 250) g").await;
    for (sql, more) in [
        ("SELECT count(*) FROM t", "equals = 250"),
        ("SELECT count(*) FROM t;", "min = 250\nmax = 250"),
        ("SELECT n FROM t WHERE id = $1", "values = [2]\nequals = 3"),
        ("SELECT n FROM t WHERE id = $1", "values = [1]\nequals = 1.5"),
        ("SELECT id FROM t WHERE note = $1 AND id > $2", "values = [\"note 7\", 3]\nequals = 7"),
        ("SELECT note FROM t WHERE id = 7", "one_of = [\"note 8\", \"note 7\"]"),
        ("SELECT at < $1 FROM t LIMIT 1", "values = [2999-01-01T00:00:00Z]\nequals = true"),
        ("SELECT true", "equals = true"),
        ("SELECT NULL::int", "null = true"),
        ("SELECT id FROM t WHERE id < 0", "empty = true"),
        ("SELECT id FROM t", "rows = 250"),
        ("TABLE t", "min_rows = 250"),
        ("VALUES (1), (2), (3)", "max_rows = 3"),
        ("WITH x AS (SELECT 1 AS a) SELECT a FROM x", "equals = 1"),
        ("SELECT '{\"b\": 1, \"a\": 2}'::jsonb", "equals = '{\"a\": 2, \"b\": 1}'"),
        ("SELECT 9007199254740993", "equals = 9007199254740993"),
        ("SELECT ';'", "equals = \";\""),
    ] {
        look(&database, sql, more).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }
    let seen = look(&database, "SELECT count(*) FROM t", "max = 300").await.unwrap();
    assert_eq!(seen.value, Some(250.0));
    assert!(seen.line.contains("250") && seen.line.contains("127.0.0.1"), "{}", seen.line);
    let seen = look(&database, "SELECT id FROM t", "rows = 250").await.unwrap();
    assert_eq!(seen.value, Some(250.0));

    for (sql, more, said) in [
        ("SELECT count(*) FROM t", "equals = 251", "250; wanted 251"),
        ("SELECT count(*) FROM t", "max = 249", "250; wanted at most 249"),
        ("SELECT id FROM t WHERE id < 0", "equals = 1", "no data: no rows"),
        ("SELECT NULL::int", "max = 5", "NULL; wanted at most 5"),
        ("SELECT 'NaN'::float8", "max = 5", "no number"),
        ("SELECT note FROM t WHERE id = 1", "min = 5", "no number"),
        ("SELECT id FROM t", "equals = 1", "several rows"),
        ("SELECT id FROM t", "rows = 249", "250 rows; wanted 249 rows"),
        ("SELECT id FROM t", "empty = true", "250 rows; wanted no rows"),
        ("SELECT id FROM t", "max_rows = 1", "250 rows"),
        ("SELECT 5", "null = true", "5; wanted NULL"),
        ("SELECT 9007199254740992", "equals = 9007199254740993", "wanted 9007199254740993"),
    ] {
        let failure = look(&database, sql, more).await.map(|seen| panic!("{sql}: {}", seen.line)).unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{sql}: {failure:?}");
        assert!(failure.message.contains(said), "{sql}: {}", failure.message);
    }
    // A value from outside is one line, bounded and cleaned.
    let seen = look(&database, "SELECT E'\\u001b[31m\\n' || repeat('x', 100000)", "rows = 1").await.unwrap();
    assert!(
        !seen.evidence.to_string().contains("\\u001b") && seen.evidence.to_string().len() < 500,
        "{}",
        seen.evidence
    );
    database.cluster.nothing_left(&database.name).await;
}

/// Whatever it tries, nothing is written, and the failure says what tried.
#[tokio::test]
async fn it_cannot_write() {
    let database = database("writes").await;
    database
        .sql(
            "CREATE TABLE t (id int); CREATE SEQUENCE s; INSERT INTO t VALUES (1);
             CREATE FUNCTION sneaky() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (2); RETURN 1; END';
             CREATE FUNCTION sly() RETURNS int LANGUAGE plpgsql AS
               'BEGIN PERFORM set_config(''transaction_read_only'', ''off'', false); INSERT INTO t VALUES (3); RETURN 1; END';
             CREATE FUNCTION lazy() RETURNS int LANGUAGE plpgsql AS
               'BEGIN EXECUTE ''SET TRANSACTION READ WRITE''; DELETE FROM t; RETURN 1; END'",
        )
        .await;
    let services = services(env());
    for (sql, class, said) in [
        ("SELECT sneaky()", Class::Refused, "INSERT in a read-only transaction"),
        ("SELECT sly()", Class::NotYet, "read-write mode must be set before any query"),
        ("SELECT lazy()", Class::NotYet, "read-write mode must be set before any query"),
        ("SELECT nextval('s')", Class::Refused, "nextval() in a read-only transaction"),
        ("WITH x AS (DELETE FROM t RETURNING id) SELECT count(*) FROM x", Class::Misconfigured, "data-modifying"),
        ("INSERT INTO t VALUES (9) RETURNING id", Class::Misconfigured, "syntax error"),
        ("DELETE FROM t", Class::Misconfigured, "syntax error"),
        ("SELECT 1; DELETE FROM t", Class::Misconfigured, "multiple commands"),
        ("SELECT 1; COMMIT; DELETE FROM t", Class::Misconfigured, "multiple commands"),
        ("COPY t TO PROGRAM 'true'", Class::Misconfigured, "syntax error"),
        ("SELECT * FROM t FOR UPDATE", Class::Refused, "FOR UPDATE in a read-only transaction"),
        ("SELEC 1", Class::Misconfigured, "syntax error"),
        ("SELECT 1 / 0", Class::NotYet, "division by zero"),
        ("SELECT * FROM nowhere", Class::Misconfigured, "nowhere"),
        ("SELECT $1::int", Class::Misconfigured, "parameters"),
    ] {
        let failure =
            look_at(&services, &database.url(), sql, "rows = 1").await.map(|seen| panic!("{sql}: {}", seen.line));
        let failure = failure.unwrap_err();
        assert_eq!(failure.class, class, "{sql}: {failure:?}");
        assert!(failure.message.contains(said), "{sql}: {failure:?}");
    }
    let failure = look_at(&services, &database.url(), "SELECT sneaky()", "rows = 1").await.unwrap_err();
    assert!(failure.causes.iter().any(|cause| cause.contains("sneaky()")), "{failure:?}");
    // Also where the server's session is handed on.
    let bouncer = Bouncer::start(&database, "transaction", 2).await;
    let failure = look_at(&services, &bouncer.url(&database), "SELECT sneaky()", "rows = 1").await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    let more = "values = [1]\nequals = 1";
    look_at(&services, &bouncer.url(&database), "SELECT count(*) FROM t WHERE id = $1", more).await.unwrap();
    drop(bouncer);
    let rows = database.rows("SELECT id FROM t", &[]).await;
    assert_eq!(rows.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [1]);
    let last = database.rows("SELECT is_called FROM s", &[]).await;
    assert!(!last[0].get::<_, bool>(0), "the sequence was moved");
    database.cluster.nothing_left(&database.name).await;
}

#[tokio::test]
async fn the_contract_of_a_check() {
    let database = database("contract").await;
    database.sql("CREATE TABLE t (id int)").await;
    let text = format!("database = \"{}\"\nsql = \"SELECT count(*) FROM t\"\nequals = 0", database.url());
    let check = check("postgres.query", &text, &services(env()));
    let writes = "SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = $1";
    check_changes_nothing(check.as_ref(), async || {
        usize::try_from(database.rows(writes, &[&database.name]).await[0].get::<_, i64>(0)).unwrap()
    })
    .await;
    let identity = check.fence().await.unwrap().unwrap();
    assert_eq!(identity.system, "postgres");
    assert!(identity.line.contains(&database.name), "{}", identity.line);
}

/// A secret value is bound and never told; a secret URL's password neither.
#[tokio::test]
async fn secrets_stay_secret() {
    let database = database("secret").await;
    let role = database.role("s", "").await;
    let dir = tempfile::tempdir().unwrap();
    let secret = |name: &str, value: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, value).unwrap();
        SecretRef { name: name.into(), span: 0..0, source: SecretSource::File(path.display().to_string()) }
    };
    let redactor = Arc::new(Redactor::default());
    let secrets = [secret("db", &database.url_of(&role)), secret("word", "open-sesame")];
    let services = services_with(env(), &secrets, redactor.clone());
    let at = |sql: &str, more: &str| {
        format!("database = \"${{secret.db}}\"\nsql = {}\nvalues = [\"${{secret.word}}\"]\n{more}", toml(sql))
    };
    let good = check("postgres.query", &at("SELECT length($1)", "equals = 11"), &services);
    good.check(&attempt().cx).await.unwrap();
    assert!(!good.looks().contains("sesame"));
    let failure =
        check("postgres.query", &at("SELECT $1::int", "equals = 1"), &services).check(&attempt().cx).await.unwrap_err();
    // What the server quotes is masked by whoever writes it down.
    let told = format!("{failure:?}");
    assert!(!redactor.redact(&told).contains("sesame") && !told.contains(&role.password), "{told}");
}

#[tokio::test]
async fn bad_parameters_point_at_their_places() {
    let services = services(env());
    let base = "database = \"postgres://h/x\"\n";
    for (text, marked, message) in [
        ("sql = \"SELECT 1\"", "", "nothing is expected"),
        ("sql = \"\"\nequals = 1", "\"\"", "must not be empty"),
        ("sql = \"SELECT 1\"\nequals = [1]", "[1]", "`equals` must be text, a number or a flag"),
        ("sql = \"SELECT 1\"\none_of = 1", "1", "`one_of` must be a list"),
        ("sql = \"SELECT 1\"\nequals = 1\nmin = 0", "0", "do not go together"),
        ("sql = \"SELECT 1\"\nempty = true\nmax = 3", "3", "do not go together"),
        ("sql = \"SELECT 1\"\nnull = false", "false", "true or left out"),
        ("sql = \"SELECT 1\"\nequals = 1\nvalues = 7", "7", "`values` must be a list"),
        ("sql = \"SELECT 1\"\nequals = 1\nvalues = [[7]]", "[7]", "a value must be"),
        ("sql = \"SELECT 1\"\nequals = 1\nstatement_timeout = \"0s\"", "\"0s\"", "longer than nothing"),
        (
            "sql = \"SELECT pg_terminate_backend(1)\"\nequals = true",
            "\"SELECT pg_terminate_backend(1)\"",
            "acts on the server",
        ),
    ] {
        points_at("postgres.query", &format!("{base}{text}"), &services, marked, message);
    }
    let hidden = "sql = \"SELECT u&\\\"pg_terminate_backe\\\\006Ed\\\"(0)\"\nequals = true";
    let marked = hidden.lines().next().unwrap().trim_start_matches("sql = ");
    points_at("postgres.query", &format!("{base}{hidden}"), &services, marked, "can hide what does");
    points_at("postgres.query", "sql = \"SELECT 1\"\nequals = 1", &services, "", "`postgres.query` needs `database`");
}

/// A statement, a server and a network that do not answer: the look ends, and nothing of it is left.
#[tokio::test]
async fn faults_end_the_look_and_leave_nothing() {
    let database = database("faults").await;
    let services = services(env());
    let failure =
        look_at(&services, &database.url(), "SELECT pg_sleep(60)", "rows = 1\nstatement_timeout = \"300ms\"").await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(failure.causes.contains(&"SQLSTATE 57014".to_owned()), "{failure:?}");

    let proxy = Proxy::to(database.cluster.port).await;
    let url = format!("postgres://postgres@{}/{}", proxy.address, database.name);
    let text = format!("database = \"{url}\"\nsql = \"SELECT pg_sleep(60)\"\nrows = 1\nstatement_timeout = \"1m\"");
    let sleepy = check("postgres.query", &text, &services);
    // A session that is only being opened is active for a moment, too.
    let busy =
        "SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND application_name = 'gonogo' AND wait_event = 'PgSleep'";
    for way in [Way::Cut, Way::Deaf, Way::Swallow] {
        proxy.set(Way::Pass);
        let limited = attempt_of(Duration::from_secs(6), BTreeMap::new());
        let begun = std::time::Instant::now();
        let (failure, ()) = tokio::join!(sleepy.check(&limited.cx), async {
            while database.rows(busy, &[&database.name]).await.is_empty() {
                assert!(begun.elapsed() < Duration::from_secs(30), "{way:?}: the statement never ran");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            proxy.set(way);
        });
        let failure = failure.unwrap_err();
        assert_eq!(failure.class, Class::NotYet, "{way:?}: {failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(12), "{way:?}: {:?}", begun.elapsed());
        database.cluster.nothing_left(&database.name).await;
    }
    drop(proxy);

    let mut cluster = Cluster::start(&[]);
    let url = cluster.url("postgres");
    look_at(&services, &url, "SELECT 1", "equals = 1").await.unwrap();
    cluster.stop();
    let failure = look_at(&services, &url, "SELECT 1", "equals = 1").await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(failure.message.contains("no data"), "{failure:?}");
    cluster.start_again();
    look_at(&services, &url, "SELECT 1", "equals = 1").await.unwrap();
    cluster.freeze();
    let begun = std::time::Instant::now();
    let failure = look_at(&services, &url, "SELECT 1", "equals = 1").await.unwrap_err();
    assert_eq!(failure.class, Class::NotYet, "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    cluster.thaw();
    cluster.nothing_left("").await;
}

//! The fence around databases, and what a connection string leaves out: `PG*`, the service file, `.pgpass`.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, sync::Arc};

use gonogo::{
    base::{Class, Redactor},
    plan::TextOrSecret,
    runbook::{DatabaseEnv, Env, EnvKind, HerokuEnv, SecretRef, SecretSource, parse},
    services::{Services, postgres::Postgres},
};

use super::{
    contract::{env, services, services_with},
    postgres_session::{limits, text},
};
use crate::postgres::{Database, database, source};

/// Services whose secret `old_db` is a file that holds a URL.
fn with_secret(env: Env, url: &str) -> (Arc<Services>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("url");
    std::fs::write(&path, url).unwrap();
    let source = SecretSource::File(path.display().to_string());
    let secret = SecretRef { name: "old_db".into(), span: 0..0, source };
    (services_with(env, &[secret], Arc::new(Redactor::default())), dir)
}

fn fenced(kind: EnvKind, wanted: DatabaseEnv) -> Env {
    Env { kind, databases: BTreeMap::from([("old_db".to_owned(), wanted)]), ..env() }
}

async fn asked(env: Env, database: &Database) -> Result<String, gonogo::base::Failure> {
    let (services, _dir) = with_secret(env, &database.url());
    let secret = TextOrSecret::Secret("old_db".into());
    services.postgres.fence(&secret).await.map(|identity| identity.line)
}

#[tokio::test]
async fn only_the_environments_database_is_let_through() {
    let database = database("fence").await;
    let name = Some(database.name.clone());
    let system = {
        let rows = database.rows("SELECT system_identifier::text FROM pg_control_system()", &[]).await;
        rows[0].get::<_, String>(0)
    };
    let host = Some("127.0.0.*".to_owned());
    let good = DatabaseEnv { host: host.clone(), name: name.clone(), system: Some(system.clone()) };
    let line = asked(fenced(EnvKind::Live, good.clone()), &database).await.unwrap();
    assert!(line.contains(&database.name) && line.contains(&system) && line.contains("127.0.0.1:"), "{line}");
    assert!(!line.contains("pooler"), "{line}");

    for wrong in [
        DatabaseEnv { host: Some("*.rds.amazonaws.com".into()), ..good.clone() },
        DatabaseEnv { name: Some("acme_prod".into()), ..good.clone() },
        DatabaseEnv { system: Some("7312345678901234567".into()), ..good.clone() },
    ] {
        let failure = asked(fenced(EnvKind::Rehearsal, wrong.clone()), &database).await.unwrap_err();
        assert_eq!(failure.class, Class::Refused, "{failure:?}");
        // Both are shown.
        let wanted = [wrong.host, wrong.name, wrong.system].into_iter().flatten();
        assert!(wanted.into_iter().all(|text| failure.message.contains(&text)), "{failure:?}");
        assert!(failure.message.contains(&database.name), "{failure:?}");
    }
    database.cluster.nothing_left(&database.name).await;
}

#[tokio::test]
async fn a_live_environment_has_to_say_which_database_it_is() {
    let database = database("live").await;
    let failure = asked(Env { kind: EnvKind::Live, ..env() }, &database).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    assert!(failure.message.contains("`old_db`") && failure.message.contains(&database.name), "{failure:?}");
    assert!(failure.hint.as_ref().unwrap().contains("databases = { old_db = "), "{failure:?}");
    asked(env(), &database).await.expect("a rehearsal need not");
    let literal = services(Env { kind: EnvKind::Live, ..env() });
    let failure = literal.postgres.fence(&text(database.url())).await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
    // What comes from an app that has its own fence needs none.
    let heroku = Some(HerokuEnv { app: "acme".into(), endpoint: Some("http://127.0.0.1:1".into()), token: None });
    let secret = SecretSource::HerokuConfig("DATABASE_URL".into());
    let secret = SecretRef { name: "old_db".into(), span: 0..0, source: secret };
    let env = Env { kind: EnvKind::Live, heroku, ..env() };
    let services = services_with(env, &[secret], Arc::new(Redactor::default()));
    let failure = services.postgres.fence(&TextOrSecret::Secret("old_db".into())).await.unwrap_err();
    assert!(!failure.message.contains("must lead to"), "{failure:?}");
}

#[tokio::test]
async fn a_sandbox_stays_on_this_machine() {
    let sandbox = services(Env { kind: EnvKind::Sandbox, ..env() });
    for outside in ["postgres://me@192.0.2.1/x", "host=db hostaddr=192.0.2.1 user=me", "postgres://me@[2001:db8::1]/x"]
    {
        let failure = sandbox.postgres.connect(&text(outside), &limits(10)).await.map(drop).unwrap_err();
        assert_eq!(failure.class, Class::Refused, "{outside}: {failure:?}");
    }
    let cluster = source();
    for inside in [
        cluster.url("postgres"),
        format!("postgres://postgres@localhost:{}/postgres", cluster.port),
        format!("host={} port={} user=postgres", cluster.folder.display(), cluster.port),
    ] {
        sandbox.postgres.connect(&text(&inside), &limits(10)).await.unwrap_or_else(|e| panic!("{inside}: {e:?}"));
    }
}

/// What the string leaves out is said by variables, by the service file and by `.pgpass`, in libpq's order.
#[tokio::test]
async fn the_surroundings_fill_in_what_is_left_out() {
    let database = database("around").await;
    let role = database.role("pat", "").await;
    let home = tempfile::tempdir().unwrap();
    let port = database.cluster.port.to_string();
    let services = services(env());
    let given = |more: &[(&str, &str)]| {
        let mut variables = BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]);
        variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Postgres::new(Arc::new(env()), Arc::downgrade(&services)).with_variables(variables)
    };
    let who = async |postgres: &Postgres, string: &str| {
        let session = postgres.connect(&text(string), &limits(20)).await?;
        let server = session.server().clone();
        Ok::<_, gonogo::base::Failure>((server.user, server.database))
    };
    let as_role = (role.name.clone(), database.name.clone());

    let all = [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", port.as_str()),
        ("PGUSER", role.name.as_str()),
        ("PGPASSWORD", role.password.as_str()),
        ("PGDATABASE", database.name.as_str()),
    ];
    assert_eq!(who(&given(&all), "").await.unwrap(), as_role);
    // The string is stronger.
    let (user, _) = who(&given(&all), "user=postgres").await.unwrap();
    assert_eq!(user, "postgres");

    let pass = home.path().join(".pgpass");
    std::fs::write(&pass, format!("127.0.0.1:{port}:*:{}:{}\n", role.name, role.password)).unwrap();
    std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o644)).unwrap();
    let url = format!("postgres://{}@127.0.0.1:{port}/{}", role.name, database.name);
    let failure = who(&given(&[]), &url).await.unwrap_err();
    assert_eq!(failure.class, Class::Denied, "{failure:?}");
    assert!(failure.causes.iter().any(|cause| cause.contains("chmod 600")), "{failure:?}");
    std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(who(&given(&[]), &url).await.unwrap(), as_role);
    let elsewhere = home.path().join("words");
    std::fs::rename(&pass, &elsewhere).unwrap();
    assert_eq!(who(&given(&[("PGPASSFILE", &elsewhere.display().to_string())]), &url).await.unwrap(), as_role);

    let service = format!(
        "[acme]\nhost=127.0.0.1\nport={port}\nuser={}\npassword={}\ndbname={}\n",
        role.name, role.password, database.name
    );
    std::fs::write(home.path().join(".pg_service.conf"), &service).unwrap();
    assert_eq!(who(&given(&[("PGPORT", "1")]), "service=acme").await.unwrap(), as_role);
    assert_eq!(who(&given(&[("PGSERVICE", "acme")]), "").await.unwrap(), as_role);
    std::fs::rename(home.path().join(".pg_service.conf"), home.path().join("pg_service.conf")).unwrap();
    let folder = home.path().display().to_string();
    assert_eq!(who(&given(&[("PGSYSCONFDIR", &folder)]), "service=acme").await.unwrap(), as_role);
    let failure = who(&given(&[]), "service=nobody_has_this_one").await.unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");
}

/// Hosts are tried in turn; what the session has to be is looked at.
#[tokio::test]
async fn hosts_are_tried_in_turn() {
    let database = database("hosts").await;
    let services = services(env());
    let port = database.cluster.port;
    let url = |attrs: &str| format!("postgres://postgres@127.0.0.1:1,127.0.0.1:{port}/{}?{attrs}", database.name);
    for attrs in
        ["", "target_session_attrs=primary", "target_session_attrs=read-write", "target_session_attrs=prefer-standby"]
    {
        let session = services
            .postgres
            .connect(&text(url(attrs)), &limits(20))
            .await
            .unwrap_or_else(|e| panic!("{attrs}: {e:?}"));
        assert_eq!(session.server().place, format!("127.0.0.1:{port}"));
    }
    for attrs in ["target_session_attrs=standby", "target_session_attrs=read-only"] {
        let failure = services.postgres.connect(&text(url(attrs)), &limits(20)).await.map(drop).unwrap_err();
        assert_eq!(failure.class, Class::FailedNothingDone, "{failure:?}");
    }
}

/// The key of the format, its mistakes at their places.
#[test]
fn databases_are_bound_by_the_names_of_secrets() {
    let book = |databases: &str| {
        let text = format!(
            "format = 1\n[runbook]\nid = \"x\"\ntitle = \"x\"\nlead = \"mira\"\n[people]\nmira = {{ name = \"M\" }}\n\
             [env.live]\nkind = \"rehearsal\"\nconfirm = \"live-x\"\ndatabases = {{ {databases} }}\n\
             [secrets]\nold_db = {{ env = \"OLD\" }}\n\
             [[step]]\nid = \"a\"\ntitle = \"a\"\nowner = \"mira\"\nplanned = \"1m\"\naction = {{ kind = \"manual\", instructions = \"x\" }}\n"
        );
        parse(text.as_bytes(), "x")
    };
    let read = book("old_db = { host = \"h*\", name = \"n\", system = \"7\" }").runbook.unwrap();
    let wanted = DatabaseEnv { host: Some("h*".into()), name: Some("n".into()), system: Some("7".into()) };
    assert_eq!(read.envs[0].databases, BTreeMap::from([("old_db".to_owned(), wanted)]));
    for (databases, message) in [
        ("old_bd = { name = \"n\" }", "secret `old_bd` is not in [secrets]"),
        ("old_db = {}", "may be any"),
        ("old_db = { nmae = \"n\" }", "does not know the key `nmae`"),
        ("old_db = { name = 7 }", "`name`"),
        ("old_db = { system = \"seven\" }", "`system` must be a system identifier"),
        ("old_db = { host = \"postgres://u:hunter2@h/x\" }", "`host` must be the name of a host"),
        ("old_db = \"h\"", "`old_db` must be a table"),
    ] {
        let shown = book(databases).diagnostics.render(false, None);
        assert!(shown.contains(message), "{databases}: {shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

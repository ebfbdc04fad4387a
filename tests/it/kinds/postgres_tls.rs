//! `sslmode` against a server with a certificate, one that lets nobody in without TLS, and one that has none.

use std::{collections::BTreeMap, sync::Arc};

use gonogo::{
    base::{Class, Failure},
    runbook::{Env, HttpEnv},
    services::postgres::Postgres,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::{
    contract::{env, services},
    fake_tls::{pem, pem_key},
    postgres_session::{limits, text},
};
use crate::postgres::{Cluster, source};

/// An authority, a server's certificate for `localhost` and a client's for the role `cert_user`.
struct Papers {
    root: String,
    server: (String, String),
    client: (String, String),
    other_root: String,
    /// Of the authority's name, with another key.
    twin: String,
}

fn papers() -> Papers {
    let authority = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = pem(params.self_signed(&key).unwrap().der());
        (pem, Issuer::new(params, key))
    };
    let (root, issuer) = authority("Test authority");
    let leaf = |name: &str, names: Vec<String>| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (pem(params.signed_by(&key, &issuer).unwrap().der()), pem_key(&key))
    };
    let server = leaf("localhost", vec!["localhost".into()]);
    let client = leaf("cert_user", Vec::new());
    Papers { server, client, other_root: authority("Another authority").0, twin: authority("Test authority").0, root }
}

#[tokio::test]
async fn tls_is_libpqs() {
    let papers = papers();
    // Plain only for the superuser's own tests; everybody else needs TLS, one role a certificate too.
    let access = "local all all trust\nhostssl all cert_user 127.0.0.1/32 cert\nhostssl all all 127.0.0.1/32 scram-sha-256\n\
                  hostssl all all ::1/128 scram-sha-256\n";
    let cluster = Cluster::start_with(
        &["ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key", "ssl_ca_file=root.crt"],
        Some(access),
        &[("server.crt", &papers.server.0), ("server.key", &papers.server.1), ("root.crt", &papers.root)],
    );
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let (root, other) = (file("root.crt", &papers.root), file("other.crt", &papers.other_root));
    let twin = file("twin.crt", &papers.twin);
    let own = file("server.crt", &papers.server.0);
    let (certificate, key) = (file("client.crt", &papers.client.0), file("client.key", &papers.client.1));
    let home = dir.path().join("home");
    std::fs::create_dir_all(home.join(".postgresql")).unwrap();

    let services = services(env());
    let at_home = |env: Env| {
        let home = BTreeMap::from([("HOME".to_owned(), home.display().to_string())]);
        Postgres::new(Arc::new(env), Arc::downgrade(&services)).with_variables(home)
    };
    let socket = format!("host={} port={} user=postgres", cluster.folder.display(), cluster.port);
    let admin = services.postgres.connect(&text(&socket), &limits(20)).await.unwrap();
    admin.batch("CREATE ROLE u LOGIN PASSWORD 'hunter2x'; CREATE ROLE cert_user LOGIN").await.unwrap();

    let port = cluster.port;
    let go = async |postgres: &Postgres, host: &str, more: &str| -> Result<bool, Failure> {
        let string = format!("postgres://u:hunter2x@{host}:{port}/postgres?{more}");
        let session = postgres.connect(&text(string), &limits(20)).await?;
        let row = session.row("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await?;
        Ok(row.get(0))
    };
    let plain = at_home(env());
    // Without a word it prefers TLS; `allow` comes to it after the refusal; `require` proves nothing.
    for more in ["", "sslmode=prefer", "sslmode=allow", "sslmode=require", "sslmode=require&channel_binding=require"] {
        assert!(go(&plain, "127.0.0.1", more).await.unwrap_or_else(|e| panic!("{more}: {e:?}")), "{more}");
    }
    let failure = go(&plain, "127.0.0.1", "sslmode=disable").await.unwrap_err();
    assert_eq!(failure.class, Class::Denied, "{failure:?}");
    assert!(failure.causes.contains(&"SQLSTATE 28000".to_owned()), "{failure:?}");

    // An authority's word, then the name as well.
    let with = |mode: &str, roots: &str| format!("sslmode={mode}&sslrootcert={roots}");
    assert!(go(&plain, "127.0.0.1", &with("verify-ca", &root)).await.unwrap());
    assert!(go(&plain, "localhost", &with("verify-full", &root)).await.unwrap());
    assert!(go(&plain, "localhost", &with("verify-full", &own)).await.unwrap(), "its own certificate among the roots");
    let failure = go(&plain, "127.0.0.1", &with("verify-full", &root)).await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert!(failure.message.contains("another name"), "{failure:?}");
    for mode in ["require", "verify-ca", "verify-full"] {
        // A file of roots makes `require` verify, as in libpq.
        for roots in [&other, &twin] {
            let failure = go(&plain, "localhost", &with(mode, roots)).await.unwrap_err();
            assert_eq!(failure.class, Class::Refused, "{mode}: {failure:?}");
            assert!(failure.message.contains("no authority that is trusted"), "{mode}: {failure:?}");
        }
    }
    for (mode, roots) in [("verify-full", ""), ("verify-ca", "/nowhere/root.crt"), ("require", "/nowhere/root.crt")] {
        let failure = go(&plain, "localhost", &with(mode, roots)).await.unwrap_err();
        assert_eq!(failure.class, Class::Misconfigured, "{mode} {roots}: {failure:?}");
    }
    let failure = go(&plain, "localhost", "sslrootcert=system").await.unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");

    // The file at home, and the environment's own authority.
    std::fs::write(home.join(".postgresql/root.crt"), &papers.root).unwrap();
    assert!(go(&plain, "localhost", "sslmode=verify-full").await.unwrap());
    std::fs::write(home.join(".postgresql/root.crt"), &papers.other_root).unwrap();
    assert!(go(&plain, "localhost", "sslmode=require").await.is_err());
    std::fs::remove_file(home.join(".postgresql/root.crt")).unwrap();
    let own_authority = Env { http: HttpEnv { ca: Some(papers.root.clone()), ..HttpEnv::default() }, ..env() };
    assert!(go(&at_home(own_authority), "localhost", "sslmode=verify-full").await.unwrap());

    // A client's certificate.
    let string =
        |more: &str| format!("host=localhost port={port} user=cert_user dbname=postgres sslmode=require {more}");
    let shown = string(&format!("sslcert={certificate} sslkey={key}"));
    plain.connect(&text(&shown), &limits(20)).await.unwrap();
    let failure = plain.connect(&text(string("")), &limits(20)).await.map(drop).unwrap_err();
    assert_eq!(failure.class, Class::Denied, "{failure:?}");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let failure = plain.connect(&text(&shown), &limits(20)).await.map(drop).unwrap_err();
    assert_eq!(failure.class, Class::Misconfigured, "{failure:?}");

    // A call is cancelled through TLS too.
    let short = gonogo::services::postgres::Limits {
        deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(2),
        ..limits(0)
    };
    let url = text(format!("postgres://u:hunter2x@127.0.0.1:{port}/postgres?sslmode=require"));
    let session = plain.connect(&url, &short).await.unwrap();
    assert_eq!(session.batch("SELECT pg_sleep(60)").await.unwrap_err().class, Class::Unknown);
    drop(session);
    drop(admin);
    let begun = std::time::Instant::now();
    let left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'u'";
    loop {
        let admin = services.postgres.connect(&text(&socket), &limits(20)).await.unwrap();
        if admin.row(left, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "a session was left behind");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_only_good_enough_where_it_may_be() {
    let services = services(env());
    let url = |mode: &str| format!("{}?sslmode={mode}", source().url("postgres"));
    for mode in ["disable", "allow", "prefer"] {
        services.postgres.connect(&text(url(mode)), &limits(20)).await.unwrap_or_else(|e| panic!("{mode}: {e:?}"));
    }
    let failure = services.postgres.connect(&text(url("require")), &limits(20)).await.map(drop).unwrap_err();
    assert_eq!(failure.class, Class::Refused, "{failure:?}");
    assert!(failure.message.contains("has no TLS"), "{failure:?}");
}

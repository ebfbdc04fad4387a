//! A real `PgBouncer` in front of a real server, in each of its modes.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use gonogo::{base::Class, services::postgres::PoolMode};

use super::{
    contract::{env, services},
    postgres_session::{limits, text},
};
use crate::{
    knot::free_port,
    postgres::{Database, client, database},
};

/// A running `PgBouncer`; it ends with its value, and with this process.
pub struct Bouncer {
    pub port: u16,
    wrapper: Child,
    _folder: tempfile::TempDir,
}

const WRAPPER: &str = r#""$@" >log 2>&1 & pid=$!; cat >/dev/null; kill -TERM "$pid"; wait "$pid""#;

impl Bouncer {
    /// One in front of a database, as the superuser; `size`: sessions of the server that it has.
    pub async fn start(database: &Database, mode: &str, size: usize) -> Self {
        use std::os::unix::process::CommandExt as _;
        let folder = tempfile::tempdir().unwrap();
        let port = free_port(&[IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        let conf = format!(
            "[databases]\n{0} = host=127.0.0.1 port={1} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             auth_type = any\npool_mode = {mode}\ndefault_pool_size = {size}\nunix_socket_dir =\nlogfile =\nadmin_users = postgres\n",
            database.name, database.cluster.port
        );
        std::fs::write(folder.path().join("b.ini"), conf).unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
        let program = std::env::split_paths(&path).map(|dir| dir.join("pgbouncer")).find(|path| path.is_file());
        let program = program.expect("pgbouncer is missing: run tests/run, which installs it");
        let mut command = Command::new("sh");
        // It refuses to run as root, as the server does.
        if let Some((user, group)) = crate::postgres::runs_as() {
            command.uid(user).gid(group);
        }
        let wrapper = command
            .args(["-c", WRAPPER, "pgbouncer"])
            .arg(program)
            .arg("b.ini")
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(30), "pgbouncer did not start: {log}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        Self { port, wrapper, _folder: folder }
    }

    pub fn url(&self, database: &Database) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{}", self.port, database.name)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.wrapper.stdin.take());
        let _ = self.wrapper.wait();
    }
}

#[tokio::test]
async fn a_pooler_is_recognised_with_its_mode() {
    let database = database("pooled").await;
    let services = services(env());
    database.sql("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2)").await;
    for (mode, size, wanted) in [
        ("session", 5, PoolMode::Session),
        ("transaction", 5, PoolMode::Transaction),
        ("transaction", 1, PoolMode::Transaction),
        ("statement", 5, PoolMode::Statement),
    ] {
        let bouncer = Bouncer::start(&database, mode, size).await;
        let url = text(bouncer.url(&database));
        let session = services.postgres.connect_to_read(&url, &limits(30)).await.unwrap();
        let pooler = session.server().pooler.clone().unwrap_or_else(|| panic!("{mode}: no pooler was seen"));
        assert_eq!(pooler.mode, wanted, "{mode} {size}: {pooler:?}");
        assert!(pooler.why.contains("another process"), "{pooler:?}");
        // What it can do is done, parameters included.
        for _ in 0..3 {
            let row = session.row("SELECT count(*), $2::text FROM t WHERE id >= $1", &[&1_i32, &"x"]).await.unwrap();
            assert_eq!((row.get::<_, i64>(0), row.get::<_, String>(1)), (2, "x".into()));
        }
        let line = services.postgres.fence(&url).await.unwrap().line;
        assert!(line.contains("through a pooler"), "{line}");
        drop(session);
        drop(bouncer);
        database.cluster.nothing_left(&database.name).await;
    }
}

/// The sessions that a pooler hands on are others' in the next moment: none of our settings stays in them.
#[tokio::test]
async fn no_setting_of_ours_reaches_others() {
    let database = database("leak").await;
    let services = services(env());
    for mode in ["session", "transaction", "statement"] {
        // With one session of the server everybody gets the one that we had.
        let bouncer = Bouncer::start(&database, mode, 1).await;
        let url = text(bouncer.url(&database));
        let settings = "SELECT current_setting('statement_timeout') || ' ' || current_setting('default_transaction_read_only') \
             || ' ' || current_setting('idle_in_transaction_session_timeout')";
        let read = async || {
            let other = client(&bouncer.url(&database)).await;
            let rows = other.simple_query(settings).await.unwrap();
            rows.iter()
                .find_map(|row| match row {
                    tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                    _ => None,
                })
                .unwrap()
        };
        assert_eq!(read().await, "0 off 0");
        for reads in [true, false] {
            let limits = limits(30);
            let session = if reads {
                services.postgres.connect_to_read(&url, &limits).await.unwrap()
            } else {
                services.postgres.connect(&url, &limits).await.unwrap()
            };
            session.rows("SELECT 1", &[]).await.unwrap();
            if mode != "statement" {
                session.begin_to_read(Duration::from_secs(5)).await.unwrap();
                let failure = session.execute("CREATE TABLE nobody (id int)", &[]).await.unwrap_err();
                assert_eq!(failure.class, Class::Refused, "{failure:?}");
                session.batch("ROLLBACK").await.unwrap();
            }
            session.close().await;
            assert_eq!(read().await, "0 off 0", "{mode} {reads}");
        }
    }
}

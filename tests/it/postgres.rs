//! Real `PostgreSQL` clusters on loopback: two that all tests of a process share, each with databases of its own in
//! them, and private ones for tests that stop them. They end with what started them, however it ends.
//!
//! ```text
//! source()  target()        started by the first who asks; logical replication both ways
//! database("x")  pair("x")  a database (one on each side), dropped with its value
//! Cluster::start(…)         one's own: stop, start, freeze (SIGSTOP), thaw
//! ```
//!
//! The superuser is `postgres` and needs no password; every other role does (SCRAM). Debian package `postgresql`,
//! installed by `tests/run`; where it is missing, the test fails.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use tokio_postgres::{Client, NoTls, Row, types::ToSql};

use crate::knot::{anew, free_port};

/// What every cluster of ours is started with: as fast as can be, room for many tests, replication in both directions.
const SETTINGS: &[&str] = &[
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=64MB",
    "max_connections=200",
    "wal_level=logical",
    "max_wal_senders=60",
    "max_replication_slots=60",
    "max_worker_processes=60",
    "max_logical_replication_workers=40",
    "max_sync_workers_per_subscription=2",
    "max_prepared_transactions=20",
    "track_commit_timestamp=on",
    "wal_retrieve_retry_interval=200ms",
    "jit=off",
    "timezone=UTC",
    "log_min_messages=warning",
];

/// Who is let in: the superuser freely, everybody else by password.
const ACCESS: &str = "\
local all postgres trust
host  all postgres 127.0.0.1/32 trust
host  all postgres ::1/128 trust
local all all scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
host  all all ::1/128 scram-sha-256
";

/// Its standard input is a pipe that only this process holds: when that ends, however it ends, `cat` sees the end and the
/// server is ended, thawed first in case a test had stopped it. A cluster that is not started again is removed.
const WRAPPER: &str = r#"folder="$1"; shift
"$@" >>"$folder/log" 2>&1 & pid=$!; echo "$pid" >"$folder/pid"
cat >/dev/null
kill -QUIT "$pid" 2>/dev/null; kill -CONT "$pid" 2>/dev/null
wait "$pid"
[ -e "$folder/keep" ] || rm -rf "$folder""#;

/// How long a cluster may take to start on a loaded machine.
const START: Duration = Duration::from_secs(90);

/// The cluster that one moves away from.
pub fn source() -> &'static Cluster {
    static SOURCE: OnceLock<Cluster> = OnceLock::new();
    SOURCE.get_or_init(|| Cluster::start(&[]))
}

/// The cluster that one moves to.
pub fn target() -> &'static Cluster {
    static TARGET: OnceLock<Cluster> = OnceLock::new();
    TARGET.get_or_init(|| Cluster::start(&[]))
}

/// A database of one's own at the source. `name` is part of its name.
pub async fn database(name: &str) -> Database {
    source().database(name).await
}

/// Two databases of the same name, at the source and at the target.
pub async fn pair(name: &str) -> (Database, Database) {
    let name = unique(name);
    (source().create(&name).await, target().create(&name).await)
}

/// Two databases of clusters that nobody else uses, one test at a time. `CREATE SUBSCRIPTION` keeps its transaction open
/// until the other side has made a slot, and a slot waits for every transaction of its cluster: two of them in opposite
/// directions wait for each other.
pub async fn pair_alone(name: &str) -> (tokio::sync::MutexGuard<'static, ()>, Database, Database) {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    static CLUSTERS: [OnceLock<Cluster>; 2] = [const { OnceLock::new() }; 2];
    let alone = ALONE.lock().await;
    let [source, target] = CLUSTERS.each_ref().map(|cluster| cluster.get_or_init(|| Cluster::start(&[])));
    let name = unique(name);
    (alone, source.create(&name).await, target.create(&name).await)
}

/// A name that nobody else has.
pub fn unique(name: &str) -> String {
    format!("{name}_{:08x}", fastrand::u32(..))
}

/// A program of `PostgreSQL`'s: in the folders of packages, the newest version first, then on the path.
pub fn program(name: &str) -> PathBuf {
    let mut folders = Vec::new();
    for root in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let mut versions = std::fs::read_dir(root)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                let version = name.trim_start_matches("postgresql@").parse::<u32>().ok();
                let plain = (name == "postgresql").then_some(0);
                Some((version.or(plain)?, entry.path().join("bin")))
            })
            .collect::<Vec<_>>();
        versions.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
        folders.extend(versions.into_iter().map(|(_, folder)| folder));
    }
    folders.push("/usr/local/pgsql/bin".into());
    if let Ok(said) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&said.stdout).trim().into());
    }
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run tests/run, which installs postgresql"))
}

/// Whom the server runs as: it refuses to run as root. `None`: as we do.
pub fn runs_as() -> Option<(u32, u32)> {
    if rustix::process::geteuid().as_raw() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let id = |user: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{user}:")))?;
        let mut fields = line.split(':').skip(2).map(|field| field.parse::<u32>().ok());
        Some((fields.next()??, fields.next()??))
    };
    Some(["postgres", "nobody"].iter().find_map(|user| id(user)).expect("neither postgres nor nobody is a user here"))
}

/// A command as the server's user.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = runs_as() {
        command.uid(user).gid(group);
    }
    command
}

/// Gives a file or folder to the server's user.
fn give(path: &Path) {
    if let Some((user, group)) = runs_as() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
    }
}

/// A running server with its data.
pub struct Cluster {
    /// On 127.0.0.1.
    pub port: u16,
    /// Also that of its socket.
    pub folder: PathBuf,
    wrapper: Option<Child>,
}

impl Cluster {
    /// A new one; `settings` are further lines of `postgresql.conf`.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_with(settings, None, &[])
    }

    /// A new one with a `pg_hba.conf` and files (certificates, keys) of the test's own, mode 0600.
    pub fn start_with(settings: &[&str], access: Option<&str>, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        give(&folder);
        let data = folder.join("data");
        let made = command(&program("initdb"))
            .args(["-U", "postgres", "-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(data.join("pg_hba.conf"), access.unwrap_or(ACCESS)).unwrap();
        for (name, content) in files {
            let path = data.join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            give(&path);
        }
        let mut conf = std::fs::read_to_string(data.join("postgresql.conf")).unwrap();
        for setting in SETTINGS.iter().chain(settings) {
            let (name, value) = setting.split_once('=').unwrap();
            conf.push_str(&format!("{} = '{}'\n", name.trim(), value.trim().replace('\'', "''")));
        }
        conf.push_str(&format!("listen_addresses = 'localhost'\nunix_socket_directories = '{}'\n", folder.display()));
        std::fs::write(data.join("postgresql.conf"), conf).unwrap();
        let mut cluster = Self { port: 0, folder, wrapper: None };
        anew(|| {
            cluster.port = free_port(&[IpAddr::V4(Ipv4Addr::LOCALHOST)]);
            cluster.run().then_some(())
        });
        cluster
    }

    /// Starts the server and waits until it takes connections. False: another program was faster at its port.
    fn run(&mut self) -> bool {
        let _ = std::fs::remove_file(self.folder.join("keep"));
        let _ = std::fs::remove_file(self.folder.join("log"));
        let wrapper = command(Path::new("sh"))
            .args(["-c", WRAPPER, "postgres"])
            .arg(&self.folder)
            .arg(program("postgres"))
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-p", &self.port.to_string()])
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.wrapper = Some(wrapper);
        let begun = Instant::now();
        loop {
            // What pg_ctl waits for: the eighth line of this file.
            let state = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
            if state.lines().nth(7).is_some_and(|line| line.trim() == "ready") {
                return true;
            }
            let log = self.log();
            if log.contains("could not bind") {
                self.end(true);
                return false;
            }
            assert!(!log.contains("FATAL"), "postgres did not start: {log}");
            assert!(begun.elapsed() < START, "postgres did not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server; `keep`: its data stays for another start.
    fn end(&mut self, keep: bool) {
        if keep {
            std::fs::write(self.folder.join("keep"), "").unwrap();
        }
        if let Some(mut wrapper) = self.wrapper.take() {
            drop(wrapper.stdin.take());
            let _ = wrapper.wait();
        }
    }

    /// Ends the server at once, as `pg_ctl stop -m immediate` does.
    pub fn stop(&mut self) {
        self.end(true);
    }

    /// Ends the server in order: sessions get the reason (SQLSTATE 57P01).
    pub fn stop_in_order(&mut self) {
        self.signal("INT", &[self.pid()]);
        let begun = Instant::now();
        while self.folder.join("data/postmaster.pid").exists() {
            assert!(begun.elapsed() < START, "postgres does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.end(true);
    }

    /// Starts it again after [`Cluster::stop`], at the same port.
    pub fn start_again(&mut self) {
        assert!(self.run(), "its port was taken meanwhile: {}", self.log());
    }

    /// Stops every process of the server where it stands (SIGSTOP): connections are taken by the system, and
    /// nobody answers.
    pub fn freeze(&self) {
        let mut all = vec![self.pid()];
        all.extend(self.children());
        self.signal("STOP", &all);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        let mut all = vec![self.pid()];
        all.extend(self.children());
        self.signal("CONT", &all);
    }

    fn pid(&self) -> u32 {
        let pid = std::fs::read_to_string(self.folder.join("pid")).unwrap();
        pid.trim().parse().unwrap()
    }

    fn children(&self) -> Vec<u32> {
        let parent = self.pid();
        let said = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let pair = |line: &str| {
            let mut numbers = line.split_whitespace().map(|n| n.parse::<u32>().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        };
        said.lines().map(pair).filter(|(_, of)| *of == parent).map(|(pid, _)| pid).collect()
    }

    fn signal(&self, name: &str, pids: &[u32]) {
        let pids = pids.iter().map(u32::to_string);
        // One that ended meanwhile is no trouble.
        let _ = Command::new("kill").arg(format!("-{name}")).args(pids).stderr(Stdio::null()).status().unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The superuser's URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The superuser in a database; the connection ends with the client.
    pub async fn client(&self, database: &str) -> Client {
        client(&self.url(database)).await
    }

    /// A database of one's own. `name` is part of its name.
    pub async fn database(&'static self, name: &str) -> Database {
        self.create(&unique(name)).await
    }

    async fn create(&'static self, name: &str) -> Database {
        // Nobody is ever connected to template0, so that tests do not wait for each other.
        let client = self.client("postgres").await;
        client.batch_execute(&format!("CREATE DATABASE \"{name}\" TEMPLATE template0")).await.unwrap();
        Database { cluster: self, name: name.to_owned(), roles: std::sync::Mutex::default() }
    }

    /// Sessions of the program under test in a database (`""`: in any).
    pub async fn sessions(&self, database: &str) -> usize {
        let count =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gonogo' AND ($1 = '' OR datname = $1)";
        let client = self.client("postgres").await;
        let count: i64 = client.query_one(count, &[&database]).await.unwrap().get(0);
        usize::try_from(count).unwrap()
    }

    /// Waits until no session of the program under test is left in a database (`""`: in any).
    pub async fn nothing_left(&self, database: &str) {
        let begun = Instant::now();
        while self.sessions(database).await > 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "a session was left behind");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.wrapper.is_some() {
            self.end(false);
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A connection by URL, without TLS.
pub async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap_or_else(|e| panic!("{url}: {e:?}"));
    tokio::spawn(connection);
    client
}

/// A login role of a test.
pub struct Role {
    pub name: String,
    pub password: String,
}

/// A database of a test; it is dropped with its roles, subscriptions and slots.
pub struct Database {
    pub cluster: &'static Cluster,
    pub name: String,
    roles: std::sync::Mutex<Vec<String>>,
}

impl Database {
    /// The superuser's URL.
    pub fn url(&self) -> String {
        self.cluster.url(&self.name)
    }

    /// A role's URL.
    pub fn url_of(&self, role: &Role) -> String {
        format!("postgres://{}:{}@127.0.0.1:{}/{}", role.name, role.password, self.cluster.port, self.name)
    }

    /// The superuser, connected.
    pub async fn client(&self) -> Client {
        client(&self.url()).await
    }

    /// Runs statements as the superuser.
    pub async fn sql(&self, sql: &str) {
        self.client().await.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// Reads as the superuser.
    pub async fn rows(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.client().await.query(sql, params).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"))
    }

    /// A new login role with a password; `options` as in `CREATE ROLE` (`CREATEDB`, …).
    pub async fn role(&self, name: &str, options: &str) -> Role {
        let role = Role { name: unique(name), password: format!("pw-{:016x}", fastrand::u64(..)) };
        self.sql(&format!("CREATE ROLE {} LOGIN PASSWORD '{}' {options}", role.name, role.password)).await;
        self.roles.lock().unwrap().push(role.name.clone());
        role
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (url, maintenance) = (self.url(), self.cluster.url("postgres"));
        let (name, roles) = (self.name.clone(), std::mem::take(&mut *self.roles.lock().unwrap()));
        // Apart from the test's runtime, which may be the one that drops.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _ = runtime.block_on(async {
                tokio::time::timeout(Duration::from_secs(20), clear(&url, &maintenance, &name, &roles)).await
            });
        });
        let _ = dropping.join();
    }
}

/// Best effort: the cluster itself goes with the process.
async fn clear(url: &str, maintenance: &str, name: &str, roles: &[String]) {
    const SUBSCRIPTIONS: &str = "SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let off = "options=-cdefault_transaction_read_only%3Doff";
    if let Ok((client, connection)) = tokio_postgres::connect(&format!("{url}?{off}"), NoTls).await {
        tokio::spawn(connection);
        for row in client.query(SUBSCRIPTIONS, &[]).await.unwrap_or_default() {
            let name: String = row.get(0);
            let name = format!("\"{}\"", name.replace('"', "\"\""));
            let _ = client.batch_execute(&format!("ALTER SUBSCRIPTION {name} DISABLE")).await;
            let _ = client.batch_execute(&format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")).await;
            let _ = client.batch_execute(&format!("DROP SUBSCRIPTION {name}")).await;
        }
    }
    let Ok((client, connection)) = tokio_postgres::connect(&format!("{maintenance}?{off}"), NoTls).await else {
        return;
    };
    tokio::spawn(connection);
    for _ in 0..20 {
        let _ = client
            .query(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active",
                &[&name],
            )
            .await;
        let slots =
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1 AND NOT active";
        let _ = client.query(slots, &[&name]).await;
        if client.batch_execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for role in roles {
        let _ = client.batch_execute(&format!("DROP OWNED BY {role}")).await;
        let _ = client.batch_execute(&format!("DROP ROLE {role}")).await;
    }
}

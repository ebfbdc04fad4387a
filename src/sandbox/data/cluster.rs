//! One PostgreSQL cluster: made by `initdb`, small and quick instead of safe, on a loopback port, with passwords.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    process::Command,
    time::{Instant, sleep, timeout},
};
use tokio_postgres::{Client, NoTls};

use super::{guard::Server, place::Place};

/// Owns the clusters; nobody but the world itself is given its password.
pub(super) const ADMIN: &str = "postgres";
/// The shop's database.
pub(super) const DATABASE: &str = "shop";
/// A cluster is made within this, on a machine that does a lot beside.
const MADE: Duration = Duration::from_secs(90);
/// A connection that is not there by then never is.
const CONNECTED: Duration = Duration::from_secs(10);
/// Between two looks at a server that is coming up.
const LOOK: Duration = Duration::from_millis(50);

/// Nothing here has to survive the machine, and it shares the machine with what it is to rehearse. Logical on both sides:
/// the way back streams, too.
const SETTINGS: &str = "
# The sandbox's.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
wal_level = logical
max_wal_senders = 16
max_replication_slots = 16
max_logical_replication_workers = 12
max_sync_workers_per_subscription = 8
max_worker_processes = 20
max_connections = 60
shared_buffers = 16MB
fsync = off
synchronous_commit = off
full_page_writes = off
max_wal_size = 64MB
min_wal_size = 4MB
jit = off
wal_retrieve_retry_interval = 200ms
wal_receiver_status_interval = 1s
log_min_messages = warning
timezone = 'UTC'
";

/// A cluster's files.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    /// `old` or `new`.
    pub name: &'static str,
    dir: PathBuf,
    log: PathBuf,
}

impl Cluster {
    pub fn at(place: &Place, name: &'static str) -> Self {
        Self { name, dir: place.dir.join(name), log: place.dir.join(format!("{name}.log")) }
    }

    /// Makes it. `programs`: the folder of `initdb`.
    pub async fn make(self, programs: PathBuf, place: Place, password: String) -> Result<(), String> {
        let words = place.dir.join(format!("{}.password", self.name));
        let prepared = place.folder(self.name).and_then(|_| place.write(&words, &format!("{password}\n")));
        prepared.map_err(|e| format!("{}: {e}", self.dir.display()))?;
        let mut initdb = Command::new(programs.join("initdb"));
        if let Some((user, group)) = place.owner {
            initdb.uid(user).gid(group);
        }
        initdb
            .args(["--no-sync", "--username", ADMIN, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"])
            .args(["--wal-segsize", "1", "--pwfile"])
            .args([&words, Path::new("--pgdata"), &self.dir])
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let said = timeout(MADE, initdb.output()).await.map_err(|_| "initdb took longer than 90 s".to_owned())?;
        let said = said.map_err(|e| format!("initdb: {e}"))?;
        if !said.status.success() {
            let text = String::from_utf8_lossy(&said.stderr).into_owned();
            return Err(format!("initdb: {}: {}", said.status, last_line(&text)));
        }
        let _read_once = std::fs::remove_file(&words);
        let config = self.dir.join("postgresql.conf");
        let more = format!("{SETTINGS}cluster_name = 'sandbox-{}'\n", self.name);
        let written =
            std::fs::File::options().append(true).open(&config).and_then(|mut file| file.write_all(more.as_bytes()));
        written.map_err(|e| format!("{}: {e}", config.display()))
    }

    /// The server to start, on a port that is free now.
    pub async fn server(&self, programs: &Path, place: &Place) -> Result<(Server, SocketAddr), String> {
        let address = free().await?;
        let args = vec!["-D".to_owned(), self.dir.display().to_string(), "-p".into(), address.port().to_string()];
        let server = Server {
            name: self.name.into(),
            program: programs.join("postgres"),
            args,
            owner: place.owner,
            log: self.log.clone(),
        };
        Ok((server, address))
    }

    /// Waits for one that an earlier process left behind and that is on its way out.
    pub async fn wait_for_the_last(&self) -> Result<(), String> {
        let until = Instant::now() + MADE;
        while let Some(pid) = running(&self.dir.join("postmaster.pid"), &self.dir) {
            if Instant::now() > until {
                return Err(format!("another process ({pid}) still has its files in {}", self.dir.display()));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }
}

/// A port of loopback that is free now.
pub(super) async fn free() -> Result<SocketAddr, String> {
    let bound = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr());
    bound.map_err(|e| format!("no port on loopback: {e}"))
}

/// The process that a pid file names, where it lives and has to do with the folder.
pub(super) fn running(file: &Path, dir: &Path) -> Option<i32> {
    let pid: i32 = std::fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()?;
    rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid)?).ok()?;
    // A number is given again after a restart of the machine.
    let ours = std::fs::read(format!("/proc/{pid}/cmdline")).map_or(!Path::new("/proc/self").exists(), |line| {
        String::from_utf8_lossy(&line).contains(&*dir.to_string_lossy())
    });
    ours.then_some(pid)
}

/// Connects; the connection ends when the client is dropped.
pub(super) async fn connect(
    address: SocketAddr,
    (role, password): (&str, &str),
    (database, application): (&str, &str),
) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::Config::new()
        .host(address.ip().to_string())
        .port(address.port())
        .user(role)
        .password(password)
        .dbname(database)
        .application_name(application)
        .connect_timeout(CONNECTED)
        .connect(NoTls)
        .await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Connects as soon as the server lets us.
pub(super) async fn admin(address: SocketAddr, password: &str, database: &str) -> Result<Client, String> {
    let until = Instant::now() + MADE;
    loop {
        match connect(address, (ADMIN, password), (database, "sandbox")).await {
            Ok(client) => return Ok(client),
            Err(e) if Instant::now() > until => return Err(words(&e)),
            Err(_) => sleep(LOOK).await,
        }
    }
}

/// What the server says, and not what the library calls it.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned())
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    crate::base::clean_line(line.trim(), 200)
}

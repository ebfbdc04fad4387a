//! A real pooler (PgBouncer) in front of a cluster, on loopback. It ends with what started it.
//!
//! Debian package `pgbouncer`; `tests/run` installs it. Where it is missing, the test fails.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    knot::{anew, free_port},
    postgres::{Role, program, runs_as},
};

/// Ends the program once the pipe at its standard input ends.
const WRAPPER: &str = r#""$@" & pid=$!; cat >/dev/null; kill -KILL "$pid"; wait "$pid""#;

/// A running pooler.
pub struct PgBouncer {
    pub port: u16,
    wrapper: Child,
    folder: tempfile::TempDir,
}

impl PgBouncer {
    /// One that hands out sessions of the server at `server` for a transaction each, to the roles.
    pub fn start(server: u16, roles: &[&Role]) -> Self {
        anew(|| Self::run(server, roles))
    }

    fn run(server: u16, roles: &[&Role]) -> Option<Self> {
        let port = free_port(&[IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let users = roles.iter().fold(String::new(), |mut users, role| {
            let _ = writeln!(users, "\"{}\" \"{}\"", role.name, role.password);
            users
        });
        let place = folder.path().display();
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n\
             auth_file = {place}/users\npool_mode = transaction\nserver_login_retry = 1\nignore_startup_parameters = extra_float_digits\n"
        );
        std::fs::write(folder.path().join("users"), users).unwrap();
        std::fs::write(folder.path().join("config"), config).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", WRAPPER, "pooler"]).arg(program("pgbouncer")).arg(folder.path().join("config"));
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        // It refuses to run as root.
        if let Some((user, group)) = runs_as() {
            command.uid(user).gid(group);
        }
        let wrapper = command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let pooler = Self { port, wrapper, folder };
        let begun = Instant::now();
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = std::fs::read_to_string(pooler.folder.path().join("log")).unwrap_or_default();
            if log.contains("in use") {
                return None;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "pgbouncer does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(pooler)
    }

    /// A role's URL of a database through it.
    pub fn url(&self, role: &Role, database: &str) -> String {
        format!("postgres://{}:{}@127.0.0.1:{}/{database}", role.name, role.password, self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.wrapper.stdin.take());
        let _ = self.wrapper.wait();
    }
}

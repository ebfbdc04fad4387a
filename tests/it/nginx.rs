//! A real web server (nginx), started by a test on loopback with a configuration, ports and certificates of its own. It
//! ends with what started it.
//!
//! Debian package `nginx-light`; `tests/run` installs it. Where it is missing, the test fails.

use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Nothing here takes this long.
const LONG: Duration = Duration::from_secs(60);

/// Its standard input is a pipe that only this process holds: when this ends, however it ends, `cat` sees the end of the
/// pipe and the wrapper ends the server.
const WRAPPER: &str = r#""$@" & id=$!; echo $id >id; (while kill -0 $id 2>/dev/null; do sleep 0.1; done; echo >"$GONE") & cat >/dev/null; kill -9 $id; wait $id"#;

/// A web server. `dir` is its own folder: `www` is served, `error.log` says what was wrong.
pub struct Nginx {
    wrapper: Option<Child>,
    runs: usize,
    pub dir: tempfile::TempDir,
    /// Ports, as `{0}`, `{1}`, … in the configuration.
    pub ports: Vec<u16>,
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn program() -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').chain(["/usr/sbin", "/usr/local/sbin"]);
    let found = places.map(|place| Path::new(place).join("nginx")).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("nginx is missing: run tests/run, which installs it (Debian package nginx-light)"))
}

impl Nginx {
    /// Starts with `servers` inside `http { … }`, and waits until each port is open. `{0}` to `{9}` become free ports.
    pub fn start(servers: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), servers)
    }

    /// The same in a folder that holds certificates and pages already.
    pub fn start_in(dir: tempfile::TempDir, servers: &str) -> Self {
        // Between choosing a port and opening it somebody else may have taken it.
        let mut dir = dir;
        for _ in 0..5 {
            match Self::try_in(dir, servers) {
                Ok(started) => return started,
                Err(again) => dir = again,
            }
        }
        panic!("nginx does not start: {}", std::fs::read_to_string(dir.path().join("error.log")).unwrap_or_default());
    }

    fn try_in(dir: tempfile::TempDir, servers: &str) -> Result<Self, tempfile::TempDir> {
        let mut text = servers.to_owned();
        let mut ports = Vec::new();
        for number in 0..10 {
            let place = format!("{{{number}}}");
            if text.contains(&place) {
                let port = free_port();
                ports.push(port);
                text = text.replace(&place, &port.to_string());
            }
        }
        let at = dir.path().display();
        let mut config = format!(
            "daemon off;\nmaster_process off;\npid {at}/pid;\nerror_log {at}/error.log warn;\nworker_processes 1;\n\
             events {{ worker_connections 1024; }}\nhttp {{\naccess_log {at}/access.log;\nroot {at}/www;\n\
             default_type text/plain;\nkeepalive_requests 100000;\n"
        );
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(config, "{kind}_temp_path {at}/temp-{kind};").unwrap();
        }
        std::fs::create_dir_all(dir.path().join("www")).unwrap();
        std::fs::write(dir.path().join("nginx.conf"), config + &text.replace("DIR", &at.to_string()) + "}\n").unwrap();
        let mut nginx = Self { wrapper: None, runs: 0, dir, ports };
        if nginx.run() {
            return Ok(nginx);
        }
        nginx.stop();
        let emptied = std::mem::replace(&mut nginx.dir, tempfile::tempdir().unwrap());
        Err(emptied)
    }

    /// Starts it (again) at the same ports. False: it did not come up.
    pub fn run(&mut self) -> bool {
        let dir = self.dir.path();
        let mut command = Command::new("sh");
        command.args(["-c", WRAPPER, "server"]).arg(program());
        command.arg("-p").arg(dir).arg("-c").arg(dir.join("nginx.conf")).arg("-e").arg(dir.join("error.log"));
        // What an earlier one leaves behind says nothing about this one.
        self.runs += 1;
        let gone = dir.join(format!("gone-{}", self.runs));
        command.env("GONE", &gone);
        command.current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.wrapper = Some(command.spawn().unwrap());
        let begun = Instant::now();
        self.ports.iter().all(|port| {
            let address = SocketAddr::from(([127, 0, 0, 1], *port));
            while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
                // Its last words, where it did not come up.
                if gone.exists() || begun.elapsed() > LONG {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            true
        })
    }

    pub fn stop(&mut self) {
        if let Some(mut wrapper) = self.wrapper.take() {
            drop(wrapper.stdin.take());
            let _ = wrapper.wait();
        }
    }

    /// SIGSTOP and SIGCONT: its sockets stay open, and nobody is behind them.
    pub fn signal(&self, name: &str) {
        let id = std::fs::read_to_string(self.dir.path().join("id")).unwrap();
        assert!(Command::new("kill").args([name, id.trim()]).status().unwrap().success());
    }

    pub fn address(&self, number: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[number]))
    }

    pub fn url(&self, number: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[number])
    }

    /// A page to be served.
    pub fn page(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.dir.path().join("www").join(name), text).unwrap();
    }

    /// Connections that are open to it now, as the kernel knows them.
    pub fn connections(&self) -> usize {
        let established = |text: String| {
            let lines = text.lines().skip(1).filter(|line| {
                let columns = line.split_whitespace().collect::<Vec<_>>();
                let port = columns[1].rsplit(':').next().and_then(|port| u16::from_str_radix(port, 16).ok());
                port.is_some_and(|port| self.ports.contains(&port)) && columns[3] == "01"
            });
            lines.count()
        };
        ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .map(|path| established(std::fs::read_to_string(path).unwrap_or_default()))
            .sum()
    }

    /// Waits until nothing is connected to it any more.
    pub async fn until_alone(&self) {
        let begun = Instant::now();
        while self.connections() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(10), "{} connections are left behind", self.connections());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many connections it accepted so far, by its own count (needs `stub_status` at `/status` of server 0). The one
    /// that asks is not counted.
    pub fn accepted(&self) -> usize {
        use std::io::{Read as _, Write as _};
        let mut stream = TcpStream::connect(self.address(0)).unwrap();
        stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().skip_while(|line| !line.starts_with("server accepts")).nth(1);
        line.unwrap_or_else(|| panic!("{text}")).split_whitespace().next().unwrap().parse::<usize>().unwrap() - 1
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.stop();
    }
}

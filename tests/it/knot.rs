//! A real authoritative server (knot) and a real caching resolver (unbound), started by a test on loopback,
//! with zones that the test writes and changes by dynamic update (RFC 2136). They end with what started them.
//!
//! Debian packages `knot` and `unbound`; `tests/run` installs them. Where one is missing, the test fails.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
};

/// A zone as a test writes it: its SOA (minimum 30 s) and a name to know the server by are added.
pub struct Zone<'a> {
    pub name: &'a str,
    /// Zone-file lines; names without a last dot are in the zone.
    pub lines: &'a str,
    /// knot makes a key and signs it.
    pub signed: bool,
}

/// A program whose standard input is a pipe that only this process holds: when this ends, however it ends,
/// `cat` sees the end of the pipe and the wrapper ends the program, woken first in case a test had stopped it.
pub struct Program {
    wrapper: Child,
    dir: tempfile::TempDir,
}

const WRAPPER: &str = r#""$@" >log 2>&1 & pid=$!; cat >/dev/null; kill "$pid"; kill -CONT "$pid"; wait "$pid""#;

impl Program {
    pub fn start(dir: tempfile::TempDir, program: &Path, args: &[&str]) -> Self {
        let wrapper = Command::new("sh")
            .args(["-c", WRAPPER, "server"])
            .arg(program)
            .args(args)
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { wrapper, dir }
    }

    /// Waits until it answers `question` at every address with `answer`. False: another program was faster at its
    /// port, as knot and unbound both say in their logs.
    #[must_use]
    fn ready(&self, addresses: &[SocketAddr], question: &Message, answer: impl Fn(&Message) -> bool) -> bool {
        let begun = Instant::now();
        for &address in addresses {
            while !ask(address, question).is_some_and(|it| answer(&it)) {
                let log = self.log();
                if log.to_lowercase().contains("address already in use") {
                    return false;
                }
                assert!(begun.elapsed() < Duration::from_secs(60), "{address} is not ready: {log}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        true
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.wrapper.stdin.take());
        let _ = self.wrapper.wait();
    }
}

/// Where a server's program is: also in places that only root has on its path.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run tests/run, which installs it"))
}

/// A port that is free at all of these addresses, for UDP and TCP, and that no other test of this process got.
///
/// It lies below the ports that the system gives to clients (32768 on Linux, ip(7)), so nobody takes it by chance
/// between here and the start of the server. Who starts a server there still has to try again (`anew`): other
/// processes look for ports too, and knot and unbound share a UDP port with whoever lets them (`SO_REUSEPORT`).
pub fn free_port(ips: &[IpAddr]) -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let free =
        |port| ips.iter().all(|ip| UdpSocket::bind((*ip, port)).is_ok() && TcpListener::bind((*ip, port)).is_ok());
    for _ in 0..1000 {
        let port = fastrand::u16(10_000..32_000);
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) && free(port) {
            return port;
        }
    }
    panic!("no port is free at {ips:?}");
}

/// Starts on another port where the one that was free a moment ago is taken.
pub fn anew<T>(start: impl FnMut() -> Option<T>) -> T {
    std::iter::repeat_with(start).take(10).flatten().next().expect("ten ports were free and then taken")
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whether this machine has `::1`.
pub fn has_ipv6() -> bool {
    UdpSocket::bind("[::1]:0").is_ok()
}

pub fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

/// A running knot.
pub struct Knot {
    /// The first of its addresses.
    pub address: SocketAddr,
    pub addresses: Vec<SocketAddr>,
    program: Program,
}

impl Knot {
    /// One at 127.0.0.1.
    pub fn start(zones: &[Zone<'_>]) -> Self {
        let ips = [ip("127.0.0.1")];
        anew(|| Self::start_at(&ips, free_port(&ips), zones))
    }

    /// One at several addresses, on a port that is the same everywhere; `None`: the port is taken.
    pub fn start_at(ips: &[IpAddr], port: u16, zones: &[Zone<'_>]) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let addresses = ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect::<Vec<_>>();
        let listen = ips.iter().map(|ip| format!("{ip}@{port}")).collect::<Vec<_>>().join(", ");
        for folder in ["run", "db"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let root = dir.path().display();
        let mut conf = format!(
            "server:\n  listen: [ {listen} ]\n  rundir: {root}/run\n  udp-workers: 1\n  tcp-workers: 2\n  background-workers: 1\n\
             log:\n  - target: stderr\n    any: info\n\
             database:\n  storage: {root}/db\n\
             acl:\n  - id: test\n    address: [ 127.0.0.0/8, ::1 ]\n    action: [ update, transfer ]\n\
             policy:\n  - id: test\n    algorithm: ecdsap256sha256\n    single-type-signing: on\n\
             template:\n  - id: default\n    storage: {root}\n    zonefile-sync: -1\n    journal-content: none\n    acl: test\n\
             zone:\n"
        );
        let token = format!("{:016x}", fastrand::u64(..));
        for (at, zone) in zones.iter().enumerate() {
            let signing = if zone.signed { "    dnssec-signing: on\n    dnssec-policy: test\n" } else { "" };
            write!(conf, "  - domain: {}\n    file: {at}.zone\n{signing}", zone.name).unwrap();
            let text = format!(
                "$ORIGIN {}.\n$TTL 300\n@ 300 SOA ns1 hostmaster 1 3600 600 86400 30\n_ready TXT {token}\n{}\n",
                zone.name, zone.lines
            );
            std::fs::write(dir.path().join(format!("{at}.zone")), text).unwrap();
        }
        std::fs::write(dir.path().join("knot.conf"), conf).unwrap();
        let program = Program::start(dir, &program("knotd"), &["-c", "knot.conf"]);
        for zone in zones {
            let question = question(&format!("_ready.{}", zone.name), RecordType::TXT);
            let ours = |answer: &Message| answer.answers.iter().any(|r| r.data.to_string().contains(&token));
            if !program.ready(&addresses, &question, ours) {
                return None;
            }
            let keys = self::question(zone.name, RecordType::DNSKEY);
            if zone.signed && !program.ready(&addresses[..1], &keys, |answer| !answer.answers.is_empty()) {
                return None;
            }
        }
        Some(Self { address: addresses[0], addresses, program })
    }

    /// Replaces one record set; no value deletes it. Values as in a zone file, names in full.
    pub fn set(&self, zone: &str, owner: &str, ttl: u32, kind: &str, values: &[&str]) {
        let kind = kind.parse::<RecordType>().unwrap();
        let mut update = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Update);
        update.add_query(Query::query(name(zone), RecordType::SOA));
        let mut delete = Record::update0(name(owner), 0, kind);
        delete.dns_class = DNSClass::ANY;
        update.add_authority(delete);
        for value in values {
            let data = RData::try_from_str(kind, value).unwrap_or_else(|e| panic!("{value}: {e}"));
            update.add_authority(Record::from_rdata(name(owner), ttl, data));
        }
        let answer = answered(self.address, &update);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{owner} {kind}");
    }

    /// What it says to a plain question.
    pub fn says(&self, owner: &str, kind: &str) -> Message {
        answered(self.address, &question(owner, kind.parse().unwrap()))
    }

    /// The DS records that the parent must have, as zone-file values.
    pub fn ds(&self, zone: &str) -> Vec<String> {
        let answer = self.says(zone, "CDS");
        let values = answer.answers.iter().filter(|r| r.record_type() == RecordType::CDS);
        let values = values.map(|r| r.data.to_string()).collect::<Vec<_>>();
        assert!(!values.is_empty(), "{zone} has no CDS: {}", self.log());
        values
    }

    pub fn log(&self) -> String {
        self.program.log()
    }
}

/// A running unbound: it asks the servers given for the zones given, keeps what it hears, and knows nothing else.
pub struct Unbound {
    pub address: SocketAddr,
    pub addresses: Vec<SocketAddr>,
    _program: Program,
}

impl Unbound {
    /// `options` are further lines of the `server:` section.
    pub fn start(ips: &[IpAddr], zones: &[(&str, SocketAddr)], options: &str) -> Self {
        anew(|| Self::try_start(ips, zones, options))
    }

    fn try_start(ips: &[IpAddr], zones: &[(&str, SocketAddr)], options: &str) -> Option<Self> {
        let token = format!("{:016x}", fastrand::u64(..));
        let dir = tempfile::tempdir().unwrap();
        let port = free_port(ips);
        let addresses = ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect::<Vec<_>>();
        let mut conf = format!(
            "server:\n  directory: \"{0}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"{0}/pid\"\n  do-daemonize: no\n\
             \x20 use-syslog: no\n  logfile: \"\"\n  num-threads: 1\n  outgoing-range: 64\n  do-not-query-localhost: no\n\
             \x20 module-config: \"iterator\"\n  qname-minimisation: no\n  ede: yes\n  minimal-responses: no\n\
             \x20 access-control: 127.0.0.0/8 allow\n  access-control: ::1 allow\n  root-hints: \"\"\n\
             \x20 so-reuseport: no\n  local-zone: \"ready.test.\" static\n  local-data: \"ready.test. TXT {token}\"\n",
            dir.path().display()
        );
        for ip in ips {
            writeln!(conf, "  interface: {ip}@{port}").unwrap();
        }
        writeln!(conf, "{options}\nremote-control:\n  control-enable: no").unwrap();
        for (zone, server) in zones {
            writeln!(
                conf,
                "stub-zone:\n  name: \"{zone}.\"\n  stub-addr: {}@{}\n  stub-no-cache: no",
                server.ip(),
                server.port()
            )
            .unwrap();
        }
        std::fs::write(dir.path().join("unbound.conf"), conf).unwrap();
        let program = Program::start(dir, &program("unbound"), &["-d", "-c", "unbound.conf"]);
        let ours = |answer: &Message| answer.answers.iter().any(|r| r.data.to_string().contains(&token));
        let ready = program.ready(&addresses, &question("ready.test", RecordType::TXT), ours);
        ready.then(|| Self { address: addresses[0], addresses, _program: program })
    }
}

fn question(owner: &str, kind: RecordType) -> Message {
    let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name(owner), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    message.set_edns(edns);
    message
}

/// Asks until there is an answer: on a loaded machine it takes its time. An update twice is an update.
fn answered(server: SocketAddr, message: &Message) -> Message {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask(server, message) {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{server} does not answer");
    }
}

/// Asks once; a server that is not there yet is `None`.
fn ask(server: SocketAddr, message: &Message) -> Option<Message> {
    let any: SocketAddr = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }.parse().unwrap();
    let socket = UdpSocket::bind(any).ok()?;
    socket.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    socket.connect(server).ok()?;
    socket.send(&message.to_vec().unwrap()).ok()?;
    let mut buffer = [0; 4096];
    let got = socket.recv(&mut buffer).ok()?;
    Message::from_vec(&buffer[..got]).ok().filter(|answer| answer.metadata.id == message.metadata.id)
}

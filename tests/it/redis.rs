//! Real Redis servers and a real Sidekiq, started by a test on loopback. They end with what started them.
//!
//! Debian packages `redis-server` and `ruby-sidekiq` (6.4, which runs without Rails); `tests/run` installs them. Where one is
//! missing, the test fails.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use redis::{Connection, FromRedisValue, Value};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

use crate::knot::{Program, anew, free_port, ip, program};

/// How long something may take to come about on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until something is so.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not so after {} s: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A running server. Plain at `port`, by `socket`, and with TLS at `tls_port` where certificates were given.
pub struct Redis {
    pub port: u16,
    pub tls_port: u16,
    pub socket: PathBuf,
    home: tempfile::TempDir,
    program: Option<Program>,
}

impl Redis {
    /// One that everybody may use.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One with further lines of redis.conf.
    pub fn with(lines: &[String]) -> Self {
        anew(|| {
            let home = tempfile::tempdir().unwrap();
            let port = free_port(&[ip("127.0.0.1")]);
            let conf = format!(
                "port {port}\nbind 127.0.0.1\nunixsocket {0}/redis.sock\ndir {0}\nsave \"\"\nappendonly no\n\
                 enable-debug-command yes\n{1}\n",
                home.path().display(),
                lines.join("\n")
            );
            std::fs::write(home.path().join("redis.conf"), conf).unwrap();
            let socket = home.path().join("redis.sock");
            let mut server = Self { port, tls_port: 0, socket, home, program: None };
            server.up().then_some(server)
        })
    }

    /// One that also speaks TLS.
    pub fn with_tls(chain: &str, key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("chain.pem"), chain).unwrap();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        let tls_port = free_port(&[ip("127.0.0.1")]);
        let mut server = Self::with(&[
            format!("tls-port {tls_port}"),
            format!("tls-cert-file {}/chain.pem", folder.path().display()),
            format!("tls-key-file {}/key.pem", folder.path().display()),
            "tls-auth-clients no".into(),
        ]);
        server.tls_port = tls_port;
        server
    }

    /// Starts it, at first or again at the same port. False: the port is taken.
    fn up(&mut self) -> bool {
        let conf = self.home.path().join("redis.conf");
        let begun = Program::start(tempfile::tempdir().unwrap(), &program("redis-server"), &[conf.to_str().unwrap()]);
        let ours = format!("config_file:{}", conf.display());
        let ready = until("redis-server is ready", || {
            let log = begun.log();
            if log.contains("Address already in use") {
                return Some(false);
            }
            let info = redis::Client::open(self.url())
                .unwrap()
                .get_connection()
                .ok()
                .and_then(|mut connection| redis::cmd("INFO").arg("server").query::<String>(&mut connection).ok());
            info.is_some_and(|info| info.contains(&ours)).then_some(true)
        });
        self.program = Some(begun);
        ready
    }

    /// Ends it.
    pub fn stop(&mut self) {
        drop(self.program.take());
    }

    /// Starts it again, empty.
    pub fn again(&mut self) {
        assert!(self.up(), "its port was taken meanwhile");
    }

    /// Its database 0, for us.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// A connection, by the test's own client.
    pub fn open(&self) -> Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Sends one command, words between blanks.
    pub fn run<T: FromRedisValue>(&self, words: &str) -> T {
        self.send(&words.split(' ').collect::<Vec<_>>())
    }

    /// Sends one command.
    pub fn send<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut cmd = redis::Cmd::new();
        cmd.arg(words);
        cmd.query(&mut self.open()).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// What it says about itself, a field of INFO.
    pub fn info(&self, section: &str, field: &str) -> String {
        let info: String = self.run(&format!("INFO {section}"));
        let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{field} is not in {info}")).trim().to_owned()
    }

    /// Changes of its data so far.
    pub fn changes(&self) -> usize {
        self.info("persistence", "rdb_changes_since_last_save").parse().unwrap()
    }

    /// Connections that are ours: `CLIENT SETNAME gonogo`.
    pub fn ours(&self) -> usize {
        let list: String = self.run("CLIENT LIST");
        list.lines().filter(|line| line.contains("name=gonogo ")).count()
    }

    /// Waits until none of ours is left: the server has to notice that it was closed.
    pub fn left_alone(&self) {
        let begun = Instant::now();
        while self.ours() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(10), "a connection of ours is left");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.info("server", "process_id").parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Stops it where it is; [`Redis::thaw`] needs what this gives.
    pub fn freeze(&self) -> Frozen {
        let pid = Pid::from_raw(self.info("server", "process_id").parse().unwrap()).unwrap();
        self.signal(Signal::STOP);
        Frozen(pid)
    }

    /// Everything that is sent from now on, until `watch` ends.
    pub async fn monitored(&self, watch: impl AsyncFnOnce()) -> Vec<Vec<String>> {
        let mut connection = self.open();
        let (to, seen) = mpsc::channel();
        connection.send_packed_command(&redis::cmd("MONITOR").get_packed_command()).unwrap();
        let reader = std::thread::spawn(move || {
            while let Ok(line) = connection.recv_response() {
                let Value::SimpleString(line) = line else { continue };
                let end = line.contains("the end of it");
                let _ = to.send(line);
                if end {
                    return;
                }
            }
        });
        // Nothing is missed once the first line is there.
        until("MONITOR works", || {
            let _: String = self.run("ECHO begin");
            seen.try_iter().next()
        });
        watch().await;
        let _: String = self.send(&["ECHO", "the end of it"]);
        reader.join().unwrap();
        let words = |line: String| {
            let from = line.find("] ").map_or(0, |at| at + 2);
            line[from..].split("\" \"").map(|word| word.trim_matches('"').to_owned()).collect::<Vec<_>>()
        };
        seen.try_iter().map(words).filter(|words| words[0] != "ECHO").collect()
    }
}

/// A server that answers nothing until this is dropped.
pub struct Frozen(Pid);

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

const JOBS: &str = r#"
require 'sidekiq'
Sidekiq.configure_server { |c| c.redis = { url: ENV['REDIS_URL'] } }
Sidekiq.configure_client { |c| c.redis = { url: ENV['REDIS_URL'] } }
class HardJob
  include Sidekiq::Worker
  sidekiq_options queue: 'default', retry: 3
  def perform(kind, seconds)
    raise 'boom' if kind == 'fail'
    sleep seconds
    Sidekiq.redis { |c| c.incr('worked') }
  end
end
class MailJob
  include Sidekiq::Worker
  sidekiq_options queue: 'mailers'
  def perform(seconds); sleep seconds; end
end
"#;

/// What Sidekiq's own API says, as JSON.
const API: &str = r#"
require_relative 'jobs'
require 'sidekiq/api'
s = Sidekiq::Stats.new
puts Sidekiq.dump_json(
  queues: Sidekiq::Queue.all.to_h { |q| [q.name, q.size] }, enqueued: s.enqueued,
  scheduled: Sidekiq::ScheduledSet.new.size, retry: Sidekiq::RetrySet.new.size, dead: Sidekiq::DeadSet.new.size,
  busy: Sidekiq::Workers.new.size, processes: Sidekiq::ProcessSet.new(false).map { |p| [p['identity'], p['busy']] }.to_h,
  quiet: Sidekiq::ProcessSet.new(false).count(&:stopping?), processed: s.processed)
"#;

/// Runs Ruby with the jobs loaded; gives what it prints.
pub fn ruby(redis: &Redis, script: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("jobs.rb"), JOBS).unwrap();
    std::fs::write(dir.path().join("run.rb"), format!("require_relative 'jobs'\n{script}")).unwrap();
    let mut run = Command::new(program("ruby"));
    let out = run.arg("run.rb").current_dir(dir.path()).env("REDIS_URL", redis.url()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// What Sidekiq's own API counts.
pub fn api(redis: &Redis) -> Json {
    serde_json::from_str(&ruby(redis, API)).unwrap()
}

/// A running Sidekiq process.
pub struct Sidekiq {
    /// `host:pid:nonce`.
    pub identity: String,
    pid: Pid,
    _program: Program,
}

impl Sidekiq {
    /// One with two threads, for the queues `default` and `mailers`; it gives running jobs four seconds to end:
    /// a thread that waits for a job does so for two, and one that still waits when jobs are pushed back takes one and is killed with it.
    pub fn start(redis: &Redis) -> Self {
        let before: BTreeSet<String> = redis.run("SMEMBERS processes");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("jobs.rb"), JOBS).unwrap();
        let url = format!("REDIS_URL={}", redis.url());
        let words = ["sidekiq", "-r", "./jobs.rb", "-c", "2", "-q", "default", "-q", "mailers", "-t", "4"];
        let program = Program::start(dir, &program("env"), &[&[url.as_str()], &words[..]].concat());
        let identity = until("Sidekiq sends a heartbeat", || {
            let now: BTreeSet<String> = redis.run("SMEMBERS processes");
            now.difference(&before).next().cloned()
        });
        let pid = Pid::from_raw(identity.split(':').nth(1).unwrap().parse().unwrap()).unwrap();
        Self { identity, pid, _program: program }
    }

    /// Ends it without a word.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Asks it to end.
    pub fn term(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to take no more jobs.
    pub fn quiet(&self) {
        self.signal(Signal::TSTP);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }
}

impl Drop for Sidekiq {
    fn drop(&mut self) {
        // Nobody waits for its jobs.
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

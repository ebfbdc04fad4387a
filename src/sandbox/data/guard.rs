//! The servers' parent: a process of our own program that starts them and ends them when the pipe to us closes, however
//! that comes about. It has a session of its own, so that nothing typed at our terminal reaches it.
//!
//! ```text
//! we ──orders, one JSON line each──▶ guard ──▶ postgres, postgres, redis-server
//!    ◀────── "NAME ended: …" ───────
//!    ─────────── the pipe closes ──▶        ends them, removes what it was told to, ends
//! ```

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::unix::pipe::Receiver,
    process::{Child, ChildStdin, ChildStdout, Command},
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// The word by which our program is told to be one.
pub const VERB: &str = "sandbox-guard";
/// A server that is asked to end writes out what it holds; after this it is made to end.
const GRACE: Duration = Duration::from_secs(5);
/// All of them have ended and their files are removed within this, on a machine with much else to do.
const ENDED: Duration = Duration::from_secs(40);
/// Between making it end and killing it.
const LAST: Duration = Duration::from_secs(2);
/// Ends a server whose guard was killed, where the system can (Linux).
const SETPRIV: &str = "/usr/bin/setpriv";

/// What a guard is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// Start a server.
    Start(Server),
    /// Remove this folder at the end; nothing in it has to be kept.
    Remove(PathBuf),
}

/// A server to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Server {
    /// For the words about it.
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<String>,
    /// User and group, where they are not ours.
    pub owner: Option<(u32, u32)>,
    /// What it prints.
    pub log: PathBuf,
}

/// The way to the guard. Dropping it ends the servers.
pub(super) struct Guard {
    orders: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Guard {
    /// Starts the guard: `program` is our own.
    pub fn start(program: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg(VERB)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(orders), Some(said)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the servers' parent has no pipes"));
        };
        Ok(Self { orders, said: BufReader::new(said).lines(), child })
    }

    async fn tell(&mut self, order: &Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(order).map_err(io::Error::other)?;
        line.push(b'\n');
        self.orders.write_all(&line).await
    }

    /// Has the folder removed at the end, whichever end that is.
    pub async fn forget(&mut self, dir: &Path) -> io::Result<()> {
        self.tell(&Order::Remove(dir.to_owned())).await
    }

    /// Starts a server; it is not up yet.
    pub async fn launch(&mut self, server: Server) -> io::Result<()> {
        self.tell(&Order::Start(server)).await
    }

    /// The next server that ended: its name, and how.
    pub async fn ended(&mut self) -> Option<(String, String)> {
        let line = self.said.next_line().await.ok()??;
        line.split_once(' ').map(|(name, how)| (name.to_owned(), how.to_owned()))
    }

    /// Ends the servers, removes the folder where one is given, and waits for all that.
    pub async fn end(mut self, remove: Option<&PathBuf>) {
        if let Some(dir) = remove {
            let _gone = self.forget(dir).await;
        }
        drop(self.orders);
        let _ended = timeout(ENDED, self.child.wait()).await;
    }
}

/// What the guard's process does, to its end.
///
/// # Errors
/// No signal or child could be waited for.
pub async fn run() -> io::Result<()> {
    // A group's leader cannot have a session of its own; nobody starts us as one.
    let _alone = rustix::process::setsid();
    // `pkill gonogo` must reach those who are to end, and leave this one to clear up after them.
    let _linux_only = std::fs::write("/proc/self/comm", VERB);
    let orders = Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut orders = BufReader::new(orders).lines();
    let mut told = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].into_iter().map(signal);
    let (Some(Ok(mut terminate)), Some(Ok(mut interrupt)), Some(Ok(mut hangup))) =
        (told.next(), told.next(), told.next())
    else {
        return Err(io::Error::other("signals cannot be waited for"));
    };
    let mut servers: Vec<(String, Child)> = Vec::new();
    let mut remove = None;
    loop {
        let line = tokio::select! {
            line = orders.next_line() => line.ok().flatten(),
            how = first_end(&mut servers) => {
                say(&how);
                continue;
            }
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            _ = hangup.recv() => None,
        };
        match line.as_deref().map(serde_json::from_str::<Order>) {
            Some(Ok(Order::Start(server))) => match start(&server).await {
                Ok(child) => servers.push((server.name, child)),
                Err(e) => say(&format!("{} {e}", server.name)),
            },
            Some(Ok(Order::Remove(dir))) => remove = Some(dir),
            Some(Err(_)) | None => break,
        }
    }
    let ends = servers.into_iter().map(|(_, child)| end(child, remove.is_some()));
    futures_util::future::join_all(ends).await;
    if let Some(dir) = remove {
        // Somebody may still be writing there who was told to end a moment ago.
        for _ in 0..20 {
            match std::fs::remove_dir_all(&dir) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => tokio::time::sleep(Duration::from_millis(100)).await,
                _ => break,
            }
        }
    }
    Ok(())
}

/// A few lines in a life: they fit into the pipe. A reader that has gone does not matter.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _gone = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Waits until one of them ends by itself; it is taken off the list.
async fn first_end(servers: &mut Vec<(String, Child)>) -> String {
    if servers.is_empty() {
        return std::future::pending().await;
    }
    let waits = servers.iter_mut().map(|(_, child)| Box::pin(child.wait()));
    let (how, at, _) = futures_util::future::select_all(waits).await;
    let (name, _) = servers.remove(at);
    match how {
        Ok(status) => format!("{name} ended: {status}"),
        Err(e) => format!("{name} ended: {e}"),
    }
}

async fn start(server: &Server) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(&server.log)?;
    let mut command = match ends_with_parent().await {
        true => {
            let mut command = Command::new(SETPRIV);
            command.args(["--pdeathsig", "INT", "--"]).arg(&server.program);
            command
        }
        false => Command::new(&server.program),
    };
    if let Some((user, group)) = server.owner {
        command.uid(user).gid(group);
    }
    command
        .args(&server.args)
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// True where a server can be told to end with its parent.
async fn ends_with_parent() -> bool {
    let mut asked = Command::new(SETPRIV);
    asked.args(["--pdeathsig", "INT", "--", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().await.is_ok_and(|status| status.success())
}

/// Ends one server: with everything written out where its files are kept, at once where they are not.
async fn end(mut child: Child, at_once: bool) {
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let Some(pid) = pid else { return };
    if at_once {
        // PostgreSQL drops everything at this one, which Redis does not listen to.
        let _ends = kill_process(pid, Signal::QUIT);
    }
    for (signal, patience) in [(Signal::INT, GRACE), (Signal::QUIT, LAST), (Signal::KILL, LAST)] {
        if kill_process(pid, signal).is_err() || timeout(patience, child.wait()).await.is_ok() {
            return;
        }
    }
}

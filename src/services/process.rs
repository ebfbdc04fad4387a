//! Child processes: no shell, no terminal, an own process group that is ended as a whole, output
//! handed on in pieces and never collected here.
//!
//! A child should have its own session, so that it cannot open the terminal. `setsid(2)` between fork
//! and exec needs `unsafe`, and `CommandExt::setsid` is not stable yet, therefore: where this process
//! has no controlling terminal, an own process group is as good (a group that is no session leader
//! cannot gain one) and keeps the fast `posix_spawn`; where it has one, the `setsid` program of
//! util-linux goes in between. Without that program (macOS) the group has to do: reading the
//! terminal from it stops the child, and the timeout ends it.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::{Pid, Signal, kill_process_group},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    process::Command,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::base::{Class, Failure, clean_line};

/// Between asking a group to end and killing it.
const GRACE: Duration = Duration::from_secs(10);
/// How long output may stay open after the child has ended, before whoever holds it is ended too.
const LINGER: Duration = Duration::from_secs(1);
/// Variables that a child gets without asking: where programs and files are, language and time zone.
const BASE: [&str; 10] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ"];

/// What is started.
pub struct Spec {
    /// The program and its arguments; not empty.
    pub argv: Vec<String>,
    /// True: everything of our own environment; false: only the base variables.
    pub inherit: bool,
    /// Variables on top of it.
    pub env: Vec<(OsString, Zeroizing<String>)>,
    /// Where it runs; else where we do.
    pub cwd: Option<PathBuf>,
    /// What it reads; else nothing.
    pub stdin: Option<Zeroizing<String>>,
    /// True: standard error is kept apart; false: both outputs go through one pipe, in their true order.
    pub apart: bool,
    /// Kept open by it and by whatever it starts, without their knowing: see [`Reporter::mark`].
    ///
    /// [`Reporter::mark`]: crate::plan::contract::Reporter::mark
    pub mark: Option<File>,
}

/// Which output a piece came from. Everything is `Out` unless kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// By us, at the deadline.
    TimedOut,
    /// By us, because the run was aborted.
    Cancelled,
}

/// Runs a child to its end. `sink` gets its output as it comes.
///
/// # Errors
/// `Misconfigured` or `FailedNothingDone`: it could not be started.
pub async fn run(
    mut spec: Spec,
    deadline: Instant,
    cancel: &CancellationToken,
    mut sink: impl FnMut(From, &[u8]),
) -> Result<End, Failure> {
    let mark = spec.mark.take();
    let (mut group, mut out, mut err) = start(&spec, mark)?;
    let feed = feed(group.child.stdin.take(), spec.stdin);
    tokio::pin!(feed);
    let mut fed = false;
    let mut buffers = (vec![0; 16 << 10], vec![0; if spec.apart { 4 << 10 } else { 0 }]);
    let mut ended: Option<End> = None;
    let mut stop_reading: Option<Instant> = None;
    let mut kill_at: Option<Instant> = None;
    loop {
        let next = [stop_reading, kill_at, ended.is_none().then_some(deadline).filter(|_| kill_at.is_none())];
        let next = next.into_iter().flatten().min();
        tokio::select! {
            // Output first: what a child said before it ended is handed on before its end.
            biased;
            got = read(&mut out, &mut buffers.0), if out.is_some() => match got {
                Some(n) => sink(From::Out, &buffers.0[..n]),
                None => out = None,
            },
            got = read(&mut err, &mut buffers.1), if err.is_some() => match got {
                Some(n) => sink(From::Err, &buffers.1[..n]),
                None => err = None,
            },
            () = &mut feed, if !fed => fed = true,
            status = group.child.wait(), if !group.reaped => {
                group.reaped = true;
                if ended.is_none() {
                    let status = status.map_err(|e| Failure::new(Class::Unknown, format!("waiting for the command failed: {e}")))?;
                    ended = Some(End::Exited(status));
                }
                stop_reading = Some(Instant::now() + LINGER);
                kill_at = None;
            }
            () = cancel.cancelled(), if ended.is_none() => {
                ended = Some(End::Cancelled);
                group.signal(Signal::TERM);
                kill_at = Some(Instant::now() + GRACE);
            }
            () = until(next), if next.is_some() => {
                if let Some(end) = ended.filter(|_| group.reaped) {
                    // Somebody else of the group still holds the output: they are ended as a group.
                    group.signal(if kill_at.is_some() { Signal::KILL } else { Signal::TERM });
                    if kill_at.is_some() {
                        group.over = true;
                        return Ok(end);
                    }
                    kill_at = Some(Instant::now() + LINGER);
                    stop_reading = None;
                } else if ended.is_none()
                    && let Ok(Some(status)) = group.child.try_wait()
                {
                    // It ended in time, and we were the ones who stood still: stopped, or asleep.
                    group.reaped = true;
                    ended = Some(End::Exited(status));
                    stop_reading = Some(Instant::now() + LINGER);
                } else if ended.is_none() {
                    ended = Some(End::TimedOut);
                    group.signal(Signal::TERM);
                    kill_at = Some(Instant::now() + GRACE);
                } else {
                    group.signal(Signal::KILL);
                    kill_at = Some(Instant::now() + GRACE);
                }
            }
        }
        if let Some(end) = ended
            && group.reaped
            && out.is_none()
            && err.is_none()
        {
            group.over = true;
            return Ok(end);
        }
    }
}

async fn until(moment: Option<Instant>) {
    if let Some(moment) = moment {
        tokio::time::sleep_until(moment).await;
    }
}

async fn read(pipe: &mut Option<pipe::Receiver>, buffer: &mut [u8]) -> Option<usize> {
    match pipe.as_mut()?.read(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(n) => Some(n),
    }
}

async fn feed(stdin: Option<tokio::process::ChildStdin>, text: Option<Zeroizing<String>>) {
    if let (Some(mut stdin), Some(text)) = (stdin, text) {
        // A child that does not read to the end is none of our business: its exit code speaks.
        let _ = stdin.write_all(text.as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
}

/// A running child and its group; ends the group where it is dropped too early.
struct Group {
    child: tokio::process::Child,
    pid: Option<Pid>,
    reaped: bool,
    over: bool,
}

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.over {
            self.signal(Signal::KILL);
        }
    }
}

type Started = (Group, Option<pipe::Receiver>, Option<pipe::Receiver>);

fn start(spec: &Spec, mark: Option<File>) -> Result<Started, Failure> {
    let name = spec.argv.first().map(String::as_str).unwrap_or_default();
    let program = find(name, spec.cwd.as_deref())?;
    let broken = |e: io::Error| {
        let class = match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput => {
                Class::Misconfigured
            }
            _ => Class::FailedNothingDone,
        };
        Failure::new(class, format!("`{}` could not be started: {e}", clean_line(name, 120)))
    };
    let mut command = match terminal() {
        Some(setsid) => {
            let mut command = Command::new(setsid);
            command.arg(&program);
            command
        }
        None => {
            let mut command = Command::new(&program);
            command.process_group(0).arg0(name);
            command
        }
    };
    command.args(&spec.argv[1..]);
    if !spec.inherit {
        command.env_clear().envs(base().iter().map(|(name, value)| (name, value))).env("TERM", "dumb");
    }
    command.envs(spec.env.iter().map(|(name, value)| (name, OsStr::new(value.as_str()))));
    if let Some(cwd) = &spec.cwd {
        if !cwd.is_dir() {
            return Err(Failure::new(Class::Misconfigured, format!("`cwd` {} is no folder", cwd.display())));
        }
        command.current_dir(cwd);
    }
    command.stdin(if spec.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    let (reader, writer) = io::pipe().map_err(broken)?;
    let mut err = None;
    if spec.apart {
        let (reader, writer) = io::pipe().map_err(broken)?;
        command.stderr(writer);
        err = Some(reader);
    } else {
        command.stderr(writer.try_clone().map_err(broken)?);
    }
    command.stdout(writer);
    let child = spawn(&mut command, mark).map_err(broken)?;
    // Our copies of the write ends must go, or the end of the output would never be seen.
    drop(command);
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let group = Group { child, pid, reaped: false, over: false };
    let receiver = |reader: io::PipeReader| pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(broken);
    let out = Some(receiver(reader)?);
    let err = err.map(receiver).transpose()?;
    Ok((group, out, err))
}

/// Starts it with the mark, which is closed here. One at a time: no other child may get it too.
fn spawn(command: &mut Command, mark: Option<File>) -> io::Result<tokio::process::Child> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(mark) = &mark {
        fcntl_setfd(mark, FdFlags::empty())?;
    }
    let child = command.spawn();
    drop(mark);
    child
}

/// The program's file, looked up here: `posix_spawn` is only used for a path, and a missing program
/// must be told apart from one that ends with 127.
pub(super) fn find(name: &str, cwd: Option<&Path>) -> Result<PathBuf, Failure> {
    let missing = |what: &str| {
        Failure::new(Class::Misconfigured, format!("`{}` {what}", clean_line(name, 120)))
            .hint("give the full path of the program, or install it here")
    };
    let runs = |path: &Path| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        let path = cwd.map_or_else(|| PathBuf::from(name), |cwd| cwd.join(name));
        return if runs(&path) { Ok(path) } else { Err(missing("is not there or cannot be run")) };
    }
    let path = base().iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone()).unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| runs(file))
        .ok_or_else(|| missing("was not found in PATH"))
}

/// The base variables, read once: they do not change while we run.
fn base() -> &'static [(OsString, OsString)] {
    static BASE_ENV: OnceLock<Vec<(OsString, OsString)>> = OnceLock::new();
    BASE_ENV.get_or_init(|| {
        BASE.iter().filter_map(|name| std::env::var_os(name).map(|value| (OsString::from(name), value))).collect()
    })
}

/// The `setsid` program, where there is a terminal to be kept from children.
fn terminal() -> Option<&'static Path> {
    static SETSID: OnceLock<Option<PathBuf>> = OnceLock::new();
    SETSID
        .get_or_init(|| {
            std::fs::File::open("/dev/tty").ok()?;
            find("setsid", None).ok()
        })
        .as_deref()
}

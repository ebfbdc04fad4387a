//! Other people's programs that a kind asks (`terraform`, `kubectl`): started without a shell, fed nothing
//! or a text, their output collected within bounds, ended as a group at the deadline.

use std::{collections::VecDeque, ffi::OsString, fs::File, path::PathBuf, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::process::{self, End, From, Spec};
use crate::base::{Class, Failure, clean_line};

/// The most of standard output that is kept; more is a failure, never a part taken for the whole.
const OUT: usize = 32 << 20;
/// How much of the end of standard error is kept.
const ERR: usize = 32 << 10;
/// The longest line of standard error that is told.
const LINE: usize = 500;

/// What is run.
pub struct Tool<'a> {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where.
    pub cwd: Option<PathBuf>,
    /// Variables on top of the base ones.
    pub env: Vec<(OsString, Zeroizing<String>)>,
    /// What it reads.
    pub stdin: Option<String>,
    /// Where it changes something, what it has to keep open.
    pub mark: Option<File>,
    /// Its own limit; the attempt's may be shorter.
    pub limit: Duration,
    /// The attempt's.
    pub deadline: Instant,
    /// The attempt's.
    pub cancel: &'a CancellationToken,
}

/// How it ended by itself.
pub struct Ended {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output, whole.
    pub out: Vec<u8>,
    /// The last lines of standard error, cleaned, none of them empty.
    pub err: Vec<String>,
}

/// Why there is no end of its own.
pub enum Broken {
    /// It was not started.
    NotStarted(Failure),
    /// It was ended by us: at which limit, or because of an abort.
    CutShort(String),
    /// It said more than is kept.
    TooMuch,
}

impl Broken {
    /// For something that only reads.
    #[must_use]
    pub fn reading(self, what: &str) -> Failure {
        match self {
            Self::NotStarted(failure) => failure,
            Self::CutShort(how) => Failure::new(Class::FailedNothingDone, format!("{what} {how}")),
            Self::TooMuch => {
                let words = format!("no data: {what} said more than {} MiB", OUT >> 20);
                Failure::new(Class::FailedNothingDone, words)
            }
        }
    }

    /// For something that may have changed the world.
    #[must_use]
    pub fn changing(self, what: &str) -> Failure {
        match self {
            Self::NotStarted(failure) => failure,
            other => Failure { class: Class::Unknown, ..other.reading(what) },
        }
    }
}

/// Runs it to its end. `sink` gets standard output as it comes.
///
/// # Errors
/// It did not end by itself.
pub async fn run(tool: Tool<'_>, mut sink: impl FnMut(&[u8])) -> Result<Ended, Broken> {
    let until = Instant::now() + tool.limit;
    let words = if until < tool.deadline {
        format!("took longer than {:.1} s; it was ended", tool.limit.as_secs_f32())
    } else {
        "was not done at the step's timeout; it was ended".to_owned()
    };
    let spec = Spec {
        argv: tool.argv,
        inherit: false,
        env: tool.env,
        cwd: tool.cwd,
        stdin: tool.stdin.map(Zeroizing::new),
        apart: true,
        mark: tool.mark,
    };
    let (mut out, mut err, mut over) = (Vec::new(), VecDeque::new(), false);
    let end = process::run(spec, until.min(tool.deadline), tool.cancel, |from, piece| match from {
        From::Out => {
            sink(piece);
            over |= out.len() + piece.len() > OUT;
            if !over {
                out.extend_from_slice(piece);
            }
        }
        From::Err => {
            err.extend(piece);
            let excess = err.len().saturating_sub(ERR);
            err.drain(..excess);
        }
    });
    match end.await.map_err(Broken::NotStarted)? {
        End::TimedOut => Err(Broken::CutShort(words)),
        End::Cancelled => Err(Broken::CutShort("was cancelled".into())),
        End::Exited(_) if over => Err(Broken::TooMuch),
        End::Exited(status) => {
            let err = Vec::from(err);
            let lines = String::from_utf8_lossy(&err);
            let lines = lines.lines().map(|line| clean_line(line, LINE)).filter(|line| !line.trim().is_empty());
            Ok(Ended { code: status.code(), out, err: lines.collect() })
        }
    }
}

/// Our own variables that such programs need to reach what they manage: those that are named, and those
/// that begin as one of `prefixes`.
#[must_use]
pub fn inherited(names: &[&str], prefixes: &[&str]) -> Vec<(OsString, Zeroizing<String>)> {
    let wanted = |name: &str| names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix));
    std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(wanted))
        .filter_map(|(name, value)| Some((name, Zeroizing::new(value.into_string().ok()?))))
        .collect()
}

/// True where a program of that name can be found in `PATH`.
#[must_use]
pub fn installed(name: &str) -> bool {
    process::find(name, None).is_ok()
}

//! The other terminal's end of the socket: finds the run, follows what happened there, says a word and waits for
//! the answer.

use std::{io, time::Duration};

use rustix::process::geteuid;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    time::{Instant, timeout_at},
};

use super::wire::{Answer, Answered, Ask, Asked, ErrorCode, LONGEST_ANSWER, VERSION};
use crate::{
    base::{RunId, Stamp, clean_line},
    journal::{RunDir, RunDirError},
    run::{Envelope, RunState},
};

/// How long a place is waited for where too many ask at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(100);
/// How long an answer may take: the run itself gives up on a slow disk a little earlier.
const ANSWER: Duration = Duration::from_secs(70);
/// How long an answer may take that only shows how things are: what is on disk can be shown instead.
const LOOK: Duration = Duration::from_secs(5);

/// Why nobody answers.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens: the run is over, held without a process, or was killed.
    #[error("nobody drives the run now")]
    NotListening,
    /// The other end is not ours.
    #[error("the run's socket is answered by another user (uid {0})")]
    Foreign(u32),
    /// The folder or the socket is refused.
    #[error(transparent)]
    Dir(#[from] RunDirError),
    /// The system said no.
    #[error("the run cannot be reached: {0}")]
    Io(io::Error),
}

/// Why there is no answer that counts.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The run says no; nothing was changed.
    #[error("{say}")]
    Refused {
        /// The refusal's name: `decided`, `not_asked`, `not_a_voter`, …
        code: String,
        /// In words.
        say: String,
    },
    /// The question did not reach the run.
    #[error("{say}")]
    Error {
        /// Why.
        code: ErrorCode,
        /// In words.
        say: String,
    },
    /// The connection broke, or the answer took too long: where a word was said, nobody knows whether it was taken.
    #[error("no answer: {0}")]
    Lost(io::Error),
    /// The answer is none.
    #[error("the answer is not understood: {0}")]
    Garbled(String),
}

/// A connection to a run.
#[derive(Debug)]
pub struct Attached<'d> {
    dir: &'d RunDir,
    from: String,
    stream: BufReader<UnixStream>,
    /// How long an answer may take.
    patience: Duration,
}

/// What is known of a run through its socket.
#[derive(Debug, Default)]
pub struct Mirror {
    /// The fold of what happened.
    pub state: RunState,
    /// The run's clocks at the last look.
    pub now: Option<Stamp>,
    seen: usize,
}

impl<'d> Attached<'d> {
    /// Connects to the run of a folder. `from`: where this terminal is, in words that are recorded.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(dir: &'d RunDir, from: &str) -> Result<Self, ConnectError> {
        let until = Instant::now() + PATIENCE;
        let path = dir.socket()?.ok_or(ConnectError::NotListening)?;
        let stream = loop {
            match timeout_at(until, UnixStream::connect(&path)).await {
                Ok(Ok(stream)) => break stream,
                Ok(Err(error)) => match error.kind() {
                    // Its queue is full.
                    io::ErrorKind::WouldBlock if Instant::now() < until => tokio::time::sleep(AGAIN).await,
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                        return Err(ConnectError::NotListening);
                    }
                    _ => return Err(ConnectError::Io(error)),
                },
                Err(_) => return Err(ConnectError::Io(io::ErrorKind::TimedOut.into())),
            }
        };
        // Whoever could put another socket in this folder is us or root; a vote is told to neither by mistake.
        let peer = stream.peer_cred().map_err(ConnectError::Io)?.uid();
        if peer != geteuid().as_raw() {
            return Err(ConnectError::Foreign(peer));
        }
        Ok(Self { dir, from: from.to_owned(), stream: BufReader::new(stream), patience: ANSWER })
    }

    /// For a look only: a run that does not answer within seconds is not waited for.
    #[must_use]
    pub fn looking(self) -> Self {
        Self { patience: LOOK, ..self }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        self.dir.run()
    }

    /// Says a word; returns how many events there are with it, once it is on the run's disk.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn say(&mut self, ask: Ask) -> Result<usize, AskError> {
        match self.ask(ask).await? {
            Answer::Taken { total } => Ok(total),
            other => Err(AskError::Garbled(format!("{other:?}"))),
        }
    }

    /// Reads on until everything that has happened up to now is known, and at least `total` events.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn catch_up(&mut self, mirror: &mut Mirror, total: usize) -> Result<(), AskError> {
        loop {
            let Answer::Events { now, total: all, page } = self.ask(Ask::Events { after: mirror.seen }).await? else {
                return Err(AskError::Garbled("no events".into()));
            };
            for json in &page {
                let envelope = Envelope::decode(json.get().as_bytes()).map_err(|e| AskError::Garbled(e.to_string()))?;
                mirror.state.evolve(&envelope.event, envelope.stamp());
            }
            mirror.seen += page.len();
            mirror.now = Some(now);
            if mirror.seen >= all.max(total) {
                return Ok(());
            }
            if page.is_empty() {
                return Err(AskError::Garbled(format!("{} of {all} events", mirror.seen)));
            }
        }
    }

    /// Asks once; again on a new connection where there was no place, since then nothing has reached the run.
    async fn ask(&mut self, ask: Ask) -> Result<Answer, AskError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.once(ask.clone()).await? {
                Answer::Error { code: ErrorCode::Busy, .. } if Instant::now() < until => {
                    tokio::time::sleep(AGAIN).await;
                    let again = Self::connect(self.dir, &self.from).await;
                    let again = again.map_err(|error| AskError::Lost(io::Error::other(error.to_string())))?;
                    *self = Self { patience: self.patience, ..again };
                }
                Answer::Error { code, say } => return Err(AskError::Error { code, say: clean_line(&say, 400) }),
                Answer::Refused { code, say } => return Err(AskError::Refused { code, say: clean_line(&say, 400) }),
                answer => return Ok(answer),
            }
        }
    }

    async fn once(&mut self, ask: Ask) -> Result<Answer, AskError> {
        let asked = Asked { v: VERSION, run: self.run().clone(), from: self.from.clone(), ask };
        let mut line = serde_json::to_vec(&asked).map_err(|e| AskError::Garbled(e.to_string()))?;
        line.push(b'\n');
        let until = Instant::now() + self.patience;
        let late = |_| AskError::Lost(io::ErrorKind::TimedOut.into());
        // A full house answers before it is asked and hangs up: what it said is read all the same.
        let written = timeout_at(until, self.stream.get_mut().write_all(&line)).await.map_err(late)?;
        let mut answer = Vec::new();
        let mut bounded = (&mut self.stream).take(LONGEST_ANSWER as u64);
        let read = timeout_at(until, bounded.read_until(b'\n', &mut answer)).await.map_err(late)?;
        if answer.last() != Some(&b'\n') {
            let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "the run hung up");
            return Err(AskError::Lost(written.err().or(read.err()).unwrap_or_else(ended)));
        }
        let Answered { v, answer } =
            serde_json::from_slice(&answer).map_err(|e| AskError::Garbled(clean_line(&e.to_string(), 200)))?;
        if v != VERSION {
            let say = format!("the run speaks version {v}, this gonogo speaks {VERSION}; use the same gonogo");
            return Err(AskError::Error { code: ErrorCode::Version, say });
        }
        Ok(answer)
    }
}

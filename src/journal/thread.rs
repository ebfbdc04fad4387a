//! The journal on a thread of its own: a disk that takes half a minute for a sync must not stop the screen.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, oneshot};

use super::{dir::RunDir, error::JournalError, writer::Journal};

/// `head` is never older than this while records come in or a run waits.
const SEAL_EVERY: Duration = Duration::from_secs(60);
/// Requests under way. The conductor waits for each answer, so more than a few is a mistake that has to wait.
const UNDER_WAY: usize = 16;

type Answer<T> = oneshot::Sender<Result<T, JournalError>>;

enum Request {
    Append { payloads: Vec<Vec<u8>>, barrier: bool, answer: Answer<()> },
    LastWords { payloads: Vec<Vec<u8>>, answer: Answer<()> },
    Seal { answer: Answer<String> },
    StillThere { answer: Answer<()> },
    Close { answer: Answer<Box<Journal>> },
}

/// The way to a journal's thread. Dropping it ends the thread, after what was asked is done, and lets go of
/// the lock. If the thread dies, every call says [`JournalError::Closed`].
#[derive(Debug)]
pub struct JournalThread {
    requests: mpsc::Sender<Request>,
    /// Also here, so that a thread that died does not let go of the run while attempts are in flight.
    dir: Arc<RunDir>,
    under_way: Arc<Semaphore>,
}

impl JournalThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn spawn(journal: Journal) -> std::io::Result<Self> {
        Self::sealing_every(SEAL_EVERY, journal)
    }

    /// As [`JournalThread::spawn`], with another age that `head` may have.
    ///
    /// # Errors
    /// As [`JournalThread::spawn`].
    pub fn sealing_every(age: Duration, journal: Journal) -> std::io::Result<Self> {
        let (requests, inbox) = mpsc::channel();
        let dir = journal.dir().clone();
        thread::Builder::new().name("journal".into()).spawn(move || serve(journal, &inbox, age))?;
        Ok(Self { requests, dir, under_way: Arc::new(Semaphore::new(UNDER_WAY)) })
    }

    /// The run's folder.
    #[must_use]
    pub fn dir(&self) -> &Arc<RunDir> {
        &self.dir
    }

    /// [`Journal::append`]. It is done also if the caller stops waiting.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub async fn append(&self, payloads: Vec<Vec<u8>>, barrier: bool) -> Result<(), JournalError> {
        self.ask(|answer| Request::Append { payloads, barrier, answer }).await
    }

    /// [`Journal::last_words`].
    ///
    /// # Errors
    /// As [`Journal::last_words`].
    pub async fn last_words(&self, payloads: Vec<Vec<u8>>) -> Result<(), JournalError> {
        self.ask(|answer| Request::LastWords { payloads, answer }).await
    }

    /// [`Journal::seal_head`], at stop points, holds, decisions and the end; the anchor to show. At least once
    /// a minute the thread does it by itself.
    ///
    /// # Errors
    /// As [`Journal::seal_head`].
    pub async fn seal(&self) -> Result<String, JournalError> {
        self.ask(|answer| Request::Seal { answer }).await
    }

    /// [`Journal::still_there`].
    ///
    /// # Errors
    /// As [`Journal::still_there`].
    pub async fn still_there(&self) -> Result<(), JournalError> {
        self.ask(|answer| Request::StillThere { answer }).await
    }

    /// Ends the thread and gives the journal back.
    ///
    /// # Errors
    /// [`JournalError::Closed`] if the thread is dead.
    pub async fn close(self) -> Result<Journal, JournalError> {
        self.ask(|answer| Request::Close { answer }).await.map(|journal| *journal)
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, JournalError> {
        let _turn = self.under_way.acquire().await.map_err(|_| JournalError::Closed)?;
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).map_err(|_| JournalError::Closed)?;
        answered.await.unwrap_or(Err(JournalError::Closed))
    }
}

fn serve(mut journal: Journal, inbox: &mpsc::Receiver<Request>, age: Duration) {
    let mut seal_at: Option<Instant> = None;
    loop {
        let request = match seal_at.map(|at| at.saturating_duration_since(Instant::now())) {
            None => inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            Some(left) => inbox.recv_timeout(left),
        };
        // Who asked may have stopped waiting; what was asked is done all the same.
        match request {
            Ok(Request::Append { payloads, barrier, answer }) => {
                let _ = answer.send(journal.append(&payloads, barrier));
            }
            Ok(Request::LastWords { payloads, answer }) => {
                let _ = answer.send(journal.last_words(&payloads));
            }
            Ok(Request::Seal { answer }) => {
                let _ = answer.send(journal.seal_head().map(|()| journal.anchor()));
                seal_at = None;
            }
            Ok(Request::StillThere { answer }) => {
                let _ = answer.send(journal.still_there());
            }
            Ok(Request::Close { answer }) => {
                let _ = answer.send(Ok(Box::new(journal)));
                return;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // A failure is not lost: a broken journal says so to the next caller, an unsealed head is tried again.
                let _ = journal.seal_head();
                seal_at = None;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if journal.unsealed() && !journal.broken() {
            seal_at.get_or_insert_with(|| Instant::now() + age);
        }
    }
}

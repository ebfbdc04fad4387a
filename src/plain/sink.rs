//! Where lines go: a thread that writes, so that a blocked output blocks nothing else.

use std::{collections::VecDeque, io::Write, time::Duration};

use tokio::sync::{mpsc, watch};

/// Chunks on their way to the writer: enough to keep it busy, few enough that a closed output is noticed soon.
const UNDERWAY: usize = 16;
/// Lines kept for a writer that is behind; beyond it the view stops reading the log, which keeps everything.
const BACKLOG: usize = 512;
/// How long the end waits for an output that takes nothing: the run is over and on disk by then.
const LAST: Duration = Duration::from_secs(30);

/// An output with a thread of its own.
pub struct Sink {
    chunks: mpsc::Sender<Vec<u8>>,
    written: watch::Receiver<u64>,
    sent: u64,
    backlog: VecDeque<Vec<u8>>,
    lost: bool,
}

impl Sink {
    /// Writes to `out` from a new thread, which ends at the first error or when the sink is dropped.
    #[must_use]
    pub fn new(mut out: Box<dyn Write + Send>) -> Self {
        let (chunks, mut incoming) = mpsc::channel::<Vec<u8>>(UNDERWAY);
        let (count, written) = watch::channel(0);
        std::thread::spawn(move || {
            while let Some(mut chunk) = incoming.blocking_recv() {
                let mut taken = 1;
                while let Ok(more) = incoming.try_recv() {
                    chunk.extend(more);
                    taken += 1;
                }
                // A closed pipe is an ordinary end here: dropping the receiver tells the view.
                if out.write_all(&chunk).and_then(|()| out.flush()).is_err() {
                    return;
                }
                count.send_modify(|n| *n += taken);
            }
        });
        Self { chunks, written, sent: 0, backlog: VecDeque::new(), lost: false }
    }

    /// Standard output, unbuffered beyond a chunk.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(Box::new(std::io::stdout()))
    }

    /// Standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::new(Box::new(std::io::stderr()))
    }

    /// Queues text as it is.
    pub(super) fn push(&mut self, text: impl Into<Vec<u8>>) {
        if !self.lost {
            self.backlog.push_back(text.into());
            self.pump();
        }
    }

    fn pump(&mut self) {
        while let Some(chunk) = self.backlog.pop_front() {
            match self.chunks.try_send(chunk) {
                Ok(()) => self.sent += 1,
                Err(mpsc::error::TrySendError::Full(chunk)) => return self.backlog.push_front(chunk),
                Err(mpsc::error::TrySendError::Closed(_)) => return self.give_up(),
            }
        }
    }

    fn give_up(&mut self) {
        self.lost = true;
        self.backlog.clear();
    }

    /// True once the output is closed.
    pub(super) fn lost(&mut self) -> bool {
        if !self.lost && self.chunks.is_closed() {
            self.give_up();
        }
        self.lost
    }

    /// True while the output keeps up.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.len() < BACKLOG
    }

    /// True once everything is written.
    pub(super) fn settled(&self) -> bool {
        self.lost || (self.backlog.is_empty() && *self.written.borrow() == self.sent)
    }

    /// Waits until something was written or the output is closed; to be called while not settled.
    pub(super) async fn moved(&mut self) {
        if self.written.changed().await.is_err() {
            self.give_up();
        }
        self.pump();
    }

    /// Writes what is left; false where the output takes it no more.
    pub(super) async fn finish(mut self) -> bool {
        let all = async {
            while !self.settled() {
                self.moved().await;
            }
        };
        tokio::time::timeout(LAST, all).await.is_ok() && !self.lost()
    }
}

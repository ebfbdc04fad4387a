//! The way from a view to the conductor: an intent goes out, the answer comes back.

use tokio::sync::{mpsc, oneshot};

use crate::{
    base::PersonId,
    run::{HoldWhy, Intent, Refusal},
};

/// Enough for the fastest fingers and a pasted script; a full channel makes the view wait, never the run.
const PENDING: usize = 64;

/// What a view says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A person wants something.
    Intent {
        /// Whose word it is.
        who: PersonId,
        /// Who typed it.
        typed_by: PersonId,
        /// What.
        intent: Intent,
    },
    /// The operator leaves: the step in flight is finished and recorded, nothing new starts, the run
    /// holds, and the process ends. The run can be resumed.
    Leave(HoldWhy),
}

/// The answer to a view: nothing, or why not.
pub type Answer = Result<(), Refusal>;

/// What a view said, and where the answer goes.
#[derive(Debug)]
pub struct Request {
    /// What.
    pub said: Said,
    /// Gets the answer.
    pub answer: oneshot::Sender<Answer>,
}

/// The view's end.
#[derive(Debug, Clone)]
pub struct InputSender(mpsc::Sender<Request>);

/// The conductor's end.
#[derive(Debug)]
pub struct InputReceiver(mpsc::Receiver<Request>);

impl InputSender {
    /// Both ends.
    #[must_use]
    pub fn channel() -> (Self, InputReceiver) {
        let (sender, receiver) = mpsc::channel(PENDING);
        (Self(sender), InputReceiver(receiver))
    }

    /// Says something without waiting; the answer can be polled with `try_recv` or awaited. `None`
    /// where the run is gone or does not listen.
    #[must_use]
    pub fn say(&self, said: Said) -> Option<oneshot::Receiver<Answer>> {
        let (answer, receiver) = oneshot::channel();
        self.0.try_send(Request { said, answer }).ok()?;
        Some(receiver)
    }

    /// Says something and waits for the answer; a run that is gone answers [`Refusal::Over`].
    ///
    /// # Errors
    /// The refusal.
    pub async fn ask(&self, said: Said) -> Answer {
        let (answer, receiver) = oneshot::channel();
        if self.0.send(Request { said, answer }).await.is_err() {
            return Err(Refusal::Over);
        }
        receiver.await.unwrap_or(Err(Refusal::Over))
    }
}

impl InputReceiver {
    /// The next request; `None` once every view is gone.
    pub async fn next(&mut self) -> Option<Request> {
        self.0.recv().await
    }
}

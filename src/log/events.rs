//! The event log: one writer, any number of readers, each with a cursor of its own.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::run::Envelope;

#[derive(Default)]
struct Inner {
    envelopes: Mutex<Kept>,
    grown: Condvar,
}

#[derive(Default)]
struct Kept {
    all: Vec<Arc<Envelope>>,
    closed: bool,
    anchor: String,
}

/// Append-only log of envelopes. Clones share it.
#[derive(Clone)]
pub struct EventLog {
    inner: Arc<Inner>,
    length: watch::Sender<usize>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { inner: Arc::default(), length: watch::Sender::new(0) }
    }
}

impl EventLog {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A reader that panicked has not broken the list: it only ever grows.
        self.inner.envelopes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends envelopes that are durable already.
    pub fn publish(&self, envelopes: impl IntoIterator<Item = Envelope>) {
        let mut kept = self.kept();
        kept.all.extend(envelopes.into_iter().map(Arc::new));
        let length = kept.all.len();
        drop(kept);
        self.inner.grown.notify_all();
        self.length.send_replace(length);
    }

    /// Nothing more will come: the source is at its end.
    pub fn close(&self) {
        self.kept().closed = true;
        self.inner.grown.notify_all();
        self.length.send_modify(|_| {});
    }

    /// True once nothing more will come.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.kept().closed
    }

    /// The journal's newest anchor, for people to paste into their chat: it shows later that nothing
    /// before it was cut off or rewritten.
    pub fn set_anchor(&self, anchor: String) {
        self.kept().anchor = anchor;
    }

    /// The newest anchor; empty before the first one.
    #[must_use]
    pub fn anchor(&self) -> String {
        self.kept().anchor.clone()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept().all.len()
    }

    /// True while there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The envelopes from `cursor` on, at most up to (not including) `until`.
    #[must_use]
    pub fn read(&self, cursor: usize, until: usize) -> Vec<Arc<Envelope>> {
        let kept = self.kept();
        let until = until.min(kept.all.len());
        kept.all.get(cursor..until).map(<[_]>::to_vec).unwrap_or_default()
    }

    /// Blocks until there are more than `cursor`, the log is closed, or `wait` is over. For views with a thread of their own.
    pub fn wait(&self, cursor: usize, wait: Duration) {
        let kept = self.kept();
        let unchanged = |kept: &mut Kept| kept.all.len() <= cursor && !kept.closed;
        drop(self.inner.grown.wait_timeout_while(kept, wait, unchanged));
    }

    /// Waits until there are more than `cursor` or the log is closed. For views on the runtime.
    pub async fn changed(&self, cursor: usize) {
        let mut length = self.length.subscribe();
        while self.len() <= cursor && !self.closed() {
            if length.changed().await.is_err() {
                return;
            }
        }
    }
}

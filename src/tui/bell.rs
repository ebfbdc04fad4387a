//! Wakes the screen's loop when the log has grown: the loop waits on descriptors, a log has none.

use std::{
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::log::EventLog;

/// The wish to be taken down is looked at this often.
const LOOK: Duration = Duration::from_millis(200);

/// Rings when the log has grown.
pub(super) struct Bell {
    pub(super) rung: PipeReader,
    ringing: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
}

impl Bell {
    /// Hangs it on a log.
    pub(super) fn hang(log: &EventLog) -> io::Result<Self> {
        let (rung, pull) = io::pipe()?;
        let (ringing, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let bell = Self { rung, ringing: Arc::clone(&ringing), over: Arc::clone(&over) };
        let log = log.clone();
        thread::Builder::new().name("screen-bell".into()).spawn(move || Self::watch(&log, pull, &ringing, &over))?;
        Ok(bell)
    }

    fn watch(log: &EventLog, mut pull: PipeWriter, ringing: &AtomicBool, over: &AtomicBool) {
        let mut heard = log.len();
        loop {
            log.wait(heard, LOOK);
            if over.load(Ordering::SeqCst) {
                return;
            }
            let length = log.len();
            let closed = log.closed();
            if (length > heard || closed) && !ringing.swap(true, Ordering::SeqCst) && pull.write_all(&[1]).is_err() {
                return;
            }
            heard = length;
            if closed {
                return;
            }
        }
    }

    /// Silences it; what was rung for is looked at next.
    pub(super) fn silence(&mut self) {
        let mut byte = [0];
        // One byte lies in the pipe for each time it was rung. At the end of the log the other end is gone.
        let _ = self.rung.read(&mut byte);
        self.ringing.store(false, Ordering::SeqCst);
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

//! What an attempt's task sends to the conductor, and the reporter that a kind is given: never
//! blocks, drops when flooded, says what it dropped.

use std::{
    fs::File,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::sync::{mpsc, oneshot};

use super::Sight;
use crate::{
    base::{Class, Failure, RedactStream, Redactor, StepId, WatchId, clean_line},
    journal::{OutFile, RunDir},
    plan::contract::Reporter,
    run::{Intended, Report, Sample},
};

/// What tasks send.
pub(super) enum Message {
    /// An attempt's report; `go` is answered once its intent is on disk.
    Report { step: StepId, attempt: u32, report: Report, go: Option<oneshot::Sender<Intended>> },
    /// An attempt's task has ended.
    Gone { step: StepId, attempt: u32 },
    /// A criterion was looked at.
    Criterion { step: StepId, round: u32, index: usize, result: Sight },
    /// A watch looked.
    Watch { watch: WatchId, sample: Sample },
}

/// Lines of one attempt that go to the journal; the rest is in its output file only.
const LINES: u32 = 500;
/// Longest line in the journal.
const LINE: usize = 400;

/// The reporter of one attempt.
pub(super) struct AttemptReporter {
    step: StepId,
    attempt: u32,
    to: mpsc::Sender<Message>,
    redactor: Arc<Redactor>,
    dir: Arc<RunDir>,
    output: Mutex<Option<(RedactStream, OutFile)>>,
    lines: AtomicU32,
    last: Mutex<(u8, String)>,
}

impl AttemptReporter {
    pub(super) fn new(
        step: StepId,
        attempt: u32,
        to: mpsc::Sender<Message>,
        redactor: Arc<Redactor>,
        dir: Arc<RunDir>,
    ) -> Self {
        let (output, lines, last) = (Mutex::default(), AtomicU32::new(0), Mutex::default());
        Self { step, attempt, to, redactor, dir, output, lines, last }
    }

    /// True while something lives on that an attempt of the step started.
    pub(super) fn lives_on(&self) -> Result<bool, Failure> {
        let looked = self.dir.lives_on(&self.step);
        looked.map_err(|e| Failure::new(Class::NotYet, format!("no data: out/{}.live: {e}", self.step)))
    }

    /// Ends the output file, where there is one, and tells its size and hash.
    pub(super) fn finish(&self) {
        let taken = self.output.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut stream, mut file)) = taken else { return };
        file.push(&stream.finish());
        let (output, error) = file.finish();
        if let Some(error) = error {
            self.send(Report::Line(format!("its output could not be kept: {error}")));
        }
        if let Some(name) = output.file {
            let part = if output.whole { "" } else { ", first and last part" };
            self.send(Report::Line(format!("output: {} bytes, SHA-256 {}, {name}{part}", output.size, output.sha256)));
        }
    }

    fn clean(&self, text: &str) -> String {
        clean_line(&self.redactor.redact(text), LINE)
    }

    fn send(&self, report: Report) {
        // A full channel means a flood: the line is in the output file, and a person could not have read it.
        let message = Message::Report { step: self.step.clone(), attempt: self.attempt, report, go: None };
        let _flooded = self.to.try_send(message);
    }
}

impl Reporter for AttemptReporter {
    fn line(&self, text: &str) {
        match self.lines.fetch_add(1, Ordering::Relaxed) {
            n if n < LINES => self.send(Report::Line(self.clean(text))),
            LINES => self.send(Report::Line(format!("more than {LINES} lines: the rest is in its output file only"))),
            _ => {}
        }
    }

    fn progress(&self, done: f32, text: &str) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
        let percent = (done.clamp(0.0, 1.0) * 100.0) as u8;
        let text = self.clean(text);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == (percent, text.clone()) {
            return;
        }
        *last = (percent, text.clone());
        self.send(Report::Progress { percent, text });
    }

    fn output(&self, bytes: &[u8]) {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, file) =
            output.get_or_insert_with(|| (self.redactor.stream(), self.dir.output(&self.step, self.attempt)));
        file.push(&stream.push(bytes));
    }

    fn mark(&self) -> Result<Option<File>, Failure> {
        let marked = self.dir.share_live(&self.step);
        marked
            .map(Some)
            .map_err(|e| Failure::new(Class::FailedNothingDone, format!("not started: out/{}.live: {e}", self.step)))
    }
}

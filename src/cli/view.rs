//! Chooses and runs the view of a run.

use super::{Problem, night::{Live, Show}};
use crate::{
    base::PersonId,
    conductor::Clock,
    log::{EventLog, InputSender},
    run::HoldWhy,
    runbook::EnvKind,
};

pub(super) struct View(tokio::task::JoinHandle<()>);

impl View {
    pub(super) fn open(_show: &Show, log: &EventLog, _sender: &InputSender, clock: Clock, _operator: &PersonId, _kind: EnvKind) -> Result<Self, Problem> {
        let log = log.clone();
        let _ = Live(clock);
        Ok(Self(tokio::spawn(async move {
            let mut cursor = 0;
            loop {
                for e in log.read(cursor, usize::MAX) {
                    cursor += 1;
                    println!("{}", String::from_utf8_lossy(&e.encode().unwrap_or_default()));
                }
                if log.closed() && cursor >= log.len() { return; }
                log.changed(cursor).await;
            }
        })))
    }
    pub(super) async fn wait(self) -> Option<HoldWhy> { let _ = self.0.await; None }
}

//! The contract between the conductor and a kind: what a check and an action offer, what they are
//! given, and what they answer. Every kind is tested against it (`tests/it/kinds/contract.rs`).
//!
//! ```text
//! one attempt:  precheck… ─ fence ─ capture ─ [intent on disk] ─ apply ─ verify…
//! rollback:                  fence ─ [intent on disk] ─ restore ─ (compare)
//! resume in doubt:           probe ─ a person decides
//! ```

use std::{collections::BTreeMap, fs::File, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use crate::base::{Class, Failure, StepId, bounded, clean_line};
pub use crate::run::{Done, Doubt, Finding, Identity, Seen, ValueRule};

/// Lines that a kind made of a file's text, harmless and each on one line, so that none can pass for another's.
#[must_use]
pub fn harmless(lines: Vec<String>) -> Vec<String> {
    lines.iter().map(|line| clean_line(line, usize::MAX)).collect()
}

/// So much of what was captured is told before it is written back, bytes.
const UNDOES: usize = 400;

/// One thing that has to be allowed at AWS: an IAM action on a resource. What it names beforehand is all it
/// can name: what only the run can know is a `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// `ecs:UpdateService`.
    pub action: String,
    /// The ARN, with `*` for what is not known; `*` alone where the action takes no resource.
    pub resource: String,
}

impl Permission {
    /// An action on a resource.
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into() }
    }

    /// An action that takes no resource.
    pub fn anywhere(action: impl Into<String>) -> Self {
        Self::new(action, "*")
    }
}

/// What an earlier step left behind, for a kind that builds on it (`after = "lower-ttl"`).
#[derive(Debug, Clone, Default)]
pub struct Prior {
    /// What its action captured.
    pub captured: Json,
    /// The evidence of what it did.
    pub evidence: Json,
    /// When a person called it done by hand.
    pub by_hand: Option<DateTime<Utc>>,
}

/// Where an attempt reports while it works. Both calls never block and may drop when flooded.
pub trait Reporter: Send + Sync {
    /// One line for the log pane and the journal; cleaned and redacted by the receiver.
    fn line(&self, text: &str);
    /// How far it is, 0 to 1, with one line of what it waits for.
    fn progress(&self, done: f32, text: &str);
    /// Raw output of a command, kept in `out/<step>-<attempt>.log`; lines also go to [`Reporter::line`].
    fn output(&self, bytes: &[u8]);
    /// What a program that changes something has to keep open, so that a resume can tell whether it still works.
    /// `None`: there is no run that could be resumed.
    ///
    /// # Errors
    /// Nothing may be started.
    fn mark(&self) -> Result<Option<File>, Failure> {
        Ok(None)
    }
}

/// What an attempt is given.
#[derive(Clone)]
pub struct Cx {
    /// The step.
    pub step: StepId,
    /// Which attempt, from 1; looks and checks of their own count too.
    pub attempt: u32,
    /// Which try of the action, from 1, as people count; a look whether it was done counts as that try.
    pub nth: u32,
    /// A token stored with the intent: 32 hex digits. An attempt after one whose outcome nobody knows has the same.
    pub token: String,
    /// The token went out before, with a request that may have been done or may still be under way.
    pub again: bool,
    /// When the attempt must be over.
    pub deadline: tokio::time::Instant,
    /// Cancelled when the run is aborted; a kind stops at its next await and says what is unknown.
    pub cancel: CancellationToken,
    /// Where to report.
    pub reporter: Arc<dyn Reporter>,
    /// What the steps named by [`Params::step_ref`] left behind.
    pub priors: Arc<BTreeMap<StepId, Prior>>,
    /// Resolves when the owner says that a manual step is done, with the value written down.
    pub owner: tokio::sync::watch::Receiver<Option<OwnerDone>>,
}

/// The owner's word that a manual step is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerDone {
    /// Who says so.
    pub who: String,
    /// The value that the step asked for.
    pub value: Option<String>,
    /// What was not ticked off.
    pub unticked: Vec<String>,
}

impl Cx {
    /// Time left until the deadline.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(tokio::time::Instant::now())
    }

    /// Reports a line.
    pub fn line(&self, text: impl AsRef<str>) {
        self.reporter.line(text.as_ref());
    }

    /// Reports progress, 0 to 1.
    pub fn progress(&self, done: f32, text: impl AsRef<str>) {
        self.reporter.progress(done.clamp(0.0, 1.0), text.as_ref());
    }

    /// Waits, but not past the deadline and not past a cancellation.
    ///
    /// # Errors
    /// `NotYet` at the deadline or on cancellation; an action that has sent something turns it into `Unknown`
    /// or `Failed` itself.
    pub async fn pause(&self, wait: Duration) -> Result<(), Failure> {
        let until = tokio::time::Instant::now() + wait;
        tokio::select! {
            () = self.cancel.cancelled() => Err(Failure::new(Class::NotYet, "cancelled")),
            () = tokio::time::sleep_until(until.min(self.deadline)) => {
                if until > self.deadline { Err(Failure::new(Class::NotYet, "timed out")) } else { Ok(()) }
            }
        }
    }

    /// Polls `look` every `every` until it answers something other than `NotYet`, the deadline passes or
    /// the run is aborted. The last `NotYet` is what a timeout reports.
    ///
    /// # Errors
    /// Whatever `look` fails with; at the deadline the last `NotYet`, its message prefixed by "timed out: ". A look that
    /// the deadline cut short ([`CUT_SHORT`], or no data or a pause that ended there) saw nothing: what the one before it
    /// saw is told.
    pub async fn poll<T, F, Fut>(&self, every: Duration, mut look: F) -> Result<T, Failure>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let mut before: Option<Failure> = None;
        loop {
            let last = match look().await {
                Err(cut) if cut.class == Class::NotYet && cut.message == CUT_SHORT => {
                    before.take().unwrap_or_else(|| Failure::new(Class::NotYet, "no data: the first look was not over"))
                }
                Err(late) if late.class == Class::NotYet && self.left().is_zero() && is_cut(&late.message) => {
                    before.take().unwrap_or(late)
                }
                Err(failure) if failure.class == Class::NotYet => failure,
                other => return other,
            };
            if let Err(end) = self.pause(every).await {
                let message = format!("{}: {}", end.message, last.message);
                return Err(Failure { message, ..last });
            }
            before = Some(last);
        }
    }
}

/// What a look says that the deadline ended from within.
fn is_cut(message: &str) -> bool {
    message.starts_with("no data") || message == "timed out"
}

/// The message of a look that the attempt's deadline cut short.
pub const CUT_SHORT: &str = "timed out while looking";

/// Reads and may be repeated at will. Sends nothing that changes anything.
pub trait Check: Send + Sync {
    /// One line that names the request before it is sent: `GET https://… expects 200`.
    fn looks(&self) -> String;

    /// Looks once.
    ///
    /// # Errors
    /// `NotYet`: looked, and it is not so (yet), or there is no data. Other classes: could not look.
    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>>;

    /// What has to be allowed at AWS for it, no more and no less, the fence apart (STS allows everybody).
    fn needs(&self) -> Vec<Permission> {
        Vec::new()
    }

    /// Wait between two looks while a step polls it.
    fn every(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// Compares the account or app that it would read with the environment's; `None`: nothing to compare.
    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { Ok(None) })
    }
}

/// Changes the world, or waits for it. One attempt is `capture`, then an intent on disk, then `apply`.
pub trait Action: Send + Sync {
    /// The requests in words, before they are sent, one a line.
    fn does(&self) -> Vec<String>;

    /// The same for [`Action::restore`].
    fn undoes(&self, captured: &Json) -> Vec<String> {
        let what =
            if captured.is_null() { String::new() } else { format!(": {}", bounded(&captured.to_string(), UNDOES)) };
        vec![format!("write back what was there before{what}")]
    }

    /// What has to be allowed at AWS for it, no more and no less: capture, apply, restore and probe. The fence
    /// apart (STS allows everybody).
    fn needs(&self) -> Vec<Permission> {
        Vec::new()
    }

    /// What a resume may do with it.
    fn doubt(&self) -> Doubt;

    /// False for kinds that only wait or read (`dns.wait_ttl`, `wait`): they need no rollback and run in a dry run.
    fn changes(&self) -> bool {
        true
    }

    /// False where what it does cannot be put back by [`Action::restore`] (`command`, `manual`, `ecs.run_task`).
    fn restorable(&self) -> bool {
        self.changes()
    }

    /// Compares the account or app that it is connected to with the environment's; `None`: nothing to compare.
    ///
    /// # Errors
    /// `Refused` where they differ, showing both; `Denied` where the identity cannot be had.
    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { Ok(None) })
    }

    /// Saves what is about to change. Reads only. `Json::Null` where there is nothing to save.
    ///
    /// # Errors
    /// Nothing was done.
    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>>;

    /// Does it, and waits until it is done. Twice equals once, or the kind is opaque.
    ///
    /// # Errors
    /// The class says what is known of the world; a cancelled or timed out call whose request may
    /// have arrived is `Unknown`.
    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>>;

    /// Puts back what was captured, compares, and says so.
    ///
    /// # Errors
    /// As [`Action::apply`].
    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>>;

    /// Looks whether an attempt whose outcome nobody saw was done. `back`: the attempt was a restore.
    ///
    /// # Errors
    /// Could not look.
    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>>;

    /// True where a person does the work and the step is theirs alone while it runs.
    fn manual(&self) -> bool {
        false
    }

    /// What its owner writes down at the end of a manual step.
    fn asks_value(&self) -> Option<String> {
        None
    }

    /// What that value has to look like.
    fn value_rule(&self) -> Option<ValueRule> {
        None
    }

    /// What its owner ticks off, one by one.
    fn checklist(&self) -> Vec<String> {
        Vec::new()
    }

    /// Clocks that this kind starts or stops by its nature.
    fn clocks(&self) -> crate::runbook::Clocks {
        crate::runbook::Clocks::default()
    }
}

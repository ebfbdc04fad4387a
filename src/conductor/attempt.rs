//! One attempt, from its first read to its outcome. Acts only after the conductor answered that the
//! intent is on disk.
//!
//! ```text
//! do:     precheck… ─ fence ─ capture ─▶ Ready ─(intent synced)─▶ apply ─ verify… ─▶ Ended
//! undo:                fence ─────────▶ Ready ─(intent synced)─▶ restore ─────────▶ Ended
//! probe:                                                           probe ─▶ Found
//! recheck:                                                        verify… ─▶ Ended
//! ```

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::reporter::{AttemptReporter, Message};
use crate::{
    base::{Class, Failure},
    plan::{Action, Bound, BoundRollback, Check, Cx, contract::harmless},
    run::{Done, Finding, Outcome, Report, Seen, Treatment, What, Where},
};

/// A kind that does not come back at its deadline gets this much longer before it is given up: a command's group is
/// given 10 s to end by itself.
const GRACE: Duration = Duration::from_secs(15);

/// How often it is looked whether what an attempt started still runs.
const LOOK: Duration = Duration::from_millis(100);

/// What an attempt's task owns.
pub(super) struct Attempt {
    pub(super) bound: Arc<Bound>,
    pub(super) what: What,
    pub(super) cx: Cx,
    pub(super) reporter: Arc<AttemptReporter>,
    pub(super) to: mpsc::Sender<Message>,
    pub(super) timeout: Duration,
    /// What the attempt in doubt, or the forward leg, captured.
    pub(super) captured: Json,
    pub(super) treatment: Treatment,
    /// SHA-256 of the step as resolved, part of the request digest.
    pub(super) step_hash: String,
}

impl Attempt {
    /// Works to the end and reports it. A kind that panics has left the world in an unknown state.
    pub(super) async fn run(self) {
        let report = match AssertUnwindSafe(self.work()).catch_unwind().await {
            Ok(report) => report,
            Err(_) => Report::Ended(Outcome::Failed(
                Failure::new(Class::Unknown, "the step's own code panicked")
                    .hint("this is a defect of gonogo; look at the world before going on"),
            )),
        };
        self.reporter.finish();
        self.send(report, None).await;
        let gone = Message::Gone { step: self.cx.step.clone(), attempt: self.cx.attempt };
        let _conductor_gone = self.to.send(gone).await;
    }

    async fn work(&self) -> Report {
        match self.what {
            What::Do => Report::Ended(outcome(self.act().await)),
            What::Undo => Report::Ended(outcome(self.undo().await)),
            What::Recheck => Report::Ended(outcome(self.recheck().await)),
            What::Probe | What::ProbeUndo => match self.probe().await {
                Ok(finding) => Report::Found(finding),
                Err(failure) => Report::Ended(Outcome::Failed(failure)),
            },
        }
    }

    async fn send(&self, report: Report, go: Option<oneshot::Sender<crate::run::Intended>>) {
        let message = Message::Report { step: self.cx.step.clone(), attempt: self.cx.attempt, report, go };
        let _conductor_gone = self.to.send(message).await;
    }

    async fn act(&self) -> Result<Done, Failure> {
        if self.treatment == Treatment::ReadOnly {
            return self.read_only().await;
        }
        self.look_once(&self.bound.precheck, Where::Precheck).await?;
        let mut done = None;
        if let Some(action) = &self.bound.action {
            self.fence(action.as_ref()).await?;
            let captured = self.within(action.capture(&self.cx)).await?;
            if action.changes() {
                self.ready(action.does(), captured.clone()).await?;
            }
            done = Some(self.acting(action.as_ref(), action.apply(&self.cx, &captured)).await?);
        }
        let changed = self.bound.action.as_ref().is_some_and(|action| action.changes());
        let seen = self.verify(&self.cx_for_verify()).await.map_err(|failure| match changed {
            // The action is done; whatever its checks say, "nothing was done" is no longer true.
            true => Failure {
                class: Class::Failed,
                message: format!("done, but not verified: {}", failure.message),
                ..failure
            },
            false => failure,
        })?;
        Ok(done.unwrap_or_else(|| summary(&seen)))
    }

    /// A dry run: every read is done for real and told, none is judged, since what they wait for was not done.
    async fn read_only(&self) -> Result<Done, Failure> {
        let mut told = Vec::new();
        if let Some(action) = &self.bound.action {
            self.fence(action.as_ref()).await?;
            self.within(action.capture(&self.cx)).await?;
            told.push(format!("not done: {}", harmless(action.does()).join("; ")));
        }
        for check in self.bound.precheck.iter().chain(&self.bound.verify).chain(&self.bound.criteria) {
            told.push(match self.within(check.check(&self.cx)).await {
                Ok(seen) => format!("holds now: {}", seen.line),
                Err(failure) => format!("does not hold now: {}", failure.message),
            });
        }
        for line in &told {
            self.cx.line(line);
        }
        Ok(Done::new(format!("dry run: {}", told.join("; "))))
    }

    async fn undo(&self) -> Result<Done, Failure> {
        match &self.bound.rollback {
            BoundRollback::Restore => {
                let Some(action) = &self.bound.action else {
                    return Err(Failure::new(Class::Misconfigured, "there is no action to restore"));
                };
                self.fence(action.as_ref()).await?;
                self.ready(action.undoes(&self.captured), self.captured.clone()).await?;
                self.acting(action.as_ref(), action.restore(&self.cx, &self.captured)).await
            }
            BoundRollback::Action(action) => {
                self.fence(action.as_ref()).await?;
                let captured = self.within(action.capture(&self.cx)).await?;
                self.ready(action.does(), captured.clone()).await?;
                self.acting(action.as_ref(), action.apply(&self.cx, &captured)).await
            }
            BoundRollback::None => Err(Failure::new(Class::Misconfigured, "the step has no rollback")),
        }
    }

    async fn recheck(&self) -> Result<Done, Failure> {
        if self.bound.verify.is_empty() {
            return Ok(Done::new("nothing more to look at: the step has no checks of its own"));
        }
        let seen = self.verify(&self.cx).await?;
        Ok(summary(&seen))
    }

    async fn probe(&self) -> Result<Finding, Failure> {
        if !self.alone().await? {
            return Ok(Finding::Unclear { line: "what it started still runs".into() });
        }
        let (action, back) = match (&self.bound.rollback, self.what) {
            (BoundRollback::Action(action), What::ProbeUndo) => (Some(action), false),
            (_, What::ProbeUndo) => (self.bound.action.as_ref(), true),
            _ => (self.bound.action.as_ref(), false),
        };
        match action {
            Some(action) => self.within(action.probe(&self.cx, &self.captured, back)).await,
            None => Ok(Finding::NotDone { line: "the step only checks".into() }),
        }
    }

    /// Waits for the end of what an attempt in doubt has started, since it may do at any moment what is not done now. False
    /// where that still runs with a quarter of the time left: the kind's own look needs some.
    async fn alone(&self) -> Result<bool, Failure> {
        let until = self.cx.deadline - self.cx.left() / 4;
        let mut told = false;
        while self.reporter.lives_on()? {
            if Instant::now() >= until {
                return Ok(false);
            }
            if !told {
                self.cx.line("what it started still runs: waiting for its end");
                told = true;
            }
            self.cx.pause(LOOK).await?;
        }
        Ok(true)
    }

    async fn fence(&self, action: &dyn Action) -> Result<(), Failure> {
        if let Some(identity) = self.within(action.fence()).await? {
            self.send(Report::Identified(identity), None).await;
        }
        Ok(())
    }

    /// Reports what is about to be done and waits until that is on disk.
    async fn ready(&self, does: Vec<String>, captured: Json) -> Result<(), Failure> {
        let digest = Sha256::new()
            .chain_update(&self.step_hash)
            .chain_update(serde_json::to_vec(&captured).unwrap_or_default())
            .finalize();
        let left = chrono::Duration::from_std(self.cx.left()).unwrap_or_else(|_| chrono::Duration::days(1));
        let report = Report::Ready {
            does: harmless(does),
            digest: hex(&digest),
            token: self.cx.token.clone(),
            captured,
            deadline: chrono::Utc::now() + left,
        };
        let (go, answer) = oneshot::channel();
        self.send(report, Some(go)).await;
        match answer.await {
            Ok(_intended) => Ok(()),
            Err(_) => Err(Failure::new(Class::FailedNothingDone, "not started: its intent could not be recorded")),
        }
    }

    /// A read, with the attempt's deadline as its last guard.
    async fn within<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            result = work => result,
            () = self.given_up() => Err(Failure::new(Class::NotYet, "timed out while reading")),
        }
    }

    /// The grace begins when the deadline is noticed: where we were stopped or asleep meanwhile, the kind has not yet
    /// been asked what became of its work.
    async fn given_up(&self) {
        tokio::time::sleep_until(self.cx.deadline).await;
        tokio::time::sleep(GRACE).await;
    }

    /// An action. One that does not come back may have done anything.
    async fn acting(
        &self,
        action: &dyn Action,
        work: impl Future<Output = Result<Done, Failure>>,
    ) -> Result<Done, Failure> {
        if action.manual() {
            return work.await;
        }
        let result = tokio::select! {
            biased;
            result = work => result,
            () = self.given_up() => match action.changes() {
                true => Err(Failure::new(Class::Unknown, "timed out: nobody knows whether it was done")),
                false => Err(Failure::new(Class::NotYet, "timed out")),
            },
        };
        match result {
            // A look that says "not yet" proves nothing about what was sent before it.
            Err(failure) if action.changes() && failure.class == Class::NotYet => {
                Err(Failure { class: Class::Unknown, ..failure })
            }
            result => result,
        }
    }

    async fn look_once(&self, checks: &[Arc<dyn Check>], place: Where) -> Result<(), Failure> {
        for (index, check) in checks.iter().enumerate() {
            let seen = self
                .within(check.check(&self.cx))
                .await
                .map_err(|failure| Failure { message: format!("precheck: {}", failure.message), ..failure })?;
            self.send(Report::Checked { place, index, seen }, None).await;
        }
        Ok(())
    }

    /// Polls every check until it holds, in order: a later one may build on an earlier one.
    async fn verify(&self, cx: &Cx) -> Result<Vec<Seen>, Failure> {
        let mut all = Vec::with_capacity(self.bound.verify.len());
        for (index, check) in self.bound.verify.iter().enumerate() {
            let told = Mutex::new(String::new());
            let told = &told;
            let seen = cx
                .poll(check.every(), || async move {
                    let answer = self.within(check.check(cx)).await;
                    if let Err(failure) = &answer {
                        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                        if *told != failure.message {
                            told.clone_from(&failure.message);
                            cx.line(format!("not yet: {told}"));
                        }
                    }
                    answer
                })
                .await?;
            self.send(Report::Checked { place: Where::Verify, index, seen: seen.clone() }, None).await;
            all.push(seen);
        }
        Ok(all)
    }

    /// A manual step's owner may take any time; its checks get a whole timeout afterwards.
    fn cx_for_verify(&self) -> Cx {
        let manual = self.bound.action.as_ref().is_some_and(|action| action.manual());
        let deadline = if manual { Instant::now() + self.timeout } else { self.cx.deadline };
        Cx { deadline, ..self.cx.clone() }
    }
}

fn outcome(result: Result<Done, Failure>) -> Outcome {
    match result {
        Ok(done) => Outcome::Done(done),
        Err(failure) => Outcome::Failed(failure),
    }
}

fn summary(seen: &[Seen]) -> Done {
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let evidence: Vec<&Json> = seen.iter().map(|seen| &seen.evidence).filter(|e| !e.is_null()).collect();
    let done = Done::new(lines.join("; "));
    if evidence.is_empty() { done } else { done.with(json!({ "checks": evidence })) }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

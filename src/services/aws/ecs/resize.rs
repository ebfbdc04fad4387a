//! Another count for a service, there and back: what is captured, sent, waited for.
//!
//! ```text
//! look ─ the count as wanted → wait until the tasks are there, or really gone
//!      ─ as before → UpdateService ─▶ wait ─ as wanted → done
//!      ─ else → refused                    ─ another count, for a while → fought: failed
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{
    Service,
    model::tasks,
    watch::{LOOK, blind},
};
use crate::{
    base::{Class, Failure},
    plan::{Cx, Done, Finding},
    services::aws::{Aws, Patience, swap::APART},
};

/// What `ecs.scale` captures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// Cluster.
    pub cluster: String,
    /// Service.
    pub service: String,
    /// Tasks that were wanted.
    pub before: i32,
    /// Tasks that are wanted.
    pub after: i32,
}

impl Resize {
    /// As the journal has it.
    ///
    /// # Errors
    /// `Misconfigured` where it is something else.
    pub fn from_captured(captured: &Json) -> Result<Self, Failure> {
        serde_json::from_value(captured.clone()).map_err(|e| {
            Failure::new(Class::Misconfigured, "what the journal holds is not a count").because(e.to_string())
        })
    }

    /// As captured.
    #[must_use]
    pub fn to_captured(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The way back.
    #[must_use]
    pub fn back(self) -> Self {
        Self { before: self.after, after: self.before, ..self }
    }

    fn done(&self, how: &str, now: &Service) -> Done {
        let evidence = json!({
            "cluster": self.cluster,
            "service": self.service,
            "before": self.before,
            "desired": now.desired,
            "running": now.running,
        });
        Done::new(format!("{how}: {} {} of {} running", self.service, now.running, now.desired)).with(evidence)
    }

    /// Tasks that are still there though nobody wants them: ECS no longer counts a task that drains or obeys its
    /// SIGTERM, and it still works on what it has.
    async fn leaving(&self, aws: &Aws, patience: &Patience) -> Result<usize, Failure> {
        let stopping = aws.service_tasks(&self.cluster, &self.service, true, patience).await?;
        let stopping = stopping.iter().filter(|task| task.status != "STOPPED").count();
        let running = aws.service_tasks(&self.cluster, &self.service, false, patience).await?.len();
        Ok(stopping + running.saturating_sub(usize::try_from(self.after).unwrap_or_default()))
    }

    /// The count as wanted, everything started that shall run, everything gone that shall not; else how far it is.
    async fn state(&self, aws: &Aws, now: &Service, patience: &Patience) -> Result<Result<(), String>, Failure> {
        if now.desired != self.after || now.running != now.desired || now.pending > 0 {
            let pending = if now.pending > 0 { format!(", {} pending", now.pending) } else { String::new() };
            return Ok(Err(format!("{} of {} running{pending}", now.running, now.desired)));
        }
        match self.leaving(aws, patience).await? {
            0 => Ok(Ok(())),
            1 => Ok(Err(format!("{} running, 1 task is still stopping", now.running))),
            n => Ok(Err(format!("{} running, {n} tasks are still stopping", now.running))),
        }
    }

    /// Sets the count and waits until the tasks are there, or really gone.
    ///
    /// # Errors
    /// `Refused` where somebody else changed the count since the capture; `Failed` where it is fought; `Unknown`
    /// where its end was not seen.
    pub async fn run(&self, aws: &Aws, cx: &Cx) -> Result<Done, Failure> {
        let patience = Patience::of(cx);
        let now = aws.service(&self.cluster, &self.service, &patience).await?;
        let how = if now.desired == self.after {
            "already so, nothing sent"
        } else if now.desired == self.before {
            let place = (self.cluster.as_str(), self.service.as_str());
            aws.update_service(place, None, Some(self.after), false, &patience).await?;
            cx.line(format!("ECS accepted {} for service {}", tasks(self.after), self.service));
            "scaled"
        } else {
            let words = format!("somebody else changed the count of {} to {}", self.service, now.desired);
            return Err(Failure::new(Class::Refused, words)
                .because(format!("it was {}, and {} was to be set", self.before, self.after))
                .hint("ask who did, or autoscaling; a retry captures it anew"));
        };
        self.settle(aws, cx).await.map(|now| self.done(how, &now))
    }

    async fn settle(&self, aws: &Aws, cx: &Cx) -> Result<Service, Failure> {
        let patience = Patience::of(cx);
        let (mut fought, mut last) = (None::<Instant>, String::from("nothing seen yet"));
        loop {
            let look = async {
                let now = aws.service(&self.cluster, &self.service, &patience).await?;
                self.state(aws, &now, &patience).await.map(|state| (now, state))
            };
            let trouble = match look.await {
                Ok((now, Ok(()))) => return Ok(now),
                Ok((now, Err(line))) => {
                    #[expect(clippy::cast_precision_loss, reason = "counts of tasks are small")]
                    let part =
                        1.0 - (now.running - self.after).abs() as f32 / (self.before - self.after).abs().max(1) as f32;
                    cx.progress(part.clamp(0.0, 0.95), &line);
                    last = line;
                    fought = if now.desired == self.after { None } else { fought.or(Some(Instant::now())) };
                    if fought.is_some_and(|since| since.elapsed() >= APART) {
                        let words = format!(
                            "{} shall have {}, but the count was changed to {} by somebody else while we waited",
                            self.service,
                            tasks(self.after),
                            now.desired
                        );
                        return Err(aws.fought(&self.cluster, &self.service, words, &patience).await);
                    }
                    None
                }
                // It was accepted; a look that fails now is only a look.
                Err(failure) if failure.class == Class::FailedNothingDone => {
                    cx.line(format!("cannot look: {}", failure.message));
                    Some(failure)
                }
                Err(failure) => return Err(blind(failure, "the change of the count", &last)),
            };
            if let Err(end) = cx.pause(LOOK).await {
                let words = format!("{} while tasks were starting or stopping: {last}", end.message);
                let failure =
                    Failure::new(Class::Unknown, words).hint("it goes on without us; a probe looks how it ended");
                return Err(trouble.iter().fold(failure, |failure, trouble| failure.because(&trouble.message)));
            }
        }
    }

    /// Looks how it ended, and waits while tasks still start or stop.
    ///
    /// # Errors
    /// Could not look.
    pub async fn probe(&self, aws: &Aws, cx: &Cx) -> Result<Finding, Failure> {
        let patience = Patience::of(cx);
        let mut before_since = None::<Instant>;
        loop {
            let now = aws.service(&self.cluster, &self.service, &patience).await?;
            let line = match now.desired {
                n if n == self.after => match self.state(aws, &now, &patience).await? {
                    Ok(()) => return Ok(Finding::Done(self.done("found as wanted", &now))),
                    Err(line) => line,
                },
                n if n == self.before => {
                    let since = *before_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= APART {
                        let line = format!("as before, twice {} s apart: {n} tasks wanted", APART.as_secs());
                        return Ok(Finding::NotDone { line });
                    }
                    format!("{n} tasks wanted")
                }
                n => {
                    let line = format!("neither {} as before nor {} as wanted: {n}", self.before, self.after);
                    return Ok(Finding::Unclear { line });
                }
            };
            if cx.pause(LOOK).await.is_err() {
                return Ok(Finding::Unclear { line: format!("not at rest yet: {line}") });
            }
        }
    }
}

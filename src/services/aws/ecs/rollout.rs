//! One deployment of an ECS service, there and back: what is captured, sent, waited for and told.
//!
//! ```text
//! look ─ as wanted → done, nothing sent
//!      ─ on its way → wait
//!      ─ as before → UpdateService ─▶ wait ─ as wanted → done
//!      ─ else → refused                    ─ as before again, twice → rolled back: failed, nothing done
//!                                          ─ FAILED, somebody else's, stuck, count fought → failed
//! ```
//! The trap: the circuit breaker's rollback also ends `COMPLETED`, on the old task definition, so
//! that "COMPLETED" alone proves nothing.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{Images, Service, model::tasks, short_definition, verdict::Since, watch::LOOK};
use crate::{
    base::{Class, Failure},
    plan::{Cx, Done, Finding},
    services::aws::{Aws, Patience, swap::APART},
};

/// A service as far as a deployment changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// ARN, or as ECS says it; empty while it is not registered yet.
    pub task_definition: String,
    /// Tasks wanted; none: whatever it is.
    pub desired: Option<i32>,
    /// Id of the primary deployment, where it matters (a forced deployment changes nothing else).
    pub deployment: Option<String>,
}

/// What `ecs.deploy` captures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Cluster.
    pub cluster: String,
    /// Service.
    pub service: String,
    /// As it was.
    pub before: State,
    /// As it is wanted.
    pub after: State,
    /// Deploy even where nothing differs.
    #[serde(default)]
    pub force: bool,
    /// The task definition is this one with other images; its revision is found or made when it is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<(String, Images)>,
}

impl Rollout {
    /// As the journal has it.
    ///
    /// # Errors
    /// `Misconfigured` where it is something else.
    pub fn from_captured(captured: &Json) -> Result<Self, Failure> {
        serde_json::from_value(captured.clone()).map_err(|e| {
            Failure::new(Class::Misconfigured, "what the journal holds is not a service").because(e.to_string())
        })
    }

    /// As captured.
    #[must_use]
    pub fn to_captured(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The way back. The count is put back only where the way there set it: otherwise it belongs to
    /// autoscaling.
    #[must_use]
    pub fn back(self) -> Self {
        let desired = self.after.desired.and(self.before.desired);
        let after = State { desired, deployment: None, ..self.before };
        let before = State { deployment: None, ..self.after };
        Self { before, after, force: false, from: None, ..self }
    }

    /// With the revision that has the asked images: found, or registered where `make` says so.
    ///
    /// # Errors
    /// Nothing that runs was touched.
    pub async fn resolved(mut self, aws: &Aws, cx: &Cx, make: bool) -> Result<Self, Failure> {
        let Some((base, images)) = &self.from else { return Ok(self) };
        if let Some((arn, new)) = aws.with_images(base, images, make, &Patience::of(cx)).await? {
            if make {
                let how = if new { "registered" } else { "found again, nothing registered:" };
                cx.line(format!("{how} {} ({} with another image)", short_definition(&arn), short_definition(base)));
            }
            self.after.task_definition = arn;
        }
        Ok(self)
    }

    pub(super) fn at(service: &Service, state: &State) -> bool {
        let same = |definition: &str| short_definition(definition) == short_definition(&state.task_definition);
        let primary = service.live_primary().is_none_or(|one| same(&one.task_definition));
        same(&service.task_definition) && primary && state.desired.is_none_or(|desired| desired == service.desired)
    }

    /// As [`Rollout::at`], whatever the count is.
    pub(super) fn on(service: &Service, state: &State) -> bool {
        Self::at(service, &State { desired: None, ..state.clone() })
    }

    /// True where the primary deployment is the captured one, so that a forced one is still to come.
    pub(super) fn unforced(&self, service: &Service) -> bool {
        self.force && service.primary().map(|one| one.id.as_str()) == self.before.deployment.as_deref()
    }

    pub(super) fn as_wanted(&self, service: &Service) -> bool {
        Self::at(service, &self.after) && service.steady() && !self.unforced(service)
    }

    /// A count that this deployment never set is not its own: autoscaling may have changed it meanwhile.
    pub(super) fn as_before(&self, service: &Service) -> bool {
        let there = match self.after.desired {
            Some(_) => Self::at(service, &self.before),
            None => Self::on(service, &self.before),
        };
        there && service.steady()
    }

    pub(super) fn on_its_way(&self, service: &Service) -> bool {
        Self::at(service, &self.after) && !self.unforced(service)
    }

    pub(super) fn moves(&self) -> bool {
        short_definition(&self.before.task_definition) != short_definition(&self.after.task_definition)
    }

    fn done(&self, how: &str, service: &Service) -> Done {
        let deployment = service.primary().map(|one| one.id.clone());
        Done::new(format!("{how}: {}", service.line())).with(json!({
            "cluster": self.cluster,
            "service": self.service,
            "old_task_definition": self.before.task_definition,
            "task_definition": self.after.task_definition,
            "desired": service.desired,
            "running": service.running,
            "deployment": deployment,
        }))
    }

    /// Deploys and waits until the asked task definition runs steadily.
    ///
    /// # Errors
    /// `Refused` where somebody else deployed since the capture; `FailedNothingDone` where ECS rolled it
    /// back and the service is as it was; `Failed` where it ended badly; `Unknown` where its end was not seen.
    pub async fn run(&self, aws: &Aws, cx: &Cx) -> Result<Done, Failure> {
        let patience = Patience::of(cx);
        let now = aws.service(&self.cluster, &self.service, &patience).await?;
        if self.as_wanted(&now) {
            return Ok(self.done("already so, nothing sent", &now));
        }
        let known = now.events.iter().map(|event| event.id.clone()).collect();
        let service = if self.on_its_way(&now) {
            cx.line("already being deployed, nothing sent");
            let failed = now.primary().map_or(0, |one| one.failed);
            self.settle(aws, cx, Since { known, failed, deployment: None }, true).await?
        } else if Self::on(&now, &self.before) {
            let deployment = self.send(aws, cx, &now).await?;
            self.settle(aws, cx, Since { known, failed: 0, deployment }, false).await?
        } else {
            let words = "somebody else deployed since the service was captured";
            let captured = format!("captured {}", short_definition(&self.before.task_definition));
            return Err(Failure::new(Class::Refused, words)
                .because(captured)
                .because(format!("found    {}", now.line()))
                .hint("look at who deployed; a retry captures it anew"));
        };
        Ok(self.done("deployed", &service))
    }

    /// Sends it; the id of the deployment that this began, where ECS says it.
    async fn send(&self, aws: &Aws, cx: &Cx, now: &Service) -> Result<Option<String>, Failure> {
        let after = &self.after;
        if after.task_definition.is_empty() {
            let words = "the revision to deploy is not registered";
            return Err(Failure::new(Class::Refused, words).hint("a retry registers it"));
        }
        if let Some(words) = stuck_by_percents(now, after.desired.unwrap_or(now.desired)) {
            cx.line(words);
        }
        let change = short_definition(&self.before.task_definition) != short_definition(&after.task_definition);
        // A count alone is no deployment; naming the running revision again would be none either, but says more
        // than is meant.
        let definition = (change || self.force).then_some(after.task_definition.as_str());
        let place = (self.cluster.as_str(), self.service.as_str());
        let updated = aws.update_service(place, definition, after.desired, self.force, &Patience::of(cx)).await?;
        cx.line(format!("ECS accepted {} for service {}", short_definition(&after.task_definition), self.service));
        let begun = updated.primary().filter(|_| Self::on(&updated, after) && !self.unforced(&updated));
        Ok(begun.map(|one| one.id.clone()))
    }

    /// Looks how a deployment ended, and waits for one that is still rolling.
    ///
    /// # Errors
    /// Could not look.
    pub async fn probe(&self, aws: &Aws, cx: &Cx) -> Result<Finding, Failure> {
        let patience = Patience::of(cx);
        let mut before_since = None::<Instant>;
        loop {
            let now = aws.service(&self.cluster, &self.service, &patience).await?;
            if self.as_wanted(&now) {
                return Ok(Finding::Done(self.done("found as wanted", &now)));
            }
            if self.as_before(&now) {
                let since = *before_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= APART {
                    let line = format!("as before, twice {} s apart: {}", APART.as_secs(), now.line());
                    return Ok(Finding::NotDone { line });
                }
            } else {
                before_since = None;
                if let Some(line) = self.unclear(&now) {
                    return Ok(Finding::Unclear { line });
                }
                super::watch::report(cx, &now);
            }
            if cx.pause(LOOK).await.is_err() {
                return Ok(Finding::Unclear { line: format!("still rolling: {}", now.line()) });
            }
        }
    }

    fn unclear(&self, now: &Service) -> Option<String> {
        let primary = now.live_primary();
        let short = short_definition(primary.map_or(&now.task_definition, |one| &one.task_definition));
        let known = [&self.before, &self.after].iter().any(|one| short_definition(&one.task_definition) == short);
        let dead = primary.is_some_and(|one| one.rollout == "FAILED") && !now.rolls_back;
        // At rest on one of our definitions, and yet neither: the count differs.
        let odd = now.steady();
        let wanted = short_definition(&self.after.task_definition);
        (!known || dead || odd).then(|| format!("neither as before nor as wanted ({wanted}): {}", now.line()))
    }
}

/// Says where a rolling deployment can neither start nor stop a task: every task has to stay, and none may come on
/// top ("Service event messages", ECS developer guide).
pub(super) fn stuck_by_percents(service: &Service, desired: i32) -> Option<String> {
    let (least, most) = service.percents?;
    let (least_tasks, most_tasks) = (i64::from(desired) * i64::from(least), i64::from(desired) * i64::from(most));
    // The lower limit is rounded up, the upper one down.
    let stuck = desired > 0 && service.running > 0 && (least_tasks + 99) / 100 >= most_tasks / 100;
    stuck.then(|| {
        format!(
            "with minimumHealthyPercent {least} and maximumPercent {most} of {}, ECS can neither stop an old nor start a new one",
            tasks(desired)
        )
    })
}

//! One deployment of an ECS service, there and back: what is captured, sent, waited for and told.
//!
//! ```text
//! look ─ as wanted → done, nothing sent
//!      ─ on its way → wait
//!      ─ as before → UpdateService ─▶ wait ─ as wanted → done
//!      ─ else → refused                    ─ as before again, twice → the circuit breaker: failed, nothing done
//!                                          ─ FAILED, or somebody else's → failed
//! ```
//! The trap: the circuit breaker's rollback also ends `COMPLETED`, on the old task definition, so
//! that "COMPLETED" alone proves nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::{Aws, Deployment, Patience, Service, short_definition, swap::APART};
use crate::{
    base::{Class, Failure},
    plan::{Cx, Done, Finding},
};

/// Between two looks; ECS moves by seconds.
const LOOK: Duration = Duration::from_secs(1);
/// `DescribeServices` may lag behind `UpdateService`: so long "as before" is not taken for a rollback,
/// unless the new deployment was seen.
const LAG: Duration = Duration::from_secs(10);
/// Reasons of stopped tasks that are shown; they repeat.
const REASONS: usize = 6;

/// A service as far as a deployment changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// ARN, or as ECS says it.
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
}

impl Rollout {
    /// Reads a captured one.
    ///
    /// # Errors
    /// `Misconfigured`: the journal holds something else.
    pub fn from_captured(captured: &Json) -> Result<Self, Failure> {
        Rollout::deserialize(captured).map_err(|e| {
            Failure::new(Class::Misconfigured, "what was captured is not a service").because(e.to_string())
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
        Self { before, after, force: false, ..self }
    }

    fn at(service: &Service, state: &State) -> bool {
        let same = |definition: &str| short_definition(definition) == short_definition(&state.task_definition);
        let primary = service.live_primary().is_none_or(|one| same(&one.task_definition));
        same(&service.task_definition) && primary && state.desired.is_none_or(|desired| desired == service.desired)
    }

    /// True where the primary deployment is the captured one, so that a forced one is still to come.
    fn unforced(&self, service: &Service) -> bool {
        self.force && service.primary().map(|one| one.id.as_str()) == self.before.deployment.as_deref()
    }

    fn as_wanted(&self, service: &Service) -> bool {
        Self::at(service, &self.after) && service.steady() && !self.unforced(service)
    }

    fn as_before(&self, service: &Service) -> bool {
        Self::at(service, &self.before) && service.steady()
    }

    fn on_its_way(&self, service: &Service) -> bool {
        Self::at(service, &self.after) && !self.unforced(service)
    }

    fn moves(&self) -> bool {
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
        if self.on_its_way(&now) {
            cx.line("already being deployed, nothing sent");
        } else if !Self::at(&now, &State { desired: None, ..self.before.clone() }) {
            let words = "somebody else deployed since the service was captured";
            let captured = format!("captured {}", short_definition(&self.before.task_definition));
            return Err(Failure::new(Class::Refused, words)
                .because(captured)
                .because(format!("found    {}", now.line()))
                .hint("look at who deployed; a retry captures it anew"));
        } else {
            let after = &self.after;
            let to = &after.task_definition;
            aws.update_service(&self.cluster, &self.service, to, after.desired, self.force, &patience).await?;
            cx.line(format!("ECS accepted {} for service {}", short_definition(to), self.service));
        }
        let service = self.settle(aws, cx).await?;
        Ok(self.done("deployed", &service))
    }

    async fn settle(&self, aws: &Aws, cx: &Cx) -> Result<Service, Failure> {
        let patience = Patience::of(cx);
        let begun = Instant::now();
        let (mut seen, mut back_since, mut last) = (false, None::<Instant>, String::from("nothing seen yet"));
        let mut count_sent = false;
        loop {
            match aws.service(&self.cluster, &self.service, &patience).await {
                Ok(now) if self.as_wanted(&now) => return Ok(now),
                Ok(now) => {
                    seen |= self.on_its_way(&now);
                    last = now.line();
                    report(cx, &now);
                    if let Some(class) = self.lost(&now) {
                        let words = format!("the deployment failed: {last}");
                        return Err(self.told(aws, &patience, Failure::new(class, words), &now).await);
                    }
                    let back = self.moves() && self.rolled_back(&now) && (seen || begun.elapsed() > LAG);
                    back_since = if back { back_since.or(Some(Instant::now())) } else { None };
                    if back_since.is_some_and(|since| since.elapsed() >= APART) {
                        if self.as_before(&now) {
                            let words = "ECS's circuit breaker rolled it back; the service is as it was";
                            let failure = Failure::new(Class::FailedNothingDone, words);
                            return Err(self.told(aws, &patience, failure, &now).await);
                        }
                        if count_sent {
                            let words =
                                format!("ECS's circuit breaker rolled it back, but the count is not as it was: {last}");
                            return Err(self.told(aws, &patience, Failure::new(Class::Failed, words), &now).await);
                        }
                        count_sent = true;
                        back_since = None;
                        self.put_count_back(aws, cx).await?;
                    }
                }
                // It was accepted; a look that fails now is only a look.
                Err(failure) if failure.class == Class::FailedNothingDone => cx.line(&failure.message),
                Err(failure) => {
                    return Err(Failure { class: Class::Unknown, ..failure }.because(format!("last seen: {last}")));
                }
            }
            if let Err(end) = cx.pause(LOOK).await {
                let words = format!("{} while the deployment was under way: {last}", end.message);
                return Err(Failure::new(Class::Unknown, words).hint("a probe looks how it ended"));
            }
        }
    }

    /// The circuit breaker puts the task definition back, never the count.
    fn rolled_back(&self, now: &Service) -> bool {
        Self::at(now, &State { desired: None, ..self.before.clone() }) && now.steady()
    }

    /// Puts the count back that this deployment set, so that "nothing done" is true.
    async fn put_count_back(&self, aws: &Aws, cx: &Cx) -> Result<(), Failure> {
        let before = &self.before;
        let words = before.desired.map_or(String::new(), |n| n.to_string());
        cx.line(format!("ECS's circuit breaker rolled it back; putting the count back to {words}"));
        let definition = &before.task_definition;
        let sent = aws
            .update_service(&self.cluster, &self.service, definition, before.desired, false, &Patience::of(cx))
            .await;
        sent.map(drop).map_err(|failure| {
            let class = if failure.class == Class::Unknown { Class::Unknown } else { Class::Failed };
            let message = format!("ECS rolled it back, and the count could not be put back: {}", failure.message);
            Failure { class, message, ..failure }
        })
    }

    /// The class of a deployment that cannot come to a good end any more.
    fn lost(&self, now: &Service) -> Option<Class> {
        let primary = now.live_primary()?;
        let short = short_definition(&primary.task_definition);
        let ours = short == short_definition(&self.after.task_definition);
        let old = short == short_definition(&self.before.task_definition);
        let dead = ours && primary.rollout == "FAILED" && !now.rolls_back;
        (dead || !(ours || old)).then_some(Class::Failed)
    }

    /// Adds what ECS says about why.
    async fn told(&self, aws: &Aws, patience: &Patience, failure: Failure, now: &Service) -> Failure {
        let mut reasons: Vec<String> = Vec::new();
        let failed = |one: &&Deployment| one.rollout == "FAILED" && !one.reason.is_empty();
        reasons.extend(now.deployments.iter().filter(failed).map(|one| one.reason.clone()));
        let stopped = aws.service_tasks(&self.cluster, &self.service, true, patience).await.unwrap_or_default();
        let wanted = short_definition(&self.after.task_definition);
        // Tasks of one revision die of one cause: it is told once, with the first task that had it.
        let mut told: Vec<String> = Vec::new();
        for task in stopped.iter().filter(|task| short_definition(&task.task_definition) == wanted) {
            let mut lines = task.reasons();
            let inside = lines.split_off(1.min(lines.len()));
            let cause = format!("{} {}", task.reason, inside.join("; "));
            if !told.contains(&cause) {
                reasons.extend(lines.into_iter().chain(inside));
                told.push(cause);
            }
        }
        let mut failure = reasons.iter().take(REASONS).fold(failure, |failure, reason| failure.because(reason));
        if let Some(event) = now.events.first() {
            failure = failure.because(format!("newest event: {event}"));
        }
        failure.hint(format!(
            "read the log of a stopped task of {wanted}; its image, secrets and health check are the usual causes"
        ))
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
                report(cx, &now);
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

fn report(cx: &Cx, now: &Service) {
    #[expect(clippy::cast_precision_loss, reason = "counts of tasks are small")]
    let part = now.primary().map_or(0.0, |one| one.running as f32 / one.desired.max(1) as f32);
    // The last part is kept for the end: counts agree before the rollout is complete.
    cx.progress(part * 0.95, now.line());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(definition: &str, desired: i32, rollout: &str) -> Service {
        let primary = Deployment {
            id: format!("ecs-svc/{definition}"),
            status: "PRIMARY".into(),
            task_definition: format!("arn:aws:ecs:eu-west-1:1:task-definition/{definition}"),
            desired,
            running: desired,
            pending: 0,
            failed: 0,
            rollout: rollout.into(),
            reason: String::new(),
        };
        Service {
            status: "ACTIVE".into(),
            task_definition: primary.task_definition.clone(),
            desired,
            running: desired,
            pending: 0,
            deployments: vec![primary],
            events: Vec::new(),
            rolls_back: true,
        }
    }

    fn rollout(desired: Option<i32>) -> Rollout {
        let state = |definition: &str, desired| State {
            task_definition: definition.into(),
            desired,
            deployment: Some("ecs-svc/web:1".into()),
        };
        Rollout {
            cluster: "c".into(),
            service: "web".into(),
            before: state("web:1", Some(2)),
            after: state("web:2", desired),
            force: false,
        }
    }

    #[test]
    fn completed_on_the_old_definition_is_not_done() {
        let rollout = rollout(None);
        assert!(rollout.as_wanted(&service("web:2", 5, "COMPLETED")));
        assert!(!rollout.as_wanted(&service("web:2", 2, "IN_PROGRESS")));
        assert!(!rollout.as_wanted(&service("web:1", 2, "COMPLETED")));
        assert!(rollout.as_before(&service("web:1", 2, "COMPLETED")));
        assert_eq!(rollout.lost(&service("web:3", 2, "IN_PROGRESS")), Some(Class::Failed));
        assert_eq!(rollout.lost(&service("web:2", 2, "FAILED")), None, "the breaker puts it back");
        let alone = Service { rolls_back: false, ..service("web:2", 2, "FAILED") };
        assert_eq!(rollout.lost(&alone), Some(Class::Failed));
    }

    #[test]
    fn the_way_back_leaves_the_count_to_autoscaling() {
        assert_eq!(rollout(None).back().after.desired, None);
        let back = rollout(Some(4)).back();
        assert_eq!((back.after.desired, back.before.desired), (Some(2), Some(4)));
        assert_eq!(back.after.task_definition, "web:1");
    }

    #[test]
    fn forced_is_told_by_the_deployment() {
        let forced = Rollout { force: true, after: State { desired: None, ..rollout(None).before }, ..rollout(None) };
        assert!(!forced.as_wanted(&service("web:1", 2, "COMPLETED")));
        let mut new = service("web:1", 2, "COMPLETED");
        new.deployments[0].id = "ecs-svc/9".into();
        assert!(forced.as_wanted(&new));
    }
}

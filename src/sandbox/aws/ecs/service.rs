//! A service and its scheduler: starts what is missing, counts what fails, takes the new tasks in
//! and the old ones out, and lets the circuit breaker roll back. It runs at the moments when a task
//! changes, in order, so that it does not matter when somebody looks.

use serde::{Deserialize, Serialize};

use super::task::{Fate, Task};
use crate::sandbox::{
    seed::Seed,
    world::{Moment, after},
};

/// Failed tasks that open the breaker; AWS: half of the desired count, at least 3, at most 200.
const THRESHOLD: std::ops::RangeInclusive<u32> = 3..=200;
/// From a failed task to the next try, growing with every failure up to the second number.
const RETRY: (i64, i64) = (100, 30_000);
/// A deployment without tasks takes this long; so does one at the end of a rollback.
const SETTLE: i64 = 600;
/// Events kept, as in AWS.
const EVENTS: usize = 100;

/// How far a deployment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

/// A deployment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Deployment {
    /// `ecs-svc/…`.
    pub id: String,
    pub family: String,
    pub revision: u32,
    /// What becomes of its tasks.
    pub fate: Fate,
    pub rollout: Rollout,
    pub reason: String,
    pub failed: u32,
    pub created_at: Moment,
    pub updated_at: Moment,
    /// Not completed before this moment.
    pub not_before: Moment,
    /// It was completed once: a rollback goes here.
    pub proven: bool,
}

/// A service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Service {
    pub name: String,
    pub desired: u32,
    pub breaker: bool,
    pub rollback: bool,
    pub behind_balancer: bool,
    /// `minimumHealthyPercent`, `maximumPercent`.
    pub percents: (u32, u32),
    /// When autoscaling sets which count.
    pub scales: Option<(Moment, u32)>,
    /// When autoscaling has set which count.
    pub scaled: Vec<(Moment, u32)>,
    pub created_at: Moment,
    /// PRIMARY first.
    pub deployments: Vec<Deployment>,
    /// Newest first: id, when, message.
    pub events: Vec<(String, Moment, String)>,
    /// The scheduler has seen everything up to here.
    pub seen: Moment,
    /// The next try after a failure.
    pub retry_at: Option<Moment>,
    /// It has said that it is steady.
    pub steady: bool,
}

impl Service {
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }

    pub fn say(&mut self, seed: &mut Seed, at: Moment, what: &str) {
        let message = format!("(service {}) {what}", self.name);
        self.events.insert(0, (seed.uuid(), at, message));
        self.events.truncate(EVENTS);
    }

    /// A new deployment takes over as PRIMARY.
    pub fn deploy(&mut self, seed: &mut Seed, (family, revision): (String, u32), fate: Fate, now: Moment) {
        let id = format!("ecs-svc/{}", seed.digits(19));
        let reason = format!("ECS deployment {id} in progress.");
        self.deployments.insert(
            0,
            Deployment {
                id,
                family,
                revision,
                fate,
                rollout: Rollout::InProgress,
                reason,
                failed: 0,
                created_at: now,
                updated_at: now,
                not_before: after(now, SETTLE),
                proven: false,
            },
        );
        self.steady = false;
    }

    /// The next moment at which the scheduler has something to do.
    pub fn due(&self, tasks: &[Task]) -> Option<Moment> {
        let own = tasks.iter().filter(|task| task.group == self.group()).flat_map(Task::moments);
        let mine = self.deployments.first().map(|primary| primary.not_before);
        let scales = self.scales.map(|(at, _)| at);
        own.chain(mine).chain(self.retry_at).chain(scales).filter(|at| *at > self.seen).min()
    }

    fn group(&self) -> String {
        format!("service:{}", self.name)
    }

    /// Looks once at everything, as of `now`.
    pub fn schedule(&mut self, seed: &mut Seed, tasks: &mut Vec<Task>, now: Moment) {
        self.seen = now;
        self.autoscale(now);
        self.count_failures(seed, tasks, now);
        let Some(primary) = self.deployments.first().cloned() else { return };
        let of = |task: &Task, id: &str| task.started_by.as_deref() == Some(id);
        let alive = tasks.iter().filter(|task| of(task, &primary.id) && !task.is_ending(now)).count();
        let desired = usize::try_from(self.desired).unwrap_or(usize::MAX);
        let stuck = self.is_stuck(tasks, &primary, now);
        if stuck {
            self.say_stuck(seed, &primary, now);
        }
        let due = self.retry_at.is_none_or(|at| at <= now);
        if alive < desired && !stuck && due && primary.rollout != Rollout::Failed {
            self.retry_at = None;
            self.start(seed, tasks, &primary, desired - alive, now);
        }
        let mut extra = alive.saturating_sub(desired);
        let healthy = tasks.iter().filter(|task| of(task, &primary.id) && task.is_healthy(now)).count();
        for task in tasks.iter_mut().filter(|task| task.group == self.group() && !task.is_ending(now)) {
            let scaled = of(task, &primary.id) && extra > 0;
            extra -= usize::from(scaled);
            let replaced = !of(task, &primary.id) && (healthy >= desired || self.is_failed(task));
            if scaled || replaced {
                let id = task.started_by.clone().unwrap_or_default();
                let reason = if scaled {
                    format!("Scaling activity initiated by (deployment {id})")
                } else {
                    format!("Scaling activity initiated by (deployment {})", primary.id)
                };
                task.stop(now, "ServiceSchedulerInitiated", &reason);
            }
        }
        let others = tasks.iter().filter(|task| task.group == self.group());
        let old_left = others.clone().any(|task| !of(task, &primary.id) && !task.is_stopped(now));
        let exact = others.filter(|task| !task.is_stopped(now)).count() == desired;
        if healthy >= desired && !old_left && exact && now >= primary.not_before {
            self.complete(seed, now);
        }
    }

    /// Autoscaling has its own idea of the count.
    fn autoscale(&mut self, now: Moment) {
        if let Some((at, count)) = self.scales.filter(|(at, _)| *at <= now) {
            self.scales = None;
            self.desired = count;
            self.steady = false;
            self.scaled.push((at, count));
        }
    }

    /// No task may come on top, and none may go: nothing can begin.
    fn is_stuck(&self, tasks: &[Task], primary: &Deployment, now: Moment) -> bool {
        let desired = usize::try_from(self.desired).unwrap_or(usize::MAX);
        let old = |task: &&Task| task.group == self.group() && task.started_by.as_deref() != Some(&primary.id);
        let old = tasks.iter().filter(old).filter(|task| !task.is_ending(now)).count();
        self.percents == (100, 100) && desired > 0 && old >= desired
    }

    fn say_stuck(&mut self, seed: &mut Seed, primary: &Deployment, now: Moment) {
        let what = "was unable to stop or start tasks during a deployment because of the service deployment configuration. \
                    Update the minimumHealthyPercent or maximumPercent value and try again.";
        let said = self.events.iter().any(|(_, at, message)| *at >= primary.created_at && message.ends_with(what));
        if !said {
            self.say(seed, now, what);
        }
    }

    fn is_failed(&self, task: &Task) -> bool {
        let own = |deployment: &&Deployment| task.started_by.as_deref() == Some(&deployment.id);
        self.deployments.iter().find(own).is_none_or(|deployment| deployment.rollout == Rollout::Failed)
    }

    fn start(&mut self, seed: &mut Seed, tasks: &mut Vec<Task>, primary: &Deployment, count: usize, now: Moment) {
        for _ in 0..count {
            let mut task = Task {
                id: seed.hex(32),
                family: primary.family.clone(),
                revision: primary.revision,
                group: self.group(),
                started_by: Some(primary.id.clone()),
                ip: format!("10.0.{}.{}", 1 + seed.below(3), 10 + seed.below(200)),
                overrides: serde_json::json!({ "containerOverrides": [] }),
                created_at: now,
                running_at: None,
                healthy_at: None,
                end: None,
                counted: false,
            };
            task.live(&primary.fate, self.behind_balancer);
            let id = task.id.clone();
            tasks.push(task);
            self.say(seed, now, &format!("has started 1 tasks: (task {id})."));
        }
        self.steady = false;
    }

    fn count_failures(&mut self, seed: &mut Seed, tasks: &mut [Task], now: Moment) {
        let Some(id) = self.primary().map(|primary| primary.id.clone()) else { return };
        let mut fresh = 0;
        for task in tasks.iter_mut() {
            if task.started_by.as_deref() == Some(&id) && !task.counted && task.has_failed(now) {
                task.counted = true;
                fresh += 1;
            }
        }
        if fresh == 0 {
            return;
        }
        let failures = i64::from(self.primary().map_or(0, |primary| primary.failed) + fresh);
        self.retry_at = Some(after(now, (RETRY.0 * failures).min(RETRY.1)));
        let threshold = self.desired.div_ceil(2).clamp(*THRESHOLD.start(), *THRESHOLD.end());
        let Some(primary) = self.deployments.first_mut() else { return };
        primary.failed += fresh;
        primary.updated_at = now;
        let opens = self.breaker && primary.rollout == Rollout::InProgress && primary.failed >= threshold;
        self.say(seed, now, "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section.");
        if opens {
            self.trip(seed, now);
        }
    }

    /// The breaker opens: the deployment has failed, and the last good one becomes PRIMARY again. It
    /// ends COMPLETED, on the old task definition: who looks at `rolloutState` alone is fooled.
    fn trip(&mut self, seed: &mut Seed, now: Moment) {
        let Some(mut bad) = self.deployments.first().cloned() else { return };
        bad.rollout = Rollout::Failed;
        bad.reason = "ECS deployment circuit breaker: tasks failed to start.".into();
        self.say(seed, now, &format!("(deployment {}) deployment failed: tasks failed to start.", bad.id));
        let back = self.deployments.iter().position(|deployment| deployment.proven).filter(|_| self.rollback);
        match back {
            None => self.deployments[0] = bad,
            Some(at) => {
                let mut good = self.deployments.remove(at);
                good.rollout = Rollout::InProgress;
                good.reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", good.id);
                (good.updated_at, good.not_before) = (now, after(now, 2 * SETTLE));
                self.say(seed, now, &format!("rolling back to deployment {}.", good.id));
                self.deployments[0] = bad;
                self.deployments.insert(0, good);
                self.retry_at = None;
            }
        }
    }

    fn complete(&mut self, seed: &mut Seed, now: Moment) {
        let steady = self.steady;
        let Some(primary) = self.deployments.first_mut() else { return };
        if primary.rollout == Rollout::InProgress {
            primary.rollout = Rollout::Completed;
            primary.proven = true;
            primary.updated_at = now;
            primary.reason = format!("ECS deployment {} completed.", primary.id);
            let what = format!("(deployment {}) deployment completed.", primary.id);
            self.deployments.truncate(1);
            self.say(seed, now, &what);
        }
        if !steady {
            self.steady = true;
            self.say(seed, now, "has reached a steady state.");
        }
    }
}

/// As ECS's JSON writes a moment: seconds with a fraction.
pub(super) fn seconds(at: Moment) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit")]
    let ms = at.timestamp_millis() as f64;
    ms / 1000.0
}

impl Rollout {
    pub fn word(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

//! A task: its whole life is written down when it starts, and its state is read off the clock.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sandbox::world::{Moment, after};

/// Milliseconds from the start of a task to its parts. AWS takes minutes; a rehearsal has seconds.
const PENDING: i64 = 300;
const RUNNING: i64 = 1200;
const HEALTHY: i64 = 3200;
/// A failing task runs for a moment first.
const FAILING_RUNS: i64 = 500;
const FAILED: i64 = 1000;
/// A one-off's end.
const ONE_OFF: i64 = 3000;
/// From the order to stop to the end: connections drain, SIGTERM is obeyed.
const STOPPING: i64 = 800;
/// The last moments of a task, after its containers have ended.
const DEPROVISIONING: i64 = 200;

/// What comes of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) enum Fate {
    /// Runs until it is stopped.
    Serves,
    /// Does its work and ends with a code.
    Ends(i64),
    /// Starts and ends with 1, saying why.
    Fails(String),
    /// Never starts: its image is not there.
    NoImage(String),
}

/// An end, planned or ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox) struct End {
    /// When the order came, or the container ended.
    pub from: Moment,
    /// When it is STOPPED.
    pub at: Moment,
    pub code: String,
    pub reason: String,
    pub exit: Option<i64>,
    pub container: Option<String>,
}

/// A task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Task {
    pub id: String,
    pub family: String,
    pub revision: u32,
    /// `service:web`, `family:migrate`.
    pub group: String,
    pub started_by: Option<String>,
    pub ip: String,
    pub overrides: Value,
    pub created_at: Moment,
    /// `None`: it never runs.
    pub running_at: Option<Moment>,
    pub healthy_at: Option<Moment>,
    pub end: Option<End>,
    /// The scheduler has counted its failure.
    pub counted: bool,
}

impl Task {
    /// Writes its life down.
    pub fn live(&mut self, fate: &Fate, behind_balancer: bool) {
        let at = |ms| after(self.created_at, ms);
        let end = |from, ms, code: &str, reason: &str, exit, container: Option<&str>| {
            let (code, reason, container) = (code.into(), reason.into(), container.map(str::to_owned));
            Some(End { from: at(from), at: at(ms), code, reason, exit, container })
        };
        let ended = "Essential container in task exited";
        match fate {
            Fate::Serves => {
                self.running_at = Some(at(RUNNING));
                self.healthy_at = Some(at(if behind_balancer { HEALTHY } else { RUNNING }));
            }
            Fate::Ends(code) => {
                self.running_at = Some(at(RUNNING));
                self.end = end(ONE_OFF - DEPROVISIONING, ONE_OFF, "EssentialContainerExited", ended, Some(*code), None);
            }
            Fate::Fails(reason) => {
                self.running_at = Some(at(FAILING_RUNS));
                self.end =
                    end(FAILED - DEPROVISIONING, FAILED, "EssentialContainerExited", ended, Some(1), Some(reason));
            }
            Fate::NoImage(image) => {
                let reason = format!(
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: not found"
                );
                self.end = end(FAILED, FAILED, "TaskFailedToStart", &reason, None, Some(&reason));
            }
        }
    }

    /// Orders the end; one that is ending anyway ends as it would.
    pub fn stop(&mut self, now: Moment, code: &str, reason: &str) {
        let at = after(now, STOPPING);
        if self.end.as_ref().is_none_or(|end| end.from > now && end.at > at) {
            // SIGTERM: 143 where the container was running.
            let exit = self.running_at.filter(|running| *running <= now).map(|_| 143);
            self.end = Some(End { from: now, at, code: code.into(), reason: reason.into(), exit, container: None });
        }
    }

    /// `lastStatus`.
    pub fn status(&self, now: Moment) -> &'static str {
        if let Some(end) = self.end.as_ref().filter(|end| end.from <= now) {
            return match now {
                now if now >= end.at => "STOPPED",
                now if now >= after(end.at, -DEPROVISIONING) => "DEPROVISIONING",
                _ if self.healthy_at.is_some_and(|at| at <= end.from) => "DEACTIVATING",
                _ => "STOPPING",
            };
        }
        match self.running_at {
            Some(at) if now >= at => "RUNNING",
            _ if now >= after(self.created_at, PENDING) => "PENDING",
            _ => "PROVISIONING",
        }
    }

    /// `desiredStatus`.
    pub fn desired(&self, now: Moment) -> &'static str {
        if self.is_ending(now) { "STOPPED" } else { "RUNNING" }
    }

    pub fn is_ending(&self, now: Moment) -> bool {
        self.end.as_ref().is_some_and(|end| end.from <= now)
    }

    pub fn is_stopped(&self, now: Moment) -> bool {
        self.end.as_ref().is_some_and(|end| end.at <= now)
    }

    pub fn is_running(&self, now: Moment) -> bool {
        self.running_at.is_some_and(|at| at <= now) && !self.is_ending(now)
    }

    /// Running, and its target passes the health check.
    pub fn is_healthy(&self, now: Moment) -> bool {
        self.healthy_at.is_some_and(|at| at <= now) && self.is_running(now)
    }

    /// Ended by itself, which a service's task must not.
    pub fn has_failed(&self, now: Moment) -> bool {
        self.is_stopped(now)
            && self
                .end
                .as_ref()
                .is_some_and(|end| end.code != "ServiceSchedulerInitiated" && end.code != "UserInitiated")
    }

    /// Moments at which something about it changes.
    pub fn moments(&self) -> impl Iterator<Item = Moment> {
        let end = self.end.as_ref();
        [self.running_at, self.healthy_at, end.map(|end| end.from), end.map(|end| end.at)].into_iter().flatten()
    }
}

//! Releases and builds. A release with a release phase is pending until that is over; only then the app has its config
//! vars and its dynos are restarted, and where the phase fails neither happens.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::Heroku;
use crate::sandbox::{
    seed::Seed,
    world::{Moment, after},
};

/// Milliseconds of a release phase, and of one under the fault `heroku.release_slow`.
const PHASE: i64 = 4000;
const PHASE_SLOW: i64 = 15_000;
/// Milliseconds of a build.
const BUILD: i64 = 4000;
/// Releases and builds kept.
const KEPT: usize = 200;

/// How a release begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    None,
    Runs,
    Slow,
    Fails,
}

/// A release.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Release {
    pub id: String,
    pub version: usize,
    pub description: String,
    pub created_at: Moment,
    /// Its config vars.
    pub config: BTreeMap<String, String>,
    /// The end of its release phase.
    pub settled_at: Moment,
    pub fails: bool,
    /// It is over, and what follows from it was done.
    pub settled: bool,
}

/// A build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Build {
    pub id: String,
    pub commit: String,
    pub created_at: Moment,
    pub ends_at: Moment,
    /// The release that it made.
    pub release: Option<usize>,
}

impl Release {
    pub fn status(&self) -> &'static str {
        match (self.settled, self.fails) {
            (false, _) => "pending",
            (true, true) => "failed",
            (true, false) => "succeeded",
        }
    }
}

impl Heroku {
    /// The running release: the newest that succeeded.
    pub fn current(&self) -> Option<&Release> {
        self.releases.iter().rev().find(|release| release.status() == "succeeded")
    }

    /// Its number.
    pub fn version(&self) -> usize {
        self.current().map_or(0, |release| release.version)
    }

    /// A new release with these config vars.
    pub(super) fn release(
        &mut self,
        seed: &mut Seed,
        description: String,
        config: BTreeMap<String, String>,
        phase: Phase,
        now: Moment,
    ) {
        let version = self.releases.last().map_or(0, |release| release.version) + 1;
        let lasts = match phase {
            Phase::None => 0,
            Phase::Runs | Phase::Fails => PHASE,
            Phase::Slow => PHASE_SLOW,
        };
        if lasts > 0 {
            self.one_off(seed, "release", "bundle exec rake db:migrate", lasts, now);
        }
        self.releases.push(Release {
            id: seed.uuid(),
            version,
            description,
            created_at: now,
            config,
            settled_at: after(now, lasts),
            fails: phase == Phase::Fails,
            settled: false,
        });
        let extra = self.releases.len().saturating_sub(KEPT);
        self.releases.drain(..extra);
        self.updated_at = now;
        self.settle(seed, now);
    }

    /// Does what follows from release phases that are over.
    pub fn settle(&mut self, seed: &mut Seed, now: Moment) {
        for at in 0..self.releases.len() {
            let release = &mut self.releases[at];
            if release.settled || release.settled_at > now {
                continue;
            }
            let then = release.settled_at;
            release.settled = true;
            if !release.fails {
                self.config = self.releases[at].config.clone();
                self.restart(seed, |_| true, then, false);
            }
        }
    }

    /// Starts a build.
    pub fn build(&mut self, seed: &mut Seed, now: Moment) {
        let (id, commit) = (seed.uuid(), seed.hex(40));
        self.builds.push(Build { id, commit, created_at: now, ends_at: after(now, BUILD), release: None });
        let extra = self.builds.len().saturating_sub(KEPT);
        self.builds.drain(..extra);
    }

    /// Makes the releases of builds that are over. Each has a release phase.
    pub fn deploy(&mut self, seed: &mut Seed, now: Moment) {
        for at in 0..self.builds.len() {
            let build = &self.builds[at];
            if build.release.is_some() || build.ends_at > now {
                continue;
            }
            let (description, then) = (format!("Deploy {}", &build.commit[..7]), build.ends_at);
            let config = self.config.clone();
            self.release(seed, description, config, Phase::Runs, then);
            self.builds[at].release = self.releases.last().map(|release| release.version);
        }
    }
}

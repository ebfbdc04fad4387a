//! The Heroku app: its switch, its process types, its dynos, config vars and releases. A dyno's life
//! is written down when it begins; its state is read off the clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sandbox::{
    seed::Seed,
    world::{Moment, after},
};

/// Milliseconds that a dyno takes to start, and to end after SIGTERM.
const STARTS: i64 = 2000;
const STOPS: i64 = 2500;
/// The same under the fault `heroku.slow_dynos`.
const STOPS_SLOW: i64 = 15_000;
/// Dynos that are gone are remembered this long, so that nothing refers to nowhere.
const GONE_KEPT: i64 = 1000;
/// Releases kept.
const RELEASES: usize = 200;

/// A process type.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Formation {
    pub id: String,
    pub kind: String,
    pub quantity: u32,
    pub size: String,
    pub command: String,
    pub updated_at: Moment,
}

/// A dyno.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Dyno {
    pub id: String,
    pub kind: String,
    pub number: u32,
    pub size: String,
    pub command: String,
    pub release: usize,
    pub created_at: Moment,
    pub up_at: Moment,
    /// SIGTERM was sent.
    pub stopping_at: Option<Moment>,
    pub gone_at: Option<Moment>,
}

/// A release.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct Release {
    pub id: String,
    pub version: usize,
    pub description: String,
    pub created_at: Moment,
}

/// The app.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::sandbox) struct Heroku {
    pub id: String,
    pub owner: String,
    pub created_at: Moment,
    pub updated_at: Moment,
    pub maintenance: bool,
    pub formation: Vec<Formation>,
    pub dynos: Vec<Dyno>,
    pub config: BTreeMap<String, String>,
    pub releases: Vec<Release>,
    pub addons: Vec<(String, String, String)>,
    pub domains: Vec<(String, String)>,
    pub drains: Vec<(String, String)>,
}

impl Dyno {
    /// `starting`, `up`, or `down` while it obeys SIGTERM: the API has no word of its own for that.
    pub fn state(&self, now: Moment) -> &'static str {
        if self.stopping_at.is_some_and(|at| at <= now) {
            "down"
        } else if now >= self.up_at {
            "up"
        } else {
            "starting"
        }
    }

    pub fn is_gone(&self, now: Moment) -> bool {
        self.gone_at.is_some_and(|at| at <= now)
    }

    fn stop(&mut self, now: Moment, slow: bool) {
        self.stopping_at = Some(now);
        self.gone_at = Some(after(now, if slow { STOPS_SLOW } else { STOPS }));
    }
}

impl Heroku {
    /// Forgets dynos that are gone.
    pub fn advance(&mut self, now: Moment) {
        self.dynos.retain(|dyno| !dyno.is_gone(after(now, -GONE_KEPT)));
    }

    /// Dynos of a type that serve.
    pub fn up(&self, kind: &str, now: Moment) -> usize {
        self.dynos.iter().filter(|dyno| dyno.kind == kind && dyno.state(now) == "up").count()
    }

    /// The quantity asked of a type.
    pub fn quantity(&self, kind: &str) -> u32 {
        self.formation.iter().find(|it| it.kind == kind).map_or(0, |it| it.quantity)
    }

    /// The running release's number.
    pub fn version(&self) -> usize {
        self.releases.last().map_or(0, |release| release.version)
    }

    /// Starts and stops dynos of a type until as many run as are asked for; the highest numbers go first.
    pub fn fit(&mut self, seed: &mut Seed, kind: &str, now: Moment, slow: bool) {
        let Some(formation) = self.formation.iter().find(|it| it.kind == kind).cloned() else { return };
        let release = self.version();
        let running = |dyno: &&mut Dyno| dyno.kind == kind && dyno.stopping_at.is_none();
        for dyno in self.dynos.iter_mut().filter(running).filter(|dyno| dyno.number > formation.quantity) {
            dyno.stop(now, slow);
        }
        for number in 1..=formation.quantity {
            if self.dynos.iter().any(|dyno| dyno.kind == kind && dyno.number == number && dyno.stopping_at.is_none()) {
                continue;
            }
            self.dynos.push(Dyno {
                id: seed.uuid(),
                kind: kind.to_owned(),
                number,
                size: formation.size.clone(),
                command: formation.command.clone(),
                release,
                created_at: now,
                up_at: after(now, STARTS),
                stopping_at: None,
                gone_at: None,
            });
        }
    }

    /// Stops dynos and starts new ones in their place.
    pub fn restart(&mut self, seed: &mut Seed, which: impl Fn(&Dyno) -> bool, now: Moment, slow: bool) {
        for dyno in self.dynos.iter_mut().filter(|dyno| dyno.stopping_at.is_none() && which(dyno)) {
            dyno.stop(now, slow);
        }
        for kind in self.formation.iter().map(|it| it.kind.clone()).collect::<Vec<_>>() {
            self.fit(seed, &kind, now, slow);
        }
    }

    /// A new release.
    pub fn release(&mut self, seed: &mut Seed, description: String, now: Moment) {
        let version = self.version() + 1;
        self.releases.push(Release { id: seed.uuid(), version, description, created_at: now });
        let extra = self.releases.len().saturating_sub(RELEASES);
        self.releases.drain(..extra);
        self.updated_at = now;
    }
}

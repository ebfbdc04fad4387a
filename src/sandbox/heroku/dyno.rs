//! Dynos: a dyno's life is written down when it begins; its state is read off the clock.

use serde::{Deserialize, Serialize};

use super::model::Heroku;
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
/// One-off dynos at once.
pub(super) const ONE_OFF: usize = 50;

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
    /// It starts, and crashes.
    #[serde(default)]
    pub crashes: bool,
}

impl Dyno {
    /// `starting`, `up`, `crashed`, or `down` while it obeys SIGTERM: the API has no word of its own for that.
    pub fn state(&self, now: Moment) -> &'static str {
        if self.stopping_at.is_some_and(|at| at <= now) {
            "down"
        } else if now < self.up_at {
            "starting"
        } else if self.crashes {
            "crashed"
        } else {
            "up"
        }
    }

    pub fn is_gone(&self, now: Moment) -> bool {
        self.gone_at.is_some_and(|at| at <= now)
    }

    pub fn name(&self) -> String {
        format!("{}.{}", self.kind, self.number)
    }

    fn stop(&mut self, now: Moment, slow: bool) {
        self.stopping_at = Some(now);
        let gone = after(now, if slow { STOPS_SLOW } else { STOPS });
        self.gone_at = Some(self.gone_at.map_or(gone, |at| at.min(gone)));
    }
}

impl Heroku {
    /// Forgets dynos that are gone.
    pub fn bury(&mut self, now: Moment) {
        self.dynos.retain(|dyno| !dyno.is_gone(after(now, -GONE_KEPT)));
    }

    /// Dynos of a type that serve.
    pub fn up(&self, kind: &str, now: Moment) -> usize {
        self.dynos.iter().filter(|dyno| dyno.kind == kind && dyno.state(now) == "up").count()
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
                crashes: false,
            });
        }
    }

    /// Stops dynos of the formation and starts new ones in their place.
    pub fn restart(&mut self, seed: &mut Seed, which: impl Fn(&Dyno) -> bool, now: Moment, slow: bool) {
        let kinds = self.formation.iter().map(|it| it.kind.clone()).collect::<Vec<_>>();
        let mine = |dyno: &&mut Dyno| dyno.stopping_at.is_none() && kinds.contains(&dyno.kind);
        for dyno in self.dynos.iter_mut().filter(mine).filter(|dyno| which(dyno)) {
            dyno.stop(now, slow);
        }
        for kind in kinds {
            self.fit(seed, &kind, now, slow);
        }
    }

    /// Stops one-off dynos; nothing takes their place.
    pub fn end(&mut self, which: impl Fn(&Dyno) -> bool, now: Moment) {
        for dyno in self.dynos.iter_mut().filter(|dyno| dyno.stopping_at.is_none() && which(dyno)) {
            dyno.stop(now, false);
        }
    }

    /// Starts a one-off dyno (`run.4711`), which ends by itself after so many milliseconds.
    pub fn one_off(&mut self, seed: &mut Seed, kind: &str, command: &str, lasts: i64, now: Moment) -> &Dyno {
        let number = 1000 + u32::try_from(seed.below(9000)).unwrap_or_default();
        self.dynos.push(Dyno {
            id: seed.uuid(),
            kind: kind.to_owned(),
            number,
            size: "Standard-1X".into(),
            command: command.to_owned(),
            release: self.version(),
            created_at: now,
            up_at: after(now, STARTS),
            stopping_at: None,
            gone_at: Some(after(now, lasts)),
            crashes: false,
        });
        &self.dynos[self.dynos.len() - 1]
    }
}

//! The Heroku app: its switch, its process types, its config vars, and what stands around it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    dyno::Dyno,
    release::{Build, Release},
};
use crate::sandbox::{seed::Seed, world::Moment};

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

/// An add-on, attached to the app under one name or more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::sandbox) struct AddOn {
    pub id: String,
    pub name: String,
    /// `heroku-postgresql:standard-0`.
    pub plan: String,
    /// `DATABASE`; each with the id of its attachment.
    pub attached: Vec<(String, String)>,
    /// What follows the name of an attachment: `URL`.
    pub vars: Vec<String>,
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
    /// What the running release has.
    pub config: BTreeMap<String, String>,
    pub releases: Vec<Release>,
    pub builds: Vec<Build>,
    pub addons: Vec<AddOn>,
    pub domains: Vec<(String, String)>,
    pub drains: Vec<(String, String)>,
    /// The id of its place in a pipeline, and the pipeline's.
    pub coupling: (String, String),
}

impl AddOn {
    /// The add-on's config vars, under every name.
    pub fn config_vars(&self) -> Vec<String> {
        let all = self.attached.iter().flat_map(|(name, _)| self.vars.iter().map(move |var| format!("{name}_{var}")));
        all.collect()
    }

    /// `heroku-postgresql`.
    pub fn service(&self) -> &str {
        self.plan.split(':').next().unwrap_or_default()
    }
}

impl Heroku {
    /// Lets time pass: builds and release phases end, dynos that are gone are forgotten.
    pub fn advance(&mut self, seed: &mut Seed, now: Moment) {
        self.deploy(seed, now);
        self.settle(seed, now);
        self.bury(now);
    }

    /// The quantity asked of a type.
    pub fn quantity(&self, kind: &str) -> u32 {
        self.formation.iter().find(|it| it.kind == kind).map_or(0, |it| it.quantity)
    }

    /// The add-on that a config var belongs to.
    pub fn owner_of(&self, var: &str) -> Option<&AddOn> {
        self.addons.iter().find(|addon| addon.config_vars().iter().any(|own| own == var))
    }
}

//! The few fields that are looked at (<https://github.com/heroku/platform-api>, `schema.json`). Texts are cleaned here.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use crate::base::clean_line;

/// An app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its name.
    pub name: String,
    /// Whether the router shows the maintenance page.
    pub maintenance: bool,
    /// The owner's e-mail address; empty where it is not told.
    pub owner: String,
    /// `heroku-24`; empty where it is not told.
    pub stack: String,
}

/// One process type of the formation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// `web`, `worker`, ….
    pub kind: String,
    /// How many dynos are asked for.
    pub quantity: u64,
    /// Dyno size, such as `Standard-1X`.
    pub size: Option<String>,
}

/// A running, starting or stopping dyno. Its command is not kept: one-off commands hold anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dyno {
    /// `web.1`, `run.4711`.
    pub name: String,
    /// The process type; `run` for one-off dynos, `release`, `scheduler`.
    pub kind: String,
    /// `crashed`, `down`, `idle`, `starting`, `up`; `stopping` was seen too.
    pub state: String,
    /// Dyno size, such as `Standard-1X`; not told for all of them.
    pub size: Option<String>,
    /// The version of the release that it runs.
    pub release: Option<u64>,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
}

pub(super) fn text(json: &Json, key: &str) -> Option<String> {
    json.get(key)?.as_str().map(|text| clean_line(text, 200))
}

/// A count; the CLI writes quantities as texts, so a text is read too.
pub(super) fn count(json: &Json, key: &str) -> Option<u64> {
    let value = json.get(key)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A moment.
pub(super) fn moment(json: &Json, key: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(json.get(key)?.as_str()?).ok().map(|moment| moment.to_utc())
}

/// A text of an object within.
pub(super) fn within(json: &Json, object: &str, key: &str) -> Option<String> {
    text(json.get(object)?, key)
}

impl App {
    pub(super) fn read(json: &Json) -> Option<Self> {
        Some(Self {
            name: text(json, "name")?,
            maintenance: json.get("maintenance")?.as_bool()?,
            owner: within(json, "owner", "email").unwrap_or_default(),
            stack: within(json, "stack", "name").unwrap_or_default(),
        })
    }
}

impl Process {
    fn read(json: &Json) -> Option<Self> {
        // `size` is deprecated, and what our own journals hold.
        let size = within(json, "dyno_size", "name").or_else(|| text(json, "size"));
        Some(Self { kind: text(json, "type")?, quantity: count(json, "quantity")?, size })
    }

    /// As the journal holds it.
    #[must_use]
    pub fn json(&self) -> Json {
        match &self.size {
            Some(size) => json!({ "type": self.kind, "quantity": self.quantity, "size": size }),
            None => json!({ "type": self.kind, "quantity": self.quantity }),
        }
    }

    /// As a batch update of the formation takes it.
    #[must_use]
    pub fn update(&self) -> Json {
        match &self.size {
            Some(size) => json!({ "type": self.kind, "quantity": self.quantity, "dyno_size": { "name": size } }),
            None => json!({ "type": self.kind, "quantity": self.quantity }),
        }
    }
}

/// A list of process types, from the API or from what was captured.
#[must_use]
pub fn processes(json: &Json) -> Option<Vec<Process>> {
    json.as_array()?.iter().map(Process::read).collect()
}

impl Dyno {
    pub(super) fn read(json: &Json) -> Option<Self> {
        Some(Self {
            name: text(json, "name")?,
            kind: text(json, "type")?,
            state: text(json, "state")?,
            size: text(json, "size"),
            release: json.get("release").and_then(|release| count(release, "version")),
            created_at: moment(json, "created_at"),
        })
    }
}

//! The few fields that are looked at (<https://github.com/heroku/platform-api>, `schema.json`). Texts are cleaned here.

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

/// A running, starting or stopping dyno.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dyno {
    /// `web.1`, `run.4711`.
    pub name: String,
    /// The process type; `run` for one-off dynos.
    pub kind: String,
    /// `crashed`, `down`, `idle`, `starting`, `up`; `stopping` was seen too.
    pub state: String,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its number.
    pub version: u64,
    /// `succeeded`, `pending`, `failed`.
    pub status: String,
    /// What made it: `Deploy 1a2b3c4`, `Set X config vars`.
    pub description: String,
}

fn text(json: &Json, key: &str) -> Option<String> {
    json.get(key)?.as_str().map(|text| clean_line(text, 200))
}

/// A count; the CLI writes quantities as texts, so a text is read too.
fn count(json: &Json, key: &str) -> Option<u64> {
    let value = json.get(key)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

impl App {
    pub(super) fn read(json: &Json) -> Option<Self> {
        let owner = json.get("owner").and_then(|owner| text(owner, "email")).unwrap_or_default();
        Some(Self { name: text(json, "name")?, maintenance: json.get("maintenance")?.as_bool()?, owner })
    }
}

impl Process {
    fn read(json: &Json) -> Option<Self> {
        Some(Self { kind: text(json, "type")?, quantity: count(json, "quantity")?, size: text(json, "size") })
    }

    /// As the API and the journal write it.
    #[must_use]
    pub fn json(&self) -> Json {
        match &self.size {
            Some(size) => json!({ "type": self.kind, "quantity": self.quantity, "size": size }),
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
        Some(Self { name: text(json, "name")?, kind: text(json, "type")?, state: text(json, "state")? })
    }
}

impl Release {
    pub(super) fn read(json: &Json) -> Option<Self> {
        let (status, description) = (text(json, "status"), text(json, "description"));
        let version = count(json, "version")?;
        Some(Self { version, status: status.unwrap_or_default(), description: description.unwrap_or_default() })
    }
}

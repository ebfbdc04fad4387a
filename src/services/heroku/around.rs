//! What stands around an app: its releases and builds, add-ons and what they attach, domains, drains. As in `model`:
//! only what is looked at, cleaned.

use chrono::{DateTime, Utc};
use reqwest::Url;
use serde_json::Value as Json;

use super::model::{count, moment, text, within};
use crate::base::clean_line;

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its number.
    pub version: u64,
    /// `succeeded`, `pending` (its release phase runs), `failed`, `expired`.
    pub status: String,
    /// What made it: `Deploy 1a2b3c4`, `Set X config vars`.
    pub description: String,
    /// Who made it; empty where it is not told.
    pub user: String,
    /// Whether it is the one that runs.
    pub current: bool,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// `succeeded`, `pending`, `failed`.
    pub status: String,
    /// The commit or version that is built; empty where it is not told.
    pub source: String,
    /// Who started it; empty where it is not told.
    pub user: String,
    /// When it was started.
    pub created_at: Option<DateTime<Utc>>,
}

/// An add-on of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddOn {
    /// `postgresql-curved-12345`.
    pub name: String,
    /// `heroku-postgresql:standard-0`.
    pub plan: String,
    /// `provisioning`, `provisioned`, `deprovisioned`.
    pub state: String,
    /// The config vars that it gives to the app that pays for it.
    pub config_vars: Vec<String>,
    /// Its page in the dashboard.
    pub web_url: Option<String>,
}

/// An add-on that is attached to the app, its own or another app's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `DATABASE`: what its config vars begin with.
    pub name: String,
    /// The add-on's name.
    pub addon: String,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub hostname: String,
    /// What DNS should point to; none for the app's own `herokuapp.com`.
    pub cname: Option<String>,
    /// `pending`, `succeeded`, `failed`, `none`.
    pub status: String,
}

/// A log drain. Its URL holds keys, so only its scheme, host and port are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// `syslog+tls://logs.example:6514`.
    pub to: String,
}

impl Release {
    pub(super) fn read(json: &Json) -> Option<Self> {
        Some(Self {
            version: count(json, "version")?,
            status: text(json, "status").unwrap_or_default(),
            description: text(json, "description").unwrap_or_default(),
            user: within(json, "user", "email").unwrap_or_default(),
            current: json.get("current").and_then(Json::as_bool).unwrap_or_default(),
            created_at: moment(json, "created_at"),
        })
    }

    /// `v143 (Deploy 1a2b3c4 by dana@acme.example)`.
    #[must_use]
    pub fn words(&self) -> String {
        let by = if self.user.is_empty() { String::new() } else { format!(" by {}", self.user) };
        format!("v{} ({}{by})", self.version, self.description)
    }
}

impl Build {
    pub(super) fn read(json: &Json) -> Option<Self> {
        Some(Self {
            status: text(json, "status")?,
            source: within(json, "source_blob", "version").unwrap_or_default(),
            user: within(json, "user", "email").unwrap_or_default(),
            created_at: moment(json, "created_at"),
        })
    }

    /// `the build of 1a2b3c4 by dana@acme.example`.
    #[must_use]
    pub fn words(&self) -> String {
        let of = if self.source.is_empty() { String::new() } else { format!(" of {}", self.source) };
        let by = if self.user.is_empty() { String::new() } else { format!(" by {}", self.user) };
        format!("the build{of}{by}")
    }
}

impl AddOn {
    pub(super) fn read(json: &Json) -> Option<Self> {
        let vars = json.get("config_vars").and_then(Json::as_array);
        let vars = vars.map(|vars| vars.iter().filter_map(|var| Some(clean_line(var.as_str()?, 200))).collect());
        Some(Self {
            name: text(json, "name")?,
            plan: within(json, "plan", "name")?,
            state: text(json, "state").unwrap_or_default(),
            config_vars: vars.unwrap_or_default(),
            web_url: text(json, "web_url"),
        })
    }

    /// `heroku-postgresql`: the plan without its size.
    #[must_use]
    pub fn service(&self) -> &str {
        self.plan.split(':').next().unwrap_or_default()
    }
}

impl Attachment {
    pub(super) fn read(json: &Json) -> Option<Self> {
        Some(Self { name: text(json, "name")?, addon: within(json, "addon", "name")? })
    }
}

impl Domain {
    pub(super) fn read(json: &Json) -> Option<Self> {
        let status = text(json, "status").unwrap_or_default();
        Some(Self { hostname: text(json, "hostname")?, cname: text(json, "cname"), status })
    }
}

impl Drain {
    pub(super) fn read(json: &Json) -> Option<Self> {
        Some(Self { to: without_keys(json.get("url")?.as_str()?) })
    }
}

/// Scheme, host and port; nothing of what may be a key.
fn without_keys(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return "an address that is none".to_owned() };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    clean_line(&format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default()), 200)
}

/// Which names belong to add-ons: what they list, and what the same add-on gives under the names by which it is
/// attached. An add-on of another app does not show its list here; the variable that all of them give is `_URL`.
#[must_use]
pub fn owned(addons: &[AddOn], attachments: &[Attachment]) -> Vec<(String, String)> {
    let mut owned = Vec::new();
    for addon in addons {
        owned.extend(addon.config_vars.iter().map(|var| (var.clone(), addon.name.clone())));
    }
    for attachment in attachments {
        let own = addons.iter().find(|addon| addon.name == attachment.addon);
        let vars = own.map(|addon| addon.config_vars.as_slice()).unwrap_or_default();
        let suffixes = vars.iter().filter_map(|var| {
            let names = attachments.iter().filter(|one| one.addon == attachment.addon);
            let longest = names.filter(|one| var.strip_prefix(&one.name).is_some_and(|rest| rest.starts_with('_')));
            let longest = longest.max_by_key(|one| one.name.len())?;
            var.strip_prefix(longest.name.as_str())
        });
        for suffix in suffixes.chain(["_URL"]) {
            owned.push((format!("{}{suffix}", attachment.name), attachment.addon.clone()));
        }
    }
    owned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drains_show_no_keys() {
        let shown = |url: &str| without_keys(url);
        assert_eq!(shown("https://user:key@logs.example:8443/in?token=abc"), "https://logs.example:8443");
        assert_eq!(shown("syslog+tls://logs.example:6514"), "syslog+tls://logs.example:6514");
        assert_eq!(shown("key"), "an address that is none");
    }

    #[test]
    fn what_belongs_to_an_add_on() {
        let vars = |vars: &[&str]| vars.iter().map(|var| (*var).to_owned()).collect();
        let addon = |name: &str, list: &[&str]| AddOn {
            name: name.into(),
            plan: "p:s".into(),
            state: "provisioned".into(),
            config_vars: vars(list),
            web_url: None,
        };
        let attached = |name: &str, addon: &str| Attachment { name: name.into(), addon: addon.into() };
        let addons = [addon("pg", &["DATABASE_URL"]), addon("mail", &["MAIL_KEY", "MAIL_HOST"])];
        let attachments = [
            attached("DATABASE", "pg"),
            attached("HEROKU_POSTGRESQL_PINK", "pg"),
            attached("MAIL", "mail"),
            attached("MAIL_OLD", "mail"),
            attached("SHARED", "another app's"),
        ];
        let owned = owned(&addons, &attachments);
        let has = |name: &str| owned.iter().any(|(var, _)| var == name);
        for name in ["DATABASE_URL", "HEROKU_POSTGRESQL_PINK_URL", "MAIL_OLD_KEY", "MAIL_OLD_HOST", "SHARED_URL"] {
            assert!(has(name), "{name}: {owned:?}");
        }
        for name in ["DATABASE_POOL", "LOG_LEVEL", "HEROKU_POSTGRESQL_PINK_KEY"] {
            assert!(!has(name), "{name}: {owned:?}");
        }
    }
}

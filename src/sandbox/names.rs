//! What the world's things are called. The default is the story of the shipped runbook.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names of the world's things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldNames {
    /// AWS account, 12 digits.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// Route 53 hosted zone id.
    pub zone: String,
    /// The zone's domain, without the last dot.
    pub domain: String,
    /// The host that moves; in the domain.
    pub host: String,
    /// Where the host's CNAME points at the start.
    pub old_target: String,
    /// The load balancer's name, where it shall point.
    pub new_target: String,
    /// ECS cluster.
    pub cluster: String,
    /// ECS service behind the load balancer, and its family of task definitions.
    pub web: String,
    /// ECS service without a load balancer.
    pub worker: String,
    /// Family of the one-off task.
    pub migrate: String,
    /// ELBv2 target group.
    pub target_group: String,
    /// Heroku app.
    pub app: String,
}

impl Default for WorldNames {
    fn default() -> Self {
        Self {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            zone: "Z0SANDBOX".into(),
            domain: "acme.example".into(),
            host: "shop.acme.example".into(),
            old_target: "acme-shop.herokudns.example".into(),
            new_target: "acme-web-1.eu-west-1.elb.example".into(),
            cluster: "acme".into(),
            web: "web".into(),
            worker: "worker".into(),
            migrate: "migrate".into(),
            target_group: "acme-web".into(),
            app: "acme-shop".into(),
        }
    }
}

/// A name that the world does not have, or that does not fit the others. Completes "failed to name the world: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// No such key.
    #[error("unknown name `{0}`; known are {known}", known = KEYS.join(", "))]
    Unknown(String),
    /// The host must be in the domain, and so on.
    #[error("bad {key} `{value}`: {why}")]
    Bad {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

const KEYS: [&str; 13] = [
    "account",
    "app",
    "cluster",
    "domain",
    "host",
    "migrate",
    "new_target",
    "old_target",
    "region",
    "target_group",
    "web",
    "worker",
    "zone",
];

impl WorldNames {
    /// The ARN of a resource in the world's region and account.
    pub(super) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account)
    }

    /// Who asks, as `GetCallerIdentity` says it.
    pub(super) fn caller_arn(&self) -> String {
        format!("arn:aws:sts::{}:assumed-role/cutover/sandbox", self.account)
    }

    /// The default story with some names changed, as `sandbox.world` of a runbook says it. A host
    /// without a domain brings its parent as the domain; an app without an old target brings its own.
    ///
    /// # Errors
    /// An unknown key, or names that do not fit together.
    pub fn with(changes: &BTreeMap<String, String>) -> Result<Self, BadName> {
        let mut names = Self::default();
        if let (Some(host), None) = (changes.get("host"), changes.get("domain")) {
            names.domain = host.split_once('.').map(|(_, parent)| parent.to_owned()).unwrap_or_default();
        }
        if let (Some(app), None) = (changes.get("app"), changes.get("old_target")) {
            names.old_target = format!("{app}.herokudns.example");
        }
        for (key, value) in changes {
            let value = value.trim_end_matches('.').to_owned();
            match key.as_str() {
                "account" => names.account = value,
                "app" => names.app = value,
                "cluster" => names.cluster = value,
                "domain" => names.domain = value,
                "host" => names.host = value,
                "migrate" => names.migrate = value,
                "new_target" => names.new_target = value,
                "old_target" => names.old_target = value,
                "region" => names.region = value,
                "target_group" => names.target_group = value,
                "web" => names.web = value,
                "worker" => names.worker = value,
                "zone" => names.zone = value,
                _ => return Err(BadName::Unknown(crate::base::clean_line(key, 60))),
            }
        }
        names.check()?;
        Ok(names)
    }

    pub(super) fn check(&self) -> Result<(), BadName> {
        let bad = |key, value: &str, why| Err(BadName::Bad { key, value: crate::base::clean_line(value, 80), why });
        if self.account.len() != 12 || !self.account.bytes().all(|b| b.is_ascii_digit()) {
            return bad("account", &self.account, "an AWS account has 12 digits");
        }
        let dns = |name: &str| {
            name.contains('.')
                && name.split('.').all(|label| {
                    (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                })
        };
        for (key, name) in [("old_target", &self.old_target), ("new_target", &self.new_target), ("host", &self.host)] {
            if !dns(name) {
                return bad(key, name, "it must be a full domain name");
            }
        }
        if !self.host.strip_suffix(&self.domain).is_some_and(|label| label.ends_with('.')) {
            return bad("host", &self.host, "it must lie in the domain");
        }
        let words = [
            ("zone", &self.zone),
            ("cluster", &self.cluster),
            ("web", &self.web),
            ("worker", &self.worker),
            ("migrate", &self.migrate),
            ("app", &self.app),
            ("region", &self.region),
            ("target_group", &self.target_group),
        ];
        for (key, name) in words {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return bad(key, name, "it must be letters, digits, - and _");
            }
        }
        Ok(())
    }
}

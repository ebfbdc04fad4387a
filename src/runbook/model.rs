//! The runbook's parts, typed. Texts are as written: `${name}` is still unresolved here.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use super::{
    Source,
    value::{Span, Table, Value},
};
use crate::base::{EnvName, PersonId, StepId, WatchId};

/// A whole file.
#[derive(Debug, Clone)]
pub struct Runbook {
    /// `[runbook] id`: matches runs of the same runbook.
    pub id: String,
    /// `[runbook] title`.
    pub title: String,
    /// Decides at stop points unless one names somebody else.
    pub lead: PersonId,
    /// `[window]`.
    pub window: Window,
    /// `[people]`, in the order of the file.
    pub people: Vec<Person>,
    /// `[env.*]`, in the order of the file.
    pub envs: Vec<Env>,
    /// `[vars]`: what an environment's `vars` do not say.
    pub vars: BTreeMap<String, Scalar>,
    /// `[secrets]`: references only.
    pub secrets: Vec<SecretRef>,
    /// `[[step]]`, in order.
    pub steps: Vec<Step>,
    /// `[[watch]]`.
    pub watches: Vec<Watch>,
    /// `[allow]`: lint codes switched off, with the reason.
    pub allow: BTreeMap<String, String>,
    /// The file it was read from: text, hash, places of spans.
    pub source: Arc<Source>,
}

/// `[window]`.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Planned start; without one, T+0 is when the run starts.
    pub start: Option<DateTime<FixedOffset>>,
    /// When the window closes.
    pub end: Option<DateTime<FixedOffset>>,
    /// Longest time that writes may stay frozen.
    pub freeze_budget: Option<Duration>,
    /// Longest time that users may see an outage.
    pub downtime_budget: Option<Duration>,
}

/// Somebody of `[people]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The key.
    pub id: PersonId,
    /// Full name.
    pub name: String,
    /// What they do tonight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Where they are reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<String>,
}

/// What an environment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvKind {
    /// The built-in world.
    Sandbox,
    /// Staging.
    Rehearsal,
    /// The night itself.
    Live,
}

/// A plain value of `vars`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
}

/// `[env.NAME]`.
#[derive(Debug, Clone)]
pub struct Env {
    /// The name.
    pub name: EnvName,
    /// Where the name stands.
    pub span: Span,
    /// What it is for.
    pub kind: EnvKind,
    /// The word typed at dangerous points; the sandbox's default is `sandbox`.
    pub confirm: String,
    /// `aws = { … }`.
    pub aws: Option<AwsEnv>,
    /// `heroku = { … }`.
    pub heroku: Option<HerokuEnv>,
    /// `databases = { … }`: the fence around databases, by the name of the secret that leads there.
    pub databases: BTreeMap<String, DatabaseEnv>,
    /// `dns = { … }`: where to ask.
    pub dns: DnsEnv,
    /// `http = { … }`: how to reach web servers.
    pub http: HttpEnv,
    /// `sandbox = { … }` of a sandbox environment.
    pub sandbox: SandboxEnv,
    /// `vars = { … }`.
    pub vars: BTreeMap<String, Scalar>,
}

/// How AWS is reached and which account it must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsEnv {
    /// Region; else the profile's.
    pub region: Option<String>,
    /// Profile of the shared configuration; else the default chain.
    pub profile: Option<String>,
    /// The fence: the only account that may be touched. Required unless sandbox.
    pub account: Option<String>,
    /// A role to assume with the profile's credentials.
    pub role: Option<String>,
    /// What the role's trust policy asks for as `sts:ExternalId`, where it does. Not a secret (IAM user guide, "Access to
    /// AWS accounts owned by third parties").
    pub external_id: Option<String>,
    /// Who the session of the role is, as `CloudTrail` tells it; else `gonogo`.
    pub role_session_name: Option<String>,
    /// One endpoint for every service (`AWS_ENDPOINT_URL` is honoured without it).
    pub endpoint: Option<String>,
    /// Endpoints by service id (`route53`, `ecs`, `elasticloadbalancing`, `monitoring`, `sts`, …).
    pub endpoints: BTreeMap<String, String>,
}

/// How Heroku is reached and which app it must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HerokuEnv {
    /// The fence: the only app that may be touched.
    pub app: String,
    /// API base; the default is `https://api.heroku.com`.
    pub endpoint: Option<String>,
    /// Name of the secret that holds the token; else `HEROKU_API_KEY`, else netrc.
    pub token: Option<String>,
}

/// Which database a secret must lead to; what is left out may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseEnv {
    /// The host as the connection string names it; `*` is any text, `?` any one character.
    pub host: Option<String>,
    /// The database's own name.
    pub name: Option<String>,
    /// The cluster's system identifier (`pg_control_system()`), the same for a primary and its standbys.
    pub system: Option<String>,
}

/// Where DNS is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsEnv {
    /// Default resolvers of `dns.propagated`, and the ones used to find authoritative servers;
    /// empty: those of `/etc/resolv.conf`.
    pub resolvers: Vec<SocketAddr>,
    /// Authoritative servers to ask instead of looking up the zone's NS set (sandbox, tests, hidden primaries).
    pub authoritative: Vec<SocketAddr>,
    /// Servers of the parent zone to ask instead of looking them up (sandbox, tests).
    pub parents: Vec<SocketAddr>,
    /// Where name servers that are found by their names listen; `None`: 53 (a laboratory may not have it).
    pub port: Option<u16>,
}

/// How web servers are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpEnv {
    /// Names are resolved by the first of `dns.resolvers` and only there, never by the system
    /// (set by the sandbox, so that no request can leave it).
    pub resolve_only_by_dns: bool,
    /// Port used for `http://name/` without a port; the sandbox's origins cannot have port 80.
    pub default_port: Option<u16>,
    /// As `default_port`, for `https://name/` and TLS; the sandbox's origins cannot have port 443.
    pub default_tls_port: Option<u16>,
    /// Certificates (PEM) that are trusted instead of the platform's (the sandbox has an authority of its own).
    pub ca: Option<String>,
}

/// The built-in world's settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxEnv {
    /// Scripted faults, `OPERATION[:once|:N|:30s|:always]`, such as `ecs.deploy:once`.
    pub faults: Vec<String>,
    /// Seed of everything random in it.
    pub seed: Option<u64>,
    /// File of the IAM policy that is in force at its AWS; without one everything is allowed.
    pub policy: Option<String>,
    /// Where the old and new values differ from the built-in story: zone, host, cluster, app, ….
    pub world: BTreeMap<String, String>,
    /// What of it is not on this machine. No key of the file: found out where the run starts.
    pub lacks: Vec<Lack>,
}

/// Something that a sandbox environment has not got, so that what needs it is left out of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// `PostgreSQL`, `Redis`.
    pub what: String,
    /// Why it is not there, as a fragment after the name: `initdb and postgres were not found`.
    pub why: String,
    /// The one command that installs everything that is lacking.
    pub install: String,
    /// Names of the secrets that lead there: what is given one of them is left out.
    pub secrets: Vec<String>,
}

impl Lack {
    /// Why a step is left out, in a line: what is lacking, and what installs it.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("no {} on this machine ({}); {}", self.what, self.why, self.install)
    }
}

/// `[secrets] name = { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef {
    /// The name behind `${secret.name}`.
    pub name: String,
    /// Where the reference stands.
    pub span: Span,
    /// Where the value is.
    pub source: SecretSource,
}

/// Where a secret's value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file, without its last line end.
    File(String),
    /// Standard output of a command, without its last line end.
    Command(Vec<String>),
    /// A config var of the environment's Heroku app.
    HerokuConfig(String),
    /// A secret of AWS Secrets Manager: its id, and a key where the value is JSON (`id#key`).
    AwsSecret(String),
    /// A parameter of AWS Systems Manager.
    AwsParameter(String),
}

/// A table with a `kind`: a check or an action, its parameters unresolved.
#[derive(Debug, Clone)]
pub struct KindTable {
    /// Such as `ecs.deploy`.
    pub kind: String,
    /// Where the kind's name stands.
    pub kind_span: Span,
    /// The other keys.
    pub params: Table,
}

/// `[[step]]`.
#[derive(Debug, Clone)]
pub struct Step {
    /// Stable name.
    pub id: StepId,
    /// Where the name stands.
    pub id_span: Span,
    /// Heading that groups steps.
    pub phase: Option<String>,
    /// One line for the screen (template).
    pub title: Value,
    /// A paragraph for the detail pane (template).
    pub why: Option<Value>,
    /// Who does it or watches it.
    pub owner: PersonId,
    /// Planned duration.
    pub planned: Duration,
    /// Hard limit of one attempt.
    pub timeout: Option<Duration>,
    /// Ids that must be settled first; `None`: the step above.
    pub needs: Option<Vec<(StepId, Span)>>,
    /// Checks that must pass before the action.
    pub precheck: Vec<KindTable>,
    /// The one thing it does.
    pub action: Option<KindTable>,
    /// Checks that must pass afterwards.
    pub verify: Vec<KindTable>,
    /// How to take it back.
    pub rollback: Option<Rollback>,
    /// Tries for failures that are known to have done nothing.
    pub retry: Option<Retry>,
    /// Makes it a stop point.
    pub stop: Option<Stop>,
    /// Marks the point of no return.
    pub no_return: bool,
    /// The way on once it is crossed (template).
    pub after_no_return: Option<Value>,
    /// How many named people must confirm.
    pub people: u8,
    /// Environments in which the step exists; `None`: all.
    pub only: Option<Vec<EnvName>>,
    /// What a failure does.
    pub on_fail: OnFail,
    /// Clocks that this step starts or stops; `None`: what its kind says.
    pub clocks: Option<Clocks>,
}

/// How a step is taken back.
#[derive(Debug, Clone)]
pub enum Rollback {
    /// Write back what was captured before the action.
    Restore,
    /// An action of its own.
    Action(KindTable),
    /// There is none, and why (template).
    None(Value),
}

/// Tries, and the wait between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all.
    pub attempts: u32,
    /// Wait before the next one.
    pub wait: Duration,
}

/// `[step.stop]`.
#[derive(Debug, Clone)]
pub struct Stop {
    /// What is asked (template).
    pub question: Value,
    /// What go means (template).
    pub if_go: Option<Value>,
    /// What no-go means (template).
    pub if_no_go: Option<Value>,
    /// Whose vote is wanted.
    pub voters: Vec<PersonId>,
    /// Who decides; `None`: the lead.
    pub decides: Option<PersonId>,
    /// Checks that ought to be green.
    pub criteria: Vec<KindTable>,
}

/// What a failure does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFail {
    /// Hold and ask.
    Hold,
    /// Go on, for this reason.
    Continue(String),
}

/// The two budgets' clocks that a step may start or stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// `clocks = ["freeze:start"]`: writes are frozen from the end of this step's action.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub freeze_starts: bool,
    /// `"freeze:stop"`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub freeze_stops: bool,
    /// `"downtime:start"`: users see an outage from the start of this step's action.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub downtime_starts: bool,
    /// `"downtime:stop"`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub downtime_stops: bool,
}

/// `[[watch]]`.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Stable name.
    pub id: WatchId,
    /// Where the name stands.
    pub id_span: Span,
    /// One line (template).
    pub title: Value,
    /// Starts when this step starts.
    pub from: (StepId, Span),
    /// Ends when this step is settled.
    pub until: (StepId, Span),
    /// Time between samples.
    pub every: Duration,
    /// What is looked at.
    pub check: KindTable,
    /// Consecutive bad samples that make a breach.
    pub breach_after: u32,
    /// True: no data counts as bad (the default); false: it stops the clock and is shown.
    pub no_data_is_bad: bool,
    /// True: a breach holds the run; false: it only warns.
    pub hold: bool,
    /// Environments in which the watch exists; `None`: all.
    pub only: Option<Vec<EnvName>>,
}

impl Runbook {
    /// The step of an id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|s| &s.id == id)
    }

    /// The environment of a name.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&Env> {
        self.envs.iter().find(|e| e.name.as_str() == name)
    }
}

impl Step {
    /// True where `only` does not remove it from the environment.
    #[must_use]
    pub fn exists_in(&self, env: &EnvName) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(env))
    }
}

//! Heroku's Platform API, version 3 (<https://devcenter.heroku.com/articles/platform-api-reference>).
//!
//! ```text
//! call     one request within its deadline: rate limits and unavailability are waited out
//! refused  what an answer that is no success proves, and what to do about it
//! token    the environment's secret, else HEROKU_API_KEY, else netrc; the sandbox's own in a sandbox
//! read     typed reads; model, around: the few fields that are looked at
//! ```
//!
//! Only the environment's app is ever named in a path: that is the fence, and [`Heroku::identity`] proves it.

mod around;
mod call;
mod model;
mod netrc;
mod read;
mod refused;
mod token;

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};

use reqwest::{Method, Url};
use serde_json::Value as Json;
use tokio::sync::OnceCell;

use super::Services;
use crate::{
    base::{Class, Failure, Secret, clean_line},
    plan::{Cx, Identity},
    runbook::{Env, EnvKind, HerokuEnv},
};
pub use around::{AddOn, Attachment, Build, Domain, Drain, Release, owned};
pub use call::{Limits, Reply};
pub use model::{App, Dyno, Process, processes};
pub use read::ConfigVars;

/// Where the API is unless the environment says otherwise.
const PUBLIC: &str = "https://api.heroku.com";

/// Heroku as one environment reaches it.
pub struct Heroku {
    env: Arc<Env>,
    services: Weak<Services>,
    connected: OnceCell<Connected>,
}

/// What is known once the first request was prepared.
struct Connected {
    base: Url,
    client: reqwest::Client,
    token: Secret,
    /// The last `RateLimit-Remaining`.
    remaining: AtomicU64,
}

impl Heroku {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>, services: Weak<Services>) -> Self {
        Self { env, services, connected: OnceCell::new() }
    }

    /// The only app that this environment may touch.
    ///
    /// # Errors
    /// `Misconfigured`: the environment has none.
    pub fn app(&self) -> Result<&str, Failure> {
        Ok(&self.settings()?.app)
    }

    fn settings(&self) -> Result<&HerokuEnv, Failure> {
        self.env.heroku.as_ref().filter(|h| !h.app.is_empty()).ok_or_else(|| {
            Failure::new(Class::Misconfigured, format!("environment `{}` has no Heroku app", self.env.name))
                .hint("add heroku = { app = \"…\" } to it")
        })
    }

    /// Compares the app that answers with the environment's.
    ///
    /// # Errors
    /// `Refused`: another app answers; `Denied`, `Misconfigured`: it cannot be read.
    pub async fn identity(&self) -> Result<Identity, Failure> {
        let wanted = self.app()?;
        let found = self.read_app(&Limits::short()).await?;
        if found.name != wanted {
            return Err(Failure::new(
                Class::Refused,
                format!("this is app {}, and environment `{}` may only touch app {wanted}", found.name, self.env.name),
            ));
        }
        let owner = if found.owner.is_empty() { String::new() } else { format!(" of {}", found.owner) };
        Ok(Identity { system: "heroku".into(), line: clean_line(&format!("app {}{owner}", found.name), 200) })
    }

    /// Reads something of the environment's app: `path` is what follows `/apps/{app}`.
    ///
    /// # Errors
    /// `Denied` (401, 403), `Misconfigured` (404), `Refused` (other 4xx), `FailedNothingDone` (no answer in time).
    pub async fn get(&self, path: &str, limits: &Limits) -> Result<Reply, Failure> {
        self.send(Method::GET, path, None, None, limits).await
    }

    /// Changes something of the environment's app.
    ///
    /// # Errors
    /// As [`Heroku::get`]; `Unknown` where the request may have arrived and nobody saw the answer, or on a 5xx.
    pub async fn patch(&self, path: &str, body: &Json, limits: &Limits) -> Result<Reply, Failure> {
        self.send(Method::PATCH, path, Some(body), None, limits).await
    }

    /// Requests left of the account's hourly limit, as the last answer told it.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        let left = self.connected.get()?.remaining.load(Ordering::Relaxed);
        (left != u64::MAX).then_some(left)
    }

    async fn connected(&self) -> Result<&Connected, Failure> {
        self.connected.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Connected, Failure> {
        let settings = self.settings()?;
        let sandbox = self.env.kind == EnvKind::Sandbox;
        let text = match &settings.endpoint {
            Some(endpoint) => endpoint.as_str(),
            None if sandbox => {
                return Err(Failure::new(Class::Misconfigured, "the sandbox did not give a Heroku endpoint"));
            }
            None => PUBLIC,
        };
        let bad =
            |why: &str| Failure::new(Class::Misconfigured, format!("Heroku endpoint {}: {why}", clean_line(text, 120)));
        let base = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
        let ip = base.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().ok());
        let loopback = ip.is_some_and(|ip| ip.is_loopback()) || base.host_str() == Some("localhost");
        match base.scheme() {
            _ if sandbox && !loopback => return Err(bad("a sandbox stays on loopback")),
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(bad("the token would travel in the clear; use https")),
            _ => return Err(bad("must begin with https://")),
        }
        let services =
            self.services.upgrade().ok_or_else(|| Failure::new(Class::FailedNothingDone, "the run is over"))?;
        let token = token::find(settings, sandbox, &base, &services.secrets).await?;
        let client = super::http::client(&self.env, &base)?;
        Ok(Connected { base, client, token, remaining: AtomicU64::new(u64::MAX) })
    }
}

impl From<&Cx> for Limits {
    fn from(cx: &Cx) -> Self {
        Self { deadline: cx.deadline, cancel: cx.cancel.clone() }
    }
}

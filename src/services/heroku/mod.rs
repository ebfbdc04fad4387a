//! Heroku's Platform API, version 3 (<https://devcenter.heroku.com/articles/platform-api-reference>).
//!
//! ```text
//! call    one request within its deadline: rate limits and unavailability are waited out, errors classed
//! token   the environment's secret, else HEROKU_API_KEY, else netrc; the sandbox's own in a sandbox
//! model   the few fields of app, formation, dyno and release that are looked at
//! ```
//!
//! Only the environment's app is ever named in a path: that is the fence, and [`Heroku::identity`] proves it.

mod call;
mod model;
mod token;

use std::sync::{Arc, Weak};

use reqwest::{Method, Url};
use serde_json::Value as Json;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::Services;
use crate::{
    base::{Class, Failure, Secret, clean_line},
    plan::{Cx, Identity},
    runbook::{Env, EnvKind, HerokuEnv},
};
pub use call::{Limits, Reply};
pub use model::{App, Dyno, Process, Release, processes};

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

    /// `GET /apps/{app}`.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn read_app(&self, limits: &Limits) -> Result<App, Failure> {
        let reply = self.get("", limits).await?;
        App::read(&reply.json).ok_or_else(|| reply.strange("GET /apps/{app}"))
    }

    /// `GET /apps/{app}/formation`.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn formation(&self, limits: &Limits) -> Result<Vec<Process>, Failure> {
        let reply = self.list("/formation", limits).await?;
        processes(&reply.json).ok_or_else(|| reply.strange("GET /apps/{app}/formation"))
    }

    /// `GET /apps/{app}/dynos`.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn dynos(&self, limits: &Limits) -> Result<Vec<Dyno>, Failure> {
        let reply = self.list("/dynos", limits).await?;
        let dynos = reply.json.as_array().map(|list| list.iter().map(Dyno::read).collect::<Option<Vec<_>>>());
        dynos.flatten().ok_or_else(|| reply.strange("GET /apps/{app}/dynos"))
    }

    /// The newest release: `GET /apps/{app}/releases`, newest first, one of them.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn release(&self, limits: &Limits) -> Result<Option<Release>, Failure> {
        let reply = self.send(Method::GET, "/releases", None, Some("version ..; order=desc, max=1"), limits).await?;
        let list = reply.json.as_array().ok_or_else(|| reply.strange("GET /apps/{app}/releases"))?;
        // An API that ignores `Range` answers from the oldest; the newest is looked for either way.
        Ok(list.iter().filter_map(Release::read).max_by_key(|release| release.version))
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

    /// The value of a config var of the environment's app.
    ///
    /// # Errors
    /// `Denied`, `Misconfigured` (no such var) or `FailedNothingDone`.
    pub async fn config_var(&self, name: &str) -> Result<String, Failure> {
        // The answer holds every secret of the app: nothing of it goes into an error.
        let reply = self.get("/config-vars", &Limits::short()).await?;
        let value = reply.json.get(name).and_then(Json::as_str).map(str::to_owned);
        value.ok_or_else(|| {
            let app = self.app().unwrap_or_default();
            Failure::new(Class::Misconfigured, format!("app {app} has no config var `{}`", clean_line(name, 80)))
        })
    }

    /// Every config var of the environment's app; wiped when it is dropped.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn config_vars(&self, limits: &Limits) -> Result<Vec<(String, Zeroizing<String>)>, Failure> {
        let mut reply = self.get("/config-vars", limits).await?;
        let Json::Object(map) = reply.json.take() else { return Err(reply.strange("GET /apps/{app}/config-vars")) };
        // A var that is unset while we ask comes as null: it is not there.
        let text = |value| if let Json::String(text) = value { Some(Zeroizing::new(text)) } else { None };
        Ok(map.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
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
        let client = super::http::client(&self.env, &base, &[], super::http::Client::Kept)?;
        Ok(Connected { base, client, token })
    }
}

impl From<&Cx> for Limits {
    fn from(cx: &Cx) -> Self {
        Self { deadline: cx.deadline, cancel: cx.cancel.clone() }
    }
}

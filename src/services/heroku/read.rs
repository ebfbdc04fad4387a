//! Typed reads of the environment's app.

use reqwest::Method;
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::{
    Heroku,
    around::{AddOn, Attachment, Build, Domain, Drain, Release},
    call::{Limits, Reply},
    model::{App, Dyno, Process, processes},
};
use crate::base::{Class, Failure, clean_line};

/// How many of the newest releases and builds are looked at: more than a night makes.
const NEWEST: usize = 100;

/// Config vars by name; wiped when they are dropped.
pub type ConfigVars = Vec<(String, Zeroizing<String>)>;

impl Heroku {
    /// `GET /apps/{app}`.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn read_app(&self, limits: &Limits) -> Result<App, Failure> {
        let reply = self.get("", limits).await?;
        App::read(&reply.json).ok_or_else(|| reply.strange("GET /apps/{app}"))
    }

    /// `GET /apps/{app}/formation`, by name.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn formation(&self, limits: &Limits) -> Result<Vec<Process>, Failure> {
        let reply = self.list("/formation", limits).await?;
        let mut all = processes(&reply.json).ok_or_else(|| reply.strange("GET /apps/{app}/formation"))?;
        all.sort_by(|a, b| a.kind.cmp(&b.kind));
        Ok(all)
    }

    /// `GET /apps/{app}/dynos`.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn dynos(&self, limits: &Limits) -> Result<Vec<Dyno>, Failure> {
        self.every("/dynos", limits, Dyno::read).await
    }

    /// The newest releases, newest first, 100 at most.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn releases(&self, limits: &Limits) -> Result<Vec<Release>, Failure> {
        let mut releases = self.newest("/releases", "version", limits, Release::read).await?;
        // An API that ignores `Range` answers from the oldest; the newest is first either way.
        releases.sort_by_key(|release| std::cmp::Reverse(release.version));
        Ok(releases)
    }

    /// The newest release.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn release(&self, limits: &Limits) -> Result<Option<Release>, Failure> {
        let range = Some("version ..; order=desc, max=1");
        let reply = self.send(Method::GET, "/releases", None, range, limits).await?;
        let releases = read_all(&reply, "/releases", Release::read)?;
        Ok(releases.into_iter().max_by_key(|release| release.version))
    }

    /// The newest builds, 100 at most.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn builds(&self, limits: &Limits) -> Result<Vec<Build>, Failure> {
        self.newest("/builds", "started_at", limits, Build::read).await
    }

    /// `GET /apps/{app}/addons`.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn addons(&self, limits: &Limits) -> Result<Vec<AddOn>, Failure> {
        self.every("/addons", limits, AddOn::read).await
    }

    /// `GET /apps/{app}/addon-attachments`.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn attachments(&self, limits: &Limits) -> Result<Vec<Attachment>, Failure> {
        self.every("/addon-attachments", limits, Attachment::read).await
    }

    /// `GET /apps/{app}/domains`.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn domains(&self, limits: &Limits) -> Result<Vec<Domain>, Failure> {
        self.every("/domains", limits, Domain::read).await
    }

    /// `GET /apps/{app}/log-drains`.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn drains(&self, limits: &Limits) -> Result<Vec<Drain>, Failure> {
        self.every("/log-drains", limits, Drain::read).await
    }

    /// The stage at which the app stands in a pipeline; `None` where it is in none.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn pipeline_stage(&self, limits: &Limits) -> Result<Option<String>, Failure> {
        let Some(reply) = self.find("/pipeline-couplings", limits).await? else { return Ok(None) };
        Ok(Some(super::model::text(&reply.json, "stage").unwrap_or_default()))
    }

    /// The value of a config var of the environment's app.
    ///
    /// # Errors
    /// `Denied`, `Misconfigured` (no such var) or `FailedNothingDone`.
    pub async fn config_var(&self, name: &str) -> Result<String, Failure> {
        // The answer holds every secret of the app: nothing of it goes into an error.
        let vars = self.config_vars(&Limits::short()).await?;
        let value = vars.into_iter().find(|(var, _)| var == name).map(|(_, mut value)| std::mem::take(&mut *value));
        value.ok_or_else(|| {
            let app = self.app().unwrap_or_default();
            Failure::new(Class::Misconfigured, format!("app {app} has no config var `{}`", clean_line(name, 80)))
        })
    }

    /// Every config var of the environment's app.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn config_vars(&self, limits: &Limits) -> Result<ConfigVars, Failure> {
        vars(self.get("/config-vars", limits).await?, "/config-vars")
    }

    /// Every config var as it was in a release; `None` where Heroku does not have that release any more.
    ///
    /// # Errors
    /// As [`Heroku::get`].
    pub async fn config_vars_of(&self, version: u64, limits: &Limits) -> Result<Option<ConfigVars>, Failure> {
        let reply = self.find(&format!("/releases/{version}/config-vars"), limits).await?;
        reply.map(|reply| vars(reply, "/releases/{release}/config-vars")).transpose()
    }

    async fn every<T>(&self, path: &str, limits: &Limits, read: fn(&Json) -> Option<T>) -> Result<Vec<T>, Failure> {
        read_all(&self.list(path, limits).await?, path, read)
    }

    async fn newest<T>(
        &self,
        path: &str,
        by: &str,
        limits: &Limits,
        read: fn(&Json) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        let range = format!("{by} ..; order=desc, max={NEWEST}");
        read_all(&self.send(Method::GET, path, None, Some(&range), limits).await?, path, read)
    }
}

fn read_all<T>(reply: &Reply, path: &str, read: fn(&Json) -> Option<T>) -> Result<Vec<T>, Failure> {
    let all = reply.json.as_array().and_then(|list| list.iter().map(read).collect());
    all.ok_or_else(|| reply.strange(&format!("GET /apps/{{app}}{path}")))
}

fn vars(mut reply: Reply, path: &str) -> Result<ConfigVars, Failure> {
    let Json::Object(map) = reply.json.take() else { return Err(reply.strange(&format!("GET /apps/{{app}}{path}"))) };
    // A var that is unset while we ask comes as null: it is not there.
    let text = |value| if let Json::String(text) = value { Some(Zeroizing::new(text)) } else { None };
    Ok(map.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
}

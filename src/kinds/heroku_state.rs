//! `heroku.state`: maintenance, formation, dynos and release as they are.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind, heroku, heroku_scale::quantities};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Identity, Param, Seen, Shape},
    services::{Services, heroku::Limits},
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "heroku.state",
    summary: "maintenance mode, formation, running dynos and release of the Heroku app",
    docs: "\
Reads `GET /apps/{app}` and, where asked, `/formation`, `/dynos` and `/releases` (newest), and passes when everything that
is named is so. `formation` is what is asked for; `dynos` is what runs: the number of dynos of a type in any state
for 0, in state `up` otherwise. `dynos = { run = 0 }` proves that no one-off dyno is left, which neither maintenance mode
nor scaling stops.

Without any expectation it tells what it sees and passes.

Relies on <https://devcenter.heroku.com/articles/platform-api-reference>. Limits: Heroku Scheduler's jobs only show as `run` or
`scheduler` dynos while they run.",
    params: &[
        heroku::APP,
        Param { name: "maintenance", shape: Shape::Flag, required: false, help: "expected maintenance mode" },
        Param {
            name: "formation",
            shape: Shape::Any,
            required: false,
            help: "expected quantities by process type: { web = 2, worker = 0 }",
        },
        Param {
            name: "dynos",
            shape: Shape::Any,
            required: false,
            help: "expected running dynos by type: { worker = 0, run = 0 }",
        },
        Param { name: "release", shape: Shape::Count, required: false, help: "expected version of the newest release" },
    ],
    doubt: Doubt::Read,
    needs: &["view the app (OAuth scope `read`)"],
    example: include_str!("../../runbooks/kinds/heroku.state.toml"),
    bind: Bind::Check(|params, services| {
        heroku::app(params, services);
        Arc::new(State {
            services: services.clone(),
            maintenance: params.opt_flag("maintenance"),
            formation: quantities(params, "formation").unwrap_or_default(),
            dynos: quantities(params, "dynos").unwrap_or_default(),
            release: params.opt_count("release"),
        })
    }),
};

struct State {
    services: Arc<Services>,
    maintenance: Option<bool>,
    formation: Vec<(String, u64)>,
    dynos: Vec<(String, u64)>,
    release: Option<u64>,
}

impl State {
    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let (heroku, limits) = (&self.services.heroku, Limits::from(cx));
        let app = heroku.read_app(&limits).await?;
        let (mut seen, mut wrong) = (Vec::new(), Vec::new());
        let on = if app.maintenance { "on" } else { "off" };
        seen.push(format!("maintenance {on}"));
        if self.maintenance.is_some_and(|wanted| wanted != app.maintenance) {
            wrong.push(format!("maintenance is {on}"));
        }
        let mut evidence = json!({ "maintenance": app.maintenance });
        if !self.formation.is_empty() {
            let now = heroku.formation(&limits).await?;
            for (kind, wanted) in &self.formation {
                match now.iter().find(|p| &p.kind == kind) {
                    Some(p) if p.quantity == *wanted => {}
                    Some(p) => wrong.push(format!("{kind} is scaled to {}, not {wanted}", p.quantity)),
                    None => wrong.push(format!("there is no process type {kind}")),
                }
            }
            seen.push(now.iter().map(|p| format!("{}={}", p.kind, p.quantity)).collect::<Vec<_>>().join(" "));
            evidence["formation"] = now.iter().map(crate::services::heroku::Process::json).collect();
        }
        if !self.dynos.is_empty() {
            let now = heroku.dynos(&limits).await?;
            for (kind, wanted) in &self.dynos {
                let mine = now.iter().filter(|d| &d.kind == kind).collect::<Vec<_>>();
                let counted = mine.iter().filter(|d| *wanted == 0 || d.state == "up").count() as u64;
                if counted != *wanted || (*wanted > 0 && mine.len() as u64 != *wanted) {
                    let list = mine.iter().map(|d| format!("{} {}", d.name, d.state)).collect::<Vec<_>>().join(", ");
                    let list = if list.is_empty() { "none".to_owned() } else { list };
                    wrong.push(format!("expected {wanted} dynos of {kind}, found {list}"));
                }
            }
            seen.push(format!("{} dynos", now.len()));
            evidence["dynos"] = now.iter().map(|d| json!({ "name": d.name, "state": d.state })).collect();
        }
        if let Some(wanted) = self.release {
            match heroku.release(&limits).await? {
                Some(release) if release.version == wanted && release.status != "failed" => {
                    seen.push(format!("release v{wanted}"));
                }
                Some(release) => {
                    let what =
                        format!("newest release is v{} {} ({})", release.version, release.status, release.description);
                    wrong.push(format!("{what}, expected v{wanted}"));
                }
                None => wrong.push(format!("there is no release, expected v{wanted}")),
            }
        }
        match wrong.split_first() {
            None => Ok(Seen::new(format!("{}: {}", app.name, seen.join(", "))).with(evidence)),
            Some((first, more)) => {
                let failure = Failure::new(Class::NotYet, format!("{}: {first}", app.name));
                Err(more.iter().fold(failure, Failure::because))
            }
        }
    }
}

impl Check for State {
    fn looks(&self) -> String {
        let mut wanted = Vec::new();
        if let Some(on) = self.maintenance {
            wanted.push(format!("maintenance {}", if on { "on" } else { "off" }));
        }
        wanted.extend(self.formation.iter().map(|(kind, n)| format!("{kind} scaled to {n}")));
        wanted.extend(self.dynos.iter().map(|(kind, n)| format!("{n} dynos of {kind}")));
        wanted.extend(self.release.map(|version| format!("release v{version}")));
        let app = self.services.heroku.app().unwrap_or_default();
        if wanted.is_empty() {
            format!("GET /apps/{app}")
        } else {
            format!("GET /apps/{app} expects {}", wanted.join(", "))
        }
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, async { self.look(cx).await.map_err(super::no_data) }))
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { self.services.heroku.identity().await.map(Some) })
    }
}

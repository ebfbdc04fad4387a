//! `heroku.lock_deploys`: nobody deploys: locked by a person, proved by releases and builds.

mod lock;
mod since;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{Bind, Kind, heroku};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Identity, Param, Seen, Shape},
    services::{Services, heroku::Limits},
};
use lock::Lock;
use since::{Since, under_way};

/// The kind.
pub static KIND: Kind = Kind {
    name: "heroku.lock_deploys",
    summary: "no deploy of the Heroku app: locked by its owner, proved by its releases and builds",
    docs: "\
The Platform API has no switch that stops deploys: automatic deploys from GitHub belong to the dashboard, pushes and promotions to
whoever may deploy. So the action is a manual step with its proof. It names what is under way (builds, releases whose release phase runs)
and the app's place in a pipeline, its owner goes through the checklist and says so; then it waits until nothing is under way any more, and
writes down which release is the newest.

As a check it passes when no build and no release phase is under way and no release has come since: `after` an earlier step (such as the lock;
the release that it wrote down counts), or `since` a moment, or above a `release`. Releases of steps of our own are expected: name those steps
in `allow`. Without any of these it only looks for what is under way. Everything else that came is named with who made it. Use it before a point of no
return, and as a watch.

`to = \"unlocked\"` is the way back, for `rollback = { kind = \"heroku.lock_deploys\", to = \"unlocked\" }`: its owner says that deploys are on again.

What hurts people: a deploy, and also every change of config vars or add-ons, makes a release, and with it runs the release phase: a migration in the middle
of the window. Deploying by `git push`, by CI and by promotion does not ask Heroku's automatic deploys.

Limits: the newest 100 releases and builds are looked at. A change of the formation, a restart and a maintenance switch make no release.

Relies on <https://devcenter.heroku.com/articles/platform-api-reference#release-list>,
<https://devcenter.heroku.com/articles/platform-api-reference#build-list> and <https://devcenter.heroku.com/articles/github-integration>.
Only the environment's app can be named.",
    params: PARAMS,
    doubt: Doubt::Manual,
    needs: &["view the app's releases and builds (OAuth scope `read`)"],
    example: include_str!("../../runbooks/kinds/heroku.lock_deploys.toml"),
    bind: Bind::Both(
        |params, services| {
            heroku::app(params, services);
            since::only_for(params, &["to", "checklist", "wait"], "the action", "this is a check");
            Arc::new(Unchanged { services: services.clone(), since: Since::read(params) })
        },
        |params, services| {
            heroku::app(params, services);
            since::only_for(params, &["after", "since", "release", "allow"], "the check", "this is an action");
            Arc::new(Lock::read(params, services))
        },
    ),
};

const PARAMS: &[Param] = &[
    heroku::APP,
    Param { name: "to", shape: Shape::Text, required: false, help: "action: locked (the default) or unlocked" },
    Param { name: "checklist", shape: Shape::Texts, required: false, help: "action: more things to tick off" },
    Param {
        name: "wait",
        shape: Shape::Duration,
        required: false,
        help: "action: how long what is under way may take; default 15m",
    },
    Param {
        name: "after",
        shape: Shape::Text,
        required: false,
        help: "check: an earlier Heroku step; no release may have come since it",
    },
    Param { name: "since", shape: Shape::Time, required: false, help: "check: no release may have come since" },
    Param { name: "release", shape: Shape::Count, required: false, help: "check: no release may be above this one" },
    Param {
        name: "allow",
        shape: Shape::Texts,
        required: false,
        help: "check: earlier `heroku.config` steps, whose own releases are expected",
    },
];

/// The check: no release came.
struct Unchanged {
    services: Arc<Services>,
    since: Since,
}

impl Check for Unchanged {
    fn looks(&self) -> String {
        let app = self.services.heroku.app().unwrap_or_default();
        format!("GET /apps/{app}/releases and /builds expects nothing under way{}", self.since.words())
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, async move {
            let (heroku, limits) = (&self.services.heroku, Limits::from(cx));
            let base = self.since.base(cx)?;
            let app = heroku.app()?;
            let (releases, builds) = since::read(heroku, &limits).await.map_err(super::no_data)?;
            let mut wrong = base.came(&releases);
            wrong.extend(under_way(&releases, &builds));
            let newest =
                releases.first().map_or("no release at all".to_owned(), |it| format!("newest is {}", it.words()));
            let Some((first, more)) = wrong.split_first() else {
                let evidence = json!({ "release": releases.first().map(|it| it.version), "allowed": base.allowed });
                let line = format!("{app}: nothing is under way{}; {newest}", self.since.words());
                return Ok(Seen::new(line).with(evidence));
            };
            let count = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
            let failure = Failure::new(Class::NotYet, format!("{app}: {first}{count}"));
            Err(more.iter().fold(failure, Failure::because))
        }))
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { self.services.heroku.identity().await.map(Some) })
    }
}

//! `heroku.config`: config vars set and unset, and dynos that run with them.

mod change;
mod wanted;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value as Json;

use super::{Bind, Kind, heroku};
use crate::{
    base::Failure,
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Shape},
    services::Services,
};
use wanted::Wanted;

/// The kind.
pub static KIND: Kind = Kind {
    name: "heroku.config",
    summary: "sets and unsets config vars, and waits for the release and for dynos that run with them",
    docs: "\
Sends one `PATCH /apps/{app}/config-vars` with the names that are not as asked yet. Heroku makes a release of that, runs the
release phase where the app has one, and restarts every dyno. This waits until no release is pending, reads the config
vars back, and then reads `GET /apps/{app}/dynos` until every dyno of the formation is up and runs that release. While a release
phase runs the API shows the former values, and where it fails they stay: the step then fails and says so.

**No value is ever shown, logged or kept**, not even a hash of it: what is captured is the number of the running
release and which names are set. Heroku keeps the config vars of every release; `rollback = \"restore\"` reads the former
values there (`GET /apps/{app}/releases/{release}/config-vars`) and writes them back, and unsets what was not set. The capture
proves that the release holds the present values before anything is changed. Where it does not, give them:
`former = { NAME = \"${secret.old_name}\" }`; those are compared with the present values as well. A value that is not for
everybody's eyes stands in the runbook as `${secret.x}`.

A name that belongs to an add-on (`DATABASE_URL`, and the other names under which an add-on is attached) is refused before
anything is sent: `heroku addons:attach` and `pg:promote` change those.

What hurts people: every change restarts the app and runs the release phase, so a migration may come with it; give all names in
one step. One-off dynos go on with the old values; those that do are named. Whoever can read a config var can read it in old releases
too: unsetting a secret does not make it secret again.

Relies on <https://devcenter.heroku.com/articles/platform-api-reference#config-vars-update>,
<https://devcenter.heroku.com/articles/config-vars> and <https://devcenter.heroku.com/articles/release-phase>. Only the environment's app
can be named.",
    params: &[
        heroku::APP,
        Param { name: "set", shape: Shape::Map, required: false, help: "value by name, a text or \"${secret.x}\"" },
        Param { name: "unset", shape: Shape::Texts, required: false, help: "names that shall not be there" },
        Param {
            name: "former",
            shape: Shape::Map,
            required: false,
            help: "values to put back, by name; left out: Heroku's release of before holds them",
        },
    ],
    doubt: Doubt::Desired,
    needs: &[
        "read and write the app's config vars (OAuth scope `write-protected`)",
        "view the app's releases, dynos and add-ons (OAuth scope `read`)",
    ],
    example: include_str!("../../runbooks/kinds/heroku.config.toml"),
    bind: Bind::Action(|params, services| {
        heroku::app(params, services);
        Arc::new(Config { services: services.clone(), wanted: Wanted::read(params) })
    }),
};

struct Config {
    services: Arc<Services>,
    wanted: Wanted,
}

impl Action for Config {
    fn does(&self) -> Vec<String> {
        let app = self.services.heroku.app().unwrap_or_default();
        vec![
            format!("PATCH /apps/{app}/config-vars: {} (no value is shown)", self.wanted.words()),
            format!("GET /apps/{app}/releases and /dynos until every dyno runs the release that this makes"),
        ]
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async move { self.services.heroku.identity().await.map(Some) })
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(change::capture(&self.services, &self.wanted, cx))
    }

    fn apply<'a>(&'a self, cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let target = self.wanted.open(&self.services).await?;
            change::make(&self.services, cx, &target).await
        })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let target = change::former(&self.services, &self.wanted, cx, captured).await?;
            change::make(&self.services, cx, &target).await
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let wanted = self.wanted.open(&self.services).await?;
            let former = change::former(&self.services, &self.wanted, cx, captured).await?;
            let (target, other) = if back { (former, wanted) } else { (wanted, former) };
            heroku::twice(cx, || change::found(&self.services, cx, &target, &other)).await
        })
    }
}

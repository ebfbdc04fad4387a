//! `heroku.maintenance`: the maintenance page on or off.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{Bind, Kind, heroku};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Shape},
    runbook::Clocks,
    services::{Services, heroku::Limits},
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "heroku.maintenance",
    summary: "turns Heroku's maintenance page on or off",
    docs: "\
Sends `PATCH /apps/{app}` with `maintenance`, then reads the app back until it says so. Restore writes the value that was
found before.

What hurts people: maintenance mode stops the router only (visitors get 503, H80). Workers, Heroku Scheduler and one-off
dynos go on and go on writing: scale them down with `heroku.scale`.

Turning it on starts the downtime clock, turning it off stops it, unless the step says otherwise.

Relies on <https://devcenter.heroku.com/articles/platform-api-reference#app-update> and
<https://devcenter.heroku.com/articles/maintenance-mode>. Only the environment's app can be named.",
    params: &[
        heroku::APP,
        Param { name: "on", shape: Shape::Flag, required: true, help: "true shows the maintenance page, false ends it" },
    ],
    doubt: Doubt::Desired,
    needs: &["operate on the app (OAuth scope `write`)"],
    example: include_str!("../../runbooks/kinds/heroku.maintenance.toml"),
    bind: Bind::Action(|params, services| {
        heroku::app(params, services);
        Arc::new(Maintenance { services: services.clone(), on: params.opt_flag("on").unwrap_or(true) })
    }),
};

struct Maintenance {
    services: Arc<Services>,
    on: bool,
}

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

impl Maintenance {
    async fn read(&self, cx: &Cx) -> Result<bool, Failure> {
        Ok(self.services.heroku.read_app(&Limits::from(cx)).await?.maintenance)
    }

    async fn set(&self, cx: &Cx, on: bool) -> Result<Done, Failure> {
        let heroku = &self.services.heroku;
        let app = heroku.app()?;
        if self.read(cx).await? == on {
            return Ok(
                Done::new(format!("maintenance of {app} is {} already", word(on))).with(json!({ "maintenance": on }))
            );
        }
        let reply = heroku.patch("", &json!({ "maintenance": on }), &Limits::from(cx)).await?;
        let seen = cx.poll(Duration::from_millis(500), || async {
            match self.read(cx).await? {
                now if now == on => Ok(()),
                now => Err(Failure::new(Class::NotYet, format!("the app still says maintenance {}", word(now)))),
            }
        });
        seen.await.map_err(|failure| heroku::after_sending(failure, &reply.request_id))?;
        let evidence =
            json!({ "maintenance": on, "request_id": reply.request_id, "rate_limit_remaining": reply.remaining });
        Ok(Done::new(format!("maintenance of {app} is {}", word(on))).with(evidence))
    }
}

impl Action for Maintenance {
    fn does(&self) -> Vec<String> {
        let app = self.services.heroku.app().unwrap_or_default();
        vec![format!("PATCH /apps/{app} {{\"maintenance\": {}}}", self.on)]
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async move { self.services.heroku.identity().await.map(Some) })
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move { Ok(json!({ "maintenance": self.read(cx).await? })) })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.set(cx, self.on))
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { self.set(cx, before(captured)?).await })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let wanted = if back { before(captured)? } else { self.on };
            heroku::twice(cx, || async {
                let now = self.read(cx).await?;
                let line = format!("maintenance is {}", word(now));
                Ok(if now == wanted { Finding::Done(Done::new(line)) } else { Finding::NotDone { line } })
            })
            .await
        })
    }

    fn clocks(&self) -> Clocks {
        Clocks { downtime_starts: self.on, downtime_stops: !self.on, ..Clocks::default() }
    }
}

fn before(captured: &Json) -> Result<bool, Failure> {
    captured.get("maintenance").and_then(Json::as_bool).ok_or_else(|| heroku::not_captured("maintenance"))
}

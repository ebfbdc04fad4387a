//! `heroku.scale`: process types to quantities, and dynos really gone or up.

mod wanted;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{
    Bind, Kind,
    heroku::{
        self,
        dynos::{named, one_off, same, unsettled, words},
    },
};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Shape},
    services::{
        Services,
        heroku::{Limits, Process, processes},
    },
};
use wanted::Wanted;

/// How often the dynos are looked at. Ten minutes of it use 7 % of an hour's 4,500 requests.
const EVERY: Duration = Duration::from_secs(2);

/// The kind.
pub static KIND: Kind = Kind {
    name: "heroku.scale",
    summary: "scales process types and waits until the dynos are really gone or up",
    docs: "\
Reads the formation (quantity and size of every type that changes are kept for restore), sends one
`PATCH /apps/{app}/formation` for all types, then reads `GET /apps/{app}/dynos` until no dyno of a type scaled to 0 is
left in any state and every other type has exactly the asked number of dynos, all `up` (or `idle`, which wake by
themselves). Restore writes quantity and size back, waits as well, and compares.

`formation = \"all-but-web\"` stops everything that works behind the web dynos, whatever it is called; with `to`, it scales
them to another quantity. `formation = { worker = { quantity = 2, size = \"Standard-2X\" } }` changes the size too, which
restarts the dynos of that type.

What hurts people: a dyno gets SIGTERM and 30 s, then it is killed: long jobs are lost unless they were drained first.
One-off dynos (`run.…`, Heroku Scheduler's `scheduler.…`, a release phase's `release.…`) are no part of the formation and
go on: those that do are named. A process type that a deploy adds later is not covered: see `heroku.lock_deploys`.

Relies on <https://devcenter.heroku.com/articles/platform-api-reference#formation-batch-update> and
<https://devcenter.heroku.com/articles/dynos#shutdown>. Only the environment's app can be named.",
    params: &[
        heroku::APP,
        Param {
            name: "formation",
            shape: Shape::Any,
            required: false,
            help: "quantity (and size) by process type, or \"all\", \"all-but-web\"",
        },
        Param {
            name: "to",
            shape: Shape::Count,
            required: false,
            help: "one quantity for `types`, or for every type; with \"all…\" 0 is the default",
        },
        Param { name: "types", shape: Shape::Texts, required: false, help: "with `to`: only these process types" },
        Param { name: "except", shape: Shape::Texts, required: false, help: "with `to`: every type but these" },
    ],
    doubt: Doubt::Desired,
    needs: &["operate on the app (OAuth scope `write`)"],
    example: include_str!("../../runbooks/kinds/heroku.scale.toml"),
    bind: Bind::Action(|params, services| {
        heroku::app(params, services);
        Arc::new(Scale { services: services.clone(), wanted: Wanted::read(params) })
    }),
};

struct Scale {
    services: Arc<Services>,
    wanted: Wanted,
}

impl Scale {
    async fn set(&self, cx: &Cx, target: &[Process]) -> Result<Done, Failure> {
        let (heroku, limits) = (&self.services.heroku, Limits::from(cx));
        let app = heroku.app()?;
        if target.is_empty() {
            return Ok(Done::new(format!("{app} has no process type to scale: there is nothing to do")));
        }
        let now = heroku.formation(&limits).await?;
        let as_wanted = target.iter().all(|t| now.iter().any(|p| same(p, t)));
        let mut request_id = String::new();
        if !as_wanted {
            let updates = target.iter().map(Process::update).collect::<Vec<_>>();
            let reply = heroku.patch("/formation", &json!({ "updates": updates }), &limits).await?;
            request_id = reply.request_id;
        }
        let sent = |failure: Failure| if as_wanted { failure } else { heroku::after_sending(failure, &request_id) };
        let started = tokio::time::Instant::now();
        let settled = cx.poll(EVERY, || async {
            let dynos = heroku.dynos(&limits).await?;
            let open = target.iter().filter_map(|t| unsettled(t, &dynos)).collect::<Vec<_>>();
            if open.is_empty() {
                return Ok(dynos);
            }
            let line = open.join("; ");
            let share = started.elapsed().as_secs_f32() / (started.elapsed() + cx.left()).as_secs_f32().max(1.0);
            cx.progress(share, &line);
            Err(Failure::new(Class::NotYet, line))
        });
        let dynos = settled.await.map_err(sent)?;
        let now = heroku.formation(&limits).await.map_err(sent)?;
        if let Some(other) = target.iter().find(|t| !now.iter().any(|p| same(p, t))) {
            let failure =
                Failure::new(Class::Failed, format!("the formation is not as asked: expected {}", words(other)));
            return Err(now.iter().fold(failure, |failure, p| failure.because(words(p))));
        }
        let list = target.iter().map(words).collect::<Vec<_>>().join(", ");
        let others = one_off(&dynos, &now);
        let evidence = json!({ "formation": target.iter().map(Process::json).collect::<Vec<_>>(), "request_id": request_id,
            "one_off": others.iter().map(|dyno| &dyno.name).collect::<Vec<_>>(), "rate_limit_remaining": heroku.remaining() });
        let already = if as_wanted { " already" } else { "" };
        let others =
            if others.is_empty() { String::new() } else { format!("; one-off dynos go on: {}", named(&others)) };
        Ok(Done::new(format!("{app} runs {list}{already}; dynos agree{others}")).with(evidence))
    }

    async fn find_out(&self, cx: &Cx, captured: &Json, back: bool) -> Result<Finding, Failure> {
        let before = before(captured)?;
        let limits = Limits::from(cx);
        heroku::twice(cx, || async {
            let now = self.services.heroku.formation(&limits).await?;
            let (wanted, other) = match back {
                true => (before.clone(), self.wanted.of(&before)),
                false => (self.wanted.of(&before), before.clone()),
            };
            let line = wanted.iter().filter_map(|t| now.iter().find(|p| p.kind == t.kind)).map(words);
            let line = line.collect::<Vec<_>>().join(", ");
            let is = |list: &[Process]| list.iter().all(|t| now.iter().any(|p| same(p, t)));
            if is(&wanted) {
                let dynos = self.services.heroku.dynos(&limits).await?;
                let open = wanted.iter().filter_map(|t| unsettled(t, &dynos)).collect::<Vec<_>>();
                return Ok(if open.is_empty() {
                    Finding::Done(Done::new(line))
                } else {
                    Finding::Unclear { line: format!("{line} is asked for, but {}", open.join("; ")) }
                });
            }
            Ok(if is(&other) {
                Finding::NotDone { line }
            } else {
                Finding::Unclear { line: format!("neither: {line}") }
            })
        })
        .await
    }
}

fn before(captured: &Json) -> Result<Vec<Process>, Failure> {
    captured.get("formation").and_then(processes).ok_or_else(|| heroku::not_captured("formation"))
}

impl Action for Scale {
    fn does(&self) -> Vec<String> {
        let app = self.services.heroku.app().unwrap_or_default();
        vec![
            format!("PATCH /apps/{app}/formation: {}", self.wanted.words()),
            format!("GET /apps/{app}/dynos until no dyno is left of what is 0 and all others are up"),
        ]
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async move { self.services.heroku.identity().await.map(Some) })
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let now = self.services.heroku.formation(&Limits::from(cx)).await?;
            let target = self.wanted.target(&now)?;
            let kept = now.iter().filter(|p| target.iter().any(|t| t.kind == p.kind)).map(Process::json);
            Ok(json!({ "formation": kept.collect::<Vec<_>>() }))
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let target = self.wanted.of(&before(captured)?);
            self.set(cx, &target).await
        })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { self.set(cx, &before(captured)?).await })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(self.find_out(cx, captured, back))
    }
}

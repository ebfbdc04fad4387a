//! `heroku.scale`: process types to quantities, and dynos really gone or up.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{Bind, Kind, heroku};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Params, Shape},
    runbook::value,
    services::{
        Services,
        heroku::{Dyno, Limits, Process, processes},
    },
};

/// How often the dynos are looked at. Ten minutes of it use 7 % of an hour's 4,500 requests.
const EVERY: Duration = Duration::from_secs(2);

/// The kind.
pub static KIND: Kind = Kind {
    name: "heroku.scale",
    summary: "scales process types and waits until the dynos are really gone or up",
    docs: "\
Reads the formation (quantity and size of every type that changes are kept for restore), sends one
`PATCH /apps/{app}/formation` for all types, then reads `GET /apps/{app}/dynos` until no dyno of a type scaled to 0 is
left in any state and every other type has exactly the asked number of dynos, all `up`. Restore writes quantity and size
back, waits as well, and compares.

What hurts people: a dyno gets SIGTERM and 30 s, then it is killed: long jobs are lost unless they were drained first.
Heroku Scheduler and one-off dynos (`run.…`) are not part of the formation: `heroku.state` counts them.

Relies on <https://devcenter.heroku.com/articles/platform-api-reference#formation-batch-update> and
<https://devcenter.heroku.com/articles/dynos#shutdown>. Only the environment's app can be named.",
    params: &[
        heroku::APP,
        Param {
            name: "formation",
            shape: Shape::Any,
            required: false,
            help: "quantity by process type: { web = 2, worker = 0 }",
        },
        Param { name: "to", shape: Shape::Count, required: false, help: "one quantity for `types`, or for every type" },
        Param { name: "types", shape: Shape::Texts, required: false, help: "with `to`: only these process types" },
        Param { name: "except", shape: Shape::Texts, required: false, help: "with `to`: every type but these" },
    ],
    doubt: Doubt::Desired,
    needs: &["operate on the app (OAuth scope `write`)"],
    example: include_str!("../../runbooks/kinds/heroku.scale.toml"),
    bind: Bind::Action(|params, services| {
        heroku::app(params, services);
        let wanted = wanted(params);
        Arc::new(Scale { services: services.clone(), wanted })
    }),
};

/// What is asked for.
enum Wanted {
    Formation(Vec<(String, u64)>),
    To { quantity: u64, types: Vec<String>, except: Vec<String> },
}

fn wanted(params: &mut Params<'_>) -> Wanted {
    let (to, types, except) = (params.opt_count("to"), params.texts("types"), params.texts("except"));
    let formation = quantities(params, "formation");
    if formation.is_some() == params.has("to") && params.ok() {
        let message = "`heroku.scale` needs either `formation` or `to`";
        params.mistake(params.place(), message, "what to scale is missing or said twice", None);
    }
    for key in ["types", "except"] {
        if params.has(key) && !params.has("to") {
            let span = params.place_of(key);
            params.mistake(span, format!("`{key}` goes with `to`"), "without `to` it means nothing", None);
        }
    }
    if params.has("types") && params.has("except") {
        let span = params.place_of("except");
        params.mistake(span, "`types` and `except` exclude each other", "give one of them", None);
    }
    formation.map_or(Wanted::To { quantity: to.unwrap_or(0), types, except }, Wanted::Formation)
}

/// A table of process types and quantities.
pub(super) fn quantities(params: &mut Params<'_>, key: &'static str) -> Option<Vec<(String, u64)>> {
    let raw = params.raw(key)?;
    let mut found = Vec::new();
    let value::Kind::Table(table) = &raw.kind else {
        let message = format!("`{key}` must be a table of quantities, found {}", raw.kind.name());
        params.mistake(raw.span.clone(), message, "expected { web = 2, worker = 0 }", None);
        return Some(found);
    };
    if table.entries.is_empty() {
        params.mistake(raw.span.clone(), format!("`{key}` is empty"), "expected at least one process type", None);
    }
    for entry in &table.entries {
        match entry.value.kind {
            value::Kind::Int(n) if n >= 0 => found.push((entry.key.clone(), n.unsigned_abs())),
            _ => {
                let message = format!("quantity of `{}` must be a whole number, 0 or more", clean_line(&entry.key, 40));
                params.mistake(entry.value.span.clone(), message, "not a quantity", None);
            }
        }
    }
    Some(found)
}

struct Scale {
    services: Arc<Services>,
    wanted: Wanted,
}

impl Scale {
    /// The types that change, as they shall be; types that do not exist are mistakes.
    fn target(&self, now: &[Process]) -> Result<Vec<Process>, Failure> {
        let missing = |kind: &str| {
            let known = now.iter().map(|p| p.kind.as_str()).collect::<Vec<_>>().join(", ");
            Failure::new(Class::Misconfigured, format!("the app has no process type `{}`", clean_line(kind, 40)))
                .hint(format!("it has: {known}"))
        };
        let find = |kind: &str| now.iter().find(|p| p.kind == kind).ok_or_else(|| missing(kind));
        match &self.wanted {
            Wanted::Formation(list) => {
                list.iter().map(|(kind, quantity)| Ok(Process { quantity: *quantity, ..find(kind)?.clone() })).collect()
            }
            Wanted::To { quantity, types, except } => {
                for kind in types.iter().chain(except) {
                    find(kind)?;
                }
                let chosen =
                    |p: &&Process| if types.is_empty() { !except.contains(&p.kind) } else { types.contains(&p.kind) };
                Ok(now.iter().filter(chosen).map(|p| Process { quantity: *quantity, ..p.clone() }).collect())
            }
        }
    }

    /// The captured types as they shall be: what is changed is what can be put back.
    fn wanted(&self, captured: &[Process]) -> Vec<Process> {
        let quantity = |kind: &str| match &self.wanted {
            Wanted::Formation(list) => list.iter().find(|(name, _)| name == kind).map(|(_, quantity)| *quantity),
            Wanted::To { quantity, .. } => Some(*quantity),
        };
        captured.iter().filter_map(|p| Some(Process { quantity: quantity(&p.kind)?, ..p.clone() })).collect()
    }

    async fn set(&self, cx: &Cx, target: &[Process]) -> Result<Done, Failure> {
        let (heroku, limits) = (&self.services.heroku, Limits::from(cx));
        let app = heroku.app()?;
        let now = heroku.formation(&limits).await?;
        let as_wanted = target.iter().all(|t| now.iter().any(|p| same(p, t)));
        let mut request_id = String::new();
        if !as_wanted {
            let updates = target.iter().map(Process::json).collect::<Vec<_>>();
            let reply = heroku.patch("/formation", &json!({ "updates": updates }), &limits).await?;
            request_id = reply.request_id;
        }
        let sent = |failure: Failure| if as_wanted { failure } else { heroku::after_sending(failure, &request_id) };
        let started = tokio::time::Instant::now();
        let settled = cx.poll(EVERY, || async {
            let dynos = heroku.dynos(&limits).await?;
            let open = target.iter().filter_map(|t| unsettled(t, &dynos)).collect::<Vec<_>>();
            if open.is_empty() {
                return Ok(());
            }
            let line = open.join("; ");
            let share = started.elapsed().as_secs_f32() / (started.elapsed() + cx.left()).as_secs_f32().max(1.0);
            cx.progress(share, &line);
            Err(Failure::new(Class::NotYet, line))
        });
        settled.await.map_err(sent)?;
        let now = heroku.formation(&limits).await.map_err(sent)?;
        if let Some(other) = target.iter().find(|t| !now.iter().any(|p| same(p, t))) {
            let failure =
                Failure::new(Class::Failed, format!("the formation is not as asked: expected {}", words(other)));
            return Err(now.iter().fold(failure, |failure, p| failure.because(words(p))));
        }
        let list = target.iter().map(words).collect::<Vec<_>>().join(", ");
        let evidence =
            json!({ "formation": target.iter().map(Process::json).collect::<Vec<_>>(), "request_id": request_id });
        let already = if as_wanted { " already" } else { "" };
        Ok(Done::new(format!("{app} runs {list}{already}; dynos agree")).with(evidence))
    }

    async fn find_out(&self, cx: &Cx, captured: &Json, back: bool) -> Result<Finding, Failure> {
        let before = before(captured)?;
        let limits = Limits::from(cx);
        heroku::twice(cx, || async {
            let now = self.services.heroku.formation(&limits).await?;
            let (wanted, other) = match back {
                true => (before.clone(), self.wanted(&before)),
                false => (self.wanted(&before), before.clone()),
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

/// Same quantity, and same size where both are known. At quantity 0 a size means nothing.
fn same(now: &Process, wanted: &Process) -> bool {
    let sizes = now.size.is_none() || wanted.size.is_none() || now.size == wanted.size || wanted.quantity == 0;
    now.kind == wanted.kind && now.quantity == wanted.quantity && sizes
}

fn words(process: &Process) -> String {
    let size = process.size.as_deref().map(|size| format!(":{size}")).unwrap_or_default();
    format!("{}={}{size}", process.kind, process.quantity)
}

/// What dynos of a type still have to do.
fn unsettled(wanted: &Process, dynos: &[Dyno]) -> Option<String> {
    let mine = dynos.iter().filter(|d| d.kind == wanted.kind).collect::<Vec<_>>();
    let up = mine.iter().filter(|d| d.state == "up").count() as u64;
    if mine.len() as u64 == wanted.quantity && up == wanted.quantity {
        return None;
    }
    let left = mine.iter().map(|d| format!("{} {}", d.name, d.state)).collect::<Vec<_>>();
    Some(match (wanted.quantity, left.is_empty()) {
        (0, _) => format!("{} of {} still there: {}", left.len(), wanted.kind, left.join(", ")),
        (n, true) => format!("{} has 0 of {n} dynos", wanted.kind),
        (n, false) => format!("{} has {up} of {n} up: {}", wanted.kind, left.join(", ")),
    })
}

fn before(captured: &Json) -> Result<Vec<Process>, Failure> {
    captured.get("formation").and_then(processes).ok_or_else(|| heroku::not_captured("formation"))
}

impl Action for Scale {
    fn does(&self) -> Vec<String> {
        let app = self.services.heroku.app().unwrap_or_default();
        let what = match &self.wanted {
            Wanted::Formation(list) => list.iter().map(|(kind, n)| format!("{kind}={n}")).collect::<Vec<_>>().join(" "),
            Wanted::To { quantity, types, except } => match (types.as_slice(), except.as_slice()) {
                ([], []) => format!("every process type={quantity}"),
                ([], except) => format!("every process type but {}={quantity}", except.join(", ")),
                (types, _) => types.iter().map(|kind| format!("{kind}={quantity}")).collect::<Vec<_>>().join(" "),
            },
        };
        vec![
            format!("PATCH /apps/{app}/formation: {what}"),
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
            let target = self.target(&now)?;
            let kept = now.iter().filter(|p| target.iter().any(|t| t.kind == p.kind)).map(Process::json);
            Ok(json!({ "formation": kept.collect::<Vec<_>>() }))
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move {
            let target = self.wanted(&before(captured)?);
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

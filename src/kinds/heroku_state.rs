//! `heroku.state`: the app and what stands around it, as they are.

mod look;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{
    Bind, Kind, filled,
    heroku::{self, quantities},
};
use crate::{
    base::{Failure, clean_line},
    plan::{Check, Cx, Doubt, Identity, Param, Params, Seen, Shape, TextOrSecret},
    services::Services,
};

/// The kind.
pub static KIND: Kind = Kind {
    name: "heroku.state",
    summary: "maintenance mode, formation, running dynos, release, add-ons, domains and drains of the Heroku app",
    docs: "\
Reads `GET /apps/{app}` and, of `/formation`, `/dynos`, `/releases` (the newest), `/addons`, `/domains` and `/log-drains`, what the named
expectations need, and passes when everything that is named is so:

- `formation` is what is asked for; `dynos` is what runs: the number of dynos of a type in any state for 0, in state `up`
  otherwise. `dynos = { run = 0 }` proves that no console is left; `one_off = false` that no dyno at all runs which the formation does
  not ask for (`run.…`, `scheduler.…`, `release.…`): neither maintenance mode nor scaling stops those. Dynos are named, with type and state.
- `addons`: by service (`heroku-postgresql`), plan or name, the state (`provisioned`), the plan, or `absent`.
- `domains`: host names that have to be there, their status neither `pending` nor `failed`; a table says which DNS target (`cname`) each has.
- `drains`: each host, or scheme, host and port, has to have a drain. A drain's address holds keys, so no more of it is read.

Without any expectation it reads all of it, tells what it sees and passes.

Relies on <https://devcenter.heroku.com/articles/platform-api-reference>. Limits: a look costs one request for the app and one for each
list (of 4,500 an hour for the whole account); below 500 looks slow down. What a job of Heroku Scheduler does between two looks is not
seen: `heroku.scheduler` watches.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["view the app (OAuth scope `read`)"],
    example: include_str!("../../runbooks/kinds/heroku.state.toml"),
    bind: Bind::Check(|params, services| {
        heroku::app(params, services);
        Arc::new(State { services: services.clone(), expected: Expected::read(params) })
    }),
};

const PARAMS: &[Param] = &[
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
    Param { name: "one_off", shape: Shape::Flag, required: false, help: "false: no dyno runs beside the formation" },
    Param { name: "release", shape: Shape::Count, required: false, help: "expected version of the newest release" },
    Param {
        name: "addons",
        shape: Shape::Map,
        required: false,
        help: "by service, plan or name: the expected state, plan, or \"absent\"",
    },
    Param {
        name: "domains",
        shape: Shape::Any,
        required: false,
        help: "expected host names, a list; or a table with the DNS target of each",
    },
    Param { name: "drains", shape: Shape::Texts, required: false, help: "hosts that logs are expected to be sent to" },
    Param { name: "stack", shape: Shape::Text, required: false, help: "expected stack, such as heroku-24" },
];

/// What has to be so.
#[derive(Default)]
struct Expected {
    maintenance: Option<bool>,
    formation: Vec<(String, u64)>,
    dynos: Vec<(String, u64)>,
    one_off: Option<bool>,
    release: Option<u64>,
    addons: Vec<(String, String)>,
    domains: Vec<(String, Option<String>)>,
    drains: Vec<String>,
    stack: Option<String>,
}

impl Expected {
    fn read(params: &mut Params<'_>) -> Self {
        Self {
            maintenance: params.opt_flag("maintenance"),
            formation: quantities(params, "formation").unwrap_or_default(),
            dynos: quantities(params, "dynos").unwrap_or_default(),
            one_off: params.opt_flag("one_off"),
            release: params.opt_count("release"),
            addons: texts(params, "addons"),
            domains: domains(params),
            drains: params.texts("drains"),
            stack: filled(params, "stack"),
        }
    }

    /// True where nothing is named.
    fn is_empty(&self) -> bool {
        self.words().is_empty()
    }

    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(self.maintenance.map(|on| format!("maintenance {}", if on { "on" } else { "off" })));
        words.extend(self.formation.iter().map(|(kind, n)| format!("{kind} scaled to {n}")));
        words.extend(self.dynos.iter().map(|(kind, n)| format!("{n} dynos of {kind}")));
        words.extend(self.one_off.map(|some| format!("{} one-off dyno", if some { "a" } else { "no" })));
        words.extend(self.release.map(|version| format!("release v{version}")));
        words.extend(self.addons.iter().map(|(name, state)| format!("add-on {name} {state}")));
        words.extend(self.domains.iter().map(|(host, cname)| match cname {
            Some(cname) => format!("domain {host} at {cname}"),
            None => format!("domain {host}"),
        }));
        words.extend(self.drains.iter().map(|to| format!("a drain to {to}")));
        words.extend(self.stack.iter().map(|stack| format!("stack {stack}")));
        words
    }
}

/// A table of plain texts.
fn texts(params: &mut Params<'_>, key: &'static str) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for (name, value) in params.map(key) {
        match value {
            TextOrSecret::Text(text) if !text.trim().is_empty() => texts.push((name, text)),
            _ => {
                let span = params.place_of(key);
                let message = format!("`{key}`: `{}` needs a plain text", clean_line(&name, 60));
                params.mistake(span, message, "not a text", None);
            }
        }
    }
    texts
}

fn domains(params: &mut Params<'_>) -> Vec<(String, Option<String>)> {
    let table = params.raw("domains").is_some_and(|raw| matches!(raw.kind, crate::runbook::value::Kind::Table(_)));
    if table {
        return texts(params, "domains").into_iter().map(|(host, cname)| (host, Some(cname))).collect();
    }
    params.texts("domains").into_iter().map(|host| (host, None)).collect()
}

struct State {
    services: Arc<Services>,
    expected: Expected,
}

impl Check for State {
    fn looks(&self) -> String {
        let app = self.services.heroku.app().unwrap_or_default();
        let wanted = self.expected.words();
        if wanted.is_empty() {
            format!("GET /apps/{app} and what stands around it")
        } else {
            format!("GET /apps/{app} expects {}", wanted.join(", "))
        }
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, async {
            look::look(&self.services.heroku, &self.expected, cx).await.map_err(super::no_data)
        }))
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { self.services.heroku.identity().await.map(Some) })
    }
}

//! `http.check`: a request, or a scenario of several, and everything that the answers must be.

mod burst;
mod capture;
mod scenario;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream};
use reqwest::Url;
use serde_json::json;

use super::{
    Bind, Kind,
    web::{
        TIMEOUT, address,
        answer::EXCERPT,
        ask, body,
        dial::{self, Reach},
        expect, joined, ms,
    },
};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Check, Cx, Doubt, Param, Params, Seen, Shape},
    runbook::value,
    services::{
        Services,
        http::{BODY, Dial, Reply, place, spoken},
    },
};
use burst::{Limits, Tally};
use capture::UNIQUE;
use scenario::{Plan, Step};

/// The most requests of one look, and of one visit.
const TIMES: u64 = 10_000;
const STEPS: usize = 50;
/// The most visits under way at once.
const AT_ONCE: u64 = 256;
/// What the bodies of a burst may take together.
const BODIES: usize = 64 << 20;

const URL: &[Param] = &[Param {
    name: "url",
    shape: Shape::Text,
    required: false,
    help: "http://… or https://…; with `steps`: what their addresses are relative to",
}];
const STEP_ONLY: &[Param] = &[
    Param { name: "name", shape: Shape::Text, required: false, help: "what it is called when it is told" },
    Param { name: "url", shape: Shape::Text, required: true, help: "address, or a path below the check's `url`" },
    Param {
        name: "capture",
        shape: Shape::Any,
        required: false,
        help: "values for later requests: { id = \"$.id\", token = { header = \"x-token\", secret = true } }",
    },
    Param {
        name: "within",
        shape: Shape::Duration,
        required: false,
        help: "send it again until the answer is as expected, at most so long (GET and HEAD)",
    },
    Param { name: "every", shape: Shape::Duration, required: false, help: "wait between two tries; default \"500ms\"" },
];
const OWN: &[Param] = &[
    Param {
        name: "steps",
        shape: Shape::Any,
        required: false,
        help: "a scenario: a list of requests, each with what its answer must be",
    },
    Param { name: "times", shape: Shape::Count, required: false, help: "how many visits; default 1" },
    Param { name: "at_once", shape: Shape::Count, required: false, help: "how many of them at a time; default 1" },
    Param {
        name: "connection",
        shape: Shape::Text,
        required: false,
        help: "\"visitor\": each visit has its own; \"fresh\": each request; \"kept\": shared by all; default \"visitor\"",
    },
    Param {
        name: "latency",
        shape: Shape::Any,
        required: false,
        help: "limits for all answers together: { p50 = \"80ms\", p95 = \"300ms\", p99 = \"1s\", max = \"2s\" }",
    },
    Param { name: "timeout", shape: Shape::Duration, required: false, help: "limit of one request; default \"10s\"" },
];

const COMMON: usize = ask::PARAMS.len() + body::PARAMS.len() + ask::FOLLOW.len() + expect::PARAMS.len();
static PARAMS: [Param; COMMON + 1 + dial::PARAMS.len() + OWN.len()] =
    joined(&[URL, ask::PARAMS, body::PARAMS, expect::PARAMS, ask::FOLLOW, dial::PARAMS, OWN]);
static STEP: [Param; COMMON + STEP_ONLY.len()] =
    joined(&[STEP_ONLY, ask::PARAMS, body::PARAMS, ask::FOLLOW, expect::PARAMS]);

/// The kind.
pub static KIND: Kind = Kind {
    name: "http.check",
    summary: "a request or a scenario, once or in a burst: status, headers, body, latency",
    docs: "\
Sends one request, or the `steps` of a scenario, and passes when every answer is as expected; what was seen is told
with status, size, latency and the address that answered.

**Scenario.** `steps` is a list of requests, each with `url` (relative to the check's `url`), what is sent and what the answer
must be. `capture` takes values out of an answer: by JSON path, `header`, `cookie` or `matches` (a regular expression: its
first group). A later request uses them as `{{id}}` in `url`, `headers`, `body`, `body_json`, `form`, and in what it
expects; `{{unique}}` is a new text for every visit, and `{{{{` means `{{` itself. What was captured is data: it is
percent-encoded in addresses, escaped in JSON bodies, refused in a header where it holds a line end, and never chooses the
server, except where it is a whole address: then no secret goes to another host. `secret = true` masks it everywhere.
To read back what was written: POST it, capture its id, GET it with `within`, which asks again until the answer is as
expected. Each visit has one jar of cookies (RFC 6265).

**What is expected.** `json` takes RFC 9535 queries (`$.items[?@.state == 'open'].id`; without `match` and `search`), plain paths
(`status.db[0].name`) and JSON pointers (`/status/db/0/name`). A value is compared as it is, or a table says more: `equals`, `not`,
`min`, `max`, `matches`, `contains`, `type`, `size` (of a text, list or object), `count` (of what the query finds), `exists`.
All that a query finds must fit. Bodies are asked for without compression, and one that comes compressed all the same fails.

**Burst.** `times` visits, `at_once` at a time. Told are the count and p50, p95 and p99 of each status, and the first
three different answers that were not as expected; one that is not as expected fails the check. `latency` limits the shares
of all answers. Each visit has connections of its own, as visitors have, and names are resolved anew for each connection;
`connection = \"kept\"` measures a server behind keep-alive instead: then a balancer sends everything where the first
connections went. Where a connection is not kept, a request without a body says `Connection: close`. TLS sessions are never resumed.

**Way.** `connect_to` aims at an address before DNS moves, with the right `Host` and SNI. `ip`, `http` and `client_cert` force a
family, a version of HTTP and who we are; `http = \"2\"` without TLS starts in HTTP/2 at once (prior knowledge).

**Redirects** are not followed unless `follow` says so; then never from https to http, and without the secrets of the first
host. After a POST, 301, 302 and 303 are followed by a GET, as browsers do; 307 and 308 would send it again and are refused.

Each request has 5 s to connect and `timeout` in all; 8 MiB of a body are read (in a burst less is kept: 64 MiB for all that
are under way). Proxies of the environment are not used: a check says what is seen from here.

What hurts people: a 200 with an error page (use `contains` or `json`), a force-SSL redirect seen as success, a check that
writes: a POST here is the author's promise that sending it again and again is harmless, for a step polls its checks.

Relies on RFC 9110, 9112, 9113, 9535, 6265, 6901, 7578.",
    params: &PARAMS,
    doubt: Doubt::Read,
    needs: &["a way to the web server from here"],
    example: include_str!("../../runbooks/kinds/http.check.toml"),
    bind: Bind::Check(|params, services| Arc::new(HttpCheck::read(params, services))),
};

/// Which requests share connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shared {
    /// Those of one visit.
    Visit,
    /// None.
    Fresh,
    /// All.
    Kept,
}

struct HttpCheck {
    services: Arc<Services>,
    steps: Vec<Step>,
    base: Option<Url>,
    reach: Reach,
    times: u64,
    at_once: u64,
    shared: Shared,
    latency: Limits,
    timeout: Duration,
}

impl HttpCheck {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let (steps, base) = if params.has("steps") { scenario(params) } else { single(params) };
        let url = base.as_ref().or_else(|| steps.first().and_then(|step| step.ask.url()));
        Self {
            reach: Reach::read(params, services, url),
            services: services.clone(),
            times: super::web::within(params, "times", 1, TIMES),
            at_once: super::web::within(params, "at_once", 1, AT_ONCE),
            shared: params
                .word("connection", &[("visitor", Shared::Visit), ("fresh", Shared::Fresh), ("kept", Shared::Kept)]),
            latency: Limits::read(params),
            timeout: super::limit(params, TIMEOUT),
            steps,
            base,
        }
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let mut ready = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            ready.push(step.ask.ready(&self.services.secrets).await?);
        }
        let wanted = self.steps.iter().any(Step::wants_body);
        let share = usize::try_from(self.at_once.min(self.times)).map_or(BODY, |at_once| BODIES / at_once).min(BODY);
        let plan = Plan {
            services: &self.services,
            steps: &self.steps,
            ready,
            timeout: self.timeout,
            most: if wanted { share } else { EXCERPT },
            aimed: self.reach.words(),
            named: self.times > 1 && self.steps.len() == 1,
        };
        // One request has nobody to keep a connection for, unless it is told to.
        let alone = self.steps.len() == 1 && self.shared == Shared::Visit;
        let mut dial = self.reach.dial(&self.services, self.shared != Shared::Fresh && !alone).await?;
        dial.awake = self.times > 1 && self.at_once == 1;
        let tally = Tally::default();
        if self.times == 1 {
            let replies = plan.visit(&self.services.http.line(dial), &tally).await?;
            self.quick_enough(&tally)?;
            return Ok(match replies.as_slice() {
                [reply] => self.seen(reply),
                replies => self.seen_all(replies),
            });
        }
        self.burst(cx, &plan, dial, &tally).await
    }

    async fn burst(&self, cx: &Cx, plan: &Plan<'_>, dial: Dial, tally: &Tally) -> Result<Seen, Failure> {
        let each = self.shared == Shared::Visit && self.steps.len() > 1;
        let line = self.services.http.line(dial.clone());
        // Boxed: a visit's state is large, and it is handed on a few times before it begins.
        let one = |_| {
            let (line, own) = (&line, each.then(|| self.services.http.line(dial.clone())));
            Box::pin(async move { plan.visit(own.as_ref().unwrap_or(line), tally).await.map(drop) })
        };
        let at_once = usize::try_from(self.at_once).unwrap_or(1);
        let visits = stream::iter(0..self.times).map(one).buffer_unordered(at_once);
        let what = if self.steps.len() == 1 { "requests" } else { "visits" };
        burst::run(cx, visits, self.times, what, tally).await.map_err(|failure| {
            let message = clean_line(&format!("{}{}: {}", self.words(), self.reach.words(), failure.message), 600);
            Failure { message, ..failure }
        })?;
        self.quick_enough(tally)?;
        let (words, worst) = (tally.words(), tally.worst());
        let line = format!("{} × {} as expected, {words}, {worst} ms worst", self.times, self.words());
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        Ok(Seen::new(line).value(tally.p95() as f64).with(tally.evidence()))
    }

    fn quick_enough(&self, tally: &Tally) -> Result<(), Failure> {
        let Some(slow) = self.latency.judge(tally) else { return Ok(()) };
        let message = format!("{}: {slow}", self.words());
        Err(Failure { blind: true, ..Failure::new(Class::NotYet, message) }.because(tally.words()))
    }

    fn words(&self) -> String {
        match self.steps.as_slice() {
            [step] => step.ask.words(),
            steps => {
                let at = self.base.as_ref().map(|base| format!(" at {}", place(base))).unwrap_or_default();
                format!("scenario of {} requests{at}", steps.len())
            }
        }
    }

    fn seen(&self, reply: &Reply) -> Seen {
        let (status, took) = (reply.status.as_u16(), ms(reply.took));
        let from = spoken(reply.address, reply.version);
        let hops = reply.hops.len();
        let via = if hops > 0 { format!(", {hops} redirects to {}", place(&reply.url)) } else { String::new() };
        let line = format!("{}: {status}, {} in {took} ms{via} from {from}", self.words(), size(reply));
        let mut evidence =
            json!({ "status": status, "bytes": reply.size, "ms": took, "address": reply.address, "redirects": hops });
        if !reply.ended {
            evidence["whole"] = false.into();
        }
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        Seen::new(line).value(took as f64).with(evidence)
    }

    fn seen_all(&self, replies: &[Reply]) -> Seen {
        let whole = ms(replies.iter().map(|reply| reply.took).sum());
        let one = |(step, reply): (&Step, &Reply)| {
            let name = step.name.clone().unwrap_or_else(|| step.ask.method.to_string());
            let long = if reply.ended { String::new() } else { format!(", {},", size(reply)) };
            format!("{name} {}{long} in {} ms", reply.status.as_u16(), ms(reply.took))
        };
        let each = self.steps.iter().zip(replies).map(one).collect::<Vec<_>>();
        let from = replies.last().map(|reply| spoken(reply.address, reply.version)).unwrap_or_default();
        let line = format!("{}: {} from {from}", self.words(), each.join(", "));
        let evidence = self.steps.iter().zip(replies).map(|(step, reply)| {
            let mut one = json!({
                "name": step.name, "status": reply.status.as_u16(), "bytes": reply.size, "ms": ms(reply.took),
                "address": reply.address,
            });
            if !reply.ended {
                one["whole"] = false.into();
            }
            one
        });
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        Seen::new(line).value(whole as f64).with(json!({ "requests": evidence.collect::<Vec<_>>() }))
    }
}

/// How long a body is, as far as it was read.
fn size(reply: &Reply) -> String {
    if reply.ended {
        format!("{} bytes", reply.size)
    } else {
        format!("more than {} bytes (not read further)", reply.size)
    }
}

/// The one request of a check without steps.
fn single(params: &mut Params<'_>) -> (Vec<Step>, Option<Url>) {
    if !params.has("url") {
        let help = Some(format!("url: {}", URL[0].help));
        params.mistake(params.place(), "`http.check` needs `url`", "`url` is missing here", help);
    }
    let mut names = vec![UNIQUE.to_owned()];
    (vec![Step::read(params, None, &mut names)], None)
}

fn scenario(params: &mut Params<'_>) -> (Vec<Step>, Option<Url>) {
    let own = ["url", "steps", "times", "at_once", "connection", "latency", "timeout"];
    let outside = |param: &&Param| !own.contains(&param.name) && !dial::PARAMS.iter().any(|way| way.name == param.name);
    let stray = PARAMS.iter().filter(outside).map(|param| param.name).filter(|name| params.has(name));
    for name in stray.collect::<Vec<_>>() {
        let span = params.place_of(name);
        params.mistake(span, format!("`{name}` belongs into one of `steps`"), "said of no request", None);
    }
    let base = params.opt_text("url").and_then(|text| {
        let parsed = Url::parse(text.trim()).map_err(|e| e.to_string());
        let checked = parsed.and_then(|url| address::problem(&url).map_or_else(|| Ok(url), Err));
        checked
            .map_err(|problem| {
                let span = params.place_of("url");
                params.mistake(span, format!("`url` is no web address: {problem}"), "not a web address", None);
            })
            .ok()
    });
    let Some(raw) = params.raw("steps") else { return (Vec::new(), base) };
    let items = if let value::Kind::List(list) = &raw.kind { list.as_slice() } else { std::slice::from_ref(raw) };
    if items.is_empty() || items.len() > STEPS {
        params.mistake(raw.span.clone(), format!("`steps` must be 1 to {STEPS} requests"), "out of range", None);
    }
    let mut names = vec![UNIQUE.to_owned()];
    let mut steps = Vec::with_capacity(items.len());
    for item in items {
        let value::Kind::Table(table) = &item.kind else {
            params.mistake(item.span.clone(), "`steps` is a list of requests", "expected { url = …, … }", None);
            continue;
        };
        let mut inner = Params::new("http.check", item.span.clone(), table, &STEP);
        steps.push(Step::read(&mut inner, base.as_ref(), &mut names));
        params.absorb(inner);
    }
    (steps, base)
}

impl Check for HttpCheck {
    fn looks(&self) -> String {
        let many = if self.times > 1 { format!("{} × ", self.times) } else { String::new() };
        let (aimed, slow) = (self.reach.words(), self.latency.words());
        let each = match self.steps.as_slice() {
            [step] => format!("{}{aimed} expects {}", self.words(), step.expect.words()),
            steps => {
                let one = |step: &Step| format!("{} expects {}", step.ask.words(), step.expect.words());
                format!("{}{aimed}: {}", self.words(), steps.iter().map(one).collect::<Vec<_>>().join("; "))
            }
        };
        clean_line(&format!("{many}{each}{slow}"), 600)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look(cx)))
    }
}

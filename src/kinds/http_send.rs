//! `http.send`: a request that changes something: a webhook, a provider's API.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{
    Bind, Kind, inner,
    web::{
        TIMEOUT,
        answer::{Answer, EXCERPT},
        ask::{self, Ask, known},
        body,
        dial::{self, Reach},
        expect::{self, Expect},
        joined, ms, once,
        template::Values,
    },
};
use crate::{
    base::{Class, Failure, bounded, clean_line},
    plan::{Action, Check, Cx, Done, Doubt, Finding, Param, Params, Permission, Shape},
    runbook::value,
    services::{
        Services,
        http::{self, BODY, Reply, header_name, header_value, spoken},
    },
};

/// The header that a token goes into unless the runbook names another.
const TOKEN: &str = "Idempotency-Key";

const URL: &[Param] = &[Param {
    name: "url",
    shape: Shape::TextOrSecret,
    required: true,
    help: "http://… or https://…; a webhook's is a secret",
}];
const OWN: &[Param] = &[
    Param {
        name: "idempotency_key",
        shape: Shape::Any,
        required: false,
        help: "header for the attempt's token; default \"Idempotency-Key\"; false: none",
    },
    Param {
        name: "probe",
        shape: Shape::Any,
        required: false,
        help: "check that tells a resume whether it was done: { kind = \"http.check\", … }",
    },
    Param { name: "timeout", shape: Shape::Duration, required: false, help: "limit of the request; default \"10s\"" },
];
static PARAMS: [Param;
    URL.len() + ask::PARAMS.len() + body::PARAMS.len() + expect::PARAMS.len() + dial::PARAMS.len() + OWN.len()] =
    joined(&[URL, ask::PARAMS, body::PARAMS, expect::PARAMS, dial::PARAMS, OWN]);

/// The kind.
pub static KIND: Kind = Kind {
    name: "http.send",
    summary: "sends one request that changes something: a webhook, a provider's API",
    docs: "\
Sends one request, once, and is done when the answer is as expected (`status`, by default 2xx, and whatever else is said of
the answer, as for `http.check`). Redirects are not followed. Secrets stand alone in `url`, `headers`, `bearer`, `password`,
`body`, `form`, and anywhere in `body_json`; `{{token}}` and `{{step}}` are filled in.

The attempt's token is sent as `Idempotency-Key` (or in the header that `idempotency_key` names): an attempt whose outcome
nobody knows is sent again with the same token, so that a server that knows the header does it once. An attempt whose end is
known is followed by one with a new token.

What an answer proves: 401, 403 and 407 are denied; 400 and other 4xx are refused, nothing done; 408 and 5xx but 501 and 505
prove nothing: outcome unknown, and so does 409 where it was sent again (the first may still be worked on); a redirect by 301,
307 or 308 was not done, by 302 or 303 it may have been. A success that is not as expected has failed: something was done, and
somebody has to look; one that came before the request was sent whole proves nothing. No answer after a byte was sent:
outcome unknown.

A step's `retry` waits as long as a 429 asks for by `Retry-After`, at most 60 s.

What it did is opaque: give it a `probe`, a check that only reads. Green says done; looked and not so says not done. No data
says unclear, and so does an answer that says nothing of the thing: a redirect, 401, 403, 407, 408, 425, 429, 5xx, a body that
cannot be read, one that is as expected and too slow. It cannot be put back by itself: give the step a `rollback` of its own,
often another `http.send`.

There is no fence: the host is the one in the plan, and nobody compares it with the environment.

Relies on RFC 9110; draft-ietf-httpapi-idempotency-key-header.",
    params: &PARAMS,
    doubt: Doubt::Opaque,
    needs: &["a way to the server from here", "whatever the server asks for"],
    example: include_str!("../../runbooks/kinds/http.send.toml"),
    bind: Bind::Action(|params, services| Arc::new(HttpSend::read(params, services))),
};

struct HttpSend {
    services: Arc<Services>,
    ask: Ask,
    expect: Expect,
    reach: Reach,
    token: Option<hyper::header::HeaderName>,
    probe: Option<Arc<dyn Check>>,
    timeout: Duration,
}

impl HttpSend {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let names = ["token", "step"].map(str::to_owned);
        let mut ask = Ask::read(params, None, &names);
        if !params.has("method") {
            ask.method = reqwest::Method::POST;
        }
        let expect = Expect::read(params);
        for (key, name) in expect.names() {
            known(params, key, &name, &names);
        }
        Self {
            services: services.clone(),
            expect,
            reach: Reach::read(params, services, ask.url()),
            ask,
            token: token(params),
            probe: probe(params, services),
            timeout: super::limit(params, TIMEOUT),
        }
    }

    async fn send(&self, cx: &Cx) -> Result<Done, Failure> {
        let mut values = Values::default();
        values.set("token", Json::from(cx.token.as_str()));
        values.set("step", Json::from(cx.step.as_str()));
        let ready = self.ask.ready(&self.services.secrets).await?;
        let most = if self.expect.wants_body() { BODY } else { EXCERPT };
        let mut request = ready.request(&values, self.timeout, most)?;
        if let Some(name) = self.token.as_ref().filter(|name| !request.headers.contains_key(*name))
            && let Ok(token) = header_value(&cx.token)
        {
            request.headers.insert(name, token);
        }
        let line = self.services.http.line(self.reach.dial(&self.services, false).await?);
        let reply = once::send(cx, &line, &request).await.map_err(|failure| self.told(failure))?;
        let answer = Answer::new(&reply);
        if let Err(failure) = self.expect.judge(&answer, &values) {
            let class = proves(&reply, cx.again);
            return Err(self.told(Failure { class, ..retry_after(failure, &reply) }));
        }
        let (status, took) = (reply.status.as_u16(), ms(reply.took));
        let from = spoken(reply.address, reply.version);
        let mut evidence = json!({ "status": status, "ms": took, "address": reply.address });
        if let Some(id) = request_id(&reply) {
            evidence["request_id"] = Json::from(id);
        }
        Ok(Done::new(format!("{}: {status} in {took} ms from {from}", self.ask.words())).with(evidence))
    }

    fn told(&self, failure: Failure) -> Failure {
        let message = format!("{}{}: {}", self.ask.words(), self.reach.words(), failure.message);
        Failure { message: clean_line(&message, 600), ..failure }
    }
}

/// What is known of the world after an answer that was not expected (RFC 9110, section 15).
fn proves(reply: &Reply, again: bool) -> Class {
    match reply.status.as_u16() {
        // It said so before it had all of it; whether it goes by its word is not known.
        200..=299 if !reply.whole => Class::Unknown,
        200..=299 => Class::Failed,
        // The first one is still being worked on, or was done (the header's draft).
        409 if again => Class::Unknown,
        401 | 403 | 407 => Class::Denied,
        425 | 429 => Class::FailedNothingDone,
        301 | 307 | 308 | 501 | 505 => Class::Refused,
        408 => Class::Unknown,
        400..=499 => Class::Refused,
        _ => Class::Unknown,
    }
}

fn retry_after(failure: Failure, reply: &Reply) -> Failure {
    let said = reply.headers.get("retry-after").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let Some(said) = said else { return failure };
    let after = http::retry_after(&reply.headers);
    Failure { after, ..failure }.hint(format!("the server asks to wait: Retry-After {}", bounded(&said, 60)))
}

/// How the server's own people find it again.
fn request_id(reply: &Reply) -> Option<String> {
    let names = ["x-request-id", "request-id", "x-amzn-requestid", "cf-ray"];
    let found = names.iter().find_map(|name| reply.headers.get(*name))?;
    Some(clean_line(&String::from_utf8_lossy(found.as_bytes()), 120))
}

fn token(params: &mut Params<'_>) -> Option<hyper::header::HeaderName> {
    let named = |name: &str| header_name(name);
    let Some(raw) = params.raw("idempotency_key") else { return named(TOKEN) };
    match &raw.kind {
        value::Kind::Bool(false) => None,
        value::Kind::Bool(true) => named(TOKEN),
        value::Kind::Text(text) if named(text).is_some() => named(text),
        _ => {
            let message = "`idempotency_key` must be the name of a header, or false";
            params.mistake(raw.span.clone(), message, "no header", None);
            None
        }
    }
}

fn probe(params: &mut Params<'_>, services: &Arc<Services>) -> Option<Arc<dyn Check>> {
    let raw = params.raw("probe")?;
    let value::Kind::Table(table) = &raw.kind else {
        let message = format!("`probe` must be a check, found {}", raw.kind.name());
        params.mistake(raw.span.clone(), message, "expected { kind = \"http.check\", … }", None);
        return None;
    };
    inner::check(params, "probe", table, raw.span.clone(), services)
}

/// What a look says of an action that it is the probe of.
pub(super) async fn found_by(check: &dyn Check, cx: &Cx) -> Finding {
    match check.check(cx).await {
        Ok(seen) => Finding::Done(Done::new(format!("the probe says done: {}", seen.line)).with(seen.evidence)),
        // What did not answer says nothing about what was done.
        Err(failure) if failure.class == Class::NotYet && !failure.blind && !failure.message.contains("no data") => {
            Finding::NotDone { line: format!("the probe says not done: {}", failure.message) }
        }
        Err(failure) => Finding::Unclear { line: format!("the probe: {}", failure.message) },
    }
}

impl Action for HttpSend {
    fn does(&self) -> Vec<String> {
        let mut lines = vec![format!("{}{} expects {}", self.ask.words(), self.reach.words(), self.expect.words())];
        if let Some(name) = &self.token {
            lines.push(format!("with the attempt's token as {name}"));
        }
        lines
    }

    fn needs(&self) -> Vec<Permission> {
        self.probe.as_ref().map(|probe| probe.needs()).unwrap_or_default()
    }

    fn doubt(&self) -> Doubt {
        Doubt::Opaque
    }

    fn restorable(&self) -> bool {
        false
    }

    fn capture<'a>(&'a self, _cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async { Ok(Json::Null) })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.send(cx))
    }

    fn restore<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async {
            Err(Failure::new(Class::Misconfigured, "what a request did cannot be put back by itself")
                .hint("give the step a rollback of its own"))
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, _captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            match self.probe.as_ref().filter(|_| !back) {
                Some(check) => Ok(found_by(check.as_ref(), cx).await),
                None => {
                    Ok(Finding::Unclear { line: "a request without a `probe`: nobody can know what it did".into() })
                }
            }
        })
    }
}

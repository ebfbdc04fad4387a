//! `http.check`: a request and everything that its answer must be.

mod expect;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture, stream};
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::json;

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Check, Cx, Doubt, Param, Params, Seen, Shape, TextOrSecret},
    services::{
        Services,
        http::{Reply, Request, place},
    },
};
use expect::Expect;

/// How long one request may take unless the runbook says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most requests of one look.
const TIMES: u64 = 10_000;
/// The most requests under way at once.
const AT_ONCE: u64 = 256;

/// The kind.
pub static KIND: Kind = Kind {
    name: "http.check",
    summary: "one request or a burst of them: status, headers, body, latency",
    docs: "\
Sends one request (or `times` of them, `at_once` at a time) and passes when every answer is as expected; what was seen is told
with status, size, latency and the address that answered. Every request has a connection of its own and a name is resolved
anew each time.

`connect_to` aims at an address before DNS moves, with the right `Host` and SNI. Redirects are not followed unless `follow`
says so, and then only for GET and HEAD, never from https to http, and without the secrets of the first host. `json` takes paths such
as `status.db[0].name`, or JSON pointers (`/status/db/0/name`).

Each request has 5 s to connect and `timeout` in all; 8 MiB of a body are read. Proxies of the environment are not used: a
check says what is seen from here.

What hurts people: a 200 with an error page (use `contains` or `json`), a force-SSL redirect seen as success, a check that
writes: a POST here is the author's promise that sending it again and again is harmless.

Relies on RFC 9110, 9112, 6901.",
    params: &[
        Param { name: "url", shape: Shape::Text, required: true, help: "http://… or https://…" },
        Param { name: "method", shape: Shape::Text, required: false, help: "request method; default GET" },
        Param { name: "headers", shape: Shape::Map, required: false, help: "headers to send: texts, or secrets standing alone" },
        Param { name: "body", shape: Shape::TextOrSecret, required: false, help: "body to send" },
        Param {
            name: "status",
            shape: Shape::Any,
            required: false,
            help: "expected status: 200, [200, 204] or \"2xx\"; default \"2xx\"",
        },
        Param { name: "contains", shape: Shape::Texts, required: false, help: "texts that the body must contain" },
        Param { name: "matches", shape: Shape::Text, required: false, help: "regular expression that the body must match" },
        Param { name: "json", shape: Shape::Any, required: false, help: "values by path: { \"status.db\" = \"ok\", workers = 4 }" },
        Param {
            name: "header",
            shape: Shape::Map,
            required: false,
            help: "expected headers of the answer; \"*\": any value",
        },
        Param { name: "max_latency", shape: Shape::Duration, required: false, help: "longest time that passes, such as \"800ms\"" },
        Param { name: "follow", shape: Shape::Flag, required: false, help: "follow redirects (GET and HEAD); default false" },
        Param {
            name: "connect_to",
            shape: Shape::Text,
            required: false,
            help: "address to connect to instead of where the name points: \"203.0.113.9\" or with a port",
        },
        Param { name: "times", shape: Shape::Count, required: false, help: "how many requests; default 1" },
        Param { name: "at_once", shape: Shape::Count, required: false, help: "how many of them at a time; default 1" },
        Param { name: "timeout", shape: Shape::Duration, required: false, help: "limit of one request; default \"10s\"" },
    ],
    doubt: Doubt::Read,
    needs: &["a way to the web server from here"],
    example: include_str!("../../runbooks/kinds/http.check.toml"),
    bind: Bind::Check(|params, services| Arc::new(HttpCheck::read(params, services))),
};

struct HttpCheck {
    services: Arc<Services>,
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, TextOrSecret)>,
    body: Option<TextOrSecret>,
    expect: Expect,
    follow: bool,
    connect_to: Option<SocketAddr>,
    times: u64,
    at_once: u64,
    timeout: Duration,
}

fn url(params: &mut Params<'_>) -> Option<Url> {
    let text = params.opt_text("url")?;
    let problem = match Url::parse(text.trim()) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "must begin with http:// or https://".to_owned(),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "must not carry a user or a password; give an `authorization` header with a secret".to_owned()
        }
        Ok(url) => return Some(url),
        Err(e) => e.to_string(),
    };
    let span = params.place_of("url");
    params.mistake(span, format!("`url` is no web address: {problem}"), "not a web address", None);
    None
}

fn method(params: &mut Params<'_>) -> Method {
    let Some(text) = params.opt_text("method") else { return Method::GET };
    let found = Method::from_bytes(text.to_uppercase().as_bytes());
    found.unwrap_or_else(|_| {
        let span = params.place_of("method");
        params.mistake(span, "`method` is no request method", "expected GET, HEAD, POST, …", None);
        Method::GET
    })
}

fn headers(params: &mut Params<'_>) -> Vec<(HeaderName, TextOrSecret)> {
    let mut found = Vec::new();
    for (name, value) in params.map("headers") {
        let fits = matches!(&value, TextOrSecret::Text(text) if HeaderValue::from_str(text).is_err());
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if !fits => found.push((name, value)),
            _ => {
                let span = params.place_of("headers");
                let message = format!("`{}` is no header that can be sent", clean_line(&name, 60));
                params.mistake(span, message, "in this table", None);
            }
        }
    }
    found
}

fn within(params: &mut Params<'_>, key: &'static str, most: u64) -> u64 {
    let found = params.opt_count(key).unwrap_or(1);
    if !(1..=most).contains(&found) {
        let span = params.place_of(key);
        params.mistake(span, format!("`{key}` must be 1 to {most}"), "out of range", None);
    }
    found.clamp(1, most)
}

impl HttpCheck {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let url = url(params).unwrap_or_else(stand_in);
        let method = method(params);
        let follow = params.opt_flag("follow").unwrap_or(false);
        if follow && !matches!(method, Method::GET | Method::HEAD) {
            let span = params.place_of("follow");
            params.mistake(span, format!("a {method} does not follow redirects"), "only GET and HEAD do", None);
        }
        let port = services.http.port(&url);
        let connect_to = params.addresses("connect_to", port).first().copied();
        if connect_to.is_some() && url.scheme() == "https" && url.domain().is_none() {
            let span = params.place_of("connect_to");
            params.mistake(span, "`connect_to` needs a name in an https url", "a certificate is for a name", None);
        }
        let headers = headers(params);
        Self {
            services: services.clone(),
            url,
            body: params.opt_secret("body"),
            expect: Expect::read(params),
            times: within(params, "times", TIMES),
            at_once: within(params, "at_once", AT_ONCE),
            timeout: params.opt_duration("timeout").unwrap_or(TIMEOUT),
            method,
            headers,
            follow,
            connect_to,
        }
    }

    /// The request, secrets opened.
    async fn request(&self) -> Result<Request, Failure> {
        let secrets = &self.services.secrets;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let text = secrets.text(value).await?;
            let mut header = HeaderValue::from_str(text.expose()).map_err(|_| {
                Failure::new(Class::Misconfigured, format!("the secret for header `{name}` cannot stand in a header"))
            })?;
            header.set_sensitive(matches!(value, TextOrSecret::Secret(_)));
            headers.append(name, header);
        }
        let body = match &self.body {
            Some(body) => Some(secrets.text(body).await?.expose().as_bytes().to_vec()),
            None => None,
        };
        let (method, url) = (self.method.clone(), self.url.clone());
        Ok(Request {
            method,
            url,
            headers,
            body,
            follow: self.follow,
            connect_to: self.connect_to,
            timeout: self.timeout,
        })
    }

    async fn look(&self) -> Result<Seen, Failure> {
        let request = self.request().await?;
        let one = || async {
            let reply = self.services.http.send(&request).await?;
            self.expect.judge(&reply).map(|()| reply)
        };
        if self.times == 1 {
            let reply = one().await.map_err(|failure| self.told(failure))?;
            return Ok(self.seen(&reply));
        }
        let at_once = usize::try_from(self.at_once).unwrap_or(1);
        let mut answers = stream::iter(0..self.times).map(|_| one()).buffer_unordered(at_once);
        let (mut took, mut bad) = (Vec::new(), Vec::new());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(reply) => took.push(reply.took),
                Err(failure) if failure.class == Class::Misconfigured => return Err(failure),
                Err(failure) => bad.push(failure),
            }
        }
        if let Some(first) = bad.first() {
            let what = format!("{} of {} requests were not as expected: {}", bad.len(), self.times, first.message);
            return Err(first.causes.iter().fold(self.told(Failure::new(Class::NotYet, what)), Failure::because));
        }
        took.sort_unstable();
        let at = |share: usize| {
            took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        let (half, most, worst) = (ms(at(50)), ms(at(95)), ms(at(100)));
        let line =
            format!("{} × {} as expected, {half} ms median, {most} ms p95, {worst} ms worst", self.times, self.words());
        let evidence = json!({ "requests": self.times, "median_ms": half, "p95_ms": most, "worst_ms": worst });
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        Ok(Seen::new(line).value(most as f64).with(evidence))
    }

    fn words(&self) -> String {
        clean_line(&format!("{} {}", self.method, self.url), 200)
    }

    /// A failure with the request that it belongs to.
    fn told(&self, failure: Failure) -> Failure {
        let aimed = self.connect_to.map(|address| format!(" at {address}")).unwrap_or_default();
        Failure { message: clean_line(&format!("{}{aimed}: {}", self.words(), failure.message), 600), ..failure }
    }

    fn seen(&self, reply: &Reply) -> Seen {
        let (status, size, took) = (reply.status.as_u16(), reply.body.len(), ms(reply.took));
        let from = reply.address.map(|address| format!(" from {address}")).unwrap_or_default();
        let hops = reply.urls.len() - 1;
        let via = if hops > 0 {
            format!(", {hops} redirects to {}", reply.urls.last().map(place).unwrap_or_default())
        } else {
            String::new()
        };
        let line = format!("{}: {status}, {size} bytes in {took} ms{from}{via}", self.words());
        let evidence =
            json!({ "status": status, "bytes": size, "ms": took, "address": reply.address, "redirects": hops });
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        Seen::new(line).value(took as f64).with(evidence)
    }
}

/// A stand-in; it is never asked, because a mistake was recorded.
#[expect(clippy::unwrap_used, reason = "a literal that parses")]
fn stand_in() -> Url {
    Url::parse("http://localhost/").unwrap()
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Check for HttpCheck {
    fn looks(&self) -> String {
        let many = if self.times > 1 { format!("{} × ", self.times) } else { String::new() };
        let aimed = self.connect_to.map(|address| format!(" at {address}")).unwrap_or_default();
        format!("{many}{}{aimed} expects {}", self.words(), self.expect.words())
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look()))
    }
}

//! `notify`: tells people and their tools how far the night is. A message that does not arrive is told, and never holds up
//! a step.

mod message;
mod receiver;
mod statuspage;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{
    Bind, Kind,
    web::{
        answer::excerpt,
        dial::{self, Reach},
        joined, ms, once,
        template::Values,
    },
};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Action, Cx, Done, Doubt, Finding, Param, Params, Shape},
    services::{
        Services,
        http::{Reply, Request, place},
    },
};
use receiver::Receiver;

/// How long a message may hold up its step unless the runbook says otherwise, and at most.
const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);
/// Between the two looks that call a message "not there".
const APART: Duration = Duration::from_secs(3);

const OWN: &[Param] = &[
    Param {
        name: "to",
        shape: Shape::Text,
        required: true,
        help: "\"slack\", \"teams\", \"pagerduty\", \"statuspage\" or \"webhook\"",
    },
    Param {
        name: "url",
        shape: Shape::TextOrSecret,
        required: false,
        help: "the webhook, as a secret; pagerduty, statuspage: another address of the API",
    },
    Param {
        name: "text",
        shape: Shape::Text,
        required: false,
        help: "what is said; {{step}}, {{attempt}} and {{env}} are filled in",
    },
    Param { name: "title", shape: Shape::Text, required: false, help: "slack, teams: a line above it in bold" },
    Param {
        name: "facts",
        shape: Shape::Map,
        required: false,
        help: "names and values below it: { Release = \"v42\" }",
    },
    Param {
        name: "mention",
        shape: Shape::Text,
        required: false,
        help: "slack: \"here\" or \"channel\"; default nobody",
    },
    Param { name: "headers", shape: Shape::Map, required: false, help: "webhook: headers to send: texts, or secrets" },
    Param {
        name: "body_json",
        shape: Shape::Any,
        required: false,
        help: "webhook: the body; default { text, step, attempt, env }",
    },
    Param { name: "routing_key", shape: Shape::TextOrSecret, required: false, help: "pagerduty: the integration key" },
    Param {
        name: "event",
        shape: Shape::Text,
        required: false,
        help: "pagerduty: \"trigger\", \"acknowledge\" or \"resolve\"; default \"trigger\"",
    },
    Param {
        name: "dedup_key",
        shape: Shape::Text,
        required: false,
        help: "pagerduty: names the alert, to acknowledge or resolve it later; default the attempt's token",
    },
    Param {
        name: "severity",
        shape: Shape::Text,
        required: false,
        help: "pagerduty: \"critical\", \"error\", \"warning\" or \"info\"; default \"info\"",
    },
    Param {
        name: "source",
        shape: Shape::Text,
        required: false,
        help: "pagerduty: what is affected; default the environment",
    },
    Param { name: "page", shape: Shape::Text, required: false, help: "statuspage: the page's id" },
    Param { name: "token", shape: Shape::TextOrSecret, required: false, help: "statuspage: the API key" },
    Param { name: "name", shape: Shape::Text, required: false, help: "statuspage: the incident's title, to open one" },
    Param {
        name: "incident",
        shape: Shape::Text,
        required: false,
        help: "statuspage: the incident's id, to update it",
    },
    Param {
        name: "after",
        shape: Shape::Text,
        required: false,
        help: "statuspage: the step that opened the incident, to update it",
    },
    Param {
        name: "status",
        shape: Shape::Text,
        required: false,
        help: "statuspage: \"investigating\", \"identified\", \"monitoring\", \"resolved\", or of a maintenance \"scheduled\", \"in_progress\", \"verifying\", \"completed\"",
    },
    Param {
        name: "impact",
        shape: Shape::Text,
        required: false,
        help: "statuspage: \"none\", \"minor\", \"major\", \"critical\" or \"maintenance\"",
    },
    Param {
        name: "components",
        shape: Shape::Map,
        required: false,
        help: "statuspage: components by id: operational, degraded_performance, partial_outage, major_outage, under_maintenance",
    },
    Param {
        name: "timeout",
        shape: Shape::Duration,
        required: false,
        help: "how long it may hold up the step; default \"5s\", at most \"60s\"",
    },
];
static PARAMS: [Param; OWN.len() + dial::PARAMS.len()] = joined(&[OWN, dial::PARAMS]);

/// The kind.
pub static KIND: Kind = Kind {
    name: "notify",
    summary: "tells Slack, Teams, PagerDuty, Statuspage or a webhook; never holds up a step",
    docs: "\
Sends one message. `text` is filled in with `{{step}}`, `{{attempt}}` and `{{env}}` (beside the runbook's own `${…}`). Everything in it
is plain text: what would be a mention or a link in Slack's or Teams' own language is escaped, so that a value from outside
cannot call the channel; `mention` does, where it is meant.

- **slack**: an incoming webhook (`url`, a secret): `text` with a bold `title` and `facts`.
- **teams**: a webhook of Workflows (\"when a Teams webhook request is received\"): an Adaptive Card in a message.
- **pagerduty**: Events API v2: `routing_key`, `event`, `severity`, `source`. Give a trigger a `dedup_key` to acknowledge or
  resolve the alert in a later step. `url` for another region: https://events.eu.pagerduty.com/v2/enqueue.
- **statuspage**: opens an incident (`page`, `token`, `name`, `status`) or updates one (`incident`, or `after`, the step that
  opened it), with `impact` and `components`.
- **webhook**: any `url`: POSTs JSON, `body_json` or the text with the step, attempt and environment.

It never holds up a step: whatever goes wrong, a missing secret included, the step goes on within `timeout`, and its outcome
says **not delivered** and why (`delivered` is false in its evidence; null where no answer came after it was sent, or 408 or a 5xx
but 501 and 505, since nobody knows). What is sent is not sent again, except once after a 429 whose `Retry-After` fits into `timeout`. On a resume an
attempt whose end nobody saw is not sent again; only an event of PagerDuty is, because its key makes it the same one, and an
incident of Statuspage that is looked for and not found.

What hurts people: a webhook's address is its password: give it as a secret; a delivered message is not a read one.

Relies on docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, learn.microsoft.com Teams \"Create incoming webhooks
with Workflows\", developer.pagerduty.com \"Send an event\", developer.statuspage.io \"Create an incident\".",
    params: &PARAMS,
    doubt: Doubt::Desired,
    needs: &["a way to the receiver from here"],
    example: include_str!("../../runbooks/kinds/notify.toml"),
    bind: Bind::Action(|params, services| Arc::new(Notify::read(params, services))),
};

struct Notify {
    services: Arc<Services>,
    receiver: Receiver,
    reach: Reach,
    timeout: Duration,
}

/// What became of a message.
struct Outcome {
    /// `None`: nobody knows.
    delivered: Option<bool>,
    line: String,
    evidence: Json,
}

impl Outcome {
    fn not(why: &Failure) -> Self {
        let known = why.class != Class::Unknown;
        let what = if known { "NOT delivered" } else { "nobody knows whether it was delivered" };
        let said = why.causes.iter().find(|cause| cause.starts_with("answer: "));
        let said = said.map(|said| format!("; {}", clean_line(said, 200))).unwrap_or_default();
        Self {
            delivered: if known { Some(false) } else { None },
            line: format!("{what}: {}{said}", why.message),
            evidence: json!({ "why": why.message }),
        }
    }
}

impl Notify {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let timeout = super::limit(params, TIMEOUT);
        if timeout > LONGEST {
            let span = params.place_of("timeout");
            params.mistake(span, "`timeout` must be at most 60s", "it would hold up the step", None);
        }
        let receiver = Receiver::read(params);
        let reach = Reach::read(params, services, receiver.url());
        Self { services: services.clone(), receiver, reach, timeout: timeout.min(LONGEST) }
    }

    fn values(&self, cx: &Cx) -> Values {
        let mut values = Values::default();
        values.set("step", Json::from(cx.step.as_str()));
        values.set("attempt", Json::from(cx.nth));
        values.set("env", Json::from(self.services.env.name.as_str()));
        values
    }

    async fn tell(&self, cx: &Cx) -> Result<Done, Failure> {
        let limit = shorter(cx, self.timeout);
        let outcome = match self.deliver(&limit).await {
            Ok((reply, more)) => {
                let (status, took) = (reply.status.as_u16(), ms(reply.took));
                let line = format!("told {} ({}): {status} in {took} ms", self.receiver.words(), place(&reply.url));
                let mut evidence = json!({ "status": status, "ms": took });
                if let (Json::Object(all), Json::Object(more)) = (&mut evidence, more) {
                    all.extend(more);
                }
                Outcome { delivered: Some(true), line, evidence }
            }
            // An abort is no failure of the message.
            Err(failure) if cx.cancel.is_cancelled() => return Err(failure),
            Err(failure) => Outcome::not(&failure),
        };
        let Outcome { delivered, line, mut evidence } = outcome;
        let line = match delivered {
            Some(true) => line,
            _ => {
                let line = format!("{}: {line}", self.receiver.words());
                cx.line(&line);
                line
            }
        };
        evidence["delivered"] = delivered.map_or(Json::Null, Json::from);
        Ok(Done::new(line).with(evidence))
    }

    async fn deliver(&self, cx: &Cx) -> Result<(Reply, Json), Failure> {
        let prepared = async {
            let request = self.receiver.request(cx, &self.services, &self.values(cx), self.timeout).await?;
            Ok((request, self.reach.dial(&self.services, false).await?))
        };
        // A secret's command may take longer than a message is worth.
        let (request, dial) = tokio::select! {
            biased;
            () = cx.cancel.cancelled() => return Err(Failure::new(Class::FailedNothingDone, "cancelled")),
            prepared = prepared => prepared?,
            () = tokio::time::sleep_until(cx.deadline) => {
                return Err(Failure::new(Class::FailedNothingDone, "its secrets could not be read in time"));
            }
        };
        let line = self.services.http.line(dial);
        let mut reply = once::send(cx, &line, &request).await?;
        if let Some(wait) = retry_after(&reply) {
            if wait >= cx.left() {
                return Err(refused(&reply, &format!("it asks to wait {} s", wait.as_secs())));
            }
            cx.pause(wait).await.map_err(|failure| Failure { class: Class::FailedNothingDone, ..failure })?;
            reply = once::send(cx, &line, &request).await?;
        }
        match self.receiver.judge(&reply) {
            Ok(more) => Ok((reply, more)),
            Err(why) => Err(refused(&reply, &why)),
        }
    }
}

fn refused(reply: &Reply, why: &str) -> Failure {
    // A gateway that gave up waiting proves nothing of what stands behind it (RFC 9110, section 15).
    let class = match reply.status.as_u16() {
        501 | 505 => Class::Refused,
        408 | 500..=599 => Class::Unknown,
        _ => Class::Refused,
    };
    let failure = Failure::new(class, format!("{} says {}: {why}", place(&reply.url), reply.status.as_u16()));
    let body = excerpt(reply);
    if body.is_empty() { failure } else { failure.because(format!("answer: {body}")) }
}

/// How long a throttled sender has to wait: seconds, as these APIs say it.
fn retry_after(reply: &Reply) -> Option<Duration> {
    if reply.status.as_u16() != 429 {
        return None;
    }
    let text = reply.headers.get("retry-after")?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

impl Action for Notify {
    fn does(&self) -> Vec<String> {
        self.receiver.does()
    }

    fn doubt(&self) -> Doubt {
        Doubt::Desired
    }

    fn restorable(&self) -> bool {
        false
    }

    fn capture<'a>(&'a self, _cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async { Ok(Json::Null) })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.tell(cx))
    }

    fn restore<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async {
            Err(Failure::new(Class::Misconfigured, "a message cannot be taken back")
                .hint("give the step a rollback of its own, such as a `notify` that says so"))
        })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, _captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            if back {
                return Ok(Finding::Unclear { line: "a message cannot be taken back".into() });
            }
            Ok(self.found(&shorter(cx, self.timeout)).await)
        })
    }
}

impl Notify {
    async fn found(&self, cx: &Cx) -> Finding {
        let unknown = || {
            let line =
                format!("{}: nobody knows whether it was delivered; it is not sent again", self.receiver.words());
            Finding::Done(Done::new(line).with(json!({ "delivered": null })))
        };
        match &self.receiver {
            Receiver::PagerDuty(_) => Finding::NotDone {
                line: "whether PagerDuty has the event is not known; its key makes a second one the same".into(),
            },
            Receiver::Statuspage(page) => {
                let look = || async {
                    let request = page.look(&self.services, self.timeout).await.ok()??;
                    let dial = self.reach.dial(&self.services, false).await.ok()?;
                    let reply = self.services.http.line(dial).send(&request, None).await.ok()?;
                    page.found(&reply, &cx.token)
                };
                // One that was still under way at the first look is there at the second.
                let looked = async {
                    match look().await? {
                        None => {
                            cx.pause(APART).await.ok()?;
                            look().await
                        }
                        there => Some(there),
                    }
                };
                match tokio::time::timeout_at(cx.deadline, looked).await.ok().flatten() {
                    Some(Some(id)) => {
                        let line = format!("Statuspage has the incident {}", clean_line(&id, 60));
                        Finding::Done(Done::new(line).with(json!({ "delivered": true, "incident": id })))
                    }
                    Some(None) => Finding::NotDone { line: "Statuspage has no such incident".into() },
                    None => unknown(),
                }
            }
            Receiver::Slack(_) | Receiver::Teams(_) | Receiver::Webhook(_) => unknown(),
        }
    }
}

/// The same attempt with less time.
fn shorter(cx: &Cx, limit: Duration) -> Cx {
    let deadline = cx.deadline.min(tokio::time::Instant::now() + limit);
    Cx { deadline, ..cx.clone() }
}

/// A POST of JSON.
fn post(url: reqwest::Url, body: &Json, timeout: Duration) -> Request {
    let mut request = Request::new(reqwest::Method::POST, url, timeout);
    let media = reqwest::header::HeaderValue::from_static("application/json");
    request.headers.insert(reqwest::header::CONTENT_TYPE, media);
    request.body = Some(body.to_string().into());
    request
}

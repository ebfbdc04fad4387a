//! `dns.wait_ttl`: waits until no cache can hold the old TTL any more.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Local, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{
    Bind, Kind,
    dns::{self, TYPE},
};
use crate::{
    base::{Class, Failure, StepId, short_duration},
    plan::{Action, Cx, Done, Doubt, Finding, Param, Shape},
    services::{
        Services,
        dns::{Name, RecordType, shown},
    },
};

/// How often the servers are asked again while waiting.
const ASK: Duration = Duration::from_secs(15);
/// How often the countdown is told.
const TELL: Duration = Duration::from_secs(1);

/// The kind.
pub static KIND: Kind = Kind {
    name: "dns.wait_ttl",
    summary: "waits until every cached copy of the old TTL has expired",
    docs: "\
A resolver that asked one moment before a TTL was lowered keeps the record for the whole *old* TTL. Only when that has run
out, counted from the moment at which every authoritative server had the new TTL (Route 53: INSYNC), does a switch reach
everybody within the new TTL.

With `after = \"lower-ttl\"` the old TTL and that moment come from what the step `lower-ttl` left behind (`old_ttl`,
`insync_at`, `name`, `type` in its evidence): an attempt that is started again counts from the same moment. With `name`
alone it waits for `ttl`, or for the largest TTL that is served now, counted from the start of the first attempt.

While waiting it asks every authoritative server, along the CNAME chain. It waits for the largest TTL found there if that is
more than the old one, and for a server that still serves a higher TTL than the new one the count begins anew: caches
can still pick that up. For a name that does not exist it waits for the negative TTL (RFC 2308). The clock time at
which the switch is safe is shown.

What hurts people: NS and DS records of the parent zone live up to 48 h and are not covered; some resolvers keep records
longer than they may; Terraform puts the old TTL back on its next run.

Changes nothing. Relies on RFC 1035 (3.2.1), 2181 (8), 2308 (5) and Route 53's GetChange documentation.",
    params: &[
        Param {
            name: "after",
            shape: Shape::Text,
            required: false,
            help: "the step that lowered the TTL; it must come before this one",
        },
        Param { name: "name", shape: Shape::Text, required: false, help: "the record's name, where no step lowered the TTL" },
        TYPE,
        Param {
            name: "ttl",
            shape: Shape::Count,
            required: false,
            help: "the old TTL in seconds, with `name`; default: the largest that is served now",
        },
    ],
    doubt: Doubt::Read,
    needs: &["UDP and TCP port 53 to the zone's name servers"],
    example: include_str!("../../runbooks/kinds/dns.wait_ttl.toml"),
    bind: Bind::Action(|params, services| {
        let after = params.step_ref("after");
        let name = params.has("name").then(|| dns::name(params));
        if after.is_none() && name.is_none() && params.ok() {
            let help = Some("after = \"lower-ttl\" names the step that lowered the TTL".into());
            params.mistake(params.place(), "`dns.wait_ttl` needs `after` or `name`", "what to wait for is missing", help);
        }
        let kind = dns::record_type(params);
        let ttl = params.opt_count("ttl");
        Arc::new(WaitTtl { services: services.clone(), after, name, kind, ttl, began: OnceLock::new() })
    }),
};

struct WaitTtl {
    services: Arc<Services>,
    after: Option<StepId>,
    name: Option<Name>,
    kind: Option<RecordType>,
    ttl: Option<u64>,
    /// When the first attempt began, where nothing else says from when to count.
    began: OnceLock<DateTime<Utc>>,
}

/// What the wait counts from.
#[derive(Debug, Clone)]
struct Count {
    name: Name,
    kind: RecordType,
    from: DateTime<Utc>,
    old: Option<u64>,
    new: Option<u64>,
}

/// What the servers said at one look.
#[derive(Debug, Default)]
struct Look {
    largest: u64,
    /// Servers that still serve more than the new TTL, and the most that any of them serves.
    stale: Vec<String>,
    stale_ttl: u64,
}

impl WaitTtl {
    fn count(&self, cx: &Cx, captured: &Json) -> Result<Count, Failure> {
        let began = *self.began.get_or_init(Utc::now);
        let Some(step) = &self.after else {
            let name = self.name.clone().unwrap_or_default();
            let from = time(captured, "from").unwrap_or(began);
            return Ok(Count { name, kind: self.kind.unwrap_or(RecordType::A), from, old: self.ttl, new: None });
        };
        let prior = cx.priors.get(step);
        let field = |key: &str| {
            let prior = prior?;
            [&prior.evidence, &prior.captured].into_iter().find_map(|json| json.get(key).filter(|v| !v.is_null()))
        };
        let nothing = |what: &str| {
            Failure::new(Class::Misconfigured, format!("step `{step}` left no {what} behind to count from"))
                .hint("was it skipped or done by hand? give `name` and `ttl` instead of `after`, or skip this step too")
        };
        let number = |key: &str| field(key).and_then(Json::as_u64);
        let name = match (&self.name, field("name").and_then(Json::as_str)) {
            (Some(name), _) => name.clone(),
            (None, Some(text)) => crate::services::dns::name(text)?,
            (None, None) => return Err(nothing("name")),
        };
        let kind = field("type").and_then(Json::as_str).and_then(|text| text.parse().ok());
        let from = field("insync_at").and_then(Json::as_str).and_then(|text| text.parse::<DateTime<Utc>>().ok());
        Ok(Count {
            name,
            kind: self.kind.or(kind).unwrap_or(RecordType::A),
            from: from.ok_or_else(|| nothing("`insync_at`"))?,
            old: Some(self.ttl.or(number("old_ttl")).ok_or_else(|| nothing("`old_ttl`"))?),
            new: number("ttl").or(number("new_ttl")),
        })
    }

    async fn look(&self, count: &Count) -> Result<Look, Failure> {
        let chain = self.services.dns.chain(&count.name, count.kind).await?;
        let Some(first) = chain.first() else { return Ok(Look::default()) };
        let here = first.ttls(count.kind).chain(first.negative_ttl()).map(u64::from).max();
        let Some(here) = here else {
            let why = first.servers.iter().map(|(server, answer)| match answer {
                Ok(answer) => format!("{server} says {}", answer.words(&count.name, count.kind)),
                Err(failure) => failure.to_string(),
            });
            let failure = Failure::new(Class::NotYet, format!("no server tells the TTL of {}", shown(&count.name)));
            return Err(why.fold(failure, Failure::because));
        };
        let behind = chain.iter().skip(1).flat_map(|link| link.ttls(count.kind)).map(u64::from).max().unwrap_or(0);
        let mut look = Look { largest: here.max(behind), ..Look::default() };
        // Stale is a server above the new TTL; where nobody told the new TTL, one above the others.
        let new = count.new.or(first.ttls(count.kind).map(u64::from).min()).filter(|_| count.old.is_some());
        for (server, answer) in &first.servers {
            let ttl = answer.as_ref().ok().and_then(|a| a.ttl(&count.name, count.kind)).map(u64::from);
            if let (Some(new), Some(ttl)) = (new, ttl)
                && ttl > new
            {
                look.stale.push(server.to_string());
                look.stale_ttl = look.stale_ttl.max(ttl);
            }
        }
        Ok(look)
    }

    async fn wait(&self, cx: &Cx, captured: &Json) -> Result<Done, Failure> {
        let count = self.count(cx, captured)?;
        let mut old = count.old.unwrap_or(0);
        let mut safe = after(count.from, old);
        let mut asked: Option<tokio::time::Instant> = None;
        let mut told = String::new();
        let mut trouble;
        loop {
            let now = Utc::now();
            // Asked at once, now and then, and at the end: a wait that ends on old news proves nothing.
            let mut fresh = false;
            trouble = None;
            if asked.is_none_or(|at| at.elapsed() >= ASK) || now >= safe {
                asked = Some(tokio::time::Instant::now());
                match self.look(&count).await {
                    Ok(look) => {
                        fresh = true;
                        old = old.max(look.largest);
                        safe = safe.max(after(count.from, old));
                        if !look.stale.is_empty() {
                            safe = safe.max(after(now, look.stale_ttl));
                            cx.line(format!(
                                "{} still serves {} s: the count begins anew",
                                look.stale.join(", "),
                                look.stale_ttl
                            ));
                        }
                    }
                    Err(failure) if failure.class == Class::Misconfigured => return Err(failure),
                    Err(failure) => trouble = Some(failure),
                }
            }
            let left = (safe - Utc::now()).to_std().unwrap_or_default();
            if left.is_zero() && fresh {
                break;
            }
            if left > cx.left() {
                let (safe, left) = (clock(safe), short_duration(left));
                return Err(Failure::new(
                    Class::NotYet,
                    format!("the old TTL of {old} s runs out at {safe}, in {left}; this attempt ends before that"),
                )
                .hint("raise the step's `timeout`; a new attempt counts from the same moment"));
            }
            let line = match &trouble {
                Some(failure) => format!("cannot ask: {failure}"),
                None => format!("safe to switch at {} (old TTL {old} s from {})", clock(safe), clock(count.from)),
            };
            if line != told {
                cx.line(&line);
                told = line;
            }
            #[expect(clippy::cast_precision_loss, reason = "a share for a bar")]
            let share = 1.0 - left.as_secs_f32() / (old.max(1) as f32);
            cx.progress(share, format!("safe at {}, {} left", clock(safe), short_duration(left)));
            let pause = if left.is_zero() { TELL } else { TELL.min(left) };
            if let Err(end) = cx.pause(pause).await {
                let why = trouble.map_or_else(|| format!("safe at {}", clock(safe)), |failure| failure.message);
                return Err(Failure::new(Class::NotYet, format!("{}: {why}", end.message)));
            }
        }
        cx.progress(1.0, "the old TTL has run out");
        let line = format!("the old TTL of {old} s of {} ran out at {}", shown(&count.name), clock(safe));
        let evidence = json!({ "name": shown(&count.name), "old_ttl": old, "from": count.from, "safe_at": safe });
        Ok(Done::new(line).with(evidence))
    }
}

fn after(from: DateTime<Utc>, seconds: u64) -> DateTime<Utc> {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / 1000).min(i64::from(i32::MAX));
    from + TimeDelta::seconds(seconds)
}

fn time(json: &Json, key: &str) -> Option<DateTime<Utc>> {
    json.get(key)?.as_str()?.parse().ok()
}

fn clock(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%H:%M:%S").to_string()
}

impl Action for WaitTtl {
    fn does(&self) -> Vec<String> {
        let what = match (&self.after, &self.name) {
            (Some(step), _) => {
                format!("wait until the TTL that step `{step}` lowered has run out, counted from INSYNC")
            }
            (None, Some(name)) => match self.ttl {
                Some(ttl) => format!("wait {ttl} s for the old TTL of {}", shown(name)),
                None => format!("wait for the largest TTL that is served for {}", shown(name)),
            },
            (None, None) => String::new(),
        };
        vec![what, "ask every authoritative server along the CNAME chain meanwhile".into()]
    }

    fn doubt(&self) -> Doubt {
        Doubt::Read
    }

    fn changes(&self) -> bool {
        false
    }

    fn capture<'a>(&'a self, _cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async {
            let began = *self.began.get_or_init(Utc::now);
            Ok(if self.after.is_some() { Json::Null } else { json!({ "from": began }) })
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(self.wait(cx, captured))
    }

    fn restore<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        super::nothing_to_restore()
    }

    fn probe<'a>(&'a self, _cx: &'a Cx, _captured: &'a Json, _back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        super::only_waits()
    }
}

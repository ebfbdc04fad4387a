//! `dns.wait_ttl`: waits until no cache can hold the old TTL any more.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use super::{
    Bind, Kind,
    dns::{self, Countdown, Heard, TYPE, clock},
};
use crate::{
    base::{Class, Failure, StepId, short_duration},
    plan::{Action, Cx, Done, Doubt, Finding, Param, Shape},
    services::{
        Services,
        dns::{Chain, Name, RecordType, shown},
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

While waiting it asks every authoritative server, along the CNAME chain: each name of the chain with its own TTL at its own
servers. It waits for the largest TTL found there if that is more than the old one, and for a server that still serves a
higher TTL than the new one the count begins anew: caches can still pick that up. For a name that does not exist yet it
waits for the time that caches keep the \"no\", the lesser of the SOA record's TTL and its minimum (RFC 2308). The clock
time at which the switch is safe is shown from the first moment on.

Where the environment names its servers (`dns.authoritative`), names further along the chain that they do not know are looked
up by the environment's `dns.resolvers`; without those the chain counts as far as it is known, and a line says where it ends.

What hurts people: this is about the record alone. The parent zone's NS records live up to 48 h in caches, and its DS
records up to 24 h: who moves the *zone* to other name servers, or signs it anew, has to wait for those (`dig NS
acme.example @a server of the parent` shows the TTL; `dns.delegation` shows it too), and keeps the old servers serving
until then. Some resolvers keep records longer than they may. Terraform puts the old TTL back on its next run.

Changes nothing. Relies on RFC 1035 (3.2.1), 2181 (8), 2308 (5) and Route 53's GetChange documentation. Limits: a server
that does not answer cannot be counted and is named; nobody knows what it gives out.",
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
        let name = params.has("name").then(|| dns::name(params, "name"));
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
struct Start {
    name: Name,
    kind: RecordType,
    from: DateTime<Utc>,
    old: Option<u64>,
    new: Option<u64>,
}

/// What the servers said at one look.
struct Look {
    heard: Heard,
    /// Servers that still serve more than the new TTL.
    stale: Vec<String>,
    /// What is worth a line: the chain, who is silent, where it ends.
    lines: Vec<String>,
    /// For the evidence.
    chain: Json,
}

impl WaitTtl {
    fn start(&self, cx: &Cx, captured: &Json) -> Result<Start, Failure> {
        let began = *self.began.get_or_init(Utc::now);
        let Some(step) = &self.after else {
            let name = self.name.clone().unwrap_or_default();
            let from = time(captured, "from").unwrap_or(began);
            return Ok(Start { name, kind: self.kind.unwrap_or(RecordType::A), from, old: self.ttl, new: None });
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
        Ok(Start {
            name,
            kind: self.kind.or(kind).unwrap_or(RecordType::A),
            from: from.ok_or_else(|| nothing("`insync_at`"))?,
            old: Some(self.ttl.or(number("old_ttl")).ok_or_else(|| nothing("`old_ttl`"))?),
            new: number("ttl").or(number("new_ttl")),
        })
    }

    async fn look(&self, start: &Start) -> Result<Look, Failure> {
        let chain = self.services.dns.chain(&start.name, start.kind).await?;
        let Some(first) = chain.links.first() else {
            return Err(Failure::new(Class::NotYet, "no server was asked"));
        };
        let here = first.ttls(start.kind).chain(first.negative_ttl()).map(u64::from).max();
        let Some(here) = here else {
            let why = first.servers.iter().map(|(server, answer)| match answer {
                Ok(answer) => format!("{server} says {}", answer.words(&start.name, start.kind)),
                Err(failure) => failure.to_string(),
            });
            let failure = Failure::new(Class::NotYet, format!("no server tells the TTL of {}", shown(&start.name)));
            return Err(why.fold(failure, Failure::because));
        };
        let behind = chain.links.iter().skip(1).flat_map(|link| link.ttls(start.kind)).map(u64::from).max();
        // Stale is a server above the new TTL; where nobody told the new TTL, one above the others.
        let new = start.new.or(first.ttls(start.kind).map(u64::from).min()).filter(|_| start.old.is_some());
        let stale = first.servers.iter().filter_map(|(server, answer)| {
            let ttl = answer.as_ref().ok()?.ttl(&start.name, start.kind).map(u64::from)?;
            (ttl > new?).then(|| (server.to_string(), ttl))
        });
        let (stale, ttls): (Vec<_>, Vec<_>) = stale.unzip();
        let heard = Heard { largest: here.max(behind.unwrap_or(0)), stale: ttls.into_iter().max() };
        Ok(Look { heard, stale, lines: lines(&chain, start.kind), chain: evidence(&chain, start.kind) })
    }

    async fn wait(&self, cx: &Cx, captured: &Json) -> Result<Done, Failure> {
        let start = self.start(cx, captured)?;
        let mut count = Countdown::new(start.from, start.old.unwrap_or(0));
        let mut asked: Option<tokio::time::Instant> = None;
        let (mut told, mut chain) = (Vec::new(), Json::Null);
        let mut trouble;
        loop {
            let now = Utc::now();
            // Asked at once, now and then, and at the end: a wait that ends on old news proves nothing.
            let mut fresh = false;
            let mut lines = Vec::new();
            trouble = None;
            if asked.is_none_or(|at| at.elapsed() >= ASK) || now >= count.safe {
                asked = Some(tokio::time::Instant::now());
                match self.look(&start).await {
                    Ok(look) => {
                        fresh = true;
                        count.hear(look.heard, now);
                        lines = look.lines;
                        chain = look.chain;
                        if let Some(ttl) = look.heard.stale {
                            lines
                                .push(format!("{} still serves {ttl} s: the count begins anew", look.stale.join(", ")));
                        }
                    }
                    Err(failure) if failure.class == Class::Misconfigured => return Err(failure),
                    Err(failure) => trouble = Some(failure),
                }
            }
            let now = Utc::now();
            let (left, at) = (count.left(now), clock(count.safe, now));
            if left.is_zero() && fresh {
                break;
            }
            if left > cx.left() {
                let left = short_duration(left);
                let what = format!(
                    "the old TTL of {} s runs out at {at}, in {left}; this attempt ends before that",
                    count.old
                );
                return Err(Failure::new(Class::NotYet, what)
                    .hint("raise the step's `timeout`; a new attempt counts from the same moment"));
            }
            lines.push(match &trouble {
                Some(failure) => format!("cannot ask: {failure}"),
                None => format!("safe to switch at {at} (old TTL {} s from {})", count.old, clock(count.from, now)),
            });
            for line in lines {
                if !told.contains(&line) {
                    cx.line(&line);
                    told.push(line);
                }
            }
            cx.progress(count.share(now), format!("safe at {at}, {} left", short_duration(left)));
            let pause = if left.is_zero() { TELL } else { TELL.min(left) };
            if let Err(end) = cx.pause(pause).await {
                let why = trouble.map_or_else(|| format!("safe at {at}"), |failure| failure.message);
                return Err(Failure::new(Class::NotYet, format!("{}: {why}", end.message)));
            }
        }
        cx.progress(1.0, "the old TTL has run out");
        let at = clock(count.safe, Utc::now());
        let line = format!("the old TTL of {} s of {} ran out at {at}", count.old, shown(&start.name));
        let evidence = json!({
            "name": shown(&start.name),
            "old_ttl": count.old,
            "from": count.from,
            "safe_at": count.safe,
            "chain": chain,
        });
        Ok(Done::new(line).with(evidence))
    }

    /// Whether the time is over already, as far as the servers say now.
    async fn over(&self, cx: &Cx, captured: &Json) -> Result<Finding, Failure> {
        let start = self.start(cx, captured)?;
        let mut count = Countdown::new(start.from, start.old.unwrap_or(0));
        let now = Utc::now();
        if count.left(now).is_zero() {
            count.hear(self.look(&start).await?.heard, now);
        }
        let at = clock(count.safe, now);
        Ok(if count.left(Utc::now()).is_zero() {
            Finding::Done(Done::new(format!("the old TTL of {} s ran out at {at}", count.old)))
        } else {
            Finding::NotDone { line: format!("the old TTL of {} s runs out at {at}; it can be run again", count.old) }
        })
    }
}

/// `shop.acme.example 60 s, then lb.elb.example 30 s`; who is silent; where the chain is lost.
fn lines(chain: &Chain, kind: RecordType) -> Vec<String> {
    let mut lines = Vec::new();
    if chain.links.len() > 1 {
        let links = chain.links.iter().map(|link| match link.ttls(kind).chain(link.negative_ttl()).max() {
            Some(ttl) => format!("{} {ttl} s", shown(&link.name)),
            None => format!("{}, of which no server tells a TTL", shown(&link.name)),
        });
        lines.push(format!("the chain: {}", links.collect::<Vec<_>>().join(", then ")));
    }
    for link in &chain.links {
        for (_, answer) in &link.servers {
            if let Err(failure) = answer {
                lines.push(format!("{} is not counted at a server: {failure}", shown(&link.name)));
            }
        }
    }
    if let Some((name, why)) = &chain.open {
        lines.push(format!("the chain goes on at {}, whose TTL is not counted: {why}", shown(name)));
    }
    lines
}

fn evidence(chain: &Chain, kind: RecordType) -> Json {
    let links = chain.links.iter().map(|link| {
        let ttls = link.servers.iter().map(|(server, answer)| {
            let ttl = answer.as_ref().ok().and_then(|answer| answer.ttl(&link.name, kind).or(answer.negative_ttl));
            json!({ "server": server.to_string(), "ttl": ttl })
        });
        json!({ "name": shown(&link.name), "servers": ttls.collect::<Vec<_>>() })
    });
    links.collect()
}

fn time(json: &Json, key: &str) -> Option<DateTime<Utc>> {
    json.get(key)?.as_str()?.parse().ok()
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

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, _back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(self.over(cx, captured))
    }
}

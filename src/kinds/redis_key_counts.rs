//! `redis.key_counts`: as many keys on the new side as on the old one, by pattern, and room for them.

mod count;
mod glob;
mod judge;
mod read;

use std::sync::{Arc, atomic::Ordering};

use futures_util::future::{BoxFuture, try_join};
use serde_json::{Value as Json, json};

use self::{
    count::{Counted, Progress, count},
    judge::{Tolerance, Wanted, differences},
    read::{counts, eviction, tolerance},
};
use super::{
    Bind, Kind, amiss, looking, no_data,
    redis::{server, server_help, unverified},
};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Check, Cx, Doubt, Param, Params, Seen, Shape},
    services::{
        Services,
        redis::{Server, Session},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "redis.key_counts",
    summary: "keys by pattern agree on both sides; eviction policy and room in memory",
    docs: "\
Counts keys by pattern on `source` and `target` at the same time and is green when each of `patterns` has as many on both sides, give or
take `tolerance`. With `server` instead it looks at one side. `min` and `max` say how many keys a pattern must and may have on the
`target` (or the `server`): `min = { \"session:*\" = 1 }`, `max = { \"cache:*\" = 0 }`. `eviction` is the policy that it must have, `headroom`
the percent of its memory that must be free.

Patterns are those of Redis: `*`, `?`, `[a-z]`, `[^x]`, `\\` before what stands for itself. Databases are those of the urls.

What hurts people: Sidekiq's jobs in a Redis that evicts are lost without a word: it wants `noeviction`, and managed caches come with
`volatile-lru`. A copy may leave out other databases than 0, or keep no time to live: the evidence says how many keys expire on each
side. Keys that expire while they are counted make sides differ that are equal.

**The counts of a server that is written to are approximate:** a key may be met twice, or be missed. The line says when a server was
written to in the meantime. Freeze the old side first, or give a `tolerance`.

Two names of the same database are refused, and where the source holds no key of any pattern there is no data: nothing was
compared, unless `min` or `max` says what is expected.

Keys are read by SCAN, a thousand a page, one page at a time: other clients are served between two pages. A million keys take some
seconds and travel as names. Values are not read: equal counts are no proof of equal content.

Limits: a cluster of more than one shard is refused, since SCAN sees one node. A replica is read, and told; one whose link to
its primary is not up is no data. `headroom` where `maxmemory` is not
set counts the machine's memory, which a container may not have. As a
criterion or a watch one look has 20 s: count what is large in a step.

Commands: SCAN, DBSIZE, INFO; AUTH, SELECT and CLIENT SETNAME before. A user of an ACL needs `+@read +@connection +info +dbsize ~*`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["a way to the Redis servers from here, and a user that may read and ask INFO"],
    example: include_str!("../../runbooks/kinds/redis.key_counts.toml"),
    bind: Bind::Check(|params, services| Arc::new(KeyCounts::read(params, services))),
};

const PARAMS: &[Param] = &[
    Param { name: "source", shape: Shape::Any, required: false, help: server_help!("the old side") },
    Param { name: "target", shape: Shape::Any, required: false, help: server_help!("the new side") },
    Param { name: "server", shape: Shape::Any, required: false, help: server_help!("the only side") },
    Param {
        name: "patterns",
        shape: Shape::Texts,
        required: false,
        help: "what is counted and compared; default: [\"*\"]",
    },
    Param {
        name: "tolerance",
        shape: Shape::Any,
        required: false,
        help: "keys by which a pattern may differ, or \"0.5%\" of the source's; default: 0",
    },
    Param { name: "min", shape: Shape::Any, required: false, help: "{ pattern = count }: keys that must be there" },
    Param { name: "max", shape: Shape::Any, required: false, help: "{ pattern = count }: keys that may be there" },
    Param {
        name: "eviction",
        shape: Shape::Text,
        required: false,
        help: "maxmemory-policy that it must have: \"noeviction\"",
    },
    Param { name: "headroom", shape: Shape::Count, required: false, help: "percent of its memory that must be free" },
];

/// Patterns are matched one after another, key by key.
const PATTERNS: usize = 50;

struct KeyCounts {
    services: Arc<Services>,
    source: Option<Server>,
    /// The new side, or the only one.
    target: Option<Server>,
    wanted: Wanted,
    tolerance: Tolerance,
}

impl KeyCounts {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let (source, target, only) = (server(params, "source"), server(params, "target"), server(params, "server"));
        let sides = ["source", "target", "server"].map(|key| params.has(key));
        match sides {
            [true, true, false] | [false, false, true] => {}
            _ => {
                let help = Some("two sides are compared, one is looked at".into());
                let place = params.place();
                params.mistake(
                    place,
                    "`redis.key_counts` needs `source` and `target`, or `server` alone",
                    "which servers?",
                    help,
                );
            }
        }
        let mut wanted = Wanted {
            patterns: params.texts("patterns"),
            min: counts(params, "min"),
            max: counts(params, "max"),
            eviction: eviction(params),
            headroom: params.opt_count("headroom"),
            ..Wanted::default()
        };
        if params.has("patterns") && (wanted.patterns.is_empty() || wanted.patterns.iter().any(String::is_empty)) {
            let span = params.place_of("patterns");
            params.mistake(span, "`patterns` must not be empty", "nothing is counted", None);
        }
        if wanted.headroom.is_some_and(|percent| percent > 100) {
            let span = params.place_of("headroom");
            params.mistake(span, "`headroom` must be 0 to 100 percent", "more than all of it", None);
        }
        let bounded = !(wanted.min.is_empty() && wanted.max.is_empty());
        if sides[2] && !bounded && wanted.eviction.is_none() && wanted.headroom.is_none() {
            let help = Some("give `min`, `max`, `eviction` or `headroom`, or compare with another side".into());
            let span = params.place_of("server");
            params.mistake(span, "nothing is expected of `server`", "green whatever it holds", help);
        }
        let tolerance = tolerance(params);
        if params.has("tolerance") && sides[2] {
            let span = params.place_of("tolerance");
            params.mistake(span, "`tolerance` is between two sides", "there is one side", None);
        }
        if wanted.patterns.is_empty() && (!sides[2] || !bounded) {
            wanted.patterns.push("*".into());
        }
        wanted.compared = if sides[2] { 0 } else { wanted.patterns.len() };
        for pattern in wanted.min.iter().chain(&wanted.max).map(|(pattern, _)| pattern) {
            if !wanted.patterns.contains(pattern) {
                wanted.patterns.push(pattern.clone());
            }
        }
        if wanted.patterns.len() > PATTERNS {
            let place = params.place();
            params.mistake(place, format!("at most {PATTERNS} patterns are counted at a time"), "more than that", None);
        }
        Self { services: services.clone(), source, target: target.or(only), wanted, tolerance }
    }

    async fn connect(&self, server: &Server) -> Result<Session, Failure> {
        self.services.redis.connect(server, &self.services.secrets).await
    }

    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let Some(target) = &self.target else {
            return Err(Failure::new(Class::Misconfigured, "no server is named"));
        };
        let progress = Progress::default();
        let report = || {
            let (seen, total) = (progress.seen.load(Ordering::Relaxed), progress.total.load(Ordering::Relaxed));
            #[expect(clippy::cast_precision_loss, reason = "a bar of some hundred cells")]
            cx.progress(seen as f32 / total.max(1) as f32, format!("{seen} of {total} keys looked at"));
        };
        let counted = async |server: &Server| {
            let session = self.connect(server).await?;
            session.about().reached()?;
            count(session, &self.wanted.patterns, &progress, report).await
        };
        let Some(source) = &self.source else {
            let counted = counted(target).await?;
            return self.judged(None, &counted);
        };
        let (source, target) = try_join(counted(source), counted(target)).await?;
        self.judged(Some(&source), &target)
    }

    fn judged(&self, source: Option<&Counted>, target: &Counted) -> Result<Seen, Failure> {
        let (mut wrong, mut apart) = (Vec::new(), 0);
        if let Some(source) = source {
            if source.about.run_id.is_some() && one(source) == one(target) {
                let words = format!(
                    "both sides are the same database: {} and {} are one server",
                    source.about.place, target.about.place
                );
                return Err(Failure::new(Class::Misconfigured, words));
            }
            (wrong, apart) = differences(&self.wanted, self.tolerance, source, target);
        }
        wrong.extend(self.wanted.amiss(target));
        let written: Vec<_> =
            [source.map(|one| ("source", one)), Some((if source.is_some() { "target" } else { "server" }, target))]
                .into_iter()
                .flatten()
                .filter(|(_, one)| one.written)
                .map(|(name, _)| name)
                .collect();
        let approximate = match written.as_slice() {
            [] => String::new(),
            names => format!("; approximate: {} written to meanwhile", names.join(" and ")),
        };
        if !wrong.is_empty() {
            let hint =
                format!("{} written to while keys were counted: the counts are approximate", written.join(" and "));
            return amiss(&target.about.place, wrong)
                .map_err(|failure| if written.is_empty() { failure } else { failure.hint(hint) })
                .map(|()| Seen::new(""));
        }
        let bounded = !(self.wanted.min.is_empty() && self.wanted.max.is_empty());
        if let Some(source) = source
            && !bounded
            && source.counts.iter().all(|count| *count == 0)
        {
            let words = format!("{}: no data: the source holds no key of any pattern", source.about.place);
            return Err(
                Failure::new(Class::NotYet, words).hint("is it the right database? `min` says what must be there")
            );
        }
        let mut line = self.counts(source, target);
        if let Some(policy) = &target.policy {
            line += &format!("; {policy}");
        }
        line += &format!("{approximate}{}{}", replica(target), unverified(&target.about));
        if let Some(source) = source {
            line += &format!("{}{}", replica(source), unverified(&source.about));
        }
        #[expect(clippy::cast_precision_loss, reason = "a Redis holds at most 2^32 keys")]
        let value = if source.is_some() { apart as f64 } else { target.counts.iter().sum::<u64>() as f64 };
        let evidence = json!({
            "source": source.map(|one| self.evidence(one)),
            "target": self.evidence(target),
        });
        Ok(Seen::new(line).value(value).with(evidence))
    }

    /// `session:* 12, queue:* 3`; two numbers where the sides differ.
    fn counts(&self, source: Option<&Counted>, target: &Counted) -> String {
        let told = self.wanted.patterns.iter().enumerate().map(|(at, pattern)| {
            let there = target.counts[at];
            match source.map(|source| source.counts[at]) {
                Some(here) if here != there => format!("{pattern} {here} and {there}"),
                _ => format!("{pattern} {there}"),
            }
        });
        let sides = if source.is_some() { " on both sides" } else { "" };
        format!("{}{sides}", told.collect::<Vec<_>>().join(", "))
    }

    fn evidence(&self, one: &Counted) -> Json {
        let counts: serde_json::Map<_, _> =
            self.wanted.patterns.iter().cloned().zip(one.counts.iter().map(|n| json!(n))).collect();
        json!({
            "redis": one.about.evidence(),
            "counts": counts,
            "keys": one.keys,
            "expiring": one.expiring,
            "eviction": one.policy,
            "memory_used": one.memory.map(|memory| memory.used),
            "memory_limit": one.memory.map(|memory| memory.limit),
            "written_meanwhile": one.written,
        })
    }
}

/// Which database it is, by the server's own name.
fn one(counted: &Counted) -> (Option<&str>, u64) {
    (counted.about.run_id.as_deref(), counted.about.db)
}

fn replica(counted: &Counted) -> String {
    if counted.about.is_replica() { format!("; {} is a replica", counted.about.place) } else { String::new() }
}

impl Check for KeyCounts {
    fn looks(&self) -> String {
        let target = self.target.as_ref().map(Server::shown).unwrap_or_default();
        let mut wanted = self.wanted.words();
        let at = match &self.source {
            Some(source) => {
                let patterns = self.wanted.patterns[..self.wanted.compared].join(", ");
                wanted.insert(0, format!("as many keys of {patterns}{}", self.tolerance.words()));
                format!("Redis SCAN {} and {target}", source.shown())
            }
            None => format!("Redis SCAN {target}"),
        };
        clean_line(&format!("{at} expects {}", wanted.join(", ")), 400)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(looking(cx, async { self.look(cx).await.map_err(no_data) }))
    }
}

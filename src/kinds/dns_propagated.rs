//! `dns.propagated`: named resolvers see the new value.

mod quorum;
mod view;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{
    Bind, Kind,
    dns::{Question, with_question},
};
use crate::{
    base::{Class, Failure},
    plan::{Check, Cx, Doubt, Param, Seen, Shape},
    services::{
        Services,
        dns::{Answer, Peer, Query, Transport, WITHIN},
    },
};
use quorum::Quorum;
use view::{Known, View};

/// Between two samples of one look: long enough to reach another frontend of an anycast resolver,
/// short enough to be repeated every two seconds.
const BETWEEN: Duration = Duration::from_millis(250);
/// So many that are stuck are named one by one; more are told by what they say.
const ONE_BY_ONE: usize = 5;
/// The default number of samples.
const SAMPLES: u64 = 2;
/// Once the quorum is decided, those that have not answered get so much longer: they are asked for the view only.
const GRACE: Duration = Duration::from_millis(100);
/// From a change at the last server to the moment at which it is seen, at most.
const INTERVAL: Duration = Duration::from_secs(2);
/// What of that the answers themselves may take.
const SLACK: Duration = Duration::from_millis(200);
/// Looks follow each other at this pace at most, however long they take.
const FASTEST: Duration = Duration::from_millis(250);

/// The kind.
pub static KIND: Kind = Kind {
    name: "dns.propagated",
    summary: "named resolvers see the new value: quorum, remaining TTL, consecutive samples",
    docs: "\
Asks every resolver for the name at once, with recursion, and passes when enough of them (`quorum`) answer with the expected
value in every one of `samples` consecutive samples, taken `between` apart within one look. A resolver that flaps between old
and new, or answers SERVFAIL once, has not seen the value: it is named, with what it still says and how long it may keep
that. Over UDP, and over TCP where the answer is truncated.

What each resolver says is told as it comes: a silent one takes its whole `answer_within` (3 s) and delays nobody else. The
look is over as soon as the quorum is reached or cannot be reached any more. Where more than five are stuck they are told by
what they say, with the resolvers of each group.

While a step polls it, it remembers what each resolver said: an old value that lives longer than its TTL is served stale
(RFC 8767) or was fetched again from a server that still has it; a TTL that does not count down is clamped or comes from
several caches. Extended errors (RFC 8914) are shown: `DNSSEC bogus`, `no reachable authority`, `stale answer`.

Where the name is a CNAME, `value` may be its target or the addresses behind it.

What hurts people: resolvers that raise or clamp TTLs (`max_ttl` shows them), that serve stale answers, and the ones inside
a VPC, which nobody asked. A \"no\" is cached too: who asked for a new name too early waits for the SOA's minimum. Browsers,
JVMs and long-lived connections cache beyond any resolver.

Resolvers: `resolvers`, else the environment's `dns.resolvers`, else those of /etc/resolv.conf. Relies on RFC 1034, 1035,
2181, 2308. Limits: a passing look says what these resolvers say, not what every resolver in the world says.",
    params: &with_question::<5, 10>([
        Param {
            name: "resolvers",
            shape: Shape::Texts,
            required: false,
            help: "addresses of resolvers, with or without a port; default: those of the environment",
        },
        Param {
            name: "quorum",
            shape: Shape::Any,
            required: false,
            help: "how many resolvers must agree: a number or a share such as \"75%\"; default \"100%\"",
        },
        Param {
            name: "samples",
            shape: Shape::Count,
            required: false,
            help: "how many consecutive answers of a resolver must agree, 1 to 100; default 2",
        },
        Param {
            name: "between",
            shape: Shape::Duration,
            required: false,
            help: "pause between two samples, at most 1 m; default \"250ms\"; \"0s\" sends them all at once",
        },
        Param {
            name: "answer_within",
            shape: Shape::Duration,
            required: false,
            help: "how long a resolver may take to answer, 100 ms to 1 m; default \"3s\"",
        },
    ]),
    doubt: Doubt::Read,
    needs: &["UDP and TCP port 53 to the resolvers"],
    example: include_str!("../../runbooks/kinds/dns.propagated.toml"),
    bind: Bind::Check(|params, services| {
        const MINUTE: Duration = Duration::from_secs(60);
        let question = Question::read(params);
        if question.values.is_empty() && params.ok() {
            let help = Some("without one, an old value would pass too".into());
            params.mistake(params.place(), "`dns.propagated` needs `value` or `values`", "what is expected is missing", help);
        }
        let mut resolvers = params.addresses("resolvers", 53);
        let named = resolvers.len();
        resolvers.sort();
        resolvers.dedup();
        if resolvers.len() < named {
            let span = params.place_of("resolvers");
            params.mistake(span, "`resolvers` names one of them twice", "it would count twice", None);
        }
        let quorum = Quorum::read(params);
        let samples = params.opt_count("samples").unwrap_or(SAMPLES);
        if !(1..=100).contains(&samples) {
            let span = params.place_of("samples");
            params.mistake(span, "`samples` must be 1 to 100", "out of range", None);
        }
        let between = params.opt_duration("between").unwrap_or(BETWEEN);
        if between > MINUTE {
            let span = params.place_of("between");
            params.mistake(span, "`between` must be at most 1 m", "out of range", None);
        }
        let within = params.opt_duration("answer_within").unwrap_or(WITHIN);
        if !(Duration::from_millis(100)..=MINUTE).contains(&within) {
            let span = params.place_of("answer_within");
            params.mistake(span, "`answer_within` must be 100 ms to 1 m", "out of range", None);
        }
        Arc::new(Propagated {
            services: services.clone(),
            question,
            resolvers,
            quorum,
            samples,
            between,
            within,
            known: Mutex::default(),
        })
    }),
};

struct Propagated {
    services: Arc<Services>,
    question: Question,
    resolvers: Vec<SocketAddr>,
    quorum: Quorum,
    samples: u64,
    between: Duration,
    within: Duration,
    /// What each resolver said at earlier looks.
    known: Mutex<HashMap<SocketAddr, Known>>,
}

impl Propagated {
    async fn look(&self, cx: &Cx) -> Result<Seen, Failure> {
        let question = &self.question;
        let resolvers = if self.resolvers.is_empty() { self.services.dns.resolvers()? } else { self.resolvers.clone() };
        let of = resolvers.len();
        let need = self.quorum.of(of);
        if need > of {
            return Err(Failure::new(Class::Misconfigured, format!("quorum {need} of {of} resolvers"))
                .hint("name more resolvers, or give the quorum as a share: quorum = \"75%\""));
        }
        let query = Query::new(&question.name, question.kind, true)
            .map_err(|e| Failure::new(Class::Misconfigured, format!("{}: {e}", question.shown)))?;
        let mut asked = resolvers.iter().map(|&resolver| self.one(resolver, &query)).collect::<FuturesUnordered<_>>();
        let (mut views, mut agree) = (Vec::with_capacity(of), 0);
        // Who answers at all is through with its samples by then.
        let prompt = Instant::now() + self.samples_take() + GRACE;
        let mut decided: Option<Instant> = None;
        loop {
            let view = match decided {
                None => asked.next().await,
                Some(until) => tokio::select! {
                    biased;
                    view = asked.next() => view,
                    () = sleep_until(until) => None,
                },
            };
            let Some(view) = view else { break };
            let view = self.hear(cx, view);
            agree += usize::from(view.stuck.is_none());
            views.push(view);
            let open = of - views.len();
            if decided.is_none() && open > 0 && (agree >= need || agree + open < need) {
                decided = Some(prompt.max(Instant::now() + GRACE));
            }
            // The first to answer says nothing about the others: "0 of 30" would be told at every look.
            if agree == 0 && open > 0 {
                continue;
            }
            #[expect(clippy::cast_precision_loss, reason = "a handful of resolvers")]
            cx.progress(agree as f32 / need as f32, format!("{agree} of {of} resolvers see {}", question.wanted()));
        }
        drop(asked);
        views.sort_by_key(|view| resolvers.iter().position(|r| *r == view.resolver));
        let silent = resolvers.iter().filter(|r| !views.iter().any(|v| v.resolver == **r)).copied().collect::<Vec<_>>();
        self.verdict(&views, &silent, agree, need)
    }

    fn verdict(&self, views: &[View], silent: &[SocketAddr], agree: usize, need: usize) -> Result<Seen, Failure> {
        let question = &self.question;
        let stuck = views.iter().filter_map(|v| Some(format!("{} {}", v.resolver, v.stuck.as_ref()?)));
        let waited = silent.iter().map(|r| format!("{r} had not answered when the others were done"));
        let stuck = stuck.chain(waited).collect::<Vec<_>>();
        let groups = if stuck.len() > ONE_BY_ONE { view::groups(views, silent) } else { Vec::new() };
        let all = groups.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>().join(", ");
        let of = views.len() + silent.len();
        let counts = format!("{agree} of {of} resolvers see {} as {}", question.shown, question.wanted());
        if agree < need {
            let hint = view::hint(views, self.services.dns.now());
            if !groups.is_empty() {
                let failure = Failure::new(Class::NotYet, format!("{counts}; {all}"));
                let failure = hint.iter().fold(failure, Failure::hint);
                // The few that differ first: they are what has to be looked at.
                return Err(groups.iter().rev().fold(failure, |failure, (what, who)| {
                    let who = who.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    failure.because(format!("{what}: {who}"))
                }));
            }
            let more = if stuck.len() > 1 { format!(" and {} more", stuck.len() - 1) } else { String::new() };
            let first = stuck.first().cloned().unwrap_or_default();
            let failure = Failure::new(Class::NotYet, format!("{counts}; {first}{more}"));
            let failure = hint.iter().fold(failure, Failure::hint);
            return Err(stuck.iter().skip(1).fold(failure, Failure::because));
        }
        let tail = match stuck.as_slice() {
            [] => String::new(),
            _ if !groups.is_empty() => format!("; not yet: {all}"),
            stuck => format!("; not yet: {}", stuck.join("; ")),
        };
        let samples = if self.samples == 1 { "1 sample".to_owned() } else { format!("{} samples", self.samples) };
        let line = format!("{counts} in {samples} each{tail}");
        let seen = views.iter().map(View::evidence).collect::<Vec<_>>();
        let evidence = json!({ "agree": agree, "resolvers": of, "stuck": stuck, "views": seen });
        #[expect(clippy::cast_precision_loss, reason = "a handful of resolvers")]
        Ok(Seen::new(line).value(agree as f64).with(evidence))
    }

    /// The pauses between all samples of one look.
    fn samples_take(&self) -> Duration {
        let pauses = u32::try_from(self.samples.saturating_sub(1)).unwrap_or(u32::MAX);
        self.between.saturating_mul(pauses)
    }

    /// All samples of one resolver; the last, or the first that disagrees.
    async fn one(&self, resolver: SocketAddr, query: &Query) -> (SocketAddr, u64, Result<Answer, Failure>) {
        let mut peer = Peer::new(resolver, self.within);
        let agrees = |answer: &Answer| view::wrong(&self.question, answer).is_none();
        if self.between.is_zero() {
            let times = usize::try_from(self.samples).unwrap_or(1);
            let (answers, failure) = peer.burst(query, times, Transport::Udp).await;
            return match (failure, answers.iter().position(|answer| !agrees(answer))) {
                (Some(failure), None) => (resolver, answers.len() as u64 + 1, Err(failure)),
                (_, at) => {
                    let at = at.unwrap_or(times - 1);
                    let answer = answers.into_iter().nth(at);
                    let none = || Failure::new(Class::FailedNothingDone, "nothing was asked");
                    (resolver, at as u64 + 1, answer.ok_or_else(none))
                }
            };
        }
        let mut sample = 1;
        loop {
            let answer = peer.ask(query, Transport::Udp).await;
            if !answer.as_ref().is_ok_and(agrees) || sample >= self.samples {
                return (resolver, sample, answer);
            }
            sample += 1;
            tokio::time::sleep(self.between).await;
        }
    }

    /// Takes in what a resolver said and tells it where it is news.
    fn hear(&self, cx: &Cx, (resolver, sample, answer): (SocketAddr, u64, Result<Answer, Failure>)) -> View {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(resolver).or_default();
        let view = View::of(&self.question, known, resolver, sample, &answer);
        let news = if view.stuck.is_none() { format!("sees {}", view.says) } else { view.says.clone() };
        if known.told != news {
            let line = match &view.stuck {
                None => format!("{resolver} sees {}", view.words),
                Some(why) => format!("{resolver} {why}"),
            };
            cx.line(line);
            known.told = news;
        }
        view
    }
}

impl Check for Propagated {
    fn looks(&self) -> String {
        let question = &self.question;
        let who = match self.resolvers.as_slice() {
            [] => "the environment's resolvers".to_owned(),
            list => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let times = if self.samples == 1 { "once".to_owned() } else { format!("{} times", self.samples) };
        format!("ask {who} for {} {times}{} from {}", question.words(), question.expects(), self.quorum)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(super::looking(cx, self.look(cx)))
    }

    /// So that a change is seen within two seconds: a look of several samples takes part of them.
    fn every(&self) -> Duration {
        // At worst the change comes right after the first sample: the rest of that look, the pause, a whole look.
        let looks = self.samples_take().saturating_mul(2).saturating_add(GRACE + SLACK);
        INTERVAL.saturating_sub(looks).max(FASTEST)
    }
}

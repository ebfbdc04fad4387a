//! `redis.drained`: no job of Sidekiq is left: not in a queue, not scheduled, not to be tried again, not being worked on.

mod heard;
mod job;
mod limits;
mod state;
mod strays;
mod told;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use self::{
    heard::{Beat, Heard},
    limits::Limits,
    state::{Keys, State},
    strays::Strays,
    told::{evidence, killed_words, told, unheard},
};
use super::{
    Bind, Kind, filled,
    held::Held,
    looking, no_data,
    redis::{server, server_help, unverified},
};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Check, Cx, Doubt, Param, Params, Seen, Shape, TextOrSecret},
    runbook::value::Kind as Value,
    services::{
        Services,
        redis::{About, Server},
    },
};
use futures_util::future::BoxFuture;

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "redis.drained",
    summary: "no Sidekiq job is left: queued, scheduled, to retry or being worked on",
    docs: "\
Green when nothing is left of Sidekiq's work: every queue, `schedule`, `retry` and what the processes are busy with, each at most as long
as the limits say (0 where nothing is said), in every look since `held` ago. Reads Sidekiq 6, 7 and 8, its embedded and capsule
forms, ActiveJob's wrapped jobs (named by the wrapped class), the private lists of Sidekiq Pro's `super_fetch` and of the gems
that keep `working:queue:…` lists, and queues that were taken off the set `queues` but still hold jobs.

What hurts people: **what a process works on is written down every 5 to 10 s only.** A job that was taken a moment ago is neither in its
queue nor among the busy, so that \"all queues are empty and nobody is busy\" is said too early. This check is green only when every
living process has sent a heartbeat that it began after the first look at which nothing was left, and no job was finished in the
meantime (one that ran unseen may have left another behind). That takes up to 15 s. Clocks of several machines are not compared.
A process that gets TERM puts its unfinished jobs back: queues grow again. One that is killed (`kill -9`, out of memory) is on the list for
a minute and its jobs are lost, unless `super_fetch` kept them; this check says whom it saw end like that. `retry` and `schedule`
wake up after the switch. Whoever adds jobs has to be stopped first: this check cannot know what a web process adds a moment later.

`max` is a number for every queue, or a table by queue (`\"*\"` for every other): `max = { default = 0, mailers = 10 }`. With `max_dead` the dead are
looked at, with `max_age` the oldest job of each queue. `due_within` counts only those scheduled and retried jobs that come due
within that time. `namespace` is the prefix of `redis-namespace`, without its colon. TLS is verified; Heroku's Key-Value Store shows a
certificate that it signed itself: `server = { url = \"${secret.redis_url}\", verify_certificate = false }` encrypts all the same.

Nothing is sent that makes the server wait: SSCAN, HSCAN and SCAN by pages, LLEN, LINDEX of one end, ZCARD, ZCOUNT, ZRANGE of one
element, HMGET, PTTL, GET, TIME, DBSIZE, INFO; AUTH, SELECT and CLIENT SETNAME before. A user of an ACL needs `+@read +@connection +info +time +dbsize ~*`.

Limits: a replica is refused (it may be behind), and so is a server whose INFO does not say that it is none. A Redis in which no Sidekiq ever ran is no data. With more than 200,000 keys nobody looks for lists
that no set names; the line says so. A job that a process takes longer than a second and a half to begin after it was taken
may be missed. A heartbeat that takes longer than that, too. Resque, GoodJob, Solid Queue and delayed_job keep their jobs otherwise: use
`redis.key_counts` or `postgres.query`.",
    params: PARAMS,
    doubt: Doubt::Read,
    needs: &["a way to the Redis server from here, and a user that may read and ask INFO"],
    example: include_str!("../../runbooks/kinds/redis.drained.toml"),
    bind: Bind::Check(|params, services| Arc::new(Drained::read(params, services))),
};

const PARAMS: &[Param] = &[
    Param { name: "server", shape: Shape::Any, required: true, help: server_help!("where Sidekiq keeps its jobs") },
    Param {
        name: "namespace",
        shape: Shape::Text,
        required: false,
        help: "prefix of every key, as redis-namespace adds it; default: none",
    },
    Param {
        name: "max",
        shape: Shape::Any,
        required: false,
        help: "jobs that may be queued: a number for every queue, or { mailers = 10, \"*\" = 0 }; default: 0",
    },
    Param {
        name: "max_scheduled",
        shape: Shape::Count,
        required: false,
        help: "jobs that may be scheduled; default: 0",
    },
    Param {
        name: "max_retry",
        shape: Shape::Count,
        required: false,
        help: "jobs that may wait to be tried again; default: 0",
    },
    Param { name: "max_busy", shape: Shape::Count, required: false, help: "jobs that may be worked on; default: 0" },
    Param {
        name: "max_dead",
        shape: Shape::Count,
        required: false,
        help: "jobs that may be dead; default: nobody looks",
    },
    Param {
        name: "max_age",
        shape: Shape::Duration,
        required: false,
        help: "age that the oldest job of a queue may have; default: nobody looks",
    },
    Param {
        name: "due_within",
        shape: Shape::Duration,
        required: false,
        help: "count scheduled and retried jobs only that come due within this; default: all",
    },
    Param { name: "held", shape: Shape::Duration, required: false, help: "how long it must have been so; default: 0s" },
];

struct Drained {
    services: Arc<Services>,
    server: Server,
    keys: Keys,
    limits: Limits,
    held: Held,
    heard: Heard,
    seen: Mutex<Memory>,
}

/// What earlier looks saw.
#[derive(Default)]
struct Memory {
    /// The server's process: another one has other data, perhaps.
    run_id: Option<String>,
    /// How busy a process was when it was last seen.
    busy: BTreeMap<String, u64>,
}

/// `max`: a count, or counts by queue.
fn queues(params: &mut Params<'_>, limits: &mut Limits) {
    let Some(value) = params.raw("max") else { return };
    let count = |value: &Value| match value {
        Value::Int(n) => u64::try_from(*n).ok(),
        _ => None,
    };
    let mut wrong = Vec::new();
    match &value.kind {
        Value::Table(table) => {
            for entry in &table.entries {
                match count(&entry.value.kind) {
                    Some(most) if entry.key == "*" => limits.other = most,
                    Some(most) => drop(limits.max.insert(entry.key.clone(), most)),
                    None => wrong.push((entry.value.span.clone(), clean_line(&entry.key, 60))),
                }
            }
        }
        plain => match count(plain) {
            Some(most) => limits.other = most,
            None => wrong.push((value.span.clone(), "max".into())),
        },
    }
    for (span, key) in wrong {
        let help = Some("max = 5, or max = { default = 0, mailers = 10 }".into());
        params.mistake(span, format!("`{key}` must be a whole number, 0 or more"), "no number of jobs", help);
    }
}

impl Drained {
    fn read(params: &mut Params<'_>, services: &Arc<Services>) -> Self {
        let nowhere = Server { url: TextOrSecret::Text(String::new()), ca: None, verify_certificate: true };
        let namespace = filled(params, "namespace").unwrap_or_default();
        let mut prefix = namespace.trim_end_matches(':').to_owned();
        if !prefix.is_empty() {
            prefix.push(':');
        }
        let mut limits = Limits {
            scheduled: params.opt_count("max_scheduled").unwrap_or(0),
            retry: params.opt_count("max_retry").unwrap_or(0),
            busy: params.opt_count("max_busy").unwrap_or(0),
            dead: params.opt_count("max_dead"),
            age: params.opt_duration("max_age"),
            due_within: params.opt_duration("due_within"),
            ..Limits::default()
        };
        queues(params, &mut limits);
        Self {
            services: services.clone(),
            server: server(params, "server").unwrap_or(nowhere),
            keys: Keys(prefix),
            limits,
            held: Held::new(params.opt_duration("held").unwrap_or_default()),
            heard: Heard::default(),
            seen: Mutex::default(),
        }
    }

    /// What was seen so far says nothing about what comes.
    fn begin_anew(&self) {
        self.heard.forget();
        self.held.look(false);
    }

    async fn look(&self) -> Result<Seen, Failure> {
        let mut session = self.services.redis.connect(&self.server, &self.services.secrets).await?;
        let about = session.about().clone();
        if about.is_replica() {
            let primary = about.primary.map_or_else(String::new, |at| format!(" of {at}"));
            let words = format!("{} is a replica{primary}: what it shows may be behind", about.place);
            return Err(Failure::new(Class::Misconfigured, words).hint("name the primary"));
        }
        let state = State::read(&mut session, &self.keys, self.limits.due_within).await?;
        let killed = self.remember(&about, &state);
        if state.processed.is_none() && state.queues.is_empty() && state.processes.is_empty() {
            let words = format!("no data: no Sidekiq ever ran in {}", about.place);
            return Err(
                Failure::new(Class::NotYet, words).hint("compare database and `namespace` with Sidekiq's own settings")
            );
        }
        let over = self.limits.over(&state);
        if !over.is_empty() {
            return Err(self.too_much(&state, &over, &killed));
        }
        let beats: Vec<Beat> = state.processes.iter().map(|process| process.beat.clone()).collect();
        // Where jobs may be worked on, some are finished all the time.
        let processed = if self.limits.busy == 0 { state.processed.unwrap_or_default() } else { 0 };
        let silent = self.heard.nothing_left(&beats, processed, Instant::now());
        if !silent.is_empty() {
            self.held.look(false);
            return Err(unheard(&state, &silent));
        }
        // The longest way comes last, when nothing else is left.
        let strays = Strays::read(&mut session, &self.keys, &state).await?;
        drop(session);
        if let Some(stray) = self.limits.stray(&strays) {
            return Err(self.too_much(&state, &[stray], &killed));
        }
        let line = format!("{}{}{}", told(&state, &strays), killed_words(&killed), unverified(&about));
        let held = self.held.look(true);
        if held < self.held.wanted {
            let so_far = self.held.so_far(held);
            return Err(Failure::new(Class::NotYet, format!("{line}{so_far}, wanted{}", self.held.words())));
        }
        #[expect(clippy::cast_precision_loss, reason = "Redis holds at most some 10^9 jobs")]
        let left = (state.queued() + state.schedule.due + state.retry.due + state.busy()) as f64;
        let evidence = evidence(&about, &state, &strays, &killed);
        Ok(Seen::new(format!("{line}{}", self.held.so_far(held))).value(left).with(evidence))
    }

    /// Takes a look into the memory; gives the processes that were killed, and what they worked on.
    fn remember(&self, about: &About, state: &State) -> Vec<(String, u64)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.run_id != about.run_id {
            seen.run_id.clone_from(&about.run_id);
            seen.busy.clear();
            self.begin_anew();
        }
        for process in &state.processes {
            seen.busy.insert(process.beat.identity.clone(), process.busy);
        }
        let known = |identity: &String| {
            state.killed.contains(identity) || state.processes.iter().any(|one| one.beat.identity == *identity)
        };
        seen.busy.retain(|identity, _| known(identity));
        let busy = |identity: &String| seen.busy.get(identity).copied().unwrap_or_default();
        state.killed.iter().map(|identity| (identity.clone(), busy(identity))).collect()
    }

    fn too_much(&self, state: &State, over: &[String], killed: &[(String, u64)]) -> Failure {
        self.begin_anew();
        let message = format!("{}; wanted {}", over.join("; "), self.limits.words());
        let mut failure = Failure::new(Class::NotYet, message);
        if !killed.is_empty() {
            failure = failure.because(killed_words(killed).trim_start_matches("; "));
        }
        match self.limits.hint(state) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl Check for Drained {
    fn looks(&self) -> String {
        let (server, namespace) = (self.server.shown(), &self.keys.0);
        let namespace = if namespace.is_empty() { String::new() } else { format!(" below {namespace}") };
        let line = format!("Sidekiq in {server}{namespace} expects {}{}", self.limits.words(), self.held.words());
        clean_line(&line, 400)
    }

    fn check<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Seen, Failure>> {
        Box::pin(looking(cx, async {
            self.look().await.map_err(no_data).inspect_err(|failure| {
                if failure.class != Class::NotYet || failure.message.starts_with("no data") {
                    self.begin_anew();
                }
            })
        }))
    }
}

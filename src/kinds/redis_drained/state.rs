//! What a look finds: Sidekiq's own keys, read in an order in which nothing slips through.
//!
//! ```text
//! processes (busy, heartbeat, jobs) ─ private lists ─ schedule, retry, dead ─ queues ─ stat:processed
//! ```
//!
//! A job moves from a schedule to a queue to a process, and back from a process to a queue or to `retry` when it is
//! ended or fails: whoever gives it away is read before whoever takes it. A process that ends puts its jobs back before it
//! takes itself off the list, so that processes are read before queues.
//!
//! Sources: sidekiq/lib/sidekiq/{api,client,launcher,processor,scheduled}.rb of versions 6.4, 7.x and 8.x; the names of
//! private lists by Sidekiq Pro's wiki ("Reliability", `super_fetch`) and by the gems that keep `working:queue:…` lists.

use std::time::Duration;

use serde_json::Value as Json;

use super::{
    heard::Beat,
    job::{Job, seconds},
};
use crate::{
    base::{Class, Failure, clean_line},
    services::redis::{Command, Reply, Session},
};

/// A heartbeat's key lives this long; older ones are of processes that were killed.
pub(super) const LIFE: Duration = Duration::from_secs(60);
/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    /// Its name as it is, however long.
    pub key: Vec<u8>,
    /// For people.
    pub name: String,
    pub size: u64,
    /// The job that waits longest.
    pub oldest: Option<Job>,
    /// Sidekiq Pro: nobody takes from it.
    pub paused: bool,
}

/// `schedule` or `retry`.
#[derive(Debug)]
pub(super) struct Set {
    /// Jobs in it.
    pub size: u64,
    /// Those that come due within the time asked for; all, where nobody asked.
    pub due: u64,
    /// The next one, and when it comes due, in seconds of the epoch.
    pub next: Option<(Job, f64)>,
}

/// A job that a process works on, by its last heartbeat.
#[derive(Debug)]
pub(super) struct Running {
    pub queue: String,
    pub class: String,
    /// Since when, in seconds of the epoch.
    pub since: Option<f64>,
}

/// A process whose heartbeat lives.
#[derive(Debug)]
pub(super) struct Process {
    pub beat: Beat,
    pub busy: u64,
    pub quiet: bool,
    /// How long ago the heartbeat was written.
    pub silent: Duration,
    pub jobs: Vec<Running>,
}

/// A list that a process keeps what it works on in, so that it is not lost with it.
#[derive(Debug)]
pub(super) struct Private {
    pub list: Vec<u8>,
    pub size: u64,
    /// Whether its process lives.
    pub alive: bool,
}

/// A Sidekiq, at a moment.
#[derive(Debug)]
pub(super) struct State {
    /// The server's clock, in seconds of the epoch.
    pub now: f64,
    pub processes: Vec<Process>,
    /// Processes that were killed: on the list, without a heartbeat.
    pub killed: Vec<String>,
    pub private: Vec<Private>,
    pub schedule: Set,
    pub retry: Set,
    pub dead: u64,
    pub queues: Vec<Queue>,
    /// Jobs that were ever finished; `None` where no Sidekiq ever ran.
    pub processed: Option<i64>,
}

/// Sidekiq's keys, behind a prefix where somebody gave it one.
pub(super) struct Keys(pub String);

impl Keys {
    fn of(&self, name: &str) -> Vec<u8> {
        format!("{}{name}", self.0).into_bytes()
    }

    /// A key around bytes that need not be text.
    pub fn around(&self, before: &str, middle: &[u8], after: &str) -> Vec<u8> {
        [self.0.as_bytes(), before.as_bytes(), middle, after.as_bytes()].concat()
    }

    /// A pattern of every queue; the prefix stands for itself.
    pub fn any_queue(&self) -> Vec<u8> {
        let special = |c: &char| "*?[]^\\".contains(*c);
        let mut pattern = String::new();
        for c in self.0.chars() {
            pattern.extend(special(&c).then_some('\\'));
            pattern.push(c);
        }
        (pattern + "*queue:*").into_bytes()
    }

    /// A key without the prefix; `None` where it belongs to somebody else.
    pub fn without<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        key.strip_prefix(self.0.as_bytes())
    }
}

/// Bytes for people.
pub(super) fn shown(bytes: &[u8]) -> String {
    clean_line(&String::from_utf8_lossy(bytes), 120)
}

fn number(reply: Option<&Reply>) -> Result<f64, Failure> {
    let text = reply.map(Reply::text).transpose()?.flatten().unwrap_or_default();
    Ok(text.trim().parse().unwrap_or_default())
}

fn short(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}

fn lost() -> Failure {
    Failure::new(Class::FailedNothingDone, "the server answered less than it was asked")
}

impl State {
    /// Looks.
    pub async fn read(session: &mut Session, keys: &Keys, due_within: Option<Duration>) -> Result<Self, Failure> {
        let time = session.one(Command::Time).await?.list()?;
        let now = number(time.first())? + number(time.get(1))? / 1e6;
        let (processes, killed) = processes(session, keys, now).await?;
        let private = private(session, keys, &processes).await?;
        let schedule = set(session, keys.of("schedule"), now, due_within).await?;
        let retry = set(session, keys.of("retry"), now, due_within).await?;
        let dead = session.one(Command::SortedCount(keys.of("dead"))).await?.count()?;
        let queues = queues(session, keys).await?;
        let processed = session.one(Command::Get(keys.of("stat:processed"))).await?;
        let processed = processed.bytes()?.is_some().then(|| processed.int()).transpose()?;
        Ok(Self { now, processes, killed, private, schedule, retry, dead, queues, processed })
    }

    /// Busy by the last heartbeats.
    pub fn busy(&self) -> u64 {
        self.processes.iter().map(|one| one.busy).sum()
    }

    /// Jobs in queues.
    pub fn queued(&self) -> u64 {
        self.queues.iter().map(|one| one.size).sum()
    }

    /// How long a moment of the past is ago, by the server's clock.
    pub fn ago(&self, moment: f64) -> Duration {
        short(self.now - moment)
    }

    /// How far a moment is ahead.
    pub fn ahead(&self, moment: f64) -> Duration {
        short(moment - self.now)
    }
}

async fn processes(session: &mut Session, keys: &Keys, now: f64) -> Result<(Vec<Process>, Vec<String>), Failure> {
    let identities = session.members(&keys.of("processes")).await?;
    let asked = identities.iter().flat_map(|identity| {
        let key = keys.around("", identity, "");
        [Command::Fields(key.clone(), &["busy", "beat", "quiet", "rtt_us"]), Command::ExpiresIn(key)]
    });
    let replies = session.ask(&asked.collect::<Vec<_>>()).await?;
    let (mut alive, mut killed) = (Vec::new(), Vec::new());
    for (identity, pair) in identities.iter().zip(replies.chunks_exact(2)) {
        let fields = pair[0].clone().list()?;
        let [busy, beat, quiet, rtt] = fields.as_slice() else { return Err(lost()) };
        let (Some(beat), left) = (beat.text()?, pair[1].int()?) else {
            killed.push(shown(identity));
            continue;
        };
        // A copy of the key has no end, and nobody behind it.
        let written = seconds(beat.trim().parse().unwrap_or_default());
        let silent = match u64::try_from(left) {
            Ok(left) => LIFE.saturating_sub(Duration::from_millis(left)),
            Err(_) => short(now - written),
        };
        if left < 0 && silent > LIFE {
            killed.push(shown(identity));
            continue;
        }
        let busy = busy.count()?;
        let mut jobs = Vec::new();
        // `:workers` up to Sidekiq 6, `:work` since 7.
        for name in [":work", ":workers"] {
            if busy > 0 {
                let values = session.values(&keys.around("", identity, name)).await?;
                jobs.extend(values.iter().map(|value| Running::read(value)));
            }
        }
        let beat = Beat {
            identity: shown(identity),
            beat,
            round_trip: Duration::from_micros(rtt.int()?.try_into().unwrap_or_default()),
        };
        let quiet = quiet.text()?.as_deref() == Some("true");
        alive.push(Process { beat, busy, quiet, silent, jobs });
    }
    Ok((alive, killed))
}

impl Running {
    fn read(value: &[u8]) -> Self {
        let work = serde_json::from_slice::<Json>(value).unwrap_or_default();
        let job = match &work["payload"] {
            Json::String(text) => Job::read(text.as_bytes()),
            payload => Job::of(payload),
        };
        let queue = clean_line(work["queue"].as_str().unwrap_or("?"), 80);
        Self { queue, class: job.class, since: work["run_at"].as_f64().map(seconds) }
    }
}

/// The lists of Sidekiq Pro's `super_fetch`, which it keeps a register of.
async fn private(session: &mut Session, keys: &Keys, alive: &[Process]) -> Result<Vec<Private>, Failure> {
    let mut found = Vec::new();
    for identity in session.members(&keys.of("super_processes")).await? {
        let owner = shown(&identity);
        let alive = alive.iter().any(|process| process.beat.identity == owner);
        for list in session.members(&keys.around("", &identity, ":super_queues")).await? {
            let size = session.one(Command::ListLength(keys.around("", &list, ""))).await?.count()?;
            found.push(Private { list, size, alive });
        }
    }
    Ok(found)
}

async fn set(session: &mut Session, key: Vec<u8>, now: f64, within: Option<Duration>) -> Result<Set, Failure> {
    let until = within.map_or(f64::INFINITY, |within| now + within.as_secs_f64());
    let asked =
        [Command::SortedCount(key.clone()), Command::SortedUntil(key.clone(), until), Command::SortedFirst(key)];
    let replies: [Reply; 3] = session.ask(&asked).await?.try_into().map_err(|_| lost())?;
    let [size, due, first] = replies;
    let next = match first.list()?.as_slice() {
        [payload, score] => Some((Job::read(payload.bytes()?.unwrap_or_default()), number(Some(score))?)),
        _ => None,
    };
    Ok(Set { size: size.count()?, due: due.count()?, next })
}

async fn queues(session: &mut Session, keys: &Keys) -> Result<Vec<Queue>, Failure> {
    let names = session.members(&keys.of("queues")).await?;
    let paused = session.members(&keys.of("paused")).await?;
    let asked = names.iter().flat_map(|name| {
        let key = keys.around("queue:", name, "");
        [Command::ListLength(key.clone()), Command::ListLast(key)]
    });
    let replies = session.ask(&asked.collect::<Vec<_>>()).await?;
    let mut found = Vec::with_capacity(names.len());
    for (name, pair) in names.iter().zip(replies.chunks_exact(2)) {
        found.push(Queue {
            key: name.clone(),
            name: shown(name),
            size: pair[0].count()?,
            oldest: pair[1].bytes()?.map(Job::read),
            paused: paused.contains(name),
        });
    }
    Ok(found)
}

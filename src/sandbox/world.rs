//! The world: all of its state in one value, changed in one place. Whatever takes time is written
//! down as the moment when it happens, so that a world read from disk has gone on meanwhile.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Fault,
    aws::{
        acm::Acm,
        alarms::Alarms,
        cloudformation::CloudFormation,
        ecr::Ecr,
        ecs::Ecs,
        events::Rule,
        iam::Guard,
        logs::Access,
        metrics::Metrics,
        rds::Rds,
        route53::{HealthChecks, Zone},
        s3::S3,
        scheduler::Schedule,
        sqs::Queues,
    },
    data::{self, Memory, Server},
    dns::Cache,
    fault::Armed,
    heroku::{Heroku, Rate},
    names::WorldNames,
    seed::Seed,
    web::Shop,
};

/// A moment of the world's clock.
pub(super) type Moment = DateTime<Utc>;

/// The layout of `world.json`; a file of another one is refused.
pub(super) const FORMAT: u32 = 3;

/// This many of the newest effects are kept in the world itself.
const EFFECTS_KEPT: usize = 256;

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Counts from 1.
    pub n: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// As signatures name it (`route53`, `ecs`, `events`, …), `cloudwatch`, `heroku`, `web`.
    pub service: String,
    /// The API's own name of it.
    pub operation: String,
    /// What was changed.
    pub target: String,
    /// To what.
    pub detail: String,
    /// The id that the answer carried.
    pub request_id: String,
}

/// Everything there is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct World {
    pub format: u32,
    pub names: WorldNames,
    /// Ids are drawn from here.
    pub seed: Seed,
    /// How often it was started.
    pub starts: u64,
    pub faults: Vec<Armed>,
    pub effects: VecDeque<Effect>,
    /// Certificates of ACM.
    pub acm: Acm,
    /// CloudWatch's alarms.
    pub alarms: Alarms,
    pub cloudformation: CloudFormation,
    /// Its databases and its Redis, where it has any.
    #[serde(default)]
    pub data: Option<Memory>,
    pub ecr: Ecr,
    pub ecs: Ecs,
    /// Route 53's health checks.
    pub health: HealthChecks,
    pub heroku: Heroku,
    /// SQS's queues.
    pub queues: Queues,
    pub rds: Rds,
    /// EventBridge's rules.
    pub rules: Vec<Rule>,
    pub s3: S3,
    /// EventBridge Scheduler's schedules.
    pub schedules: Vec<Schedule>,
    /// Behind the two web origins.
    pub shop: Shop,
    /// Route 53's hosted zones.
    pub zones: Vec<Zone>,
    /// True: it differs from what is on disk. Progress of time alone does not count: it can be worked out again.
    #[serde(skip)]
    pub dirty: bool,
    /// What ends with the process.
    #[serde(skip)]
    pub live: Live,
}

/// What ends with the process, and is not part of the world that is saved.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    /// The moment up to which time has passed.
    pub now: Moment,
    /// Request ids, weighted answers.
    pub ids: Seed,
    /// What the caller may do at AWS.
    pub guard: Guard,
    /// What the new origin was asked; its log.
    pub access: Access,
    /// The Route 53 requests of the last second.
    pub route53: VecDeque<Moment>,
    /// CloudWatch's numbers; they have a file of their own.
    pub metrics: Metrics,
    /// The minute up to which the queues' numbers are written.
    pub queues_told: Option<Moment>,
    /// Heroku requests left.
    pub heroku: Rate,
    /// The two resolvers' caches.
    pub caches: [Cache; 2],
}

impl World {
    /// The story's first moment.
    pub fn new(names: WorldNames, seed: u64, now: Moment) -> Self {
        let mut seed = Seed::new(seed);
        Self {
            format: FORMAT,
            zones: super::story::zones(&names, now),
            acm: Acm::new(&names, now),
            cloudformation: CloudFormation::new(&names, now),
            data: None,
            ecr: Ecr::new(&names, now),
            rds: Rds::new(&names, now),
            s3: S3::new(&names, now),
            health: HealthChecks::new(&names, now),
            alarms: Alarms::new(&names, now),
            ecs: super::story::ecs(&names, &mut seed, now),
            rules: Rule::story(&names, now),
            schedules: Schedule::story(&names, now),
            heroku: super::story::heroku(&names, &mut seed, now),
            queues: Queues::new(&names, &mut seed, now),
            shop: Shop::default(),
            names,
            seed,
            starts: 0,
            faults: Vec::new(),
            effects: VecDeque::new(),
            dirty: true,
            live: Live::default(),
        }
    }

    /// Arms the faults. One that the world already has keeps what is left of it.
    pub fn arm(&mut self, faults: &[Fault]) {
        let before = std::mem::take(&mut self.faults);
        for fault in faults {
            let armed = before.iter().find(|armed| armed.operation == fault.operation()).cloned();
            self.faults.push(armed.unwrap_or_else(|| fault.armed()));
        }
        self.dirty = true;
    }

    /// Has the data's URLs stand where the story's made-up ones stood, or those of before it was started again.
    pub fn remember(&mut self, memory: Memory) {
        let before = self.data.take();
        for (name, server, placeholder) in data::HEROKU {
            let url = |memory: &Memory| match server {
                Server::Postgres => memory.database(false),
                Server::Redis => memory.redis(false),
            };
            let own = [Some(placeholder.to_owned()), before.as_ref().map(url)];
            if memory.has(server)
                && let Some(value) = self.heroku.config.get_mut(name)
                && own.iter().flatten().any(|own| own == value)
            {
                *value = url(&memory);
            }
        }
        self.data = Some(memory);
        self.dirty = true;
    }

    /// True where a fault is armed, which uses it up once.
    pub fn strikes(&mut self, operation: &str) -> bool {
        let now = self.live.now;
        let struck = self.faults.iter_mut().any(|armed| armed.operation == operation && armed.strike(now));
        self.dirty |= struck;
        struck
    }

    /// Lets time pass up to `now`.
    pub fn advance(&mut self, now: Moment) {
        self.live.now = now;
        for zone in &mut self.zones {
            zone.advance(now);
        }
        self.ecs.advance(&mut self.seed, now);
        self.heroku.advance(&mut self.seed, now);
        self.queues.advance(now);
        self.queues.publish(&mut self.live, now);
        self.alarms.advance(&self.live.metrics, now);
    }

    /// Writes a change down.
    pub fn effect(
        &mut self,
        now: Moment,
        (service, operation): (&str, &str),
        target: impl Into<String>,
        detail: impl Into<String>,
        request_id: &str,
    ) {
        let n = self.effects.back().map_or(0, |last| last.n) + 1;
        if self.effects.len() == EFFECTS_KEPT {
            self.effects.pop_front();
        }
        self.effects.push_back(Effect {
            n,
            at: now,
            service: service.into(),
            operation: operation.into(),
            target: crate::base::bounded(&target.into(), 500),
            detail: crate::base::bounded(&detail.into(), 2000),
            request_id: request_id.into(),
        });
        self.dirty = true;
    }
}

/// `now` and so many milliseconds.
pub(super) fn after(now: Moment, ms: i64) -> Moment {
    now + TimeDelta::milliseconds(ms)
}

/// Time from `earlier` to `now`; zero where `earlier` is later.
pub(super) fn since(now: Moment, earlier: Moment) -> Duration {
    (now - earlier).to_std().unwrap_or_default()
}

/// As AWS's XML and Heroku write a moment.
pub(super) fn iso(at: Moment) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

//! A made-up night: eighteen steps from an outline, played by feeding inputs to `run::handle` with
//! fixed stamps. Clock and ids are values, so that what is shown never has to be patched.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use gonogo::{
    base::{Class, Elapsed, Failure, PersonId, Stamp, StepId},
    run::{
        Done, Doubt, EnvOutline, Envelope, Event, Identity, Input, Intent, Mode, Opened, Outcome, Outline, Refusal,
        Report, RunState, Sample, Seen, StepOutline, StopOutline, Treatment, Undo, ValueRule, Via, WatchOutline, Where,
        WindowOutline, handle,
    },
    runbook::{Clocks, EnvKind, Person, Retry},
};

/// When the night begins.
pub const BEGIN: &str = "2026-12-06T00:30:00Z";

pub fn step_id(id: &str) -> StepId {
    id.parse().unwrap()
}

pub fn person(id: &str) -> PersonId {
    id.parse().unwrap()
}

fn begin() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(BEGIN).unwrap().to_utc()
}

/// A moment of the night, in seconds from its beginning.
pub fn stamp(ms: u64) -> Stamp {
    Stamp::new(begin() + TimeDelta::milliseconds(i64::try_from(ms).unwrap()), Elapsed(ms))
}

struct Steps(Vec<StepOutline>);

impl Steps {
    fn add(&mut self, phase: &str, id: &str, title: &str, owner: &str, planned: u64, kind: &str) -> &mut StepOutline {
        let needs = self.0.last().map(|step| step.id.clone()).into_iter().collect();
        self.0.push(StepOutline {
            id: step_id(id),
            phase: Some(phase.into()),
            title: title.into(),
            why: None,
            owner: person(owner),
            planned: Duration::from_secs(planned),
            timeout: Duration::from_secs(planned * 3),
            needs,
            kind: kind.into(),
            changes: true,
            manual: false,
            asks_value: None,
            checklist: Vec::new(),
            value_rule: None,
            undo_hands: None,
            works: true,
            does: Vec::new(),
            verifies: Vec::new(),
            doubt: Doubt::Desired,
            undo: Undo::Restore,
            undo_tested: true,
            retry: None,
            stop: None,
            no_return: false,
            after_no_return: None,
            people: 1,
            go_on_after_failure: None,
            clocks: Clocks::default(),
            treatment: Treatment::Do,
            hash: format!("{id}-hash"),
            written_hash: format!("{id}-written"),
            rehearsed: true,
        });
        self.0.last_mut().unwrap()
    }

    fn check(&mut self, phase: &str, id: &str, title: &str, owner: &str, planned: u64, kind: &str) -> &mut StepOutline {
        let step = self.add(phase, id, title, owner, planned, kind);
        step.changes = false;
        step.undo = Undo::Nothing;
        step.doubt = Doubt::Read;
        step
    }

    fn stop(&mut self, phase: &str, id: &str, title: &str, question: &str, criteria: &[&str]) -> &mut StepOutline {
        let step = self.check(phase, id, title, "mira", 300, "stop");
        step.works = false;
        step.stop = Some(StopOutline {
            question: question.into(),
            if_go: None,
            if_no_go: None,
            voters: vec![person("dana"), person("sam")],
            decides: person("mira"),
            criteria: criteria.iter().map(|words| (*words).to_owned()).collect(),
            left_out: Vec::new(),
        });
        step
    }
}

/// Eighteen steps from Heroku to AWS.
pub fn outline(kind: EnvKind) -> Outline {
    let live = kind == EnvKind::Live;
    let mut all = Steps(Vec::new());
    let step = all.check("prepare", "preflight", "Preflight: identity, clocks, access", "dana", 120, "aws.identity");
    step.verifies = vec!["account 444455556666 in eu-west-1".into()];
    let step = all.add("prepare", "lower-ttl", "Lower TTL of shop.acme.example to 60 s", "dana", 60, "route53.set_ttl");
    step.does = vec!["ChangeResourceRecordSets UPSERT shop.acme.example CNAME ttl 60".into()];
    step.verifies = vec!["authoritative TTL of shop.acme.example at most 60".into()];
    all.check("prepare", "old-ttl-gone", "Old TTL has run out everywhere", "dana", 1800, "dns.wait_ttl");
    all.stop(
        "prepare",
        "go-freeze",
        "GO/NO-GO 1: freeze writes",
        "Freeze writes and show the maintenance page?",
        &["replication lag below 1 MiB", "web service steady at 6 tasks"],
    );
    let step =
        all.add("freeze", "maintenance", "Heroku maintenance on for acme-shop", "dana", 60, "heroku.maintenance");
    step.does = vec!["PATCH /apps/acme-shop maintenance=true".into()];
    step.clocks = Clocks { freeze_starts: true, downtime_starts: true, ..Clocks::default() };
    let step = all.add("freeze", "workers-down", "Heroku workers scaled to 0", "sam", 60, "heroku.scale");
    step.does = vec!["PATCH /apps/acme-shop/formation worker=0".into()];
    all.check("freeze", "queues-empty", "Sidekiq queues drained to 0", "sam", 240, "command");
    let step = all.check("move", "lag-zero", "Replica lag 0, last position taken", "sam", 60, "postgres.lag");
    step.verifies = vec!["lag of acme-shop is 0 bytes".into()];
    let step = all.add("move", "promote", "Promote the replica acme-prod", "sam", 180, "manual");
    step.manual = true;
    step.does = vec![
        "open the RDS console, database acme-prod".into(),
        "choose Promote, keep the backup window".into(),
        "wait until the status is Available".into(),
    ];
    step.asks_value = Some("position at promotion".into());
    step.undo = Undo::None("a promoted replica cannot follow again".into());
    all.check("move", "rows-match", "Row counts and sequences match", "sam", 120, "command");
    let step = all.add("move", "deploy-web", "Deploy acme-web revision 412 on ECS", "dana", 300, "ecs.deploy");
    step.why = Some("The service runs at zero until now; it must be healthy before traffic comes.".into());
    step.does = vec!["UpdateService acme/web taskDefinition web:412 desiredCount 6".into()];
    step.verifies =
        vec!["service web steady: 6 of 6 running".into(), "target group acme-web: 6 healthy for 30 s".into()];
    step.undo = Undo::Action(vec!["UpdateService acme/web taskDefinition web:409 desiredCount 0".into()]);
    step.retry = Some(Retry { attempts: 2, wait: Duration::from_secs(10) });
    all.check("move", "smoke", "Smoke tests on the load balancer (12)", "dana", 180, "command");
    all.stop(
        "open",
        "go-open",
        "GO/NO-GO 2: open to traffic",
        "Send the users to AWS?",
        &["smoke tests 12 of 12", "row counts, 41 tables, difference 0", "ALB 6 of 6 healthy for 2 m"],
    );
    let step = all.add("open", "switch-dns", "Switch DNS shop.acme.example to the ALB", "dana", 60, "route53.switch");
    step.does = vec!["ChangeResourceRecordSets DELETE+CREATE shop.acme.example ALIAS acme-alb".into()];
    let step = all.check("open", "dns-seen", "DNS seen by 95 % of the resolvers", "dana", 600, "dns.propagated");
    step.verifies = vec!["at least 95 % of 26 resolvers answer with the ALB".into()];
    let step = all.add("open", "open-writes", "Let the new database take writes", "sam", 60, "postgres.unfreeze");
    step.no_return = true;
    step.people = 2;
    step.after_no_return = Some("Fix forward; reverse replication is step reverse-sync of fail-back.toml.".into());
    step.undo = Undo::None("writes are in AWS now".into());
    step.does = vec!["ALTER DATABASE acme SET default_transaction_read_only = off".into()];
    step.clocks = Clocks { freeze_stops: true, downtime_stops: true, ..Clocks::default() };
    all.check("settle", "watch-metrics", "Watch the metrics for ten minutes", "dana", 600, "wait");
    let step = all.add("settle", "close-out", "Close-out: status page, comms, TTL back", "mira", 180, "manual");
    step.manual = true;
    step.does = vec!["set the status page to Operational".into(), "tell #cutover that it is over".into()];
    let name = |id: &str, name: &str, role: &str| Person {
        id: person(id),
        name: name.into(),
        role: Some(role.into()),
        reach: None,
    };
    Outline {
        runbook: "heroku-to-aws".into(),
        title: "Acme shop: Heroku to AWS".into(),
        source_hash: "9c1e".repeat(16),
        lead: person("mira"),
        env: EnvOutline {
            name: if live { "production" } else { "sandbox" }.parse().unwrap(),
            kind,
            confirm: if live { "acme-prod" } else { "sandbox" }.into(),
            fence: vec!["account 444455556666".into(), "eu-west-1".into(), "app acme-shop".into()],
        },
        mode: if live { Mode::Run } else { Mode::Rehearse },
        dry_run: false,
        window: WindowOutline {
            start: Some(DateTime::parse_from_rfc3339("2026-12-06T01:30:00+01:00").unwrap()),
            end: Some(DateTime::parse_from_rfc3339("2026-12-06T04:00:00+01:00").unwrap()),
            freeze_budget: Some(Duration::from_secs(3600)),
            downtime_budget: Some(Duration::from_secs(5400)),
        },
        people: vec![
            name("mira", "Mira Okafor", "cutover lead"),
            name("dana", "Dana Ruiz", "platform"),
            name("sam", "Sam Lind", "database"),
        ],
        steps: all.0,
        watches: vec![WatchOutline {
            id: "errors".parse().unwrap(),
            title: "5xx share below 1 %".into(),
            from: step_id("switch-dns"),
            until: step_id("close-out"),
            every: Duration::from_secs(10),
            looks: "cloudwatch 5xx / requests".into(),
            breach_after: 3,
            no_data_is_bad: true,
            hold: true,
        }],
        lacks: Vec::new(),
        watches_left_out: Vec::new(),
    }
}

/// A night under way.
#[derive(Clone)]
pub struct Night {
    pub state: RunState,
    pub log: Vec<Envelope>,
    pub ms: u64,
}

#[expect(clippy::wrong_self_convention, reason = "`to_deploy` goes to the deployment, it converts nothing")]
impl Night {
    /// Opened; a live one is held before its first step.
    pub fn open(kind: EnvKind) -> Self {
        Self::of(outline(kind))
    }

    pub fn of(outline: Outline) -> Self {
        let mut night = Self { state: RunState::default(), log: Vec::new(), ms: 0 };
        night.input(Input::Open(Box::new(Opened {
            run: "20261206-013000-7f3a9c".parse().unwrap(),
            version: "0.1.0".into(),
            operator: person("dana"),
            from: "dana@bastion".into(),
            auto_go: false,
            identities: Vec::new(),
            outline,
        })));
        night
    }

    /// The same night with a checklist at its manual step. To be called before anything has happened.
    pub fn with_checklist(&mut self) -> &mut Self {
        let mut outline = outline(EnvKind::Live);
        let step = outline.steps.iter_mut().find(|step| step.id.as_str() == "promote").unwrap();
        step.checklist = [
            "replication is caught up in the console",
            "backup window is kept",
            "Promote is pressed",
            "status is Available",
            "the endpoint answers",
            "parameter group is in sync",
            "events show no failover",
        ]
        .map(String::from)
        .into();
        step.value_rule = Some(ValueRule { pattern: Some("[0-9A-F]+/[0-9A-F]+".into()), ..ValueRule::default() });
        *self = Self::of(outline);
        self
    }

    pub fn now(&self) -> Stamp {
        stamp(self.ms)
    }

    /// Time passes.
    pub fn wait(&mut self, seconds: u64) -> &mut Self {
        self.ms += seconds * 1000;
        self.input(Input::Due);
        self
    }

    /// An input that is not refused.
    pub fn input(&mut self, input: Input) -> &mut Self {
        self.try_input(input).unwrap();
        self
    }

    pub fn try_input(&mut self, input: Input) -> Result<Vec<Event>, Refusal> {
        let now = self.now();
        let events = handle(&mut self.state, input, now)?;
        for event in &events {
            let seq = self.log.len() as u64 + 1;
            self.log.push(Envelope { seq, at: now.at, elapsed: now.elapsed, event: event.clone() });
        }
        Ok(events)
    }

    pub fn envelopes(&self) -> Vec<Arc<Envelope>> {
        self.log.iter().cloned().map(Arc::new).collect()
    }

    pub fn says(&mut self, who: &str, intent: Intent) -> &mut Self {
        self.input(Input::Person { who: person(who), typed_by: person("dana"), intent })
    }

    pub fn release(&mut self) -> &mut Self {
        self.says("dana", Intent::Release { typed: "go".into() })
    }

    pub fn report(&mut self, id: &str, report: Report) -> &mut Self {
        let step = step_id(id);
        let attempt = self.state.step(&step).unwrap().1.attempts.last().unwrap().number;
        self.input(Input::Report { step, attempt, report })
    }

    pub fn line(&mut self, id: &str, text: &str) -> &mut Self {
        self.report(id, Report::Line(text.into()))
    }

    /// The attempt writes its intent, where its step changes something.
    pub fn ready(&mut self, id: &str) -> &mut Self {
        let (outline, run) = self.state.step(&step_id(id)).unwrap();
        let intended = run.attempts.last().is_some_and(|attempt| attempt.intended);
        let outline = outline.clone();
        if !outline.changes || intended {
            return self;
        }
        let deadline = self.now().at + TimeDelta::seconds(600);
        self.report(
            id,
            Report::Ready {
                does: outline.does,
                digest: "d1".into(),
                token: "t1".into(),
                captured: serde_json::json!({ "was": id }),
                deadline,
            },
        )
    }

    /// The attempt that is alive works for some seconds and is done.
    pub fn done(&mut self, id: &str, seconds: u64, line: &str) -> &mut Self {
        self.ready(id).wait(seconds).report(id, Report::Ended(Outcome::Done(Done::new(line))))
    }

    pub fn fails(&mut self, id: &str, seconds: u64, failure: Failure) -> &mut Self {
        self.ready(id).wait(seconds).report(id, Report::Ended(Outcome::Failed(failure)))
    }

    pub fn criteria(&mut self, id: &str, answers: &[Result<&str, &str>]) -> &mut Self {
        let step = step_id(id);
        for (index, answer) in answers.iter().enumerate() {
            let result = match answer {
                Ok(line) => Ok(Seen::new(line)),
                Err(line) => Err(Failure::new(Class::NotYet, line)),
            };
            let round = if index == 0 { self.state.step(&step).unwrap().1.round } else { self.round(&step) };
            self.input(Input::Criterion { step: step.clone(), round, index, result });
        }
        self
    }

    fn round(&self, step: &StepId) -> u32 {
        self.state.step(step).unwrap().1.round
    }

    pub fn vote(&mut self, id: &str, who: &str, go: bool) -> &mut Self {
        self.says(who, Intent::vote(step_id(id), go))
    }

    /// A vote from another terminal.
    pub fn vote_from(&mut self, id: &str, who: &str, go: bool, reason: Option<&str>, from: &str) -> &mut Self {
        let step = step_id(id);
        let opening = self.state.step(&step).map(|(_, run)| run.opening);
        let via = Some(Via { uid: 1000, pid: Some(4711), from: from.into() });
        let reason = reason.map(Into::into);
        let who = person(who);
        let intent = Intent::Vote { step, go, reason, opening, via };
        self.input(Input::Person { typed_by: who.clone(), who, intent })
    }

    pub fn go(&mut self, id: &str) -> &mut Self {
        self.says("mira", Intent::Go { step: step_id(id), typed: "go".into(), reason: None })
    }

    pub fn note(&mut self, who: &str, text: &str, step: Option<&str>) -> &mut Self {
        self.says(who, Intent::Note { text: text.into(), step: step.map(step_id), via: None })
    }

    pub fn sample(&mut self, ok: Option<bool>, line: &str) -> &mut Self {
        let sample = Sample { ok, value: None, line: line.into() };
        self.input(Input::Watch { watch: "errors".parse().unwrap(), sample })
    }

    /// Up to the first stop point, which asks.
    pub fn to_go_freeze(&mut self) -> &mut Self {
        if self.state.hold.is_some() {
            self.wait(5).release();
        }
        let aws = Identity { system: "aws".into(), line: "account 444455556666 as cutover-operator".into() };
        self.report("preflight", Report::Identified(aws));
        self.done("preflight", 70, "account 444455556666, eu-west-1, clock 12 ms off")
            .done("lower-ttl", 9, "change C0481 INSYNC")
            .done("old-ttl-gone", 1500, "the last cached copy ran out at 01:56:24")
    }

    /// Up to the deployment, which has just started.
    pub fn to_deploy(&mut self) -> &mut Self {
        self.to_go_freeze()
            .wait(20)
            .criteria("go-freeze", &[Ok("lag 14 kB"), Ok("6 of 6 running")])
            .vote("go-freeze", "dana", true)
            .vote("go-freeze", "sam", true)
            .wait(30)
            .go("go-freeze")
            .done("maintenance", 64, "acme-shop answers 503, H80")
            .done("workers-down", 50, "worker=0")
            .done("queues-empty", 401, "all queues 0 for 30 s")
            .note("sam", "three jobs in the retry set are from August, ok to leave", None)
            .done("lag-zero", 52, "lag 0 at 4/8A2F10")
            .ready("promote")
            .wait(180)
            .says("sam", Intent::OwnerDone { step: step_id("promote"), value: Some("4/8A2F10".into()), reason: None })
            .wait(30)
            .report("promote", Report::Ended(Outcome::Done(Done::new("acme-prod is a primary"))))
            .done("rows-match", 137, "41 tables, difference 0")
    }

    /// Five seconds of the deployment's log.
    pub fn deploying(&mut self) -> &mut Self {
        self.ready("deploy-web")
            .wait(40)
            .line("deploy-web", "deployment ecs-svc/81 created for web:412")
            .wait(60)
            .report("deploy-web", Report::Progress { percent: 66, text: "primary 412: desired 6 running 4".into() })
            .note("dana", "slow pull, the image is 1.9 GB", Some("deploy-web"))
            .wait(70)
            .line("deploy-web", "target group acme-web: healthy 4 of 6")
            .report("deploy-web", Report::Progress { percent: 83, text: "primary 412: running 5 pending 1".into() })
            .wait(22)
    }

    /// At the second stop point, looked at and voted.
    pub fn to_go_open(&mut self) -> &mut Self {
        self.to_deploy().deploying().report(
            "deploy-web",
            Report::Checked { place: Where::Verify, index: 0, seen: Seen::new("6 of 6 running") },
        );
        self.done_now("deploy-web", "web:412 steady, 6 of 6")
            .done("smoke", 151, "12 of 12")
            .wait(8)
            .criteria("go-open", &[Ok("12 of 12"), Ok("41 tables, difference 0"), Err("4 of 6 healthy")])
            .vote("go-open", "dana", true)
            .wait(12)
            .vote("go-open", "sam", true)
            .wait(18)
    }

    pub fn done_now(&mut self, id: &str, line: &str) -> &mut Self {
        self.report(id, Report::Ended(Outcome::Done(Done::new(line))))
    }

    /// At the point of no return, asked.
    pub fn to_no_return(&mut self) -> &mut Self {
        self.to_go_open()
            .criteria("go-open", &[Ok("12 of 12"), Ok("41 tables, difference 0"), Ok("6 of 6 healthy")])
            .go("go-open")
            .done("switch-dns", 9, "change C0492 INSYNC")
            .sample(Some(true), "0.04 % of 1,204 requests")
            .done("dns-seen", 590, "25 of 26 resolvers")
            .wait(8)
    }

    /// To the end.
    pub fn to_end(&mut self) -> &mut Self {
        let confirm = || Intent::Confirm { step: step_id("open-writes"), typed: "acme-prod".into() };
        self.to_no_return().says("mira", confirm()).wait(12).says("dana", confirm());
        self.done("open-writes", 2, "ALTER DATABASE")
            .done("watch-metrics", 600, "quiet for 10 m")
            .ready("close-out")
            .wait(100)
            .says("mira", Intent::OwnerDone { step: step_id("close-out"), value: None, reason: None })
            .done_now("close-out", "closed")
    }

    /// The deployment fails, nobody knows a way, everything is taken back.
    pub fn failed(&mut self) -> &mut Self {
        self.to_deploy().ready("deploy-web").wait(40).line("deploy-web", "task 8f2 stopped: exit code 1");
        self.fails(
            "deploy-web",
            322,
            Failure::new(Class::Failed, "2 of 6 tasks exited 1: KeyError: 'REDIS_TLS_URL'")
                .because("task 8f2: Essential container in task exited (exit code 1)")
                .because("web  url = os.environ['REDIS_TLS_URL']")
                .hint("secret /acme/prod/REDIS_TLS_URL is missing in task definition 412; 409 has it"),
        )
        .wait(12)
    }

    /// A rollback begun; its first undo is asked for.
    pub fn rolling_back(&mut self) -> &mut Self {
        self.failed().says("mira", Intent::RollBack { typed: "rollback".into(), reason: Some("redis secret".into()) })
    }

    /// One undo after the other, to the end.
    pub fn rolled_back(&mut self) -> &mut Self {
        self.rolling_back();
        while self.state.ended.is_none() {
            let (i, _) = self.state.asking().unwrap();
            let id = self.state.outlines()[i].id.to_string();
            self.wait(6).says("dana", Intent::Confirm { step: step_id(&id), typed: "undo".into() });
            self.done(&id, 20, "as it was before");
        }
        self
    }
}

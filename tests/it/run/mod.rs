//! The core is attacked: random plans and random inputs, legal and not, and what was promised, one by one.

mod clocks;
mod golden;
mod partial;
mod people;
mod random;
mod resume;
mod rollback;
mod stop;
mod wire;

use std::time::Duration;

use chrono::{DateTime, TimeZone as _, Utc};
use gonogo::{
    base::{Class, Elapsed, Failure, PersonId, Stamp, StepId},
    run::{
        Done, Doubt, EnvOutline, Envelope, Event, Finding, Hands, Input, Intent, Leg, Mode, Opened, Outcome, Outline,
        Refusal, Report, Resumed, RunState, Seen, StepOutline, StepState, StopOutline, Treatment, Undo, Via,
        WatchOutline, What, WindowOutline, handle,
    },
    runbook::{Clocks, EnvKind, Person},
};
use serde_json::{Value as Json, json};

pub const WORD: &str = "acme";

pub fn who(name: &str) -> PersonId {
    name.parse().unwrap()
}

pub fn id(name: &str) -> StepId {
    name.parse().unwrap()
}

/// When every run here is opened.
pub fn opened_at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 12, 6, 0, 30, 0).unwrap()
}

pub fn at(ms: u64) -> Stamp {
    Stamp { at: opened_at() + Duration::from_millis(ms), elapsed: Elapsed(ms) }
}

/// A changing step that can be restored and needs nothing.
pub fn step(name: &str) -> StepOutline {
    StepOutline {
        id: id(name),
        phase: None,
        title: name.into(),
        why: None,
        owner: who("mira"),
        planned: Duration::from_secs(60),
        timeout: Duration::from_secs(180),
        needs: Vec::new(),
        kind: "command".into(),
        changes: true,
        manual: false,
        asks_value: None,
        checklist: Vec::new(),
        value_rule: None,
        undo_hands: None,
        works: true,
        does: vec!["does it".into()],
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
        hash: "h".into(),
        written_hash: "w".into(),
        rehearsed: true,
    }
}

/// A step that only checks.
pub fn check(name: &str) -> StepOutline {
    StepOutline { changes: false, undo: Undo::Nothing, kind: "http.check".into(), does: Vec::new(), ..step(name) }
}

/// A stop point without work of its own: mira decides, dana and sam vote, one criterion.
pub fn stop(name: &str) -> StepOutline {
    StepOutline {
        works: false,
        stop: Some(StopOutline {
            question: "go?".into(),
            if_go: None,
            if_no_go: None,
            voters: vec![who("dana"), who("sam")],
            decides: who("mira"),
            criteria: vec!["lag below 1 MiB".into()],
            left_out: Vec::new(),
        }),
        ..check(name)
    }
}

pub fn needing(mut step: StepOutline, needs: &[&str]) -> StepOutline {
    step.needs = needs.iter().map(|name| id(name)).collect();
    step
}

pub fn watch(name: &str, from: &str, until: &str) -> WatchOutline {
    WatchOutline {
        id: name.parse().unwrap(),
        title: name.into(),
        from: id(from),
        until: id(until),
        every: Duration::from_secs(10),
        looks: "errors".into(),
        breach_after: 3,
        no_data_is_bad: true,
        hold: true,
    }
}

pub fn outline(steps: Vec<StepOutline>) -> Outline {
    let person = |name: &str| Person { id: who(name), name: name.into(), role: None, reach: None };
    Outline {
        runbook: "r".into(),
        title: "A night".into(),
        source_hash: "s".into(),
        lead: who("mira"),
        env: EnvOutline {
            name: "staging".parse().unwrap(),
            kind: EnvKind::Rehearsal,
            confirm: WORD.into(),
            fence: Vec::new(),
        },
        mode: Mode::Rehearse,
        dry_run: false,
        window: WindowOutline::default(),
        people: ["mira", "dana", "sam"].map(person).into(),
        steps,
        watches: Vec::new(),
        lacks: Vec::new(),
        watches_left_out: Vec::new(),
    }
}

pub fn opened(outline: Outline, auto_go: bool) -> Opened {
    Opened {
        run: "20261206-013000-7f3a9c".parse().unwrap(),
        version: "0.1.0".into(),
        operator: who("mira"),
        from: "mira@desk".into(),
        auto_go,
        identities: Vec::new(),
        outline,
    }
}

pub fn resumed() -> Resumed {
    Resumed { operator: who("dana"), from: "dana@desk".into(), auto_go: false }
}

pub fn failed(class: Class) -> Report {
    Report::Ended(Outcome::Failed(Failure::new(class, "it went wrong")))
}

pub fn done() -> Report {
    Report::Ended(Outcome::Done(Done::new("done")))
}

pub fn found_not_done() -> Report {
    Report::Found(Finding::NotDone { line: "as before".into() })
}

pub fn ready(captured: Json) -> Report {
    let deadline = opened_at() + Duration::from_secs(600);
    Report::Ready { does: vec!["PUT".into()], digest: "d".into(), token: "t".into(), captured, deadline }
}

/// A night, told input by input.
pub struct Night {
    pub state: RunState,
    pub events: Vec<Event>,
    pub now: u64,
}

impl Night {
    pub fn of(steps: Vec<StepOutline>) -> Self {
        Self::open(opened(outline(steps), false))
    }

    pub fn open(opened: Opened) -> Self {
        let mut night = Self { state: RunState::default(), events: Vec::new(), now: 0 };
        night.put(Input::Open(Box::new(opened))).unwrap();
        night
    }

    /// Puts an input; a refusal must have changed nothing.
    pub fn put(&mut self, input: Input) -> Result<Vec<Event>, Refusal> {
        let before = self.state.clone();
        let answer = handle(&mut self.state, input, at(self.now));
        match &answer {
            Ok(events) => self.events.extend(events.iter().cloned()),
            Err(_) => assert_eq!(self.state, before, "a refusal changed something"),
        }
        answer
    }

    pub fn after(&mut self, secs: u64) -> &mut Self {
        self.now += secs * 1000;
        self.put(Input::Due).unwrap();
        self
    }

    pub fn says(&mut self, name: &str, intent: Intent) -> Result<Vec<Event>, Refusal> {
        self.put(Input::Person { who: who(name), typed_by: who(name), intent })
    }

    /// The newest attempt of a step.
    pub fn attempt(&self, step: &str) -> u32 {
        self.state.step(&id(step)).unwrap().1.attempts.last().map_or(0, |attempt| attempt.number)
    }

    pub fn report(&mut self, step: &str, report: Report) -> Result<Vec<Event>, Refusal> {
        let attempt = self.attempt(step);
        self.put(Input::Report { step: id(step), attempt, report })
    }

    pub fn intends(&mut self, step: &str) {
        self.report(step, ready(json!({ "before": step }))).unwrap();
    }

    /// Its newest attempt intends and succeeds.
    pub fn does(&mut self, step: &str) {
        self.intends(step);
        self.report(step, done()).unwrap();
    }

    pub fn fails(&mut self, step: &str, class: Class) {
        self.report(step, failed(class)).unwrap();
    }

    pub fn sees(&mut self, step: &str, ok: bool) -> Result<Vec<Event>, Refusal> {
        let round = self.state.step(&id(step)).unwrap().1.round;
        let result = if ok { Ok(Seen::new("green")) } else { Err(Failure::new(Class::NotYet, "red")) };
        self.put(Input::Criterion { step: id(step), round, index: 0, result })
    }

    pub fn forward(&self, step: &str) -> &StepState {
        &self.state.step(&id(step)).unwrap().1.forward.state
    }

    pub fn back(&self, step: &str) -> &StepState {
        &self.state.step(&id(step)).unwrap().1.leg(Leg::Back).unwrap().state
    }

    pub fn running(&self, step: &str) -> bool {
        self.forward(step) == &StepState::Running
    }

    /// What was started, in order.
    pub fn started(&self) -> Vec<(String, What)> {
        let started = self.events.iter().filter_map(|event| match event {
            Event::AttemptStarted { step, what, .. } => Some((step.to_string(), *what)),
            _ => None,
        });
        started.collect()
    }
}

/// Another terminal.
pub fn via(from: &str) -> Via {
    Via { uid: 1000, pid: Some(7), from: from.into() }
}

pub fn go(step: &str) -> Intent {
    Intent::Go { step: id(step), typed: "go".into(), reason: None }
}

pub fn retry(step: &str) -> Intent {
    Intent::Retry { step: id(step), typed: "retry".into(), reason: None }
}

pub fn by_hand(step: &str) -> Intent {
    Intent::ByHand { step: id(step), reason: "did it in the console".into() }
}

pub fn skip(step: &str) -> Intent {
    Intent::Skip { step: id(step), typed: "skip".into(), reason: "not needed tonight".into() }
}

pub fn confirm(step: &str, typed: &str) -> Intent {
    Intent::Confirm { step: id(step), typed: typed.into() }
}

pub fn roll_back() -> Intent {
    Intent::RollBack { typed: "rollback".into(), reason: Some("lag".into()) }
}

pub fn abort() -> Intent {
    Intent::Abort { typed: "abort".into(), reason: None }
}

pub fn release() -> Intent {
    Intent::Release { typed: "go".into() }
}

/// An event as the journal has it.
pub fn envelope(seq: u64, now: Stamp, event: Event) -> Envelope {
    Envelope { seq, at: now.at, elapsed: now.elapsed, event }
}

//! Floor 4: the conductor. The only writer of state and journal: takes one input at a time, makes
//! its facts durable, publishes them, then makes the world follow. Knows neither kinds nor views.
//!
//! ```text
//! inputs ─▶ run::handle ─▶ 1. journal (synced)  2. state  3. log ─▶ views
//!   ▲                              │
//!   └── reports ◀── attempts ◀─────┴── 4. reconcile(state.wanted())
//! ```

mod attempt;
mod clock;
mod ledger;
mod looking;
mod reconcile;
mod reporter;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::reporter::Message;
use crate::{
    base::{Redactor, Stamp, StepId, WatchId},
    log::{Answer, EventLog, InputReceiver, Request, Said},
    plan::{Plan, contract::OwnerDone},
    run::{Envelope, Event, HoldWhy, Input, Intended, RunState, Seen, auto_answer, handle},
};
pub use clock::Clock;
pub use ledger::{Ledger, OutputFiles};

/// Reports that may wait for the conductor. An attempt that is faster waits; lines beyond are dropped by the reporter.
const REPORTS: usize = 1024;
/// Reports taken together under one sync, so that a talkative command cannot keep people waiting.
const BATCH: usize = 64;
/// How often the clocks are compared and the journal is looked for.
const TICK: Duration = Duration::from_secs(1);
/// The head is sealed at least this often while something happens.
const SEAL: Duration = Duration::from_secs(60);
/// Wall and steady clock further apart than this since the last tick: the machine slept or its clock was set.
const JUMP_MS: i64 = 3_000;
/// How long cancelled attempts may take to say what they know, once the run is over.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// What the conductor is made of.
pub struct Parts {
    /// What will be done.
    pub plan: Arc<Plan>,
    /// The state so far: empty for a new run, folded from the journal for a resumed one.
    pub state: RunState,
    /// Records so far.
    pub seq: u64,
    /// Where facts become durable.
    pub ledger: Box<dyn Ledger>,
    /// Where commands' output is kept.
    pub outputs: Arc<dyn OutputFiles>,
    /// Where facts are published.
    pub log: EventLog,
    /// The clocks.
    pub clock: Clock,
    /// Stands before every sink.
    pub redactor: Arc<Redactor>,
    /// What the views say.
    pub inputs: InputReceiver,
}

/// The loop.
pub struct Conductor {
    plan: Arc<Plan>,
    state: RunState,
    seq: u64,
    ledger: Box<dyn Ledger>,
    outputs: Arc<dyn OutputFiles>,
    log: EventLog,
    clock: Clock,
    redactor: Arc<Redactor>,
    inputs: InputReceiver,
    reports: mpsc::Receiver<Message>,
    reporter: mpsc::Sender<Message>,
    alive: HashMap<(StepId, u32), Alive>,
    criteria: HashMap<StepId, (u32, tokio::task::AbortHandle)>,
    watches: HashMap<WatchId, tokio::task::AbortHandle>,
    leaving: bool,
    failed: Option<String>,
    last_tick: Stamp,
    last_seal: tokio::time::Instant,
}

/// An attempt's task, as the conductor holds it.
struct Alive {
    cancel: CancellationToken,
    task: tokio::task::AbortHandle,
    owner: watch::Sender<Option<OwnerDone>>,
    /// The run may be left while it works: it reads, waits, or a person does it.
    leavable: bool,
}

impl Conductor {
    /// A conductor that has not begun.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (reporter, reports) = mpsc::channel(REPORTS);
        let last_tick = parts.clock.now();
        Self {
            plan: parts.plan,
            state: parts.state,
            seq: parts.seq,
            ledger: parts.ledger,
            outputs: parts.outputs,
            log: parts.log,
            clock: parts.clock,
            redactor: parts.redactor,
            inputs: parts.inputs,
            reports,
            reporter,
            alive: HashMap::new(),
            criteria: HashMap::new(),
            watches: HashMap::new(),
            leaving: false,
            failed: None,
            last_tick,
            last_seal: tokio::time::Instant::now(),
        }
    }

    /// Runs from the first input (`Open` or `Resume`, and what recovery found) until the run is over,
    /// left, or the journal has failed and what was in flight is told. Returns the state at the end.
    pub async fn run(mut self, first: Vec<Input>) -> RunState {
        for input in first {
            // Refused only where a journal already ended is opened; the loop below ends at once then.
            let _refused = self.take(vec![(input, None)]).await;
        }
        let mut views = true;
        while !self.over() {
            let due = self.state.next_due(self.clock.now());
            let wait = due.map_or(TICK, |due| due.since(self.clock.now().elapsed).min(TICK));
            tokio::select! {
                biased;
                request = self.inputs.next(), if views => match request {
                    Some(request) => self.said(request).await,
                    None => views = false,
                },
                Some(message) = self.reports.recv() => {
                    let mut batch = vec![message];
                    while batch.len() < BATCH && let Ok(message) = self.reports.try_recv() {
                        batch.push(message);
                    }
                    self.reported(batch).await;
                }
                () = tokio::time::sleep(wait) => self.tick().await,
            }
            self.answer_automatically().await;
        }
        self.finish().await
    }

    /// The run is over, or nothing is left to wait for.
    fn over(&self) -> bool {
        if self.state.ended.is_some() {
            return true;
        }
        let waiting_for = self.alive.values().any(|alive| !alive.leavable);
        (self.leaving || self.failed.is_some()) && !waiting_for
    }

    async fn said(&mut self, request: Request) {
        let answer: Answer = match request.said {
            Said::Intent { who, typed_by, intent } => {
                self.take(vec![(Input::Person { who, typed_by, intent }, None)]).await
            }
            Said::Leave(why) => {
                self.leaving = true;
                self.take(vec![(Input::Hold(why), None)]).await
            }
        };
        // A view that is gone does not need the answer.
        let _gone = request.answer.send(answer);
    }

    async fn reported(&mut self, batch: Vec<Message>) {
        let mut inputs = Vec::with_capacity(batch.len());
        for message in batch {
            match message {
                Message::Report { step, attempt, report, go } => {
                    inputs.push((Input::Report { step, attempt, report }, go))
                }
                Message::Gone { step, attempt } => {
                    self.alive.remove(&(step, attempt));
                }
                Message::Criterion { step, round, index, result } => {
                    inputs.push((Input::Criterion { step, round, index, result }, None));
                }
                Message::Watch { watch, sample } => inputs.push((Input::Watch { watch, sample }, None)),
            }
        }
        // A report that nobody waits for any more is not an error.
        let _stale = self.take(inputs).await;
    }

    async fn tick(&mut self) {
        let now = self.clock.now();
        let mut inputs = vec![(Input::Due, None)];
        if let Some((wall_ms, slept)) = self.clock.jump(self.last_tick, now, JUMP_MS) {
            inputs.push((Input::ClockJump { wall_ms, slept }, None));
        }
        self.last_tick = now;
        if let Some(why) = self.ledger.lost() {
            self.journal_failed(why);
        }
        let _nothing_due = self.take(inputs).await;
        if self.last_seal.elapsed() > SEAL {
            self.seal().await;
        }
    }

    async fn answer_automatically(&mut self) {
        while let Some((who, intent)) = auto_answer(&self.state) {
            let typed_by = self.state.operator.clone().unwrap_or_else(|| who.clone());
            if self.take(vec![(Input::Person { who, typed_by, intent }, None)]).await.is_err() {
                return;
            }
        }
    }

    /// Handles inputs together: their facts go to disk under one sync, then to the views, then the
    /// world follows. The answer is the last input's.
    async fn take(&mut self, inputs: Vec<(Input, Option<oneshot::Sender<Intended>>)>) -> Answer {
        let now = self.clock.now();
        let mut answer = Ok(());
        let mut events = Vec::new();
        let mut goes = Vec::new();
        for (input, go) in inputs {
            match handle(&mut self.state, input, now) {
                Ok(new) => {
                    let intended = new.iter().find_map(|event| match event {
                        Event::Intended(intended) => Some((**intended).clone()),
                        _ => None,
                    });
                    goes.extend(go.zip(intended));
                    events.extend(new);
                    answer = Ok(());
                }
                Err(refusal) => answer = Err(refusal),
            }
        }
        if let Err(why) = self.record(events, now).await {
            self.journal_failed(why);
        }
        if self.failed.is_none() {
            // Only now may anything be sent: the intents are on disk.
            for (go, intended) in goes {
                let _attempt_gone = go.send(intended);
            }
            self.reconcile();
        }
        answer
    }

    /// Makes events durable and publishes them. On failure nothing is published: the views go on
    /// showing what the disk holds.
    async fn record(&mut self, events: Vec<Event>, now: Stamp) -> Result<(), String> {
        if events.is_empty() {
            return Ok(());
        }
        if let Some(failed) = &self.failed {
            // Last words: not on disk, but not lost without a word either.
            self.ledger.last_words(&events);
            return Err(failed.clone());
        }
        let barrier = events.iter().any(Event::is_barrier);
        let seals = events.iter().any(Event::seals);
        let mut payloads = Vec::with_capacity(events.len());
        let mut envelopes = Vec::with_capacity(events.len());
        let mut seq = self.seq;
        for event in events {
            seq += 1;
            let envelope = Envelope { seq, at: now.at, elapsed: now.elapsed, event };
            let json = envelope.encode().map_err(|e| e.to_string())?;
            let (json, envelope) = self.redacted(json, envelope)?;
            payloads.push(json);
            envelopes.push(envelope);
        }
        self.ledger.append(payloads, barrier).await?;
        self.seq = seq;
        self.log.publish(envelopes);
        if seals {
            self.seal().await;
        }
        Ok(())
    }

    /// The last net before the disk and every view. Text is redacted where it is made; what is still
    /// found here is masked and read back, so that the log shows what the disk holds.
    fn redacted(&self, json: Vec<u8>, envelope: Envelope) -> Result<(Vec<u8>, Envelope), String> {
        let Ok(text) = std::str::from_utf8(&json) else { return Ok((json, envelope)) };
        match self.redactor.redact(text) {
            std::borrow::Cow::Borrowed(_) => Ok((json, envelope)),
            std::borrow::Cow::Owned(masked) => {
                let envelope = Envelope::decode(masked.as_bytes()).map_err(|e| format!("redacted record: {e}"))?;
                Ok((masked.into_bytes(), envelope))
            }
        }
    }

    async fn seal(&mut self) {
        self.last_seal = tokio::time::Instant::now();
        match self.ledger.seal().await {
            Ok(anchor) => self.log.set_anchor(anchor),
            Err(why) => self.journal_failed(why),
        }
    }

    /// The journal cannot be trusted any more: nothing that changes the world starts from here on.
    fn journal_failed(&mut self, why: String) {
        if self.failed.is_some() {
            return;
        }
        let now = self.clock.now();
        let hold = Event::Held { why: HoldWhy::JournalFailed(why.clone()), by: None };
        self.state.evolve(&hold, now);
        // Shown, though it is on no disk: the views must not look healthy.
        self.log.publish([Envelope { seq: self.seq + 1, at: now.at, elapsed: now.elapsed, event: hold }]);
        self.ledger.last_words(&[Event::Held { why: HoldWhy::JournalFailed(why.clone()), by: None }]);
        self.failed = Some(why);
        for alive in self.alive.values().filter(|alive| alive.leavable) {
            alive.task.abort();
        }
    }

    async fn finish(mut self) -> RunState {
        self.stop_looking();
        for alive in self.alive.values() {
            if self.state.ended.is_some() {
                alive.cancel.cancel();
            } else if alive.leavable {
                alive.task.abort();
            }
        }
        if self.state.ended.is_some() {
            let until = tokio::time::Instant::now() + LAST_WORDS;
            while !self.alive.is_empty() {
                match tokio::time::timeout_at(until, self.reports.recv()).await {
                    Ok(Some(message)) => self.reported(vec![message]).await,
                    Ok(None) | Err(_) => break,
                }
            }
        }
        self.seal().await;
        self.log.close();
        self.state
    }
}

/// A criterion's or a watch's answer.
type Sight = Result<Seen, crate::base::Failure>;

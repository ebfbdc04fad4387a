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
mod looking;
mod reconcile;
mod reporter;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::reporter::Message;
use crate::{
    base::{Redactor, Stamp, StepId, WatchId},
    journal::{JournalThread, RunDir},
    log::{Answer, EventLog, InputReceiver, Request, Said},
    plan::{Plan, contract::OwnerDone},
    run::{Envelope, Event, HoldWhy, Input, Intended, Refusal, RunState, Seen, auto_answer, handle},
};
pub use clock::Clock;

/// Reports that may wait for the conductor. An attempt that is faster waits; lines beyond are dropped by the reporter.
const REPORTS: usize = 1024;
/// Reports taken together under one sync, so that a talkative command cannot keep people waiting.
const BATCH: usize = 64;
/// How often the clocks are compared and the journal is looked for.
const TICK: Duration = Duration::from_secs(1);
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
    pub journal: JournalThread,
    /// The run's folder, for commands' output.
    pub dir: Arc<RunDir>,
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
    journal: JournalThread,
    dir: Arc<RunDir>,
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
    abandoned: bool,
    failed: Option<String>,
    unwritten: Vec<Envelope>,
    last_tick: Stamp,
    /// When the clocks are compared next, whatever arrives until then.
    next_tick: Instant,
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
            journal: parts.journal,
            dir: parts.dir,
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
            abandoned: false,
            failed: None,
            unwritten: Vec::new(),
            last_tick,
            next_tick: Instant::now() + TICK,
        }
    }

    /// Runs from the first input (`Open` or `Resume`, and what recovery found) until the run is over,
    /// left, or the journal has failed and what was in flight is told. Returns the state at the end.
    pub async fn run(mut self, first: Vec<Input>) -> End {
        for input in first {
            // Refused only where a journal already ended is opened; the loop below ends at once then.
            let _refused = self.take(vec![(input, None)]).await;
        }
        let mut views = true;
        while !self.over() {
            let due = self.state.next_due(self.clock.now());
            let due = due.map(|due| Instant::now() + due.since(self.clock.now().elapsed));
            let tick = due.map_or(self.next_tick, |due| due.min(self.next_tick));
            tokio::select! {
                biased;
                request = self.inputs.next(), if views => match request {
                    Some(request) => self.said(request).await,
                    None => views = false,
                },
                // Before the reports: a talkative attempt must not keep the clocks from being looked at.
                () = tokio::time::sleep_until(tick) => self.tick().await,
                Some(message) = self.reports.recv() => {
                    let mut batch = vec![message];
                    while batch.len() < BATCH && let Ok(message) = self.reports.try_recv() {
                        batch.push(message);
                    }
                    self.reported(batch).await;
                }
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
        self.abandoned || (self.leaving && !waiting_for)
    }

    async fn said(&mut self, request: Request) {
        let answer: Answer = match request.said {
            Said::Intent { who, typed_by, intent } => {
                self.take(vec![(Input::Person { who, typed_by, intent }, None)]).await
            }
            Said::Leave(why) => {
                // Asked again: what is in flight is given up, and a resume will find it in doubt.
                self.abandoned = self.leaving && matches!(why, HoldWhy::Signal(_));
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
        self.next_tick = Instant::now() + TICK;
        let now = self.clock.now();
        let mut inputs = vec![(Input::Due, None)];
        if let Some((wall_ms, slept)) = self.clock.jump(self.last_tick, now, JUMP_MS) {
            inputs.push((Input::ClockJump { wall_ms, slept }, None));
        }
        self.last_tick = now;
        if self.failed.is_none()
            && let Err(error) = self.journal.still_there().await
        {
            self.journal_failed(error.to_string());
        }
        let _nothing_due = self.take(inputs).await;
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
            // What is on no disk was not said.
            answer = Err(Refusal::JournalFailed(why.clone()));
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

    /// Makes events durable and publishes them. Once the journal has failed, outcomes are still tried as
    /// last words and shown; what could not be written is returned at the end.
    async fn record(&mut self, events: Vec<Event>, now: Stamp) -> Result<(), String> {
        if events.is_empty() {
            return Ok(());
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
        let written = match &self.failed {
            None => self.journal.append(payloads, barrier).await,
            Some(_) => self.journal.last_words(payloads).await,
        };
        match written {
            Ok(()) => {
                self.seq = seq;
                self.log.publish(envelopes);
                if seals && self.failed.is_none() {
                    self.seal().await;
                }
                Ok(())
            }
            Err(error) => {
                // Whoever looks at the screen must know it all the same.
                self.log.publish(envelopes.iter().cloned());
                self.unwritten.extend(envelopes);
                Err(error.to_string())
            }
        }
    }

    /// The last net before the disk and every view. Text is redacted where it is made; what is still
    /// found here is masked and read back, so that the log shows what the disk holds.
    fn redacted(&self, json: Vec<u8>, envelope: Envelope) -> Result<(Vec<u8>, Envelope), String> {
        let Ok(text) = std::str::from_utf8(&json) else { return Ok((json, envelope)) };
        let told = |e: serde_json::Error| format!("redacted record: {e}");
        let mut masked = None;
        // What stands with a backslash in a text of the record has two of them in the record itself.
        if text.contains(r"\\") {
            let mut record: serde_json::Value = serde_json::from_str(text).map_err(told)?;
            if self.redactor.redact_json(&mut record) {
                masked = Some(serde_json::to_string(&record).map_err(told)?);
            }
        }
        if let std::borrow::Cow::Owned(text) = self.redactor.redact(masked.as_deref().unwrap_or(text)) {
            masked = Some(text);
        }
        let Some(masked) = masked else { return Ok((json, envelope)) };
        let envelope = Envelope::decode(masked.as_bytes()).map_err(told)?;
        Ok((envelope.encode().map_err(told)?, envelope))
    }

    async fn seal(&mut self) {
        match self.journal.seal().await {
            Ok(anchor) => self.log.set_anchor(anchor),
            Err(error) => self.journal_failed(error.to_string()),
        }
    }

    /// The journal cannot be trusted any more: nothing that changes the world starts from here on.
    fn journal_failed(&mut self, why: String) {
        if self.failed.is_some() {
            return;
        }
        let now = self.clock.now();
        let event = Event::Held { why: HoldWhy::JournalFailed(why.clone()), by: None };
        self.state.evolve(&event, now);
        // Shown, though it is on no disk: the views must not look healthy.
        let envelope = Envelope { seq: self.seq + 1, at: now.at, elapsed: now.elapsed, event };
        self.log.publish([envelope.clone()]);
        self.unwritten.push(envelope);
        self.failed = Some(why);
        for alive in self.alive.values().filter(|alive| alive.leavable) {
            alive.task.abort();
        }
    }

    async fn finish(mut self) -> End {
        self.stop_looking();
        for alive in self.alive.values() {
            if self.state.ended.is_some() {
                alive.cancel.cancel();
            } else {
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
        if self.failed.is_none() {
            self.seal().await;
        }
        self.log.close();
        End { state: self.state, journal_failed: self.failed, unwritten: self.unwritten }
    }
}

/// Where a run stood when its conductor ended.
pub struct End {
    /// The state.
    pub state: RunState,
    /// Why the journal could not be written, where it could not.
    pub journal_failed: Option<String>,
    /// Facts that are on no disk, for the standard error stream.
    pub unwritten: Vec<Envelope>,
}

/// A criterion's or a watch's answer.
type Sight = Result<Seen, crate::base::Failure>;

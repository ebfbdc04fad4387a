//! Folds the envelopes and collects what a state does not keep: who said what and when, every hold.

use std::{collections::HashMap, time::Duration};

use super::{
    deviations,
    model::{
        AttemptReport, BudgetReport, Budgets, DecisionReport, HoldReport, NoReturnReport, NoteReport, PlanReport,
        Report, RollbackReport, StepReport, UndoReport, WatchReport,
    },
};
use crate::{
    base::{PersonId, Stamp, StepId},
    board::{Board, Face, ending_words, hold_words, partial_words, settlement_words},
    run::{
        AttemptRun, Budget, Decision, Ending, Envelope, Event, Gate, Hold, Intended, LegRun, Opened, Outcome, Outline,
        RunState, Settlement, StepOutline, StepRun, StepState, StepTiming, Timing, What, Why,
    },
};

/// What is collected beside the state.
#[derive(Default)]
pub(super) struct Said {
    opened: Option<Opened>,
    operators: Vec<String>,
    decisions: Vec<DecisionReport>,
    holds: Vec<HoldReport>,
    checks: HashMap<StepId, Vec<String>>,
    sent: HashMap<(StepId, u32), Vec<String>>,
    ended: HashMap<(StepId, u32), String>,
    /// Kind and words of what happened once and is in no state.
    pub(super) events: Vec<(&'static str, Option<usize>, String)>,
    count: u64,
}

pub(super) fn gather<'e>(envelopes: impl IntoIterator<Item = &'e Envelope>, anchors: Vec<String>) -> Option<Report> {
    let mut state = RunState::default();
    let mut said = Said::default();
    for envelope in envelopes {
        said.listen(&state, envelope);
        state.evolve(&envelope.event, envelope.stamp());
        said.count = envelope.seq;
    }
    let outline = state.outline.clone()?;
    let opened = said.opened.take()?;
    let (opening, last) = (state.opened?, state.last?);
    let timing = Timing::of(&state, last)?;
    let steps: Vec<StepReport> = outline
        .steps
        .iter()
        .zip(&state.steps)
        .zip(&timing.steps)
        .enumerate()
        .map(|(i, ((outline, run), times))| step(i, outline, run, times, &mut said))
        .collect();
    let number = |id: &StepId| state.position(id).map(|i| i + 1);
    let no_return = outline.steps.iter().position(|step| step.no_return).map(|i| NoReturnReport {
        step: i + 1,
        crossed: state.crossed.as_ref().map(|crossing| crossing.at.at),
        by: state.crossed.iter().flat_map(|crossing| crossing.by.iter().map(ToString::to_string)).collect(),
    });
    let mut report = Report {
        run: opened.run.to_string(),
        runbook: outline.runbook.clone(),
        title: outline.title.clone(),
        source_hash: outline.source_hash.clone(),
        version: opened.version.clone(),
        environment: outline.env.name.to_string(),
        mode: Board::of(&state, last, &Face::default()).header.mode,
        fence: outline.env.fence.clone(),
        identities: state.identities.iter().map(|who| format!("{} {}", who.system, who.line)).collect(),
        operators: std::mem::take(&mut said.operators),
        lead: outline.lead.to_string(),
        auto_go: opened.auto_go,
        opened: opening.at,
        ended: state.ended.map(|_| last.at),
        last: last.at,
        ending: ending(&state),
        partial: partial_words(&outline),
        plan: plan(&state, &outline, &timing, opening, last),
        steps,
        decisions: std::mem::take(&mut said.decisions),
        deviations: Vec::new(),
        notes: state
            .notes
            .iter()
            .map(|note| NoteReport {
                at: note.at.at,
                who: note.who.to_string(),
                step: note.step.as_ref().and_then(number),
                text: note.text.clone(),
            })
            .collect(),
        holds: std::mem::take(&mut said.holds),
        watches: outline
            .watches
            .iter()
            .zip(&state.watches)
            .map(|(outline, run)| WatchReport {
                id: outline.id.to_string(),
                title: outline.title.clone(),
                samples: run.samples,
                breaches: run.breaches,
                last: run.latest.as_ref().map(|(_, _, _, line)| line.clone()).unwrap_or_default(),
            })
            .collect(),
        budgets: Budgets { freeze: budget(&timing.freeze), downtime: budget(&timing.downtime) },
        no_return,
        rollback: state.rollback.as_ref().map(|rollback| RollbackReport {
            began: rollback.since.at,
            steps: rollback.order.iter().map(|i| i + 1).collect(),
            left: rollback
                .left
                .iter()
                .map(|(id, why)| format!("{} {why}", number(id).map_or_else(|| id.to_string(), |n| n.to_string())))
                .collect(),
        }),
        anchors,
        events: said.count,
        dry_run: outline.dry_run,
        opening,
    };
    report.deviations = deviations::of(&report, &said.events);
    Some(report)
}

impl Said {
    /// Takes an event in; `state` is the state before it.
    fn listen(&mut self, state: &RunState, envelope: &Envelope) {
        let number = |id: &StepId| state.position(id).map(|i| i + 1);
        let mut say = |step: Option<usize>, who: &PersonId, typed_by: &PersonId, decision: String| {
            self.decisions.push(DecisionReport {
                seq: envelope.seq,
                at: envelope.at,
                step,
                who: who.to_string(),
                typed_by: typed_by.to_string(),
                decision,
                reason: None,
                against: Vec::new(),
            });
        };
        match &envelope.event {
            Event::Opened(opened) => {
                self.operators.push(format!("{} from {}", opened.operator, opened.from));
                self.opened = Some((**opened).clone());
            }
            Event::Resumed(resumed) => {
                self.operators.push(format!("{} from {}", resumed.operator, resumed.from));
                let text = format!("a new process took over, {} from {}", resumed.operator, resumed.from);
                self.events.push(("resumed", None, text));
            }
            Event::Intended(intended) => {
                let Intended { step, attempt, does, .. } = &**intended;
                self.sent.insert((step.clone(), *attempt), does.clone());
            }
            Event::Checked { step, seen, .. } => {
                self.checks.entry(step.clone()).or_default().push(seen.line.clone());
            }
            Event::AttemptEnded { step, attempt, outcome } => {
                let message = match outcome {
                    Outcome::Done(done) => done.line.clone(),
                    Outcome::Failed(failure) => failure.message.clone(),
                };
                self.ended.insert((step.clone(), *attempt), message);
            }
            Event::Voted { step, who, typed_by, go, reason, via } => {
                let from = via.as_ref().map(|via| format!(", from {}", via.from)).unwrap_or_default();
                say(number(step), who, typed_by, format!("vote {}{from}", if *go { "go" } else { "no-go" }));
                if let Some(last) = self.decisions.last_mut() {
                    last.reason.clone_from(reason);
                }
            }
            Event::Confirmed { step, who, typed_by, back } => {
                let what = if *back { "confirmed the undo" } else { "confirmed" };
                say(number(step), who, typed_by, what.to_owned());
            }
            Event::OwnerSaidDone { step, who, typed_by, value, unticked, reason, .. } => {
                say(number(step), who, typed_by, "said done".into());
                if let Some(last) = self.decisions.last_mut() {
                    let words: Vec<&str> = value.iter().chain(reason).map(String::as_str).collect();
                    last.reason = (!words.is_empty()).then(|| words.join("; "));
                    last.against = unticked.iter().map(|item| format!("not ticked off: {item}")).collect();
                }
            }
            Event::Ticked { step, item, on, who, typed_by, .. } => {
                let word = if *on { "ticked off" } else { "took back" };
                say(number(step), who, typed_by, format!("{word} {}", item + 1));
            }
            Event::Decided { step, who, typed_by, decision, reason, against } => {
                say(number(step), who, typed_by, decision_words(*decision).into());
                if let Some(last) = self.decisions.last_mut() {
                    last.reason.clone_from(reason);
                    last.against.clone_from(against);
                }
            }
            Event::Held { why, by } => {
                if let Some(by) = by {
                    say(None, by, by, "hold".into());
                }
                self.close_hold(state, envelope);
                let hold = Hold { why: why.clone(), by: by.clone(), since: envelope.stamp() };
                self.holds.push(HoldReport { at: envelope.at, why: hold_words(state, &hold), seconds: None });
            }
            Event::Released { by } => {
                say(None, by, by, "go on".into());
                self.close_hold(state, envelope);
            }
            Event::RollbackBegan { .. } | Event::Ended { .. } => self.close_hold(state, envelope),
            Event::Probed { step, attempt, finding } => {
                let words = match finding {
                    crate::run::Finding::Done(done) => format!("was done: {}", done.line),
                    crate::run::Finding::NotDone { line } => format!("was not done: {line}"),
                    crate::run::Finding::Unclear { line } => format!("nobody knows: {line}"),
                };
                self.events.push(("in doubt", number(step), format!("attempt {attempt} {words}")));
            }
            Event::WatchBreached { watch, samples } => {
                self.events.push(("breach", None, format!("watch {watch}: {samples} bad samples in a row")));
            }
            Event::ClockJumped { wall_ms, slept } => {
                let text = format!("slept {} s, the wall clock moved {} s", slept.as_secs(), wall_ms / 1000);
                self.events.push(("clock", None, text));
            }
            Event::TornTail { bytes, kept_as } => {
                let text = format!("{bytes} bytes of a torn record were set aside as {kept_as}");
                self.events.push(("journal", None, text));
            }
            Event::AttemptStarted { .. }
            | Event::Line { .. }
            | Event::Progressed { .. }
            | Event::Identified { .. }
            | Event::RetryScheduled { .. }
            | Event::Settled { .. }
            | Event::Asked { .. }
            | Event::CriterionSeen { .. }
            | Event::NoReturnCrossed { .. }
            | Event::WatchBegan { .. }
            | Event::WatchSampled { .. }
            | Event::WatchEnded { .. }
            | Event::Noted { .. }
            | Event::Unknown(_) => {}
        }
    }

    fn close_hold(&mut self, state: &RunState, envelope: &Envelope) {
        if let (Some(hold), Some(last)) = (&state.hold, self.holds.last_mut()) {
            last.seconds.get_or_insert(seconds(envelope.stamp() - hold.since));
        }
    }
}

/// Seconds with the milliseconds that the journal keeps.
pub(super) fn seconds(d: Duration) -> f64 {
    d.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a night are far below 2^52")]
fn signed_seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn plan(state: &RunState, outline: &Outline, timing: &Timing, opening: Stamp, last: Stamp) -> PlanReport {
    let given_up = state.rollback.is_some() || state.ended == Some(Ending::Aborted);
    PlanReport {
        planned_seconds: seconds(timing.planned_total),
        actual_seconds: seconds(last - opening),
        late_seconds: (!given_up).then(|| signed_seconds(timing.forecast.late_ms)),
        waited_seconds: timing.steps.iter().map(|step| seconds(step.waited)).sum(),
        start: outline.window.start.map(|at| at.to_utc()),
        window_end: outline.window.end.map(|at| at.to_utc()),
    }
}

fn budget(budget: &Budget) -> BudgetReport {
    BudgetReport { used_seconds: seconds(budget.used), budget_seconds: budget.budget.map(seconds), over: budget.over() }
}

fn ending(state: &RunState) -> String {
    match (state.ended, &state.hold, state.asking()) {
        (Some(ending), ..) => ending_words(ending, state),
        (None, Some(hold), _) => format!("not over: held, {}", hold_words(state, hold)),
        (None, None, Some((i, _))) => format!("not over: step {} waits for people", i + 1),
        (None, None, None) => "not over".into(),
    }
}

fn decision_words(decision: Decision) -> &'static str {
    match decision {
        Decision::Go => "go",
        Decision::NoGo => "no-go",
        Decision::Retry => "retry",
        Decision::ByHand => "done by hand",
        Decision::Skip => "skip",
        Decision::RollBack => "roll back",
        Decision::Abort => "abort",
    }
}

fn step(i: usize, outline: &StepOutline, run: &StepRun, times: &StepTiming, said: &mut Said) -> StepReport {
    let (state, line) = state_words(&run.forward, run.line.as_deref());
    StepReport {
        number: i + 1,
        id: outline.id.to_string(),
        title: outline.title.clone(),
        phase: outline.phase.clone(),
        owner: outline.owner.to_string(),
        kind: outline.kind.clone(),
        state,
        line,
        left_out_criteria: outline
            .stop
            .iter()
            .flat_map(|stop| &stop.left_out)
            .map(|left| format!("{}: {}", left.looks, left.why))
            .collect(),
        planned_seconds: seconds(times.planned),
        actual_seconds: times.actual.map(seconds),
        waited_seconds: seconds(times.waited),
        variance_seconds: times.variance_ms.map(signed_seconds),
        began: began(&run.forward, times),
        settled: run.forward.settled.map(|at| at.at),
        attempts: run.attempts.iter().map(|attempt| attempt_report(outline, attempt, said)).collect(),
        undo: run.back.as_ref().map(|back| UndoReport {
            state: match &back.state {
                StepState::Settled(Gate::Done) => "undone".into(),
                StepState::Pending => "not begun".into(),
                _ => state_words(back, None).0,
            },
            began: back.began.map(|at| at.at),
            settled: back.settled.map(|at| at.at),
            actual_seconds: seconds(back.worked),
        }),
        evidence: run.evidence.clone(),
        checks: said.checks.remove(&outline.id).unwrap_or_default(),
        no_return: outline.no_return,
    }
}

/// When it began. A stop point has no attempt: it began when it was asked.
fn began(leg: &LegRun, times: &StepTiming) -> Option<chrono::DateTime<chrono::Utc>> {
    let actual = times.actual?;
    let asked = || match leg.settled {
        Some(settled) => Some(settled.at - chrono::TimeDelta::from_std(actual + times.waited).ok()?),
        None => leg.since.map(|since| since.at),
    };
    leg.began.map(|began| began.at).or_else(asked)
}

/// The state in a word, and what belongs to it.
fn state_words(leg: &LegRun, line: Option<&str>) -> (String, String) {
    let line = line.unwrap_or_default().to_owned();
    match &leg.state {
        StepState::Settled(Gate::Done) => ("done".into(), line),
        StepState::Settled(Gate::Otherwise(settlement)) => {
            let word = match settlement {
                Settlement::Decided => "go",
                Settlement::FoundDone(_) => "found done",
                Settlement::ByHand(_) => "done by hand",
                Settlement::Skipped(_) => "skipped",
                Settlement::FailedGoOn(_) => "failed, went on",
                Settlement::NotRun(_) => "not run",
                Settlement::LeftOut(_) => "left out",
            };
            let (words, _) = settlement_words(settlement);
            let reason = words.split_once(": ").map(|(_, reason)| reason.to_owned());
            (word.into(), reason.filter(|_| *settlement != Settlement::Decided).unwrap_or(line))
        }
        StepState::NeedsDecision(Why::Failed(failure)) => ("failed".into(), failure.message.clone()),
        StepState::NeedsDecision(Why::InDoubt(_)) => ("in doubt".into(), line),
        StepState::NeedsDecision(Why::Lost) => ("lost, nothing done".into(), line),
        state => (state.word().into(), line),
    }
}

fn attempt_report(step: &StepOutline, attempt: &AttemptRun, said: &mut Said) -> AttemptReport {
    let key = (step.id.clone(), attempt.number);
    AttemptReport {
        number: attempt.number,
        what: match attempt.what {
            What::Do => "do",
            What::Recheck => "recheck",
            What::Probe => "probe",
            What::Undo => "undo",
            What::ProbeUndo => "probe undo",
        },
        started: attempt.started.at,
        ended: attempt.ended.map(|at| at.at),
        seconds: attempt.ended.map(|at| seconds(at - attempt.started)),
        outcome: match (&attempt.failure, attempt.ended, attempt.lost) {
            (Some(failure), ..) => failure.class.words().to_owned(),
            (None, Some(_), _) => "done".into(),
            (None, None, true) => "lost".into(),
            (None, None, false) => "at work".into(),
        },
        message: said.ended.remove(&key).unwrap_or_default(),
        causes: attempt.failure.iter().flat_map(|failure| failure.causes.iter().cloned()).collect(),
        sent: said.sent.remove(&key).unwrap_or_default(),
        by_hand: step.by_hand(attempt.what.leg()),
    }
}

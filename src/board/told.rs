//! One event, one line: what every log pane, plain view and report says about a fact.

use super::{
    mark::Role,
    words::{ballot_words, ending_words, hold_words, number_of, partial_words, settlement_words, spoken},
};
use crate::{
    base::{Stamp, StepId, short_duration},
    run::{Ballot, Decision, Envelope, Event, Finding, Hold, Intended, Outcome, RunState, What, Where},
};

/// The tag of how far an attempt is; a view may show only the last of them.
pub const PROGRESS: &str = "..";

/// A line about an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The event's number in the journal.
    pub seq: u64,
    /// When.
    pub at: Stamp,
    /// About which step.
    pub step: Option<StepId>,
    /// At most five letters: what kind of fact.
    pub tag: &'static str,
    /// The words.
    pub text: String,
    /// How to be seen.
    pub role: Role,
    /// False for the output and progress of an attempt, which a view may leave out.
    pub key: bool,
}

/// The line of an event, told with the state after it; `None` for what says nothing to people.
#[must_use]
pub fn tell(state: &RunState, envelope: &Envelope) -> Option<Told> {
    let number = |id: &StepId| state.outline.as_ref().map_or_else(|| id.to_string(), |o| number_of(o, id));
    let titled = |id: &StepId| {
        let title = state.step(id).map(|(step, _)| step.title.as_str()).unwrap_or_default();
        format!("{} {title}", number(id))
    };
    let (tag, text, role, key) = match &envelope.event {
        Event::Opened(opened) => {
            let outline = &opened.outline;
            let text = format!(
                "run {} of {} in {}, by {} from {}",
                opened.run, outline.runbook, outline.env.name, opened.operator, opened.from
            );
            let partial = partial_words(outline).map(|words| format!("; {words}")).unwrap_or_default();
            ("open", text + &partial, Role::Strong, true)
        }
        Event::Resumed(resumed) => {
            ("open", format!("taken up again by {} from {}", resumed.operator, resumed.from), Role::Strong, true)
        }
        Event::AttemptStarted { step, what, .. } => {
            let tries = state.step(step).map_or(0, |(_, run)| run.forward.tries);
            let text = match what {
                What::Do if tries < 2 => titled(step),
                What::Do => format!("{}, attempt {tries}", titled(step)),
                What::Recheck => format!("{}: the checks are done again", titled(step)),
                What::Probe => format!("{}: was it done? looking", titled(step)),
                What::Undo => format!("undo of {}", titled(step)),
                What::ProbeUndo => format!("undo of {}: was it done? looking", titled(step)),
            };
            ("start", text, Role::Plain, true)
        }
        Event::Line { text, .. } => ("out", text.clone(), Role::Dim, false),
        Event::Progressed { percent, text, .. } => (PROGRESS, format!("{percent:>3}% {text}"), Role::Dim, false),
        Event::Identified { identity, .. } => {
            ("ident", format!("{}: {}", identity.system, identity.line), Role::Plain, false)
        }
        Event::Intended(intended) => return Some(intend(envelope, intended)),
        Event::Checked { place, seen, .. } => {
            let place = if *place == Where::Precheck { "before" } else { "after" };
            ("check", format!("{place}: {}", seen.line), Role::Plain, false)
        }
        Event::AttemptEnded { step, attempt, outcome } => return ended(state, envelope, step, *attempt, outcome),
        Event::RetryScheduled { step, not_before } => {
            let wait = spoken(not_before.since(envelope.elapsed));
            ("retry", format!("{} is tried again in {wait}", titled(step)), Role::Warn, true)
        }
        Event::Settled { step, back, settlement } => {
            let (words, role) = settlement_words(settlement);
            let undo = if *back { "undo of " } else { "" };
            ("done", format!("{undo}{}: {words}", titled(step)), role, true)
        }
        Event::Asked { step, back } => {
            let text = match state.step(step) {
                _ if *back => format!("confirm the undo of {}", titled(step)),
                Some((outline, _)) => match &outline.stop {
                    Some(stop) => format!("{}: {}", titled(step), stop.question),
                    None => format!("confirm {}", titled(step)),
                },
                None => titled(step),
            };
            ("gate", text, Role::Ask, true)
        }
        Event::CriterionSeen { step, index, ok, line, .. } => {
            let words = state.step(step).and_then(|(outline, _)| outline.stop.as_ref()?.criteria.get(*index).cloned());
            let verdict = if *ok { "pass" } else { "fail" };
            let role = if *ok { Role::Plain } else { Role::Warn };
            ("check", format!("{verdict}: {}: {line}", words.unwrap_or_default()), role, false)
        }
        Event::Voted { step, who, typed_by, go, reason, via } => {
            let (reason, via, at) = (reason.clone(), via.clone(), envelope.stamp());
            let ballot = Ballot { who: who.clone(), typed_by: typed_by.clone(), go: *go, reason, via, at };
            let (word, role) = if *go { ("go", Role::Strong) } else { ("NO-GO", Role::Bad) };
            ("vote", format!("{}: {who} votes {word}{}", number(step), ballot_words(&ballot)), role, true)
        }
        Event::Confirmed { step, who, typed_by, back } => {
            let undo = if *back { "the undo of " } else { "" };
            let by = typed(who.as_str(), typed_by.as_str());
            ("conf", format!("{who} confirms {undo}{}{by}", titled(step)), Role::Strong, true)
        }
        Event::Decided { step, who, typed_by, decision, reason, against } => {
            let word = match decision {
                Decision::Go => "GO",
                Decision::NoGo => "NO-GO",
                Decision::Retry => "retry",
                Decision::ByHand => "done by hand",
                Decision::Skip => "skip",
                Decision::RollBack => "ROLL BACK",
                Decision::Abort => "ABORT",
            };
            let mut text = format!("{who} at {}: {word}{}", number(step), typed(who.as_str(), typed_by.as_str()));
            if let Some(reason) = reason {
                text += &format!(", \"{reason}\"");
            }
            if !against.is_empty() {
                text += &format!(" against: {}", against.join("; "));
            }
            ("say", text, Role::Strong, true)
        }
        Event::OwnerSaidDone { step, who, typed_by, value, unticked, reason, .. } => {
            let value = value.as_ref().map(|value| format!(": {value}")).unwrap_or_default();
            let by = typed(who.as_str(), typed_by.as_str());
            let mut text = format!("{who} says {} is done{by}{value}", titled(step));
            let role = if unticked.is_empty() { Role::Strong } else { Role::Warn };
            if !unticked.is_empty() {
                text += &format!("; not ticked off: {}", unticked.join("; "));
            }
            text += &reason.as_ref().map(|reason| format!(", \"{reason}\"")).unwrap_or_default();
            ("say", text, role, true)
        }
        Event::Ticked { step, attempt, item, on, who, typed_by } => {
            let hands = state.step(step).and_then(|(outline, run)| outline.hands(run.attempt(*attempt)?.what.leg()));
            let what = hands.and_then(|hands| hands.checklist.get(*item).cloned()).unwrap_or_default();
            let by = typed(who.as_str(), typed_by.as_str());
            let mark = if *on { "[x]" } else { "[ ]" };
            ("tick", format!("{} {mark} {} {what}: {who}{by}", number(step), item + 1), Role::Plain, true)
        }
        Event::Held { why, by } => {
            let hold = Hold { why: why.clone(), by: by.clone(), since: envelope.stamp() };
            ("HOLD", hold_words(state, &hold), Role::Held, true)
        }
        Event::Released { by } => ("go on", format!("released by {by}"), Role::Strong, true),
        Event::NoReturnCrossed { step } => {
            ("PONR", format!("point of no return crossed at {}", titled(step)), Role::Bad, true)
        }
        Event::Probed { step, finding, .. } => {
            let text = match finding {
                Finding::Done(done) => format!("was done: {}", done.line),
                Finding::NotDone { line } => format!("was not done: {line}"),
                Finding::Unclear { line } => format!("nobody knows: {line}"),
            };
            ("probe", format!("{} {text}", number(step)), Role::Warn, true)
        }
        Event::RollbackBegan { steps, left } => {
            let numbers: Vec<String> = steps.iter().map(number).collect();
            let left = if left.is_empty() { String::new() } else { format!("; {} cannot be undone", left.len()) };
            let of = if numbers.is_empty() { "nothing".to_owned() } else { numbers.join(", ") };
            ("BACK", format!("rollback of {of}{left}"), Role::Back, true)
        }
        Event::WatchBegan { watch } => ("watch", format!("{watch} begins to look"), Role::Plain, true),
        Event::WatchSampled { watch, ok, line, .. } => {
            let (word, role) = match ok {
                Some(true) => ("good", Role::Dim),
                Some(false) => ("BAD", Role::Warn),
                None => ("no data", Role::Warn),
            };
            ("watch", format!("{watch} {word}: {line}"), role, false)
        }
        Event::WatchBreached { watch, samples } => {
            ("watch", format!("{watch} BREACHED: {samples} bad samples in a row"), Role::Bad, true)
        }
        Event::WatchEnded { watch } => ("watch", format!("{watch} ends"), Role::Plain, true),
        Event::Noted { who, text, step, via } => {
            let about = step.as_ref().map(|id| format!(" on {}", number(id))).unwrap_or_default();
            let from = via.as_ref().map(|via| format!(" (from {})", via.from)).unwrap_or_default();
            ("note", format!("{who}{about}{from}: {text}"), Role::Strong, true)
        }
        Event::ClockJumped { wall_ms, slept } => {
            let seconds = *wall_ms / 1000;
            ("clock", format!("slept {}, the wall clock moved {seconds} s", spoken(*slept)), Role::Warn, true)
        }
        Event::TornTail { bytes, kept_as } => {
            ("torn", format!("{bytes} bytes of a torn record were set aside as {kept_as}"), Role::Warn, true)
        }
        Event::Ended { ending } => ("END", ending_words(*ending, state), Role::Strong, true),
        Event::Unknown(_) => return None,
    };
    Some(Told { seq: envelope.seq, at: envelope.stamp(), step: envelope.event.step().cloned(), tag, text, role, key })
}

fn typed(who: &str, typed_by: &str) -> String {
    if who == typed_by { String::new() } else { format!(" (typed by {typed_by})") }
}

fn intend(envelope: &Envelope, intended: &Intended) -> Told {
    let text = if intended.does.is_empty() { "acts".to_owned() } else { intended.does.join("; ") };
    Told {
        seq: envelope.seq,
        at: envelope.stamp(),
        step: Some(intended.step.clone()),
        tag: "does",
        text,
        role: Role::Plain,
        key: false,
    }
}

fn ended(state: &RunState, envelope: &Envelope, id: &StepId, number: u32, outcome: &Outcome) -> Option<Told> {
    let (step, run) = state.step(id)?;
    let at = state.position(id)? + 1;
    let attempt = run.attempt(number)?;
    let took = short_duration(envelope.stamp() - attempt.started);
    let undo = if matches!(attempt.what, What::Undo) { "undo of " } else { "" };
    let (tag, text, role, key) = match (outcome, attempt.what) {
        // What a probe found is told by the event after it.
        (Outcome::Done(_), What::Probe | What::ProbeUndo) => return None,
        (Outcome::Done(done), _) => {
            let line = if done.line.is_empty() { String::new() } else { format!(": {}", done.line) };
            ("done", format!("{undo}{at} {} after {took}{line}", step.title), Role::Good, true)
        }
        (Outcome::Failed(failure), _) => {
            let class = failure.class.words();
            ("FAIL", format!("{undo}{at} {} after {took}: {} ({class})", step.title, failure.message), Role::Bad, true)
        }
    };
    Some(Told { seq: envelope.seq, at: envelope.stamp(), step: Some(id.clone()), tag, text, role, key })
}

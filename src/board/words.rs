//! Small words that several parts of the board share.

use std::time::Duration;

use super::mark::Role;
use crate::{
    base::StepId,
    run::{Ballot, Ending, Gate, Hold, HoldWhy, Outline, RunState, Settlement, StepRun, StepState},
};

/// `38s`, `3m20s`, `1h02m`: a duration as people say it.
#[must_use]
pub fn spoken(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 if s.is_multiple_of(60) => format!("{}m", s / 60),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s / 60 % 60),
    }
}

/// A step's number, from 1; its name where the outline does not know it.
#[must_use]
pub fn number_of(outline: &Outline, id: &StepId) -> String {
    let at = outline.steps.iter().position(|step| &step.id == id);
    at.map_or_else(|| id.to_string(), |i| (i + 1).to_string())
}

/// `11 Deploy the web service`.
#[must_use]
pub fn step_words(outline: &Outline, i: usize) -> String {
    outline.steps.get(i).map_or_else(String::new, |step| format!("{} {}", i + 1, step.title))
}

/// Why it holds, as a fragment after "held: ".
#[must_use]
pub fn hold_words(state: &RunState, hold: &Hold) -> String {
    let number = |id: &StepId| state.outline.as_ref().map_or_else(|| id.to_string(), |o| number_of(o, id));
    let by = hold.by.as_ref().map(|who| format!(" by {who}")).unwrap_or_default();
    match &hold.why {
        HoldWhy::Start => "before the first step".into(),
        HoldWhy::Person => format!("asked{by}"),
        HoldWhy::NoGo(step) => format!("no-go at {}{by}", number(step)),
        HoldWhy::Breach(watch) => format!("watch {watch} was breached"),
        HoldWhy::Resumed => "taken up again, look before going on".into(),
        HoldWhy::Clock => "the machine slept or its clock jumped".into(),
        HoldWhy::TerminalLost => "the terminal was lost".into(),
        HoldWhy::Signal(name) => format!("told to end by {name}"),
        HoldWhy::Left => "the operator left".into(),
        HoldWhy::JournalFailed(why) => format!("the journal cannot be written: {why}"),
    }
}

/// Why and from where a vote came, as a tail: `, "the lag grows" (from deploy@bastion pts/3)`; empty for a bare
/// word typed by its voter at the run's own terminal.
#[must_use]
pub fn ballot_words(ballot: &Ballot) -> String {
    let reason = ballot.reason.as_ref().map(|reason| format!(", \"{reason}\"")).unwrap_or_default();
    let place = match &ballot.via {
        Some(via) => format!(" (from {})", via.from),
        None if ballot.typed_by != ballot.who => format!(" (typed by {})", ballot.typed_by),
        None => String::new(),
    };
    reason + &place
}

/// How many of the first `among` steps are part of this run, and how many of those are settled.
#[must_use]
pub fn settled_steps(state: &RunState, among: usize) -> (usize, usize) {
    let part = state.outlines().iter().zip(&state.steps).take(among).filter(|(step, _)| step.part());
    let (settled, open): (Vec<_>, Vec<_>) = part.partition(|(_, run)| run.forward.state.settled());
    (settled.len(), settled.len() + open.len())
}

/// How many steps `--from` and `--until` keep out of this run.
#[must_use]
pub fn not_part(state: &RunState) -> usize {
    state.outlines().iter().filter(|step| !step.part()).count()
}

/// How a run ended, as a sentence.
#[must_use]
pub fn ending_words(ending: Ending, state: &RunState) -> String {
    let words = ending_of(ending, state);
    match (ending, not_part(state)) {
        (Ending::Completed | Ending::WithExceptions, n @ 1..) => {
            let words = words.replacen("everything ", "everything of this run ", 1);
            let (s, were) = if n == 1 { ("", "was") } else { ("s", "were") };
            format!("{words}; {n} step{s} {were} not part of it")
        }
        _ => words.to_owned(),
    }
}

fn ending_of(ending: Ending, state: &RunState) -> &'static str {
    let dry = state.outline.as_ref().is_some_and(|outline| outline.dry_run);
    match ending {
        Ending::Completed if dry => "everything was looked at, nothing was done",
        Ending::Completed => "everything is done",
        Ending::WithExceptions if only_left_out(state) => "done in part: what could not run here was left out",
        Ending::WithExceptions => "done, with steps skipped, failed or done by hand",
        Ending::RolledBack => "everything was taken back",
        Ending::RolledBackInPart => "taken back, but not everything",
        Ending::Aborted => "stopped; nothing was undone",
    }
}

/// True where nothing else stands against a run than that it was partial.
#[must_use]
pub fn only_left_out(state: &RunState) -> bool {
    let exception = |step: &StepRun| {
        use Settlement::{ByHand, FailedGoOn, Skipped};
        matches!(step.forward.state, StepState::Settled(Gate::Otherwise(ByHand(_) | Skipped(_) | FailedGoOn(_))))
    };
    state.outline.as_ref().is_some_and(|outline| outline.partial()) && !state.steps.iter().any(exception)
}

/// `9 steps, 3 criteria`: what a partial run leaves out; `None` where it is whole.
#[must_use]
pub fn left_out_words(outline: &Outline) -> Option<String> {
    let count = outline.left_out();
    let counted = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let parts = [
        counted(count.steps, "step", "steps"),
        counted(count.criteria, "criterion", "criteria"),
        counted(count.watches, "watch", "watches"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// `PARTIAL: 9 steps, 3 criteria are left out: no PostgreSQL …; apt-get install postgresql`, for where a partial run
/// is announced.
#[must_use]
pub fn partial_words(outline: &Outline) -> Option<String> {
    let what = left_out_words(outline)?;
    let verb = if what.starts_with("1 ") && !what.contains(',') { "is" } else { "are" };
    let why: Vec<String> = outline.lacks.iter().map(|lack| format!("no {} ({})", lack.what, lack.why)).collect();
    let install = outline.lacks.first().map(|lack| format!("; to run everything: {}", lack.install));
    Some(format!("PARTIAL: {what} {verb} left out: {}{}", why.join(", "), install.unwrap_or_default()))
}

/// How a step was settled without an attempt, as a fragment.
#[must_use]
pub fn settlement_words(settlement: &Settlement) -> (String, Role) {
    match settlement {
        Settlement::Decided => ("decided: go".into(), Role::Good),
        Settlement::FoundDone(line) => (format!("found done: {line}"), Role::Good),
        Settlement::ByHand(reason) => (format!("done by hand: {reason}"), Role::Hand),
        Settlement::Skipped(reason) => (format!("skipped: {reason}"), Role::Skipped),
        Settlement::FailedGoOn(reason) => (format!("failed, going on: {reason}"), Role::Warn),
        Settlement::NotRun(reason) => (format!("not part of this run: {reason}"), Role::Dim),
        Settlement::LeftOut(reason) => (format!("left out: {reason}"), Role::Warn),
    }
}

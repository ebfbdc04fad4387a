//! One event, one line. Most words are the board's; where a listener needs more than a glance at a
//! table gives (whose step, how long by plan, can we go back), they are put here.

use crate::{
    base::{StepId, short_duration},
    board::{Board, Face, partial_words, spoken, tell},
    run::{Envelope, Event, Leg, Opened, Outcome, RunState, StepOutline, StepState, Timing, What},
};

/// Longest line of a request in words.
const DOES: usize = 400;

/// True where an event's lines depend on the state before it.
pub(super) fn compares(event: &Event) -> bool {
    matches!(event, Event::CriterionSeen { .. } | Event::WatchSampled { .. })
}

/// The lines of an event, without the clock: first what everybody has to know. `before` and `after`
/// are the states around it. Progress and the output of attempts are not told here.
pub(super) fn lines(before: &RunState, after: &RunState, envelope: &Envelope, face: &Face) -> Vec<String> {
    match &envelope.event {
        Event::Opened(opened) => heading(opened, after, envelope, face),
        Event::Line { .. } | Event::Progressed { .. } => Vec::new(),
        Event::AttemptStarted { step, what, .. } => vec![started(after, step, *what)],
        Event::AttemptEnded { step, attempt, outcome } => ended(after, step, *attempt, outcome, envelope),
        Event::Intended(intended) => {
            let does = if intended.does.is_empty() { "acts".to_owned() } else { intended.does.join("; ") };
            vec![format!("step {} sends: {}", number(after, &intended.step), crate::base::bounded(&does, DOES))]
        }
        Event::Checked { step, seen, .. } => vec![format!("step {} check: {}", number(after, step), seen.line)],
        Event::CriterionSeen { step, index, ok, .. } => {
            let was = before.step(step).and_then(|(_, run)| run.criteria.get(*index)).and_then(|c| c.ok);
            if was == Some(*ok) { Vec::new() } else { told(after, envelope) }
        }
        Event::WatchSampled { watch, ok, .. } => {
            let was = before.watches.iter().find(|w| &w.id == watch).and_then(|w| w.latest.as_ref().map(|l| l.1));
            if was == Some(*ok) { Vec::new() } else { told(after, envelope) }
        }
        Event::Held { .. } => {
            let mut lines = told(after, envelope);
            if let Some(line) = lines.first_mut() {
                *line = format!("{line}. {}", way_back(after, envelope, face));
            }
            lines
        }
        Event::NoReturnCrossed { step } => {
            let after_it = after.step(step).and_then(|(outline, _)| outline.after_no_return.clone());
            told(after, envelope)
                .into_iter()
                .map(|line| format!("{line}. {}", after_it.clone().unwrap_or_default()))
                .collect()
        }
        Event::RollbackBegan { left, .. } => {
            let mut lines = told(after, envelope);
            lines.extend(left.iter().map(|(step, why)| format!("cannot be undone: {} ({why})", number(after, step))));
            lines
        }
        Event::Ended { .. } => {
            let mut lines = told(after, envelope);
            if let Some(last) = lines.first_mut() {
                let header = Board::of(after, envelope.stamp(), face).header;
                let late = header.lateness.text;
                let late = if late.is_empty() { late } else { format!(", {late}") };
                *last = format!("{last}. {} of {} steps, {}{late}.", header.done, header.steps, header.since);
            }
            lines
        }
        Event::Unknown(_) => vec!["an event of a newer version, not shown".into()],
        _ => told(after, envelope),
    }
}

/// The board's line, behind a word that can be heard: its tags are made for a narrow column.
fn told(after: &RunState, envelope: &Envelope) -> Vec<String> {
    let Some(told) = tell(after, envelope) else { return Vec::new() };
    let word = match &envelope.event {
        Event::Asked { .. } => "ASKED: ",
        Event::Decided { .. } => "DECIDED: ",
        Event::Held { .. } => "HELD: ",
        Event::Released { .. } => "GO ON: ",
        Event::NoReturnCrossed { .. } => "NO RETURN: ",
        Event::RollbackBegan { .. } => "ROLLBACK: ",
        Event::Ended { .. } => "ENDED: ",
        Event::Settled { .. } => "step ",
        Event::Voted { .. } => "vote at ",
        Event::Ticked { on: true, .. } => "ticked at ",
        Event::Ticked { on: false, .. } => "NOT DONE after all at ",
        Event::Noted { .. } => "note by ",
        Event::Identified { .. } => "identity ",
        Event::Resumed(_) => "RESUMED: ",
        Event::Confirmed { .. } | Event::OwnerSaidDone { .. } => "",
        _ => return vec![format!("{} {}", told.tag, told.text)],
    };
    vec![format!("{word}{}", told.text)]
}

/// A step's number, or its name where the outline does not know it.
pub(super) fn number(state: &RunState, step: &StepId) -> String {
    state.position(step).map_or_else(|| step.to_string(), |i| (i + 1).to_string())
}

fn heading(opened: &Opened, after: &RunState, envelope: &Envelope, face: &Face) -> Vec<String> {
    let header = Board::of(after, envelope.stamp(), face).header;
    let outline = &opened.outline;
    let place: Vec<&str> =
        std::iter::once(outline.env.name.as_str()).chain(outline.env.fence.iter().map(String::as_str)).collect();
    let mut lines = vec![
        format!(
            "{} {}, {}. Run {}. Operator {}.",
            header.mode,
            outline.runbook,
            place.join(", "),
            opened.run,
            opened.operator
        ),
        format!("{}. {}.", outline.title, face.date(envelope.stamp())),
    ];
    let planned = Timing::of(after, envelope.stamp()).map(|timing| spoken(timing.planned_total)).unwrap_or_default();
    let window = header.window.map(|window| format!(", {window}")).unwrap_or_default();
    let no_return = match outline.steps.iter().position(StepOutline::closes) {
        Some(i) => format!("No return at step {}: {}.", i + 1, outline.steps[i].title),
        None if outline.steps.iter().any(|step| step.no_return) => "No point of no return in this run.".into(),
        None => "No point of no return.".into(),
    };
    lines.extend(partial_words(outline).map(|words| format!("{words}.")));
    let steps = match outline.steps.len() {
        all if all == header.steps => format!("{all} steps"),
        all => format!("{} of {all} steps", header.steps),
    };
    lines.push(format!("{steps}, {planned} by plan, {}{window}. {no_return}", header.ends));
    lines
}

fn started(after: &RunState, id: &StepId, what: What) -> String {
    let number = number(after, id);
    let Some((step, run)) = after.step(id) else { return format!("step {number} started") };
    match what {
        What::Do if run.forward.tries > 1 => {
            format!("step {number} attempt {} started: {}", run.forward.tries, step.title)
        }
        What::Do => format!(
            "step {number} of {} started: {}. Owner {}. Plan {}.",
            after.steps.len(),
            step.title,
            step.owner,
            spoken(step.planned)
        ),
        What::Recheck => format!("step {number} is checked again"),
        What::Probe => {
            format!("step {number} in doubt: looking whether attempt {} was done", run.forward.tries)
        }
        What::Undo => format!("step {number} UNDO started: {}", step.title),
        What::ProbeUndo => format!("step {number} undo in doubt: looking whether it was done"),
    }
}

fn ended(after: &RunState, id: &StepId, attempt: u32, outcome: &Outcome, envelope: &Envelope) -> Vec<String> {
    let number = number(after, id);
    let Some((step, run)) = after.step(id) else { return Vec::new() };
    let Some(known) = run.attempt(attempt) else { return Vec::new() };
    let took = short_duration(envelope.stamp() - known.started);
    let leg = run.leg(known.what.leg());
    let tries = leg.map_or(1, |leg| leg.tries);
    let nth = if tries > 1 { format!(", attempt {tries}") } else { String::new() };
    let plan = short_duration(step.planned);
    let says = |line: &str| if line.is_empty() { String::new() } else { format!(" {line}") };
    match (outcome, known.what) {
        // The probe's finding is the next event.
        (Outcome::Done(_), What::Probe | What::ProbeUndo) => Vec::new(),
        (Outcome::Done(done), What::Do) => {
            vec![format!("step {number} DONE after {took} (plan {plan}){nth}.{}", says(&done.line))]
        }
        (Outcome::Done(done), What::Recheck) => {
            let by_hand = run.forward.reason.as_ref().map_or("found done", |_| "by hand");
            // Without checks of its own the line says that there was nothing to look at.
            let hold = if step.verifies.is_empty() { "" } else { ", its checks hold" };
            vec![format!("step {number} DONE {by_hand}{hold}.{}", says(&done.line))]
        }
        (Outcome::Done(done), What::Undo) => vec![format!("step {number} UNDONE after {took}.{}", says(&done.line))],
        (Outcome::Failed(failure), what) => {
            let word = match what {
                What::Do => "FAILED",
                What::Recheck => "CHECK FAILED",
                What::Probe | What::ProbeUndo => "PROBE FAILED",
                What::Undo => "UNDO FAILED",
            };
            let class = failure.class.words();
            vec![format!(
                "step {number} {word} after {took}{nth} ({class}): {}.",
                failure.message.trim_end_matches('.')
            )]
        }
    }
}

/// `Rollback open, takes about 7m30s. No return at step 16, in 5 steps.`
pub(super) fn way_back(state: &RunState, envelope: &Envelope, face: &Face) -> String {
    let rollback = Board::of(state, envelope.stamp(), face).header.rollback;
    let no_return =
        [rollback.no_return, rollback.left].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join(" ");
    let mut rest = no_return.chars();
    let no_return = match rest.next() {
        Some(first) => format!(" {}{}.", first.to_uppercase(), rest.as_str()),
        None => String::new(),
    };
    format!("Rollback {}, {}.{no_return}", rollback.word, rollback.undo)
}

/// Steps at work and since when, for lines between events.
pub(super) fn at_work(state: &RunState) -> impl Iterator<Item = (usize, Leg, crate::base::Stamp)> {
    state
        .active_legs()
        .filter(|(_, _, run)| run.state == StepState::Running)
        .filter_map(|(i, leg, run)| Some((i, leg, run.since?)))
}

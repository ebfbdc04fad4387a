//! Everything about one step, as labelled lines.

use super::{
    ask::{undo_words, wait::instructions},
    clock::Face,
    header::Said,
    mark::{Mark, Role},
    words::{ballot_words, settlement_words, spoken},
};
use crate::{
    base::{Stamp, StepId, short_duration},
    run::{Gate, Leg, Mode, RunState, StepState, Timing, Treatment, Undo, What},
};

/// One step in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// The step.
    pub id: StepId,
    /// From 1.
    pub number: usize,
    /// The title.
    pub title: String,
    /// Its state.
    pub mark: Mark,
    /// `5m00 of 3m12`, or empty.
    pub times: String,
    /// 0 to 100, while an attempt says how far it is.
    pub percent: Option<u8>,
    /// The last line of its log or progress.
    pub tail: String,
    /// Label and words. An empty label goes on with the one above.
    pub lines: Vec<(&'static str, Said)>,
}

impl Detail {
    /// A step in full; `None` where there is no such step.
    #[must_use]
    pub fn of(state: &RunState, timing: &Timing, id: &StepId, now: Stamp, face: &Face) -> Option<Self> {
        let i = state.position(id)?;
        let (step, run) = state.step(id)?;
        let times = &timing.steps[i];
        let mut lines: Vec<(&'static str, Said)> = Vec::new();
        let mut add = |label: &'static str, role: Role, text: String| {
            if !text.is_empty() {
                lines.push((label, Said::new(text, role)));
            }
        };
        let several = |label: &'static str, texts: &[String], role: Role, lines: &mut Vec<(&'static str, Said)>| {
            for (j, text) in texts.iter().enumerate() {
                lines.push((if j == 0 { label } else { "" }, Said::new(text.clone(), role)));
            }
        };
        add("owner", Role::Plain, format!("{}   kind {}   id {}", step.owner, step.kind, step.id));
        add("left out", Role::Warn, step.left_out().unwrap_or_default().to_owned());
        add("why", Role::Dim, step.why.clone().unwrap_or_default());
        if let Some(stop) = &step.stop {
            add("asks", Role::Plain, format!("{} ({} decides)", stop.question, stop.decides));
        }
        if let Some(stop) = &step.stop {
            for (j, (words, seen)) in stop.criteria.iter().zip(&run.criteria).enumerate() {
                let (verdict, role) = match seen.ok {
                    Some(true) => ("pass", Role::Good),
                    Some(false) => ("FAIL", Role::Bad),
                    None => ("--", Role::Dim),
                };
                let label = if j == 0 { "criteria" } else { "" };
                lines.push((label, Said::new(format!("{verdict}  {words}  {}", seen.line), role)));
            }
            for (j, left) in stop.left_out.iter().enumerate() {
                let label = if j == 0 && stop.criteria.is_empty() { "criteria" } else { "" };
                lines.push((label, Said::new(format!("OUT   {}  left out: {}", left.looks, left.why), Role::Warn)));
            }
            for (j, ballot) in run.votes.iter().enumerate() {
                let (word, role) = if ballot.go { ("GO", Role::Good) } else { ("NO-GO", Role::Bad) };
                let label = if j == 0 { "votes" } else { "" };
                let about = ballot_words(ballot);
                let text = format!("{word}  {}  {}{about}", ballot.who, face.clock(ballot.at));
                lines.push((label, Said::new(text, role)));
            }
        }
        let hands = step.hands(Leg::Forward).unwrap_or_default();
        several("does", &instructions(step.does.clone(), &hands), Role::Plain, &mut lines);
        for (j, item) in hands.checklist.iter().enumerate() {
            let (mark, by, role) = match run.forward.ticks.get(&j) {
                Some(tick) => ("x", format!("   {} {}", tick.who, face.clock(tick.at)), Role::Good),
                None => (" ", String::new(), Role::Plain),
            };
            let label = if j == 0 { "checklist" } else { "" };
            lines.push((label, Said::new(format!("[{mark}] {} {item}{by}", j + 1), role)));
        }
        if let Some(value) = &hands.value {
            let is = hands.rule.as_ref().map(|rule| format!(" ({})", rule.words())).unwrap_or_default();
            lines.push(("value", Said::new(format!("{value}{is}"), Role::Plain)));
        }
        several("checks", &step.verifies, Role::Plain, &mut lines);
        let tested = match &step.undo {
            Undo::Restore | Undo::Action(_) if step.undo_tested => ", tried in a rehearsal",
            Undo::Restore | Undo::Action(_) => ", never tried",
            Undo::Nothing | Undo::None(_) => "",
        };
        let mut undo = undo_words(&step.undo);
        if let Some(last) = undo.last_mut() {
            last.push_str(tested);
        }
        let undo_role = if matches!(step.undo, Undo::None(_)) { Role::Warn } else { Role::Plain };
        several("undo", &undo, undo_role, &mut lines);
        let mut add = |label: &'static str, role: Role, text: String| {
            if !text.is_empty() {
                lines.push((label, Said::new(text, role)));
            }
        };
        let on_failure = match (&step.go_on_after_failure, step.retry) {
            (Some(reason), _) => format!("goes on: {reason}"),
            (None, Some(retry)) => {
                format!("{} attempts, {} apart, where nothing was done; then hold", retry.attempts, spoken(retry.wait))
            }
            (None, None) => "hold".into(),
        };
        add("if fails", Role::Plain, on_failure);
        if step.no_return {
            add("NO RETURN", Role::Bad, step.after_no_return.clone().unwrap_or_else(|| "there is no way back".into()));
        }
        if let Treatment::ReadOnly = step.treatment {
            add("dry run", Role::Wait, "its checks are real, its action is not done".into());
        }
        if !step.rehearsed && state.outline.as_ref().is_some_and(|outline| outline.mode == Mode::Run) {
            add("rehearsed", Role::Warn, "not as it is now: never part of a green rehearsal, or changed since".into());
        }
        let needs: Vec<String> = step.needs.iter().map(ToString::to_string).collect();
        add("needs", Role::Dim, needs.join(", "));
        let mut clock = format!("plan {}   limit {}", short_duration(times.planned), short_duration(step.timeout));
        if let Some(actual) = times.actual {
            clock += &format!("   at work {}", short_duration(actual));
        }
        if !times.waited.is_zero() {
            clock += &format!("   waited for people {}", short_duration(times.waited));
        }
        add("times", Role::Plain, clock);
        for attempt in &run.attempts {
            let what = match attempt.what {
                What::Do => "",
                What::Recheck => " checks again",
                What::Probe | What::ProbeUndo => " looks",
                What::Undo => " undo",
            };
            let took = attempt.ended.unwrap_or(now) - attempt.started;
            let (ending, role) = match (&attempt.failure, attempt.ended, attempt.lost) {
                (Some(failure), ..) => (format!("FAILED {}", failure.message), Role::Bad),
                (None, Some(_), _) => ("done".into(), Role::Good),
                (None, None, true) => ("lost".into(), Role::Warn),
                (None, None, false) => ("at work".into(), Role::Run),
            };
            let text = format!("{}{what}  {}  {ending}", face.clock(attempt.started), short_duration(took));
            add("attempt", role, text);
        }
        if let StepState::Settled(Gate::Otherwise(settlement)) = &run.forward.state {
            let (text, role) = settlement_words(settlement);
            add("result", role, text);
        } else if let Some(line) = &run.line {
            add("result", Role::Good, line.clone());
        }
        for note in state.notes.iter().filter(|note| note.step.as_ref() == Some(id)) {
            add("note", Role::Strong, format!("{} {}: {}", face.minute(note.at), note.who, note.text));
        }
        let actual = times.actual.map(short_duration);
        Some(Self {
            id: id.clone(),
            number: i + 1,
            title: step.title.clone(),
            mark: Mark::of(state, step, run),
            times: actual.map(|a| format!("{a} of {}", short_duration(times.planned))).unwrap_or_default(),
            percent: run.percent.filter(|_| run.forward.state == StepState::Running),
            tail: run.tail.clone(),
            lines,
        })
    }
}

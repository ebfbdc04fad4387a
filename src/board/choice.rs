//! What people can choose when a step failed, and at any time: what each does, costs and asks for.

use super::words::spoken;
use crate::{
    base::{Class, StepId},
    run::{Finding, HoldWhy, Leg, RunState, Timing, Undo, Why},
};

/// What a choice does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Leave everything as it is.
    Hold,
    /// Look at the log.
    Log,
    /// Try again.
    Retry,
    /// It was done by hand; check it.
    ByHand,
    /// Leave the step.
    Skip,
    /// Take everything back.
    RollBack,
    /// Stop, undo nothing.
    Abort,
}

/// How much a choice wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It can be given.
    Optional,
    /// It must be given, and what it is to say.
    Needed(String),
}

/// One choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The letter that moves the cursor to it.
    pub key: char,
    /// What it does.
    pub act: Act,
    /// The step it is about; `None` for the whole run.
    pub step: Option<StepId>,
    /// Two or three words.
    pub label: &'static str,
    /// One line.
    pub does: String,
    /// How long: `~5m00`, or empty.
    pub cost: String,
    /// The word that acts; `None` where nothing has to be typed.
    pub word: Option<&'static str>,
    /// The reason that goes with it.
    pub reason: Reason,
    /// What is lost: shown with a double border before the word is typed.
    pub loses: Vec<String>,
}

impl Choice {
    /// `type skip + why`.
    #[must_use]
    pub fn asks(&self) -> String {
        match (self.word, &self.reason) {
            (None, _) => String::new(),
            (Some(word), Reason::Needed(_)) => format!("type {word} + why"),
            (Some(word), Reason::Optional) => format!("type {word}"),
        }
    }
}

/// The choices at a failure or a doubt, Hold first and the worst last.
pub(super) fn failure_choices(
    state: &RunState,
    timing: &Timing,
    i: usize,
    leg: Leg,
    why: &Why,
    looking: bool,
) -> Vec<Choice> {
    let step = &state.outlines()[i];
    let number = i + 1;
    let id = Some(step.id.clone());
    let plain = |key, act, label, does: &str| Choice {
        key,
        act,
        step: id.clone(),
        label,
        does: does.into(),
        cost: String::new(),
        word: None,
        reason: Reason::Optional,
        loses: Vec::new(),
    };
    let mut choices = vec![
        plain('h', Act::Hold, "Hold", "keep everything as it is"),
        plain('l', Act::Log, "Log", "open the log of this step"),
    ];
    if looking {
        return choices;
    }
    let unsure = match why {
        Why::InDoubt(Some(Finding::Done(_))) => Some("it was found done"),
        Why::InDoubt(Some(Finding::Unclear { .. }) | None) => Some("nobody knows whether it was done"),
        Why::Failed(failure) if failure.class == Class::Unknown => Some("the outcome before is not known"),
        Why::InDoubt(Some(Finding::NotDone { .. })) | Why::Lost | Why::Failed(_) => None,
    };
    let verb = if leg == Leg::Back { "undo it again" } else { "do it again" };
    choices.push(Choice {
        cost: format!("~{}", spoken(step.planned)),
        word: Some("retry"),
        reason: unsure.map_or(Reason::Optional, |why| Reason::Needed(why.into())),
        loses: unsure.map(|why| format!("{why}: it may happen twice")).into_iter().collect(),
        ..plain('r', Act::Retry, "Retry", verb)
    });
    let by_hand = if leg == Leg::Back { "I undid it myself; go on" } else { "I did it; check it, go on" };
    choices.push(Choice {
        word: Some("done"),
        reason: Reason::Needed("what was done by hand".into()),
        ..plain('d', Act::ByHand, "Done by hand", by_hand)
    });
    let (skipped, lost) = match leg {
        Leg::Back => {
            (format!("leave {number}, go on undoing"), format!("{number} stays as it is now, not taken back."))
        }
        Leg::Forward => {
            (format!("leave {number} failed, go on"), format!("Everything after {number} runs without it."))
        }
    };
    choices.push(Choice {
        word: Some("skip"),
        reason: Reason::Needed("what is lost by leaving it".into()),
        loses: vec![lost + " The report says so, with your reason."],
        ..plain('s', Act::Skip, "Skip", &skipped)
    });
    choices.extend(standing_choices(state, timing));
    choices
}

/// What can be chosen at any time: roll back, where there is a way back, and abort.
pub(super) fn standing_choices(state: &RunState, timing: &Timing) -> Vec<Choice> {
    let mut choices = Vec::new();
    if state.ended.is_some() || state.outline.is_none() {
        return choices;
    }
    if way_back(state) {
        let order = undo_order(state);
        let back: Vec<usize> = order.iter().copied().filter(|&i| state.outlines()[i].undoable()).collect();
        let numbers: Vec<String> = back.iter().map(|i| (i + 1).to_string()).collect();
        let stays: Vec<String> = order
            .iter()
            .filter_map(|&i| match &state.outlines()[i].undo {
                Undo::None(reason) => Some(format!("{} stays as it is: {reason}", i + 1)),
                Undo::Nothing | Undo::Restore | Undo::Action(_) => None,
            })
            .collect();
        let takes = match numbers.as_slice() {
            [] => "Takes nothing back: nothing that was done has a way back. The run ends here.".to_owned(),
            numbers => format!("Takes back {} one by one, each asked for.", numbers.join(", ")),
        };
        let mut loses = vec![takes, "What was reached tonight is given up.".to_owned()];
        loses.extend(stays);
        choices.push(Choice {
            key: 'b',
            act: Act::RollBack,
            step: None,
            label: "Roll back",
            does: range(&back),
            cost: if back.is_empty() { String::new() } else { format!("~{}", spoken(timing.bar.undo)) },
            word: Some("rollback"),
            reason: Reason::Optional,
            loses,
        });
    }
    choices.push(Choice {
        key: 'A',
        act: Act::Abort,
        step: None,
        label: "Abort",
        does: "stop here, undo nothing".into(),
        cost: String::new(),
        word: Some("abort"),
        reason: Reason::Optional,
        loses: vec![
            "The run ends here for good; it cannot be resumed.".into(),
            "Everything stays as it is now, half done.".into(),
        ],
    });
    choices
}

/// True where a rollback can be chosen. A decision that cannot be recorded is not taken.
pub(super) fn way_back(state: &RunState) -> bool {
    let recorded = !state.hold.as_ref().is_some_and(|hold| matches!(hold.why, HoldWhy::JournalFailed(_)));
    let forward = state.crossed.is_none() && state.rollback.is_none() && state.ended.is_none();
    forward && recorded && !undo_order(state).is_empty()
}

/// Steps that would be taken back, in that order: the reverse of the order in which they were done.
fn undo_order(state: &RunState) -> Vec<usize> {
    let outlines = state.outlines();
    let mut order: Vec<usize> =
        (0..outlines.len()).filter(|&i| state.steps[i].touched && outlines[i].undo != Undo::Nothing).collect();
    order.sort_by_key(|&i| std::cmp::Reverse((state.steps[i].forward.began.map(|s| s.elapsed), i)));
    order
}

/// `undo 10 and 9`, or `undo 6 steps: 10 to 5`.
fn range(order: &[usize]) -> String {
    match order {
        [one] => format!("undo {}", one + 1),
        [one, two] => format!("undo {} and {}", one + 1, two + 1),
        [first, .., last] => format!("undo {} steps: {} to {}", order.len(), first + 1, last + 1),
        [] => "end here: nothing can be undone".into(),
    }
}

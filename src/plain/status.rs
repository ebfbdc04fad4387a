//! `status`: late or not, can we go back, who is on, what is next. The header, in four sentences.

use super::lines::at_work;
use crate::{
    base::Stamp,
    board::{Board, Face},
    run::RunState,
};

/// The lines of a moment.
#[must_use]
pub fn status(state: &RunState, now: Stamp, face: &Face) -> Vec<String> {
    let board = Board::of(state, now, face);
    let header = board.header;
    let join = |parts: Vec<String>| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let said = |said: Option<crate::board::Said>| said.map(|said| said.text).unwrap_or_default();
    let on: Vec<String> = at_work(state)
        .filter_map(|(i, _, _)| {
            state.outlines().get(i).map(|step| format!("{} (step {} {})", step.owner, i + 1, step.title))
        })
        .collect();
    let on = if on.is_empty() { "nothing is at work".to_owned() } else { on.join(", ") };
    vec![
        format!(
            "{} {} {}. {}.",
            header.mode,
            header.runbook,
            header.env,
            join(vec![
                header.lateness.text,
                format!("{} of {} steps", header.done, header.steps),
                said(header.standing),
                header.ends,
                header.window.unwrap_or_default(),
                said(header.slack),
            ])
        ),
        format!(
            "Rollback {}. {}.",
            header.rollback.word,
            join(vec![
                header.rollback.undo,
                header.rollback.no_return,
                header.rollback.left,
                said(header.freeze),
                said(header.downtime),
                said(header.watch),
            ])
        ),
        format!("On it: {on}. Operator {}, lead {}.", header.operator, header.lead),
        format!("Next: {}.", board.next.text),
    ]
}

//! `status`: late or not, can we go back, who is on, what is next. The header, in four sentences; of a run that
//! nobody drives the first two.

use super::lines::at_work;
use crate::{
    base::Stamp,
    board::{Board, Face, Header},
    run::RunState,
};

/// The lines of a moment in a run that is driven: where it stands, who is at work and what is next.
#[must_use]
pub fn status(state: &RunState, now: Stamp, face: &Face) -> Vec<String> {
    let board = Board::of(state, now, face);
    let on: Vec<String> = at_work(state)
        .filter_map(|(i, _, _)| {
            state.outlines().get(i).map(|step| format!("{} (step {} {})", step.owner, i + 1, step.title))
        })
        .collect();
    let on = if on.is_empty() { "nothing is at work".to_owned() } else { on.join(", ") };
    let people = format!("On it: {on}. Operator {}, lead {}.", board.header.operator, board.header.lead);
    let next = format!("Next: {}.", board.next.text);
    standing(board.header).into_iter().chain([people, next]).collect()
}

/// Late or not, and can we go back: true also where nobody drives the run.
#[must_use]
pub fn standing(header: Header) -> [String; 2] {
    let join = |parts: Vec<String>| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let said = |said: Option<crate::board::Said>| said.map(|said| said.text).unwrap_or_default();
    [
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
    ]
}

//! `gonogo vote`: a voter's go or no-go at a stop point, from their own terminal.

use std::path::Path;

use super::{
    Exit, Outcome, Problem,
    attached::{Line, person, problem, step, waiting},
    print, state_dir,
    view::face,
};
use crate::{
    attach::{Ask, AskError, Mirror},
    board::{Ask as Asked, Board, StopAsk},
    run::{StepOutline, StopOutline},
};

/// Arguments of `vote`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The run: its id, the beginning of it, or `last`.
    run: String,
    /// The stop point: its id, or its number on the screen.
    step: String,
    /// The vote.
    #[arg(value_enum)]
    word: Word,
    /// Whose vote it is: one of the stop point's voters.
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// Why; shown beside the vote and recorded.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Word {
    /// For it.
    Go,
    /// Against it.
    NoGo,
}

pub(super) fn run(args: Args, state: Option<&Path>) -> Outcome {
    let line = Line::to(&state_dir(state)?, &args.run)?;
    let text = waiting(async {
        let (mut attached, mut mirror) = line.attach().await?;
        let Some(outline) = mirror.state.outline.clone() else {
            return Err(Problem::new(Exit::NotTaken, "the run is not open yet"));
        };
        let who = person(&outline, &args.name)?;
        let at = step(&mirror.state, &args.step)?;
        let (id, opening) = (outline.steps[at].id.clone(), mirror.state.steps[at].opening);
        let go = args.word == Word::Go;
        let vote = Ask::Vote { step: id, who: who.clone(), go, opening, reason: args.reason.clone() };
        let total = attached.say(vote).await.map_err(|error| explained(&error, &outline.steps[at]))?;
        attached.catch_up(&mut mirror, total).await.map_err(|error| problem(&error))?;
        Ok(told(&mirror, at, &format!("{who} votes {}", if go { "go" } else { "no-go" })))
    })?;
    print(&text)
}

/// A refusal with what its reader needs to do it right.
fn explained(error: &AskError, step: &StepOutline) -> Problem {
    let problem = problem(error);
    let AskError::Refused { code, .. } = error else { return problem };
    match (code.as_str(), &step.stop) {
        ("not_a_voter", Some(StopOutline { voters, decides, .. })) => {
            let voters: Vec<&str> = voters.iter().map(crate::base::PersonId::as_str).collect();
            let voters = if voters.is_empty() { "nobody".to_owned() } else { voters.join(", ") };
            problem.hint(format!("asked there: {voters}; {decides} decides, at the run's own terminal"))
        }
        ("not_asked", _) => problem.hint("a vote is taken while the question is on the screen"),
        _ => problem,
    }
}

/// The vote as it was taken, and how the votes stand with it.
fn told(mirror: &Mirror, at: usize, said: &str) -> String {
    let state = &mirror.state;
    let step = &state.outlines()[at];
    let mut text = format!("{said} at {} {} ({})\n", at + 1, step.title, step.id);
    let now = mirror.now.or(state.last);
    let face = face();
    let asked = now.and_then(|now| Board::of(state, now, &face).ask);
    match (&asked, &state.steps[at].answer) {
        (Some(Asked::StopPoint(ask)), _) if ask.step == step.id => text += &votes(ask),
        (_, Some((who, go, when))) => {
            let word = if *go { "go" } else { "no-go" };
            text += &format!("{who} has decided {word} at {}\n", face.clock(*when));
        }
        _ => {}
    }
    text
}

/// How the votes stand, a line each; whose is missing, and who decides.
pub(super) fn votes(ask: &StopAsk) -> String {
    let mut text = String::new();
    for vote in ask.votes.iter().filter(|vote| ask.voters.contains(&vote.who)) {
        let word = match vote.go {
            Some(true) => "GO",
            Some(false) => "NO-GO",
            None => "no vote yet",
        };
        text += &format!("  {:<12} {word:<5}", vote.who);
        let reason = vote.reason.as_ref().map(|reason| format!("\"{reason}\""));
        let from = vote.from.as_ref().map(|from| format!("from {from}"));
        for part in [Some(vote.clock.clone()), reason, from].into_iter().flatten().filter(|part| !part.is_empty()) {
            text += &format!("  {part}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    let against = ask.no_go.as_ref().map(|no_go| format!("; so far {no_go}")).unwrap_or_default();
    text + &format!("  {} decides, at the run's own terminal{against}\n", ask.decides)
}

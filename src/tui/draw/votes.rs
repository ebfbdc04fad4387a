//! The votes of a stop point: what is against it first, from where it came, whose is missing, and how it can be given
//! from another terminal.
//!
//! ```text
//! VOTES   NO-GO sam   02:16:52  "the lag grows"  deploy@bastion pts/3
//!         GO    dana  02:16:40
//!         --    mira  decides
//!         from their own terminals: gonogo vote last go-open go --as NAME
//! ```

use crate::{
    board::{Role, StopAsk, Vote},
    tui::text::{Line, fit, left, line_width, width},
};

const LABEL: usize = 8;
/// Inside widths from which a vote may take two lines.
const ROOMY: usize = 66;

/// The lines, `cells` wide.
pub(super) fn votes(ask: &StopAsk, cells: usize) -> Vec<Line> {
    let bare = |vote: &&Vote| vote.reason.is_none() && vote.from.is_none() && vote.go != Some(false);
    let mut lines = if ask.votes.iter().all(|vote| bare(&vote)) { packed(ask, cells) } else { listed(ask, cells) };
    if ask.votes.iter().any(|vote| vote.go.is_none() && ask.voters.contains(&vote.who)) {
        let name = ask.votes.iter().filter(|vote| vote.go.is_none()).map(|vote| vote.who.as_str()).next();
        let how = format!("from elsewhere: gonogo vote last {} go --as {}", ask.step, name.unwrap_or("NAME"));
        lines.push(vec![(left("", LABEL), Role::Dim), (fit(&how, cells.saturating_sub(LABEL)), Role::Dim)]);
    }
    lines
}

fn word(vote: &Vote) -> (&'static str, Role) {
    match vote.go {
        Some(true) => ("GO", Role::Good),
        Some(false) => ("NO-GO", Role::Bad),
        None => ("--", Role::Dim),
    }
}

fn tail(vote: &Vote) -> &str {
    if vote.decides && vote.go.is_none() { "decides" } else { &vote.clock }
}

/// Where there is nothing to say but names and times: one behind the other, in as many lines as it takes.
fn packed(ask: &StopAsk, cells: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for vote in &ask.votes {
        let (word, role) = word(vote);
        let name = format!("{} {}", vote.who, tail(vote)).trim_end().to_owned() + "   ";
        let wide = width(word) + 1 + width(name.trim_end());
        match lines.last_mut() {
            Some(line) if line_width(line) + wide <= cells => {
                line.extend([(format!("{word} "), role), (name, Role::Plain)]);
            }
            _ => {
                let label = left(if lines.is_empty() { "VOTES" } else { "" }, LABEL);
                lines.push(vec![(label, Role::Dim), (format!("{word} "), role), (name, Role::Plain)]);
            }
        }
    }
    lines
}

/// A line each; those against it first, since where room is short the others are cut.
fn listed(ask: &StopAsk, cells: usize) -> Vec<Line> {
    let names = ask.votes.iter().map(|vote| width(vote.who.as_str())).max().unwrap_or(0);
    let mut votes: Vec<&Vote> = ask.votes.iter().collect();
    votes.sort_by_key(|vote| vote.go != Some(false));
    let lines = |(i, vote): (usize, &Vote)| {
        let (word, role) = word(vote);
        let label = left(if i == 0 { "VOTES" } else { "" }, LABEL);
        let text = if vote.go == Some(false) { Role::Strong } else { Role::Plain };
        let mut line = vec![
            (label, Role::Dim),
            (left(word, 6), role),
            (format!("{}  {}", left(vote.who.as_str(), names), tail(vote)), text),
        ];
        let reason = vote.reason.as_ref().map(|reason| (format!("  \"{reason}\""), text));
        let from = vote.from.as_ref().map(|from| (format!("  {from}"), Role::Dim));
        let wide: usize = reason.iter().chain(&from).map(|(words, _)| width(words)).sum();
        // Where both do not fit, where it came from stands under it; on the smallest screens it is cut.
        let under = cells >= ROOMY && line_width(&line) + wide > cells && reason.is_some();
        let (beside, under) = if under { (None, from) } else { (from, None) };
        for (words, role) in reason.into_iter().chain(beside) {
            let room = cells.saturating_sub(line_width(&line));
            line.push((fit(&words, room), role));
        }
        let indent = LABEL + 6;
        let under = under.map(|(words, role)| {
            vec![(left("", indent), Role::Dim), (fit(words.trim_start(), cells.saturating_sub(indent)), role)]
        });
        std::iter::once(line).chain(under)
    };
    votes.into_iter().enumerate().flat_map(lines).collect()
}

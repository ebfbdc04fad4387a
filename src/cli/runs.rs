//! `gonogo runs`: lists, shows and verifies what was recorded.

use std::path::Path;

use super::{Exit, Outcome, Problem, exit_of, kept::edited, print, run::refused, say, state_dir};
use crate::{
    base::hms,
    board::{not_part, only_left_out, partial_words, settled_steps},
    journal::{Load, Pin, Run, RunDir, find, runs},
    run::{Ending, Envelope, Outline, RunState},
};

/// Arguments of `runs`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Every run, newest first.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// One run: what it was, where it stands, where it is kept.
    Show {
        /// The run.
        #[arg(default_value = "last")]
        run: String,
    },
    /// Checks a run's chain of records from the first to the last, and the runbook and plan that are kept with it.
    Verify {
        /// The run.
        #[arg(default_value = "last")]
        run: String,
        /// An anchor that somebody kept, such as `142-9f3ab2c4d5e60718`.
        #[arg(long, value_name = "ANCHOR")]
        anchor: Vec<String>,
    },
}

pub(super) fn run(args: Args, state: Option<&Path>) -> Outcome {
    let state = state_dir(state)?;
    match args.verb.unwrap_or(Verb::List { json: false }) {
        Verb::List { json } => list(&state, json),
        Verb::Show { run } => show(&found(&state, &run)?),
        Verb::Verify { run, anchor } => verify(&found(&state, &run)?, &anchor),
    }
}

/// The run that a person names.
pub(super) fn found(state: &Path, name: &str) -> Result<Run, Problem> {
    find(state, name).map_err(|e| Problem::new(Exit::Usage, e.to_string()))
}

/// A run read whole: its envelopes, the state they fold to, and what verifying said.
pub(super) fn load(run: &Run) -> Result<(Vec<Envelope>, RunState, Load), Problem> {
    let dir = RunDir::view(&run.path).map_err(refused)?;
    let mut envelopes = Vec::new();
    let mut state = RunState::default();
    let load = dir
        .read(&[], |_, envelope: Envelope| {
            state.evolve(&envelope.event, envelope.stamp());
            envelopes.push(envelope);
        })
        .map_err(refused)?;
    Ok((envelopes, state, load))
}

/// Why there is nothing to show: no record, or not one that can be trusted.
pub(super) fn never_began(run: &Run, load: &Load) -> Problem {
    match load.damage {
        Some(_) => Problem::new(Exit::Damaged, format!("run {}: {}", run.id, verdict(load))),
        None => Problem::new(Exit::Usage, format!("run {} never began", run.id)),
    }
}

/// What verifying said, in a line.
pub(super) fn verdict(load: &Load) -> String {
    match (&load.damage, &load.tear) {
        (Some(damage), _) => format!("DAMAGED at {damage}; the {} records before it are good", load.records),
        (None, Some(tear)) => {
            format!("{} records, chain whole; a torn last write of {} bytes behind them", load.records, tear.bytes)
        }
        (None, None) => {
            let anchored = load.anchored_to.map_or("not anchored".into(), |seq| format!("anchored up to {seq}"));
            format!("{} records, chain whole, {anchored}", load.records)
        }
    }
}

/// Where a run stands, in words. What was left out is never silent.
fn words(state: &RunState) -> String {
    let partial = state.outline.as_ref().is_some_and(|outline| outline.partial());
    let without = match not_part(state) {
        0 => String::new(),
        1 => ", without 1 step".into(),
        n => format!(", without {n} steps"),
    };
    format!("{}{}{without}", word(state), if partial { ", PARTIAL" } else { "" })
}

fn word(state: &RunState) -> &'static str {
    match state.ended {
        Some(Ending::WithExceptions) if only_left_out(state) => "done in part",
        Some(Ending::Completed) => "done",
        Some(Ending::WithExceptions) => "done with exceptions",
        Some(Ending::RolledBack) => "rolled back",
        Some(Ending::RolledBackInPart) => "rolled back in part",
        Some(Ending::Aborted) => "aborted",
        None => match exit_of(state) {
            Exit::NoGo => "no-go, open",
            Exit::StepFailed => "failed, open",
            _ => "open",
        },
    }
}

fn list(state: &Path, json: bool) -> Outcome {
    let all = runs(state).map_err(refused)?;
    let mut rows = Vec::new();
    for run in &all {
        let Ok(dir) = RunDir::view(&run.path) else { continue };
        let plan: Option<Outline> = dir.plan().ok().and_then(|plan| serde_json::from_slice(&plan).ok());
        let (title, env) = plan.map_or(("?".into(), "?".into()), |p| (p.title, p.env.name.to_string()));
        let (word, took, settled, steps) = match load(run) {
            Ok((_, _, load)) if load.damage.is_some() => ("damaged".to_owned(), String::new(), 0, 0),
            Ok((_, state, _)) => {
                let took = state.opened.zip(state.last).map_or(String::new(), |(from, to)| hms(to - from));
                let (settled, steps) = settled_steps(&state, usize::MAX);
                (words(&state), took, settled, steps)
            }
            Err(_) => ("unreadable".to_owned(), String::new(), 0, 0),
        };
        rows.push((run.id.to_string(), env, word, took, settled, steps, title));
    }
    if json {
        let rows: Vec<_> = rows
            .iter()
            .map(|(run, env, state, took, settled, steps, title)| {
                serde_json::json!({ "run": run, "env": env, "state": state, "took": took, "settled": settled, "steps": steps, "title": title })
            })
            .collect();
        return print(&format!("{:#}\n", serde_json::Value::from(rows)));
    }
    if rows.is_empty() {
        say(&format!("no runs in {}", state.join("runs").display()));
        return Ok(Exit::Done);
    }
    let width = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let words = rows.iter().map(|row| row.2.len()).max().unwrap_or(0).max(20);
    let text: String = rows
        .iter()
        .map(|(run, env, word, took, settled, steps, title)| {
            format!("{run}  {env:width$}  {word:<words$}  {took:>8}  {settled:>3}/{steps:<3}  {title}\n")
        })
        .collect();
    print(&text)
}

fn show(run: &Run) -> Outcome {
    let (_, state, load) = load(run)?;
    let Some(outline) = &state.outline else {
        return Err(never_began(run, &load));
    };
    let (settled, steps) = settled_steps(&state, usize::MAX);
    let mut text = format!("{}\n{}\n", run.id, outline.title);
    let mut row = |name: &str, value: String| text.push_str(&format!("{name:<10} {value}\n"));
    row("env", format!("{}  {}", outline.env.name, outline.env.fence.join("  ")));
    for identity in &state.identities {
        row(&identity.system, identity.line.clone());
    }
    if let (Some(opened), Some(last)) = (state.opened, state.last) {
        row("opened", opened.at.to_rfc3339());
        row("last", format!("{} (after {})", last.at.to_rfc3339(), hms(last - opened)));
    }
    row("state", words(&state));
    if let Some(partial) = partial_words(outline) {
        row("left out", partial);
    }
    row("steps", format!("{settled} of {steps} settled"));
    row("journal", verdict(&load));
    row("kept in", run.path.display().to_string());
    print(&text)
}

fn verify(run: &Run, anchors: &[String]) -> Outcome {
    let pins = anchors
        .iter()
        .map(|text| text.parse::<Pin>().map_err(|e| Problem::new(Exit::Usage, e)))
        .collect::<Result<Vec<_>, _>>()?;
    let seen = RunDir::view(&run.path).and_then(|dir| dir.verify(&pins)).map_err(refused)?;
    let mut text = format!("{}: {}\n", run.id, verdict(&seen));
    let (_, state, _) = load(run)?;
    let edited = state.outline.map_or(Ok(Vec::new()), |outline| edited(run, &outline))?;
    edited.iter().for_each(|what| text += &format!("EDITED: {what}\n"));
    print(&text)?;
    Ok(if seen.damage.is_some() || !edited.is_empty() { Exit::Damaged } else { Exit::Done })
}

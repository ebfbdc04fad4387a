//! `gonogo resume`: takes up a run that was held, left, interrupted or killed.

use std::{path::Path, sync::Arc};

use super::{
    Exit, Outcome, Problem,
    night::{self, First, Night, Show},
    run::{operator, refused},
    say, setup, state_dir,
};
use crate::{
    base::Redactor,
    journal::{Resume, RunDir, find},
    plan::Options,
    run::{Envelope, Event, Input, Outline, Resumed, RunState},
};

/// Arguments of `resume`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The run: its id, the beginning of it, or `last`.
    #[arg(default_value = "last")]
    run: String,
    /// The folder is a copy, and a person vouches that the original goes on nowhere.
    #[arg(long)]
    accept_copy: bool,
    #[command(flatten)]
    show: Show,
}

pub(super) fn run(args: Args, state: Option<&Path>) -> Outcome {
    let state = state_dir(state)?;
    let found = find(&state, &args.run).map_err(|e| Problem::new(Exit::Usage, e.to_string()))?;
    let mut past = Vec::new();
    let mut folded = RunState::default();
    let how = Resume { accept_copy: args.accept_copy, ..Resume::default() };
    let resumed = RunDir::resume(&found.path, how, |_, envelope: Envelope| {
        folded.evolve(&envelope.event, envelope.stamp());
        past.push(envelope);
    })
    .map_err(refused)?;
    let dir = resumed.journal.dir().clone();
    let Some(outline) = folded.outline.clone() else {
        return Err(Problem::new(Exit::Usage, format!("run {} was killed before it began", found.id))
            .hint("nothing was executed; start it anew"));
    };
    if folded.ended.is_some() {
        return Err(Problem::new(Exit::Usage, format!("run {} is over", found.id))
            .hint(format!("gonogo replay {0}, gonogo report {0}", found.id)));
    }
    let bytes = dir.runbook().map_err(refused)?;
    if crate::runbook::sha256_hex(&bytes) != outline.source_hash {
        return Err(Problem::new(
            Exit::Damaged,
            "the run cannot go on: its kept runbook.toml was edited after the start",
        )
        .hint("`gonogo replay` shows how far it came"));
    }
    let book = setup::book(bytes, "runbook.toml")?;
    let mut env = setup::env(&book.runbook, Some(outline.env.name.as_str()))?;
    // What was left out stays left out, also where it could be done by now.
    env.sandbox.lacks.clone_from(&outline.lacks);
    args.show.fits(env.kind)?;
    let operator = match &args.show.operator {
        Some(_) => operator(&book.runbook, args.show.operator.as_deref(), env.kind)?,
        None => folded.operator.clone().unwrap_or_else(|| book.runbook.lead.clone()),
    };
    let options = Options {
        mode: outline.mode,
        dry_run: outline.dry_run,
        from: None,
        until: None,
        source_hash: crate::runbook::sha256_hex(&book.bytes),
    };
    let redactor = Arc::new(Redactor::default());
    let now = setup::plan(&book, &env, redactor.clone(), &options)?;
    unchanged(&outline, &now.outline)?;
    args.show.answers(&book.runbook, &outline)?;
    let data = setup::reaches_data(&book, &env, &now);
    let known_tears = past
        .iter()
        .filter_map(|e| if let Event::TornTail { kept_as, .. } = &e.event { Some(kept_as.clone()) } else { None })
        .collect::<Vec<_>>();
    let tears: Vec<Input> = resumed
        .set_aside
        .iter()
        .filter(|tear| !known_tears.contains(&tear.file))
        .map(|tear| Input::Torn { bytes: tear.bytes, kept_as: tear.file.clone() })
        .collect();
    for tear in &tears {
        if let Input::Torn { bytes, kept_as } = tear {
            say(&format!("a torn record of {bytes} bytes at the end of the journal was set aside as {kept_as}"));
        }
    }
    let seq = resumed.journal.next_seq() - 1;
    let taken_up =
        Input::Resume(Resumed { operator: operator.clone(), from: night::user_at_host(), auto_go: args.show.auto_go });
    let first: First = Box::new(move |_identities| tears.into_iter().chain([taken_up]).collect());
    let journal = resumed.journal;
    night::live(Night {
        book,
        env,
        options,
        redactor,
        operator,
        outline,
        data,
        state: folded,
        seq,
        past,
        folder: Box::new(move || Ok((journal, first))),
        show: args.show,
    })
}

/// The plan that was recorded is the plan that goes on: what this version makes of the kept runbook may not differ.
fn unchanged(recorded: &Outline, now: &Outline) -> Result<(), Problem> {
    let changed = |what: String| {
        Err(Problem::new(Exit::Newer, format!("the run cannot go on with this version: {what}"))
            .hint("`gonogo replay` shows how far it came"))
    };
    if recorded.steps.len() != now.steps.len() {
        return changed(format!("{} steps were planned, {} are now", recorded.steps.len(), now.steps.len()));
    }
    match recorded.steps.iter().zip(&now.steps).find(|(then, now)| then.id != now.id || then.hash != now.hash) {
        Some((then, _)) => changed(format!("step `{}` now means something else", then.id)),
        None => Ok(()),
    }
}

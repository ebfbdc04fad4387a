//! `gonogo note`: something written down from another terminal.

use std::path::Path;

use super::{
    Exit, Outcome, Problem,
    attached::{Line, person, problem, step, waiting},
    print, state_dir,
};
use crate::attach::Ask;

/// Arguments of `note`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The run: its id, the beginning of it, or `last`.
    run: String,
    /// The note.
    text: String,
    /// Whose note it is, a name of [people] [default: $USER, where it is one].
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// The step that it is about: its id, or its number on the screen.
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
}

pub(super) fn run(args: Args, state: Option<&Path>) -> Outcome {
    if args.text.trim().is_empty() {
        return Err(Problem::new(Exit::Usage, "a note says something"));
    }
    let line = Line::to(&state_dir(state)?, &args.run)?;
    let text = waiting(async {
        let (mut attached, mirror) = line.attach().await?;
        let Some(outline) = &mirror.state.outline else {
            return Err(Problem::new(Exit::NotTaken, "the run is not open yet"));
        };
        let us = || std::env::var("USER").ok().filter(|us| outline.people.iter().any(|it| it.id.as_str() == us));
        let name = args.name.clone().or_else(us);
        let name = name.ok_or_else(|| Problem::new(Exit::Usage, "say whose note it is: --as NAME"))?;
        let who = person(outline, &name)?;
        let about = args.step.as_deref().map(|name| step(&mirror.state, name)).transpose()?;
        let id = about.map(|at| outline.steps[at].id.clone());
        let note = Ask::Note { who: who.clone(), text: args.text.clone(), step: id };
        attached.say(note).await.map_err(|error| problem(&error))?;
        let about = about.map(|at| format!(" on {} {}", at + 1, outline.steps[at].title)).unwrap_or_default();
        Ok(format!("noted by {who}{about}\n"))
    })?;
    print(&text)
}

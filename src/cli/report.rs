//! `gonogo report`: a recorded night on paper.

use std::path::Path;

use super::{
    Exit, Outcome, Problem, print,
    runs::{found, load, verdict},
    say, state_dir,
    view::face,
};
use crate::report::Report;

/// Arguments of `report`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The run: its id, the beginning of it, `last`, or the path of its folder.
    #[arg(default_value = "last")]
    run: String,
    /// What is written.
    #[arg(long, value_enum, default_value_t = Format::Md)]
    format: Format,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Markdown, for the review.
    Md,
    /// Everything, structured.
    Json,
    /// A row for each step and attempt.
    Csv,
}

pub(super) fn run(args: &Args, state: Option<&Path>) -> Outcome {
    let run = found(&state_dir(state)?, &args.run)?;
    let (envelopes, _, loaded) = load(&run)?;
    let code = if loaded.damage.is_some() { Exit::Damaged } else { Exit::Done };
    let anchors =
        loaded.anchored_to.map(|seq| format!("the head of the journal, up to record {seq}")).into_iter().collect();
    let Some(report) = Report::of(&envelopes, anchors) else {
        return Err(Problem::new(Exit::Usage, format!("run {} never began", run.id)));
    };
    let internal = |e: String| Problem::new(Exit::Internal, e);
    let text = match args.format {
        Format::Md => report.markdown(&face()),
        Format::Json => report.json().map_err(|e| internal(e.to_string()))?,
        Format::Csv => report.csv().map_err(|e| internal(e.to_string()))?,
    };
    match &args.output {
        Some(file) => std::fs::write(file, text)
            .map_err(|e| Problem::new(Exit::Usage, format!("{} cannot be written: {e}", file.display())))?,
        None => drop(print(&text)?),
    }
    say(&format!("{}: {}", run.id, verdict(&loaded)));
    Ok(code)
}

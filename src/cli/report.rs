//! `gonogo report`: a recorded night on paper.

use std::path::{Path, PathBuf};

use super::{
    Exit, Outcome, Problem, print,
    runs::{found, load, never_began, verdict},
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
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Md)]
    format: Format,
    /// Write it to a new file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Markdown, for the review.
    Md,
    /// Everything, structured.
    Json,
    /// A row for each attempt.
    Csv,
}

pub(super) fn run(args: &Args, state: Option<&Path>) -> Outcome {
    let run = found(&state_dir(state)?, &args.run)?;
    let (envelopes, _, loaded) = load(&run)?;
    let report = Report::of(&envelopes, vec![verdict(&loaded)]).ok_or_else(|| never_began(&run, &loaded))?;
    let internal = |e: &dyn std::fmt::Display| Problem::new(Exit::Internal, e.to_string());
    let text = match args.format {
        Format::Md => report.markdown(&face()),
        Format::Json => report.json().map_err(|e| internal(&e))?,
        Format::Csv => report.csv().map_err(|e| internal(&e))?,
    };
    match &args.output {
        None => print(&text)?,
        Some(path) => {
            write_new(path, &text).map_err(|e| Problem::new(Exit::Usage, format!("{}: {e}", path.display())))?;
            say(&format!("written to {}", path.display()));
            Exit::Done
        }
    };
    if loaded.damage.is_some() {
        say(&verdict(&loaded));
        return Ok(Exit::Damaged);
    }
    Ok(Exit::Done)
}

/// A report is evidence: an older one is not overwritten by accident.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

//! Floor 5: arguments, one file per verb, the wiring of the floors below, exit codes. Standard
//! output is data, standard error is talk.

mod attached;
mod check;
pub mod exit;
pub mod help;
mod history;
mod iam;
mod kept;
mod kinds;
mod night;
mod note;
mod replay;
mod report;
mod resume;
mod run;
mod runs;
mod setup;
mod status;
mod topics;
mod view;
mod vote;
#[cfg(feature = "sandbox")]
mod world;

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};

pub use exit::{Exit, exit_of};

/// Executes cutover runbooks: rehearse, run live, replay.
#[derive(Parser)]
#[command(name = "gonogo", version, disable_help_subcommand = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Where runs are kept [default: $GONOGO_STATE_DIR, else gonogo in the XDG state folder].
    #[arg(long, global = true, value_name = "DIR", env = "GONOGO_STATE_DIR", hide_env = true)]
    state_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Says everything that is wrong with a runbook.
    Check(check::Args),
    /// Lives through a runbook in the sandbox or in a rehearsal environment.
    Rehearse(run::Args),
    /// Executes a runbook in its live environment.
    Run(run::Args),
    /// Takes up a run that was held, left, interrupted or killed.
    Resume(resume::Args),
    /// Plays a recorded night back. Nothing can run here.
    Replay(replay::Args),
    /// Prints a recorded night as Markdown, JSON or CSV.
    Report(report::Args),
    /// Tells where a run stands.
    Status(status::Args),
    /// Votes at a stop point of a run that another terminal drives.
    Vote(vote::Args),
    /// Writes something down in a run that another terminal drives.
    Note(note::Args),
    /// Lists, shows and verifies runs.
    Runs(runs::Args),
    /// Runs the built-in world alone and prints how to reach it.
    #[cfg(feature = "sandbox")]
    Sandbox(world::Args),
    /// The parent of the sandbox's servers; started by itself.
    #[cfg(feature = "sandbox")]
    #[command(hide = true)]
    SandboxGuard,
    /// Prints the least IAM policy with which a runbook can be executed.
    Iam(iam::Args),
    /// Lists the kinds of steps and checks, or explains one.
    Kinds(kinds::Args),
    /// Explains a verb or a topic: environment, exit-codes, faults, keys, permissions, safety, votes.
    Help(topics::Args),
    /// Prints a completion script.
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
}

/// Runs the program and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // A closed pipe behind `--help` is no reason to fail differently.
            let _closed = error.print();
            return code.into();
        }
    };
    let state = cli.state_dir.as_deref();
    let code = match cli.verb {
        None => bare(),
        Some(Verb::Check(args)) => check::run(&args),
        Some(Verb::Rehearse(args)) => run::run(args, crate::run::Mode::Rehearse, state),
        Some(Verb::Run(args)) => run::run(args, crate::run::Mode::Run, state),
        Some(Verb::Resume(args)) => resume::run(args, state),
        Some(Verb::Replay(args)) => replay::run(args, state),
        Some(Verb::Report(args)) => report::run(&args, state),
        Some(Verb::Status(args)) => status::run(args, state),
        Some(Verb::Vote(args)) => vote::run(args, state),
        Some(Verb::Note(args)) => note::run(args, state),
        Some(Verb::Runs(args)) => runs::run(args, state),
        #[cfg(feature = "sandbox")]
        Some(Verb::Sandbox(args)) => world::run(&args),
        #[cfg(feature = "sandbox")]
        Some(Verb::SandboxGuard) => world::be_guard(),
        Some(Verb::Iam(args)) => iam::run(&args),
        Some(Verb::Kinds(args)) => kinds::run(&args),
        Some(Verb::Help(args)) => topics::run(&args, Cli::command()),
        Some(Verb::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "gonogo", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    };
    code.unwrap_or_else(|problem| {
        say(&format!("gonogo: {}", problem.message));
        if let Some(hint) = problem.hint {
            say(&format!("        {hint}"));
        }
        problem.exit
    })
    .into()
}

/// Why a verb ended early: one sentence, perhaps a hint, and the exit code.
#[derive(Debug)]
struct Problem {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

type Outcome = Result<Exit, Problem>;

impl Problem {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

fn bare() -> Outcome {
    print(
        "gonogo executes cutover runbooks: ordered steps with owners, stop points and planned times,\n\
         done or checked one by one against the real systems, and recorded so that nobody can argue.\n\n\
         \x20 gonogo rehearse runbooks/heroku-to-aws.toml --env sandbox   live through a whole night, a hundred seconds\n\
         \x20 gonogo replay last                                          play it back\n\
         \x20 gonogo check RUNBOOK                                        what is wrong with a runbook\n\
         \x20 gonogo kinds                                                what steps can do\n\
         \x20 gonogo --help                                               everything else\n",
    )
}

/// Prints data. A reader that has gone is not an error of ours.
fn print(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Exit::Done),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => Err(Problem::new(Exit::Internal, format!("standard output: {error}"))),
    }
}

/// Talks. There is nowhere to complain when standard error is gone.
fn say(text: &str) {
    let _gone = writeln!(std::io::stderr().lock(), "{text}");
}

/// True where colour is wanted on standard error.
fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stderr().is_terminal()
}

/// Where runs are kept.
fn state_dir(flag: Option<&Path>) -> Result<PathBuf, Problem> {
    crate::journal::state_dir(flag)
        .map_err(|e| Problem::new(Exit::Usage, format!("no folder for runs: {e}")).hint("name one with --state-dir"))
}

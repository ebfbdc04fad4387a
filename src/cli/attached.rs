//! What the verbs of another terminal share: finding the run's process, saying who and where we are, and the exit
//! code of what it answers.

use std::{path::Path, time::Duration};

use super::{
    Exit, Problem,
    night::user_at_host,
    run::refused,
    runs::{found, load},
};
use crate::{
    attach::{AskError, Attached, ConnectError, ErrorCode, Mirror},
    base::{PersonId, clean_line},
    board::ending_words,
    journal::{Run, RunDir, runs},
    plan::nearest,
    run::{Outline, RunState},
};

/// How long a run that is just being opened is waited for.
const OPENING: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(100);

/// A run's folder, open to reach its process.
pub(super) struct Line {
    state: std::path::PathBuf,
    pub(super) run: Run,
    pub(super) dir: RunDir,
}

impl Line {
    /// The run that a person names.
    pub(super) fn to(state: &Path, name: &str) -> Result<Self, Problem> {
        let run = found(state, name)?;
        let dir = RunDir::view(&run.path).map_err(refused)?;
        Ok(Self { state: state.to_owned(), run, dir })
    }

    /// Connects; `None` where nobody drives the run.
    pub(super) async fn reach(&self) -> Result<Option<Attached<'_>>, Problem> {
        let until = tokio::time::Instant::now() + OPENING;
        loop {
            match Attached::connect(&self.dir, &here()).await {
                Ok(attached) => return Ok(Some(attached)),
                Err(ConnectError::NotListening) => {}
                Err(error @ (ConnectError::Dir(_) | ConnectError::Foreign(_))) => {
                    let hint = "other terminals are let in as the user that drives the run";
                    return Err(Problem::new(Exit::Preflight, error.to_string()).hint(hint));
                }
                Err(error @ ConnectError::Io(_)) => return Err(Problem::new(Exit::Unanswered, error.to_string())),
            }
            // It has the lock before it listens.
            let Some(holder) = self.dir.holder().map_err(refused)? else { return Ok(None) };
            if tokio::time::Instant::now() >= until {
                let words = format!("run {} is driven by {holder}, which does not listen", self.run.id);
                return Err(Problem::new(Exit::Unanswered, words).hint("say it at the run's own terminal"));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Connects and reads what has happened; a run that nobody drives takes no words.
    pub(super) async fn attach(&self) -> Result<(Attached<'_>, Mirror), Problem> {
        let Some(mut attached) = self.reach().await? else { return Err(self.nobody()) };
        let mut mirror = Mirror::default();
        // The first event is written right after the socket is there.
        attached.catch_up(&mut mirror, 1).await.map_err(|error| problem(&error))?;
        Ok((attached, mirror))
    }

    /// Why nobody listens, and which run does.
    fn nobody(&self) -> Problem {
        let id = &self.run.id;
        let (_, state, _) = match load(&self.run) {
            Ok(loaded) => loaded,
            Err(problem) => return problem,
        };
        let problem = match state.ended {
            Some(ending) => Problem::new(Exit::NotTaken, format!("run {id} is over: {}", ending_words(ending, &state))),
            None => Problem::new(Exit::Held, format!("nobody drives run {id} now, so nobody hears it")),
        };
        let driven =
            |run: &Run| run.id != *id && RunDir::view(&run.path).is_ok_and(|dir| matches!(dir.holder(), Ok(Some(_))));
        match runs(&self.state).unwrap_or_default().into_iter().find(driven) {
            Some(run) => problem.hint(format!("run {} is being driven; did you mean that one?", run.id)),
            None if state.ended.is_none() => problem.hint(format!("gonogo resume {id}")),
            None => problem,
        }
    }
}

/// One runtime for a verb that waits for answers.
pub(super) fn waiting<T>(work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|e| Problem::new(Exit::Internal, format!("the runtime cannot be made: {e}")))?
        .block_on(work)
}

/// Where this terminal is, for the record: `deploy@bastion pts/3 ssh 10.0.0.5`.
pub(super) fn here() -> String {
    let fds = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let terminal = fds.iter().find_map(|fd| rustix::termios::ttyname(fd, Vec::new()).ok());
    let terminal = terminal.map(|name| name.to_string_lossy().trim_start_matches("/dev/").to_owned());
    let ssh = std::env::var("SSH_CONNECTION").ok();
    let ssh = ssh.as_deref().and_then(|ssh| ssh.split_whitespace().next()).map(|client| format!("ssh {client}"));
    let parts: Vec<String> = std::iter::once(user_at_host()).chain(terminal).chain(ssh).collect();
    clean_line(&parts.join(" "), 120)
}

/// A name of [people].
pub(super) fn person(outline: &Outline, name: &str) -> Result<PersonId, Problem> {
    if let Some(person) = outline.people.iter().find(|person| person.id.as_str() == name) {
        return Ok(person.id.clone());
    }
    let names = || outline.people.iter().map(|person| person.id.as_str());
    let problem = Problem::new(Exit::Usage, format!("`{}` is not in [people]", clean_line(name, 60)));
    Err(match nearest(name, names()) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("the runbook has {}", names().collect::<Vec<_>>().join(", "))),
    })
}

/// A step by its id, or by its number on the screen.
pub(super) fn step(state: &RunState, name: &str) -> Result<usize, Problem> {
    let steps = state.outlines();
    if let Some(i) = steps.iter().position(|step| step.id.as_str() == name) {
        return Ok(i);
    }
    let number = name.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|i| *i < steps.len());
    number.ok_or_else(|| {
        let problem = Problem::new(Exit::Usage, format!("there is no step `{}`", clean_line(name, 60)));
        match nearest(name, steps.iter().map(|step| step.id.as_str())) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        }
    })
}

/// What the run's answer means for the exit code.
pub(super) fn problem(error: &AskError) -> Problem {
    let exit = match error {
        AskError::Refused { code, .. } => match code.as_str() {
            "stranger" | "no_such_step" | "no_stop_point" | "not_a_voter" | "needs_reason" => Exit::Usage,
            "journal_failed" => Exit::Damaged,
            _ => Exit::NotTaken,
        },
        AskError::Error { code, .. } => match code {
            ErrorCode::Version => Exit::Newer,
            ErrorCode::Unanswered => Exit::Unanswered,
            ErrorCode::Busy | ErrorCode::OtherRun | ErrorCode::Foreign => Exit::NotTaken,
            ErrorCode::NotUnderstood | ErrorCode::TooLong | ErrorCode::Defect | ErrorCode::Unknown => Exit::Internal,
        },
        AskError::Lost(_) => Exit::Unanswered,
        AskError::Garbled(_) => Exit::Internal,
    };
    let problem = Problem::new(exit, error.to_string());
    match error {
        AskError::Lost(_) => problem.hint("whether it was recorded is not known: look with gonogo status"),
        _ => problem,
    }
}

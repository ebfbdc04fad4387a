//! Exit codes: one table, used by every verb and printed by `gonogo help exit-codes`. Stable.

use std::process::ExitCode;

use crate::run::{Ending, HoldWhy, Leg, RunState, StepState};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Everything is done.
    Done = 0,
    /// A defect, or the machine failed us.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The runbook has errors.
    Runbook = 3,
    /// Not logged in, or as somebody else than the environment asks for.
    Identity = 4,
    /// Something is missing before the start: a tool, room on the disk, a terminal, a port.
    Preflight = 5,
    /// The run holds.
    Held = 10,
    /// A stop point was answered with no-go.
    NoGo = 11,
    /// A step failed, and nobody has decided yet.
    StepFailed = 12,
    /// Everything was taken back.
    RolledBack = 13,
    /// The rollback is not whole.
    RollbackFailed = 14,
    /// Done, with exceptions.
    Exceptions = 15,
    /// Stopped by a person, nothing undone.
    Aborted = 16,
    /// The run did not take what was said from another terminal.
    NotTaken = 17,
    /// The run did not answer another terminal.
    Unanswered = 18,
    /// Another process drives the run.
    Busy = 20,
    /// The journal was written by a newer version.
    Newer = 21,
    /// The journal, or a file that is kept with it, is damaged.
    Damaged = 22,
    /// The terminal or the reader of the output is gone.
    TerminalLost = 129,
    /// Told to end before anything was started.
    Interrupted = 130,
}

impl Exit {
    /// Every code, in order.
    pub const ALL: [Self; 20] = [
        Self::Done,
        Self::Internal,
        Self::Usage,
        Self::Runbook,
        Self::Identity,
        Self::Preflight,
        Self::Held,
        Self::NoGo,
        Self::StepFailed,
        Self::RolledBack,
        Self::RollbackFailed,
        Self::Exceptions,
        Self::Aborted,
        Self::NotTaken,
        Self::Unanswered,
        Self::Busy,
        Self::Newer,
        Self::Damaged,
        Self::TerminalLost,
        Self::Interrupted,
    ];

    /// The code.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, and what can be done.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Done => "everything is done",
            Self::Internal => "internal error; please report it",
            Self::Usage => "wrong usage; see --help",
            Self::Runbook => "the runbook has errors; nothing was done",
            Self::Identity => "not logged in, or connected to another account or app than the environment names",
            Self::Preflight => "something is missing before the start; nothing was done",
            Self::Held => "the run holds and can be resumed: gonogo resume",
            Self::NoGo => "no-go; the run holds at its stop point and can be resumed",
            Self::StepFailed => "a step failed and waits for a decision; nothing was rolled back",
            Self::RolledBack => "everything was rolled back",
            Self::RollbackFailed => "the rollback is not whole: a step could not be undone, or waits for a decision",
            Self::Exceptions => "done, with steps skipped, failed, left out or done by hand; the report names them",
            Self::Aborted => "aborted by a person; nothing was undone",
            Self::NotTaken => "the run did not take it: not asked now, decided already, or the run is over",
            Self::Unanswered => "the run did not answer; whether it took what was said is not known",
            Self::Busy => "another process drives this run",
            Self::Newer => "the run was recorded by a newer version of gonogo",
            Self::Damaged => "the journal cannot be written, or it, its seal or a file kept with it is damaged",
            Self::TerminalLost => {
                "the terminal was lost; the step at work was finished, the run holds and can be resumed"
            }
            Self::Interrupted => "interrupted before anything was started",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The code of a run as it stands when its process ends.
#[must_use]
pub fn exit_of(state: &RunState) -> Exit {
    if let Some(ending) = state.ended {
        return match ending {
            Ending::Completed => Exit::Done,
            Ending::WithExceptions => Exit::Exceptions,
            Ending::RolledBack => Exit::RolledBack,
            Ending::RolledBackInPart => Exit::RollbackFailed,
            Ending::Aborted => Exit::Aborted,
        };
    }
    let why = state.hold.as_ref().map(|hold| &hold.why);
    let nothing_started = state.steps.iter().all(|step| step.attempts.is_empty());
    match why {
        Some(HoldWhy::JournalFailed(_)) => return Exit::Damaged,
        Some(HoldWhy::TerminalLost) => return Exit::TerminalLost,
        Some(HoldWhy::Signal(_)) if nothing_started => return Exit::Interrupted,
        _ => {}
    }
    match state.asking() {
        Some((i, leg)) => match (state.steps[i].leg(leg).map(|run| &run.state), leg) {
            (Some(StepState::NeedsDecision(_)), Leg::Back) => Exit::RollbackFailed,
            (Some(StepState::NeedsDecision(_)), Leg::Forward) => Exit::StepFailed,
            _ if state.steps[i].forward.no_go => Exit::NoGo,
            _ => Exit::Held,
        },
        None if matches!(why, Some(HoldWhy::NoGo(_))) => Exit::NoGo,
        None => Exit::Held,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_as_documented_and_differ() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 129, 130]);
    }

    #[test]
    fn a_run_that_never_opened_is_held() {
        assert_eq!(exit_of(&RunState::default()), Exit::Held);
    }
}

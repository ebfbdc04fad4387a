//! The exit codes: stable, listed by `gonogo help exit-codes`.

use std::process::ExitCode;

use crate::run::{Ending, HoldWhy, RunState, StepState};

macro_rules! exits {
    ($($name:ident = $code:literal, $words:literal;)*) => {
        /// How the program ends.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Exit {
            $(#[doc = $words] $name = $code,)*
        }
        impl Exit {
            /// Every code with its meaning.
            pub const ALL: &'static [(u8, &'static str)] = &[$(($code, $words),)*];
        }
    };
}

exits! {
    Done = 0, "all done";
    Internal = 1, "internal error";
    Usage = 2, "wrong usage";
    Runbook = 3, "the runbook has errors";
    Identity = 4, "not logged in, or the wrong identity";
    Preflight = 5, "preflight failed";
    Held = 10, "held, can be resumed";
    NoGo = 11, "no-go";
    StepFailed = 12, "a step failed and was not rolled back";
    RolledBack = 13, "rolled back";
    RollbackFailed = 14, "rollback failed, or left something undone";
    WithExceptions = 15, "done, with steps skipped, failed or done by hand";
    Aborted = 16, "aborted";
    SomeoneElse = 20, "someone else holds the run";
    Newer = 21, "needs a newer version";
    Damaged = 22, "the log is damaged or its seal is broken";
    TerminalLost = 129, "the terminal was lost; the run holds";
    Interrupted = 130, "interrupted before anything started";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a run's state means for whoever waits for the process.
#[must_use]
pub fn exit_of(state: &RunState) -> Exit {
    match state.ended {
        Some(Ending::Completed) => return Exit::Done,
        Some(Ending::WithExceptions) => return Exit::WithExceptions,
        Some(Ending::RolledBack) => return Exit::RolledBack,
        Some(Ending::RolledBackInPart) => return Exit::RollbackFailed,
        Some(Ending::Aborted) => return Exit::Aborted,
        None => {}
    }
    match state.hold.as_ref().map(|hold| &hold.why) {
        Some(HoldWhy::TerminalLost) => return Exit::TerminalLost,
        Some(HoldWhy::JournalFailed(_)) => return Exit::Internal,
        _ => {}
    }
    let undecided = |leg: &crate::run::LegRun| matches!(leg.state, StepState::NeedsDecision(_));
    if state.steps.iter().any(|step| step.back.as_ref().is_some_and(undecided)) {
        return Exit::RollbackFailed;
    }
    if state.steps.iter().any(|step| undecided(&step.forward)) {
        return Exit::StepFailed;
    }
    if state.steps.iter().any(|step| step.forward.no_go && !step.forward.state.settled()) {
        return Exit::NoGo;
    }
    if state.steps.iter().all(|step| step.forward.began.is_none()) && state.outline.is_none() {
        return Exit::Interrupted;
    }
    Exit::Held
}

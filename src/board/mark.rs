//! The glyph, the ASCII letter, the word and the role of each state. Every glyph is one cell wide
//! by unicode-width, narrow and CJK alike.

use super::row::Now;
use crate::run::{Gate, Leg, LegRun, RunState, Settlement, StepOutline, StepRun, StepState, What, Why};

/// What a piece of text is, from which a renderer picks its colour. Colour never carries meaning alone:
/// a word stands beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Ordinary text.
    #[default]
    Plain,
    /// Less important.
    Dim,
    /// More important.
    Strong,
    /// As it should be.
    Good,
    /// By a person's hand, and as it should be.
    Hand,
    /// Look at it.
    Warn,
    /// Wrong.
    Bad,
    /// A person is asked.
    Ask,
    /// At work.
    Run,
    /// Waits for time or for the outside.
    Wait,
    /// Taken back.
    Back,
    /// Nothing new starts.
    Held,
    /// Left out.
    Skipped,
}

/// A step's state as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Its turn has not come.
    Wait,
    /// Waits for time, or only looks at the outside.
    Outside,
    /// At work.
    Run,
    /// Needs a person.
    Gate,
    /// Done.
    Done,
    /// Done, with something to look at.
    Warn,
    /// Failed.
    Fail,
    /// Waits for its next try.
    Retry,
    /// Not done.
    Skip,
    /// Left out of a partial run.
    Out,
    /// Done by hand.
    Hand,
    /// Taken back.
    Back,
    /// Being taken back.
    Undo,
    /// Would go on, but the run holds.
    Held,
}

impl Mark {
    /// The glyph.
    #[must_use]
    pub fn glyph(self) -> &'static str {
        match self {
            Self::Wait => "◌",
            Self::Outside => "◷",
            Self::Run => "▸",
            Self::Gate => "?",
            Self::Done | Self::Hand => "✓",
            Self::Warn => "!",
            Self::Fail => "✗",
            Self::Retry => "↺",
            Self::Skip | Self::Out => "⊘",
            Self::Back | Self::Undo => "↩",
            Self::Held => "=",
        }
    }

    /// The same in ASCII.
    #[must_use]
    pub fn ascii(self) -> &'static str {
        match self {
            Self::Wait => ".",
            Self::Outside => "~",
            Self::Run => ">",
            Self::Gate => "?",
            Self::Done => "+",
            Self::Warn => "!",
            Self::Fail => "x",
            Self::Retry => "r",
            Self::Skip => "-",
            Self::Out => "o",
            Self::Hand => "h",
            Self::Back | Self::Undo => "<",
            Self::Held => "=",
        }
    }

    /// The word, at most four letters.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Wait | Self::Outside => "WAIT",
            Self::Run => "RUN",
            Self::Gate => "GATE",
            Self::Done => "DONE",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Retry => "RTRY",
            Self::Skip => "SKIP",
            Self::Out => "OUT",
            Self::Hand => "HAND",
            Self::Back => "BACK",
            Self::Undo => "UNDO",
            Self::Held => "HELD",
        }
    }

    /// The role.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Wait => Role::Dim,
            Self::Outside => Role::Wait,
            Self::Run => Role::Run,
            Self::Gate => Role::Ask,
            Self::Done => Role::Good,
            Self::Warn | Self::Retry => Role::Warn,
            Self::Fail => Role::Bad,
            Self::Skip => Role::Skipped,
            Self::Out => Role::Warn,
            Self::Hand => Role::Hand,
            Self::Back | Self::Undo => Role::Back,
            Self::Held => Role::Held,
        }
    }

    /// The mark of a step.
    #[must_use]
    pub fn of(state: &RunState, outline: &StepOutline, run: &StepRun) -> Self {
        if let Some(back) = &run.back {
            return Self::back(state, run, back);
        }
        Self::forward(state, outline, run)
    }

    fn forward(state: &RunState, outline: &StepOutline, run: &StepRun) -> Self {
        match &run.forward.state {
            StepState::Pending if outline.left_out().is_some() => Self::Out,
            StepState::Pending if outline.asks() => Self::Gate,
            StepState::Pending if !outline.changes && !outline.manual => Self::Outside,
            StepState::Pending => Self::Wait,
            StepState::AtStopPoint => Self::Gate,
            StepState::Ready if state.hold.is_some() => Self::Held,
            StepState::Ready => Self::Wait,
            StepState::Running if outline.manual && Now::awaits_owner(run) => Self::Gate,
            StepState::Running => Self::Run,
            StepState::RetryWait { .. } => Self::Retry,
            StepState::NeedsDecision(why) => Self::undecided(run, why),
            StepState::Settled(gate) => Self::settled(gate, run),
        }
    }

    /// A verification is looking, or people are. In doubt nothing has failed.
    fn undecided(run: &StepRun, why: &Why) -> Self {
        let looking = run.attempts.last().is_some_and(|attempt| attempt.alive() && !attempt.what.acts());
        match why {
            _ if looking => Self::Run,
            Why::Failed(_) => Self::Fail,
            Why::InDoubt(_) | Why::Lost => Self::Gate,
        }
    }

    fn settled(gate: &Gate, run: &StepRun) -> Self {
        let failed_before = || run.attempts.iter().any(|a| a.what == What::Do && a.failure.is_some());
        match gate {
            Gate::Done if failed_before() => Self::Warn,
            Gate::Done | Gate::Otherwise(Settlement::Decided | Settlement::FoundDone(_)) => Self::Done,
            Gate::Otherwise(Settlement::ByHand(_)) => Self::Hand,
            Gate::Otherwise(Settlement::Skipped(_) | Settlement::NotRun(_)) => Self::Skip,
            Gate::Otherwise(Settlement::LeftOut(_)) => Self::Out,
            Gate::Otherwise(Settlement::FailedGoOn(_)) => Self::Warn,
        }
    }

    fn back(state: &RunState, run: &StepRun, back: &LegRun) -> Self {
        match &back.state {
            // Its turn to be taken back has not come: what it is now is what it was.
            StepState::Pending => match &run.forward.state {
                StepState::Settled(gate) => Self::settled(gate, run),
                _ => Self::Fail,
            },
            StepState::AtStopPoint => Self::Gate,
            StepState::Ready if state.hold.is_some() => Self::Held,
            StepState::Ready | StepState::Running => Self::Undo,
            StepState::RetryWait { .. } => Self::Retry,
            StepState::NeedsDecision(why) => Self::undecided(run, why),
            StepState::Settled(Gate::Otherwise(Settlement::Skipped(_))) => Self::Skip,
            StepState::Settled(_) => Self::Back,
        }
    }
}

/// The leg of a step that people look at now: taking it back, once that has begun.
#[must_use]
pub fn shown_leg(run: &StepRun) -> (Leg, &LegRun) {
    run.back.as_ref().map_or((Leg::Forward, &run.forward), |back| (Leg::Back, back))
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    #[test]
    fn every_glyph_is_one_cell_everywhere() {
        for mark in [
            Mark::Wait,
            Mark::Outside,
            Mark::Run,
            Mark::Gate,
            Mark::Done,
            Mark::Warn,
            Mark::Fail,
            Mark::Retry,
            Mark::Skip,
            Mark::Out,
            Mark::Hand,
            Mark::Back,
            Mark::Undo,
            Mark::Held,
        ] {
            assert_eq!((mark.glyph().width(), mark.glyph().width_cjk()), (1, 1), "{}", mark.word());
            assert!(mark.ascii().is_ascii() && mark.ascii().len() == 1);
            assert!(mark.word().len() <= 4);
        }
    }
}

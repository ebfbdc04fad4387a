//! The question that is open, how far its answer is, and what may answer it: a line that was typed
//! before the question could be read never does.

use std::time::{Duration, Instant};

use super::command::Stage;
use crate::board::{Ask, AskId};

/// Nobody reads and answers a question faster; what arrives sooner was meant for something else.
const DEAF: Duration = Duration::from_millis(400);

/// The open question.
#[derive(Debug, Default)]
pub(super) struct Dialog {
    /// Which, and whether its choices were there already.
    key: Option<(AskId, bool)>,
    /// How far the answer is.
    stage: Stage,
    /// Since when it can be read.
    shown: Option<Instant>,
}

impl Dialog {
    /// Takes the question of a moment; true where it is another one than before.
    pub(super) fn turn_to(&mut self, ask: Option<&Ask>) -> bool {
        let key = ask.map(|ask| (ask.id().clone(), matches!(ask, Ask::Failure(failure) if failure.looking)));
        if key == self.key {
            return false;
        }
        *self = Self { key, ..Self::default() };
        true
    }

    /// How far the answer is.
    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Goes on to another stage, which is a question of its own.
    pub(super) fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
        self.shown = None;
    }

    /// True until [`Dialog::show`].
    pub(super) fn unread(&self) -> bool {
        self.shown.is_none() && (self.key.is_some() || self.stage != Stage::Top)
    }

    /// The question stands on the screen.
    pub(super) fn show(&mut self, at: Instant) {
        self.shown = Some(at);
    }

    /// Whether a line of a person that arrived at `at` can be meant for it.
    pub(super) fn can_hear(&self, at: Instant) -> bool {
        match self.shown {
            Some(shown) => at.saturating_duration_since(shown) >= DEAF,
            None => !self.unread(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::AskKind;

    #[test]
    fn what_was_typed_before_answers_nothing() {
        let at = super::super::typed::now();
        let mut dialog = Dialog::default();
        assert!(dialog.can_hear(at), "with nothing asked, commands are heard");
        dialog.key = Some((AskId { kind: AskKind::Held, step: None, since: Default::default(), round: 0 }, false));
        assert!(dialog.unread() && !dialog.can_hear(at), "not before it can be read");
        dialog.show(at);
        assert!(!dialog.can_hear(at + Duration::from_millis(399)));
        assert!(dialog.can_hear(at + Duration::from_millis(400)));
        assert!(dialog.turn_to(None) && dialog.can_hear(at));
    }
}

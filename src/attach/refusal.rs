//! The names of refusals on the socket. Stable: scripts may look at them.

use crate::run::Refusal;

/// A refusal's name.
pub(super) fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Over => "over",
        Refusal::AlreadyOpen => "already_open",
        Refusal::Stranger(_) => "stranger",
        Refusal::NoSuchStep(_) => "no_such_step",
        Refusal::WrongWord { .. } => "wrong_word",
        Refusal::NeedsReason(_) => "needs_reason",
        Refusal::NotHeld => "not_held",
        Refusal::HeldAlready => "held_already",
        Refusal::NotAsked { .. } => "not_asked",
        Refusal::NotTheDecider { .. } => "not_the_decider",
        Refusal::NoStopPoint(_) => "no_stop_point",
        Refusal::Decided { .. } => "decided",
        Refusal::NotAVoter { .. } => "not_a_voter",
        Refusal::SecondPerson(_) => "second_person",
        Refusal::CriteriaPending(_) => "criteria_pending",
        Refusal::Closed { .. } => "closed",
        Refusal::NothingToUndo => "nothing_to_undo",
        Refusal::RollingBack => "rolling_back",
        Refusal::StillRunning(_) => "still_running",
        Refusal::ValueMissing(_) => "value_missing",
        Refusal::NoSuchItem { .. } => "no_such_item",
        Refusal::BadValue { .. } => "bad_value",
        Refusal::LooksSecret { .. } => "looks_secret",
        Refusal::Stale => "stale",
        Refusal::JournalFailed(_) => "journal_failed",
    }
}

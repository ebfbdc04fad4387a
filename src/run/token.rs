//! Which client token an attempt sends: its own, or that of a request whose end nobody knows.

use super::state::{Leg, StepRun};
use crate::base::Class;

impl StepRun {
    /// The token that an attempt of a leg has to send again: its request went out before, and nobody knows what became of
    /// it. A probe that saw nothing done does not change that, since the request may still be under way. What is known
    /// begins anew with a token of its own, and so does what was taken back in between.
    #[must_use]
    pub fn open_token(&self, leg: Leg, attempt: u32) -> Option<&String> {
        let before = self.attempts.iter().rev().filter(|a| a.number < attempt && a.what.acts());
        for sent in before.take_while(|a| a.what.leg() == leg) {
            let Some(token) = &sent.token else { continue };
            match &sent.failure {
                _ if sent.found => return None,
                None if sent.lost => return Some(token),
                Some(failure) if failure.class == Class::Unknown => return Some(token),
                // It says nothing of a request before it.
                Some(failure) if failure.class.nothing_done() => {}
                None | Some(_) => return None,
            }
        }
        None
    }
}

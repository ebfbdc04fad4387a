//! How many of the resolvers must agree.

use std::fmt;

use crate::{plan::Params, runbook::value};

/// A number of resolvers, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Quorum {
    Count(u64),
    Percent(f64),
}

impl Quorum {
    /// The key `quorum`; all of them where it is left out.
    pub fn read(params: &mut Params<'_>) -> Self {
        let Some(raw) = params.raw("quorum") else { return Self::Percent(100.0) };
        let found = match &raw.kind {
            value::Kind::Int(n) => u64::try_from(*n).ok().filter(|n| *n > 0).map(Self::Count),
            value::Kind::Text(text) => match text.trim().strip_suffix('%') {
                Some(share) => {
                    share.trim().parse().ok().filter(|share| *share > 0.0 && *share <= 100.0).map(Self::Percent)
                }
                None => text.trim().parse().ok().filter(|n| *n > 0).map(Self::Count),
            },
            _ => None,
        };
        found.unwrap_or_else(|| {
            let span = raw.span.clone();
            params.mistake(span, "`quorum` must be a number of resolvers or a share such as \"75%\"", "neither", None);
            Self::Percent(100.0)
        })
    }

    /// Of so many resolvers; a share rounds up, and is at least one.
    pub fn of(self, resolvers: usize) -> usize {
        match self {
            Self::Count(n) => usize::try_from(n).unwrap_or(usize::MAX),
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a handful"
            )]
            Self::Percent(share) => ((resolvers as f64) * share / 100.0).ceil() as usize,
        }
        .max(1)
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(n) => write!(f, "{n} of them"),
            Self::Percent(share) => write!(f, "{share} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_round_up() {
        assert_eq!(Quorum::Percent(100.0).of(3), 3);
        assert_eq!(Quorum::Percent(66.0).of(3), 2);
        assert_eq!(Quorum::Percent(1.0).of(3), 1);
        assert_eq!(Quorum::Count(2).of(3), 2);
    }
}

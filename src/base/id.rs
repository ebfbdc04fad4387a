//! Names of things, each with its grammar, so that a step can never be passed where a person is meant.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A name that does not fit its grammar. Completes "bad id: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{text}` must be {grammar}")]
pub struct BadId {
    what: &'static str,
    text: String,
    grammar: &'static str,
}

const SLUG: &str = "1 to 64 of a-z, 0-9 and -, starting with a letter or digit";

fn is_slug(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=64).contains(&text.len()) && text.bytes().all(|b| plain(b) || b == b'-') && plain(text.as_bytes()[0])
}

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                if is_slug(text) {
                    Ok(Self(text.into()))
                } else {
                    let text = super::clean_line(text, 80);
                    Err(BadId { what: $what, text, grammar: SLUG })
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

slug!(
    /// A step of the runbook.
    StepId, "step"
);
slug!(
    /// A person of `[people]`.
    PersonId, "person"
);
slug!(
    /// An environment of `[env]`.
    EnvName, "environment"
);
slug!(
    /// A `[[watch]]`.
    WatchId, "watch"
);
slug!(
    /// One execution of a runbook: `20261206-013000-7f3a9c`. Sorts by start time.
    RunId, "run"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for good in ["a", "lower-ttl", "0", "20261206-013000-7f3a9c"] {
            assert_eq!(good.parse::<StepId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a b", "a_b", "ü", &"x".repeat(65), "a\u{1b}[2J"] {
            assert!(bad.parse::<StepId>().is_err(), "{bad:?}");
        }
    }
}

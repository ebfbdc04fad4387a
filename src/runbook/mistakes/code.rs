//! The stable names of mistakes. A code is never given a second meaning.

use std::fmt;

/// `GNE…`: a file that cannot be used. (`GNG…`, a bad plan, belongs to the lint.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static str);

impl Code {
    /// As printed, for codes that are made elsewhere.
    #[must_use]
    pub const fn new(code: &'static str) -> Self {
        Self(code)
    }

    /// True where the mistake is plain from its own place alone, whatever the rest of the file says.
    pub(in crate::runbook) fn is_local(self) -> bool {
        [
            Self::DUPLICATE_KEY,
            Self::UNKNOWN_KEY,
            Self::WRONG_TYPE,
            Self::BAD_VALUE,
            Self::BAD_ID,
            Self::BAD_DURATION,
            Self::LOCAL_TIME,
            Self::LITERAL_SECRET,
        ]
        .contains(&self)
    }

    pub(super) fn is_of_variable(self) -> bool {
        [Self::UNKNOWN_VARIABLE, Self::PARTIAL_VARIABLE].contains(&self)
    }

    /// As printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

macro_rules! codes {
    ($($name:ident $code:literal $meaning:literal)*) => {
        impl Code {
            $(#[doc = $meaning] pub const $name: Self = Self($code);)*
            /// Every code of this floor with what it means, in order.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, $meaning)),*];
        }
    };
}

codes! {
    TOO_LARGE "GNE001" "the file is over 1 MiB"
    NOT_UTF8 "GNE002" "the file is not UTF-8 text"
    EMPTY "GNE003" "the file has no content"
    TOO_DEEP "GNE004" "tables, lists or keys are nested too deep"
    NUL "GNE005" "the file holds a NUL byte"
    SYNTAX "GNE010" "the file is not TOML"
    DUPLICATE_KEY "GNE011" "a key or table is defined twice"
    FORMAT "GNE012" "the format version is not known"
    UNKNOWN_KEY "GNE020" "a key is not known here"
    WRONG_TYPE "GNE021" "a value has the wrong type"
    MISSING "GNE022" "a required key is missing"
    BAD_VALUE "GNE023" "a value is not one of those allowed"
    BAD_ID "GNE024" "a name does not fit its grammar"
    BAD_DURATION "GNE025" "a duration is not written as 90s, 15m or 1h30m"
    LOCAL_TIME "GNE026" "a time has no offset"
    CONFLICT "GNE027" "two keys contradict each other"
    DUPLICATE_ID "GNE030" "two steps, watches or entries have one name"
    UNKNOWN_PERSON "GNE031" "a person is not in [people]"
    UNKNOWN_STEP "GNE032" "a step does not exist"
    UNKNOWN_ENV "GNE033" "an environment does not exist"
    UNKNOWN_SECRET "GNE034" "a secret is not in [secrets]"
    CYCLE "GNE035" "steps wait for each other"
    REMOVED_STEP "GNE036" "a step that `only` removes is needed"
    WATCH_ORDER "GNE037" "a watch ends before it starts"
    UNKNOWN_VARIABLE "GNE040" "a variable is not defined"
    PARTIAL_VARIABLE "GNE041" "a variable is not defined in every environment"
    SECRET_IN_TEXT "GNE042" "a secret is used inside a text"
    BAD_TEMPLATE "GNE043" "a `${…}` is malformed"
    NOT_REPLACED "GNE044" "a variable is used where none is replaced"
    LITERAL_SECRET "GNE050" "[secrets] holds a value instead of a reference"
    SECRET_LOOKALIKE "GNE051" "the file holds something that looks like a secret"
    SAME_CONFIRM "GNE060" "two environments share one confirm word"
    NO_FENCE "GNE061" "an environment does not say which account or app it is"
    SANDBOX_OUTSIDE "GNE062" "a sandbox names something outside"
    NO_STEPS "GNE070" "the runbook has no steps"
    TOO_MANY "GNE071" "there are more entries than a runbook may have"
    EMPTY_STEP "GNE072" "a step does nothing"
    SEVERAL_NO_RETURN "GNE073" "there is more than one point of no return"
    TIMEOUT_SHORT "GNE074" "an attempt is cut off before its planned end"
    KIND "GNE080" "a kind does not know this parameter or value"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ordered() {
        assert!(Code::ALL.windows(2).all(|w| w[0].0.as_str() < w[1].0.as_str()));
    }
}

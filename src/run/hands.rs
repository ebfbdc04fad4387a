//! What a step by hand asks of its owner: single things to tick off, a value to write down and what it has to look
//! like. Kept in the outline, so that the journal explains what was ticked.

use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::{
    outline::StepOutline,
    state::{Leg, RunState},
};
use crate::base::{PersonId, Stamp, clean_line};

/// What is asked of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hands {
    /// The single things to tick off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<String>,
    /// What to write down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What that has to look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<ValueRule>,
}

/// What a value that is written down has to look like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueRule {
    /// A regular expression that the whole value matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The least number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Number>,
    /// The greatest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    /// The words to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

/// One thing that was ticked off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// Who says so.
    pub who: PersonId,
    /// When.
    pub at: Stamp,
}

impl ValueRule {
    /// Its regular expression, bound to the whole value.
    ///
    /// # Errors
    /// Where it is none.
    pub fn regex(pattern: &str) -> Result<Regex, regex_lite::Error> {
        Regex::new(&format!("^(?:{pattern})$"))
    }

    /// True for a value that fits.
    #[must_use]
    pub fn fits(&self, value: &str) -> bool {
        let like = |pattern: &String| Self::regex(pattern).is_ok_and(|regex| regex.is_match(value));
        let number = value.replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite());
        let bound = |limit: &Number, fits: fn(f64, f64) -> bool| {
            number.zip(limit.as_f64()).is_some_and(|(number, limit)| fits(number, limit))
        };
        self.pattern.as_ref().is_none_or(like)
            && self.min.as_ref().is_none_or(|min| bound(min, |number, min| number >= min))
            && self.max.as_ref().is_none_or(|max| bound(max, |number, max| number <= max))
            && (self.choices.is_empty() || self.choices.iter().any(|choice| choice == value))
    }

    /// What it has to be, as a fragment: `a number from 1 to 10`, `one of: blue, green`, `like OPS-\d+`.
    #[must_use]
    pub fn words(&self) -> String {
        let number = match (&self.min, &self.max) {
            (Some(min), Some(max)) => Some(format!("a number from {min} to {max}")),
            (Some(min), None) => Some(format!("a number, at least {min}")),
            (None, Some(max)) => Some(format!("a number, at most {max}")),
            (None, None) => None,
        };
        let like = self.pattern.as_ref().map(|pattern| format!("like {}", clean_line(pattern, usize::MAX)));
        let choices = (!self.choices.is_empty()).then(|| format!("one of: {}", self.choices.join(", ")));
        [choices, number, like].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl StepOutline {
    /// What a person is asked where they do this leg; `None` where no person does it.
    #[must_use]
    pub fn hands(&self, leg: Leg) -> Option<Hands> {
        match leg {
            Leg::Forward => self.manual.then(|| Hands {
                checklist: self.checklist.clone(),
                value: self.asks_value.clone(),
                rule: self.value_rule.clone(),
            }),
            Leg::Back => self.undo_hands.clone(),
        }
    }

    /// True where a person does this leg.
    #[must_use]
    pub fn by_hand(&self, leg: Leg) -> bool {
        match leg {
            Leg::Forward => self.manual,
            Leg::Back => self.undo_hands.is_some(),
        }
    }
}

impl RunState {
    /// The things of a leg's checklist that are not ticked off, from 0.
    #[must_use]
    pub fn unticked(&self, at: usize, leg: Leg) -> Vec<usize> {
        let asked = self.outlines().get(at).and_then(|step| step.hands(leg)).map_or(0, |hands| hands.checklist.len());
        let ticks = self.steps.get(at).and_then(|run| run.leg(leg)).map(|leg| &leg.ticks);
        (0..asked).filter(|item| ticks.is_none_or(|ticks| !ticks.contains_key(item))).collect()
    }
}

/// Why a value looks like a secret, which has no place in a record that everybody reads. It knows the forms of keys
/// and tokens, not of passwords: those cannot be told from words.
#[must_use]
pub fn looks_secret(value: &str) -> Option<&'static str> {
    const FORMS: &[(&str, &str)] = &[
        ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        ("a private key", "-----BEGIN [A-Z ]*PRIVATE KEY"),
        ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
        ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
        ("a Heroku token", r"\bHRKU-[A-Za-z0-9_-]{20,}"),
        ("a JSON web token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."),
        ("an address with a password", r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@]*:[^\s/@]+@"),
        ("a password", r"(?i)\b(?:password|passwd|secret|token|api[_-]?key)\s*[=:]\s*\S"),
    ];
    let found = FORMS.iter().find(|(_, form)| Regex::new(form).is_ok_and(|form| form.is_match(value)));
    found.map(|(what, _)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_rule_or_not() {
        let pattern = |pattern: &str| ValueRule { pattern: Some(pattern.into()), ..ValueRule::default() };
        let number = |min: Option<i64>, max: Option<i64>| ValueRule {
            min: min.map(Into::into),
            max: max.map(Into::into),
            ..ValueRule::default()
        };
        let choices = ValueRule { choices: vec!["blue".into(), "green".into()], ..ValueRule::default() };
        let ticket = pattern(r"OPS-\d+|none");
        assert_eq!(
            [ticket.fits("OPS-12"), ticket.fits("none"), ticket.fits("see OPS-12"), ticket.fits("")],
            [true, true, false, false]
        );
        let range = number(Some(1), Some(10));
        assert_eq!(
            ["1", "10", "3.5", "0", "11", "x", "NaN", "inf", ""].map(|value| range.fits(value)),
            [true, true, true, false, false, false, false, false, false]
        );
        assert!(number(Some(1_000), None).fits("1_000") && !number(None, Some(5)).fits("6"));
        assert!(choices.fits("blue") && !choices.fits("Blue"));
        assert_eq!(range.words(), "a number from 1 to 10");
        assert_eq!((choices.words(), ticket.words()), ("one of: blue, green".into(), r"like OPS-\d+|none".into()));
    }

    #[test]
    fn keys_and_tokens_are_known() {
        for secret in [
            concat!("AKIA", "IOSFODNN7EXAMPLE"),
            "postgres://acme:hunter2@db.example/acme",
            "password=hunter2",
            "API_KEY: abc",
            concat!("ghp", "_0123456789abcdefghij0123"),
            "-----BEGIN RSA PRIVATE KEY-----",
        ] {
            assert!(looks_secret(secret).is_some(), "{secret}");
        }
        for plain in ["OPS-1", "4/8A2F10", "https://status.example:443/i/7", "rev 412", "12:40 UTC", "token ring"] {
            assert_eq!(looks_secret(plain), None, "{plain}");
        }
    }
}

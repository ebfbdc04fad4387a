//! Two sides compared by salted hashes, and what was expected of it. Only names leave here.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::target::Gathered;
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Params, TextOrSecret},
    services::aws::Values,
};

/// How two sides agree, by names.
#[derive(Debug, Default)]
pub(super) struct Parity {
    /// Names there are.
    pub all: usize,
    /// Names with one value.
    pub same: usize,
    /// On both sides, with other values.
    pub differ: BTreeSet<String>,
    /// Only on Heroku.
    pub only_source: BTreeSet<String>,
    /// Only on the new side.
    pub only_target: BTreeSet<String>,
    /// Given several times on the new side, with other values.
    pub twice: BTreeSet<String>,
}

impl Parity {
    /// Compares; the salt lives as long as this call.
    ///
    /// # Errors
    /// `FailedNothingDone` where a side is empty or no salt can be drawn: nothing to compare is no agreement.
    pub fn of(source: &Values, target: &Gathered) -> Result<Self, Failure> {
        let empty =
            |what: &str| Err(Failure::new(Class::FailedNothingDone, format!("no data: {what} has no variables")));
        if source.is_empty() {
            return empty("the app on Heroku");
        }
        if target.values.is_empty() {
            return empty("the new side");
        }
        let mut salt = zeroize::Zeroizing::new([0_u8; 32]);
        getrandom::fill(salt.as_mut_slice())
            .map_err(|e| Failure::new(Class::FailedNothingDone, format!("no salt can be drawn: {e}")))?;
        let hash = |value: &str| Sha256::new().chain_update(salt.as_slice()).chain_update(value).finalize();
        let mut old = BTreeMap::new();
        for (name, value) in source {
            old.insert(name.as_str(), hash(value));
        }
        let (mut new, mut parity) = (BTreeMap::new(), Self::default());
        for (name, value) in &target.values {
            let hash = hash(value);
            if new.insert(name.as_str(), hash).is_some_and(|before| before != hash) {
                parity.twice.insert(name.clone());
            }
        }
        for (name, value) in &old {
            match new.get(name) {
                Some(other) if other == value => parity.same += 1,
                Some(_) => drop(parity.differ.insert((*name).to_owned())),
                None => drop(parity.only_source.insert((*name).to_owned())),
            }
        }
        let added = new.keys().filter(|name| !old.contains_key(*name));
        parity.only_target = added.map(|name| (*name).to_owned()).collect();
        parity.all = old.len() + parity.only_target.len();
        Ok(parity)
    }
}

/// A difference that is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    Differs,
    OnlySource,
    OnlyTarget,
}

const WORDS: &[(&str, Difference)] = &[
    ("differs", Difference::Differs),
    ("only source", Difference::OnlySource),
    ("only target", Difference::OnlyTarget),
];

/// The differences that are expected, by name.
#[derive(Debug, Default)]
pub(super) struct Expected(BTreeMap<String, Difference>);

impl Expected {
    /// Reads `expected`; every mistake points at it.
    pub fn read(params: &mut Params<'_>) -> Self {
        let mut expected = BTreeMap::new();
        for (name, word) in params.map("expected") {
            let word = if let TextOrSecret::Text(word) = word { word } else { String::new() };
            if let Some((_, difference)) = WORDS.iter().find(|(known, _)| *known == word) {
                expected.insert(name, *difference);
            } else {
                let span = params.place_of("expected");
                let message =
                    format!("`expected`: {} is one of differs, only source, only target", clean_line(&name, 80));
                params.mistake(span, message, format!("found `{}`", clean_line(&word, 40)), None);
            }
        }
        Self(expected)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What is not as expected, one line a name.
    pub fn wrong(&self, parity: &Parity) -> Vec<String> {
        let mut wrong = Vec::new();
        let found = [
            (&parity.only_source, Difference::OnlySource, "is missing on the new side"),
            (&parity.only_target, Difference::OnlyTarget, "is only on the new side"),
            (&parity.differ, Difference::Differs, "has another value"),
        ];
        for (names, difference, words) in found {
            for name in names {
                if self.0.get(name) != Some(&difference) {
                    wrong.push(format!("{} {words}", clean_line(name, 80)));
                }
            }
        }
        for name in &parity.twice {
            wrong.push(format!("{} is given twice on the new side, with different values", clean_line(name, 80)));
        }
        for (name, difference) in &self.0 {
            let (is_so, words) = match difference {
                Difference::Differs => (&parity.differ, "its value is the same again"),
                Difference::OnlySource => (&parity.only_source, "it is not only on Heroku"),
                Difference::OnlyTarget => (&parity.only_target, "it is not only on the new side"),
            };
            let told = [&parity.differ, &parity.only_source, &parity.only_target].iter().any(|set| set.contains(name));
            if !is_so.contains(name) && !told {
                wrong.push(format!("{} was expected to differ: {words}", clean_line(name, 80)));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(list: &[(&str, &str)]) -> Values {
        list.iter().map(|(name, value)| ((*name).to_owned(), zeroize::Zeroizing::new((*value).to_owned()))).collect()
    }

    #[test]
    fn every_difference_has_its_name() {
        let target =
            Gathered { values: values(&[("A", "1"), ("B", "x"), ("D", "4"), ("E", "1"), ("E", "2")]), files: None };
        let parity = Parity::of(&values(&[("A", "1"), ("B", "2"), ("C", "3")]), &target).unwrap();
        assert_eq!((parity.all, parity.same), (5, 1));
        let mut expected = Expected::default();
        assert_eq!(
            expected.wrong(&parity),
            [
                "C is missing on the new side",
                "D is only on the new side",
                "E is only on the new side",
                "B has another value",
                "E is given twice on the new side, with different values"
            ]
        );
        let all = [("A", Difference::Differs), ("B", Difference::Differs), ("C", Difference::OnlySource)];
        let rest = [("D", Difference::OnlyTarget), ("E", Difference::OnlyTarget), ("F", Difference::OnlySource)];
        expected.0 = all.into_iter().chain(rest).map(|(name, what)| (name.to_owned(), what)).collect();
        assert_eq!(
            expected.wrong(&parity),
            [
                "E is given twice on the new side, with different values",
                "A was expected to differ: its value is the same again",
                "F was expected to differ: it is not only on Heroku"
            ]
        );
        assert!(Parity::of(&Values::new(), &target).is_err());
    }
}

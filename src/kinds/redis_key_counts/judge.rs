//! What is wanted of counts and memory, and what is otherwise, in words.

use super::count::Counted;

/// By how much two sides may differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Tolerance {
    /// Keys.
    Keys(u64),
    /// Percent of the source's keys.
    Percent(f64),
}

impl Tolerance {
    fn of(self, source: u64) -> u64 {
        match self {
            Self::Keys(keys) => keys,
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a part of a count of keys; percents are 0 to 100"
            )]
            Self::Percent(percent) => (source as f64 * percent / 100.0) as u64,
        }
    }

    pub fn words(self) -> String {
        match self {
            Self::Keys(0) => String::new(),
            Self::Keys(keys) => format!(" (±{keys})"),
            Self::Percent(percent) => format!(" (±{percent}%)"),
        }
    }
}

/// What is wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Every pattern that is counted, those of `min` and `max` too.
    pub patterns: Vec<String>,
    /// How many of them, from the first, have to agree on both sides.
    pub compared: usize,
    pub min: Vec<(String, u64)>,
    pub max: Vec<(String, u64)>,
    /// `noeviction`.
    pub eviction: Option<String>,
    /// Percent of the memory that have to be free.
    pub headroom: Option<u64>,
}

/// What differs, pattern by pattern, and by how many keys altogether.
pub(super) fn differences(
    wanted: &Wanted,
    tolerance: Tolerance,
    source: &Counted,
    target: &Counted,
) -> (Vec<String>, u64) {
    let (mut told, mut sum) = (Vec::new(), 0);
    for (at, pattern) in wanted.patterns.iter().enumerate().take(wanted.compared) {
        let (here, there) = (source.counts[at], target.counts[at]);
        let apart = here.abs_diff(there);
        sum += apart;
        if apart > tolerance.of(here) {
            let side = if there < here { "fewer" } else { "more" };
            told.push(format!("{pattern}: source {here}, target {there} ({apart} {side}{})", tolerance.words()));
        }
    }
    (told, sum)
}

impl Wanted {
    /// What is wanted of one server, in words.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (pattern, least) in &self.min {
            words.push(format!("at least {least} of {pattern}"));
        }
        for (pattern, most) in &self.max {
            words.push(format!("at most {most} of {pattern}"));
        }
        words.extend(self.eviction.as_ref().map(|policy| format!("eviction policy {policy}")));
        words.extend(self.headroom.map(|percent| format!("{percent}% of its memory free")));
        words
    }

    /// What is otherwise with one server.
    pub fn amiss(&self, counted: &Counted) -> Vec<String> {
        let count =
            |pattern: &String| self.patterns.iter().position(|one| one == pattern).map_or(0, |at| counted.counts[at]);
        let mut told = Vec::new();
        for (pattern, least) in &self.min {
            let n = count(pattern);
            if n < *least {
                told.push(format!("{pattern}: {n}, at least {least} wanted"));
            }
        }
        for (pattern, most) in &self.max {
            let n = count(pattern);
            if n > *most {
                told.push(format!("{pattern}: {n}, at most {most} wanted"));
            }
        }
        if let Some(policy) = &self.eviction
            && counted.policy.as_ref() != Some(policy)
        {
            let found = counted.policy.as_deref().unwrap_or("not to be had (INFO is not allowed)");
            told.push(format!("eviction policy is {found}, {policy} wanted"));
        }
        if let Some(least) = self.headroom {
            match counted.memory {
                None => told.push("no data: how much memory it may use is not to be had".into()),
                Some(memory) if memory.free() < least => {
                    let of =
                        if memory.own_limit { "maxmemory" } else { "the machine's memory, as maxmemory is not set" };
                    told.push(format!("{}% of {of} free, {least}% wanted", memory.free()));
                }
                Some(_) => {}
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::redis::About;

    fn counted(counts: &[u64]) -> Counted {
        Counted {
            about: About::default(),
            counts: counts.to_vec(),
            keys: 0,
            expiring: 0,
            policy: Some("allkeys-lru".into()),
            memory: None,
            written: false,
        }
    }

    #[test]
    fn differences_are_told_beyond_the_tolerance() {
        let wanted = Wanted { patterns: vec!["a:*".into(), "b:*".into()], compared: 2, ..Wanted::default() };
        let told = |tolerance| differences(&wanted, tolerance, &counted(&[1000, 5]), &counted(&[990, 6]));
        let (all, sum) = told(Tolerance::Keys(0));
        assert_eq!(all, ["a:*: source 1000, target 990 (10 fewer)", "b:*: source 5, target 6 (1 more)"]);
        assert_eq!(sum, 11);
        assert_eq!(told(Tolerance::Keys(1)).0, ["a:*: source 1000, target 990 (10 fewer (±1))"]);
        assert_eq!(told(Tolerance::Percent(1.0)).0, ["b:*: source 5, target 6 (1 more (±1%))"]);
    }

    #[test]
    fn what_is_not_to_be_had_is_not_good() {
        let wanted = Wanted {
            patterns: vec!["a".into()],
            min: vec![("a".into(), 2)],
            max: vec![("a".into(), 0)],
            eviction: Some("noeviction".into()),
            headroom: Some(10),
            ..Wanted::default()
        };
        assert_eq!(wanted.amiss(&counted(&[1])).len(), 4);
        assert_eq!(wanted.words().len(), 4);
    }
}

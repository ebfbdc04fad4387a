//! Which statuses are right.

use std::ops::RangeInclusive;

use crate::{plan::Params, runbook::value::Kind};

/// Statuses that are right: single ones and classes.
#[derive(Debug, Clone)]
pub(in crate::kinds) struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    /// `200`, `[200, 204]` or `"2xx"`; without the key `"2xx"`.
    pub fn read(params: &mut Params<'_>, key: &str) -> Self {
        let Some(raw) = params.raw(key) else { return Self(vec![200..=299]) };
        let items = if let Kind::List(list) = &raw.kind { list.as_slice() } else { std::slice::from_ref(raw) };
        let mut found = Vec::new();
        for item in items {
            let range = match &item.kind {
                Kind::Int(n) => u16::try_from(*n).ok().filter(|n| (100..=599).contains(n)).map(|n| n..=n),
                Kind::Text(text) => match text.as_bytes() {
                    [class @ b'1'..=b'5', b'x', b'x'] => {
                        let first = u16::from(class - b'0') * 100;
                        Some(first..=first + 99)
                    }
                    _ => text.parse().ok().filter(|n| (100..=599).contains(n)).map(|n: u16| n..=n),
                },
                _ => None,
            };
            match range {
                Some(range) => found.push(range),
                None => {
                    let message = format!("`{key}` must be 100 to 599 or a class such as \"2xx\"");
                    params.mistake(item.span.clone(), message, "no status", None);
                }
            }
        }
        if items.is_empty() {
            params.mistake(raw.span.clone(), format!("`{key}` is empty"), "expected at least one", None);
        }
        Self(found)
    }

    pub fn fit(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }

    pub fn words(&self) -> String {
        let word = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
            (one, other) if one == other => one.to_string(),
            (one, _) => format!("{}xx", one / 100),
        };
        self.0.iter().map(word).collect::<Vec<_>>().join(" or ")
    }
}

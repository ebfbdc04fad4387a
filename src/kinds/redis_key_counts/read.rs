//! Parameters that are of no shape of their own.

use super::judge::Tolerance;
use crate::{
    base::clean_line,
    kinds::filled,
    plan::{Params, nearest},
    runbook::value::Kind as Value,
};

/// The policies that there are (redis.conf of 8.x).
const POLICIES: [&str; 10] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-lrm",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-lrm",
    "volatile-random",
    "volatile-ttl",
];
/// `{ pattern = count }`.
pub(super) fn counts(params: &mut Params<'_>, key: &'static str) -> Vec<(String, u64)> {
    let Some(value) = params.raw(key) else { return Vec::new() };
    let help = || Some(format!("{key} = {{ \"session:*\" = 1 }}"));
    let Value::Table(table) = &value.kind else {
        params.mistake(value.span.clone(), format!("`{key}` must be a table of counts"), "no table", help());
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in &table.entries {
        match entry.value.kind {
            Value::Int(n) if n >= 0 => found.push((entry.key.clone(), n.unsigned_abs())),
            _ => {
                let message = format!("`{}` must be a whole number, 0 or more", clean_line(&entry.key, 60));
                params.mistake(entry.value.span.clone(), message, "no number of keys", help());
            }
        }
    }
    found
}

/// `tolerance`: keys, or a percentage.
pub(super) fn tolerance(params: &mut Params<'_>) -> Tolerance {
    let Some(value) = params.raw("tolerance") else { return Tolerance::Keys(0) };
    let read = match &value.kind {
        Value::Int(n) => u64::try_from(*n).ok().map(Tolerance::Keys),
        Value::Text(text) => {
            let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
            percent.filter(|percent| (0.0..=100.0).contains(percent)).map(Tolerance::Percent)
        }
        _ => None,
    };
    read.unwrap_or_else(|| {
        let help = Some("tolerance = 10, or tolerance = \"0.5%\"".into());
        params.mistake(value.span.clone(), "`tolerance` must be a number of keys or a percentage", "neither", help);
        Tolerance::Keys(0)
    })
}

/// `eviction`: one of the policies.
pub(super) fn eviction(params: &mut Params<'_>) -> Option<String> {
    let policy = filled(params, "eviction")?;
    if !policy.trim().is_empty() && !POLICIES.contains(&policy.as_str()) {
        let help = nearest(&policy, POLICIES).map(|near| format!("did you mean \"{near}\"?"));
        let span = params.place_of("eviction");
        params.mistake(span, "`eviction` is no policy of Redis", "unknown policy", help);
    }
    Some(policy)
}

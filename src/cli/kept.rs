//! The files that are kept beside a run's journal, compared with its first record: that one the chain holds, them not.

use serde_json::Value as Json;

use super::{Problem, run::refused};
use crate::{
    base::MASK,
    journal::{Run, RunDir},
    run::Outline,
    runbook::sha256_hex,
};

/// What they say otherwise than the outline of the record, a line a file.
pub(super) fn edited(run: &Run, recorded: &Outline) -> Result<Vec<String>, Problem> {
    let dir = RunDir::view(&run.path).map_err(refused)?;
    let runbook = match dir.runbook() {
        Ok(bytes) if sha256_hex(&bytes) == recorded.source_hash => None,
        Ok(_) => Some("runbook.toml is not the file that the run was opened with".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let plan = match dir.plan() {
        Ok(bytes) if is_plan(&bytes, recorded) => None,
        Ok(_) => Some("plan.json is not the plan that the journal holds".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    Ok(runbook.into_iter().chain(plan).collect())
}

/// By meaning, not by bytes: another version writes the same plan otherwise.
fn is_plan(bytes: &[u8], recorded: &Outline) -> bool {
    let Ok(kept) = serde_json::from_slice::<Outline>(bytes) else { return false };
    match (serde_json::to_value(recorded), serde_json::to_value(kept)) {
        (Ok(recorded), Ok(kept)) => same(&recorded, &kept),
        _ => false,
    }
}

fn same(recorded: &Json, kept: &Json) -> bool {
    match (recorded, kept) {
        (Json::String(recorded), Json::String(kept)) => reads(recorded, kept),
        (Json::Array(recorded), Json::Array(kept)) => {
            recorded.len() == kept.len() && recorded.iter().zip(kept).all(|(recorded, kept)| same(recorded, kept))
        }
        (Json::Object(recorded), Json::Object(kept)) => {
            let there = |(key, value): (&String, &Json)| kept.get(key).is_some_and(|kept| same(value, kept));
            recorded.len() == kept.len() && recorded.iter().all(there)
        }
        _ => recorded == kept,
    }
}

/// True where the recorded text is the kept one, with what was masked in it: the plan is kept before any secret is
/// known, and a word of it may be one.
fn reads(recorded: &str, kept: &str) -> bool {
    let Some((first, rest)) = recorded.split_once(MASK) else { return recorded == kept };
    let Some(mut kept) = kept.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split(MASK).collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = kept.find(part) else { return false };
        kept = &kept[at + part.len()..];
    }
    kept.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_text_reads_as_what_it_masks() {
        for (recorded, kept) in [
            ("as it is", "as it is"),
            ("the *** of ***", "the shop of acme"),
            ("***", "shop"),
            ("*** and *** and on", "a and b and on"),
        ] {
            assert!(reads(recorded, kept), "{recorded}: {kept}");
        }
        for (recorded, kept) in
            [("as it is", "as it was"), ("the *** of ***", "a shop of acme"), ("*** and on", "a and off"), ("a", "a b")]
        {
            assert!(!reads(recorded, kept), "{recorded}: {kept}");
        }
    }
}

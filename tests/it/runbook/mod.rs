//! Good and bad runbooks, variables, hostile files.

mod bad;
mod good;
mod hostile;
mod resolving;

use std::path::PathBuf;

use gonogo::runbook::{Parsed, parse};

/// A folder of `tests/runbooks`.
fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/runbooks").join(name)
}

/// The files of a folder with an ending, by name.
fn files(name: &str, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no {ending} in {name}");
    files
}

/// The frame that small runbooks of the tests share: two people, a sandbox, a staging environment.
const HEAD: &str = r#"
format = 1
[runbook]
id = "t"
title = "T"
lead = "mira"
[people]
mira = { name = "Mira" }
dana = { name = "Dana" }
[env.sandbox]
kind = "sandbox"
[env.staging]
kind = "rehearsal"
confirm = "staging"
"#;

fn with_head(rest: &str) -> Parsed {
    parse(format!("{HEAD}{rest}").as_bytes(), "t.toml")
}

/// A step that is right, with more keys.
fn step(id: &str, more: &str) -> String {
    format!(
        "[[step]]\nid = \"{id}\"\ntitle = \"t\"\nowner = \"mira\"\nplanned = \"1m\"\nverify = [ {{ kind = \"http.check\" }} ]\n{more}\n"
    )
}

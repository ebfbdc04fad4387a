//! A run with databases: killed while they are frozen, taken up again with the same data, and taken back. Nothing of
//! them is left when it is over.

use std::{fs, path::PathBuf};

use super::{Home, book, until};

/// The folder that the run's world keeps its servers' files in.
fn place(home: &Home) -> Option<PathBuf> {
    let world = fs::read(home.only_folder()?.join("world/world.json")).ok()?;
    let world: serde_json::Value = serde_json::from_slice(&world).unwrap();
    world["data"]["place"]["dir"].as_str().map(PathBuf::from)
}

/// True where a process has to do with the folder.
fn at_work(place: &std::path::Path) -> bool {
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|one| fs::read(one.path().join("cmdline")).ok());
    lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(&*place.to_string_lossy()))
}

fn told(home: &Home, words: &str) -> bool {
    home.effects().iter().any(|effect| effect.contains(words))
}

#[test]
fn killed_while_frozen_and_taken_back() {
    let home = Home::new();
    let path = book("data.toml").display().to_string();
    let run = home.start(["rehearse", &path, "--env", "sandbox", "--plain"]);
    home.until_journal_has(r#""asked":{"step":"look""#);
    until("somebody who writes is refused", || told(&home, "stops writing").then_some(()));
    let place = place(&home).unwrap();
    assert!(place.exists() && at_work(&place), "{}", place.display());
    let killed = run.kill();
    assert_eq!(killed.code, 128 + 9, "{killed:?}");
    until("its servers ended with it", || (!at_work(&place)).then_some(()));
    assert!(place.exists(), "a run that can go on lost its data");

    // The same data, still frozen: what comes after the marker is not more than what was there.
    let ended = home.typed(["resume", "--plain"], &["go", "rollback", "rollback because it is late", "undo"]);
    assert_eq!(ended.code, 13, "{ended:?}");
    assert!(ended.out.contains("can write as before"), "{ended:?}");
    let journal = fs::read_to_string(home.folder().join("journal.jsonl")).unwrap();
    for url in ["postgres://", "replicator", "password"] {
        assert!(!journal.contains(url), "{url} is in the journal");
    }
    until("nothing is left", || (!place.exists() && !at_work(&place)).then_some(()));
}

#[test]
fn a_run_to_its_end_leaves_nothing_and_is_whole() {
    let home = Home::new();
    let path = book("data.toml").display().to_string();
    let ended = home.run(["rehearse", &path, "--env", "sandbox", "--plain", "--auto-go"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!ended.out.contains("PARTIAL"), "{ended:?}");
    let place = place(&home).unwrap();
    until("nothing is left", || (!place.exists() && !at_work(&place)).then_some(()));
}

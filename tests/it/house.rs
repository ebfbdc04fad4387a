//! The rules of the house that a compiler does not hold.

use std::{fs, path::Path};

use crate::floors::sources;

/// Lines of a file without its tests: more is too much.
const LONGEST: usize = 500;

/// Files that are longer, how long they may be, and why they are one piece.
const LONG: &[(&str, usize, &str)] = &[
    ("run/event.rs", 640, "one family of events, each with its documented fields"),
    ("run/evolve.rs", 540, "the only mutator: one arm an event"),
    ("board/ask.rs", 640, "every question that people can be asked"),
];

/// What stands in a few homes only: the text, the homes, why.
const HOMES: &[(&str, &[&str], &str)] = &[
    (
        "SystemTime::now",
        &["conductor/clock.rs", "services/", "sandbox/", "journal/"],
        "a moment arrives with the input",
    ),
    (
        "Utc::now",
        &["conductor/", "services/", "sandbox/", "cli/", "kinds/dns_wait_ttl.rs", "kinds/wait.rs"],
        "a moment arrives with the input",
    ),
    ("Local::now", &[], "a moment arrives with the input"),
    (
        "env::var",
        &["cli/", "services/", "journal/", "sandbox/", "kinds/command.rs"],
        "the environment is read at the edge",
    ),
    ("env::temp_dir", &[], "files go where the caller says"),
    ("process::exit", &[], "an exit code is returned, so that everything is put back before"),
    ("println!", &[], "a closed pipe must not panic; writing is checked"),
    ("eprintln!", &[], "a closed pipe must not panic; writing is checked"),
    ("print!(", &[], "a closed pipe must not panic; writing is checked"),
    ("dbg!(", &[], "left over"),
];

/// What stands nowhere.
const NEVER: &[(&str, &str)] = &[
    (".unwrap()", "a panic at night ends the night"),
    ("todo!", "it is done or it is not there"),
    ("unimplemented!", "it is done or it is not there"),
    ("#[allow(", "#[expect(…, reason = …)] says when it is no longer needed"),
    ("#![allow(", "#[expect(…, reason = …)] says when it is no longer needed"),
];

/// The part of a file that is not its tests. A file of tests has none.
fn without_tests<'s>(name: &str, source: &'s str) -> &'s str {
    if name.ends_with("tests.rs") || name.contains("/tests/") {
        return "";
    }
    source.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default()
}

/// What is wrong with a file of `src`.
fn faults(name: &str, source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !source.starts_with("//! ") {
        wrong.push(format!("{name}: opens without `//!` saying what it owns"));
    }
    let code = without_tests(name, source);
    let most = LONG.iter().find(|(long, ..)| *long == name).map_or(LONGEST, |(_, most, _)| *most);
    let lines = code.lines().count();
    if lines > most {
        wrong.push(format!("{name}: {lines} lines without tests, more than {most}"));
    }
    let mut expected = false;
    for (at, line) in code.lines().enumerate() {
        let line = line.trim();
        // An expectation stands with its reason; it covers what follows it up to the next blank line.
        expected = !line.is_empty() && (expected || line.contains("#[expect(clippy::unwrap_used, reason"));
        if line.starts_with("//") {
            continue;
        }
        let place = format!("{name}:{}", at + 1);
        for (text, why) in NEVER {
            if line.contains(text) && !(expected && *text == ".unwrap()") {
                wrong.push(format!("{place}: `{text}`: {why}"));
            }
        }
        for (text, homes, why) in HOMES {
            let at_home = homes.iter().any(|home| name.starts_with(home));
            // `eprintln!` contains `println!`; one complaint is enough.
            let here = line.match_indices(text).any(|(i, _)| !line[..i].ends_with(|c: char| c.is_alphanumeric()));
            if here && !at_home {
                wrong.push(format!("{place}: `{text}` outside its home: {why}"));
            }
        }
    }
    wrong
}

#[test]
fn the_house_is_kept() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in sources(&src) {
        let name = file.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        wrong.extend(faults(&name, &fs::read_to_string(&file).unwrap()));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn tests_open_with_what_they_own() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for file in sources(&tests) {
        let source = fs::read_to_string(&file).unwrap();
        assert!(source.starts_with("//! "), "{}: opens without `//!`", file.display());
    }
}

/// The test can fail: each of these is seen.
#[test]
fn faults_are_seen() {
    let wrong = |source: &str| faults("run/new.rs", &format!("//! New.\n{source}")).len();
    assert_eq!(faults("run/new.rs", "use std::fmt;").len(), 1);
    assert_eq!(wrong(&"x\n".repeat(501)), 1);
    for bad in [
        "let x = f().unwrap();",
        "todo!()",
        "#[allow(dead_code)]",
        "let now = chrono::Utc::now();",
        "std::env::var(\"HOME\")",
        "std::process::exit(1)",
        "println!(\"x\")",
        "eprintln!(\"x\")",
        "print!(\"x\")",
    ] {
        assert_eq!(wrong(bad), 1, "{bad}");
    }
    for good in [
        "// todo!",
        "let x = f().unwrap_or_default();",
        "#[expect(dead_code, reason = \"…\")]",
        "#[expect(clippy::unwrap_used, reason = \"…\")]\nf().unwrap();",
        "fn f() {}\n#[cfg(test)]\nmod tests {\n    println!();\n}",
    ] {
        assert_eq!(wrong(good), 0, "{good}");
    }
    assert!(faults("conductor/clock.rs", "//! Clock.\nlet now = chrono::Utc::now();").is_empty());
}

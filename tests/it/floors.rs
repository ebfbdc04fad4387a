//! The floors of the architecture: a module names modules on lower floors only, and some siblings not
//! at all. Read from the `use` lines and the `crate::` paths of `src`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Module, floor, and what it may name on its own floor. A module that is not here fails the test.
const FLOORS: &[(&str, u8, &[&str])] = &[
    ("base", 0, &[]),
    ("runbook", 1, &[]),
    // The outline carries the file's own words for people, clocks and environments.
    ("run", 1, &["runbook"]),
    ("plan", 2, &[]),
    ("board", 2, &[]),
    ("log", 3, &[]),
    ("journal", 3, &[]),
    ("services", 3, &[]),
    ("kinds", 4, &[]),
    ("conductor", 4, &[]),
    ("attach", 4, &[]),
    // The keys of a replay are pressed in the screen, so it holds the player; the player knows no screen.
    ("tui", 4, &["replay"]),
    ("plain", 4, &[]),
    ("watch", 4, &[]),
    ("report", 4, &[]),
    ("replay", 4, &[]),
    ("sandbox", 4, &[]),
    ("cli", 5, &[]),
    ("lib", 6, &["*"]),
    ("main", 6, &["*"]),
];

/// Lower floors that a module must not name all the same: who, what, why.
const NOT: &[(&str, &str, &str)] = &[
    ("board", "plan", "the presenter shows what happened, from the outline"),
    ("log", "plan", "events explain themselves"),
    ("log", "board", "words are for views"),
    ("journal", "plan", "the file does not know steps"),
    ("journal", "board", "words are for views"),
    ("services", "run", "adapters do not know the run; their words come by plan's contract"),
    ("services", "board", "words are for views"),
    ("kinds", "log", "a kind reports by its context"),
    ("kinds", "journal", "a kind reports by its context"),
    ("kinds", "board", "words are for views"),
    ("conductor", "board", "words are for views"),
    ("attach", "plan", "what is said here never acts"),
    ("attach", "board", "words are for views"),
    ("attach", "services", "its only socket is the run's own"),
    ("conductor", "services", "the conductor knows kinds by their contract only"),
    ("tui", "services", "a view opens no socket"),
    ("tui", "journal", "a view knows only the event log"),
    ("plain", "services", "a view opens no socket"),
    ("plain", "journal", "a view knows only the event log"),
    ("report", "services", "a view opens no socket"),
    ("report", "journal", "a view knows only the event log"),
    ("replay", "services", "replay needs no socket and no credentials"),
    ("sandbox", "plan", "the world at the other end does not know who calls"),
    ("sandbox", "run", "the world at the other end does not know who calls"),
    ("sandbox", "board", "the world at the other end does not know who calls"),
    ("sandbox", "log", "the world at the other end does not know who calls"),
    ("sandbox", "journal", "the world at the other end does not know who calls"),
];

fn floor(module: &str) -> Option<(u8, &'static [&'static str])> {
    FLOORS.iter().find(|(name, ..)| *name == module).map(|(_, floor, may)| (*floor, *may))
}

/// What is wrong with a module that names another one.
fn breach(module: &str, named: &str) -> Option<String> {
    if module == named {
        return None;
    }
    let Some((from, may)) = floor(module) else { return Some(format!("`{module}` has no floor; give it one here")) };
    // Names that are no modules (`crate::Exit` of a macro) have no floor and are re-exports of lib.
    let (to, _) = floor(named)?;
    if let Some((_, _, why)) = NOT.iter().find(|(who, what, _)| *who == module && *what == named) {
        return Some(format!("`{module}` names `{named}`: {why}"));
    }
    let allowed = to < from || may.contains(&named) || may.contains(&"*");
    (!allowed).then(|| format!("`{module}` (floor {from}) names `{named}` (floor {to})"))
}

/// The code of a file: without comments and texts, and without what is compiled for tests only.
fn code(source: &str) -> String {
    let source = source.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = source.lines().map(|line| match line.find("//") {
        Some(at) if !line[..at].contains('"') => &line[..at],
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a `use` tree: `a::{b, c::{d}}` → `a::b`, `a::c::d`.
fn tree(text: &str, before: &str, out: &mut BTreeSet<String>) {
    let mut depth = 0_usize;
    let mut begin = 0;
    for (at, c) in text.char_indices().chain([(text.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                let part = text[begin..at].trim();
                begin = at + 1;
                match part.split_once("::{") {
                    Some((head, rest)) => {
                        let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
                        tree(inner, &format!("{before}{head}::"), out);
                    }
                    None if part.starts_with('{') => {
                        tree(part.trim_start_matches('{').trim_end_matches('}'), before, out);
                    }
                    None if part.is_empty() => {}
                    None => {
                        out.insert(format!("{before}{}", part.split(" as ").next().unwrap_or(part).trim()));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Modules of the crate that a file names. `place` is its path of modules: `["run", "state"]`.
fn named(source: &str, place: &[String]) -> BTreeSet<String> {
    let code = code(source);
    let mut paths = BTreeSet::new();
    for statement in code.split(';') {
        // Attributes, visibility and an item without a semicolon may stand before it.
        for (at, _) in statement.match_indices("use ") {
            if !statement[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                tree(statement[at + 4..].trim(), "", &mut paths);
            }
        }
    }
    // Paths written out in the code; only `crate::` and `super::` can leave the module.
    for word in ["crate::", "super::super::"] {
        for (at, _) in code.match_indices(word) {
            let path: String =
                code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
            paths.insert(path.trim_end_matches(':').to_owned());
        }
    }
    paths.iter().filter_map(|path| top(path, place)).collect()
}

/// The top module of a path, seen from `place`.
fn top(path: &str, place: &[String]) -> Option<String> {
    let mut parts = path.split("::").map(str::trim).peekable();
    let mut here = place.to_vec();
    match parts.peek().copied()? {
        "crate" | "gonogo" => {
            parts.next();
            return parts.next().map(str::to_owned);
        }
        "super" => {
            while parts.peek() == Some(&"super") {
                parts.next();
                here.pop();
            }
        }
        _ => return None,
    }
    here.first().cloned().or_else(|| parts.next().map(str::to_owned))
}

pub fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn place(src: &Path, file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(src).unwrap().with_extension("");
    let mut place: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if place.last().is_some_and(|last| last == "mod") {
        place.pop();
    }
    place
}

#[test]
fn modules_name_lower_floors_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in sources(&src) {
        let place = place(&src, &file);
        let module = place.first().cloned().unwrap_or_default();
        for name in named(&fs::read_to_string(&file).unwrap(), &place) {
            wrong.extend(breach(&module, &name).map(|why| format!("{}: {why}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_module_has_a_floor() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&src) {
        let module = place(&src, &file).first().cloned().unwrap_or_default();
        assert!(floor(&module).is_some(), "{}: `{module}` has no floor", file.display());
    }
}

/// The test can fail: each of these names something that it must not.
#[test]
fn breaches_are_seen() {
    let place = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let wrong = |path: &str, source: &str| -> Vec<String> {
        let place = place(path);
        named(source, &place).iter().filter_map(|name| breach(&place[0], name)).collect()
    };
    assert_eq!(wrong("run/state", "use crate::{base::Stamp, conductor::Clock};").len(), 1);
    assert_eq!(
        wrong(
            "run/state",
            "use std::fmt;\nuse crate::{\n    base::{Stamp, StepId},\n    log::{\n        EventLog,\n    },\n};"
        )
        .len(),
        1
    );
    assert_eq!(wrong("plain", "use super::report::Report;").len(), 1);
    assert_eq!(wrong("plain/view", "use super::super::tui::Screen;").len(), 1);
    assert_eq!(wrong("plain/view", "pub(super) use crate::journal as j;").len(), 1);
    assert_eq!(wrong("base/time", "fn f() { crate::run::handle() }").len(), 1);
    assert_eq!(wrong("sandbox/dns", "use crate::kinds::Kind;").len(), 1);
    assert_eq!(wrong("plain", "fn f() { let t = \"because \"; }\nuse crate::tui::Screen;").len(), 1);
    assert_eq!(wrong("unheard/of", "use crate::base::Stamp;").len(), 1);
    // And these do not.
    assert_eq!(
        wrong("run/state", "use super::{event::Event, outline};\nuse crate::base::Stamp;"),
        Vec::<String>::new()
    );
    assert_eq!(
        wrong("plain/view", "use super::{Desk, lines};\n/// See crate::tui::Screen.\nfn f() {}"),
        Vec::<String>::new()
    );
    assert_eq!(
        wrong("run/state", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::cli::Exit;\n}"),
        Vec::<String>::new()
    );
}

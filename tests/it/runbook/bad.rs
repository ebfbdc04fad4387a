//! Every broken runbook of `tests/runbooks/bad` against its golden diagnostics.
//! `UPDATE_GOLDEN=1` writes them anew; read the difference before committing it.

use gonogo::runbook::{Diagnostics, Severity, parse};

use super::{HEAD, files, step, with_head};

fn diagnostics(path: &std::path::Path) -> Diagnostics {
    parse(&std::fs::read(path).unwrap(), &path.file_name().unwrap().to_string_lossy()).diagnostics
}

#[test]
fn golden_diagnostics() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for path in files("bad", "toml") {
        let rendered = diagnostics(&path).render(false, None);
        let golden = path.with_extension("txt");
        if update {
            std::fs::write(&golden, &rendered).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != rendered {
            wrong.push(format!("── {}\n{rendered}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "not as the golden files say:\n{}", wrong.join("\n"));
}

#[test]
fn the_corpus_is_large_and_every_file_of_it_bad() {
    let files = files("bad", "toml");
    assert!(files.len() >= 45, "{}", files.len());
    for path in files {
        assert!(!diagnostics(&path).is_empty(), "{}", path.display());
    }
}

#[test]
fn every_mistake_has_its_line_its_column_and_a_label() {
    for path in files("bad", "toml") {
        let found = diagnostics(&path);
        let rendered = found.render(false, None);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for one in found.sorted() {
            let place = found.source().place(one.span.start);
            assert!(rendered.contains(&format!("--> {name}:{}:{}\n", place.line, place.column)), "{name}: {one:?}");
            assert!(!one.message.is_empty() && !one.label.is_empty(), "{name}: {one:?}");
            let column = one.message.contains("\u{1b}") || one.label.contains('\u{1b}');
            assert!(!column, "{name}: {one:?}");
        }
        assert_eq!(found.to_json().as_array().unwrap().len(), found.iter().count());
    }
}

#[test]
fn nothing_hostile_and_no_secret_is_shown() {
    for path in files("bad", "toml") {
        let rendered = diagnostics(&path).render(false, None);
        let hostile =
            rendered.chars().any(|c| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{200b}'));
        assert!(!hostile, "{}: {rendered:?}", path.display());
        assert!(!rendered.contains("hunter2"), "{}", path.display());
        assert!(rendered.lines().all(|line| line.chars().count() < 420), "{}", path.display());
    }
}

#[test]
fn all_mistakes_of_a_file_are_found_at_once() {
    let found = with_head(&format!(
        "{}{}{}",
        step("a", "needs = [\"nowhere\"]\ncolour = 1"),
        step("a", "timeout = 5\npeople = 7"),
        "[[step]]\nid = \"B\"\nowner = \"nobody\"\nplanned = \"0s\"\n",
    ))
    .diagnostics;
    let codes: Vec<_> = found.sorted().iter().map(|d| d.code.as_str()).collect();
    let all = ["GNE020", "GNE032", "GNE030", "GNE021", "GNE023", "GNE022", "GNE024", "GNE031", "GNE025"];
    for code in all {
        assert!(codes.contains(&code), "{code} is not among {codes:?}\n{}", found.render(false, None));
    }
    let places: Vec<_> = found.sorted().iter().map(|d| d.span.start).collect();
    assert!(places.is_sorted());
}

#[test]
fn the_same_mistake_is_said_once() {
    let found = with_head(&step("a", "why = \"${x} ${x}\"")).diagnostics;
    assert_eq!(found.iter().count(), 2, "two places");
    let mut twice = found.clone();
    twice.extend(found.iter().cloned().collect::<Vec<_>>());
    assert_eq!(twice.iter().count(), 2);
}

#[test]
fn colour_adds_escapes_only() {
    let found = with_head("nonsense = 1\n").diagnostics;
    let coloured = found.render(true, Some(80));
    assert!(coloured.contains("\u{1b}["));
    assert_eq!(strip(&coloured), strip(&found.render(false, Some(80))));
}

fn strip(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        match c {
            '\u{1b}' => inside = true,
            'm' if inside => inside = false,
            _ if inside => {}
            _ => out.push(c),
        }
    }
    out
}

#[test]
fn a_warning_alone_does_not_forbid() {
    let parsed = with_head(&step("a", "timeout = \"2s\"\nplanned_ = 1").replace("planned_ = 1", ""));
    assert_eq!(parsed.diagnostics.count(Severity::Warning), 1);
    assert!(parsed.usable().is_ok());
    assert!(HEAD.starts_with('\n'));
}

//! What the README says is what the program has: its table of kinds, its runbook, its commands.

use std::fmt::Write as _;

use gonogo::{
    kinds::{ALL, Bind},
    runbook::parse,
};

const README: &str = include_str!("../../README.md");
const BEGIN: &str = "<!-- kinds: generated from the registry, checked by a test -->\n";
const END: &str = "<!-- /kinds -->";

fn table() -> String {
    let mut table = String::from("\n| kind | is | does | doubt | has to be allowed |\n|---|---|---|:-:|---|\n");
    for kind in ALL {
        let is = match kind.bind {
            Bind::Check(_) => "check",
            Bind::Action(_) => "action",
            Bind::Both(..) => "action, check",
            Bind::Format => "stop point",
        };
        let needs = kind.needs.join("<br>");
        writeln!(table, "| `{}` | {is} | {} | {} | {needs} |", kind.name, kind.summary, kind.doubt.letter()).unwrap();
    }
    table + "\n"
}

/// `UPDATE_GOLDEN=1` writes the table.
#[test]
fn the_table_of_kinds_is_the_registrys() {
    let begin = README.find(BEGIN).unwrap() + BEGIN.len();
    let end = README.find(END).unwrap();
    let table = table();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = format!("{}{table}{}", &README[..begin], &README[end..]);
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"), text).unwrap();
        return;
    }
    assert_eq!(&README[begin..end], table, "UPDATE_GOLDEN=1 writes it");
}

#[test]
fn the_runbook_in_it_is_a_runbook() {
    let begin = README.find("```toml\n").unwrap() + "```toml\n".len();
    let text = &README[begin..begin + README[begin..].find("```").unwrap()];
    let parsed = parse(text.as_bytes(), "README.md");
    assert!(parsed.diagnostics.is_empty(), "{}", parsed.diagnostics.render(false, None));
}

#[test]
fn every_file_it_links_to_is_there() {
    for (at, _) in README.match_indices("](") {
        let target = &README[at + 2..at + README[at..].find(')').unwrap()];
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(target);
        assert!(target.contains("://") || path.exists(), "{target}");
    }
}

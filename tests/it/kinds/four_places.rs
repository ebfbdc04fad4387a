//! A kind touches four places; one that misses one of them is found here.

use std::{collections::BTreeSet, path::Path};

use gonogo::kinds::{ALL, Bind};

#[test]
fn every_kind_has_its_four_places() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for kind in ALL {
        let file = kind.name.replace('.', "_");
        for path in [format!("src/kinds/{file}.rs"), format!("tests/it/kinds/{file}.rs")] {
            assert!(root.join(&path).is_file(), "{}: {path} is missing", kind.name);
        }
        let example = root.join(format!("runbooks/kinds/{}.toml", kind.name));
        let text = std::fs::read_to_string(&example).unwrap_or_else(|e| panic!("{}: {e}", example.display()));
        assert_eq!(text, kind.example, "{}: its example is another file", kind.name);
        let used = match kind.bind {
            Bind::Format => format!("[step.{}]", kind.name),
            _ => format!("kind = \"{}\"", kind.name),
        };
        assert!(text.contains(&used), "{}: its example does not use it", kind.name);
        let listed = root.join("tests/it/kinds/mod.rs");
        let listed = std::fs::read_to_string(listed).unwrap();
        assert!(listed.lines().any(|line| line == format!("mod {file};")), "{}: its tests do not run", kind.name);
    }
}

#[test]
fn every_example_belongs_to_a_kind() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks/kinds");
    let known = ALL.iter().map(|kind| format!("{}.toml", kind.name)).collect::<BTreeSet<_>>();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "{name} belongs to no kind");
    }
}

#[test]
fn the_registry_is_in_order_and_documented() {
    for (kind, next) in ALL.iter().zip(&ALL[1..]) {
        assert!(kind.name < next.name, "{} stands before {}", kind.name, next.name);
    }
    for kind in ALL {
        assert!(!kind.summary.is_empty() && !kind.docs.is_empty(), "{}", kind.name);
        let mut names = BTreeSet::new();
        for param in kind.params {
            assert!(names.insert(param.name), "{}: `{}` twice", kind.name, param.name);
            assert!(!param.help.is_empty(), "{}: `{}` has no help", kind.name, param.name);
        }
    }
}

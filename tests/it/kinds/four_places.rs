//! A kind touches four places; one that misses one of them is found here.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use gonogo::{
    base::Redactor,
    kinds::{ALL, Bind, Kinds},
    plan::{self, Options},
    run::Mode,
    runbook::{EnvKind, parse, sha256_hex},
    services::Services,
};

/// Every example parses, and every kind in it can be bound in every environment of it.
#[test]
fn every_example_can_be_planned() {
    for kind in ALL {
        let parsed = parse(kind.example.as_bytes(), kind.name).usable();
        let (runbook, _) = parsed.unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false, None)));
        assert!(runbook.envs.iter().any(|env| env.kind == EnvKind::Sandbox), "{}: no sandbox", kind.name);
        for env in &runbook.envs {
            let kinds = Kinds(Services::new(env.clone(), &runbook.secrets, Arc::new(Redactor::default())));
            let source_hash = sha256_hex(kind.example.as_bytes());
            let options = Options { mode: Mode::Rehearse, dry_run: false, from: None, until: None, source_hash };
            if let Err(mistakes) = plan::build(&runbook, env, &kinds, &options) {
                let mut all = parse(kind.example.as_bytes(), kind.name).diagnostics;
                all.extend(mistakes);
                panic!("{}", all.render(false, None));
            }
        }
    }
}

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
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(&used), "{}: its example does not use it", kind.name);
        let listed = root.join("tests/it/kinds/mod.rs");
        let listed = std::fs::read_to_string(listed).unwrap();
        assert!(listed.lines().any(|line| line == format!("mod {file};")), "{}: its tests do not run", kind.name);
    }
}

/// Systems whose tests call the contract by themselves: the suite of `ends.rs` has no end for them, or (Heroku, the
/// web) they come with a fake of their own.
const BY_THEMSELVES: [&str; 10] =
    ["command", "heroku", "http", "kubernetes", "manual", "notify", "postgres", "redis", "terraform", "wait"];

/// What stands at AWS, DNS or TLS is held to the contract at the sandbox at least; the rest calls it in its tests.
#[test]
fn every_kind_is_put_through_the_contract() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for kind in ALL {
        let path = root.join(format!("tests/it/kinds/{}.rs", kind.name.replace('.', "_")));
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let suite = code.lines().any(|line| line.starts_with("contract!(") && line.contains("; sandbox: Sandbox"));
        let system = kind.name.split('.').next().unwrap();
        let calls = |call: &str| code.contains(call);
        let checks = calls("check_changes_nothing(") || calls(".check(");
        let acts = calls("acts_and_restores(") || (calls(".apply(") && calls(".probe("));
        let by_itself = match kind.bind {
            Bind::Format => continue,
            Bind::Check(_) => checks,
            Bind::Action(_) => acts,
            Bind::Both(..) => checks && acts,
        };
        let held = suite || (by_itself && BY_THEMSELVES.contains(&system));
        assert!(held, "{}: nothing holds it to the contract (`contract!` in tests/it/kinds/ends.rs)", kind.name);
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

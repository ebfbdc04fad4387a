//! Variables and secrets of an environment.

use gonogo::runbook::{Resolver, Runbook, SecretSource, canonical, value::Kind};

use super::{step, with_head};

const VARS: &str = r#"
[vars]
region = "eu"
n = 3
on = true
share = 0.5
[secrets]
token = { env = "TOKEN" }
db = { aws_secret = "acme/${env}/${region}" }
"#;

fn book(action: &str) -> Runbook {
    let text = format!("{VARS}{}", step("a", &format!("action = {{ kind = \"command\", {action} }}")));
    let parsed = with_head(&text);
    assert!(parsed.runbook.is_some(), "{}", parsed.diagnostics.render(false, None));
    parsed.runbook.unwrap()
}

#[test]
fn text_takes_the_type_of_a_variable_that_stands_alone() {
    let book = book(
        r#"a = "${n}", b = "${on}", c = "n is ${n}", d = ["${share}"], e = { f = "${env}-${region}" }, g = "$${n}""#,
    );
    let env = book.env("staging").unwrap();
    let (params, found) = Resolver::new(&book, env).table(&book.steps[0].action.as_ref().unwrap().params);
    assert!(found.is_empty(), "{found:?}");
    let kind = |key: &str| params.get(key).unwrap().value.kind.clone();
    assert_eq!(kind("a"), Kind::Int(3));
    assert_eq!(kind("b"), Kind::Bool(true));
    assert_eq!(kind("c"), Kind::Text("n is 3".into()));
    assert_eq!(kind("g"), Kind::Text("${n}".into()));
    assert_eq!(canonical(&params), r#"{"a":3,"b":true,"c":"n is 3","d":[0.5],"e":{"f":"staging-eu"},"g":"${n}"}"#);
}

#[test]
fn a_secret_stands_alone_and_stays_a_reference() {
    let book = book(r#"env = { TOKEN = "${secret.token}" }"#);
    let env = book.env("staging").unwrap();
    let resolver = Resolver::new(&book, env);
    let (params, found) = resolver.table(&book.steps[0].action.as_ref().unwrap().params);
    assert!(found.is_empty());
    assert_eq!(canonical(&params), r#"{"env":{"TOKEN":{"$secret":"token"}}}"#);
    assert_eq!(resolver.secret(&book.secrets[1]).0, SecretSource::AwsSecret("acme/staging/eu".into()));
    let (text, _) = resolver.canonical_step(&book.steps[0]);
    assert!(text.contains(r#"{"$secret":"token"}"#) && !text.contains("TOKEN_VALUE"), "{text}");
}

#[test]
fn every_wrong_reference_is_found_at_its_column() {
    for (action, code, at) in [
        (r#"a = "x ${nope}""#, "GNE040", "${nope}"),
        (r#"a = "x ${secret.token}""#, "GNE042", "${secret.token}"),
        (r#"a = "${secret.tokn}""#, "GNE034", "${secret.tokn}"),
        (r#"a = "${secret.token}${secret.token}""#, "GNE042", "${secret.token}"),
        (r#"a = "${ n }""#, "GNE043", "${ n }"),
        (r#"a = "${n""#, "GNE043", "${n"),
        ("a = '''\n\n  ${nope}'''", "GNE040", "${nope}"),
        (r#"a = "\t\u00e4 ${nope}""#, "GNE040", "${nope}"),
        (r#"a = "\u0024{nope}""#, "GNE040", r#""\u0024{nope}""#),
    ] {
        let text = format!("{VARS}{}", step("a", &format!("action = {{ kind = \"command\", {action} }}")));
        let parsed = with_head(&text);
        let found = parsed.diagnostics.sorted();
        let first = found.first().unwrap_or_else(|| panic!("{action}: nothing found"));
        assert_eq!((first.code.as_str(), parsed.diagnostics.source().slice(&first.span)), (code, at), "{action}");
        let book = parsed.runbook.as_ref().unwrap();
        let env = book.env("staging").unwrap();
        let (_, again) = Resolver::new(book, env).table(&book.steps[0].action.as_ref().unwrap().params);
        assert_eq!((again[0].code.as_str(), &again[0].span), (code, &first.span), "{action}");
        let mut merged = parsed.diagnostics.clone();
        let before = merged.iter().count();
        merged.extend(again);
        assert_eq!(merged.iter().count(), before, "{action}: said twice");
    }
}

#[test]
fn a_secret_is_never_in_a_text_that_is_shown() {
    let parsed = with_head(&format!("{VARS}{}", step("a", "why = \"${secret.token}\"")));
    assert_eq!(parsed.diagnostics.sorted()[0].code.as_str(), "GNE042");
    let book = parsed.runbook.unwrap();
    let (_, found) = Resolver::new(&book, &book.envs[0]).text(book.steps[0].why.as_ref().unwrap());
    assert_eq!(found[0].code.as_str(), "GNE042");
}

#[test]
fn a_variable_of_some_environments_names_those_that_lack_it() {
    let envs = "[env.live]\nkind = \"live\"\nconfirm = \"live\"\nvars = { only_live = 1 }\n";
    let parsed = with_head(&format!("{envs}{}", step("a", "why = \"${only_live}\"")));
    let found = parsed.diagnostics.sorted();
    assert_eq!(found.len(), 1);
    assert!(found[0].message.ends_with("environments `sandbox`, `staging`"), "{}", found[0].message);
    let alone = with_head(&format!("{envs}{}", step("a", "why = \"${only_live}\"\nonly = [\"live\"]")));
    assert!(alone.diagnostics.is_empty());
}

#[test]
fn canonical_steps_differ_only_in_meaning() {
    let of = |step: &str| {
        let book = with_head(&format!("{VARS}{step}")).runbook.unwrap();
        Resolver::new(&book, &book.envs[1]).canonical_step(&book.steps[0]).0
    };
    let one = of(&step("a", "action = { kind = \"command\", a = 1, b = \"${n}\" }"));
    assert_eq!(one, of(&step("a", "# said\naction = { b = 3, a = 1, kind = \"command\" }")));
    assert_ne!(one, of(&step("a", "action = { b = 4, a = 1, kind = \"command\" }")));
    assert_ne!(one, of(&step("a", "action = { b = 3, a = 1.0, kind = \"command\" }")));
    assert_ne!(one, of(&step("a", "people = 2\naction = { kind = \"command\", a = 1, b = 3 }")));
}

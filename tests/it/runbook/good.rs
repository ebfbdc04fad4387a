//! Runbooks that are right parse without a word, and mean what they say.

use std::time::Duration;

use gonogo::runbook::{EnvKind, OnFail, Rollback, Scalar, SecretSource, parse, value::Kind};

use super::{files, folder, step, with_head};

#[test]
fn good_runbooks_are_clean() {
    for path in files("good", "toml") {
        let bytes = std::fs::read(&path).unwrap();
        let parsed = parse(&bytes, &path.file_name().unwrap().to_string_lossy());
        assert!(parsed.diagnostics.is_empty(), "{}", parsed.diagnostics.render(false, None));
        assert!(parsed.runbook.is_some());
    }
}

#[test]
fn the_design_page_binds_to_its_meaning() {
    let bytes = std::fs::read(folder("good").join("design.toml")).unwrap();
    let (book, _) = parse(&bytes, "design.toml").usable().map_err(|d| d.render(false, None)).unwrap();
    assert_eq!((book.id.as_str(), book.lead.as_str()), ("heroku-to-aws", "mira"));
    assert_eq!(book.window.start.unwrap().to_rfc3339(), "2026-12-06T01:30:00+01:00");
    assert_eq!(book.window.freeze_budget, Some(Duration::from_secs(3600)));
    let names = |names: Vec<&str>| names.join(" ");
    assert_eq!(names(book.people.iter().map(|p| p.id.as_str()).collect()), "mira dana sam");
    assert_eq!(names(book.envs.iter().map(|e| e.name.as_str()).collect()), "sandbox staging production");
    assert_eq!(
        names(book.steps.iter().map(|s| s.id.as_str()).collect()),
        "lower-ttl old-ttl-gone go-freeze open-writes switch-dns close-out"
    );
    let production = book.env("production").unwrap();
    assert_eq!((production.kind, production.confirm.as_str()), (EnvKind::Live, "acme-prod"));
    assert_eq!(production.aws.as_ref().unwrap().account.as_deref(), Some("444455556666"));
    assert_eq!(production.heroku.as_ref().unwrap().app, "acme-shop");
    assert_eq!(production.vars["zone"], Scalar::Text("Z0PROD".into()));
    assert_eq!(book.env("sandbox").unwrap().confirm, "sandbox");
    assert_eq!(
        book.secrets[3].source,
        SecretSource::Command(["op", "read", "op://ops/pager/key"].map(String::from).into())
    );
    let ttl = &book.steps[0];
    assert_eq!(ttl.action.as_ref().unwrap().kind, "route53.set_ttl");
    assert_eq!(ttl.action.as_ref().unwrap().params.get("ttl").unwrap().value.kind, Kind::Int(60));
    assert!(matches!(ttl.rollback, Some(Rollback::Restore)));
    assert_eq!((ttl.verify.len(), ttl.people, ttl.on_fail.clone()), (1, 1, OnFail::Hold));
    let stop = book.steps[2].stop.as_ref().unwrap();
    assert_eq!((stop.voters.len(), stop.criteria.len(), stop.decides.is_none()), (2, 2, true));
    let open = &book.steps[3];
    assert!(open.no_return && open.people == 2 && matches!(open.rollback, Some(Rollback::None(_))));
    let watch = &book.watches[0];
    assert_eq!((watch.breach_after, watch.no_data_is_bad, watch.hold), (3, true, true));
    assert_eq!((watch.from.0.as_str(), watch.until.0.as_str()), ("switch-dns", "close-out"));
}

#[test]
fn spans_point_at_what_they_name() {
    let bytes = std::fs::read(folder("good").join("design.toml")).unwrap();
    let book = parse(&bytes, "design.toml").runbook.unwrap();
    let source = &book.source;
    for step in &book.steps {
        assert_eq!(source.slice(&step.id_span), format!("\"{}\"", step.id));
        for table in step.action.iter().chain(&step.verify) {
            assert_eq!(source.slice(&table.kind_span), format!("\"{}\"", table.kind));
        }
    }
    for env in &book.envs {
        assert_eq!(source.slice(&env.span), env.name.as_str());
    }
}

#[test]
fn both_notations_of_a_stop_and_of_going_on() {
    let asked = "question = \"Go?\", voters = [\"dana\"], decides = \"dana\"";
    let book = with_head(&format!(
        "{}{}{}{}",
        step("a", &format!("stop = {{ {asked} }}")),
        step("b", &format!("action = {{ kind = \"stop\", {asked} }}")),
        step("c", "on_fail = { continue = \"warms up by itself\" }"),
        step(
            "d",
            "on_fail = \"continue\"\nreason = \"warms up by itself\"\nclocks = [\"freeze:start\", \"downtime:stop\"]"
        ),
    ));
    assert!(book.diagnostics.is_empty(), "{}", book.diagnostics.render(false, None));
    let steps = book.runbook.unwrap().steps;
    for stop in &steps[..2] {
        let asked = stop.stop.as_ref().unwrap();
        assert_eq!((asked.voters[0].as_str(), asked.decides.as_ref().unwrap().as_str()), ("dana", "dana"));
        assert!(stop.action.is_none());
    }
    assert_eq!(steps[2].on_fail, OnFail::Continue("warms up by itself".into()));
    assert_eq!(steps[2].on_fail, steps[3].on_fail);
    let clocks = steps[3].clocks.unwrap();
    assert!(clocks.freeze_starts && clocks.downtime_stops && !clocks.freeze_stops && !clocks.downtime_starts);
}

#[test]
fn a_later_step_may_be_needed() {
    let book = with_head(&format!("{}{}", step("a", "needs = [\"b\"]"), step("b", "needs = []")));
    assert!(book.diagnostics.is_empty(), "{}", book.diagnostics.render(false, None));
}

#[test]
fn line_ends_and_a_byte_order_mark_change_nothing() {
    let text = std::fs::read_to_string(folder("good").join("design.toml")).unwrap();
    let other = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let (a, b) = (parse(text.as_bytes(), "a"), parse(other.as_bytes(), "b"));
    assert!(b.diagnostics.is_empty(), "{}", b.diagnostics.render(false, None));
    let (a, b) = (a.runbook.unwrap(), b.runbook.unwrap());
    assert_eq!(a.steps.len(), b.steps.len());
    assert_ne!(a.source.sha256(), b.source.sha256());
}

/// Every key that the reader knows is in the runbook that shows them all.
#[test]
fn every_key_is_shown() {
    let text = std::fs::read_to_string(folder("good").join("every-key.toml")).unwrap();
    let broken = text.lines().map(|line| if line == "[[step]]" { "[[step]]\nzzz = 1" } else { line });
    let found = parse(broken.collect::<Vec<_>>().join("\n").as_bytes(), "x").diagnostics;
    let known = found.iter().find_map(|d| d.help.as_deref()?.strip_prefix("known keys: ")).unwrap();
    for key in known.split(", ") {
        let there =
            text.lines().any(|line| line.trim_start_matches(['[', ' ']).trim_start_matches("step.").starts_with(key));
        assert!(there, "`{key}` is not in every-key.toml");
    }
}

/// `cargo test --release --test it -- --ignored --nocapture speed_of_2000_steps`
#[test]
#[ignore = "a figure, not an assertion"]
fn speed_of_2000_steps() {
    let text = (0..2000)
        .map(|i| step(&format!("s{i}"), "action = { kind = \"manual\", text = \"in ${env}\" }\nrollback = \"restore\""))
        .collect::<String>();
    let start = std::time::Instant::now();
    assert!(with_head(&text).diagnostics.is_empty());
    println!("{} bytes in {:?}", text.len(), start.elapsed());
}

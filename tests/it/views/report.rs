//! The report of the made-up nights: golden Markdown, CSV and JSON, and what must never be lost in it.

use gonogo::{
    base::{Class, Failure},
    board::{Face, Zone},
    report::Report,
    run::{Done, Envelope, Input, Intent, Resumed},
    runbook::EnvKind,
};

use super::golden;
use crate::night::{Night, outline, step_id};

fn face() -> Face {
    Face { zone: Zone::fixed(3600, "CET"), ..Face::default() }
}

fn report(night: &Night) -> Report {
    Report::of(night.log.iter(), vec!["412-9f3ab2c4d5e60718".into()]).unwrap()
}

/// A live night with a failure, a retry, a late step, an override, notes and two people.
fn eventful() -> Night {
    let mut night = Night::open(EnvKind::Live);
    night.failed().says("dana", Intent::Retry { step: step_id("deploy-web"), typed: "retry".into(), reason: None });
    night
        .done("deploy-web", 200, "web:412 steady, 6 of 6")
        .done("smoke", 151, "12 of 12")
        .criteria("go-open", &[Ok("12 of 12"), Ok("41 tables, difference 0"), Err("4 of 6 healthy")])
        .vote("go-open", "dana", true)
        .vote("go-open", "sam", false)
        .wait(40);
    let reason = Some("the ALB's figures are two minutes old".to_owned());
    night.says("mira", Intent::Go { step: step_id("go-open"), typed: "go".into(), reason });
    night.done("switch-dns", 9, "change C0492 INSYNC").sample(Some(true), "0.04 %");
    night.says("dana", Intent::Hold).wait(60).release();
    night.done("dns-seen", 590, "25 of 26 resolvers");
    let confirm = || Intent::Confirm { step: step_id("open-writes"), typed: "acme-prod".into() };
    night.says("mira", confirm()).wait(12).says("dana", confirm());
    night
        .done("open-writes", 2, "ALTER DATABASE")
        .done("watch-metrics", 600, "quiet for 10 m")
        .ready("close-out")
        .wait(100)
        .says("mira", Intent::OwnerDone { step: step_id("close-out"), value: None, reason: None })
        .done_now("close-out", "closed");
    night
}

#[test]
fn an_eventful_night_on_paper() {
    let report = report(&eventful());
    golden("report.md", &report.markdown(&face()));
    golden("report.csv", &report.csv().unwrap());
    golden("report.json", &report.json().unwrap());
}

#[test]
fn a_rollback_on_paper() {
    let mut night = Night::open(EnvKind::Live);
    night.rolled_back();
    let report = report(&night);
    golden("rollback.md", &report.markdown(&face()));
    assert_eq!(report.rollback.as_ref().unwrap().steps, [11, 6, 5, 2]);
    assert_eq!(report.plan.late_seconds, None, "the plan was given up");
}

/// What was not done did not go as planned, and what was found taken back was not skipped.
#[test]
fn nothing_is_said_to_have_gone_as_planned_that_did_not_happen() {
    let mut night = Night::open(EnvKind::Live);
    night.wait(5).release();
    let page = report(&night).markdown(&face());
    assert!(page.contains("None so far: the run is not over.") && page.contains("| took so far | "), "{page}");
    let mut outline = outline(EnvKind::Live);
    outline.dry_run = true;
    outline.steps.truncate(1);
    outline.watches.clear();
    let mut night = Night::of(outline);
    night.wait(5).done("preflight", 1, "looked at");
    let page = report(&night).markdown(&face());
    assert!(
        night.state.ended.is_some() && page.contains("None: everything was looked at, nothing was done."),
        "{page}"
    );
    let mut night = Night::open(EnvKind::Live);
    night.rolling_back().says("dana", Intent::Confirm { step: step_id("deploy-web"), typed: "undo".into() });
    night.ready("deploy-web").wait(3);
    let resumed = serde_json::json!({ "operator": "sam", "from": "sam@bastion" });
    night.input(Input::Resume(serde_json::from_value(resumed).unwrap()));
    night.report("deploy-web", gonogo::run::Report::Found(gonogo::run::Finding::Done(Done::new("web:409"))));
    let report = report(&night);
    assert_eq!(report.steps[10].undo.as_ref().unwrap().state, "found done");
    assert!(!report.deviations.iter().any(|it| it.kind == "skip"), "{:?}", report.deviations);
}

#[test]
fn every_decision_is_on_paper_with_its_names() {
    let report = report(&eventful());
    let said: Vec<(&str, &str, &str)> =
        report.decisions.iter().map(|d| (d.decision.as_str(), d.who.as_str(), d.typed_by.as_str())).collect();
    for wanted in [
        ("go", "mira", "dana"),
        ("vote no-go", "sam", "dana"),
        ("retry", "dana", "dana"),
        ("confirmed", "mira", "dana"),
        ("said done", "sam", "dana"),
        ("hold", "dana", "dana"),
        ("go on", "dana", "dana"),
    ] {
        assert!(said.contains(&wanted), "{wanted:?} in {said:?}");
    }
    let kinds: Vec<(&str, Option<usize>)> = report.deviations.iter().map(|d| (d.kind, d.step)).collect();
    for wanted in [("failure", Some(11)), ("retry", Some(11)), ("late", Some(7)), ("override", Some(13))] {
        assert!(kinds.contains(&wanted), "{wanted:?} in {kinds:?}");
    }
    // Work and waiting are kept apart: sixty seconds of hold belong to no step.
    let go_open = &report.steps[12];
    assert_eq!(go_open.actual_seconds, Some(40.0));
    assert_eq!(report.holds.last().unwrap().seconds, Some(60.0));
}

#[test]
fn a_run_that_is_not_over_has_a_report() {
    let mut night = Night::open(EnvKind::Live);
    night.to_deploy().ready("deploy-web").wait(30);
    let resumed: Resumed =
        serde_json::from_value(serde_json::json!({ "operator": "sam", "from": "sam@bastion" })).unwrap();
    night.input(Input::Resume(resumed));
    let report = report(&night);
    assert_eq!(report.ended, None);
    assert!(report.ending.starts_with("not over: held, taken up again"), "{}", report.ending);
    assert_eq!(report.operators, ["dana from dana@bastion", "sam from sam@bastion"]);
    assert!(report.deviations.iter().any(|d| d.kind == "resumed"));
    assert_eq!(report.steps[10].state, "in doubt");
    assert_eq!(report.steps[10].attempts[0].outcome, "lost");
    assert!(Report::of(&Vec::<Envelope>::new(), Vec::new()).is_none());
}

#[test]
fn text_from_outside_breaks_nothing() {
    let mut outline = outline(EnvKind::Sandbox);
    outline.steps[0].title = "a | b <script>alert(1)</script> `code` [x](javascript:y) =HYPERLINK()".into();
    let mut night = Night::of(outline);
    night.note("dana", "first line\n## not a heading\n| not | a row |", None);
    night.fails("preflight", 3, Failure::new(Class::Failed, "| end | of | table |\n<b>").because("=cmd|' /C calc'!A0"));
    let report = report(&night);
    let page = report.markdown(&face());
    assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
    assert!(!page.lines().any(|line| line.starts_with("## not")), "{page}");
    let table: Vec<&str> =
        page.lines().skip_while(|line| !line.starts_with("| # | step")).take_while(|line| !line.is_empty()).collect();
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(table.len() > 18 && table.iter().all(|line| cells(line) == cells(table[0])), "{page}");
    let csv = report.csv().unwrap();
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let width = rows.headers().unwrap().len();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert!(rows.iter().all(|row| row.len() == width));
    assert_eq!(&rows[0][4], "a | b <script>alert(1)</script> `code` [x](javascript:y) =HYPERLINK()");
}

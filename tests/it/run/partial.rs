//! A run that leaves steps out because the sandbox has not got what they need: it goes on around them and never ends as
//! if it were whole.

use gonogo::{
    board::{Board, Detail, Face, Mark, partial_words, tell},
    run::{Ending, Envelope, Gate, LeftOut, Outline, Settlement, StepOutline, StepState, Timing, Treatment, What},
    runbook::{Clocks, EnvKind, Lack},
};

use super::{Night, at, check, go, id, needing, opened, outline, step, stop, watch};

const WHY: &str = "no PostgreSQL on this machine (initdb and postgres not found); apt-get install postgresql";

fn out(step: StepOutline) -> StepOutline {
    StepOutline { treatment: Treatment::LeftOut(WHY.into()), ..step }
}

fn lacking(steps: Vec<StepOutline>) -> Outline {
    let mut outline = outline(steps);
    outline.env.kind = EnvKind::Sandbox;
    outline.lacks = vec![Lack {
        what: "PostgreSQL".into(),
        why: "initdb and postgres not found".into(),
        install: "apt-get install postgresql".into(),
        secrets: vec!["old_db".into()],
    }];
    outline
}

#[test]
fn the_run_goes_on_around_what_is_left_out_and_ends_with_exceptions() {
    let lost = StepOutline {
        clocks: Clocks { freeze_starts: true, ..Clocks::default() },
        no_return: true,
        people: 2,
        ..step("freeze")
    };
    let mut plan = lacking(vec![out(check("lag")), out(needing(lost, &["lag"])), needing(step("deploy"), &["freeze"])]);
    plan.watches = vec![watch("errors", "freeze", "deploy")];
    let mut night = Night::open(opened(plan, false));
    // Nobody is asked and nothing is sent; what needs it starts at once.
    assert_eq!(night.started(), [("deploy".to_owned(), What::Do)]);
    for name in ["lag", "freeze"] {
        let left = Settlement::LeftOut(WHY.into());
        assert_eq!(night.forward(name), &StepState::Settled(Gate::Otherwise(left)), "{name}");
    }
    assert!(night.state.crossed.is_none() && night.state.freeze.since.is_none());
    assert!(night.state.watches[0].began.is_none(), "a watch began at a step that never did");
    night.does("deploy");
    assert_eq!(night.state.ended, Some(Ending::WithExceptions));
    let timing = Timing::of(&night.state, at(night.now)).unwrap();
    assert_eq!(timing.planned_total, night.state.outlines()[2].planned, "time is planned for what is left out");
}

#[test]
fn a_criterion_that_nobody_looks_at_makes_the_run_partial_and_is_never_green() {
    let mut asked = stop("go");
    let question = asked.stop.as_mut().unwrap();
    question.left_out = vec![LeftOut { looks: "replication lag below 1 MiB".into(), why: WHY.into() }];
    question.criteria.clear();
    question.voters.clear();
    let mut night = Night::open(opened(lacking(vec![asked, needing(step("one"), &["go"])]), false));
    let board = Board::of(&night.state, at(night.now), &Face::default());
    let Some(gonogo::board::Ask::StopPoint(ask)) = board.ask else { panic!("nothing is asked") };
    assert_eq!((ask.checks.len(), ask.against), (1, 0));
    assert_eq!((ask.checks[0].ok, ask.checks[0].mark().1), (None, "OUT "));
    assert!(ask.checks[0].line.contains("apt-get install postgresql"), "{:?}", ask.checks[0]);
    night.says("mira", go("go")).unwrap();
    night.does("one");
    assert_eq!(night.state.ended, Some(Ending::WithExceptions));
}

#[test]
fn every_view_says_it_from_the_first_moment_on() {
    let plan = lacking(vec![step("deploy"), out(needing(check("lag"), &["deploy"]))]);
    let said = partial_words(&plan).unwrap();
    assert!(said.starts_with("PARTIAL: 1 step is left out: no PostgreSQL"), "{said}");
    assert!(said.ends_with("apt-get install postgresql"), "{said}");
    let night = Night::open(opened(plan, false));
    let board = Board::of(&night.state, at(night.now), &Face::default());
    assert_eq!(board.header.mode, "SANDBOX PARTIAL");
    assert!(!board.next.text.contains("lag"), "what is left out comes next: {}", board.next.text);
    let row = &board.rows[1];
    assert_eq!(
        (row.mark, row.title.as_str(), row.plan.as_str(), row.delta.as_str()),
        (Mark::Out, "(left out) lag", "", "")
    );
    let detail = Board::detail(&night.state, &id("lag"), at(night.now), &Face::default());
    let Some(Detail { lines, .. }) = detail else { panic!("no detail") };
    assert!(lines.iter().any(|(label, said)| *label == "left out" && said.text == WHY), "{lines:?}");
    let first = Envelope { seq: 1, at: at(0).at, elapsed: at(0).elapsed, event: night.events[0].clone() };
    let told = tell(&night.state, &first).unwrap();
    assert!(told.text.contains("PARTIAL: 1 step is left out"), "{told:?}");
}

#[test]
fn a_journal_from_before_is_whole() {
    let json = serde_json::to_value(outline(vec![step("one")])).unwrap();
    assert!(json.get("lacks").is_none() && json.get("watches_left_out").is_none(), "{json}");
    let read: Outline = serde_json::from_value(json).unwrap();
    assert!(!read.partial());
}

//! Signals: the first interrupt holds, the second leaves, a termination leaves; whatever is in flight is finished and
//! recorded, and the run can be resumed.

use gonogo::{
    cli::exit_of,
    run::{Event, HoldWhy},
};
use rustix::process::Signal;

use super::{Home, Run, book};

/// A rehearsal in the middle of its deployment.
fn deploying(home: &Home) -> Run {
    let path = book("cut.toml").display().to_string();
    let run = home.start(["rehearse", path.as_str(), "--env", "sandbox", "--plain"]);
    home.until_journal_has("{\"intended\":");
    run
}

fn holds(home: &Home) -> Vec<HoldWhy> {
    let why = |event: Event| if let Event::Held { why, .. } = event { Some(why) } else { None };
    home.journal().0.into_iter().filter_map(|envelope| why(envelope.event)).collect()
}

/// The deployment is done and recorded, nothing behind it was started, and a resume ends the night.
fn one_step_done(home: &Home, code: i32) {
    let (envelopes, state) = home.journal();
    assert_eq!(i32::from(exit_of(&state).code()), code);
    let settled: Vec<bool> = state.steps.iter().map(|step| step.forward.state.settled()).collect();
    assert_eq!(settled, [true, false, false], "{:?}", envelopes.last());
    assert_eq!(home.effects().len(), 1);
    let resumed = home.run(["resume", "last", "--plain", "--auto-go"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(home.effects().len(), 2, "{:?}", home.effects());
}

#[test]
fn the_first_interrupt_holds() {
    let home = Home::new();
    let mut run = deploying(&home);
    run.signal(Signal::INT);
    run.says("HELD");
    run.says("step 1 DONE");
    run.says("Type go to go on");
    run.types("go");
    // It goes on, in the same process.
    let ended = run.ended();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(matches!(holds(&home)[..], [HoldWhy::Person]), "{:?}", holds(&home));
}

#[test]
fn the_second_interrupt_leaves() {
    let home = Home::new();
    let mut run = deploying(&home);
    run.signal(Signal::INT);
    run.says("HELD");
    run.signal(Signal::INT);
    let ended = run.ended();
    assert_eq!(ended.code, 10, "{ended:?}");
    assert!(ended.err.contains("gonogo resume"), "{ended:?}");
    one_step_done(&home, 10);
}

#[test]
fn a_termination_leaves() {
    let home = Home::new();
    let run = deploying(&home);
    run.signal(Signal::TERM);
    let ended = run.ended();
    assert_eq!(ended.code, 10, "{ended:?}");
    one_step_done(&home, 10);
}

#[test]
fn who_insists_leaves_at_once_and_the_resume_finds_out() {
    let home = Home::new();
    let run = deploying(&home);
    run.signal(Signal::TERM);
    home.until_journal_has("{\"held\":");
    run.signal(Signal::TERM);
    let ended = run.ended();
    assert_eq!(ended.code, 10, "{ended:?}");
    let (_, state) = home.journal();
    assert!(!state.steps[0].forward.state.settled(), "it was given up in the middle");
    let resumed = home.run(["resume", "last", "--plain", "--auto-go"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(home.effects().len(), 2, "{:?}", home.effects());
}

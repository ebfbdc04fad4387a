//! Freeze, downtime, lateness and the bar.

use gonogo::run::{BarState, Timing};

use super::*;

fn timing(night: &Night) -> Timing {
    Timing::of(&night.state, at(night.now)).unwrap()
}

fn clocked(name: &str, clocks: Clocks) -> StepOutline {
    StepOutline { clocks, ..step(name) }
}

fn secs(duration: Duration) -> u64 {
    duration.as_secs()
}

#[test]
fn the_freeze_runs_from_the_end_of_one_step_to_the_end_of_another() {
    let on = clocked("freeze", Clocks { freeze_starts: true, ..Clocks::default() });
    let off = clocked("open", Clocks { freeze_stops: true, ..Clocks::default() });
    let mut plan = outline(vec![on, needing(off, &["freeze"])]);
    plan.window.freeze_budget = Some(Duration::from_secs(100));
    let mut night = Night::open(opened(plan, false));
    night.intends("freeze");
    night.after(30);
    assert_eq!(secs(timing(&night).freeze.used), 0, "it is not frozen yet");
    night.report("freeze", done()).unwrap();
    night.after(90);
    let freeze = timing(&night).freeze;
    assert!(freeze.running && !freeze.over() && secs(freeze.used) == 90);
    night.after(20);
    assert!(timing(&night).freeze.over());
    night.does("open");
    night.after(50);
    assert_eq!(secs(timing(&night).freeze.used), 110);
}

#[test]
fn taking_the_freeze_back_stops_its_clock() {
    let on = clocked("freeze", Clocks { freeze_starts: true, ..Clocks::default() });
    let mut night = Night::of(vec![on, needing(step("copy"), &["freeze"])]);
    night.does("freeze");
    night.after(60);
    night.fails("copy", Class::Denied);
    night.says("mira", roll_back()).unwrap();
    night.says("mira", confirm("freeze", "undo")).unwrap();
    night.intends("freeze");
    night.after(10);
    night.report("freeze", done()).unwrap();
    night.after(500);
    assert_eq!(secs(timing(&night).freeze.used), 70);
}

#[test]
fn the_downtime_runs_from_the_start_of_the_action_through_a_rollback() {
    let down = clocked("down", Clocks { downtime_starts: true, ..Clocks::default() });
    let mut night = Night::of(vec![down, needing(step("copy"), &["down"])]);
    night.after(5);
    night.intends("down");
    night.after(10);
    night.report("down", done()).unwrap();
    night.fails("copy", Class::Denied);
    night.after(20);
    night.says("mira", roll_back()).unwrap();
    night.says("mira", confirm("down", "undo")).unwrap();
    night.intends("down");
    night.after(5);
    assert_eq!(secs(timing(&night).downtime.used), 35);
    night.report("down", done()).unwrap();
    night.after(100);
    assert_eq!(secs(timing(&night).downtime.used), 35);
}

#[test]
fn an_outage_that_did_not_begin_is_not_counted_on() {
    let down = clocked("down", Clocks { downtime_starts: true, ..Clocks::default() });
    let mut night = Night::of(vec![down]);
    night.intends("down");
    night.after(2);
    night.fails("down", Class::FailedNothingDone);
    night.after(600);
    let downtime = timing(&night).downtime;
    assert!(!downtime.running && secs(downtime.used) <= 2, "{downtime:?}");
}

#[test]
fn a_late_step_makes_the_end_late_and_an_early_one_early() {
    let mut night = Night::of(vec![step("one"), needing(step("two"), &["one"])]);
    assert_eq!((timing(&night).planned_end, timing(&night).forecast.late_ms), (Elapsed(120_000), 0));
    night.after(80);
    assert_eq!(timing(&night).forecast.late_ms, 20_000);
    night.does("one");
    assert_eq!(timing(&night).forecast.end, Elapsed(140_000));
    night.after(10);
    night.does("two");
    assert_eq!(timing(&night).forecast.late_ms, -30_000);
}

#[test]
fn a_night_that_is_opened_late_is_late() {
    let mut plan = outline(vec![StepOutline { planned: Duration::from_secs(1800), ..step("one") }]);
    plan.window.start = Some((opened_at() - Duration::from_secs(1200)).fixed_offset());
    let night = Night::open(opened(plan, false));
    assert_eq!((timing(&night).planned_end, timing(&night).forecast.late_ms), (Elapsed(600_000), 1_200_000));
}

/// Also where the plan was over before the run was opened.
#[test]
fn a_night_that_is_opened_hours_late_is_hours_late() {
    let mut plan = outline(vec![step("one")]);
    plan.window.start = Some((opened_at() - Duration::from_secs(8 * 3600)).fixed_offset());
    let night = Night::open(opened(plan, false));
    assert_eq!(timing(&night).forecast.late_ms, 8 * 3600 * 1000);
}

#[test]
fn waiting_for_people_is_counted_apart() {
    let mut night = Night::of(vec![step("one")]);
    night.after(10);
    night.intends("one");
    night.fails("one", Class::Failed);
    night.after(100);
    night.says("mira", retry("one")).unwrap();
    night.after(20);
    let one = timing(&night).steps[0];
    assert_eq!((one.actual.map(secs), secs(one.waited), one.variance_ms), (Some(30), 100, Some(-30_000)));
}

#[test]
fn the_owner_of_a_manual_step_is_its_work() {
    let mut night = Night::of(vec![StepOutline { manual: true, ..step("one") }]);
    night.intends("one");
    night.after(100);
    night.says("mira", Intent::OwnerDone { step: id("one"), value: None, reason: None }).unwrap();
    night.after(5);
    night.report("one", done()).unwrap();
    let one = timing(&night).steps[0];
    assert_eq!((one.actual.map(secs), secs(one.waited)), (Some(105), 0));
    let run = &night.state.steps[0].forward;
    assert_eq!((secs(run.waited), secs(run.worked)), (100, 5));
}

fn bar_plan() -> Night {
    let end = StepOutline { no_return: true, ..step("end") };
    Night::of(vec![
        StepOutline { planned: Duration::from_secs(3600), ..step("one") },
        needing(
            StepOutline { undo: Undo::None("no".into()), planned: Duration::from_secs(3600), ..step("two") },
            &["one"],
        ),
        needing(end, &["two"]),
        needing(step("after"), &["end"]),
    ])
}

#[test]
fn the_bar_is_open_risky_closing_closed() {
    let mut night = bar_plan();
    assert_eq!(timing(&night).bar.state, BarState::Open);
    night.does("one");
    night.intends("two");
    assert_eq!((timing(&night).bar.state, timing(&night).bar.risky_steps), (BarState::Risky, vec![1]));
    night.report("two", done()).unwrap();
    assert_eq!(timing(&night).bar.state, BarState::Closing);
    night.says("mira", confirm("end", WORD)).unwrap();
    assert_eq!(timing(&night).bar.state, BarState::Closing);
    night.intends("end");
    assert_eq!(timing(&night).bar.state, BarState::Closed);
}

#[test]
fn a_no_return_step_that_was_skipped_is_no_longer_near() {
    let mut night = bar_plan();
    night.does("one");
    night.does("two");
    night.says("mira", confirm("end", WORD)).unwrap();
    night.fails("end", Class::Denied);
    night.says("mira", skip("end")).unwrap();
    assert_eq!((timing(&night).bar.state, timing(&night).forecast.no_return), (BarState::Risky, None));
}

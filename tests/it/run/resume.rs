//! A process is gone, another one goes on.

use gonogo::run::{Gate, HoldWhy, Input, Intent, Refusal, Settlement, StepState, What, Why};

use super::*;

fn killed(night: &mut Night) {
    night.put(Input::Resume(resumed())).unwrap();
    assert_eq!(night.state.hold.as_ref().unwrap().why, HoldWhy::Resumed);
}

fn in_doubt() -> Night {
    let mut night = Night::of(vec![step("one"), needing(step("two"), &["one"])]);
    night.intends("one");
    killed(&mut night);
    night
}

#[test]
fn an_attempt_that_only_read_starts_again_once_the_hold_is_released() {
    let mut night = Night::of(vec![step("one")]);
    killed(&mut night);
    assert_eq!((night.forward("one"), night.state.wanted().len()), (&StepState::Ready, 0));
    night.says("dana", release()).unwrap();
    assert_eq!(night.started(), [("one".to_owned(), What::Do), ("one".to_owned(), What::Do)]);
}

#[test]
fn an_attempt_in_doubt_is_probed_once_and_never_done_again_by_itself() {
    let mut night = in_doubt();
    assert_eq!(night.started()[1..], [("one".to_owned(), What::Probe)]);
    night.says("dana", release()).unwrap();
    night.report("one", found_not_done()).unwrap();
    night.after(3600);
    assert_eq!(night.started().len(), 2);
    night.says("dana", retry("one")).unwrap();
    assert_eq!(night.started().last().unwrap(), &("one".to_owned(), What::Do));
}

/// Whether an attempt of `one` that started now would have to send the token of an earlier one.
fn keeps(night: &Night) -> bool {
    let run = night.state.step(&id("one")).unwrap().1;
    run.open_token(Leg::Forward, night.attempt("one") + 1).is_some()
}

fn unsure(night: &mut Night) -> Result<Vec<Event>, Refusal> {
    let reason = Some("the console shows nothing".into());
    night.says("dana", Intent::Retry { step: id("one"), typed: "retry".into(), reason })
}

#[test]
fn a_token_is_kept_until_its_request_is_known() {
    let mut night = in_doubt();
    assert!(keeps(&night), "lost");
    night.report("one", found_not_done()).unwrap();
    assert!(keeps(&night), "it may still be under way");
    night.says("dana", release()).unwrap();
    night.says("dana", retry("one")).unwrap();
    // Killed before anything was sent: the request before is as open as it was.
    killed(&mut night);
    assert!(keeps(&night), "the next one had only read");
    night.says("dana", release()).unwrap();
    night.intends("one");
    night.fails("one", Class::FailedNothingDone);
    assert!(keeps(&night), "turned away, which says nothing of the first");
    night.says("dana", retry("one")).unwrap();
    night.intends("one");
    night.fails("one", Class::Unknown);
    night.report("one", Report::Found(Finding::Unclear { line: "who knows".into() })).unwrap();
    assert!(keeps(&night), "unknown");
    unsure(&mut night).unwrap();
    night.intends("one");
    night.fails("one", Class::Failed);
    assert!(!keeps(&night), "it ended, and how is known");
    night.says("dana", retry("one")).unwrap();
    night.intends("one");
    night.fails("one", Class::Refused);
    assert!(!keeps(&night), "what was known before stays known");
}

#[test]
fn what_was_found_done_is_no_open_request() {
    let mut night = in_doubt();
    night.report("one", Report::Found(Finding::Done(Done::new("there")))).unwrap();
    night.fails("one", Class::NotYet);
    assert!(!keeps(&night));
}

#[test]
fn what_was_found_done_is_checked_and_settled() {
    let mut night = in_doubt();
    night.report("one", Report::Found(Finding::Done(Done::new("there")))).unwrap();
    assert_eq!(night.started().last().unwrap(), &("one".to_owned(), What::Recheck));
    night.report("one", done()).unwrap();
    assert!(matches!(night.forward("one"), StepState::Settled(Gate::Otherwise(Settlement::FoundDone(_)))));
}

#[test]
fn the_checks_add_to_what_the_probe_found() {
    let mut night = in_doubt();
    let found = Done::new("there").with(json!({ "insync_at": "02:10", "checks": [] }));
    night.report("one", Report::Found(Finding::Done(found))).unwrap();
    let checked = Done::new("it holds").with(json!({ "checks": ["NOERROR"] }));
    night.report("one", Report::Ended(Outcome::Done(checked))).unwrap();
    let evidence = &night.state.step(&id("one")).unwrap().1.evidence;
    assert_eq!(evidence, &json!({ "insync_at": "02:10", "checks": ["NOERROR"] }), "a later step builds on it");
}

#[test]
fn a_probe_that_was_lost_is_asked_again() {
    let mut night = in_doubt();
    killed(&mut night);
    let probes = night.started().iter().filter(|(_, what)| *what == What::Probe).count();
    assert_eq!((probes, night.state.wanted().len()), (2, 1));
}

#[test]
fn the_probe_of_an_unknown_outcome_that_was_lost_is_asked_again() {
    let mut night = Night::of(vec![step("one")]);
    night.intends("one");
    night.fails("one", Class::Unknown);
    killed(&mut night);
    assert_eq!(night.started().last().unwrap().1, What::Probe);
    assert_eq!(night.state.wanted().len(), 1, "nobody has looked yet");
    night.report("one", found_not_done()).unwrap();
    assert!(matches!(night.forward("one"), StepState::NeedsDecision(Why::InDoubt(Some(Finding::NotDone { .. })))));
}

#[test]
fn checks_that_were_lost_run_again() {
    let mut night = in_doubt();
    night.report("one", found_not_done()).unwrap();
    night.says("dana", by_hand("one")).unwrap();
    killed(&mut night);
    assert_eq!(night.started().last().unwrap().1, What::Recheck);
    assert!(night.running("one"), "{:?}", night.forward("one"));
    night.report("one", done()).unwrap();
    assert!(matches!(night.forward("one"), StepState::Settled(Gate::Otherwise(Settlement::ByHand(_)))));
}

#[test]
fn an_earlier_try_that_touched_the_world_is_not_forgotten() {
    let mut night = Night::of(vec![step("one")]);
    night.intends("one");
    night.fails("one", Class::Failed);
    night.says("dana", retry("one")).unwrap();
    night.intends("one");
    killed(&mut night);
    // As before the second try is not as before the first.
    night.report("one", found_not_done()).unwrap();
    night.says("dana", roll_back()).unwrap();
    assert_eq!(night.back("one"), &StepState::AtStopPoint);
}

#[test]
fn two_tries_that_were_both_found_not_done_leave_nothing_to_undo() {
    let mut night = in_doubt();
    night.report("one", found_not_done()).unwrap();
    night.says("dana", retry("one")).unwrap();
    night.says("dana", release()).unwrap();
    night.intends("one");
    killed(&mut night);
    night.report("one", found_not_done()).unwrap();
    assert_eq!(night.says("dana", roll_back()), Err(Refusal::NothingToUndo));
}

#[test]
fn criteria_are_looked_at_again() {
    let mut night = Night::of(vec![stop("go")]);
    night.sees("go", true).unwrap();
    killed(&mut night);
    assert_eq!(night.says("mira", go("go")), Err(Refusal::CriteriaPending(id("go"))));
}

#[test]
fn a_report_of_the_process_before_is_refused() {
    let mut night = in_doubt();
    let stale = Input::Report { step: id("one"), attempt: 1, report: done() };
    assert_eq!(night.put(stale), Err(Refusal::Stale));
}

#[test]
fn an_automatic_resume_releases_in_the_name_of_who_resumes() {
    let mut night = Night::of(vec![step("one")]);
    night.says("mira", Intent::Hold).unwrap();
    let events = night.put(Input::Resume(Resumed { auto_go: true, ..resumed() })).unwrap();
    assert!(events.contains(&Event::Released { by: who("dana") }), "{events:?}");
}

//! Going back.

use gonogo::run::{Ending, Event, Intent, Refusal, StepState, What};

use super::*;

fn three() -> Night {
    let none = StepOutline { undo: Undo::None("mail is out".into()), ..step("three") };
    let mut night = Night::of(vec![step("one"), needing(step("two"), &["one"]), needing(none, &["two"])]);
    night.does("one");
    night.does("two");
    night
}

#[test]
fn going_back_goes_in_reverse_each_step_confirmed() {
    let mut night = three();
    night.fails("three", Class::Denied);
    assert!(matches!(
        night.says("sam", Intent::RollBack { typed: "roll".into(), reason: None }),
        Err(Refusal::WrongWord { .. })
    ));
    night.says("sam", roll_back()).unwrap();
    for name in ["two", "one"] {
        assert_eq!(night.back(name), &StepState::AtStopPoint);
        assert!(matches!(night.says("sam", confirm(name, WORD)), Err(Refusal::WrongWord { .. })));
        night.says("sam", confirm(name, "undo")).unwrap();
        assert_eq!(night.started().last().unwrap(), &(name.to_owned(), What::Undo));
        night.intends(name);
        night.report(name, done()).unwrap();
    }
    assert_eq!(night.state.ended, Some(Ending::RolledBack));
}

#[test]
fn what_cannot_be_undone_is_named_and_the_end_says_in_part() {
    let mut night = three();
    night.intends("three");
    night.fails("three", Class::Failed);
    let events = night.says("sam", roll_back()).unwrap();
    let Event::RollbackBegan { steps, left } = &events[1] else { panic!("{events:?}") };
    assert_eq!(
        (steps.as_slice(), left.as_slice()),
        ([id("two"), id("one")].as_slice(), [(id("three"), "mail is out".into())].as_slice())
    );
    for name in ["two", "one"] {
        night.says("sam", confirm(name, "undo")).unwrap();
        night.intends(name);
        night.report(name, done()).unwrap();
    }
    assert_eq!(night.state.ended, Some(Ending::RolledBackInPart));
}

#[test]
fn what_was_done_by_hand_has_to_be_taken_back_by_hand() {
    let mut night = three();
    night.fails("three", Class::Denied);
    night.says("sam", by_hand("three")).unwrap();
    night.fails("three", Class::NotYet);
    night.says("sam", by_hand("three")).unwrap();
    night.report("three", done()).unwrap_or_default();
    // The run is over with it; the same with a step behind it.
    let mut night = Night::of(vec![step("one"), needing(step("two"), &["one"]), needing(step("three"), &["two"])]);
    night.does("one");
    night.fails("two", Class::Denied);
    night.says("sam", by_hand("two")).unwrap();
    night.report("two", done()).unwrap();
    night.fails("three", Class::Denied);
    let events = night.says("sam", roll_back()).unwrap();
    let Event::RollbackBegan { steps, left } = &events[1] else { panic!("{events:?}") };
    assert_eq!(steps, &[id("one")]);
    assert!(matches!(left.as_slice(), [(step, why)] if step == &id("two") && why.contains("by hand")), "{left:?}");
    night.says("sam", confirm("one", "undo")).unwrap();
    night.intends("one");
    night.report("one", done()).unwrap();
    assert_eq!(night.state.ended, Some(Ending::RolledBackInPart));
}

#[test]
fn nothing_changed_is_nothing_to_undo() {
    let mut night = Night::of(vec![check("one"), needing(step("two"), &["one"])]);
    assert_eq!(night.says("sam", roll_back()), Err(Refusal::StillRunning(id("one"))));
    night.report("one", done()).unwrap();
    assert_eq!(night.says("sam", roll_back()), Err(Refusal::StillRunning(id("two"))));
    night.intends("two");
    night.fails("two", Class::FailedNothingDone);
    assert_eq!(night.says("sam", roll_back()), Err(Refusal::NothingToUndo));
}

#[test]
fn the_way_forward_is_closed_while_going_back() {
    let mut night = three();
    night.fails("three", Class::Denied);
    night.says("sam", roll_back()).unwrap();
    for intent in [retry("three"), by_hand("three"), skip("three"), roll_back()] {
        let before = night.events.len();
        assert_eq!(night.says("sam", intent.clone()), Err(Refusal::RollingBack), "{intent:?}");
        assert_eq!(night.events.len(), before);
    }
}

#[test]
fn a_failed_undo_waits_for_a_person_and_leaving_it_shows_in_the_end() {
    let mut night = three();
    night.fails("three", Class::Denied);
    night.says("sam", roll_back()).unwrap();
    night.says("sam", confirm("two", "undo")).unwrap();
    night.intends("two");
    night.fails("two", Class::Failed);
    assert!(matches!(night.back("two"), StepState::NeedsDecision(_)));
    night.says("sam", skip("two")).unwrap();
    night.says("sam", confirm("one", "undo")).unwrap();
    night.intends("one");
    night.report("one", done()).unwrap();
    assert_eq!(night.state.ended, Some(Ending::RolledBackInPart));
}

#[test]
fn an_undo_in_doubt_is_probed_and_settled_by_what_was_found() {
    let mut night = three();
    night.fails("three", Class::Denied);
    night.says("sam", roll_back()).unwrap();
    night.says("sam", confirm("two", "undo")).unwrap();
    night.intends("two");
    night.put(Input::Resume(resumed())).unwrap();
    assert_eq!(night.started().last().unwrap(), &("two".to_owned(), What::ProbeUndo));
    night.report("two", Report::Found(Finding::Done(Done::new("back")))).unwrap();
    assert!(night.back("two").settled());
    night.says("sam", release()).unwrap();
    assert_eq!(night.back("one"), &StepState::AtStopPoint);
}

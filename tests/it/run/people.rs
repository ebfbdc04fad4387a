//! What people decide, and what the run does by itself around them.

use gonogo::{
    base::Class,
    run::{Ending, Event, Gate, HoldWhy, Input, Intent, Refusal, Settlement, StepState, What, Why},
};

use super::*;

fn failing(class: Class) -> Night {
    let mut night = Night::of(vec![step("one"), needing(step("two"), &["one"])]);
    night.intends("one");
    night.fails("one", class);
    night
}

#[test]
fn a_hold_lets_what_runs_go_on_and_starts_nothing_new() {
    let mut night = Night::of(vec![step("one"), needing(step("two"), &["one"])]);
    night.says("sam", Intent::Hold).unwrap();
    night.does("one");
    assert_eq!(night.forward("two"), &StepState::Pending);
    assert_eq!(night.says("sam", Intent::Hold), Err(Refusal::HeldAlready));
    assert!(matches!(night.says("sam", Intent::Release { typed: "og".into() }), Err(Refusal::WrongWord { .. })));
    night.says("sam", release()).unwrap();
    assert!(night.running("two"));
    assert_eq!(night.says("sam", release()), Err(Refusal::NotHeld));
}

#[test]
fn a_failure_waits_for_a_person_and_a_retry_is_a_new_attempt() {
    let mut night = failing(Class::Failed);
    night.after(3600);
    assert!(matches!(night.forward("one"), StepState::NeedsDecision(Why::Failed(_))));
    night.says("sam", retry("one")).unwrap();
    assert_eq!(night.attempt("one"), 2);
    night.does("one");
    night.does("two");
    assert_eq!(night.state.ended, Some(Ending::Completed));
}

#[test]
fn a_retry_after_an_unknown_outcome_is_probed_first_and_needs_a_reason() {
    let mut night = failing(Class::Unknown);
    assert_eq!(night.started().last().unwrap().1, What::Probe);
    assert_eq!(night.says("sam", retry("one")), Err(Refusal::StillRunning(id("one"))));
    night.report("one", Report::Found(Finding::Unclear { line: "half".into() })).unwrap();
    assert!(matches!(night.says("sam", retry("one")), Err(Refusal::NeedsReason(_))));
    let reason = Some("looked, nothing there".into());
    let events = night.says("sam", Intent::Retry { step: id("one"), typed: "retry".into(), reason }).unwrap();
    assert!(matches!(&events[0], Event::Decided { against, .. } if against.len() == 1), "{events:?}");
    assert!(night.running("one"));
}

#[test]
fn a_retry_that_the_file_allows_waits_its_time_and_only_after_nothing_was_done() {
    let retrying = || StepOutline {
        retry: Some(gonogo::runbook::Retry { attempts: 2, wait: Duration::from_secs(10) }),
        ..step("one")
    };
    let mut night = Night::of(vec![retrying()]);
    night.fails("one", Class::FailedNothingDone);
    assert_eq!(night.forward("one"), &StepState::RetryWait { not_before: Elapsed(10_000) });
    night.after(9);
    assert_eq!(night.attempt("one"), 1);
    assert_eq!(night.state.next_due(at(night.now)), Some(Elapsed(10_000)));
    night.after(1);
    assert_eq!(night.attempt("one"), 2);
    night.fails("one", Class::FailedNothingDone);
    assert!(matches!(night.forward("one"), StepState::NeedsDecision(_)), "only two tries were allowed");

    // Whoever turned it away may ask for more, and not for the whole night.
    for (asked, until) in [(7, 10_000), (20, 20_000), (u64::MAX, 60_000)] {
        let mut night = Night::of(vec![retrying()]);
        let after = Some(Duration::from_secs(asked));
        let failure = Failure { after, ..Failure::new(Class::FailedNothingDone, "429") };
        night.report("one", Report::Ended(Outcome::Failed(failure))).unwrap();
        assert_eq!(night.forward("one"), &StepState::RetryWait { not_before: Elapsed(until) });
    }

    let mut night = Night::of(vec![retrying()]);
    night.intends("one");
    night.fails("one", Class::Failed);
    assert!(matches!(night.forward("one"), StepState::NeedsDecision(_)));
}

#[test]
fn a_step_that_may_go_on_after_a_failure_is_still_tried_as_often_as_the_file_says() {
    let retry = Some(gonogo::runbook::Retry { attempts: 2, wait: Duration::from_secs(10) });
    let mut night =
        Night::of(vec![StepOutline { retry, go_on_after_failure: Some("only a cache".into()), ..step("one") }]);
    night.fails("one", Class::FailedNothingDone);
    assert!(matches!(night.forward("one"), StepState::RetryWait { .. }), "{:?}", night.forward("one"));
    night.after(10);
    night.fails("one", Class::FailedNothingDone);
    assert_eq!(
        night.forward("one"),
        &StepState::Settled(Gate::Otherwise(Settlement::FailedGoOn("only a cache".into())))
    );
    assert_eq!(night.state.ended, Some(Ending::WithExceptions));
}

#[test]
fn done_by_hand_is_checked_before_it_counts() {
    let mut night = failing(Class::Failed);
    assert!(matches!(
        night.says("sam", Intent::ByHand { step: id("one"), reason: "  ".into() }),
        Err(Refusal::NeedsReason(_))
    ));
    night.says("sam", by_hand("one")).unwrap();
    assert_eq!(night.started().last().unwrap(), &("one".to_owned(), What::Recheck));
    night.fails("one", Class::NotYet);
    assert!(matches!(night.forward("one"), StepState::NeedsDecision(Why::Failed(_))), "the checks said no");
    night.says("sam", by_hand("one")).unwrap();
    night.report("one", done()).unwrap();
    assert!(matches!(night.forward("one"), StepState::Settled(Gate::Otherwise(Settlement::ByHand(_)))));
    night.does("two");
    assert_eq!(night.state.ended, Some(Ending::WithExceptions));
}

#[test]
fn a_skip_needs_its_word_and_a_reason() {
    let mut night = failing(Class::Failed);
    let skip_with =
        |typed: &str, reason: &str| Intent::Skip { step: id("one"), typed: typed.into(), reason: reason.into() };
    assert!(matches!(night.says("sam", skip_with("skip", "")), Err(Refusal::NeedsReason(_))));
    assert!(matches!(night.says("sam", skip_with("skpi", "why")), Err(Refusal::WrongWord { .. })));
    assert!(matches!(night.says("sam", skip("two")), Err(Refusal::NotAsked { .. })));
    night.says("sam", skip_with("skip", "not needed")).unwrap();
    assert!(night.running("two"));
}

#[test]
fn a_stranger_is_refused() {
    let mut night = failing(Class::Failed);
    assert_eq!(night.says("eve", retry("one")), Err(Refusal::Stranger(who("eve"))));
    let by_eve = Input::Person { who: who("sam"), typed_by: who("eve"), intent: retry("one") };
    assert_eq!(night.put(by_eve), Err(Refusal::Stranger(who("eve"))));
}

#[test]
fn a_failing_step_blocks_the_branch_beside_it() {
    let mut night = Night::of(vec![step("left"), step("right"), needing(step("after"), &["right"])]);
    assert!(night.running("left") && night.running("right"));
    night.fails("left", Class::Failed);
    night.does("right");
    assert_eq!(night.forward("after"), &StepState::Pending);
    night.says("sam", skip("left")).unwrap();
    assert!(night.running("after"));
}

#[test]
fn one_person_never_owns_two_running_manual_steps() {
    let manual = |name: &str, owner: &str| StepOutline { manual: true, owner: who(owner), ..step(name) };
    let mut night = Night::of(vec![manual("one", "sam"), manual("two", "sam"), manual("three", "dana")]);
    assert!(night.running("one") && night.running("three"));
    assert_eq!(night.forward("two"), &StepState::Pending);
    night.intends("one");
    night.says("sam", Intent::OwnerDone { step: id("one"), value: None, reason: None }).unwrap();
    assert_eq!(night.forward("two"), &StepState::Pending, "its checks still run");
    night.report("one", done()).unwrap();
    assert!(night.running("two"));
}

#[test]
fn a_manual_step_that_asks_for_a_value_gets_one() {
    let asks_value = Some("the ticket".to_owned());
    let mut night = Night::of(vec![StepOutline { manual: true, asks_value, ..step("one") }]);
    let word = |value: Option<&str>| Intent::OwnerDone { step: id("one"), value: value.map(Into::into), reason: None };
    assert!(matches!(night.says("mira", word(Some("x"))), Err(Refusal::NotAsked { .. })), "it has not begun to act");
    night.intends("one");
    assert!(matches!(night.says("mira", word(None)), Err(Refusal::ValueMissing(_))));
    assert!(matches!(night.says("mira", word(Some("  "))), Err(Refusal::ValueMissing(_))));
    night.says("mira", word(Some("OPS-1"))).unwrap();
    assert!(matches!(night.says("mira", word(Some("OPS-2"))), Err(Refusal::NotAsked { .. })));
}

fn with_checklist() -> StepOutline {
    StepOutline { manual: true, checklist: vec!["call".into(), "write".into(), "wait".into()], ..step("one") }
}

fn tick(item: usize, on: bool) -> Intent {
    Intent::Tick { step: id("one"), item, on }
}

#[test]
fn a_checklist_is_ticked_off_one_by_one_and_survives_the_process() {
    let mut night = Night::of(vec![with_checklist()]);
    let done =
        |reason: Option<&str>| Intent::OwnerDone { step: id("one"), value: None, reason: reason.map(Into::into) };
    assert!(matches!(night.says("mira", tick(0, true)), Err(Refusal::NotAsked { .. })), "it has not begun");
    night.intends("one");
    night.says("mira", tick(0, true)).unwrap();
    night.says("sam", tick(2, true)).unwrap();
    assert_eq!(night.says("mira", tick(2, true)), Ok(Vec::new()), "twice is once");
    assert_eq!(night.says("mira", tick(3, true)), Err(Refusal::NoSuchItem { item: 4, items: 3 }));
    assert_eq!(night.says("mira", done(None)), Err(Refusal::NeedsReason("1 of 3 are not ticked off: 2".into())));
    night.says("mira", tick(0, false)).unwrap();
    assert_eq!(night.state.unticked(0, Leg::Forward), [0, 1]);
    // The process dies in the middle; what was ticked stays ticked, with its name.
    night.put(Input::Resume(resumed())).unwrap();
    night.report("one", Report::Found(Finding::Unclear { line: "only its owner knows".into() })).unwrap();
    let reason = Some("asked mira".to_owned());
    night.says("dana", Intent::Retry { step: id("one"), typed: "retry".into(), reason }).unwrap();
    night.says("dana", release()).unwrap();
    assert!(matches!(night.says("mira", tick(1, true)), Err(Refusal::NotAsked { .. })));
    night.intends("one");
    let ticks = &night.state.steps[0].forward.ticks;
    assert_eq!(ticks.iter().map(|(item, tick)| (*item, tick.who.as_str())).collect::<Vec<_>>(), [(2, "sam")]);
    night.says("mira", tick(0, true)).unwrap();
    let events = night.says("mira", done(Some("mail can wait"))).unwrap();
    let Event::OwnerSaidDone { unticked, reason, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!((unticked.as_slice(), reason.as_deref()), (&["write".to_owned()][..], Some("mail can wait")));
    night.report("one", super::done()).unwrap();
    assert_eq!(night.state.ended, Some(Ending::Completed));
}

#[test]
fn a_value_has_to_fit_and_must_not_be_a_secret() {
    let rule = gonogo::run::ValueRule { pattern: Some("OPS-[0-9]+".into()), ..Default::default() };
    let asks =
        StepOutline { manual: true, asks_value: Some("the ticket".into()), value_rule: Some(rule), ..step("one") };
    let mut night = Night::of(vec![asks]);
    night.intends("one");
    let word = |value: &str| Intent::OwnerDone { step: id("one"), value: Some(value.into()), reason: None };
    let bad = Refusal::BadValue { asked: "the ticket".into(), wants: "like OPS-[0-9]+".into() };
    assert_eq!(night.says("mira", word("tomorrow")), Err(bad.clone()));
    assert_eq!(night.says("mira", word("auto-go")), Err(bad), "only an automatic rehearsal may leave it open");
    let secret = word("postgres://acme:hunter2@db/acme");
    assert!(matches!(night.says("mira", secret), Err(Refusal::LooksSecret { .. })));
    night.says("mira", word(" OPS-12 ")).unwrap();
    assert_eq!(night.state.steps[0].attempts[0].owner_done.as_ref().unwrap().1.as_deref(), Some("OPS-12"));
}

#[test]
fn what_is_taken_back_by_hand_waits_for_its_owner_too() {
    let hands = gonogo::run::Hands { checklist: vec!["told them".into()], ..Default::default() };
    let undo = Undo::Action(vec!["tell them it is off".into()]);
    let mut night =
        Night::of(vec![StepOutline { undo, undo_hands: Some(hands), ..step("one") }, needing(stop("go"), &["one"])]);
    night.does("one");
    night.says("mira", roll_back()).unwrap();
    night.says("mira", confirm("one", "undo")).unwrap();
    night.intends("one");
    assert_eq!(night.state.awaiting_owner().map(|(at, _)| at).collect::<Vec<_>>(), [0]);
    night.now += 90_000;
    night.says("mira", tick(0, true)).unwrap();
    night.says("mira", Intent::OwnerDone { step: id("one"), value: None, reason: None }).unwrap();
    assert!(night.state.steps[0].forward.ticks.is_empty(), "it is the undo's checklist");
    let back = night.state.steps[0].leg(Leg::Back).unwrap();
    assert_eq!(back.waited, Duration::from_secs(90), "people's time, not the machine's");
    night.report("one", super::done()).unwrap();
    assert_eq!(night.state.ended, Some(Ending::RolledBack));
}

#[test]
fn a_live_night_starts_with_a_word() {
    let mut live = outline(vec![step("one")]);
    live.env.kind = EnvKind::Live;
    let mut night = Night::open(opened(live, false));
    assert_eq!(night.state.hold.as_ref().unwrap().why, HoldWhy::Start);
    assert_eq!(night.forward("one"), &StepState::Pending);
    night.says("mira", release()).unwrap();
    assert!(night.running("one"));
}

#[test]
fn a_plan_without_steps_can_be_aborted() {
    let mut empty = outline(Vec::new());
    empty.env.kind = EnvKind::Live;
    let mut night = Night::open(opened(empty, false));
    night.says("mira", abort()).unwrap();
    assert_eq!(night.state.ended, Some(Ending::Aborted));
}

#[test]
fn after_an_abort_nothing_starts_and_nothing_is_sent() {
    let mut night = Night::of(vec![step("one"), step("two")]);
    night.intends("two");
    night.says("mira", abort()).unwrap();
    assert!(night.state.wanted().is_empty());
    // Its reading came back after the word.
    assert!(night.report("one", ready(Json::Null)).is_err(), "an intent after the end would be sent");
    night.fails("two", Class::Unknown);
    assert_eq!(night.started().len(), 2, "a probe was ordered after the end");
    assert_eq!(night.says("mira", retry("one")), Err(Refusal::Over));
    night.says("mira", Intent::Note { text: "we stop here".into(), step: None, via: None }).unwrap();
}

#[test]
fn a_failed_journal_is_not_talked_away() {
    let mut night = Night::of(vec![step("one"), needing(step("two"), &["one"])]);
    night.put(Input::Hold(HoldWhy::JournalFailed("disk full".into()))).unwrap();
    for intent in [release(), Intent::Hold, roll_back(), skip("one")] {
        let _refused = night.says("mira", intent);
        let _told = night.put(Input::Hold(HoldWhy::Left));
        let _released = night.says("mira", release());
        assert!(
            matches!(&night.state.hold, Some(h) if matches!(h.why, HoldWhy::JournalFailed(_))),
            "{:?}",
            night.state.hold
        );
    }
    assert!(matches!(night.report("one", ready(Json::Null)), Err(Refusal::JournalFailed(_))));
    assert_eq!(night.forward("two"), &StepState::Pending);
}

#[test]
fn a_watch_holds_after_so_many_bad_samples_in_a_row() {
    let mut plan = outline(vec![step("one"), needing(step("two"), &["one"]), needing(step("three"), &["two"])]);
    plan.watches = vec![watch("errors", "two", "three")];
    let mut night = Night::open(opened(plan, false));
    let sample = |ok: Option<bool>| Input::Watch {
        watch: "errors".parse().unwrap(),
        sample: gonogo::run::Sample { ok, value: None, line: "x".into() },
    };
    assert_eq!(night.put(sample(Some(true))), Err(Refusal::Stale), "it has not begun");
    night.does("one");
    for ok in [Some(false), None, Some(true), Some(false), None] {
        night.put(sample(ok)).unwrap();
    }
    assert!(night.state.hold.is_none(), "a good sample between them starts the count anew");
    night.put(sample(None)).unwrap();
    assert_eq!(night.state.hold.as_ref().unwrap().why, HoldWhy::Breach("errors".parse().unwrap()), "no data is bad");
    night.does("two");
    assert_eq!(night.forward("three"), &StepState::Pending);
    night.says("mira", release()).unwrap();
    night.put(sample(Some(false))).unwrap();
    assert!(night.state.hold.is_none(), "the same breach holds once");
    night.put(sample(Some(true))).unwrap();
    for _ in 0..3 {
        night.put(sample(Some(false))).unwrap();
    }
    assert!(night.state.hold.is_some(), "a new one holds again");
    night.says("mira", release()).unwrap();
    night.does("three");
    assert_eq!(night.state.ended, Some(Ending::Completed));
    assert_eq!(night.put(sample(Some(true))), Err(Refusal::Stale));
}

#[test]
fn no_data_is_passed_over_where_the_file_says_so() {
    let mut plan = outline(vec![step("one")]);
    plan.watches = vec![WatchOutline { no_data_is_bad: false, breach_after: 1, ..watch("errors", "one", "one") }];
    let mut night = Night::open(opened(plan, false));
    for _ in 0..9 {
        let sample = gonogo::run::Sample { ok: None, value: None, line: "no data".into() };
        night.put(Input::Watch { watch: "errors".parse().unwrap(), sample }).unwrap();
    }
    assert!(night.state.hold.is_none());
}

#[test]
fn a_jump_of_the_clock_holds() {
    let mut night = Night::of(vec![step("one"), needing(step("two"), &["one"])]);
    night.put(Input::ClockJump { wall_ms: 60_000, slept: Duration::from_secs(60) }).unwrap();
    night.does("one");
    assert_eq!(night.state.hold.as_ref().unwrap().why, HoldWhy::Clock);
    assert_eq!(night.forward("two"), &StepState::Pending);
}

#[test]
fn a_dry_run_acts_on_nothing_and_ends_like_any_other() {
    let mut plan = outline(vec![
        StepOutline { treatment: Treatment::ReadOnly, no_return: true, people: 2, ..step("one") },
        StepOutline { treatment: Treatment::ReadOnly, ..needing(step("two"), &["one"]) },
    ]);
    plan.dry_run = true;
    plan.env.kind = EnvKind::Live;
    let mut night = Night::open(opened(plan, false));
    assert!(night.running("one"), "nobody confirms what is not done: {:?}", night.forward("one"));
    assert!(night.report("one", ready(Json::Null)).is_err(), "an intent in a dry run");
    night.report("one", done()).unwrap();
    night.report("two", done()).unwrap();
    assert_eq!(night.state.ended, Some(Ending::Completed));
    assert!(night.state.crossed.is_none() && night.state.steps.iter().all(|step| !step.touched));
}

#[test]
fn what_is_not_part_of_the_run_is_settled_in_its_turn_and_asks_nobody() {
    let leave = |step: StepOutline| StepOutline { treatment: Treatment::Leave("before --from two".into()), ..step };
    let mut night = Night::of(vec![
        leave(stop("go")),
        leave(needing(step("one"), &["go"])),
        needing(step("two"), &["one"]),
        leave(needing(StepOutline { no_return: true, ..step("three") }, &["two"])),
    ]);
    assert_eq!(night.started(), [("two".to_owned(), What::Do)]);
    assert_eq!(night.forward("three"), &StepState::Pending);
    night.does("two");
    assert_eq!(night.state.ended, Some(Ending::Completed));
    assert!(matches!(night.forward("three"), StepState::Settled(Gate::Otherwise(Settlement::NotRun(_)))));
}

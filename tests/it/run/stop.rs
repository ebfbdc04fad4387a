//! Stop points, the point of no return, and who may say what there.

use gonogo::run::{Decision, Ending, Event, HoldWhy, Intent, Refusal, StepState, auto_answer};

use super::*;

fn at_stop() -> Night {
    Night::of(vec![step("one"), needing(stop("go"), &["one"]), needing(step("two"), &["go"])])
}

fn asked() -> Night {
    let mut night = at_stop();
    night.does("one");
    assert_eq!(night.forward("go"), &StepState::AtStopPoint);
    night
}

fn vote(step: &str, go: bool) -> Intent {
    Intent::vote(id(step), go)
}

fn no_go(step: &str) -> Intent {
    Intent::NoGo { step: id(step), typed: "no-go".into(), reason: Some("lag".into()) }
}

#[test]
fn go_needs_criteria_that_were_looked_at() {
    let mut night = asked();
    assert_eq!(night.says("mira", go("go")), Err(Refusal::CriteriaPending(id("go"))));
    night.sees("go", true).unwrap();
    for voter in ["dana", "sam"] {
        night.says(voter, vote("go", true)).unwrap();
    }
    night.after(61);
    assert_eq!(
        night.says("mira", go("go")),
        Err(Refusal::CriteriaPending(id("go"))),
        "green a minute ago is not green"
    );
    night.sees("go", true).unwrap();
    night.says("mira", go("go")).unwrap();
    assert!(night.running("two"));
}

#[test]
fn only_who_decides_or_the_lead_says_go() {
    let mut steps = vec![stop("go")];
    steps[0].stop.as_mut().unwrap().decides = who("sam");
    steps[0].stop.as_mut().unwrap().voters.clear();
    for (name, may) in [("dana", false), ("mira", true), ("sam", true)] {
        let mut night = Night::of(steps.clone());
        night.sees("go", true).unwrap();
        assert_eq!(night.says(name, go("go")).is_ok(), may, "{name}");
        if !may {
            assert!(matches!(night.says(name, no_go("go")), Err(Refusal::NotTheDecider { .. })));
        }
    }
}

#[test]
fn missing_votes_and_red_criteria_need_a_reason_and_are_recorded() {
    let mut night = asked();
    night.sees("go", false).unwrap();
    night.says("dana", vote("go", false)).unwrap();
    assert_eq!(night.says("mira", vote("go", true)), Err(Refusal::NotAVoter { who: who("mira"), step: id("go") }));
    let Err(Refusal::NeedsReason(what)) = night.says("mira", go("go")) else { panic!("no reason was asked for") };
    assert!(
        what.contains("lag below 1 MiB: red")
            && what.contains("dana voted no-go")
            && what.contains("sam has not voted")
    );
    let reason = Some("known and accepted".to_owned());
    let events = night.says("mira", Intent::Go { step: id("go"), typed: "go".into(), reason: reason.clone() }).unwrap();
    let Event::Decided { decision: Decision::Go, against, reason: kept, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!((against.len(), kept), (3, &reason));
}

#[test]
fn a_wrong_word_is_refused() {
    let mut night = asked();
    night.sees("go", true).unwrap();
    let typed = |typed: &str| Intent::Go { step: id("go"), typed: typed.into(), reason: Some("x".into()) };
    for wrong in ["", "GO", "og", "go!", "no-go"] {
        assert!(matches!(night.says("mira", typed(wrong)), Err(Refusal::WrongWord { .. })), "{wrong}");
    }
    night.says("mira", typed(" go ")).unwrap();
}

#[test]
fn no_go_holds_and_a_later_go_releases() {
    let mut night = asked();
    night.says("mira", no_go("go")).unwrap();
    assert_eq!(night.state.hold.as_ref().unwrap().why, HoldWhy::NoGo(id("go")));
    night.after(600);
    assert_eq!(night.forward("go"), &StepState::AtStopPoint);
    night.sees("go", true).unwrap();
    for voter in ["dana", "sam"] {
        night.says(voter, vote("go", true)).unwrap();
    }
    night.says("mira", go("go")).unwrap();
    assert!(night.state.hold.is_none() && night.running("two"));
}

#[test]
fn a_go_does_not_release_a_hold_of_its_own() {
    let mut night = asked();
    night.says("sam", Intent::Hold).unwrap();
    night.sees("go", true).unwrap();
    let reason = Some("x".into());
    night.says("mira", Intent::Go { step: id("go"), typed: "go".into(), reason }).unwrap();
    assert!(night.state.hold.is_some());
    assert_ne!(night.forward("two"), &StepState::Running);
}

#[test]
fn a_vote_can_be_changed_until_it_is_decided_and_both_are_recorded() {
    let mut night = asked();
    let said = |go: bool, reason: Option<&str>| Intent::Vote {
        step: id("go"),
        go,
        reason: reason.map(Into::into),
        opening: Some(1),
        via: Some(via("pts/3")),
    };
    night.says("dana", said(true, None)).unwrap();
    night.says("dana", said(false, Some(" lag\n"))).unwrap();
    assert_eq!(night.says("dana", said(false, Some("lag"))), Ok(Vec::new()), "the same word twice is one vote");
    let (_, run) = night.state.step(&id("go")).unwrap();
    let ballot = run.vote(&who("dana")).unwrap();
    assert_eq!((ballot.go, ballot.reason.as_deref(), ballot.via.as_ref()), (false, Some("lag"), Some(&via("pts/3"))));
    assert_eq!(run.votes.len(), 1);
    assert_eq!(night.events.iter().filter(|event| matches!(event, Event::Voted { .. })).count(), 2);
    night.sees("go", true).unwrap();
    let Err(Refusal::NeedsReason(what)) = night.says("mira", go("go")) else { panic!("no reason was asked for") };
    assert_eq!(what, "dana voted no-go; sam has not voted");
}

#[test]
fn the_first_answer_counts_and_whoever_is_late_is_told() {
    let too_late = |go: bool| Err(Refusal::Decided { step: id("go"), who: who("mira"), go });
    let from = |opening: u32| Intent::Vote {
        step: id("go"),
        go: true,
        reason: None,
        opening: Some(opening),
        via: Some(via("pts/3")),
    };
    let mut night = asked();
    assert!(matches!(night.says("dana", vote("two", true)), Err(Refusal::NoStopPoint(_))));
    night.says("sam", vote("go", true)).unwrap();
    night.says("mira", no_go("go")).unwrap();
    assert_eq!(night.says("dana", from(1)), too_late(false), "she did not know of the no-go");
    night.says("dana", from(2)).unwrap();
    assert_eq!(night.state.step(&id("go")).unwrap().1.votes.len(), 2);
    night.sees("go", true).unwrap();
    night.says("mira", go("go")).unwrap();
    assert!(night.running("two"));
    assert_eq!(night.says("dana", from(2)), too_late(true));
    assert_eq!(night.says("dana", vote("go", false)), too_late(true));
    assert_eq!(night.says("mira", go("go")), too_late(true), "the second operator is told too");
}

#[test]
fn a_vote_before_the_question_is_none() {
    let mut night = at_stop();
    let early = Intent::Vote { step: id("go"), go: true, reason: None, opening: Some(0), via: Some(via("pts/3")) };
    assert!(matches!(night.says("dana", early.clone()), Err(Refusal::NotAsked { .. })));
    night.does("one");
    assert!(matches!(night.says("dana", early), Err(Refusal::NotAsked { .. })), "it was said before the question");
}

#[test]
fn between_go_and_the_confirmations_no_vote_counts() {
    let mut stop = stop("go");
    (stop.works, stop.changes, stop.people) = (true, true, 2);
    let mut night = Night::of(vec![stop]);
    night.sees("go", true).unwrap();
    for voter in ["dana", "sam"] {
        night.says(voter, vote("go", true)).unwrap();
    }
    night.says("mira", go("go")).unwrap();
    assert_eq!(night.forward("go"), &StepState::AtStopPoint, "two people have to confirm");
    assert!(matches!(night.says("sam", vote("go", false)), Err(Refusal::Decided { go: true, .. })));
}

fn dangerous() -> Night {
    let two = StepOutline { no_return: true, people: 2, after_no_return: Some("fix forward".into()), ..step("two") };
    Night::of(vec![step("one"), needing(two, &["one"])])
}

#[test]
fn the_point_of_no_return_takes_two_people_and_the_word_of_the_place() {
    let mut night = dangerous();
    night.does("one");
    assert!(matches!(night.says("mira", confirm("two", "go")), Err(Refusal::WrongWord { .. })));
    night.says("mira", confirm("two", WORD)).unwrap();
    assert_eq!(night.says("mira", confirm("two", WORD)), Err(Refusal::SecondPerson(who("mira"))));
    assert_eq!(night.forward("two"), &StepState::AtStopPoint);
    night.says("dana", confirm("two", WORD)).unwrap();
    assert!(night.running("two") && night.state.crossed.is_none());
    night.intends("two");
    assert_eq!(night.state.crossed.as_ref().unwrap().by, [who("mira"), who("dana")]);
    night.fails("two", gonogo::base::Class::Failed);
    assert!(matches!(night.says("mira", roll_back()), Err(Refusal::Closed { after, .. }) if after == "fix forward"));
}

#[test]
fn the_point_of_no_return_done_by_hand_is_crossed_too() {
    let mut night = dangerous();
    night.does("one");
    night.says("mira", confirm("two", WORD)).unwrap();
    night.says("dana", confirm("two", WORD)).unwrap();
    night.fails("two", gonogo::base::Class::Denied);
    assert!(night.state.crossed.is_none());
    night.says("sam", by_hand("two")).unwrap();
    assert!(night.state.crossed.is_some(), "it was done, by whomever");
    night.fails("two", gonogo::base::Class::NotYet);
    assert!(matches!(night.says("mira", roll_back()), Err(Refusal::Closed { .. })));
}

#[test]
fn an_automatic_rehearsal_ends_where_every_attempt_succeeds() {
    let two = StepOutline { no_return: true, people: 2, manual: true, asks_value: Some("x".into()), ..step("two") };
    let plan = outline(vec![step("one"), needing(stop("go"), &["one"]), needing(two, &["go"])]);
    let mut night = Night::open(opened(plan, true));
    for _ in 0..40 {
        if night.state.ended.is_some() {
            break;
        }
        if let Some((name, intent)) = auto_answer(&night.state) {
            night.put(Input::Person { who: name, typed_by: who("mira"), intent }).unwrap();
            continue;
        }
        if night.forward("go") == &StepState::AtStopPoint {
            night.sees("go", true).unwrap();
            continue;
        }
        let wanted = night.state.wanted();
        for wanted in wanted {
            let intended = night.state.step(&wanted.step).unwrap().1.attempt(wanted.attempt).unwrap().intended;
            let report = if intended { done() } else { ready(Json::Null) };
            night.put(Input::Report { step: wanted.step, attempt: wanted.attempt, report }).unwrap();
        }
    }
    assert_eq!(night.state.ended, Some(Ending::Completed));
}

#[test]
fn an_automatic_rehearsal_does_not_repeat_what_was_found_done() {
    let mut night = Night::open(opened(outline(vec![step("one")]), true));
    night.intends("one");
    night.fails("one", gonogo::base::Class::Unknown);
    night.report("one", Report::Found(Finding::Done(Done::new("there")))).unwrap();
    // Its checks say not yet: that is no proof that the action did nothing.
    night.fails("one", gonogo::base::Class::NotYet);
    assert_eq!(auto_answer(&night.state), None);
}

/// It writes no intent, so that nothing else would cross it.
#[test]
fn a_point_of_no_return_that_sends_nothing_is_crossed_where_it_starts() {
    for two in [check("two"), StepOutline { works: false, ..check("two") }] {
        let mut night = Night::of(vec![step("one"), needing(StepOutline { no_return: true, ..two }, &["one"])]);
        night.does("one");
        assert!(night.state.crossed.is_none());
        night.says("mira", confirm("two", WORD)).unwrap();
        assert_eq!(night.state.crossed.as_ref().map(|crossing| crossing.by.clone()), Some(vec![who("mira")]));
        let crossings = night.events.iter().filter(|event| matches!(event, Event::NoReturnCrossed { .. })).count();
        assert_eq!(crossings, 1);
        assert!(matches!(night.says("mira", roll_back()), Err(Refusal::Closed { .. } | Refusal::Over)));
    }
}

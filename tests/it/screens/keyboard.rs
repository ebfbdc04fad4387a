//! What the keys do: each way through a sheet, and what is said at its end.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use gonogo::{
    base::{Class, Failure},
    log::{EventLog, Said},
    replay::Player,
    run::{Ending, HoldWhy, Input, Intent},
    runbook::EnvKind,
    tui::{Action, DEAF, Desk, Effect, Theme},
};
use ratatui::layout::Size;

use super::scene::Scene;
use crate::night::{Night, person, step_id};

fn at_stop() -> Scene {
    let mut night = Night::open(EnvKind::Live);
    night.to_go_open().criteria("go-open", &[Ok("12 of 12"), Ok("0"), Ok("6 of 6")]);
    Scene::new(night, 80, 24)
}

fn failed() -> Scene {
    let mut night = Night::open(EnvKind::Live);
    night.failed();
    Scene::new(night, 80, 24)
}

fn last(scene: &Scene) -> (String, String, Intent) {
    match scene.said.last() {
        Some(Said::Intent { who, typed_by, intent }) => (who.to_string(), typed_by.to_string(), intent.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn go_is_typed_and_names_who_decides() {
    let mut scene = at_stop();
    scene.types("go\n");
    let (who, typed_by, intent) = last(&scene);
    assert_eq!((who.as_str(), typed_by.as_str()), ("mira", "dana"));
    assert_eq!(intent, Intent::Go { step: step_id("go-open"), typed: "go".into(), reason: None });
    assert!(!scene.text().contains("GO/NO-GO 2: open to traffic ─"), "the sheet is gone:\n{}", scene.text());
}

#[test]
fn a_wrong_word_is_shown_and_nothing_is_said() {
    let mut scene = at_stop();
    scene.types("gp\n");
    assert!(scene.said.is_empty());
    assert!(scene.text().contains("typed `gp`"), "{}", scene.text());
    scene.code(KeyCode::Backspace);
    scene.types("o\n");
    assert_eq!(scene.said.len(), 1);
}

#[test]
fn somebody_else_decides_by_tab_and_a_reason_goes_with_it() {
    let mut scene = at_stop();
    scene.types("no-go\tlatency looks odd\t");
    scene.ctrl('u');
    scene.types("sam\t\n");
    // sam may not: the refusal stands in the sheet.
    assert_eq!(last(&scene).0, "sam");
    assert!(scene.text().contains("sam does not decide"), "{}", scene.text());
    scene.types("no-go\t\t");
    scene.ctrl('u');
    scene.types("mira\t\n");
    let (who, _, intent) = last(&scene);
    assert_eq!(who, "mira");
    let reason = Some("latency looks odd".to_owned());
    assert_eq!(intent, Intent::NoGo { step: step_id("go-open"), typed: "no-go".into(), reason });
    assert!(scene.text().contains("no-go by mira"), "{}", scene.text());
}

#[test]
fn votes_are_typed_with_a_name() {
    let mut scene = at_stop();
    scene.types("sam no-go\n");
    assert_eq!(last(&scene), ("sam".into(), "dana".into(), Intent::vote(step_id("go-open"), false)));
    assert!(scene.text().contains("NO-GO sam"), "{}", scene.text());
    scene.types("bob go\n");
    assert_eq!(scene.said.len(), 1);
    assert!(scene.text().contains("`bob` is not a voter"), "{}", scene.text());
}

#[test]
fn red_criteria_ask_for_a_reason() {
    let mut night = Night::open(EnvKind::Live);
    night.to_go_open();
    let mut scene = Scene::new(night, 80, 24);
    scene.types("go\n");
    assert!(scene.text().contains("it needs a reason"), "{}", scene.text());
    scene.types("go\tfour are enough for an hour\t\t\n");
    assert!(matches!(last(&scene).2, Intent::Go { reason: Some(_), .. }));
    assert!(scene.night.state.step(&step_id("go-open")).unwrap().1.forward.gone);
}

#[test]
fn letters_move_the_cursor_and_the_word_acts() {
    let mut scene = failed();
    scene.types("rA\n");
    assert!(scene.text().contains("ABORT"), "{}", scene.text());
    scene.reads().types("\x1b");
    assert!(scene.said.is_empty());
    scene.reads().types("r\n").reads().types("retry\n");
    let intent = Intent::Retry { step: step_id("deploy-web"), typed: "retry".into(), reason: None };
    assert_eq!(last(&scene).2, intent);
}

#[test]
fn by_hand_and_skip_want_a_reason_first() {
    let mut scene = failed();
    scene.types("d\n").reads().types("\ndone\n");
    assert!(scene.said.is_empty(), "{:?}", scene.said);
    assert!(scene.text().contains("it needs a reason"), "{}", scene.text());
    // The word still stands in its field.
    scene.types("\t\tset the secret and redeployed\n\n");
    assert!(matches!(last(&scene).2, Intent::ByHand { .. }));
    let mut scene = failed();
    scene.types("s\n").reads().types("nobody needs it\nskip\n");
    let reason = "nobody needs it".to_owned();
    assert_eq!(last(&scene).2, Intent::Skip { step: step_id("deploy-web"), typed: "skip".into(), reason });
}

#[test]
fn a_rollback_is_confirmed_step_by_step() {
    let mut scene = failed();
    scene.types("b\n").reads().types("rollback\n");
    assert!(matches!(last(&scene).2, Intent::RollBack { .. }));
    let mut undone = 0;
    while scene.night.state.ended.is_none() {
        scene.reads().types("undo\n");
        let i = at_work(&scene);
        let id = scene.night.state.outlines()[i].id.to_string();
        scene.night.done(&id, 20, "as before");
        undone += 1;
        scene.look();
        assert!(undone < 9);
    }
    assert_eq!((undone, scene.night.state.ended), (4, Some(Ending::RolledBackInPart)));
}

/// The step whose attempt is alive.
fn at_work(scene: &Scene) -> usize {
    let state = &scene.night.state;
    let running = state.steps.iter().position(|step| step.attempts.last().is_some_and(|attempt| attempt.alive()));
    running.unwrap()
}

#[test]
fn after_the_line_there_is_no_way_back_to_choose() {
    let mut night = Night::open(EnvKind::Live);
    let confirm = || Intent::Confirm { step: step_id("open-writes"), typed: "acme-prod".into() };
    night.to_no_return().says("mira", confirm()).says("dana", confirm());
    night.fails("open-writes", 3, gonogo::base::Failure::new(gonogo::base::Class::Failed, "connection reset"));
    let mut scene = Scene::new(night, 80, 24);
    let text = scene.text();
    assert!(!text.contains("Roll back"), "{text}");
    assert!(text.contains("The way back is closed") && text.contains("reverse-sync"), "{text}");
    scene.reads().types("\x1bb");
    assert!(scene.text().contains("the way back is closed"), "{}", scene.text());
    assert!(scene.said.is_empty());
}

/// A live run is the night itself, however far from its window it is begun.
#[test]
fn a_live_run_outside_its_window_says_so() {
    for (start, end, header, sheet) in [
        ("2026-12-04T01:30:00+01:00", "2026-12-04T04:00:00+01:00", "past the window by", "IT IS OVER since 45h30m"),
        ("2026-12-09T01:30:00+01:00", "2026-12-09T04:00:00+01:00", "window to 2026-12-09 04:00", "it begins in 72h00m"),
    ] {
        let mut outline = crate::night::outline(EnvKind::Live);
        outline.window.start = start.parse().ok();
        outline.window.end = end.parse().ok();
        let mut scene = Scene::new(Night::of(outline), 160, 45);
        let text = scene.text();
        assert!(text.contains(header) && text.contains(sheet), "{text}");
    }
}

#[test]
fn the_point_of_no_return_takes_two_names_and_its_word() {
    let mut night = Night::open(EnvKind::Live);
    night.to_no_return();
    let mut scene = Scene::new(night, 80, 24);
    scene.types("acme-staging\n");
    assert!(scene.said.is_empty());
    scene.ctrl('u');
    scene.types("acme-prod\n");
    assert_eq!(last(&scene).0, "dana");
    // The second sheet is a new one, for the next person, and deaf at first.
    scene.types("acme-prod\n");
    assert_eq!(scene.said.len(), 1, "typed too soon");
    scene.reads();
    assert!(scene.text().contains("dana ✓"), "{}", scene.text());
    scene.ctrl('u');
    // Nobody's name stands there: whoever confirms second says who it is.
    scene.types("acme-prod\n");
    assert!(scene.text().contains("whose word is it?"), "{}", scene.text());
    assert_eq!(scene.said.len(), 1, "the first one's keyboard alone");
    scene.types("\tmira\n\n");
    assert_eq!(last(&scene).0, "mira");
    assert!(scene.night.state.steps[15].forward.state == gonogo::run::StepState::Running);
}

/// In a rollback an undo comes next, and no other way back can be chosen.
#[test]
fn a_held_rollback_goes_on_with_the_next_undo() {
    let mut night = Night::open(EnvKind::Live);
    night.rolling_back().says("dana", Intent::Confirm { step: step_id("deploy-web"), typed: "undo".into() });
    night.ready("deploy-web").says("dana", Intent::Hold).done("deploy-web", 20, "as it was before");
    let mut scene = Scene::new(night, 160, 45);
    scene.types("x");
    let text = scene.text();
    assert!(text.contains("Next    undo of 6 Heroku workers scaled to 0"), "{text}");
    assert!(text.contains("then  the undo of 6 Heroku workers scaled to 0 (sam)"), "{text}");
    assert!(text.contains("A abort (after esc)") && !text.contains("roll back"), "{text}");
}

/// An undo that was left counts as none, and is named.
#[test]
fn an_undo_that_was_left_is_not_undone() {
    let mut night = Night::open(EnvKind::Live);
    night.rolling_back().says("dana", Intent::Confirm { step: step_id("deploy-web"), typed: "undo".into() });
    night.fails("deploy-web", 20, Failure::new(Class::Failed, "no"));
    let mut scene = Scene::new(night, 80, 24);
    scene.reads().types("s\n");
    let text = scene.text();
    assert!(text.contains("11 stays as it is now, not taken back.") && !text.contains("runs without it"), "{text}");
    scene.reads().types("it runs at zero\nskip\n").reads();
    let mut night = scene.night;
    while night.state.ended.is_none() {
        let id = night.state.outlines()[night.state.asking().unwrap().0].id.to_string();
        night.says("dana", Intent::Confirm { step: step_id(&id), typed: "undo".into() }).done(&id, 20, "as before");
    }
    let text = Scene::new(night, 80, 24).text();
    assert!(text.contains("ROLLBACK DONE  3 of 4 undone, not 11"), "{text}");
}

#[test]
fn a_manual_step_takes_its_value_and_its_word() {
    let mut night = Night::open(EnvKind::Live);
    night.to_go_freeze().criteria("go-freeze", &[Ok("14 kB"), Ok("6")]);
    night.vote("go-freeze", "dana", true).vote("go-freeze", "sam", true).go("go-freeze");
    night.done("maintenance", 1, "").done("workers-down", 1, "").done("queues-empty", 1, "").done("lag-zero", 1, "");
    night.ready("promote").wait(5);
    let mut scene = Scene::new(night, 80, 24);
    scene.types("\ndone\n");
    assert!(scene.text().contains("write down position at promotion"), "{}", scene.text());
    scene.types("\t\t4/8A2F10\ndone\n");
    let value = Some("4/8A2F10".to_owned());
    assert_eq!(
        last(&scene),
        ("sam".into(), "dana".into(), Intent::OwnerDone { step: step_id("promote"), value, reason: None })
    );
    assert!(scene.night.state.awaiting_owner().next().is_none());
}

#[test]
fn a_checklist_is_ticked_by_numbers_and_done_over_a_gap_needs_a_reason() {
    let mut night = Night::open(EnvKind::Live);
    night.with_checklist().to_go_freeze().criteria("go-freeze", &[Ok("14 kB"), Ok("6")]);
    night.vote("go-freeze", "dana", true).vote("go-freeze", "sam", true).go("go-freeze");
    night.done("maintenance", 1, "").done("workers-down", 1, "").done("queues-empty", 1, "").done("lag-zero", 1, "");
    night.ready("promote").wait(5);
    let mut scene = Scene::new(night, 80, 24);
    let step = || step_id("promote");
    scene.types("1\n");
    assert_eq!(last(&scene), ("sam".into(), "dana".into(), Intent::Tick { step: step(), item: 0, on: true }));
    scene.types("-1\n2\n3\n4\n5\n6\n7\n");
    assert!(scene.text().contains("6 of 7 ticked off"), "{}", scene.text());
    let before = scene.said.len();
    scene.types("8\n");
    assert!(scene.text().contains("there is no 8 on the checklist: it has 7"), "{}", scene.text());
    scene.types("all\n");
    assert!(scene.text().contains("typed `all`; the word is `done`"), "{}", scene.text());
    scene.ctrl('u');
    scene.types("done\n");
    assert!(scene.text().contains("not ticked off: 1. Tick off, or say why (tab)"), "{}", scene.text());
    assert_eq!(scene.said.len(), before + 1, "only the 8 was said: {:?}", scene.said);
    // In the order on the screen: the word, the value, why.
    scene.types("\ttomorrow\tseen by eye\t\t\n");
    assert!(scene.text().contains("position at promotion has to be like"), "{}", scene.text());
    scene.types("\t");
    scene.ctrl('u');
    scene.types("4/8A2F10\t\t\tdone\n");
    let Intent::OwnerDone { value, reason, .. } = last(&scene).2 else { panic!("{:?}", scene.said) };
    assert_eq!((value.as_deref(), reason.as_deref()), (Some("4/8A2F10"), Some("seen by eye")));
    assert!(scene.night.state.awaiting_owner().next().is_none());
}

#[test]
fn space_holds_without_a_question_at_any_size() {
    for size in [(1, 1), (40, 8), (60, 16), (80, 24), (160, 45)] {
        let mut night = Night::open(EnvKind::Live);
        night.to_deploy().deploying();
        let mut scene = Scene::new(night, size.0, size.1);
        scene.types(" ");
        assert_eq!(last(&scene).2, Intent::Hold, "{size:?}");
        assert!(scene.night.state.hold.is_some());
    }
}

#[test]
fn release_takes_the_word_and_in_a_rehearsal_enter() {
    let mut night = Night::open(EnvKind::Live);
    night.to_deploy().deploying();
    let mut scene = Scene::new(night, 80, 24);
    scene.types(" x").reads().types("\n");
    assert!(scene.night.state.hold.is_some(), "a bare enter is not enough in a live run");
    scene.types("go\n");
    assert!(scene.night.state.hold.is_none());
    let mut night = Night::open(EnvKind::Sandbox);
    night.to_deploy().deploying();
    let mut scene = Scene::new(night, 80, 24);
    scene.types(" x");
    scene.pass(2000);
    scene.types("\n");
    assert!(scene.acts().len() == 1, "{:?}", scene.said);
}

#[test]
fn ctrl_c_holds_then_asks_to_leave() {
    let mut night = Night::open(EnvKind::Live);
    night.to_deploy().deploying();
    let mut scene = Scene::new(night, 80, 24);
    // Inside a text field too.
    scene.types("mhalf a note");
    scene.ctrl('c');
    assert_eq!(last(&scene).2, Intent::Hold);
    scene.ctrl('c');
    assert!(scene.text().contains("LEAVE?"), "{}", scene.text());
    scene.reads().types("\n");
    assert_eq!(scene.said.len(), 1, "stay is the default");
    scene.ctrl('c');
    scene.reads().types("l\n");
    assert_eq!(scene.said.last(), Some(&Said::Leave(HoldWhy::Left)));
}

#[test]
fn a_stop_sheet_put_aside_comes_back_by_x() {
    let mut scene = at_stop();
    scene.types("\x1b");
    assert!(scene.text().contains("x answer"), "{}", scene.text());
    scene.types("go\n");
    assert!(scene.said.is_empty(), "no sheet, no word");
    scene.types("\x1bx").reads().types("go\n");
    assert_eq!(scene.said.len(), 1);
}

#[test]
fn notes_are_written_and_may_be_pasted() {
    let mut night = Night::open(EnvKind::Live);
    night.to_deploy().deploying();
    let mut scene = Scene::new(night, 80, 24);
    scene.types("mslow ");
    scene.app.paste("pull\nof 1.9 GB\u{1b}[2J", scene.at);
    scene.types("\n");
    let (who, _, intent) = last(&scene);
    assert_eq!(who, "dana");
    assert!(matches!(&intent, Intent::Note { text, .. } if text == "slow pull of 1.9 GB\\u{1b}[2J"), "{intent:?}");
    assert!(scene.types("6").text().contains("slow pull of"), "{}", scene.text());
}

#[test]
fn the_pages_that_come_later_say_so() {
    let mut night = Night::open(EnvKind::Live);
    night.to_deploy().deploying();
    let mut scene = Scene::new(night, 80, 24);
    for (key, what) in [("2", "timeline"), ("3", "DNS"), ("4", "metrics")] {
        assert!(scene.types(key).text().contains(what) && scene.text().contains("later version"), "{}", scene.text());
    }
    assert!(scene.said.is_empty());
}

#[test]
fn selection_stays_on_its_step_when_rows_move() {
    let mut night = Night::open(EnvKind::Live);
    night.to_deploy().deploying();
    let mut scene = Scene::new(night, 80, 24);
    scene.types("kk");
    let chosen = |scene: &mut Scene| scene.text().lines().find(|line| line.starts_with('>')).unwrap()[8..40].to_owned();
    let before = chosen(&mut scene);
    assert!(before.contains("Promote"), "{before}");
    scene.night.done_now("deploy-web", "6 of 6");
    assert_eq!(chosen(&mut scene)[..20], before[..20]);
    scene.types("f");
    assert!(chosen(&mut scene).contains("Smoke"), "{}", scene.text());
}

#[test]
fn a_replay_hears_its_own_keys_and_cannot_say_a_word() {
    let mut night = Night::open(EnvKind::Live);
    night.to_go_open();
    let log = EventLog::default();
    log.publish(night.log.iter().cloned());
    let player = Player::new(&log, "verified");
    let mut scene = Scene::with(night, 80, 24, Desk::Replay, Theme { color: true, ascii: false });
    scene.shown = Some(player.shown());
    scene.types(" [],.<>{}5i\n\x1bxrdsbAm");
    assert!(scene.said.is_empty());
    let keys: Vec<(Action, u64)> = scene
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Player(action, digit) => Some((*action, *digit)),
            _ => None,
        })
        .collect();
    let expected = [
        (Action::Play, 0),
        (Action::StepBack, 0),
        (Action::StepOn, 0),
        (Action::EventBack, 0),
        (Action::EventOn, 0),
        (Action::Slower, 0),
        (Action::Faster, 0),
        (Action::TenthBack, 0),
        (Action::TenthOn, 0),
        (Action::Jump, 5),
        (Action::Idle, 0),
    ];
    assert_eq!(keys, expected);
    scene.ctrl('c');
    assert_eq!(scene.effects.last(), Some(&Effect::Quit));
}

#[test]
fn a_view_that_goes_back_folds_anew() {
    let mut night = Night::open(EnvKind::Live);
    night.to_deploy();
    let mut scene = Scene::with(night, 80, 24, Desk::Replay, Theme { color: true, ascii: false });
    let there = scene.text();
    scene.night.deploying();
    assert_ne!(scene.text(), there);
    scene.app.refold();
    let all = scene.night.envelopes();
    let back = all.iter().position(|e| e.elapsed.0 > 2_548_000).unwrap();
    scene.app.feed(&all[..back]);
    assert_eq!(scene.app.seen(), back);
}

#[test]
fn suspend_is_not_for_live_runs() {
    for (kind, allowed) in [(EnvKind::Live, false), (EnvKind::Sandbox, true)] {
        let mut night = Night::open(kind);
        night.to_deploy().deploying();
        let mut scene = Scene::new(night, 80, 24);
        scene.ctrl('z');
        assert_eq!(scene.effects.contains(&Effect::Suspend), allowed);
    }
}

#[test]
fn a_sheet_is_deaf_until_it_was_seen_for_a_while() {
    let mut scene = at_stop();
    scene.types("\x1bx");
    // `x` drew it: the words of the first moments are not heard, held keys never.
    let opened = scene.at;
    while scene.at < opened + DEAF - Duration::from_millis(100) {
        scene.types("g");
    }
    scene.pass(200);
    scene.types("o\n");
    assert!(scene.said.is_empty() && scene.text().contains("typed `o`"), "{}", scene.text());
    scene.ctrl('u');
    let mut repeated = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
    repeated.kind = KeyEventKind::Repeat;
    scene.types("go");
    scene.pass(100);
    scene.press(repeated);
    assert!(scene.said.is_empty(), "a repeated key is no decision");
    scene.app.paste("go\n", scene.at);
    assert!(scene.said.is_empty());
    scene.size = Size::new(40, 10);
    scene.types("\n");
    assert!(scene.said.is_empty(), "a sheet that cannot be seen cannot be answered");
    scene.size = Size::new(80, 24);
    scene.types("\n");
    assert_eq!(scene.said.len(), 1);
}

#[test]
fn an_unmarked_paste_does_not_decide() {
    let mut scene = at_stop();
    // All at one moment, as bytes of one read.
    for code in [KeyCode::Char('g'), KeyCode::Char('o'), KeyCode::Enter] {
        scene.code(code);
    }
    assert!(scene.said.is_empty() && scene.text().contains("like a paste"), "{}", scene.text());
    scene.types("\n");
    assert_eq!(scene.said.len(), 1);
}

#[test]
fn what_was_typed_for_one_question_never_answers_the_next() {
    let mut scene = failed();
    scene.types("r\n").reads().types("retry");
    // Before Enter somebody else decides, and it fails again.
    scene.night.says("mira", Intent::Retry { step: step_id("deploy-web"), typed: "retry".into(), reason: None });
    let failure = gonogo::base::Failure::new(gonogo::base::Class::Failed, "again");
    scene.night.fails("deploy-web", 30, failure);
    scene.types("\n");
    assert!(scene.acts().is_empty(), "{:?}", scene.said);
    assert!(scene.text().contains("again"), "{}", scene.text());
    let who = person("mira");
    let night = &mut scene.night;
    night.try_input(Input::Person { who: who.clone(), typed_by: who, intent: Intent::Hold }).unwrap();
}

//! The keyboard cannot touch the world by accident: whatever is pressed, pasted or resized, nothing
//! that acts is said without its exact word having been typed.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use gonogo::{run::Intent, runbook::EnvKind};
use proptest::prelude::*;
use ratatui::layout::Size;

use super::scene::Scene;
use crate::night::Night;

/// Where the keys are tried: every question that a night can ask, and the run itself.
const PLACES: usize = 8;

fn place(i: usize) -> Scene {
    let mut night = Night::open(EnvKind::Live);
    match i {
        0 => {}
        1 => {
            night.to_go_freeze().wait(3).criteria("go-freeze", &[Ok("14 kB"), Ok("6 of 6")]);
        }
        2 => {
            night.to_deploy().deploying();
        }
        3 => {
            night.failed();
        }
        4 => {
            night.to_no_return();
        }
        5 => {
            night.rolling_back();
        }
        6 => {
            night.to_go_open();
        }
        _ => {
            night.to_deploy().deploying().says("dana", Intent::Hold);
        }
    }
    Scene::new(night, 80, 24)
}

/// The word that an intent must have been typed as.
fn word(intent: &Intent) -> Option<&str> {
    match intent {
        Intent::Hold | Intent::Note { .. } => None,
        Intent::Release { typed }
        | Intent::Go { typed, .. }
        | Intent::NoGo { typed, .. }
        | Intent::Confirm { typed, .. }
        | Intent::Retry { typed, .. }
        | Intent::Skip { typed, .. }
        | Intent::RollBack { typed, .. }
        | Intent::Abort { typed, .. } => Some(typed),
        Intent::Vote { go, .. } => Some(if *go { "go" } else { "no-go" }),
        Intent::OwnerDone { .. } | Intent::ByHand { .. } => Some("done"),
        Intent::Tick { item, .. } => ["1", "2", "3", "4", "5", "6", "7", "8", "9"].get(*item).copied(),
    }
}

/// Letters typed since the word's field was last emptied can only be a superset: the word's letters must
/// have been pressed, in order, one by one, before the Enter.
fn typed_in_order(pressed: &[KeyCode], word: &str) -> bool {
    let mut letters = word.chars().peekable();
    for code in pressed {
        if let (KeyCode::Char(c), Some(next)) = (code, letters.peek())
            && c == next
        {
            letters.next();
        }
    }
    letters.peek().is_none()
}

fn keys() -> impl Strategy<Value = KeyCode> {
    prop_oneof![
        6 => proptest::sample::select(vec!['g', 'o', 'n', '-', 'r', 'e', 't', 'y', 's', 'k', 'i', 'p', 'a', 'b', 'd', 'u', 'x', 'A', 'l', 'q', 'm', 'c', ' ', '?', '5'])
            .prop_map(KeyCode::Char),
        3 => Just(KeyCode::Enter),
        1 => proptest::sample::select(vec![KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Backspace, KeyCode::Up, KeyCode::Down, KeyCode::Left]),
    ]
}

#[derive(Debug, Clone)]
enum Deed {
    Key(KeyCode, u64),
    Repeat(KeyCode),
    Ctrl(char),
    Paste(String),
    Resize(u16, u16),
    Wait(u64),
    /// A whole word, as fast as fingers go.
    Word(&'static str),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let words = vec!["go", "no-go", "retry", "skip", "rollback", "abort", "acme-prod", "undo", "done", "dana go"];
    let deed = prop_oneof![
        12 => (keys(), 0u64..300).prop_map(|(key, ms)| Deed::Key(key, ms)),
        2 => keys().prop_map(Deed::Repeat),
        1 => proptest::sample::select(vec!['c', 'u', 'l', 'd', 'w']).prop_map(Deed::Ctrl),
        1 => proptest::sample::select(words.clone()).prop_map(|word| Deed::Paste(format!("{word}\r"))),
        1 => (0u16..200, 0u16..60).prop_map(|(w, h)| Deed::Resize(w, h)),
        2 => (0u64..2000).prop_map(Deed::Wait),
        2 => proptest::sample::select(words).prop_map(Deed::Word),
    ];
    proptest::collection::vec(deed, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acts_without_its_word(where_ in 0..PLACES, deeds in deeds()) {
        let mut scene = place(where_);
        let mut pressed = Vec::new();
        let mut said = 0;
        for deed in deeds {
            match deed {
                Deed::Key(code, ms) => {
                    scene.pass(ms);
                    pressed.push(code);
                    scene.code(code);
                }
                Deed::Repeat(code) => {
                    let mut key = KeyEvent::new(code, KeyModifiers::NONE);
                    key.kind = KeyEventKind::Repeat;
                    scene.press(key);
                }
                Deed::Ctrl(c) => scene.ctrl(c),
                Deed::Paste(text) => scene.app.paste(&text, scene.at),
                Deed::Resize(width, height) => {
                    scene.size = Size::new(width, height);
                    scene.look();
                }
                Deed::Wait(ms) => scene.pass(ms),
                Deed::Word(word) => {
                    for c in word.chars() {
                        scene.pass(60);
                        pressed.push(KeyCode::Char(c));
                        scene.code(KeyCode::Char(c));
                    }
                }
            }
            let acts: Vec<Intent> = scene.acts().into_iter().cloned().collect();
            for intent in &acts[said..] {
                let word = word(intent).unwrap();
                prop_assert_eq!(pressed.last(), Some(&KeyCode::Enter), "{:?} without an enter", intent);
                prop_assert!(typed_in_order(&pressed, word), "{:?} after {:?}", intent, pressed);
                // What was typed for one thing does not count for the next.
                pressed.clear();
            }
            said = acts.len();
        }
    }
}

/// A stuck key, at any place: nothing acts.
#[test]
fn no_single_held_key_starts_anything() {
    let mut codes: Vec<KeyCode> = (' '..='~').map(KeyCode::Char).collect();
    codes.extend([KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::Backspace, KeyCode::Up, KeyCode::Down]);
    codes.extend([KeyCode::PageUp, KeyCode::PageDown, KeyCode::Home, KeyCode::End, KeyCode::F(1)]);
    for i in 0..PLACES {
        let night = place(i).night;
        for &code in &codes {
            let mut scene = Scene::new(night.clone(), 80, 24);
            for n in 0..40 {
                // A keyboard waits before it repeats; terminals send the repeats as presses.
                scene.pass(if n == 1 { 600 } else { 33 });
                scene.code(code);
            }
            assert!(scene.acts().is_empty(), "{code:?} held at place {i}: {:?}", scene.said);
        }
    }
}

/// In a rehearsal Enter releases a hold, but an Enter that was held before there was one does not.
#[test]
fn a_held_enter_does_not_release_a_rehearsal() {
    let mut night = Night::open(EnvKind::Sandbox);
    night.to_deploy().deploying();
    let mut scene = Scene::new(night, 80, 24);
    for n in 0..100 {
        if n == 10 {
            scene.night.input(gonogo::run::Input::Hold(gonogo::run::HoldWhy::Clock));
        }
        scene.pass(33);
        scene.code(KeyCode::Enter);
    }
    assert!(scene.acts().is_empty(), "{:?}", scene.said);
    scene.pass(2000);
    scene.code(KeyCode::Enter);
    assert_eq!(scene.acts().len(), 1, "one press after a silence is meant");
}

//! The one key table: dispatch, footer and help read it, and a test finds clashes. Keys inside a sheet
//! are few and fixed (enter, esc, tab, arrows, letters of a list); they are handled where the sheet is.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does outside of sheets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Nothing new starts.
    Hold,
    /// Opens what is asked.
    Answer,
    /// The step in full.
    Details,
    /// Opens the sheet of a choice at a failure, or at any time.
    Retry,
    /// Opens its sheet.
    ByHand,
    /// Opens its sheet.
    Skip,
    /// Opens its sheet.
    RollBack,
    /// Opens its sheet.
    Abort,
    /// Writes something down.
    Note,
    /// One up.
    Up,
    /// One down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// View 1.
    Run,
    /// View 2.
    Timeline,
    /// View 3.
    Dns,
    /// View 4.
    Metrics,
    /// View 5.
    Log,
    /// View 6.
    Notes,
    /// The next view.
    NextView,
    /// Follows the run again.
    Follow,
    /// Local, UTC, T+.
    Clock,
    /// All steps, or only open ones.
    Rows,
    /// This list.
    Help,
    /// One level back.
    Back,
    /// Back, at the top leave.
    Quit,
    /// Once HOLD, twice leave.
    Interrupt,
    /// Draws everything again.
    Redraw,
    /// To the shell for a while.
    Suspend,
    /// Play or pause.
    Play,
    /// Five seconds.
    Earlier,
    /// Five seconds.
    Later,
    /// A tenth.
    TenthBack,
    /// A tenth.
    TenthOn,
    /// A step.
    StepBack,
    /// A step.
    StepOn,
    /// An event.
    EventBack,
    /// An event.
    EventOn,
    /// Slower.
    Slower,
    /// Faster.
    Faster,
    /// Idle gaps shortened or in full.
    Idle,
    /// To a tenth of all, by its digit.
    Jump,
}

/// What is being looked at; decides which keys there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Desk {
    /// A run that can be answered.
    Live,
    /// A run that can only be watched.
    Watch,
    /// A recorded night.
    Replay,
}

/// One line of the table.
#[derive(Debug)]
pub struct Binding {
    /// The keys.
    pub keys: &'static [(KeyCode, KeyModifiers)],
    /// As shown in footer and help.
    pub label: &'static str,
    /// What it does.
    pub action: Action,
    /// In a few words, for the help.
    pub what: &'static str,
    /// In one word, for the footer; empty: not in the footer.
    pub short: &'static str,
    /// Where it works.
    pub desks: &'static [Desk],
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const ANY: &[Desk] = &[Desk::Live, Desk::Watch, Desk::Replay];
const RUNS: &[Desk] = &[Desk::Live, Desk::Watch];
const LIVE: &[Desk] = &[Desk::Live];
const REPLAY: &[Desk] = &[Desk::Replay];

const fn key(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), NONE)
}

const fn ctrl(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), CTRL)
}

const fn code(code: KeyCode) -> (KeyCode, KeyModifiers) {
    (code, NONE)
}

const fn binding(
    keys: &'static [(KeyCode, KeyModifiers)],
    label: &'static str,
    action: Action,
    short: &'static str,
    what: &'static str,
    desks: &'static [Desk],
) -> Binding {
    Binding { keys, label, action, what, short, desks }
}

/// The table, in the order of the help.
pub const TABLE: &[Binding] = &[
    binding(&[key(' ')], "space", Action::Hold, "HOLD", "hold: nothing new starts", LIVE),
    binding(&[ctrl('c')], "ctrl+c", Action::Interrupt, "", "hold, even in text; twice: leave", LIVE),
    binding(&[key('x')], "x", Action::Answer, "answer", "open what is asked; go on", LIVE),
    binding(&[key('r')], "r", Action::Retry, "", "retry the failed step", LIVE),
    binding(&[key('d')], "d", Action::ByHand, "", "done by hand", LIVE),
    binding(&[key('s')], "s", Action::Skip, "", "skip the failed step", LIVE),
    binding(&[key('b')], "b", Action::RollBack, "", "hold, then roll back", LIVE),
    binding(&[key('A')], "A", Action::Abort, "", "hold, then abort", LIVE),
    binding(&[key('m')], "m", Action::Note, "note", "write a note", LIVE),
    binding(&[key(' ')], "space", Action::Play, "play", "play or pause", REPLAY),
    binding(&[code(KeyCode::Left)], "left", Action::Earlier, "", "five seconds back", REPLAY),
    binding(&[code(KeyCode::Right)], "right", Action::Later, "", "five seconds on", REPLAY),
    binding(&[key('{'), (KeyCode::Left, KeyModifiers::SHIFT)], "{", Action::TenthBack, "", "a tenth back", REPLAY),
    binding(&[key('}'), (KeyCode::Right, KeyModifiers::SHIFT)], "}", Action::TenthOn, "", "a tenth on", REPLAY),
    binding(&[key('[')], "[", Action::StepBack, "", "back to the last step", REPLAY),
    binding(&[key(']')], "]", Action::StepOn, "", "on to the next step", REPLAY),
    binding(&[key(',')], ",", Action::EventBack, "", "one event back", REPLAY),
    binding(&[key('.')], ".", Action::EventOn, "", "one event on", REPLAY),
    binding(&[key('<')], "<", Action::Slower, "", "slower", REPLAY),
    binding(&[key('>')], ">", Action::Faster, "", "faster", REPLAY),
    binding(
        &[key('0'), key('1'), key('2'), key('3'), key('4'), key('5'), key('6'), key('7'), key('8'), key('9')],
        "0-9",
        Action::Jump,
        "",
        "to that tenth of the night",
        REPLAY,
    ),
    binding(&[key('i')], "i", Action::Idle, "", "idle gaps: shortened, or in full", REPLAY),
    binding(&[code(KeyCode::Enter)], "enter", Action::Details, "details", "the selected step in full", ANY),
    binding(&[code(KeyCode::Up), key('k')], "up k", Action::Up, "", "one up", ANY),
    binding(&[code(KeyCode::Down), key('j')], "down j", Action::Down, "", "one down", ANY),
    binding(&[code(KeyCode::PageUp), ctrl('u')], "pgup ctrl+u", Action::PageUp, "", "a page up", ANY),
    binding(&[code(KeyCode::PageDown), ctrl('d')], "pgdn ctrl+d", Action::PageDown, "", "a page down", ANY),
    binding(&[code(KeyCode::Home), key('g')], "home g", Action::Home, "", "to the beginning", ANY),
    binding(&[code(KeyCode::End), key('G')], "end G", Action::End, "", "to the end", ANY),
    binding(&[key('1')], "1", Action::Run, "", "the run", RUNS),
    binding(&[key('2')], "2", Action::Timeline, "", "timeline (a later version)", RUNS),
    binding(&[key('3')], "3", Action::Dns, "", "DNS by resolver (a later version)", RUNS),
    binding(&[key('4')], "4", Action::Metrics, "", "metrics (a later version)", RUNS),
    binding(&[key('5')], "5", Action::Log, "", "the log of everything", RUNS),
    binding(&[key('6')], "6", Action::Notes, "", "notes", RUNS),
    binding(&[code(KeyCode::Tab)], "tab", Action::NextView, "view", "run, log, notes in turn", ANY),
    binding(&[key('f')], "f", Action::Follow, "", "follow the run again", ANY),
    binding(&[key('t')], "t", Action::Clock, "", "clock: local, UTC, T+", ANY),
    binding(&[key('v')], "v", Action::Rows, "", "only what matters now, or all", ANY),
    binding(&[key('?'), code(KeyCode::F(1))], "?", Action::Help, "help", "this page", ANY),
    binding(&[code(KeyCode::Esc)], "esc", Action::Back, "", "one level back", ANY),
    binding(&[key('q')], "q", Action::Quit, "", "back; at the top: leave", ANY),
    binding(&[ctrl('c')], "ctrl+c", Action::Quit, "", "leave", &[Desk::Watch, Desk::Replay]),
    binding(&[ctrl('l')], "ctrl+l", Action::Redraw, "", "draw everything again", ANY),
    binding(&[ctrl('z')], "ctrl+z", Action::Suspend, "", "to the shell, not in a live run", ANY),
];

/// A key without what terminals disagree about: shift on a character that is shifted already.
fn plain(key: &KeyEvent) -> (KeyCode, KeyModifiers) {
    let modifiers = key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
    match key.code {
        KeyCode::Char(_) => (key.code, modifiers - KeyModifiers::SHIFT),
        _ => (key.code, modifiers),
    }
}

/// What a key does at a desk.
#[must_use]
pub fn action(desk: Desk, key: &KeyEvent) -> Option<Action> {
    let key = plain(key);
    let binding = TABLE.iter().find(|binding| binding.desks.contains(&desk) && binding.keys.contains(&key))?;
    Some(binding.action)
}

/// The binding of an action at a desk, for footers.
#[must_use]
pub fn binding_of(desk: Desk, action: Action) -> Option<&'static Binding> {
    TABLE.iter().find(|binding| binding.action == action && binding.desks.contains(&desk))
}

/// The table of a desk, for the help.
pub fn table(desk: Desk) -> impl Iterator<Item = &'static Binding> {
    TABLE.iter().filter(move |binding| binding.desks.contains(&desk))
}

/// Every table as lines of text, for `gonogo help keys`.
#[must_use]
pub fn listing() -> String {
    let mut text = String::new();
    for (desk, title) in [(Desk::Live, "At a run"), (Desk::Replay, "At a replay")] {
        text.push_str(&format!("{title}\n"));
        for binding in table(desk) {
            text.push_str(&format!("  {:<14} {}\n", binding.label, binding.what));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn no_key_means_two_things() {
        for desk in [Desk::Live, Desk::Watch, Desk::Replay] {
            let mut taken = HashMap::new();
            for binding in table(desk) {
                for key in binding.keys {
                    let before = taken.insert(key, binding.label);
                    assert_eq!(before, None, "{key:?} at {desk:?}: {} too", binding.label);
                }
            }
        }
    }

    #[test]
    fn hold_help_and_a_way_out_are_everywhere() {
        assert!(binding_of(Desk::Live, Action::Hold).is_some());
        for desk in [Desk::Live, Desk::Watch, Desk::Replay] {
            for action in [Action::Help, Action::Quit, Action::Back] {
                assert!(binding_of(desk, action).is_some(), "{action:?} at {desk:?}");
            }
        }
    }

    #[test]
    fn shift_on_a_character_is_no_other_key() {
        let shifted = KeyEvent::new(KeyCode::Char('A'), KeyModifiers::SHIFT);
        assert_eq!(action(Desk::Live, &shifted), Some(Action::Abort));
        let left = KeyEvent::new(KeyCode::Left, KeyModifiers::SHIFT);
        assert_eq!(action(Desk::Replay, &left), Some(Action::TenthBack));
        assert_eq!(action(Desk::Live, &KeyEvent::new(KeyCode::Char('c'), CTRL)), Some(Action::Interrupt));
    }
}

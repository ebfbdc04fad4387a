//! The sheet that is open, if one is: what its keys do. The rules that keep a stray key from acting:
//! a sheet is deaf when it opens, letters in a list only move the cursor, the exact word acts, and a
//! sheet belongs to one question, so that an answer can never reach another.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent};

use super::form::{Field, Form};
use crate::{
    base::{PersonId, StepId},
    board::{Act, Ask, AskId, Board, Choice, ConfirmAsk, HeldAsk, ManualAsk, Reason, Role, StopAsk},
    run::Intent,
};

/// A sheet hears nothing for this long after it opened.
pub const DEAF: Duration = Duration::from_millis(400);
/// A bare Enter releases a rehearsal's hold only after this much silence of Enter: longer than any
/// keyboard waits before it repeats a held key.
const SILENCE: Duration = Duration::from_secs(1);

/// What a sheet is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Topic {
    /// The question of the board.
    Ask(AskId),
    /// One choice, with the question that it answers, where it answers one.
    Act(Box<Choice>, Option<AskId>),
    /// A note about a step.
    Note(Option<StepId>),
    /// Hold and leave, or stay.
    Leave,
    /// Keys.
    Help,
}

/// An open sheet.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// What it is about.
    pub topic: Topic,
    /// When it was first seen; until then it is deaf.
    pub seen: Option<Duration>,
    /// Its fields.
    pub form: Form,
    /// The cursor of its list, or the first line shown.
    pub cursor: usize,
    /// An answer is awaited.
    pub waiting: Option<u64>,
}

/// What follows from a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing.
    Stay,
    /// The sheet closes.
    Close,
    /// Somebody says something.
    Say(PersonId, Intent),
    /// Another sheet.
    Open(Topic),
    /// The log of a step.
    Log(StepId),
    /// Hold and leave.
    Leave,
}

impl Dialog {
    /// A sheet that nobody has seen yet.
    #[must_use]
    pub fn open(topic: Topic, board: &Board, operator: &str) -> Self {
        let (fields, who): (&'static [Field], String) = match (&topic, &board.ask) {
            (Topic::Ask(_), Some(Ask::StopPoint(ask))) => {
                (&[Field::Word, Field::Text, Field::Who], ask.decides.to_string())
            }
            (Topic::Ask(_), Some(Ask::Confirm(ask))) => {
                let who = ask.suggested.as_ref().map(ToString::to_string).unwrap_or_default();
                (&[Field::Word, Field::Who], who)
            }
            (Topic::Ask(_), Some(Ask::Manual(ask))) => (
                match (ask.asks_value.is_some(), ask.checklist.is_empty()) {
                    (false, true) => &[Field::Word, Field::Who],
                    (false, false) => &[Field::Word, Field::Text, Field::Who],
                    (true, true) => &[Field::Value, Field::Word, Field::Who],
                    // The checklist comes first, and is ticked off in the word's field.
                    (true, false) => &[Field::Word, Field::Value, Field::Text, Field::Who],
                },
                ask.owner.to_string(),
            ),
            (Topic::Ask(_), Some(Ask::Held(_))) => (&[Field::Word], operator.to_owned()),
            (Topic::Act(choice, _), _) if matches!(choice.reason, Reason::Needed(_)) => {
                (&[Field::Text, Field::Word, Field::Who], operator.to_owned())
            }
            (Topic::Act(..), _) => (&[Field::Word, Field::Text, Field::Who], operator.to_owned()),
            (Topic::Note(_), _) => (&[Field::Text], operator.to_owned()),
            (Topic::Ask(_) | Topic::Leave | Topic::Help, _) => (&[], operator.to_owned()),
        };
        Self { topic, seen: None, form: Form::new(fields, &who), cursor: 0, waiting: None }
    }

    /// It has been drawn.
    pub fn present(&mut self, at: Duration) {
        self.seen.get_or_insert(at);
    }

    /// True while it hears nothing.
    #[must_use]
    pub fn deaf(&self, at: Duration) -> bool {
        let asks = !matches!(self.topic, Topic::Help | Topic::Note(_));
        asks && self.seen.is_none_or(|seen| at < seen + DEAF)
    }

    /// True where Space is a letter here: text, or the words of a stop point (`dana go`).
    #[must_use]
    pub fn space_is_text(&self, board: &Board) -> bool {
        match self.form.focus() {
            Some(Field::Text | Field::Value) => true,
            Some(Field::Word) => matches!((&self.topic, &board.ask), (Topic::Ask(_), Some(Ask::StopPoint(_)))),
            Some(Field::Who) | None => false,
        }
    }

    /// A key. `silence`: how long no Enter was pressed before this key.
    pub fn key(&mut self, key: &KeyEvent, board: &Board, at: Duration, silence: Duration) -> Step {
        match key.code {
            KeyCode::Esc => return Step::Close,
            KeyCode::Tab | KeyCode::Down if self.form.focus().is_some() => {
                self.form.turn(true);
                return Step::Stay;
            }
            KeyCode::BackTab | KeyCode::Up if self.form.focus().is_some() => {
                self.form.turn(false);
                return Step::Stay;
            }
            KeyCode::Enter => return self.enter(board, at, silence),
            _ => {}
        }
        if self.form.focus().is_some() {
            self.form.key(key, at);
            return Step::Stay;
        }
        self.list_key(key, board)
    }

    /// The letters of a list: they move the cursor.
    fn list(&self, board: &Board) -> Vec<char> {
        match (&self.topic, &board.ask) {
            (Topic::Ask(_), Some(Ask::Failure(ask))) => ask.choices.iter().map(|choice| choice.key).collect(),
            (Topic::Leave, _) => vec!['s', 'l'],
            _ => Vec::new(),
        }
    }

    fn list_key(&mut self, key: &KeyEvent, board: &Board) -> Step {
        let letters = self.list(board);
        let last = if self.topic == Topic::Help { usize::MAX } else { letters.len().saturating_sub(1) };
        match key.code {
            KeyCode::Char('?' | 'q') if self.topic == Topic::Help => return Step::Close,
            KeyCode::Char(c) if letters.contains(&c) => {
                self.cursor = letters.iter().position(|letter| *letter == c).unwrap_or(0);
            }
            KeyCode::Up | KeyCode::Char('k') => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.cursor = self.cursor.saturating_add(1).min(last),
            KeyCode::PageUp => self.cursor = self.cursor.saturating_sub(10),
            KeyCode::PageDown => self.cursor = self.cursor.saturating_add(10).min(last),
            KeyCode::Home => self.cursor = 0,
            _ => {}
        }
        Step::Stay
    }

    fn enter(&mut self, board: &Board, at: Duration, silence: Duration) -> Step {
        if self.waiting.is_some() {
            return Step::Stay;
        }
        if matches!(self.form.focus(), Some(Field::Word | Field::Text | Field::Value)) && !self.form.by_hand(at) {
            self.form.said = Some(("text and enter came at once, like a paste: press enter again".into(), Role::Warn));
            return Step::Stay;
        }
        // Enter acts in the word's field only; in the others it goes on to the next.
        if self.form.has(Field::Word) && self.form.focus() != Some(Field::Word) {
            self.form.turn(true);
            return Step::Stay;
        }
        match (&self.topic, &board.ask) {
            (Topic::Help, _) => Step::Close,
            (Topic::Leave, _) if self.cursor == 1 => Step::Leave,
            (Topic::Leave, _) => Step::Close,
            (Topic::Note(step), _) => match self.form.reason() {
                Some(text) => self.say(Intent::Note { text, step: step.clone(), via: None }),
                None => Step::Stay,
            },
            (Topic::Act(choice, _), _) => self.act(&choice.clone()),
            (Topic::Ask(_), Some(Ask::StopPoint(ask))) => self.decide(ask),
            (Topic::Ask(_), Some(Ask::Confirm(ask))) => self.confirm(ask),
            (Topic::Ask(_), Some(Ask::Manual(ask))) => self.done(ask),
            (Topic::Ask(_), Some(Ask::Held(ask))) => self.release(ask, silence),
            (Topic::Ask(id), Some(Ask::Failure(ask))) => match ask.choices.get(self.cursor) {
                None => Step::Close,
                Some(choice) => match choice.act {
                    Act::Hold => Step::Close,
                    Act::Log => Step::Log(ask.step.clone()),
                    _ => Step::Open(Topic::Act(Box::new(choice.clone()), Some(id.clone()))),
                },
            },
            (Topic::Ask(_), None) => Step::Close,
        }
    }

    /// Whose word it is.
    fn who(&mut self) -> Option<PersonId> {
        let typed = self.form.value(Field::Who).to_owned();
        if let Ok(who) = typed.parse() {
            return Some(who);
        }
        let said =
            if typed.is_empty() { "whose word is it? (tab)".into() } else { format!("`{typed}` is not in [people]") };
        self.form.said = Some((said, Role::Warn));
        None
    }

    fn say(&mut self, intent: Intent) -> Step {
        self.who().map_or(Step::Stay, |who| Step::Say(who, intent))
    }

    /// The typed word, where it is the wanted one; else says what was typed and does nothing.
    fn word(&mut self, wanted: &str) -> Option<String> {
        let typed = self.form.value(Field::Word).to_owned();
        if typed == wanted {
            return Some(typed);
        }
        if !typed.is_empty() {
            self.form.said = Some((format!("typed `{typed}`; the word is `{wanted}`"), Role::Warn));
        }
        None
    }

    fn decide(&mut self, ask: &StopAsk) -> Step {
        let typed = self.form.value(Field::Word).to_owned();
        let reason = self.form.reason();
        let step = ask.step.clone();
        match typed.split_whitespace().collect::<Vec<_>>().as_slice() {
            [] => return Step::Stay,
            ["go"] => return self.say(Intent::Go { step, typed, reason }),
            ["no-go"] => return self.say(Intent::NoGo { step, typed, reason }),
            [who, word @ ("go" | "no-go")] => {
                if let Some(voter) = ask.voters.iter().find(|voter| voter.as_str() == *who) {
                    return Step::Say(voter.clone(), Intent::vote(step, *word == "go"));
                }
                self.form.said = Some((format!("typed `{typed}`; `{who}` is not a voter here"), Role::Warn));
            }
            _ => {
                let said = format!("typed `{typed}`; the words are `go` and `no-go`");
                self.form.said = Some((said, Role::Warn));
            }
        }
        Step::Stay
    }

    fn confirm(&mut self, ask: &ConfirmAsk) -> Step {
        match self.word(&ask.word) {
            Some(typed) => self.say(Intent::Confirm { step: ask.step.clone(), typed }),
            None => Step::Stay,
        }
    }

    /// The number of a thing of the checklist, or `done`.
    fn done(&mut self, ask: &ManualAsk) -> Step {
        let step = ask.step.clone();
        let typed = self.form.value(Field::Word).to_owned();
        let (number, on) = typed.strip_prefix('-').map_or((typed.as_str(), true), |number| (number, false));
        let item = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        if let Some(item) = item.filter(|_| !ask.checklist.is_empty()) {
            return self.say(Intent::Tick { step, item, on });
        }
        if self.word("done").is_none() {
            return Step::Stay;
        }
        let open: Vec<String> = ask.open().iter().map(ToString::to_string).collect();
        let reason = self.form.reason();
        if !open.is_empty() && reason.is_none() {
            let said = format!("not ticked off: {}. Tick off, or say why (tab)", open.join(", "));
            self.form.said = Some((said, Role::Warn));
            return Step::Stay;
        }
        let value = ask.asks_value.as_ref().and_then(|_| self.form.written());
        self.say(Intent::OwnerDone { step, value, reason })
    }

    fn release(&mut self, ask: &HeldAsk, silence: Duration) -> Step {
        if !ask.releasable {
            return Step::Stay;
        }
        if ask.quick && self.form.value(Field::Word).is_empty() {
            if silence < SILENCE {
                return Step::Stay;
            }
            return self.say(Intent::Release { typed: "go".into() });
        }
        match self.word("go") {
            Some(typed) => self.say(Intent::Release { typed }),
            None => Step::Stay,
        }
    }

    fn act(&mut self, choice: &Choice) -> Step {
        let Some(word) = choice.word else { return Step::Close };
        let Some(typed) = self.word(word) else { return Step::Stay };
        let reason = self.form.reason();
        if let (Reason::Needed(what), None) = (&choice.reason, &reason) {
            self.form.said = Some((format!("it needs a reason (tab): {what}"), Role::Warn));
            return Step::Stay;
        }
        let said = reason.clone().unwrap_or_default();
        let intent = match (choice.act, choice.step.clone()) {
            (Act::Retry, Some(step)) => Intent::Retry { step, typed, reason },
            (Act::ByHand, Some(step)) => Intent::ByHand { step, reason: said },
            (Act::Skip, Some(step)) => Intent::Skip { step, typed, reason: said },
            (Act::RollBack, _) => Intent::RollBack { typed, reason },
            (Act::Abort, _) => Intent::Abort { typed, reason },
            (Act::Hold | Act::Log | Act::Retry | Act::ByHand | Act::Skip, _) => return Step::Close,
        };
        self.say(intent)
    }
}

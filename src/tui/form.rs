//! The fields of a sheet: the word that acts, whose word it is, and a reason or a value. A field is
//! edited here and judged elsewhere.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::{Input, InputRequest};

use crate::board::Role;

/// Longest text of a field; the core cuts reasons at 500 bytes.
const LONGEST: usize = 400;
/// Enter this soon after the last letter was not pressed by a hand: text and line end came in one
/// burst, which is how a paste arrives on a terminal that does not mark pastes.
const BURST: Duration = Duration::from_millis(15);

/// Which field has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The word that acts.
    Word,
    /// Whose word it is.
    Who,
    /// A reason or a note.
    Text,
    /// What a step by hand asks to write down.
    Value,
}

/// The fields of a sheet.
#[derive(Debug, Clone)]
pub struct Form {
    fields: &'static [Field],
    focus: usize,
    word: Input,
    who: Input,
    text: Input,
    value: Input,
    /// What is said under the fields: a refusal, a wrong word.
    pub said: Option<(String, Role)>,
    edited: Option<Duration>,
}

impl Form {
    /// Empty fields, the first one has the keys. `who` stands in its field from the start.
    #[must_use]
    pub fn new(fields: &'static [Field], who: &str) -> Self {
        Self {
            fields,
            focus: 0,
            word: Input::default(),
            who: Input::new(who.to_owned()),
            text: Input::default(),
            value: Input::default(),
            said: None,
            edited: None,
        }
    }

    /// The field that has the keys; `None` where the sheet has none.
    #[must_use]
    pub fn focus(&self) -> Option<Field> {
        self.fields.get(self.focus).copied()
    }

    /// True where the sheet has that field.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        self.fields.contains(&field)
    }

    /// What stands in a field, without spaces around it.
    #[must_use]
    pub fn value(&self, field: Field) -> &str {
        self.input(field).value().trim()
    }

    /// The reason, where there is one.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        Some(self.value(Field::Text).to_owned()).filter(|text| !text.is_empty())
    }

    /// The value, where there is one.
    #[must_use]
    pub fn written(&self) -> Option<String> {
        Some(self.value(Field::Value).to_owned()).filter(|text| !text.is_empty())
    }

    /// The text of a field before and behind its cursor.
    #[must_use]
    pub fn around_cursor(&self, field: Field) -> (String, String) {
        let input = self.input(field);
        let before: String = input.value().chars().take(input.cursor()).collect();
        let behind = input.value().chars().skip(input.cursor()).collect();
        (before, behind)
    }

    fn input(&self, field: Field) -> &Input {
        match field {
            Field::Word => &self.word,
            Field::Who => &self.who,
            Field::Text => &self.text,
            Field::Value => &self.value,
        }
    }

    fn input_mut(&mut self) -> Option<&mut Input> {
        Some(match self.focus()? {
            Field::Word => &mut self.word,
            Field::Who => &mut self.who,
            Field::Text => &mut self.text,
            Field::Value => &mut self.value,
        })
    }

    /// Empties the word: it has been used.
    pub fn clear_word(&mut self) {
        self.word.reset();
    }

    /// The next field.
    pub fn turn(&mut self, on: bool) {
        let count = self.fields.len().max(1);
        self.focus = (self.focus + if on { 1 } else { count - 1 }) % count;
    }

    /// Text that was pasted, into a field that takes it: never the word, never the name.
    pub fn paste(&mut self, text: &str, at: Duration) -> bool {
        if !matches!(self.focus(), Some(Field::Text | Field::Value)) {
            self.said = Some(("paste is off here: type it".into(), Role::Warn));
            return false;
        }
        for c in crate::base::clean_line(text, LONGEST).chars() {
            self.edit(InputRequest::InsertChar(c), at);
        }
        true
    }

    /// True where an Enter at this moment came from a hand.
    #[must_use]
    pub fn by_hand(&self, at: Duration) -> bool {
        self.edited.is_none_or(|edited| at.saturating_sub(edited) >= BURST)
    }

    fn edit(&mut self, request: InputRequest, at: Duration) {
        if let Some(input) = self.input_mut() {
            if matches!(request, InputRequest::InsertChar(_)) && input.value().len() >= LONGEST {
                return;
            }
            if input.handle(request).is_some_and(|changed| changed.value) {
                self.edited = Some(at);
                self.said = None;
            }
        }
    }

    /// A key for the field that has the keys; false where it is none of its keys.
    pub fn key(&mut self, key: &KeyEvent, at: Duration) -> bool {
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let request = match key.code {
            KeyCode::Char('a') if ctrl => InputRequest::GoToStart,
            KeyCode::Char('e') if ctrl => InputRequest::GoToEnd,
            KeyCode::Char('u') if ctrl => InputRequest::DeleteFromStart,
            KeyCode::Char('k') if ctrl => InputRequest::DeleteTillEnd,
            KeyCode::Char('w') if ctrl => InputRequest::DeletePrevWord,
            KeyCode::Char(c) if !ctrl && !key.modifiers.contains(KeyModifiers::ALT) => InputRequest::InsertChar(c),
            KeyCode::Backspace => InputRequest::DeletePrevChar,
            KeyCode::Delete => InputRequest::DeleteNextChar,
            KeyCode::Left => InputRequest::GoToPrevChar,
            KeyCode::Right => InputRequest::GoToNextChar,
            KeyCode::Home => InputRequest::GoToStart,
            KeyCode::End => InputRequest::GoToEnd,
            _ => return false,
        };
        self.edit(request, at);
        true
    }
}

//! What the keys of the table do to the screen. None of them acts on the run but HOLD; the ones that
//! decide open a sheet.

use crossterm::event::{KeyCode, KeyEvent};

use super::{
    app::{App, Effect, Page},
    dialog::Topic,
    keys::{Action, Desk},
};
use crate::{
    base::StepId,
    board::{Act, Role},
    run::Intent,
};

impl App {
    pub(super) fn act(&mut self, action: Action, key: &KeyEvent) -> Vec<Effect> {
        match action {
            Action::Hold => self.space(),
            Action::Answer => self.reopen(),
            Action::Details => self.details(),
            Action::Retry => self.choose(Act::Retry),
            Action::ByHand => self.choose(Act::ByHand),
            Action::Skip => self.choose(Act::Skip),
            Action::RollBack => self.choose(Act::RollBack),
            Action::Abort => self.choose(Act::Abort),
            Action::Note => self.note(),
            Action::Up => self.by(-1),
            Action::Down => self.by(1),
            Action::PageUp => self.by(-10),
            Action::PageDown => self.by(10),
            Action::Home => self.by(isize::MIN),
            Action::End => self.by(isize::MAX),
            Action::Run => self.to(Page::Run),
            Action::Log => self.to(Page::Log),
            Action::Notes => self.to(Page::Notes),
            Action::Timeline => self.later("the timeline"),
            Action::Dns => self.later("DNS by resolver"),
            Action::Metrics => self.later("the metrics page"),
            Action::NextView => self.to(match self.page {
                Page::Run | Page::Detail => Page::Log,
                Page::Log => Page::Notes,
                Page::Notes => Page::Run,
            }),
            Action::Follow => {
                self.selected = None;
                self.scrolled = 0;
                Vec::new()
            }
            Action::Clock => {
                self.face.style = self.face.style.next();
                Vec::new()
            }
            Action::Rows => {
                self.brief = !self.brief;
                self.say_below(if self.brief { "only what matters now" } else { "everything" }, Role::Plain);
                Vec::new()
            }
            Action::Help => {
                self.open(Topic::Help);
                Vec::new()
            }
            Action::Back => {
                self.back();
                Vec::new()
            }
            Action::Quit => self.quit(),
            Action::Interrupt => Vec::new(),
            Action::Redraw => vec![Effect::Redraw],
            Action::Suspend => self.suspend(),
            Action::Play
            | Action::Earlier
            | Action::Later
            | Action::TenthBack
            | Action::TenthOn
            | Action::StepBack
            | Action::StepOn
            | Action::EventBack
            | Action::EventOn
            | Action::Slower
            | Action::Faster
            | Action::Idle => vec![Effect::Player(action, 0)],
            Action::Jump => match key.code {
                KeyCode::Char(c) => vec![Effect::Player(action, u64::from(c.to_digit(10).unwrap_or(0)))],
                _ => Vec::new(),
            },
        }
    }

    fn space(&mut self) -> Vec<Effect> {
        let Some(who) = self.typist() else {
            self.say_below("the run is not open yet", Role::Warn);
            return Vec::new();
        };
        self.say_below("HOLD: nothing new starts. x goes on", Role::Held);
        self.say(who, Intent::Hold).into_iter().collect()
    }

    /// Opens again what was put aside.
    fn reopen(&mut self) -> Vec<Effect> {
        match &self.board.ask {
            Some(ask) => {
                let id = ask.id().clone();
                self.aside = None;
                self.open(Topic::Ask(id));
            }
            None => self.say_below("nothing is asked now", Role::Plain),
        }
        Vec::new()
    }

    fn details(&mut self) -> Vec<Effect> {
        match self.page {
            // On a step that asks, the way to its question.
            Page::Detail => self.turn(Page::Run),
            Page::Run | Page::Log | Page::Notes => {
                if self.current_step().is_some() {
                    self.turn(Page::Detail);
                }
            }
        }
        Vec::new()
    }

    fn note(&mut self) -> Vec<Effect> {
        let step = self.selected.clone().or_else(|| (self.page == Page::Detail).then(|| self.current_step()).flatten());
        self.open(Topic::Note(step));
        Vec::new()
    }

    fn to(&mut self, page: Page) -> Vec<Effect> {
        self.turn(page);
        Vec::new()
    }

    fn later(&mut self, what: &str) -> Vec<Effect> {
        self.say_below(format!("{what} comes with a later version"), Role::Plain);
        Vec::new()
    }

    /// The step that is looked at: the selected one, or where the run is.
    pub(super) fn current_step(&self) -> Option<StepId> {
        self.selected.clone().or_else(|| self.board.current.clone())
    }

    fn by(&mut self, by: isize) -> Vec<Effect> {
        if self.page == Page::Run {
            let rows = &self.board.rows;
            let Some(last) = rows.len().checked_sub(1) else { return Vec::new() };
            let now = self.current_step().and_then(|id| rows.iter().position(|row| row.id == id)).unwrap_or(0);
            self.selected = Some(rows[now.saturating_add_signed(by).min(last)].id.clone());
        } else {
            // The lists of the other pages stand at their end; up looks back.
            let most = self.told.len().max(self.board.notes.len()).max(200);
            let back = if self.page == Page::Detail { by } else { by.saturating_neg() };
            self.scrolled = self.scrolled.saturating_add_signed(back).min(most);
        }
        Vec::new()
    }

    fn back(&mut self) {
        if self.page != Page::Run {
            self.turn(Page::Run);
        } else {
            self.selected = None;
        }
    }

    fn quit(&mut self) -> Vec<Effect> {
        if self.page != Page::Run {
            self.turn(Page::Run);
            return Vec::new();
        }
        if self.desk != Desk::Live || self.over() || self.state.outline.is_none() {
            return vec![Effect::Quit];
        }
        self.open(Topic::Leave);
        Vec::new()
    }

    fn suspend(&mut self) -> Vec<Effect> {
        let live = self.state.outline.as_ref().is_some_and(|outline| outline.mode == crate::run::Mode::Run);
        if self.desk == Desk::Live && live && !self.over() {
            self.say_below("not in a live run: the whole process would stop", Role::Warn);
            return Vec::new();
        }
        vec![Effect::Suspend]
    }
}

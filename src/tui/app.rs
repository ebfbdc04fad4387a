//! The screen's own state: the fold of what it has read, what is looked at, and the one sheet that may
//! be open. Keys and time come in as values; what follows leaves as [`Effect`]s, so that a test drives
//! it without a terminal, a thread or a sleep.
//!
//! ```text
//! envelopes ─▶ fold ─▶ Board ─▶ draw
//! keys ─▶ [sheet | key table] ─▶ Effect { Say, Player, Redraw, Suspend, Quit }
//! ```

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Size;

use super::{
    dialog::{Dialog, Step, Topic},
    keys::{self, Action, Desk},
    layout::Layout,
    theme::Theme,
};
use crate::{
    base::{PersonId, Stamp, StepId},
    board::{self, Act, Ask, AskId, Board, Face, PROGRESS, Role, Told},
    log::{Answer, Said},
    replay::Shown,
    run::{Envelope, HoldWhy, Intent, RunState},
};

/// Lines of the log that are kept for looking back; older ones are in the journal.
const KEPT: usize = 10_000;
/// How long a message stays.
const TOAST: Duration = Duration::from_secs(6);
/// Said while it is true only.
const TOO_SMALL: &str = "too small to answer: enlarge the window";

/// Which page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Page {
    /// The run.
    Run,
    /// One step in full.
    Detail,
    /// The log of everything.
    Log,
    /// Notes.
    Notes,
}

/// What follows outside of the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Say something to the run; the answer comes back with the ticket.
    Say {
        /// Which answer it will be.
        ticket: u64,
        /// What.
        said: Said,
    },
    /// A key of the player.
    Player(Action, u64),
    /// Draw everything again.
    Redraw,
    /// To the shell for a while.
    Suspend,
    /// The view ends.
    Quit,
}

/// A message at the bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toast {
    pub(super) text: String,
    pub(super) role: Role,
    pub(super) until: Duration,
}

/// The screen's state.
pub struct App {
    pub(super) theme: Theme,
    pub(super) desk: Desk,
    /// Who types.
    pub(super) operator: Option<PersonId>,
    pub(super) face: Face,
    pub(super) state: RunState,
    pub(super) told: VecDeque<Told>,
    pub(super) now: Stamp,
    pub(super) board: Board,
    pub(super) page: Page,
    /// The selected step; `None` follows the run.
    pub(super) selected: Option<StepId>,
    /// Only what matters now.
    pub(super) brief: bool,
    /// Lines above the end of the page's list that are out of sight.
    pub(super) scrolled: usize,
    pub(super) dialog: Option<Dialog>,
    /// The question whose sheet was put aside.
    pub(super) aside: Option<AskId>,
    pub(super) toast: Option<Toast>,
    pub(super) size: Size,
    pub(super) at: Duration,
    pub(super) shown: Option<Shown>,
    seen: usize,
    tickets: u64,
    /// ctrl+c was pressed once.
    interrupted: bool,
    /// The last Enter, whatever it did.
    entered: Option<Duration>,
    /// The operator leaves; the end is awaited.
    pub(super) leaving: bool,
    /// The mode's words until the first event has them.
    opening: Option<(String, Role)>,
}

/// What a screen needs to begin.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Colours and characters.
    pub theme: Theme,
    /// What is being looked at.
    pub desk: Desk,
    /// Who types; `None`: as the run says.
    pub operator: Option<PersonId>,
    /// Zone and clock.
    pub face: Face,
    /// The mode's words of a run that is being opened.
    pub opening: Option<(String, Role)>,
    /// The moment of the first frame.
    pub now: Stamp,
    /// Cells.
    pub size: Size,
}

impl App {
    /// A screen that has read nothing yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let state = RunState::default();
        Self {
            board: Board::of(&state, setup.now, &setup.face),
            theme: setup.theme,
            desk: setup.desk,
            operator: setup.operator,
            face: setup.face,
            now: setup.now,
            size: setup.size,
            state,
            told: VecDeque::new(),
            page: Page::Run,
            selected: None,
            brief: false,
            scrolled: 0,
            dialog: None,
            aside: None,
            toast: None,
            at: Duration::ZERO,
            shown: None,
            seen: 0,
            tickets: 0,
            interrupted: false,
            entered: None,
            leaving: false,
            opening: setup.opening,
        }
    }

    /// Envelopes read so far.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// Forgets everything read: the source has gone back.
    pub fn refold(&mut self) {
        self.state = RunState::default();
        self.told.clear();
        self.seen = 0;
    }

    /// Reads on.
    pub fn feed(&mut self, envelopes: &[Arc<Envelope>]) {
        for envelope in envelopes {
            self.state.evolve(&envelope.event, envelope.stamp());
            if let Some(told) = board::tell(&self.state, envelope) {
                // How far an attempt is takes one line, not one a second.
                let further = |last: &Told| last.tag == PROGRESS && last.tag == told.tag && last.step == told.step;
                if self.told.back().is_some_and(further) {
                    self.told.pop_back();
                }
                self.told.push_back(told);
            }
            if self.told.len() > KEPT {
                self.told.pop_front();
            }
            self.seen += 1;
        }
    }

    /// The moment and the size of the screen; everything that is shown follows from here.
    pub fn tick(&mut self, now: Stamp, at: Duration, size: Size, shown: Option<Shown>) {
        self.now = now;
        self.at = at;
        self.size = size;
        self.shown = shown;
        self.board = Board::of(&self.state, now, &self.face);
        if let (None, Some((mode, role))) = (&self.state.outline, &self.opening) {
            self.board.header.mode.clone_from(mode);
            self.board.header.mode_role = *role;
        }
        if self.state.hold.is_none() && self.dialog.is_none() {
            self.interrupted = false;
        }
        let enlarged = Layout::of(size) != Layout::Tiny;
        if self.toast.as_ref().is_some_and(|toast| toast.until <= at || enlarged && toast.text == TOO_SMALL) {
            self.toast = None;
        }
        self.match_dialog();
    }

    /// What follows from [`App::tick`] has been seen: a sheet is deaf from here, not from when it was meant
    /// to be shown, because a terminal may take its time.
    pub fn presented(&mut self, at: Duration) {
        if let Some(dialog) = &mut self.dialog {
            dialog.present(at);
        }
    }

    /// True once the run is over, or its source has nothing more to say to.
    #[must_use]
    pub fn over(&self) -> bool {
        self.board.ended.is_some()
    }

    /// True while figures move.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.board.busy || self.shown.as_ref().is_some_and(|shown| shown.playing)
    }

    /// A sheet belongs to one question: it closes when the question is answered or another one, and the
    /// next question opens its own.
    fn match_dialog(&mut self) {
        let asked = self.board.ask.as_ref().map(|ask| ask.id().clone());
        let stale = match self.dialog.as_ref().map(|dialog| &dialog.topic) {
            Some(Topic::Ask(id) | Topic::Act(_, Some(id))) => asked.as_ref() != Some(id),
            Some(Topic::Act(choice, None)) => {
                self.board.ended.is_some() || !self.board.choices.iter().any(|now| now.act == choice.act)
            }
            Some(Topic::Note(_) | Topic::Leave | Topic::Help) | None => false,
        };
        if stale {
            self.dialog = None;
        }
        if self.aside.is_some() && self.aside != asked {
            self.aside = None;
        }
        let Some(ask) = &self.board.ask else { return };
        let by_itself = match ask {
            Ask::Held(held) => !held.by_person,
            _ => true,
        };
        if self.dialog.is_none() && self.desk == Desk::Live && by_itself && self.aside != asked && !self.leaving {
            self.open(Topic::Ask(ask.id().clone()));
        }
    }

    pub(super) fn open(&mut self, topic: Topic) {
        let operator = self.typist().map(|who| who.to_string()).unwrap_or_default();
        self.dialog = Some(Dialog::open(topic, &self.board, &operator));
    }

    /// Who types.
    pub(super) fn typist(&self) -> Option<PersonId> {
        self.operator.clone().or_else(|| self.state.operator.clone())
    }

    pub(super) fn say_below(&mut self, text: impl Into<String>, role: Role) {
        self.toast = Some(Toast { text: text.into(), role, until: self.at + TOAST });
    }

    pub(super) fn say(&mut self, who: PersonId, intent: Intent) -> Option<Effect> {
        let typed_by = self.typist()?;
        self.tickets += 1;
        Some(Effect::Say { ticket: self.tickets, said: Said::Intent { who, typed_by, intent } })
    }

    /// HOLD, from anywhere.
    fn hold(&mut self) -> Vec<Effect> {
        let Some(who) = self.typist() else {
            self.say_below("the run is not open yet", Role::Warn);
            return Vec::new();
        };
        self.say(who, Intent::Hold).into_iter().collect()
    }

    /// The answer to something said. A refusal is shown where it was typed.
    pub fn answer(&mut self, ticket: u64, answer: Answer) {
        if let Some(dialog) = &mut self.dialog
            && dialog.waiting == Some(ticket)
        {
            dialog.waiting = None;
            dialog.form.clear_word();
            match answer {
                Ok(()) if matches!(dialog.topic, Topic::Ask(_)) => dialog.form.said = None,
                // The question goes away with its events; what answers no question closes here.
                Ok(()) => self.dialog = None,
                Err(refusal) => dialog.form.said = Some((refusal.to_string(), Role::Warn)),
            }
            return;
        }
        if let Err(refusal) = answer {
            self.say_below(refusal.to_string(), Role::Warn);
        }
    }

    /// Pasted text: into a note or a reason, never into a word.
    pub fn paste(&mut self, text: &str, at: Duration) {
        self.at = at;
        let drawn = Layout::of(self.size) != Layout::Tiny;
        if let Some(dialog) = &mut self.dialog
            && drawn
            && !dialog.deaf(at)
            && dialog.form.focus().is_some()
        {
            dialog.form.paste(text, at);
        }
    }

    /// A key.
    pub fn key(&mut self, key: &KeyEvent, at: Duration) -> Vec<Effect> {
        self.at = at;
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        let silence = self.entered.map_or(Duration::MAX, |entered| at.saturating_sub(entered));
        if key.code == KeyCode::Enter {
            self.entered = Some(at);
        }
        let action = keys::action(self.desk, key);
        if key.kind == KeyEventKind::Repeat && !is_movement(key.code) {
            return Vec::new();
        }
        // What stops comes first: it works under every sheet, at every size, and is never deaf.
        if action == Some(Action::Interrupt) {
            return self.interrupt();
        }
        let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if ctrl_c {
            return vec![Effect::Quit];
        }
        if let Some(dialog) = &self.dialog {
            let drawn = Layout::of(self.size) != Layout::Tiny;
            if action == Some(Action::Hold) && (!drawn || !dialog.space_is_text(&self.board)) {
                return self.hold();
            }
            if matches!(action, Some(Action::Redraw)) {
                return vec![Effect::Redraw];
            }
            // A sheet that cannot be seen cannot be answered.
            if !drawn {
                self.say_below(TOO_SMALL, Role::Warn);
                return Vec::new();
            }
            if dialog.deaf(at) || key.kind == KeyEventKind::Repeat && dialog.form.focus().is_none() {
                return Vec::new();
            }
            return self.dialog_key(key, at, silence);
        }
        match action {
            Some(action) => self.act(action, key),
            None => Vec::new(),
        }
    }

    fn dialog_key(&mut self, key: &KeyEvent, at: Duration, silence: Duration) -> Vec<Effect> {
        let Some(dialog) = &mut self.dialog else { return Vec::new() };
        match dialog.key(key, &self.board, at, silence) {
            Step::Stay => Vec::new(),
            Step::Close => {
                self.close();
                Vec::new()
            }
            Step::Open(topic) => {
                self.open(topic);
                Vec::new()
            }
            Step::Log(step) => {
                self.close();
                self.selected = Some(step);
                self.turn(Page::Log);
                Vec::new()
            }
            Step::Leave => {
                self.dialog = None;
                self.leaving = true;
                self.say_below("leaving: what runs comes to its end first", Role::Held);
                self.tickets += 1;
                vec![Effect::Say { ticket: self.tickets, said: Said::Leave(HoldWhy::Left) }]
            }
            Step::Say(who, intent) => {
                let effect = self.say(who, intent);
                if let (Some(Effect::Say { ticket, .. }), Some(dialog)) = (&effect, &mut self.dialog) {
                    dialog.waiting = Some(*ticket);
                }
                effect.into_iter().collect()
            }
        }
    }

    /// Closes a sheet; a question's sheet is put aside, and what it asks is still asked.
    fn close(&mut self) {
        if let Some(Dialog { topic: Topic::Ask(id), .. }) = self.dialog.take() {
            self.aside = Some(id);
        }
    }

    fn interrupt(&mut self) -> Vec<Effect> {
        if self.over() {
            return vec![Effect::Quit];
        }
        let again = std::mem::replace(&mut self.interrupted, true);
        if again || self.state.hold.is_some() {
            if self.dialog.as_ref().is_none_or(|dialog| dialog.topic != Topic::Leave) {
                self.dialog = None;
                self.open(Topic::Leave);
            }
            return Vec::new();
        }
        self.say_below("HOLD: nothing new starts. ctrl+c again: leave", Role::Held);
        self.hold()
    }

    pub(super) fn turn(&mut self, page: Page) {
        self.page = page;
        self.scrolled = 0;
    }

    /// Opens the sheet of a choice: at a failure the one that answers it, else what can be chosen at any
    /// time. An open sheet is a hold: where the run goes on, it is held first.
    pub(super) fn choose(&mut self, act: Act) -> Vec<Effect> {
        let (choice, ask) = match &self.board.ask {
            Some(Ask::Failure(ask)) => {
                (ask.choices.iter().find(|choice| choice.act == act).cloned(), Some(ask.id.clone()))
            }
            _ => (None, None),
        };
        let choice = choice.map(|choice| (choice, ask));
        let choice = choice.or_else(|| {
            self.board.choices.iter().find(|choice| choice.act == act).cloned().map(|choice| (choice, None))
        });
        let Some((choice, ask)) = choice else {
            let why = match act {
                Act::RollBack if self.state.crossed.is_some() => self.state.crossed.as_ref().and_then(|crossing| {
                    let (step, _) = self.state.step(&crossing.step)?;
                    Some(format!(
                        "the way back is closed: {}",
                        step.after_no_return.as_deref().unwrap_or("fix forward")
                    ))
                }),
                Act::RollBack if self.state.rollback.is_some() => Some("the rollback is under way".into()),
                Act::RollBack => Some("nothing has been changed, so there is nothing to take back".into()),
                _ => None,
            };
            self.say_below(why.unwrap_or_else(|| "no step asks for that now".into()), Role::Warn);
            return Vec::new();
        };
        let held = if self.state.blocked() { Vec::new() } else { self.hold() };
        self.open(Topic::Act(Box::new(choice), ask));
        held
    }
}

/// Keys that may repeat while they are held: they only move.
fn is_movement(code: KeyCode) -> bool {
    matches!(code, KeyCode::Up | KeyCode::Down | KeyCode::Left | KeyCode::Right | KeyCode::PageUp | KeyCode::PageDown)
}

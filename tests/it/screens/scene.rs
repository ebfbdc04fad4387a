//! A night with a screen before it: keys go in, what is said reaches the core, cells come out.

use std::{sync::Arc, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use gonogo::{
    board::{Face, TimeStyle, Zone},
    log::Said,
    replay::Shown,
    run::{Input, Intent},
    tui::{App, Desk, Effect, Setup, Theme},
};
use ratatui::{
    buffer::Buffer,
    layout::{Rect, Size},
};

use crate::night::Night;

pub struct Scene {
    pub night: Night,
    pub app: App,
    pub at: Duration,
    pub size: Size,
    /// Everything that was said, in order.
    pub said: Vec<Said>,
    pub effects: Vec<Effect>,
    pub shown: Option<Shown>,
}

pub fn face() -> Face {
    Face { zone: Zone::fixed(3600, "CET"), style: TimeStyle::Local }
}

impl Scene {
    pub fn new(night: Night, width: u16, height: u16) -> Self {
        Self::with(night, width, height, Desk::Live, Theme { color: true, ascii: false })
    }

    pub fn with(night: Night, width: u16, height: u16, desk: Desk, theme: Theme) -> Self {
        let size = Size::new(width, height);
        let setup = Setup { theme, desk, operator: None, opening: None, face: face(), now: night.now(), size };
        let mut scene = Self {
            app: App::new(setup),
            night,
            at: Duration::from_secs(10),
            size,
            said: Vec::new(),
            effects: Vec::new(),
            shown: None,
        };
        scene.look();
        scene.pass(1000);
        scene
    }

    /// Real time passes; the night's does not.
    pub fn pass(&mut self, ms: u64) {
        self.at += Duration::from_millis(ms);
        self.tick();
    }

    /// Reads and ticks; what follows counts as seen.
    pub fn tick(&mut self) {
        let fresh: Vec<_> = self.night.log[self.app.seen()..].iter().cloned().map(Arc::new).collect();
        self.app.feed(&fresh);
        self.app.tick(self.night.now(), self.at, self.size, self.shown.clone());
        self.app.presented(self.at);
    }

    /// Reads, ticks and draws, as the loop does.
    pub fn look(&mut self) -> Buffer {
        self.tick();
        let mut buffer = Buffer::empty(Rect::new(0, 0, self.size.width, self.size.height));
        self.app.draw(&mut buffer);
        buffer
    }

    pub fn text(&mut self) -> String {
        let buffer = self.look();
        lines(&buffer).join("\n")
    }

    /// A key at this moment; what it says reaches the core, the answer the screen.
    pub fn press(&mut self, key: KeyEvent) {
        let effects = self.app.key(&key, self.at);
        for effect in effects {
            self.effects.push(effect.clone());
            let Effect::Say { ticket, said } = effect else { continue };
            self.said.push(said.clone());
            let input = match said {
                Said::Intent { who, typed_by, intent } => Input::Person { who, typed_by, intent },
                Said::Leave(why) => Input::Hold(why),
            };
            let answer = self.night.try_input(input).map(|_| ());
            self.app.answer(ticket, answer);
        }
        self.tick();
    }

    pub fn code(&mut self, code: KeyCode) {
        self.press(KeyEvent::new(code, KeyModifiers::NONE));
    }

    pub fn ctrl(&mut self, c: char) {
        self.press(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
    }

    /// Typed by a hand: a little time between the keys; `\n` is Enter, `\t` Tab, `\x1b` Esc.
    pub fn types(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.pass(80);
            self.code(match c {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\x1b' => KeyCode::Esc,
                c => KeyCode::Char(c),
            });
        }
        self
    }

    /// The sheet that has just opened can be read, and hears.
    pub fn reads(&mut self) -> &mut Self {
        self.pass(500);
        self
    }

    /// What was said beside holds and notes: what could act.
    pub fn acts(&self) -> Vec<&Intent> {
        self.said
            .iter()
            .filter_map(|said| match said {
                Said::Intent { intent: Intent::Hold | Intent::Note { .. }, .. } => None,
                Said::Intent { intent, .. } => Some(intent),
                Said::Leave(_) => None,
            })
            .collect()
    }
}

/// The rows of a buffer; the second cell of a wide character is left out.
pub fn lines(buffer: &Buffer) -> Vec<String> {
    use unicode_width::UnicodeWidthStr as _;
    let area = buffer.area;
    (area.top()..area.bottom())
        .map(|y| {
            let mut row = String::new();
            let mut x = area.left();
            while x < area.right() {
                let symbol = buffer[(x, y)].symbol();
                row += symbol;
                x += u16::try_from(symbol.width().max(1)).unwrap();
            }
            row.trim_end().to_owned()
        })
        .collect()
}

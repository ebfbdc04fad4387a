//! Colours of roles, in the 16 colours that every terminal has and its owner has chosen; without
//! colour, bold, reverse and underline. With ASCII the finished buffer is translated cell by cell, so
//! that nothing drawn anywhere can forget it.

use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier, Style},
};

use crate::board::{Mark, Role};

/// How things look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// Colours may be used.
    pub color: bool,
    /// Only ASCII may be used.
    pub ascii: bool,
}

impl Theme {
    /// The style of a role.
    #[must_use]
    pub fn style(self, role: Role) -> Style {
        let plain = Style::new();
        if !self.color {
            return match role {
                Role::Plain | Role::Good | Role::Wait | Role::Back => plain,
                Role::Dim | Role::Skipped => plain.add_modifier(Modifier::DIM),
                Role::Strong | Role::Warn | Role::Run => plain.add_modifier(Modifier::BOLD),
                Role::Hand => plain.add_modifier(Modifier::UNDERLINED),
                Role::Bad | Role::Ask | Role::Held => plain.add_modifier(Modifier::BOLD | Modifier::REVERSED),
            };
        }
        match role {
            Role::Plain => plain,
            Role::Dim => plain.add_modifier(Modifier::DIM),
            Role::Strong => plain.add_modifier(Modifier::BOLD),
            Role::Good => plain.fg(Color::Green),
            Role::Hand => plain.fg(Color::Green).add_modifier(Modifier::UNDERLINED),
            Role::Warn => plain.fg(Color::Yellow),
            Role::Bad => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
            Role::Ask => plain.fg(Color::Yellow).add_modifier(Modifier::BOLD),
            Role::Run => plain.fg(Color::Cyan).add_modifier(Modifier::BOLD),
            Role::Wait => plain.fg(Color::Cyan),
            Role::Back => plain.fg(Color::Magenta),
            Role::Held => plain.add_modifier(Modifier::BOLD | Modifier::REVERSED),
            Role::Skipped => plain.add_modifier(Modifier::DIM | Modifier::UNDERLINED),
        }
    }

    /// The style of a role as a badge: a word that must be seen from across the room.
    #[must_use]
    pub fn badge(self, role: Role) -> Style {
        self.style(role).remove_modifier(Modifier::DIM).add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    /// A mark's glyph.
    #[must_use]
    pub fn glyph(self, mark: Mark) -> &'static str {
        if self.ascii { mark.ascii() } else { mark.glyph() }
    }

    /// Turns every cell of a finished buffer into ASCII, where that is asked for.
    pub fn finish(self, buffer: &mut Buffer) {
        if !self.ascii {
            return;
        }
        for cell in &mut buffer.content {
            if !cell.symbol().is_ascii() {
                let ascii = ascii(cell.symbol());
                cell.set_symbol(ascii);
            }
        }
    }
}

/// The ASCII stand-in of one cell.
fn ascii(symbol: &str) -> &'static str {
    match symbol {
        "─" | "┄" | "░" => "-",
        "═" => "=",
        "│" | "║" | "╎" | "▏" => "|",
        "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "╔" | "╗" | "╚" | "╝" | "╠" | "╣" | "╟" | "╢" | "╪" => {
            "+"
        }
        "█" | "▓" => "#",
        "●" => "o",
        "…" => "~",
        "✓" => "+",
        "✗" => "x",
        "◷" => "~",
        "◌" => ".",
        "▸" => ">",
        "↩" => "<",
        "↺" => "r",
        "⊘" => "-",
        "·" => ".",
        "×" => "x",
        _ => "?",
    }
}

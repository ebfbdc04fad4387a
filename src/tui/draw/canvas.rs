//! A buffer with the few strokes that screens are made of. Every stroke is told its width and stays in it.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
};

use crate::{
    board::Role,
    tui::{
        text::{self, Span},
        theme::Theme,
    },
};

/// A buffer to draw into.
pub struct Canvas<'b> {
    /// The cells.
    pub buffer: &'b mut Buffer,
    /// How roles look.
    pub theme: Theme,
}

impl Canvas<'_> {
    /// Text with a style, at most `cells` wide. Outside of the buffer nothing is drawn.
    pub fn styled(&mut self, x: u16, y: u16, cells: u16, words: &str, style: Style) {
        let area = self.buffer.area;
        if x >= area.right() || y >= area.bottom() || x < area.x || y < area.y {
            return;
        }
        let cells = cells.min(area.right() - x);
        self.buffer.set_stringn(x, y, text::fit(words, cells.into()), cells.into(), Style::reset().patch(style));
    }

    /// Text of a role.
    pub fn text(&mut self, x: u16, y: u16, cells: u16, words: &str, role: Role) {
        self.styled(x, y, cells, words, self.theme.style(role));
    }

    /// Spans one after the other; what does not fit is cut.
    pub fn spans(&mut self, x: u16, y: u16, cells: u16, spans: &[Span]) {
        let mut used = 0;
        for (words, role) in spans {
            if used >= cells {
                return;
            }
            self.text(x + used, y, cells - used, words, *role);
            used = used.saturating_add(u16::try_from(text::width(words)).unwrap_or(u16::MAX));
        }
    }

    /// Spaces.
    pub fn clear(&mut self, area: Rect) {
        for y in area.top()..area.bottom() {
            self.styled(area.x, y, area.width, &" ".repeat(area.width.into()), Style::reset());
        }
    }

    /// A line across, with words in it: `─ log ───────── FOLLOW ─`.
    pub fn rule(&mut self, area: Rect, name: &str, right: &str) {
        let cells = usize::from(area.width);
        let name = if name.is_empty() { String::new() } else { format!("─ {name} ") };
        let right = if right.is_empty() { String::new() } else { format!(" {right} ─") };
        let right = if text::width(&name) + text::width(&right) + 2 > cells { String::new() } else { right };
        let gap = cells.saturating_sub(text::width(&name) + text::width(&right));
        self.text(area.x, area.y, area.width, &(name + &"─".repeat(gap) + &right), Role::Dim);
    }

    /// A frame with a name and a word at the right; the inside is returned.
    pub fn frame(&mut self, area: Rect, name: &[Span], right: &str) -> Rect {
        self.border(area, Role::Dim, ["┌", "─", "┐", "│", "└", "┘"]);
        let cells = area.width.saturating_sub(4);
        if cells > 4 {
            let right = text::fit(right, usize::from(cells / 2));
            let used = u16::try_from(text::width(&right)).unwrap_or(0);
            let room = cells.saturating_sub(if used > 0 { used + 3 } else { 1 });
            let mut title = vec![(" ".to_owned(), Role::Plain)];
            title.extend(name.iter().cloned());
            title.push((" ".to_owned(), Role::Plain));
            self.spans(area.x + 2, area.y, room, &title);
            if used > 0 {
                self.text(area.right().saturating_sub(used + 4), area.y, used + 2, &format!(" {right} "), Role::Plain);
            }
        }
        Rect::new(area.x + 2, area.y + 1, area.width.saturating_sub(4), area.height.saturating_sub(2))
    }

    /// The lines of a frame: corner, across, corner, side, corner, corner.
    pub fn border(&mut self, area: Rect, role: Role, [tl, across, tr, side, bl, br]: [&str; 6]) {
        if area.width < 2 || area.height < 2 {
            return;
        }
        let middle = across.repeat(usize::from(area.width - 2));
        self.text(area.x, area.y, area.width, &format!("{tl}{middle}{tr}"), role);
        for y in area.top() + 1..area.bottom() - 1 {
            self.text(area.x, y, 1, side, role);
            self.text(area.right() - 1, y, 1, side, role);
        }
        self.text(area.x, area.bottom() - 1, area.width, &format!("{bl}{middle}{br}"), role);
    }

    /// Turns a row's cells round, or makes them bold.
    pub fn emphasise(&mut self, area: Rect, modifier: Modifier) {
        self.buffer.set_style(area.intersection(self.buffer.area), Style::new().add_modifier(modifier));
    }
}

/// Spans that fit into `cells`: of those that do not, the ones with the highest number are left out first.
#[must_use]
pub fn pack(parts: Vec<(u8, Span)>, gap: usize, cells: usize) -> Vec<Span> {
    let mut parts: Vec<(u8, Span)> = parts.into_iter().filter(|(_, (words, _))| !words.is_empty()).collect();
    let total = |parts: &[(u8, Span)]| {
        parts.iter().map(|(_, (words, _))| text::width(words) + gap).sum::<usize>().saturating_sub(gap)
    };
    while total(&parts) > cells && parts.len() > 1 {
        let Some(worst) = (0..parts.len()).max_by_key(|i| parts[*i].0) else { break };
        parts.remove(worst);
    }
    let mut spans = Vec::with_capacity(parts.len() * 2);
    for (i, (_, span)) in parts.into_iter().enumerate() {
        if i > 0 {
            spans.push((" ".repeat(gap), Role::Plain));
        }
        spans.push(span);
    }
    spans
}

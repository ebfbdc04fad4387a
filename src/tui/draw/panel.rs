//! The frame of a sheet. Its form is always in sight; what explains is cut first where there is little room.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use crate::{
    board::Role,
    tui::text::{self, Line, line},
};

/// Widest inside of a sheet.
const WIDEST: u16 = 100;

/// What a sheet shows.
#[derive(Debug, Default)]
pub struct Panel {
    /// In the upper border.
    pub title: Line,
    /// At the right of it.
    pub status: String,
    /// A double border: something is lost.
    pub double: bool,
    /// Always shown.
    pub head: Vec<Line>,
    /// Cut where there is little room.
    pub body: Vec<Line>,
    /// Always shown: the list, the fields, what was said.
    pub form: Vec<Line>,
    /// Under the form, where there is room.
    pub extra: Vec<Line>,
    /// In the lower border, left.
    pub left: String,
    /// In the lower border, right.
    pub right: String,
}

/// The inside width that a sheet will have in an area.
#[must_use]
pub fn inside(area: Rect) -> usize {
    let margin = if area.width < 70 { 4 } else { 10 };
    usize::from(area.width.saturating_sub(margin).min(WIDEST))
}

/// Draws a sheet in the middle of an area.
pub fn panel(canvas: &mut Canvas<'_>, area: Rect, panel: &Panel) {
    let inner = u16::try_from(inside(area)).unwrap_or(0);
    let room = usize::from(area.height.saturating_sub(2));
    // Where room is short the extra goes first, then empty lines, then what explains; the form never.
    let must = panel.head.len() + panel.body.len() + panel.form.len();
    let tight = must > room;
    let keep = |line: &&Line| !(tight && line.is_empty());
    let mut form: Vec<Line> = panel.form.iter().filter(keep).cloned().collect();
    if must + panel.extra.len() <= room {
        form.extend(panel.extra.iter().cloned());
    }
    let shown_head: Vec<Line> = panel.head.iter().filter(keep).cloned().collect();
    let head = shown_head.len().min(room.saturating_sub(form.len()));
    let shown_body: Vec<Line> = panel.body.iter().filter(keep).cloned().collect();
    let body = shown_body.len().min(room.saturating_sub(head + form.len()));
    let cut = shown_body.len() - body;
    let lines: Vec<Line> = shown_head
        .into_iter()
        .take(head)
        .chain(shown_body.iter().take(body).enumerate().map(|(i, shown)| {
            if cut > 0 && i + 1 == body {
                line(format!("… {} more lines", cut + 1), Role::Dim)
            } else {
                shown.clone()
            }
        }))
        .chain(form)
        .collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let width = (inner + 4).min(area.width);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let frame = Rect { x, y, width, height };
    // A column of air at either side, so that what lies behind does not run into the border.
    let x = frame.x.saturating_sub(1).max(area.x);
    canvas.clear(Rect { x, width: (frame.right() + 1).min(area.right()) - x, ..frame });
    let (role, border) = if panel.double {
        (Role::Bad, ["╔", "═", "╗", "║", "╚", "╝"])
    } else {
        (Role::Plain, ["┌", "─", "┐", "│", "└", "┘"])
    };
    canvas.border(frame, role, border);
    in_border(canvas, frame, frame.y, &panel.title, &panel.status);
    in_border(canvas, frame, frame.bottom().saturating_sub(1), &line(panel.left.clone(), Role::Dim), &panel.right);
    // Where even what must be seen does not fit, its end, which holds the fields, is what is kept.
    let skip = lines.len().saturating_sub(usize::from(height.saturating_sub(2)));
    for (y, spans) in (frame.y + 1..frame.bottom().saturating_sub(1)).zip(lines.iter().skip(skip)) {
        canvas.spans(frame.x + 2, y, inner, spans);
    }
}

fn in_border(canvas: &mut Canvas<'_>, frame: Rect, y: u16, left: &Line, right: &str) {
    let cells = frame.width.saturating_sub(4);
    let right_cells = u16::try_from(text::width(right)).unwrap_or(0).min(cells / 2);
    let room = cells.saturating_sub(if right_cells > 0 { right_cells + 3 } else { 0 });
    if text::line_width(left) > 0 {
        let mut spans = vec![(" ".to_owned(), Role::Plain)];
        spans.extend(left.iter().cloned());
        spans.push((" ".to_owned(), Role::Plain));
        canvas.spans(frame.x + 2, y, room, &spans);
    }
    if right_cells > 0 {
        let x = frame.right().saturating_sub(right_cells + 4);
        canvas.text(x, y, right_cells + 2, &format!(" {right} "), Role::Dim);
    }
}

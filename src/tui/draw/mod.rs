//! Draws the screen: the same state and size always give the same cells.

mod by_hand;
mod canvas;
mod fields;
mod header;
mod own;
mod pages;
mod panel;
mod sheets;
mod steps;
mod votes;

use ratatui::{buffer::Buffer, layout::Rect};

use self::canvas::Canvas;
use super::{
    app::{App, Page},
    keys::Desk,
    layout::Layout,
    text::{fit, width},
};
use crate::board::Role;

/// Log lines beneath the steps of a screen of 24 lines.
const LOG: u16 = 4;
/// Lines of the panes at the bottom of a wide screen, with their frames.
const PANES: u16 = 6;

impl App {
    /// Draws everything into a buffer.
    pub fn draw(&self, buffer: &mut Buffer) {
        let area = buffer.area;
        if area.width == 0 || area.height == 0 {
            return;
        }
        let layout = Layout::of(area.as_size());
        let theme = self.theme;
        let mut canvas = Canvas { buffer, theme };
        match layout {
            Layout::Tiny => tiny(self, &mut canvas, area),
            Layout::Compact | Layout::Normal | Layout::Wide => screen(self, &mut canvas, area, layout),
        }
        theme.finish(buffer);
    }
}

/// Two lines that say the most.
fn tiny(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let header = &app.board.header;
    let standing = match (&header.standing, app.board.current.as_ref()) {
        (Some(standing), _) => standing.text.clone(),
        (None, Some(id)) => {
            let row = app.board.rows.iter().find(|row| &row.id == id);
            row.map(|row| format!("{} {} {}", row.number, row.mark.word(), row.actual)).unwrap_or_default()
        }
        (None, None) => app.board.next.text.clone(),
    };
    let replay = app.desk == Desk::Replay;
    let mut line = vec![header.mode.clone()];
    line.extend(replay.then(|| "REPLAY".to_owned()));
    line.extend([standing, header.lateness.text.clone(), format!("ROLLBACK {}", header.rollback.word)]);
    let cells = usize::from(area.width);
    let hint = match &app.toast {
        Some(toast) => toast.text.clone(),
        None if replay => "nothing can run here   enlarge to see more".into(),
        None if app.board.ask.is_some() => "asked: enlarge to answer   space HOLD".into(),
        None => "space HOLD   enlarge to see more".into(),
    };
    canvas.text(area.x, area.y, area.width, &fit(&line.join(" · "), cells), Role::Strong);
    canvas.text(area.x, area.y + 1, area.width, &hint, Role::Plain);
}

fn screen(app: &App, canvas: &mut Canvas<'_>, area: Rect, layout: Layout) {
    header::header(app, canvas, Rect { height: 3, ..area }, layout);
    let last = area.bottom() - 1;
    let row = |y: u16| Rect { y, height: 1, ..area };
    let between = |top: u16, bottom: u16| Rect { y: top, height: bottom.saturating_sub(top), ..area };
    let top = area.y + 3;
    match (layout, app.page) {
        (Layout::Wide, Page::Run | Page::Detail) => wide(app, canvas, between(top, last)),
        (_, Page::Run) => narrow(app, canvas, between(top, last), layout),
        (_, page) => {
            let bottom = if layout == Layout::Compact { last - 1 } else { last - 2 };
            let inner = |area: Rect| Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
            let body = inner(between(top + 1, bottom));
            match page {
                Page::Detail => {
                    let row = app.board.rows.iter().find(|row| Some(&row.id) == app.current_step().as_ref());
                    let name = row.map(|row| format!("step {} {}", row.number, row.title)).unwrap_or_default();
                    let right = row.map(|row| row.mark.word().to_owned()).unwrap_or_default();
                    canvas.rule(row_at(area, top), &name, &right);
                    let used = pages::detail(app, canvas, body, app.scrolled);
                    let rest = body.height.saturating_sub(used + 2);
                    if rest > 1 && app.scrolled == 0 {
                        canvas.rule(row_at(area, body.y + used + 1), "log", "");
                        pages::log(app, canvas, Rect { y: body.y + used + 2, height: rest, ..body }, 0);
                    }
                }
                Page::Log | Page::Run => {
                    canvas.rule(row_at(area, top), &pages::log_name(app), &follow(app));
                    pages::log_page(app, canvas, body);
                }
                Page::Notes => {
                    canvas.rule(row_at(area, top), "notes", &format!("{} notes", app.board.notes.len()));
                    pages::notes(app, canvas, body, app.scrolled);
                }
            }
            if layout != Layout::Compact {
                canvas.rule(row(last - 2), "", "");
            }
            pages::next(app, canvas, row(last - 1));
        }
    }
    if let Some(dialog) = &app.dialog {
        // The header and the last line stay in sight above every sheet, and NEXT where there is room.
        let room = if layout == Layout::Compact { between(top, last) } else { between(top, last - 1) };
        let panel = sheets::sheet(app, dialog, panel::inside(room));
        panel::panel(canvas, room, &panel);
    }
    pages::footer(app, canvas, row(last), layout);
}

fn row_at(area: Rect, y: u16) -> Rect {
    Rect { y, height: 1, ..area }
}

fn follow(app: &App) -> String {
    if app.scrolled == 0 { "FOLLOW".into() } else { format!("{} lines back   f follows", app.scrolled) }
}

/// Steps above, log below.
fn narrow(app: &App, canvas: &mut Canvas<'_>, area: Rect, layout: Layout) {
    canvas.rule(row_at(area, area.y), "", "");
    let bottom = area.bottom();
    if layout == Layout::Compact {
        // steps, rule, one line of log, next
        let steps = Rect { y: area.y + 1, height: area.height.saturating_sub(4), ..area };
        steps::steps(app, canvas, steps, layout);
        canvas.rule(row_at(area, bottom - 3), "", "");
        let log = Rect { x: area.x + 1, y: bottom - 2, width: area.width.saturating_sub(2), height: 1 };
        pages::log(app, canvas, log, 0);
        pages::next(app, canvas, row_at(area, bottom - 1));
        return;
    }
    steps::heading(app, canvas, row_at(area, area.y + 1));
    let rows = app.board.rows.iter();
    let all = rows.clone().count() + rows.filter(|row| row.no_return || row.phase.is_some()).count() + 1;
    let room = area.height.saturating_sub(5);
    // The log has its lines for certain, and what the steps do not need.
    let steps_height = u16::try_from(all).unwrap_or(u16::MAX).min(room.saturating_sub(LOG.max(room / 4)));
    let steps = Rect { y: area.y + 2, height: steps_height, ..area };
    steps::steps(app, canvas, steps, layout);
    canvas.rule(row_at(area, steps.bottom()), &pages::log_name(app), &follow(app));
    let log_top = steps.bottom() + 1;
    let log = Rect {
        x: area.x + 1,
        y: log_top,
        width: area.width.saturating_sub(2),
        height: (bottom - 2).saturating_sub(log_top),
    };
    pages::log(app, canvas, log, 0);
    canvas.rule(row_at(area, bottom - 2), "", "");
    pages::next(app, canvas, row_at(area, bottom - 1));
}

/// Steps at the left, the step and its log at the right, notes and what comes next below.
fn wide(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let bottom = Rect { y: area.bottom() - PANES, height: PANES, ..area };
    let main = Rect { height: area.height - PANES, ..area };
    let left_width = if area.width >= 156 { 78 } else { area.width * 3 / 5 };
    let left = Rect { width: left_width, ..main };
    let right = Rect { x: main.x + left_width, width: main.width - left_width, ..main };
    let name = |words: &str| vec![(words.to_owned(), Role::Strong)];
    let steps = format!("{} steps", app.board.rows.len());
    let inside = canvas.frame(left, &name("Run"), &steps);
    let inside = Rect { x: inside.x - 1, width: inside.width + 1, ..inside };
    steps::heading(app, canvas, row_at(inside, inside.y));
    let list = Rect { y: inside.y + 1, height: inside.height.saturating_sub(1), ..inside };
    steps::steps(app, canvas, list, Layout::Wide);
    let row = app.board.rows.iter().find(|row| Some(&row.id) == app.current_step().as_ref());
    let title = row.map(|row| format!("step {} {}", row.number, row.title)).unwrap_or_else(|| "step".into());
    let state = row.map(|row| format!("{} {}", row.mark.word(), row.actual)).unwrap_or_default();
    let title_cells = usize::from(right.width).saturating_sub(width(&state) + 12);
    let inside = canvas.frame(right, &name(&fit(&title, title_cells)), state.trim_end());
    let upper = Rect { height: inside.height * 3 / 5, ..inside };
    let used = pages::detail(app, canvas, upper, app.scrolled);
    let line = Rect { x: right.x + 1, y: inside.y + used, width: right.width.saturating_sub(2), height: 1 };
    canvas.rule(line, &pages::log_name(app), "FOLLOW");
    let log = Rect { y: line.y + 1, height: inside.bottom().saturating_sub(line.y + 1), ..inside };
    pages::log(app, canvas, log, 0);
    let notes = Rect { width: left_width, ..bottom };
    let right_word = if app.desk == Desk::Live { "m add" } else { "" };
    let inside = canvas.frame(notes, &name("Notes"), right_word);
    pages::notes(app, canvas, inside, 0);
    let next = Rect { x: right.x, width: right.width, ..bottom };
    let inside = canvas.frame(next, &name("Who and what next"), "");
    pages::next_pane(app, canvas, inside);
}

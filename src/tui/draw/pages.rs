//! The lists beside the steps: the log, notes, one step in full, what comes next, and the keys.

use ratatui::layout::Rect;

use super::canvas::{Canvas, pack};
use crate::{
    board::{Board, Role, Told},
    tui::{
        app::{App, Page},
        dialog::Topic,
        keys::{self, Action, Desk},
        layout::Layout,
        text::{Line, Span, left, line, wrap},
    },
};

/// Whose log is shown: the selected step's, or everything.
pub fn log_name(app: &App) -> String {
    let chosen = app.selected.as_ref().and_then(|id| app.board.rows.iter().find(|row| &row.id == id));
    chosen.map_or_else(|| "log".to_owned(), |row| format!("log  {} {}", row.number, row.title))
}

fn told(app: &App) -> impl DoubleEndedIterator<Item = &Told> {
    app.told.iter().filter(|told| {
        (app.selected.is_none() || told.step == app.selected || told.tag == "HOLD") && (told.key || !app.brief)
    })
}

fn told_line(app: &App, told: &Told) -> Line {
    let tag_role = if told.role == Role::Held { Role::Strong } else { told.role };
    let text_role = match told.role {
        Role::Dim => Role::Dim,
        Role::Bad | Role::Warn => told.role,
        _ => Role::Plain,
    };
    vec![
        (format!("{} ", app.face.clock(told.at)), Role::Dim),
        (format!("{} ", left(told.tag, 5)), tag_role),
        (told.text.clone(), text_role),
    ]
}

/// The end of the log, as many lines as fit; `scrolled` lines further up.
pub fn log(app: &App, canvas: &mut Canvas<'_>, area: Rect, scrolled: usize) {
    let height = usize::from(area.height);
    let lines: Vec<Line> = told(app).rev().skip(scrolled).take(height).map(|told| told_line(app, told)).collect();
    for (y, spans) in (area.y..area.bottom()).zip(lines.iter().rev()) {
        canvas.spans(area.x, y, area.width, spans);
    }
}

/// The log with long lines wrapped: the page of its own.
pub fn log_page(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let cells = usize::from(area.width);
    let height = usize::from(area.height);
    let mut lines: Vec<Line> = Vec::new();
    for told in told(app).rev().skip(app.scrolled) {
        let mut spans = told_line(app, told);
        let Some((text, role)) = spans.pop() else { continue };
        let indent: usize = spans.iter().map(|(words, _)| crate::tui::text::width(words)).sum();
        let wrapped = wrap(&text, cells.saturating_sub(indent));
        for (i, words) in wrapped.into_iter().enumerate().rev() {
            let mut shown = if i == 0 { spans.clone() } else { line(" ".repeat(indent), Role::Plain) };
            shown.push((words, role));
            lines.push(shown);
        }
        if lines.len() >= height {
            break;
        }
    }
    lines.truncate(height);
    for (y, spans) in (area.y..area.bottom()).zip(lines.iter().rev()) {
        canvas.spans(area.x, y, area.width, spans);
    }
}

/// What people wrote down, the newest at the bottom.
pub fn notes(app: &App, canvas: &mut Canvas<'_>, area: Rect, scrolled: usize) {
    let mut lines: Vec<Line> = Vec::new();
    for (clock, who, text) in &app.board.notes {
        let indent = 6 + 8;
        for (i, words) in wrap(text, usize::from(area.width).saturating_sub(indent)).into_iter().enumerate() {
            let head = if i == 0 { format!("{clock} {} ", left(who, 7)) } else { " ".repeat(indent) };
            lines.push(vec![(head, Role::Dim), (words, Role::Plain)]);
        }
    }
    if lines.is_empty() {
        let words = if app.desk == Desk::Live { "no notes yet; m writes one" } else { "no notes" };
        canvas.text(area.x, area.y, area.width, words, Role::Dim);
        return;
    }
    let end = lines.len().saturating_sub(scrolled);
    let first = end.saturating_sub(usize::from(area.height));
    for (y, spans) in (area.y..area.bottom()).zip(&lines[first..end]) {
        canvas.spans(area.x, y, area.width, spans);
    }
}

/// One step in full. Returns how many lines it took.
pub fn detail(app: &App, canvas: &mut Canvas<'_>, area: Rect, scrolled: usize) -> u16 {
    const LABEL: usize = 10;
    let Some(detail) = app.current_step().and_then(|id| Board::detail(&app.state, &id, app.now, &app.face)) else {
        return 0;
    };
    let cells = usize::from(area.width);
    let mut lines: Vec<Line> = Vec::new();
    for (label, said) in &detail.lines {
        for (i, words) in wrap(&said.text, cells.saturating_sub(LABEL)).into_iter().enumerate() {
            let label = if i == 0 { label } else { "" };
            lines.push(vec![(left(label, LABEL), Role::Dim), (words, said.role)]);
        }
    }
    if let Some(percent) = detail.percent {
        let bar_cells = cells.saturating_sub(LABEL + 6).min(40);
        let full = bar_cells * usize::from(percent.min(100)) / 100;
        lines.push(vec![
            (left("progress", LABEL), Role::Dim),
            ("█".repeat(full), Role::Run),
            ("░".repeat(bar_cells - full), Role::Dim),
            (format!(" {percent:>3}%"), Role::Plain),
        ]);
    }
    let height = usize::from(area.height);
    let first = scrolled.min(lines.len().saturating_sub(height));
    let shown = lines.len().saturating_sub(first).min(height);
    for (y, spans) in (area.y..area.bottom()).zip(lines.iter().skip(first)) {
        canvas.spans(area.x, y, area.width, spans);
    }
    u16::try_from(shown).unwrap_or(area.height)
}

/// ` NEXT  12 Smoke tests starts by itself when 11 is done (dana)`
pub fn next(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let role = if app.board.next.asks { Role::Ask } else { Role::Strong };
    let spans = [(" NEXT  ".to_owned(), role), (app.board.next.text.clone(), Role::Plain)];
    canvas.spans(area.x, area.y, area.width, &spans);
}

/// What comes next with what follows, and who is asked: the pane of wide screens.
pub fn next_pane(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let cells = usize::from(area.width).saturating_sub(6);
    let role = if app.board.next.asks { Role::Ask } else { Role::Strong };
    let mut lines: Vec<Line> = Vec::new();
    for (i, words) in wrap(&app.board.next.text, cells).into_iter().enumerate() {
        lines.push(vec![(left(if i == 0 { "NEXT" } else { "" }, 6), role), (words, Role::Plain)]);
    }
    if let Some(then) = &app.board.next.then {
        lines.push(vec![(left("then", 6), Role::Dim), (then.clone(), Role::Plain)]);
    }
    for (y, spans) in (area.y..area.bottom()).zip(&lines) {
        canvas.spans(area.x, y, area.width, spans);
    }
}

/// The last line: pages at the left, keys at the right; a message takes its place for a while.
pub fn footer(app: &App, canvas: &mut Canvas<'_>, area: Rect, layout: Layout) {
    if let Some(toast) = &app.toast {
        canvas.text(area.x + 1, area.y, area.width.saturating_sub(1), &toast.text, toast.role);
        return;
    }
    let cells = usize::from(area.width);
    let right = pack(shortcuts(app), 3, cells.saturating_sub(2));
    let right_cells = crate::tui::text::line_width(&right);
    let bare = layout == Layout::Compact || app.dialog.is_some() || app.desk == Desk::Replay;
    let left = if bare { Vec::new() } else { pages(app) };
    let left_cells = crate::tui::text::line_width(&left);
    if left_cells + right_cells + 3 <= cells {
        canvas.spans(area.x + 1, area.y, area.width, &left);
    }
    let x = if left.is_empty() { 1 } else { cells.saturating_sub(right_cells + 1) };
    canvas.spans(area.x + u16::try_from(x).unwrap_or(0), area.y, area.width, &right);
}

fn pages(app: &App) -> Line {
    let mut spans = Vec::new();
    for (key, name, page) in [("1", "Run", Page::Run), ("5", "Log", Page::Log), ("6", "Notes", Page::Notes)] {
        let here = app.page == page || page == Page::Run && app.page == Page::Detail;
        let key = if app.desk == Desk::Replay { String::new() } else { format!("{key} ") };
        spans.push((format!("{key}{name}  "), if here { Role::Strong } else { Role::Dim }));
    }
    spans
}

fn shortcuts(app: &App) -> Vec<(u8, Span)> {
    if let Some(dialog) = &app.dialog {
        let word = |n, words: &str| (n, (words.to_owned(), Role::Dim));
        let fields = dialog.form.focus().is_some();
        let mut keys = vec![word(0, "enter")];
        if fields {
            keys.push(word(2, "tab next field"));
        }
        keys.push(word(0, "esc back"));
        if app.desk == Desk::Live && dialog.topic != Topic::Leave {
            let hold = if dialog.space_is_text(&app.board) { "ctrl+c HOLD" } else { "space HOLD" };
            keys.push((1, (hold.into(), Role::Strong)));
        }
        return keys;
    }
    let asked = app.board.ask.is_some() && app.desk == Desk::Live;
    let mut keys = Vec::new();
    let mut add = |rank: u8, action: Action, role: Role| {
        if let Some(binding) = keys::binding_of(app.desk, action) {
            let short = if action == Action::Answer && app.board.held { "go on" } else { binding.short };
            keys.push((rank, (format!("{} {short}", binding.label), role)));
        }
    };
    if asked {
        add(0, Action::Answer, Role::Ask);
    }
    if !app.over() {
        add(1, Action::Hold, Role::Strong);
    }
    add(1, Action::Play, Role::Strong);
    if app.desk == Desk::Replay {
        for (rank, more) in [
            (5, "left right 5s"),
            (6, "{ } tenth"),
            (2, "[ ] step"),
            (3, ", . event"),
            (4, "< > speed"),
            (5, "tab view"),
        ] {
            keys.push((rank, (more.into(), Role::Dim)));
        }
    }
    let mut add = |rank: u8, action: Action, role: Role| {
        if let Some(binding) = keys::binding_of(app.desk, action) {
            keys.push((rank, (format!("{} {}", binding.label, binding.short), role)));
        }
    };
    add(4, Action::Details, Role::Dim);
    add(5, Action::Note, Role::Dim);
    add(2, Action::Help, Role::Dim);
    if app.over() || app.desk != Desk::Live {
        keys.push((2, ("q quit".into(), Role::Dim)));
    }
    keys
}

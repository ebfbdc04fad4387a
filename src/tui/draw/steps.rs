//! The step table: fixed columns, headings where there is room, the line of no return always.

use ratatui::{layout::Rect, style::Modifier};

use super::canvas::Canvas;
use crate::{
    board::{Mark, Role, Row},
    tui::{
        app::App,
        layout::Layout,
        text::{left, right},
    },
};

/// Cells of the columns right of the title, each with the space before it.
const OWNER: usize = 7;
const PLAN: usize = 5;
const ACTUAL: usize = 6;
const DELTA: usize = 7;
/// Owner, plan, actual and delta with their gaps.
const FIGURES: usize = OWNER + PLAN + ACTUAL + DELTA + 4;

enum Item<'r> {
    Phase(&'r str),
    NoReturn,
    Step(&'r Row),
}

/// The heading of the columns.
pub fn heading(app: &App, canvas: &mut Canvas<'_>, area: Rect) {
    let title = title_cells(app, area, Layout::Normal);
    let text = format!(
        "  STATE {:>2} {} {} {} {} {}",
        "#",
        left("STEP", title),
        left("OWNER", OWNER),
        right("PLAN", PLAN),
        right("ACTUAL", ACTUAL),
        right("DELTA", DELTA)
    );
    canvas.text(area.x, area.y, area.width, &text, Role::Dim);
}

fn digits(app: &App) -> usize {
    app.board.rows.len().to_string().len().max(2)
}

fn title_cells(app: &App, area: Rect, layout: Layout) -> usize {
    let figures = if layout == Layout::Compact { 14 } else { FIGURES };
    usize::from(area.width).saturating_sub(9 + digits(app) + figures)
}

/// The rows that fit, around the selected step or where the run is.
pub fn steps(app: &App, canvas: &mut Canvas<'_>, area: Rect, layout: Layout) {
    let height = usize::from(area.height);
    if height == 0 {
        return;
    }
    let rows: Vec<&Row> = app.board.rows.iter().filter(|row| !(app.brief && row.over)).collect();
    let phases = rows.iter().filter(|row| row.phase.is_some()).count();
    let lines = rows.iter().filter(|row| row.no_return).count();
    let headed = layout != Layout::Compact && rows.len() + phases + lines <= height;
    let mut items = Vec::with_capacity(rows.len() + phases + lines);
    for row in rows {
        if let (true, Some(phase)) = (headed, &row.phase) {
            items.push(Item::Phase(phase));
        }
        if row.no_return {
            items.push(Item::NoReturn);
        }
        items.push(Item::Step(row));
    }
    let chosen = app.current_step();
    let at = items.iter().position(|item| matches!(item, Item::Step(row) if Some(&row.id) == chosen.as_ref()));
    // A little of what was, more of what comes: the night is read forward.
    let first = at.unwrap_or(0).saturating_sub(height * 2 / 5).min(items.len().saturating_sub(height));
    for (y, item) in (area.y..area.bottom()).zip(items.iter().skip(first)) {
        let line = Rect { y, height: 1, ..area };
        match item {
            Item::Phase(phase) => heading_line(canvas, line, phase),
            Item::NoReturn => no_return(app, canvas, line, layout),
            Item::Step(row) => {
                let selected = Some(&row.id) == chosen.as_ref();
                step(app, canvas, line, row, layout, selected);
            }
        }
    }
}

fn heading_line(canvas: &mut Canvas<'_>, area: Rect, phase: &str) {
    let words = format!("  {} ", phase.to_uppercase());
    let used = crate::tui::text::width(&words);
    let rule = "─".repeat(usize::from(area.width).saturating_sub(used + 1));
    canvas.text(area.x, area.y, area.width, &format!("{words}{rule}"), Role::Dim);
}

fn no_return(app: &App, canvas: &mut Canvas<'_>, area: Rect, layout: Layout) {
    let words = if layout == Layout::Compact {
        "═ NO RETURN ".to_owned()
    } else {
        format!("═╪═ NO RETURN ══ {} ", app.board.no_return)
    };
    let used = crate::tui::text::width(&words);
    let rule = "═".repeat(usize::from(area.width).saturating_sub(used));
    canvas.text(area.x, area.y, area.width, &format!("{words}{rule}"), Role::Bad);
}

fn step(app: &App, canvas: &mut Canvas<'_>, area: Rect, row: &Row, layout: Layout, selected: bool) {
    let theme = canvas.theme;
    let title_cells = title_cells(app, area, layout);
    let digits = digits(app);
    let quiet = matches!(row.mark, Mark::Wait | Mark::Outside | Mark::Skip) || row.mark == Mark::Gate && !row.now;
    let text_role = match row.mark {
        _ if row.now => Role::Strong,
        Mark::Fail => Role::Strong,
        _ if quiet => Role::Dim,
        _ => Role::Plain,
    };
    let loud = row.now || row.mark == Mark::Fail;
    let mark_role = row.mark.role();
    let mark_style = if loud { theme.badge(mark_role) } else { theme.style(mark_role) };
    let cursor = if selected { ">" } else { " " };
    canvas.text(area.x, area.y, 1, cursor, Role::Strong);
    canvas.styled(
        area.x + 1,
        area.y,
        6,
        &format!("{} {}", theme.glyph(row.mark), left(row.mark.word(), 4)),
        mark_style,
    );
    let body = if layout == Layout::Compact {
        let figure = if row.actual.is_empty() || row.over {
            row.delta.clone()
        } else {
            format!("{} of {}", row.actual, row.plan)
        };
        format!("{:>digits$} {} {}", row.number, left(&row.title, title_cells), right(&figure, 13))
    } else {
        format!(
            "{:>digits$} {} {} {} {}",
            row.number,
            left(&row.title, title_cells),
            left(&row.owner, OWNER),
            right(&row.plan, PLAN),
            right(&row.actual, ACTUAL)
        )
    };
    canvas.text(area.x + 8, area.y, area.width.saturating_sub(8), &body, text_role);
    if layout != Layout::Compact {
        let role = if row.delta_role == Role::Plain { text_role } else { row.delta_role };
        let cells = u16::try_from(DELTA).unwrap_or(0);
        canvas.text(area.right().saturating_sub(cells), area.y, cells, &right(&row.delta, DELTA), role);
    }
    if selected && app.selected.is_some() {
        canvas.emphasise(area, Modifier::BOLD);
    }
}

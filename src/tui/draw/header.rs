//! The three lines that are always at the top.

use ratatui::layout::Rect;

use super::canvas::{Canvas, pack};
use crate::{
    base::hms,
    board::{Header, Role, Said, Track},
    replay::Shown,
    tui::{
        app::App,
        keys::Desk,
        layout::Layout,
        text::{self, Span},
    },
};

/// Cells of the progress bar, and of the way to the point of no return, on a screen of 80.
const BAR: usize = 25;
const TRACK: usize = 12;
/// A bar of fewer cells is none.
const SHORT_BAR: usize = 8;
/// Rank of lateness, and of a budget that is used up.
const MUST: u8 = 1;

/// Draws the header into three lines.
pub fn header(app: &App, canvas: &mut Canvas<'_>, area: Rect, layout: Layout) {
    first(app, canvas, area, layout);
    let second = Rect { y: area.y + 1, ..area };
    let cells = usize::from(area.width.saturating_sub(1));
    let line = match &app.shown {
        Some(shown) => position(app, shown, layout, cells),
        None => progress(app, layout, cells),
    };
    canvas.spans(second.x + 1, second.y, second.width.saturating_sub(1), &line);
    let line = rollback(&app.board.header, layout, cells);
    canvas.spans(area.x + 1, area.y + 2, area.width.saturating_sub(1), &line);
}

fn first(app: &App, canvas: &mut Canvas<'_>, area: Rect, layout: Layout) {
    let header = &app.board.header;
    let replay = app.desk == Desk::Replay;
    let (badge, badge_role) =
        if replay { ("[REPLAY]".to_owned(), Role::Back) } else { (format!("[{}]", header.mode), header.mode_role) };
    let zone = if header.zone.is_empty() { String::new() } else { format!(" {}", header.zone) };
    let short = |clock: &str| clock.rsplit_once(':').map_or(clock.to_owned(), |(minutes, _)| minutes.to_owned());
    let clock = match layout {
        Layout::Compact => format!("{}{zone}  {}", short(&header.clock), short(&header.since)),
        Layout::Wide => format!("{}{zone}  {}  {}", header.clock, header.utc, header.since),
        _ => format!("{}{zone}  {}", header.clock, header.since),
    };
    let right = if replay { "nothing can run here".to_owned() } else { clock };
    let right_cells = text::width(&right);
    let cells = usize::from(area.width);
    canvas.styled(area.x, area.y, area.width, &badge, canvas.theme.badge(badge_role));
    let begin = text::width(&badge) + 1;
    let room = cells.saturating_sub(begin + right_cells + 2);
    let wide = layout == Layout::Wide;
    // What the run itself was stays visible in its replay: SANDBOX is never left out.
    let mode = if replay { header.mode.clone() } else { String::new() };
    let mut parts: Vec<(u8, Span)> = vec![(0, (mode, header.mode_role)), (1, (header.runbook.clone(), Role::Strong))];
    if replay {
        parts.push((2, (format!("run {}", header.run), Role::Plain)));
    }
    if layout != Layout::Compact {
        parts.push((3, (header.env.clone(), Role::Plain)));
        parts.extend(header.fence.iter().map(|fence| (4, (fence.clone(), Role::Plain))));
    }
    if wide {
        parts.push((5, (format!("operator {}", header.operator), Role::Plain)));
        parts.push((6, (format!("lead {}", header.lead), Role::Plain)));
    }
    let line = pack(parts, if wide { 3 } else { 2 }, room);
    let x = area.x + u16::try_from(begin).unwrap_or(0);
    canvas.spans(x, area.y, u16::try_from(room).unwrap_or(0), &line);
    let right_x = cells.saturating_sub(right_cells);
    canvas.text(area.x + u16::try_from(right_x).unwrap_or(0), area.y, area.width, &right, Role::Plain);
}

/// `███████░░░`
fn bar(done: usize, all: usize, cells: usize) -> Vec<Span> {
    let full = (done * cells).checked_div(all).unwrap_or(0).min(cells);
    vec![("█".repeat(full), Role::Plain), ("░".repeat(cells - full), Role::Dim)]
}

/// Where the run stands, how late it is, and what is being used up. What room there is goes to that first, then to the
/// bar: a bar says nothing that the count before it does not say.
fn progress(app: &App, layout: Layout, cells: usize) -> Vec<Span> {
    let header = &app.board.header;
    let count = format!("{:>2}/{}", header.done, header.steps);
    let wide = layout == Layout::Wide;
    let gap = if layout == Layout::Compact { 2 } else { 3 };
    let room = cells.saturating_sub(text::width(&count) + 2);
    let total = |parts: &[(u8, Span)], least: u8| -> usize {
        let wanted = parts.iter().filter(|(rank, (words, _))| *rank <= least && !words.is_empty());
        wanted.map(|(_, (words, _))| text::width(words) + gap).sum::<usize>().saturating_sub(gap)
    };
    let mut parts = figures(header, layout, (false, false));
    for shorter in [(true, false), (true, true)] {
        if total(&parts, MUST) > room {
            parts = figures(header, layout, shorter);
        }
    }
    let mut line = vec![(count, Role::Strong)];
    let most = if wide { BAR * 2 } else { BAR };
    let wanted = total(&parts, if wide { u8::MAX } else { MUST });
    let bar_cells = room.saturating_sub(wanted + 2).min(most);
    let mut left = room;
    if layout != Layout::Compact && header.steps > 0 && bar_cells >= SHORT_BAR {
        line.push(("  ".into(), Role::Plain));
        line.extend(bar(header.done, header.steps, bar_cells));
        left -= bar_cells + 2;
    }
    line.push((" ".repeat(2), Role::Plain));
    line.extend(pack(parts, gap, left));
    line
}

/// What stands behind the count, with ranks: up to [`MUST`] it is never left out where it can be helped. In `short`: the
/// standing, and the budgets that are used up.
fn figures(header: &Header, layout: Layout, short: (bool, bool)) -> Vec<(u8, Span)> {
    let wide = layout == Layout::Wide;
    let said = |said: &Option<Said>, short: bool| {
        let words = |said: &Said| (if short { said.short.clone() } else { said.text.clone() }, said.role);
        said.as_ref().map(words).unwrap_or_default()
    };
    let ends = match (&header.window, wide) {
        (Some(window), false) if header.standing.is_none() => format!("{}, {window}", header.ends),
        _ => header.ends.clone(),
    };
    let mut parts: Vec<(u8, Span)> = vec![
        (MUST, (header.lateness.text.clone(), header.lateness.role)),
        (0, said(&header.standing, short.0)),
        (3, (ends, Role::Plain)),
    ];
    if wide {
        let window = header.window.clone().map(|window| (window, Role::Plain)).unwrap_or_default();
        parts.push((4, window));
    }
    // What is being used up, or is over, is worth more than the end of the window.
    let rank = |gauge: &Option<Said>, calm: u8| match gauge.as_ref().map(|said| said.role) {
        Some(Role::Bad) => MUST,
        Some(Role::Warn) => 2,
        _ => calm,
    };
    if wide || rank(&header.slack, 5) < 5 {
        // How late the end is says most of it.
        parts.push((rank(&header.slack, 5).max(2), said(&header.slack, false)));
    }
    parts.push((rank(&header.freeze, 6), said(&header.freeze, short.1)));
    parts.push((rank(&header.downtime, 7), said(&header.downtime, short.1)));
    parts.push((2, said(&header.watch, false)));
    parts
}

/// The second line of a replay: where in the night this is.
fn position(app: &App, shown: &Shown, layout: Layout, cells: usize) -> Vec<Span> {
    let header = &app.board.header;
    let word = if shown.playing { "PLAY " } else { "PAUSE" };
    let zone = if header.zone.is_empty() { String::new() } else { format!(" {}", header.zone) };
    let at = format!("{}{zone}", header.clock);
    let since = format!("{} of {}", hms(shown.at), hms(shown.total));
    let events = format!("{}/{} events", shown.events.0, shown.events.1);
    let idle = if shown.shorten { "idle shortened" } else { "idle in full" };
    let standing = header.standing.clone().map(|said| (said.text, said.role)).unwrap_or_default();
    let mut parts: Vec<(u8, Span)> = vec![
        (0, (format!("{word} {:<5}", shown.speed), Role::Strong)),
        (0, (at, Role::Plain)),
        (1, (since, Role::Plain)),
        (3, (shown.sealed.clone(), Role::Plain)),
        (4, (events, Role::Dim)),
    ];
    if layout == Layout::Wide {
        parts.push((2, standing));
        parts.push((5, (idle.into(), Role::Dim)));
    }
    pack(parts, 2, cells)
}

fn rollback(header: &Header, layout: Layout, cells: usize) -> Vec<Span> {
    let bar = &header.rollback;
    if bar.word.is_empty() {
        return Vec::new();
    }
    let compact = layout == Layout::Compact;
    let mut undo = bar.undo.clone();
    if compact {
        undo = undo.replace("undo ", "");
    }
    let mut parts: Vec<(u8, Span)> = vec![(0, (format!("ROLLBACK {}", bar.word), bar.role)), (1, (undo, Role::Plain))];
    if layout == Layout::Wide {
        parts.push((4, (bar.undo_steps.clone(), Role::Plain)));
    }
    let tail: Vec<(u8, Span)> = vec![(2, (bar.no_return.clone(), Role::Plain)), (3, (bar.left.clone(), Role::Dim))];
    let left = pack(parts, 2, cells);
    let Some(way) = bar.track.filter(|_| !compact) else {
        let mut line = left;
        line.push(("  ".into(), Role::Plain));
        let room = cells.saturating_sub(text::line_width(&line));
        line.extend(pack(tail, 2, room));
        return line;
    };
    let track_cells = if layout == Layout::Wide { TRACK * 4 } else { TRACK };
    let mut line = left;
    line.push(("  ".into(), Role::Plain));
    line.extend(track(way, track_cells, bar.role));
    line.push((" ".into(), Role::Plain));
    let room = cells.saturating_sub(text::line_width(&line));
    line.extend(pack(tail, 2, room));
    line
}

/// `────────●──╎`: steps, not time; the mark is the point of no return.
fn track(way: Track, cells: usize, role: Role) -> Vec<Span> {
    if way.crossed {
        return vec![("╎".into(), Role::Bad), ("──".into(), Role::Dim), ("●".into(), role)];
    }
    let room = cells.saturating_sub(2);
    let at = (way.done * room).checked_div(way.total).unwrap_or(room).min(room);
    vec![("─".repeat(at), Role::Plain), ("●".into(), role), ("─".repeat(room - at), Role::Dim), ("╎".into(), Role::Bad)]
}

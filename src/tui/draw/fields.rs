//! What sheets are put together from: a field with its cursor, and a label with wrapped words.

use crate::{
    board::Role,
    tui::{
        dialog::Dialog,
        form::Field,
        text::{Line, fit, left, line_width, width, wrap},
    },
};

/// A field: its label, what stands in it, and the cursor where it has the keys. At most `cells` wide, and
/// the cursor is always in sight.
pub(super) fn field(dialog: &Dialog, which: Field, label: &str, cells: usize) -> Line {
    let (before, behind) = dialog.form.around_cursor(which);
    let here = dialog.form.focus() == Some(which);
    let label = format!("{} ", fit(label, cells.saturating_sub(12)));
    let room = cells.saturating_sub(width(&label) + 2);
    let mut spans = vec![(label, if here { Role::Strong } else { Role::Dim })];
    if !here {
        spans.push((fit(&(before + &behind), room), Role::Plain));
        return spans;
    }
    let mut cut = 0;
    while width(&before[cut..]) > room {
        cut += before[cut..].chars().next().map_or(1, char::len_utf8);
    }
    let left = room.saturating_sub(width(&before[cut..]));
    let before = before[cut..].to_owned();
    spans.extend([(before, Role::Strong), ("▏".into(), Role::Ask), (fit(&behind, left), Role::Strong)]);
    spans
}

/// A field that has what is left of a line, and one of its own width at the end, which stays where it is.
pub(super) fn beside(wide: impl FnOnce(usize) -> Line, last: Line, cells: usize) -> Line {
    let room = cells.saturating_sub(line_width(&last) + 3);
    let mut whole = wide(room);
    whole.push((" ".repeat((room + 3).saturating_sub(line_width(&whole))), Role::Plain));
    whole.extend(last);
    whole
}

/// `label  text`, with the text wrapped under itself.
pub(super) fn labelled(label: &str, text: &str, role: Role, cells: usize) -> Vec<Line> {
    const LABEL: usize = 8;
    let wrapped = wrap(text, cells.saturating_sub(LABEL));
    wrapped
        .into_iter()
        .enumerate()
        .map(|(i, words)| vec![(left(if i == 0 { label } else { "" }, LABEL), Role::Dim), (words, role)])
        .collect()
}

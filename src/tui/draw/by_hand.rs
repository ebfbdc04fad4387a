//! The sheet of a step by hand: what is to be done, what is ticked off of it, the value, and the word that ends it.
//!
//! ```text
//! sam does this by hand.
//! 1.      open the RDS console, database acme-prod
//! CHECKLIST  1 of 3 ticked off                          what is next to be ticked is always in sight
//! [x] 1 backup window kept                     sam 02:05:11
//! [ ] 2 status is Available
//! ```

use super::{
    fields::{beside, field, labelled},
    panel::Panel,
};
use crate::{
    board::{ManualAsk, Role},
    tui::{
        dialog::Dialog,
        form::Field,
        text::{Line, fit, line, width, wrap},
    },
};

/// Things of a checklist that are shown at once: with the fields they fit the smallest screen.
const SHOWN: usize = 5;

/// The sheet.
pub(super) fn manual(ask: &ManualAsk, dialog: &Dialog, cells: usize) -> Panel {
    let does = if ask.back { "takes this step back by hand." } else { "does this by hand." };
    let mut head = vec![line(format!("{} {does}", ask.owner), Role::Strong)];
    if let Some(why) = &ask.why {
        head.extend(wrap(why, cells).into_iter().take(3).map(|l| line(l, Role::Dim)));
    }
    let mut body = vec![Line::new()];
    for (i, does) in ask.does.iter().enumerate() {
        body.extend(labelled(&format!("{}.", i + 1), does, Role::Plain, cells));
    }
    for (i, check) in ask.verifies.iter().enumerate() {
        body.extend(labelled(if i == 0 { "then" } else { "" }, &format!("checked: {check}"), Role::Dim, cells));
    }
    let mut form = vec![Line::new()];
    if !ask.checklist.is_empty() {
        form.extend(checklist(ask, cells));
    }
    let value = ask.asks_value.as_ref().map(|value| {
        let is = ask.value_is.as_ref().map(|is| format!(" ({is})")).unwrap_or_default();
        field(dialog, Field::Value, &format!("{value}{is}:"), cells)
    });
    let words = match (ask.checklist.is_empty(), ask.open().first()) {
        (true, _) => "Type  done  then enter:".to_owned(),
        (false, Some(next)) => format!("Type a number ({next}), at the end  done:"),
        (false, None) => "All ticked off. Type  done  then enter:".to_owned(),
    };
    let word = field(dialog, Field::Word, &words, cells);
    // In the order in which tab goes through them.
    form.extend(if ask.checklist.is_empty() { [value, Some(word)] } else { [Some(word), value] }.into_iter().flatten());
    let reason = dialog.form.has(Field::Text);
    let who = field(dialog, Field::Who, "done by (tab):", if reason { 30 } else { cells });
    form.push(if reason {
        beside(|room| field(dialog, Field::Text, "why, where one is left:", room), who, cells)
    } else {
        who
    });
    let right = if ask.checklist.is_empty() { "space HOLD" } else { "-2 unticks   space HOLD" };
    Panel {
        title: vec![("? ".into(), Role::Ask), (format!("{} {}", ask.number, ask.title), Role::Strong)],
        status: format!("{} of {}", ask.waited, ask.plan),
        head,
        body,
        form,
        left: "esc look around, it keeps waiting".into(),
        right: right.into(),
        ..Panel::default()
    }
}

/// The things around the next one that is not ticked off.
fn checklist(ask: &ManualAsk, cells: usize) -> Vec<Line> {
    let all = ask.checklist.len();
    let next = ask.open().first().map_or(all, |number| number - 1);
    let first = next.saturating_sub(1).min(all.saturating_sub(SHOWN));
    let last = (first + SHOWN).min(all);
    let beyond = match (first, all - last) {
        (0, 0) => String::new(),
        (above, 0) => format!(", {above} above"),
        (0, below) => format!(", {below} below"),
        (above, below) => format!(", {above} above, {below} below"),
    };
    let head = line(format!("CHECKLIST  {} of {all} ticked off{beyond}", ask.ticked()), Role::Dim);
    let item = |(i, item): (usize, &crate::board::Item)| {
        let (mark, role) = match &item.ticked {
            Some(_) => ("[x]", Role::Good),
            None if i == next => ("[ ]", Role::Strong),
            None => ("[ ]", Role::Plain),
        };
        let by = item.ticked.as_ref().map(|(who, clock)| format!("  {who} {clock}")).unwrap_or_default();
        let number = format!(" {:>2} ", i + 1);
        let room = cells.saturating_sub(3 + number.len() + width(&by));
        vec![(mark.into(), role), (number, role), (fit(&item.text, room), role), (by, Role::Dim)]
    };
    std::iter::once(head).chain(ask.checklist.iter().enumerate().take(last).skip(first).map(item)).collect()
}

//! The sheets that a person opens: one choice with its word, a note, leaving, the keys.

use super::{
    fields::{field, labelled},
    panel::Panel,
};
use crate::{
    board::{Choice, Reason, Role},
    tui::{
        app::App,
        dialog::Dialog,
        form::Field,
        keys,
        text::{Line, left, line, wrap},
    },
};

/// The help has two columns from here on.
const TWO_COLUMNS: usize = 96;

pub(super) fn act(app: &App, choice: &Choice, dialog: &Dialog, cells: usize) -> Panel {
    let word = choice.word.unwrap_or_default();
    let mut head = vec![line(
        format!("{}{}{}", choice.does, if choice.cost.is_empty() { "" } else { "   " }, choice.cost),
        Role::Strong,
    )];
    let row = app.board.rows.iter().find(|row| Some(&row.id) == choice.step.as_ref());
    if let Some(row) = row {
        head.extend(labelled("Step", &format!("{} {}", row.number, row.title), Role::Plain, cells));
    }
    let header = &app.board.header;
    let place = std::iter::once(&header.env).chain(&header.fence).cloned().collect::<Vec<_>>().join("  ");
    head.extend(labelled("Where", &place, Role::Plain, cells).into_iter().take(1));
    let body = choice.loses.iter().flat_map(|loss| wrap(loss, cells)).map(|l| line(l, Role::Warn)).collect();
    let needed = match &choice.reason {
        Reason::Needed(what) => format!("reason ({what}):"),
        Reason::Optional => "reason (tab, optional):".into(),
    };
    let mut form = vec![Line::new()];
    let word_field = field(dialog, Field::Word, &format!("Type  {word}  then enter:"), cells);
    let text_field = field(dialog, Field::Text, &needed, cells);
    if matches!(choice.reason, Reason::Needed(_)) {
        form.extend([text_field, word_field]);
    } else {
        form.extend([word_field, text_field]);
    }
    form.push(field(dialog, Field::Who, "decided by:", cells));
    Panel {
        title: vec![("! ".into(), Role::Bad), (choice.label.to_uppercase(), Role::Strong)],
        status: "nothing has happened yet".into(),
        double: !choice.loses.is_empty(),
        head,
        body,
        form,
        left: "esc back, do nothing".into(),
        right: "tab next field".into(),
        ..Panel::default()
    }
}

pub(super) fn note(step: Option<String>, dialog: &Dialog, cells: usize) -> Panel {
    let about = step.map_or_else(|| "about the run".to_owned(), |step| format!("about step {step}"));
    Panel {
        title: line("NOTE", Role::Strong),
        status: about,
        form: vec![field(dialog, Field::Text, "note:", cells)],
        left: "esc no note".into(),
        right: "enter writes it to the journal".into(),
        ..Panel::default()
    }
}

pub(super) fn leave(app: &App, dialog: &Dialog, cells: usize) -> Panel {
    let item = |i: usize, words: &str| {
        let cursor = if dialog.cursor == i { "> " } else { "  " };
        line(format!("{cursor}{words}"), if dialog.cursor == i { Role::Strong } else { Role::Plain })
    };
    let mut head = Vec::new();
    let resume = format!("gonogo resume {}", app.board.header.run);
    for words in [
        "What runs now comes to its end and is recorded. Nothing new starts, the run holds.".to_owned(),
        format!("Later: {resume}"),
    ] {
        head.extend(wrap(&words, cells).into_iter().map(|l| line(l, Role::Plain)));
    }
    Panel {
        title: line("LEAVE?", Role::Strong),
        head,
        form: vec![Line::new(), item(0, "s  Stay"), item(1, "l  Hold and leave")],
        left: "esc stay".into(),
        right: "enter".into(),
        ..Panel::default()
    }
}

pub(super) fn help(app: &App, dialog: &Dialog, cells: usize) -> Panel {
    let label = 12;
    let entries: Vec<Line> = keys::table(app.desk)
        .map(|binding| vec![(left(binding.label, label), Role::Strong), (binding.what.to_owned(), Role::Plain)])
        .collect();
    let body = if cells >= TWO_COLUMNS {
        // Side by side, read down the first column and then the second.
        let half = entries.len().div_ceil(2);
        let column = cells / 2 - label - 1;
        let cell = |entry: Option<&Line>| -> Line {
            entry.map_or_else(
                || line(" ".repeat(cells / 2), Role::Plain),
                |entry| vec![entry[0].clone(), (left(&entry[1].0, column) + " ", Role::Plain)],
            )
        };
        (0..half).map(|i| [cell(entries.get(i)), cell(entries.get(half + i))].concat()).collect()
    } else {
        entries
    };
    let first = dialog.cursor.min(body.len().saturating_sub(1));
    Panel {
        title: line("KEYS", Role::Strong),
        status: "up down".into(),
        body: body.into_iter().skip(first).collect(),
        left: "esc back".into(),
        right: "what decides opens a sheet; its typed word acts".into(),
        ..Panel::default()
    }
}

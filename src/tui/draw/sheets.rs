//! What each sheet says: where, what, who, what changes, how to go back, and which word acts.

use super::{
    by_hand::manual,
    fields::{beside, field, labelled},
    own::{act, help, leave, note},
    panel::Panel,
    votes::votes,
};
use crate::{
    board::{Act, Ask, AskKind, Choice, ConfirmAsk, FailAsk, HeldAsk, Role, StopAsk},
    tui::{
        app::App,
        dialog::{Dialog, Topic},
        form::Field,
        text::{Line, fit, left, line, right, width, wrap},
    },
};

/// The panel of the open sheet, `cells` wide inside.
pub fn sheet(app: &App, dialog: &Dialog, cells: usize) -> Panel {
    let mut panel = match (&dialog.topic, &app.board.ask) {
        (Topic::Help, _) => return help(app, dialog, cells),
        (Topic::Leave, _) => leave(app, dialog, cells),
        (Topic::Note(step), _) => note(step.as_ref().map(ToString::to_string), dialog, cells),
        (Topic::Act(choice, _), _) => act(app, choice, dialog, cells),
        (Topic::Ask(_), Some(Ask::StopPoint(ask))) => stop(app, ask, dialog, cells),
        (Topic::Ask(_), Some(Ask::Failure(ask))) => failure(ask, dialog, cells),
        (Topic::Ask(_), Some(Ask::Confirm(ask))) => confirm(ask, dialog, cells),
        (Topic::Ask(_), Some(Ask::Manual(ask))) => manual(ask, dialog, cells),
        (Topic::Ask(_), Some(Ask::Held(ask))) => held(ask, dialog, cells),
        (Topic::Ask(_), None) => Panel::default(),
    };
    match (&dialog.form.said, dialog.waiting) {
        (_, Some(_)) => panel.form.push(line("…", Role::Dim)),
        (Some((said, role)), None) => panel.form.extend(wrap(said, cells).into_iter().take(3).map(|l| line(l, *role))),
        (None, None) => {}
    }
    panel
}

fn stop(app: &App, ask: &StopAsk, dialog: &Dialog, cells: usize) -> Panel {
    // Red ones come first: where room is short they are what is left.
    let mut body: Vec<Line> = ask
        .checks
        .iter()
        .map(|check| {
            let (glyph, word, role) = check.mark();
            let text_role = if check.ok == Some(false) { Role::Strong } else { Role::Plain };
            let words = fit(&check.words, cells.saturating_sub(7) * 3 / 5);
            let seen = fit(&check.line, cells.saturating_sub(7 + width(&words) + 2));
            vec![(format!("{glyph} {word} "), role), (words, text_role), (format!("  {seen}"), Role::Dim)]
        })
        .collect();
    body.splice(0..0, votes(ask, cells));
    body.push(Line::new());
    body.extend(labelled("If GO", &ask.if_go, Role::Plain, cells));
    body.extend(labelled("NO-GO", &ask.if_no_go, Role::Plain, cells));
    let mut head: Vec<Line> = wrap(&ask.question, cells).into_iter().map(|l| line(l, Role::Strong)).collect();
    if let Some(no_go) = &ask.no_go {
        head.push(line(format!("{no_go}; `go` turns it round"), Role::Warn));
    }
    if let Some(held) = &ask.also_held {
        head.push(line(format!("The run is held as well: {held}"), Role::Warn));
    }
    let mut form = vec![Line::new(), field(dialog, Field::Word, "Type  go  or  no-go  then enter:", cells)];
    let who = field(dialog, Field::Who, "decided by:", 26);
    form.push(beside(|room| field(dialog, Field::Text, "reason (tab):", room), who, cells));
    if ask.against > 0 && dialog.form.said.is_none() {
        let (things, verb) = if ask.against == 1 { ("1 thing", "stands") } else { ("things", "stand") };
        let many = if ask.against == 1 { things.to_owned() } else { format!("{} {things}", ask.against) };
        form.push(line(format!("{many} {verb} against a go: it needs a reason"), Role::Warn));
    }
    let place = format!("Step {} of {}, stop point. Nothing runs until it is decided.", ask.number, ask.total);
    let extra = vec![line(place, Role::Dim)];
    let voter = ask.voters.first().map(|who| format!("vote:  {who} go")).unwrap_or_default();
    Panel {
        title: vec![("? ".into(), Role::Ask), (format!("{} {}", ask.number, ask.title), Role::Strong)],
        status: format!("waiting {}  rollback {}", ask.waited, app.board.header.rollback.word),
        head,
        body,
        form,
        extra,
        left: "esc look around, it keeps waiting".into(),
        right: voter,
        ..Panel::default()
    }
}

fn failure(ask: &FailAsk, dialog: &Dialog, cells: usize) -> Panel {
    let role = if ask.looking { Role::Wait } else { Role::Bad };
    let mut head =
        vec![vec![(format!("{} {}", ask.number, ask.title), Role::Strong), (format!("   {}", ask.attempt), Role::Dim)]];
    let mut why = labelled("WHY", &ask.why, Role::Plain, cells);
    why.truncate(4);
    head.extend(why);
    head.extend(labelled("KNOWN", &ask.class, Role::Dim, cells));
    let mut body = Vec::new();
    if let Some(hint) = &ask.hint {
        body.extend(labelled("HINT", hint, Role::Plain, cells));
    }
    for cause in &ask.causes {
        body.extend(labelled("", cause, Role::Dim, cells));
    }
    let mut form = vec![Line::new()];
    if ask.looking {
        form.push(line("It is being looked at; what can be chosen follows from what is found.", Role::Wait));
    }
    for (i, choice) in ask.choices.iter().enumerate() {
        form.push(choice_line(choice, i == dialog.cursor, cells));
    }
    let mut extra = vec![Line::new()];
    extra.extend(wrap(&ask.footing, cells).into_iter().take(2).map(|l| line(l, Role::Plain)));
    Panel {
        title: vec![("✗ ".into(), role), (ask.heading.into(), role)],
        status: format!("held {}", ask.waited),
        head,
        body,
        form,
        extra,
        left: "nothing happens until you choose".into(),
        right: "enter opens the choice".into(),
        ..Panel::default()
    }
}

fn choice_line(choice: &Choice, chosen: bool, cells: usize) -> Line {
    let asks = if choice.act == Act::Hold { "(default)".into() } else { choice.asks() };
    let (label_cells, cost_cells, asks_cells) = (13, 6, 16);
    // Where it is narrow, what a choice does is worth more than what it will ask.
    let figures = if cells >= 66 { cost_cells + asks_cells + 2 } else { 0 };
    let does_cells = cells.saturating_sub(2 + 3 + label_cells + figures);
    let cursor = if chosen { "> " } else { "  " };
    let role = if chosen { Role::Strong } else { Role::Plain };
    let mut spans = vec![
        (format!("{cursor}{}  {}", choice.key, left(choice.label, label_cells)), role),
        (left(&choice.does, does_cells), role),
    ];
    if figures > 0 {
        spans.push((format!(" {}", right(&choice.cost, cost_cells)), Role::Plain));
        spans.push((format!(" {}", left(&asks, asks_cells)), Role::Dim));
    }
    spans
}

fn confirm(ask: &ConfirmAsk, dialog: &Dialog, cells: usize) -> Panel {
    let grave = ask.id.kind == AskKind::NoReturn;
    let mut head = vec![line(ask.lead.clone(), if grave { Role::Bad } else { Role::Strong }), Line::new()];
    head.extend(labelled("Runs", &format!("{} {}", ask.number, ask.title), Role::Strong, cells));
    head.extend(labelled("Where", &ask.place, Role::Plain, cells).into_iter().take(2));
    // What it does first: where there is no room for everything, that is seen.
    let mut body = Vec::new();
    for (i, does) in ask.does.iter().enumerate() {
        body.extend(labelled(if i == 0 { "Does" } else { "" }, does, Role::Plain, cells));
    }
    for (i, who) in ask.identities.iter().enumerate() {
        body.extend(labelled(if i == 0 { "As" } else { "" }, who, Role::Plain, cells));
    }
    let verb = if ask.id.kind == AskKind::UndoConfirm { "UNDO" } else { "CONFIRM" };
    let mut form = labelled("After", &ask.after, if grave { Role::Warn } else { Role::Plain }, cells);
    form.truncate(4);
    form.push(Line::new());
    if ask.needed > 1 {
        let names: Vec<String> = ask.confirmed.iter().map(|who| format!("{who} ✓")).collect();
        let have = if names.is_empty() { "nobody yet".to_owned() } else { names.join("  ") };
        form.push(line(format!("{} people: {have}", ask.needed), Role::Plain));
    }
    form.push(field(dialog, Field::Word, &format!("Type  {}  then enter:", ask.word), cells));
    form.push(field(dialog, Field::Who, "confirmed by (tab):", cells));
    let mut extra = Vec::new();
    if !ask.word_is.is_empty() {
        extra.push(line(format!("{} is {}; paste is off here", ask.word, ask.word_is), Role::Dim));
    }
    Panel {
        title: vec![("! ".into(), Role::Bad), (format!("{verb} {}", ask.number), Role::Strong)],
        status: format!("waiting {}", ask.waited),
        double: grave,
        head,
        body,
        form,
        extra,
        left: "esc look around, it keeps waiting".into(),
        ..Panel::default()
    }
}

fn held(ask: &HeldAsk, dialog: &Dialog, cells: usize) -> Panel {
    let mut head: Vec<Line> =
        wrap(&format!("Nothing new starts: {}.", ask.why), cells).into_iter().map(|l| line(l, Role::Strong)).collect();
    head.extend(ask.more.iter().flat_map(|more| wrap(more, cells)).map(|l| line(l, Role::Plain)));
    let mut body = vec![Line::new()];
    body.extend(labelled("Where", &ask.place, Role::Plain, cells));
    for (i, step) in ask.running.iter().enumerate() {
        body.extend(labelled(
            if i == 0 { "Runs" } else { "" },
            &format!("{step} (goes on to its end)"),
            Role::Run,
            cells,
        ));
    }
    body.extend(labelled("Next", &ask.next, Role::Plain, cells));
    let mut form = vec![Line::new()];
    if ask.releasable {
        form.push(field(dialog, Field::Word, "Type  go  then enter:", cells));
        if ask.quick {
            form.push(line("a rehearsal: enter alone is enough", Role::Dim));
        }
    } else {
        form.push(line("It cannot go on: what is not written must not happen.", Role::Bad));
    }
    let title = if ask.start { "READY TO START" } else { "HELD" };
    Panel {
        title: vec![("= ".into(), Role::Strong), (title.into(), Role::Strong)],
        status: format!("held {}", ask.waited),
        head,
        body,
        form,
        left: "esc keeps holding".into(),
        right: match (ask.start, ask.way_back) {
            (true, _) => String::new(),
            (false, false) => "A abort (after esc)".into(),
            (false, true) => "b roll back   A abort (after esc)".into(),
        },
        ..Panel::default()
    }
}

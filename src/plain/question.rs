//! What is asked, in lines, and the word that stands before the answer.

use crate::board::{Ask, AskKind, Choice, ConfirmAsk, FailAsk, HeldAsk, ManualAsk, StopAsk};

/// The lines of a question.
pub(super) fn lines(ask: &Ask) -> Vec<String> {
    match ask {
        Ask::StopPoint(ask) => stop(ask),
        Ask::Failure(ask) => failure(ask),
        Ask::Confirm(ask) => confirm(ask),
        Ask::Manual(ask) => manual(ask),
        Ask::Held(ask) => held(ask),
    }
}

/// What stands before the answer.
pub(super) fn prompt(ask: &Ask) -> &'static str {
    match ask {
        Ask::StopPoint(_) => "go/no-go> ",
        Ask::Failure(_) => "choice> ",
        Ask::Confirm(_) => "confirm> ",
        Ask::Manual(_) => "done> ",
        Ask::Held(_) => "held> ",
    }
}

fn stop(ask: &StopAsk) -> Vec<String> {
    let mut lines = vec![
        format!("STOP POINT {} of {}: {}. Nothing starts until it is decided.", ask.number, ask.total, ask.title),
        format!("Question: {}", ask.question),
    ];
    lines.extend(ask.checks.iter().map(|check| {
        let (_, word, _) = check.mark();
        let seen = if check.line.is_empty() { String::new() } else { format!(": {}", check.line) };
        format!("{word} {}{seen}", check.words)
    }));
    let votes = ask.votes.iter().filter(|vote| ask.voters.contains(&vote.who)).map(|vote| {
        let word = match vote.go {
            Some(true) => "GO",
            Some(false) => "NO-GO",
            None => "no vote yet",
        };
        let reason = vote.reason.as_ref().map(|reason| format!(" \"{reason}\"")).unwrap_or_default();
        format!("{} {word}{reason}", vote.who)
    });
    let votes: Vec<String> = votes.collect();
    if !votes.is_empty() {
        lines.push(format!("Votes: {}", votes.join(", ")));
    }
    if let Some(vote) = ask.votes.iter().find(|vote| vote.go.is_none() && ask.voters.contains(&vote.who)) {
        lines.push(format!("From another terminal: gonogo vote last {} go --as {}", ask.step, vote.who));
    }
    lines.push(format!("If go: {}", ask.if_go));
    lines.push(format!("If no-go: {}", ask.if_no_go));
    lines.extend(ask.no_go.iter().map(|no_go| format!("Decided so far: {no_go}. A go turns it round.")));
    lines.extend(ask.also_held.iter().map(|why| format!("The run also holds: {why}")));
    let vote = ask.voters.first().map(|who| format!("; a vote: {who} go")).unwrap_or_default();
    let because = if ask.against > 0 { ", with the reason: go because …" } else { "" };
    lines.push(format!("{} decides. Type go{because}, or no-go{vote}.", ask.decides));
    lines
}

fn failure(ask: &FailAsk) -> Vec<String> {
    let mut lines = vec![format!("{} {}: {} ({}). {}", ask.heading, ask.number, ask.title, ask.class, ask.why)];
    lines.extend(ask.causes.iter().flat_map(|cause| cause.lines()).map(|line| format!("because: {line}")));
    lines.extend(ask.hint.iter().map(|hint| format!("Hint: {hint}")));
    lines.push(ask.footing.clone());
    if ask.looking {
        lines.push("It is being looked at; the choice comes after that.".into());
        return lines;
    }
    lines.push(format!("Choose: {}.", choices(&ask.choices)));
    lines
}

/// `1 hold, 2 log, 3 retry, …`: numbers as they stand in the list.
fn choices(choices: &[Choice]) -> String {
    let words = choices.iter().enumerate().map(|(i, choice)| format!("{} {}", i + 1, choice.label.to_lowercase()));
    words.collect::<Vec<_>>().join(", ")
}

fn confirm(ask: &ConfirmAsk) -> Vec<String> {
    let head = match ask.id.kind {
        AskKind::UndoConfirm => "UNDO",
        AskKind::NoReturn => "NO RETURN",
        _ => "CONFIRM",
    };
    let mut lines = vec![format!("{head} {}: {}. {}", ask.number, ask.title, ask.lead)];
    lines.push(format!("Where: {}", ask.place));
    lines.extend(ask.identities.iter().map(|who| format!("As: {who}")));
    lines.extend(ask.does.iter().map(|line| format!("Does: {line}")));
    lines.push(format!("After: {}", ask.after));
    if ask.needed > 1 {
        let have: Vec<&str> = ask.confirmed.iter().map(crate::base::PersonId::as_str).collect();
        let have = if have.is_empty() { "nobody so far".to_owned() } else { format!("{} so far", have.join(", ")) };
        lines.push(format!("{} people confirm: {have}.", ask.needed));
    }
    let who = if ask.confirmed.is_empty() { "" } else { "as NAME: " };
    let word_is = if ask.word_is.is_empty() { String::new() } else { format!(" ({})", ask.word_is) };
    lines.push(format!("Type {who}{}{word_is}, or an empty line to wait.", ask.word));
    lines
}

fn manual(ask: &ManualAsk) -> Vec<String> {
    let head = if ask.back { "UNDO BY HAND" } else { "BY HAND" };
    let mut lines = vec![format!("{head} {}: {}. {} does it, plan {}.", ask.number, ask.title, ask.owner, ask.plan)];
    lines.extend(ask.why.clone());
    lines.extend(ask.does.iter().map(|line| format!("Do: {line}")));
    lines.extend((1..).zip(&ask.checklist).map(|(number, item)| match &item.ticked {
        Some((who, clock)) => format!("[x] {number} {} ({who} {clock})", item.text),
        None => format!("[ ] {number} {}", item.text),
    }));
    lines.extend(ask.verifies.iter().map(|line| format!("Then checked: {line}")));
    let tick = if ask.checklist.is_empty() { "Type" } else { "Type the number of what is done, one by one. Then type" };
    let is = ask.value_is.as_ref().map(|is| format!(" ({is})")).unwrap_or_default();
    lines.push(match &ask.asks_value {
        Some(value) => format!("{tick} done and {value}{is}, when it is done."),
        None => format!("{tick} done when it is done."),
    });
    lines
}

fn held(ask: &HeldAsk) -> Vec<String> {
    let mut lines = vec![format!("HELD: {}", ask.why)];
    lines.extend(ask.more.iter().cloned());
    lines.extend(ask.running.iter().map(|step| format!("Still at work: {step}")));
    if !ask.next.is_empty() {
        lines.push(format!("Next: {} ({})", ask.next, ask.place));
    }
    lines.push(if ask.releasable {
        let others = if ask.way_back { "rollback, abort" } else { "abort" };
        format!("Type go to go on. {others} and leave are there too.")
    } else {
        "Nothing new starts any more in this process. Type leave; the run can be resumed.".to_owned()
    });
    lines
}

/// What a choice would do, before its word is typed.
pub(super) fn choice(choice: &Choice) -> Vec<String> {
    let cost =
        if choice.cost.is_empty() { String::new() } else { format!(", about {}", choice.cost.trim_start_matches('~')) };
    let about = choice.step.as_ref().map(|step| format!(" {step}")).unwrap_or_default();
    let mut lines = vec![format!("{}{about}: {}{cost}.", choice.label, choice.does)];
    lines.extend(choice.loses.iter().map(|loss| format!("Lost: {loss}")));
    if let Some(word) = choice.word {
        lines.push(format!("Type {word}, or an empty line to hold."));
    }
    lines
}

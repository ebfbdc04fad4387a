//! What a typed line means at the moment it is typed. Pure; nothing is sent from here, and the words
//! of decisions are compared once more by `run::handle`.
//!
//! ```text
//! anywhere   hold · status · log [STEP] · note TEXT · help · leave · rollback · abort
//! stop point go [because …] · no-go [because …] · NAME go|no-go (a vote) · NAME: go (that person's decision)
//! failure    number or word of a choice, then its word [because …], then why
//! confirm    the word · NAME: word          by hand   2 · -2 · done [VALUE]  held   go
//! ```

use crate::{
    base::{PersonId, StepId},
    board::{Act, Ask, AskKind, Choice, ConfirmAsk, FailAsk, ManualAsk, Reason, StopAsk},
    run::{Intent, Leg, Outline, RunState, StepOutline},
    runbook::Person,
};

/// How far a choice is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Stage {
    /// The question itself.
    #[default]
    Top,
    /// A choice was taken; its word is asked for.
    Word(Choice),
    /// The word was typed; the reason is asked for.
    Why(Choice),
}

/// What a line means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// Somebody wants something.
    Say { who: PersonId, intent: Intent },
    /// Hold, and end this process.
    Leave,
    /// Show where the run stands.
    Status,
    /// Show the end of a step's log.
    Log(Option<StepId>),
    /// Show the words.
    Help,
    /// Go on to another stage.
    Stage(Stage),
    /// Nothing; the words say why.
    Not(String),
}

/// The moment that a line is heard in.
pub(super) struct Moment<'a> {
    pub state: &'a RunState,
    pub ask: Option<&'a Ask>,
    /// Roll back and abort, where they are possible.
    pub standing: &'a [Choice],
    pub stage: &'a Stage,
    pub operator: &'a PersonId,
}

impl Moment<'_> {
    /// What `line` means.
    pub(super) fn hear(&self, line: &str) -> Heard {
        let line = line.trim();
        let lower = line.to_lowercase();
        match lower.as_str() {
            "hold" => return self.say(Intent::Hold),
            "status" => return Heard::Status,
            _ => {}
        }
        match self.stage {
            Stage::Why(choice) => return self.why(choice, line),
            Stage::Word(choice) => return self.word(choice, line),
            Stage::Top => {}
        }
        if let Some(heard) = self.anywhere(line, &lower) {
            return heard;
        }
        match self.ask {
            Some(Ask::StopPoint(ask)) => self.stop(ask, line),
            Some(Ask::Failure(ask)) => Self::failure(ask, &lower),
            Some(Ask::Confirm(ask)) => self.confirm(ask, line),
            Some(Ask::Manual(ask)) => self.manual(ask, line),
            Some(Ask::Held(_)) => match lower.as_str() {
                "" => Heard::Not("still held".into()),
                _ => self.say(Intent::Release { typed: line.to_owned() }),
            },
            None if line.is_empty() => Heard::Status,
            None => Heard::Not(format!("`{line}`: nothing is asked now (hold, status, note, log, help, leave)")),
        }
    }

    fn say(&self, intent: Intent) -> Heard {
        Heard::Say { who: self.operator.clone(), intent }
    }

    fn anywhere(&self, line: &str, lower: &str) -> Option<Heard> {
        let standing = |act: Act| self.standing.iter().find(|choice| choice.act == act).cloned();
        let (first, rest) = split(line);
        Some(match first.to_lowercase().trim_end_matches(':') {
            "help" | "?" => Heard::Help,
            "leave" | "quit" | "exit" if rest.is_empty() => Heard::Leave,
            "note" if rest.is_empty() => Heard::Not("note what? type: note TEXT".into()),
            "note" => self.say(Intent::Note { text: rest.to_owned(), step: None, via: None }),
            "log" => Heard::Log(rest.parse().ok().or_else(|| self.ask.and_then(|ask| ask.id().step.clone()))),
            _ => match lower {
                "rollback" | "roll back" => match standing(Act::RollBack) {
                    Some(choice) => Heard::Stage(Stage::Word(choice)),
                    None => Heard::Not("there is no way back here: nothing is changed, or it is closed".into()),
                },
                "abort" => Heard::Stage(Stage::Word(standing(Act::Abort)?)),
                _ => return None,
            },
        })
    }

    fn named<'l>(&self, line: &'l str) -> (Option<(PersonId, bool)>, &'l str) {
        named(self.state.outline.as_ref().map_or(&[], |outline| &outline.people), line)
    }

    fn stop(&self, ask: &StopAsk, line: &str) -> Heard {
        let line = line.strip_prefix("vote ").unwrap_or(line);
        let (named, rest) = self.named(line);
        let (word, reason) = because(rest);
        let word = decision(word);
        let step = ask.step.clone();
        if !matches!(word.as_str(), "go" | "no-go") {
            return Heard::Not(if line.is_empty() {
                "nothing starts until it is decided: go or no-go".into()
            } else {
                format!("`{line}` is no answer here: go or no-go, NAME go for a vote")
            });
        }
        let (who, votes) = match named {
            None => (ask.decides.clone(), false),
            // Their own word is a decision where it is theirs to take; else it can only be a vote.
            Some((who, own)) => {
                let lead = self.state.outline.as_ref().is_some_and(|outline| outline.lead == who);
                let decides = who == ask.decides || lead;
                let votes = if own { !decides } else { ask.voters.contains(&who) || !decides };
                (who, votes)
            }
        };
        let typed = word.clone();
        let intent = match (votes, word == "go") {
            (true, go) => Intent::Vote { step, go, reason, opening: None, via: None },
            (false, true) => Intent::Go { step, typed, reason },
            (false, false) => Intent::NoGo { step, typed, reason },
        };
        Heard::Say { who, intent }
    }

    fn failure(ask: &FailAsk, lower: &str) -> Heard {
        if ask.looking {
            return Heard::Not("it is being looked at; the choice comes after that".into());
        }
        let number = lower.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).and_then(|i| ask.choices.get(i));
        let named = |choice: &&Choice| {
            choice.label.to_lowercase() == lower
                || choice.word == Some(lower)
                || lower.len() == 1 && lower.starts_with(choice.key)
        };
        let Some(choice) = number.or_else(|| ask.choices.iter().find(named)) else {
            let words = ask.choices.iter().map(|choice| choice.label.to_lowercase()).collect::<Vec<_>>().join(", ");
            return Heard::Not(match lower {
                "" => "nothing happens until something is chosen".into(),
                _ => format!("`{lower}` is no choice: 1 to {}, or {words}", ask.choices.len()),
            });
        };
        match choice.act {
            Act::Hold => Heard::Not("holding: nothing happens until something is chosen".into()),
            Act::Log => Heard::Log(choice.step.clone()),
            Act::Retry | Act::ByHand | Act::Skip | Act::RollBack | Act::Abort => {
                Heard::Stage(Stage::Word(choice.clone()))
            }
        }
    }

    fn word(&self, choice: &Choice, line: &str) -> Heard {
        if line.is_empty() {
            return Heard::Stage(Stage::Top);
        }
        let (word, reason) = because(line);
        let wanted = choice.word.unwrap_or_default();
        if word != wanted {
            return Heard::Not(format!("typed `{word}`; the word is `{wanted}`, an empty line goes back"));
        }
        match (reason, &choice.reason) {
            (None, Reason::Needed(_)) => Heard::Stage(Stage::Why(choice.clone())),
            (reason, _) => self.decide(choice, word.to_owned(), reason),
        }
    }

    fn why(&self, choice: &Choice, line: &str) -> Heard {
        if line.is_empty() {
            return Heard::Stage(Stage::Top);
        }
        self.decide(choice, choice.word.unwrap_or_default().to_owned(), Some(line.to_owned()))
    }

    fn decide(&self, choice: &Choice, typed: String, reason: Option<String>) -> Heard {
        let told = reason.clone().unwrap_or_default();
        let intent = match (choice.act, choice.step.clone()) {
            (Act::Retry, Some(step)) => Intent::Retry { step, typed, reason },
            (Act::ByHand, Some(step)) => Intent::ByHand { step, reason: told },
            (Act::Skip, Some(step)) => Intent::Skip { step, typed, reason: told },
            (Act::RollBack, _) => Intent::RollBack { typed, reason },
            (Act::Abort, _) => Intent::Abort { typed, reason },
            (Act::Hold | Act::Log | Act::Retry | Act::ByHand | Act::Skip, _) => Intent::Hold,
        };
        self.say(intent)
    }

    fn confirm(&self, ask: &ConfirmAsk, line: &str) -> Heard {
        if line.is_empty() {
            return Heard::Not("waiting: nothing happens until it is confirmed".into());
        }
        let (named, typed) = self.named(line);
        let who = named.map_or_else(|| self.operator.clone(), |(who, _)| who);
        if ask.id.kind != AskKind::UndoConfirm && ask.confirmed.contains(&who) {
            return Heard::Not(format!("{who} has confirmed; a second person is needed: as NAME: {}", ask.word));
        }
        Heard::Say { who, intent: Intent::Confirm { step: ask.step.clone(), typed: typed.to_owned() } }
    }

    fn manual(&self, ask: &ManualAsk, line: &str) -> Heard {
        let (named, rest) = self.named(line);
        let who = named.map_or_else(|| ask.owner.clone(), |(who, _)| who);
        let step = ask.step.clone();
        if let Some((number, on)) = ticked(rest) {
            // Nothing is counted from 0; the core says how many there are.
            return match number.checked_sub(1) {
                Some(item) => Heard::Say { who, intent: Intent::Tick { step, item, on } },
                None => Heard::Not(format!("`{line}`: the checklist begins with 1")),
            };
        }
        let (done, reason) = because(rest);
        let (word, value) = split(done);
        if !word.eq_ignore_ascii_case("done") {
            return Heard::Not(if line.is_empty() {
                format!("waiting for {}", ask.owner)
            } else {
                let tick = if ask.checklist.is_empty() { "" } else { "NUMBER, " };
                format!("`{line}` is no answer here: {tick}done, or done VALUE")
            });
        }
        let value = Some(value.trim_start_matches(':').trim().to_owned()).filter(|value| !value.is_empty());
        Heard::Say { who, intent: Intent::OwnerDone { step, value, reason } }
    }
}

/// Looks at a line that is given before a step asks: one of its questions has to take it.
///
/// # Errors
/// What the step takes, completes "it takes …"; `None` where it asks nothing.
pub fn answers(outline: &Outline, step: &StepOutline, line: &str) -> Result<(), Option<String>> {
    let line = line.trim();
    let line = line.strip_prefix("vote ").filter(|_| step.stop.is_some()).unwrap_or(line);
    let (_, word) = named(&outline.people, line);
    let confirm = outline.env.confirm.as_str();
    let by_hand = [Leg::Forward, Leg::Back].into_iter().any(|leg| step.by_hand(leg));
    let done = split(because(word).0).0.eq_ignore_ascii_case("done") || ticked(word).is_some();
    let takes = [
        (step.stop.is_some(), matches!(decision(because(word).0).as_str(), "go" | "no-go"), "go or no-go"),
        (step.no_return || step.people > 1, word == confirm, confirm),
        (by_hand, done, "done"),
        (step.undoable(), word == "undo", "undo"),
    ];
    let takes: Vec<(bool, &str)> = takes.into_iter().filter(|it| it.0).map(|(_, fits, words)| (fits, words)).collect();
    if takes.iter().any(|(fits, _)| *fits) {
        return Ok(());
    }
    let words: Vec<&str> = takes.iter().map(|(_, words)| *words).collect();
    Err((!words.is_empty()).then(|| words.join(", ")))
}

/// `mira: go`, `as mira: go`, `mira go`: the person, and whether the colon made it their own word.
fn named<'l>(people: &[Person], line: &'l str) -> (Option<(PersonId, bool)>, &'l str) {
    let known = |name: &str| people.iter().find(|person| person.id.as_str() == name).map(|person| person.id.clone());
    let bare = line.strip_prefix("as ").unwrap_or(line);
    if let Some((name, rest)) = bare.split_once(':')
        && let Some(person) = known(name.trim())
    {
        return (Some((person, true)), rest.trim());
    }
    let (name, rest) = split(bare);
    match known(name) {
        Some(person) if !rest.is_empty() => (Some((person, bare.len() < line.len())), rest),
        _ => (None, line),
    }
}

/// `go`, `no-go` in its spellings, or whatever else was typed.
fn decision(word: &str) -> String {
    match word.to_lowercase().as_str() {
        "nogo" | "no go" => "no-go".to_owned(),
        lower => lower.to_owned(),
    }
}

/// `2`, `tick 2`: done; `-2`, `untick 2`: not done after all.
fn ticked(text: &str) -> Option<(usize, bool)> {
    let (word, rest) = split(text);
    let (number, on) = match word.to_lowercase().as_str() {
        "tick" => (rest, true),
        "untick" => (rest, false),
        _ => text.strip_prefix('-').map_or((text, true), |number| (number, false)),
    };
    number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok()).flatten().map(|number| (number, on))
}

/// The first word, and the rest without spaces around it.
fn split(line: &str) -> (&str, &str) {
    line.split_once(char::is_whitespace).map_or((line, ""), |(first, rest)| (first, rest.trim()))
}

/// `go because the lag is known` → `go`, and the reason.
fn because(line: &str) -> (&str, Option<String>) {
    match line.split_once(" because ") {
        Some((word, reason)) if !reason.trim().is_empty() => (word.trim(), Some(reason.trim().to_owned())),
        _ => (line.trim(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_apart() {
        assert_eq!(split("done 0/1A2B"), ("done", "0/1A2B"));
        assert_eq!(split("go"), ("go", ""));
        assert_eq!(because("go because  lag is known "), ("go", Some("lag is known".into())));
        assert_eq!(because("go because "), ("go because", None));
        assert_eq!(because("no-go"), ("no-go", None));
        assert_eq!(
            [ticked("2"), ticked("tick 2"), ticked("-2"), ticked("untick 2")].map(Option::unwrap),
            [(2, true), (2, true), (2, false), (2, false)]
        );
        assert_eq!([ticked(""), ticked("tick"), ticked("2x"), ticked("done"), ticked("--2")], [None; 5]);
    }
}

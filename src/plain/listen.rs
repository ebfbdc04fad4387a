//! The half of the loop that listens: which line is taken when, what it leads to, and who answers
//! where nobody types.

use std::time::Duration;

use super::{
    command::{Heard, Moment, Stage},
    lines, status, typed,
    view::{Loop, Pending},
};
use crate::{
    base::{PersonId, StepId},
    board::{Ask, Board, Reason},
    log::{Answer, Said},
    run::{HoldWhy, Intent, Refusal},
};

/// How long a scripted `go` waits for criteria to become green before it is given as it is.
const PATIENCE: Duration = Duration::from_secs(60);

const HELP: [&str; 6] = [
    "anywhere: hold, status, log [STEP], note TEXT, rollback, abort, leave (hold and end this process), help",
    "at a stop point: go, no-go, go because REASON; NAME go is a vote, NAME: go is that person's decision",
    "at a failure: the number or the word of a choice, then its word, then why where something is lost",
    "at a confirmation: the word; a second person: as NAME: WORD",
    "at a step done by hand: the number of what is done (-NUMBER takes it back); done, or done VALUE [because REASON]",
    "while held: go",
];

impl Loop {
    /// Takes one typed or given line, where one can be taken now; true where the moment has changed.
    pub(super) fn listen(&mut self) -> bool {
        // Before the run is opened nobody knows who types; the line waits.
        let waits = self.pending.is_some() || self.left || self.in_the_past();
        if waits || self.state.ended.is_some() || self.state.operator.is_none() {
            return false;
        }
        if let Some(word) = self.given() {
            let prompt = self.prompt_word().unwrap_or_default();
            self.line(&format!("{prompt}{word} (given before)"));
            self.hear(&word, None);
            return true;
        }
        let Some(desk) = &mut self.desk else { return false };
        if let Some(line) = desk.typed.peek().cloned() {
            if desk.typed.live {
                desk.typed.take();
                self.prompted = false;
                self.live(&line);
                return true;
            }
            if !self.script_may_go_on(&line.text) {
                return false;
            }
            if let Some(desk) = &mut self.desk {
                desk.typed.take();
            }
            if !line.again {
                let prompt = self.prompt_word().unwrap_or("> ");
                self.line(&format!("{prompt}{}", line.text));
            }
            let text = line.text.clone();
            self.hear(&text, Some(line));
            return true;
        }
        if desk.typed.ended() && self.ask.is_some() && !self.answered_elsewhere() && !self.given_waits() {
            self.line("nobody is there to answer: the run holds and can be resumed");
            self.leave(HoldWhy::Left);
            return true;
        }
        false
    }

    /// True while only what older processes recorded was read.
    pub(super) fn in_the_past(&self) -> bool {
        self.desk.is_some() && self.cursor <= self.past
    }

    /// The output takes nothing and the log was not read to its end: only a hold is sure to be meant.
    pub(super) fn listen_while_blocked(&mut self) -> bool {
        if self.pending.is_some() || self.left {
            return false;
        }
        let Some(desk) = &mut self.desk else { return false };
        let (live, Some(line)) = (desk.typed.live, desk.typed.peek().cloned()) else { return false };
        let hold = line.text.trim().eq_ignore_ascii_case("hold");
        if !hold && !live {
            return false;
        }
        desk.typed.take();
        if hold {
            self.hear(&line.text, None);
        } else {
            self.line(&format!("`{}` was typed while the output was blocked; type it again", line.text));
        }
        true
    }

    /// A word given before for the step that is asked about.
    fn given(&mut self) -> Option<String> {
        let at = self.given_at()?;
        let word = self.desk.as_ref()?.confirm[at].1.clone();
        if self.too_early(&word) {
            return None;
        }
        self.desk.as_mut().map(|desk| desk.confirm.remove(at).1)
    }

    /// True where such a word only waits for the criteria.
    fn given_waits(&self) -> bool {
        self.given_at().is_some()
    }

    fn given_at(&self) -> Option<usize> {
        let step = match self.ask.as_ref()? {
            Ask::StopPoint(ask) => &ask.step,
            Ask::Confirm(ask) => &ask.step,
            Ask::Manual(ask) => &ask.step,
            Ask::Failure(_) | Ask::Held(_) => return None,
        };
        self.desk.as_ref()?.confirm.iter().position(|(name, _)| name == step)
    }

    /// True where the next line of a script is for now: lines are for questions, in order; what needs no
    /// question is done at once.
    fn script_may_go_on(&self, line: &str) -> bool {
        let free = ["hold", "status", "note", "log", "help", "leave", "rollback", "abort"];
        let first = line.split_whitespace().next().unwrap_or_default().trim_end_matches(':');
        match &self.ask {
            // While something runs it would be refused, and the lines behind it would answer other questions.
            None if first == "rollback" => lines::at_work(&self.state).next().is_none(),
            None => free.contains(&first),
            Some(Ask::Failure(ask)) if ask.looking => free.contains(&first),
            Some(_) => self.early.is_none_or(|at| self.cursor > at) && !self.too_early(line),
        }
    }

    /// A go that was written down beforehand waits for the criteria, as a person would.
    fn too_early(&self, line: &str) -> bool {
        let Some(Ask::StopPoint(ask)) = &self.ask else { return false };
        let green = ask.checks.iter().all(|check| check.ok == Some(true));
        let looked = ask.checks.iter().all(|check| check.ok.is_some());
        let last = line.rsplit(':').next().unwrap_or_default().trim();
        let patient = self.waited() < PATIENCE;
        match () {
            () if last == "go" => !green && (patient || !looked),
            () if last.starts_with("go because ") => !looked,
            () => false,
        }
    }

    fn waited(&self) -> Duration {
        let since = self.ask.as_ref().map(|ask| ask.id().since).unwrap_or_default();
        self.playhead.now().elapsed.since(since)
    }

    /// True where the run answers itself (`--auto-go`), or is about to: criteria that are still red.
    fn answered_elsewhere(&self) -> bool {
        let step = self.ask.as_ref().and_then(|ask| ask.id().step.clone());
        let patience = step.and_then(|id| self.state.step(&id).map(|(step, _)| step.timeout)).unwrap_or(PATIENCE);
        match &self.ask {
            Some(Ask::Failure(ask)) if ask.looking => true,
            Some(Ask::StopPoint(ask)) => {
                self.state.auto_go && self.state.hold.is_none() && ask.no_go.is_none() && self.waited() < patience
            }
            _ => false,
        }
    }

    /// A line of a person at a terminal.
    fn live(&mut self, line: &typed::Line) {
        let word = line.text.trim().to_lowercase();
        let at_once = matches!(word.as_str(), "hold" | "status") || word.starts_with("note ");
        if at_once || self.dialog.can_hear(line.at) {
            let text = line.text.clone();
            self.hear(&text, None);
        } else {
            self.line(&format!("`{}` was typed before the question could be read; type it again", line.text));
        }
    }

    fn hear(&mut self, text: &str, again: Option<typed::Line>) {
        let Some(operator) = self.state.operator.clone() else { return };
        let standing = Board::of(&self.state, self.playhead.now(), &self.face).choices;
        let moment = Moment {
            state: &self.state,
            ask: self.ask.as_ref(),
            standing: &standing,
            stage: self.dialog.stage(),
            operator: &operator,
        };
        match moment.hear(text) {
            Heard::Say { who, intent } => self.say(who, operator, intent, again),
            Heard::Leave => {
                self.line("leaving: the step at work comes to its end, then the run holds and can be resumed");
                self.leave(HoldWhy::Left);
            }
            Heard::Status => {
                for line in status::status(&self.state, self.playhead.now(), &self.face) {
                    self.line(&line);
                }
            }
            Heard::Log(step) => self.show_log(step),
            Heard::Help => HELP.iter().for_each(|line| self.line(line)),
            Heard::Stage(stage) => self.go_to(stage),
            Heard::Not(why) => self.line(&why),
        }
    }

    fn go_to(&mut self, stage: Stage) {
        match &stage {
            Stage::Top => self.line("holding: nothing was done"),
            Stage::Word(choice) => super::question::choice(choice).iter().for_each(|line| self.line(line)),
            Stage::Why(choice) => {
                if let Reason::Needed(what) = &choice.reason {
                    self.line(&format!("Why? It is recorded: {what}."));
                }
            }
        }
        self.dialog.set_stage(stage);
    }

    fn show_log(&mut self, step: Option<StepId>) {
        let step =
            step.or_else(|| lines::at_work(&self.state).next().map(|(i, _, _)| self.state.outlines()[i].id.clone()));
        let Some(step) = step else { return self.line("log of which step? type: log STEP") };
        let log: Vec<String> = self.progress.log(&step).cloned().collect();
        if log.is_empty() {
            self.line(&format!("step {} has no log", lines::number(&self.state, &step)));
        }
        log.iter().for_each(|line| self.line(line));
    }

    fn say(&mut self, who: PersonId, typed_by: PersonId, intent: Intent, again: Option<typed::Line>) {
        let Some(desk) = &self.desk else { return };
        // Whatever comes of it, the question is asked from its beginning again.
        self.dialog.set_stage(Stage::Top);
        match desk.sender.say(Said::Intent { who, typed_by, intent }) {
            Some(answer) => self.pending = Some(Pending { answer, again }),
            None => self.line("the run does not listen now; try again"),
        }
    }

    pub(super) fn answered(&mut self, answer: Answer) {
        let again = self.pending.take().and_then(|pending| pending.again);
        match answer {
            Ok(()) => {}
            Err(Refusal::Over | Refusal::HeldAlready) if self.left => {}
            Err(Refusal::CriteriaPending(_)) if again.is_some() => {
                self.early = Some(self.cursor);
                if let (Some(desk), Some(line)) = (&mut self.desk, again) {
                    desk.typed.put_back(line);
                }
            }
            Err(Refusal::NeedsReason(what)) => {
                let word = if matches!(self.ask, Some(Ask::Manual(_))) { "done" } else { "go" };
                self.line(&format!("refused: it needs a reason ({what}). Type it behind the word: {word} because …"));
            }
            Err(refusal) => self.line(&format!("refused: {refusal}")),
        }
    }
}

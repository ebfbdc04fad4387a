//! The loop: what happened goes out, what is typed goes in. Nothing here waits for the output.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Desk, Outcome, Sink, View, command::Stage, dialog::Dialog, lines, progress::Progress, question, typed};
use crate::{
    base::Stamp,
    board::{Ask, Board, Face},
    log::{Answer, EventLog, Playhead, Said},
    run::{Envelope, Event, HoldWhy, Refusal, RunState, auto_answer},
};

/// How often the clock is looked at: for progress, and for a playhead that moves by time.
const TICK: Duration = Duration::from_secs(1);
pub(super) struct Loop {
    pub(super) log: EventLog,
    pub(super) playhead: std::sync::Arc<dyn Playhead>,
    pub(super) face: Face,
    pub(super) talk: Sink,
    pub(super) data: Option<Sink>,
    pub(super) desk: Option<Desk>,
    pub(super) state: RunState,
    pub(super) cursor: usize,
    /// So much of the log happened before this process.
    pub(super) past: usize,
    /// Where it was last looked whether something is asked.
    looked: Option<usize>,
    pub(super) progress: Progress,
    pub(super) dialog: Dialog,
    pub(super) ask: Option<Ask>,
    pub(super) pending: Option<Pending>,
    /// A prompt stands at the end of the last line.
    pub(super) prompted: bool,
    pub(super) anchor: String,
    /// A line was too early at this place of the log; it is taken again further on.
    pub(super) early: Option<usize>,
    pub(super) left: bool,
    pub(super) lost: bool,
}

/// Something was said; its answer is on the way.
pub(super) struct Pending {
    pub(super) answer: oneshot::Receiver<Answer>,
    /// The line, to be said again where the criteria were not looked at yet.
    pub(super) again: Option<typed::Line>,
}

impl Loop {
    pub(super) fn new(view: View) -> Self {
        let View { log, playhead, face, talk, data, desk } = view;
        let past = if desk.is_some() { log.len() } else { 0 };
        Self {
            past,
            looked: None,
            log,
            playhead,
            face,
            talk,
            data,
            desk,
            state: RunState::default(),
            cursor: 0,
            progress: Progress::default(),
            dialog: Dialog::default(),
            ask: None,
            pending: None,
            prompted: false,
            anchor: String::new(),
            early: None,
            left: false,
            lost: false,
        }
    }

    pub(super) async fn run(mut self) -> Outcome {
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.drain();
            self.look_at_outputs();
            let read_all = self.cursor == self.log.len();
            if (read_all && self.log.closed()) || (self.lost && self.desk.is_none()) {
                break;
            }
            if read_all && !self.lost {
                self.turn_to_question();
                if self.listen() {
                    continue;
                }
            } else if !self.lost && !self.has_room() && self.listen_while_blocked() {
                continue;
            }
            let log = self.log.clone();
            let cursor = self.cursor;
            // Where the output is behind, the log keeps what comes.
            let may_read = self.has_room() && self.playhead.visible(&self.log) >= cursor;
            let behind = !self.talk.settled();
            let data_behind = self.data.as_ref().is_some_and(|data| !data.settled());
            tokio::select! {
                () = log.changed(cursor), if may_read && cursor == log.len() => {}
                () = self.talk.moved(), if behind => {}
                () = moved(&mut self.data), if data_behind => {}
                () = arrived(&mut self.desk), if !self.lost && self.desk.as_ref().is_some_and(|desk| desk.typed.can_wait()) => {}
                answer = answered(&mut self.pending) => self.answered(answer),
                _ = tick.tick() => self.tick(),
            }
        }
        self.finish().await
    }

    pub(super) fn has_room(&self) -> bool {
        self.talk.has_room() && self.data.as_ref().is_none_or(Sink::has_room)
    }

    /// Everything that is visible and fits goes out.
    fn drain(&mut self) {
        loop {
            let until = self.playhead.visible(&self.log);
            if until <= self.cursor || !(self.has_room() || self.lost) {
                return;
            }
            // A few at a time: one event is a handful of lines, and the backlog is bounded.
            for envelope in self.log.read(self.cursor, until.min(self.cursor + 64)) {
                self.cursor += 1;
                self.tell(&envelope);
            }
        }
    }

    fn tell(&mut self, envelope: &Envelope) {
        let at = envelope.stamp();
        if self.cursor <= self.past {
            self.recall(envelope);
            return;
        }
        if let Some(data) = &mut self.data
            && let Ok(mut json) = envelope.encode()
        {
            json.push(b'\n');
            data.push(json);
        }
        // Only what compares with the moment before needs a copy of it, and such a moment is small.
        let before = lines::compares(&envelope.event).then(|| self.state.clone());
        self.state.evolve(&envelope.event, at);
        let progress = self.progress.take(&self.state, &envelope.event, at);
        let told = lines::lines(before.as_ref().unwrap_or(&self.state), &self.state, envelope, &self.face);
        let heads = matches!(envelope.event, Event::Opened(_));
        for line in progress.into_iter().chain(told) {
            if heads {
                self.line(&line);
            } else {
                self.stamped(at, &line);
            }
        }
    }

    /// What happened before this process is known, not told again: its heading, and where it stands.
    fn recall(&mut self, envelope: &Envelope) {
        self.state.evolve(&envelope.event, envelope.stamp());
        let _told_when_it_was_new = self.progress.take(&self.state, &envelope.event, envelope.stamp());
        if matches!(envelope.event, Event::Opened(_)) {
            for line in lines::lines(&self.state, &self.state, envelope, &self.face) {
                self.line(&line);
            }
        }
        if self.cursor == self.past {
            let settled = self.state.steps.iter().filter(|step| step.forward.state.settled()).count();
            let (all, events) = (self.state.steps.len(), self.past);
            self.line(&format!("{settled} of {all} steps are settled; gonogo replay tells the {events} events so far"));
        }
    }

    fn stamped(&mut self, at: Stamp, line: &str) {
        let clock = self.face.clock(at);
        self.line(&format!("{clock} {line}"));
    }

    /// A line of its own, whatever stands in the last one.
    pub(super) fn line(&mut self, text: &str) {
        let begin = if std::mem::take(&mut self.prompted) { "\n" } else { "" };
        self.talk.push(format!("{begin}{text}\n"));
    }

    fn look_at_outputs(&mut self) {
        let lost = self.talk.lost() | self.data.as_mut().is_some_and(Sink::lost);
        if lost || self.lost {
            self.lost = true;
            self.leave(HoldWhy::TerminalLost);
        }
    }

    pub(super) fn leave(&mut self, why: HoldWhy) {
        if let Some(desk) = &self.desk
            && !self.left
        {
            // Where it is not taken now, it is said again in the next round.
            self.pending = desk.sender.say(Said::Leave(why)).map(|answer| Pending { answer, again: None });
            self.left = self.pending.is_some();
        }
    }

    /// Asks what is to be asked now, once.
    fn turn_to_question(&mut self) {
        if self.desk.is_none() || self.left || self.in_the_past() {
            return;
        }
        // Looking walks over every step, and the loop turns for every byte written: without a new event
        // nothing new is asked. An open question is looked at again, for what changes with time.
        if self.ask.is_none() && self.looked.replace(self.cursor) == Some(self.cursor) {
            self.prompt();
            return;
        }
        let asks = self.state.ended.is_none()
            && self.cursor > self.past
            && (self.state.blocked() || self.state.awaiting_owner().next().is_some())
            && auto_answer(&self.state).is_none();
        self.ask = if asks { Board::of(&self.state, self.playhead.now(), &self.face).ask } else { None };
        // Criteria that nobody has looked at yet: with --auto-go the answer may come by itself.
        if let (true, Some(Ask::StopPoint(stop))) = (self.state.auto_go, &self.ask)
            && stop.checks.iter().any(|check| check.ok.is_none())
        {
            self.ask = None;
        }
        if !self.dialog.turn_to(self.ask.as_ref()) {
            self.prompt();
            return;
        }
        if let Some(ask) = self.ask.clone() {
            for line in question::lines(&ask) {
                self.line(&line);
            }
            if matches!(ask, Ask::StopPoint(_)) {
                self.anchor_line();
            }
            // A step by hand runs beside others: what is being typed may be a hold.
            if !matches!(ask, Ask::Manual(_))
                && let Some(desk) = &self.desk
            {
                desk.typed.discard_half_typed();
            }
        }
        self.prompt();
    }

    /// The journal's newest anchor, once.
    fn anchor_line(&mut self) {
        let anchor = self.log.anchor();
        if !anchor.is_empty() && anchor != self.anchor {
            self.line(&format!("Anchor: {anchor} (paste it into the chat; it proves the record up to here)"));
            self.anchor = anchor;
        }
    }

    pub(super) fn prompt_word(&self) -> Option<&'static str> {
        match self.dialog.stage() {
            Stage::Word(_) => Some("confirm> "),
            Stage::Why(_) => Some("why> "),
            Stage::Top => self.ask.as_ref().map(question::prompt),
        }
    }

    /// Stands before what a person types. A script's lines are written behind it when they are taken.
    fn prompt(&mut self) {
        let live = self.desk.as_ref().is_some_and(|desk| desk.typed.live);
        if live
            && !self.prompted
            && self.pending.is_none()
            && let Some(word) = self.prompt_word()
        {
            self.talk.push(word);
            self.prompted = true;
        }
        if self.dialog.unread() && self.talk.settled() {
            self.dialog.show(typed::now());
        }
    }

    fn tick(&mut self) {
        // A view that is behind would say of an old moment what the clock says now.
        if self.desk.is_none() || self.lost || self.cursor < self.log.len() {
            return;
        }
        let now = self.playhead.now();
        for line in self.progress.tick(&self.state, now) {
            self.stamped(now, &line);
        }
        if matches!(self.ask, Some(Ask::StopPoint(_))) && !self.left {
            self.anchor_line();
        }
    }

    async fn finish(mut self) -> Outcome {
        if std::mem::take(&mut self.prompted) {
            self.talk.push("\n");
        }
        let mut kept = self.talk.finish().await;
        if let Some(data) = self.data {
            kept &= data.finish().await;
        }
        Outcome { state: self.state, lost: self.lost || !kept }
    }
}

async fn moved(data: &mut Option<Sink>) {
    match data {
        Some(data) => data.moved().await,
        None => std::future::pending().await,
    }
}

async fn arrived(desk: &mut Option<Desk>) {
    match desk {
        Some(desk) => desk.typed.arrived().await,
        None => std::future::pending().await,
    }
}

/// The answer to what was said; waits for ever while nothing was.
async fn answered(pending: &mut Option<Pending>) -> Answer {
    match pending {
        // A conductor that is gone has answered by closing its log.
        Some(pending) => (&mut pending.answer).await.unwrap_or(Err(Refusal::Over)),
        None => std::future::pending().await,
    }
}

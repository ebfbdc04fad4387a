//! How far running steps are: a line at most every minute, or when another quarter is done.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::lines::at_work;
use crate::{
    base::{Elapsed, Stamp, StepId, short_duration},
    run::{Event, RunState},
};

/// A listener is told that a step still runs this often.
const QUIET: Duration = Duration::from_secs(60);
/// Percent of a band; a step that enters another band is told of.
const BAND: u8 = 25;
/// Lines of an attempt's log that `log` can show.
const KEPT: usize = 40;

/// What was last said about running steps, and the ends of their logs.
#[derive(Debug, Default)]
pub(super) struct Progress {
    said: HashMap<StepId, (u8, Elapsed)>,
    logs: HashMap<StepId, VecDeque<String>>,
}

impl Progress {
    /// Takes an event in; a line where another band was entered.
    pub(super) fn take(&mut self, state: &RunState, event: &Event, at: Stamp) -> Option<String> {
        match event {
            Event::AttemptStarted { step, .. } => {
                self.said.insert(step.clone(), (0, at.elapsed));
                self.logs.remove(step);
                None
            }
            Event::AttemptEnded { step, .. } => {
                self.said.remove(step);
                None
            }
            Event::Line { step, text, .. } => {
                self.keep(step, text);
                None
            }
            Event::Progressed { step, percent, text, .. } => {
                self.keep(step, text);
                let (band, last) = self.said.get(step).copied().unwrap_or_default();
                let now = percent / BAND;
                if now == band && at.elapsed.since(last) < QUIET {
                    return None;
                }
                self.said.insert(step.clone(), (now, at.elapsed));
                line(state, step, at)
            }
            _ => None,
        }
    }

    /// Lines about steps that were silent for a minute.
    pub(super) fn tick(&mut self, state: &RunState, now: Stamp) -> Vec<String> {
        let mut lines = Vec::new();
        for (i, _, _) in at_work(state) {
            let id = &state.outlines()[i].id;
            if let Some((_, last)) = self.said.get_mut(id)
                && now.elapsed.since(*last) >= QUIET
            {
                *last = now.elapsed;
                lines.extend(line(state, id, now));
            }
        }
        lines
    }

    fn keep(&mut self, step: &StepId, text: &str) {
        let log = self.logs.entry(step.clone()).or_default();
        if log.len() == KEPT {
            log.pop_front();
        }
        log.push_back(text.to_owned());
    }

    /// The end of a step's log, oldest first.
    pub(super) fn log(&self, step: &StepId) -> impl Iterator<Item = &String> {
        self.logs.get(step).into_iter().flatten()
    }
}

/// `step 11 running 2m00 of 5m00, 50 %. 4 of 6 tasks running`
fn line(state: &RunState, id: &StepId, now: Stamp) -> Option<String> {
    let (step, run) = state.step(id)?;
    let (i, _, since) = at_work(state).find(|(i, _, _)| state.outlines()[*i].id == *id)?;
    let spent = short_duration(now - since);
    let percent = run.percent.map(|percent| format!(", {percent} %")).unwrap_or_default();
    let tail = if run.tail.is_empty() { String::new() } else { format!(" {}", run.tail) };
    Some(format!("step {} running {spent} of {}{percent}.{tail}", i + 1, short_duration(step.planned)))
}

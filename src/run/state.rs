//! Where a run stands: the fold of its events. [`RunState::evolve`] is the only thing that changes it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    agenda::Agenda,
    event::{Ending, HoldWhy, Settlement},
    fact::{Finding, Identity},
    hands::Tick,
    outline::{Outline, StepOutline},
    vote::Ballot,
};
use crate::base::{Elapsed, Failure, PersonId, RunId, Stamp, StepId, WatchId};

/// A whole run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunState {
    /// What will be done; `None` before the run is opened.
    pub outline: Option<Arc<Outline>>,
    /// The run's name.
    pub run: Option<RunId>,
    /// Who is at the keyboard.
    pub operator: Option<PersonId>,
    /// Go is answered by itself.
    pub auto_go: bool,
    /// When it was opened.
    pub opened: Option<Stamp>,
    /// When the last event happened.
    pub last: Option<Stamp>,
    /// The steps, in the order of the outline.
    pub steps: Vec<StepRun>,
    /// Positions by id.
    pub(super) index: HashMap<StepId, usize>,
    /// Where to look, so that a step costs the same in a run of ten and of two thousand.
    pub(super) agenda: Agenda,
    /// Nothing new starts.
    pub hold: Option<Hold>,
    /// The point of no return, once crossed.
    pub crossed: Option<Crossing>,
    /// Going back, once begun.
    pub rollback: Option<RollbackRun>,
    /// The watches, in the order of the outline.
    pub watches: Vec<WatchRun>,
    /// What people wrote down.
    pub notes: Vec<Note>,
    /// Who we are at the other ends.
    pub identities: Vec<Identity>,
    /// How it ended.
    pub ended: Option<Ending>,
    /// Writes are frozen.
    pub freeze: Clock,
    /// Users see an outage.
    pub downtime: Clock,
}

/// A clock that is started and stopped by steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    /// Running since.
    pub since: Option<Elapsed>,
    /// Time of finished stretches.
    pub total: Duration,
}

impl Clock {
    /// Starts it, where it stands.
    pub(super) fn start(&mut self, now: Stamp) {
        self.since.get_or_insert(now.elapsed);
    }

    /// Stops it, where it runs.
    pub(super) fn stop(&mut self, now: Stamp) {
        if let Some(since) = self.since.take() {
            self.total += now.elapsed.since(since);
        }
    }

    /// Time on the clock.
    #[must_use]
    pub fn read(&self, now: Elapsed) -> Duration {
        self.total + self.since.map_or(Duration::ZERO, |since| now.since(since))
    }
}

/// Why and since when nothing new starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Why.
    pub why: HoldWhy,
    /// Who, where it was a person.
    pub by: Option<PersonId>,
    /// Since when.
    pub since: Stamp,
}

/// The point of no return, crossed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// The step.
    pub step: StepId,
    /// When.
    pub at: Stamp,
    /// Who confirmed.
    pub by: Vec<PersonId>,
}

/// Going back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackRun {
    /// Positions of the steps, in the order of undoing.
    pub order: Vec<usize>,
    /// What cannot be undone, and why.
    pub left: Vec<(StepId, String)>,
    /// Since when.
    pub since: Stamp,
}

/// Something somebody wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Who.
    pub who: PersonId,
    /// When.
    pub at: Stamp,
    /// What.
    pub text: String,
    /// About which step.
    pub step: Option<StepId>,
}

/// One step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepRun {
    /// Doing it.
    pub forward: LegRun,
    /// Taking it back, once a rollback has begun.
    pub back: Option<LegRun>,
    /// Every attempt, in order.
    pub attempts: Vec<AttemptRun>,
    /// What its action captured, first one wins: that is what was there before the run touched it.
    pub captured: Option<Json>,
    /// The evidence of what it did.
    pub evidence: Json,
    /// What it says it did, or saw.
    pub line: Option<String>,
    /// Its action may have changed the world (an intent was written).
    pub touched: bool,
    /// The criteria of its stop point.
    pub criteria: Vec<Criterion>,
    /// Rounds of looking at the criteria that were begun.
    pub round: u32,
    /// How often its stop point's question was opened: once when it was asked, and anew by every no-go. A vote
    /// for an earlier opening never counts.
    pub opening: u32,
    /// The last go or no-go at its stop point.
    pub answer: Option<(PersonId, bool, Stamp)>,
    /// The last vote of each person, in the order in which they came.
    pub votes: Vec<Ballot>,
    /// The last line of its log or progress.
    pub tail: String,
    /// 0 to 100.
    pub percent: Option<u8>,
}

/// Doing a step, or taking it back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LegRun {
    /// Where it stands.
    pub state: StepState,
    /// Since when it stands there.
    pub since: Option<Stamp>,
    /// When it began.
    pub began: Option<Stamp>,
    /// When it was settled.
    pub settled: Option<Stamp>,
    /// Time at work.
    pub worked: Duration,
    /// Time waiting for people.
    pub waited: Duration,
    /// Tries of its action so far.
    pub tries: u32,
    /// Tries that a person asked for.
    pub asked_tries: u32,
    /// What its owner has ticked off, by its place in the checklist.
    pub ticks: BTreeMap<usize, Tick>,
    /// The decision was go.
    pub gone: bool,
    /// The last decision was no-go.
    pub no_go: bool,
    /// Who confirmed, and who typed it.
    pub confirmed: Vec<(PersonId, PersonId)>,
    /// Who decided last.
    pub decided_by: Option<PersonId>,
    /// The reason given with the last decision.
    pub reason: Option<String>,
}

/// Doing, or taking back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leg {
    /// Doing it.
    Forward,
    /// Taking it back.
    Back,
}

/// Where a leg of a step stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum StepState {
    /// Its turn has not come.
    #[default]
    Pending,
    /// People are asked.
    AtStopPoint,
    /// Asked and answered; starts as soon as nothing holds.
    Ready,
    /// An attempt is alive, or ought to be.
    Running,
    /// Another try waits for its time.
    RetryWait {
        /// When it may start.
        not_before: Elapsed,
    },
    /// A person has to choose.
    NeedsDecision(Why),
    /// Over.
    Settled(Gate),
}

/// What a person has to decide about.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// It failed.
    Failed(Failure),
    /// Nobody saw how the attempt ended; `None`: the probe is still looking.
    InDoubt(Option<Finding>),
    /// The checks after a person's word were lost with their process.
    Lost,
}

/// How a leg was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// An attempt did it.
    Done,
    /// Without an attempt's outcome.
    Otherwise(Settlement),
}

/// What an attempt is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The whole step.
    Do,
    /// Only the checks, after a person did it by hand or a probe found it done.
    Recheck,
    /// Only look whether the attempt before was done.
    Probe,
    /// Take it back.
    Undo,
    /// Only look whether the undo before was done.
    ProbeUndo,
}

impl What {
    /// Which leg it belongs to.
    #[must_use]
    pub fn leg(self) -> Leg {
        match self {
            Self::Do | Self::Recheck | Self::Probe => Leg::Forward,
            Self::Undo | Self::ProbeUndo => Leg::Back,
        }
    }

    /// True where it may change the world.
    #[must_use]
    pub fn acts(self) -> bool {
        match self {
            Self::Do | Self::Undo => true,
            Self::Recheck | Self::Probe | Self::ProbeUndo => false,
        }
    }
}

/// One attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRun {
    /// From 1.
    pub number: u32,
    /// What it is to do.
    pub what: What,
    /// When it started.
    pub started: Stamp,
    /// When it ended.
    pub ended: Option<Stamp>,
    /// Its intent is on disk: from here the world may have changed.
    pub intended: bool,
    /// Its client token.
    pub token: Option<String>,
    /// What it saved before it acted.
    pub captured: Json,
    /// The owner's word that a manual step is done.
    pub owner_done: Option<(PersonId, Option<String>)>,
    /// How it failed.
    pub failure: Option<Failure>,
    /// The world was found as before it: its failure proves it, or a probe saw it.
    pub undone: bool,
    /// A probe saw that it was done.
    pub found: bool,
    /// It belongs to a process that is gone.
    pub lost: bool,
}

impl AttemptRun {
    /// True while it ought to be alive in this process.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.ended.is_none() && !self.lost
    }
}

/// A criterion of a stop point, as last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Criterion {
    /// Green, red, or not looked at yet.
    pub ok: Option<bool>,
    /// What was seen.
    pub line: String,
    /// When.
    pub at: Option<Stamp>,
    /// In which round.
    pub round: u32,
}

/// A watch.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchRun {
    /// Its name.
    pub id: WatchId,
    /// Since when it looks.
    pub began: Option<Stamp>,
    /// When it ended.
    pub ended: Option<Stamp>,
    /// Samples so far.
    pub samples: u32,
    /// Bad ones in a row.
    pub bad: u32,
    /// Since when it is quiet.
    pub quiet_since: Option<Stamp>,
    /// The last one.
    pub latest: Option<(Stamp, Option<bool>, Option<f64>, String)>,
    /// It was breached, and the breach was not yet followed by a good sample.
    pub breached: bool,
    /// How often it was breached.
    pub breaches: u32,
}

impl RunState {
    /// A step's position.
    #[must_use]
    pub fn position(&self, id: &StepId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// A step, as planned and as it stands.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<(&StepOutline, &StepRun)> {
        let at = self.position(id)?;
        Some((&self.outline.as_ref()?.steps[at], &self.steps[at]))
    }

    /// The outlines of the steps; empty before the run is opened.
    #[must_use]
    pub fn outlines(&self) -> &[StepOutline] {
        self.outline.as_ref().map_or(&[], |outline| &outline.steps)
    }

    /// Every leg that exists: first all forward ones, then the rollback's.
    pub fn legs(&self) -> impl Iterator<Item = (usize, Leg, &LegRun)> {
        let forward = self.steps.iter().enumerate().map(|(i, s)| (i, Leg::Forward, &s.forward));
        let back = self.steps.iter().enumerate().filter_map(|(i, s)| Some((i, Leg::Back, s.back.as_ref()?)));
        forward.chain(back)
    }

    /// The legs that have begun and are not settled: the rollback's once it has begun.
    pub fn active_legs(&self) -> impl Iterator<Item = (usize, Leg, &LegRun)> {
        let rolling = self.rollback.is_some();
        let active = || self.agenda.active.iter().map(|&i| (i, &self.steps[i]));
        let forward = active().map(|(i, s)| (i, Leg::Forward, &s.forward));
        let forward = forward.filter(move |(_, _, run)| !rolling || run.state == StepState::Running);
        forward.chain(active().filter_map(|(i, s)| Some((i, Leg::Back, s.back.as_ref()?))))
    }

    /// True while nothing new may start: held, at a stop point, or waiting for a decision.
    #[must_use]
    pub fn blocked(&self) -> bool {
        self.hold.is_some()
            || self
                .active_legs()
                .any(|(_, _, leg)| matches!(leg.state, StepState::AtStopPoint | StepState::NeedsDecision(_)))
    }

    /// True while an attempt is alive.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.agenda.active.iter().any(|&i| self.steps[i].attempts.iter().any(AttemptRun::alive))
    }

    /// The first step that asks for people, with its leg.
    #[must_use]
    pub fn asking(&self) -> Option<(usize, Leg)> {
        self.active_legs()
            .find(|(_, _, leg)| matches!(leg.state, StepState::NeedsDecision(_)))
            .or_else(|| self.active_legs().find(|(_, _, leg)| leg.state == StepState::AtStopPoint))
            .map(|(i, leg, _)| (i, leg))
    }

    /// The steps, or their undos, that are done by hand and wait for the word that they are done.
    pub fn awaiting_owner(&self) -> impl Iterator<Item = (usize, &AttemptRun)> {
        let outlines = self.outlines();
        self.agenda.active.iter().filter_map(move |&i| {
            let attempt = self.steps[i].attempts.last()?;
            let waits = outlines.get(i)?.by_hand(attempt.what.leg())
                && attempt.what.acts()
                && attempt.alive()
                && attempt.intended
                && attempt.owner_done.is_none();
            waits.then_some((i, attempt))
        })
    }

    /// True where every watch that could still matter is over.
    pub(super) fn watches_over(&self) -> bool {
        self.watches.iter().all(|watch| watch.began.is_none() || watch.ended.is_some())
    }
}

impl StepRun {
    /// A leg.
    #[must_use]
    pub fn leg(&self, leg: Leg) -> Option<&LegRun> {
        match leg {
            Leg::Forward => Some(&self.forward),
            Leg::Back => self.back.as_ref(),
        }
    }

    /// The attempt of a number.
    #[must_use]
    pub fn attempt(&self, number: u32) -> Option<&AttemptRun> {
        self.attempts.iter().rev().find(|attempt| attempt.number == number)
    }

    /// The last attempt that could have changed the world, of a leg.
    #[must_use]
    pub fn last_act(&self, leg: Leg) -> Option<&AttemptRun> {
        self.attempts.iter().rev().find(|attempt| attempt.what.acts() && attempt.what.leg() == leg)
    }
}

impl StepState {
    /// The state in a word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "not started",
            Self::AtStopPoint => "waiting for people",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::RetryWait { .. } => "waiting for its next try",
            Self::NeedsDecision(_) => "waiting for a decision",
            Self::Settled(_) => "settled",
        }
    }

    /// True where it is over.
    #[must_use]
    pub fn settled(&self) -> bool {
        matches!(self, Self::Settled(_))
    }

    /// True where the time belongs to people.
    #[must_use]
    pub fn waits_for_people(&self) -> bool {
        matches!(self, Self::AtStopPoint | Self::NeedsDecision(_))
    }
}

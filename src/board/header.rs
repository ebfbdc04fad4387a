//! The three header lines in words: where we are, how late, and whether going back is possible.

use std::time::Duration;

use chrono::{DateTime, FixedOffset};

use super::{
    bar::Rollback,
    clock::Face,
    mark::Role,
    words::{hold_words, only_left_out, settled_steps, spoken},
};
use crate::{
    base::{Elapsed, Stamp, hms, short_duration},
    run::{Budget, Ending, Leg, Outline, RunState, StepState, Timing, WatchRun},
    runbook::EnvKind,
};

/// Nobody calls a run late for less than this share of its plan (or five seconds).
const ON_TIME_SHARE: u32 = 100;
/// A window that begins further away than this from the opening belongs to another night: the run is a rehearsal of it.
const TONIGHT: i64 = 12 * 3600;

/// Words with their role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The words.
    pub text: String,
    /// The same where room is short.
    pub short: String,
    /// What they are.
    pub role: Role,
}

impl Said {
    pub(super) fn new(text: impl Into<String>, role: Role) -> Self {
        let text = text.into();
        Self { short: text.clone(), text, role }
    }

    fn in_short(self, short: impl Into<String>) -> Self {
        Self { short: short.into(), ..self }
    }
}

/// Everything of the three lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Header {
    /// `LIVE`, `REHEARSAL`, `SANDBOX`; with `DRY RUN` behind it where no action is done, and `PARTIAL` where something is
    /// left out because the sandbox has not got what it needs.
    pub mode: String,
    /// How the mode is to be seen.
    pub mode_role: Role,
    /// The runbook's id.
    pub runbook: String,
    /// The runbook's title.
    pub title: String,
    /// The run's name.
    pub run: String,
    /// The environment's name.
    pub env: String,
    /// What it is fenced to.
    pub fence: Vec<String>,
    /// Who we are at the other ends, as they say.
    pub identities: Vec<String>,
    /// Who is at the keyboard.
    pub operator: String,
    /// Who leads.
    pub lead: String,
    /// `02:14:09`.
    pub clock: String,
    /// `CEST`.
    pub zone: String,
    /// `00:14:09Z`.
    pub utc: String,
    /// `T+0:44:09`.
    pub since: String,
    /// Settled steps of this run.
    pub done: usize,
    /// All steps of this run.
    pub steps: usize,
    /// `LATE +3m20s`.
    pub lateness: Said,
    /// `ends ~02:59`, or `ended 02:59`.
    pub ends: String,
    /// `window to 04:00`.
    pub window: Option<String>,
    /// `slack 61m`.
    pub slack: Option<Said>,
    /// Where the run stands, where that is not simply "going on": at a stop point, held, over.
    pub standing: Option<Said>,
    /// `write freeze 18m of 60m`.
    pub freeze: Option<Said>,
    /// `downtime 3m of 20m`; in short, where it is used up, `downtime OVER`.
    pub downtime: Option<Said>,
    /// `watch errors BREACHED`, where one is not good.
    pub watch: Option<Said>,
    /// The third line.
    pub rollback: Rollback,
}

/// The mode's words. SANDBOX is never left out: the other end is ours.
#[must_use]
pub fn mode_words(outline: &Outline) -> (String, Role) {
    let (word, role) = match outline.env.kind {
        EnvKind::Sandbox => ("SANDBOX", Role::Wait),
        EnvKind::Rehearsal => ("REHEARSAL", Role::Wait),
        EnvKind::Live => ("LIVE", Role::Bad),
    };
    let (word, role) = if outline.dry_run { (format!("{word} DRY RUN"), Role::Wait) } else { (word.into(), role) };
    // Never left out either: what was not there was not proved.
    if outline.partial() { (format!("{word} PARTIAL"), Role::Warn) } else { (word, role) }
}

impl Header {
    /// The header of a moment.
    pub(super) fn of(state: &RunState, timing: Option<&Timing>, now: Stamp, face: &Face) -> Self {
        let shown = state.ended.and(state.last).unwrap_or(now);
        let clocks = Self {
            clock: face.clock(shown),
            zone: face.zone_name(shown),
            utc: shown.at.format("%H:%M:%SZ").to_string(),
            since: format!("T+{}", hms(shown.elapsed.since(Elapsed(0)))),
            ..Self::default()
        };
        let (Some(outline), Some(timing), Some(opened)) = (&state.outline, timing, state.opened) else {
            return Self { mode: "GONOGO".into(), ..clocks };
        };
        let (mode, mode_role) = mode_words(outline);
        let end = face.expected(opened, timing.forecast.end);
        let window = outline.window.end.filter(|at| tonight(*at, outline, opened));
        Self {
            mode,
            mode_role,
            runbook: outline.runbook.clone(),
            title: outline.title.clone(),
            run: state.run.as_ref().map(ToString::to_string).unwrap_or_default(),
            env: outline.env.name.to_string(),
            fence: outline.env.fence.clone(),
            identities: state.identities.iter().map(|who| format!("{} {}", who.system, who.line)).collect(),
            operator: state.operator.as_ref().map(ToString::to_string).unwrap_or_default(),
            lead: outline.lead.to_string(),
            done: settled_steps(state, usize::MAX).0,
            steps: settled_steps(state, usize::MAX).1,
            lateness: if state.rollback.is_some() || state.ended == Some(Ending::Aborted) {
                // The plan was given up; nobody is early with that.
                Said::default()
            } else {
                lateness(outline, timing, opened)
            },
            ends: match (state.ended, state.rollback.is_some()) {
                (Some(_), _) => format!("ended {}", face.minute(shown)),
                (None, true) => String::new(),
                (None, false) => format!("ends ~{end}"),
            },
            window: window.map(|at| {
                let end = Stamp::new(at.to_utc(), elapsed_at(opened, at));
                let far = (at.to_utc() - opened.at).num_seconds().abs() >= TONIGHT;
                let day = if far { face.date(end) + " " } else { String::new() };
                format!("window to {day}{}", face.minute(end))
            }),
            slack: window.map(|at| slack(at, opened, timing.forecast.end)),
            standing: standing(state, now),
            freeze: gauge("write freeze", timing.freeze),
            downtime: gauge("downtime", timing.downtime),
            watch: watches(&state.watches),
            rollback: Rollback::of(state, outline, timing, now, face),
            ..clocks
        }
    }
}

/// A live run is the night itself, whenever it is begun.
fn tonight(at: DateTime<FixedOffset>, outline: &Outline, opened: Stamp) -> bool {
    outline.env.kind == EnvKind::Live || (at.to_utc() - opened.at).num_seconds().abs() < TONIGHT
}

fn elapsed_at(opened: Stamp, at: DateTime<FixedOffset>) -> Elapsed {
    Elapsed(opened.elapsed.0.saturating_add_signed((at.to_utc() - opened.at).num_milliseconds()))
}

fn lateness(outline: &Outline, timing: &Timing, opened: Stamp) -> Said {
    let ms = |at: Elapsed| i64::try_from(at.0).unwrap_or(i64::MAX);
    let late = match outline.window.start {
        // A rehearsal days before: its plan begins when it was opened.
        Some(at) if !tonight(at, outline, opened) => {
            ms(timing.forecast.end) - ms(opened.elapsed.after(timing.planned_total))
        }
        _ => timing.forecast.late_ms,
    };
    let size = Duration::from_millis(late.unsigned_abs());
    if size < (timing.planned_total / ON_TIME_SHARE).max(Duration::from_secs(5)) {
        Said::new("ON TIME", Role::Good)
    } else if late > 0 {
        Said::new(format!("LATE +{}", spoken(size)), Role::Warn)
    } else {
        Said::new(format!("EARLY -{}", spoken(size)), Role::Good)
    }
}

/// In wall time: the window may have ended before the run was opened.
fn slack(window: DateTime<FixedOffset>, opened: Stamp, end: Elapsed) -> Said {
    let ends = opened.at + end.since(opened.elapsed);
    let left = window.to_utc() - ends;
    match left.to_std() {
        Ok(left) => Said::new(format!("slack {}", spoken(left)), Role::Plain),
        Err(_) => {
            Said::new(format!("past the window by {}", spoken(left.abs().to_std().unwrap_or_default())), Role::Bad)
        }
    }
}

fn gauge(name: &str, budget: Budget) -> Option<Said> {
    if budget.used.is_zero() && !budget.running {
        return None;
    }
    let used = spoken(budget.used);
    let text = match budget.budget {
        Some(limit) => format!("{name} {used} of {}", spoken(limit)),
        None => format!("{name} {used}"),
    };
    if budget.over() {
        return Some(
            Said::new(text + " OVER", Role::Bad).in_short(format!("{} OVER", name.trim_start_matches("write "))),
        );
    }
    let role = if budget.budget.is_some_and(|limit| budget.used * 4 > limit * 3) {
        Role::Warn
    } else if budget.running {
        Role::Plain
    } else {
        Role::Dim
    };
    Some(Said::new(text, role))
}

fn watches(watches: &[WatchRun]) -> Option<Said> {
    let looking = |watch: &&WatchRun| watch.began.is_some() && watch.ended.is_none();
    let worst = watches.iter().filter(looking).max_by_key(|watch| (watch.breached, watch.bad))?;
    match (worst.breached, worst.bad) {
        (true, _) => Some(Said::new(format!("watch {} BREACHED", worst.id), Role::Bad)),
        (false, 0) => None,
        (false, bad) => Some(Said::new(format!("watch {}: {bad} bad", worst.id), Role::Warn)),
    }
}

/// `AT STOP POINT 13 for 0m38`, `HELD 0m12: step 11 failed`, `COMPLETED`.
fn standing(state: &RunState, now: Stamp) -> Option<Said> {
    if let Some(ending) = state.ended {
        let (word, role) = match ending {
            Ending::Completed => ("COMPLETED", Role::Good),
            Ending::WithExceptions if only_left_out(state) => ("COMPLETED IN PART", Role::Warn),
            Ending::WithExceptions => ("COMPLETED WITH EXCEPTIONS", Role::Warn),
            Ending::RolledBack => ("ROLLED BACK", Role::Back),
            Ending::RolledBackInPart => ("ROLLED BACK IN PART", Role::Warn),
            Ending::Aborted => ("ABORTED", Role::Bad),
        };
        return Some(Said::new(word, role));
    }
    if let Some((i, leg)) = state.asking() {
        let run = state.steps[i].leg(leg)?;
        let waited = run.since.map(|since| short_duration(now - since)).unwrap_or_default();
        let number = i + 1;
        return Some(match &run.state {
            StepState::AtStopPoint => {
                let (what, short) = match leg {
                    Leg::Back => ("ASKS TO UNDO", "UNDO"),
                    Leg::Forward if state.outlines()[i].stop.is_some() && !run.gone => ("AT STOP POINT", "STOP"),
                    Leg::Forward => ("AT CONFIRMATION", "CONFIRM"),
                };
                Said::new(format!("{what} {number} for {waited}"), Role::Ask).in_short(format!("{short} {number}"))
            }
            _ => Said::new(format!("HELD: step {number} asks, {waited}"), Role::Bad).in_short(format!("HELD {waited}")),
        });
    }
    let hold = state.hold.as_ref()?;
    let waited = short_duration(now - hold.since);
    let said = Said::new(format!("HELD {waited}: {}", hold_words(state, hold)), Role::Held);
    Some(said.in_short(format!("HELD {waited}")))
}

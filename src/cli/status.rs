//! `gonogo status`: where a run stands, for people on the call. Told by the process that drives it, else by its
//! journal; both are folded to the same state and shown in the same words.

use std::path::Path;

use chrono::Utc;
use serde_json::{Value as Json, json};

use super::{
    Exit, Outcome,
    attached::{Line, waiting},
    print,
    run::refused,
    runs::{load, never_began, verdict},
    say, state_dir,
    view::face,
    vote::votes,
};
use crate::{
    attach::Mirror,
    base::Stamp,
    board::{Ask, Board, Face, StopAsk, ending_words, hold_words, spoken},
    plain,
    run::{AttemptRun, Leg, RunState, StepOutline, StepState, Timing},
};

/// Arguments of `status`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The run: its id, the beginning of it, or `last`.
    #[arg(default_value = "last")]
    run: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// A run as it stands.
struct Standing {
    state: RunState,
    /// By the run's own clocks, where it says so itself; else the last record, and the time since then unless it is over.
    now: Stamp,
    /// Who drives it.
    driver: Option<String>,
    /// It says so itself.
    live: bool,
    /// Its journal is damaged: this is what the records before that say, and it cannot go on.
    damaged: bool,
}

pub(super) fn run(args: Args, state: Option<&Path>) -> Outcome {
    let line = Line::to(&state_dir(state)?, &args.run)?;
    let mut exit = Exit::Done;
    let mirror = waiting(async {
        let Some(attached) = line.reach().await? else { return Ok(None) };
        let mut attached = attached.looking();
        let mut mirror = Mirror::default();
        attached.catch_up(&mut mirror, 1).await.map_err(|error| super::attached::problem(&error))?;
        Ok(Some(mirror))
    });
    let mirror = mirror.unwrap_or_else(|problem| {
        say(&format!("gonogo: {}; this is what its journal says", problem.message));
        None
    });
    let driver = line.dir.holder().map_err(refused)?.map(|holder| holder.to_string());
    let standing = match mirror {
        Some(Mirror { state, now: Some(now), .. }) => Standing { state, now, driver, live: true, damaged: false },
        _ => {
            let (_, state, loaded) = load(&line.run)?;
            if loaded.damage.is_some() {
                say(&verdict(&loaded));
                exit = Exit::Damaged;
            }
            let Some(last) = state.last else { return Err(never_began(&line.run, &loaded)) };
            // What stands behind the damage may have ended it.
            let now = if state.ended.is_some() || loaded.damage.is_some() { last } else { later(last) };
            Standing { state, now, driver, live: false, damaged: loaded.damage.is_some() }
        }
    };
    print(&if args.json { format!("{:#}\n", standing.json()) } else { standing.text() })?;
    Ok(exit)
}

/// The moment that it is now, by the clocks of a record; never before it.
fn later(last: Stamp) -> Stamp {
    let since = (Utc::now() - last.at).to_std().unwrap_or_default();
    Stamp::new(last.at + since, last.elapsed.after(since))
}

impl Standing {
    fn run(&self) -> String {
        self.state.run.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn text(&self) -> String {
        let run = self.run();
        let face = face();
        let last = self.state.last.unwrap_or(self.now);
        let (since, ago) = (face.clock(last), spoken(self.now - last));
        let is = if self.state.hold.is_some() { "held" } else { "not over" };
        let mut text = match (self.state.ended, &self.driver) {
            (Some(ending), _) => format!("Run {run} is over: {}.\n", ending_words(ending, &self.state)),
            (None, Some(driver)) if self.live => format!("Run {run}, driven by {driver}.\n"),
            (None, Some(driver)) => {
                format!("Run {run}, driven by {driver}, which does not answer; last record {since} ({ago} ago).\n")
            }
            (None, None) if self.damaged => format!("Run {run} is damaged and nobody drives it.\n"),
            (None, None) => format!("Run {run} is {is}, nobody drives it since {since} ({ago}): gonogo resume {run}\n"),
        };
        let board = Board::of(&self.state, self.now, &face);
        let lines = match self.left() {
            true => plain::standing(board.header).into_iter().chain([self.doubts(&face)]).collect(),
            false => plain::status(&self.state, self.now, &face),
        };
        for line in lines {
            text += &format!("{line}\n");
        }
        match board.ask {
            Some(Ask::StopPoint(ask)) => text += &self.stop(&ask),
            Some(Ask::Failure(ask)) => {
                text += &format!("{} {} {}: {} ({})\n", ask.heading, ask.number, ask.title, ask.why, ask.class);
            }
            Some(Ask::Confirm(ask)) => {
                let have = ask.confirmed.len();
                text +=
                    &format!("CONFIRM {} {}: {have} of {} people have confirmed\n", ask.number, ask.title, ask.needed);
            }
            Some(Ask::Manual(ask)) => {
                text += &format!(
                    "BY HAND {} {}: {}, for {} of {}\n",
                    ask.number, ask.title, ask.owner, ask.waited, ask.plan
                );
            }
            Some(Ask::Held(ask)) => text += &format!("HELD for {}: {}\n", ask.waited, ask.why),
            None => {}
        }
        text
    }

    /// True where it is not over and nobody drives it: nothing is at work, and nothing comes by itself.
    fn left(&self) -> bool {
        self.driver.is_none() && self.state.ended.is_none()
    }

    /// The attempts whose end nobody saw, with their steps.
    fn in_doubt(&self) -> impl Iterator<Item = (usize, &StepOutline, &AttemptRun)> {
        let steps = self.state.outlines().iter().zip(&self.state.steps).enumerate().filter(|_| self.left());
        steps.flat_map(|(i, (step, run))| {
            run.attempts.iter().filter(|attempt| attempt.alive()).map(move |attempt| (i, step, attempt))
        })
    }

    /// What a killed process was at.
    fn doubts(&self, face: &Face) -> String {
        let doubt = |(i, step, attempt): (usize, &StepOutline, &AttemptRun)| {
            let undo = if attempt.what.leg() == Leg::Back { "undo of " } else { "" };
            let began = face.clock(attempt.started);
            // No request goes out before its intent is written.
            let (what, resume) = match attempt.what.acts() && !attempt.intended {
                true => ("it had sent nothing", "; resume starts it again"),
                false => ("nobody saw its end", "; resume looks"),
            };
            let resume = if self.damaged { "" } else { resume };
            let (number, title, attempt) = (i + 1, &step.title, attempt.number);
            format!("IN DOUBT: {undo}{number} {title} (attempt {attempt} began {began}; {what}{resume})")
        };
        let doubts: Vec<String> = self.in_doubt().map(doubt).collect();
        if doubts.is_empty() { "Nothing is at work, nothing is in doubt.".into() } else { doubts.join("\n") }
    }

    fn stop(&self, ask: &StopAsk) -> String {
        let mut text = format!("GO / NO-GO {} {}, for {}: {}\n", ask.number, ask.title, ask.waited, ask.question);
        for check in &ask.checks {
            let (_, word, _) = check.mark();
            let seen = if check.line.is_empty() { String::new() } else { format!(": {}", check.line) };
            text += &format!("  {word} {}{seen}\n", check.words);
        }
        text += &votes(ask);
        if let Some(held) = &ask.also_held {
            text += &format!("  the run is held as well: {held}\n");
        }
        let missing = ask.votes.iter().find(|vote| vote.go.is_none() && ask.voters.contains(&vote.who));
        if let (Some(vote), true) = (missing, self.live) {
            text += &format!("  vote: gonogo vote {} {} go --as {}\n", self.run(), ask.step, vote.who);
        }
        text
    }

    fn json(&self) -> Json {
        let (state, now) = (&self.state, self.now);
        let face = face();
        let board = Board::of(state, now, &face);
        let outline = state.outline.as_deref();
        let at_work: Vec<Json> = state
            .active_legs()
            .filter(|(_, _, leg)| leg.state == StepState::Running && !self.left())
            .filter_map(|(i, leg, run)| {
                let step = outline?.steps.get(i)?;
                Some(json!({
                    "step": step.id,
                    "number": i + 1,
                    "title": step.title,
                    "owner": step.owner,
                    "back": leg == Leg::Back,
                    "since": run.since.map(|since| since.at),
                    "percent": state.steps[i].percent,
                    "line": state.steps[i].tail,
                }))
            })
            .collect();
        let in_doubt = self.in_doubt().map(|(i, step, attempt)| {
            json!({
                "step": step.id,
                "number": i + 1,
                "title": step.title,
                "owner": step.owner,
                "back": attempt.what.leg() == Leg::Back,
                "attempt": attempt.number,
                "began": attempt.started.at,
                "intended": attempt.intended,
            })
        });
        let in_doubt: Vec<Json> = in_doubt.collect();
        let next = match self.left() {
            true if self.damaged => "nothing: the journal is damaged",
            true => "nothing until it is resumed",
            false => &board.next.text,
        };
        let held = state.hold.as_ref().filter(|_| state.ended.is_none());
        let held = held.map(|hold| json!({ "why": hold_words(state, hold), "by": hold.by, "since": hold.since.at }));
        let timing = Timing::of(state, now);
        // The plan may have been given up.
        let on_plan = !board.header.lateness.text.is_empty();
        json!({
            "run": state.run,
            "runbook": outline.map(|outline| &outline.runbook),
            "title": outline.map(|outline| &outline.title),
            "environment": outline.map(|outline| &outline.env.name),
            "mode": outline.map(|outline| outline.mode),
            "dry_run": outline.map(|outline| outline.dry_run),
            "driven": self.driver.is_some(),
            "driver": self.driver,
            "live": self.live,
            "opened": state.opened.map(|opened| opened.at),
            "last": state.last.map(|last| last.at),
            "now": now.at,
            "ended": state.ended,
            "held": held,
            "steps": { "settled": board.header.done, "all": board.header.steps },
            "late_ms": timing.as_ref().filter(|_| on_plan).map(|timing| timing.forecast.late_ms),
            "rollback": Some(&board.header.rollback.word).filter(|word| !word.is_empty()),
            "at_work": at_work,
            "in_doubt": in_doubt,
            "asked": self.asked(board.ask.as_ref()),
            "next": next,
        })
    }

    /// What people are asked; a stop point with its votes and what was seen of its criteria.
    fn asked(&self, ask: Option<&Ask>) -> Json {
        let Some(ask) = ask else { return Json::Null };
        let kind = match ask {
            Ask::StopPoint(_) => "stop_point",
            Ask::Failure(_) => "failure",
            Ask::Confirm(_) => "confirmation",
            Ask::Manual(_) => "by_hand",
            Ask::Held(_) => "hold",
        };
        let step = ask.id().step.as_ref().and_then(|id| Some((id, self.state.position(id)?)));
        let mut asked = json!({
            "kind": kind,
            "step": step.map(|(id, _)| id),
            "number": step.map(|(_, at)| at + 1),
            "title": step.map(|(_, at)| &self.state.outlines()[at].title),
        });
        let Ask::StopPoint(stop) = ask else { return asked };
        let run = step.map(|(_, at)| &self.state.steps[at]);
        let votes = run.into_iter().flat_map(|run| &run.votes).map(|vote| {
            json!({
                "who": vote.who,
                "go": vote.go,
                "at": vote.at.at,
                "reason": vote.reason,
                "from": vote.via.as_ref().map(|via| &via.from),
            })
        });
        let criteria = stop.checks.iter().map(|it| json!({ "what": it.words, "ok": it.ok, "seen": it.line }));
        asked["question"] = json!(stop.question);
        asked["decides"] = json!(stop.decides);
        asked["voters"] = json!(stop.voters);
        asked["votes"] = votes.collect();
        asked["criteria"] = criteria.collect();
        asked
    }
}

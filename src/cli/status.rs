//! `gonogo status`: where a run stands, for people on the call. Told by the process that drives it, else by its
//! journal; both are folded to the same state and shown in the same words.

use std::path::Path;

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
    board::{Ask, Board, StopAsk, ending_words, hold_words},
    plain,
    run::{RunState, StepState, Timing},
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
    now: Stamp,
    /// Who drives it.
    driver: Option<String>,
    /// It says so itself.
    live: bool,
}

pub(super) fn run(args: Args, state: Option<&Path>) -> Outcome {
    let line = Line::to(&state_dir(state)?, &args.run)?;
    let mut exit = Exit::Done;
    let mirror = waiting(async {
        let Some(mut attached) = line.reach().await? else { return Ok(None) };
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
        Some(Mirror { state, now: Some(now), .. }) => Standing { state, now, driver, live: true },
        _ => {
            let (_, state, loaded) = load(&line.run)?;
            if loaded.damage.is_some() {
                say(&verdict(&loaded));
                exit = Exit::Damaged;
            }
            let Some(now) = state.last else { return Err(never_began(&line.run, &loaded)) };
            Standing { state, now, driver, live: false }
        }
    };
    print(&if args.json { format!("{:#}\n", standing.json()) } else { standing.text() })?;
    Ok(exit)
}

impl Standing {
    fn run(&self) -> String {
        self.state.run.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn text(&self) -> String {
        let run = self.run();
        let mut text = match (self.state.ended, &self.driver) {
            (Some(ending), _) => format!("Run {run} is over: {}.\n", ending_words(ending, &self.state)),
            (None, Some(driver)) if self.live => format!("Run {run}, driven by {driver}.\n"),
            (None, Some(driver)) => format!("Run {run}, driven by {driver}, which does not answer.\n"),
            (None, None) => format!("Run {run} is held and nobody drives it: gonogo resume {run}\n"),
        };
        let face = face();
        for line in plain::status(&self.state, self.now, &face) {
            text += &format!("{line}\n");
        }
        match Board::of(&self.state, self.now, &face).ask {
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
            .filter(|(_, _, leg)| leg.state == StepState::Running)
            .filter_map(|(i, leg, run)| {
                let step = outline?.steps.get(i)?;
                Some(json!({
                    "step": step.id,
                    "number": i + 1,
                    "title": step.title,
                    "owner": step.owner,
                    "back": leg == crate::run::Leg::Back,
                    "since": run.since.map(|since| since.at),
                    "percent": state.steps[i].percent,
                    "line": state.steps[i].tail,
                }))
            })
            .collect();
        let held = state.hold.as_ref().filter(|_| state.ended.is_none());
        let held = held.map(|hold| json!({ "why": hold_words(state, hold), "by": hold.by, "since": hold.since.at }));
        let timing = Timing::of(state, now);
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
            "now": now.at,
            "ended": state.ended,
            "held": held,
            "steps": { "settled": board.header.done, "all": board.header.steps },
            "late_ms": timing.as_ref().map(|timing| timing.forecast.late_ms),
            "rollback": timing.as_ref().map(|timing| timing.bar.state.word()),
            "at_work": at_work,
            "asked": self.asked(board.ask.as_ref()),
            "next": board.next.text,
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

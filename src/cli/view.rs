//! Chooses the view of a run and runs it: the screen on a thread of its own, the linear view on the
//! runtime. A run goes on without its view.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Exit, Problem,
    night::{Live, Show},
    say,
};
use crate::{
    base::{PersonId, StepId},
    board::{Face, TimeStyle, Zone},
    conductor::Clock,
    log::{EventLog, InputSender, Playhead},
    plain,
    replay::Player,
    run::{HoldWhy, Outline},
    tui,
};

/// Where the machine's zone file is; chrono knows offsets, this knows their names.
const ZONE_FILE: &str = "/etc/localtime";

/// What is shown, and to whom it may speak.
pub(super) struct Scene {
    pub(super) log: EventLog,
    pub(super) playhead: Arc<dyn Playhead>,
    pub(super) inputs: Option<InputSender>,
    pub(super) player: Option<Arc<Player>>,
    pub(super) operator: Option<PersonId>,
    /// What is being opened.
    pub(super) opening: Option<Arc<Outline>>,
}

/// A view at work.
pub(super) enum View {
    /// The screen.
    Screen { ended: tokio::sync::oneshot::Receiver<tui::Exit>, stop: Arc<AtomicBool> },
    /// Lines.
    Lines(tokio::task::JoinHandle<plain::Outcome>),
}

/// How the times of this machine are shown.
pub(super) fn face() -> Face {
    let named = std::env::var_os("TZ").filter(|zone| !zone.is_empty()).map(|zone| {
        let zone = zone.to_string_lossy().trim_start_matches(':').to_owned();
        if zone.starts_with('/') { zone } else { format!("/usr/share/zoneinfo/{zone}") }
    });
    let file = std::fs::read(named.as_deref().unwrap_or(ZONE_FILE)).ok();
    Face { zone: Zone::local(file.as_deref()), style: TimeStyle::default() }
}

/// True where a screen can be drawn.
pub(super) fn terminal() -> bool {
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb" || term.is_empty());
    let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
    terminal && !dumb && !ci
}

/// True where a screen can be drawn and nobody asked for lines.
pub(super) fn wants_screen(show: &Show) -> bool {
    terminal() && !show.plain && !show.json && !show.no_input
}

impl View {
    /// Opens the view of a run that is happening.
    pub(super) fn live(
        show: &Show,
        log: &EventLog,
        sender: &InputSender,
        clock: Clock,
        operator: &PersonId,
        opening: Arc<Outline>,
    ) -> Result<Self, Problem> {
        let scene = Scene {
            log: log.clone(),
            playhead: Arc::new(Live(clock)),
            inputs: Some(sender.clone()),
            player: None,
            operator: Some(operator.clone()),
            opening: Some(opening),
        };
        if wants_screen(show) {
            return Self::screen(scene, show.ascii);
        }
        let mut confirm = Vec::new();
        for (step, word) in show.confirmations()? {
            let step = step.parse::<StepId>().map_err(|e| Problem::new(Exit::Usage, format!("--confirm: {e}")))?;
            confirm.push((step, word));
        }
        let typed = if show.no_input { plain::Typed::nobody() } else { plain::Typed::stdin() };
        let desk = plain::Desk { sender: sender.clone(), typed, confirm };
        Ok(Self::lines(scene, show.json, Some(desk)))
    }

    /// Opens the screen.
    pub(super) fn screen(scene: Scene, ascii: bool) -> Result<Self, Problem> {
        let stop = Arc::new(AtomicBool::new(false));
        let view = tui::View {
            log: scene.log,
            playhead: scene.playhead,
            inputs: scene.inputs,
            player: scene.player,
            operator: scene.operator,
            opening: scene.opening,
            options: tui::Options {
                ascii,
                color: std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
                term: std::env::var("TERM").unwrap_or_default(),
                face: face(),
            },
            stop: stop.clone(),
        };
        let (tell, ended) = tokio::sync::oneshot::channel();
        let drawing = std::thread::Builder::new().name("screen".into()).spawn(move || {
            let exit = tui::run(&view).unwrap_or_else(|error| {
                say(&format!("gonogo: the screen: {error}"));
                tui::Exit::TerminalLost
            });
            let _run_gone = tell.send(exit);
        });
        drawing.map_err(|e| Problem::new(Exit::Internal, format!("the screen's thread cannot be made: {e}")))?;
        Ok(Self::Screen { ended, stop })
    }

    /// Opens the linear view.
    pub(super) fn lines(scene: Scene, json: bool, desk: Option<plain::Desk>) -> Self {
        // Standard output is data: with --json it carries the envelopes, and the talk goes beside it.
        let (talk, data) = match json {
            true => (plain::Sink::stderr(), Some(plain::Sink::stdout())),
            false => (plain::Sink::stdout(), None),
        };
        let view = plain::View { log: scene.log, playhead: scene.playhead, face: face(), talk, data, desk };
        Self::Lines(tokio::spawn(plain::run(view)))
    }

    /// Ends it, for a run that could not begin.
    pub(super) async fn close(self) {
        match self {
            Self::Screen { ended, stop } => {
                stop.store(true, Ordering::Relaxed);
                let _exit = ended.await;
            }
            Self::Lines(lines) => drop(lines.await),
        }
    }

    /// Waits for its end. Why the run has to hold because of it; `None` where it ended as it should.
    pub(super) async fn ended(&mut self) -> Option<HoldWhy> {
        match self {
            Self::Screen { ended, .. } => match ended.await {
                Ok(tui::Exit::Quit | tui::Exit::Stopped) => None,
                Ok(tui::Exit::Left) => Some(HoldWhy::Left),
                Ok(tui::Exit::TerminalLost) | Err(_) => Some(HoldWhy::TerminalLost),
            },
            Self::Lines(lines) => match lines.await {
                Ok(outcome) if !outcome.lost => None,
                Ok(_) | Err(_) => Some(HoldWhy::TerminalLost),
            },
        }
    }
}

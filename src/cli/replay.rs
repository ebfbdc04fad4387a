//! `gonogo replay`: a recorded night in the same screen, or at once as lines. Opens no socket and
//! needs no credentials.

use std::{path::Path, sync::Arc};

use super::{
    Exit, Outcome, Problem, print,
    runs::{found, load, never_began, verdict},
    say, state_dir,
    view::{Scene, View},
};
use crate::{
    base::Stamp,
    log::{EventLog, Playhead},
    replay::Player,
};

/// Arguments of `replay`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The run: its id, the beginning of it, `last`, or the path of its folder.
    #[arg(default_value = "last")]
    run: String,
    /// Print the night at once, one event a line.
    #[arg(long)]
    plain: bool,
    /// Print its envelopes, one a line.
    #[arg(long, conflicts_with = "plain")]
    json: bool,
    /// How fast it plays.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    speed: f64,
    /// Only ASCII on the screen.
    #[arg(long)]
    ascii: bool,
}

/// A night that is over: everything is shown, at its last moment.
struct Whole(Stamp);

impl Playhead for Whole {
    fn visible(&self, log: &EventLog) -> usize {
        log.len()
    }

    fn now(&self) -> Stamp {
        self.0
    }
}

pub(super) fn run(args: Args, state: Option<&Path>) -> Outcome {
    let run = found(&state_dir(state)?, &args.run)?;
    let (envelopes, folded, loaded) = load(&run)?;
    let verified = verdict(&loaded);
    let code = if loaded.damage.is_some() { Exit::Damaged } else { Exit::Done };
    let Some(last) = folded.last else {
        return Err(never_began(&run, &loaded));
    };
    if args.json {
        for envelope in &envelopes {
            let json = envelope.encode().map_err(|e| Problem::new(Exit::Internal, e.to_string()))?;
            print(&format!("{}\n", String::from_utf8_lossy(&json)))?;
        }
        say(&verified);
        return Ok(code);
    }
    let log = EventLog::default();
    log.publish(envelopes);
    log.close();
    let screen = !args.plain && super::view::terminal();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|e| Problem::new(Exit::Internal, e.to_string()))?;
    runtime.block_on(async {
        let mut view = if screen {
            let player = Arc::new(Player::new(&log, verified.clone()));
            player.set_speed(args.speed);
            let scene = Scene {
                log,
                playhead: player.clone(),
                inputs: None,
                player: Some(player),
                operator: None,
                opening: folded.outline.clone(),
            };
            View::screen(scene, args.ascii)?
        } else {
            let scene = Scene {
                log,
                playhead: Arc::new(Whole(last)),
                inputs: None,
                player: None,
                operator: None,
                opening: folded.outline.clone(),
            };
            View::lines(scene, false, None)
        };
        view.ended().await;
        Ok::<_, Problem>(())
    })?;
    say(&format!("{}: {verified}", run.id));
    Ok(code)
}

//! Floor 4: the linear view, an equal of the screen. One event is one line, nothing is drawn twice,
//! and the same decisions are taken by typed words. For screen readers, logs, CI and broken terminals.
//!
//! ```text
//! EventLog ──▶ lines ──▶ talk (standard output; standard error beside --json)
//!         └──▶ envelopes ──▶ data (standard output, only with --json)
//! typed lines ──▶ command ──▶ InputSender         None: read only (replay, watch)
//! ```
//!
//! Writing has threads of its own: an output that is blocked holds up neither the run nor a typed
//! `hold`; one that is closed makes the run hold. Knows neither journal nor services nor other views.

mod command;
mod dialog;
mod lines;
mod listen;
mod progress;
mod question;
mod sink;
mod status;
mod typed;
mod view;

use std::sync::Arc;

pub use command::answers;
pub use sink::Sink;
pub use status::{standing, status};
pub use typed::Typed;

use crate::{
    base::StepId,
    board::Face,
    log::{EventLog, InputSender, Playhead},
    run::RunState,
};

/// What a linear view is made of.
pub struct View {
    /// What happened.
    pub log: EventLog,
    /// How much of it is to be shown, and what time it is.
    pub playhead: Arc<dyn Playhead>,
    /// How moments are written.
    pub face: Face,
    /// Lines for people.
    pub talk: Sink,
    /// `--json`: where the envelopes go, one a line, as they become durable.
    pub data: Option<Sink>,
    /// Who answers; `None`: read only.
    pub desk: Option<Desk>,
}

/// The place that decisions come from.
pub struct Desk {
    /// The way to the conductor.
    pub sender: InputSender,
    /// What is typed.
    pub typed: Typed,
    /// Words given before (`--confirm STEP=WORD`), each used once, in order; a word may name its
    /// person as a typed line does (`dana: acme-prod`).
    pub confirm: Vec<(StepId, String)>,
}

/// How a view ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The state as far as it was shown.
    pub state: RunState,
    /// The output was closed, or took nothing for too long at the end.
    pub lost: bool,
}

/// Shows the log until it is at its end, and says what people type. With a desk, what stands in the
/// log at the call is the past of a run that is taken up: it is folded, not told, and nothing in it is
/// asked about.
pub fn run(view: View) -> impl Future<Output = Outcome> + Send {
    // Not inside the future: the past has to be measured before the conductor adds to it.
    view::Loop::new(view).run()
}

//! Floor 2: the one presenter. Turns a state and a moment into rows, bars, words and times that
//! every view shows. Knows no widget and no HTML.
//!
//! ```text
//! RunState + Stamp + Face ──▶ Board { header, rows, next, ask, choices, notes }     the moment
//! RunState + Envelope     ──▶ Told                                                  one line of the log
//! RunState + StepId       ──▶ Detail                                                one step in full
//! ```

mod ask;
mod bar;
mod choice;
mod clock;
mod detail;
mod header;
mod mark;
mod next;
mod row;
mod told;
mod words;

pub use ask::{Ask, AskId, AskKind, Check, ConfirmAsk, FailAsk, HeldAsk, Item, ManualAsk, StopAsk, Vote, undo_words};
pub use bar::{Rollback, Track};
pub use choice::{Act, Choice, Reason};
pub use clock::{Face, TimeStyle, Zone, moment};
pub use detail::Detail;
pub use header::{Header, Said, mode_words};
pub use mark::{Mark, Role, shown_leg};
pub use next::Next;
pub use row::Row;
pub use told::{PROGRESS, Told, tell};
pub use words::{
    ending_words, hold_words, left_out_words, not_part, number_of, only_left_out, partial_words, settled_steps,
    settlement_words, spoken, step_words,
};

use crate::{
    base::{Stamp, StepId},
    run::{Ending, RunState, Timing},
};

/// What a person sees of a run at a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Board {
    /// The three lines at the top.
    pub header: Header,
    /// The steps.
    pub rows: Vec<Row>,
    /// The words of the line of no return.
    pub no_return: String,
    /// What comes next, and who.
    pub next: Next,
    /// What people are asked about now.
    pub ask: Option<Ask>,
    /// What can be chosen at any time: roll back, abort.
    pub choices: Vec<Choice>,
    /// What people wrote down: clock, who, text with its step's number.
    pub notes: Vec<(String, String, String)>,
    /// The step that the night is at: the one asked about, the one at work, the next one.
    pub current: Option<StepId>,
    /// Something is at work, so that figures move.
    pub busy: bool,
    /// Nothing new starts because somebody or something said so.
    pub held: bool,
    /// How it ended.
    pub ended: Option<Ending>,
}

impl Board {
    /// The board of a moment.
    #[must_use]
    pub fn of(state: &RunState, now: Stamp, face: &Face) -> Self {
        let timing = Timing::of(state, now);
        let header = Header::of(state, timing.as_ref(), now, face);
        let (Some(timing), Some(outline)) = (timing, &state.outline) else {
            return Self { header, next: Next::of(state), ..Self::default() };
        };
        let notes = state.notes.iter().map(|note| {
            let about = note.step.as_ref().map(|id| format!("[{}] ", number_of(outline, id))).unwrap_or_default();
            (face.minute(note.at), note.who.to_string(), format!("{about}{}", note.text))
        });
        let no_return = match &state.crossed {
            Some(crossing) => format!("crossed {}", face.clock(crossing.at)),
            None => "below this line there is no way back".into(),
        };
        let at = state.asking().map(|(i, _)| i);
        let at = at.or_else(|| next::running(state).first().copied());
        let at = at.or_else(|| next::upcoming(state, outline).filter(|_| state.ended.is_none()));
        // Of a run that is over the last step that anything happened to.
        let at = at.or_else(|| {
            (0..state.steps.len()).max_by_key(|i| (shown_leg(&state.steps[*i]).1.since.map(|s| s.elapsed), *i))
        });
        Self {
            header,
            rows: row::rows(state, &timing, now, face),
            no_return,
            next: Next::of(state),
            ask: Ask::of(state, &timing, now, face),
            choices: choice::standing_choices(state, &timing),
            notes: notes.collect(),
            current: at.map(|i| outline.steps[i].id.clone()),
            busy: state.busy() && state.ended.is_none(),
            held: state.hold.is_some() && state.ended.is_none(),
            ended: state.ended,
        }
    }

    /// A step in full.
    #[must_use]
    pub fn detail(state: &RunState, id: &StepId, now: Stamp, face: &Face) -> Option<Detail> {
        Detail::of(state, &Timing::of(state, now)?, id, now, face)
    }
}

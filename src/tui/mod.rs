//! Floor 4: the screen. It reads an [`EventLog`](crate::log::EventLog) on a thread of its own, draws
//! the [`Board`](crate::board::Board), and turns keys into intents; it never delays the run, and it
//! never decides what a word means.
//!
//! ```text
//! EventLog ─▶ App { fold, Board, Option<Dialog> } ─▶ cells        app, draw
//! terminal ─▶ bytes ─▶ keys ─▶ App ─▶ Effect ─▶ InputSender       terminal, decode, keys, dialog
//! ```

mod act;
mod app;
mod bell;
mod decode;
mod dialog;
mod draw;
mod form;
mod keys;
mod layout;
mod terminal;
mod text;
mod theme;
mod view;

pub use app::{App, Effect, Page, Setup};
pub use dialog::DEAF;
pub use keys::{Action, Binding, Desk, TABLE, action, listing, table};
pub use layout::Layout;
pub use terminal::TuiError;
pub use theme::Theme;
pub use view::{Exit, Options, View, run};

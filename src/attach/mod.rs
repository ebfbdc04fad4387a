//! Floor 4: a run's socket. Other terminals of the same user on the same machine read what happened and say a
//! vote or a note; nothing else can be said here, so that a decision is always typed at the run's own terminal.
//!
//! ```text
//! EventLog ──▶ pages of envelopes ──▶ client ── fold ──▶ RunState ──▶ status, votes
//! votes, notes of other terminals ──▶ InputSender ──▶ conductor ──▶ durable ──▶ the answer
//! ```
//!
//! To the run it is one more view: it has a thread of its own, and neither slow nor silent nor hostile clients
//! delay a step. What is said goes one by one and at a bounded rate. Knows neither steps nor words for people.

mod client;
mod refusal;
mod server;
mod wire;

pub use client::{AskError, Attached, ConnectError, Mirror};
pub use server::{Parts, Server, StartError};
pub use wire::{Ask, ErrorCode, VERSION};

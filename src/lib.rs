//! gonogo executes cutover runbooks: a pure core turns inputs into facts, a small conductor makes
//! the facts durable and then makes the world follow, and every view reads facts.
//!
//! Modules stand on floors and name modules on lower floors only (`tests/it/floors.rs` holds it):
//!
//! ```text
//! 5  cli                    one file per verb, wiring, exit codes
//! 4  kinds  conductor  attach  tui  plain  report  replay  sandbox
//! 3  log  journal  services
//! 2  plan  board
//! 1  runbook  run
//! 0  base
//! ```
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod attach;
pub mod base;
pub mod board;
pub mod cli;
pub mod conductor;
pub mod journal;
pub mod kinds;
pub mod log;
pub mod plain;
pub mod plan;
pub mod replay;
pub mod report;
pub mod run;
pub mod runbook;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod services;
pub mod tui;

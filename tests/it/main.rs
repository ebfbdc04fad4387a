//! The one integration binary: a second one would link everything again.

mod runbook;
mod journal;
mod sandbox;
mod night;

//! The one integration binary: a second one would link everything again.

mod journal;
mod kinds;
mod runbook;
mod sandbox;
mod kinds;
mod moto;
mod night;

//! The one integration binary: a second one would link everything again.

mod journal;
mod kinds;
mod moto;
mod night;
mod screens;
mod runbook;
mod sandbox;

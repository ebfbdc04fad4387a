//! The one integration binary: a second one would link everything again.

mod floors;
mod house;
mod journal;
mod night;
mod runbook;
mod sandbox;
mod views;
mod kinds;
mod moto;
mod night;
mod screens;

//! The one integration binary: a second one would link everything again.

mod floors;
mod house;
mod iam;
mod journal;
mod kinds;
mod knot;
mod moto;
mod nginx;
mod night;
mod pgbouncer;
mod postgres;
mod process;
mod proxy;
mod readme;
mod redis;
mod run;
mod runbook;
mod sandbox;
mod screens;
mod views;

//! Floor 4: the built-in world of a rehearsal. One process on loopback speaks on the wire as AWS,
//! Heroku, DNS and two web origins do, to the real clients; nothing else is contacted.
//!
//! ```text
//!  aws CLI, SDK ──HTTP──▶ aws/    ┐                        ┌▶ world.json     before every answer
//!  heroku CLI ────HTTP──▶ heroku/ ├─ closures ▶ keeper ▶ World
//!  DNS clients ─UDP,TCP─▶ dns/    │            (one task)  └▶ effects.jsonl  one line a change
//!  browsers ─HTTP,TLS──▶ web      ┘                ▲
//!  visitors ──── see dns and web, and report ──────┘ metrics.jsonl
//! ```
//!
//! | takes | seconds |
//! |---|---|
//! | a deployment: new tasks run, are healthy, old ones are gone | 1.2, 3.2, 4 |
//! | one that fails: three tasks, the breaker, the rollback | 3.6, then up to 3.2 |
//! | a one-off task | 3 |
//! | INSYNC | 1.5 |
//! | a dyno to start, to stop | 2, 2.5 |
//! | a build at Heroku, the release phase behind it | 4, 4 |
//! | the host's TTL before it is lowered, that of the targets' addresses, that of a "no" | 20, 5, 5 |
//! | a visitor's number to appear | 1 to 2 |
//! | a log line to be found | 0.8 |
//! | an alarm to look at its numbers | at every tenth second, longer periods at the minute |
//! | the workers to drain the queues | 6 |
//!
//! Whatever takes time (a deployment, INSYNC, a dyno that stops) is written down as the moment when it
//! happens and read off the clock, so a world whose process was killed has gone on meanwhile. Chance
//! comes from one seed. Knows neither kinds nor conductor nor views.
//!
//! The origins have addresses of their own and share one port (another one for TLS): `127.0.0.2` old, `127.0.0.3` new. Where
//! those cannot be bound (macOS has only 127.0.0.1), the old one is `127.0.0.1`, the new one `::1`, and DNS
//! serves the new target as an AAAA record.

mod aws;
mod config;
mod data;
mod dns;
mod fault;
mod heroku;
mod http;
mod keeper;
mod names;
mod seed;
mod serve;
mod store;
mod story;
mod tls;
mod visitors;
mod web;
mod world;
mod xml;

pub use aws::iam::{Authorization, BadPolicy, Policy, Verdict};
pub use config::{Config, Endpoints, StartError};
#[cfg(all(feature = "postgres", feature = "redis"))]
pub use data::{GUARD, guard};
pub use data::{Programs, Server, Wanted, install};
pub use fault::{BadFault, FAULTS, Fault};
pub use names::{BadName, WorldNames};
pub use serve::Sandbox;
pub use world::Effect;

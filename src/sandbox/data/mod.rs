//! The sandbox's data: two PostgreSQL clusters with logical replication from the old to the new one, and a Redis with
//! Sidekiq's jobs, all real, started from the programs of this machine, with a shop at work on them.
//!
//! ```text
//! clients ─▶ relay (ports open at once) ─▶ old  ══ replication ══▶ new     redis
//!                                            ▲          ▲            ▲       ▲
//!                                            └── shop, reporting, workers ───┘   follow the world
//! guard (a process of its own) ── parent of the three; ends them when we end, however that is
//! ```
//!
//! They come up beside the world, within a few seconds; whoever connects before waits at the door. What is in them lives
//! as long as the world does: a world that goes on after a kill finds it as it was.

#[cfg(not(all(feature = "postgres", feature = "redis")))]
mod absent;
mod find;

#[cfg(all(feature = "postgres", feature = "redis"))]
mod cluster;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod coming;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod guard;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod jobs;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod place;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod relay;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod run;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod shop;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod story;

use std::path::PathBuf;

#[cfg(not(all(feature = "postgres", feature = "redis")))]
use absent as run;
#[cfg(not(all(feature = "postgres", feature = "redis")))]
pub(super) use absent::Till;
pub use find::{Programs, Server, install};
#[cfg(all(feature = "postgres", feature = "redis"))]
pub use guard::{VERB as GUARD, run as guard};
#[cfg(all(feature = "postgres", feature = "redis"))]
use run::Servers;
pub(super) use run::{Data, Memory, Running};
#[cfg(all(feature = "postgres", feature = "redis"))]
pub(super) use shop::Till;

/// The config vars of the Heroku app that lead to a server: name, server, and the URL where there is none.
pub(super) const HEROKU: [(&str, Server, &str); 2] = [
    ("DATABASE_URL", Server::Postgres, "postgres://shop:sandbox-old-database-password@127.0.0.1:5432/shop"),
    ("REDIS_URL", Server::Redis, "redis://:sandbox-old-redis-password@127.0.0.1:6379/0"),
];
/// The secret of Secrets Manager that leads to the new database.
pub(super) const NEW_DATABASE: &str = "acme/prod/database-url";
/// Those that lead to both as their administrator: what a shop is not given, and who moves its data needs.
pub(super) const ADMINISTRATORS: [&str; 2] = ["acme/cutover/old-database-url", "acme/cutover/new-database-url"];
/// The parameter that leads to the new Redis.
pub(super) const NEW_REDIS: &str = "/acme/prod/REDIS_URL";

/// Which servers to bring up, and with what.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The programs of this machine; what is not among them is not brought up.
    pub programs: Programs,
    /// Our own program, which is the servers' parent when it is called as `sandbox-guard`.
    pub guard: PathBuf,
    /// True: they are brought up when somebody connects for the first time; false: at once.
    pub when_asked: bool,
}

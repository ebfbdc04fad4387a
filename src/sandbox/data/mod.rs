//! The sandbox's databases and its Redis: real servers on loopback, started from the programs of this machine.

mod find;

pub use find::{Programs, Server, install};

/// The config vars of the Heroku app that lead to a server: name, server, and the URL where there is none.
pub(super) const HEROKU: [(&str, Server, &str); 2] = [
    ("DATABASE_URL", Server::Postgres, "postgres://shop:sandbox-old-database-password@127.0.0.1:5432/shop"),
    ("REDIS_URL", Server::Redis, "redis://:sandbox-old-redis-password@127.0.0.1:6379/0"),
];
/// The secret of Secrets Manager that leads to the new database.
pub(super) const NEW_DATABASE: &str = "acme/prod/database-url";
/// The parameter that leads to the new Redis.
pub(super) const NEW_REDIS: &str = "/acme/prod/REDIS_URL";

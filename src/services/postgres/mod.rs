//! `PostgreSQL` servers as a client meets them.
//!
//! ```text
//! text ─ address ─ defaults ─ target ─ open ─ dial (address, TLS) ─ session ─ calls within the attempt's limits
//!        URL or    PG*,       typed    each   wire: the bytes       errors: by SQLSTATE
//!        keywords  files               host   tls: as sslmode has it
//! ```
//!
//! Every session of ours is called `gonogo` there, has a statement timeout that ends soon after our own deadline, and
//! leaves nothing behind: see [`Session`].

mod address;
pub mod compare;
pub mod counters;
mod defaults;
mod dial;
mod errors;
mod fence;
mod files;
pub mod freeze;
pub mod grants;
mod open;
mod own;
mod pooler;
mod read;
pub mod release;
pub mod replication;
pub mod reverse;
pub mod sequences;
mod session;
pub mod sessions;
pub mod settings;
pub mod switch;
mod target;
mod tls;
mod wire;
pub mod writers;

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Services, http::Http};
use crate::{
    base::{Class, Failure},
    plan::{Cx, TextOrSecret},
    runbook::Env,
};
use defaults::Variables;
pub use errors::sqlstate;
pub use pooler::{PoolMode, Pooler};
pub use session::Session;
pub use tokio_postgres::{Row, SimpleQueryMessage, types, types::ToSql};

/// How long a session may be used, and what ends it early.
#[derive(Debug, Clone)]
pub struct Limits {
    /// When everything must be over.
    pub deadline: Instant,
    /// Ends it at once.
    pub cancel: CancellationToken,
}

impl From<&Cx> for Limits {
    fn from(cx: &Cx) -> Self {
        Self { deadline: cx.deadline, cancel: cx.cancel.clone() }
    }
}

/// What is known of a server once a session is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `150010` is 15.10, as `server_version_num` has it.
    pub version: u32,
    /// The database.
    pub database: String,
    /// The role that statements run as.
    pub user: String,
    /// `db.example:5432`, or the path of the socket.
    pub place: String,
    /// The host as the connection string names it.
    pub host: String,
    /// It is a standby.
    pub in_recovery: bool,
    /// A transaction is read-only there unless it says otherwise: a standby, or a frozen database or role.
    pub read_only: bool,
    /// What stands between us and the server.
    pub pooler: Option<Pooler>,
    /// The cluster's own number, the same for a primary and its standbys; `None` where we may not ask.
    pub system_identifier: Option<String>,
}

/// `PostgreSQL` as one environment reaches it.
pub struct Postgres {
    env: Arc<Env>,
    http: Http,
    services: Weak<Services>,
    variables: Variables,
    own: Arc<own::Own>,
}

impl Postgres {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>, services: Weak<Services>) -> Self {
        Self { http: Http::new(env.clone()), env, services, variables: Variables::default(), own: Arc::default() }
    }

    /// The same with variables (`PGHOST`, `HOME`, …) in place of the process's own.
    #[must_use]
    pub fn with_variables(mut self, variables: BTreeMap<String, String>) -> Self {
        self.variables = Variables::given(variables);
        self
    }

    /// Opens a session that may write, whatever the database's default is. `database`: a URL or libpq's `key=value`
    /// text, or the secret that holds one; what it leaves out comes from `PG*`.
    ///
    /// # Errors
    /// `FailedNothingDone`: nobody was reached in time; `Denied`, `Refused`, `Misconfigured`: what the server said, or
    /// what is wrong with the string.
    pub async fn connect(&self, database: &TextOrSecret, limits: &Limits) -> Result<Session, Failure> {
        self.open(database, limits, false).await
    }

    /// Opens a session whose transactions are read-only unless they say otherwise. A call that gets no answer has
    /// changed nothing then.
    ///
    /// # Errors
    /// As [`Postgres::connect`].
    pub async fn connect_to_read(&self, database: &TextOrSecret, limits: &Limits) -> Result<Session, Failure> {
        self.open(database, limits, true).await
    }

    async fn open(&self, database: &TextOrSecret, limits: &Limits, reads: bool) -> Result<Session, Failure> {
        let nothing_done = |words: String| Failure::new(Class::FailedNothingDone, words);
        tokio::select! {
            biased;
            () = limits.cancel.cancelled() => Err(nothing_done("cancelled before a session was open".into())),
            opened = self.opened(database, limits, reads) => opened,
            () = tokio::time::sleep_until(limits.deadline) => Err(nothing_done("no session in time".into())),
        }
    }
}

/// An identifier as it stands in a statement: `a"b` is `"a""b"`.
#[must_use]
pub fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

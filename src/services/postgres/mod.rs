//! `PostgreSQL` servers as a client meets them.
//!
//! ```text
//! text ─ address ─ defaults ─ target ─ dial (host, address, TLS) ─ session ─ calls within the attempt's limits
//!        URL or    PG*,       typed    wire: the bytes            errors: by SQLSTATE
//!        keywords  files               tls: as sslmode has it
//! ```
//!
//! Every session of ours is called `gonogo` there, has a statement timeout that ends soon after our own deadline, and
//! leaves nothing behind: see [`Session`].

mod address;
mod defaults;
mod dial;
mod errors;
mod pooler;
mod session;
mod target;
mod tls;
mod wire;

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Services, http::Http};
use crate::{
    base::{Class, Failure, clean_line},
    plan::{Cx, TextOrSecret},
    runbook::Env,
};
use defaults::Variables;
use dial::{Dialled, Dialler, Suits};
pub use errors::sqlstate;
pub use pooler::{PoolMode, Pooler};
pub use session::Session;
use target::{Attributes, Target};
pub use tokio_postgres::{Row, types, types::ToSql};

/// How much later than our own deadline the server gives up by itself: only where we could not tell it to.
const GRACE: Duration = Duration::from_secs(2);
/// How often the server looks whether we are still there while it works for us.
const LOOK_FOR_US: &str = "SET client_connection_check_interval = '2s'";

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
}

impl Postgres {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>, services: Weak<Services>) -> Self {
        Self { http: Http::new(env.clone()), env, services, variables: Variables::default() }
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

    async fn target(&self, database: &TextOrSecret) -> Result<Target, Failure> {
        let services = self.services.upgrade();
        let services = services.ok_or_else(|| Failure::new(Class::FailedNothingDone, "the run is over"))?;
        let text = services.secrets.text(database).await?;
        let what = match database {
            TextOrSecret::Text(_) => "the connection string".to_owned(),
            TextOrSecret::Secret(name) => format!("secret `{}`", clean_line(name, 60)),
        };
        let wrong = |why: String| Failure::new(Class::Misconfigured, format!("{what}: {why}"));
        let mut settings = address::parse(text.expose()).map_err(wrong)?;
        self.variables.fill(&mut settings);
        let target = Target::new(&settings, self.variables.user()).map_err(wrong)?;
        if let Some(password) = &target.password {
            services.secrets.learn(password);
        }
        Ok(target)
    }

    async fn opened(&self, database: &TextOrSecret, limits: &Limits, reads: bool) -> Result<Session, Failure> {
        let target = self.target(database).await?;
        let config = tls::config(&target.tls, self.env.http.ca.as_deref(), &self.variables).await?;
        let dialler = Dialler { target: &target, config, env: &self.env, http: &self.http };
        let begin = |wanted: Attributes| {
            let target = &target;
            move |dialled: Dialled| -> BoxFuture<'_, Result<Suits<Session>, Failure>> {
                Box::pin(async move {
                    let session = Session::new(dialled, target, limits.clone(), reads);
                    let session = session.begun().await?;
                    Ok(match unsuitable(&session, wanted) {
                        Some(why) => Suits::No(why.into()),
                        None => Suits::Yes(session),
                    })
                })
            }
        };
        if target.attributes != Attributes::PreferStandby {
            return dialler.dial(&begin(target.attributes)).await;
        }
        match dialler.dial(&begin(Attributes::Standby)).await {
            Err(failure) if failure.class == Class::FailedNothingDone => dialler.dial(&begin(Attributes::Any)).await,
            other => other,
        }
    }
}

/// Why a session is not what `target_session_attrs` asks for.
fn unsuitable(session: &Session, wanted: Attributes) -> Option<&'static str> {
    let standby = session.server().in_recovery;
    match wanted {
        Attributes::Primary if standby => Some("is a standby"),
        Attributes::Standby if !standby => Some("is no standby"),
        Attributes::ReadWrite if session.server().read_only => Some("is read-only"),
        Attributes::ReadOnly if !session.server().read_only => Some("is not read-only"),
        _ => None,
    }
}

impl Session {
    /// Learns who answers and bounds what the session may do.
    async fn begun(mut self) -> Result<Self, Failure> {
        let asked = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
             pg_catalog.current_database()::pg_catalog.text, current_user::pg_catalog.text, \
             pg_catalog.pg_is_in_recovery(), \
             pg_catalog.current_setting('default_transaction_read_only')::pg_catalog.bool, \
             pg_catalog.pg_backend_pid()";
        let system = "SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()";
        let (row, system) = tokio::join!(self.row(asked, &[]), self.row(system, &[]));
        let row = row.map_err(nothing_done)?;
        // Not everybody may ask everywhere.
        self.server.system_identifier = system.ok().map(|row| row.get(0));
        let process: i32 = row.get(5);
        if self.greeted() != Some(process) {
            let why = "the process that answers is not the one that the greeting named".into();
            self.server.pooler = Some(Pooler { mode: PoolMode::Unknown, why });
        }
        let version: i32 = row.get(0);
        self.server.version = u32::try_from(version).unwrap_or(0);
        self.server.database = row.get(1);
        self.server.user = row.get(2);
        self.server.in_recovery = row.get(3);
        self.server.read_only = self.server.in_recovery || row.get(4);
        let left = self.limits().deadline.saturating_duration_since(Instant::now()) + GRACE;
        let left = left.as_millis().min(u128::from(i32::MAX.unsigned_abs()));
        let read_only = if self.reads() { "on" } else { "off" };
        let bounds = format!(
            "SET default_transaction_read_only = {read_only}; SET statement_timeout = {left}; \
             SET idle_in_transaction_session_timeout = {left}"
        );
        // A server looks for a client that is gone only when it has something to say, unless it is told to look (since
        // 14, and not on every platform: there the statement timeout has to do).
        let look = async {
            if self.server.version >= 140_000 {
                drop(self.batch(LOOK_FOR_US).await);
            }
        };
        let (bound, ()) = tokio::join!(self.batch(&bounds), look);
        bound.map_err(nothing_done)?;
        Ok(self)
    }
}

/// A session that was not had yet has done nothing.
fn nothing_done(failure: Failure) -> Failure {
    match failure.class {
        Class::Unknown | Class::Failed => Failure { class: Class::FailedNothingDone, ..failure },
        _ => failure,
    }
}

/// An identifier as it stands in a statement: `a"b` is `"a""b"`.
#[must_use]
pub fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

//! From a connection string to a session that suits: host after host, and what is found out and set once one lets us in.
//! As in libpq a server that refuses ends the search; one that cannot be reached does not.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Limits, Pooler, Postgres, Session, address,
    dial::{Dialler, Trouble},
    files,
    own::{Own, PROCESS},
    pooler,
    target::{Attributes, HostAt, Target},
    tls,
};
use crate::{
    base::{Class, Failure, clean_line},
    plan::TextOrSecret,
};

/// How long one host may take to let us in.
const CONNECT: Duration = Duration::from_secs(5);
/// How much later than our own deadline the server gives up by itself: only where we could not tell it to.
const GRACE: Duration = Duration::from_secs(2);
/// How often the server looks whether we are still there while it works for us.
const LOOK_FOR_US: &str = "SET client_connection_check_interval = '2s'";

impl Postgres {
    pub(super) async fn target(&self, database: &TextOrSecret) -> Result<Target, Failure> {
        let services = self.services.upgrade();
        let services = services.ok_or_else(|| Failure::new(Class::FailedNothingDone, "the run is over"))?;
        let text = services.secrets.text(database).await?;
        let what = match database {
            TextOrSecret::Text(_) => "the connection string".to_owned(),
            TextOrSecret::Secret(name) => format!("secret `{}`", clean_line(name, 60)),
        };
        let wrong = |why: String| Failure::new(Class::Misconfigured, format!("{what}: {why}"));
        let mut settings = address::parse(text.expose()).map_err(wrong)?;
        files::service(&mut settings, &self.variables).await.map_err(wrong)?;
        self.variables.fill(&mut settings);
        let mut target = Target::new(&settings, self.variables.user()).map_err(wrong)?;
        if target.hosts.iter().all(|host| host.password.is_none()) {
            let passwords = files::Passwords::read(&settings, &self.variables).await;
            for host in &mut target.hosts {
                host.password = passwords.of(host, &target.database, &target.user);
            }
            target.unused = passwords.unused;
        }
        for password in target.hosts.iter().filter_map(|host| host.password.as_ref()) {
            services.secrets.learn(password);
        }
        Ok(target)
    }

    /// Whoever calls bounds it by the deadline.
    pub(super) async fn opened(
        &self,
        database: &TextOrSecret,
        limits: &Limits,
        reads: bool,
    ) -> Result<Session, Failure> {
        let target = self.target(database).await?;
        let config = tls::config(&target.tls, self.env.http.ca.as_deref(), &self.variables).await?;
        let dialler = Dialler { target: &target, config, env: &self.env, http: &self.http };
        let session = if target.attributes == Attributes::PreferStandby {
            match one_of(&dialler, Attributes::Standby, limits, reads, &self.own).await {
                Err(failure) if failure.class == Class::FailedNothingDone => {
                    one_of(&dialler, Attributes::Any, limits, reads, &self.own).await
                }
                other => other,
            }
        } else {
            one_of(&dialler, target.attributes, limits, reads, &self.own).await
        };
        session.map_err(|failure| match (&target.unused, failure.class) {
            (Some(why), Class::Denied) => failure.because(why),
            _ => failure,
        })
    }
}

/// The first host that lets us in and is what is wanted.
async fn one_of(
    dialler: &Dialler<'_>,
    wanted: Attributes,
    limits: &Limits,
    reads: bool,
    own: &Arc<Own>,
) -> Result<Session, Failure> {
    let target = dialler.target;
    let limit = target.timeout.unwrap_or(CONNECT);
    let mut troubles = Vec::new();
    let mut hosts = target.hosts.iter().collect::<Vec<_>>();
    if target.shuffled {
        fastrand::shuffle(&mut hosts);
    }
    for host in hosts {
        let until = Instant::now() + limit;
        let tried = tokio::time::timeout_at(until, admitted(dialler, host, wanted, limits, reads, own)).await;
        match tried {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(Trouble::Refused(failure))) => return Err(failure),
            Ok(Err(trouble)) => troubles.push(trouble.failure()),
            Err(_) => {
                let words = format!("no session at {} within {:.1} s", host.shown(), limit.as_secs_f32());
                troubles.push(Failure::new(Class::FailedNothingDone, words));
            }
        }
    }
    Err(all(troubles))
}

async fn admitted(
    dialler: &Dialler<'_>,
    host: &HostAt,
    wanted: Attributes,
    limits: &Limits,
    reads: bool,
    own: &Arc<Own>,
) -> Result<Session, Trouble> {
    let dialled = dialler.dial(host).await?;
    let mut session = Session::new(dialled, dialler.target, limits.clone(), reads, own.clone());
    session.met().await.map_err(Trouble::Refused)?;
    if let Some(why) = pooler::suspected(&session, host) {
        let mode = pooler::mode(dialler, host, &session).await;
        session.server.pooler = Some(Pooler { mode, why });
    } else {
        session.own.opened(session.known_as.clone());
    }
    session.bounded().await.map_err(Trouble::Refused)?;
    match unsuitable(&session, wanted) {
        None => Ok(session),
        Some(why) => {
            let words = format!("{} {why}", host.shown());
            Err(Trouble::Unreached(Failure::new(Class::FailedNothingDone, words)))
        }
    }
}

/// What is told where no host was good: the first trouble, the others behind it.
fn all(troubles: Vec<Failure>) -> Failure {
    let count = troubles.len();
    let mut troubles = troubles.into_iter();
    let first = troubles.next().unwrap_or_else(|| Failure::new(Class::Misconfigured, "there is no host to connect to"));
    if count < 2 {
        return first;
    }
    let message = format!("none of {count} hosts: {}", first.message);
    troubles.fold(Failure { message, ..first }, |all, next| all.because(next.message))
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
    /// Learns who answers. One message each: through a pooler two may reach two servers.
    async fn met(&mut self) -> Result<(), Failure> {
        let asked = format!(
            "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
             pg_catalog.current_database()::pg_catalog.text, current_user::pg_catalog.text, \
             pg_catalog.pg_is_in_recovery(), \
             pg_catalog.current_setting('default_transaction_read_only')::pg_catalog.bool, \
             pg_catalog.pg_backend_pid(), \
             coalesce((SELECT {PROCESS} FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a), '')"
        );
        let system = "SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()";
        let (row, system) = tokio::join!(self.at_once(&asked), self.at_once(system));
        let row = row.map_err(nothing_done)?;
        // Not everybody may ask everywhere.
        self.server.system_identifier = system.ok().map(|row| row.get(0));
        self.server.version = u32::try_from(row.get::<_, i32>(0)).unwrap_or(0);
        self.server.database = row.get(1);
        self.server.user = row.get(2);
        self.server.in_recovery = row.get(3);
        self.server.read_only = self.server.in_recovery || row.get(4);
        self.process = row.get(5);
        self.known_as = row.get(6);
        Ok(())
    }

    /// Bounds what the session may do, where its settings are its own. Through a pooler that gives the server's session to
    /// others they would reach these others: there our own deadline and the request to cancel have to do.
    async fn bounded(&self) -> Result<(), Failure> {
        if !self.keeps_settings() {
            return Ok(());
        }
        let left = self.left_at_server();
        let read_only = if self.reads() { "on" } else { "off" };
        // A role's own defaults must not end a session that waits for its next look, nor make a transaction wait for others.
        let idle = if self.server.version >= 140_000 { "; SET idle_session_timeout = 0" } else { "" };
        let bounds = format!(
            "SET default_transaction_read_only = {read_only}; SET statement_timeout = {left}; \
             SET idle_in_transaction_session_timeout = {left}; SET default_transaction_deferrable = off; \
             SET default_transaction_isolation = 'read committed'{idle}"
        );
        // A server looks for a client that is gone only when it has something to say, unless it is told to look (since
        // 14, and not on every platform: there the statement timeout has to do).
        let look = async {
            if self.server.version >= 140_000 {
                drop(self.batch(LOOK_FOR_US).await);
            }
        };
        let (bound, ()) = tokio::join!(self.batch(&bounds), look);
        bound.map_err(nothing_done)
    }

    /// Milliseconds until the server shall give up by itself.
    pub(super) fn left_at_server(&self) -> u128 {
        let left = self.limits().deadline.saturating_duration_since(Instant::now()) + GRACE;
        left.as_millis().min(u128::from(i32::MAX.unsigned_abs()))
    }
}

/// A session that was not had yet has done nothing.
fn nothing_done(failure: Failure) -> Failure {
    match failure.class {
        Class::Unknown | Class::Failed => Failure { class: Class::FailedNothingDone, ..failure },
        _ => failure,
    }
}

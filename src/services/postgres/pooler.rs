//! Poolers: what stands between us and a server and hands out its sessions (`PgBouncer`, Odyssey, RDS Proxy, Heroku's
//! connection pooling). One gives itself away by the process that it names in its greeting, which is not the process
//! that answers: its clients' keys for cancelling are of its own making.
//!
//! What it does with a session between transactions is tried, since nobody but its administrator may ask it: a
//! second connection that gets the first one's process, or moves the first one to another process, shows that
//! sessions are handed on.

use std::time::Duration;

use super::{
    Session,
    dial::Dialler,
    target::{At, HostAt},
};

/// How long the first connection may wait for a process while the second one holds one.
const HELD: Duration = Duration::from_millis(500);
/// How long all of it may take: a pooler whose sessions are all taken lets the second connection wait.
const PROBE: Duration = Duration::from_millis(1500);
/// How often it is tried: other clients of the pooler may take the process in between.
const ROUNDS: usize = 3;

/// A pooler that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooler {
    /// What it does with a session between transactions.
    pub mode: PoolMode,
    /// How it was recognised, one line.
    pub why: String,
}

/// How long a client keeps the server's session that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// Until it goes: settings hold.
    Session,
    /// For a transaction: settings reach others, or nobody.
    Transaction,
    /// For a statement: there are no transactions.
    Statement,
    /// It was not found out; settings must not be trusted to hold.
    Unknown,
}

impl PoolMode {
    /// `session mode`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Session => "session mode",
            Self::Transaction => "transaction mode",
            Self::Statement => "statement mode",
            Self::Unknown => "a mode that was not found out",
        }
    }
}

/// Why there is a pooler in between, where there is one.
pub(super) fn suspected(session: &Session, host: &HostAt) -> Option<String> {
    if session.greeted() == Some(session.process) {
        return None;
    }
    let aws = |name: &str| name.contains(".proxy-") && name.ends_with(".rds.amazonaws.com");
    let whose = match &host.at {
        At::Name(name) if aws(name) => " (an RDS Proxy, by its name)",
        _ => "",
    };
    Some(match session.greeted() {
        Some(_) => format!("the greeting names another process than the one that answers{whose}"),
        None => format!("the greeting names no process{whose}"),
    })
}

/// What the pooler does with sessions between transactions.
pub(super) async fn mode(dialler: &Dialler<'_>, host: &HostAt, session: &Session) -> PoolMode {
    tokio::time::timeout(PROBE, tried(dialler, host, session)).await.unwrap_or(PoolMode::Unknown)
}

async fn tried(dialler: &Dialler<'_>, host: &HostAt, session: &Session) -> PoolMode {
    const PROCESS: &str = "SELECT pg_catalog.pg_backend_pid()";
    let Ok(dialled) = dialler.dial(host).await else { return PoolMode::Unknown };
    let second = Session::new(dialled, dialler.target, session.limits().clone(), true, session.own.clone());
    let mut first = session.process;
    for _ in 0..ROUNDS {
        if let Err(failure) = second.batch("BEGIN").await {
            let statement = failure.message.contains("statement pooling");
            return if statement { PoolMode::Statement } else { PoolMode::Unknown };
        }
        let Ok(held) = second.at_once(PROCESS).await else { return PoolMode::Unknown };
        let mut again = std::pin::pin!(session.at_once(PROCESS));
        let answer = tokio::time::timeout(HELD, &mut again).await;
        let over = second.batch("ROLLBACK").await;
        let (moved, now) = match answer {
            // It had to wait for the second one to end: it holds nothing of its own.
            Err(_) => (true, again.await),
            Ok(now) => (false, now),
        };
        let (Ok(now), Ok(())) = (now, over) else { return PoolMode::Unknown };
        let (held, now): (i32, i32) = (held.get(0), now.get(0));
        if moved || held == first || now != first {
            return PoolMode::Transaction;
        }
        first = now;
    }
    PoolMode::Session
}

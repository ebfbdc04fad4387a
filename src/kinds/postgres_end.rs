//! The end of sessions that began before who may write was changed: told, waited for, named.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value as Json, json};

use super::postgres_words as words;
use crate::{
    base::{Class, Failure},
    plan::Cx,
    services::postgres::{
        Session,
        sessions::{self, Connected},
    },
};

/// Between two looks at who is still there.
const EVERY: Duration = Duration::from_millis(150);
/// A session that was logging in when the change was committed shows up a moment later.
const QUIET: u32 = 3;
/// Sessions that the journal keeps in full.
const KEPT: usize = 50;
/// Sessions named in a line.
const NAMED: usize = 4;

/// The sessions that were ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    all: BTreeMap<(i32, Option<String>), Connected>,
}

impl Ended {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// For a line: `3 sessions ended: pid 7 shop (puma 10.0.0.7 idle), …`.
    pub fn shown(&self) -> String {
        match (self.all.len(), words::named(self.all.values().map(Connected::shown), NAMED)) {
            (_, None) => "no session had to be ended".into(),
            (1, Some(named)) => format!("ended 1 session: {named}"),
            (n, Some(named)) => format!("ended {n} sessions: {named}"),
        }
    }

    /// For the journal.
    pub fn evidence(&self) -> Json {
        let kept: Vec<Json> = self
            .all
            .values()
            .take(KEPT)
            .map(|one| {
                json!({
                    "pid": one.pid, "role": one.role, "application": one.application, "client": one.client,
                    "state": one.state, "since": one.since,
                })
            })
            .collect();
        json!({ "count": self.all.len(), "sessions": kept })
    }
}

/// Sessions of the roles that began by `moment`, ours apart.
pub(super) async fn old(session: &Session, roles: &[String], moment: &str) -> Result<Vec<Connected>, Failure> {
    let there = sessions::connected(session, Some(roles), Some(moment)).await?;
    Ok(there.into_iter().filter(|one| one.early).collect())
}

/// The same, without those that are just going.
pub(super) async fn remaining(
    cx: &Cx,
    session: &Session,
    roles: &[String],
    moment: &str,
) -> Result<Vec<Connected>, Failure> {
    for _ in 1..QUIET {
        let there = old(session, roles, moment).await?;
        if there.is_empty() {
            return Ok(there);
        }
        cx.pause(EVERY).await?;
    }
    old(session, roles, moment).await
}

/// Ends every session of the roles that began by `moment`, ours apart, and waits until none is seen any more.
///
/// # Errors
/// `Failed`: some are still there, and who; `Unknown`: nobody could look any more.
pub(super) async fn end(cx: &Cx, session: &Session, roles: &[String], moment: &str) -> Result<Ended, Failure> {
    end_those(cx, session, roles, moment, |_| true).await
}

/// The same, of those only whose roles have lost what let them write: what they had begun with it ends.
///
/// # Errors
/// As [`end`].
pub(super) async fn end_begun(cx: &Cx, session: &Session, roles: &[String], moment: &str) -> Result<Ended, Failure> {
    end_those(cx, session, roles, moment, has_begun).await
}

/// It has written and can commit, or runs a statement whose privileges were looked at before.
pub(super) fn has_begun(one: &Connected) -> bool {
    one.wrote || one.state.as_deref() == Some("active")
}

async fn end_those(
    cx: &Cx,
    session: &Session,
    roles: &[String],
    moment: &str,
    is_meant: impl Fn(&Connected) -> bool,
) -> Result<Ended, Failure> {
    let mut ended = Ended::default();
    let mut quiet = 0;
    loop {
        let mut old = old(session, roles, moment).await.map_err(unknown)?;
        old.retain(&is_meant);
        quiet = if old.is_empty() { quiet + 1 } else { 0 };
        if quiet == QUIET {
            return Ok(ended);
        }
        for one in &old {
            // Asked again and again: a backend that was just forking may have missed it.
            match sessions::end(session, one).await {
                Ok(told) => {
                    let key = (one.pid, one.since.clone());
                    if told && ended.all.insert(key, one.clone()).is_none() && ended.all.len() <= KEPT {
                        cx.line(format!("ending {}", one.shown()));
                    }
                }
                Err(failure) if failure.class == Class::Denied => return Err(remain(&old, &failure.message)),
                Err(failure) => return Err(unknown(failure)),
            }
        }
        if let Err(end) = cx.pause(EVERY).await {
            if old.is_empty() || cx.cancel.is_cancelled() {
                return Err(Failure { class: Class::Unknown, ..end });
            }
            return Err(remain(&old, "they did not end in time"));
        }
    }
}

fn unknown(failure: Failure) -> Failure {
    Failure { class: Class::Unknown, ..failure }
}

fn remain(old: &[Connected], why: &str) -> Failure {
    let named = words::named(old.iter().map(Connected::shown), NAMED).unwrap_or_default();
    let failure = Failure::new(Class::Failed, format!("{} sessions from before are still there: {named}", old.len()));
    failure.because(why).hint(
        "the change itself is in place; have them ended (pg_terminate_backend), then try again or mark it done by hand",
    )
}

//! A switch of who may write: what is to change, as it was and as it shall be, so that it can be thrown either way,
//! looked at, and put back exactly. All of it changes in one transaction.

use std::{collections::BTreeSet, fmt::Write as _};

use serde::{Deserialize, Serialize};

use super::{
    Session,
    grants::{self, Grants, There},
    quoted,
    settings::{self, Kept},
};
use crate::base::{Class, Failure};

/// How long a statement may wait for a lock: others queue up behind it meanwhile.
const LOCK: &str = "3s";

/// `default_transaction_read_only` of a role in the database, or of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChange {
    /// The role; nothing: the database's own.
    pub role: Option<String>,
    /// Every setting kept there before, in its order.
    pub config: Vec<String>,
    /// Its value before.
    pub before: Option<String>,
    /// Its value afterwards.
    pub after: Option<String>,
}

/// The right to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginChange {
    /// The role.
    pub role: String,
    /// Before.
    pub before: bool,
    /// Afterwards.
    pub after: bool,
}

/// The grants on one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantChange {
    /// Before.
    pub before: Grants,
    /// Afterwards.
    pub after: Grants,
}

/// What is to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// The database.
    pub database: String,
    /// The roles that it is about, in order.
    pub roles: Vec<String>,
    /// The server's time when it was looked at.
    pub at: String,
    /// Settings.
    pub settings: Vec<SettingChange>,
    /// Logins.
    pub logins: Vec<LoginChange>,
    /// Grants.
    pub grants: Vec<GrantChange>,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To what shall be.
    Forth,
    /// To what was.
    Back,
}

/// What a switch would do now.
#[derive(Debug, Clone, Default)]
pub struct Missing {
    /// The statements, one transaction's worth; empty where all is as wanted.
    pub sql: String,
    /// What differs, in words.
    pub words: Vec<String>,
    /// What others changed since, and is left as it is; what is gone.
    pub foreign: BTreeSet<String>,
}

impl Switch {
    /// Nothing would change either way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.iter().all(|one| one.before == one.after)
            && self.logins.iter().all(|one| one.before == one.after)
            && self.grants.iter().all(|one| one.before.agrees(&one.after))
    }

    /// Compares the server with what is wanted.
    ///
    /// # Errors
    /// As [`Session::row`].
    pub async fn missing(&self, session: &Session, way: Way) -> Result<Missing, Failure> {
        let mut missing = Missing::default();
        let columns = self.grants.iter().flat_map(|one| one.before.columns.iter().chain(&one.after.columns));
        let columns: BTreeSet<&str> = columns.map(|(column, _)| column.as_str()).collect();
        let there = grants::there(session, &columns.into_iter().collect::<Vec<_>>()).await?;
        if !self.settings.is_empty() {
            self.settings_missing(&settings::kept(session).await?, &there, way, &mut missing);
        }
        if !self.logins.is_empty() {
            self.logins_missing(session, &there, way, &mut missing).await?;
        }
        if !self.grants.is_empty() {
            self.grants_missing(&grants::grants(session).await?, &there, way, &mut missing);
        }
        Ok(missing)
    }

    fn settings_missing(&self, kept: &[Kept], there: &There, way: Way, missing: &mut Missing) {
        for one in &self.settings {
            if let Some(role) = one.role.as_ref().filter(|role| !there.has(role)) {
                missing.foreign.insert(format!("role {role} is gone"));
                continue;
            }
            let whose = one.role.as_deref().map_or_else(|| "the database".to_owned(), |role| format!("role {role}"));
            let now = settings::of(kept, one.role.as_deref(), true);
            let value = now.and_then(Kept::value);
            let wanted = if way == Way::Forth { &one.after } else { &one.before };
            if value != wanted.as_deref() {
                missing.sql += &settings::statement(&self.database, one.role.as_deref(), wanted.as_deref());
                let is = |value: Option<&str>| value.unwrap_or("unset").to_owned();
                missing.words.push(format!(
                    "{} of {whose} is {}, not {}",
                    settings::NAME,
                    is(value),
                    is(wanted.as_deref())
                ));
            }
            let others = |config: &[String]| {
                let other = |line: &&String| !settings::is_ours(line);
                config.iter().filter(other).cloned().collect::<Vec<_>>()
            };
            if others(now.map_or(&[], |kept| &kept.config)) != others(&one.config) {
                missing.foreign.insert(format!("other settings of {whose}"));
            }
        }
    }

    async fn logins_missing(
        &self,
        session: &Session,
        there: &There,
        way: Way,
        missing: &mut Missing,
    ) -> Result<(), Failure> {
        let names: Vec<String> = self.logins.iter().map(|one| one.role.clone()).collect();
        let sql = "SELECT coalesce(pg_catalog.json_agg(r.rolname), '[]')::text FROM pg_catalog.pg_roles r
            WHERE r.rolcanlogin AND r.rolname::text = ANY ($1::text[])";
        let can: Vec<String> = super::read::read(session, sql, &[&names]).await?;
        for one in &self.logins {
            if !there.has(&one.role) {
                missing.foreign.insert(format!("role {} is gone", one.role));
                continue;
            }
            let wanted = if way == Way::Forth { one.after } else { one.before };
            if can.contains(&one.role) != wanted {
                let word = if wanted { "LOGIN" } else { "NOLOGIN" };
                let _ = writeln!(missing.sql, "ALTER ROLE {} {word};", quoted(&one.role));
                missing.words.push(format!("role {} is not {word}", one.role));
            }
        }
        Ok(())
    }

    fn grants_missing(&self, all: &[Grants], there: &There, way: Way, missing: &mut Missing) {
        for one in &self.grants {
            let (from, to) = if way == Way::Forth { (&one.before, &one.after) } else { (&one.after, &one.before) };
            let Some(now) = to.among(all) else {
                missing.foreign.insert(format!("{} is gone", to.shown()));
                continue;
            };
            let to = there.only(to.named_as(now), &mut missing.foreign);
            let wanted = to.keeping(from, now);
            if now.agrees(&to) {
                continue;
            }
            if !wanted.agrees(&to) {
                missing.foreign.insert(format!("grants on {} that others made", to.shown()));
            }
            if !now.agrees(&wanted) {
                missing.sql += &Grants { owner: now.owner.clone(), ..wanted }.rebuild(now);
                missing.words.push(format!("grants on {} are not as wanted", to.shown()));
            }
        }
    }

    /// Throws it in one transaction. False where all was as wanted already.
    ///
    /// # Errors
    /// As [`Switch::begin`] and [`Switch::commit`].
    pub async fn throw(&self, session: &Session, way: Way) -> Result<bool, Failure> {
        if !self.begin(session, way).await? {
            return Ok(false);
        }
        Self::commit(session).await?;
        Ok(true)
    }

    /// Opens a transaction and changes everything in it; nothing stays unless [`Switch::commit`] follows. False where all
    /// was as wanted already: there is no transaction then.
    ///
    /// # Errors
    /// Nothing was done, by the server's code: an open transaction ends with its session.
    pub async fn begin(&self, session: &Session, way: Way) -> Result<bool, Failure> {
        let missing = self.missing(session, way).await?;
        if missing.sql.is_empty() {
            return Ok(false);
        }
        // Its commit has to be on disk, whatever the role's default is.
        let sql = format!(
            "BEGIN;\nSET LOCAL lock_timeout = '{LOCK}';\nSET LOCAL synchronous_commit = local;\n{}",
            missing.sql
        );
        let call = session.client().batch_execute(&sql);
        match session.within("the change of who may write", call).await {
            Ok(()) => Ok(true),
            Err(failure) => {
                let _gone = session.batch("ROLLBACK").await;
                Err(nothing_done(failure))
            }
        }
    }

    /// Commits what [`Switch::begin`] did.
    ///
    /// # Errors
    /// `Unknown` where the answer is missing.
    pub async fn commit(session: &Session) -> Result<(), Failure> {
        session.batch("COMMIT").await
    }
}

/// A transaction that was not committed has done nothing, however it ended.
pub fn nothing_done(failure: Failure) -> Failure {
    match failure.class {
        Class::Unknown | Class::Failed | Class::NotYet => Failure { class: Class::FailedNothingDone, ..failure },
        _ => failure,
    }
}

//! One role put to the proof: a canary as it, as its sessions begin and as one that asks to write.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::{
    base::{Class, Failure},
    plan::TextOrSecret,
    services::postgres::{
        Limits, Postgres, Session,
        settings::{self, Kept},
        writers::{Begins, Canary, Writer, canary, code},
    },
};

/// What a role can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Can {
    /// A session of it writes as it begins.
    Write,
    /// Its sessions begin read-only, and one that asks (`BEGIN READ WRITE`) writes.
    Ask,
    /// Neither.
    Not,
    /// It was neither refused nor taken.
    Unclear(String),
}

/// How that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// By a session that logged in as it.
    Login,
    /// By becoming it (`SET ROLE`), its settings taken from the catalog.
    SetRole,
    /// By the catalog alone: we may not become it, or there is nothing to try on.
    Catalog,
}

/// A role and what it can do.
#[derive(Debug, Clone)]
pub(super) struct Proved {
    pub writer: Writer,
    /// What a session of it can do, were there one.
    pub can: Can,
    pub known: Known,
    /// It cannot log in, as was tried or as the catalog says.
    pub shut_out: bool,
}

impl Proved {
    /// `shop_app (INSERT on public.orders as shop_owner)`.
    pub fn shown(&self) -> String {
        let Writer { role, relation, command, via, superuser, sequences, through, .. } = &self.writer;
        let mut about = Vec::new();
        if *superuser {
            about.push("superuser".to_owned());
        }
        match (command, relation) {
            (Some(command), Some(relation)) => about.push(format!("{command} on {relation}")),
            _ if *sequences => about.push("nextval".into()),
            _ => {}
        }
        if let Some((function, _)) = through.first().filter(|_| relation.is_none()) {
            about.push(format!("through {function}"));
        }
        if let Some(via) = via.as_ref().filter(|via| *via != role) {
            about.push(format!("as {via}"));
        }
        if self.known == Known::Catalog {
            about.push("by the catalog".into());
        }
        if about.is_empty() { role.clone() } else { format!("{role} ({})", about.join(", ")) }
    }

    pub fn evidence(&self) -> Json {
        let can = match &self.can {
            Can::Write => "write",
            Can::Ask => "write if it asks",
            Can::Not => "not write",
            Can::Unclear(_) => "unclear",
        };
        let known = match self.known {
            Known::Login => "login",
            Known::SetRole => "set role",
            Known::Catalog => "catalog",
        };
        json!({ "role": self.writer.role, "can": can, "known_by": known, "logs_in": !self.shut_out, "owns_tables": self.writer.owns })
    }
}

/// What `SET ROLE` says of a role that is not there: `invalid_parameter_value`.
const NO_SUCH_ROLE: &str = "22023";

/// What is needed to prove.
pub(super) struct Proof<'a> {
    pub postgres: &'a Postgres,
    pub session: &'a Session,
    pub limits: &'a Limits,
    pub kept: &'a [Kept],
    pub logins: &'a BTreeMap<String, TextOrSecret>,
    /// A canary for roles that have no table of their own.
    pub any: Option<&'a str>,
}

impl Proof<'_> {
    /// Puts a role to the proof.
    ///
    /// # Errors
    /// Nobody could look; `Misconfigured` where a login is another role's.
    pub async fn of(&self, writer: &Writer) -> Result<Proved, Failure> {
        let sql = writer.canary.as_deref().or(if writer.relation.is_none() { self.any } else { None });
        let proved = |can, known, shut_out| Proved { writer: writer.clone(), can, known, shut_out };
        if let Some(login) = self.logins.get(&writer.role) {
            return Ok(match (self.login(writer, login).await?, sql) {
                (None, _) => proved(self.by_catalog(writer), Known::Catalog, true),
                (Some(session), Some(sql)) => {
                    let plain = canary(&session, None, sql, Begins::Plain).await?;
                    let asking = canary(&session, None, sql, Begins::ReadWrite).await?;
                    let (can, known) = self.or_through(writer, judged(&plain, &asking), Known::Login);
                    proved(can, known, false)
                }
                (Some(_), None) => proved(self.by_catalog(writer), Known::Catalog, false),
            });
        }
        let shut_out = !writer.logs_in;
        let Some(sql) = sql.filter(|_| writer.may_be) else {
            return Ok(proved(self.by_catalog(writer), Known::Catalog, shut_out));
        };
        let role = writer.via.as_deref().unwrap_or(&writer.role);
        let begins = if self.begins_read_only(writer) { Begins::ReadOnly } else { Begins::ReadWrite };
        let plain = match canary(self.session, Some(role), sql, begins).await {
            // Dropped since the catalog was read: nobody can become it, and nobody is it.
            Err(gone) if role == writer.role && code(&gone) == Some(NO_SUCH_ROLE) => {
                return Ok(proved(Can::Not, Known::SetRole, true));
            }
            plain => plain?,
        };
        let asking = match begins {
            Begins::ReadWrite => plain.clone(),
            _ => canary(self.session, Some(role), sql, Begins::ReadWrite).await?,
        };
        let mut can = judged(&plain, &asking);
        // The table tried is not one that it may write: its sequences may still move.
        if can == Can::Not && writer.sequences && writer.relation.is_none() {
            can = self.by_catalog(writer);
        }
        let (can, known) = self.or_through(writer, can, Known::SetRole);
        Ok(proved(can, known, shut_out))
    }

    /// A canary that was refused says nothing of functions that write as their owner: those are not tried.
    fn or_through(&self, writer: &Writer, can: Can, known: Known) -> (Can, Known) {
        if can == Can::Not && !writer.through.is_empty() {
            return (self.by_catalog(writer), Known::Catalog);
        }
        (can, known)
    }

    fn by_catalog(&self, writer: &Writer) -> Can {
        match (writer.can_write(), self.begins_read_only(writer)) {
            (false, _) => Can::Not,
            (true, true) => Can::Ask,
            (true, false) => Can::Write,
        }
    }

    /// Whether a new session of the role begins read-only. What the server's own files say, our own role shows, where
    /// nothing nearer says anything for it.
    fn begins_read_only(&self, writer: &Writer) -> bool {
        let server = self.session.server();
        if writer.me {
            return server.read_only;
        }
        settings::begins_read_only(self.kept, &writer.role)
            .unwrap_or_else(|| settings::begins_read_only(self.kept, &server.user).is_none() && server.read_only)
    }

    /// A session as the role itself begins it; nothing where it is not let in.
    async fn login(&self, writer: &Writer, login: &TextOrSecret) -> Result<Option<Session>, Failure> {
        let session = match self.postgres.connect(login, self.limits).await {
            Ok(session) => session,
            Err(failure) if failure.class == Class::Denied => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let (here, there) = (self.session.server(), session.server());
        if there.user != writer.role {
            let words = format!("the login given for role {} is role {}'s", writer.role, there.user);
            return Err(Failure::new(Class::Misconfigured, words));
        }
        let known = |one: &Option<String>| one.is_some();
        if there.database != here.database
            || (known(&there.system_identifier)
                && known(&here.system_identifier)
                && there.system_identifier != here.system_identifier)
        {
            return Err(Failure::new(
                Class::Misconfigured,
                format!("the login given for role {} leads to another database", writer.role),
            ));
        }
        session.batch("RESET default_transaction_read_only").await?;
        Ok(Some(session))
    }
}

fn judged(plain: &Canary, asking: &Canary) -> Can {
    match (plain, asking) {
        (Canary::Written, _) => Can::Write,
        (_, Canary::Written) => Can::Ask,
        (Canary::Unclear(why), _) | (_, Canary::Unclear(why)) => Can::Unclear(why.clone()),
        _ => Can::Not,
    }
}

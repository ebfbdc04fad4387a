//! The fence around databases: only the one that the environment names for a secret is ever touched.
//!
//! A secret whose value comes from the environment's own Heroku app or AWS account is fenced by these; every other
//! one of a live environment needs its entry in `databases`. A sandbox never leaves this machine, whatever is written.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Limits, Postgres, Server};
use crate::{
    base::{Class, Failure, clean_line, wild},
    plan::{Identity, TextOrSecret},
    runbook::{DatabaseEnv, EnvKind, SecretSource},
};

/// The fence has no attempt whose deadline it could use.
const FENCE: Duration = Duration::from_secs(20);

impl Postgres {
    /// Compares the database that a connection string leads to with the environment's.
    ///
    /// # Errors
    /// `Refused`: it is another one; `Misconfigured`: a live environment does not say which one it must be; else as
    /// [`Postgres::connect`].
    pub async fn fence(&self, database: &TextOrSecret) -> Result<Identity, Failure> {
        let limits = Limits { deadline: Instant::now() + FENCE, cancel: CancellationToken::new() };
        let session = self.connect_to_read(database, &limits).await?;
        let server = session.server().clone();
        session.close().await;
        let told = told(&server);
        let what = match database {
            TextOrSecret::Secret(name) => format!("secret `{}`", clean_line(name, 60)),
            TextOrSecret::Text(_) => "the connection string".to_owned(),
        };
        let env = &self.env.name;
        match self.wanted(database) {
            Wanted::One(wanted) => {
                if let Some(wrong) = differs(wanted, &server) {
                    let wanted = words(wanted);
                    let words = format!("{what} leads to {told}, and environment `{env}` may only touch {wanted}");
                    return Err(Failure::new(Class::Refused, words).because(wrong));
                }
            }
            Wanted::AnyOf(all) => {
                if all.iter().all(|one| differs(one, &server).is_some()) {
                    let all = all.iter().map(|one| words(one)).collect::<Vec<_>>().join(" or ");
                    let words = format!("{what} leads to {told}, and environment `{env}` may only touch {all}");
                    return Err(Failure::new(Class::Refused, words));
                }
            }
            Wanted::Missing => {
                let words =
                    format!("environment `{env}` does not say which database {what} must lead to; it is {told}");
                let name = if let TextOrSecret::Secret(name) = database { name.as_str() } else { "NAME" };
                let (host, database) = (clean_line(&server.host, 100), clean_line(&server.database, 100));
                return Err(Failure::new(Class::Misconfigured, words).hint(format!(
                    "once you are sure: databases = {{ {name} = {{ host = \"{host}\", name = \"{database}\" }} }}"
                )));
            }
            Wanted::Anything => {}
        }
        Ok(Identity { system: "postgres".into(), line: told })
    }

    /// The same for several; one line for each database.
    ///
    /// # Errors
    /// As [`Postgres::fence`].
    pub async fn fences(&self, databases: &[&TextOrSecret]) -> Result<Option<Identity>, Failure> {
        let mut lines: Vec<String> = Vec::new();
        for database in databases {
            let line = self.fence(database).await?.line;
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        Ok((!lines.is_empty()).then(|| Identity { system: "postgres".into(), line: lines.join("; ") }))
    }

    fn wanted(&self, database: &TextOrSecret) -> Wanted<'_> {
        let databases = &self.env.databases;
        let live = self.env.kind == EnvKind::Live;
        match database {
            TextOrSecret::Secret(name) => match databases.get(name) {
                Some(wanted) => Wanted::One(wanted),
                None if live && !self.is_fenced_elsewhere(name) => Wanted::Missing,
                None => Wanted::Anything,
            },
            TextOrSecret::Text(_) if !databases.is_empty() => Wanted::AnyOf(databases.values().collect()),
            TextOrSecret::Text(_) if live => Wanted::Missing,
            TextOrSecret::Text(_) => Wanted::Anything,
        }
    }

    /// True where the secret's value is read from an app or account that has a fence of its own.
    fn is_fenced_elsewhere(&self, name: &str) -> bool {
        let Some(services) = self.services.upgrade() else { return false };
        match services.secrets.source(name) {
            Some(SecretSource::HerokuConfig(_)) => self.env.heroku.is_some(),
            Some(SecretSource::AwsSecret(_) | SecretSource::AwsParameter(_)) => {
                self.env.aws.as_ref().is_some_and(|aws| aws.account.is_some())
            }
            _ => false,
        }
    }
}

/// What a connection string has to lead to.
enum Wanted<'a> {
    /// This.
    One(&'a DatabaseEnv),
    /// One of these: the string itself stands in the runbook and has no name.
    AnyOf(Vec<&'a DatabaseEnv>),
    /// The environment has to say it, and does not.
    Missing,
    /// Nobody minds.
    Anything,
}

/// What is not as it has to be.
fn differs(wanted: &DatabaseEnv, server: &Server) -> Option<String> {
    let fits = |pattern: &Option<String>, text: &str| pattern.as_ref().is_none_or(|p| wild::matches(p, text));
    if !fits(&wanted.host.as_ref().map(|host| host.to_ascii_lowercase()), &server.host.to_ascii_lowercase()) {
        return Some(format!("its host is {}", clean_line(&server.host, 100)));
    }
    if wanted.name.as_ref().is_some_and(|name| *name != server.database) {
        return Some(format!("its name is {}", clean_line(&server.database, 100)));
    }
    match (&wanted.system, &server.system_identifier) {
        (Some(wanted), Some(found)) if wanted != found => Some(format!("its system identifier is {found}")),
        (Some(_), None) => Some("its system identifier cannot be read by this role".into()),
        _ => None,
    }
}

/// `database app at db.example:5432 as owner, system 7312…`.
fn told(server: &Server) -> String {
    let system = server.system_identifier.as_ref().map(|system| format!(", system {system}")).unwrap_or_default();
    let pooled =
        server.pooler.as_ref().map(|p| format!(", through a pooler in {}", p.mode.words())).unwrap_or_default();
    let text = format!("database {} at {} as {}{system}{pooled}", server.database, server.place, server.user);
    clean_line(&text, 300)
}

fn words(wanted: &DatabaseEnv) -> String {
    let name = wanted.name.as_ref().map_or_else(|| "any database".to_owned(), |name| format!("database {name}"));
    let host = wanted.host.as_ref().map(|host| format!(" at {host}")).unwrap_or_default();
    let system = wanted.system.as_ref().map(|system| format!(", system {system}")).unwrap_or_default();
    clean_line(&format!("{name}{host}{system}"), 200)
}

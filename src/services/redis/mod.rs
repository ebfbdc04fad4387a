//! Redis and what speaks its protocol (Valkey, `ElastiCache`, Heroku Key-Value Store), read only.
//!
//! ```text
//! connect ── url (text or secret) ─ addresses ─ TCP or Unix ─ TLS ─ AUTH ─ SELECT ─ CLIENT SETNAME ─▶ Session
//! Session ── ask([Command]) ─▶ [Reply]      whatever may be sent is in `Command`; nothing there blocks the server
//! ```
//!
//! Nothing that is sent changes anything, so that every failure is one with nothing done. Dropping a future or a
//! [`Session`] closes its connection: the caller's deadline and cancellation need no more than that.
//!
//! The protocol is the `redis` crate's; streams and TLS are ours, so that there is one TLS in the program.

mod about;
mod address;
mod command;
mod errors;
mod reply;
mod session;
mod stream;

use std::sync::Arc;

pub use about::About;
use address::Address;
pub use command::{Command, PAGE, Section};
pub use reply::Reply;
pub use session::Session;

use super::Secrets;
use crate::{
    base::{Class, Failure, Secret},
    plan::TextOrSecret,
    runbook::Env,
};

/// A server as a runbook names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database.
    pub url: TextOrSecret,
    /// A file of certificates (PEM) to trust instead of the platform's.
    pub ca: Option<String>,
    /// False: TLS encrypts, and whoever answers is believed.
    pub verify_certificate: bool,
}

impl Server {
    /// The server for people, before it is known what a secret holds: `redis://10.0.0.7:6379/0`, `${secret.redis_url}`.
    #[must_use]
    pub fn shown(&self) -> String {
        let place = match &self.url {
            TextOrSecret::Text(url) => url.parse::<Address>().map_or_else(|_| "a server".to_owned(), |at| at.shown()),
            TextOrSecret::Secret(name) => format!("${{secret.{name}}}"),
        };
        if self.verify_certificate { place } else { format!("{place} (certificate not verified)") }
    }

    /// What is wrong with an URL that stands in the runbook; a secret is not looked into.
    ///
    /// # Errors
    /// One fragment, without any part of the URL that may be secret.
    pub fn judge(&self) -> Result<(), String> {
        let TextOrSecret::Text(url) = &self.url else { return Ok(()) };
        let address = url.parse::<Address>()?;
        if address.password.is_some() {
            return Err("must not carry a password: keep the whole url in a secret".into());
        }
        if !address.tls() && (self.ca.is_some() || !self.verify_certificate) {
            return Err("is not encrypted, so that there is no certificate: only rediss:// has one".into());
        }
        Ok(())
    }
}

/// Redis servers as one environment reaches them.
pub struct Redis {
    env: Arc<Env>,
    http: super::http::Http,
}

impl Redis {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        Self { http: super::http::Http::new(env.clone()), env }
    }

    /// Opens one connection, says who we are, and asks whom it met.
    ///
    /// # Errors
    /// `Denied`: user or password is not accepted; `Misconfigured`: no such server can be meant (no URL, no TLS, a cluster of several
    /// nodes, a sentinel, no such database); `Refused`: outside of a sandbox; `FailedNothingDone`: not reached, or not ready.
    pub async fn connect(&self, server: &Server, secrets: &Secrets) -> Result<Session, Failure> {
        let url = secrets.text(&server.url).await?;
        let address = url.expose().parse::<Address>().map_err(|why| {
            let what = match &server.url {
                TextOrSecret::Text(_) => "the url".to_owned(),
                TextOrSecret::Secret(name) => format!("the url in secret `{name}`"),
            };
            Failure::new(Class::Misconfigured, format!("{what} {why}"))
        })?;
        if let Some(password) = &address.password {
            // The server's own words may repeat what was sent; nobody sees it there either.
            secrets.learn(password);
        }
        let (stream, met) = stream::open(&self.env, &self.http, &address, server).await?;
        let mut session = Session::over(stream, met, &address).await?;
        session.greet(&address).await?;
        Ok(session)
    }
}

/// A user and a password, as AUTH takes them.
#[derive(Clone)]
pub struct Credentials {
    /// Left out: the server's default user.
    pub user: Option<String>,
    /// The password.
    pub password: Secret,
}

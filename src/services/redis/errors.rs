//! What a server's refusal means. Nothing that we send changes anything, so that nothing was done in any case; the class says
//! whether asking again can help.
//!
//! The codes are those of <https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors> and of the server's source.

use redis::{ErrorKind, RedisError, ServerError};

use super::Command;
use crate::base::{Class, Failure, clean_line};

/// The server answered a command with an error.
pub(super) fn refused(error: &ServerError, command: &Command, place: &str) -> Failure {
    let code = error.code();
    let words = error.details().unwrap_or_default();
    let failure = |class, text: String| {
        Failure::new(class, format!("{place} {text}")).because(clean_line(&format!("{code} {words}"), 300))
    };
    let not_ready = |text: &str| failure(Class::FailedNothingDone, text.into());
    match code {
        "NOAUTH" => {
            failure(Class::Denied, "wants a password".into()).hint("put it into the url: redis://:password@host")
        }
        "WRONGPASS" => failure(Class::Denied, "does not accept the user or the password".into())
            .hint("a password that was rotated is in the newest REDIS_URL"),
        "NOPERM" => failure(Class::Denied, format!("does not allow {} to this user", command.name()))
            .hint("the user needs `+@read +@connection +info +time +dbsize` and the keys it is to read (ACL SETUSER)"),
        "DENIED" => {
            failure(Class::Denied, "is in protected mode and takes connections from its own machine only".into())
        }
        "LOADING" => not_ready("is still loading its data"),
        "BUSY" => not_ready("is busy with a script"),
        "MASTERDOWN" => not_ready("is a replica that has lost its primary"),
        "CLUSTERDOWN" | "TRYAGAIN" => not_ready("is a cluster that is not ready"),
        "MOVED" | "ASK" | "CROSSSLOT" => {
            failure(Class::Misconfigured, "is one node of a cluster and does not hold all keys".into())
                .hint("Sidekiq and whole-database counts need a server that is no cluster")
        }
        "WRONGTYPE" => {
            let key = clean_line(&String::from_utf8_lossy(command.key().unwrap_or_default()), 80);
            failure(Class::Misconfigured, format!("holds something else at `{key}` than Sidekiq would"))
        }
        "ERR" if words.contains("max number of clients") => not_ready("takes no more connections"),
        "ERR" if words.contains("DB index") || words.contains("SELECT is not allowed") => {
            failure(Class::Misconfigured, "has no such database".into())
        }
        "ERR" if words.contains("invalid password") => failure(Class::Denied, "does not accept the password".into()),
        "ERR" if words.contains("no password is set") || words.contains("without any password") => {
            failure(Class::Misconfigured, "has no password, and the url has one".into())
        }
        "ERR" if words.contains("unknown command") || words.contains("unknown subcommand") => {
            failure(Class::Misconfigured, format!("does not know {}", command.name()))
                .hint("a provider may have renamed or removed it")
        }
        _ => not_ready(&format!("refuses {}", command.name())),
    }
}

/// True where a server older than 6 was sent a user, which it does not know.
pub(super) fn knows_no_users(error: &ServerError) -> bool {
    error.code() == "ERR" && error.details().is_some_and(|words| words.contains("wrong number of arguments"))
}

/// A connection that ended, or what came over it is not the protocol.
pub(super) struct Broken<'a> {
    pub place: &'a str,
    pub encrypted: bool,
    /// It had answered before.
    pub answered: bool,
    /// The other side closed it.
    pub ended: bool,
}

impl Broken<'_> {
    /// What that means.
    pub fn tell(&self, error: &RedisError) -> Failure {
        let Self { place, encrypted, answered, ended } = *self;
        // An answer that is cut off in the middle is no protocol either.
        let strange = matches!(error.kind(), ErrorKind::Parse | ErrorKind::UnexpectedReturnType);
        let failure = if strange && !answered && !ended {
            Failure::new(Class::Misconfigured, format!("{place} does not speak Redis's protocol"))
        } else {
            Failure::new(Class::FailedNothingDone, format!("{place} closed the connection"))
                .because(clean_line(&error.to_string(), 200))
        };
        // A TLS listener hangs up on whoever talks plainly, or says so in its own way.
        if encrypted || answered { failure } else { failure.hint("where TLS is spoken the url begins with rediss://") }
    }
}

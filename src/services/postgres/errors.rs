//! What went wrong with a server, as a class of what is known of the world: by SQLSTATE
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>) and by how far things were.

use std::{error::Error as _, io};

use tokio_postgres::{Error, error::DbError};

use crate::base::{Class, Failure};

/// The server's code of an error, where the server said it.
#[must_use]
pub fn sqlstate(error: &Error) -> Option<&str> {
    error.code().map(tokio_postgres::error::SqlState::code)
}

/// True where the connection broke rather than anybody said anything.
pub(super) fn is_io(error: &Error) -> bool {
    error.is_closed() || error.source().is_some_and(|why| why.downcast_ref::<io::Error>().is_some())
}

/// An operating system's error in the words that people know.
pub(super) fn io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset by the other side".into(),
        io::ErrorKind::UnexpectedEof => "closed by the other side without a word".into(),
        io::ErrorKind::NotFound => "there is no such socket".into(),
        io::ErrorKind::PermissionDenied => "this user may not use that socket".into(),
        _ => error.to_string(),
    }
}

/// What is wrong with a certificate.
pub(super) fn certificate(why: &rustls::CertificateError) -> String {
    use rustls::CertificateError as E;
    match why {
        E::UnknownIssuer => "no authority that is trusted issued it".into(),
        E::BadSignature => "no authority that is trusted issued it: one has the issuer's name and another key".into(),
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            format!("it is for another name ({why})")
        }
        other => other.to_string(),
    }
}

/// The class of a code outside of a connection's beginning.
fn class(code: &str, reads: bool) -> Class {
    let lost = if reads { Class::FailedNothingDone } else { Class::Unknown };
    match code {
        "25006" => Class::Refused,
        "42501" => Class::Denied,
        "3D000" | "57P04" => Class::Misconfigured,
        // Shut down, crashed or cut off while it worked: a commit may have been made.
        "57P01" | "57P02" | "57P05" | "08006" | "08003" | "08000" | "08007" | "40003" => lost,
        _ => match code.get(..2).unwrap_or_default() {
            "28" => Class::Denied,
            // A statement that cannot be: its text, a type, a feature.
            "42" | "0A" => Class::Misconfigured,
            // An error undoes its statement.
            _ => Class::FailedNothingDone,
        },
    }
}

fn told(failure: Failure, db: &DbError) -> Failure {
    let failure = failure.because(format!("SQLSTATE {}", db.code().code()));
    let failure = db.detail().into_iter().fold(failure, |f, detail| f.because(format!("detail: {detail}")));
    let failure = db.hint().into_iter().fold(failure, |f, hint| f.because(format!("the server's hint: {hint}")));
    let within =
        [("schema", db.schema()), ("table", db.table()), ("column", db.column()), ("constraint", db.constraint())];
    let named = within.iter().filter_map(|(what, name)| name.map(|name| format!("{what} {name}"))).collect::<Vec<_>>();
    let failure = if named.is_empty() { failure } else { failure.because(named.join(", ")) };
    // Which function it was in.
    db.where_().into_iter().flat_map(str::lines).take(4).fold(failure, |f, place| f.because(format!("in {place}")))
}

fn hinted(failure: Failure, code: &str) -> Failure {
    let hint = match code {
        "42501" => "grant the role what it lacks, or give a connection string of a role that has it",
        "25006" => "the session or its database is read-only, or the server is a standby",
        "28P01" => "the password is wrong for this user, or the user does not exist",
        "28000" => "the server's pg_hba.conf does not let this user in from here, or the role may not log in",
        "53300" => "the server has no connection left; end idle sessions or wait",
        "57P03" => "the server is starting up or shutting down; try again",
        "57014" => "it was cancelled, or took longer than its statement timeout",
        "55P03" => "somebody holds a lock on it",
        _ => return failure,
    };
    failure.hint(hint)
}

/// Why a session could not be had.
pub(super) fn connecting(error: &Error, shown: &str, user: &str) -> Failure {
    let Some(db) = error.as_db_error() else {
        let why = error.source().map_or_else(
            || error.to_string(),
            |why| match why.downcast_ref::<io::Error>() {
                Some(why) => io(why),
                None => why.to_string(),
            },
        );
        // No password, or one that the server's proof does not fit: nobody is let in.
        let class = if is_io(error) { Class::FailedNothingDone } else { Class::Denied };
        let failure = Failure::new(class, format!("no session at {shown} as {user}: {why}"));
        return if why == "password missing" {
            failure.hint("give it in the connection string, by PGPASSWORD or in .pgpass")
        } else {
            failure
        };
    };
    let code = db.code().code();
    let class = match class(code, true) {
        // No session was had, so nothing was done, whatever else it was.
        Class::Unknown | Class::Failed => Class::FailedNothingDone,
        class => class,
    };
    let failure = Failure::new(class, format!("{shown} does not let {user} in: {}", db.message()));
    hinted(told(failure, db), code)
}

/// Why a call failed. `reads`: it cannot have changed anything. `ended`: why the connection itself ended, where
/// that is known.
pub(super) fn call(what: &str, shown: &str, error: &Error, reads: bool, ended: Option<&Error>) -> Failure {
    let said = error.as_db_error().or_else(|| ended.and_then(Error::as_db_error));
    let Some(db) = said else {
        let inner = ended.filter(|_| error.is_closed()).unwrap_or(error);
        let why = match inner.source().map(|why| (why.downcast_ref::<io::Error>(), why)) {
            Some((Some(why), _)) => io(why),
            Some((None, why)) => why.to_string(),
            None if inner.is_closed() => "closed by the other side".into(),
            None => inner.to_string(),
        };
        if is_io(error) {
            let class = if reads { Class::FailedNothingDone } else { Class::Unknown };
            return Failure::new(class, format!("the connection to {shown} broke during {what}: {why}"));
        }
        // Values that do not fit, an answer of another shape: the library's own words.
        return Failure::new(Class::Misconfigured, format!("{what}: {error}")).because(why);
    };
    let code = db.code().code();
    let failure = Failure::new(class(code, reads), format!("{what}: {}", db.message()));
    hinted(told(failure, db), code)
}

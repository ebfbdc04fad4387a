//! URLs of Redis servers, as `REDIS_URL` holds them (IANA scheme registrations `redis` and `rediss`).
//!
//! No error carries a part of the URL: a password that was not escaped may stand anywhere in a broken one.

use std::{path::PathBuf, str::FromStr};

use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::Credentials;
use crate::base::{Secret, clean_line};

/// The port that Redis listens at.
const PORT: u16 = 6379;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// A name or an address, without brackets, and a port.
    Tcp { host: String, port: u16, tls: bool },
    /// A Unix socket.
    Unix(PathBuf),
}

/// What a URL says.
#[derive(Clone)]
pub(super) struct Address {
    pub at: At,
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// The database; 0 where none is named.
    pub db: u64,
}

impl Address {
    /// True where the connection is encrypted.
    pub fn tls(&self) -> bool {
        matches!(self.at, At::Tcp { tls: true, .. })
    }

    /// Where it is, for people: without user and password.
    pub fn shown(&self) -> String {
        let db = self.db;
        let text = match &self.at {
            At::Tcp { host, port, tls } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                format!("{scheme}://{host}:{port}/{db}")
            }
            At::Unix(path) => format!("unix://{}?db={db}", path.display()),
        };
        clean_line(&text, 200)
    }

    pub fn credentials(&self) -> Option<Credentials> {
        Some(Credentials { user: self.user.clone(), password: self.password.clone()? })
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text.trim())
            .map_err(|_| "is no URL such as redis://host:6379/0 (special characters in a password must be escaped)")?;
        let pairs = |key: &str| url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
        let (at, path_db) = match url.scheme() {
            scheme @ ("redis" | "rediss" | "valkey" | "valkeys") => {
                let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
                let host = decoded(host.trim_start_matches('[').trim_end_matches(']'))?;
                let tls = scheme.ends_with("ss") || scheme == "valkeys";
                let path = url.path().trim_matches('/');
                (At::Tcp { host, port: url.port().unwrap_or(PORT), tls }, (!path.is_empty()).then(|| path.to_owned()))
            }
            "unix" | "redis+unix" | "valkey+unix" => {
                let path = decoded(url.path())?;
                if path.len() < 2 || url.host_str().is_some_and(|host| !host.is_empty()) {
                    return Err("names no socket: it is unix:///path/to/redis.sock".into());
                }
                (At::Unix(path.into()), None)
            }
            _ => return Err("must begin with redis://, rediss:// (TLS) or unix://".into()),
        };
        let db = match path_db.or_else(|| pairs("db")) {
            None => 0,
            Some(db) => db.parse().map_err(|_| "names a database that is no number")?,
        };
        let user = Some(decoded(url.username())?).filter(|user| !user.is_empty()).or_else(|| pairs("user"));
        let password = url.password().map(decoded).transpose()?.or_else(|| pairs("pass"));
        let password = password.filter(|password| !password.is_empty()).map(Secret::new);
        if user.is_some() && password.is_none() {
            return Err("has a user and no password (a password alone is written redis://:password@host)".into());
        }
        Ok(Self { at, user, password, db })
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "is not UTF-8 where it is percent-encoded")?;
    if text.contains('\0') { Err("holds a zero byte".into()) } else { Ok(text.into_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let read = |text: &str| {
            let one = text.parse::<Address>().unwrap_or_else(|e| panic!("{text}: {e}"));
            let password = one.password.as_ref().map(|secret| secret.expose().to_owned());
            (one.shown(), one.user, password)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("redis://cache.acme.example"), ("redis://cache.acme.example:6379/0".into(), None, None));
        assert_eq!(read("redis://:p%40ss@[::1]:7000/3"), ("redis://[::1]:7000/3".into(), None, some("p@ss")));
        assert_eq!(
            read("rediss://h:sesame@ec2-1-2-3-4.compute-1.amazonaws.com:9379"),
            ("rediss://ec2-1-2-3-4.compute-1.amazonaws.com:9379/0".into(), some("h"), some("sesame"))
        );
        assert_eq!(read("valkeys://x:6380/?db=2").0, "rediss://x:6380/2");
        assert_eq!(
            read("unix:///run/redis/a%20b.sock?db=4&user=u&pass=word"),
            ("unix:///run/redis/a b.sock?db=4".into(), some("u"), some("word"))
        );
    }

    #[test]
    fn broken_urls_say_why_and_nothing_of_themselves() {
        for (text, why) in [
            ("sesame", "is no URL"),
            ("redis://:ses#ame@host", "is no URL"),
            ("http://sesame", "must begin with"),
            ("redis:///0", "names no host"),
            ("redis://sesame/one", "no number"),
            ("redis://sesame@host", "a user and no password"),
            ("unix://sesame", "names no socket"),
            ("redis://:%ff@sesame", "not UTF-8"),
        ] {
            let said = text.parse::<Address>().map(|one| one.shown()).expect_err(text);
            assert!(said.contains(why), "{text}: {said}");
            assert!(!said.contains("sesame"), "{said}");
        }
    }
}

//! Who answered: version, role and place of a server, as INFO tells them.

use serde_json::{Value as Json, json};

use crate::base::{Class, Failure, clean_line};

/// A server, as far as it lets us see. Its own words are cleaned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The URL without user and password.
    pub place: String,
    /// The database.
    pub db: u64,
    /// The address that was connected to; `None` for a Unix socket.
    pub address: Option<String>,
    /// `7.0.15`; `None` where INFO is not allowed.
    pub version: Option<String>,
    /// The random name of the server's process: another one after every start.
    pub run_id: Option<String>,
    /// `master` or `slave`, as it calls itself.
    pub role: Option<String>,
    /// Where a replica's primary is.
    pub primary: Option<String>,
    /// How a replica's way to its primary is: `up` or `down`.
    pub link: Option<String>,
    /// A replica is being given all of its primary's data anew.
    pub syncing: bool,
    /// `standalone`, `cluster` or `sentinel`.
    pub mode: Option<String>,
    /// Shards of the cluster that it is a node of.
    pub shards: Option<u64>,
    /// SHA-256 of the certificate that was shown and not verified.
    pub unverified: Option<String>,
}

/// The value of a line `key:value` of INFO.
pub(super) fn line<'t>(info: &'t str, key: &str) -> Option<&'t str> {
    info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

impl About {
    /// Takes in what INFO said.
    pub(super) fn learn(&mut self, info: &str) {
        let text = |key: &str| line(info, key).filter(|text| !text.is_empty()).map(|text| clean_line(text, 80));
        self.version = text("valkey_version").or_else(|| text("redis_version")).or(self.version.take());
        self.run_id = text("run_id").or(self.run_id.take());
        self.mode = text("redis_mode").or_else(|| text("server_mode")).or(self.mode.take());
        self.role = text("role").or(self.role.take());
        if let (Some(host), Some(port)) = (text("master_host"), text("master_port")) {
            self.primary = Some(format!("{host}:{port}"));
        }
        self.link = text("master_link_status").or(self.link.take());
        self.syncing |= line(info, "master_sync_in_progress") == Some("1");
        if line(info, "cluster_enabled") == Some("1") {
            self.mode = Some("cluster".into());
        }
    }

    /// True where what it shows may be behind its primary.
    #[must_use]
    pub fn is_replica(&self) -> bool {
        matches!(self.role.as_deref(), Some("slave" | "replica"))
    }

    /// A replica that its primary does not reach shows what was, and nobody knows for how long.
    ///
    /// # Errors
    /// `FailedNothingDone`: the link is not up, or nothing is said of it.
    pub fn reached(&self) -> Result<(), Failure> {
        if !self.is_replica() || self.link.as_deref() == Some("up") {
            return Ok(());
        }
        let link = self.link.as_deref().unwrap_or("not told");
        let of = self.primary.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
        let syncing = if self.syncing { ", and it is being synchronised" } else { "" };
        let words = format!("{} is a replica whose link to its primary{of} is {link}{syncing}", self.place);
        Err(Failure::new(Class::FailedNothingDone, words).hint("what it shows may be old; name the primary"))
    }

    /// A server that does not hold all of the keys cannot be counted, nor one that does not say whether they are its own.
    pub(super) fn judge(&self) -> Result<(), Failure> {
        let bad = |text: String| Err(Failure::new(Class::Misconfigured, format!("{} {text}", self.place)));
        match (self.mode.as_deref(), self.shards) {
            (Some("sentinel"), _) => bad("is a sentinel, not the server that it watches".into()),
            (Some("cluster"), None) => bad("is one node of a cluster, and how many there are is not to be had".into()),
            (Some("cluster"), Some(shards)) if shards > 1 => {
                bad(format!("is one node of a cluster of {shards} shards and holds a part of the keys only"))
            }
            _ if self.role.is_none() => {
                let words = format!("INFO of {} says nothing of its role: a replica cannot be ruled out", self.place);
                Err(Failure::new(Class::Denied, words))
            }
            _ => Ok(()),
        }
    }

    /// As evidence.
    #[must_use]
    pub fn evidence(&self) -> Json {
        json!({
            "server": self.place,
            "address": self.address,
            "db": self.db,
            "version": self.version,
            "run_id": self.run_id,
            "role": self.role,
            "primary": self.primary,
            "link": self.link,
            "certificate_not_verified": self.unverified,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_and_parts_of_the_keys_are_refused() {
        let mut about = About { place: "redis://x:6379/0".into(), ..About::default() };
        about.learn("# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:ab\u{1b}c\r\n");
        assert!(about.judge().unwrap_err().message.contains("says nothing of its role"));
        about.learn("# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n");
        assert!(about.is_replica());
        assert!(about.reached().unwrap_err().message.ends_with("link to its primary at 10.0.0.1:6379 is not told"));
        about.learn("master_link_status:down\r\nmaster_sync_in_progress:1\r\n");
        assert!(about.reached().unwrap_err().message.ends_with(" is down, and it is being synchronised"));
        about.learn("master_link_status:up\r\n");
        assert_eq!(about.reached(), Ok(()));
        assert_eq!(about.run_id.as_deref(), Some("ab\\u{1b}c"));
        assert_eq!(about.primary.as_deref(), Some("10.0.0.1:6379"));
        assert_eq!(about.judge(), Ok(()));
        about.learn("# Cluster\r\ncluster_enabled:1\r\n");
        assert!(about.judge().is_err());
        about.shards = Some(1);
        assert_eq!(about.judge(), Ok(()));
        about.shards = Some(3);
        assert!(about.judge().unwrap_err().message.contains("3 shards"));
    }
}

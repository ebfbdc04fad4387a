//! What may be sent to a server: this list and nothing else. Each reads, and each is done in an instant whatever the
//! server holds (<https://redis.io/docs/latest/commands/>, "Time complexity"): O(1), O(log n), or one bounded page of a scan.
//!
//! Not here and not to be added: KEYS, SMEMBERS, HGETALL, LRANGE and ZRANGE without a bound, SORT, MONITOR, EVAL, whatever blocks,
//! whatever writes.

use redis::Cmd;

use super::Credentials;

/// How many elements a page of a scan looks at. The server works on a page for about a tenth of a millisecond.
pub const PAGE: u32 = 1000;

/// Part of INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Version, mode, `run_id`.
    Server,
    /// Primary or replica.
    Replication,
    /// Whether it is a node of a cluster.
    Cluster,
    /// Memory in use, its limit and the eviction policy.
    Memory,
    /// Changes since the last save.
    Persistence,
    /// Keys and those with a time to live, by database.
    Keyspace,
}

/// One command. Keys are bytes: they need not be text.
#[derive(Clone)]
pub enum Command {
    /// `AUTH`.
    Auth(Credentials),
    /// `SELECT`.
    Select(u64),
    /// `CLIENT SETNAME gonogo`: whoever looks at the server sees who is there.
    SetName,
    /// `INFO` of one section.
    Info(Section),
    /// `CLUSTER INFO`: nodes of the cluster.
    ClusterInfo,
    /// `TIME`: the server's clock.
    Time,
    /// `DBSIZE`: keys of the database.
    Size,
    /// `GET`. For counters: a value may be as long as it likes, the answer's size is bounded by the session.
    Get(Vec<u8>),
    /// `PTTL`: milliseconds until a key expires.
    ExpiresIn(Vec<u8>),
    /// `LLEN`.
    ListLength(Vec<u8>),
    /// `LINDEX key -1`: the last element.
    ListLast(Vec<u8>),
    /// `ZCARD`.
    SortedCount(Vec<u8>),
    /// `ZCOUNT key -inf until`.
    SortedUntil(Vec<u8>, f64),
    /// `ZRANGE key 0 0 WITHSCORES`: the lowest element and its score.
    SortedFirst(Vec<u8>),
    /// `HMGET`.
    Fields(Vec<u8>, &'static [&'static str]),
    /// `SCAN cursor [MATCH pattern] COUNT 1000`.
    ScanKeys(u64, Option<Vec<u8>>),
    /// `SSCAN key cursor COUNT 1000`.
    ScanSet(Vec<u8>, u64),
    /// `HSCAN key cursor COUNT 1000`.
    ScanHash(Vec<u8>, u64),
}

impl Command {
    /// Its name, for messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Auth(_) => "AUTH",
            Self::Select(_) => "SELECT",
            Self::SetName => "CLIENT SETNAME",
            Self::Info(_) => "INFO",
            Self::ClusterInfo => "CLUSTER INFO",
            Self::Time => "TIME",
            Self::Size => "DBSIZE",
            Self::Get(_) => "GET",
            Self::ExpiresIn(_) => "PTTL",
            Self::ListLength(_) => "LLEN",
            Self::ListLast(_) => "LINDEX",
            Self::SortedCount(_) => "ZCARD",
            Self::SortedUntil(..) => "ZCOUNT",
            Self::SortedFirst(_) => "ZRANGE",
            Self::Fields(..) => "HMGET",
            Self::ScanKeys(..) => "SCAN",
            Self::ScanSet(..) => "SSCAN",
            Self::ScanHash(..) => "HSCAN",
        }
    }

    /// The key that it reads, for messages.
    pub(super) fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Get(key)
            | Self::ExpiresIn(key)
            | Self::ListLength(key)
            | Self::ListLast(key)
            | Self::SortedCount(key)
            | Self::SortedUntil(key, _)
            | Self::SortedFirst(key)
            | Self::Fields(key, _)
            | Self::ScanSet(key, _)
            | Self::ScanHash(key, _) => Some(key),
            _ => None,
        }
    }

    /// As the protocol has it. The only place where a command is made.
    pub(super) fn packed(&self) -> Cmd {
        let mut words = self.name().split(' ');
        let mut cmd = redis::cmd(words.next().unwrap_or_default());
        for word in words {
            cmd.arg(word);
        }
        if let Some(key) = self.key() {
            cmd.arg(key);
        }
        match self {
            Self::Auth(Credentials { user, password }) => {
                if let Some(user) = user {
                    cmd.arg(user);
                }
                cmd.arg(password.expose());
            }
            Self::Select(db) => {
                cmd.arg(*db);
            }
            Self::SetName => {
                cmd.arg("gonogo");
            }
            Self::Info(section) => {
                cmd.arg(match section {
                    Section::Server => "server",
                    Section::Replication => "replication",
                    Section::Cluster => "cluster",
                    Section::Memory => "memory",
                    Section::Persistence => "persistence",
                    Section::Keyspace => "keyspace",
                });
            }
            Self::ListLast(_) => {
                cmd.arg(-1);
            }
            Self::SortedUntil(_, until) => {
                cmd.arg("-inf").arg(format!("{until:.3}"));
            }
            Self::SortedFirst(_) => {
                cmd.arg(0).arg(0).arg("WITHSCORES");
            }
            Self::Fields(_, fields) => {
                cmd.arg(*fields);
            }
            Self::ScanKeys(cursor, pattern) => {
                cmd.arg(*cursor);
                if let Some(pattern) = pattern {
                    cmd.arg("MATCH").arg(pattern);
                }
                cmd.arg("COUNT").arg(PAGE);
            }
            Self::ScanSet(_, cursor) | Self::ScanHash(_, cursor) => {
                cmd.arg(*cursor).arg("COUNT").arg(PAGE);
            }
            Self::ClusterInfo
            | Self::Time
            | Self::Size
            | Self::Get(_)
            | Self::ExpiresIn(_)
            | Self::ListLength(_)
            | Self::SortedCount(_) => {}
        }
        cmd
    }
}

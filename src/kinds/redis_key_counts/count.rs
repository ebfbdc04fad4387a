//! Counts the keys of one server by pattern, page by page, and reads what it says of its memory.

use std::sync::atomic::{AtomicU64, Ordering};

use super::glob;
use crate::{
    base::{Failure, clean_line},
    services::redis::{About, Command, PAGE, Reply, Section, Session},
};

/// How many pages are read between two reports.
const REPORT: u64 = 20;

/// One server, counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub about: About,
    /// By pattern, in the order asked for.
    pub counts: Vec<u64>,
    /// Keys of the database when it was over.
    pub keys: u64,
    /// Those of them that expire.
    pub expiring: u64,
    /// `noeviction`; `None` where INFO is not allowed or does not say.
    pub policy: Option<String>,
    pub memory: Option<Memory>,
    /// It was written to while its keys were counted.
    pub written: bool,
}

/// Bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    pub used: u64,
    /// What it may use; where it has no limit of its own, the machine's.
    pub limit: u64,
    /// True where `limit` is `maxmemory`.
    pub own_limit: bool,
}

impl Memory {
    /// Whole percent that are free.
    pub fn free(self) -> u64 {
        self.limit.saturating_sub(self.used).saturating_mul(100).checked_div(self.limit).unwrap_or(0)
    }
}

/// How far the counting of one or two servers is.
#[derive(Default)]
pub(super) struct Progress {
    pub seen: AtomicU64,
    pub total: AtomicU64,
}

/// Counts. A key may be met twice while a table grows, and one that comes or goes meanwhile may be missed: the counts of a
/// server that is written to are approximate (<https://redis.io/docs/latest/commands/scan/>, "Scan guarantees").
pub(super) async fn count(
    mut session: Session,
    patterns: &[String],
    progress: &Progress,
    report: impl Fn(),
) -> Result<Counted, Failure> {
    let total = session.one(Command::Size).await?.count()?;
    progress.total.fetch_add(total, Ordering::Relaxed);
    let before = changes(&mut session).await?;
    let mut counts = vec![0; patterns.len()];
    // One pattern is matched by the server, which then sends nothing else; several are told apart here, in one pass.
    let alone = match patterns {
        [one] if one != "*" => Some(one.clone().into_bytes()),
        _ => None,
    };
    let (mut cursor, mut pages, mut told) = (0, 0_u64, 0);
    loop {
        let (next, keys) = session.one(Command::ScanKeys(cursor, alone.clone())).await?.page()?;
        if alone.is_some() {
            counts[0] += keys.len() as u64;
        } else {
            tally(&keys, patterns, &mut counts)?;
        }
        pages += 1;
        cursor = next;
        if cursor == 0 {
            break;
        }
        if pages % REPORT == 0 {
            let seen = (pages * u64::from(PAGE)).min(total);
            progress.seen.fetch_add(seen.saturating_sub(told), Ordering::Relaxed);
            told = seen;
            report();
        }
    }
    let written = before != changes(&mut session).await?;
    let keys = session.one(Command::Size).await?.count()?;
    let info = |reply: Result<Reply, Failure>| reply.and_then(|reply| reply.text()).ok().flatten().unwrap_or_default();
    let asked = [Command::Info(Section::Memory), Command::Info(Section::Keyspace)];
    let [memory, keyspace] = match <[_; 2]>::try_from(session.try_each(&asked).await?) {
        Ok(both) => both.map(info),
        Err(_) => [String::new(), String::new()],
    };
    let about = session.about().clone();
    Ok(Counted {
        counts,
        keys,
        expiring: expiring(&keyspace, about.db),
        policy: field(&memory, "maxmemory_policy").map(|policy| clean_line(policy, 40)),
        memory: of(&memory),
        about,
        written,
    })
}

fn tally(keys: &[Reply], patterns: &[String], counts: &mut [u64]) -> Result<(), Failure> {
    for reply in keys {
        let key = reply.bytes()?.unwrap_or_default();
        for (count, pattern) in counts.iter_mut().zip(patterns) {
            *count += u64::from(glob::matches(pattern.as_bytes(), key));
        }
    }
    Ok(())
}

fn field<'t>(info: &'t str, key: &str) -> Option<&'t str> {
    let value = info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?.trim();
    (!value.is_empty()).then_some(value)
}

/// What counts every change of the data; empty where INFO is not allowed.
async fn changes(session: &mut Session) -> Result<String, Failure> {
    let info = session.try_each(&[Command::Info(Section::Persistence)]).await?.pop();
    let info = info.and_then(Result::ok).map(|info| info.text()).transpose()?.flatten().unwrap_or_default();
    let changed = |key| field(&info, key).unwrap_or_default().to_owned();
    // The counter begins anew at every save.
    Ok(changed("rdb_changes_since_last_save") + "/" + &changed("rdb_last_save_time"))
}

/// `db0:keys=5,expires=2,avg_ttl=0`.
fn expiring(keyspace: &str, db: u64) -> u64 {
    let fields = field(keyspace, &format!("db{db}")).unwrap_or_default();
    fields.split(',').find_map(|part| part.strip_prefix("expires=")?.parse().ok()).unwrap_or_default()
}

fn of(info: &str) -> Option<Memory> {
    let number = |key: &str| field(info, key).and_then(|text| text.parse::<u64>().ok());
    let used = number("used_memory")?;
    match number("maxmemory")? {
        0 => Some(Memory { used, limit: number("total_system_memory").filter(|n| *n > 0)?, own_limit: false }),
        limit => Some(Memory { used, limit, own_limit: true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read() {
        let limited = of("used_memory:300\r\ntotal_system_memory:9000\r\nmaxmemory:1000\r\n").unwrap();
        assert_eq!((limited.free(), limited.own_limit), (70, true));
        let free = of("used_memory:300\r\ntotal_system_memory:400\r\nmaxmemory:0\r\n").unwrap();
        assert_eq!((free.free(), free.own_limit), (25, false));
        assert_eq!(of("used_memory:300\r\n"), None);
        assert_eq!(of("used_memory:300\r\nmaxmemory:100\r\n").unwrap().free(), 0);
        let keyspace = "# Keyspace\r\ndb0:keys=5,expires=2,avg_ttl=0\r\ndb10:keys=1,expires=1,avg_ttl=9\r\n";
        assert_eq!([0, 1, 10].map(|db| expiring(keyspace, db)), [2, 0, 1]);
    }
}

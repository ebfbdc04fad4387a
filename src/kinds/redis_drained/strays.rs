//! Lists that hold jobs and that no set names.

use std::collections::BTreeSet;

use super::state::{Keys, State};
use crate::{
    base::Failure,
    services::redis::{Command, Session},
};

/// With more keys than this nobody looks for lists that no set names: 200 pages are seconds where the way is long.
const KEYS: u64 = 200_000;
/// More lists than this are not Sidekiq's.
const STRAYS: usize = 10_000;

/// Lists of jobs that no set names: queues that were taken off the list, and those that other gems keep what they work
/// on in.
#[derive(Debug, Default)]
pub(super) struct Strays {
    /// Lists, and how long they are.
    pub lists: Vec<(Vec<u8>, u64)>,
    /// There are so many keys that nobody looked.
    pub unseen: Option<u64>,
}

impl Strays {
    /// Looks through all keys, a page at a time.
    pub async fn read(session: &mut Session, keys: &Keys, state: &State) -> Result<Self, Failure> {
        let size = session.one(Command::Size).await?.count()?;
        let unseen = Self { lists: Vec::new(), unseen: Some(size) };
        if size > KEYS {
            return Ok(unseen);
        }
        let known: BTreeSet<Vec<u8>> = state.queues.iter().map(|queue| [b"queue:", &queue.key[..]].concat()).collect();
        let is_known = |name: &[u8]| known.contains(name) || state.private.iter().any(|one| one.list == name);
        let mut lists = BTreeSet::new();
        let mut cursor = 0;
        loop {
            let (next, page) = session.one(Command::ScanKeys(cursor, Some(keys.any_queue()))).await?.page()?;
            for reply in page {
                let Some(name) = reply.bytes()?.and_then(|key| keys.without(key)) else { continue };
                let ours = name.starts_with(b"queue:") || name.starts_with(b"working:queue:");
                if ours && !is_known(name) {
                    lists.insert(name.to_vec());
                }
            }
            if lists.len() > STRAYS {
                return Ok(unseen);
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let asked: Vec<_> = lists.iter().map(|list| Command::ListLength(keys.around("", list, ""))).collect();
        let mut found = Self::default();
        let replies = session.try_each(&asked).await?;
        for (list, reply) in lists.into_iter().zip(replies) {
            // What is no list there is somebody else's.
            let size = reply.map_or(Ok(0), |reply| reply.count())?;
            if size > 0 {
                found.lists.push((list, size));
            }
        }
        Ok(found)
    }
}

//! A caching resolver: follows CNAMEs, counts TTLs down, keeps a "no" as long as the zone says.

use std::collections::HashMap;

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, Record, RecordType},
};

use super::{
    authority::{Origins, Step, step},
    parent,
};
use crate::sandbox::world::{Moment, World, after, since};

/// CNAMEs followed before a chain counts as a loop.
const CHAIN: usize = 8;
/// Names kept; a client that asks for invented ones cannot fill the memory.
const KEPT: usize = 2000;
/// The fault `dns.stale`: a TTL below the first one is taken for the second.
const STALE: (u32, u32) = (20, 30);

/// Answers by name and type.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct Cache {
    entries: HashMap<(Name, RecordType), Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    step: Step,
    expires: Moment,
}

/// A whole answer.
pub(in crate::sandbox) struct Answer {
    pub code: ResponseCode,
    pub answers: Vec<Record>,
    pub authority: Vec<Record>,
    pub additional: Vec<Record>,
}

impl Answer {
    /// One without records.
    pub fn new(code: ResponseCode) -> Self {
        Self { code, answers: Vec::new(), authority: Vec::new(), additional: Vec::new() }
    }
}

/// Resolves with the cache of the resolver `which`.
pub(in crate::sandbox) fn resolve(
    world: &mut World,
    which: usize,
    origins: Origins,
    name: &Name,
    rtype: RecordType,
    now: Moment,
) -> Answer {
    let mut answer = Answer::new(ResponseCode::NoError);
    let mut at = name.to_lowercase();
    for _ in 0..CHAIN {
        let (step, left) = look(world, which, origins, &at, rtype, now);
        let aged = |mut record: Record| {
            record.ttl = record.ttl.min(left);
            record
        };
        match step {
            Step::Found(records) => {
                answer.answers.extend(records.into_iter().map(aged));
                return answer;
            }
            Step::Alias(record, to) => {
                answer.answers.push(aged(record));
                at = to.to_lowercase();
            }
            Step::NoData(soa) => {
                answer.authority.push(aged(soa));
                return answer;
            }
            Step::NoName(soa) => {
                answer.code = ResponseCode::NXDomain;
                answer.authority.push(aged(soa));
                return answer;
            }
            Step::NotOurs => break,
        }
    }
    // A loop, or a name that only the real DNS knows, which is not asked.
    Answer::new(ResponseCode::ServFail)
}

/// One step from the cache, else from the authority, and for how many seconds it still holds.
fn look(world: &mut World, which: usize, origins: Origins, name: &Name, rtype: RecordType, now: Moment) -> (Step, u32) {
    let cache = &mut world.live.caches[which];
    cache.entries.retain(|_, entry| entry.expires > now);
    for key in [(name.clone(), rtype), (name.clone(), RecordType::CNAME)] {
        let Some(entry) = cache.entries.get(&key) else { continue };
        let step = match (&entry.step, key.1 == rtype) {
            (step, true) => step.clone(),
            // A cached CNAME answers for every other type.
            (Step::Found(records), false) => match records.first().map(|record| (record.clone(), &record.data)) {
                Some((record, RData::CNAME(to))) => Step::Alias(record, to.0.clone()),
                _ => continue,
            },
            _ => continue,
        };
        let left = u32::try_from(since(entry.expires, now).as_secs()).unwrap_or(u32::MAX);
        return (step, left);
    }
    let mut step = match step(world, origins, name, rtype) {
        // The zone above is asked for itself only: it knows nothing of what lies beside the world's domain.
        Step::NotOurs => parent::own(world, name, rtype).unwrap_or(Step::NotOurs),
        step => step,
    };
    let Some(ttl) = step.ttl() else { return (step, 0) };
    let host = name.to_ascii().trim_end_matches('.') == world.names.host;
    let positive = matches!(step, Step::Found(_) | Step::Alias(..));
    if which == 1 && host && positive && ttl < STALE.0 && world.strikes("dns.stale") {
        step.set_ttl(STALE.1);
    }
    let ttl = step.ttl().unwrap_or(ttl);
    let (key, kept) = match &step {
        Step::Alias(record, _) => ((name.clone(), RecordType::CNAME), Step::Found(vec![record.clone()])),
        step => ((name.clone(), rtype), step.clone()),
    };
    let entries = &mut world.live.caches[which].entries;
    if entries.len() >= KEPT {
        entries.clear();
    }
    entries.insert(key, Entry { step: kept, expires: after(now, i64::from(ttl) * 1000) });
    (step, ttl)
}

//! What the authoritative server knows: the public hosted zones as far as they are INSYNC, and the
//! providers' names that they point to. One step at a time; who asks follows the CNAMEs.

use std::net::IpAddr;

use hickory_proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{A, AAAA},
};

use crate::sandbox::{
    aws::route53::{RecordSet, Zone, normal_name},
    world::World,
};

/// TTL of the providers' address records.
const PROVIDER_TTL: u32 = 5;
/// What the providers' zones say of themselves; the last number is how long a "no" is kept.
const PROVIDER_SOA: &str = "ns-1.awsdns.example. hostmaster.awsdns.example. 1 7200 900 1209600 5";
/// The zone of the name servers' own names.
const SERVERS: &str = "awsdns.example.";

/// One step of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sandbox) enum Step {
    /// The records asked for.
    Found(Vec<Record>),
    /// The name is another one.
    Alias(Record, Name),
    /// The name is there, the type is not.
    NoData(Record),
    /// The name is not there.
    NoName(Record),
    /// Not ours.
    NotOurs,
}

impl Step {
    /// How many seconds it holds; `None` where it must not be kept.
    pub fn ttl(&self) -> Option<u32> {
        match self {
            Self::Found(records) => Some(records.iter().map(|record| record.ttl).min().unwrap_or(0)),
            Self::Alias(record, _) | Self::NoData(record) | Self::NoName(record) => Some(record.ttl),
            Self::NotOurs => None,
        }
    }

    /// Makes it hold for so many seconds.
    pub fn set_ttl(&mut self, ttl: u32) {
        match self {
            Self::Found(records) => records.iter_mut().for_each(|record| record.ttl = ttl),
            Self::Alias(record, _) | Self::NoData(record) | Self::NoName(record) => record.ttl = ttl,
            Self::NotOurs => {}
        }
    }
}

/// Where the two origins listen.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Origins {
    pub old: IpAddr,
    pub new: IpAddr,
}

/// Answers for one name and type.
pub(in crate::sandbox) fn step(world: &mut World, origins: Origins, name: &Name, rtype: RecordType) -> Step {
    let asked = normal_name(&name.to_ascii());
    let dice = world.live.ids.next();
    let zones = world.zones.iter().filter(|zone| !zone.private);
    let zone = zones.filter(|zone| is_under(&asked, &zone.name)).max_by_key(|zone| zone.name.len());
    let provided = [(&world.names.old_target, origins.old), (&world.names.new_target, origins.new)];
    if let Some((_, address)) = provided.iter().find(|(target, _)| normal_name(target) == asked) {
        return address_step(name, *address, rtype, provider_zone(&asked));
    }
    match zone {
        Some(zone) => zone_step(zone, origins, &world.names.new_target, name, &asked, rtype, dice),
        None => provider_step(world, name, &asked, rtype),
    }
}

/// True where two names are served by the same zone.
pub(in crate::sandbox) fn same_zone(world: &World, a: &Name, b: &Name) -> bool {
    let zone = |name: &Name| {
        let name = normal_name(&name.to_ascii());
        world.zones.iter().filter(|zone| !zone.private && is_under(&name, &zone.name)).map(|zone| zone.name.len()).max()
    };
    zone(a).is_some() && zone(a) == zone(b)
}

pub(super) fn is_under(name: &str, zone: &str) -> bool {
    name == zone || name.ends_with(&format!(".{zone}"))
}

fn provider_zone(name: &str) -> String {
    let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
    format!("{}.", labels[labels.len().saturating_sub(2)..].join("."))
}

fn address_record(name: &Name, ttl: u32, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    Record::from_rdata(name.clone(), ttl, data)
}

fn address_step(name: &Name, address: IpAddr, rtype: RecordType, zone: String) -> Step {
    let record = address_record(name, PROVIDER_TTL, address);
    if record.record_type() == rtype || rtype == RecordType::ANY {
        Step::Found(vec![record])
    } else {
        Step::NoData(soa(&zone, PROVIDER_SOA, 1))
    }
}

fn provider_step(world: &World, name: &Name, asked: &str, rtype: RecordType) -> Step {
    let zone = provider_zone(asked);
    let known = [&world.names.old_target, &world.names.new_target].map(|target| provider_zone(&normal_name(target)));
    if zone == SERVERS && asked != SERVERS {
        return address_step(name, IpAddr::from([127, 0, 0, 1]), rtype, zone);
    }
    if !known.contains(&zone) && zone != SERVERS {
        return Step::NotOurs;
    }
    let soa = soa(&zone, PROVIDER_SOA, 1);
    if asked != zone {
        return Step::NoName(soa);
    }
    match rtype {
        RecordType::SOA => Step::Found(vec![soa]),
        RecordType::NS => Step::Found(records(name, PROVIDER_TTL, rtype, &["ns-1.awsdns.example.".to_owned()])),
        _ => Step::NoData(soa),
    }
}

/// The zone's SOA record, its TTL cut to how long a "no" may be kept (RFC 2308).
pub(super) fn soa(zone: &str, value: &str, serial: u32) -> Record {
    let name = Name::from_ascii(zone).unwrap_or_default();
    let data = RData::try_from_str(RecordType::SOA, value).unwrap_or(RData::Update0(RecordType::SOA));
    match data {
        RData::SOA(mut soa) => {
            soa.serial = serial;
            Record::from_rdata(name, soa.minimum, RData::SOA(soa))
        }
        data => Record::from_rdata(name, PROVIDER_TTL, data),
    }
}

pub(super) fn records(name: &Name, ttl: u32, rtype: RecordType, values: &[String]) -> Vec<Record> {
    let data = values.iter().filter_map(|value| {
        let absolute =
            if rtype == RecordType::CNAME && !value.ends_with('.') { format!("{value}.") } else { value.clone() };
        RData::try_from_str(rtype, &absolute).ok()
    });
    data.map(|data| Record::from_rdata(name.clone(), ttl, data)).collect()
}

fn zone_step(
    zone: &Zone,
    origins: Origins,
    balancer: &str,
    name: &Name,
    asked: &str,
    rtype: RecordType,
    dice: u64,
) -> Step {
    let value = zone.served.iter().find(|set| set.rtype == "SOA").and_then(|set| set.values.first());
    let soa = soa(&zone.name, value.map_or(PROVIDER_SOA, String::as_str), zone.serial);
    let mut at = asked.to_owned();
    let mut exists = zone.served.iter().any(|set| set.name == at || is_under(&set.name, &at));
    if !exists {
        // The wildcard of the closest name above it.
        let mut above = asked;
        while let Some((_, parent)) = above.split_once('.').filter(|(_, parent)| is_under(parent, &zone.name)) {
            let wildcard = format!("\\052.{parent}");
            if zone.served.iter().any(|set| set.name == wildcard) {
                (at, exists) = (wildcard, true);
                break;
            }
            if zone.served.iter().any(|set| set.name == parent) {
                break;
            }
            above = parent;
        }
    }
    let sets: Vec<&RecordSet> = zone.served.iter().filter(|set| set.name == at).collect();
    if rtype == RecordType::SOA && asked == zone.name {
        return Step::Found(vec![soa]);
    }
    if let Some(set) = pick(sets.iter().copied().filter(|set| set.rtype == "CNAME"), dice) {
        let found = records(name, set.ttl.unwrap_or(60), RecordType::CNAME, &set.values);
        return match found.first().map(|record| (record.clone(), &record.data)) {
            Some((record, RData::CNAME(to))) if !matches!(rtype, RecordType::CNAME | RecordType::ANY) => {
                Step::Alias(record, to.0.clone())
            }
            _ => Step::Found(found),
        };
    }
    let wanted = |set: &&RecordSet| rtype == RecordType::ANY || set.rtype == rtype.to_string();
    let mut found = Vec::new();
    let mut types: Vec<&str> = sets.iter().copied().filter(wanted).map(|set| set.rtype.as_str()).collect();
    types.dedup();
    for own in types {
        let Ok(own_type) = own.parse::<RecordType>() else { continue };
        let Some(set) = pick(sets.iter().copied().filter(|set| set.rtype == own), dice) else { continue };
        match &set.alias {
            None => found.extend(records(name, set.ttl.unwrap_or(60), own_type, &set.values)),
            Some(alias) if alias.name == normal_name(balancer) => {
                found.extend(
                    Some(address_record(name, 60, origins.new)).filter(|record| record.record_type() == own_type),
                );
            }
            Some(alias) => {
                let to = zone.served.iter().find(|to| to.name == alias.name && to.rtype == own);
                found
                    .extend(to.map(|to| records(name, to.ttl.unwrap_or(60), own_type, &to.values)).unwrap_or_default());
            }
        }
    }
    match (found.is_empty(), exists) {
        (false, _) => Step::Found(found),
        (true, true) => Step::NoData(soa),
        (true, false) => Step::NoName(soa),
    }
}

/// One of several sets of a name and type: by weight; the primary one; else the first.
fn pick<'a>(sets: impl Iterator<Item = &'a RecordSet>, dice: u64) -> Option<&'a RecordSet> {
    let sets: Vec<&RecordSet> = sets.collect();
    let total: u64 = sets.iter().map(|set| u64::from(set.weight.unwrap_or(0))).sum();
    if total > 0 {
        let mut left = dice % total;
        for set in &sets {
            let weight = u64::from(set.weight.unwrap_or(0));
            if left < weight {
                return Some(set);
            }
            left -= weight;
        }
    }
    let primary = sets.iter().find(|set| set.failover.as_deref() == Some("PRIMARY"));
    primary.or(sets.first()).copied()
}

//! The zone above: its server delegates the world's domain to the hosted zone's name servers, as a
//! registry does. It serves nothing else and is nobody's secondary for the zone below.

use hickory_proto::rr::{Name, RData, Record, RecordType, rdata::A};

use super::authority::{Step, is_under, records, soa};
use crate::sandbox::{aws::route53::normal_name, world::World};

/// What registries give out.
const NS_TTL: u32 = 172_800;
/// The parent's own records.
const TTL: u32 = 3600;
/// The name servers that the fault `dns.delegation` leaves at the registrar.
const FORGOTTEN: [&str; 2] = ["ns1.old-provider.example.", "ns2.old-provider.example."];
const SOA: &str = "a.nic.example. hostmaster.nic.example. 1 7200 900 1209600 300";

/// An answer of the parent's server.
pub(super) enum Said {
    /// With authority, from its own zone.
    Own(Box<Step>),
    /// The zone below, its name servers and their addresses.
    Referral(Vec<Record>, Vec<Record>),
}

/// The parent of the world's domain, with the last dot.
fn zone(world: &World) -> String {
    // A full domain has a name above it; the world's names are checked for that.
    normal_name(&world.names.domain).split_once('.').map(|(_, above)| above.to_owned()).unwrap_or_default()
}

fn host(zone: &str) -> String {
    format!("a.nic.{zone}")
}

/// What the parent's server says of a name and type.
pub(super) fn answer(world: &mut World, name: &Name, rtype: RecordType) -> Said {
    let asked = normal_name(&name.to_ascii());
    let (domain, parent) = (normal_name(&world.names.domain), zone(world));
    if is_under(&asked, &domain) {
        // The DS is the parent's own (RFC 4035 section 3.1.4.1), and there is none: the zone is not signed.
        if asked == domain && rtype == RecordType::DS {
            return Said::Own(Box::new(Step::NoData(soa(&parent, SOA, 1))));
        }
        let forgotten = world.strikes("dns.delegation");
        let set = world.zones.iter().filter(|zone| !zone.private && zone.name == domain).flat_map(|zone| &zone.served);
        let set = set.filter(|set| set.rtype == "NS" && set.name == domain);
        let own = set.flat_map(|set| set.values.iter().cloned());
        let names = if forgotten { FORGOTTEN.map(str::to_owned).to_vec() } else { own.collect() };
        let at = Name::from_ascii(&domain).unwrap_or_default();
        let servers = records(&at, NS_TTL, RecordType::NS, &names);
        let inside = names.iter().filter(|name| is_under(&normal_name(name), &domain));
        let glue = inside.filter_map(|name| Some(local(Name::from_ascii(name).ok()?, NS_TTL)));
        return Said::Referral(servers, glue.collect());
    }
    let own = own(world, name, rtype)
        .unwrap_or_else(|| if is_under(&asked, &parent) { Step::NoName(soa(&parent, SOA, 1)) } else { Step::NotOurs });
    Said::Own(Box::new(own))
}

/// The parent's own names, also for the resolvers; `None`: another name.
pub(super) fn own(world: &World, name: &Name, rtype: RecordType) -> Option<Step> {
    let asked = normal_name(&name.to_ascii());
    let parent = zone(world);
    let host = host(&parent);
    if asked == host {
        let found = if rtype == RecordType::A {
            Step::Found(vec![local(name.clone(), TTL)])
        } else {
            Step::NoData(soa(&parent, SOA, 1))
        };
        return Some(found);
    }
    if asked != parent {
        return None;
    }
    Some(match rtype {
        RecordType::SOA => Step::Found(vec![soa(&parent, SOA, 1)]),
        RecordType::NS => Step::Found(records(name, TTL, rtype, &[host])),
        _ => Step::NoData(soa(&parent, SOA, 1)),
    })
}

fn local(name: Name, ttl: u32) -> Record {
    Record::from_rdata(name, ttl, RData::A(A(std::net::Ipv4Addr::LOCALHOST)))
}

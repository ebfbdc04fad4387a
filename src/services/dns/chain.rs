//! A CNAME chain, name by name, at every authoritative server of each name.

use hickory_proto::rr::{Name, RecordType};

use super::{Answer, Dns, Server, Transport, shown};
use crate::base::{Class, Failure};

/// Resolvers give up after about this many names.
const LONGEST: usize = 16;

/// One name of a chain and what its servers say.
#[derive(Debug, Clone)]
pub struct Link {
    /// The name.
    pub name: Name,
    /// Every authoritative server with its answer.
    pub servers: Vec<(Server, Result<Answer, Failure>)>,
}

impl Link {
    /// The TTLs of the records or the CNAME at this name, one for every server that has any. Seconds.
    pub fn ttls(&self, kind: RecordType) -> impl Iterator<Item = u32> {
        self.servers.iter().filter_map(move |(_, answer)| answer.as_ref().ok()?.ttl(&self.name, kind))
    }

    /// How long a cache may keep "there is none", where a server says so. Seconds.
    #[must_use]
    pub fn negative_ttl(&self) -> Option<u32> {
        self.servers.iter().filter_map(|(_, answer)| answer.as_ref().ok()?.negative_ttl).max()
    }
}

impl Dns {
    /// The chain that begins at a name, one link a name, at most 16. The first link's servers may all have
    /// failed; a later name whose servers cannot be found or refuse ends the chain. A chain of type CNAME is
    /// walked with questions for A, because every name but the last answers those with its CNAME.
    ///
    /// # Errors
    /// As [`Dns::authoritative`] for the first name; `Misconfigured`: the chain is a loop or too long.
    pub async fn chain(&self, name: &Name, kind: RecordType) -> Result<Vec<Link>, Failure> {
        let kind = if kind == RecordType::CNAME { RecordType::A } else { kind };
        let mut links: Vec<Link> = Vec::new();
        let mut at = name.clone();
        loop {
            let servers = match self.authoritative(&at).await {
                Ok(servers) => servers,
                // The names behind belong to somebody else; the chain is known as far as it goes.
                Err(_) if !links.is_empty() => return Ok(links),
                Err(failure) => return Err(failure),
            };
            let addresses = servers.iter().map(|s| s.address).collect::<Vec<_>>();
            let answers = self.ask_all(&addresses, &at, kind, Transport::Udp, false).await;
            let link = Link { name: at.clone(), servers: servers.into_iter().zip(answers).collect() };
            // Another zone's server may refuse a name that is not its own; then nobody can say more.
            let next = link.servers.iter().find_map(|(_, a)| a.as_ref().ok()?.alias(&at)?.target.clone());
            links.push(link);
            let Some(next) = next else { return Ok(links) };
            let seen = links.iter().any(|link| link.name == next);
            if seen || links.len() >= LONGEST {
                let names = links.iter().map(|l| shown(&l.name)).collect::<Vec<_>>().join(" → ");
                let what = if seen { "is a loop" } else { "is longer than 16 names" };
                return Err(Failure::new(Class::Misconfigured, format!("the CNAME chain of {} {what}", shown(name)))
                    .because(names));
            }
            at = next;
        }
    }
}

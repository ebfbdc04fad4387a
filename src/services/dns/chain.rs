//! A CNAME chain, name by name, at every authoritative server of each name.

use hickory_proto::rr::{Name, RecordType};

use super::{Answer, Dns, Server, Transport, shown};
use crate::base::{Class, Failure};

/// Resolvers give up after about this many names.
const LONGEST: usize = 16;

/// A chain as far as it is known.
#[derive(Debug, Clone)]
pub struct Chain {
    /// One for every name. Never empty.
    pub links: Vec<Link>,
    /// The name behind the last link, where nobody knows its servers, and why.
    pub open: Option<(Name, Failure)>,
}

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

    /// Somebody answers for this name with authority.
    fn known(&self) -> bool {
        self.servers.iter().any(|(_, answer)| answer.as_ref().is_ok_and(|answer| answer.aa))
    }

    fn alias(&self) -> Option<Name> {
        self.servers.iter().find_map(|(_, answer)| answer.as_ref().ok()?.alias(&self.name)?.target.clone())
    }
}

impl Dns {
    /// The chain that begins at a name, one link a name, at most 16. The first link's servers may all have
    /// failed; a later name whose servers cannot be found ends the chain. A chain of type CNAME is
    /// walked with questions for A, because every name but the last answers those with its CNAME.
    ///
    /// # Errors
    /// As [`Dns::authoritative`] for the first name; `Misconfigured`: the chain is a loop or too long.
    pub async fn chain(&self, name: &Name, kind: RecordType) -> Result<Chain, Failure> {
        let kind = if kind == RecordType::CNAME { RecordType::A } else { kind };
        let mut links = vec![self.link(name, kind, self.authoritative(name).await?).await];
        loop {
            let Some(next) = links.last().and_then(Link::alias) else { return Ok(Chain { links, open: None }) };
            let seen = links.iter().any(|link| link.name == next);
            if seen || links.len() >= LONGEST {
                let names = links.iter().map(|l| shown(&l.name)).collect::<Vec<_>>().join(" → ");
                let what = if seen { "is a loop" } else { "is longer than 16 names" };
                return Err(Failure::new(Class::Misconfigured, format!("the CNAME chain of {} {what}", shown(name)))
                    .because(names)
                    .hint("point the last name at an address"));
            }
            match self.next(&next, kind).await {
                Ok(link) => links.push(link),
                // The name belongs to somebody else; the chain is known as far as it goes.
                Err(why) => return Ok(Chain { links, open: Some((next, why)) }),
            }
        }
    }

    /// A later name of a chain: the servers that the environment names may not be its.
    async fn next(&self, name: &Name, kind: RecordType) -> Result<Link, Failure> {
        let link = self.link(name, kind, self.authoritative(name).await?).await;
        if link.known() || self.env.dns.authoritative.is_empty() {
            return Ok(link);
        }
        self.may_look_further()?;
        Ok(self.link(name, kind, self.find(name).await?).await)
    }

    async fn link(&self, name: &Name, kind: RecordType, servers: Vec<Server>) -> Link {
        let addresses = servers.iter().map(|s| s.address).collect::<Vec<_>>();
        let answers = self.ask_all(&addresses, name, kind, Transport::Udp, false).await;
        Link { name: name.clone(), servers: servers.into_iter().zip(answers).collect() }
    }
}

//! Which servers are authoritative for a name.
//!
//! Given by the environment, or found as a resolver would: from the name upwards the first name that
//! owns an NS set is the zone; the addresses of those name servers are its servers.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use futures_util::future::join_all;
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RecordType},
};

use super::{Answer, Dns, Transport, ask::connected, shown};
use crate::{
    base::{Class, Failure},
    runbook::EnvKind,
};

/// How many name servers of a zone are asked: real zones have at most 13.
const SERVERS: usize = 26;

/// One authoritative server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name; empty where the environment gave its address.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name.is_empty() { write!(f, "{}", self.address) } else { write!(f, "{} ({})", self.name, self.address) }
    }
}

/// Servers of which only the address is known.
pub(super) fn unnamed(addresses: &[SocketAddr]) -> Vec<Server> {
    addresses.iter().map(|&address| Server { name: String::new(), address }).collect()
}

impl Dns {
    /// The authoritative servers of the zone that a name is in. Never empty.
    ///
    /// # Errors
    /// `FailedNothingDone`: resolvers do not answer. `NotYet`: no zone, or no server of it has an address.
    pub async fn authoritative(&self, name: &Name) -> Result<Vec<Server>, Failure> {
        Ok(self.authoritative_or_lost(name).await?.0)
    }

    /// The same, and why name servers of the zone are missing among them: no address, or nobody tells it. Who says
    /// "every server" must not forget those.
    ///
    /// # Errors
    /// As [`Dns::authoritative`].
    pub async fn authoritative_or_lost(&self, name: &Name) -> Result<(Vec<Server>, Vec<String>), Failure> {
        if !self.env.dns.authoritative.is_empty() {
            return Ok((unnamed(&self.env.dns.authoritative), Vec::new()));
        }
        self.find_or_lost(name).await
    }

    /// The same by asking resolvers, whatever the environment names.
    pub(super) async fn find(&self, name: &Name) -> Result<Vec<Server>, Failure> {
        Ok(self.find_or_lost(name).await?.0)
    }

    async fn find_or_lost(&self, name: &Name) -> Result<(Vec<Server>, Vec<String>), Failure> {
        let (zone, names) = self.zone(name).await?;
        let (mut servers, mut lost) = (Vec::new(), Vec::new());
        for (found, why) in join_all(names.iter().take(SERVERS).map(|name| self.addresses(name))).await {
            servers.extend(found);
            lost.extend(why);
        }
        if servers.is_empty() {
            let names = names.iter().map(shown).collect::<Vec<_>>().join(", ");
            return Err(Failure::new(Class::NotYet, format!("no name server of {} has an address", shown(&zone)))
                .because(format!("name servers: {names}"))
                .hint("the zone's NS records name hosts that do not exist, or that this machine has no route to"));
        }
        Ok((servers, lost))
    }

    /// The zone of a name and the names of its servers, sorted.
    ///
    /// # Errors
    /// As [`Dns::authoritative`].
    pub async fn zone(&self, name: &Name) -> Result<(Name, Vec<Name>), Failure> {
        let mut at = name.clone();
        loop {
            let answer = self.resolve(&at, RecordType::NS).await?;
            let mut names = answer.at(&at, RecordType::NS).filter_map(|r| r.target.clone()).collect::<Vec<_>>();
            if !names.is_empty() {
                names.sort();
                return Ok((at, names));
            }
            if at.is_root() {
                return Err(Failure::new(Class::NotYet, format!("no zone was found for {}", shown(name)))
                    .hint("the resolvers know no NS record of the name or of any above it"));
            }
            at = at.base_name();
        }
    }

    /// The addresses of a name server, and why some or all are missing. Those of a protocol that this machine has no
    /// route for are left out.
    async fn addresses(&self, name: &Name) -> (Vec<Server>, Option<String>) {
        let both = [RecordType::A, RecordType::AAAA]
            .map(|kind| async move { self.resolve(name, kind).await.map(|answer| answer.values(name, kind)) });
        let (mut ips, mut lost) = (BTreeSet::new(), None);
        for values in join_all(both).await {
            match values {
                Ok(values) => ips.extend(values.iter().filter_map(|value| value.parse::<IpAddr>().ok())),
                Err(failure) => lost = Some(format!("nobody tells every address of {}: {failure}", shown(name))),
            }
        }
        if ips.is_empty() && lost.is_none() {
            lost = Some(format!("{} has no address", shown(name)));
        }
        let mut found = Vec::new();
        for ip in ips {
            let address = SocketAddr::new(ip, self.port());
            // Connecting a UDP socket sends nothing and tells whether there is a route.
            if connected(address).await.is_ok() {
                found.push(Server { name: shown(name), address });
            }
        }
        (found, lost)
    }

    /// The addresses of a name, IPv4 before IPv6; none where nobody tells.
    pub(super) async fn ips(&self, name: &Name) -> BTreeSet<IpAddr> {
        let both = [RecordType::A, RecordType::AAAA].map(|kind| async move {
            let answer = self.resolve(name, kind).await.ok();
            answer.map(|answer| answer.values(name, kind)).unwrap_or_default()
        });
        join_all(both).await.concat().iter().filter_map(|value| value.parse().ok()).collect()
    }

    /// Asks the resolvers in turn until one answers.
    ///
    /// # Errors
    /// The last resolver's failure.
    pub async fn resolve(&self, name: &Name, kind: RecordType) -> Result<Answer, Failure> {
        let mut last = None;
        for resolver in self.resolvers()? {
            match self.ask(resolver, name, kind, Transport::Udp, true).await {
                Ok(answer) if matches!(answer.rcode, ResponseCode::NoError | ResponseCode::NXDomain) => {
                    return Ok(answer);
                }
                Ok(answer) => {
                    let why = answer.trouble().map(|why| format!(" ({why})")).unwrap_or_default();
                    let what = format!("{resolver} answers {}{why} for {} {kind}", answer.code(), shown(name));
                    last = Some(Failure::new(Class::FailedNothingDone, what));
                }
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::new(Class::Misconfigured, "no resolvers")))
    }

    /// Where the environment names servers, others are asked only if it names resolvers too; a sandbox's never.
    pub(super) fn may_look_further(&self) -> Result<(), Failure> {
        if self.env.kind == EnvKind::Sandbox || self.env.dns.resolvers.is_empty() {
            return Err(Failure::new(Class::NotYet, "its servers are not those of `dns.authoritative`")
                .hint("name resolvers by which they are found: dns = { resolvers = [\"1.1.1.1\"] }"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Which servers are authoritative for a name.
//!
//! Given by the environment, or found as a resolver would: from the name upwards the first name that
//! owns an NS set is the zone; the addresses of those name servers are its servers.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RecordType},
};
use tokio::net::UdpSocket;

use super::{Answer, Dns, Transport, shown};
use crate::base::{Class, Failure};

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

impl Dns {
    /// The authoritative servers of the zone that a name is in. Never empty.
    ///
    /// # Errors
    /// `FailedNothingDone`: resolvers do not answer. `NotYet`: no zone, or no server of it has an address.
    pub async fn authoritative(&self, name: &Name) -> Result<Vec<Server>, Failure> {
        if !self.env.dns.authoritative.is_empty() {
            let given = self.env.dns.authoritative.iter();
            return Ok(given.map(|&address| Server { name: String::new(), address }).collect());
        }
        let (zone, names) = self.zone(name).await?;
        let mut servers = Vec::new();
        for name in names.iter().take(SERVERS) {
            servers.extend(self.addresses(name).await);
        }
        if servers.is_empty() {
            let names = names.iter().map(shown).collect::<Vec<_>>().join(", ");
            return Err(Failure::new(Class::NotYet, format!("no name server of {} has an address", shown(&zone)))
                .because(format!("name servers: {names}")));
        }
        Ok(servers)
    }

    /// The zone of a name and the names of its servers.
    async fn zone(&self, name: &Name) -> Result<(Name, Vec<Name>), Failure> {
        let mut at = name.clone();
        while !at.is_root() {
            let answer = self.resolve(&at, RecordType::NS).await?;
            let mut names = answer.at(&at, RecordType::NS).filter_map(|r| r.target.clone()).collect::<Vec<_>>();
            if !names.is_empty() {
                names.sort();
                return Ok((at, names));
            }
            at = at.base_name();
        }
        Err(Failure::new(Class::NotYet, format!("no zone was found for {}", shown(name))))
    }

    /// The addresses of a name server. Those of a protocol that this machine has no route for are left out.
    async fn addresses(&self, name: &Name) -> Vec<Server> {
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            let Ok(answer) = self.resolve(name, kind).await else { continue };
            for ip in answer.values(name, kind).iter().filter_map(|v| v.parse::<IpAddr>().ok()) {
                let address = SocketAddr::new(ip, self.port);
                if reachable(address).await {
                    found.push(Server { name: shown(name), address });
                }
            }
        }
        found
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
                    let what = format!("{resolver} answers {} for {} {kind}", answer.code(), shown(name));
                    last = Some(Failure::new(Class::FailedNothingDone, what));
                }
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::new(Class::Misconfigured, "no resolvers")))
    }
}

/// Whether there is a route: connecting a UDP socket sends nothing.
async fn reachable(address: SocketAddr) -> bool {
    let any: SocketAddr =
        if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
    match UdpSocket::bind(any).await {
        Ok(socket) => socket.connect(address).await.is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests;

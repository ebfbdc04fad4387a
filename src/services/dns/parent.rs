//! What the zone above says of a zone: its delegation, as every server of the parent tells it.
//!
//! ```text
//! parent zone   acme.example NS ns1…, ns2…   (authority section, without AA: a referral)
//!               ns1.acme.example A …         (additional section: glue)
//!               acme.example DS …            (answer section, with AA: the parent's own)
//! ```

use std::{collections::BTreeSet, net::IpAddr};

use futures_util::future::join_all;
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RecordType},
};

use super::{Answer, Dns, Query, Record, Server, Transport, find::unnamed, shown};
use crate::{
    base::{Class, Failure},
    runbook::EnvKind,
};

/// What one server of the parent says of the zone below.
#[derive(Debug, Clone, PartialEq)]
pub struct Delegation {
    /// The names of the NS set.
    pub names: BTreeSet<Name>,
    /// The NS set's TTL in seconds.
    pub ttl: u32,
    /// Addresses that came with it.
    pub glue: BTreeSet<(Name, IpAddr)>,
    /// The server holds the zone below too and answered from it: what the parent itself says cannot be seen.
    pub from_below: bool,
}

impl Dns {
    /// The zone above a zone and its servers.
    ///
    /// # Errors
    /// As [`Dns::authoritative`].
    pub async fn parent(&self, zone: &Name) -> Result<(Name, Vec<Server>), Failure> {
        let above = zone.base_name();
        if !self.env.dns.parents.is_empty() {
            return Ok((above, unnamed(&self.env.dns.parents)));
        }
        if self.env.kind == EnvKind::Sandbox {
            return Err(Failure::new(Class::Misconfigured, "the sandbox did not say who serves the parent zone"));
        }
        let (parent, _) = self.zone(&above).await?;
        Ok((parent, self.find(&above).await?))
    }

    /// What each of the parent's servers says of a zone. An error is one that cannot say anything.
    pub async fn delegations(&self, zone: &Name, servers: &[Server]) -> Vec<Result<Delegation, Failure>> {
        let asked = servers.iter().map(|server| async move {
            let answer = self.ask(server.address, zone, RecordType::NS, Transport::Udp, false).await;
            answer.and_then(|answer| delegation(zone, server, &answer))
        });
        join_all(asked).await
    }

    /// The DS records of a zone at one server of its parent.
    ///
    /// # Errors
    /// As [`Dns::ask`]; `NotYet`: it refuses.
    pub async fn ds(&self, zone: &Name, server: &Server) -> Result<Vec<Record>, Failure> {
        let answer = self.signed(zone, RecordType::DS, server).await?;
        Ok(told(answer, zone, RecordType::DS, server)?.at(zone, RecordType::DS).cloned().collect())
    }

    /// The keys of a zone at one of its servers, with their signatures.
    ///
    /// # Errors
    /// As [`Dns::ds`].
    pub async fn keys(&self, zone: &Name, server: &Server) -> Result<Answer, Failure> {
        told(self.signed(zone, RecordType::DNSKEY, server).await?, zone, RecordType::DNSKEY, server)
    }

    /// A record set with its signatures from one server, or what it says instead.
    ///
    /// # Errors
    /// As [`Dns::ask`].
    pub async fn signed(&self, name: &Name, kind: RecordType, server: &Server) -> Result<Answer, Failure> {
        let query = Query::signed(name, kind)
            .map_err(|e| Failure::new(Class::Misconfigured, format!("{}: {e}", shown(name))))?;
        self.put(server.address, &query, Transport::Udp).await
    }

    /// The addresses of a delegated name server: those that its own zone says, without routes considered.
    pub async fn addresses_of(&self, name: &Name) -> BTreeSet<IpAddr> {
        self.ips(name).await
    }

    /// The servers at these addresses under one name, those left out that this machine has no route to.
    pub async fn at(&self, name: &Name, ips: &BTreeSet<IpAddr>) -> Vec<Server> {
        let mut found = Vec::new();
        for &ip in ips {
            let address = std::net::SocketAddr::new(ip, self.port());
            if super::ask::connected(address).await.is_ok() {
                found.push(Server { name: shown(name), address });
            }
        }
        found
    }
}

fn told(answer: Answer, name: &Name, kind: RecordType, server: &Server) -> Result<Answer, Failure> {
    match answer.rcode {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer),
        _ => Err(Failure::new(Class::NotYet, format!("{server} answers {} for {} {kind}", answer.code(), shown(name)))),
    }
}

fn delegation(zone: &Name, server: &Server, answer: &Answer) -> Result<Delegation, Failure> {
    let no = |what: String| Err(Failure::new(Class::NotYet, format!("{server} {what}")));
    if !matches!(answer.rcode, ResponseCode::NoError | ResponseCode::NXDomain) {
        return no(format!("answers {}: it does not serve the parent zone", answer.code()));
    }
    let own = answer.at(zone, RecordType::NS).collect::<Vec<_>>();
    let below = answer.referral.iter().filter(|r| &r.name == zone).collect::<Vec<_>>();
    let from_below = !own.is_empty();
    let records = if from_below { own } else { below };
    if records.is_empty() {
        // A referral upwards or sideways is a server that does not know the parent zone.
        if !answer.aa && !answer.referral.is_empty() {
            return no("refers elsewhere: it does not serve the parent zone".into());
        }
        let nothing = if answer.rcode == ResponseCode::NXDomain { " (NXDOMAIN)" } else { "" };
        return no(format!("knows no delegation of {}{nothing}", shown(zone)));
    }
    let names =
        records.iter().filter_map(|r| r.target.clone()).map(|name| name.to_lowercase()).collect::<BTreeSet<_>>();
    let ttl = records.iter().map(|r| r.ttl).max().unwrap_or_default();
    let glue = answer.glue.iter().map(|(name, ip)| (name.to_lowercase(), *ip));
    let glue = glue.filter(|(name, _)| names.contains(name)).collect();
    Ok(Delegation { names, ttl, glue, from_below })
}

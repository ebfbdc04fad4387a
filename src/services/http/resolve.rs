//! From a URL's name to addresses: by the system, or, where the environment says so, only by its first resolver.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;

use super::Http;
use crate::{
    base::{Class, Failure},
    services::dns::{self, RecordType, Transport},
};

impl Http {
    /// The port of a URL: its own, else the environment's for its scheme, else the scheme's.
    #[must_use]
    pub fn port(&self, url: &Url) -> u16 {
        let own = match url.scheme() {
            "http" => self.env.http.default_port,
            "https" => self.env.http.default_tls_port,
            _ => None,
        };
        url.port().or(own).or(url.port_or_known_default()).unwrap_or(80)
    }

    /// The addresses of a URL, with its port.
    pub(super) async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, Failure> {
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        self.addresses_of(host, self.port(url)).await
    }

    /// Every address of a name, IPv4 and IPv6, with a port; an address stands for itself.
    pub(in crate::services) async fn addresses_of(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let literal = host.parse::<IpAddr>().ok();
        if self.env.http.resolve_only_by_dns {
            return match literal {
                Some(ip) => inside(host, vec![ip]),
                None => self.by_resolver(host).await,
            }
            .map(|ips| ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
        if let Some(ip) = literal {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let found = tokio::net::lookup_host((host, port))
            .await
            .map_err(|e| Failure::new(Class::FailedNothingDone, format!("{host} does not resolve: {e}")))?;
        Ok(found.collect())
    }

    /// Refuses an address beyond this machine where the environment may not leave it.
    pub(in crate::services) fn stays_inside(&self, address: SocketAddr) -> Result<(), Failure> {
        if self.env.http.resolve_only_by_dns { inside("connect_to", vec![address.ip()]).map(|_| ()) } else { Ok(()) }
    }

    async fn by_resolver(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        let Some(&resolver) = self.env.dns.resolvers.first() else {
            return Err(Failure::new(
                Class::Misconfigured,
                "names are to be resolved by dns.resolvers, and there are none",
            ));
        };
        let name = dns::name(host)?;
        let mut ips = Vec::new();
        let mut said = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            let answer = self.dns.ask(resolver, &name, kind, Transport::Udp, true).await?;
            ips.extend(answer.values(&name, kind).iter().filter_map(|value| value.parse::<IpAddr>().ok()));
            said.push(answer.words(&name, kind));
        }
        if ips.is_empty() {
            let said = said.join(", ");
            return Err(Failure::new(
                Class::FailedNothingDone,
                format!("{host} does not resolve: {resolver} says {said}"),
            ));
        }
        inside(host, ips)
    }
}

/// Only loopback addresses: a sandbox must not be left, whatever its DNS was made to say.
fn inside(host: &str, ips: Vec<IpAddr>) -> Result<Vec<IpAddr>, Failure> {
    match ips.iter().find(|ip| !ip.is_loopback()) {
        None => Ok(ips),
        Some(ip) => Err(Failure::new(Class::Refused, format!("{host} is at {ip}, outside this machine"))
            .hint("this environment stays on loopback")),
    }
}

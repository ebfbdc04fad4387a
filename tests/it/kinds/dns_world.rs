//! A small real internet on loopback: knot for the zone `example` at 127.0.0.1, knot for `acme.example` at
//! 127.0.0.2 and 127.0.0.3 (and `::1` where there is one), one port for all, and an unbound that resolves both.

use gonogo::runbook::{DnsEnv, Env};

use super::contract::env;
use crate::knot::{Knot, Unbound, Zone, anew, free_port, has_ipv6, ip};

pub struct World {
    pub parent: Knot,
    pub child: Knot,
    pub resolver: Unbound,
    pub port: u16,
}

pub const PARENT: &str = "@ NS ns1\nns1 A 127.0.0.1\n\
    acme 600 NS ns1.acme\nacme 600 NS ns2.acme\nns1.acme A 127.0.0.2\nns2.acme A 127.0.0.3";
const CHILD: &str = "@ NS ns1\n@ NS ns2\nns1 A 127.0.0.2\nns2 A 127.0.0.3\n\
    www 60 A 192.0.2.1\nshop 60 CNAME www\nsub.deep 60 TXT \"below\"";

impl World {
    pub fn start() -> Self {
        Self::with(CHILD, false)
    }

    pub fn signed() -> Self {
        Self::with(CHILD, true)
    }

    fn with(lines: &str, signed: bool) -> Self {
        anew(|| Self::try_with(lines, signed))
    }

    fn try_with(lines: &str, signed: bool) -> Option<Self> {
        let ips = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"].map(ip);
        // 127.0.0.4 is for servers that a test adds.
        let port = free_port(&ips);
        let parent = Knot::start_at(&ips[..1], port, &[Zone { name: "example", lines: PARENT, signed: false }])?;
        let mut lines = lines.to_owned();
        let mut at = ips[1..3].to_vec();
        if has_ipv6() {
            lines += "\nns2 AAAA ::1";
            at.push(ip("::1"));
        }
        let child = Knot::start_at(&at, port, &[Zone { name: "acme.example", lines: &lines, signed }])?;
        let stubs = [("example", parent.address), ("acme.example", child.address)];
        let resolver = Unbound::start(&[ip("127.0.0.1")], &stubs, "  cache-max-ttl: 1\n  cache-max-negative-ttl: 1");
        Some(Self { parent, child, resolver, port })
    }

    /// Servers are found by asking, as in the real internet.
    pub fn env(&self) -> Env {
        let mut env = env();
        env.dns = DnsEnv { resolvers: vec![self.resolver.address], port: Some(self.port), ..DnsEnv::default() };
        env
    }
}

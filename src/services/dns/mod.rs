//! DNS, asked directly: one message to one server, nothing cached, nothing followed in secret.
//!
//! ```text
//! query   a question on the wire, written once and sent often; what counts as an answer to it
//! ask     one question, one server: UDP with a random id on a connected socket, TCP where truncated
//! answer  what came, as far as checks look at it; value: one form in which two values may be compared
//! find    which servers are authoritative: given by the environment, else the zone's NS set
//! chain   every name of a CNAME chain, at every authoritative server
//! parent  the delegation of a zone at its parent; dnssec: DS, keys and signatures; caa: who may issue
//! ```
//!
//! The whole message is looked at (rcode, AA, CNAME, TTL), which resolver libraries hide. Where the
//! environment names servers (`dns.authoritative`, `dns.resolvers`), nobody else is ever asked.

mod answer;
mod ask;
mod caa;
mod chain;
mod dnssec;
mod find;
mod parent;
mod query;
mod value;

use std::{net::SocketAddr, sync::Arc};

use chrono::{DateTime, Utc};

use crate::{
    base::{Class, Failure, clean_line},
    runbook::{Env, EnvKind},
};
pub use answer::{Answer, Record};
pub use ask::{Peer, Transport, WITHIN};
pub use caa::Caa;
pub use chain::{Chain, Link};
pub use dnssec::Dnssec;
pub use find::Server;
pub use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RecordType},
};
pub use parent::Delegation;
pub use query::Query;
pub use value::{Value, read_value};

/// Where name servers listen.
const PORT: u16 = 53;

/// DNS as one environment asks it.
pub struct Dns {
    env: Arc<Env>,
}

impl Dns {
    /// A client that has not asked anything yet.
    #[must_use]
    pub fn new(env: Arc<Env>) -> Self {
        Self { env }
    }

    /// The clock by which TTLs and signatures are counted.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// Where name servers found by their names listen.
    fn port(&self) -> u16 {
        self.env.dns.port.unwrap_or(PORT)
    }

    /// The resolvers of the environment, else those of `/etc/resolv.conf`. Never empty.
    ///
    /// # Errors
    /// `Misconfigured`: there are none. A sandbox never looks outside itself for them.
    pub fn resolvers(&self) -> Result<Vec<SocketAddr>, Failure> {
        if !self.env.dns.resolvers.is_empty() {
            return Ok(self.env.dns.resolvers.clone());
        }
        let none = |why: &str| {
            Err(Failure::new(Class::Misconfigured, format!("no resolvers: {why}"))
                .hint("name them: dns = { resolvers = [\"1.1.1.1\", \"9.9.9.9\"] } in the environment"))
        };
        if self.env.kind == EnvKind::Sandbox {
            return none("the sandbox did not give any");
        }
        let text = match std::fs::read_to_string("/etc/resolv.conf") {
            Ok(text) => text,
            Err(e) => return none(&format!("/etc/resolv.conf: {e}")),
        };
        let found = nameservers(&text);
        if found.is_empty() { none("/etc/resolv.conf names none") } else { Ok(found) }
    }
}

/// The `nameserver` lines of a `resolv.conf` (resolv.conf(5)); at most three, as the C library takes.
fn nameservers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let ip = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
            ip.parse().ok().map(|ip| SocketAddr::new(ip, PORT))
        })
        .take(3)
        .collect()
}

/// A name as it goes on the wire: fully qualified, without an IDN conversion.
///
/// # Errors
/// `Misconfigured`: it is no name.
pub fn name(text: &str) -> Result<Name, Failure> {
    let bad =
        |why: String| Failure::new(Class::Misconfigured, format!("`{}` is no DNS name{why}", clean_line(text, 80)));
    if !text.is_ascii() {
        return Err(bad(String::new()).hint("write the ASCII form of an international name (xn--…)"));
    }
    if text.is_empty() {
        return Err(bad(String::new()));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        return Err(bad(String::new()).hint(format!("write the name alone: \"{}\"", clean_line(host, 80))));
    }
    if text.contains("..") || (text.starts_with('.') && text.len() > 1) {
        return Err(bad(": nothing stands before one of its dots".into()));
    }
    let mut name = Name::from_ascii(text).map_err(|e| bad(format!(": {e}")))?;
    name.set_fqdn(true);
    Ok(name)
}

/// A name for people: lower case, without the last dot.
#[must_use]
pub fn shown(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    if text == "." { text } else { text.trim_end_matches('.').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf() {
        let text =
            "# x\nsearch acme.example\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver ::1\noptions ndots:5\n";
        assert_eq!(nameservers(text), ["10.0.0.2:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    }

    #[test]
    fn names() {
        assert_eq!(shown(&name("Shop.Acme.Example.").unwrap()), "shop.acme.example");
        assert_eq!(shown(&name("_acme-challenge.x").unwrap()), "_acme-challenge.x");
        for bad in ["", "a..b", "ü.example", ".x", "https://x/", "x y", &"x".repeat(64), &"ab.".repeat(100)] {
            assert_eq!(name(bad).unwrap_err().class, Class::Misconfigured, "{bad}");
        }
        assert_eq!(
            name("https://acme.example:443/x").unwrap_err().hint.unwrap(),
            "write the name alone: \"acme.example\""
        );
    }
}

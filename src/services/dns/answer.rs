//! An answer as far as checks look at it.

use std::net::SocketAddr;

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, RecordType},
};

use crate::base::clean_line;

/// What one server said.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Who said it.
    pub server: SocketAddr,
    /// How it went.
    pub rcode: ResponseCode,
    /// The server calls itself authoritative for the name.
    pub aa: bool,
    /// The server offers recursion.
    pub ra: bool,
    /// It came over TCP.
    pub tcp: bool,
    /// The answer section.
    pub records: Vec<Record>,
    /// NS records of the authority section: a referral.
    pub referral: Vec<Record>,
    /// For an answer without records: how long a cache keeps "there is none", the lesser of the SOA's TTL and its
    /// minimum (RFC 2308 section 5). Seconds.
    pub negative_ttl: Option<u32>,
}

/// One resource record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its owner.
    pub name: Name,
    /// Seconds.
    pub ttl: u32,
    /// Its type.
    pub kind: RecordType,
    /// Its value in canonical form.
    pub value: Value,
    /// The name it points at (CNAME, NS).
    pub target: Option<Name>,
}

/// A record's value in the form in which two may be compared: addresses as the standard library
/// writes them, names in lower case without the last dot, TXT without quotes.
pub type Value = String;

/// A value as written by a person, in canonical form.
#[must_use]
pub fn canonical(text: &str) -> Value {
    let text = text.trim();
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return ip.to_string();
    }
    if let Some(quoted) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        return quoted.replace("\" \"", "");
    }
    if text.contains(char::is_whitespace) && !text.chars().next().is_some_and(|c| c.is_ascii_digit()) {
        return text.to_owned();
    }
    text.to_ascii_lowercase().trim_end_matches('.').to_owned()
}

impl Answer {
    pub(super) fn new(server: SocketAddr, tcp: bool, message: &Message) -> Self {
        let negative_ttl = message
            .answers
            .iter()
            .all(|r| r.record_type() == RecordType::CNAME)
            .then(|| {
                message.authorities.iter().find_map(|r| match &r.data {
                    RData::SOA(soa) => Some(r.ttl.min(soa.minimum)),
                    _ => None,
                })
            })
            .flatten();
        Self {
            server,
            rcode: message.metadata.response_code,
            aa: message.metadata.authoritative,
            ra: message.metadata.recursion_available,
            tcp,
            records: message.answers.iter().map(Record::new).collect(),
            referral: message
                .authorities
                .iter()
                .filter(|r| r.record_type() == RecordType::NS)
                .map(Record::new)
                .collect(),
            negative_ttl,
        }
    }

    /// The records of a type that stand at a name.
    pub fn at<'a, 'n>(&'a self, name: &'n Name, kind: RecordType) -> impl Iterator<Item = &'a Record> + use<'a, 'n> {
        self.records.iter().filter(move |r| r.kind == kind && &r.name == name)
    }

    /// Where a name points as a CNAME.
    #[must_use]
    pub fn alias(&self, name: &Name) -> Option<&Record> {
        self.at(name, RecordType::CNAME).next()
    }

    /// The end of the CNAME chain within this answer.
    #[must_use]
    pub fn end_of_chain(&self, name: &Name) -> Name {
        let mut at = name.clone();
        for _ in 0..self.records.len() {
            match self.alias(&at).and_then(|r| r.target.clone()) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// The values of a type at the end of the chain, sorted.
    #[must_use]
    pub fn values(&self, name: &Name, kind: RecordType) -> Vec<Value> {
        let end = if kind == RecordType::CNAME { name.clone() } else { self.end_of_chain(name) };
        let mut values = self.at(&end, kind).map(|r| r.value.clone()).collect::<Vec<_>>();
        values.sort();
        values.dedup();
        values
    }

    /// The largest TTL of what stands at the name itself: records of the type, or the CNAME.
    #[must_use]
    pub fn ttl(&self, name: &Name, kind: RecordType) -> Option<u32> {
        self.at(name, kind).chain(self.at(name, RecordType::CNAME)).map(|r| r.ttl).max()
    }

    /// The rcode for people: `NOERROR`, `SERVFAIL`, `NXDOMAIN`, `REFUSED`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.rcode {
            ResponseCode::NoError => "NOERROR",
            ResponseCode::FormErr => "FORMERR",
            ResponseCode::ServFail => "SERVFAIL",
            ResponseCode::NXDomain => "NXDOMAIN",
            ResponseCode::NotImp => "NOTIMP",
            ResponseCode::Refused => "REFUSED",
            _ => "an unusual rcode",
        }
    }

    /// What it says in a few words: `CNAME web.herokudns.com, 60 s`, `NXDOMAIN`, `no A record`.
    #[must_use]
    pub fn words(&self, name: &Name, kind: RecordType) -> String {
        let values = self.values(name, kind);
        let alias = self.alias(name).map(|r| format!("CNAME {}", r.value));
        let what = match (alias, values.is_empty()) {
            (Some(alias), true) => alias,
            (Some(alias), false) if kind != RecordType::CNAME => format!("{alias} = {}", values.join(", ")),
            (Some(alias), false) => alias,
            (None, false) => format!("{kind} {}", values.join(", ")),
            (None, true) if self.rcode == ResponseCode::NoError => return format!("no {kind} record"),
            (None, true) => return self.code().to_owned(),
        };
        let ttl = self.ttl(name, kind).map(|ttl| format!(", {ttl} s")).unwrap_or_default();
        clean_line(&format!("{what}{ttl}"), 300)
    }
}

impl Record {
    fn new(record: &hickory_proto::rr::Record) -> Self {
        let (value, target) = match &record.data {
            RData::CNAME(name) => (super::shown(&name.0), Some(name.0.clone())),
            RData::NS(name) => (super::shown(&name.0), Some(name.0.clone())),
            RData::TXT(txt) => (txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect(), None),
            other => (canonical(&other.to_string()), None),
        };
        Self {
            name: record.name.clone(),
            ttl: record.ttl,
            kind: record.record_type(),
            value: clean_line(&value, 2000),
            target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_values() {
        for (written, canon) in [
            ("203.0.113.9", "203.0.113.9"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("Web.HerokuDNS.com.", "web.herokudns.com"),
            ("\"v=spf1 -all\"", "v=spf1 -all"),
            ("v=spf1 -All", "v=spf1 -All"),
            ("10 Mail.acme.example.", "10 mail.acme.example"),
        ] {
            assert_eq!(canonical(written), canon);
        }
    }
}

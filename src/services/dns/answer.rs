//! An answer as far as checks look at it.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, RecordType,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};

use super::value::{Value, value_of};
use crate::base::clean_line;

/// EDNS option of extended errors (RFC 8914).
const EXTENDED_ERROR: u16 = 15;
/// Extended errors that say that an answer is older than it may be (RFC 8914 sections 4.4 and 4.20).
const STALE: [u16; 2] = [3, 19];
/// A shown value is cut here; it is compared whole.
const SHOWN: usize = 120;

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
    /// Addresses of the additional section: a referral's glue.
    pub glue: Vec<(Name, IpAddr)>,
    /// The zone's serial, where its SOA is in the answer or the authority section.
    pub serial: Option<(Name, u32)>,
    /// For an answer without records: how long a cache keeps "there is none", the lesser of the SOA's TTL and its
    /// minimum (RFC 2308 section 5). Seconds.
    pub negative_ttl: Option<u32>,
    /// Extended errors (RFC 8914): code and text.
    pub extended: Vec<(u16, String)>,
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
    /// As it came.
    pub raw: hickory_proto::rr::Record,
}

impl Answer {
    pub(super) fn new(server: SocketAddr, tcp: bool, message: &Message) -> Self {
        let soa = |records: &[hickory_proto::rr::Record]| {
            records.iter().find_map(|r| match &r.data {
                RData::SOA(soa) => Some((r.name.clone(), r.ttl, soa.clone())),
                _ => None,
            })
        };
        let nothing = message.answers.iter().all(|r| r.record_type() == RecordType::CNAME);
        let beside = soa(&message.authorities);
        let negative_ttl = beside.as_ref().filter(|_| nothing).map(|(_, ttl, soa)| *ttl.min(&soa.minimum));
        let serial = soa(&message.answers).or(beside).map(|(zone, _, soa)| (zone, soa.serial));
        let glue = message.additionals.iter().filter_map(|r| match &r.data {
            RData::A(ip) => Some((r.name.clone(), ip.0.into())),
            RData::AAAA(ip) => Some((r.name.clone(), ip.0.into())),
            _ => None,
        });
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
            glue: glue.collect(),
            serial,
            negative_ttl,
            extended: extended(message),
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

    /// The largest TTL along the chain within this answer: how long a cache that has all of it goes on saying it.
    #[must_use]
    pub fn longest_ttl(&self) -> Option<u32> {
        self.records.iter().map(|r| r.ttl).max().or(self.negative_ttl)
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

    /// The server itself says that it would no longer be allowed to say this (RFC 8767, 8914).
    #[must_use]
    pub fn says_stale(&self) -> bool {
        self.extended.iter().any(|(code, _)| STALE.contains(code))
    }

    /// What the server says of its trouble, from its extended errors.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let (code, text) = self.extended.first()?;
        let what = match code {
            1 | 2 => "unsupported DNSSEC algorithm",
            3 => "stale answer",
            4 | 15 | 16 | 17 => "blocked or filtered",
            5 => "DNSSEC indeterminate",
            6 => "DNSSEC bogus",
            7 => "signature expired",
            8 => "signature not yet valid",
            9 => "DNSKEY missing",
            10 => "RRSIGs missing",
            11 => "no zone key",
            12 => "NSEC missing",
            13 => "cached error",
            14 => "not ready",
            18 => "prohibited",
            19 => "stale NXDOMAIN",
            20 => "not authoritative",
            22 => "no reachable authority",
            23 => "network error",
            24 => "invalid data",
            _ => "extended error",
        };
        let text = if text.is_empty() { String::new() } else { format!(": {text}") };
        Some(clean_line(&format!("{what}{text}"), SHOWN))
    }

    /// What it says in a few words: `CNAME web.herokudns.com, 60 s`, `NXDOMAIN`, `no A record`.
    #[must_use]
    pub fn words(&self, name: &Name, kind: RecordType) -> String {
        let ttl = self.ttl(name, kind).map(|ttl| format!(", {ttl} s")).unwrap_or_default();
        let trouble = self.trouble().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{}{ttl}{trouble}", self.says(name, kind))
    }

    /// The same without TTL and extended error: what is compared between two looks.
    #[must_use]
    pub fn says(&self, name: &Name, kind: RecordType) -> String {
        let values = self.values(name, kind).iter().map(|v| clean_line(v, SHOWN)).collect::<Vec<_>>().join(", ");
        let alias = self.alias(name).map(|r| format!("CNAME {}", r.value));
        let what = match (alias, values.is_empty()) {
            (Some(alias), true) if self.rcode == ResponseCode::NoError => alias,
            (Some(alias), true) => format!("{alias}, then {}", self.code()),
            (Some(alias), false) if kind != RecordType::CNAME => format!("{alias} = {values}"),
            (Some(alias), false) => alias,
            (None, false) => format!("{kind} {values}"),
            (None, true) if self.rcode == ResponseCode::NoError && !self.referral.is_empty() && !self.aa => {
                format!(
                    "a referral to {}",
                    self.referral.iter().map(|r| r.value.as_str()).collect::<Vec<_>>().join(", ")
                )
            }
            (None, true) if self.rcode == ResponseCode::NoError => format!("no {kind} record"),
            (None, true) => self.code().to_owned(),
        };
        clean_line(&what, 300)
    }
}

fn extended(message: &Message) -> Vec<(u16, String)> {
    let Some(edns) = &message.edns else { return Vec::new() };
    let all = edns.options().get_all(EdnsCode::Unknown(EXTENDED_ERROR));
    let read = all.into_iter().filter_map(|option| match option {
        EdnsOption::Unknown(EXTENDED_ERROR, data) => {
            let (code, text) = data.split_first_chunk::<2>()?;
            let text = String::from_utf8_lossy(text);
            Some((u16::from_be_bytes(*code), clean_line(text.trim_end_matches('\0'), SHOWN)))
        }
        _ => None,
    });
    read.collect()
}

impl Record {
    fn new(record: &hickory_proto::rr::Record) -> Self {
        let target = match &record.data {
            RData::CNAME(name) => Some(name.0.clone()),
            RData::NS(name) => Some(name.0.clone()),
            _ => None,
        };
        Self {
            name: record.name.clone(),
            ttl: record.ttl,
            kind: record.record_type(),
            value: value_of(&record.data),
            target,
            raw: record.clone(),
        }
    }
}

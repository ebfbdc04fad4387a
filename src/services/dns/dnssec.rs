//! Whether a zone's signatures hold: the parent's DS against the zone's DNSKEY (RFC 4034, 4035, 4509), the
//! signature over the keys, and the one over a record set of the zone. Nothing above the DS is looked at: who
//! trusts the parent trusts what this finds.

use std::{collections::BTreeSet, fmt};

use hickory_proto::{
    dnssec::{
        Verifier as _,
        rdata::{DNSKEY, DNSSECRData, DS, RRSIG},
    },
    rr::{DNSClass, Name, RData, RecordType},
};

use super::{Answer, Record, shown};

/// A zone's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dnssec {
    /// No DS at the parent, no key in the zone.
    Unsigned,
    /// The zone is signed, and the parent does not say so: nobody checks the signatures.
    Island,
    /// DS, keys and signatures fit together.
    Signed {
        /// Key tags of the keys that a DS stands for.
        tags: BTreeSet<u16>,
        /// When the first of the signatures runs out, in seconds since 1970.
        until: u32,
    },
    /// Resolvers that check signatures answer SERVFAIL. Why, as a sentence without its end.
    Broken(String),
    /// Every DS is of a kind that we cannot check; resolvers that cannot either take the zone as unsigned.
    Unknown(String),
}

impl fmt::Display for Dnssec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("unsigned"),
            Self::Island => f.write_str("signed, without a DS at the parent"),
            Self::Signed { tags, .. } => write!(f, "signed (key {})", list(tags)),
            Self::Broken(why) => write!(f, "broken: {why}"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

impl Dnssec {
    /// From the DS records at the parent, and the zone's DNSKEY and SOA answers with their signatures, at a moment in
    /// seconds since 1970.
    #[must_use]
    pub fn of(zone: &Name, ds: &[Record], keys: &Answer, soa: &Answer, now: u32) -> Self {
        let ds = ds.iter().filter_map(|r| as_ds(&r.raw.data)).collect::<Vec<_>>();
        let own = keys.at(zone, RecordType::DNSKEY).filter_map(|r| as_key(&r.raw.data)).collect::<Vec<_>>();
        match (ds.is_empty(), own.is_empty()) {
            (true, true) => return Self::Unsigned,
            (true, false) => return Self::Island,
            (false, true) => {
                let tags = ds.iter().map(|ds| ds.key_tag()).collect();
                return Self::Broken(format!("the parent has a DS (key {}), the zone has no DNSKEY", list(&tags)));
            }
            (false, false) => {}
        }
        let can = |ds: &&&DS| ds.digest_type().is_supported() && ds.algorithm().is_supported();
        let checkable = ds.iter().filter(can).collect::<Vec<_>>();
        if checkable.is_empty() {
            let kinds = ds.iter().map(|ds| format!("algorithm {:?}, digest {:?}", ds.algorithm(), ds.digest_type()));
            return Self::Unknown(kinds.collect::<Vec<_>>().join("; "));
        }
        let trusted = |key: &&&DNSKEY| {
            let tag = key.calculate_key_tag().ok();
            checkable.iter().any(|ds| {
                tag == Some(ds.key_tag())
                    && ds.algorithm() == key.algorithm()
                    && !key.revoke()
                    && ds.covers(zone, key).unwrap_or(false)
            })
        };
        let anchors = own.iter().filter(trusted).copied().collect::<Vec<_>>();
        let tags_of =
            |keys: &[&DNSKEY]| keys.iter().filter_map(|k| k.calculate_key_tag().ok()).collect::<BTreeSet<_>>();
        if anchors.is_empty() {
            let wanted = ds.iter().map(|ds| ds.key_tag()).collect();
            let (wanted, there) = (list(&wanted), list(&tags_of(&own)));
            return Self::Broken(format!("no DS (key {wanted}) fits a DNSKEY of the zone (key {there})"));
        }
        let over_keys = match verify(zone, RecordType::DNSKEY, keys, &anchors, now) {
            Ok(until) => until,
            Err(why) => return Self::Broken(format!("the DNSKEY set's signature {why}")),
        };
        match verify(zone, RecordType::SOA, soa, &own, now) {
            Ok(until) => Self::Signed { tags: tags_of(&anchors), until: until.min(over_keys) },
            Err(why) => Self::Broken(format!("the SOA record's signature {why}")),
        }
    }
}

/// When the latest good signature over a record set by one of the keys runs out; or why there is none.
fn verify(name: &Name, kind: RecordType, answer: &Answer, keys: &[&DNSKEY], now: u32) -> Result<u32, String> {
    let set = answer.at(name, kind).map(|r| &r.raw).collect::<Vec<_>>();
    let signatures = answer.at(name, RecordType::RRSIG).filter_map(|r| as_signature(&r.raw.data));
    let tags = list(&keys.iter().filter_map(|key| key.calculate_key_tag().ok()).collect());
    let mut why = format!("is missing (by key {tags})");
    let mut best = None;
    for signature in signatures.filter(|s| s.input().type_covered == kind) {
        let input = signature.input();
        let fits =
            |key: &&&DNSKEY| key.calculate_key_tag().ok() == Some(input.key_tag) && key.algorithm() == input.algorithm;
        let Some(key) = keys.iter().find(fits) else { continue };
        let (from, until) = (input.sig_inception.get(), input.sig_expiration.get());
        if later(now, until) {
            why = format!("by key {} ran out {}", input.key_tag, ago(now, until));
        } else if later(from, now) {
            why = format!("by key {} is not valid yet", input.key_tag);
        } else if input.signer_name != *name {
            why = format!("is by {}, not by the zone", shown(&input.signer_name));
        } else if key.verify_rrsig(name, DNSClass::IN, signature, set.iter().copied()).is_err() {
            why = format!("by key {} is wrong", input.key_tag);
        } else {
            best = best.max(Some(until));
        }
    }
    best.ok_or(why)
}

/// Serial number arithmetic (RFC 1982): signatures' moments wrap in 2106.
fn later(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

fn ago(now: u32, then: u32) -> String {
    let hours = now.wrapping_sub(then) / 3600;
    match hours {
        0 => "within the last hour".into(),
        1..=47 => format!("{hours} hours ago"),
        _ => format!("{} days ago", hours / 24),
    }
}

fn list(tags: &BTreeSet<u16>) -> String {
    tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn as_ds(data: &RData) -> Option<&DS> {
    match data {
        RData::DNSSEC(DNSSECRData::DS(ds)) => Some(ds),
        _ => None,
    }
}

fn as_key(data: &RData) -> Option<&DNSKEY> {
    match data {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) => Some(key),
        _ => None,
    }
}

fn as_signature(data: &RData) -> Option<&RRSIG> {
    match data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_wrap() {
        assert!(later(2, 1) && !later(1, 2) && !later(1, 1));
        assert!(later(5, u32::MAX - 5), "after 2106");
        assert_eq!(ago(7300, 100), "2 hours ago");
        assert_eq!(ago(1_000_000, 0), "11 days ago");
    }
}

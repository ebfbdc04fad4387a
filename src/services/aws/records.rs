//! A Route 53 record set as we keep it: every field that AWS has, as JSON that comes back the same, so
//! that what was captured can be put back exactly.
//!
//! Fields: "ResourceRecordSet" of the Route 53 API reference.

use std::{fmt::Write as _, net::Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::route53::{normal_name, shown_name};
use crate::base::clean_line;

/// A line tells so many values, and so much of each; a TXT record may have thousands of characters.
const TOLD_VALUES: usize = 6;
const TOLD_VALUE: usize = 100;
/// So many record sets are told when something differs.
const TOLD_SETS: usize = 6;

/// A record set, whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// As AWS spells it: lower case, `\052` for `*`, with the last dot.
    pub name: String,
    /// `A`, `CNAME`, ….
    pub r#type: String,
    /// Which of several record sets of this name and type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_identifier: Option<String>,
    /// Weighted routing: 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// Latency routing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Geolocation routing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geo_location: Option<Geo>,
    /// Failover routing: `PRIMARY`, `SECONDARY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<String>,
    /// Multivalue answer routing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_value_answer: Option<bool>,
    /// Seconds; an alias has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
    /// Values in the order of AWS's answer; an alias has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Alias target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
    /// Health check id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<String>,
    /// Set where a traffic policy made the record: it cannot be changed by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<String>,
    /// IP-based routing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Cidr>,
    /// Geoproximity routing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geo_proximity: Option<GeoProximity>,
    /// Elements of AWS's answer that we do not know and could not put back; such a set is not changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// An alias target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// Hosted zone of the target, such as a load balancer's.
    pub zone: String,
    /// DNS name of the target.
    pub dns_name: String,
    /// Whether the target's health decides the answer.
    pub evaluate_health: bool,
}

/// Geolocation; codes as AWS has them, `*` is the default country.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geo {
    /// `EU`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continent: Option<String>,
    /// `DE`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Of the United States and Ukraine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdivision: Option<String>,
}

/// IP-based routing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cidr {
    /// Id of the collection.
    pub collection: String,
    /// Location within it; `*` is the default.
    pub location: String,
}

/// Geoproximity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeoProximity {
    /// AWS region of the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// AWS Local Zone group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_zone_group: Option<String>,
    /// As AWS writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latitude: Option<String>,
    /// As AWS writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longitude: Option<String>,
    /// -99 to 99.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<i32>,
}

impl RecordSet {
    /// True where both say the same: the order of values has no meaning in DNS, nor has the spelling of the name itself,
    /// of an address or of a name that is a value.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.plain() == other.plain()
    }

    fn plain(&self) -> Self {
        let mut set = self.clone();
        set.name = normal_name(&set.name);
        for value in &mut set.values {
            *value = plain_value(&set.r#type, value);
        }
        set.values.sort();
        if let Some(alias) = &mut set.alias {
            alias.dns_name = plain_value("CNAME", &alias.dns_name);
        }
        set
    }

    /// True for the same name, type and identifier: what makes it this record set.
    #[must_use]
    pub fn same_key(&self, other: &Self) -> bool {
        self.is(&other.name, &other.r#type) && self.set_identifier == other.set_identifier
    }

    /// True for a record set of this name and type.
    #[must_use]
    pub fn is(&self, name: &str, r#type: &str) -> bool {
        self.r#type == r#type && normal_name(&self.name) == normal_name(name)
    }

    /// `CNAME shop.acme.example [blue]`.
    #[must_use]
    pub fn title(&self) -> String {
        let which = self.set_identifier.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
        format!("{} {}{which}", self.r#type, shown_name(&self.name))
    }

    /// In one line: `CNAME shop.acme.example 60 s → old.example.net`.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.title();
        let mut say = |word: &str, what: &dyn std::fmt::Display| {
            let _infallible = write!(line, " {word}{what}");
        };
        if let Some(weight) = self.weight {
            say("weight ", &weight);
        }
        for word in [&self.region, &self.failover].into_iter().flatten() {
            say("", word);
        }
        if let Some(Geo { continent, country, subdivision }) = &self.geo_location {
            for word in [continent, country, subdivision].into_iter().flatten() {
                say("geo ", word);
            }
        }
        if let Some(cidr) = &self.cidr {
            say("cidr ", &format!("{}/{}", cidr.collection, cidr.location));
        }
        if let Some(GeoProximity { region, local_zone_group, latitude, longitude, bias }) = &self.geo_proximity {
            for word in [region, local_zone_group, latitude, longitude].into_iter().flatten() {
                say("near ", word);
            }
            bias.iter().for_each(|bias| say("bias ", bias));
        }
        if self.multi_value_answer == Some(true) {
            say("", &"multivalue");
        }
        if let Some(id) = &self.health_check {
            say("health check ", id);
        }
        if let Some(ttl) = self.ttl {
            say("", &format!("{ttl} s"));
        }
        match &self.alias {
            Some(alias) => {
                let health = if alias.evaluate_health { ", with its health" } else { "" };
                say("→ alias ", &format!("{} ({}{health})", alias.dns_name, alias.zone));
            }
            None => say("→ ", &told_values(&self.values)),
        }
        line
    }

    /// Names of the fields in which two record sets differ.
    fn differs(&self, other: &Self) -> Vec<&'static str> {
        let (a, b) = (self.plain(), other.plain());
        let fields = [
            (a.ttl != b.ttl, "TTL"),
            (a.values != b.values, "values"),
            (a.alias != b.alias, "alias"),
            (a.weight != b.weight, "weight"),
            (a.region != b.region, "region"),
            (a.failover != b.failover, "failover"),
            (a.geo_location != b.geo_location, "geolocation"),
            (a.geo_proximity != b.geo_proximity, "geoproximity"),
            (a.cidr != b.cidr, "CIDR location"),
            (a.multi_value_answer != b.multi_value_answer, "multivalue answer"),
            (a.health_check != b.health_check, "health check"),
            (a.traffic_policy != b.traffic_policy, "traffic policy"),
            (a.unknown != b.unknown, "fields that gonogo does not know"),
        ];
        fields.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name).collect()
    }
}

/// A value as it can be compared: an address may be written in several ways, and a name with or without its last dot.
pub(crate) fn plain_value(r#type: &str, value: &str) -> String {
    match r#type {
        "AAAA" => value.parse::<Ipv6Addr>().map_or_else(|_| value.to_owned(), |address| address.to_string()),
        "CNAME" | "NS" | "PTR" => value.strip_suffix('.').unwrap_or(value).to_ascii_lowercase(),
        _ => value.to_owned(),
    }
}

/// Values in words, the first of many, the start of long ones.
pub(crate) fn told_values(values: &[String]) -> String {
    let told: Vec<String> = values.iter().take(TOLD_VALUES).map(|value| clean_line(value, TOLD_VALUE)).collect();
    let more = values.len().saturating_sub(TOLD_VALUES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", told.join(", "))
}

/// `TTL differs`; `TTL and values differ`.
fn differing(fields: &[&str]) -> String {
    match fields {
        [one] => format!("{one} differs"),
        [first @ .., last] => format!("{} and {last} differ", first.join(", ")),
        [] => "it differs".into(),
    }
}

/// True where both hold the same record sets.
#[must_use]
pub fn agree(a: &[RecordSet], b: &[RecordSet]) -> bool {
    let has = |sets: &[RecordSet], set: &RecordSet| sets.iter().any(|other| other.same(set));
    a.len() == b.len() && a.iter().all(|set| has(b, set)) && b.iter().all(|set| has(a, set))
}

/// What of `found` is not as `expected`: per record set what differs, what was expected (`word`), what was found, and
/// what is wanted where that is another thing again. Empty: nothing.
#[must_use]
pub fn difference(word: &str, expected: &[RecordSet], found: &[RecordSet], wanted: &[RecordSet]) -> Vec<String> {
    let mut keys: Vec<&RecordSet> = Vec::new();
    for set in expected.iter().chain(found) {
        if !keys.iter().any(|key| key.same_key(set)) {
            keys.push(set);
        }
    }
    let of = |sets: &'_ [RecordSet], key: &RecordSet| sets.iter().find(|set| set.same_key(key)).cloned();
    let width = word.chars().count().max("expected".len());
    let say = |word: &str, set: Option<&RecordSet>| {
        format!("{word:width$} {}", set.map_or_else(|| "no such record".into(), RecordSet::line))
    };
    let mut lines = Vec::new();
    let mut untold = 0_usize;
    for key in keys {
        let (before, now, then) = (of(expected, key), of(found, key), of(wanted, key));
        let what = match (&before, &now) {
            (Some(before), Some(now)) if before.same(now) => continue,
            (Some(before), Some(now)) => differing(&before.differs(now)),
            (Some(_), None) => "it is gone".into(),
            (None, _) => "it is new".into(),
        };
        if lines.len() >= 4 * TOLD_SETS {
            untold += 1;
            continue;
        }
        lines.push(format!("{}: {what}", key.title()));
        lines.push(say(word, before.as_ref()));
        lines.push(say("found", now.as_ref()));
        if !wanted.is_empty() {
            lines.push(say("wanted", then.as_ref()));
        }
    }
    if untold > 0 {
        lines.push(format!("and {untold} more record sets"));
    }
    lines
}

#[cfg(test)]
impl RecordSet {
    /// One with every field, for tests.
    pub fn full() -> Self {
        Self {
            name: "shop.acme.example.".into(),
            r#type: "A".into(),
            set_identifier: Some("blue".into()),
            weight: Some(10),
            region: Some("eu-west-1".into()),
            geo_location: Some(Geo { continent: None, country: Some("DE".into()), subdivision: Some("x".into()) }),
            failover: Some("PRIMARY".into()),
            multi_value_answer: Some(true),
            ttl: Some(300),
            values: vec!["192.0.2.2".into(), "192.0.2.1".into()],
            alias: None,
            health_check: Some("h-1".into()),
            traffic_policy: None,
            cidr: Some(Cidr { collection: "c".into(), location: "l".into() }),
            geo_proximity: Some(GeoProximity {
                region: None,
                local_zone_group: Some("z".into()),
                latitude: Some("1".into()),
                longitude: Some("2".into()),
                bias: Some(-5),
            }),
            unknown: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_no_difference_and_a_ttl_is() {
        let mut turned = RecordSet::full();
        turned.values.reverse();
        turned.name = "Shop.acme.example".into();
        assert!(difference("captured", &[RecordSet::full()], &[turned.clone()], &[]).is_empty());
        assert!(agree(&[RecordSet::full()], &[turned.clone()]));
        turned.ttl = Some(60);
        assert!(!agree(&[RecordSet::full()], &[turned.clone()]) && !agree(&[RecordSet::full()], &[]));
        let wanted = RecordSet { ttl: Some(20), ..RecordSet::full() };
        let lines = difference("captured", &[RecordSet::full()], &[turned], &[wanted]);
        assert_eq!(lines[0], "A shop.acme.example [blue]: TTL differs");
        let starts: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(starts, ["A", "captured", "found", "wanted"]);
        assert!(
            lines[1].contains(" 300 s ") && lines[2].contains(" 60 s ") && lines[3].contains(" 20 s "),
            "{lines:?}"
        );
    }

    #[test]
    fn what_is_gone_or_new_is_told() {
        let lines = difference("captured", &[RecordSet::full()], &[], &[]);
        assert_eq!(lines[0], "A shop.acme.example [blue]: it is gone");
        assert_eq!(lines[2], "found    no such record");
        let lines = difference("captured", &[], &[RecordSet::full()], &[]);
        assert_eq!(lines[0], "A shop.acme.example [blue]: it is new");
    }

    #[test]
    fn a_line_tells_every_field_and_stays_short() {
        let line = RecordSet::full().line();
        for part in ["weight 10", "eu-west-1", "PRIMARY", "geo DE", "cidr c/l", "near z", "bias -5", "health check h-1"]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
        let long = RecordSet { values: vec!["x".repeat(4000); 400], ..RecordSet::full() };
        assert!(long.line().chars().count() < 1000, "{}", long.line().len());
        assert!(long.line().ends_with("and 394 more"), "{}", long.line());
    }
}

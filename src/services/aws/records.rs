//! A Route 53 record set as we keep it: every field that AWS has, as JSON that comes back the same, so
//! that what was captured can be put back exactly.
//!
//! Fields: "ResourceRecordSet" of the Route 53 API reference.

use std::fmt::Write as _;

use aws_sdk_route53::types::{
    AliasTarget, CidrRoutingConfig, Coordinates, GeoLocation, GeoProximityLocation, ResourceRecord, ResourceRecordSet,
};
use aws_smithy_types::error::operation::BuildError;
use serde::{Deserialize, Serialize};

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

/// Geolocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geo {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    continent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subdivision: Option<String>,
}

/// IP-based routing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cidr {
    collection: String,
    location: String,
}

/// Geoproximity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeoProximity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    local_zone_group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latitude: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    longitude: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<i32>,
}

impl RecordSet {
    /// True where both say the same: the order of values has no meaning in DNS, nor has the case or
    /// the last dot of an alias's name.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let plain = |set: &Self| {
            let mut set = set.clone();
            set.values.sort();
            if let Some(alias) = &mut set.alias {
                alias.dns_name = alias.dns_name.trim_end_matches('.').to_ascii_lowercase();
            }
            set
        };
        plain(self) == plain(other)
    }

    /// Which of the record sets of a name and type this is.
    #[must_use]
    pub fn key(&self) -> (&str, &str, Option<&str>) {
        (&self.name, &self.r#type, self.set_identifier.as_deref())
    }

    /// In one line: `CNAME shop.acme.example. 60 s → old.example.net`.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!("{} {}", self.r#type, self.name.replace("\\052", "*"));
        if let Some(id) = &self.set_identifier {
            let _ = write!(line, " [{id}]");
        }
        if let Some(weight) = self.weight {
            let _ = write!(line, " weight {weight}");
        }
        for word in [&self.region, &self.failover].into_iter().flatten() {
            let _ = write!(line, " {word}");
        }
        if let Some(ttl) = self.ttl {
            let _ = write!(line, " {ttl} s");
        }
        match &self.alias {
            Some(alias) => {
                let _ = write!(line, " → alias {} ({})", alias.dns_name, alias.zone);
            }
            None => {
                let _ = write!(line, " → {}", self.values.join(", "));
            }
        }
        line
    }

    /// Takes AWS's type over. Test servers give an alias a TTL of 0; AWS never does.
    pub(super) fn from_aws(set: &ResourceRecordSet) -> Self {
        let alias = set.alias_target.as_ref().map(|alias| Alias {
            zone: alias.hosted_zone_id.clone(),
            dns_name: alias.dns_name.clone(),
            evaluate_health: alias.evaluate_target_health,
        });
        Self {
            name: set.name.clone(),
            r#type: set.r#type.as_str().to_owned(),
            set_identifier: set.set_identifier.clone(),
            weight: set.weight,
            region: set.region.as_ref().map(|region| region.as_str().to_owned()),
            geo_location: set.geo_location.as_ref().map(|geo| Geo {
                continent: geo.continent_code.clone(),
                country: geo.country_code.clone(),
                subdivision: geo.subdivision_code.clone(),
            }),
            failover: set.failover.as_ref().map(|failover| failover.as_str().to_owned()),
            multi_value_answer: set.multi_value_answer,
            ttl: if alias.is_some() { None } else { set.ttl },
            values: set.resource_records().iter().map(|record| record.value.clone()).collect(),
            alias,
            health_check: set.health_check_id.clone(),
            traffic_policy: set.traffic_policy_instance_id.clone(),
            cidr: set
                .cidr_routing_config
                .as_ref()
                .map(|cidr| Cidr { collection: cidr.collection_id.clone(), location: cidr.location_name.clone() }),
            geo_proximity: set.geo_proximity_location.as_ref().map(|geo| GeoProximity {
                region: geo.aws_region.clone(),
                local_zone_group: geo.local_zone_group.clone(),
                latitude: geo.coordinates.as_ref().map(|at| at.latitude.clone()),
                longitude: geo.coordinates.as_ref().map(|at| at.longitude.clone()),
                bias: geo.bias,
            }),
        }
    }

    /// AWS's type.
    pub(super) fn to_aws(&self) -> Result<ResourceRecordSet, BuildError> {
        let records = self.values.iter().map(|value| ResourceRecord::builder().value(value).build());
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let alias = self.alias.as_ref().map(|alias| {
            AliasTarget::builder()
                .hosted_zone_id(&alias.zone)
                .dns_name(&alias.dns_name)
                .evaluate_target_health(alias.evaluate_health)
                .build()
        });
        let cidr = self.cidr.as_ref().map(|cidr| {
            CidrRoutingConfig::builder().collection_id(&cidr.collection).location_name(&cidr.location).build()
        });
        let geo_location = self.geo_location.as_ref().map(|geo| {
            GeoLocation::builder()
                .set_continent_code(geo.continent.clone())
                .set_country_code(geo.country.clone())
                .set_subdivision_code(geo.subdivision.clone())
                .build()
        });
        ResourceRecordSet::builder()
            .name(&self.name)
            .r#type(self.r#type.as_str().into())
            .set_set_identifier(self.set_identifier.clone())
            .set_weight(self.weight)
            .set_region(self.region.as_deref().map(Into::into))
            .set_geo_location(geo_location)
            .set_failover(self.failover.as_deref().map(Into::into))
            .set_multi_value_answer(self.multi_value_answer)
            .set_ttl(self.ttl)
            .set_resource_records((!records.is_empty()).then_some(records))
            .set_alias_target(alias.transpose()?)
            .set_health_check_id(self.health_check.clone())
            .set_traffic_policy_instance_id(self.traffic_policy.clone())
            .set_cidr_routing_config(cidr.transpose()?)
            .set_geo_proximity_location(self.geo_proximity.as_ref().map(GeoProximity::to_aws).transpose()?)
            .build()
    }
}

impl GeoProximity {
    fn to_aws(&self) -> Result<GeoProximityLocation, BuildError> {
        let at = self
            .latitude
            .as_ref()
            .zip(self.longitude.as_ref())
            .map(|(latitude, longitude)| Coordinates::builder().latitude(latitude).longitude(longitude).build());
        Ok(GeoProximityLocation::builder()
            .set_aws_region(self.region.clone())
            .set_local_zone_group(self.local_zone_group.clone())
            .set_coordinates(at.transpose()?)
            .set_bias(self.bias)
            .build())
    }
}

/// A name as Route 53 spells it in its answers: lower case, fully qualified, everything but
/// `a-z 0-9 - _ .` as a three-digit octal escape ("DNS domain name format" of the developer guide).
#[must_use]
pub fn normal_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len() + 1);
    for b in name.trim_end_matches('.').bytes() {
        match b.to_ascii_lowercase() {
            b @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'\\') => normal.push(char::from(b)),
            b => {
                let _ = write!(normal, "\\{b:03o}");
            }
        }
    }
    normal.push('.');
    normal
}

/// What differs between what there ought to be and what there is, one line each; empty: nothing.
#[must_use]
pub fn difference(wanted: &[RecordSet], found: &[RecordSet]) -> Vec<String> {
    let lacks = |sets: &[RecordSet], set: &RecordSet| !sets.iter().any(|other| other.same(set));
    let gone = wanted.iter().filter(|set| lacks(found, set)).map(|set| format!("expected {}", set.line()));
    let new = found.iter().filter(|set| lacks(wanted, set)).map(|set| format!("found    {}", set.line()));
    let mut lines: Vec<_> = gone.chain(new).collect();
    if !lines.is_empty() && found.is_empty() {
        lines.push("found    no such record".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> RecordSet {
        RecordSet {
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
        }
    }

    #[test]
    fn every_field_comes_back() {
        let alias = Alias { zone: "Z1".into(), dns_name: "alb.example.".into(), evaluate_health: true };
        let aliased = RecordSet { alias: Some(alias), ttl: None, values: vec![], ..full() };
        for set in [full(), aliased] {
            assert_eq!(RecordSet::from_aws(&set.to_aws().unwrap()), set);
            let json = serde_json::to_string(&set).unwrap();
            assert_eq!(serde_json::from_str::<RecordSet>(&json).unwrap(), set);
        }
    }

    #[test]
    fn names_as_route_53_spells_them() {
        assert_eq!(normal_name("Shop.Acme.Example"), "shop.acme.example.");
        assert_eq!(normal_name("*.acme.example."), "\\052.acme.example.");
        assert_eq!(normal_name("\\052.acme.example."), "\\052.acme.example.");
    }

    #[test]
    fn order_is_no_difference_and_a_ttl_is() {
        let mut turned = full();
        turned.values.reverse();
        assert!(difference(&[full()], &[turned.clone()]).is_empty());
        turned.ttl = Some(60);
        assert_eq!(difference(&[full()], &[turned]).len(), 2);
        assert_eq!(difference(&[full()], &[])[1], "found    no such record");
    }
}

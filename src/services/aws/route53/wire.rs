//! Record sets between the SDK's types and ours, and what of an answer neither of them knows.
//!
//! Source: "ResourceRecordSet" of the Route 53 API reference; API version 2013-04-01 as of the SDK's.

use aws_sdk_route53::types::{
    AliasTarget, CidrRoutingConfig, Coordinates, GeoLocation, GeoProximityLocation, ResourceRecord, ResourceRecordSet,
};
use aws_smithy_types::error::operation::BuildError;

use crate::services::aws::{
    records::{Alias, Cidr, Geo, GeoProximity, RecordSet},
    xml::Node,
};

/// Every element of a `ResourceRecordSet` that can be put back, by its path, in order.
const KNOWN: &[&str] = &[
    "AliasTarget",
    "AliasTarget/DNSName",
    "AliasTarget/EvaluateTargetHealth",
    "AliasTarget/HostedZoneId",
    "CidrRoutingConfig",
    "CidrRoutingConfig/CollectionId",
    "CidrRoutingConfig/LocationName",
    "Failover",
    "GeoLocation",
    "GeoLocation/ContinentCode",
    "GeoLocation/CountryCode",
    "GeoLocation/SubdivisionCode",
    "GeoProximityLocation",
    "GeoProximityLocation/AWSRegion",
    "GeoProximityLocation/Bias",
    "GeoProximityLocation/Coordinates",
    "GeoProximityLocation/Coordinates/Latitude",
    "GeoProximityLocation/Coordinates/Longitude",
    "GeoProximityLocation/LocalZoneGroup",
    "HealthCheckId",
    "MultiValueAnswer",
    "Name",
    "Region",
    "ResourceRecords",
    "ResourceRecords/ResourceRecord",
    "ResourceRecords/ResourceRecord/Value",
    "SetIdentifier",
    "TTL",
    "TrafficPolicyInstanceId",
    "Type",
    "Weight",
];

/// The elements of a record set that we do not know, by their paths: they would be lost.
pub(super) fn unknown(set: &Node) -> Vec<String> {
    fn walk(node: &Node, path: &str, found: &mut Vec<String>) {
        for child in &node.children {
            let path = if path.is_empty() { child.name.clone() } else { format!("{path}/{}", child.name) };
            if KNOWN.binary_search(&path.as_str()).is_ok() {
                walk(child, &path, found);
            } else if !found.contains(&path) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(set, "", &mut found);
    found
}

impl RecordSet {
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
            unknown: Vec::new(),
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
            .set_geo_proximity_location(self.geo_proximity.as_ref().map(near).transpose()?)
            .build()
    }
}

fn near(place: &GeoProximity) -> Result<GeoProximityLocation, BuildError> {
    let at = place
        .latitude
        .as_ref()
        .zip(place.longitude.as_ref())
        .map(|(latitude, longitude)| Coordinates::builder().latitude(latitude).longitude(longitude).build());
    Ok(GeoProximityLocation::builder()
        .set_aws_region(place.region.clone())
        .set_local_zone_group(place.local_zone_group.clone())
        .set_coordinates(at.transpose()?)
        .set_bias(place.bias)
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_comes_back() {
        let full = RecordSet::full();
        let alias = Alias { zone: "Z1".into(), dns_name: "alb.example.".into(), evaluate_health: true };
        let aliased = RecordSet { alias: Some(alias), ttl: None, values: vec![], ..full.clone() };
        for set in [full, aliased] {
            assert_eq!(RecordSet::from_aws(&set.to_aws().unwrap()), set);
            let json = serde_json::to_string(&set).unwrap();
            assert_eq!(serde_json::from_str::<RecordSet>(&json).unwrap(), set);
        }
    }

    #[test]
    fn what_nobody_knows_is_named() {
        assert!(KNOWN.is_sorted());
        let node = |text: &str| Node::parse(text).unwrap();
        let known = "<S><Name>a.</Name><GeoProximityLocation><Coordinates><Latitude>1</Latitude></Coordinates>\
                     </GeoProximityLocation></S>";
        assert_eq!(unknown(&node(known)), Vec::<String>::new());
        let new = "<S><Name>a.</Name><Moon>full</Moon><AliasTarget><Tide>low</Tide></AliasTarget><Moon/></S>";
        assert_eq!(unknown(&node(new)), ["Moon", "AliasTarget/Tide"]);
    }
}

//! `zone`, `private` and `vpc`: which hosted zone a step changes, and what that needs to be allowed.

use crate::{
    plan::{Param, Params, Permission, Shape},
    services::{
        Services,
        aws::{Place, ZoneRef},
    },
};

/// `zone`.
pub(in crate::kinds) const ZONE: Param =
    Param { name: "zone", shape: Shape::Text, required: true, help: "id or name of the hosted zone" };
/// `private`.
pub(in crate::kinds) const PRIVATE: Param = Param {
    name: "private",
    shape: Shape::Flag,
    required: false,
    help: "true or false: which of the zones of that name; default: the only one",
};
/// `vpc`.
pub(in crate::kinds) const VPC: Param =
    Param { name: "vpc", shape: Shape::Text, required: false, help: "the private zone of that name in this VPC" };

/// Reads which zone is meant.
pub(in crate::kinds) fn read(params: &mut Params<'_>) -> ZoneRef {
    let zone = ZoneRef { given: params.text("zone"), private: params.opt_flag("private"), vpc: params.opt_text("vpc") };
    for key in ["private", "vpc"] {
        if zone.id().is_some() && params.has(key) {
            let words = format!("`{key}` chooses among zones of one name, and `zone` is an id");
            params.mistake(params.place_of(key), words, "not with a zone's id", Some("leave it out".into()));
        }
    }
    if zone.vpc.is_some() && zone.private == Some(false) {
        let words = "a public zone belongs to no VPC";
        params.mistake(params.place_of("vpc"), words, "not with `private = false`", None);
    }
    let private = if zone.vpc.is_some() { Some(true) } else { zone.private };
    ZoneRef { private, ..zone }
}

/// The requests that a step sends around its batch, in words: before it, and after it.
pub(in crate::kinds) fn does(zone: &ZoneRef, places: &[Place]) -> (Vec<String>, String) {
    let mut before = Vec::new();
    if zone.id().is_none() {
        before.push(format!("Route 53 ListHostedZonesByName: the id of {}", zone.words()));
    }
    if let Some(vpc) = &zone.vpc {
        before.push(format!("Route 53 GetHostedZone of each private one: which belongs to {vpc}"));
    }
    let places: Vec<String> = places.iter().map(Place::words).collect();
    before.push(format!("Route 53 ListResourceRecordSets: capture {} of {}", places.join(", "), zone.words()));
    (before, "Route 53 GetChange until INSYNC, then ListResourceRecordSets again".into())
}

/// What has to be allowed ("Actions, resources, and condition keys for Amazon Route 53").
pub(in crate::kinds) fn needs(services: &Services, zone: &ZoneRef) -> Vec<Permission> {
    let aws = &services.aws;
    let arn = aws.global_arn("route53", &format!("hostedzone/{}", zone.id().unwrap_or("*")));
    let mut needs = vec![
        Permission::new("route53:ChangeResourceRecordSets", arn.clone()),
        Permission::new("route53:GetChange", aws.global_arn("route53", "change/*")),
        Permission::new("route53:ListResourceRecordSets", arn.clone()),
    ];
    if zone.id().is_none() {
        needs.push(Permission::anywhere("route53:ListHostedZonesByName"));
    }
    if zone.vpc.is_some() {
        needs.push(Permission::new("route53:GetHostedZone", arn));
    }
    needs
}

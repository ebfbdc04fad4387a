//! `route53.set_ttl`: the same record, a new TTL.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value as Json;

use super::{Bind, Kind};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Params, Permission, Shape},
    services::{
        Services,
        aws::{Aws, Patience, RecordSet, Swap, normal_name},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "route53.set_ttl",
    summary: "gives a Route 53 record another TTL and keeps everything else",
    docs: "\
Captures every record set of the name and type whole (`ListResourceRecordSets`), then sends **one**
`ChangeResourceRecordSets` batch `DELETE(old) + CREATE(new)`. Route 53 applies a batch whole or not at all, and
`DELETE` must match value and TTL exactly: a record that somebody changed meanwhile is refused, not overwritten.
Then waits until `GetChange` says `INSYNC` and reads the record again. A record that has the TTL already is left alone.

Without `set_identifier`, every record set of the name and type (weighted, latency, …) gets the TTL.

What hurts people: an alias has no TTL of its own (refused here with words); the twins AAAA and HTTPS have TTLs of
their own; Terraform puts the old TTL back at its next apply; caches keep the *old* TTL until it has run out, so wait
with `dns.wait_ttl` before the switch.

`rollback = \"restore\"` swaps back in the same way and is refused where the record is no longer what this step wrote.

Limits: at most two Route 53 requests a second leave gonogo; throttling (HTTP 400 `Throttling`,
`PriorRequestNotComplete`) is waited out within the timeout. Records made by a traffic policy cannot be changed.

API: Route 53 `ListHostedZonesByName`, `ListResourceRecordSets`, `ChangeResourceRecordSets`, `GetChange`.
Evidence: `change_id`, `old_ttl`, `new_ttl` (seconds, the largest of several), `insync_at`, `old`, `new`.",
    params: PARAMS,
    doubt: Doubt::Swap,
    needs: &[
        "route53:ChangeResourceRecordSets",
        "route53:GetChange",
        "route53:ListHostedZonesByName",
        "route53:ListResourceRecordSets",
        "sts:GetCallerIdentity",
    ],
    example: include_str!("../../runbooks/kinds/route53.set_ttl.toml"),
    bind: Bind::Action(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "zone", shape: Shape::Text, required: true, help: "id or name of the hosted zone" },
    Param { name: "name", shape: Shape::Text, required: true, help: "name of the record, in full" },
    Param { name: "type", shape: Shape::Text, required: true, help: "A, AAAA, CNAME, …" },
    Param { name: "ttl", shape: Shape::Count, required: true, help: "seconds, at most 2147483647" },
    Param {
        name: "set_identifier",
        shape: Shape::Text,
        required: false,
        help: "only this one of several; default: all",
    },
];

/// Types that Route 53 takes (`RRType`).
const TYPES: &[&str] = &[
    "A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SPF", "SRV", "SSHFP", "SVCB",
    "TLSA", "TXT",
];

/// Reads `type`; the mistake points at it.
pub(super) fn record_type(params: &mut Params<'_>) -> String {
    let text = params.text("type");
    let known = TYPES.contains(&text.as_str());
    if !text.is_empty() && !known {
        let upper = text.to_ascii_uppercase();
        let help = TYPES.contains(&upper.as_str()).then(|| format!("did you mean \"{upper}\"?"));
        let span = params.place_of("type");
        params.mistake(span, "`type` must be a record type of Route 53", "not a record type", help);
    }
    text
}

/// Reads `ttl`; the mistake points at it.
pub(super) fn ttl(params: &mut Params<'_>) -> Option<i64> {
    let ttl = params.opt_count("ttl")?;
    let fits = i64::try_from(ttl).ok().filter(|ttl| *ttl <= i64::from(i32::MAX));
    if fits.is_none() {
        let span = params.place_of("ttl");
        params.mistake(span, "`ttl` must be at most 2147483647 seconds", "too large (RFC 2181, section 8)", None);
    }
    fits
}

/// Reads `name` and, where the zone is given by name, holds that the record lies in it.
pub(super) fn record_name(params: &mut Params<'_>, zone: &str) -> String {
    let name = params.text("name");
    let (record, parent) = (normal_name(&name), normal_name(zone));
    let by_name = zone.contains('.');
    if !name.is_empty() && by_name && record != parent && !record.ends_with(&format!(".{parent}")) {
        let span = params.place_of("name");
        params.mistake(span, format!("`{name}` does not lie in the zone {zone}"), "outside the zone", None);
    }
    name
}

/// Refuses what cannot be changed by hand.
pub(super) fn changeable(set: &RecordSet) -> Result<(), Failure> {
    if set.traffic_policy.is_some() {
        let words = format!("{} was made by a traffic policy and cannot be changed by itself", set.line());
        return Err(Failure::new(Class::Misconfigured, words).hint("change the traffic policy instance"));
    }
    Ok(())
}

struct SetTtl {
    services: Arc<Services>,
    zone: String,
    name: String,
    r#type: String,
    ttl: i64,
    set_identifier: Option<String>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    let zone = params.text("zone");
    Arc::new(SetTtl {
        services: services.clone(),
        name: record_name(params, &zone),
        zone,
        r#type: record_type(params),
        ttl: ttl(params).unwrap_or_default(),
        set_identifier: params.opt_text("set_identifier"),
    })
}

impl SetTtl {
    fn with_ttl(&self, set: &RecordSet) -> Result<RecordSet, Failure> {
        if self.set_identifier.is_some() && self.set_identifier != set.set_identifier {
            return Ok(set.clone());
        }
        changeable(set)?;
        if let Some(alias) = &set.alias {
            let words = format!("{} {} is an alias, and an alias has no TTL of its own", self.r#type, self.name);
            return Err(Failure::new(Class::Misconfigured, words)
                .because(format!("it answers with the TTL of {}, usually 60 s", alias.dns_name))
                .hint("leave this step out: an alias to a load balancer can be switched at once"));
        }
        Ok(RecordSet { ttl: Some(self.ttl), ..set.clone() })
    }
}

impl Action for SetTtl {
    fn does(&self) -> Vec<String> {
        let Self { zone, name, r#type, ttl, .. } = self;
        let which = self.set_identifier.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
        vec![
            format!("Route 53 ListResourceRecordSets: capture {type} {name}{which} of zone {zone}"),
            format!("Route 53 ChangeResourceRecordSets, one batch: DELETE it as captured, CREATE it with TTL {ttl} s"),
            "Route 53 GetChange until INSYNC".into(),
        ]
    }

    fn needs(&self) -> Vec<Permission> {
        zone_needs(&self.services.aws, &self.zone)
    }

    fn doubt(&self) -> Doubt {
        Doubt::Swap
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        Box::pin(async { self.services.aws.fence().await.map(Some) })
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let aws = &self.services.aws;
            let zone = aws.zone_id(&self.zone, &patience).await?;
            let before = aws.record_sets(&zone, &self.name, &self.r#type, &patience).await?;
            let wanted = |set: &RecordSet| self.set_identifier.is_none() || self.set_identifier == set.set_identifier;
            if !before.iter().any(wanted) {
                return Err(missing(&self.zone, &self.name, &self.r#type, &before));
            }
            let after = before.iter().map(|set| self.with_ttl(set)).collect::<Result<_, _>>()?;
            let name = normal_name(&self.name);
            Ok(Swap { zone, name, r#type: self.r#type.clone(), before, after }.to_captured())
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Swap::from_captured(captured)?.run(&self.services.aws, cx).await })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Swap::from_captured(captured)?.back().run(&self.services.aws, cx).await })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let swap = Swap::from_captured(captured)?;
            let swap = if back { swap.back() } else { swap };
            swap.probe(&self.services.aws, cx).await
        })
    }
}

/// What a change of a record in this zone needs; the id of a zone given by name is known when it is looked up.
pub(super) fn zone_needs(aws: &Aws, zone: &str) -> Vec<Permission> {
    let id = zone.trim_start_matches("/hostedzone/");
    let by_name = id.contains('.');
    let zone = aws.global_arn("route53", &format!("hostedzone/{}", if by_name { "*" } else { id }));
    let mut needs = vec![
        Permission::new("route53:ListResourceRecordSets", &zone),
        Permission::new("route53:ChangeResourceRecordSets", &zone),
        Permission::new("route53:GetChange", aws.global_arn("route53", "change/*")),
    ];
    if by_name {
        needs.push(Permission::anywhere("route53:ListHostedZonesByName"));
    }
    needs
}

/// There is no such record set; says which ones there are.
pub(super) fn missing(zone: &str, name: &str, r#type: &str, found: &[RecordSet]) -> Failure {
    let words = match found {
        [] => format!("zone {zone} has no {type} record {name}"),
        _ => format!("no {type} record set of {name} has that set_identifier"),
    };
    let failure = Failure::new(Class::Misconfigured, words);
    found.iter().fold(failure, |failure, set| failure.because(format!("found {}", set.line())))
}

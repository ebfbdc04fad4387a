//! `route53.switch`: the same name, another target.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value as Json;

use super::{
    Bind, Kind,
    route53_set_ttl::{changeable, missing, record_name, record_type, ttl, zone_needs},
};
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Param, Params, Permission, Shape},
    runbook::value,
    services::{
        Services,
        aws::{Alias, Patience, RecordSet, Swap, normal_name},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "route53.switch",
    summary: "points a Route 53 record at other values, an alias or another weight",
    docs: "\
Captures every record set of the name and type whole, then sends **one** `ChangeResourceRecordSets` batch
`DELETE(old) + CREATE(new)` (compare-and-swap: see `route53.set_ttl`), waits until `GetChange` says `INSYNC`, and reads
the record again. Give one of `value`, `values`, `alias`; or only `weight` or `ttl` to keep the values. What is not named stays as
captured: TTL, weight, health check, routing. A record that is already so is left alone.

`alias = { zone = \"Z…\", dns_name = \"…\", evaluate_health = true }`. From an alias back to values, give a `ttl`.

`expect` names the value that the record must have now; anything else is refused before anything is sent.

A record that is not there is created (`ttl` needed) and deleted again by the restore. Where several record sets
share name and type, `set_identifier` says which one.

What hurts people: the twins AAAA and HTTPS still point at the old side; resolvers keep the old answer for the old TTL; all
records of a weighted set unhealthy means that all are served; somebody else changed the record since the capture (the
difference is shown and nothing is sent).

`rollback = \"restore\"` swaps back in the same way and is refused where the record is no longer what this step wrote.

Limits: the type stays (a CNAME does not become an alias A); as `route53.set_ttl`.

API: Route 53 `ListHostedZonesByName`, `ListResourceRecordSets`, `ChangeResourceRecordSets`, `GetChange`.
Evidence: `change_id`, `old_ttl`, `new_ttl`, `insync_at`, `old`, `new`.",
    params: PARAMS,
    doubt: Doubt::Swap,
    needs: &[
        "route53:ChangeResourceRecordSets",
        "route53:GetChange",
        "route53:ListHostedZonesByName",
        "route53:ListResourceRecordSets",
        "sts:GetCallerIdentity",
    ],
    example: include_str!("../../runbooks/kinds/route53.switch.toml"),
    bind: Bind::Action(bind),
};

const PARAMS: &[Param] = &[
    Param { name: "zone", shape: Shape::Text, required: true, help: "id or name of the hosted zone" },
    Param { name: "name", shape: Shape::Text, required: true, help: "name of the record, in full" },
    Param { name: "type", shape: Shape::Text, required: true, help: "A, AAAA, CNAME, …" },
    Param { name: "value", shape: Shape::Text, required: false, help: "the new value" },
    Param { name: "values", shape: Shape::Texts, required: false, help: "the new values" },
    Param {
        name: "alias",
        shape: Shape::Any,
        required: false,
        help: "{ zone = \"Z…\", dns_name = \"…\", evaluate_health = false }",
    },
    Param { name: "ttl", shape: Shape::Count, required: false, help: "seconds; default: as it was" },
    Param { name: "set_identifier", shape: Shape::Text, required: false, help: "which one of several record sets" },
    Param { name: "weight", shape: Shape::Count, required: false, help: "0 to 255, of a weighted record set" },
    Param {
        name: "expect",
        shape: Shape::Texts,
        required: false,
        help: "values, or the alias's name, that it must have now",
    },
];

const ALIAS: &[Param] = &[
    Param {
        name: "zone",
        shape: Shape::Text,
        required: true,
        help: "hosted zone id of the target, such as the load balancer's",
    },
    Param { name: "dns_name", shape: Shape::Text, required: true, help: "DNS name of the target" },
    Param { name: "evaluate_health", shape: Shape::Flag, required: false, help: "default: false" },
];

enum Target {
    Keep,
    Values(Vec<String>),
    Alias(Alias),
}

struct Switch {
    services: Arc<Services>,
    zone: String,
    name: String,
    r#type: String,
    target: Target,
    ttl: Option<i64>,
    set_identifier: Option<String>,
    weight: Option<i64>,
    expect: Vec<String>,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    let zone = params.text("zone");
    Arc::new(Switch {
        services: services.clone(),
        name: record_name(params, &zone),
        zone,
        r#type: record_type(params),
        target: target(params),
        ttl: ttl(params),
        set_identifier: params.opt_text("set_identifier"),
        weight: weight(params),
        expect: params.texts("expect"),
    })
}

fn target(params: &mut Params<'_>) -> Target {
    let given: Vec<_> = ["value", "values", "alias"].into_iter().filter(|key| params.has(key)).collect();
    match given.as_slice() {
        [] if params.has("weight") || params.has("ttl") => Target::Keep,
        [] => {
            let help = Some("give `value`, `values`, `alias`, `weight` or `ttl`".into());
            let at = params.place_of("kind");
            params.mistake(at, "`route53.switch` is told nothing to change", "no new target", help);
            Target::Keep
        }
        ["value"] => Target::Values(vec![params.text("value")]),
        ["values"] => {
            let values = params.texts("values");
            if values.is_empty() && params.ok() {
                let at = params.place_of("values");
                params.mistake(at, "`values` must not be empty", "no value", None);
            }
            Target::Values(values)
        }
        ["alias"] => alias(params),
        [_, second, ..] => {
            let words = format!("only one of {} can be given", given.join(", "));
            let at = params.place_of(second);
            params.mistake(at, words, "one too many", None);
            Target::Keep
        }
        [_] => Target::Keep,
    }
}

fn alias(params: &mut Params<'_>) -> Target {
    let span = params.place_of("alias");
    if params.has("ttl") {
        let help = Some("leave `ttl` out: an alias answers with its target's".into());
        let at = params.place_of("ttl");
        params.mistake(at, "an alias has no TTL of its own", "not with `alias`", help);
    }
    let Some(value::Kind::Table(table)) = params.raw("alias").map(|value| &value.kind) else {
        let words = "`alias` must be a table";
        params.mistake(span, words, "expected { zone = …, dns_name = … }", None);
        return Target::Keep;
    };
    let mut inner = Params::new("alias", span, table, ALIAS);
    let alias = Alias {
        zone: inner.text("zone"),
        dns_name: inner.text("dns_name"),
        evaluate_health: inner.opt_flag("evaluate_health").unwrap_or(false),
    };
    for mistake in inner.finish().0 {
        params.mistake(mistake.span, mistake.message, mistake.label, mistake.help);
    }
    Target::Alias(alias)
}

fn weight(params: &mut Params<'_>) -> Option<i64> {
    let weight = params.opt_count("weight")?;
    if weight > 255 {
        let at = params.place_of("weight");
        params.mistake(at, "`weight` must be 0 to 255", "too large", None);
    }
    i64::try_from(weight).ok()
}

impl Switch {
    fn new_target(&self) -> String {
        match &self.target {
            Target::Keep => "the same values".into(),
            Target::Values(values) => values.join(", "),
            Target::Alias(alias) => format!("alias {} ({})", alias.dns_name, alias.zone),
        }
    }

    /// The record set as it is wanted, out of what there is.
    fn wanted(&self, old: Option<&RecordSet>) -> Result<RecordSet, Failure> {
        let misfit = |words: String, hint: &str| Err(Failure::new(Class::Misconfigured, words).hint(hint));
        let mut set = match old {
            Some(set) => set.clone(),
            None if matches!(self.target, Target::Keep) => {
                return Err(missing(&self.zone, &self.name, &self.r#type, &[]));
            }
            None => RecordSet { name: normal_name(&self.name), r#type: self.r#type.clone(), ..RecordSet::default() },
        };
        match &self.target {
            Target::Keep => {}
            Target::Values(values) => {
                set.values.clone_from(values);
                set.alias = None;
            }
            Target::Alias(alias) => {
                set.values.clear();
                set.ttl = None;
                set.alias = Some(alias.clone());
            }
        }
        if let Some(ttl) = self.ttl {
            if set.alias.is_some() {
                return misfit(format!("{} {} is an alias and has no TTL", self.r#type, self.name), "leave `ttl` out");
            }
            set.ttl = Some(ttl);
        }
        if set.alias.is_none() && set.ttl.is_none() {
            let words = format!("{} {} has no TTL that could be kept", self.r#type, self.name);
            return misfit(words, "give the step a `ttl`");
        }
        if let Some(weight) = self.weight {
            if set.weight.is_none() {
                let words = format!("{} {} is not a weighted record set", self.r#type, self.name);
                return misfit(words, "leave `weight` out, or make the record weighted first");
            }
            set.weight = Some(weight);
        }
        Ok(set)
    }

    fn swap(&self, zone: String, before: Vec<RecordSet>) -> Result<Swap, Failure> {
        let chosen = |set: &RecordSet| set.set_identifier == self.set_identifier;
        let old = before.iter().position(chosen);
        if old.is_none() && !before.is_empty() {
            let failure = missing(&self.zone, &self.name, &self.r#type, &before);
            return Err(failure.hint("several record sets share this name and type: give `set_identifier`"));
        }
        if old.is_none() && self.set_identifier.is_some() {
            return Err(missing(&self.zone, &self.name, &self.r#type, &before));
        }
        let wanted = self.wanted(old.map(|i| &before[i]))?;
        if let Some(i) = old {
            changeable(&before[i])?;
            if !before[i].same(&wanted) {
                self.expected(&before[i])?;
            }
        }
        let mut after = before.clone();
        match old {
            Some(i) => after[i] = wanted,
            None => after.push(wanted),
        }
        Ok(Swap { zone, name: normal_name(&self.name), r#type: self.r#type.clone(), before, after })
    }

    fn expected(&self, now: &RecordSet) -> Result<(), Failure> {
        if self.expect.is_empty() {
            return Ok(());
        }
        let plain = |values: Vec<&str>| {
            let mut values: Vec<_> =
                values.iter().map(|value| value.trim_end_matches('.').to_ascii_lowercase()).collect();
            values.sort();
            values
        };
        let found = match &now.alias {
            Some(alias) => vec![alias.dns_name.as_str()],
            None => now.values.iter().map(String::as_str).collect(),
        };
        if plain(found) == plain(self.expect.iter().map(String::as_str).collect()) {
            return Ok(());
        }
        Err(Failure::new(Class::Refused, "the record does not have the value that the runbook expects")
            .because(format!("expected {}", self.expect.join(", ")))
            .because(format!("found    {}", now.line()))
            .hint("somebody changed it, or the runbook is old: look before you go on"))
    }
}

impl Action for Switch {
    fn does(&self) -> Vec<String> {
        let Self { zone, name, r#type, .. } = self;
        let which = self.set_identifier.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
        let more =
            [self.ttl.map(|ttl| format!(", TTL {ttl} s")), self.weight.map(|weight| format!(", weight {weight}"))];
        let more = more.into_iter().flatten().collect::<String>();
        let target = self.new_target();
        vec![
            format!("Route 53 ListResourceRecordSets: capture {type} {name}{which} of zone {zone}"),
            format!(
                "Route 53 ChangeResourceRecordSets, one batch: DELETE it as captured, CREATE it with {target}{more}"
            ),
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
            Ok(self.swap(zone, before)?.to_captured())
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

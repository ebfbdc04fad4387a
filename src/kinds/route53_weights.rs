//! `route53.weights`: traffic moves from one weighted record set to another in stages.
//!
//! ```text
//! capture ─▶ Route 53 shows:  before ──▶ 10 % ──▶ 50 % ──▶ 100 %     each arrow one compare-and-swap, INSYNC
//!                                         soak      soak             a check that fails stops here: failed, known
//! resume, retry: goes on at the stage that Route 53 shows            restore: from any of them to before
//! ```

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value as Json;

use super::{
    Bind, Kind, inner,
    route53::{record, transaction, zone},
};
use crate::{
    base::Failure,
    plan::{Action, Check, Cx, Done, Doubt, Finding, Identity, Param, Params, Permission, Shape},
    runbook::value,
    services::{
        Services,
        aws::{Patience, Place, ZoneRef},
    },
};
use ramp::Ramp;
use soak::Soak;

mod ramp;
mod soak;

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "route53.weights",
    summary: "moves traffic between two weighted Route 53 record sets in stages, with checks between",
    docs: "\
`to` and `from` are the `SetIdentifier`s of two weighted record sets. In each of the `steps` (percent), `to` gets that weight
and `from` the rest of 100, as one compare-and-swap (see `route53.set_ttl`), and `GetChange` is followed to `INSYNC`. `type`
may be a list (`[\"A\", \"AAAA\"]`): the twins move in the same batch. Everything but the weight stays as captured.

After each stage but the last comes the `soak`; at its end every check of `guard` must hold, or the ramp stops there. A check
that held in this soak and then fails twice in a row stops it at once. What the last stage has to keep is for the step's
`verify` to say, and what must hold before the first for its `precheck`.

A ramp that stops is **failed**, not undone: the message says which weights Route 53 serves now. A retry, or a resume, goes on at
the stage that Route 53 shows, with its whole soak. `rollback = \"restore\"` puts back the captured weights from whatever stage it
stands at, and is refused where somebody else changed the records.

What hurts people: with **every** record of the set unhealthy Route 53 serves all of them, by their weights, as if all were
healthy; a weight of 0 is served too once everything with a weight is unhealthy; without a health check or `evaluate_health`
an unhealthy side keeps its share. Weights are shares of answers, not of visitors: resolvers keep an answer for its TTL, so soak
longer than that, and guard with what users see: a weighted name has several right answers, so `dns.authoritative` is no
guard. The log says so where it applies.

Limits: any further record set of that name and type must have weight 0, or the percentages would not be true. Zones and
names: as `route53.set_ttl`.

API: Route 53 `ListHostedZonesByName`, `GetHostedZone` (with `vpc`), `ListResourceRecordSets`, `ChangeResourceRecordSets`,
`GetChange`; \"Weighted routing\" and \"How Route 53 chooses records when health checking is configured\" of the developer guide.
Evidence: `change_ids`, `name`, `type` (the first), `names`, `insync_at`, `stages` (each with its percentage), `old`, `new`.",
    params: PARAMS,
    doubt: Doubt::Swap,
    needs: &[
        "route53:ChangeResourceRecordSets",
        "route53:GetChange",
        "route53:GetHostedZone",
        "route53:ListHostedZonesByName",
        "route53:ListResourceRecordSets",
        "sts:GetCallerIdentity",
        "whatever the guard's check needs",
    ],
    example: include_str!("../../runbooks/kinds/route53.weights.toml"),
    bind: Bind::Action(bind),
};

const PARAMS: &[Param] = &[
    zone::ZONE,
    zone::PRIVATE,
    zone::VPC,
    Param { name: "name", shape: Shape::Text, required: true, help: "name of the records, in full" },
    Param { name: "type", shape: Shape::Texts, required: true, help: "A, CNAME, …; several move together" },
    Param { name: "to", shape: Shape::Text, required: true, help: "set identifier of the side that gets the traffic" },
    Param { name: "from", shape: Shape::Text, required: true, help: "set identifier of the side that gives it" },
    Param { name: "steps", shape: Shape::Any, required: true, help: "percent of `to` in each stage: [10, 50, 100]" },
    Param { name: "soak", shape: Shape::Duration, required: false, help: "how long each stage but the last stands" },
    Param {
        name: "guard",
        shape: Shape::Any,
        required: false,
        help: "checks that must hold at the end of each soak: [{ kind = \"…\", … }, …]",
    },
];

struct Weights {
    services: Arc<Services>,
    zone: ZoneRef,
    places: Vec<Place>,
    to: String,
    from: String,
    steps: Vec<i64>,
    soak: Soak,
}

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    let zone = zone::read(params);
    let name = record::name(params, &zone);
    let types = params.texts("type");
    for r#type in &types {
        record::known_type(params, "type", r#type);
    }
    if types.is_empty() && params.has("type") && params.ok() {
        params.mistake(params.place_of("type"), "`type` must not be empty", "no type", None);
    }
    let (to, from) = (params.text("to"), params.text("from"));
    if to == from && !to.is_empty() {
        params.mistake(params.place_of("from"), "`from` and `to` are the same record set", "the same as `to`", None);
    }
    let steps = steps(params);
    let soak = params.opt_duration("soak").unwrap_or_default();
    let guard = guard(params, services);
    if soak.is_zero() && steps.len() > 1 {
        let help = Some("give it a `soak` longer than the TTL, such as \"2m\"".into());
        let place = if params.has("soak") { params.place_of("soak") } else { params.place_of("steps") };
        params.mistake(place, "a ramp without a soak shows nothing between its stages", "no `soak`", help);
    }
    Arc::new(Weights {
        services: services.clone(),
        zone,
        places: types.iter().map(|r#type| Place::new(&name, r#type)).collect(),
        to,
        from,
        steps,
        soak: Soak { time: soak, guard },
    })
}

fn steps(params: &mut Params<'_>) -> Vec<i64> {
    let Some(raw) = params.has("steps").then(|| params.raw("steps")).flatten() else { return Vec::new() };
    let list = match &raw.kind {
        value::Kind::List(list) if !list.is_empty() => list,
        other => {
            let words = format!("`steps` must be a list of percentages, found {}", other.name());
            params.mistake(raw.span.clone(), words, "expected [10, 50, 100]", None);
            return Vec::new();
        }
    };
    let mut steps: Vec<i64> = Vec::with_capacity(list.len());
    for item in list {
        match item.kind {
            value::Kind::Int(percent @ 0..=100) if steps.last().is_none_or(|last| *last < percent) => {
                steps.push(percent)
            }
            value::Kind::Int(0..=100) => {
                params.mistake(item.span.clone(), "`steps` must rise", "not more than the one before", None);
            }
            _ => params.mistake(item.span.clone(), "a step is a percentage from 0 to 100", "not 0 to 100", None),
        }
    }
    steps
}

fn guard(params: &mut Params<'_>, services: &Arc<Services>) -> Vec<Arc<dyn Check>> {
    let Some(raw) = params.has("guard").then(|| params.raw("guard")).flatten() else { return Vec::new() };
    let items = match &raw.kind {
        value::Kind::List(list) => list.iter().collect(),
        _ => vec![raw],
    };
    let mut checks = Vec::with_capacity(items.len());
    for item in items {
        if let value::Kind::Table(table) = &item.kind {
            checks.extend(inner::check(params, "guard", table, item.span.clone(), services));
        } else {
            let words = format!("`guard` must be a check or a list of checks, found {}", item.kind.name());
            params.mistake(item.span.clone(), words, "expected { kind = …, … }", None);
        }
    }
    checks
}

impl Action for Weights {
    fn does(&self) -> Vec<String> {
        let (mut lines, last) = zone::does(&self.zone, &self.places);
        let places: Vec<String> = self.places.iter().map(Place::words).collect();
        for (i, percent) in self.steps.iter().enumerate() {
            let Self { to, from, .. } = self;
            lines.push(format!(
                "Route 53 ChangeResourceRecordSets, one batch: DELETE {} [{to}] and [{from}] as they are, CREATE them with \
                 weight {percent} and {}",
                places.join(", "),
                100 - percent
            ));
            lines.push(last.clone());
            if i + 1 < self.steps.len() {
                lines.push(self.soak.words());
            }
        }
        lines
    }

    fn needs(&self) -> Vec<Permission> {
        let mut needs = zone::needs(&self.services, &self.zone);
        needs.extend(self.soak.guard.iter().flat_map(|check| check.needs()));
        needs.sort();
        needs.dedup();
        needs
    }

    fn doubt(&self) -> Doubt {
        Doubt::Swap
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.services.aws.fence()
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move {
            let patience = Patience::of(cx);
            let aws = &self.services.aws;
            let zone = aws.zone_id(&self.zone, &patience).await?;
            let names: Vec<&str> = self.places.iter().map(|place| place.name.as_str()).collect();
            let found = aws.record_sets(&zone, &names, &patience).await?;
            let sides = ramp::Sides { to: self.to.clone(), from: self.from.clone() };
            let ramp = Ramp::plan(&self.zone, zone, &self.places, sides, &self.steps, &found)?;
            let twins = transaction::twins(&self.places, &found);
            twins.iter().chain(&ramp.warnings()).for_each(|line| cx.line(line));
            Ok(ramp.to_captured())
        })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Ramp::from_captured(captured)?.climb(&self.services.aws, cx, &self.soak).await })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Ramp::from_captured(captured)?.back(&self.services.aws, cx).await })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move { Ramp::from_captured(captured)?.probe(&self.services.aws, cx, back).await })
    }
}

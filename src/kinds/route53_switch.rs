//! `route53.switch`: the same names, another target.

use std::sync::Arc;

use super::{
    Bind, Kind,
    route53::{
        NEEDS, record,
        target::{self, Target},
        transaction::{Transaction, Wanted},
        zone,
    },
};
use crate::{
    base::{Class, Failure},
    plan::{Action, Doubt, Param, Params, Shape},
    services::{
        Services,
        aws::{Place, RecordSet, ZoneRef, plain_value, told_values},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "route53.switch",
    summary: "points Route 53 records at other values or an alias, or gives them another weight or health check",
    docs: "\
Captures every record set of the name and type whole, then sends **one** `ChangeResourceRecordSets` batch
`DELETE(old) + CREATE(new)` (compare-and-swap: see `route53.set_ttl`), waits until `GetChange` says `INSYNC`, and reads
the records again. Give one of `value`, `values`, `alias`, `remove`; or only `weight`, `ttl` or `health_check` to keep the
values. What is not named stays as captured: TTL, weight, health check, routing. Records that are already so are left alone.

`alias = { zone = \"Z…\", dns_name = \"…\", evaluate_health = true }`. From an alias back to values, give a `ttl`.
`health_check = \"ID\"` attaches a health check, `health_check = \"\"` takes it away.

`replaces = \"CNAME\"` deletes the CNAME of the same name in the same batch, so that A and AAAA (an alias, say) can take its
place; without it, a record beside a CNAME is refused before anything is sent. The other way round:
`type = \"CNAME\"`, `replaces = [\"A\", \"AAAA\"]`.

`records = [{ name = …, type = …, value = … }, …]` moves several in the same batch, all or none: A with its twins AAAA
and HTTPS, or the apex with `www`. Twins that are left out are told in the log.

`expect` names the value that the record must have now; anything else is refused before anything is sent.

A record that is not there is created (`ttl` needed) and deleted again by the restore. Where several record sets
share name and type, `set_identifier` says which one.

What hurts people: the twins AAAA and HTTPS still point at the old side; resolvers keep the old answer for the old TTL; all
records of a weighted set unhealthy means that all are served; somebody else changed the record since the capture (what was
captured, what was found and what was wanted are shown, and nothing is done).

`rollback = \"restore\"` puts back exactly what was captured, in the same way, and is refused where the records are no longer
what this step wrote.

Limits, zones and names: as `route53.set_ttl`. Record sets of weighted, latency or other routing are changed, not made.

API: Route 53 `ListHostedZonesByName`, `GetHostedZone` (with `vpc`), `ListResourceRecordSets`, `ChangeResourceRecordSets`,
`GetChange`.
Evidence: `change_id`, `name`, `type` (the first), `names`, `old_ttl`, `new_ttl`, `insync_at`, `old`, `new`.",
    params: PARAMS,
    doubt: Doubt::Swap,
    needs: NEEDS,
    example: include_str!("../../runbooks/kinds/route53.switch.toml"),
    bind: Bind::Action(bind),
};

const TTL: Param = Param { name: "ttl", shape: Shape::Count, required: false, help: "seconds; default: as it was" };
const WEIGHT: Param =
    Param { name: "weight", shape: Shape::Count, required: false, help: "0 to 255, of a weighted record set" };
const HEALTH: Param = Param {
    name: "health_check",
    shape: Shape::Text,
    required: false,
    help: "id of a health check, or \"\" for none; default: as it was",
};
const REPLACES: Param = Param {
    name: "replaces",
    shape: Shape::Texts,
    required: false,
    help: "types of the same name that are deleted in the same batch, such as \"CNAME\"",
};
const EXPECT: Param = Param {
    name: "expect",
    shape: Shape::Texts,
    required: false,
    help: "values, or the alias's name, that it must have now",
};

const PARAMS: &[Param] = &[
    zone::ZONE,
    zone::PRIVATE,
    zone::VPC,
    record::NAME,
    record::TYPE,
    target::VALUE,
    target::VALUES,
    target::ALIAS,
    TTL,
    record::IDENTIFIER,
    WEIGHT,
    HEALTH,
    EXPECT,
    REPLACES,
    target::REMOVE,
    Param {
        name: "records",
        shape: Shape::Any,
        required: false,
        help: "several in one batch, each with the keys from `name` to `remove`",
    },
];

const RECORD: &[Param] = &[
    record::NAME,
    record::TYPE,
    target::VALUE,
    target::VALUES,
    target::ALIAS,
    TTL,
    record::IDENTIFIER,
    WEIGHT,
    HEALTH,
    EXPECT,
    REPLACES,
    target::REMOVE,
];

/// A record and what it shall be.
struct One {
    place: Place,
    target: Target,
    ttl: Option<i64>,
    set_identifier: Option<String>,
    weight: Option<i64>,
    /// Empty: none.
    health_check: Option<String>,
    expect: Vec<String>,
    replaces: Vec<Place>,
}

struct Switch(Vec<One>);

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    let zone = zone::read(params);
    if params.has("records") {
        for key in RECORD.iter().map(|param| param.name).filter(|key| !["name", "type"].contains(key)) {
            if params.has(key) {
                let words = format!("`{key}` belongs into each of `records`");
                params.mistake(params.place_of(key), words, "not with `records`", None);
            }
        }
    }
    let records = record::each(params, RECORD, |params| one(params, &zone));
    Arc::new(Transaction::new(services, zone, Switch(records)))
}

fn one(params: &mut Params<'_>, zone: &ZoneRef) -> One {
    let place = record::place(params, zone);
    let types = params.texts("replaces");
    for r#type in &types {
        record::known_type(params, "replaces", r#type);
        if *r#type == place.r#type {
            let words = "a record does not replace its own type";
            params.mistake(params.place_of("replaces"), words, "the same as `type`", None);
        }
    }
    One {
        target: target::read(params, &["weight", "ttl", "health_check"]),
        ttl: record::ttl(params),
        set_identifier: params.opt_text("set_identifier"),
        weight: weight(params),
        health_check: params.opt_text("health_check"),
        expect: params.texts("expect"),
        replaces: types.iter().map(|r#type| Place { r#type: r#type.clone(), ..place.clone() }).collect(),
        place,
    }
}

fn weight(params: &mut Params<'_>) -> Option<i64> {
    let weight = params.opt_count("weight")?;
    if weight > 255 {
        params.mistake(params.place_of("weight"), "`weight` must be 0 to 255", "too large", None);
    }
    i64::try_from(weight).ok()
}

impl One {
    fn words(&self) -> String {
        let which = self.set_identifier.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
        let replaced = self.replaces.iter().map(|place| format!("DELETE {} as captured, ", place.words()));
        let replaced: String = replaced.collect();
        if self.target == Target::Remove {
            return format!("{replaced}DELETE {}{which} as captured", self.place.words());
        }
        let more = [
            Some(self.target.words()).filter(|words| !words.is_empty()),
            self.ttl.map(|ttl| format!("TTL {ttl} s")),
            self.weight.map(|weight| format!("weight {weight}")),
            self.health_check.as_ref().map(|id| match id.as_str() {
                "" => "no health check".into(),
                id => format!("health check {id}"),
            }),
        ];
        let more: Vec<String> = more.into_iter().flatten().collect();
        let what = self.place.words();
        if self.replaces.is_empty() {
            return format!("DELETE {what}{which} as captured, CREATE it with {}", more.join(", "));
        }
        format!("{replaced}CREATE {what}{which} with {}", more.join(", "))
    }

    /// Which of the record sets it is about: one, or none where the record is new.
    fn chosen<'s>(
        &self,
        zone: &ZoneRef,
        sets: &'s [RecordSet],
        all: &[RecordSet],
    ) -> Result<Option<&'s RecordSet>, Failure> {
        let here: Vec<&RecordSet> = sets.iter().filter(|set| self.place.holds(set)).collect();
        let chosen = here.iter().copied().find(|set| set.set_identifier == self.set_identifier);
        if chosen.is_none() && (!here.is_empty() || self.set_identifier.is_some()) {
            let failure = record::missing(zone, &self.place, self.set_identifier.as_deref(), all);
            return Err(failure.hint("where several record sets share name and type, `set_identifier` says which one"));
        }
        Ok(chosen)
    }

    /// The record set as it is wanted, out of the one that is there, or that it replaces; `None`: it goes.
    fn wanted(
        &self,
        zone: &ZoneRef,
        old: Option<&RecordSet>,
        replaced: Option<&RecordSet>,
    ) -> Result<Option<RecordSet>, Failure> {
        let what = self.place.words();
        let misfit = |words: String, hint: &str| Err(Failure::new(Class::Misconfigured, words).hint(hint));
        let mut set = match (&self.target, old) {
            (Target::Remove, _) => return Ok(None),
            (Target::Keep, None) => return Err(record::missing(zone, &self.place, None, &[])),
            (_, Some(set)) => set.clone(),
            (_, None) => RecordSet {
                name: self.place.name.clone(),
                r#type: self.place.r#type.clone(),
                ttl: replaced.and_then(|set| set.ttl),
                ..RecordSet::default()
            },
        };
        self.target.point(&mut set);
        if let Some(ttl) = self.ttl {
            if set.alias.is_some() {
                return misfit(format!("{what} is an alias and has no TTL"), "leave `ttl` out");
            }
            set.ttl = Some(ttl);
        }
        if set.alias.is_none() && set.ttl.is_none() {
            return misfit(format!("{what} has no TTL that could be kept"), "give the record a `ttl`");
        }
        if let Some(weight) = self.weight {
            if set.weight.is_none() {
                let hint = "leave `weight` out, or make the record weighted first";
                return misfit(format!("{what} is not a weighted record set"), hint);
            }
            set.weight = Some(weight);
        }
        if let Some(id) = &self.health_check {
            set.health_check = Some(id.clone()).filter(|id| !id.is_empty());
        }
        Ok(Some(set))
    }

    /// Holds that what is there now is what the runbook expects.
    fn expected(&self, now: &RecordSet) -> Result<(), Failure> {
        if self.expect.is_empty() {
            return Ok(());
        }
        let plain = |r#type: &str, values: &[String]| {
            let mut values: Vec<_> = values.iter().map(|value| plain_value(r#type, value)).collect();
            values.sort();
            values
        };
        let agrees = match &now.alias {
            Some(alias) => plain("CNAME", std::slice::from_ref(&alias.dns_name)) == plain("CNAME", &self.expect),
            None => plain(&now.r#type, &now.values) == plain(&now.r#type, &self.expect),
        };
        if agrees {
            return Ok(());
        }
        Err(Failure::new(Class::Refused, "the record does not have the value that the runbook expects")
            .because(format!("expected {}", told_values(&self.expect)))
            .because(format!("found    {}", now.line()))
            .because(format!("wanted   {}", self.words()))
            .hint("somebody changed it, or the runbook is old: look before you go on"))
    }
}

impl Wanted for Switch {
    fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for place in self.0.iter().flat_map(|one| std::iter::once(&one.place).chain(&one.replaces)) {
            if !places.contains(place) {
                places.push(place.clone());
            }
        }
        places
    }

    fn does(&self) -> Vec<String> {
        self.0.iter().map(One::words).collect()
    }

    fn plan(&self, zone: &ZoneRef, found: &[RecordSet]) -> Result<Vec<RecordSet>, Failure> {
        let places = self.places();
        let before: Vec<RecordSet> =
            found.iter().filter(|set| places.iter().any(|place| place.holds(set))).cloned().collect();
        let goes = |set: &RecordSet| self.0.iter().any(|one| one.replaces.iter().any(|place| place.holds(set)));
        let mut after: Vec<RecordSet> = before.iter().filter(|set| !goes(set)).cloned().collect();
        for one in &self.0 {
            let old = one.chosen(zone, &before, found)?;
            let replaced = before.iter().find(|set| one.replaces.iter().any(|place| place.holds(set)));
            let wanted = one.wanted(zone, old, replaced)?;
            if old.is_none() && wanted.is_some() && !one.replaces.is_empty() && replaced.is_none() {
                let types: Vec<String> = one.replaces.iter().map(Place::words).collect();
                let words = format!("there is no {} to replace", types.join(", no "));
                return Err(Failure::new(Class::Refused, words)
                    .hint("somebody changed it, or the runbook is old: look before you go on"));
            }
            let so_already = match (&wanted, old) {
                (Some(wanted), Some(old)) => old.same(wanted) && replaced.is_none(),
                (None, old) => old.is_none(),
                (Some(_), None) => false,
            };
            if let Some(now) = replaced.or(old).filter(|_| !so_already) {
                one.expected(now)?;
            }
            after.retain(|set| old.is_none_or(|old| !set.same_key(old)));
            after.extend(wanted);
        }
        alone(&after, found, &places)?;
        // In the order of the capture, so that what is told can be compared.
        after.sort_by_key(|set| before.iter().position(|old| old.same_key(set)).unwrap_or(usize::MAX));
        Ok(after)
    }
}

/// A CNAME stands alone at its name (RFC 1034, section 3.6.2); Route 53 refuses anything else.
fn alone(after: &[RecordSet], found: &[RecordSet], places: &[Place]) -> Result<(), Failure> {
    let stays: Vec<&RecordSet> =
        found.iter().filter(|set| !places.iter().any(|place| place.holds(set))).chain(after).collect();
    for set in after {
        let other = stays.iter().find(|other| {
            let one_is_cname = (set.r#type == "CNAME") != (other.r#type == "CNAME");
            one_is_cname && other.is(&set.name, &other.r#type)
        });
        if let Some(other) = other {
            let words = format!("{} cannot stand beside {}", set.title(), other.title());
            let hint = format!("`replaces = \"{}\"` deletes it in the same batch", other.r#type);
            return Err(Failure::new(Class::Misconfigured, words)
                .because(format!("found {}", other.line()))
                .hint(hint));
        }
    }
    Ok(())
}

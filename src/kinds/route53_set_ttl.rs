//! `route53.set_ttl`: the same records, a new TTL.

use std::sync::Arc;

use super::{
    Bind, Kind,
    route53::{
        NEEDS, record,
        transaction::{Transaction, Wanted, changeable},
        zone,
    },
};
use crate::{
    base::{Class, Failure},
    plan::{Action, Doubt, Param, Params, Shape},
    services::{
        Services,
        aws::{Place, RecordSet, ZoneRef},
    },
};

/// Registry entry.
pub static KIND: Kind = Kind {
    name: "route53.set_ttl",
    summary: "gives Route 53 records another TTL and keeps everything else",
    docs: "\
Captures every record set of the name and type whole (`ListResourceRecordSets`), then sends **one**
`ChangeResourceRecordSets` batch `DELETE(old) + CREATE(new)`. Route 53 applies a batch whole or not at all, and
`DELETE` must match value and TTL exactly: a record that somebody changed meanwhile is refused, not overwritten, and
the failure shows what was captured, what was found and what was wanted.
Then waits until `GetChange` says `INSYNC` and reads the records again. Records that have the TTL already are left alone.

`records = [{ name = \"…\", type = \"A\" }, { name = \"…\", type = \"AAAA\" }]` changes several in the same batch; a record's
own `ttl` goes before the step's. Without `set_identifier`, every record set of the name and type (weighted, latency, …)
gets the TTL; weighted ones must all have the same.

`zone` is an id or a name. Zones that share a name are told apart by `private` and `vpc`; where they are not, the step
is refused and names them all. Names may be international, with or without the last dot, `*` or `\\052`.

What hurts people: an alias has no TTL of its own (refused here with words); the twins AAAA and HTTPS have TTLs of
their own (told where they are left out); Terraform puts the old TTL back at its next apply; caches keep the *old* TTL
until it has run out, so wait with `dns.wait_ttl` before the switch.

`rollback = \"restore\"` puts back exactly what was captured, in the same way, and is refused where the records are no longer
what this step wrote.

Limits: at most two Route 53 requests a second leave gonogo; throttling (HTTP 400 `Throttling`,
`PriorRequestNotComplete`) is waited out within the timeout. One batch holds at most 1000 records and 32,000 characters of
values, old and new together. Records of a traffic policy, and record sets with a field that this version does not
know, are refused.

API: Route 53 `ListHostedZonesByName`, `GetHostedZone` (with `vpc`), `ListResourceRecordSets`, `ChangeResourceRecordSets`,
`GetChange`.
Evidence: `change_id`, `name`, `type` (the first), `names`, `old_ttl`, `new_ttl` (seconds, the largest of several),
`insync_at`, `old`, `new`.",
    params: PARAMS,
    doubt: Doubt::Swap,
    needs: NEEDS,
    example: include_str!("../../runbooks/kinds/route53.set_ttl.toml"),
    bind: Bind::Action(bind),
};

const TTL: Param =
    Param { name: "ttl", shape: Shape::Count, required: false, help: "seconds, at most 2147483647; needed" };

const PARAMS: &[Param] = &[
    zone::ZONE,
    zone::PRIVATE,
    zone::VPC,
    record::NAME,
    record::TYPE,
    TTL,
    record::IDENTIFIER,
    Param {
        name: "records",
        shape: Shape::Any,
        required: false,
        help: "several in one batch: [{ name = …, type = …, ttl = …, set_identifier = … }, …]",
    },
];

const RECORD: &[Param] = &[record::NAME, record::TYPE, TTL, record::IDENTIFIER];

/// A record and its new TTL.
struct One {
    place: Place,
    ttl: i64,
    set_identifier: Option<String>,
}

struct SetTtl(Vec<One>);

fn bind(params: &mut Params<'_>, services: &Arc<Services>) -> Arc<dyn Action> {
    let zone = zone::read(params);
    let for_all = if params.has("records") { record::ttl(params) } else { None };
    let records = record::each(params, RECORD, |params| {
        let place = record::place(params, &zone);
        let ttl = record::ttl(params).or(for_all);
        if ttl.is_none() && !params.has("ttl") {
            let help = Some("give it in seconds, such as 60".into());
            params.mistake(params.place(), "the record needs `ttl`", "`ttl` is missing here", help);
        }
        One { place, ttl: ttl.unwrap_or_default(), set_identifier: params.opt_text("set_identifier") }
    });
    Arc::new(Transaction::new(services, zone, SetTtl(records)))
}

impl One {
    fn is_wanted(&self, set: &RecordSet) -> bool {
        self.place.holds(set) && (self.set_identifier.is_none() || self.set_identifier == set.set_identifier)
    }

    fn set(&self, set: &mut RecordSet) -> Result<(), Failure> {
        changeable(set)?;
        if let Some(alias) = &set.alias {
            let words = format!("{} is an alias, and an alias has no TTL of its own", self.place.words());
            return Err(Failure::new(Class::Misconfigured, words)
                .because(format!("it answers with the TTL of {}, usually 60 s", alias.dns_name))
                .hint("leave this record out: an alias to a load balancer can be switched at once"));
        }
        set.ttl = Some(self.ttl);
        Ok(())
    }
}

impl Wanted for SetTtl {
    fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for One { place, .. } in &self.0 {
            if !places.contains(place) {
                places.push(place.clone());
            }
        }
        places
    }

    fn does(&self) -> Vec<String> {
        let line = |One { place, ttl, set_identifier }: &One| {
            let which = set_identifier.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
            format!("DELETE {}{which} as captured, CREATE it with TTL {ttl} s", place.words())
        };
        self.0.iter().map(line).collect()
    }

    fn plan(&self, zone: &ZoneRef, found: &[RecordSet]) -> Result<Vec<RecordSet>, Failure> {
        let places = self.places();
        let mut after: Vec<RecordSet> =
            found.iter().filter(|set| places.iter().any(|place| place.holds(set))).cloned().collect();
        for one in &self.0 {
            let mut wanted = after.iter_mut().filter(|set| one.is_wanted(set)).peekable();
            if wanted.peek().is_none() {
                return Err(record::missing(zone, &one.place, one.set_identifier.as_deref(), found));
            }
            wanted.try_for_each(|set| one.set(set))?;
        }
        Ok(after)
    }
}

//! A record in a step's parameters: its name, type, TTL; one in the step's own table, or several in `records`.

use crate::{
    base::{Class, Failure},
    plan::{Param, Params, Shape, nearest},
    runbook::value,
    services::aws::{Place, RecordSet, ZoneRef, lies_in, shown_name},
};

/// `name`.
pub(in crate::kinds) const NAME: Param =
    Param { name: "name", shape: Shape::Text, required: false, help: "name of the record, in full" };
/// `type`.
pub(in crate::kinds) const TYPE: Param =
    Param { name: "type", shape: Shape::Text, required: false, help: "A, AAAA, CNAME, …" };
/// `set_identifier`.
pub(in crate::kinds) const IDENTIFIER: Param = Param {
    name: "set_identifier",
    shape: Shape::Text,
    required: false,
    help: "which one of several record sets of that name and type",
};

/// Types that Route 53 takes (`RRType`).
const TYPES: &[&str] = &[
    "A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SPF", "SRV", "SSHFP", "SVCB",
    "TLSA", "TXT",
];

/// Reads the step's one record, or each of `records`; `own` are the keys that a record of the list takes.
pub(in crate::kinds) fn each<T>(
    params: &mut Params<'_>,
    own: &'static [Param],
    mut read: impl FnMut(&mut Params<'_>) -> T,
) -> Vec<T> {
    let Some(raw) = params.has("records").then(|| params.raw("records")).flatten() else {
        return vec![read(params)];
    };
    for key in ["name", "type"] {
        if params.has(key) {
            let words = format!("`{key}` belongs into each of `records`");
            params.mistake(params.place_of(key), words, "not with `records`", None);
        }
    }
    let value::Kind::List(list) = &raw.kind else {
        let words = format!("`records` must be a list of tables, found {}", raw.kind.name());
        params.mistake(raw.span.clone(), words, "expected [{ name = …, type = … }, …]", None);
        return Vec::new();
    };
    if list.is_empty() {
        params.mistake(raw.span.clone(), "`records` must not be empty", "no record", None);
    }
    let mut records = Vec::with_capacity(list.len());
    for item in list {
        let value::Kind::Table(table) = &item.kind else {
            let words = format!("a record must be a table, found {}", item.kind.name());
            params.mistake(item.span.clone(), words, "expected { name = …, type = … }", None);
            continue;
        };
        let mut inner = Params::new("records", item.span.clone(), table, own);
        records.push(read(&mut inner));
        params.absorb(inner);
    }
    records
}

/// Reads `name` and `type`. Where the zone is given by name, the record must lie in it.
pub(in crate::kinds) fn place(params: &mut Params<'_>, zone: &ZoneRef) -> Place {
    needed(params, "name");
    let name = name(params, zone);
    needed(params, "type");
    let r#type = params.text("type");
    known_type(params, "type", &r#type);
    Place::new(&name, &r#type)
}

/// Reads `name` alone.
pub(in crate::kinds) fn name(params: &mut Params<'_>, zone: &ZoneRef) -> String {
    let name = params.text("name");
    if !name.is_empty() && zone.id().is_none() && !zone.given.is_empty() && !lies_in(&name, &zone.given) {
        let words = format!("`{name}` does not lie in the zone {}", zone.given);
        params.mistake(params.place_of("name"), words, "outside the zone", None);
    }
    name
}

/// Holds that a key is there, where the parameter list alone cannot say so.
fn needed(params: &mut Params<'_>, key: &str) {
    if !params.has(key) {
        let help = Some("give it here, or several in `records = [{ name = …, type = … }, …]`".into());
        params.mistake(params.place(), format!("the record needs `{key}`"), format!("`{key}` is missing here"), help);
    }
}

/// Holds that a type is one of Route 53's.
pub(in crate::kinds) fn known_type(params: &mut Params<'_>, key: &str, r#type: &str) {
    if r#type.is_empty() || TYPES.contains(&r#type) {
        return;
    }
    let upper = r#type.to_ascii_uppercase();
    let near =
        if TYPES.contains(&upper.as_str()) { Some(upper.as_str()) } else { nearest(&upper, TYPES.iter().copied()) };
    let help = near.map(|near| format!("did you mean \"{near}\"?"));
    let words = format!("`{key}` must be a record type of Route 53");
    params.mistake(params.place_of(key), words, "not a record type", help);
}

/// Reads `ttl`; the mistake points at it.
pub(in crate::kinds) fn ttl(params: &mut Params<'_>) -> Option<i64> {
    let ttl = params.opt_count("ttl")?;
    let fits = i64::try_from(ttl).ok().filter(|ttl| *ttl <= i64::from(i32::MAX));
    if fits.is_none() {
        let span = params.place_of("ttl");
        params.mistake(span, "`ttl` must be at most 2147483647 seconds", "too large (RFC 2181, section 8)", None);
    }
    fits
}

/// There is no such record set; says which ones there are at the name.
pub(in crate::kinds) fn missing(zone: &ZoneRef, place: &Place, which: Option<&str>, all: &[RecordSet]) -> Failure {
    let here: Vec<&RecordSet> = all.iter().filter(|set| place.holds(set)).collect();
    let words = match (which, here.is_empty()) {
        (Some(which), false) => format!("no {} has the set_identifier {which}", place.words()),
        (None, false) => format!("several record sets are {}", place.words()),
        (_, true) => format!("{} has no {}", zone.words(), place.words()),
    };
    let failure = Failure::new(Class::Misconfigured, words);
    let told = all.iter().filter(|set| shown_name(&set.name) == shown_name(&place.name));
    told.fold(failure, |failure, set| failure.because(format!("found {}", set.line())))
}

//! What dynos still have to do, and which ones no formation stops.

use crate::services::heroku::{Dyno, Process};

/// True where both ask for the same: quantity, and size where both are known. At quantity 0 a size means nothing.
pub(in crate::kinds) fn same(now: &Process, wanted: &Process) -> bool {
    let sizes = wanted.quantity == 0 || same_size(now.size.as_ref(), wanted.size.as_ref());
    now.kind == wanted.kind && now.quantity == wanted.quantity && sizes
}

/// The API writes `Standard-1X` and `standard-1X`.
fn same_size(now: Option<&String>, wanted: Option<&String>) -> bool {
    now.zip(wanted).is_none_or(|(now, wanted)| now.eq_ignore_ascii_case(wanted))
}

/// `worker=2:Standard-2X`.
pub(in crate::kinds) fn words(process: &Process) -> String {
    let size = process.size.as_deref().map(|size| format!(":{size}")).unwrap_or_default();
    format!("{}={}{size}", process.kind, process.quantity)
}

/// What dynos of a type still have to do until as many serve as are asked for, and no other is left in any state. An
/// `idle` dyno sleeps until its next request; it is there.
pub(in crate::kinds) fn unsettled(wanted: &Process, dynos: &[Dyno]) -> Option<String> {
    let mine = dynos.iter().filter(|d| d.kind == wanted.kind).collect::<Vec<_>>();
    let sized = |d: &Dyno| same_size(d.size.as_ref(), wanted.size.as_ref());
    let up = mine.iter().filter(|d| (d.state == "up" || d.state == "idle") && sized(d)).count() as u64;
    if mine.len() as u64 == wanted.quantity && up == wanted.quantity {
        return None;
    }
    let size = |d: &Dyno| if sized(d) { String::new() } else { format!(" {}", d.size.as_deref().unwrap_or_default()) };
    let left = mine.iter().map(|d| format!("{} {}{}", d.name, d.state, size(d))).collect::<Vec<_>>();
    Some(match (wanted.quantity, left.is_empty()) {
        (0, _) => format!("{} of {} still there: {}", left.len(), wanted.kind, left.join(", ")),
        (n, true) => format!("{} has 0 of {n} dynos", wanted.kind),
        (n, false) => format!("{} has {up} of {n} up: {}", wanted.kind, left.join(", ")),
    })
}

/// Dynos that are no part of the formation: `run.4711`, `scheduler.12`, `release.3`. Neither scaling nor maintenance
/// mode stops them.
pub(in crate::kinds) fn one_off<'d>(dynos: &'d [Dyno], formation: &[Process]) -> Vec<&'d Dyno> {
    dynos.iter().filter(|dyno| !formation.iter().any(|process| process.kind == dyno.kind)).collect()
}

/// `run.4711 up, release.3 starting`.
pub(in crate::kinds) fn named(dynos: &[&Dyno]) -> String {
    dynos.iter().map(|dyno| format!("{} {}", dyno.name, dyno.state)).collect::<Vec<_>>().join(", ")
}

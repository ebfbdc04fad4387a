//! One look: connect, take snapshots, compare what is built, add up, narrow down, look again.

use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::try_join;

use super::{
    super::{Limits, Postgres, Row, Session},
    Compare, again,
    catalog::{self, Catalog},
    details,
    hash::{self, Mode},
    marker::Link,
    objects,
    order::orders,
    outcome::{Differs, Outcome},
    plan::{Pair, Servers},
    rows::{self, Found},
    schema,
    side::{self, Side, Which},
};
use crate::{
    base::{Class, Failure},
    plan::Cx,
};

/// Buckets of all tables together.
const BUCKETS: usize = 65_536;

/// Both sides, open.
pub(super) struct Sides {
    pub source: Side,
    pub target: Side,
    pub servers: Servers,
    floats: i32,
    link: Option<Link>,
}

pub(super) async fn look(compare: &Compare, postgres: &Postgres, cx: &Cx) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let sides = sent(open(compare, postgres, cx)).await?;
    let mut outcome = Outcome::default();
    let (source, target) = try_join!(
        catalog::read(&sides.source, &compare.spec.scope),
        catalog::read(&sides.target, &compare.spec.scope)
    )?;
    sent(built(compare, &sides, &source, &target, &mut outcome)).await?;
    let mode = sent(agreed(&sides, &mut outcome)).await?;
    outcome.hash = mode.words();
    let pairs = sent(pairs(compare, &sides, &source, &target, mode)).await?;
    if pairs.is_empty() && outcome.unlike.is_empty() {
        return Err(Failure::new(Class::NotYet, "no data: there is no table to compare")
            .hint("look at `schemas`, `tables` and `except`"));
    }
    if let Some(pattern) = source.unfit.intersection(&target.unfit).next() {
        return Err(Failure::new(Class::NotYet, format!("no data: nothing fits `{pattern}`"))
            .hint("look at `schemas` and `tables`: neither side has such a one"));
    }
    outcome.tables = pairs.len();
    outcome.bytes = pairs.iter().map(|pair| pair.source.bytes).sum();
    let found = sent(rows::rows(compare, &sides, &pairs, (&source, &target), cx, &mut outcome)).await?;
    sent(settled(compare, sides, &pairs, found, cx, &mut outcome)).await?;
    outcome.took = begun.elapsed();
    Ok(outcome)
}

/// A stage of its own, whose type nobody has to know.
fn sent<'a, T>(stage: impl Future<Output = Result<T, Failure>> + Send + 'a) -> BoxFuture<'a, Result<T, Failure>> {
    Box::pin(stage)
}

async fn open(compare: &Compare, postgres: &Postgres, cx: &Cx) -> Result<Sides, Failure> {
    let (spec, limits) = (&compare.spec, Limits::from(cx));
    cx.progress(0.0, "connecting to both servers");
    let (one, other) = try_join!(
        side::connect(postgres, spec, Which::Source, &limits),
        side::connect(postgres, spec, Which::Target, &limits)
    )?;
    let system = |sessions: &[Session]| sessions.first().and_then(|one| one.server().system_identifier.clone());
    let systems = (system(&one), system(&other));
    let version = |sessions: &[Session]| sessions.first().map_or(0, |one| one.server().version);
    let (source, target) = (version(&one), version(&other));
    for (version, which) in [(source, Which::Source), (target, Which::Target)] {
        if version < 100_000 {
            let words = format!("the {} is PostgreSQL {}.{}", which.word(), version / 10_000, version / 100 % 100);
            return Err(Failure::new(Class::Misconfigured, words).hint("postgres.compare needs version 10 or later"));
        }
    }
    // Version 12 began to print the shortest text that is exact: the same only where both do, or neither.
    let exact_floats = (source >= 120_000) == (target >= 120_000);
    let floats = if exact_floats { 3 } else { 0 };
    let link = match (one.first(), other.first()) {
        (Some(one), Some(other)) => Link::find(one, other).await?,
        _ => None,
    };
    let source_side = Side::begin(Which::Source, one, spec, floats).await?;
    if let Some(link) = &link {
        link.reached(&source_side, &source_side.moment.lsn, spec.marker_wait, cx).await?;
    }
    let target_side = Side::begin(Which::Target, other, spec, floats).await?;
    let is_other = systems.0.zip(systems.1).is_some_and(|(one, other)| one != other);
    if !is_other && source_side.moment.database == target_side.moment.database {
        return Err(Failure::new(Class::Misconfigured, "source and target are the same database")
            .hint("two addresses lead to one server: look at both"));
    }
    let servers = Servers { source, target, exact_floats };
    Ok(Sides { source: source_side, target: target_side, servers, floats, link })
}

/// How both are built.
async fn built(
    compare: &Compare,
    sides: &Sides,
    source: &Catalog,
    target: &Catalog,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    for (name, why) in
        source.left_out.iter().chain(target.left_out.iter().filter(|(n, _)| !source.left_out.contains_key(*n)))
    {
        outcome.left_out.push(format!("{name}: {why}"));
    }
    let foreign = source.tables.values().chain(target.tables.values()).flat_map(|table| &table.foreign);
    outcome.left_out.extend(foreign.map(|name| format!("{name}: a foreign partition, its rows are elsewhere")));
    if source.large_objects > 0 {
        outcome.left_out.push(format!("{} large objects: no replication carries them", source.large_objects));
    }
    if compare.spec.without_schema {
        outcome.left_out.extend(schema::lonely(source, target).into_iter().map(|(_, words)| words));
        return Ok(());
    }
    let (one, other) = try_join!(
        objects::read(&sides.source, &compare.spec.scope),
        objects::read(&sides.target, &compare.spec.scope)
    )?;
    let (here, there) = (sides.servers.source / 10_000, sides.servers.target / 10_000);
    let unlike = schema::unlike((source, &one), (target, &other), here != there);
    let minded = unlike.into_iter().filter(|unlike| !compare.spec.ignore.contains(&unlike.aspect));
    let (prints, real): (Vec<_>, Vec<_>) = minded.partition(|unlike| unlike.is_print);
    outcome.unlike = real;
    if here != there && !prints.is_empty() {
        outcome.notes.push(format!("{} definitions are printed differently by {here} and {there}", prints.len()));
        outcome.notes.extend(prints.into_iter().map(|unlike| unlike.words));
    }
    Ok(())
}

/// Which hash both servers can work out, by trying.
async fn agreed(sides: &Sides, outcome: &mut Outcome) -> Result<Mode, Failure> {
    let (here, there) = (&sides.source, &sides.target);
    let printed = |side: &'_ Side| format!("how the {} prints values", side.which.word());
    let (what_here, what_there) = (printed(here), printed(there));
    let (one, other) = try_join!(here.rows(hash::PRINTS, &[], &what_here), there.rows(hash::PRINTS, &[], &what_there))?;
    let text = |rows: &[Row]| rows.first().map(|row| row.get::<_, String>(0)).unwrap_or_default();
    if text(&one) != text(&other) {
        outcome.notes.push("the servers print some values differently: equal ones may look different".into());
    }
    if sides.servers.source.min(sides.servers.target) < 110_000 {
        outcome.notes.push("compared by digests of text: there are no 64-bit hashes before version 11".into());
        return Ok(Mode::Text);
    }
    if here.moment.encoding != there.moment.encoding {
        let (one, other) = (&here.moment.encoding, &there.moment.encoding);
        outcome.notes.push(format!("compared by digests of text: {one} at the source, {other} at the target"));
        return Ok(Mode::Text);
    }
    let (one, other) =
        try_join!(here.rows(hash::PROBE, &[], "trying its hashes"), there.rows(hash::PROBE, &[], "trying its hashes"))?;
    if text(&one) != text(&other) {
        outcome.notes.push("compared by digests of text: the servers' hash functions do not agree".into());
        return Ok(Mode::Text);
    }
    Ok(Mode::Native)
}

/// The tables of both, with how each is told apart; the largest first, so that nobody waits for it at the end.
async fn pairs(
    compare: &Compare,
    sides: &Sides,
    source: &Catalog,
    target: &Catalog,
    mode: Mode,
) -> Result<Vec<Pair>, Failure> {
    let both = source.tables.iter().filter_map(|(name, one)| Some((name, one, target.tables.get(name)?)));
    let mut pairs = Vec::new();
    let mut ordered = Vec::new();
    for (name, one, other) in both {
        let pair = Pair::new(name.clone(), one, other, sides.servers, mode, compare.nonce);
        if pair.wants_order(one, other) {
            ordered.push(pairs.len());
        }
        pairs.push(pair);
    }
    let (one, other) = try_join!(orders(&sides.source, &pairs, &ordered), orders(&sides.target, &pairs, &ordered))?;
    for (at, pair) in pairs.iter_mut().enumerate() {
        let place = ordered.iter().position(|known| *known == at);
        pair.divide(place.and_then(|n| one.get(n)), place.and_then(|n| other.get(n)));
    }
    let buckets: usize = pairs.iter().map(|pair| pair.parts.count()).sum();
    let over = (buckets / BUCKETS).checked_ilog2().map_or(0, |bits| bits + 1);
    pairs.iter_mut().for_each(|pair| pair.coarser(over));
    pairs.sort_by(|a, b| b.rows().total_cmp(&a.rows()).then_with(|| a.name.cmp(&b.name)));
    Ok(pairs)
}

/// Ends the transactions, says whether the answer is final, and looks again at rows that may only have been late.
async fn settled(
    compare: &Compare,
    sides: Sides,
    pairs: &[Pair],
    found: Vec<Found>,
    cx: &Cx,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let Sides { source, target, floats, link, .. } = sides;
    let ((now, open), _) = try_join!(source.over(), target.over())?;
    let is_quiet = now == source.moment.snapshot;
    outcome.provisional = match open {
        _ if !is_quiet => Some("transactions ran at the source meanwhile".into()),
        0 => None,
        1 => Some("1 transaction that writes is open at the source".into()),
        open => Some(format!("{open} transactions that write are open at the source")),
    };
    for Found { at, totals, wrongs, first } in found {
        let pair = &pairs[at];
        let mut differs = Differs {
            name: pair.name.clone(),
            rows: (totals.0.rows, totals.1.rows),
            counts: wrongs.counts,
            is_least: wrongs.is_least,
            first,
            undecided: 0,
            may_be_late: link.is_some() && !is_quiet && pair.key.is_empty(),
        };
        if let Some(link) = link.as_ref().filter(|_| !is_quiet && !pair.key.is_empty() && !wrongs.is_cut()) {
            cx.progress(0.98, format!("{}: looking again at {} rows", pair.name, wrongs.rows.len()));
            let left = again::look((&source, &target), pair, &wrongs, (&compare.spec, floats, link), cx).await?;
            if left.wrongs.rows.is_empty() {
                continue;
            }
            (differs.counts, differs.undecided) = (left.wrongs.counts, left.undecided);
            // What is shown is of the rows that are left.
            try_join!(source.reopen(&compare.spec, floats), target.reopen(&compare.spec, floats))?;
            let (most, show) = (compare.spec.shown, compare.spec.show_values);
            differs.first = details::more((&source, &target), pair, &left.wrongs.rows, most, show).await?;
            try_join!(source.over(), target.over())?;
        }
        outcome.differs.push(differs);
    }
    let ((), ()) = tokio::join!(source.close(), target.close());
    Ok(())
}

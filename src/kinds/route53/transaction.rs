//! One transaction over record sets: captured whole, changed in one batch, put back as they were.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value as Json;

use super::zone;
use crate::{
    base::{Class, Failure},
    plan::{Action, Cx, Done, Doubt, Finding, Identity, Permission},
    services::{
        Services,
        aws::{Aws, Patience, Place, RecordSet, Swap, ZoneRef, shown_name},
    },
};

/// Types that answer for the same host: who moves one and not the others leaves people on the old side.
const TWINS: &[&str] = &["A", "AAAA", "HTTPS", "SVCB"];

/// What a kind wants of some record sets.
pub(in crate::kinds) trait Wanted: Send + Sync + 'static {
    /// Every name and type that it captures, in order.
    fn places(&self) -> Vec<Place>;

    /// What is deleted and created, in words, a line for each record.
    fn does(&self) -> Vec<String>;

    /// The record sets at the places as they are wanted. `found` are those of all types at the same names.
    ///
    /// # Errors
    /// Nothing was done: it cannot be, or it is not as the runbook expects.
    fn plan(&self, zone: &ZoneRef, found: &[RecordSet]) -> Result<Vec<RecordSet>, Failure>;
}

/// The action of a kind that changes record sets in one batch.
pub(in crate::kinds) struct Transaction<W> {
    services: Arc<Services>,
    zone: ZoneRef,
    wanted: W,
}

impl<W: Wanted> Transaction<W> {
    pub(in crate::kinds) fn new(services: &Arc<Services>, zone: ZoneRef, wanted: W) -> Self {
        Self { services: services.clone(), zone, wanted }
    }

    fn aws(&self) -> &Aws {
        &self.services.aws
    }

    async fn swap(&self, cx: &Cx) -> Result<Swap, Failure> {
        let patience = Patience::of(cx);
        let zone = self.aws().zone_id(&self.zone, &patience).await?;
        let places = self.wanted.places();
        let names: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
        let found = self.aws().record_sets(&zone, &names, &patience).await?;
        let after = self.wanted.plan(&self.zone, &found)?;
        twins(&places, &found).iter().for_each(|line| cx.line(line));
        let before: Vec<RecordSet> =
            found.into_iter().filter(|set| places.iter().any(|place| place.holds(set))).collect();
        for set in before.iter().filter(|set| !after.iter().any(|other| other.same(set))) {
            changeable(set)?;
        }
        fits_together(&after)?;
        Swap { zone, places, before, after }.fit()
    }
}

impl<W: Wanted> Action for Transaction<W> {
    fn does(&self) -> Vec<String> {
        let (mut lines, last) = zone::does(&self.zone, &self.wanted.places());
        let changes = self.wanted.does();
        let one = changes.len() == 1;
        let batch = "Route 53 ChangeResourceRecordSets, one batch";
        if !one {
            lines.push(format!("{batch} of {} records:", changes.len()));
        }
        lines.extend(
            changes.iter().map(|change| if one { format!("{batch}: {change}") } else { format!("  {change}") }),
        );
        lines.push(last);
        lines
    }

    fn needs(&self) -> Vec<Permission> {
        zone::needs(&self.services, &self.zone)
    }

    fn doubt(&self) -> Doubt {
        Doubt::Swap
    }

    fn fence<'a>(&'a self) -> BoxFuture<'a, Result<Option<Identity>, Failure>> {
        self.aws().fence()
    }

    fn capture<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<Json, Failure>> {
        Box::pin(async move { Ok(self.swap(cx).await?.to_captured()) })
    }

    fn apply<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Swap::from_captured(captured)?.run(self.aws(), cx).await })
    }

    fn restore<'a>(&'a self, cx: &'a Cx, captured: &'a Json) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(async move { Swap::from_captured(captured)?.back().run(self.aws(), cx).await })
    }

    fn probe<'a>(&'a self, cx: &'a Cx, captured: &'a Json, back: bool) -> BoxFuture<'a, Result<Finding, Failure>> {
        Box::pin(async move {
            let swap = Swap::from_captured(captured)?;
            let swap = if back { swap.back() } else { swap };
            swap.probe(self.aws(), cx).await
        })
    }
}

/// Refuses what cannot be changed by hand, or not be put back.
pub(in crate::kinds) fn changeable(set: &RecordSet) -> Result<(), Failure> {
    if set.traffic_policy.is_some() {
        let words = format!("{} was made by a traffic policy and cannot be changed by itself", set.title());
        return Err(Failure::new(Class::Misconfigured, words).hint("change the traffic policy instance"));
    }
    if !set.unknown.is_empty() {
        let words = format!("{} holds what this version of gonogo cannot put back", set.title());
        return Err(Failure::new(Class::Misconfigured, words)
            .because(format!("Route 53 tells of it: {}", set.unknown.join(", ")))
            .hint("change this record by hand, or with a newer gonogo"));
    }
    Ok(())
}

/// Weighted record sets of one name and type must have one TTL (`ResourceRecordSet`, API reference).
fn fits_together(sets: &[RecordSet]) -> Result<(), Failure> {
    for set in sets.iter().filter(|set| set.weight.is_some() && set.ttl.is_some()) {
        let other = sets.iter().find(|other| {
            other.is(&set.name, &set.r#type)
                && other.weight.is_some()
                && other.ttl.is_some_and(|ttl| Some(ttl) != set.ttl)
        });
        if let Some(other) = other {
            let words = "weighted record sets of one name and type must have the same TTL";
            return Err(Failure::new(Class::Misconfigured, words)
                .because(format!("wanted {}", set.line()))
                .because(format!("beside {}", other.line()))
                .hint("change the TTL of all of them: leave `set_identifier` out, with `route53.set_ttl`"));
        }
    }
    Ok(())
}

/// Record sets that answer for the same host and are not part of the transaction.
pub(in crate::kinds) fn twins(places: &[Place], found: &[RecordSet]) -> Vec<String> {
    let ours = |set: &&RecordSet| places.iter().any(|place| place.holds(set));
    let twin = |set: &&RecordSet| {
        TWINS.contains(&set.r#type.as_str())
            && places.iter().any(|place| TWINS.contains(&place.r#type.as_str()) && place.name_is(&set.name))
    };
    let left = found.iter().filter(|set| !ours(set) && twin(set));
    left.map(|set| format!("warning: {} of {} stays as it is: {}", set.r#type, shown_name(&set.name), set.line()))
        .collect()
}
